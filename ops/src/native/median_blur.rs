//! `gegl/median-blur`: each pixel becomes the median of its neighbourhood, each channel for itself.
//!
//! The percentile p of values is the least that at least p % of them do not exceed. Colour values
//! count by the alpha of their pixel, alpha values all the same. Values are bytes (sRGB-coded), or
//! floats of linear light with `high-precision`; a negative radius turns percentiles around (GEGL 0.4,
//! `median-blur.c`).
//!
//! Bytes are counted in histograms that move along the row with the neighbourhood: T. Huang, G. Yang,
//! G. Tang, "A fast two-dimensional median filtering algorithm", IEEE Transactions on Acoustics,
//! Speech and Signal Processing 27 (1979).

use super::compose::rows;
use crate::{
    Area, Boxes, Cancel, Depth, Format, Formats, Info, Kind, OpError, Operation, Pad, Pass, Properties, Property, Rect,
    Tile, View,
};

const PERCENTILE: Kind = Kind::Number { default: 50.0, minimum: 0.0, maximum: 100.0 };

const INFO: Info = Info {
    name: "gegl/median-blur",
    aliases: &[],
    categories: &["blur"],
    title: "Median Blur",
    description: "Each pixel becomes the median of its neighbourhood: specks go, edges stay.",
    inputs: &[Pad::INPUT],
    properties: &[
        Property {
            name: "neighborhood",
            description: "Shape of the neighbourhood",
            kind: Kind::Enum { default: "circle", values: &["square", "circle", "diamond"] },
        },
        Property {
            name: "radius",
            description: "Pixels to each side that count; below 0 percentiles are turned around",
            kind: Kind::Int { default: 3, minimum: -400, maximum: 400 },
        },
        Property {
            name: "percentile",
            description: "Which of the colours in order: 50 is the median",
            kind: PERCENTILE,
        },
        Property { name: "alpha-percentile", description: "Which of the alphas in order", kind: PERCENTILE },
        Property {
            name: "abyss-policy",
            description: "What lies beyond the edges: nothing, and the picture grows by the radius; or the edge's own pixels",
            kind: Kind::Enum { default: "clamp", values: &["none", "clamp"] },
        },
        Property {
            name: "high-precision",
            description: "Floats of linear light instead of 8-bit values; takes much longer",
            kind: Kind::Boolean { default: false },
        },
    ],
    revision: 1,
};

/// The operation `gegl/median-blur`.
#[derive(Debug)]
pub struct MedianBlur;

impl Operation for MedianBlur {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn lengths(&self) -> &'static [&'static str] {
        &["radius"]
    }

    fn prepare(&self, properties: &Properties) -> Result<Vec<Pass>, OpError> {
        let radius = properties.int("radius");
        if radius == 0 {
            return Ok(Vec::new());
        }
        let percentile = |name| {
            let percentile = properties.number(name);
            if radius < 0 { 100.0 - percentile } else { percentile }
        };
        let precise = properties.boolean("high-precision");
        let percentile = Percentile {
            reach: Shape::from_choice(properties.choice("neighborhood")).reach(radius.unsigned_abs() as u32),
            color: percentile("percentile"),
            alpha: percentile("alpha-percentile"),
            clamp: properties.choice("abyss-policy") == "clamp",
            grow: properties.choice("abyss-policy") == "none",
            kind: if precise { Values::Floats } else { Values::Bytes },
        };
        Ok(vec![percentile.pass()])
    }
}

/// The shape of a neighbourhood.
#[derive(Clone, Copy, Debug)]
pub(super) enum Shape {
    Square,
    Circle,
    Diamond,
}

impl Shape {
    /// From the enum value.
    pub(super) fn from_choice(choice: &str) -> Shape {
        match choice {
            "square" => Shape::Square,
            "diamond" => Shape::Diamond,
            _ => Shape::Circle,
        }
    }

    /// Pixels to the left and right that count, for each row of a neighbourhood.
    fn reach(self, radius: u32) -> Vec<usize> {
        let row = |dy: u32| match self {
            Shape::Square => radius,
            Shape::Diamond => radius - dy,
            // Centres within half a pixel more than the radius.
            Shape::Circle => ((f64::from(radius) + 0.5).powi(2) - f64::from(dy).powi(2)).sqrt() as u32,
        };
        (1..=radius).rev().chain(0..=radius).map(|dy| row(dy) as usize).collect()
    }
}

/// What is put in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Values {
    /// Coded colours and alpha in 8 bits.
    Bytes,
    /// Alpha in 8 bits; there is no colour in what comes out.
    Alpha,
    /// Linear light and alpha.
    Floats,
}

/// Percentiles of neighbourhoods.
#[derive(Debug)]
pub(super) struct Percentile {
    /// As [`Shape::reach`]; radius + 1 + radius rows.
    reach: Vec<usize>,
    /// Of colours, 0 to 100.
    color: f64,
    /// Of alpha, 0 to 100.
    alpha: f64,
    /// The edge goes on; else there is nothing beyond.
    clamp: bool,
    /// The box grows by the radius.
    grow: bool,
    kind: Values,
}

impl Percentile {
    /// Grows what is opaque by a shape; colour is lost.
    pub(super) fn alpha(shape: Shape, radius: u32) -> Self {
        let reach = shape.reach(radius);
        Percentile { reach, color: 0.0, alpha: 100.0, clamp: false, grow: true, kind: Values::Alpha }
    }

    pub(super) fn pass(self) -> Pass {
        Pass::Area(Box::new(self))
    }

    fn radius(&self) -> u32 {
        (self.reach.len() / 2) as u32
    }

    /// The pixels of the neighbourhoods of a box, row by row, with what lies beyond the edges.
    fn window<T: Copy>(&self, view: &View<'_>, rect: Rect, nothing: T, pixel: impl Fn(i32, usize) -> T) -> Window<T> {
        let rect = rect.grow(self.radius(), self.radius());
        let (bounds, left) = (view.bounds(), i64::from(view.rect().x));
        let mut pixels = Vec::with_capacity(rect.area() as usize);
        for y in i64::from(rect.y)..rect.bottom() {
            let row = y.clamp(i64::from(bounds.y), bounds.bottom() - 1);
            pixels.extend((i64::from(rect.x)..rect.right()).map(|x| {
                let column = x.clamp(i64::from(bounds.x), bounds.right() - 1);
                if self.clamp || (row, column) == (y, x) {
                    pixel(row as i32, (column - left) as usize)
                } else {
                    nothing
                }
            }));
        }
        Window { width: rect.width as usize, pixels }
    }
}

/// Pixels around a tile.
struct Window<T> {
    width: usize,
    pixels: Vec<T>,
}

/// How often each byte is there, and where in their order a percentile lies.
struct Histogram {
    counts: [u32; 256],
    total: u32,
    /// The byte found last.
    at: usize,
    /// How often there are smaller ones.
    below: u32,
}

impl Histogram {
    const EMPTY: Histogram = Histogram { counts: [0; 256], total: 0, at: 0, below: 0 };

    #[inline(always)]
    fn add(&mut self, byte: u8, count: u32) {
        self.counts[usize::from(byte)] += count;
        self.total += count;
        self.below += if usize::from(byte) < self.at { count } else { 0 };
    }

    #[inline(always)]
    fn remove(&mut self, byte: u8, count: u32) {
        self.counts[usize::from(byte)] -= count;
        self.total -= count;
        self.below -= if usize::from(byte) < self.at { count } else { 0 };
    }

    /// 0 where there is nothing.
    #[inline(always)]
    fn percentile(&mut self, percent: f64) -> u8 {
        if self.total == 0 {
            return 0;
        }
        let wanted = rank(self.total.into(), percent) as u32;
        while self.below >= wanted {
            self.at -= 1;
            self.below -= self.counts[self.at];
        }
        while self.below + self.counts[self.at] < wanted {
            self.below += self.counts[self.at];
            self.at += 1;
        }
        self.at as u8
    }
}

/// How many of `total` values are not above the percentile, at least; 1 at least.
fn rank(total: f64, percent: f64) -> f64 {
    (total * percent / 100.0).ceil().max(1.0)
}

impl Percentile {
    /// Percentiles of bytes; without `COLOR` of alpha only, without `ALPHA` all are opaque.
    fn bytes<const COLOR: bool, const ALPHA: bool>(
        &self,
        window: &Window<[u8; 4]>,
        output: &mut Tile<'_>,
        cancel: &Cancel,
    ) -> Result<(), OpError> {
        let rect = output.rect();
        let radius = self.radius() as usize;
        let mut out = vec![[0; 4]; rect.width as usize];
        for (index, y) in rows(rect).enumerate() {
            let lines: Vec<&[[u8; 4]]> =
                window.pixels[index * window.width..].chunks(window.width).take(self.reach.len()).collect();
            let mut histograms = [Histogram::EMPTY; 4];
            let count = |histograms: &mut [Histogram; 4], pixel: [u8; 4], count: fn(&mut Histogram, u8, u32)| {
                let [color @ .., alpha] = histograms;
                if COLOR {
                    let weight = if ALPHA { u32::from(pixel[3]) } else { 1 };
                    color.iter_mut().zip(pixel).for_each(|(histogram, byte)| count(histogram, byte, weight));
                }
                if ALPHA {
                    count(alpha, pixel[3], 1);
                }
            };
            for (line, reach) in lines.iter().zip(&self.reach) {
                let line = &line[radius - reach..=radius + reach];
                line.iter().for_each(|pixel| count(&mut histograms, *pixel, Histogram::add));
            }
            for (x, out) in out.iter_mut().enumerate() {
                if x % 64 == 0 {
                    cancel.check()?;
                }
                if x > 0 {
                    for (line, reach) in lines.iter().zip(&self.reach) {
                        count(&mut histograms, line[x + radius + reach], Histogram::add);
                        count(&mut histograms, line[x + radius - reach - 1], Histogram::remove);
                    }
                }
                let [r, g, b, alpha] = &mut histograms;
                if COLOR {
                    let [r, g, b] = [r, g, b].map(|histogram| histogram.percentile(self.color));
                    *out = [r, g, b, 255];
                }
                if ALPHA {
                    out[3] = alpha.percentile(self.alpha);
                }
            }
            if ALPHA {
                output.row_rgba8_mut(y).copy_from_slice(&out);
            } else {
                output.row_rgb8_mut(y).iter_mut().zip(&out).for_each(|(to, [r, g, b, _])| *to = [*r, *g, *b]);
            }
        }
        Ok(())
    }

    fn floats(&self, window: &Window<[f32; 4]>, output: &mut Tile<'_>, cancel: &Cancel) -> Result<(), OpError> {
        let (rect, radius) = (output.rect(), self.radius() as usize);
        let mut values: Vec<(f32, f32)> = Vec::new();
        for (index, y) in rows(rect).enumerate() {
            for (x, out) in output.row_mut(y).iter_mut().enumerate() {
                cancel.check()?;
                for channel in 0..4 {
                    values.clear();
                    let lines = window.pixels[index * window.width..].chunks(window.width);
                    for (line, reach) in lines.zip(&self.reach) {
                        let line = &line[x + radius - reach..=x + radius + reach];
                        values.extend(line.iter().map(|p| (p[channel], if channel == 3 { 1.0 } else { p[3] })));
                    }
                    out[channel] = percentile(&mut values, if channel == 3 { self.alpha } else { self.color });
                }
            }
        }
        Ok(())
    }
}

/// The percentile of values by their weights; 0 where all weigh nothing.
fn percentile(values: &mut [(f32, f32)], percent: f64) -> f32 {
    values.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let total: f64 = values.iter().map(|(_, weight)| f64::from(*weight)).sum();
    let mut sum = 0.0;
    let reached = values.iter().find(|(_, weight)| {
        sum += f64::from(*weight);
        sum > 0.0 && sum >= total * percent / 100.0
    });
    reached.map_or(0.0, |(value, _)| *value)
}

impl Area for Percentile {
    fn formats(&self, inputs: &[Option<Format>]) -> Formats {
        let format = match self.kind {
            Values::Alpha => Format::RGBA8,
            Values::Bytes => Format::RGBA8,
            Values::Floats => Format::LIN,
        };
        // Without alpha what lies beyond the edges is black.
        let opaque = self.kind != Values::Alpha && inputs[0].is_some_and(|input| !input.has_alpha());
        let format = match (opaque, format.depth) {
            (false, _) => format,
            (true, Depth::U8) => Format::RGB8,
            (true, Depth::F32) => Format::LIN_OPAQUE,
        };
        Formats { inputs: [format; 2], output: format }
    }

    fn bounds(&self, boxes: Boxes<'_>) -> Result<Rect, OpError> {
        let input = boxes.inputs[0].ok_or(OpError::MissingInput("input"))?;
        if input.is_infinite() {
            return Err(OpError::Invalid("a picture without bounds has no medians: crop it first".into()));
        }
        Ok(if self.grow { input.grow(self.radius(), self.radius()) } else { input })
    }

    fn needed(&self, _pad: usize, region: Rect, boxes: Boxes<'_>) -> Rect {
        let Some(input) = boxes.inputs[0].filter(|_| !region.is_empty()) else { return Rect::default() };
        // Edges that go on are needed from afar.
        let wanted = region.grow(self.radius(), self.radius());
        let clamp = |from: i64, to: i64, first: i64, end: i64| (from.clamp(first, end - 1), to.clamp(first + 1, end));
        let (left, right) = clamp(wanted.x.into(), wanted.right(), input.x.into(), input.right());
        let (top, bottom) = clamp(wanted.y.into(), wanted.bottom(), input.y.into(), input.bottom());
        Rect::from_edges(left, top, right, bottom)
    }

    /// A band reads the radius above and below itself.
    fn fewest_rows(&self) -> u32 {
        (2 * self.radius()).clamp(8, 128)
    }

    fn weight(&self) -> f32 {
        let rows = self.reach.len() as f32;
        match self.kind {
            Values::Bytes => 10.0 + 6.0 * rows,
            Values::Alpha => 5.0 + 2.0 * rows,
            Values::Floats => 100.0 * rows * rows,
        }
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
        if rect.is_empty() {
            return Ok(());
        }
        match (self.kind, view.format().has_alpha()) {
            (Values::Floats, _) => {
                let window = self.window(&view, rect, view.outside(), |y, x| view.row(y)[x]);
                self.floats(&window, output, cancel)
            }
            (kind, true) => {
                let window = self.window(&view, rect, [0; 4], |y, x| view.row_rgba8(y)[x]);
                match kind {
                    Values::Alpha => self.bytes::<false, true>(&window, output, cancel),
                    _ => self.bytes::<true, true>(&window, output, cancel),
                }
            }
            (_, false) => {
                let window = self.window(&view, rect, [0, 0, 0, 255], |y, x| {
                    let [r, g, b] = view.row_rgb8(y)[x];
                    [r, g, b, 255]
                });
                self.bytes::<true, false>(&window, output, cancel)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Image;
    use crate::native::testing::{assert_pixel, check, noise_image, pixel, stops_when_cancelled};

    #[test]
    fn shapes_by_hand() {
        assert_eq!(Shape::Square.reach(2), [2, 2, 2, 2, 2]);
        assert_eq!(Shape::Diamond.reach(2), [0, 1, 2, 1, 0]);
        assert_eq!(Shape::Circle.reach(2), [1, 2, 2, 2, 1]);
        assert_eq!(Shape::Circle.reach(3), [1, 2, 3, 3, 3, 2, 1]);
    }

    #[test]
    fn ranks_by_hand() {
        let bytes: Vec<u8> = (1..=9).map(|n| n * 10).collect();
        let image = Image::from_rgb8(Rect::sized(3, 3), bytes.iter().map(|v| [*v; 3]).collect());
        for (percent, expected) in [("0", 10), ("7", 10), ("20", 20), ("50", 50), ("55", 50), ("80", 80), ("100", 90)] {
            for (radius, percent) in
                [("1", percent.to_owned()), ("-1", (100 - percent.parse::<i32>().unwrap()).to_string())]
            {
                let given = [("neighborhood", "square"), ("radius", radius), ("percentile", percent.as_str())];
                let out = check(&MedianBlur, &given, &[Some(&image)]);
                assert_pixel(
                    &out,
                    1,
                    1,
                    [expected as f32 / 255.0, expected as f32 / 255.0, expected as f32 / 255.0, 1.0],
                    1e-6,
                );
            }
        }
    }

    #[test]
    fn what_is_transparent_does_not_count() {
        let pixels = vec![[10, 0, 0, 255], [200, 0, 0, 100], [250, 0, 0, 0]];
        let image = Image::from_rgba8(Rect::sized(3, 1), pixels);
        let given = [("neighborhood", "square"), ("radius", "1"), ("high-precision", "false")];
        let out = check(&MedianBlur, &given, &[Some(&image)]);
        // 255 of 355 are 10; of the alphas 0, 100 and 255 the second.
        assert_pixel(&out, 1, 0, [10.0 / 255.0, 0.0, 0.0, 100.0 / 255.0], 1e-6);
        assert_pixel(&out, 2, 0, [200.0 / 255.0, 0.0, 0.0, 0.0], 1e-6);
        let given =
            [("neighborhood", "square"), ("radius", "1"), ("abyss-policy", "none"), ("alpha-percentile", "100")];
        let out = check(&MedianBlur, &given, &[Some(&image)]);
        assert_eq!(out.rect(), Rect::new(-1, -1, 5, 3));
        assert_pixel(&out, 3, 1, [0.0; 4], 0.0);
        assert_pixel(&out, -1, -1, [10.0 / 255.0, 0.0, 0.0, 1.0], 1e-6);
    }

    #[test]
    fn bytes_and_floats_agree() {
        let image = noise_image(Rect::new(-7, 5, 23, 17), Format::RGBA8);
        for shape in ["square", "circle", "diamond"] {
            for (radius, percent, abyss) in [("2", "30", "clamp"), ("-3", "90", "none")] {
                let given =
                    [("neighborhood", shape), ("radius", radius), ("percentile", percent), ("abyss-policy", abyss)];
                let bytes = check(&MedianBlur, &given, &[Some(&image)]);
                let given = [&given[..], &[("high-precision", "true")]].concat();
                let floats = check(&MedianBlur, &given, &[Some(&image)]);
                let floats = crate::native::testing::convert(&floats, Format::RGBA8);
                for (x, y) in [(-7, 5), (15, 21), (0, 9)] {
                    assert_pixel(&floats, x, y, pixel(&bytes, x, y), 1e-6);
                }
            }
        }
        assert!(stops_when_cancelled(&MedianBlur, &[], &image));
        assert_eq!(check(&MedianBlur, &[("radius", "0")], &[Some(&image)]), image);
    }
}
