//! Colours as properties hold them.

use std::fmt;

use crate::curve::exact;

/// A colour: sRGB-coded (R'G'B') straight components, nominally 0..=1, and alpha 0..=1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Color {
    /// R', G', B', A.
    pub rgba: [f32; 4],
}

/// Most light of a component of `rgb(r, g, b)`, where 1 is white.
const BRIGHTEST: f64 = 10_000.0;

impl Color {
    /// Opaque black.
    pub const BLACK: Color = Color { rgba: [0.0, 0.0, 0.0, 1.0] };
    /// Opaque white.
    pub const WHITE: Color = Color { rgba: [1.0, 1.0, 1.0, 1.0] };

    /// Reads a colour as GEGL or CSS writes it.
    ///
    /// GEGL: `#rgb`, `#rgba`, `#rrggbb`, `#rrggbbaa` (sRGB-coded); `rgb(r, g, b)` and `rgba(r, g, b, a)` with **linear**
    /// light, where 1 is white and more is possible; `none`. CSS (Color Module Level 4): names, `rgb(0, 255, 0)`,
    /// `rgb(0% 100% 0% / 50%)`, `hsl()`, `hwb()` and others, cut to what sRGB holds. `rgb()` with commas is meant as CSS
    /// does where its three numbers are whole and one is above 1. Case and space around do not matter. Anything else is
    /// `None`.
    pub fn parse(text: &str) -> Option<Color> {
        let text = text.trim();
        if let Some(digits) = text.strip_prefix('#') {
            return Self::parse_hex(digits);
        }
        if text.eq_ignore_ascii_case("none") {
            return Some(Color { rgba: [0.0; 4] });
        }
        let function = text.strip_suffix(')').and_then(|text| text.split_once('('));
        match function.and_then(|(name, components)| Self::parse_linear(name.trim_end(), components)) {
            Some(linear) => linear,
            None => Self::parse_css(text),
        }
    }

    fn parse_css(text: &str) -> Option<Color> {
        // The parser takes digits without `#`, and numbers as Rust spells them.
        let lower = text.to_ascii_lowercase();
        let odd = ["nan", "inf"].iter().any(|number| lower.contains(number));
        if odd || lower.len() > 100 || lower.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let color = csscolorparser::parse(&lower).ok()?;
        let rgba = [color.r, color.g, color.b, color.a].map(|component| component.clamp(0.0, 1.0));
        rgba.iter().all(|component| component.is_finite()).then_some(Color { rgba })
    }

    fn parse_hex(digits: &str) -> Option<Color> {
        let mut bytes = [255u8; 4];
        let width = match digits.len() {
            3 | 4 => 1,
            6 | 8 => 2,
            _ => return None,
        };
        for (byte, part) in bytes.iter_mut().zip(digits.as_bytes().chunks(width)) {
            let mut value = 0;
            for &digit in part {
                // Not `from_str_radix`, which takes a sign.
                value = value * 16 + char::from(digit).to_digit(16)? as u8;
            }
            *byte = if width == 1 { value * 17 } else { value };
        }
        Some(Self::from_bytes(bytes))
    }

    /// The colour of GEGL's `rgb()` or `rgba()`; `None` inside where its numbers are out of range, `None` where it is not
    /// written so.
    fn parse_linear(function: &str, components: &str) -> Option<Option<Color>> {
        let wanted = match function.to_ascii_lowercase().as_str() {
            "rgb" => 3,
            "rgba" => 4,
            _ => return None,
        };
        let mut linear = [1.0; 4];
        let mut count = 0;
        let mut whole = true;
        for part in components.split(',') {
            let value: f64 = part.trim().parse().ok()?;
            *linear.get_mut(count)? = value;
            whole &= count == 3 || part.trim().bytes().all(|byte| byte.is_ascii_digit());
            count += 1;
        }
        let [light @ .., alpha] = linear;
        let is_css = whole && light.iter().any(|value| *value > 1.0);
        let in_range = light.iter().all(|value| (0.0..=BRIGHTEST).contains(value)) && (0.0..=1.0).contains(&alpha);
        (count == wanted && !is_css).then(|| {
            let [r, g, b] = light.map(|c| exact::linear_to_coded(c) as f32);
            in_range.then_some(Color { rgba: [r, g, b, alpha as f32] })
        })
    }

    /// From coded bytes.
    pub fn from_bytes(bytes: [u8; 4]) -> Color {
        Color { rgba: bytes.map(|c| f32::from(c) / 255.0) }
    }

    /// From linear light R, G, B, and alpha, straight.
    pub fn from_linear([r, g, b, a]: [f32; 4]) -> Color {
        let [r, g, b] = [r, g, b].map(|c| exact::linear_to_coded(c.into()) as f32);
        Color { rgba: [r, g, b, a] }
    }

    /// Linear light R, G, B, and alpha, straight.
    pub fn linear(&self) -> [f32; 4] {
        let [r, g, b, a] = self.rgba;
        let [r, g, b] = [r, g, b].map(|c| exact::coded_to_linear(c.into()) as f32);
        [r, g, b, a]
    }
}

/// `#rrggbbaa`, lower case, where 8 bits hold the colour; else `rgba(r, g, b, a)`. Reading it
/// gives the same colour, and equal colours give equal text.
impl fmt::Display for Color {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.rgba.map(|c| (c.clamp(0.0, 1.0) * 255.0).round() as u8);
        let [r, g, b, a] = bytes;
        if *self == Self::from_bytes(bytes) {
            return write!(f, "#{r:02x}{g:02x}{b:02x}{a:02x}");
        }
        // In double precision, so that the way back rounds to the very same floats.
        let [r, g, b, a] = self.rgba.map(f64::from);
        let light = [r, g, b].map(|c| {
            let light = exact::coded_to_linear(c).clamp(0.0, BRIGHTEST);
            // The last place of the power may push 1 above 1.
            if (c - 1.0).abs() < f64::EPSILON { 1.0 } else { light }
        });
        let [r, g, b] = light.map(|c| if c > 1.0 && c.fract() == 0.0 { format!("{c:.1}") } else { c.to_string() });
        write!(f, "rgba({r}, {g}, {b}, {a})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(text: &str) -> Option<[u8; 4]> {
        Color::parse(text).map(|color| color.rgba.map(|c| (c * 255.0).round() as u8))
    }

    #[test]
    fn hexadecimal_forms() {
        assert_eq!(bytes("#0f8"), Some([0, 255, 136, 255]));
        assert_eq!(bytes("#0f84"), Some([0, 255, 136, 68]));
        assert_eq!(bytes("#1A2b3C"), Some([0x1a, 0x2b, 0x3c, 255]));
        assert_eq!(bytes(" #1a2b3c4d "), Some([0x1a, 0x2b, 0x3c, 0x4d]));
        assert_eq!(Color::parse("#ffffff"), Some(Color::WHITE));
        assert_eq!(Color::parse("#000"), Some(Color::BLACK));
    }

    #[test]
    fn linear_forms() {
        // Light 0.5 is coded 0.7353569.
        let Color { rgba: [r, g, b, a] } = Color::parse("rgb(0.5, 0, 1)").unwrap();
        assert!((r - 0.735_356_9).abs() < 1e-6 && g == 0.0 && (b - 1.0).abs() < 1e-6 && a == 1.0);
        let color = Color::parse("RGBA ( .5,0.25 , 1e-1, 0.125 )").unwrap();
        assert!((color.linear()[0] - 0.5).abs() < 1e-6);
        assert!((color.linear()[1] - 0.25).abs() < 1e-6);
        assert!((color.linear()[2] - 0.1).abs() < 1e-6);
        assert_eq!(color.rgba[3], 0.125);
    }

    #[test]
    fn css_forms() {
        let lime = Some([0, 255, 0, 255]);
        for text in [
            "rgb(0,255,0)",
            "RGB(0, 255, 0)",
            "rgb(0 255 0)",
            "rgb(0%, 100%, 0%)",
            "hsl(120, 100%, 50%)",
            "hsl(120deg 100% 50%)",
        ] {
            assert_eq!(bytes(text), lime, "{text}");
        }
        assert_eq!(bytes("rgba(0,255,0,0.5)"), Some([0, 255, 0, 128]));
        assert_eq!(bytes("rgb(0 255 0 / 50%)"), Some([0, 255, 0, 128]));
        assert_eq!(bytes("rgb(300, 0, 0)"), Some([255, 0, 0, 255]));
        // 1 is white to GEGL, and all of these to CSS nearly black.
        assert_eq!(bytes("rgb(1,1,1)"), Some([255; 4]));
        assert_eq!(bytes("rgb(2,1,0)"), Some([2, 1, 0, 255]));
    }

    #[test]
    fn light_beyond_white() {
        let color = Color::parse("rgb(2.5, 0, 1.0)").unwrap();
        assert!((color.linear()[0] - 2.5).abs() < 1e-5 && color.rgba[2] == 1.0);
        for text in ["rgb(2.5, 0, 1)", "rgba(2.0, 3.0, 4.0, 0.5)", "rgb(100.0, 0.5, 0)"] {
            let color = Color::parse(text).unwrap();
            assert_eq!(Color::parse(&color.to_string()), Some(color), "{text}: {color}");
        }
    }

    #[test]
    fn names() {
        assert_eq!(bytes("gray"), Some([128, 128, 128, 255]));
        assert_eq!(bytes("Silver"), Some([192, 192, 192, 255]));
        assert_eq!(bytes("lime"), Some([0, 255, 0, 255]));
        assert_eq!(bytes("green"), Some([0, 128, 0, 255]));
        assert_eq!(bytes("none"), Some([0, 0, 0, 0]));
        assert_eq!(bytes("TRANSPARENT"), Some([0, 0, 0, 0]));
        assert_eq!(bytes("grey "), bytes("gray"));
        assert_eq!(bytes("RebeccaPurple"), Some([102, 51, 153, 255]));
        // babl's gray is light 0.21586.
        assert!((Color::parse("gray").unwrap().linear()[0] - 0.21586).abs() < 1e-5);
    }

    #[test]
    fn what_is_no_colour() {
        for text in [
            "",
            "#",
            "#12",
            "#12345",
            "#1234567",
            "#123456789",
            "#ggg",
            "#+1+2+3",
            "#-1-2-3",
            "#é12",
            "#１２３",
            "123456",
            "chucknorris",
            "rgb",
            "rgb(",
            "rgb()",
            "rgb(1,2)",
            "rgb(1,1)",
            "rgb(0,0,0",
            "rgb(0,0,0) x",
            "rgb(nan,0,0)",
            "rgb(inf,0,0)",
            "rgb(1e400,0,0)",
            "rgb(0x1,0,0)",
            "rgb(0;0;0)",
            "rgb(0,0,0,)",
            "rgb(,,)",
            "rgb((0,0,0))",
            "beef",
            "rgb(20000.5,0,0)",
            "cmyk(0,0,0,0)",
            "\0",
        ] {
            assert_eq!(Color::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn text_is_read_back_as_the_same_colour() {
        for text in
            ["#1a2b3c4d", "red", "none", "rgb(0.5,0.5,0.5)", "rgba(0.1,0.2,0.3,0.4)", "rgba(1,0.999,1e-7,0.001)"]
        {
            let color = Color::parse(text).unwrap();
            let written = color.to_string();
            assert_eq!(Color::parse(&written), Some(color), "{text}: {written}");
            assert_eq!(Color::parse(&written).unwrap().to_string(), written);
        }
        // A dense sweep of light that no byte holds.
        for i in 0..5000 {
            let color = Color::parse(&format!("rgb({}, 0.3, 1)", f64::from(i) / 4999.0)).unwrap();
            assert_eq!(Color::parse(&color.to_string()), Some(color), "{i}");
        }
    }

    #[test]
    fn text_is_one_for_equal_colours() {
        for (a, b) in [("#fff", "white"), ("#F00F", "rgb(1,0,0)"), ("none", "#0000"), ("rgb(0,0,0)", "black")] {
            assert_eq!(Color::parse(a).unwrap().to_string(), Color::parse(b).unwrap().to_string());
        }
        assert_eq!(Color::parse("#0f8").unwrap().to_string(), "#00ff88ff");
        assert_ne!(
            Color::parse("rgb(0.5,0,0)").unwrap().to_string(),
            Color::parse("rgb(0.501,0,0)").unwrap().to_string()
        );
    }
}
