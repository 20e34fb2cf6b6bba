//! `gegl/c2g`: gray that keeps local contrast.
//!
//! After Ø. Kolås, I. Farup and A. Rizzi, "Spatio-Temporal Retinex-Inspired Envelope with
//! Stochastic Sampling", Journal of Imaging Science and Technology 55 (2011). For each pixel p, some
//! sprays of samples are thrown around it, denser near it: radius `r u²`, u even in 0..1, angles by
//! the golden angle. Each spray has a least and a greatest value a component; the means of their
//! range and of p's place in it give the envelope MIN, MAX around p. The gray is
//! `|p| / (|p| + |p - MAX|)`, or with shadows enhanced `|p - MIN| / (|p - MIN| + |p - MAX|)`,
//! lengths over R, G and B in linear light.
//!
//! GEGL seeds its random numbers from the system and differs from run to run; here they are fixed
//! and depend on a pixel's place alone, so equal requests give equal pictures.

use std::sync::LazyLock;

use rand_mt::Mt;

use crate::{
    Area, Boxes, Cancel, Format, Formats, Info, Kind, OpError, Operation, Pad, Pass, Properties, Property, Rect, Tile,
    View,
};

const INFO: Info = Info {
    name: "gegl/c2g",
    aliases: &[],
    categories: &["grayscale"],
    title: "Color to Grayscale",
    description: "Turns the picture gray and keeps contrast between colours of equal brightness.",
    inputs: &[Pad::INPUT],
    properties: &[
        Property {
            name: "radius",
            description: "How far around a pixel is looked, in pixels",
            kind: Kind::Int { default: 300, minimum: 2, maximum: 6000 },
        },
        Property {
            name: "samples",
            description: "Samples in a spray; more compare with more of the surroundings",
            kind: Kind::Int { default: 4, minimum: 1, maximum: 1000 },
        },
        Property {
            name: "iterations",
            description: "Sprays a pixel; more give less grain and take longer",
            kind: Kind::Int { default: 10, minimum: 1, maximum: 1000 },
        },
        Property {
            name: "enhance-shadows",
            description: "Bring out what is in the shadows",
            kind: Kind::Boolean { default: false },
        },
    ],
    revision: 1,
};

/// The operation `gegl/c2g`.
#[derive(Debug)]
pub struct C2g;

impl Operation for C2g {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn lengths(&self) -> &'static [&'static str] {
        &["radius"]
    }

    fn prepare(&self, properties: &Properties) -> Result<Vec<Pass>, OpError> {
        Ok(vec![Pass::Area(Box::new(Gray {
            radius: properties.int("radius") as f32,
            samples: properties.int("samples") as u32,
            iterations: properties.int("iterations") as u32,
            enhance_shadows: properties.boolean("enhance-shadows"),
        }))])
    }
}

/// Lengths of the tables below; without a common divisor, so that pairs repeat late.
const DIRECTIONS: usize = 4093;
const DISTANCES: usize = 2039;

/// Directions of samples, each turned by the golden angle π (3 - √5) from the one before.
static DIRECTION: LazyLock<Vec<[f32; 2]>> = LazyLock::new(|| {
    let golden = std::f64::consts::PI * (3.0 - 5f64.sqrt());
    let direction = |i: usize| (i as f64 * golden).sin_cos();
    (0..DIRECTIONS).map(direction).map(|(sin, cos)| [cos as f32, sin as f32]).collect()
});

/// Distances of samples for a radius of 1: squares of even random numbers.
static DISTANCE: LazyLock<Vec<f32>> = LazyLock::new(|| {
    let mut random = Mt::new(42);
    let mut even = || f64::from(random.next_u32()) / f64::from(u32::MAX);
    (0..DISTANCES).map(|_| even().powi(2) as f32).collect()
});

/// Tries for one sample before the pixel itself stands in; reached only where nearly all of the
/// surroundings lie outside.
const TRIES: u32 = 1000;

/// Samples between two looks at the cancel flag.
const CHECK_EVERY: u32 = 1 << 14;

#[derive(Debug)]
struct Gray {
    radius: f32,
    samples: u32,
    iterations: u32,
    enhance_shadows: bool,
}

/// A walk through the tables that begins at a place given by the pixel.
struct Spray<'a> {
    view: &'a View<'a>,
    radius: f32,
    x: i32,
    y: i32,
    direction: usize,
    distance: usize,
    drawn: u32,
}

impl<'a> Spray<'a> {
    fn around(view: &'a View<'a>, radius: f32, x: i32, y: i32) -> Self {
        // The finalizer of SplitMix64 scatters neighbouring pixels over the tables.
        let mut hash = (u64::from(x as u32) << 32 | u64::from(y as u32)).wrapping_add(0x9e37_79b9_7f4a_7c15);
        hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        hash ^= hash >> 31;
        let (direction, distance) = ((hash as u32) as usize % DIRECTIONS, (hash >> 32) as usize % DISTANCES);
        Spray { view, radius, x, y, direction, distance, drawn: 0 }
    }

    /// The next pixel of the spray that lies inside.
    fn next(&mut self) -> [f32; 4] {
        for _ in 0..TRIES {
            self.drawn += 1;
            self.direction = if self.direction + 1 == DIRECTIONS { 0 } else { self.direction + 1 };
            self.distance = if self.distance + 1 == DISTANCES { 0 } else { self.distance + 1 };
            let [cos, sin] = DIRECTION[self.direction];
            let distance = self.radius * DISTANCE[self.distance];
            let (x, y) = ((self.x as f32 + distance * cos) as i32, (self.y as f32 + distance * sin) as i32);
            if let Some(pixel) = self.view.get(x, y) {
                return pixel;
            }
        }
        self.view.get(self.x, self.y).unwrap_or_default()
    }
}

impl Gray {
    /// The envelope around a pixel: its least and greatest values.
    fn envelope(&self, pixel: [f32; 4], spray: &mut Spray<'_>) -> ([f32; 3], [f32; 3]) {
        let (mut range_sum, mut place_sum) = ([0.0f32; 3], [0.0f32; 3]);
        for _ in 0..self.iterations {
            // All four components, alpha for nothing, so that each is one vector.
            let (mut least, mut greatest) = (pixel, pixel);
            let mut retries = self.samples;
            let mut taken = 0;
            while taken < self.samples {
                let sample = spray.next();
                if sample[3] <= 0.0 && retries > 0 {
                    retries -= 1;
                    continue;
                }
                taken += 1;
                if sample[3] > 0.0 {
                    for c in 0..4 {
                        least[c] = if sample[c] < least[c] { sample[c] } else { least[c] };
                        greatest[c] = if sample[c] > greatest[c] { sample[c] } else { greatest[c] };
                    }
                }
            }
            for c in 0..3 {
                let range = greatest[c] - least[c];
                range_sum[c] += range;
                place_sum[c] += if range > 0.0 { (pixel[c] - least[c]) / range } else { 0.5 };
            }
        }
        let count = self.iterations as f32;
        let (range, place) = (range_sum.map(|v| v / count), place_sum.map(|v| v / count));
        ([0, 1, 2].map(|c| pixel[c] - place[c] * range[c]), [0, 1, 2].map(|c| pixel[c] + (1.0 - place[c]) * range[c]))
    }

    fn gray(&self, pixel: [f32; 4], least: [f32; 3], greatest: [f32; 3]) -> f32 {
        let length = |other: [f32; 3]| (0..3).map(|c| (pixel[c] - other[c]).powi(2)).sum::<f32>().sqrt();
        let below = if self.enhance_shadows { length(least) } else { length([0.0; 3]) };
        let both = below + length(greatest);
        if both > 0.0 { below / both } else { 0.5 }
    }
}

impl Area for Gray {
    fn formats(&self, inputs: &[Option<Format>]) -> Formats {
        let format = Format::LIN.opaque_like(inputs[0].unwrap_or(Format::LIN));
        Formats { inputs: [format; 2], output: format }
    }

    fn bounds(&self, boxes: Boxes<'_>) -> Result<Rect, OpError> {
        boxes.inputs[0].ok_or(OpError::MissingInput("input"))
    }

    fn needed(&self, _pad: usize, region: Rect, _boxes: Boxes<'_>) -> Rect {
        region.grow(self.radius as u32 + 1, self.radius as u32 + 1)
    }

    fn weight(&self) -> f32 {
        2.0 + (self.samples * self.iterations) as f32 * 2.0
    }

    fn render(
        &self,
        inputs: &[Option<View<'_>>],
        _boxes: Boxes<'_>,
        output: &mut Tile<'_>,
        cancel: &Cancel,
    ) -> Result<(), OpError> {
        let view = inputs[0].ok_or(OpError::MissingInput("input"))?;
        let rect = output.rect();
        let mut drawn = 0;
        for y in rect.y..rect.y + rect.height as i32 {
            cancel.check()?;
            for (x, out) in (rect.x..).zip(output.row_mut(y)) {
                let pixel = view.get(x, y).unwrap_or_default();
                let mut spray = Spray::around(&view, self.radius, x, y);
                let (least, greatest) = self.envelope(pixel, &mut spray);
                let gray = self.gray(pixel, least, greatest);
                *out = [gray, gray, gray, pixel[3]];
                drawn += spray.drawn;
                if drawn > CHECK_EVERY {
                    drawn = 0;
                    cancel.check()?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Image;
    use crate::native::testing::{all_pixels, assert_pixel, check, noise_image, pixel, stops_when_cancelled};

    #[test]
    fn a_plane_is_gray_by_hand() {
        // No range: place 1/2 of nothing, MAX = p, so |p| / (|p| + 0) = 1; shadows: 0 / 0 = 1/2.
        let plane = Image::from_float(Rect::sized(8, 8), Format::LIN, vec![[0.2, 0.4, 0.1, 0.5]; 64]);
        assert_pixel(&check(&C2g, &[("radius", "4")], &[Some(&plane)]), 3, 3, [1.0, 1.0, 1.0, 0.5], 1e-6);
        let given = [("radius", "4"), ("enhance-shadows", "true")];
        assert_pixel(&check(&C2g, &given, &[Some(&plane)]), 3, 3, [0.5, 0.5, 0.5, 0.5], 1e-6);
        let black = Image::from_float(Rect::sized(8, 8), Format::LIN, vec![[0.0, 0.0, 0.0, 1.0]; 64]);
        assert_pixel(&check(&C2g, &[("radius", "4")], &[Some(&black)]), 0, 0, [0.5, 0.5, 0.5, 1.0], 0.0);
    }

    #[test]
    fn with_many_samples_the_envelope_is_that_of_the_picture() {
        // Half 0.25, half 1: every spray of many samples sees both. The dark half has MAX 1:
        // 0.25 / (0.25 + 0.75); the light one MAX 1: 1.
        let pixels = (0..400).map(|i| if i % 20 < 10 { [0.25, 0.25, 0.25, 1.0] } else { [1.0; 4] }).collect();
        let image = Image::from_float(Rect::sized(20, 20), Format::LIN, pixels);
        let gray = check(&C2g, &[("radius", "20"), ("samples", "500"), ("iterations", "1")], &[Some(&image)]);
        assert_pixel(&gray, 5, 10, [0.25, 0.25, 0.25, 1.0], 1e-6);
        assert_pixel(&gray, 15, 10, [1.0; 4], 1e-6);
    }

    #[test]
    fn transparent_surroundings_do_not_count() {
        let mut pixels = vec![[1.0, 1.0, 1.0, 0.0]; 100];
        pixels[55] = [0.25, 0.25, 0.25, 1.0];
        let image = Image::from_float(Rect::sized(10, 10), Format::LIN, pixels);
        assert_pixel(&check(&C2g, &[("radius", "10")], &[Some(&image)]), 5, 5, [1.0, 1.0, 1.0, 1.0], 1e-6);
    }

    #[test]
    fn equal_brightness_of_other_colours_is_told_apart() {
        // Red, and a green of the same luminance, in stripes.
        let green = 0.222_488_4 / 0.716_903_7;
        let stripe = |i: usize| if i % 16 < 8 { [1.0, 0.0, 0.0, 1.0] } else { [0.0, green, 0.0, 1.0] };
        let image = Image::from_float(Rect::sized(16, 16), Format::LIN, (0..256).map(stripe).collect());
        let gray = check(&C2g, &[("radius", "16"), ("samples", "40")], &[Some(&image)]);
        assert!((pixel(&gray, 3, 8)[0] - pixel(&gray, 12, 8)[0]).abs() > 0.2);
    }

    #[test]
    fn any_tiling_and_any_corner() {
        for rect in [Rect::new(-9, 4, 21, 13), Rect::sized(1, 1), Rect::new(0, -50, 1, 30)] {
            for format in [Format::RGB8, Format::LIN] {
                let image = noise_image(rect, format);
                let gray = check(&C2g, &[("radius", "7")], &[Some(&image)]);
                assert_eq!(gray.rect(), rect);
                assert!(all_pixels(&gray).iter().all(|p| (0.0..=1.0).contains(&p[0])));
            }
        }
    }

    #[test]
    fn it_stops_when_cancelled() {
        let image = noise_image(Rect::sized(64, 64), Format::RGBA8);
        assert!(stops_when_cancelled(&C2g, &[("samples", "1000"), ("iterations", "1000")], &image));
    }
}
