//! `gegl/gaussian-blur`: blurs by a Gaussian, first along rows, then along columns.
//!
//! Small deviations use the sampled Gaussian: `n = ⌈6.5 σ⌉` weights (one more if that is even)
//! `exp(-k² / 2σ²)`, divided by their sum. Larger ones use the recursive filter of I. Young and
//! L. van Vliet, "Recursive implementation of the Gaussian filter", Signal Processing 44 (1995),
//! with the right border of B. Triggs and M. Sdika, "Boundary conditions for Young-van Vliet
//! recursive filtering", IEEE Transactions on Signal Processing 54 (2006). Its cost does not depend
//! on the deviation. Works in premultiplied linear light; alpha is blurred as a colour is. Wide blurs are done
//! on blocks of pixels (`reduced`).

mod reduced;

use std::ops::{Add, Mul, Sub};

use multiversion::multiversion;

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
    revision: 4,
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
        Ok(Gaussian::of(properties, [properties.number("std-dev-x"), properties.number("std-dev-y")]).passes())
    }

    /// Where the blur leaves nothing of what a reduced picture lacks, that one is blurred and made
    /// large again.
    fn prepare_reduced(&self, properties: &Properties, input: Reducible) -> Option<(Reduced, Vec<Pass>)> {
        let deviations = [properties.number("std-dev-x"), properties.number("std-dev-y")];
        if properties.choice("abyss-policy") != "clamp" || !properties.boolean("clip-extent") {
            return None;
        }
        let reduced = input.blurred_within(deviations[0].min(deviations[1]) / LEAST_REDUCED)?;
        // Reducing is a blur by a box of `step` pixels, whose variance is (step² - 1) / 12.
        let step = reduced.step();
        let left = |deviation: f64| (deviation * deviation - (step * step - 1.0) / 12.0).sqrt() / step;
        let mut passes = Gaussian::of(properties, deviations.map(left)).plain();
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

    /// The passes of the operation that is just this.
    fn passes(self) -> Vec<Pass> {
        reduced::passes(self).unwrap_or_else(|| self.plain())
    }

    /// The same, at full size.
    fn plain(self) -> Vec<Pass> {
        self.areas().map(Pass::Area).collect()
    }

    /// Its passes, one after another; none along an axis where the deviation is next to nothing.
    pub(super) fn areas(self) -> impl Iterator<Item = Box<dyn Area>> {
        let [across, down] = self.deviations;
        self.along(Axis::Rows, across).into_iter().chain(self.along(Axis::Columns, down))
    }

    fn along(self, axis: Axis, deviation: f64) -> Option<Box<dyn Area>> {
        let grow = if self.grow { weights(deviation).len() as u32 / 2 } else { 0 };
        let filter = self.filter(deviation)?;
        Some(Box::new(Blur { axis, filter, beyond: self.beyond, grow }))
    }

    /// None for one weight: the pixel itself.
    fn filter(self, deviation: f64) -> Option<Filter> {
        let weights = weights(deviation);
        if weights.len() == 1 {
            return None;
        }
        Some(if self.recursive.unwrap_or(deviation >= 1.0) {
            Filter::Recursive(Recursion::new(Poles::of(deviation)))
        } else {
            Filter::Weights(weights.into_iter().map(|weight| weight as f32).collect())
        })
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
    Plain([f32; 4]),
}

#[derive(Debug)]
enum Filter {
    Weights(Vec<f32>),
    Recursive(Recursion),
    /// The recursion of that deviation on blocks of the picture at a second pad.
    Blocks(f64),
}

/// Lines filtered side by side, so that one instruction works on several.
const LINES: usize = 8;

/// A place on each of [`LINES`] lines: four components each.
type Place<T> = [T; 4 * LINES];

/// Places before the first and after the last, which the recursion starts from.
const ENDS: usize = 3;

/// The numbers of a recursion.
trait Real: Copy + Default + From<f32> + Add<Output = Self> + Sub<Output = Self> + Mul<Output = Self> {
    fn of(value: f64) -> Self;
    fn single(self) -> f32;
}

impl Real for f32 {
    fn of(value: f64) -> f32 {
        value as f32
    }
    fn single(self) -> f32 {
        self
    }
}

impl Real for f64 {
    fn of(value: f64) -> f64 {
        value
    }
    fn single(self) -> f32 {
        self as f32
    }
}

/// The coefficients of the recursive filter.
#[derive(Clone, Copy, Debug)]
struct Recursion<T = f64> {
    a: [T; 3],
    b: T,
    /// From the last three values of the forward run to the first three of the backward run.
    border: [[T; 3]; 3],
}

/// The poles of the recursion: a real one and a pair, as distance from 0 and angle.
#[derive(Clone, Copy, Debug)]
struct Poles {
    real: f64,
    pair: [f64; 2],
}

impl Poles {
    fn of(deviation: f64) -> Self {
        let q = if deviation >= 2.5 {
            0.98711 * deviation - 0.96330
        } else {
            3.97156 - 4.14554 * (1.0 - 0.26891 * deviation).max(0.0).sqrt()
        };
        // q / (q + m), where m are the poles of the continuous filter.
        let [re, im] = [1.10783, 1.40586];
        Poles { real: q / (q + 1.16680), pair: [q / (q + re).hypot(im), -im.atan2(q + re)] }
    }

    /// Those of a filter that takes steps of so many pixels.
    fn power(self, step: f64) -> Self {
        let [radius, angle] = self.pair;
        Poles { real: self.real.powf(step), pair: [radius.powf(step), angle * step] }
    }

    /// The variance of the filter run both ways: 2 p / (1 - p)² for each pole.
    fn variance(self) -> f64 {
        let [radius, angle] = self.pair;
        let (p, one) = (radius * angle.cos(), radius * radius);
        // (1 - p)² of the pair's product, and the real part of p (1 - p*)².
        let distance = 1.0 - 2.0 * p + one;
        let pair = (p - 2.0 * one + one * p) / (distance * distance);
        2.0 * (self.real / (1.0 - self.real).powi(2) + 2.0 * pair)
    }
}

impl Recursion {
    fn new(poles: Poles) -> Self {
        let Poles { real, pair: [radius, angle] } = poles;
        let (twice, square) = (2.0 * radius * angle.cos(), radius * radius);
        let (a1, a2, a3) = (real + twice, -(real * twice + square), real * square);
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

    fn with<T: Real>(&self) -> Recursion<T> {
        Recursion { a: self.a.map(T::of), b: T::of(self.b), border: self.border.map(|row| row.map(T::of)) }
    }
}

impl<T: Real> Recursion<T> {
    /// Filters lines in place, from place [`ENDS`] to as many before the end; `left` and `right` lie
    /// beyond.
    ///
    /// The border gives the filtered value at the last place and at two more. GEGL takes them for those
    /// after the last, as if the picture's end came a place later, and so does this; for lines of
    /// blocks, `late` says where and by how much.
    #[inline(always)]
    fn run(&self, line: &mut [Place<T>], left: &Place<T>, right: &Place<T>, late: Option<Late<T>>) {
        let last = line.len() - ENDS - 1;
        line[..ENDS].fill(*left);
        for at in ENDS..=last {
            let (before, rest) = line.split_at_mut(at);
            self.step(&mut rest[0], [&before[at - 1], &before[at - 2], &before[at - 3]]);
        }
        let end = if let Some(late) = late {
            late.apply(&mut line[ENDS..=last]);
            last
        } else {
            last + 1
        };
        let values = self.border.map(|row| {
            let mut value = *right;
            for (lane, v) in value.iter_mut().enumerate() {
                for (k, m) in row.iter().enumerate() {
                    *v = *v + *m * (line[last - k][lane] - right[lane]);
                }
            }
            value
        });
        line[end..end + ENDS].copy_from_slice(&values);
        for at in (ENDS..end).rev() {
            let (rest, after) = line.split_at_mut(at + 1);
            self.step(&mut rest[at], [&after[0], &after[1], &after[2]]);
        }
    }

    #[inline(always)]
    fn step(&self, place: &mut Place<T>, last: [&Place<T>; 3]) {
        let [a1, a2, a3] = self.a;
        for (lane, v) in place.iter_mut().enumerate() {
            // What depends on the step before comes last: all else need not wait for it.
            *v = (self.b * *v + a3 * last[2][lane] + a2 * last[1][lane]) + a1 * last[0][lane];
        }
    }
}

/// What lies beyond the picture's end comes a pixel later: a part of a place, where places are blocks.
#[derive(Clone, Copy, Debug)]
struct Late<T> {
    /// The first place of which a part lies beyond, and that part.
    first: usize,
    part: T,
    /// One over the pixels of a block.
    share: T,
}

impl<T: Real> Late<T> {
    #[inline(always)]
    fn apply(&self, line: &mut [Place<T>]) {
        for at in (self.first..line.len()).rev() {
            let share = if at == self.first { self.part * self.share } else { self.share };
            let before = line[at - 1];
            line[at].iter_mut().zip(before).for_each(|(v, before)| *v = *v + share * (before - *v));
        }
    }
}

#[multiversion(targets("x86_64+avx2"))]
fn run_single(
    recursion: &Recursion<f32>,
    line: &mut [Place<f32>],
    left: &Place<f32>,
    right: &Place<f32>,
    late: Option<Late<f32>>,
) {
    recursion.run(line, left, right, late);
}

#[multiversion(targets("x86_64+avx2"))]
fn run_double(
    recursion: &Recursion<f64>,
    line: &mut [Place<f64>],
    left: &Place<f64>,
    right: &Place<f64>,
    late: Option<Late<f64>>,
) {
    recursion.run(line, left, right, late);
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
    nothing: [f32; 4],
}

impl Reader<'_> {
    /// Reads `line.len()` places from `start` along `LINES` lines from `first`, `count` of which
    /// there are. Places outside the input stay `nothing`.
    fn read<T: Real>(&self, first: i32, count: usize, start: i64, line: &mut [Place<T>]) {
        let rect = self.view.rect();
        let (from, to) = match self.axis {
            Axis::Rows => (i64::from(rect.x), rect.right()),
            Axis::Columns => (i64::from(rect.y), rect.bottom()),
        };
        let (from, to) = (start.max(from), (start + line.len() as i64).min(to));
        let outside = plain(self.nothing);
        line[..(from - start).max(0) as usize].fill(outside);
        line[(to - start).max(0) as usize..].fill(outside);
        let inside = &mut line[(from - start).max(0) as usize..(to - start).max(0) as usize];
        match self.axis {
            Axis::Rows => {
                let at = (from - i64::from(rect.x)) as usize;
                for i in 0..count {
                    let row = &self.view.row(first + i as i32)[at..];
                    for (place, pixel) in inside.iter_mut().zip(row) {
                        place.as_chunks_mut::<4>().0[i] = pixel.map(T::from);
                    }
                }
            }
            Axis::Columns => {
                let at = (i64::from(first) - i64::from(rect.x)) as usize;
                for (y, place) in (from..).zip(inside) {
                    let pixels = &self.view.row(y as i32)[at..at + count];
                    for (place, pixel) in place.as_chunks_mut::<4>().0.iter_mut().zip(pixels) {
                        *place = pixel.map(T::from);
                    }
                }
            }
        }
    }
}

/// The same pixel on all lines.
fn plain<T: Real>(pixel: [f32; 4]) -> Place<T> {
    let mut place = [T::default(); 4 * LINES];
    place.as_chunks_mut::<4>().0.fill(pixel.map(T::from));
    place
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
    fn ends<T: Real>(&self, line: &[Place<T>], nothing: [f32; 4]) -> (Place<T>, Place<T>) {
        match self.beyond {
            Beyond::Edge => (line[0], line[line.len() - 1]),
            Beyond::Nothing => (plain(nothing), plain(nothing)),
            Beyond::Plain(pixel) => (plain(pixel), plain(pixel)),
        }
    }

    /// Writes places of filtered lines into the tile; the first place is at `start`.
    fn write<T: Real>(&self, output: &mut Tile<'_>, first: i32, count: usize, start: i64, line: &[Place<T>]) {
        let rect = output.rect();
        match self.axis {
            Axis::Rows => {
                let line = &line[(i64::from(rect.x) - start) as usize..];
                for i in 0..count {
                    for (pixel, place) in output.row_mut(first + i as i32).iter_mut().zip(line) {
                        *pixel = place.as_chunks::<4>().0[i].map(T::single);
                    }
                }
            }
            Axis::Columns => {
                let at = (first - rect.x) as usize;
                for y in i64::from(rect.y)..rect.bottom() {
                    let place = line[(y - start) as usize].as_chunks::<4>().0;
                    for (pixel, v) in output.row_mut(y as i32)[at..at + count].iter_mut().zip(place) {
                        *pixel = v.map(T::single);
                    }
                }
            }
        }
    }

    /// Filters the lines of a tile one handful after the other: `filter` has lines from `span.0` to `span.1`,
    /// with [`ENDS`] more places at both ends, and says which of them are the tile's.
    fn each<T: Real>(
        &self,
        reader: &Reader<'_>,
        span: (i64, i64),
        output: &mut Tile<'_>,
        cancel: &Cancel,
        mut filter: impl FnMut(&mut [Place<T>]) -> Result<(), OpError>,
    ) -> Result<(), OpError> {
        let lines = self.across(output.rect());
        let mut line = vec![[T::default(); 4 * LINES]; (span.1 - span.0) as usize + 2 * ENDS];
        let inside = ENDS..line.len() - ENDS;
        let mut first = lines.0;
        while first < lines.1 {
            cancel.check()?;
            let count = (lines.1 - first).min(LINES as i64) as usize;
            reader.read(first as i32, count, span.0, &mut line[inside.clone()]);
            filter(&mut line)?;
            self.write(output, first as i32, count, span.0, &line[inside.clone()]);
            first += count as i64;
        }
        Ok(())
    }
}

/// Sums weighted neighbours: one sum less than the line has places for each weight but one.
#[multiversion(targets("x86_64+avx2"))]
fn convolve(line: &[Place<f32>], sums: &mut Vec<Place<f32>>, weights: &[f32]) {
    for window in line.windows(weights.len()) {
        let mut sum = [0.0; 4 * LINES];
        for (weight, place) in weights.iter().zip(window) {
            for (sum, v) in sum.iter_mut().zip(place) {
                *sum += weight * v;
            }
        }
        sums.push(sum);
    }
}

impl Area for Blur {
    fn formats(&self, inputs: &[Option<Format>]) -> Formats {
        let format = Format::LINP.opaque_like(inputs[0].unwrap_or(Format::LINP));
        let second = inputs.get(1).copied().flatten().unwrap_or(format);
        Formats { inputs: [format, second], output: format }
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

    fn needed(&self, pad: usize, region: Rect, boxes: Boxes<'_>) -> Rect {
        let input = boxes.inputs[0].unwrap_or(region);
        if pad == 1 {
            return Rect::default();
        }
        match (&self.filter, self.axis) {
            (Filter::Weights(weights), Axis::Rows) => region.grow(weights.len() as u32 / 2, 0),
            (Filter::Weights(weights), Axis::Columns) => region.grow(0, weights.len() as u32 / 2),
            // A recursion runs along the whole line.
            (_, Axis::Rows) => Rect { x: input.x, width: input.width, ..region },
            (_, Axis::Columns) => Rect { y: input.y, height: input.height, ..region },
        }
    }

    fn split(&self) -> Split {
        match self.axis {
            Axis::Rows => Split::Rows,
            Axis::Columns => Split::Columns,
        }
    }

    fn fewest_rows(&self) -> u32 {
        2 * LINES as u32
    }

    fn weight(&self) -> f32 {
        match &self.filter {
            Filter::Recursive(_) | Filter::Blocks(_) => 6.0,
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
        let nothing: [f32; 4] = [0.0, 0.0, 0.0, if output.format().has_alpha() { 0.0 } else { 1.0 }];
        let reader = Reader { view, axis: self.axis, nothing };
        let whole = self.along(self.bounds(boxes)?);
        let there = self.along(boxes.inputs[0].ok_or(OpError::MissingInput("input"))?);
        match &self.filter {
            Filter::Recursive(recursion) => self.each(&reader, whole, output, cancel, |line| {
                let (left, right) = self.ends(&line[ENDS..line.len() - ENDS], nothing);
                run_double(recursion, line, &left, &right, None);
                Ok(())
            }),
            Filter::Blocks(deviation) => {
                let picture = boxes.inputs[1].ok_or(OpError::MissingInput("input"))?;
                let reduced::Line { recursion, late, wide } = reduced::line(*deviation, self.along(picture));
                if wide {
                    return self.each(&reader, whole, output, cancel, |line| {
                        let (left, right) = self.ends(&line[ENDS..line.len() - ENDS], nothing);
                        run_double(&recursion, line, &left, &right, Some(late));
                        Ok(())
                    });
                }
                let recursion = recursion.with();
                let late = Late { first: late.first, part: late.part as f32, share: late.share as f32 };
                self.each(&reader, whole, output, cancel, |line| {
                    let (left, right) = self.ends(&line[ENDS..line.len() - ENDS], nothing);
                    run_single(&recursion, line, &left, &right, Some(late));
                    Ok(())
                })
            }
            Filter::Weights(weights) => {
                let (half, tile) = ((weights.len() / 2) as i64, self.along(rect));
                let span = (tile.0 - half, tile.1 + half);
                // Where the box grows the weights see what lies beyond the input; a recursion
                // sees the zeros that the line was made longer by.
                let inside = ((there.0 - span.0).max(0) as usize, (there.1.min(span.1) - span.0).max(0) as usize);
                let mut sums = Vec::new();
                self.each(&reader, span, output, cancel, |line| {
                    let ends = line.len() - ENDS;
                    let line = &mut line[ENDS..ends];
                    let (left, right) = self.ends(&line[inside.0..inside.1], nothing);
                    line[..inside.0].fill(left);
                    line[inside.1..].fill(right);
                    sums.clear();
                    let places = line.len() + 1 - weights.len();
                    for start in (0..places).step_by(64) {
                        cancel.check()?;
                        let end = (start + 64).min(places) + weights.len() - 1;
                        convolve(&line[start..end], &mut sums, weights);
                    }
                    line[weights.len() / 2..][..places].copy_from_slice(&sums);
                    Ok(())
                })
            }
        }
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
            let blurred = crate::format::convert(&blurred, Format::LINP).unwrap();
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
