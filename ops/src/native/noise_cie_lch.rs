//! `gegl/noise-cie-lch`: noise in lightness, chroma and hue, each of its own strength.
//!
//! Light becomes CIE LCH(ab) with babl's D50-adapted sRGB matrix; each of the three moves by a
//! random distance, hue all the way round, the others up to their ends (GEGL 0.4,
//! `noise-cie-lch.c`).

use super::cie::{ToLight, to_lch};
use super::random::Random;
use crate::{Format, Info, Kind, OpError, Operation, Pad, Pass, Point, Properties, Property, Rect};

static INFO: Info = Info {
    name: "gegl/noise-cie-lch",
    aliases: &[],
    categories: &["noise"],
    title: "Add CIE LCH Noise",
    description: "Adds noise to lightness, chroma and hue independently.",
    inputs: &[Pad::INPUT],
    properties: &[
        Property {
            name: "holdness",
            description: "Dulling: the higher, the rarer are large distances.",
            kind: Kind::Int { default: 2, minimum: 1, maximum: 8 },
        },
        Property {
            name: "lightness-distance",
            description: "Largest change of the lightness, of 100.",
            kind: Kind::Number { default: 40.0, minimum: 0.0, maximum: 100.0 },
        },
        Property {
            name: "chroma-distance",
            description: "Largest change of the chroma, of 100.",
            kind: Kind::Number { default: 40.0, minimum: 0.0, maximum: 100.0 },
        },
        Property {
            name: "hue-distance",
            description: "Largest change of the hue, degrees.",
            kind: Kind::Number { default: 3.0, minimum: 0.0, maximum: 180.0 },
        },
        Property {
            name: "seed",
            description: "Random seed: another number gives other noise.",
            kind: Kind::Int { default: 0, minimum: 0, maximum: u32::MAX as i64 },
        },
    ],
    revision: 2,
};

/// The operation `gegl/noise-cie-lch`.
#[derive(Debug)]
pub struct NoiseCieLch;

impl Operation for NoiseCieLch {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn prepare(&self, properties: &Properties) -> Result<Vec<Pass>, OpError> {
        Ok(vec![Pass::Point(Box::new(Noise {
            holdness: properties.int("holdness") as i32,
            lightness: properties.number("lightness-distance"),
            chroma: properties.number("chroma-distance"),
            hue: properties.number("hue-distance"),
            random: Random::new(properties.int("seed") as u32),
        }))])
    }
}

#[derive(Debug)]
struct Noise {
    holdness: i32,
    /// Largest change of L, 0..=100.
    lightness: f64,
    /// Largest change of C, 0..=100.
    chroma: f64,
    /// Largest change of H, degrees.
    hue: f64,
    random: Random,
}

impl Point for Noise {
    fn format(&self, input: Format) -> Format {
        Format::LIN.opaque_like(input)
    }

    fn apply(&self, row: &mut [[f32; 4]], x: i32, y: i32, bounds: Rect) {
        let to_light = ToLight::new();
        for (pixel, x) in row.iter_mut().zip(x..) {
            let [r, g, b, a] = *pixel;
            let lch = self.change(to_lch([r, g, b]), x, y, bounds.width as i32);
            let [r, g, b] = to_light.lch(lch);
            *pixel = [r, g, b, a];
        }
    }

    fn weight(&self) -> f32 {
        300.0
    }
}

impl Noise {
    /// The colour L, C, H of the pixel (x, y) of a picture `width` across, changed.
    fn change(&self, [lightness, chroma, hue]: [f32; 3], x: i32, y: i32, width: i32) -> [f32; 3] {
        let [mut lightness, mut chroma, mut hue] = [lightness, chroma, hue].map(f64::from);
        // GEGL counts in 32 bits, and so wraps in large pictures.
        let count = 3 * self.holdness + 4;
        let n = count.wrapping_mul(x.wrapping_add(width.wrapping_mul(y)));
        if self.hue > 0.0 && chroma > 0.0 {
            hue = self.draw(hue, Reach { highest: 359.0, wraps: true, distance: self.hue }, x, y, n);
        }
        let n = n.wrapping_add(self.holdness + 1);
        if self.chroma > 0.0 {
            if chroma == 0.0 {
                hue = 360.0 * self.random.get(x, y, n);
            }
            let reach = Reach { highest: 100.0, wraps: false, distance: self.chroma };
            chroma = self.draw(chroma, reach, x, y, n.wrapping_add(1));
        }
        let n = n.wrapping_add(self.holdness + 2);
        if self.lightness > 0.0 {
            lightness = self.draw(lightness, Reach { highest: 100.0, wraps: false, distance: self.lightness }, x, y, n);
        }
        [lightness, chroma, hue].map(|v| v as f32)
    }

    /// `value` moved by the smallest of `holdness` draws, up or down by one more.
    fn draw(&self, value: f64, reach: Reach, x: i32, y: i32, n: i32) -> f64 {
        let draw = |k: i32| self.random.get(x, y, n.wrapping_add(k));
        let least = (1..self.holdness).fold(draw(0), |least, k| least.min(draw(k)));
        let sign = if draw(self.holdness) < 0.5 { -1.0 } else { 1.0 };
        let steps = reach.highest + 0.5;
        let value = value + sign * ((reach.distance * least) % steps);
        if value < 0.0 {
            if reach.wraps { value + steps } else { 0.0 }
        } else if value > reach.highest {
            if reach.wraps { value - steps } else { reach.highest }
        } else {
            value
        }
    }
}

/// Where a value may go: 0..=`highest`.
#[derive(Clone, Copy)]
struct Reach {
    highest: f64,
    /// True when it goes round at the ends, false when it stops there.
    wraps: bool,
    /// The largest change.
    distance: f64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Image;
    use crate::native::testing::{all_pixels, assert_same, check, noise_image};

    #[test]
    fn draws_by_hand() {
        let noise =
            |holdness, lightness, chroma, hue| Noise { holdness, lightness, chroma, hue, random: Random::new(0) };
        let random = Random::new(0);
        // Lightness alone, holdness 1: n = 7 (x + W y), its draw at n + 2 + 3, its sign at the next.
        let (x, y, width) = (3, 2, 10);
        let n = 7 * (x + width * y) + 5;
        let sign = if random.get(x, y, n + 1) < 0.5 { -1.0 } else { 1.0 };
        let expected = (50.0 + sign * 40.0 * random.get(x, y, n)).clamp(0.0, 100.0);
        let [l, c, h] = noise(1, 40.0, 0.0, 0.0).change([50.0, 20.0, 90.0], x, y, width);
        assert!((f64::from(l) - expected).abs() < 1e-5 && (c, h) == (20.0, 90.0));
        // Hue alone, holdness 3: the least of three draws from n = 13 (x + W y), the fourth its sign.
        let n = 13 * (x + width * y);
        let least = (0..3).map(|k| random.get(x, y, n + k)).fold(f64::MAX, f64::min);
        let sign = if random.get(x, y, n + 3) < 0.5 { -1.0 } else { 1.0 };
        let [l, c, h] = noise(3, 0.0, 0.0, 180.0).change([50.0, 20.0, 180.0], x, y, width);
        assert!((f64::from(h) - (180.0 + sign * 180.0 * least)).abs() < 1e-4 && (l, c) == (50.0, 20.0));
        // Without chroma the hue is drawn afresh before it gains some.
        let n = 10 * (x + width * y) + 3;
        let [_, c, h] = noise(2, 0.0, 40.0, 3.0).change([50.0, 0.0, 17.0], x, y, width);
        assert!((f64::from(h) - 360.0 * random.get(x, y, n)).abs() < 1e-4 && (0.0..=40.0).contains(&c));
    }

    #[test]
    fn values_stop_or_wrap_at_their_ends() {
        let noise = Noise { holdness: 1, lightness: 0.0, chroma: 0.0, hue: 0.0, random: Random::new(0) };
        let mut seen = [false; 3];
        for x in 0..500 {
            let stop = noise.draw(99.0, Reach { highest: 100.0, wraps: false, distance: 40.0 }, x, 0, x);
            let wrap = noise.draw(358.0, Reach { highest: 359.0, wraps: true, distance: 100.0 }, x, 0, x);
            assert!((0.0..=100.0).contains(&stop) && (0.0..=359.0).contains(&wrap), "{stop} {wrap}");
            seen = [seen[0] || stop == 100.0, seen[1] || wrap < 100.0, seen[2] || stop < 70.0];
        }
        assert_eq!(seen, [true; 3]);
    }

    #[test]
    fn no_distance_is_no_noise_and_the_seed_matters() {
        let image = noise_image(Rect::new(-7, -4, 13, 9), Format::LIN);
        let none = [("lightness-distance", "0"), ("chroma-distance", "0"), ("hue-distance", "0")];
        for (a, b) in all_pixels(&check(&NoiseCieLch, &none, &[Some(&image)])).iter().zip(all_pixels(&image)) {
            assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() < 2e-5) && a[3] == b[3]);
        }
        let first = check(&NoiseCieLch, &[], &[Some(&image)]);
        assert_same(&check(&NoiseCieLch, &[("seed", "0")], &[Some(&image)]), &first, "the same seed");
        let other = check(&NoiseCieLch, &[("seed", "4294967295")], &[Some(&image)]);
        assert!(all_pixels(&other).iter().zip(all_pixels(&first)).filter(|(a, b)| *a != b).count() > 100);
    }

    #[test]
    fn opaque_stays_opaque_and_hostile_pixels_do_no_harm() {
        let image = noise_image(Rect::sized(5, 3), Format::RGB8);
        assert_eq!(check(&NoiseCieLch, &[("holdness", "8")], &[Some(&image)]).format(), Format::LIN_OPAQUE);
        let pixels = vec![[f32::NAN, f32::INFINITY, -1e30, 0.0], [1e30, 1e30, 1e30, 1.0]];
        let mut row = pixels.clone();
        let Ok(passes) = NoiseCieLch.prepare(&Properties::defaults(INFO.properties)) else { panic!() };
        let [Pass::Point(point)] = passes.as_slice() else { panic!() };
        point.apply(&mut row, i32::MAX / 2, i32::MIN / 2, Rect::new(i32::MAX / 2, i32::MIN / 2, u32::MAX, 1));
        assert!(row.iter().zip(&pixels).all(|(a, b)| a[3] == b[3]));
        let empty = Image::new(Rect::sized(0, 0), Format::RGBA8).unwrap();
        assert_eq!(check(&NoiseCieLch, &[], &[Some(&empty)]).rect(), empty.rect());
    }
}
