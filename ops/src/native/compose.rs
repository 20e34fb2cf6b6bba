//! What operations on two pictures share: where the two meet, and where only one is.

use std::fmt::Debug;
use std::ops::Range;

use crate::{
    Area, Boxes, Cancel, Format, Formats, Info, Kind, OpError, Operation, Pad, Pass, Properties, Property, Rect, Tile,
    View,
};

/// The pads of a compositor; where only one is connected, its picture goes through unchanged.
pub(super) const PADS: &[Pad] = &[Pad { name: "input", required: false }, Pad { name: "aux", required: false }];

/// The one property of the SVG compositors.
pub(super) const SRGB: Property = Property {
    name: "srgb",
    description: "Compose sRGB-coded values instead of light, as web browsers do.",
    kind: Kind::Boolean { default: false },
};

/// How two pictures become one. Rows are in the formats of [`Mix::formats`].
pub(super) trait Mix: Debug + Send + Sync {
    /// As [`Area::formats`]; float formats all.
    fn formats(&self, inputs: &[Option<Format>]) -> Formats;

    /// As [`Area::bounds`]: the box around both, unless the formula says less.
    fn bounds(&self, boxes: Boxes<'_>) -> Result<Rect, OpError> {
        around(boxes)
    }

    /// As [`Area::passthrough`].
    fn passthrough(&self, boxes: Boxes<'_>) -> Option<usize>;

    /// Where both are: `row` holds `input` and becomes the output, in the output's `format`.
    fn both(&self, row: &mut [[f32; 4]], aux: &[[f32; 4]], format: Format);

    /// Where only `input` is; `connected` says that there is an `aux` elsewhere.
    fn input_alone(&self, row: &mut [[f32; 4]], connected: bool, format: Format);

    /// Where only `aux` is: `row` holds what is outside of a picture ([`outside`]) and
    /// becomes the output.
    fn aux_alone(&self, row: &mut [[f32; 4]], aux: &[[f32; 4]]);

    /// As [`Area::weight`].
    fn weight(&self) -> f32;
}

/// Runs a [`Mix`] over the box around both pictures.
#[derive(Debug)]
pub(super) struct Compositor<M>(pub(super) M);

impl<M: Mix + 'static> Compositor<M> {
    /// The one pass of an operation that is just this.
    pub(super) fn passes(mix: M) -> Vec<Pass> {
        vec![Pass::Area(Box::new(Compositor(mix)))]
    }
}

impl<M: Mix> Area for Compositor<M> {
    fn formats(&self, inputs: &[Option<Format>]) -> Formats {
        self.0.formats(inputs)
    }

    fn bounds(&self, boxes: Boxes<'_>) -> Result<Rect, OpError> {
        self.0.bounds(boxes)
    }

    fn passthrough(&self, boxes: Boxes<'_>) -> Option<usize> {
        self.0.passthrough(boxes)
    }

    fn needed(&self, _pad: usize, region: Rect, _boxes: Boxes<'_>) -> Rect {
        region
    }

    fn weight(&self) -> f32 {
        self.0.weight()
    }

    fn render(
        &self,
        inputs: &[Option<View<'_>>],
        _boxes: Boxes<'_>,
        output: &mut Tile<'_>,
        cancel: &Cancel,
    ) -> Result<(), OpError> {
        let (rect, format) = (output.rect(), output.format());
        let connected = inputs[1].is_some();
        let outside = outside(format);
        for y in rows(rect) {
            cancel.check()?;
            let row = output.row_mut(y);
            let input = match Span::find(inputs[0], rect, y) {
                Some((span, view)) => {
                    span.copy(view.row(y), row, outside);
                    span.range()
                }
                None => {
                    row.fill(outside);
                    0..0
                }
            };
            let (aux, pixels) = match Span::find(inputs[1], rect, y) {
                Some((span, view)) => (span.range(), span.of(view.row(y))),
                None => (0..0, &[][..]),
            };
            // What both cover; an empty range where the two do not meet.
            let start = aux.start.clamp(input.start, input.end);
            let end = aux.end.clamp(start, input.end);
            self.0.input_alone(&mut row[input.start..start], connected, format);
            self.0.input_alone(&mut row[end..input.end], connected, format);
            if start < end {
                self.0.both(&mut row[start..end], &pixels[start - aux.start..end - aux.start], format);
            }
            let left = input.start.clamp(aux.start, aux.end);
            let right = input.end.clamp(left, aux.end);
            self.0.aux_alone(&mut row[aux.start..left], &pixels[..left - aux.start]);
            self.0.aux_alone(&mut row[right..aux.end], &pixels[right - aux.start..]);
        }
        Ok(())
    }
}

/// The box around both pictures, or that of the only one.
fn around(boxes: Boxes<'_>) -> Result<Rect, OpError> {
    match [boxes.inputs[0], boxes.inputs[1]] {
        [Some(input), Some(aux)] => Ok(input.union(&aux)),
        [Some(rect), None] | [None, Some(rect)] => Ok(rect),
        [None, None] => Err(OpError::MissingInput("input")),
    }
}

/// What a float picture is outside its box: transparent, or black where it has no alpha.
pub(super) fn outside(format: Format) -> [f32; 4] {
    if format.has_alpha() { [0.0; 4] } else { [0.0, 0.0, 0.0, 1.0] }
}

/// The rows of a box.
pub(super) fn rows(rect: Rect) -> impl Iterator<Item = i32> {
    (i64::from(rect.y)..rect.bottom()).map(|y| y as i32)
}

/// Where the row of an input lies in the row of an output; never empty.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    /// First pixel of the output's row that the input covers.
    start: usize,
    /// Pixels of the input's row before that one.
    skip: usize,
    /// Pixels covered.
    len: usize,
}

impl Span {
    /// The part of row `y` of `output` that `input` covers, with the input, if there is one.
    pub(super) fn find<'a>(input: Option<View<'a>>, output: Rect, y: i32) -> Option<(Span, View<'a>)> {
        let input = input?;
        let both = Rect { y, height: 1, ..output }.intersect(&input.rect());
        let from = |left: i32| (i64::from(both.x) - i64::from(left)) as usize;
        (!both.is_empty())
            .then(|| (Span { start: from(output.x), skip: from(input.rect().x), len: both.width as usize }, input))
    }

    /// The part of the output's row that is covered.
    fn range(self) -> Range<usize> {
        self.start..self.start + self.len
    }

    /// The part of the input's row `source` that covers it.
    fn of<T>(self, source: &[T]) -> &[T] {
        &source[self.skip..][..self.len]
    }

    /// Copies that part to the output's row `target` and writes `outside` around it.
    pub(super) fn copy<T: Copy>(self, source: &[T], target: &mut [T], outside: T) {
        let (before, rest) = target.split_at_mut(self.start);
        let (inside, after) = rest.split_at_mut(self.len);
        before.fill(outside);
        inside.copy_from_slice(self.of(source));
        after.fill(outside);
    }
}

/// A formula over a row of premultiplied pixels, as [`Mix::both`].
pub(super) type Formula = fn(&mut [[f32; 4]], &[[f32; 4]]);

/// Which pictures stay where the other one is not; nothing is left of one that does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stays {
    /// Either: most compositors.
    Both,
    /// `input`.
    Input,
    /// `aux`.
    Aux,
    /// Neither, and the output's box is that of `input`.
    Neither,
}

/// An SVG compositor: a formula on premultiplied pixels, and what it comes to where one of the
/// pictures is missing. Always with alpha, whatever comes in.
#[derive(Clone, Copy)]
pub(super) struct Blend {
    /// LINP or GAMP.
    format: Format,
    both: Formula,
    stays: Stays,
    weight: f32,
}

impl Blend {
    /// The passes of an SVG compositor with the property [`SRGB`].
    pub(super) fn passes(properties: &Properties, both: Formula, weight: f32) -> Vec<Pass> {
        Blend::staying(properties, both, Stays::Both, weight)
    }

    /// The same, where not both pictures stay as they are without the other.
    pub(super) fn staying(properties: &Properties, both: Formula, stays: Stays, weight: f32) -> Vec<Pass> {
        let format = if properties.boolean(SRGB.name) { Format::GAMP } else { Format::LINP };
        Compositor::passes(Blend { stays, ..Blend::new(format, both, weight) })
    }

    /// A compositor that works in `format`, LINP or GAMP.
    pub(super) fn new(format: Format, both: Formula, weight: f32) -> Self {
        Blend { format, both, stays: Stays::Both, weight }
    }

    /// True when `pad` stays where the other is not.
    fn stays(&self, pad: usize) -> bool {
        match self.stays {
            Stays::Both => true,
            Stays::Input => pad == 0,
            Stays::Aux => pad == 1,
            Stays::Neither => false,
        }
    }
}

impl Debug for Blend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Blend").field("format", &self.format).finish_non_exhaustive()
    }
}

impl Mix for Blend {
    fn formats(&self, _inputs: &[Option<Format>]) -> Formats {
        Formats { inputs: [self.format; 2], output: self.format }
    }

    fn bounds(&self, boxes: Boxes<'_>) -> Result<Rect, OpError> {
        match self.stays {
            Stays::Neither => boxes.inputs[0].ok_or(OpError::MissingInput("input")),
            _ => around(boxes),
        }
    }

    fn passthrough(&self, boxes: Boxes<'_>) -> Option<usize> {
        let there = |pad: usize| boxes.inputs[pad].is_some_and(|rect| !rect.is_empty());
        let connected = |pad: usize| boxes.inputs[pad].is_some();
        match (there(0), there(1)) {
            (true, true) => None,
            (true, false) => self.stays(0).then_some(0),
            (false, true) => self.stays(1).then_some(1),
            (false, false) => [0, 1].into_iter().find(|pad| self.stays(*pad) && connected(*pad)),
        }
    }

    fn both(&self, row: &mut [[f32; 4]], aux: &[[f32; 4]], _format: Format) {
        (self.both)(row, aux);
    }

    fn input_alone(&self, row: &mut [[f32; 4]], _connected: bool, _format: Format) {
        if !self.stays(0) {
            row.fill([0.0; 4]);
        }
    }

    fn aux_alone(&self, row: &mut [[f32; 4]], aux: &[[f32; 4]]) {
        if self.stays(1) {
            row.copy_from_slice(aux);
        }
    }

    fn weight(&self) -> f32 {
        self.weight
    }
}

/// An operation that is a [`Blend`] and nothing else, so that many fit into one table.
#[derive(Clone, Copy, Debug)]
pub(super) struct SvgCompositor {
    pub(super) info: &'static Info,
    pub(super) formula: Formula,
    pub(super) stays: Stays,
    pub(super) weight: f32,
}

impl Operation for SvgCompositor {
    fn info(&self) -> &'static Info {
        self.info
    }

    fn prepare(&self, properties: &Properties) -> Result<Vec<Pass>, OpError> {
        Ok(Blend::staying(properties, self.formula, self.stays, self.weight))
    }
}

/// Applies the formula `blend(source, backdrop)` to each pixel of a row; inlined into each use, so
/// that every compositor has a loop of its own.
#[inline(always)]
pub(super) fn blend_row(row: &mut [[f32; 4]], aux: &[[f32; 4]], blend: impl Fn([f32; 4], [f32; 4]) -> [f32; 4]) {
    for (backdrop, source) in row.iter_mut().zip(aux) {
        *backdrop = blend(*source, *backdrop);
    }
}

/// Clamps `value` to 0..=`top`; NaN is 0.
#[inline(always)]
pub(super) fn clamp_to(value: f32, top: f32) -> f32 {
    let value = if value < top { value } else { top };
    if value > 0.0 { value } else { 0.0 }
}

/// Checks of the boxes and formats that every [`Blend`] must pass.
#[cfg(test)]
pub(super) fn check_boxes(operation: &dyn Operation) {
    use crate::native::testing::{assert_pixel, assert_same, check, convert, noise_image, pixel, render};

    let a = noise_image(Rect::new(-3, -2, 8, 6), Format::RGBA8);
    let b = noise_image(Rect::new(1, 1, 9, 7), Format::RGB8);
    for (srgb, format) in [("false", Format::LINP), ("true", Format::GAMP)] {
        let given = [("srgb", srgb)];
        let both = check(operation, &given, &[Some(&a), Some(&b)]);
        assert_eq!((both.rect(), both.format()), (Rect::new(-3, -2, 13, 10), format));
        let (a_there, b_there) = (convert(&a, format), convert(&b, format));
        for y in -2..8 {
            for x in -3..10 {
                match (a.rect().contains(x, y), b.rect().contains(x, y)) {
                    (true, true) => {}
                    (true, false) => assert_pixel(&both, x, y, pixel(&a_there, x, y), 0.0),
                    (false, true) => assert_pixel(&both, x, y, pixel(&b_there, x, y), 0.0),
                    (false, false) => assert_pixel(&both, x, y, [0.0; 4], 0.0),
                }
            }
        }
        // Apart, with a gap between, in both orders and directions.
        for aux in [Rect::new(9, 0, 2, 3), Rect::new(-9, 9, 2, 3), Rect::new(-3, 8, 8, 1), Rect::new(7, -2, 1, 6)] {
            let aux = noise_image(aux, Format::LINP);
            for inputs in [[Some(&a), Some(&aux)], [Some(&aux), Some(&a)]] {
                let apart = check(operation, &given, &inputs);
                assert_eq!(apart.rect(), a.rect().union(&aux.rect()));
                assert_pixel(&apart, -3, -2, pixel(&a_there, -3, -2), 0.0);
                let corner = (aux.rect().x, aux.rect().y);
                assert_pixel(&apart, corner.0, corner.1, pixel(&convert(&aux, format), corner.0, corner.1), 0.0);
            }
        }
        // One inside the other.
        let inner = noise_image(Rect::new(0, 0, 2, 2), Format::RGBA8);
        assert_eq!(check(operation, &given, &[Some(&a), Some(&inner)]).rect(), a.rect());
        assert_eq!(check(operation, &given, &[Some(&inner), Some(&a)]).rect(), a.rect());
        // Missing or empty sides: the other goes through, format and all.
        let empty = noise_image(Rect::new(5, 5, 0, 0), Format::LINP);
        for inputs in [[Some(&a), None], [None, Some(&a)], [Some(&a), Some(&empty)], [Some(&empty), Some(&a)]] {
            assert_same(&check(operation, &given, &inputs), &a, "the other side");
        }
        assert_eq!(check(operation, &given, &[Some(&empty), Some(&empty)]).rect(), empty.rect());
        assert_eq!(render(operation, &given, &[None, None]), Err(OpError::MissingInput("input")));
        // Fully transparent aux over all of the input changes nothing that light can show.
        let clear = crate::Image::new(a.rect(), Format::RGBA8).unwrap();
        for inputs in [[Some(&a), Some(&clear)], [Some(&clear), Some(&a)]] {
            let out = check(operation, &given, &inputs);
            for y in -2..4 {
                for x in -3..5 {
                    assert_pixel(&out, x, y, pixel(&a_there, x, y), 1e-6);
                }
            }
        }
    }
}
