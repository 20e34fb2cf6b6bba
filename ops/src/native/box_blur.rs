//! `gegl/box-blur`: each pixel becomes the mean of the square around it.
//!
//! First along rows, then along columns, in premultiplied linear light; edges go on beyond the
//! picture, and the box grows by the radius (GEGL 0.4, `box-blur.c`). Sums run along the line, so
//! that the radius does not matter.

use crate::{
    Area, Boxes, Cancel, Format, Formats, Info, Kind, OpError, Operation, Pad, Pass, Properties, Property, Rect, Split,
    Tile, View,
};

const INFO: Info = Info {
    name: "gegl/box-blur",
    aliases: &[],
    categories: &["blur"],
    title: "Box Blur",
    description: "Each pixel becomes the mean of the square around it; the picture grows by the radius.",
    inputs: &[Pad::INPUT],
    properties: &[Property {
        name: "radius",
        description: "Pixels to each side that count; the square is 2 radius + 1 wide",
        kind: Kind::Int { default: 4, minimum: 0, maximum: 1000 },
    }],
    revision: 1,
};

/// The operation `gegl/box-blur`.
#[derive(Debug)]
pub struct BoxBlur;

impl Operation for BoxBlur {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn lengths(&self) -> &'static [&'static str] {
        &["radius"]
    }

    fn prepare(&self, properties: &Properties) -> Result<Vec<Pass>, OpError> {
        let radius = properties.int("radius") as u32;
        let pass = |down| Pass::Area(Box::new(Mean { radius, down }));
        Ok(if radius == 0 { Vec::new() } else { vec![pass(false), pass(true)] })
    }
}

/// One direction of the blur.
#[derive(Debug)]
struct Mean {
    radius: u32,
    /// Along columns.
    down: bool,
}

/// Rounds to a multiple of 2^-36. Some thousand such numbers below 64 add up without an error, so
/// that a running sum is what it would be from anywhere else.
fn on_grid(value: f32) -> f64 {
    const GRID: f64 = 1.5 * 65_536.0;
    (f64::from(value) + GRID) - GRID
}

type Sum = [f64; 4];

/// Moves a window on: what enters it and what leaves.
fn slide(sum: &mut Sum, enters: &[f32; 4], leaves: &[f32; 4]) {
    for ((sum, enters), leaves) in sum.iter_mut().zip(enters).zip(leaves) {
        *sum += on_grid(*enters) - on_grid(*leaves);
    }
}

fn add(sum: &mut Sum, pixel: &[f32; 4]) {
    for (sum, value) in sum.iter_mut().zip(pixel) {
        *sum += on_grid(*value);
    }
}

impl Mean {
    fn grow(&self, rect: Rect) -> Rect {
        if self.down { rect.grow(0, self.radius) } else { rect.grow(self.radius, 0) }
    }

    fn along(&self, view: &View<'_>, output: &mut Tile<'_>, cancel: &Cancel) -> Result<(), OpError> {
        let (rect, bounds, radius) = (output.rect(), view.bounds(), i64::from(self.radius));
        let scale = 1.0 / (2.0 * f64::from(self.radius) + 1.0);
        let left = i64::from(view.rect().x);
        for y in rect.y..rect.y + rect.height as i32 {
            cancel.check()?;
            let row = view.row(y);
            let at = |x: i64| &row[(x.clamp(i64::from(bounds.x), bounds.right() - 1) - left) as usize];
            let first = i64::from(rect.x);
            let mut sum = [0.0; 4];
            (first - radius..=first + radius).for_each(|x| add(&mut sum, at(x)));
            for (x, out) in (first..).zip(output.row_mut(y)) {
                *out = sum.map(|sum| (sum * scale) as f32);
                slide(&mut sum, at(x + radius + 1), at(x - radius));
            }
        }
        Ok(())
    }

    fn down(&self, view: &View<'_>, output: &mut Tile<'_>, cancel: &Cancel) -> Result<(), OpError> {
        let (rect, bounds, radius) = (output.rect(), view.bounds(), i64::from(self.radius));
        let scale = 1.0 / (2.0 * f64::from(self.radius) + 1.0);
        let left = (i64::from(rect.x) - i64::from(view.rect().x)) as usize;
        let at = |y: i64| {
            let y = y.clamp(i64::from(bounds.y), bounds.bottom() - 1) as i32;
            &view.row(y)[left..left + rect.width as usize]
        };
        let first = i64::from(rect.y);
        let mut sums = vec![[0.0; 4]; rect.width as usize];
        for y in first - radius..=first + radius {
            cancel.check()?;
            sums.iter_mut().zip(at(y)).for_each(|(sum, pixel)| add(sum, pixel));
        }
        for y in first..rect.bottom() {
            cancel.check()?;
            let (enters, leaves) = (at(y + radius + 1), at(y - radius));
            let pixels = output.row_mut(y as i32).iter_mut().zip(&mut sums);
            for ((out, sum), (enters, leaves)) in pixels.zip(enters.iter().zip(leaves)) {
                *out = sum.map(|sum| (sum * scale) as f32);
                slide(sum, enters, leaves);
            }
        }
        Ok(())
    }
}

impl Area for Mean {
    fn formats(&self, inputs: &[Option<Format>]) -> Formats {
        let format = Format::LINP.opaque_like(inputs[0].unwrap_or(Format::LINP));
        Formats { inputs: [format; 2], output: format }
    }

    fn bounds(&self, boxes: Boxes<'_>) -> Result<Rect, OpError> {
        let input = boxes.inputs[0].ok_or(OpError::MissingInput("input"))?;
        if input.is_infinite() {
            return Err(OpError::Invalid("a picture without bounds cannot be blurred: crop it first".into()));
        }
        Ok(self.grow(input))
    }

    fn needed(&self, _pad: usize, region: Rect, boxes: Boxes<'_>) -> Rect {
        // A row more, since the last window is moved on too; and the edge, which goes on.
        let Some(input) = boxes.inputs[0].filter(|_| !region.is_empty()) else { return Rect::default() };
        let reach = i64::from(self.radius) + 1;
        let span = |from: i64, to: i64, first: i64, end: i64| {
            ((from - reach).clamp(first, end - 1), (to + reach).clamp(first + 1, end))
        };
        let (x, y) = ((i64::from(region.x), region.right()), (i64::from(region.y), region.bottom()));
        if self.down {
            let (top, bottom) = span(y.0, y.1, i64::from(input.y), input.bottom());
            Rect::from_edges(x.0, top, x.1, bottom)
        } else {
            let (left, right) = span(x.0, x.1, i64::from(input.x), input.right());
            Rect::from_edges(left, y.0, right, y.1)
        }
    }

    fn split(&self) -> Split {
        if self.down { Split::Columns } else { Split::Rows }
    }

    fn weight(&self) -> f32 {
        3.0
    }

    fn render(
        &self,
        inputs: &[Option<View<'_>>],
        _boxes: Boxes<'_>,
        output: &mut Tile<'_>,
        cancel: &Cancel,
    ) -> Result<(), OpError> {
        let view = inputs[0].ok_or(OpError::MissingInput("input"))?;
        match self.down {
            _ if output.rect().is_empty() => Ok(()),
            false => self.along(&view, output, cancel),
            true => self.down(&view, output, cancel),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Image;
    use crate::native::testing::{assert_pixel, check, noise_image, pixel, stops_when_cancelled};

    #[test]
    fn a_dot_becomes_a_square_and_edges_go_on() {
        let mut pixels = vec![[0.0, 0.0, 0.0, 1.0]; 25];
        pixels[12] = [0.9, 1.8, -0.9, 1.0];
        pixels[0] = [0.9, 0.0, 0.0, 1.0];
        let image = Image::from_float(Rect::new(-2, 4, 5, 5), Format::LINP, pixels);
        let blurred = check(&BoxBlur, &[("radius", "1")], &[Some(&image)]);
        assert_eq!(blurred.rect(), Rect::new(-3, 3, 7, 7));
        assert_pixel(&blurred, 1, 7, [0.1, 0.2, -0.1, 1.0], 1e-6);
        // The centre and one of the corners' squares.
        assert_pixel(&blurred, -1, 5, [0.2, 0.2, -0.1, 1.0], 1e-6);
        assert_pixel(&blurred, 2, 7, [0.0, 0.0, 0.0, 1.0], 1e-6);
        // At the corner of the picture the first pixel counts four times, outside of it nine times.
        assert_pixel(&blurred, -2, 4, [0.4, 0.0, 0.0, 1.0], 1e-6);
        assert_pixel(&blurred, -3, 3, [0.9, 0.0, 0.0, 1.0], 1e-6);
    }

    #[test]
    fn any_tiling_of_any_radius() {
        for rect in [Rect::new(-7, 5, 23, 17), Rect::sized(1, 1), Rect::sized(1, 12)] {
            let image = noise_image(rect, Format::RGBA8);
            for radius in ["1", "3", "60"] {
                check(&BoxBlur, &[("radius", radius)], &[Some(&image)]);
            }
            assert_eq!(check(&BoxBlur, &[("radius", "0")], &[Some(&image)]), image);
        }
        let image = noise_image(Rect::sized(9, 9), Format::RGB8);
        let blurred = check(&BoxBlur, &[], &[Some(&image)]);
        assert_eq!((blurred.format(), pixel(&blurred, 12, 12)[3]), (Format::LIN_OPAQUE, 1.0));
        assert!(stops_when_cancelled(&BoxBlur, &[], &image));
    }
}
