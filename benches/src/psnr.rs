//! How near a result is to what it should be.

use crate::reference::{Exact, Picture};

/// What shows through transparent pixels on both sides: middle gray.
const GROUND: f64 = 0.5;

/// Peak signal to noise ratio of the colours, dB: over 8-bit sRGB values on a gray ground, without
/// a rim of `rim` pixels. Infinite where all are the same.
///
/// # Errors
/// When the sizes differ: then there is nothing to compare.
pub fn psnr(result: &Picture, expected: &Exact, rim: usize) -> Result<f64, String> {
    let (width, height) = (expected.width, expected.height);
    if (result.width, result.height) != (width, height) {
        return Err(format!("the result has {} x {} pixels, not {width} x {height}", result.width, result.height));
    }
    let on_ground = |value: f64, alpha: f64| (value * alpha + GROUND * (1.0 - alpha)) * 255.0;
    let (mut sum, mut count) = (0.0, 0u32);
    for y in rim..height.saturating_sub(rim) {
        for x in rim..width.saturating_sub(rim) {
            let (ours, exact) = (result.pixels[y * width + x], expected.pixels[y * width + x]);
            for channel in 0..3 {
                let value = on_ground(f64::from(ours[channel]) / 255.0, f64::from(ours[3]) / 255.0);
                sum += (value - on_ground(exact[channel], exact[3])).powi(2);
                count += 1;
            }
        }
    }
    if count == 0 {
        return Err(format!("a rim of {rim} pixels leaves nothing of {width} x {height}"));
    }
    Ok(10.0 * (255.0f64.powi(2) * f64::from(count) / sum).log10())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gray(value: u8, alpha: u8) -> Picture {
        Picture { width: 4, height: 4, pixels: vec![[value, value, value, alpha]; 16] }
    }

    fn exact(value: f64, alpha: f64) -> Exact {
        Exact { width: 4, height: 4, pixels: vec![[value, value, value, alpha]; 16] }
    }

    #[test]
    fn one_step_of_255_is_48_db() {
        let db = psnr(&gray(101, 255), &exact(100.0 / 255.0, 1.0), 0).expect("same size");
        assert!((db - 48.1308).abs() < 1e-3, "{db}");
        assert!(psnr(&gray(255, 255), &exact(1.0, 1.0), 1).expect("same size").is_infinite());
    }

    #[test]
    fn what_is_not_seen_does_not_count() {
        assert!(psnr(&gray(7, 0), &exact(1.0, 0.0), 0).expect("same size").is_infinite());
    }

    #[test]
    fn other_sizes_are_refused() {
        let wide = Exact { width: 5, height: 4, pixels: vec![[0.0; 4]; 20] };
        assert!(psnr(&gray(0, 255), &wide, 0).is_err());
        assert!(psnr(&gray(0, 255), &exact(0.0, 1.0), 2).is_err());
    }
}
