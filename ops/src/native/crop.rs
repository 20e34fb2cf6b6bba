//! `gegl/crop`: cuts a box out of the picture.
//!
//! The box is (x, y, width, height), each cut towards zero to a whole number; it may reach beyond
//! the picture, where it is transparent (black in a picture without alpha). Pixels keep their
//! place and their bits. With all four at 0 the box is that of `aux`, or of the picture that the
//! chain of inputs starts from (GEGL 0.4, `crop.c`). GEGL takes an empty or reversed box and
//! fails later; here it is refused.

use super::compose::{Span, outside, rows};
use crate::{
    Alpha, Area, Boxes, Cancel, Depth, Format, Formats, Info, Kind, OpError, Operation, Pad, Pass, Properties,
    Property, Rect, Tile, View,
};

const UNBOUNDED: Kind = Kind::Number { default: 0.0, minimum: f64::MIN, maximum: f64::MAX };

static INFO: Info = Info {
    name: "gegl/crop",
    aliases: &[],
    categories: &["core"],
    title: "Crop",
    description: "Cuts a box out of the picture; with nothing set, the whole of the original.",
    inputs: &[Pad::INPUT, Pad { name: "aux", required: false }],
    properties: &[
        Property { name: "x", description: "Left edge, pixels.", kind: UNBOUNDED },
        Property { name: "y", description: "Top edge, pixels.", kind: UNBOUNDED },
        Property { name: "width", description: "Width, pixels.", kind: UNBOUNDED },
        Property { name: "height", description: "Height, pixels.", kind: UNBOUNDED },
        Property {
            name: "reset-origin",
            description: "Has no effect, as in GEGL 0.4: pixels always keep their place.",
            kind: Kind::Boolean { default: false },
        },
    ],
    revision: 1,
};

/// The operation `gegl/crop`.
#[derive(Debug)]
pub struct Crop;

impl Operation for Crop {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn lengths(&self) -> &'static [&'static str] {
        &["x", "y", "width", "height"]
    }

    fn prepare(&self, properties: &Properties) -> Result<Vec<Pass>, OpError> {
        let [x, y, width, height] = ["x", "y", "width", "height"].map(|name| properties.number(name));
        if [x, y, width, height] == [0.0; 4] {
            return Ok(vec![Pass::Area(Box::new(Cut { rect: None }))]);
        }
        if width < 1.0 || height < 1.0 {
            return Err(OpError::Invalid(format!(
                "width and height of a crop must be at least 1, or x, y, width and height all 0 for the whole \
                 picture; they are {width} and {height}"
            )));
        }
        // The casts cut towards zero and saturate.
        let (x, y, width, height) = (x as i64, y as i64, width as i64, height as i64);
        let rect = Rect::from_edges(x, y, x.saturating_add(width), y.saturating_add(height));
        if rect.is_empty() {
            return Err(OpError::Invalid(format!("a crop at ({x}, {y}) is further out than pictures reach")));
        }
        Ok(vec![Pass::Area(Box::new(Cut { rect: Some(rect) }))])
    }
}

/// Cuts out a box, or what [`Boxes`] say where there is none.
#[derive(Debug)]
struct Cut {
    rect: Option<Rect>,
}

impl Cut {
    fn rect(&self, boxes: Boxes<'_>) -> Result<Rect, OpError> {
        let aux = boxes.inputs.get(1).copied().flatten();
        self.rect.or(aux).or(boxes.origin).or(boxes.inputs[0]).ok_or(OpError::MissingInput("input"))
    }
}

impl Area for Cut {
    fn formats(&self, inputs: &[Option<Format>]) -> Formats {
        let [format, aux] = [0, 1].map(|pad| inputs.get(pad).copied().flatten().unwrap_or(Format::RGBA8));
        Formats { inputs: [format, aux], output: format }
    }

    fn bounds(&self, boxes: Boxes<'_>) -> Result<Rect, OpError> {
        self.rect(boxes)
    }

    fn passthrough(&self, boxes: Boxes<'_>) -> Option<usize> {
        let input = boxes.inputs[0]?;
        (self.rect(boxes) == Ok(input)).then_some(0)
    }

    fn window(&self, boxes: Boxes<'_>) -> bool {
        match (boxes.inputs[0], self.rect(boxes)) {
            (Some(input), Ok(rect)) => input.contains_rect(&rect),
            _ => false,
        }
    }

    fn needed(&self, pad: usize, region: Rect, _boxes: Boxes<'_>) -> Rect {
        // Of `aux` only the box counts.
        if pad == 0 { region } else { Rect::default() }
    }

    fn weight(&self) -> f32 {
        1.0
    }

    fn render(
        &self,
        inputs: &[Option<View<'_>>],
        _boxes: Boxes<'_>,
        output: &mut Tile<'_>,
        cancel: &Cancel,
    ) -> Result<(), OpError> {
        let input = inputs[0].ok_or(OpError::MissingInput("input"))?;
        let (tile, format) = (output.rect(), output.format());
        let outside = outside(format);
        for y in rows(tile) {
            cancel.check()?;
            let span = Span::find(Some(input), tile, y);
            match (format.depth, format.alpha) {
                (Depth::U8, Alpha::None) => copy(span, |view| view.row_rgb8(y), output.row_rgb8_mut(y), [0; 3]),
                (Depth::U8, _) => copy(span, |view| view.row_rgba8(y), output.row_rgba8_mut(y), [0; 4]),
                (Depth::F32, _) => copy(span, |view| view.row(y), output.row_mut(y), outside),
            }
        }
        Ok(())
    }
}

/// Copies what the input covers of a row and writes `outside` elsewhere.
fn copy<'a, T: Copy + 'a>(
    span: Option<(Span, View<'a>)>,
    row: impl FnOnce(View<'a>) -> &'a [T],
    target: &mut [T],
    outside: T,
) {
    match span {
        Some((span, view)) => span.copy(row(view), target, outside),
        None => target.fill(outside),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Image;
    use crate::native::testing::{assert_pixel, assert_same, check, cut, noise_image, pixel, render};

    fn given<'a>(values: &[&'a str; 4]) -> [(&'static str, &'a str); 4] {
        [("x", values[0]), ("y", values[1]), ("width", values[2]), ("height", values[3])]
    }

    #[test]
    fn inside_pixels_keep_place_and_bits() {
        for format in [Format::RGB8, Format::RGBA8, Format::LIN, Format::GAMP, Format::LIN_OPAQUE] {
            let image = noise_image(Rect::new(-5, -5, 30, 20), format);
            let out = check(&Crop, &given(&["-2", "3", "11", "7"]), &[Some(&image), None]);
            assert_same(&out, &cut(&image, Rect::new(-2, 3, 11, 7)), "a part");
        }
    }

    #[test]
    fn values_are_cut_towards_zero() {
        let image = noise_image(Rect::new(-10, -10, 30, 30), Format::RGBA8);
        let out = check(&Crop, &given(&["-5.5", "2.9", "10.9", "1.99"]), &[Some(&image), None]);
        assert_eq!(out.rect(), Rect::new(-5, 2, 10, 1));
        let out = check(&Crop, &given(&["-0.9", "0.9", "1", "1"]), &[Some(&image), None]);
        assert_eq!(out.rect(), Rect::new(0, 0, 1, 1));
    }

    #[test]
    fn outside_is_nothing_or_black() {
        for (format, outside) in [
            (Format::RGB8, [0.0, 0.0, 0.0, 1.0]),
            (Format::LIN_OPAQUE, [0.0, 0.0, 0.0, 1.0]),
            (Format::RGBA8, [0.0; 4]),
            (Format::LINP, [0.0; 4]),
        ] {
            let image = noise_image(Rect::new(0, 0, 4, 4), format);
            let out = check(&Crop, &given(&["-2", "2", "8", "5"]), &[Some(&image), None]);
            assert_eq!((out.rect(), out.format()), (Rect::new(-2, 2, 8, 5), format));
            for y in 2..7 {
                for x in -2..6 {
                    let expected = if image.rect().contains(x, y) { pixel(&image, x, y) } else { outside };
                    assert_pixel(&out, x, y, expected, 0.0);
                }
            }
            // All of it outside, on each side.
            for at in [["9", "0"], ["-9", "0"], ["0", "9"], ["0", "-9"]] {
                let out = check(&Crop, &given(&[at[0], at[1], "3", "3"]), &[Some(&image), None]);
                assert!((0..3).all(|i| pixel(&out, out.rect().x + i, out.rect().y + i) == outside));
            }
        }
    }

    #[test]
    fn unconfigured_is_aux_or_the_origin() {
        let image = noise_image(Rect::new(-1, -2, 6, 5), Format::RGBA8);
        assert_same(&check(&Crop, &[], &[Some(&image), None]), &image, "the whole");
        let aux = noise_image(Rect::new(2, 1, 2, 2), Format::RGB8);
        assert_same(&check(&Crop, &[], &[Some(&image), Some(&aux)]), &cut(&image, aux.rect()), "the box of aux");
        // Set values win over aux.
        let out = check(&Crop, &given(&["0", "0", "1", "1"]), &[Some(&image), Some(&aux)]);
        assert_eq!(out.rect(), Rect::sized(1, 1));
        // The origin is not the input when a blur has grown it.
        let (inputs, origin) = ([Some(Rect::new(-16, -16, 42, 42)), None], Some(Rect::sized(10, 10)));
        assert_eq!(Cut { rect: None }.bounds(Boxes { inputs: &inputs, origin }), Ok(Rect::sized(10, 10)));
        let none = Boxes { inputs: &[None, None], origin: None };
        assert_eq!(Cut { rect: None }.bounds(none), Err(OpError::MissingInput("input")));
    }

    #[test]
    fn an_empty_picture_can_be_cropped() {
        let empty = Image::new(Rect::new(4, 4, 0, 0), Format::RGBA8).unwrap();
        let out = check(&Crop, &given(&["3", "3", "3", "3"]), &[Some(&empty), None]);
        assert!((3..6).all(|x| pixel(&out, x, x) == [0.0; 4]));
        assert_eq!(check(&Crop, &[], &[Some(&empty), None]).rect(), empty.rect());
    }

    #[test]
    fn boxes_that_are_none_are_refused() {
        let image = noise_image(Rect::sized(4, 4), Format::RGB8);
        for values in [
            ["5", "0", "0", "0"],
            ["0", "0", "10", "0"],
            ["0", "0", "0", "10"],
            ["0", "0", "0.9", "10"],
            ["0", "0", "-3", "10"],
            ["0", "0", "10", "-1e308"],
            ["-0.5", "0", "0", "0"],
            ["1e300", "0", "10", "10"],
            ["0", "-1e300", "10", "10"],
        ] {
            let result = render(&Crop, &given(&values), &[Some(&image), None]);
            assert!(matches!(result, Err(OpError::Invalid(_))), "{values:?}");
        }
        let fault = render(&Crop, &given(&["1", "1", "0", "7"]), &[Some(&image), None]).unwrap_err();
        assert!(fault.to_string().contains("at least 1") && fault.to_string().contains("0 and 7"), "{fault}");
    }

    #[test]
    fn huge_boxes_are_boxes() {
        let pass = Crop.prepare(&{
            let mut properties = Properties::defaults(INFO.properties);
            properties.set("width", crate::Value::Number(1e308));
            properties.set("height", crate::Value::Number(1e12));
            properties
        });
        let Ok([Pass::Area(area)]) = pass.as_deref() else { panic!() };
        let bounds = area.bounds(Boxes { inputs: &[Some(Rect::sized(4, 4)), None], origin: None }).unwrap();
        assert!(bounds.is_infinite());
    }

    #[test]
    fn it_is_a_window_unless_it_reaches_beyond() {
        let input = Rect::new(-2, -2, 20, 20);
        let window = |rect: Rect| Cut { rect: Some(rect) }.window(Boxes { inputs: &[Some(input), None], origin: None });
        assert!(window(input) && window(Rect::new(-2, 5, 3, 13)));
        assert!(!window(Rect::new(-3, 5, 3, 3)) && !window(Rect::new(5, 5, 14, 3)));
    }
}
