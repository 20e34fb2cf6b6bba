//! `gegl/checkerboard`: cells of two colours in turn, without end.
//!
//! The pixel (x, y) is in column floor((x - x-offset) / width) and row floor((y - y-offset) /
//! height) of cells; where their sum is even it has the first colour (GEGL 0.4, `checkerboard.c`).
//! GEGL's property `format`, a pointer, has no counterpart.

use super::compose::rows;
use crate::{
    Area, Boxes, Cancel, Color, Format, Formats, Info, Kind, OpError, Operation, Pass, Properties, Property, Rect,
    Tile, View,
};

const SIZE: Kind = Kind::Int { default: 16, minimum: 1, maximum: i32::MAX as i64 };
const OFFSET: Kind = Kind::Int { default: 0, minimum: i32::MIN as i64, maximum: i32::MAX as i64 };

static INFO: Info = Info {
    name: "gegl/checkerboard",
    aliases: &[],
    categories: &["render"],
    title: "Checkerboard",
    description: "Makes an endless pattern of cells in two colours, for a crop to cut from.",
    inputs: &[],
    properties: &[
        Property { name: "x", description: "Width of a cell, pixels.", kind: SIZE },
        Property { name: "y", description: "Height of a cell, pixels.", kind: SIZE },
        Property { name: "x-offset", description: "Left edge of a cell of the first colour, pixels.", kind: OFFSET },
        Property { name: "y-offset", description: "Top edge of that cell, pixels.", kind: OFFSET },
        Property { name: "color1", description: "The first colour.", kind: Kind::Color { default: Color::BLACK } },
        Property { name: "color2", description: "The second colour.", kind: Kind::Color { default: Color::WHITE } },
    ],
    revision: 1,
};

/// The operation `gegl/checkerboard`.
#[derive(Debug)]
pub struct Checkerboard;

impl Operation for Checkerboard {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn lengths(&self) -> &'static [&'static str] {
        &["x", "y", "x-offset", "y-offset"]
    }

    fn prepare(&self, properties: &Properties) -> Result<Vec<Pass>, OpError> {
        Ok(vec![Pass::Area(Box::new(Pattern {
            size: ["x", "y"].map(|name| properties.int(name)),
            offset: ["x-offset", "y-offset"].map(|name| properties.int(name)),
            pixels: ["color1", "color2"].map(|name| properties.color(name).linear()),
        }))])
    }
}

#[derive(Debug)]
struct Pattern {
    /// Width and height of a cell, pixels.
    size: [i64; 2],
    /// A corner of a cell of the first colour.
    offset: [i64; 2],
    /// The two colours, straight, linear.
    pixels: [[f32; 4]; 2],
}

impl Area for Pattern {
    fn formats(&self, _inputs: &[Option<Format>]) -> Formats {
        let opaque = self.pixels.iter().all(|pixel| pixel[3] == 1.0);
        let output = if opaque { Format::LIN_OPAQUE } else { Format::LIN };
        Formats { inputs: [output; 2], output }
    }

    fn bounds(&self, _boxes: Boxes<'_>) -> Result<Rect, OpError> {
        Ok(Rect::INFINITE)
    }

    fn needed(&self, _pad: usize, _region: Rect, _boxes: Boxes<'_>) -> Rect {
        Rect::default()
    }

    fn weight(&self) -> f32 {
        1.0
    }

    fn render(
        &self,
        _inputs: &[Option<View<'_>>],
        _boxes: Boxes<'_>,
        output: &mut Tile<'_>,
        cancel: &Cancel,
    ) -> Result<(), OpError> {
        let rect = output.rect();
        let ([width, height], [left, top]) = (self.size, self.offset);
        for y in rows(rect) {
            cancel.check()?;
            let mut rest = output.row_mut(y);
            let mut x = i64::from(rect.x) - left;
            let cell_row = (i64::from(y) - top).div_euclid(height);
            // A run of one colour after the other, up to each cell's right edge.
            while !rest.is_empty() {
                let run = (width - x.rem_euclid(width)).min(rest.len() as i64);
                let (cell, after) = rest.split_at_mut(run as usize);
                cell.fill(self.pixels[(x.div_euclid(width) + cell_row).rem_euclid(2) as usize]);
                rest = after;
                x += run;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::native::testing::{Tiling, all_pixels, check, pixel, run};

    const BLACK: [f32; 4] = [0.0, 0.0, 0.0, 1.0];
    const WHITE: [f32; 4] = [1.0, 1.0, 1.0, 1.0];

    #[test]
    fn cells_by_hand() {
        let out = check(&Checkerboard, &[("x", "3"), ("y", "2")], &[]);
        assert_eq!((out.rect(), out.format()), (Rect::new(-3, -2, 24, 17), Format::LIN_OPAQUE));
        // The cell at the origin is of the first colour; to its left and above is the second.
        for (x, y, expected) in [
            (0, 0, BLACK),
            (2, 1, BLACK),
            (3, 0, WHITE),
            (0, 2, WHITE),
            (3, 2, BLACK),
            (-1, 0, WHITE),
            (-3, 1, WHITE),
            (0, -1, WHITE),
            (-1, -1, BLACK),
            (-3, -2, BLACK),
            (5, -2, BLACK),
        ] {
            assert_eq!(pixel(&out, x, y), expected, "({x}, {y})");
        }
    }

    #[test]
    fn offsets_move_the_pattern() {
        let plain = check(&Checkerboard, &[("x", "5"), ("y", "4")], &[]);
        let moved = check(&Checkerboard, &[("x", "5"), ("y", "4"), ("x-offset", "2"), ("y-offset", "-3")], &[]);
        for y in -2..10 {
            for x in -1..18 {
                assert_eq!(pixel(&moved, x, y), pixel(&plain, x - 2, y + 3), "({x}, {y})");
            }
        }
    }

    #[test]
    fn colours_are_light_and_may_be_clear() {
        let given = [("x", "1"), ("y", "1"), ("color1", "#808080"), ("color2", "#ff000080")];
        let out = check(&Checkerboard, &given, &[]);
        assert_eq!(out.format(), Format::LIN);
        assert!((pixel(&out, 0, 0)[0] - 0.215_861).abs() < 1e-6);
        assert_eq!(pixel(&out, 1, 0), [1.0, 0.0, 0.0, 128.0 / 255.0]);
    }

    #[test]
    fn extreme_cells_and_places() {
        let max = i32::MAX.to_string();
        let min = i32::MIN.to_string();
        for given in [
            [("x", max.as_str()), ("x-offset", min.as_str()), ("y", "1"), ("y-offset", max.as_str())],
            [("x", "1"), ("x-offset", max.as_str()), ("y", max.as_str()), ("y-offset", min.as_str())],
        ] {
            for corner in [(i32::MIN / 2, i32::MIN / 2), (i32::MAX / 2 - 4, i32::MAX / 2 - 4)] {
                let far = Rect::new(corner.0, corner.1, 3, 3);
                let out = run(&Checkerboard, &given, &[], Some(far), Tiling::Whole, &Cancel::new()).unwrap();
                assert!(all_pixels(&out).iter().all(|pixel| [BLACK, WHITE].contains(pixel)));
            }
        }
    }
}
