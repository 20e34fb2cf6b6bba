//! `imgflo/retro-curve`: the look of old films, as a tone curve for each channel.
//!
//! The original deployment had an operation of this name and these presets; the curves here are
//! our own. It works on sRGB-coded values and drops alpha. A preset has a curve a channel through
//! a few control points, one curve more that all channels then go through, and may raise contrast
//! before or pale colours after. The curves are monotone cubics (Fritsch and Carlson, 1980),
//! kept as tables of 256 entries between which values are interpolated, so 16-bit pictures keep
//! their steps.

use crate::{Format, Info, Kind, OpError, Operation, Pad, Pass, Point, Properties, Property, Rect};

static INFO: Info = Info {
    name: "imgflo/retro-curve",
    aliases: &["imgfloextra/retro-curve"],
    categories: &["color"],
    title: "Retro Curve",
    description: "Gives the picture the colours of an old film.",
    inputs: &[Pad::INPUT],
    properties: &[Property {
        name: "preset",
        description: "The film: prog is bright and cross-processed, indie pale and rosy, batcave dark and cold, \
                      country golden; none changes nothing.",
        kind: Kind::Enum { default: "none", values: &["none", "prog", "indie", "batcave", "country"] },
    }],
    revision: 1,
};

/// The operation `imgflo/retro-curve`.
#[derive(Debug)]
pub struct RetroCurve;

impl Operation for RetroCurve {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn prepare(&self, properties: &Properties) -> Result<Vec<Pass>, OpError> {
        let film = match properties.choice("preset") {
            "prog" => &PROG,
            "indie" => &INDIE,
            "batcave" => &BATCAVE,
            "country" => &COUNTRY,
            _ => return Ok(Vec::new()),
        };
        Ok(vec![Pass::Point(Box::new(Curves { tables: film.tables(), paleness: film.paleness }))])
    }
}

/// Places that a curve goes through: (in, out) of 255, both rising, from 0 to 255 in.
type Points = [(f32, f32); 5];

/// A preset.
struct Film {
    /// Coded values are first spread around 0.5 by this factor, after `shade` is taken off.
    contrast: f32,
    shade: f32,
    /// The curves of R, G and B.
    channels: [Points; 3],
    /// The curve that all three go through after.
    shared: Points,
    /// How far the lesser channels of a pixel are drawn to the largest, 0..=1.
    paleness: f32,
}

const IDENTITY: Points = [(0.0, 0.0), (64.0, 64.0), (128.0, 128.0), (192.0, 192.0), (255.0, 255.0)];

/// Slide film in the wrong bath: blue shadows, yellow lights, red with a snap, all brightened.
const PROG: Film = Film {
    contrast: 1.0,
    shade: 0.0,
    channels: [
        [(0.0, 0.0), (64.0, 46.0), (128.0, 128.0), (192.0, 210.0), (255.0, 252.0)],
        [(0.0, 4.0), (64.0, 58.0), (128.0, 128.0), (192.0, 198.0), (255.0, 248.0)],
        [(0.0, 38.0), (64.0, 82.0), (128.0, 126.0), (192.0, 172.0), (255.0, 218.0)],
    ],
    shared: [(0.0, 0.0), (64.0, 78.0), (128.0, 150.0), (192.0, 210.0), (255.0, 255.0)],
    paleness: 0.0,
};

/// A print that hung in the sun: no black, no white, a breath of rose.
const INDIE: Film = Film {
    contrast: 1.0,
    shade: 0.0,
    channels: [
        [(0.0, 34.0), (64.0, 82.0), (128.0, 146.0), (192.0, 202.0), (255.0, 240.0)],
        [(0.0, 24.0), (64.0, 68.0), (128.0, 128.0), (192.0, 186.0), (255.0, 230.0)],
        [(0.0, 38.0), (64.0, 78.0), (128.0, 130.0), (192.0, 180.0), (255.0, 218.0)],
    ],
    shared: IDENTITY,
    paleness: 0.1,
};

/// Night: deep shadows with some blue left in them, lights that stay below white.
const BATCAVE: Film = Film {
    contrast: 1.0,
    shade: 0.0,
    channels: [
        [(0.0, 0.0), (64.0, 26.0), (128.0, 84.0), (192.0, 164.0), (255.0, 228.0)],
        [(0.0, 2.0), (64.0, 31.0), (128.0, 92.0), (192.0, 172.0), (255.0, 234.0)],
        [(0.0, 14.0), (64.0, 48.0), (128.0, 108.0), (192.0, 184.0), (255.0, 242.0)],
    ],
    shared: IDENTITY,
    paleness: 0.0,
};

/// Late sun: more contrast, then gold over everything; blacks a little lifted.
const COUNTRY: Film = Film {
    contrast: 1.1,
    shade: 0.05,
    channels: [
        [(0.0, 16.0), (64.0, 90.0), (128.0, 162.0), (192.0, 222.0), (255.0, 254.0)],
        [(0.0, 10.0), (64.0, 74.0), (128.0, 142.0), (192.0, 204.0), (255.0, 246.0)],
        [(0.0, 20.0), (64.0, 60.0), (128.0, 110.0), (192.0, 164.0), (255.0, 214.0)],
    ],
    shared: IDENTITY,
    paleness: 0.0,
};

/// Values of a curve at 0/255, 1/255, .. 255/255, and the last once more.
type Table = [f32; 257];

impl Film {
    /// The way of R, G and B through all the curves.
    fn tables(&self) -> [Table; 3] {
        self.channels.each_ref().map(|channel| {
            std::array::from_fn(|entry| {
                let value = entry.min(255) as f32 / 255.0;
                let value = (value - 0.5) * self.contrast - self.shade + 0.5;
                let value = curve(channel, value.clamp(0.0, 1.0) * 255.0);
                curve(&self.shared, value) / 255.0
            })
        })
    }
}

/// The monotone cubic through `points`, at `x` from 0 to 255.
fn curve(points: &Points, x: f32) -> f32 {
    let slope = |i: usize| (points[i + 1].1 - points[i].1) / (points[i + 1].0 - points[i].0);
    let width = |i: usize| points[i + 1].0 - points[i].0;
    let last = points.len() - 1;
    // Steepness at a point: that of the neighbouring segment at the ends, else their harmonic mean
    // weighted by width, which keeps the cubics between from overshooting.
    let tangent = |i: usize| {
        if i == 0 || i == last {
            return slope(if i == 0 { 0 } else { last - 1 });
        }
        let (before, after) = (slope(i - 1), slope(i));
        if before * after <= 0.0 {
            return 0.0;
        }
        let (w1, w2) = (2.0 * width(i) + width(i - 1), width(i) + 2.0 * width(i - 1));
        (w1 + w2) / (w1 / before + w2 / after)
    };
    let segment = points[1..last].iter().take_while(|point| x >= point.0).count();
    let ((x0, y0), (_, y1), h) = (points[segment], points[segment + 1], width(segment));
    let t = (x - x0) / h;
    let (t2, t3) = (t * t, t * t * t);
    y0 * (2.0 * t3 - 3.0 * t2 + 1.0)
        + h * tangent(segment) * (t3 - 2.0 * t2 + t)
        + y1 * (3.0 * t2 - 2.0 * t3)
        + h * tangent(segment + 1) * (t3 - t2)
}

#[derive(Debug)]
struct Curves {
    /// Of R, G and B.
    tables: [Table; 3],
    paleness: f32,
}

impl Point for Curves {
    fn format(&self, _input: Format) -> Format {
        Format::GAM_OPAQUE
    }

    fn apply(&self, row: &mut [[f32; 4]], _x: i32, _y: i32, _bounds: Rect) {
        let [red, green, blue] = &self.tables;
        for pixel in row {
            let [r, g, b] = [look_up(red, pixel[0]), look_up(green, pixel[1]), look_up(blue, pixel[2])];
            let most = r.max(g).max(b);
            let [r, g, b] = [r, g, b].map(|c| c + self.paleness * (most - c));
            *pixel = [r, g, b, 1.0];
        }
    }

    fn channelwise(&self) -> bool {
        self.paleness == 0.0
    }

    fn weight(&self) -> f32 {
        10.0
    }
}

/// The table at `value`, which is clamped to 0..=1; NaN is 0.
#[inline(always)]
fn look_up(table: &Table, value: f32) -> f32 {
    let value = if value > 0.0 { value } else { 0.0 };
    let value = if value < 1.0 { value } else { 1.0 };
    let position = value * 255.0;
    let entry = position as u8;
    let (from, to) = (table[usize::from(entry)], table[usize::from(entry) + 1]);
    from + (position - f32::from(entry)) * (to - from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Image;
    use crate::native::testing::{all_pixels, assert_pixel, assert_same, check, noise_image};

    const FILMS: [(&str, &Film); 4] =
        [("prog", &PROG), ("indie", &INDIE), ("batcave", &BATCAVE), ("country", &COUNTRY)];

    fn one(format: Format, pixel: [f32; 4]) -> Image {
        Image::from_float(Rect::new(-2, 3, 1, 1), format, vec![pixel])
    }

    #[test]
    fn none_hands_everything_on() {
        let image = noise_image(Rect::new(-2, 3, 7, 5), Format::RGBA8);
        assert_same(&check(&RetroCurve, &[], &[Some(&image)]), &image, "the default");
        assert_same(&check(&RetroCurve, &[("preset", "none")], &[Some(&image)]), &image, "none");
    }

    #[test]
    fn curves_go_through_their_points_and_never_fall() {
        for (name, film) in FILMS {
            for points in film.channels.iter().chain([&film.shared]) {
                for (x, y) in points {
                    assert!((curve(points, *x) - y).abs() < 1e-3, "{name}: {x}");
                }
                let values: Vec<f32> = (0..=2550).map(|x| curve(points, x as f32 / 10.0)).collect();
                assert!(values.windows(2).all(|pair| pair[1] >= pair[0]), "{name}");
                // Nor do they jump: at most 2.5 out for 1 in.
                assert!(values.windows(2).all(|pair| pair[1] - pair[0] < 0.25), "{name}");
            }
            for table in film.tables() {
                assert!(table.iter().all(|value| (0.0..=1.0).contains(value)), "{name}");
            }
        }
    }

    #[test]
    fn a_curve_by_hand() {
        // Slopes 1 and 3 meet at 64: the mean for widths of 64 is 2 / (1 + 1/3) = 1.5. At x = 32 the
        // cubic from 0 with slope 1 to 64 with slope 1.5 is 32 + 64 (1/8) (1 - 1.5) = 28.
        let points = [(0.0, 0.0), (64.0, 64.0), (128.0, 256.0), (192.0, 256.0), (255.0, 256.0)];
        assert!((curve(&points, 32.0) - 28.0).abs() < 1e-4);
        // Level from 128 on: no overshoot.
        assert_eq!(curve(&points, 150.0), 256.0);
        assert!((curve(&IDENTITY, 77.7) - 77.7).abs() < 1e-4);
    }

    #[test]
    fn pixels_by_hand() {
        // 64, 128 and 192 are control points.
        let image = Image::from_rgb8(Rect::sized(1, 1), vec![[64, 128, 192]]);
        let out = check(&RetroCurve, &[("preset", "batcave")], &[Some(&image)]);
        assert_eq!(out.format(), Format::GAM_OPAQUE);
        assert_pixel(&out, 0, 0, [26.0 / 255.0, 92.0 / 255.0, 184.0 / 255.0, 1.0], 1e-5);
        // indie: 82, 128, 180; then each is drawn a tenth of the way to 180.
        let out = check(&RetroCurve, &[("preset", "indie")], &[Some(&image)]);
        assert_pixel(&out, 0, 0, [91.8 / 255.0, 133.2 / 255.0, 180.0 / 255.0, 1.0], 1e-5);
        // prog: green 128 stays at its point, which the shared curve lifts to 150.
        let out = check(&RetroCurve, &[("preset", "prog")], &[Some(&image)]);
        assert!((all_pixels(&out)[0][1] - 150.0 / 255.0).abs() < 1e-5);
        // country: black and what contrast takes below it give the first points.
        let black = Image::from_rgb8(Rect::sized(1, 1), vec![[0, 10, 20]]);
        let out = check(&RetroCurve, &[("preset", "country")], &[Some(&black)]);
        assert_pixel(&out, 0, 0, [16.0 / 255.0, 10.0 / 255.0, 20.0 / 255.0, 1.0], 1e-5);
    }

    #[test]
    fn values_between_bytes_are_interpolated() {
        let table = BATCAVE.tables()[1];
        let half = (table[100] + table[101]) / 2.0;
        let out =
            check(&RetroCurve, &[("preset", "batcave")], &[Some(&one(Format::GAM, [0.0, 100.5 / 255.0, 0.0, 1.0]))]);
        assert!((all_pixels(&out)[0][1] - half).abs() < 1e-6);
        // 16-bit steps stay apart.
        let ramp: Vec<[f32; 4]> = (0..1000).map(|i| [0.4 + i as f32 / 65535.0, 0.0, 0.0, 1.0]).collect();
        let image = Image::from_float(Rect::sized(1000, 1), Format::GAM_OPAQUE, ramp);
        let out = all_pixels(&check(&RetroCurve, &[("preset", "prog")], &[Some(&image)]));
        assert!(out.windows(2).all(|pair| pair[1][0] > pair[0][0]));
    }

    #[test]
    fn alpha_is_dropped_and_values_are_clamped() {
        for (name, film) in FILMS {
            let given = [("preset", name)];
            let out = check(&RetroCurve, &given, &[Some(&one(Format::GAM, [0.0, 1.0, 0.0, 0.25]))]);
            assert_eq!((out.format(), all_pixels(&out)[0][3]), (Format::GAM_OPAQUE, 1.0));
            let wild = check(&RetroCurve, &given, &[Some(&one(Format::GAM, [-3.0, 7.0, f32::NAN, 0.5]))]);
            assert_eq!(all_pixels(&wild), all_pixels(&out), "{name}");
            let [red, green, _] = film.tables();
            let expected = red[0] + film.paleness * (green[255] - red[0]);
            assert!((all_pixels(&out)[0][0] - expected).abs() < 1e-6, "{name}");
        }
        let empty = noise_image(Rect::new(0, 0, 0, 0), Format::RGB8);
        assert_eq!(check(&RetroCurve, &[("preset", "prog")], &[Some(&empty)]).rect(), empty.rect());
    }

    #[test]
    fn films_have_their_character() {
        let means = FILMS.map(|(name, _)| {
            let ramp = Image::from_rgb8(Rect::sized(256, 1), (0..=255).map(|v| [v; 3]).collect());
            let out = all_pixels(&check(&RetroCurve, &[("preset", name)], &[Some(&ramp)]));
            [0, 1, 2].map(|c| out.iter().map(|p| p[c]).sum::<f32>() / 256.0)
        });
        let [prog, indie, batcave, country] = means;
        let mean = |[r, g, b]: [f32; 3]| (r + g + b) / 3.0;
        // The mean of the ramp itself is 0.5.
        assert!(mean(prog) > 0.53 && mean(batcave) < 0.42);
        assert!(batcave[2] > batcave[0] + 0.05, "cold");
        assert!(country[0] > country[2] + 0.1, "golden");
        assert!(indie[0] > indie[1] && indie[2] > 0.5 - 0.05, "rosy");
    }
}
