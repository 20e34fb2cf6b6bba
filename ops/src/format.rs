//! Pixel formats, and the conversions between them.
//!
//! Float pixels always have four components in memory; a format without alpha keeps 1 in the
//! fourth. 8-bit pixels are sRGB-coded and straight, three or four bytes wide. Floats are not
//! clamped: negative values and values above 1 survive until the conversion to 8 bits.
//!
//! Between floats the curves are polynomials on the parts of the number, written so that loops over
//! a row become vector code. From bytes and to bytes they are tables, and exact.

use std::sync::LazyLock;

use multiversion::multiversion;

use crate::curve::{LIGHT_TO_BYTE, byte_of, entry, exact, light_place};
pub use crate::curve::{coded_to_linear, linear_to_coded, luminance, to_byte};
use crate::{Image, OpError};

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

/// A row of pixels to read, in the layout of its format.
#[derive(Clone, Copy, Debug)]
pub enum Source<'a> {
    /// Of [`Format::RGB8`].
    Rgb8(&'a [[u8; 3]]),
    /// Of [`Format::RGBA8`].
    Rgba8(&'a [[u8; 4]]),
    /// Of a float format.
    Float(&'a [[f32; 4]]),
}

impl Source<'_> {
    /// Pixels in the row.
    pub fn len(&self) -> usize {
        match self {
            Source::Rgb8(row) => row.len(),
            Source::Rgba8(row) => row.len(),
            Source::Float(row) => row.len(),
        }
    }

    /// True when the row has no pixel.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A row of pixels to write, in the layout of its format.
#[derive(Debug)]
pub enum Target<'a> {
    /// Of [`Format::RGB8`].
    Rgb8(&'a mut [[u8; 3]]),
    /// Of [`Format::RGBA8`].
    Rgba8(&'a mut [[u8; 4]]),
    /// Of a float format.
    Float(&'a mut [[f32; 4]]),
}

impl Target<'_> {
    /// Pixels in the row.
    pub fn len(&self) -> usize {
        match self {
            Target::Rgb8(row) => row.len(),
            Target::Rgba8(row) => row.len(),
            Target::Float(row) => row.len(),
        }
    }

    /// True when the row has no pixel.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Pixels converted at a time: their floats (1 KB) stay in the first-level cache from step to step.
const CHUNK: usize = 64;

/// Converts a row of pixels from one format to another.
///
/// Alpha that the target lacks is dropped, after colour was divided by it; alpha that the source
/// lacks is 1. Colour under alpha 0 becomes 0 when it comes out of a premultiplied format. Floats
/// are clamped only on the way to 8 bits, which rounds to nearest and reads NaN as 0.
///
/// # Panics
/// When the rows are not equally long, or not of the layout that their format asks for: a fault of
/// the caller, not of the input.
pub fn convert_row(from: Format, src: Source<'_>, to: Format, dst: Target<'_>) {
    assert_eq!(src.len(), dst.len(), "rows of one length");
    match (src, dst) {
        (Source::Rgb8(src), Target::Rgb8(dst)) => dst.copy_from_slice(src),
        (Source::Rgba8(src), Target::Rgba8(dst)) => dst.copy_from_slice(src),
        (Source::Rgb8(src), Target::Rgba8(dst)) => {
            for (dst, &[r, g, b]) in dst.iter_mut().zip(src) {
                *dst = [r, g, b, 255];
            }
        }
        (Source::Rgba8(src), Target::Rgb8(dst)) => {
            for (dst, &[r, g, b, _]) in dst.iter_mut().zip(src) {
                *dst = [r, g, b];
            }
        }
        (Source::Rgb8(src), Target::Float(dst)) => {
            assert_eq!(to.depth, Depth::F32);
            let table = decoding_table(to.encoding);
            for (dst, &[r, g, b]) in dst.iter_mut().zip(src) {
                *dst = [table[usize::from(r)], table[usize::from(g)], table[usize::from(b)], 1.0];
            }
        }
        (Source::Rgba8(src), Target::Float(dst)) if to.encoding == Encoding::Linear => {
            assert_eq!(to.depth, Depth::F32);
            let (light, value) = (decoding_table(Encoding::Linear), decoding_table(Encoding::Coded));
            let straight = src.iter().map(|pixel| {
                let [r, g, b, a] = pixel.map(usize::from);
                ([light[r], light[g], light[b], 1.0], value[a])
            });
            let rows = dst.iter_mut().zip(straight);
            match to.alpha {
                Alpha::None => rows.for_each(|(dst, (pixel, _))| *dst = pixel),
                Alpha::Straight => rows.for_each(|(dst, ([r, g, b, _], alpha))| *dst = [r, g, b, alpha]),
                Alpha::Premultiplied => rows.for_each(|(dst, (pixel, alpha))| *dst = pixel.map(|c| c * alpha)),
            }
        }
        (Source::Rgba8(src), Target::Float(dst)) => {
            assert_eq!(to.depth, Depth::F32);
            for (dst, src) in dst.chunks_mut(CHUNK).zip(src.chunks(CHUNK)) {
                from_bytes(src.as_flattened(), dst.as_flattened_mut());
                match to.alpha {
                    Alpha::None => drop_alpha(dst),
                    Alpha::Straight => {}
                    Alpha::Premultiplied => premultiply(dst),
                }
            }
        }
        (Source::Float(src), Target::Float(dst)) => {
            for (dst, src) in dst.chunks_mut(CHUNK).zip(src.chunks(CHUNK)) {
                dst.copy_from_slice(src);
                convert_in_place(from, to, dst);
            }
        }
        (Source::Float(src), Target::Rgb8(dst)) => {
            let mut encoder = Encoder::new();
            for_straight(from, src, |start, pixels| {
                encoder.encode_opaque(from.encoding, pixels, &mut dst[start..start + pixels.len()]);
            });
        }
        (Source::Float(src), Target::Rgba8(dst)) => {
            let mut encoder = Encoder::new();
            for_straight(from, src, |start, pixels| {
                let bytes = &mut dst[start..start + pixels.len()];
                // Around a picture that was turned there is nothing.
                if from.alpha == Alpha::Premultiplied && all_of_alpha(pixels, 0.0) {
                    bytes.fill([0; 4]);
                } else {
                    encoder.encode(from.encoding, pixels, bytes);
                }
            });
        }
    }
}

/// Linear light of coded bytes, one number each.
pub(crate) fn light(bytes: &[u8], light: &mut [f32]) {
    let table = decoding_table(Encoding::Linear);
    for (light, byte) in light.iter_mut().zip(bytes) {
        *light = table[usize::from(*byte)];
    }
}

/// Makes bytes of straight pixels, a chunk at a time.
///
/// Light is looked up, which no vector code can do; all else is done for the whole chunk before and after.
struct Encoder {
    places: [[u32; 4]; CHUNK],
    found: [[u32; 4]; CHUNK],
}

impl Encoder {
    fn new() -> Self {
        Encoder { places: [[0; 4]; CHUNK], found: [[0; 4]; CHUNK] }
    }

    fn encode(&mut self, encoding: Encoding, pixels: &[[f32; 4]], bytes: &mut [[u8; 4]]) {
        if encoding == Encoding::Coded {
            return to_bytes(pixels.as_flattened(), bytes.as_flattened_mut());
        }
        let table = &*LIGHT_TO_BYTE;
        let (places, found) = (&mut self.places[..pixels.len()], &mut self.found[..pixels.len()]);
        find_places(pixels.as_flattened(), places.as_flattened_mut());
        let rows = found.iter_mut().zip(&*places);
        // One pixel tells of most pictures that they are not gray.
        let gray = |[r, g, b, _]: &[u32; 4]| r == g && g == b;
        if places.last().is_some_and(gray) && all_gray(places) {
            rows.for_each(|(found, place)| *found = [entry(place[0], table); 4]);
        } else {
            rows.for_each(|(found, &[r, g, b, _])| {
                *found = [entry(r, table), entry(g, table), entry(b, table), 0];
            });
        }
        finish(pixels, places, found, bytes);
    }

    /// As [`Encoder::encode`], without alpha: little is left then that would be worth doing for the whole chunk afterwards.
    fn encode_opaque(&mut self, encoding: Encoding, pixels: &[[f32; 4]], bytes: &mut [[u8; 3]]) {
        if encoding == Encoding::Coded {
            let mut coded = [[0; 4]; CHUNK];
            to_bytes(pixels.as_flattened(), coded[..pixels.len()].as_flattened_mut());
            return bytes.iter_mut().zip(&coded).for_each(|(byte, [r, g, b, _])| *byte = [*r, *g, *b]);
        }
        let table = &*LIGHT_TO_BYTE;
        let places = &mut self.places[..pixels.len()];
        find_places(pixels.as_flattened(), places.as_flattened_mut());
        for (byte, places) in bytes.iter_mut().zip(places) {
            *byte = std::array::from_fn(|component| byte_of(places[component], entry(places[component], table)));
        }
    }
}

/// The bytes of R, G and B from what was found for them, and those of alpha.
#[multiversion(targets("x86_64+avx2"))]
fn finish(pixels: &[[f32; 4]], places: &[[u32; 4]], found: &[[u32; 4]], bytes: &mut [[u8; 4]]) {
    let mut alphas = [[0; 4]; CHUNK];
    let alphas = &mut alphas[..pixels.len()];
    for (alpha, value) in alphas.as_flattened_mut().iter_mut().zip(pixels.as_flattened()) {
        *alpha = to_byte(*value);
    }
    let places = places.as_flattened().iter().zip(found.as_flattened());
    for (byte, (place, entry)) in bytes.as_flattened_mut().iter_mut().zip(places) {
        *byte = byte_of(*place, *entry);
    }
    for (pixel, alpha) in bytes.iter_mut().zip(alphas) {
        let color = u32::from_le_bytes(*pixel) & 0x00ff_ffff;
        *pixel = (color | u32::from_le_bytes(*alpha) & 0xff00_0000).to_le_bytes();
    }
}

#[multiversion(targets("x86_64+avx2"))]
fn all_gray(places: &[[u32; 4]]) -> bool {
    places.iter().fold(0, |all, [r, g, b, _]| all | (r ^ g) | (g ^ b)) == 0
}

#[multiversion(targets("x86_64+avx2"))]
fn find_places(lights: &[f32], places: &mut [u32]) {
    places.iter_mut().zip(lights).for_each(|(place, light)| *place = light_place(*light));
}

/// Bytes as numbers from 0 to 1.
#[multiversion(targets("x86_64+avx2"))]
fn from_bytes(bytes: &[u8], floats: &mut [f32]) {
    floats.iter_mut().zip(bytes).for_each(|(float, byte)| *float = f32::from(*byte) / 255.0);
}

#[multiversion(targets("x86_64+avx2"))]
fn to_bytes(floats: &[f32], bytes: &mut [u8]) {
    bytes.iter_mut().zip(floats).for_each(|(byte, float)| *byte = to_byte(*float));
}

/// Calls `write` with chunks of a row of floats, divided by alpha where they were multiplied by
/// it, and the index of the first pixel of each.
fn for_straight(from: Format, row: &[[f32; 4]], mut write: impl FnMut(usize, &[[f32; 4]])) {
    let mut buffer = [[0.0; 4]; CHUNK];
    for (index, row) in row.chunks(CHUNK).enumerate() {
        // Nothing changes by division by 1.
        if from.alpha == Alpha::Premultiplied && !all_of_alpha(row, 1.0) {
            let buffer = &mut buffer[..row.len()];
            buffer.copy_from_slice(row);
            unpremultiply(buffer);
            write(index * CHUNK, buffer);
        } else {
            write(index * CHUNK, row);
        }
    }
}

/// True where all pixels have that alpha.
fn all_of_alpha(row: &[[f32; 4]], alpha: f32) -> bool {
    // One pixel tells most rows.
    row.last().is_some_and(|pixel| pixel[3] == alpha) && each_of_alpha(row, alpha)
}

#[multiversion(targets("x86_64+avx2"))]
fn each_of_alpha(row: &[[f32; 4]], alpha: f32) -> bool {
    row.iter().fold(true, |all, pixel| all & (pixel[3] == alpha))
}

/// Converts a row of float pixels where it lies, as [`convert_row`] does.
///
/// # Panics
/// When one of the formats is not float.
pub fn convert_in_place(from: Format, to: Format, row: &mut [[f32; 4]]) {
    assert_eq!((from.depth, to.depth), (Depth::F32, Depth::F32));
    if from == to {
        return;
    }
    let recode = from.encoding != to.encoding;
    for row in row.chunks_mut(CHUNK) {
        let mut alpha = from.alpha;
        if alpha == Alpha::Premultiplied && (recode || to.alpha != alpha) {
            unpremultiply(row);
            alpha = Alpha::Straight;
        }
        if recode {
            match to.encoding {
                Encoding::Linear => map_color(row, to_light),
                Encoding::Coded => map_color(row, to_coded),
            }
        }
        match to.alpha {
            Alpha::None if alpha != Alpha::None => drop_alpha(row),
            // Opaque pixels are their own premultiplied form.
            Alpha::Premultiplied if alpha == Alpha::Straight => premultiply(row),
            _ => {}
        }
    }
}

/// A copy of an image in another format.
///
/// # Errors
/// [`OpError::OutOfMemory`] when the allocator refuses.
pub fn convert(image: &Image, to: Format) -> Result<Image, OpError> {
    let (rect, from) = (image.rect(), image.format());
    let mut output = Image::new(rect, to)?;
    let view = image.view(rect);
    for mut tile in output.tiles(rect.width, rect.height) {
        for y in (0..rect.height as i32).map(|row| rect.y + row) {
            let src = view.source(rect.x, y, rect.width);
            convert_row(from, src, to, tile.target(rect.x, y, rect.width));
        }
    }
    Ok(output)
}

/// Applies `curve` to the colour components of each pixel.
fn map_color(row: &mut [[f32; 4]], curve: fn(&mut [f32])) {
    // All four components go through the curve and alpha is put back: that is quicker than a loop
    // that leaves every fourth out, which would not become vector code.
    let mut alpha = [0.0; CHUNK];
    for row in row.chunks_mut(CHUNK) {
        for (alpha, pixel) in alpha.iter_mut().zip(row.iter()) {
            *alpha = pixel[3];
        }
        curve(row.as_flattened_mut());
        for (alpha, pixel) in alpha.iter().zip(row.iter_mut()) {
            pixel[3] = *alpha;
        }
    }
}

#[multiversion(targets("x86_64+avx2"))]
fn to_light(components: &mut [f32]) {
    components.iter_mut().for_each(|component| *component = coded_to_linear(*component));
}

#[multiversion(targets("x86_64+avx2"))]
fn to_coded(components: &mut [f32]) {
    components.iter_mut().for_each(|component| *component = linear_to_coded(*component));
}

#[multiversion(targets("x86_64+avx2"))]
fn premultiply(row: &mut [[f32; 4]]) {
    for pixel in row {
        let a = pixel[3];
        *pixel = [pixel[0] * a, pixel[1] * a, pixel[2] * a, a];
    }
}

#[multiversion(targets("x86_64+avx2"))]
fn unpremultiply(row: &mut [[f32; 4]]) {
    for pixel in row {
        let a = pixel[3];
        // Colour of a fully transparent pixel is 0 even where it was not, so divide by infinity.
        let divisor = if a == 0.0 { f32::INFINITY } else { a };
        *pixel = [pixel[0] / divisor, pixel[1] / divisor, pixel[2] / divisor, a];
    }
}

fn drop_alpha(row: &mut [[f32; 4]]) {
    for pixel in row {
        pixel[3] = 1.0;
    }
}

/// The light that each byte stands for.
pub(crate) fn light_of_bytes() -> &'static [f32; 256] {
    decoding_table(Encoding::Linear)
}

/// Float values of the 256 bytes: themselves / 255, or the light they stand for.
fn decoding_table(encoding: Encoding) -> &'static [f32; 256] {
    static CODED: LazyLock<[f32; 256]> = LazyLock::new(|| std::array::from_fn(|byte| byte as f32 / 255.0));
    static LINEAR: LazyLock<[f32; 256]> =
        LazyLock::new(|| std::array::from_fn(|byte| exact::coded_to_linear(byte as f64 / 255.0) as f32));
    match encoding {
        Encoding::Coded => &CODED,
        Encoding::Linear => &LINEAR,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Pixels, Rect};

    fn light_to_byte(light: f32, table: &[u32; 2048]) -> u8 {
        let place = light_place(light);
        byte_of(place, entry(place, table))
    }

    const FLOATS: [Format; 6] =
        [Format::LIN, Format::LINP, Format::LIN_OPAQUE, Format::GAM, Format::GAMP, Format::GAM_OPAQUE];

    fn convert_one(from: Format, pixel: [f32; 4], to: Format) -> [f32; 4] {
        let mut out = [[f32::NAN; 4]];
        convert_row(from, Source::Float(&[pixel]), to, Target::Float(&mut out));
        out[0]
    }

    fn close(a: [f32; 4], b: [f32; 4]) -> bool {
        a.iter().zip(b).all(|(a, b)| (a - b).abs() < 2e-6)
    }

    #[test]
    fn linear_to_coded_is_accurate_over_a_dense_sweep() {
        let mut worst = 0.0f64;
        for i in 0..=4_000_000 {
            let linear = i as f32 / 4_000_000.0;
            worst = worst.max((f64::from(linear_to_coded(linear)) - exact::linear_to_coded(linear.into())).abs());
        }
        assert!(worst < 1e-6, "{worst}");
        // Above 1 the error is relative.
        for linear in [1.0f32, 1.5, 2.0, 7.3, 100.0, 65504.0, 1e9] {
            let expected = exact::linear_to_coded(linear.into());
            assert!((f64::from(linear_to_coded(linear)) / expected - 1.0).abs() < 2e-6, "{linear}");
        }
    }

    #[test]
    fn coded_to_linear_is_accurate_over_a_dense_sweep() {
        let mut worst = 0.0f64;
        for i in 1..=4_000_000 {
            let coded = i as f32 / 4_000_000.0;
            let expected = exact::coded_to_linear(coded.into());
            worst = worst.max((f64::from(coded_to_linear(coded)) / expected - 1.0).abs());
        }
        assert!(worst < 1e-6, "{worst}");
        for coded in [1.0f32, 1.5, 2.0, 7.3, 100.0, 65504.0] {
            let expected = exact::coded_to_linear(coded.into());
            assert!((f64::from(coded_to_linear(coded)) / expected - 1.0).abs() < 2e-6, "{coded}");
        }
    }

    #[test]
    fn curves_meet_the_published_points() {
        // IEC 61966-2-1: 0.5 coded is 0.21404 of light; 18 % gray is coded 0.46135.
        assert!((coded_to_linear(0.5) - 0.214_041_14).abs() < 1e-6);
        assert!((linear_to_coded(0.18) - 0.461_356_13).abs() < 1e-6);
        assert_eq!((coded_to_linear(0.0), linear_to_coded(0.0)), (0.0, 0.0));
        assert!((coded_to_linear(1.0) - 1.0).abs() < 1e-6);
        assert!((linear_to_coded(1.0) - 1.0).abs() < 1e-6);
    }

    #[test]
    fn curves_let_negative_and_large_values_through() {
        assert!((linear_to_coded(-0.1) + 1.292).abs() < 1e-6);
        assert!((coded_to_linear(-1.292) + 0.1).abs() < 1e-6);
        for value in [-3.0f32, -0.5, -1e-3, 1.2, 4.0, 1000.0] {
            let back = coded_to_linear(linear_to_coded(value));
            assert!((back / value - 1.0).abs() < 3e-6, "{value} came back as {back}");
        }
        // Not numbers stay so and do not become pictures; infinities stay large.
        assert!(linear_to_coded(f32::NAN).is_nan());
        assert!(coded_to_linear(f32::NAN).is_nan());
        assert!(linear_to_coded(f32::INFINITY) > 1e15);
        assert!(coded_to_linear(f32::INFINITY) > 1e30);
        assert_eq!(linear_to_coded(f32::NEG_INFINITY), f32::NEG_INFINITY);
        assert_eq!(linear_to_coded(1e-42), 1e-42 * 12.92);
    }

    #[test]
    fn light_is_rounded_to_the_nearest_byte_at_each_threshold() {
        // Between byte b and b + 1 lies the light whose coded value is (b + 0.5) / 255: the last
        // float below it gives b and the first above b + 1.
        for b in 0..255u8 {
            let mut light = exact::coded_to_linear((f64::from(b) + 0.5) / 255.0) as f32;
            for _ in 0..8 {
                light = light.next_down();
            }
            for _ in 0..16 {
                let expected = (exact::linear_to_coded(light.into()) * 255.0).round() as u8;
                assert!(expected == b || expected == b + 1);
                assert_eq!(light_to_byte(light, &LIGHT_TO_BYTE), expected, "{b}: {light:e}");
                light = light.next_up();
            }
            assert_eq!(light_to_byte(light, &LIGHT_TO_BYTE), b + 1);
        }
    }

    #[test]
    fn light_is_rounded_to_the_nearest_byte_over_a_sweep() {
        for i in 0..=1_000_000 {
            let light = i as f32 / 1_000_000.0;
            let expected = (exact::linear_to_coded(light.into()) * 255.0).round() as u8;
            assert_eq!(light_to_byte(light, &LIGHT_TO_BYTE), expected, "{light}");
        }
        let dark = [-1e30, -0.0, 0.0, 1e-42, 1e-5, f32::NAN, f32::NEG_INFINITY];
        assert_eq!(dark.map(|light| light_to_byte(light, &LIGHT_TO_BYTE)), [0; 7]);
        assert_eq!([1.0, 1.1, 1e30, f32::INFINITY].map(|light| light_to_byte(light, &LIGHT_TO_BYTE)), [255; 4]);
    }

    #[test]
    fn rows_are_rounded_as_single_lights_are() {
        // On both sides of every step of a byte, in rows of any length; the last rows are gray.
        let lights: Vec<f32> = (0..255u8)
            .map(|b| exact::coded_to_linear((f64::from(b) + 0.5) / 255.0) as f32)
            .flat_map(|light| [light.next_down().next_down(), light.next_up().next_up(), -light, light * 3.0])
            .collect();
        let light = |i: usize| lights[i % lights.len()];
        for len in [1, 3, 63, 64, 65, 1020] {
            for gray in [false, true] {
                let pixel = |i: usize| match gray {
                    true => [light(i), light(i), light(i), light(i + 2)],
                    false => [light(i), light(3 * i + 1), light(7 * i + 5), light(5 * i)],
                };
                let row: Vec<[f32; 4]> = (0..len).map(pixel).collect();
                let byte = |light| light_to_byte(light, &LIGHT_TO_BYTE);
                let expected = row.iter().map(|&[r, g, b, a]| [byte(r), byte(g), byte(b), to_byte(a)]);
                let expected: Vec<[u8; 4]> = expected.collect();
                let mut rgba = vec![[7; 4]; len];
                convert_row(Format::LIN, Source::Float(&row), Format::RGBA8, Target::Rgba8(&mut rgba));
                assert_eq!(rgba, expected, "{len} {gray}");
                let mut rgb = vec![[7; 3]; len];
                convert_row(Format::LIN, Source::Float(&row), Format::RGB8, Target::Rgb8(&mut rgb));
                assert!(rgb.iter().zip(&expected).all(|(rgb, rgba)| rgb[..] == rgba[..3]), "{len} {gray}");
            }
        }
    }

    #[test]
    fn rows_of_one_alpha_are_converted_as_others() {
        // All opaque or all clear but for one pixel, or without it: the rest is the same.
        for alpha in [0.0, 1.0] {
            for length in [1, 64, 200] {
                let row: Vec<[f32; 4]> =
                    (0..length).map(|i| [i as f32 / 300.0 * alpha, 0.2 * alpha, 0.0, alpha]).collect();
                let mut other = row.clone();
                other.push([0.1, 0.2, 0.05, 0.5]);
                let convert = |row: &[[f32; 4]]| {
                    let mut bytes = vec![[7; 4]; row.len()];
                    convert_row(Format::LINP, Source::Float(row), Format::RGBA8, Target::Rgba8(&mut bytes));
                    bytes
                };
                let (alone, beside) = (convert(&row), convert(&other));
                assert_eq!(alone, beside[..length], "{alpha} {length}");
                assert!(alone.iter().all(|pixel| pixel[3] == (255.0 * alpha) as u8));
            }
        }
    }

    #[test]
    fn bytes_are_clamped_and_rounded() {
        assert_eq!([-1e30, -0.001, 0.0, f32::NAN, f32::NEG_INFINITY].map(to_byte), [0; 5]);
        assert_eq!([1.0, 1.001, 1e30, f32::INFINITY].map(to_byte), [255; 4]);
        assert_eq!([0.4999 / 255.0, 0.5001 / 255.0, 127.4999 / 255.0, 127.5001 / 255.0].map(to_byte), [0, 1, 127, 128]);
        assert_eq!([254.4999 / 255.0, 254.5001 / 255.0].map(to_byte), [254, 255]);
    }

    #[test]
    fn bytes_survive_every_straight_format() {
        // All 256 bytes in all channels and alphas, in rows longer than a chunk.
        let row: Vec<[u8; 4]> = (0..=255u8).flat_map(|b| [[b, 255 - b, b / 2, 255 - b / 3], [b, b, b, b]]).collect();
        for format in [Format::LIN, Format::GAM] {
            let mut floats = vec![[0.0; 4]; row.len()];
            let mut back = vec![[0; 4]; row.len()];
            convert_row(Format::RGBA8, Source::Rgba8(&row), format, Target::Float(&mut floats));
            convert_row(format, Source::Float(&floats), Format::RGBA8, Target::Rgba8(&mut back));
            assert_eq!(back, row, "{format:?}");
        }
        for format in [Format::LINP, Format::GAMP] {
            let mut floats = vec![[0.0; 4]; row.len()];
            let mut back = vec![[0; 4]; row.len()];
            convert_row(Format::RGBA8, Source::Rgba8(&row), format, Target::Float(&mut floats));
            convert_row(format, Source::Float(&floats), Format::RGBA8, Target::Rgba8(&mut back));
            // Colour under alpha 0 is lost, the rest stays.
            for (back, row) in back.iter().zip(&row) {
                assert_eq!(*back, if row[3] == 0 { [0; 4] } else { *row }, "{format:?}");
            }
        }
        let rgb: Vec<[u8; 3]> = (0..=255u8).map(|b| [b, 255 - b, b / 2]).collect();
        for format in FLOATS {
            let mut floats = vec![[0.0; 4]; rgb.len()];
            let mut back = vec![[0; 3]; rgb.len()];
            convert_row(Format::RGB8, Source::Rgb8(&rgb), format, Target::Float(&mut floats));
            assert!(floats.iter().all(|p| p[3] == 1.0));
            convert_row(format, Source::Float(&floats), Format::RGB8, Target::Rgb8(&mut back));
            assert_eq!(back, rgb, "{format:?}");
        }
    }

    #[test]
    fn floats_convert_as_their_definition_says() {
        let pixel = [0.18, 0.5, 1.0, 0.5];
        let coded = [0.461_356_13, 0.735_356_9, 1.0, 0.5];
        assert!(close(convert_one(Format::LIN, pixel, Format::GAM), coded));
        assert!(close(convert_one(Format::GAM, coded, Format::LIN), pixel));
        assert!(close(convert_one(Format::LIN, pixel, Format::LINP), [0.09, 0.25, 0.5, 0.5]));
        assert!(close(convert_one(Format::LINP, [0.09, 0.25, 0.5, 0.5], Format::LIN), pixel));
        // Premultiplied after coding.
        assert!(close(convert_one(Format::LIN, pixel, Format::GAMP), [0.230_678_07, 0.367_678_46, 0.5, 0.5]));
        assert!(close(
            convert_one(Format::LINP, [0.09, 0.25, 0.5, 0.5], Format::GAMP),
            [0.230_678_07, 0.367_678_46, 0.5, 0.5]
        ));
        // Alpha is dropped after colour was divided by it.
        assert!(close(convert_one(Format::LINP, [0.09, 0.25, 0.5, 0.5], Format::LIN_OPAQUE), [0.18, 0.5, 1.0, 1.0]));
        assert_eq!(convert_one(Format::LIN, pixel, Format::LIN_OPAQUE), [0.18, 0.5, 1.0, 1.0]);
        // And 1 where there was none.
        assert_eq!(convert_one(Format::LIN_OPAQUE, [0.1, 0.2, 0.3, 1.0], Format::LINP), [0.1, 0.2, 0.3, 1.0]);
    }

    #[test]
    fn every_pair_of_float_formats_agrees_with_the_way_through_lin() {
        let straight = [[0.2, 0.7, 1.4, 0.25], [-0.1, 0.001, 0.5, 1.0], [3.0, 0.0, 0.04, 0.9]];
        for from in FLOATS {
            for to in FLOATS {
                for pixel in straight {
                    let pixel = convert_one(Format::LIN, pixel, from);
                    let direct = convert_one(from, pixel, to);
                    let around = convert_one(Format::LIN, convert_one(from, pixel, Format::LIN), to);
                    assert!(close(direct, around), "{from:?} to {to:?}: {direct:?}, {around:?}");
                }
            }
        }
    }

    #[test]
    fn colour_under_alpha_0_is_0_after_premultiplied() {
        assert_eq!(convert_one(Format::LINP, [0.3, -0.2, 5.0, 0.0], Format::LIN), [0.0, 0.0, 0.0, 0.0]);
        assert_eq!(convert_one(Format::GAMP, [0.3, -0.2, 5.0, 0.0], Format::LIN_OPAQUE), [0.0, 0.0, 0.0, 1.0]);
        // A straight format has colour of its own there.
        assert_eq!(convert_one(Format::LIN, [0.3, 0.2, 5.0, 0.0], Format::LIN_OPAQUE), [0.3, 0.2, 5.0, 1.0]);
        // The smallest alpha divides without NaN.
        let tiny = convert_one(Format::LINP, [0.0, 1e-42, 0.0, 1e-42], Format::LIN);
        assert_eq!(tiny, [0.0, 1.0, 0.0, 1e-42]);
    }

    #[test]
    fn values_outside_0_to_1_survive_in_floats() {
        for (from, to) in [(Format::LIN, Format::GAM), (Format::LIN, Format::LINP), (Format::GAM, Format::LINP)] {
            let pixel = [-0.5, 2.5, 100.0, 0.5];
            let back = convert_one(to, convert_one(from, pixel, to), from);
            for (back, value) in back.iter().zip(pixel) {
                assert!((back / value - 1.0).abs() < 5e-6, "{from:?} to {to:?}: {back} for {value}");
            }
        }
    }

    #[test]
    fn bytes_gain_and_lose_alpha() {
        let mut rgba = [[0; 4]; 2];
        convert_row(Format::RGB8, Source::Rgb8(&[[1, 2, 3], [4, 5, 6]]), Format::RGBA8, Target::Rgba8(&mut rgba));
        assert_eq!(rgba, [[1, 2, 3, 255], [4, 5, 6, 255]]);
        let mut rgb = [[0; 3]];
        convert_row(Format::RGBA8, Source::Rgba8(&[[9, 8, 7, 0]]), Format::RGB8, Target::Rgb8(&mut rgb));
        assert_eq!(rgb, [[9, 8, 7]]);
        let mut float = [[0.0; 4]];
        convert_row(Format::RGBA8, Source::Rgba8(&[[255, 0, 0, 51]]), Format::LIN_OPAQUE, Target::Float(&mut float));
        assert_eq!(float, [[1.0, 0.0, 0.0, 1.0]]);
        convert_row(Format::RGBA8, Source::Rgba8(&[[255, 0, 0, 51]]), Format::LINP, Target::Float(&mut float));
        assert_eq!(float, [[0.2, 0.0, 0.0, 0.2]]);
    }

    #[test]
    fn images_convert_whole_and_keep_their_box() {
        let rect = Rect::new(-3, 7, 2, 2);
        let pixels = vec![[255, 0, 0, 255], [0, 255, 0, 255], [0, 0, 255, 0], [128, 128, 128, 51]];
        let image = Image::from_rgba8(rect, pixels);
        let lin = convert(&image, Format::LIN).unwrap();
        assert_eq!((lin.rect(), lin.format()), (rect, Format::LIN));
        let Pixels::Float(pixels) = lin.pixels() else { panic!() };
        assert_eq!(pixels[1], [0.0, 1.0, 0.0, 1.0]);
        assert!(close(pixels[3], [0.215_860_5, 0.215_860_5, 0.215_860_5, 0.2]));
        assert_eq!(convert(&lin, Format::RGBA8).unwrap(), image);
        assert_eq!(convert(&image, Format::RGBA8).unwrap(), image);
        let empty = Image::new(Rect::new(5, 5, 0, 3), Format::RGB8).unwrap();
        assert_eq!(convert(&empty, Format::LINP).unwrap().rect(), Rect::new(5, 5, 0, 3));
    }

    #[test]
    fn luminance_is_the_d50_row() {
        assert_eq!(luminance([1.0, 0.0, 0.0]), 0.222_488_4);
        assert!((luminance([1.0, 1.0, 1.0]) - 1.0).abs() < 1e-6);
        assert!((luminance([0.5, 0.25, 2.0]) - (0.111_244_2 + 0.179_225_93 + 0.121_215_82)).abs() < 1e-6);
    }
}
