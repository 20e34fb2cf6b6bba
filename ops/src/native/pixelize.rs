//! `gegl/pixelize`: one colour for each block.
//!
//! Blocks start at the offset, in both directions without end; the colour of one is the mean, in
//! premultiplied linear light, of those of its pixels that the picture has. With a size ratio below 1
//! a shape of ⌈size ratio⌉ pixels in the middle of the block has the colour, the rest the background:
//! a rectangle, or with dx, dy from its centre and w, h its sides a circle (dx/w)² + (dy/h)² ≤ 1 or a
//! diamond |dx|/w + |dy|/h < 1, both cut off at the block (GEGL 0.4, `pixelize.c`).

use super::compose::rows;
use super::compound::Compound;
use crate::{
    Area, Boxes, Cancel, Color, Format, Formats, Info, Kind, OpError, Operand, Operation, Pad, Pass, Properties,
    Property, Rect, Tile, View,
};

const SIZE: Kind = Kind::Int { default: 16, minimum: 1, maximum: i32::MAX as i64 };
const OFFSET: Kind = Kind::Int { default: 0, minimum: i32::MIN as i64, maximum: i32::MAX as i64 };
const RATIO: Kind = Kind::Number { default: 1.0, minimum: 0.0, maximum: 1.0 };

static INFO: Info = Info {
    name: "gegl/pixelize",
    aliases: &[],
    categories: &["blur:scramble"],
    title: "Pixelize",
    description: "Simplifies the picture into blocks of one colour.",
    inputs: &[Pad::INPUT],
    properties: &[
        Property {
            name: "norm",
            description: "Shape of what has the colour in a block",
            kind: Kind::Enum { default: "square", values: &["diamond", "round", "square"] },
        },
        Property { name: "size-x", description: "Width of a block, pixels", kind: SIZE },
        Property { name: "size-y", description: "Height of a block, pixels", kind: SIZE },
        Property { name: "offset-x", description: "Left edge of one of the blocks, pixels", kind: OFFSET },
        Property { name: "offset-y", description: "Top edge of one of the blocks, pixels", kind: OFFSET },
        Property { name: "ratio-x", description: "Width of the shape, as a part of the block's", kind: RATIO },
        Property { name: "ratio-y", description: "Height of the shape, as a part of the block's", kind: RATIO },
        Property {
            name: "background",
            description: "Colour around the shapes",
            kind: Kind::Color { default: Color::WHITE },
        },
    ],
    revision: 1,
};

/// The operation `gegl/pixelize`.
#[derive(Debug)]
pub struct Pixelize;

impl Operation for Pixelize {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn lengths(&self) -> &'static [&'static str] {
        &["size-x", "size-y", "offset-x", "offset-y"]
    }

    fn prepare(&self, properties: &Properties) -> Result<Vec<Pass>, OpError> {
        let size = ["size-x", "size-y"].map(|name| properties.int(name));
        if size == [1, 1] {
            return Ok(Vec::new());
        }
        let grid = Grid {
            size,
            // Any edge of a block will do: small numbers cannot overflow.
            offset: [0, 1].map(|axis| properties.int(["offset-x", "offset-y"][axis]).rem_euclid(size[axis])),
        };
        let [r, g, b, a] = properties.color("background").linear();
        let mut passes = Compound::default();
        let means = passes.apply(Means { grid }, &[Operand::Input(0)]);
        let shapes = Shapes {
            grid,
            norm: match properties.choice("norm") {
                "diamond" => Norm::Manhattan,
                "round" => Norm::Euclidean,
                _ => Norm::Infinity,
            },
            ratio: ["ratio-x", "ratio-y"].map(|name| properties.number(name)),
            background: [r * a, g * a, b * a, a],
        };
        passes.apply(shapes, &[means, Operand::Input(0)]);
        Ok(passes.passes())
    }
}

/// Where blocks are.
#[derive(Clone, Copy, Debug)]
struct Grid {
    size: [i64; 2],
    /// Of a block near (0, 0).
    offset: [i64; 2],
}

impl Grid {
    /// The block that a column (axis 0) or a row (axis 1) is in.
    fn block(&self, axis: usize, at: i64) -> i64 {
        (at - self.offset[axis]).div_euclid(self.size[axis])
    }

    /// The first column or row of a block.
    fn start(&self, axis: usize, block: i64) -> i64 {
        block * self.size[axis] + self.offset[axis]
    }

    /// The blocks that meet a box of pixels, as a box.
    fn blocks(&self, rect: Rect) -> Rect {
        if rect.is_empty() {
            return Rect::default();
        }
        Rect::from_edges(
            self.block(0, i64::from(rect.x)),
            self.block(1, i64::from(rect.y)),
            self.block(0, rect.right() - 1) + 1,
            self.block(1, rect.bottom() - 1) + 1,
        )
    }

    /// The pixels of a box of blocks.
    fn pixels(&self, blocks: Rect) -> Rect {
        Rect::from_edges(
            self.start(0, i64::from(blocks.x)),
            self.start(1, i64::from(blocks.y)),
            self.start(0, blocks.right()),
            self.start(1, blocks.bottom()),
        )
    }
}

fn picture(boxes: Boxes<'_>, pad: usize) -> Result<Rect, OpError> {
    let input = boxes.inputs[pad].ok_or(OpError::MissingInput("input"))?;
    if input.is_infinite() {
        return Err(OpError::Invalid("a picture without bounds cannot be pixelized: crop it first".into()));
    }
    Ok(input)
}

/// A picture of a pixel for each block.
#[derive(Debug)]
struct Means {
    grid: Grid,
}

impl Area for Means {
    fn formats(&self, inputs: &[Option<Format>]) -> Formats {
        let format = Format::LINP.opaque_like(inputs[0].unwrap_or(Format::LINP));
        Formats { inputs: [format; 2], output: format }
    }

    fn bounds(&self, boxes: Boxes<'_>) -> Result<Rect, OpError> {
        Ok(self.grid.blocks(picture(boxes, 0)?))
    }

    fn needed(&self, _pad: usize, region: Rect, _boxes: Boxes<'_>) -> Rect {
        self.grid.pixels(region)
    }

    fn fewest_rows(&self) -> u32 {
        1
    }

    /// A block has as many pixels, as long as the picture is larger than that.
    fn weight(&self) -> f32 {
        self.grid.size.iter().map(|side| (*side).min(1024) as f32).product()
    }

    fn render(
        &self,
        inputs: &[Option<View<'_>>],
        boxes: Boxes<'_>,
        output: &mut Tile<'_>,
        cancel: &Cancel,
    ) -> Result<(), OpError> {
        let view = inputs[0].ok_or(OpError::MissingInput("input"))?;
        let input = picture(boxes, 0)?;
        let blocks = output.rect();
        let mut sums = vec![[0f64; 4]; blocks.width as usize];
        for block in rows(blocks) {
            let pixels = self.grid.pixels(Rect { y: block, height: 1, ..blocks }).intersect(&input);
            sums.fill([0.0; 4]);
            for y in rows(pixels) {
                cancel.check()?;
                let mut rest = &view.row(y)[(pixels.x - view.rect().x) as usize..][..pixels.width as usize];
                for (column, sum) in (i64::from(blocks.x)..).zip(&mut sums) {
                    let end = self.grid.start(0, column + 1).min(pixels.right());
                    let start = self.grid.start(0, column).max(i64::from(pixels.x));
                    let (run, after) = rest.split_at((end - start) as usize);
                    for pixel in run {
                        for (sum, value) in sum.iter_mut().zip(pixel) {
                            *sum += f64::from(*value);
                        }
                    }
                    rest = after;
                }
            }
            for ((column, sum), out) in (i64::from(blocks.x)..).zip(&sums).zip(output.row_mut(block)) {
                let end = self.grid.start(0, column + 1).min(pixels.right());
                let width = end - self.grid.start(0, column).max(i64::from(pixels.x));
                let count = width as f64 * f64::from(pixels.height);
                *out = sum.map(|sum| (sum / count) as f32);
            }
        }
        Ok(())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Norm {
    /// Diamonds.
    Manhattan,
    /// Circles.
    Euclidean,
    /// Rectangles.
    Infinity,
}

/// Draws blocks by their colours; the second input is the picture itself, whose box it is.
#[derive(Debug)]
struct Shapes {
    grid: Grid,
    norm: Norm,
    ratio: [f64; 2],
    /// Premultiplied linear light.
    background: [f32; 4],
}

impl Shapes {
    /// Sides of the shape in a block, pixels.
    fn sides(&self) -> [i64; 2] {
        [0, 1].map(|axis| (self.grid.size[axis] as f64 * self.ratio[axis]).ceil() as i64)
    }

    /// True when (x, y), counted from the corner of a block, has the block's colour.
    fn covers(&self, sides: [i64; 2], x: i64, y: i64) -> bool {
        let [width, height] = sides.map(|side| side as f32);
        let corner = [0, 1].map(|axis| (self.grid.size[axis] - sides[axis]) / 2);
        let dx = x as f32 - (corner[0] as f32 + width / 2.0);
        let dy = y as f32 - (corner[1] as f32 + height / 2.0);
        match self.norm {
            Norm::Infinity => {
                (corner[0]..corner[0] + sides[0]).contains(&x) && (corner[1]..corner[1] + sides[1]).contains(&y)
            }
            Norm::Euclidean => (dx / width).powi(2) + (dy / height).powi(2) <= 1.0,
            Norm::Manhattan => dx.abs() * height + dy.abs() * width < width * height,
        }
    }
}

impl Area for Shapes {
    fn formats(&self, inputs: &[Option<Format>]) -> Formats {
        let means = inputs[0].unwrap_or(Format::LINP);
        let opaque = self.background[3] == 1.0 || (self.norm == Norm::Infinity && self.sides() == self.grid.size);
        let format = if opaque { Format::LINP.opaque_like(means) } else { Format::LINP };
        Formats { inputs: [format, inputs.get(1).copied().flatten().unwrap_or(format)], output: format }
    }

    fn bounds(&self, boxes: Boxes<'_>) -> Result<Rect, OpError> {
        picture(boxes, 1)
    }

    fn needed(&self, pad: usize, region: Rect, _boxes: Boxes<'_>) -> Rect {
        if pad == 0 { self.grid.blocks(region) } else { Rect::default() }
    }

    fn weight(&self) -> f32 {
        if self.norm == Norm::Infinity { 1.5 } else { 4.0 }
    }

    fn render(
        &self,
        inputs: &[Option<View<'_>>],
        _boxes: Boxes<'_>,
        output: &mut Tile<'_>,
        cancel: &Cancel,
    ) -> Result<(), OpError> {
        let means = inputs[0].ok_or(OpError::MissingInput("input"))?;
        let (rect, sides) = (output.rect(), self.sides());
        let plain = self.norm == Norm::Infinity && sides == self.grid.size;
        for y in rows(rect) {
            cancel.check()?;
            let block = self.grid.block(1, i64::from(y));
            let row_in_block = i64::from(y) - self.grid.start(1, block);
            let colors = means.row(block as i32);
            let mut rest = output.row_mut(y);
            let mut x = i64::from(rect.x);
            while !rest.is_empty() {
                let column = self.grid.block(0, x);
                let color = colors[(column - i64::from(means.rect().x)) as usize];
                let run = (self.grid.start(0, column + 1) - x).min(rest.len() as i64);
                let (run, after) = rest.split_at_mut(run as usize);
                if plain {
                    run.fill(color);
                } else {
                    for (x, pixel) in (x - self.grid.start(0, column)..).zip(run.iter_mut()) {
                        *pixel = if self.covers(sides, x, row_in_block) { color } else { self.background };
                    }
                }
                x += run.len() as i64;
                rest = after;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Image;
    use crate::native::testing::{assert_pixel, check, noise_image, pixel, stops_when_cancelled};

    #[test]
    fn blocks_are_means_of_what_is_there() {
        let gray = |v: f32| [v, v, v, 1.0];
        let image = Image::from_float(Rect::new(-1, 0, 4, 1), Format::LINP, [8.0, 1.0, 2.0, 6.0].map(gray).to_vec());
        let out = check(&Pixelize, &[("size-x", "3"), ("size-y", "5")], &[Some(&image)]);
        for (x, mean) in [(-1, 8.0), (0, 3.0), (1, 3.0), (2, 3.0)] {
            assert_pixel(&out, x, 0, gray(mean), 1e-6);
        }
        let out = check(&Pixelize, &[("size-x", "2"), ("offset-x", "-2147483645")], &[Some(&image)]);
        for (x, mean) in [(-1, 4.5), (0, 4.5), (1, 4.0), (2, 4.0)] {
            assert_pixel(&out, x, 0, gray(mean), 1e-6);
        }
        assert_eq!(check(&Pixelize, &[("size-x", "1"), ("size-y", "1")], &[Some(&image)]), image);
    }

    #[test]
    fn shapes_are_cut_out_of_the_background() {
        let image = Image::from_rgb8(Rect::sized(11, 11), vec![[0; 3]; 121]);
        let shape = |norm: &str, ratio: &str| {
            let given = [("norm", norm), ("size-x", "11"), ("size-y", "11"), ("ratio-x", ratio), ("ratio-y", ratio)];
            let out = check(&Pixelize, &given, &[Some(&image)]);
            let dark = |y: i32| (0..11).map(|x| if pixel(&out, x, y)[0] == 0.0 { '#' } else { '.' }).collect();
            [0, 1, 2, 5, 10].map(|y: i32| -> String { dark(y) })
        };
        assert_eq!(shape("square", "0.5"), ["...........", "...........", "..######...", "..######...", "..........."]);
        assert_eq!(
            shape("diamond", "0.5"),
            [".....#.....", "....###....", "...#####...", "###########", ".....#....."]
        );
        assert_eq!(shape("round", "0.5"), ["..#######..", ".#########.", "###########", "###########", "..#######.."]);
        assert_eq!(shape("round", "0"), ["..........."; 5]);
    }

    #[test]
    fn any_tiling_of_any_grid() {
        for format in [Format::RGB8, Format::RGBA8] {
            let image = noise_image(Rect::new(-7, 5, 23, 17), format);
            for norm in ["square", "round", "diamond"] {
                for (x, y) in [("5", "4"), ("2147483647", "2147483647"), ("1", "6")] {
                    let given = [("norm", norm), ("size-x", x), ("size-y", y), ("offset-y", "-3"), ("ratio-x", "0.7")];
                    check(&Pixelize, &given, &[Some(&image)]);
                }
            }
            assert!(stops_when_cancelled(&Pixelize, &[], &image));
        }
        let image = noise_image(Rect::sized(4, 4), Format::RGB8);
        let given = [("ratio-x", "0.5"), ("background", "#00000000")];
        assert_eq!(check(&Pixelize, &given, &[Some(&image)]).format(), Format::LINP);
    }
}
