//! `gegl/noise-cie-lch`: noise in lightness, chroma and hue, each of its own strength.
//!
//! Light becomes CIE LCH(ab) with babl's D50-adapted sRGB matrix; each of the three moves by a
//! random distance, hue all the way round, the others up to their ends (GEGL 0.4,
//! `noise-cie-lch.c`). The random numbers are GEGL's (`gegl-random.c`): a function of place and
//! seed, so every part of a picture can be computed apart and is the same each time.

use std::sync::LazyLock;

use rand_mt::Mt;

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
    revision: 1,
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
        for (pixel, x) in row.iter_mut().zip(x..) {
            let [r, g, b, a] = *pixel;
            let lch = self.change(to_lch([r, g, b]), x, y, bounds.width as i32);
            let [r, g, b] = from_lch(lch);
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

/// Length of the table of random words: the sum of its three largest periods.
const WORDS: usize = 15101 + 15101 + 15101;

/// GEGL's table: the first outputs of a Mersenne Twister.
static DATA: LazyLock<Box<[u32]>> = LazyLock::new(|| {
    let mut twister = Mt::new(42);
    (0..WORDS).map(|_| twister.next_u32()).collect()
});

/// GEGL's periods: the primes from 10007 to 15101, of which it misses two.
static PRIMES: LazyLock<Box<[u64]>> = LazyLock::new(|| {
    let is_prime = |n: u64| (2..).take_while(|d| d * d <= n).all(|d| !n.is_multiple_of(d));
    (10007..=15101).filter(|n| is_prime(*n) && ![14669, 14683].contains(n)).collect()
});

/// Random numbers by place: GEGL's `GeglRandom` for one seed.
#[derive(Debug)]
struct Random {
    periods: [Period; 3],
    data: &'static [u32],
}

impl Random {
    fn new(seed: u32) -> Self {
        let primes = &*PRIMES;
        let (seed, count) = (seed as usize, primes.len());
        let mut a = (seed % count + 42) % count;
        let mut b = (seed / count % count + 212) % count;
        let c = (seed / count / count % count + 17) % count;
        while a == b || a == c {
            a = (a + 1) % count;
        }
        while b == a || b == c {
            b = (b + 1) % count;
        }
        Random { periods: [a, b, c].map(|index| Period::new(primes[index])), data: &DATA }
    }

    /// Number `n` at (x, y), 0..=1 in 65536 steps.
    fn get(&self, x: i32, y: i32, n: i32) -> f64 {
        const X: u64 = 103_423;
        const Y: u64 = 101_359 * X;
        const N: u64 = Y.wrapping_mul(101_111);
        // Negative numbers are extended to 64 bits, then all wraps.
        let [x, y, n] = [x, y, n].map(|v| i64::from(v) as u64);
        let index = x.wrapping_mul(X).wrapping_add(y.wrapping_mul(Y)).wrapping_add(n.wrapping_mul(N));
        let [p, q, r] = &self.periods;
        let word = self.data[p.rest(index)]
            ^ self.data[p.prime as usize + q.rest(index)]
            ^ self.data[(p.prime + q.prime) as usize + r.rest(index)];
        // In single precision, as GEGL returns it.
        f64::from((f64::from(word & 0xffff) * 0.000_015_259_021_896_696_422) as f32)
    }
}

/// A prime with what makes dividing by it quick.
#[derive(Debug)]
struct Period {
    prime: u64,
    /// floor(2^64 / prime), for a prime above 2.
    inverse: u64,
}

impl Period {
    fn new(prime: u64) -> Self {
        Period { prime, inverse: u64::MAX / prime }
    }

    /// `value` modulo the prime.
    fn rest(&self, value: u64) -> usize {
        // The estimate of the quotient is right or 1 too small.
        let quotient = ((u128::from(value) * u128::from(self.inverse)) >> 64) as u64;
        let rest = value - quotient * self.prime;
        (if rest >= self.prime { rest - self.prime } else { rest }) as usize
    }
}

/// Linear sRGB to XYZ, adapted to D50, as in babl.
const TO_XYZ: [[f32; 3]; 3] = [
    [0.436_035_16, 0.385_116_58, 0.143_051_15],
    [0.222_488_4, 0.716_903_7, 0.060_607_91],
    [0.013_916_02, 0.097_061_16, 0.713_928_2],
];
/// X and Z of the D50 white.
const WHITE_X: f32 = 0.964_202_9;
const WHITE_Z: f32 = 0.824_905_4;
const EPSILON: f32 = 216.0 / 24389.0;
const KAPPA: f32 = 24389.0 / 27.0;
/// Chroma below this is rounding: the pixel is gray and has no hue. In GEGL the last bits of such
/// a pixel decide whether it counts as gray, and if not, which hue all pixels like it share.
const GRAY: f32 = 1e-3;

/// The inverse of [`TO_XYZ`].
static FROM_XYZ: LazyLock<[[f32; 3]; 3]> = LazyLock::new(|| {
    let m = TO_XYZ.map(|row| row.map(f64::from));
    // The cofactor of m[column][row], over the determinant.
    let cofactor = |row: usize, column: usize| {
        let at = |r: usize, c: usize| m[(column + r) % 3][(row + c) % 3];
        at(1, 1) * at(2, 2) - at(1, 2) * at(2, 1)
    };
    let determinant: f64 = (0..3).map(|i| m[0][i] * cofactor(i, 0)).sum();
    std::array::from_fn(|row| std::array::from_fn(|column| (cofactor(row, column) / determinant) as f32))
});

fn product(m: &[[f32; 3]; 3], v: [f32; 3]) -> [f32; 3] {
    m.map(|row| row[0] * v[0] + row[1] * v[1] + row[2] * v[2])
}

/// Linear light to CIE LCH(ab): L and C of 100, H in degrees 0..360.
fn to_lch(rgb: [f32; 3]) -> [f32; 3] {
    let [x, y, z] = product(&TO_XYZ, rgb);
    let [fx, fy, fz] =
        [x / WHITE_X, y, z / WHITE_Z].map(|t| if t > EPSILON { t.cbrt() } else { (KAPPA * t + 16.0) / 116.0 });
    let (a, b) = (500.0 * (fx - fy), 200.0 * (fy - fz));
    let (lightness, chroma) = (116.0 * fy - 16.0, (a * a + b * b).sqrt());
    if chroma < GRAY {
        return [lightness, 0.0, 0.0];
    }
    let hue = b.atan2(a).to_degrees();
    [lightness, chroma, if hue < 0.0 { hue + 360.0 } else { hue }]
}

/// The inverse of [`to_lch`].
fn from_lch([lightness, chroma, hue]: [f32; 3]) -> [f32; 3] {
    let (sin, cos) = hue.to_radians().sin_cos();
    let fy = (lightness + 16.0) / 116.0;
    let (fx, fz) = (fy + chroma * cos / 500.0, fy - chroma * sin / 200.0);
    let cube = |f: f32| if f * f * f > EPSILON { f * f * f } else { (116.0 * f - 16.0) / KAPPA };
    let y = if lightness > KAPPA * EPSILON { fy * fy * fy } else { lightness / KAPPA };
    product(&FROM_XYZ, [cube(fx) * WHITE_X, y, cube(fz) * WHITE_Z])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Image;
    use crate::format::coded_to_linear;
    use crate::native::testing::{all_pixels, assert_same, check, noise_image};

    #[test]
    fn tables_are_gegls() {
        // The first outputs of MT19937 with seed 42, as any implementation gives them.
        assert_eq!(DATA[..3], [1_608_637_542, 3_421_126_067, 4_083_286_876]);
        assert_eq!(DATA.len(), 45303);
        assert_eq!((PRIMES.len(), PRIMES[0], PRIMES[532]), (533, 10007, 15101));
        let primes = |seed| Random::new(seed).periods.map(|period| period.prime);
        assert_eq!(primes(0), [10369, 12041, 10159]);
        // Seed 170 makes a = b at first: 170 + 42 = 212.
        let [a, b, c] = primes(170);
        assert_eq!((a, b, c), (PRIMES[213], PRIMES[212], PRIMES[17]));
        for seed in [1, 532, 533, 1_000_003, u32::MAX] {
            let [a, b, c] = primes(seed);
            assert!(a != b && b != c && a != c, "{seed}");
        }
    }

    #[test]
    fn the_quick_rest_is_the_rest() {
        for prime in [10007, 10369, 12041, 15101] {
            let period = Period::new(prime);
            let mut value = 1u64;
            for _ in 0..10_000 {
                value = value.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                assert_eq!(period.rest(value) as u64, value % prime);
            }
            for value in [0, 1, prime - 1, prime, prime + 1, u64::MAX - 1, u64::MAX, u64::MAX / prime * prime] {
                assert_eq!(period.rest(value) as u64, value % prime);
            }
        }
    }

    #[test]
    fn random_numbers_by_hand() {
        let random = Random::new(0);
        let by_hand = |index: u64| {
            let word = DATA[(index % 10369) as usize]
                ^ DATA[10369 + (index % 12041) as usize]
                ^ DATA[10369 + 12041 + (index % 10159) as usize];
            f64::from((word & 0xffff) as f32 / 65535.0)
        };
        let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-7, "{a} {b}");
        near(random.get(0, 0, 0), by_hand(0));
        near(random.get(1, 0, 0), by_hand(103_423));
        near(random.get(0, 1, 0), by_hand(103_423 * 101_359));
        near(random.get(0, 0, 1), by_hand(103_423 * 101_359 * 101_111));
        // -1 is 2^64 - 1.
        near(random.get(-1, 0, 0), by_hand(0u64.wrapping_sub(103_423)));
        near(random.get(-3, 7, 1000), {
            let index = -3i128 * 103_423 + 7 * 103_423 * 101_359 + 1000 * 103_423 * 101_359 * 101_111;
            by_hand(index.rem_euclid(1 << 64) as u64)
        });
    }

    #[test]
    fn lch_of_known_colours() {
        // sRGB red in Lab (D50): 54.29, 80.81, 69.89; blue: 29.57, 68.29, -112.03.
        let near = |a: [f32; 3], b: [f32; 3]| {
            assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() < 0.05), "{a:?}, {b:?}");
        };
        near(to_lch([1.0, 0.0, 0.0]), [54.29, 106.84, 40.85]);
        near(to_lch([0.0, 0.0, 1.0]), [29.57, 131.20, 301.36]);
        let [l, c, _] = to_lch([1.0, 1.0, 1.0]);
        near([l, c, 0.0], [100.0, 0.0, 0.0]);
        near(to_lch([0.0; 3]), [0.0, 0.0, 0.0]);
        // Gray of any light has neither chroma nor hue; one step of a byte off it has both.
        for byte in 0..=255u8 {
            let light = coded_to_linear(f32::from(byte) / 255.0);
            assert_eq!(to_lch([light; 3])[1..], [0.0, 0.0], "{byte}");
            let beside = coded_to_linear((f32::from(byte) + 1.0) / 255.0);
            assert!(to_lch([light, light, beside])[1] > 0.05, "{byte}");
        }
        for rgb in [[0.2, 0.5, 0.7], [1.0, 0.0, 0.001], [0.001, 0.0005, 0.002], [2.0, 0.1, -0.05]] {
            let back = from_lch(to_lch(rgb));
            assert!(back.iter().zip(rgb).all(|(a, b)| (a - b).abs() < 2e-5), "{rgb:?}: {back:?}");
        }
    }

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
