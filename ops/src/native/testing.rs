//! Runs the passes of one operation as an evaluator would, for the tests of operations.
//!
//! Every tile gets copies of just the parts of its inputs that [`Area::needed`] named, so an
//! operation that reads more panics, and [`check`] compares several tilings bit by bit.

use crate::buffer::Pixels;
use crate::{
    Alpha, Area, Boxes, Cancel, Depth, Encoding, Format, Image, Info, OpError, Operand, Operation, Pass, Point,
};
use crate::{Properties, Rect, Split, Value};

/// How outputs are cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tiling {
    /// One tile.
    Whole,
    /// Tiles of that size, as far as the pass may be split.
    Tiles(u32, u32),
}

/// The defaults of an operation with some values given as text, as in a URL.
pub(crate) fn properties(info: &Info, given: &[(&str, &str)]) -> Properties {
    let mut properties = Properties::defaults(info.properties);
    for (name, text) in given {
        let property = info.properties.iter().find(|p| p.name == *name).unwrap_or_else(|| panic!("no port {name}"));
        let value: Value = property.kind.parse(&(*text).into()).unwrap_or_else(|fault| panic!("{name}: {fault}"));
        properties.set(property.name, value);
    }
    properties
}

/// Renders all of the output of an operation.
pub(crate) fn render(
    operation: &dyn Operation,
    given: &[(&str, &str)],
    inputs: &[Option<&Image>],
) -> Result<Image, OpError> {
    run(operation, given, inputs, None, Tiling::Whole, &Cancel::new())
}

/// Renders an operation with several tilings and, in part, for regions; all must agree bit by
/// bit. Returns the whole output (for an infinite one, the part `Rect::new(-3, -2, 24, 17)`).
pub(crate) fn check(operation: &dyn Operation, given: &[(&str, &str)], inputs: &[Option<&Image>]) -> Image {
    let run = |region, tiling| run(operation, given, inputs, region, tiling, &Cancel::new()).unwrap();
    let whole = match run_bounds(operation, given, inputs) {
        Some(bounds) if bounds.is_infinite() => run(Some(Rect::new(-3, -2, 24, 17)), Tiling::Whole),
        _ => run(None, Tiling::Whole),
    };
    let rect = whole.rect();
    for tiling in [Tiling::Tiles(7, 5), Tiling::Tiles(1, 64), Tiling::Tiles(64, 1), Tiling::Tiles(3, 2)] {
        assert_same(&run(Some(rect), tiling), &whole, &format!("{:?} {given:?} as {tiling:?}", operation.info().name));
    }
    let (width, height) = (rect.width, rect.height);
    for part in [
        Rect { x: rect.x + (width / 3) as i32, y: rect.y + (height / 4) as i32, ..rect },
        Rect { width: width.div_ceil(2), height: height.div_ceil(3), ..rect },
    ] {
        let part = part.intersect(&rect);
        let result = run(Some(part), Tiling::Tiles(5, 3));
        assert_same(&result, &cut(&whole, part), &format!("{:?} {given:?}, only {part:?}", operation.info().name));
    }
    whole
}

/// True when a render with a fired [`Cancel`] says so.
pub(crate) fn stops_when_cancelled(operation: &dyn Operation, given: &[(&str, &str)], input: &Image) -> bool {
    let cancel = Cancel::new();
    cancel.cancel();
    run(operation, given, &[Some(input)], None, Tiling::Whole, &cancel) == Err(OpError::Cancelled)
}

/// Value number `n` of a fixed noise, 0..1.
pub(crate) fn noise(n: u64) -> f32 {
    let mut z = n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ (z >> 31)) >> 40) as f32 / (1u32 << 24) as f32
}

/// A picture of noise with components 0..1; where the format has alpha, it varies too.
pub(crate) fn noise_image(rect: Rect, format: Format) -> Image {
    let pixels = (0..rect.area()).map(|i| {
        let [r, g, b, a] = [0, 1, 2, 3].map(|c| noise(i * 4 + c));
        match format.alpha {
            Alpha::None => [r, g, b, 1.0],
            Alpha::Straight => [r, g, b, a],
            Alpha::Premultiplied => [r * a, g * a, b * a, a],
        }
    });
    let byte = |v: f32| (v * 255.0).round() as u8;
    match (format.depth, format.alpha) {
        (Depth::F32, _) => Image::from_float(rect, format, pixels.collect()),
        (Depth::U8, Alpha::None) => Image::from_rgb8(rect, pixels.map(|[r, g, b, _]| [r, g, b].map(byte)).collect()),
        (Depth::U8, _) => Image::from_rgba8(rect, pixels.map(|p| p.map(byte)).collect()),
    }
}

/// The pixel (x, y) as numbers; bytes are divided by 255 and RGB8 has alpha 1.
pub(crate) fn pixel(image: &Image, x: i32, y: i32) -> [f32; 4] {
    let rect = image.rect();
    assert!(rect.contains(x, y), "({x}, {y}) is outside {rect:?}");
    let index = (y - rect.y) as usize * rect.width as usize + (x - rect.x) as usize;
    match image.pixels() {
        Pixels::Rgb8(pixels) => {
            let [r, g, b] = pixels[index].map(|c| f32::from(c) / 255.0);
            [r, g, b, 1.0]
        }
        Pixels::Rgba8(pixels) => pixels[index].map(|c| f32::from(c) / 255.0),
        Pixels::Float(pixels) => pixels[index],
    }
}

/// All pixels of an image, in reading order, as [`pixel`] gives them.
pub(crate) fn all_pixels(image: &Image) -> Vec<[f32; 4]> {
    let rect = image.rect();
    (0..rect.height as i32)
        .flat_map(|y| (0..rect.width as i32).map(move |x| (rect.x + x, rect.y + y)))
        .map(|(x, y)| pixel(image, x, y))
        .collect()
}

/// Asserts that the pixel (x, y) is `expected`, each component within `tolerance`.
#[track_caller]
pub(crate) fn assert_pixel(image: &Image, x: i32, y: i32, expected: [f32; 4], tolerance: f32) {
    let found = pixel(image, x, y);
    let near = found.iter().zip(expected).all(|(f, e)| (f - e).abs() <= tolerance);
    assert!(near, "({x}, {y}) is {found:?}, expected {expected:?} within {tolerance}");
}

/// Asserts equal boxes, formats and bits.
#[track_caller]
pub(crate) fn assert_same(found: &Image, expected: &Image, what: &str) {
    assert_eq!((found.rect(), found.format()), (expected.rect(), expected.format()), "{what}");
    let bits = |image| all_pixels(image).into_iter().map(|p| p.map(f32::to_bits)).collect::<Vec<_>>();
    let (a, b) = (bits(found), bits(expected));
    if let Some(i) = (0..a.len()).find(|i| a[*i] != b[*i]) {
        let (x, y) = (i as u32 % found.rect().width, i as u32 / found.rect().width);
        let (a, b) = (a[i].map(f32::from_bits), b[i].map(f32::from_bits));
        panic!("{what}: pixel ({x}, {y}) of the box is {a:?}, expected {b:?}");
    }
}

/// The part of an image inside `rect`, which must be inside its box.
pub(crate) fn cut(image: &Image, rect: Rect) -> Image {
    let from = image.rect();
    assert!(from.contains_rect(&rect), "{rect:?} is not in {from:?}");
    if rect.is_empty() {
        return Image::new(rect, image.format()).unwrap();
    }
    fn rows<T: Copy>(from: Rect, pixels: &[T], rect: Rect) -> Vec<T> {
        let x = (rect.x - from.x) as usize;
        let rows = pixels.chunks(from.width as usize).skip((rect.y - from.y) as usize).take(rect.height as usize);
        rows.flat_map(|row| &row[x..x + rect.width as usize]).copied().collect()
    }
    match image.pixels() {
        Pixels::Rgb8(pixels) => Image::from_rgb8(rect, rows(from, pixels, rect)),
        Pixels::Rgba8(pixels) => Image::from_rgba8(rect, rows(from, pixels, rect)),
        Pixels::Float(pixels) => Image::from_float(rect, image.format(), rows(from, pixels, rect)),
    }
}

/// Converts exactly and slowly, independent of `crate::format`.
pub(crate) fn convert(image: &Image, to: Format) -> Image {
    let from = image.format();
    if from == to {
        return image.clone();
    }
    let decode = |v: f64| if v <= 0.04045 { v / 12.92 } else { ((v + 0.055) / 1.055).powf(2.4) };
    let encode = |v: f64| if v <= 0.003_130_8 { v * 12.92 } else { 1.055 * v.powf(1.0 / 2.4) - 0.055 };
    let pixels = all_pixels(image).into_iter().map(|pixel| {
        let [mut r, mut g, mut b, mut a] = pixel.map(f64::from);
        if from.alpha == Alpha::Premultiplied {
            [r, g, b] = [r, g, b].map(|c| if a == 0.0 { 0.0 } else { c / a });
        }
        match (from.encoding, to.encoding) {
            (Encoding::Coded, Encoding::Linear) => [r, g, b] = [r, g, b].map(decode),
            (Encoding::Linear, Encoding::Coded) => [r, g, b] = [r, g, b].map(encode),
            _ => {}
        }
        match to.alpha {
            Alpha::None => a = 1.0,
            Alpha::Straight => {}
            Alpha::Premultiplied => [r, g, b] = [r, g, b].map(|c| c * a),
        }
        [r, g, b, a]
    });
    let byte = |v: f64| (v.clamp(0.0, 1.0) * 255.0).round() as u8;
    match (to.depth, to.alpha) {
        (Depth::F32, _) => Image::from_float(image.rect(), to, pixels.map(|p| p.map(|c| c as f32)).collect()),
        (Depth::U8, Alpha::None) => {
            Image::from_rgb8(image.rect(), pixels.map(|[r, g, b, _]| [r, g, b].map(byte)).collect())
        }
        (Depth::U8, _) => Image::from_rgba8(image.rect(), pixels.map(|p| p.map(byte)).collect()),
    }
}

/// A pass with all that is known before its pixels are.
struct Step {
    pass: Pass,
    operands: Vec<Operand>,
    inputs: Vec<Option<Rect>>,
    origin: Option<Rect>,
    bounds: Rect,
    passthrough: Option<usize>,
}

impl Step {
    fn boxes(&self) -> Boxes<'_> {
        Boxes { inputs: &self.inputs, origin: self.origin }
    }

    fn needed(&self, pad: usize, region: Rect) -> Rect {
        let Some(input) = self.inputs[pad] else { return Rect::default() };
        match (&self.pass, self.passthrough) {
            (_, Some(through)) if through != pad => Rect::default(),
            (Pass::Point(_), _) | (_, Some(_)) => region.intersect(&input),
            (Pass::Area(area) | Pass::Wired { area, .. }, None) => {
                area.needed(pad, region, self.boxes()).intersect(&input)
            }
        }
    }
}

fn steps(
    operation: &dyn Operation,
    given: &[(&str, &str)],
    inputs: &[Option<&Image>],
) -> Result<(Vec<Step>, Rect), OpError> {
    assert_eq!(inputs.len(), operation.info().inputs.len(), "an entry for each pad");
    let origin = inputs.first().copied().flatten().map(Image::rect);
    let mut steps: Vec<Step> = Vec::new();
    for (index, pass) in operation.prepare(&properties(operation.info(), given))?.into_iter().enumerate() {
        let operands = match &pass {
            Pass::Wired { inputs, .. } => inputs.clone(),
            _ if index == 0 => (0..inputs.len()).map(Operand::Input).collect(),
            _ => vec![Operand::Pass(index - 1)],
        };
        let rect = |operand: &Operand| match *operand {
            Operand::Input(pad) => inputs[pad].map(Image::rect),
            Operand::Pass(earlier) => Some(steps[earlier].bounds),
        };
        let boxes: Vec<Option<Rect>> = operands.iter().map(rect).collect();
        let around = Boxes { inputs: &boxes, origin };
        let (bounds, passthrough) = match &pass {
            Pass::Point(_) => (boxes[0].expect("a point operation has an input"), None),
            Pass::Area(area) | Pass::Wired { area, .. } => match area.passthrough(around) {
                Some(pad) => (boxes[pad].expect("a connected input goes through"), Some(pad)),
                None => (area.bounds(around)?, None),
            },
        };
        steps.push(Step { pass, operands, inputs: boxes, origin, bounds, passthrough });
    }
    let bounds = steps.last().map(|step| step.bounds).or(origin);
    Ok((steps, bounds.expect("a picture comes out")))
}

fn run_bounds(operation: &dyn Operation, given: &[(&str, &str)], inputs: &[Option<&Image>]) -> Option<Rect> {
    steps(operation, given, inputs).ok().map(|(_, bounds)| bounds)
}

/// Renders `region` of the output (`None`: all of it).
pub(crate) fn run(
    operation: &dyn Operation,
    given: &[(&str, &str)],
    inputs: &[Option<&Image>],
    region: Option<Rect>,
    tiling: Tiling,
    cancel: &Cancel,
) -> Result<Image, OpError> {
    let (steps, bounds) = steps(operation, given, inputs)?;
    let region = region.unwrap_or(bounds).intersect(&bounds);
    let Some(last) = steps.len().checked_sub(1) else { return Ok(cut(inputs[0].unwrap(), region)) };
    // Backwards: the part of each step's output that is needed.
    let mut regions = vec![Rect::default(); steps.len()];
    regions[last] = region;
    for (index, step) in steps.iter().enumerate().rev() {
        for (pad, operand) in step.operands.iter().enumerate() {
            if let Operand::Pass(earlier) = *operand {
                regions[earlier] = regions[earlier].union(&step.needed(pad, regions[index]));
            }
        }
    }
    let mut results: Vec<Image> = Vec::new();
    for (step, region) in steps.iter().zip(&regions) {
        let image = |operand: &Operand| match *operand {
            Operand::Input(pad) => inputs[pad].cloned(),
            Operand::Pass(earlier) => Some(results[earlier].clone()),
        };
        let images: Vec<Option<Image>> = step.operands.iter().map(image).collect();
        let result = match (&step.pass, step.passthrough) {
            (_, Some(pad)) => cut(images[pad].as_ref().unwrap(), *region),
            (Pass::Point(point), None) => run_point(point.as_ref(), step, images[0].as_ref().unwrap(), *region, tiling),
            (Pass::Area(area) | Pass::Wired { area, .. }, None) => {
                run_area(area.as_ref(), step, &images, *region, tiling, cancel)?
            }
        };
        results.push(result);
    }
    Ok(results.swap_remove(last))
}

fn run_point(point: &dyn Point, step: &Step, input: &Image, region: Rect, tiling: Tiling) -> Image {
    let format = point.format(input.format());
    let mut image = cut(&convert(input, format), region);
    let (width, height) = match tiling {
        Tiling::Whole => (region.width, region.height),
        Tiling::Tiles(width, height) => (width, height),
    };
    for mut tile in image.tiles(width, height) {
        let rect = tile.rect();
        for y in rect.y..rect.y + rect.height as i32 {
            point.apply(tile.row_mut(y), rect.x, y, step.bounds);
        }
    }
    image
}

fn run_area(
    area: &dyn Area,
    step: &Step,
    inputs: &[Option<Image>],
    region: Rect,
    tiling: Tiling,
    cancel: &Cancel,
) -> Result<Image, OpError> {
    let incoming: Vec<Option<Format>> = inputs.iter().map(|input| input.as_ref().map(Image::format)).collect();
    let formats = area.formats(&incoming);
    let inputs: Vec<Option<Image>> = inputs
        .iter()
        .zip(formats.inputs)
        .map(|(input, format)| input.as_ref().map(|input| convert(input, format)))
        .collect();
    let (width, height) = match (tiling, area.split()) {
        (Tiling::Whole, _) | (_, Split::Whole) => (region.width, region.height),
        (Tiling::Tiles(width, height), Split::Free) => (width, height),
        (Tiling::Tiles(_, height), Split::Rows) => (region.width, height),
        (Tiling::Tiles(width, _), Split::Columns) => (width, region.height),
    };
    let mut image = Image::new(region, formats.output)?;
    for mut tile in image.tiles(width, height) {
        let parts: Vec<Option<Image>> = inputs
            .iter()
            .enumerate()
            .map(|(pad, input)| {
                let input = input.as_ref()?;
                Some(cut(input, step.needed(pad, tile.rect()).intersect(&input.rect())))
            })
            .collect();
        let views: Vec<_> = parts
            .iter()
            .zip(&step.inputs)
            .map(|(part, bounds)| part.as_ref().map(|part| part.view(bounds.unwrap())))
            .collect();
        area.render(&views, step.boxes(), &mut tile, cancel)?;
    }
    Ok(image)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exact_conversion_knows_the_curve_and_alpha() {
        let image = Image::from_rgba8(Rect::sized(2, 1), vec![[255, 128, 0, 255], [255, 255, 255, 51]]);
        let linear = convert(&image, Format::LINP);
        assert_pixel(&linear, 0, 0, [1.0, 0.215_861, 0.0, 1.0], 1e-6);
        assert_pixel(&linear, 1, 0, [0.2, 0.2, 0.2, 0.2], 1e-6);
        assert_same(&convert(&linear, Format::RGBA8), &image, "there and back");
    }

    #[test]
    fn a_part_is_cut_out() {
        let image = noise_image(Rect::new(-2, -1, 5, 4), Format::RGB8);
        let part = cut(&image, Rect::new(-1, 1, 3, 2));
        assert_eq!(pixel(&part, 0, 2), pixel(&image, 0, 2));
        assert_eq!(part.rect(), Rect::new(-1, 1, 3, 2));
    }
}
