//! The sRGB transfer curve (IEC 61966-2-1) and luminance.
//!
//! Between floats the curves are polynomials on the parts of the number, written so that loops over
//! a row become vector code. From light to bytes there is a table, and it is exact.

use std::sync::LazyLock;

/// Relative luminance of linear RGB: the Y row of the D50-adapted sRGB matrix, as babl has it.
#[inline]
pub fn luminance([r, g, b]: [f32; 3]) -> f32 {
    0.222_488_4 * r + 0.716_903_7 * g + 0.060_607_91 * b
}

/// sRGB coded value to linear light (IEC 61966-2-1). Negative values follow the straight part of
/// the curve, values above 1 its power part. Relative error below 1e-6.
#[inline]
pub fn coded_to_linear(coded: f32) -> f32 {
    let power = power((coded + 0.055) * (1.0 / 1.055), 2.4);
    let straight = coded * (1.0 / 12.92);
    if coded > 0.04045 { power } else { straight }
}

/// Linear light to the sRGB coded value, the inverse of [`coded_to_linear`]. Absolute error below
/// 1e-6 in 0..=1.
#[inline]
pub fn linear_to_coded(linear: f32) -> f32 {
    let power = 1.055 * power(linear, 1.0 / 2.4) - 0.055;
    let straight = linear * 12.92;
    if linear > 0.003_130_8 { power } else { straight }
}

/// Coded value, clamped to 0..=1, to the nearest of 0..=255; NaN is 0.
#[inline]
pub fn to_byte(coded: f32) -> u8 {
    // A comparison with NaN is false, so these two lines are one `max` and one `min` instruction.
    let value = if coded > 0.0 { coded } else { 0.0 };
    let value = if value < 1.0 { value } else { 1.0 };
    // 2^23 has a unit of 1 in the last place: adding it rounds to whole numbers, in the low bits.
    (value * 255.0 + 8_388_608.0).to_bits() as u8
}

/// The least light that [`LIGHT_TO_BYTE`] tells from none, 2^-13: byte 1 begins at 2^-12.7.
const DARK: f32 = 1.0 / 8192.0;

/// From the upper bits of a float of light to its byte. Between two entries lies at most one
/// place where the byte changes; the lower 16 bits of an entry are such that adding the lower 16
/// bits of the float carries into the byte exactly from there on.
pub(crate) static LIGHT_TO_BYTE: LazyLock<[u32; 2048]> = LazyLock::new(|| {
    let mut steps = (0..255).map(first_light_above).peekable();
    let mut byte = 0;
    std::array::from_fn(|index| {
        let start = DARK.to_bits() + ((index as u32) << 16);
        while steps.next_if(|step| *step <= start).is_some() {
            byte += 1;
        }
        let carry = match steps.peek() {
            Some(step) if *step < start + 0x1_0000 => 0x1_0000 - (step - start),
            _ => 0,
        };
        (byte << 16) + carry
    })
});

/// Bits of the smallest float of light whose byte is above `byte`.
fn first_light_above(byte: u32) -> u32 {
    let step = (f64::from(byte) + 0.5) / 255.0;
    let above = |bits: u32| exact::linear_to_coded(f32::from_bits(bits).into()) >= step;
    let mut bits = (exact::coded_to_linear(step) as f32).to_bits();
    while above(bits - 1) {
        bits -= 1;
    }
    while !above(bits) {
        bits += 1;
    }
    bits
}

/// Where [`entry`] looks for linear light, which is clamped to 0..=1; NaN is 0. Becomes vector code.
#[inline(always)]
pub(crate) fn light_place(light: f32) -> u32 {
    let light = if light > DARK { light } else { DARK };
    let light = if light < 1.0 { light } else { 1.0 };
    light.to_bits() - DARK.to_bits()
}

/// What [`LIGHT_TO_BYTE`] has at a [`light_place`].
#[inline(always)]
pub(crate) fn entry(place: u32, table: &[u32; 2048]) -> u32 {
    // 13 powers of 2 with 128 entries each are all there is below 1: the mask never cuts.
    table[(place >> 16) as usize & 2047]
}

/// The byte nearest to the coded value of the light at a [`light_place`], exactly, from its [`entry`]. Becomes vector
/// code.
#[inline(always)]
pub(crate) fn byte_of(place: u32, entry: u32) -> u8 {
    ((entry + (place & 0xffff)) >> 16) as u8
}

/// `x` to the `exponent`, for `x` > 0 and results in the range of normal floats; others saturate.
/// Straight-line code of adds and multiplies, so that loops over it become vector code, which
/// `powf` cannot. Relative error about 3e-7 for results within 2^±10.
#[inline(always)]
pub(crate) fn power(x: f32, exponent: f32) -> f32 {
    // x = 2^e * m, with m in sqrt(1/2)..sqrt(2).
    const SQRT_HALF: i32 = 0x3f35_04f3;
    let bits = x.to_bits() as i32;
    let e = bits.wrapping_sub(SQRT_HALF) >> 23;
    let m = f32::from_bits(bits.wrapping_sub(e << 23) as u32);
    // ln m = 2 artanh s, as its series up to s^7: |s| < 0.172, so the next term is below 3e-8.
    let s = (m - 1.0) / (m + 1.0);
    let s2 = s * s;
    let series = 1.0 + s2 * (1.0 / 3.0 + s2 * (1.0 / 5.0 + s2 * (1.0 / 7.0)));
    let log2 = e as f32 + s * series * (2.0 * std::f32::consts::LOG2_E);
    // 2^y = 2^k * 2^f, with k whole and |f| <= 1/2; the constant rounds as in `to_byte`.
    let y = log2 * exponent;
    let y = if y > -126.0 { y } else { -126.0 };
    let y = if y < 127.0 { y } else { 127.0 };
    const ROUND: f32 = 12_582_912.0;
    let shifted = y + ROUND;
    let f = (y - (shifted - ROUND)) * std::f32::consts::LN_2;
    // e^f as its series up to f^6: the next term is below 2e-7.
    let series =
        1.0 + f * (1.0 + f * (1.0 / 2.0 + f * (1.0 / 6.0 + f * (1.0 / 24.0 + f * (1.0 / 120.0 + f * (1.0 / 720.0))))));
    f32::from_bits(series.to_bits().wrapping_add(shifted.to_bits() << 23))
}

/// The curves by their definition, in double precision: for tables, single colours and tests.
pub(crate) mod exact {
    /// sRGB coded value to linear light.
    pub(crate) fn coded_to_linear(coded: f64) -> f64 {
        if coded > 0.04045 { ((coded + 0.055) / 1.055).powf(2.4) } else { coded / 12.92 }
    }

    /// Linear light to sRGB coded value.
    pub(crate) fn linear_to_coded(linear: f64) -> f64 {
        if linear > 0.003_130_8 { 1.055 * linear.powf(1.0 / 2.4) - 0.055 } else { linear * 12.92 }
    }
}
