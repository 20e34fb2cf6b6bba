//! `gegl/gaussian-blur`: blurs by a Gaussian, first along rows, then along columns.
//!
//! Small deviations use the sampled Gaussian: `n = ⌈6.5 σ⌉` weights (one more if that is even)
//! `exp(-k² / 2σ²)`, divided by their sum. Larger ones use the recursive filter of I. Young and
//! L. van Vliet, "Recursive implementation of the Gaussian filter", Signal Processing 44 (1995),
//! with the right border of B. Triggs and M. Sdika, "Boundary conditions for Young-van Vliet
//! recursive filtering", IEEE Transactions on Signal Processing 54 (2006). Its cost does not depend
//! on the deviation. Works in premultiplied linear light; alpha is blurred as a colour is.

use super::scale::Scale;
use crate::{
    Area, Boxes, Cancel, Format, Formats, Info, Kind, OpError, Operation, Pad, Pass, Properties, Property, Rect,
    Reduced, Reducible, Split, Tile, View,
};

const DEVIATION: Kind = Kind::Number { default: 1.5, minimum: 0.0, maximum: 1500.0 };

const INFO: Info = Info {
    name: "gegl/gaussian-blur",
    aliases: &[],
    categories: &["blur"],
    title: "Gaussian Blur",
    description: "Each pixel becomes a mean of its neighbours, weighted by a Gaussian.",
    inputs: &[Pad::INPUT],
    properties: &[
        Property {
            name: "std-dev-x",
            description: "Standard deviation along rows, in pixels: how far it blurs sideways",
            kind: DEVIATION,
        },
        Property {
            name: "std-dev-y",
            description: "Standard deviation along columns, in pixels: how far it blurs up and down",
            kind: DEVIATION,
        },
        Property {
            name: "filter",
            description: "How it is computed: fir sums weights, iir is recursive; auto takes fir below a deviation of 1",
            kind: Kind::Enum { default: "auto", values: &["auto", "fir", "iir"] },
        },
        Property {
            name: "abyss-policy",
            description: "What lies beyond the edges: nothing, the edge's own pixels, black or white",
            kind: Kind::Enum { default: "clamp", values: &["none", "clamp", "black", "white"] },
        },
        Property {
            name: "clip-extent",
            description: "Keep the size of the input; when off, the picture grows by the reach of the blur",
            kind: Kind::Boolean { default: true },
        },
    ],
    revision: 2,
};

/// The operation `gegl/gaussian-blur`.
#[derive(Debug)]
pub struct GaussianBlur;

impl Operation for GaussianBlur {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn lengths(&self) -> &'static [&'static str] {
        &["std-dev-x", "std-dev-y"]
    }

    fn prepare(&self, properties: &Properties) -> Result<Vec<Pass>, OpError> {
        let blur = Gaussian::of(properties, [properties.number("std-dev-x"), properties.number("std-dev-y")]);
        Ok(blur.areas().map(Pass::Area).collect())
    }

    /// Where the blur leaves nothing of what a reduced picture lacks, that one is blurred and made
    /// large again.
    fn prepare_reduced(&self, properties: &Properties, input: Reducible) -> Option<(Reduced, Vec<Pass>)> {
        let deviations = [properties.number("std-dev-x"), properties.number("std-dev-y")];
        if properties.choice("abyss-policy") != "clamp" || !properties.boolean("clip-extent") {
            return None;
        }
        let reduced = input.within(deviations[0].min(deviations[1]) / LEAST_REDUCED)?;
        // Reducing is a blur by a box of `step` pixels, whose variance is (step² - 1) / 12.
        let step = reduced.step();
        let left = |deviation: f64| (deviation * deviation - (step * step - 1.0) / 12.0).sqrt() / step;
        let mut passes: Vec<_> = Gaussian::of(properties, deviations.map(left)).areas().map(Pass::Area).collect();
        passes.push(Scale::enlarge(reduced));
        Some((reduced, passes))
    }
}

/// Least deviation that is left to do in a reduced picture, in its pixels: what is lost below is
/// then less than half a step of 255.
const LEAST_REDUCED: f64 = 4.0;

/// A blur, for this operation and for those that blur among other things.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gaussian {
    /// Standard deviations along x and y, pixels.
    pub deviations: [f64; 2],
    /// What lies beyond the edges.
    pub beyond: Beyond,
    /// True for the recursive filter, false for the sum, `None` for what suits the deviation.
    pub recursive: Option<bool>,
    /// True when the box grows by the reach of the weights.
    pub grow: bool,
}

impl Gaussian {
    /// The same deviation both ways; edges go on, and the box stays.
    pub(super) fn new(deviation: f64) -> Self {
        Gaussian { deviations: [deviation; 2], beyond: Beyond::Edge, recursive: None, grow: false }
    }

    /// What the ports of the operation say, with other deviations.
    fn of(properties: &Properties, deviations: [f64; 2]) -> Self {
        let beyond = match properties.choice("abyss-policy") {
            "none" => Beyond::Nothing,
            "black" => Beyond::Plain([0.0, 0.0, 0.0, 1.0]),
            "white" => Beyond::Plain([1.0; 4]),
            _ => Beyond::Edge,
        };
        let recursive = match properties.choice("filter") {
            "fir" => Some(false),
            "iir" => Some(true),
            _ => None,
        };
        Gaussian { deviations, beyond, recursive, grow: !properties.boolean("clip-extent") }
    }

    /// Its passes, one after another; none along an axis where the deviation is next to nothing.
    pub(super) fn areas(self) -> impl Iterator<Item = Box<dyn Area>> {
        let [across, down] = self.deviations;
        self.along(Axis::Rows, across).into_iter().chain(self.along(Axis::Columns, down))
    }

    fn along(self, axis: Axis, deviation: f64) -> Option<Box<dyn Area>> {
        // One weight: the pixel itself.
        let weights = weights(deviation);
        if weights.len() == 1 {
            return None;
        }
        let grow = if self.grow { weights.len() as u32 / 2 } else { 0 };
        let filter = if self.recursive.unwrap_or(deviation >= 1.0) {
            Filter::Recursive(Recursion::new(deviation))
        } else {
            Filter::Weights(weights)
        };
        Some(Box::new(Blur { axis, filter, beyond: self.beyond, grow }))
    }
}

/// The weights of a sampled Gaussian, an odd number of them; one for a deviation of 0.
fn weights(deviation: f64) -> Vec<f64> {
    let reach = ((6.5 * deviation).ceil() as i64) / 2;
    if reach == 0 {
        return vec![1.0];
    }
    let weights: Vec<f64> =
        (-reach..=reach).map(|k| (-((k * k) as f64) / (2.0 * deviation * deviation)).exp()).collect();
    let sum: f64 = weights.iter().sum();
    weights.into_iter().map(|weight| weight / sum).collect()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Axis {
    /// Along rows, x changing.
    Rows,
    /// Along columns, y changing.
    Columns,
}

/// What lies beyond the ends of a line.
#[derive(Clone, Copy, Debug)]
pub(super) enum Beyond {
    /// Nothing: transparent, or black where there is no alpha.
    Nothing,
    /// The last pixel, again and again.
    Edge,
    /// This pixel, in premultiplied linear light.
    Plain([f64; 4]),
}

#[derive(Debug)]
enum Filter {
    Weights(Vec<f64>),
    Recursive(Recursion),
}

/// Lines filtered side by side, so that one instruction works on several.
const LINES: usize = 4;

/// A place on each of [`LINES`] lines: four components each.
type Place = [f64; 4 * LINES];

/// The coefficients of the recursive filter.
#[derive(Debug)]
struct Recursion {
    a: [f64; 3],
    b: f64,
    /// From the last three values of the forward run to the first three of the backward run.
    border: [[f64; 3]; 3],
}

impl Recursion {
    fn new(deviation: f64) -> Self {
        let q = if deviation >= 2.5 {
            0.98711 * deviation - 0.96330
        } else {
            3.97156 - 4.14554 * (1.0 - 0.26891 * deviation).max(0.0).sqrt()
        };
        let (k1, k2, k3) = (2.44413 * q, 1.4281 * q * q, 0.422205 * q * q * q);
        let d = 1.57825 + k1 + k2 + k3;
        let (a1, a2, a3) = ((k1 + 2.0 * k2 + 3.0 * k3) / d, -(k2 + 3.0 * k3) / d, k3 / d);
        let c = 1.0 / ((1.0 + a1 - a2 + a3) * (1.0 + a2 + (a1 - a3) * a3));
        let border = [
            [1.0 - a2 - a3 * (a1 + a3), (a1 + a3) * (a2 + a1 * a3), a3 * (a1 + a2 * a3)],
            [a1 + a2 * a3, (1.0 - a2) * (a2 + a1 * a3), a3 * (1.0 - a1 * a3 - a3 * a3 - a2)],
            [
                a1 * a3 + a2 + a1 * a1 - a2 * a2,
                a1 * a2 + a2 * a2 * a3 - a1 * a3 * a3 - a3 * a3 * a3 - a2 * a3 + a3,
                a3 * (a1 + a2 * a3),
            ],
        ];
        Recursion { a: [a1, a2, a3], b: 1.0 - (a1 + a2 + a3), border: border.map(|row| row.map(|m| m * c)) }
    }

    /// Filters lines in place; `left` and `right` lie beyond their ends.
    fn run(&self, line: &mut [Place], left: &Place, right: &Place) {
        let mut before = [*left; 3];
        for place in line.iter_mut() {
            self.step(place, &before);
            before = [*place, before[0], before[1]];
        }
        let mut after = [*right; 3];
        for (value, row) in after.iter_mut().zip(&self.border) {
            for (k, m) in row.iter().enumerate() {
                for (lane, v) in value.iter_mut().enumerate() {
                    *v += m * (before[k][lane] - right[lane]);
                }
            }
        }
        for place in line.iter_mut().rev() {
            self.step(place, &after);
            after = [*place, after[0], after[1]];
        }
    }

    fn step(&self, place: &mut Place, last: &[Place; 3]) {
        let [a1, a2, a3] = self.a;
        for (lane, v) in place.iter_mut().enumerate() {
            *v = self.b * *v + a1 * last[0][lane] + a2 * last[1][lane] + a3 * last[2][lane];
        }
    }
}

/// One direction of the blur.
#[derive(Debug)]
struct Blur {
    axis: Axis,
    filter: Filter,
    beyond: Beyond,
    /// Pixels that the box grows by at both ends.
    grow: u32,
}

/// Lines as they are read: which pixels, and what stands in for those that are not there.
struct Reader<'a> {
    view: View<'a>,
    axis: Axis,
    /// A pixel inside the grown box, outside the input.
    nothing: [f64; 4],
}

impl Reader<'_> {
    /// Reads `line.len()` places from `start` along `LINES` lines from `first`, `count` of which
    /// there are. Places outside the input stay `nothing`.
    fn read(&self, first: i32, count: usize, start: i64, line: &mut [Place]) {
        let mut empty = [0.0; 4 * LINES];
        empty.as_chunks_mut::<4>().0.fill(self.nothing);
        line.fill(empty);
        match self.axis {
            Axis::Rows => {
                let (from, to) = (
                    start.max(i64::from(self.view.rect().x)),
                    (start + line.len() as i64).min(self.view.rect().right()),
                );
                for i in 0..count {
                    let row = self.view.row(first + i as i32);
                    for x in from..to {
                        let pixel = row[(x - i64::from(self.view.rect().x)) as usize];
                        line[(x - start) as usize].as_chunks_mut::<4>().0[i] = pixel.map(f64::from);
                    }
                }
            }
            Axis::Columns => {
                let (from, to) = (
                    start.max(i64::from(self.view.rect().y)),
                    (start + line.len() as i64).min(self.view.rect().bottom()),
                );
                for y in from..to {
                    let at = (i64::from(first) - i64::from(self.view.rect().x)) as usize;
                    let pixels = &self.view.row(y as i32)[at..at + count];
                    for (place, pixel) in line[(y - start) as usize].as_chunks_mut::<4>().0.iter_mut().zip(pixels) {
                        *place = pixel.map(f64::from);
                    }
                }
            }
        }
    }
}

impl Blur {
    /// The extent of a box along the filter's direction.
    fn along(&self, rect: Rect) -> (i64, i64) {
        match self.axis {
            Axis::Rows => (i64::from(rect.x), rect.right()),
            Axis::Columns => (i64::from(rect.y), rect.bottom()),
        }
    }

    /// The extent of a box across the filter's direction.
    fn across(&self, rect: Rect) -> (i64, i64) {
        match self.axis {
            Axis::Rows => (i64::from(rect.y), rect.bottom()),
            Axis::Columns => (i64::from(rect.x), rect.right()),
        }
    }

    /// What lies beyond both ends of lines that have been read whole.
    fn ends(&self, line: &[Place], nothing: [f64; 4]) -> (Place, Place) {
        let plain = |pixel: [f64; 4]| {
            let mut place = [0.0; 4 * LINES];
            place.as_chunks_mut::<4>().0.fill(pixel);
            place
        };
        match self.beyond {
            Beyond::Edge => (line[0], line[line.len() - 1]),
            Beyond::Nothing => (plain(nothing), plain(nothing)),
            Beyond::Plain(pixel) => (plain(pixel), plain(pixel)),
        }
    }

    /// Writes places of filtered lines into the tile; the first place is at `start`.
    fn write(&self, output: &mut Tile<'_>, first: i32, count: usize, start: i64, line: &[Place]) {
        let rect = output.rect();
        match self.axis {
            Axis::Rows => {
                for i in 0..count {
                    for (x, pixel) in (i64::from(rect.x)..).zip(output.row_mut(first + i as i32)) {
                        *pixel = line[(x - start) as usize].as_chunks::<4>().0[i].map(|v| v as f32);
                    }
                }
            }
            Axis::Columns => {
                let at = (first - rect.x) as usize;
                for y in i64::from(rect.y)..rect.bottom() {
                    let place = line[(y - start) as usize].as_chunks::<4>().0;
                    for (pixel, v) in output.row_mut(y as i32)[at..at + count].iter_mut().zip(place) {
                        *pixel = v.map(|v| v as f32);
                    }
                }
            }
        }
    }
}

/// Sums weighted neighbours: `line` is longer than the result by one less than the weights.
fn convolve(line: &[Place], weights: &[f64], cancel: &Cancel) -> Result<Vec<Place>, OpError> {
    let mut result = Vec::new();
    for (i, window) in line.windows(weights.len()).enumerate() {
        if i % 64 == 0 {
            cancel.check()?;
        }
        let mut sum = [0.0; 4 * LINES];
        for (weight, place) in weights.iter().zip(window) {
            for (sum, v) in sum.iter_mut().zip(place) {
                *sum += weight * v;
            }
        }
        result.push(sum);
    }
    Ok(result)
}

impl Area for Blur {
    fn formats(&self, inputs: &[Option<Format>]) -> Formats {
        let format = Format::LINP.opaque_like(inputs[0].unwrap_or(Format::LINP));
        Formats { inputs: [format; 2], output: format }
    }

    fn bounds(&self, boxes: Boxes<'_>) -> Result<Rect, OpError> {
        let input = boxes.inputs[0].ok_or(OpError::MissingInput("input"))?;
        if input.is_infinite() {
            return Err(OpError::Invalid("a picture without bounds cannot be blurred: crop it first".into()));
        }
        Ok(match self.axis {
            Axis::Rows => input.grow(self.grow, 0),
            Axis::Columns => input.grow(0, self.grow),
        })
    }

    fn needed(&self, _pad: usize, region: Rect, boxes: Boxes<'_>) -> Rect {
        let input = boxes.inputs[0].unwrap_or(region);
        match (&self.filter, self.axis) {
            // A recursion runs along the whole line.
            (Filter::Recursive(_), Axis::Rows) => Rect { x: input.x, width: input.width, ..region },
            (Filter::Recursive(_), Axis::Columns) => Rect { y: input.y, height: input.height, ..region },
            (Filter::Weights(weights), Axis::Rows) => region.grow(weights.len() as u32 / 2, 0),
            (Filter::Weights(weights), Axis::Columns) => region.grow(0, weights.len() as u32 / 2),
        }
    }

    fn split(&self) -> Split {
        match self.axis {
            Axis::Rows => Split::Rows,
            Axis::Columns => Split::Columns,
        }
    }

    fn weight(&self) -> f32 {
        match &self.filter {
            Filter::Recursive(_) => 6.0,
            Filter::Weights(weights) => 2.0 + weights.len() as f32 / 2.0,
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
        let rect = output.rect();
        if rect.is_empty() {
            return Ok(());
        }
        // An opaque format keeps 1 in the place of alpha.
        let nothing = [0.0, 0.0, 0.0, if output.format().has_alpha() { 0.0 } else { 1.0 }];
        let reader = Reader { view, axis: self.axis, nothing };
        let whole = self.along(self.bounds(boxes)?);
        let there = self.along(boxes.inputs[0].ok_or(OpError::MissingInput("input"))?);
        let (tile, lines) = (self.along(rect), self.across(rect));
        let span = match &self.filter {
            Filter::Recursive(_) => whole,
            Filter::Weights(weights) => {
                let half = (weights.len() / 2) as i64;
                (tile.0 - half, tile.1 + half)
            }
        };
        let mut line = vec![[0.0; 4 * LINES]; (span.1 - span.0) as usize];
        let mut first = lines.0;
        while first < lines.1 {
            cancel.check()?;
            let count = (lines.1 - first).min(LINES as i64) as usize;
            reader.read(first as i32, count, span.0, &mut line);
            match &self.filter {
                Filter::Recursive(recursion) => {
                    let (left, right) = self.ends(&line, nothing);
                    recursion.run(&mut line, &left, &right);
                    self.write(output, first as i32, count, span.0, &line);
                }
                Filter::Weights(weights) => {
                    // Where the box grows the weights see what lies beyond the input; a recursion
                    // sees the zeros that the line was made longer by.
                    let inside = ((there.0 - span.0).max(0) as usize, (there.1.min(span.1) - span.0).max(0) as usize);
                    let (left, right) = self.ends(&line[inside.0..inside.1], nothing);
                    line[..inside.0].fill(left);
                    line[inside.1..].fill(right);
                    self.write(output, first as i32, count, tile.0, &convolve(&line, weights, cancel)?);
                }
            }
            first += count as i64;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Image;
    use crate::native::testing::{assert_pixel, check, noise_image, pixel, stops_when_cancelled};

    /// Black, but for one white opaque pixel in the middle; `side` is odd.
    fn dot(side: u32) -> Image {
        let mut pixels = vec![[0.0, 0.0, 0.0, 1.0]; (side * side) as usize];
        pixels[(side * side / 2) as usize] = [1.0; 4];
        Image::from_float(Rect::sized(side, side), Format::LINP, pixels)
    }

    #[test]
    fn weights_are_a_gaussian_of_odd_length() {
        assert_eq!(weights(0.0), [1.0]);
        // ⌈6.5 × 0.5⌉ = 4, made odd: 5.
        let w = weights(0.5);
        assert_eq!(w.len(), 5);
        assert!((w[1] / w[2] - (-2.0f64).exp()).abs() < 1e-12);
        assert!((w[0] / w[2] - (-8.0f64).exp()).abs() < 1e-12);
        assert!((w.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        assert_eq!(weights(5.0).len(), 33);
    }

    #[test]
    fn a_small_blur_of_a_dot_is_the_product_of_weights() {
        let w = weights(0.5);
        let blurred = check(&GaussianBlur, &[("std-dev-x", "0.5"), ("std-dev-y", "0.5")], &[Some(&dot(9))]);
        for (dx, wx) in (-2..).zip(&w) {
            for (dy, wy) in (-2..).zip(&w) {
                let v = (wx * wy) as f32;
                assert_pixel(&blurred, 4 + dx, 4 + dy, [v, v, v, 1.0], 1e-6);
            }
        }
        assert_pixel(&blurred, 1, 4, [0.0, 0.0, 0.0, 1.0], 1e-7);
    }

    #[test]
    fn a_recursive_blur_of_a_dot_is_nearly_a_gaussian() {
        let deviation = 4.0f64;
        let blurred = check(&GaussianBlur, &[("std-dev-x", "4"), ("std-dev-y", "4")], &[Some(&dot(61))]);
        let peak = 1.0 / (2.0 * std::f64::consts::PI * deviation * deviation);
        for (dx, dy) in [(0, 0), (4, 0), (0, 4), (-4, 0), (8, 3)] {
            let expected = peak * (-f64::from(dx * dx + dy * dy) / (2.0 * deviation * deviation)).exp();
            let found = f64::from(pixel(&blurred, 30 + dx, 30 + dy)[0]);
            assert!((found - expected).abs() < peak * 0.05, "({dx}, {dy}): {found}, {expected}");
        }
    }

    #[test]
    fn a_plane_stays_a_plane_whatever_the_deviation() {
        let plane = Image::from_float(Rect::new(-3, 4, 20, 11), Format::LINP, vec![[0.2, 0.3, 0.4, 0.5]; 220]);
        for deviation in ["0.7", "1", "2.4", "3", "40", "1500"] {
            let given = [("std-dev-x", deviation), ("std-dev-y", deviation)];
            let blurred = check(&GaussianBlur, &given, &[Some(&plane)]);
            assert_eq!(blurred.rect(), plane.rect());
            for (x, y) in [(-3, 4), (16, 14), (5, 9)] {
                assert_pixel(&blurred, x, y, [0.2, 0.3, 0.4, 0.5], 1e-5);
            }
        }
    }

    #[test]
    fn what_lies_beyond_shows_at_the_edges() {
        let white = Image::from_float(Rect::sized(64, 8), Format::LINP, vec![[1.0; 4]; 512]);
        let across = |policy, deviation| {
            let given = [("std-dev-x", deviation), ("std-dev-y", "0"), ("abyss-policy", policy)];
            pixel(&check(&GaussianBlur, &given, &[Some(&white)]), 0, 3)
        };
        for deviation in ["0.8", "5"] {
            assert!(across("clamp", deviation).iter().all(|v| (v - 1.0).abs() < 1e-5));
            assert!(across("white", deviation).iter().all(|v| (v - 1.0).abs() < 1e-5));
            // The edge pixel sees itself and half of the rest.
            let none = across("none", deviation);
            assert!(none[0] > 0.5 && none[0] < 0.8 && (none[0] - none[3]).abs() < 1e-6, "{none:?}");
            let black = across("black", deviation);
            assert!((black[0] - none[0]).abs() < 1e-6 && (black[3] - 1.0).abs() < 1e-5, "{black:?}");
        }
    }

    #[test]
    fn the_right_edge_mirrors_the_left() {
        // The border of the recursion makes a finite line behave as an endless one.
        let row: Vec<[f32; 4]> = (0..40).map(|i| if i % 40 < 20 { [1.0; 4] } else { [0.0; 4] }).collect();
        let turned: Vec<[f32; 4]> = row.iter().rev().copied().collect();
        let blur = |pixels: Vec<[f32; 4]>| {
            let image = Image::from_float(Rect::sized(40, 1), Format::LINP, pixels);
            check(&GaussianBlur, &[("std-dev-x", "6"), ("std-dev-y", "0")], &[Some(&image)])
        };
        let (row, turned) = (blur(row), blur(turned));
        for x in 0..40 {
            assert_pixel(&turned, 39 - x, 0, pixel(&row, x, 0), 2e-3);
        }
    }

    #[test]
    fn without_clipping_it_grows_and_fades_out() {
        let white = Image::from_float(Rect::sized(10, 10), Format::LINP, vec![[1.0; 4]; 100]);
        for filter in ["fir", "iir"] {
            let given = [
                ("std-dev-x", "5"),
                ("std-dev-y", "1.5"),
                ("filter", filter),
                ("clip-extent", "false"),
                ("abyss-policy", "none"),
            ];
            let blurred = check(&GaussianBlur, &given, &[Some(&white)]);
            // n = 33 and 11: 16 and 5 more at each end.
            assert_eq!(blurred.rect(), Rect::new(-16, -5, 42, 20));
            assert!(pixel(&blurred, -16, 5)[3] < 0.01);
            let sum: f32 = crate::native::testing::all_pixels(&blurred).iter().map(|p| p[3]).sum();
            assert!((sum - 100.0).abs() < 1.5, "{filter}: {sum}");
        }
        // With the edge's own pixels beyond the edge a sum of weights sees white everywhere.
        let given = [("std-dev-x", "5"), ("std-dev-y", "0"), ("filter", "fir"), ("clip-extent", "false")];
        let blurred = check(&GaussianBlur, &given, &[Some(&white)]);
        assert_pixel(&blurred, -16, 5, [1.0; 4], 1e-6);
    }

    #[test]
    fn an_opaque_picture_stays_opaque() {
        let image = noise_image(Rect::sized(30, 20), Format::RGB8);
        for (policy, deviation) in [("none", "0.9"), ("none", "7"), ("clamp", "3")] {
            let given = [("std-dev-x", deviation), ("std-dev-y", deviation), ("abyss-policy", policy)];
            let blurred = check(&GaussianBlur, &given, &[Some(&image)]);
            assert!(!blurred.format().has_alpha());
            assert!((pixel(&blurred, 0, 0)[3] - 1.0).abs() < 1e-5);
        }
    }

    #[test]
    fn any_tiling_gives_the_same() {
        for rect in [Rect::new(-5, 9, 37, 29), Rect::sized(1, 1), Rect::sized(2, 50), Rect::sized(3, 3)] {
            let image = noise_image(rect, Format::RGBA8);
            for deviation in ["0.6", "2", "11"] {
                for clip in ["true", "false"] {
                    let given = [("std-dev-x", deviation), ("std-dev-y", deviation), ("clip-extent", clip)];
                    check(&GaussianBlur, &given, &[Some(&image)]);
                }
            }
        }
    }

    #[test]
    fn it_stops_when_cancelled() {
        let image = noise_image(Rect::sized(64, 64), Format::RGBA8);
        assert!(stops_when_cancelled(&GaussianBlur, &[("std-dev-x", "9")], &image));
    }
}
