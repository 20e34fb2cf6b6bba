//! What operations are compared on, and how far two results are apart.

use imgflo_ops::{Format, Image, Pixels, Rect, format};
use imgflo_tests::golden::decode;
use imgflo_tests::sample;

/// Small pictures of all kinds, by name: a photo, a gradient, noise, alpha, a single pixel, a single
/// column, odd sides.
pub fn all() -> Vec<(&'static str, Image)> {
    let photo = decode(&std::fs::read(sample("marbles.jpg")).expect("a sample"));
    let Pixels::Rgb8(pixels) = photo.pixels() else { panic!("the photo is opaque") };
    let width = photo.rect().width as usize;
    // Every eighth pixel of its middle: more contrast than a scaled one has.
    let at = |x: i32, y: i32| pixels[(200 + y as usize * 8) * width + 300 + x as usize * 8];
    vec![
        ("photo", opaque(72, 48, at)),
        ("gradient", opaque(61, 40, |x, y| [(x * 4) as u8, (y * 6) as u8, (255 - x * 2 - y * 3) as u8])),
        ("noise", with_alpha(40, 31, |x, y| [0, 1, 2, 3].map(|c| noise(x, y, c)))),
        ("alpha", with_alpha(37, 28, |x, y| [(x * 6) as u8, 128, (y * 9) as u8, ((x * 7 + y * 3) % 256) as u8])),
        ("pixel", opaque(1, 1, |_, _| [200, 100, 50])),
        ("column", with_alpha(1, 19, |_, y| [(y * 13) as u8, 60, 200, (255 - y * 5) as u8])),
        ("odd", opaque(33, 21, |x, y| [noise(x / 3, y / 3, 0), noise(x / 3, y / 3, 1), noise(x / 3, y / 3, 2)])),
    ]
}

fn noise(x: i32, y: i32, c: u64) -> u8 {
    let n = (u64::from(x.cast_unsigned()) << 34) ^ (u64::from(y.cast_unsigned()) << 2) ^ c;
    let mut z = n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (z >> 33) as u8
}

fn points(width: u32, height: u32) -> impl Iterator<Item = (i32, i32)> {
    (0..height.cast_signed()).flat_map(move |y| (0..width.cast_signed()).map(move |x| (x, y)))
}

fn opaque(width: u32, height: u32, at: impl Fn(i32, i32) -> [u8; 3]) -> Image {
    Image::from_rgb8(Rect::sized(width, height), points(width, height).map(|(x, y)| at(x, y)).collect())
}

fn with_alpha(width: u32, height: u32, at: impl Fn(i32, i32) -> [u8; 4]) -> Image {
    Image::from_rgba8(Rect::sized(width, height), points(width, height).map(|(x, y)| at(x, y)).collect())
}

/// How far two pictures are apart, in 8-bit steps of what is seen: colours count as far as the
/// pixel covers.
#[derive(Clone, Copy, Debug, Default)]
pub struct Difference {
    /// Largest of a component.
    pub max: f64,
    /// Sum over all components.
    pub sum: f64,
    /// Components.
    pub count: u64,
}

impl Difference {
    /// Compares two pictures. Where the second is larger, the first is centred in it with transparent pixels around.
    pub fn between(a: &Image, b: &Image) -> Self {
        let mut difference = Difference::default();
        for (a, b) in padded(&bytes(a), a.rect(), b.rect()).iter().zip(&bytes(b)) {
            for c in 0..4 {
                let seen =
                    |p: &[u8; 4]| if c == 3 { f64::from(p[3]) } else { f64::from(p[c]) * f64::from(p[3]) / 255.0 };
                let step = (seen(a) - seen(b)).abs();
                difference.max = difference.max.max(step);
                difference.sum += step;
                difference.count += 1;
            }
        }
        difference
    }

    /// Both together.
    pub fn add(&mut self, other: Difference) {
        self.max = self.max.max(other.max);
        self.sum += other.sum;
        self.count += other.count;
    }

    /// Mean over all components.
    pub fn mean(&self) -> f64 {
        self.sum / self.count.max(1) as f64
    }
}

/// True where GEGL's box `theirs` is ours, or one pixel more on the left and right: GEGL takes the cosine of 90 degrees
/// as a little more than 0, so a blur straight down has clear columns beside it.
pub fn boxes_agree(ours: Rect, theirs: Rect) -> bool {
    ours == theirs || (ours.width + 2 == theirs.width && ours.height == theirs.height)
}

fn padded(pixels: &[[u8; 4]], from: Rect, to: Rect) -> Vec<[u8; 4]> {
    let sides = [from.width, from.height, to.width, to.height].map(|side| usize::try_from(side).expect("small"));
    let [width, height, full_width, full_height] = sides;
    let (left, top) = ((full_width - width) / 2, (full_height - height) / 2);
    let mut all = vec![[0; 4]; full_width * full_height];
    for y in 0..height {
        all[(top + y) * full_width + left..][..width].copy_from_slice(&pixels[y * width..][..width]);
    }
    all
}

fn bytes(image: &Image) -> Vec<[u8; 4]> {
    let image = format::convert(image, Format::RGBA8).expect("memory for a small picture");
    let Pixels::Rgba8(pixels) = image.pixels() else { panic!("converted to RGBA8") };
    pixels.clone()
}
