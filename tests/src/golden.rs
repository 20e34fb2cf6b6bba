//! Golden pictures: how far two pictures are apart, and where the references lie.

use imgflo_ops::codec::{self, DecodeLimits};
use imgflo_ops::{Cancel, Format, Image, Pixels, format};

/// How far two pictures of one size are apart, in 8-bit steps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Distance {
    /// Largest difference of a component.
    pub max: u8,
    /// Mean difference over all components.
    pub mean: f64,
}

/// The distance between two pictures, components as 8-bit RGBA; a fully transparent pixel has no
/// colour. `None` when their sizes differ.
///
/// # Panics
/// When memory runs out.
pub fn distance(a: &Image, b: &Image) -> Option<Distance> {
    if (a.rect().width, a.rect().height) != (b.rect().width, b.rect().height) {
        return None;
    }
    let (a, b) = (rgba8(a), rgba8(b));
    let (mut max, mut sum) = (0, 0u64);
    for (a, b) in a.iter().zip(&b) {
        for c in 0..4 {
            let hidden = c < 3 && a[3] == 0 && b[3] == 0;
            let difference = if hidden { 0 } else { a[c].abs_diff(b[c]) };
            max = max.max(difference);
            sum += u64::from(difference);
        }
    }
    Some(Distance { max, mean: sum as f64 / (a.len().max(1) * 4) as f64 })
}

fn rgba8(image: &Image) -> Vec<[u8; 4]> {
    let image = format::convert(image, Format::RGBA8).expect("memory for a small picture");
    match image.pixels() {
        Pixels::Rgba8(pixels) => pixels.clone(),
        other => unreachable!("converted to RGBA8, got {other:?}"),
    }
}

/// Decodes a picture of moderate size.
///
/// # Panics
/// When it is broken.
pub fn decode(bytes: &[u8]) -> Image {
    let limits = DecodeLimits::new(100_000_000, 20_000);
    codec::decode(bytes, limits, &Cancel::new()).expect("a picture")
}
