//! From gray or YCbCr to RGB (JFIF: ITU-T T.871, 7).

use multiversion::multiversion;

/// Pixels that are converted at a time, in vectors. Rows of values go on for so many at least.
pub(super) const LANES: usize = 16;

/// Rounds: once 1.5 × 2^23 is added, the whole number is in the low bits of the float.
#[inline(always)]
fn byte(value: f32) -> u32 {
    (value.clamp(0.0, 255.0) + 12_582_912.0).to_bits() & 0xff
}

/// Values of Y, Cb and Cr.
trait Value: Copy {
    /// Red, green and blue of pixels, in words, the lowest byte first.
    fn words(y: &[Self; LANES], cb: &[Self; LANES], cr: &[Self; LANES]) -> [u32; LANES];
}

/// Around 0.
impl Value for f32 {
    #[inline(always)]
    fn words(y: &[f32; LANES], cb: &[f32; LANES], cr: &[f32; LANES]) -> [u32; LANES] {
        let mut words = [0; LANES];
        for x in 0..LANES {
            let (y, cb, cr) = (y[x] + 128.0, cb[x], cr[x]);
            let (red, blue) = (byte(y + 1.402 * cr), byte(y + 1.772 * cb));
            words[x] = red | byte(y - 0.344_136 * cb - 0.714_136 * cr) << 8 | blue << 16;
        }
        words
    }
}

/// A product, rounded; the factor in 1/65536.
#[inline(always)]
fn product(value: i16, factor: i16) -> i16 {
    ((i32::from(value) * i32::from(factor) + (1 << 15)) >> 16) as i16
}

/// What libjpeg makes of them: products are rounded before they are added, but for those of green, which
/// are rounded together. The factors without what is whole, to be products of 16 bits:
/// 1.402 - 1, -0.34414, 1 - 0.71414 and 1.772 - 2.
impl Value for u8 {
    #[inline(always)]
    fn words(y: &[u8; LANES], cb: &[u8; LANES], cr: &[u8; LANES]) -> [u32; LANES] {
        let mut words = [0; LANES];
        for x in 0..LANES {
            let (y, cb, cr) = (i16::from(y[x]), i16::from(cb[x]) - 128, i16::from(cr[x]) - 128);
            let red = y + cr + product(cr, 26_345);
            let green = y - cr + ((i32::from(cb) * -22_554 + i32::from(cr) * 18_734 + (1 << 15)) >> 16) as i16;
            let blue = y + 2 * cb + product(cb, -14_942);
            let byte = |value: i16| value.clamp(0, 255) as u32;
            words[x] = byte(red) | byte(green) << 8 | byte(blue) << 16;
        }
        words
    }
}

/// As many pixels as `row` holds.
#[inline(always)]
fn convert<T: Value>(row: &mut [[u8; 3]], planes: [&[T]; 3]) {
    let [y, cb, cr] = planes.map(|plane| plane.as_chunks::<LANES>().0);
    let mut row = row.as_flattened_mut();
    for ((y, cb), cr) in y.iter().zip(cb).zip(cr) {
        let words = T::words(y, cb, cr);
        // Each word is written over the last byte of the one before, and that of the last one has to be
        // there.
        if let Some(bytes) = row.first_chunk_mut::<{ LANES * 3 + 1 }>() {
            for (x, word) in words.into_iter().enumerate() {
                bytes[x * 3..x * 3 + 4].copy_from_slice(&word.to_le_bytes());
            }
            row = &mut row[LANES * 3..];
        } else {
            for (pixel, word) in row.as_chunks_mut::<3>().0.iter_mut().zip(words) {
                pixel.copy_from_slice(&word.to_le_bytes()[..3]);
            }
            break;
        }
    }
}

/// From values around 0.
#[multiversion(targets("x86_64+avx2"))]
pub(super) fn color(row: &mut [[u8; 3]], planes: [&[f32]; 3]) {
    convert(row, planes);
}

/// From values around 0.
#[multiversion(targets("x86_64+avx2"))]
pub(super) fn gray(row: &mut [[u8; 3]], y: &[f32]) {
    row.iter_mut().zip(y).for_each(|(pixel, y)| *pixel = [byte(y + 128.0) as u8; 3]);
}

/// From bytes, to what libjpeg makes of them.
#[multiversion(targets("x86_64+avx2"))]
pub(super) fn color_of_bytes(row: &mut [[u8; 3]], planes: [&[u8]; 3]) {
    convert(row, planes);
}
