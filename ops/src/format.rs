//! Pixel formats, and the conversions between them.
//!
//! Float pixels always have four components in memory; a format without alpha keeps 1 in the
//! fourth. 8-bit pixels are sRGB-coded and straight, three or four bytes wide. Floats are not
//! clamped: negative values and values above 1 survive until the conversion to 8 bits.

/// How wide a component is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Depth {
    /// One byte, 0..=255, always sRGB-coded and never premultiplied.
    U8,
    /// A 32-bit float, nominally 0..=1.
    F32,
}

/// Which curve the colour components follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// Proportional to light.
    Linear,
    /// sRGB transfer curve (IEC 61966-2-1), the R'G'B' of GEGL.
    Coded,
}

/// What the fourth component means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Alpha {
    /// No alpha: every pixel is opaque, and outside the box is opaque black.
    None,
    /// Alpha beside unchanged colour; outside the box is transparent.
    Straight,
    /// Colour multiplied by alpha (after coding, where coded); outside the box is all zero.
    Premultiplied,
}

/// The format of an image's pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Format {
    /// Component width.
    pub depth: Depth,
    /// Transfer curve of the colour components.
    pub encoding: Encoding,
    /// Meaning of the fourth component.
    pub alpha: Alpha,
}

impl Format {
    /// R'G'B', 3 bytes.
    pub const RGB8: Format = Format { depth: Depth::U8, encoding: Encoding::Coded, alpha: Alpha::None };
    /// R'G'B'A, 4 bytes, straight.
    pub const RGBA8: Format = Format { depth: Depth::U8, encoding: Encoding::Coded, alpha: Alpha::Straight };
    /// LIN of the semantics: linear float, straight alpha.
    pub const LIN: Format = Format { depth: Depth::F32, encoding: Encoding::Linear, alpha: Alpha::Straight };
    /// LINP: linear float, premultiplied.
    pub const LINP: Format = Format { depth: Depth::F32, encoding: Encoding::Linear, alpha: Alpha::Premultiplied };
    /// Linear float without alpha.
    pub const LIN_OPAQUE: Format = Format { depth: Depth::F32, encoding: Encoding::Linear, alpha: Alpha::None };
    /// GAM: sRGB-coded float, straight alpha.
    pub const GAM: Format = Format { depth: Depth::F32, encoding: Encoding::Coded, alpha: Alpha::Straight };
    /// GAMP: sRGB-coded float, multiplied by alpha after coding.
    pub const GAMP: Format = Format { depth: Depth::F32, encoding: Encoding::Coded, alpha: Alpha::Premultiplied };
    /// sRGB-coded float without alpha.
    pub const GAM_OPAQUE: Format = Format { depth: Depth::F32, encoding: Encoding::Coded, alpha: Alpha::None };

    /// True when pixels may be less than opaque.
    pub fn has_alpha(self) -> bool {
        self.alpha != Alpha::None
    }

    /// This format, but without alpha where `other` has none: an operation that works in LINP
    /// works on opaque linear floats when nothing transparent comes in.
    pub fn opaque_like(self, other: Format) -> Format {
        Format { alpha: if other.has_alpha() { self.alpha } else { Alpha::None }, ..self }
    }

    /// Bytes a pixel takes in memory: 3, 4 or 16.
    pub fn bytes_per_pixel(self) -> usize {
        match (self.depth, self.alpha) {
            (Depth::U8, Alpha::None) => 3,
            (Depth::U8, _) => 4,
            (Depth::F32, _) => 16,
        }
    }
}
