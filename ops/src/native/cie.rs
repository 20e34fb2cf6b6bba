//! The CIE colour spaces as babl has them: XYZ adapted to D50, L*a*b*, LCH and u'v'.

use std::sync::LazyLock;

use crate::curve::power;

/// Linear sRGB to XYZ, adapted to D50, as in babl.
const TO_XYZ: [[f32; 3]; 3] = [
    [0.436_035_16, 0.385_116_58, 0.143_051_15],
    [0.222_488_4, 0.716_903_7, 0.060_607_91],
    [0.013_916_02, 0.097_061_16, 0.713_928_2],
];
/// X and Z of the D50 white.
const WHITE_X: f32 = 0.964_202_9;
const WHITE_Z: f32 = 0.824_905_4;
const EPSILON: f32 = 216.0 / 24389.0;
const KAPPA: f32 = 24389.0 / 27.0;
/// Chroma below this is rounding: the pixel is gray and has no hue. In GEGL the last bits of such
/// a pixel decide whether it counts as gray, and if not, which hue all pixels like it share.
pub(super) const GRAY: f32 = 1e-3;

/// The inverse of [`TO_XYZ`].
static FROM_XYZ: LazyLock<[[f32; 3]; 3]> = LazyLock::new(|| {
    let m = TO_XYZ.map(|row| row.map(f64::from));
    // The cofactor of m[column][row], over the determinant.
    let cofactor = |row: usize, column: usize| {
        let at = |r: usize, c: usize| m[(column + r) % 3][(row + c) % 3];
        at(1, 1) * at(2, 2) - at(1, 2) * at(2, 1)
    };
    let determinant: f64 = (0..3).map(|i| m[0][i] * cofactor(i, 0)).sum();
    std::array::from_fn(|row| std::array::from_fn(|column| (cofactor(row, column) / determinant) as f32))
});

#[inline(always)]
fn product(m: &[[f32; 3]; 3], v: [f32; 3]) -> [f32; 3] {
    m.map(|row| row[0] * v[0] + row[1] * v[1] + row[2] * v[2])
}

/// The way back to light, with its matrix at hand: look-ups of a static do not belong in a loop.
#[derive(Clone, Copy, Debug)]
pub(super) struct ToLight([[f32; 3]; 3]);

impl ToLight {
    pub(super) fn new() -> Self {
        ToLight(*FROM_XYZ)
    }

    /// The inverse of [`to_lab`].
    #[inline(always)]
    pub(super) fn lab(&self, [lightness, a, b]: [f32; 3]) -> [f32; 3] {
        let fy = (lightness + 16.0) / 116.0;
        product(&self.0, [cube(fy + a / 500.0) * WHITE_X, cube(fy), cube(fy - b / 200.0) * WHITE_Z])
    }

    /// The inverse of [`to_lch`].
    pub(super) fn lch(&self, [lightness, chroma, hue]: [f32; 3]) -> [f32; 3] {
        let (sin, cos) = hue.to_radians().sin_cos();
        self.lab([lightness, chroma * cos, chroma * sin])
    }

    /// The inverse of [`to_yuv`]; black where v' is 0, which no light has.
    #[inline(always)]
    pub(super) fn yuv(&self, [y, u, v]: [f32; 3]) -> [f32; 3] {
        let scale = if v == 0.0 { 0.0 } else { y / (4.0 * v) };
        let (x, z) = (9.0 * u * scale, (12.0 - 3.0 * u - 20.0 * v) * scale);
        product(&self.0, [x * WHITE_X, y, z * WHITE_Z])
    }
}

/// Changes R, G, B of each pixel of a row; inlined, so that each use has a loop of its own.
#[inline(always)]
pub(super) fn change(row: &mut [[f32; 4]], change: impl Fn([f32; 3]) -> [f32; 3]) {
    for pixel in row {
        let [r, g, b, alpha] = *pixel;
        let [r, g, b] = change([r, g, b]);
        *pixel = [r, g, b, alpha];
    }
}

/// The cube root with a straight part for the dark, as L*a*b* has it. Like [`cube`] a function, not a
/// closure: those are not always inlined, and then there is no vector code.
#[inline(always)]
fn root(t: f32) -> f32 {
    let root = power(t, 1.0 / 3.0);
    let straight = (KAPPA * t + 16.0) / 116.0;
    if t > EPSILON { root } else { straight }
}

/// The inverse of [`root`].
#[inline(always)]
fn cube(f: f32) -> f32 {
    let cube = f * f * f;
    let straight = (116.0 * f - 16.0) / KAPPA;
    if cube > EPSILON { cube } else { straight }
}

/// Linear light to CIE L*a*b*: L of 100.
#[inline(always)]
pub(super) fn to_lab(rgb: [f32; 3]) -> [f32; 3] {
    let [x, y, z] = product(&TO_XYZ, rgb);
    let (fx, fy, fz) = (root(x / WHITE_X), root(y), root(z / WHITE_Z));
    [116.0 * fy - 16.0, 500.0 * (fx - fy), 200.0 * (fy - fz)]
}

/// Linear light to CIE LCH(ab): L and C of 100, H in degrees 0..360.
pub(super) fn to_lch(rgb: [f32; 3]) -> [f32; 3] {
    let [lightness, a, b] = to_lab(rgb);
    let chroma = (a * a + b * b).sqrt();
    if chroma < GRAY {
        return [lightness, 0.0, 0.0];
    }
    let hue = b.atan2(a).to_degrees();
    [lightness, chroma, if hue < 0.0 { hue + 360.0 } else { hue }]
}

/// u' and v' of white and of black in [`to_yuv`].
pub(super) const WHITE_UV: [f32; 2] = [4.0 / 19.0, 9.0 / 19.0];

/// Linear light to Y, u', v' as babl has them: of X, Y, Z divided by those of white.
#[inline(always)]
pub(super) fn to_yuv(rgb: [f32; 3]) -> [f32; 3] {
    let [x, y, z] = product(&TO_XYZ, rgb);
    let (x, z) = (x / WHITE_X, z / WHITE_Z);
    let sum = x + 15.0 * y + 3.0 * z;
    if sum == 0.0 { [y, WHITE_UV[0], WHITE_UV[1]] } else { [y, 4.0 * x / sum, 9.0 * y / sum] }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::coded_to_linear;

    #[test]
    fn lch_of_known_colours() {
        // sRGB red in Lab (D50): 54.29, 80.81, 69.89; blue: 29.57, 68.29, -112.03.
        let near = |a: [f32; 3], b: [f32; 3]| {
            assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() < 0.05), "{a:?}, {b:?}");
        };
        near(to_lch([1.0, 0.0, 0.0]), [54.29, 106.84, 40.85]);
        near(to_lch([0.0, 0.0, 1.0]), [29.57, 131.20, 301.36]);
        let [l, c, _] = to_lch([1.0, 1.0, 1.0]);
        near([l, c, 0.0], [100.0, 0.0, 0.0]);
        near(to_lch([0.0; 3]), [0.0, 0.0, 0.0]);
        // Gray of any light has neither chroma nor hue; one step of a byte off it has both.
        for byte in 0..=255u8 {
            let light = coded_to_linear(f32::from(byte) / 255.0);
            assert_eq!(to_lch([light; 3])[1..], [0.0, 0.0], "{byte}");
            let beside = coded_to_linear((f32::from(byte) + 1.0) / 255.0);
            assert!(to_lch([light, light, beside])[1] > 0.05, "{byte}");
        }
        for rgb in [[0.2, 0.5, 0.7], [1.0, 0.0, 0.001], [0.001, 0.0005, 0.002], [2.0, 0.1, -0.05]] {
            let back = ToLight::new().lch(to_lch(rgb));
            assert!(back.iter().zip(rgb).all(|(a, b)| (a - b).abs() < 2e-5), "{rgb:?}: {back:?}");
        }
    }

    #[test]
    fn chromaticity_of_white_and_black_is_that_of_equal_energy() {
        for light in [0.0, 0.2, 1.0] {
            let [y, u, v] = to_yuv([light; 3]);
            assert!((y - light).abs() < 1e-6 && (u - 4.0 / 19.0).abs() < 1e-6 && (v - 9.0 / 19.0).abs() < 1e-6);
        }
        for rgb in [[0.2, 0.5, 0.7], [1.0, 0.0, 0.001], [0.0; 3]] {
            let back = ToLight::new().yuv(to_yuv(rgb));
            assert!(back.iter().zip(rgb).all(|(a, b)| (a - b).abs() < 1e-5), "{rgb:?}: {back:?}");
        }
    }
}
