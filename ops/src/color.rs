//! Colours as properties hold them.

use std::fmt;

/// A colour: sRGB-coded (R'G'B') straight components, nominally 0..=1, and alpha 0..=1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Color {
    /// R', G', B', A.
    pub rgba: [f32; 4],
}

impl Color {
    /// Opaque black.
    pub const BLACK: Color = Color { rgba: [0.0, 0.0, 0.0, 1.0] };
    /// Opaque white.
    pub const WHITE: Color = Color { rgba: [1.0, 1.0, 1.0, 1.0] };

    /// Reads `#rgb`, `#rgba`, `#rrggbb`, `#rrggbbaa` (coded).
    pub fn parse(text: &str) -> Option<Color> {
        let digits = text.strip_prefix('#')?;
        if !digits.is_ascii() {
            return None;
        }
        let mut rgba = [255u8; 4];
        let width = match digits.len() {
            3 | 4 => 1,
            6 | 8 => 2,
            _ => return None,
        };
        for (component, part) in rgba.iter_mut().zip(digits.as_bytes().chunks(width)) {
            let part = std::str::from_utf8(part).ok()?;
            *component = u8::from_str_radix(part, 16).ok()? * if width == 1 { 17 } else { 1 };
        }
        Some(Color { rgba: rgba.map(|c| f32::from(c) / 255.0) })
    }
}

/// `#rrggbbaa`, lower case, rounded to 8 bits.
impl fmt::Display for Color {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let byte = |c: f32| (c.clamp(0.0, 1.0) * 255.0).round() as u8;
        let [r, g, b, a] = self.rgba.map(byte);
        write!(f, "#{r:02x}{g:02x}{b:02x}{a:02x}")
    }
}
