//! `gegl/text`: a text, drawn on nothing; what follows places it.
//!
//! Where letters stand is GEGL's way: whole pixels, lines as high as the font's ascent and descent,
//! each rounded up. Their edges are not: GEGL fits them to the grid of pixels, here they are as the
//! font has them. GEGL's properties `width` and `height` only tell what came of it, and are not here.

mod fonts;
mod layout;

use super::compose::rows;
use crate::{
    Area, Boxes, Cancel, Color, Format, Formats, Info, Kind, OpError, Operation, Pass, Properties, Property, Rect,
    Split, Tile, View,
};
use layout::{Drawing, Request};

/// Most bytes of a text, and of the name of a font.
const LONGEST: usize = 4096;
const LONGEST_FONT: usize = 200;

static INFO: Info = Info {
    name: "gegl/text",
    aliases: &[],
    categories: &["render"],
    title: "Render Text",
    description: "Draws a text.",
    inputs: &[],
    properties: &[
        Property {
            name: "string",
            description: "The text; it may have several lines.",
            kind: Kind::Text { default: "Hello", longest: LONGEST },
        },
        Property {
            name: "font",
            description: "The font: a family with a style, as in 'Serif Bold Italic'.",
            kind: Kind::Text { default: "Sans", longest: LONGEST_FONT },
        },
        Property {
            name: "size",
            description: "Size of the font, pixels.",
            kind: Kind::Number { default: 10.0, minimum: 0.0, maximum: 2048.0 },
        },
        Property { name: "color", description: "Colour of the letters.", kind: Kind::Color { default: Color::BLACK } },
        Property {
            name: "wrap",
            description: "Width at which lines are broken between words, pixels; -1 for none.",
            kind: Kind::Int { default: -1, minimum: -1, maximum: 1_000_000 },
        },
        Property {
            name: "vertical-wrap",
            description: "Height in which the text is placed by its vertical alignment, pixels; -1 for none.",
            kind: Kind::Int { default: -1, minimum: -1, maximum: 1_000_000 },
        },
        Property {
            name: "alignment",
            description: "Where lines stand: 0 left, 1 in the middle, 2 right.",
            kind: Kind::Int { default: 0, minimum: 0, maximum: 2 },
        },
        Property {
            name: "vertical-alignment",
            description: "Where the text stands in the height of vertical-wrap: 0 above, 1 in the middle, 2 below.",
            kind: Kind::Int { default: 0, minimum: 0, maximum: 2 },
        },
    ],
    revision: 1,
};

/// The operation `gegl/text`.
#[derive(Debug)]
pub struct Text;

impl Operation for Text {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn lengths(&self) -> &'static [&'static str] {
        &["size", "wrap", "vertical-wrap"]
    }

    fn prepare(&self, properties: &Properties) -> Result<Vec<Pass>, OpError> {
        let not_negative = |name: &str| u32::try_from(properties.int(name)).ok();
        let drawing = layout::draw(&Request {
            text: properties.text("string"),
            font: properties.text("font"),
            size: properties.number("size") as f32,
            wrap: not_negative("wrap"),
            alignment: properties.int("alignment"),
        })?;
        let free = not_negative("vertical-wrap").map(|height| i64::from(height) - i64::from(drawing.height));
        let down = match (free, properties.int("vertical-alignment")) {
            (Some(free), 1) => free / 2,
            (Some(free), 2) => free,
            _ => 0,
        };
        let drawing = drawing.moved(down as i32);
        Ok(vec![Pass::Area(Box::new(Letters { drawing, pixel: properties.color("color").linear() }))])
    }
}

#[derive(Debug)]
struct Letters {
    drawing: Drawing,
    /// Straight, linear.
    pixel: [f32; 4],
}

impl Area for Letters {
    fn formats(&self, _inputs: &[Option<Format>]) -> Formats {
        Formats { inputs: [Format::LIN; 2], output: Format::LIN }
    }

    /// A text without letters is a pixel of nothing: a picture that it is laid over stays what it is.
    fn bounds(&self, _boxes: Boxes<'_>) -> Result<Rect, OpError> {
        let letters = self.drawing.bounds();
        Ok(if letters.is_empty() { Rect::sized(1, 1) } else { letters })
    }

    fn needed(&self, _pad: usize, _region: Rect, _boxes: Boxes<'_>) -> Rect {
        Rect::default()
    }

    /// A letter is drawn once, wherever it stands.
    fn split(&self) -> Split {
        Split::Whole
    }

    fn working_memory(&self, _boxes: Boxes<'_>) -> u64 {
        self.drawing.working_memory()
    }

    fn weight(&self) -> f32 {
        8.0
    }

    fn render(
        &self,
        _inputs: &[Option<View<'_>>],
        _boxes: Boxes<'_>,
        output: &mut Tile<'_>,
        cancel: &Cancel,
    ) -> Result<(), OpError> {
        for y in rows(output.rect()) {
            output.row_mut(y).fill([0.0; 4]);
        }
        self.drawing.cover(output, cancel)?;
        let [r, g, b, a] = self.pixel;
        for y in rows(output.rect()) {
            for pixel in output.row_mut(y).iter_mut().filter(|pixel| pixel[3] > 0.0) {
                *pixel = [r, g, b, a * pixel[3]];
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::native::testing::{Tiling, all_pixels, check, properties, run};

    /// The box of a text in letters of 50 pixels.
    fn bounds(text: &str, more: &[(&str, &str)]) -> Rect {
        let given = [&[("string", text), ("size", "50")], more].concat();
        let passes = Text.prepare(&properties(&INFO, &given)).unwrap();
        let [Pass::Area(area)] = &passes[..] else { panic!("one pass") };
        area.bounds(Boxes { inputs: &[], origin: None }).unwrap()
    }

    #[test]
    fn a_text_stands_where_gegl_puts_it() {
        // The boxes of GEGL 0.4.42 with DejaVu Sans: x, y, width, height. Its letters are fitted to the grid.
        for (text, more, theirs) in [
            ("Hello", &[][..], [4, 9, 121, 39]),
            ("gjy", &[], [2, 9, 73, 48]),
            ("Hello\nWorld wide", &[], [1, 9, 276, 98]),
            ("Hello\r\nWorld wide", &[("alignment", "2")], [1, 9, 276, 98]),
            ("Hello World wide", &[("wrap", "200")], [1, 9, 140, 157]),
            ("Hello World wide", &[("wrap", "100")], [1, 9, 140, 157]),
            ("Hello World wide", &[("wrap", "200"), ("alignment", "2")], [56, 9, 142, 157]),
            ("Hello", &[("wrap", "200"), ("alignment", "1")], [40, 9, 121, 39]),
            ("Hello", &[("wrap", "200"), ("alignment", "2")], [76, 9, 121, 39]),
            ("Hello", &[("vertical-alignment", "2")], [4, 9, 121, 39]),
            ("Hello", &[("vertical-wrap", "200"), ("vertical-alignment", "1")], [4, 79, 121, 39]),
            ("Hello", &[("vertical-wrap", "200"), ("vertical-alignment", "2")], [4, 150, 121, 39]),
            ("Hello", &[("vertical-wrap", "20"), ("vertical-alignment", "2")], [4, -30, 121, 39]),
        ] {
            let Rect { x, y, width, height } = bounds(text, more);
            let ours = [x, y, width as i32, height as i32];
            assert!(
                ours.iter().zip(theirs).all(|(ours, theirs)| (ours - theirs).abs() <= 2),
                "{text:?}: {ours:?}, {theirs:?}"
            );
        }
    }

    #[test]
    fn letters_cover_pixels_in_one_colour() {
        let out = check(&Text, &[("string", "Hl\nj"), ("size", "20"), ("color", "#f008")], &[]);
        assert_eq!(out.format(), Format::LIN);
        let pixels = all_pixels(&out);
        let alpha = 136.0 / 255.0;
        assert!(pixels.iter().all(|[r, g, b, a]| (*g, *b) == (0.0, 0.0) && (*r == 1.0) == (*a > 0.0)));
        assert!(pixels.iter().all(|pixel| pixel[3] <= alpha + 1e-6));
        let count = |is: fn(f32, f32) -> bool| pixels.iter().filter(|pixel| is(pixel[3], alpha)).count();
        assert!(count(|a, full| (a - full).abs() < 1e-6) > 20, "stems are full");
        assert!(count(|a, full| a > 0.1 * full && a < 0.9 * full) > 10, "edges are soft");
        assert!(count(|a, _| a == 0.0) > 100);
        let ink = |text| {
            let out = check(&Text, &[("string", text), ("size", "20")], &[]);
            all_pixels(&out).iter().map(|pixel| pixel[3]).sum::<f32>()
        };
        assert!((ink("HH") - 2.0 * ink("H")).abs() < 1e-3);
    }

    #[test]
    fn letters_are_chosen_and_placed_by_their_script() {
        let wide = |text| bounds(text, &[]).width as i32;
        assert!(wide("AVAVAVAV") < wide("AAAA") + wide("VVVV") - 15, "pairs are kerned");
        // An accent that comes apart is the letter with the accent.
        assert!((wide("e\u{301}e\u{301}e") - wide("ééé")).abs() <= 1);
        // Hebrew runs from the right: the first letter, Lamed, reaches up, and stands right.
        let out = run(&Text, &[("string", "לננ"), ("size", "50")], &[], None, Tiling::Whole, &Cancel::new()).unwrap();
        let width = out.rect().width as usize;
        let first = all_pixels(&out).iter().position(|pixel| pixel[3] > 0.0).unwrap() % width;
        assert!(first > width / 2, "{first} of {width}");
        // Letters that join are others than those that stand alone.
        assert!(wide("ببب") < 3 * wide("ب") - 20);
    }

    #[test]
    fn a_name_of_a_font_is_a_name() {
        let default = bounds("Hello", &[]);
        for name in [
            "/etc/passwd",
            "../../fonts/DejaVuSans.ttf",
            "file:///etc/passwd",
            "No Such Font",
            "",
            ",",
            "12",
            "DejaVu Sans",
        ] {
            assert_eq!(bounds("Hello", &[("font", name)]), default, "{name}");
        }
    }

    #[test]
    fn strange_texts_are_no_fault() {
        let repeated = [
            "\n",
            "\r",
            "\t",
            " ",
            "\u{202e}a\u{202c}",
            "\u{2067}א",
            "a\u{300}\u{489}",
            "\u{200d}",
            "\u{fffd}",
            "ﷺ",
            "क्षि",
            "👨\u{200d}👩\u{200d}👧",
            "世",
            "\u{10ffff}",
            "\u{2028}",
            "-",
            "\u{ad}W",
        ];
        let all = repeated.map(|part| part.repeat(LONGEST / part.len()));
        let mixed = repeated.concat().repeat(20);
        for text in all.iter().chain([&mixed]) {
            for (size, wrap) in [("0.02", "0"), ("7.3", "1"), ("2048", "1000000"), ("2048", "-1")] {
                let given = [("string", text.as_str()), ("size", size), ("wrap", wrap), ("alignment", "1")];
                let part = Some(Rect::new(3, 5, 20, 10));
                run(&Text, &given, &[], part, Tiling::Whole, &Cancel::new()).unwrap();
            }
        }
    }

    #[test]
    fn nothing_is_drawn_of_nothing() {
        for (text, size) in [("", "50"), (" \n\t ", "50"), ("Hello", "0"), ("\u{200b}", "50")] {
            let out = check(&Text, &[("string", text), ("size", size)], &[]);
            assert_eq!((out.rect(), all_pixels(&out)), (Rect::sized(1, 1), vec![[0.0; 4]]), "{text:?} {size}");
        }
    }

    #[test]
    fn a_part_of_an_endless_text_is_cheap() {
        let text = "W ".repeat(2048);
        let given = [("string", text.as_str()), ("size", "2048")];
        let part = Rect::new(500_000, 700, 40, 30);
        let out = run(&Text, &given, &[], Some(part), Tiling::Whole, &Cancel::new()).unwrap();
        assert_eq!(out.rect(), part);
        assert!(bounds(&text, &[("size", "2048")]).width > 4_000_000);
        let cancel = Cancel::new();
        cancel.cancel();
        assert_eq!(run(&Text, &given, &[], Some(part), Tiling::Whole, &cancel), Err(OpError::Cancelled));
    }
}
