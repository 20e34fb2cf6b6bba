//! `gegl/rotate-on-center`: turns the picture, and its box with it.
//!
//! `x' = x cos + y sin, y' = -x sin + y cos` (counter-clockwise on the screen, y down), then a
//! shift that brings the least corner of the turned picture to (0, 0). Coefficients within 1e-10 of
//! a whole number are snapped to it, so quarter turns are exact: they move pixels and keep their
//! format. Other angles read between pixels in premultiplied linear light, where outside is
//! transparent; `nearest` takes whole pixels as they are.

use super::sampler::{self, Sampler};
use crate::{
    Alpha, Area, Boxes, Cancel, Depth, Format, Formats, Info, Kind, OpError, Operation, Pad, Pass, Properties,
    Property, Rect, Tile, View,
};

const ANY: (f64, f64) = (f64::MIN, f64::MAX);

const INFO: Info = Info {
    name: "gegl/rotate-on-center",
    aliases: &[],
    categories: &["transform"],
    title: "Rotate on center",
    description: "Rotates the picture around its centre; the result is as large as the turned picture.",
    inputs: &[Pad::INPUT],
    properties: &[
        Property {
            name: "origin-x",
            description: "X coordinate of the origin, pixels; the centre is used whatever it is",
            kind: Kind::Number { default: 0.0, minimum: ANY.0, maximum: ANY.1 },
        },
        Property {
            name: "origin-y",
            description: "Y coordinate of the origin, pixels; the centre is used whatever it is",
            kind: Kind::Number { default: 0.0, minimum: ANY.0, maximum: ANY.1 },
        },
        Property {
            name: "near-z",
            description: "Z coordinate of the near clipping plane; a turn in the plane does not meet it",
            kind: Kind::Number { default: 0.0, minimum: 0.0, maximum: 1.0 },
        },
        sampler::PROPERTY,
        Property {
            name: "degrees",
            description: "Angle, counter-clockwise, in degrees",
            kind: Kind::Number { default: 0.0, minimum: ANY.0, maximum: ANY.1 },
        },
    ],
    revision: 1,
};

/// The operation `gegl/rotate-on-center`.
#[derive(Debug)]
pub struct RotateOnCenter;

impl Operation for RotateOnCenter {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn prepare(&self, properties: &Properties) -> Result<Vec<Pass>, OpError> {
        // A whole number of turns would lose the angle to rounding.
        let radians = (properties.number("degrees") % 360.0).to_radians();
        let (cos, sin) = (snap(radians.cos()), snap(radians.sin()));
        if (cos, sin) == (1.0, 0.0) {
            return Ok(Vec::new());
        }
        let sampler = Sampler::from_choice(properties.choice("sampler"));
        // The cubic kernels blur a little even where they need not.
        let quarter = (cos == 0.0 || sin == 0.0) && matches!(sampler, Sampler::Nearest | Sampler::Linear);
        Ok(vec![Pass::Area(Box::new(Rotate {
            cos,
            sin,
            sampler: if quarter { Sampler::Nearest } else { sampler },
            quarter,
        }))])
    }
}

fn snap(coefficient: f64) -> f64 {
    let whole = coefficient.round();
    if (coefficient - whole).abs() < 1e-10 { whole } else { coefficient }
}

#[derive(Debug)]
struct Rotate {
    cos: f64,
    sin: f64,
    sampler: Sampler,
    /// A turn by 90, 180 or 270 degrees.
    quarter: bool,
}

impl Rotate {
    fn turn(&self, x: f64, y: f64) -> (f64, f64) {
        (x * self.cos + y * self.sin, -x * self.sin + y * self.cos)
    }

    /// The shift after the turn for a picture `width` × `height` pixels.
    fn shift(&self, input: Rect) -> (f64, f64) {
        let (w, h) = (f64::from(input.width), f64::from(input.height));
        let corners = [(0.0, 0.0), (w, 0.0), (0.0, h), (w, h)].map(|(x, y)| self.turn(x, y));
        let least = |get: fn(&(f64, f64)) -> f64| corners.iter().map(get).fold(0.0, f64::min);
        (snap(-least(|c| c.0)), snap(-least(|c| c.1)))
    }

    /// Where the centre of output pixel (x, y) comes from.
    fn source(&self, shift: (f64, f64), x: i32, y: i32) -> (f64, f64) {
        let (x, y) = (f64::from(x) + 0.5 - shift.0, f64::from(y) + 0.5 - shift.1);
        (x * self.cos - y * self.sin, x * self.sin + y * self.cos)
    }

    /// Pixels beyond a point that its sample may read.
    fn reach(&self) -> i64 {
        self.sampler.radius().ceil() as i64
    }
}

/// A pixel type that tiles and views hold; what the quarter turns and `nearest` move about.
trait Stored: Copy + Default {
    fn row<'a>(view: &View<'a>, y: i32) -> &'a [Self];
    fn row_mut<'a>(tile: &'a mut Tile<'_>, y: i32) -> &'a mut [Self];
}

impl Stored for [u8; 3] {
    fn row<'a>(view: &View<'a>, y: i32) -> &'a [Self] {
        view.row_rgb8(y)
    }
    fn row_mut<'a>(tile: &'a mut Tile<'_>, y: i32) -> &'a mut [Self] {
        tile.row_rgb8_mut(y)
    }
}

impl Stored for [u8; 4] {
    fn row<'a>(view: &View<'a>, y: i32) -> &'a [Self] {
        view.row_rgba8(y)
    }
    fn row_mut<'a>(tile: &'a mut Tile<'_>, y: i32) -> &'a mut [Self] {
        tile.row_rgba8_mut(y)
    }
}

impl Stored for [f32; 4] {
    fn row<'a>(view: &View<'a>, y: i32) -> &'a [Self] {
        view.row(y)
    }
    fn row_mut<'a>(tile: &'a mut Tile<'_>, y: i32) -> &'a mut [Self] {
        tile.row_mut(y)
    }
}

/// The pixel that (u, v) lies in; nothing outside.
fn nearest<T: Stored>(view: &View<'_>, u: f64, v: f64) -> T {
    let (x, y) = (u.floor() as i32, v.floor() as i32);
    if view.bounds().contains(x, y) { T::row(view, y)[(x - view.rect().x) as usize] } else { T::default() }
}

/// Weighted mean of the four pixels around (u, v); outside counts as zero.
fn bilinear(view: &View<'_>, u: f64, v: f64) -> [f32; 4] {
    let (u, v) = (u - 0.5, v - 0.5);
    let (x, y) = (u.floor(), v.floor());
    let (fx, fy) = ((u - x) as f32, (v - y) as f32);
    let (x, y) = (x as i32, y as i32);
    let bounds = view.bounds();
    if bounds.contains(x, y) && bounds.contains(x + 1, y + 1) {
        let at = (x - view.rect().x) as usize;
        let (top, bottom) = (&view.row(y)[at..at + 2], &view.row(y + 1)[at..at + 2]);
        return [0, 1, 2, 3].map(|c| {
            let above = top[0][c] + (top[1][c] - top[0][c]) * fx;
            let below = bottom[0][c] + (bottom[1][c] - bottom[0][c]) * fx;
            above + (below - above) * fy
        });
    }
    let mut sum = [0.0; 4];
    for (dx, dy, weight) in
        [(0, 0, (1.0 - fx) * (1.0 - fy)), (1, 0, fx * (1.0 - fy)), (0, 1, (1.0 - fx) * fy), (1, 1, fx * fy)]
    {
        if let Some(pixel) = view.get(x + dx, y + dy) {
            for c in 0..4 {
                sum[c] += pixel[c] * weight;
            }
        }
    }
    sum
}

/// Weighted mean of the sixteen pixels around (u, v); outside counts as zero.
fn bicubic(view: &View<'_>, sampler: Sampler, u: f64, v: f64) -> [f32; 4] {
    let (u, v) = (u - 0.5, v - 0.5);
    let (x, y) = (u.floor(), v.floor());
    let weights = |at: f64| [-1.0, 0.0, 1.0, 2.0].map(|offset| sampler.weight(at - offset, 1.0) as f32);
    let (wx, wy) = (weights(u - x), weights(v - y));
    let mut sum = [0.0; 4];
    for (dy, wy) in (-1..).zip(wy) {
        for (dx, wx) in (-1..).zip(wx) {
            if let Some(pixel) = view.get(x as i32 + dx, y as i32 + dy) {
                for c in 0..4 {
                    sum[c] += pixel[c] * wx * wy;
                }
            }
        }
    }
    sum
}

impl Rotate {
    fn fill<T: Stored>(
        &self,
        shift: (f64, f64),
        output: &mut Tile<'_>,
        cancel: &Cancel,
        sample: impl Fn(f64, f64) -> T,
    ) -> Result<(), OpError> {
        let rect = output.rect();
        for y in rect.y..rect.y + rect.height as i32 {
            cancel.check()?;
            for (x, pixel) in (rect.x..).zip(T::row_mut(output, y)) {
                let (u, v) = self.source(shift, x, y);
                *pixel = sample(u, v);
            }
        }
        Ok(())
    }
}

impl Area for Rotate {
    fn formats(&self, inputs: &[Option<Format>]) -> Formats {
        let input = inputs[0].unwrap_or(Format::LINP);
        // Nothing transparent comes in at the edges of a quarter turn.
        let format = match self.sampler {
            _ if self.quarter => input,
            Sampler::Nearest if input.depth == Depth::U8 => Format::RGBA8,
            Sampler::Nearest => {
                Format { alpha: if input.has_alpha() { input.alpha } else { Alpha::Straight }, ..input }
            }
            _ => Format::LINP,
        };
        Formats { inputs: [format; 2], output: format }
    }

    fn bounds(&self, boxes: Boxes<'_>) -> Result<Rect, OpError> {
        let input = boxes.inputs[0].ok_or(OpError::MissingInput("input"))?;
        if input.is_infinite() {
            return Err(OpError::Invalid("a picture without bounds has no centre".into()));
        }
        let shift = self.shift(input);
        let (left, top) = (f64::from(input.x), f64::from(input.y));
        let (right, bottom) = (input.right() as f64, input.bottom() as f64);
        let corners = [(left, top), (right, top), (left, bottom), (right, bottom)].map(|(x, y)| self.turn(x, y));
        // Rounding noise must not add a row or a column.
        let edge = |value: f64, round: fn(f64) -> f64| round(snap(value)) as i64;
        let fold = |get: fn(&(f64, f64)) -> f64, pick: fn(f64, f64) -> f64| {
            corners.iter().map(get).reduce(pick).unwrap_or(0.0)
        };
        Ok(Rect::from_edges(
            edge(fold(|c| c.0, f64::min) + shift.0, f64::floor),
            edge(fold(|c| c.1, f64::min) + shift.1, f64::floor),
            edge(fold(|c| c.0, f64::max) + shift.0, f64::ceil),
            edge(fold(|c| c.1, f64::max) + shift.1, f64::ceil),
        ))
    }

    fn needed(&self, _pad: usize, region: Rect, boxes: Boxes<'_>) -> Rect {
        let Some(input) = boxes.inputs[0].filter(|_| !region.is_empty()) else { return Rect::default() };
        let shift = self.shift(input);
        let (right, bottom) = ((region.right() - 1) as i32, (region.bottom() - 1) as i32);
        let corners = [(region.x, region.y), (right, region.y), (region.x, bottom), (right, bottom)]
            .map(|(x, y)| self.source(shift, x, y));
        let fold = |get: fn(&(f64, f64)) -> f64, pick: fn(f64, f64) -> f64| {
            corners.iter().map(get).reduce(pick).unwrap_or(0.0)
        };
        let reach = self.reach() + 1;
        Rect::from_edges(
            fold(|c| c.0, f64::min).floor() as i64 - reach,
            fold(|c| c.1, f64::min).floor() as i64 - reach,
            fold(|c| c.0, f64::max).ceil() as i64 + reach,
            fold(|c| c.1, f64::max).ceil() as i64 + reach,
        )
    }

    fn weight(&self) -> f32 {
        match self.sampler {
            Sampler::Nearest => 1.5,
            Sampler::Linear => 3.0,
            _ => 12.0,
        }
    }

    fn render(
        &self,
        inputs: &[Option<View<'_>>],
        boxes: Boxes<'_>,
        output: &mut Tile<'_>,
        cancel: &Cancel,
    ) -> Result<(), OpError> {
        let view = inputs[0].ok_or(OpError::MissingInput("input"))?;
        let shift = self.shift(boxes.inputs[0].ok_or(OpError::MissingInput("input"))?);
        let format = output.format();
        match self.sampler {
            Sampler::Nearest => match (format.depth, format.alpha) {
                (Depth::U8, Alpha::None) => self.fill::<[u8; 3]>(shift, output, cancel, |u, v| nearest(&view, u, v)),
                (Depth::U8, _) => self.fill::<[u8; 4]>(shift, output, cancel, |u, v| nearest(&view, u, v)),
                (Depth::F32, _) => self.fill::<[f32; 4]>(shift, output, cancel, |u, v| nearest(&view, u, v)),
            },
            Sampler::Linear => self.fill(shift, output, cancel, |u, v| bilinear(&view, u, v)),
            sampler => self.fill(shift, output, cancel, |u, v| bicubic(&view, sampler, u, v)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Image;
    use crate::native::testing::{assert_pixel, check, noise_image, stops_when_cancelled};

    /// 2 × 1: red, green.
    fn pair() -> Image {
        Image::from_rgb8(Rect::sized(2, 1), vec![[255, 0, 0], [0, 255, 0]])
    }

    #[test]
    fn quarter_turns_move_pixels() {
        let pair = pair();
        // Counter-clockwise: what was on the right is on top.
        let turned = check(&RotateOnCenter, &[("degrees", "90")], &[Some(&pair)]);
        assert_eq!(turned, Image::from_rgb8(Rect::sized(1, 2), vec![[0, 255, 0], [255, 0, 0]]));
        let turned = check(&RotateOnCenter, &[("degrees", "180")], &[Some(&pair)]);
        assert_eq!(turned, Image::from_rgb8(Rect::sized(2, 1), vec![[0, 255, 0], [255, 0, 0]]));
        let turned = check(&RotateOnCenter, &[("degrees", "-90")], &[Some(&pair)]);
        assert_eq!(turned, Image::from_rgb8(Rect::sized(1, 2), vec![[255, 0, 0], [0, 255, 0]]));
        assert_eq!(check(&RotateOnCenter, &[("degrees", "720")], &[Some(&pair)]), pair);
    }

    #[test]
    fn the_box_grows_with_the_turned_picture() {
        // 160 cos 30 + 120 sin 30 = 198.56; 160 sin 30 + 120 cos 30 = 183.92.
        let image = noise_image(Rect::sized(160, 120), Format::RGBA8);
        let turned = check(&RotateOnCenter, &[("degrees", "30")], &[Some(&image)]);
        assert_eq!(turned.rect(), Rect::sized(199, 184));
    }

    #[test]
    fn a_plane_keeps_its_value_inside_and_is_clear_outside() {
        let plane = Image::from_float(Rect::sized(40, 40), Format::LINP, vec![[0.25, 0.5, 0.75, 1.0]; 1600]);
        for sampler in ["nearest", "linear", "cubic", "nohalo", "lohalo"] {
            let turned = check(&RotateOnCenter, &[("degrees", "45"), ("sampler", sampler)], &[Some(&plane)]);
            // 40 √2 = 56.57.
            assert_eq!(turned.rect(), Rect::sized(57, 57));
            assert_pixel(&turned, 28, 28, [0.25, 0.5, 0.75, 1.0], 1e-5);
            assert_pixel(&turned, 0, 0, [0.0; 4], 0.0);
            assert_pixel(&turned, 56, 56, [0.0; 4], 0.0);
        }
    }

    #[test]
    fn half_between_two_pixels_is_their_mean() {
        // A turn by 45 degrees of 2 x 2 brings its middle to the middle of 3 x 3 (2 √2 = 2.83,
        // shift √2): output (1.5, 1.5) comes from (1.0607, 1), 0.0607 right of the crossing.
        let pixels = vec![[0.0, 0.0, 0.0, 1.0], [1.0, 0.0, 0.0, 1.0], [0.0, 0.0, 0.0, 1.0], [1.0, 0.0, 0.0, 1.0]];
        let image = Image::from_float(Rect::sized(2, 2), Format::LINP, pixels);
        let turned = check(&RotateOnCenter, &[("degrees", "45")], &[Some(&image)]);
        let (x, y) = (1.5, 1.5 - 2f64.sqrt());
        let u = (x - y) * 0.5f64.sqrt();
        assert_pixel(&turned, 1, 1, [(u - 0.5) as f32, 0.0, 0.0, 1.0], 1e-6);
    }

    #[test]
    fn nearest_keeps_bytes_and_gains_alpha() {
        let image = Image::from_rgb8(Rect::sized(9, 9), vec![[7, 8, 9]; 81]);
        let turned = check(&RotateOnCenter, &[("degrees", "20"), ("sampler", "nearest")], &[Some(&image)]);
        assert_eq!(turned.format(), Format::RGBA8);
        assert_pixel(&turned, 5, 5, [7.0 / 255.0, 8.0 / 255.0, 9.0 / 255.0, 1.0], 1e-6);
        assert_pixel(&turned, 0, 0, [0.0; 4], 0.0);
    }

    #[test]
    fn any_tiling_and_any_corner() {
        for rect in [Rect::new(-7, 5, 23, 17), Rect::sized(1, 1), Rect::new(3, -9, 1, 12)] {
            let image = noise_image(rect, Format::LINP);
            for degrees in ["13", "90", "200.5", "-45"] {
                check(&RotateOnCenter, &[("degrees", degrees)], &[Some(&image)]);
                check(&RotateOnCenter, &[("degrees", degrees), ("sampler", "cubic")], &[Some(&image)]);
            }
        }
    }

    #[test]
    fn it_stops_when_cancelled() {
        let image = noise_image(Rect::sized(64, 64), Format::RGBA8);
        assert!(stops_when_cancelled(&RotateOnCenter, &[("degrees", "30")], &image));
    }
}
