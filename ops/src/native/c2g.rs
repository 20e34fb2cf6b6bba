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
//! and depend on a pixel's place alone, so equal requests give equal pictures. Pixels some way apart in a
//! row have the same ones. Bytes are compared, since they are in the order of the light they stand for.

use std::sync::LazyLock;

use multiversion::multiversion;
use rand_mt::Mt;

use crate::format::light_of_bytes;
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
    revision: 2,
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

/// Tries for one sample, before the spray goes without it: reached only where nearly all of the
/// surroundings lie outside or are transparent.
const TRIES: usize = 32;

/// Tries between two looks at the cancel flag.
const CHECK_EVERY: usize = 1 << 13;

/// Pixels that share their sprays, so that each sample of them is one load: they stand apart from
/// each other, and what one spray finds around one has nothing to do with what it finds around the next.
const LANES: usize = 32;

/// Least pixels from one to the next that shares its sprays.
const FEWEST_APART: i64 = 16;

type Lanes = [u8; LANES];

#[derive(Debug)]
struct Gray {
    radius: f32,
    samples: u32,
    iterations: u32,
    enhance_shadows: bool,
}

/// The components of pixels with a margin, in an order in which those that share their sprays follow one
/// another: each row as so many phases, of pixels as many apart.
struct Planes {
    bytes: Vec<u8>,
    /// The left edge of the picture, which phases are counted from.
    left: i64,
    /// Rows in memory.
    rows: (i64, i64),
    phases: i64,
    /// Of the first and after the last pixel of each phase.
    lanes: (i64, i64),
}

impl Planes {
    /// Pixels from one to the next of a phase of a picture that is so wide.
    fn phases(width: u32) -> i64 {
        i64::from(width.div_ceil(LANES as u32)).max(FEWEST_APART)
    }

    /// Bytes of each component of a phase.
    fn length(&self) -> usize {
        (self.lanes.1 - self.lanes.0) as usize
    }

    /// Components and where each is there, of all of a view, with room for what the samples of `rect` may ask
    /// for.
    fn new(view: &View<'_>, rect: Rect, margin: u32) -> Result<Planes, OpError> {
        let (bounds, there) = (view.bounds(), view.rect());
        let (left, phases) = (i64::from(bounds.x), Self::phases(bounds.width));
        let asked = rect.grow(margin, 0);
        let lane = |x: i64| (x - left).div_euclid(phases);
        let lanes = (lane(asked.x.into()) - 1, lane(asked.right()) + 2);
        let rows = (i64::from(there.y), there.bottom());
        let mut planes = Planes { bytes: Vec::new(), left, rows, phases, lanes };
        // The last pixels of the last phase are read with others that do not count.
        let bytes = (rows.1 - rows.0) as usize * phases as usize * 4 * planes.length() + LANES;
        planes.bytes.try_reserve_exact(bytes).map_err(|_| OpError::OutOfMemory { bytes: bytes as u64 })?;
        planes.bytes.resize(bytes, 0);
        for y in rows.0..rows.1 {
            let alpha = view.format().has_alpha();
            for x in i64::from(there.x).max(asked.x.into())..there.right().min(asked.right()) {
                let at = (x - i64::from(there.x)) as usize;
                let [r, g, b, a] = if alpha {
                    view.row_rgba8(y as i32)[at]
                } else {
                    let [r, g, b] = view.row_rgb8(y as i32)[at];
                    [r, g, b, 255]
                };
                let (phase, lane) = ((x - left).rem_euclid(phases), lane(x));
                let (from, length) = (planes.place(phase, y), planes.length());
                let first = from + (lane - lanes.0) as usize;
                // Where nothing is seen nothing is there.
                for (component, byte) in [r, g, b, if a > 0 { 255 } else { 0 }].into_iter().enumerate() {
                    planes.bytes[first + component * length] = byte;
                }
            }
        }
        Ok(planes)
    }

    /// The first byte of a phase of a row.
    fn place(&self, phase: i64, y: i64) -> usize {
        ((y - self.rows.0) * self.phases + phase) as usize * 4 * self.length()
    }

    /// R, G, B of pixels of a phase from a lane on, and 255 for those that are there; all together `dx` and
    /// `dy` away. `None` in rows that are outside.
    #[inline(always)]
    fn read(&self, at: Place, dx: i64, dy: i64) -> Option<[&Lanes; 4]> {
        let y = at.y + dy;
        if y < self.rows.0 || y >= self.rows.1 {
            return None;
        }
        let phase = at.phase + dx;
        let lane = at.lane + phase.div_euclid(self.phases);
        let from = self.place(phase.rem_euclid(self.phases), y);
        let component = |component: usize| {
            let first = from + component * self.length() + (lane - self.lanes.0) as usize;
            self.bytes[first..first + LANES].first_chunk()
        };
        Some([component(0)?, component(1)?, component(2)?, component(3)?])
    }
}

/// The first of some pixels that share their sprays.
#[derive(Clone, Copy)]
struct Place {
    phase: i64,
    lane: i64,
    y: i64,
}

/// A walk through the tables that begins at a place given by the phase and the row. Each sample has a place of
/// its own, and its tries go on from there by strides: what one pixel needs is not another's matter.
struct Walk {
    radius: f32,
    direction: usize,
    distance: usize,
}

impl Walk {
    fn at(radius: f32, phase: i64, y: i64) -> Self {
        // The finalizer of SplitMix64 scatters neighbours over the tables.
        let mut hash = ((phase as u64) << 32 | u64::from(y as u32)).wrapping_add(0x9e37_79b9_7f4a_7c15);
        hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        hash ^= hash >> 31;
        Walk { radius, direction: (hash as u32) as usize % DIRECTIONS, distance: (hash >> 32) as usize % DISTANCES }
    }

    /// To the next sample.
    fn step(&mut self) {
        self.direction = if self.direction + 1 == DIRECTIONS { 0 } else { self.direction + 1 };
        self.distance = if self.distance + 1 == DISTANCES { 0 } else { self.distance + 1 };
    }

    /// Where a try of this sample looks.
    #[inline(always)]
    fn offset(&self, attempt: usize) -> (i64, i64) {
        let [cos, sin] = DIRECTION[(self.direction + attempt * 1237) % DIRECTIONS];
        let distance = self.radius * DISTANCE[(self.distance + attempt * 677) % DISTANCES];
        (down(distance * cos), down(distance * sin))
    }
}

/// The whole number below; the places in pictures are far from the limits of this.
fn down(value: f32) -> i64 {
    const FAR: i32 = 1 << 16;
    i64::from((value + FAR as f32) as i32 - FAR)
}

impl Gray {
    /// The gray of `count` pixels that share their sprays.
    fn grays(&self, planes: &Planes, at: Place, count: usize, cancel: &Cancel) -> Result<[f32; LANES], OpError> {
        let Some([r, g, b, _]) = planes.read(at, 0, 0) else { return Ok([0.0; LANES]) };
        let center = [*r, *g, *b];
        let pixel = center.each_ref().map(lights);
        let mut ranges = [[0.0f32; LANES]; 3];
        let mut places = [[0.0f32; LANES]; 3];
        let mut walk = Walk::at(self.radius, at.phase, at.y);
        let mut drawn = 0;
        for _ in 0..self.iterations {
            let mut spray = Spray { least: center, greatest: center };
            for _ in 0..self.samples {
                drawn += spray.sample(planes, at, count, &walk);
                walk.step();
                if drawn > CHECK_EVERY {
                    drawn = 0;
                    cancel.check()?;
                }
            }
            let Spray { least, greatest } = spray;
            for c in 0..3 {
                add(&mut ranges[c], &mut places[c], &pixel[c], &lights(&least[c]), &lights(&greatest[c]));
            }
        }
        Ok(ratios(&pixel, &ranges, &places, self.iterations as f32, self.enhance_shadows))
    }
}

/// The grays from the sums of ranges and of places in them, of so many sprays.
#[multiversion(targets("x86_64+avx2"))]
fn ratios(
    pixel: &[[f32; LANES]; 3],
    ranges: &[[f32; LANES]; 3],
    places: &[[f32; LANES]; 3],
    sprays: f32,
    enhance_shadows: bool,
) -> [f32; LANES] {
    let mut grays = [0.0; LANES];
    for i in 0..LANES {
        let [mut own, mut above, mut below] = [0.0f32; 3];
        for c in 0..3 {
            let (pixel, range, place) = (pixel[c][i], ranges[c][i] / sprays, places[c][i] / sprays);
            // To black, to the greatest of the envelope and to its least.
            let (up, down) = ((1.0 - place) * range, place * range);
            own += pixel * pixel;
            above += up * up;
            below += down * down;
        }
        let below = if enhance_shadows { below } else { own }.sqrt();
        let both = below + above.sqrt();
        grays[i] = if both > 0.0 { below / both } else { 0.5 };
    }
    grays
}

/// The light of bytes.
fn lights(bytes: &Lanes) -> [f32; LANES] {
    let table = light_of_bytes();
    let mut lights = [0.0; LANES];
    for (light, byte) in lights.iter_mut().zip(bytes) {
        *light = table[usize::from(*byte)];
    }
    lights
}

/// Adds a range, and the place of a value in it.
#[multiversion(targets("x86_64+avx2"))]
fn add(
    ranges: &mut [f32; LANES],
    places: &mut [f32; LANES],
    value: &[f32; LANES],
    least: &[f32; LANES],
    greatest: &[f32; LANES],
) {
    for i in 0..LANES {
        let range = greatest[i] - least[i];
        let place = (value[i] - least[i]) / if range > 0.0 { range } else { 1.0 };
        ranges[i] += range;
        places[i] += if range > 0.0 { place } else { 0.5 };
    }
}

/// The least and the greatest of R, G, B that samples found.
struct Spray {
    least: [Lanes; 3],
    greatest: [Lanes; 3],
}

impl Spray {
    /// Takes in one sample for each of the first `count` pixels; the tries that took.
    fn sample(&mut self, planes: &Planes, at: Place, count: usize, walk: &Walk) -> usize {
        let mut waiting = [0; LANES];
        waiting[..count].fill(255);
        for attempt in 0..TRIES {
            let (dx, dy) = walk.offset(attempt);
            let Some(found) = planes.read(at, dx, dy) else { continue };
            if !self.take(found, &mut waiting) {
                return attempt + 1;
            }
        }
        TRIES
    }

    /// Takes in what is there of those that wait; true when some still do.
    fn take(&mut self, found: [&Lanes; 4], waiting: &mut Lanes) -> bool {
        take(&mut self.least, &mut self.greatest, found, waiting)
    }
}

#[multiversion(targets("x86_64+avx2"))]
fn take(least: &mut [Lanes; 3], greatest: &mut [Lanes; 3], found: [&Lanes; 4], waiting: &mut Lanes) -> bool {
    let [.., there] = found;
    let mut taken = [0; LANES];
    for i in 0..LANES {
        taken[i] = there[i] & waiting[i];
        waiting[i] &= !there[i];
    }
    for ((least, greatest), found) in least.iter_mut().zip(greatest).zip(found) {
        for i in 0..LANES {
            least[i] = least[i].min(found[i] | !taken[i]);
            greatest[i] = greatest[i].max(found[i] & taken[i]);
        }
    }
    waiting.iter().fold(0, |all, one| all | one) > 0
}

impl Area for Gray {
    fn formats(&self, inputs: &[Option<Format>]) -> Formats {
        let output = Format::LIN.opaque_like(inputs[0].unwrap_or(Format::LIN));
        let input = if output.has_alpha() { Format::RGBA8 } else { Format::RGB8 };
        Formats { inputs: [input; 2], output }
    }

    fn bounds(&self, boxes: Boxes<'_>) -> Result<Rect, OpError> {
        boxes.inputs[0].ok_or(OpError::MissingInput("input"))
    }

    fn needed(&self, _pad: usize, region: Rect, _boxes: Boxes<'_>) -> Rect {
        region.grow(self.radius as u32 + 1, self.radius as u32 + 1)
    }

    /// What is around a band is put in order once for each.
    fn fewest_rows(&self) -> u32 {
        (2 * self.radius as u32).max(64)
    }

    fn working_memory(&self, boxes: Boxes<'_>) -> u64 {
        let Rect { width, height, .. } = boxes.inputs[0].unwrap_or_default();
        let phases = Planes::phases(width);
        let lanes = (i64::from(width) + 2 * self.radius as i64) / phases + 5;
        u64::from(height).saturating_mul((4 * phases * lanes) as u64)
    }

    fn weight(&self) -> f32 {
        // Samples that fall outside are thrown anew, more often the farther they are thrown.
        let tries = (self.radius / 250.0).max(1.0).sqrt();
        10.0 + 1.75 * tries * self.samples as f32 * self.iterations as f32
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
        cancel.check()?;
        let planes = Planes::new(&view, rect, self.radius as u32 + 1)?;
        let (phases, first) = (planes.phases, i64::from(rect.x) - planes.left);
        for y in rect.y..rect.y + rect.height as i32 {
            cancel.check()?;
            let from = (rect.x - view.rect().x) as usize;
            let alpha = |x: usize| match view.format().has_alpha() {
                true => f32::from(view.row_rgba8(y)[from + x][3]) / 255.0,
                false => 1.0,
            };
            let row = output.row_mut(y);
            for phase in 0..phases {
                // The first pixel of the phase in this row, and then all that are `phases` apart.
                let mut lane = (first - phase).div_euclid(phases) + i64::from((first - phase).rem_euclid(phases) > 0);
                let mut x = (lane * phases + phase - first) as usize;
                while x < row.len() {
                    let count = (row.len() - x).div_ceil(phases as usize).min(LANES);
                    let at = Place { phase, lane, y: y.into() };
                    for gray in self.grays(&planes, at, count, cancel)?.into_iter().take(count) {
                        row[x] = [gray, gray, gray, alpha(x)];
                        x += phases as usize;
                        lane += 1;
                    }
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
        let plane = Image::from_float(Rect::sized(8, 8), Format::LIN, vec![[0.2, 0.4, 0.1, 0.6]; 64]);
        assert_pixel(&check(&C2g, &[("radius", "4")], &[Some(&plane)]), 3, 3, [1.0, 1.0, 1.0, 0.6], 1e-6);
        let given = [("radius", "4"), ("enhance-shadows", "true")];
        assert_pixel(&check(&C2g, &given, &[Some(&plane)]), 3, 3, [0.5, 0.5, 0.5, 0.6], 1e-6);
        let black = Image::from_float(Rect::sized(8, 8), Format::LIN, vec![[0.0, 0.0, 0.0, 1.0]; 64]);
        assert_pixel(&check(&C2g, &[("radius", "4")], &[Some(&black)]), 0, 0, [0.5, 0.5, 0.5, 1.0], 0.0);
    }

    #[test]
    fn with_many_samples_the_envelope_is_that_of_the_picture() {
        // Half 0.25 (as near as a byte comes), half 1: every spray of many samples sees both. The dark half has MAX 1:
        // 0.25 / (0.25 + 0.75); the light one MAX 1: 1.
        let pixels = (0..400).map(|i| if i % 20 < 10 { [0.25, 0.25, 0.25, 1.0] } else { [1.0; 4] }).collect();
        let image = Image::from_float(Rect::sized(20, 20), Format::LIN, pixels);
        let gray = check(&C2g, &[("radius", "20"), ("samples", "500"), ("iterations", "1")], &[Some(&image)]);
        assert_pixel(&gray, 5, 10, [0.25, 0.25, 0.25, 1.0], 2e-4);
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
        // Wider than the pixels that share their sprays, too.
        for rect in [Rect::new(-9, 4, 21, 13), Rect::sized(1, 1), Rect::new(0, -50, 1, 30), Rect::sized(600, 3)] {
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
