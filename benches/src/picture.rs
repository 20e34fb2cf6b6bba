//! Generated photo-like pictures.

use std::path::Path;

use imgflo_ops::codec::{self, EncodeOptions, FileFormat};
use imgflo_ops::{Cancel, Image, Rect};

/// JPEGs are written with half the chroma each way (4:2:0), as cameras do, at this quality.
const QUALITY: u8 = 90;

/// Smooth noise 0..=1 from a hash of the lattice around (x, y).
fn noise(x: f32, y: f32, seed: u32) -> f32 {
    let hash = |x: i32, y: i32| {
        let mut h = (x as u32).wrapping_mul(0x9e37_79b1)
            ^ (y as u32).wrapping_mul(0x85eb_ca6b)
            ^ seed.wrapping_mul(0xc2b2_ae35);
        h = (h ^ (h >> 15)).wrapping_mul(0x2c1b_3c6d);
        h = (h ^ (h >> 12)).wrapping_mul(0x297a_2d39);
        (h >> 8) as f32 / (1 << 24) as f32
    };
    let (xi, yi) = (x.floor(), y.floor());
    let smooth = |t: f32| t * t * (3.0 - 2.0 * t);
    let (fx, fy) = (smooth(x - xi), smooth(y - yi));
    let (xi, yi) = (xi as i32, yi as i32);
    let top = hash(xi, yi) * (1.0 - fx) + hash(xi + 1, yi) * fx;
    let bottom = hash(xi, yi + 1) * (1.0 - fx) + hash(xi + 1, yi + 1) * fx;
    top * (1.0 - fy) + bottom * fy
}

/// A picture with large shapes, texture and grain: opaque, or with soft transparency.
fn draw(width: u32, height: u32, alpha: bool) -> Image {
    let mut pixels = Vec::with_capacity(width as usize * height as usize);
    for y in 0..height {
        for x in 0..width {
            let (fx, fy) = (x as f32, y as f32);
            let shape = noise(fx / 311.0, fy / 277.0, 1);
            let texture = noise(fx / 41.0, fy / 37.0, 2) * 0.5
                + noise(fx / 9.0, fy / 8.0, 3) * 0.3
                + noise(fx / 3.0, fy / 2.5, 4) * 0.2;
            let grain = noise(fx, fy, 5) - 0.5;
            let light = shape * 0.6 + texture * 0.4 + grain * GRAIN;
            let hue = noise(fx / 190.0, fy / 230.0, 6);
            let byte = |v: f32| (v.clamp(0.0, 1.0) * 255.0) as u8;
            let opacity = if alpha { byte(noise(fx / 120.0, fy / 120.0, 7) * 1.6) } else { 255 };
            pixels.push([byte(light * (0.7 + 0.5 * hue)), byte(light), byte(light * (1.2 - 0.5 * hue)), opacity]);
        }
    }
    Image::from_rgba8(Rect::sized(width, height), pixels)
}

/// How strong the grain is, of the full range: as much as makes the JPEGs as large as those of
/// cameras, about 2.4 bits a pixel.
const GRAIN: f32 = 0.08;

/// A generated picture as a file, `width` × `height`, opaque or with soft transparency; without
/// metadata.
///
/// # Errors
/// Those of [`codec::encode`].
pub fn file(format: FileFormat, width: u32, height: u32, alpha: bool) -> Result<Vec<u8>, codec::CodecError> {
    codec::encode(&draw(width, height, alpha), EncodeOptions::new(format, QUALITY), &Cancel::new())
}

/// Writes [`file()`] to `path`, where it is not there yet.
///
/// # Errors
/// When it cannot be drawn or written.
pub fn write(path: &Path, format: FileFormat, width: u32, height: u32, alpha: bool) -> std::io::Result<()> {
    if path.exists() {
        return Ok(());
    }
    std::fs::write(path, file(format, width, height, alpha).map_err(std::io::Error::other)?)
}

/// Bits that a file spends on each of `width` × `height` pixels.
pub fn bits_a_pixel(bytes: &[u8], width: u32, height: u32) -> f64 {
    bytes.len() as f64 * 8.0 / (f64::from(width) * f64::from(height))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jpeg_is_as_large_as_a_photo() {
        let bytes = file(FileFormat::Jpeg, 1000, 750, false).expect("a picture");
        let bits = bits_a_pixel(&bytes, 1000, 750);
        assert!((2.2..=2.6).contains(&bits), "{bits:.2} bits a pixel");
    }
}
