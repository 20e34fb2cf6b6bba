//! Two pictures beside each other, and what differs between them.

use imgflo_ops::format::convert;
use imgflo_ops::{Format, Image, OpError, Pixels, Rect};

/// Pixels between the pictures.
const GAP: u32 = 8;
/// What is between and beside them.
const GREY: [u8; 4] = [128, 128, 128, 255];
/// How much a difference is amplified.
const AMPLIFIED: u32 = 8;

/// `a`, `b`, and their difference from left to right, as RGBA8 with the corner at (0, 0). Each channel of the
/// difference is eight times how far `a` and `b` are apart there, up to 255; a difference in alpha is one in
/// all channels. There is none where one of the two is smaller.
///
/// # Errors
/// [`OpError::OutOfMemory`]; [`OpError::Invalid`] where the whole would be too wide.
pub fn side_by_side(a: &Image, b: &Image) -> Result<Image, OpError> {
    let common = Rect::sized(a.rect().width.min(b.rect().width), a.rect().height.min(b.rect().height));
    let widths = [a.rect().width, b.rect().width, common.width].map(u64::from);
    let width = widths.iter().sum::<u64>() + 2 * u64::from(GAP);
    let width = i32::try_from(width).map_err(|_| OpError::Invalid(format!("{width} pixels are too wide")))?;
    let rect = Rect::sized(width as u32, a.rect().height.max(b.rect().height));
    let (a, b) = (Bytes::of(a)?, Bytes::of(b)?);
    let mut whole = Image::new(rect, Format::RGBA8)?;
    for mut tile in whole.tiles(rect.width, 1) {
        let y = tile.rect().y as usize;
        let row = tile.row_rgba8_mut(tile.rect().y);
        row.fill(GREY);
        let (of_a, of_b) = (a.row(y), b.row(y));
        row[..of_a.len()].copy_from_slice(of_a);
        let row = &mut row[a.width + GAP as usize..];
        row[..of_b.len()].copy_from_slice(of_b);
        let row = &mut row[b.width + GAP as usize..];
        for ((pixel, a), b) in row.iter_mut().zip(of_a).zip(of_b) {
            *pixel = difference(*a, *b);
        }
    }
    Ok(whole)
}

/// Pixels of 8 bits.
struct Bytes {
    width: usize,
    pixels: Vec<[u8; 4]>,
}

impl Bytes {
    fn of(image: &Image) -> Result<Bytes, OpError> {
        match convert(image, Format::RGBA8)?.into_pixels() {
            Pixels::Rgba8(pixels) => Ok(Bytes { width: image.rect().width as usize, pixels }),
            other => unreachable!("RGBA8 is four bytes: {other:?}"),
        }
    }

    /// A row; an empty one below the picture.
    fn row(&self, y: usize) -> &[[u8; 4]] {
        let from = self.pixels.len().min(y * self.width);
        &self.pixels[from..self.pixels.len().min(from + self.width)]
    }
}

fn difference(a: [u8; 4], b: [u8; 4]) -> [u8; 4] {
    // Colour counts as far as it is opaque.
    let covered = |pixel: [u8; 4], channel: usize| (u32::from(pixel[channel]) * u32::from(pixel[3]) + 127) / 255;
    let alpha = u32::from(a[3].abs_diff(b[3]));
    let of = |channel: usize| {
        let apart = covered(a, channel).abs_diff(covered(b, channel)).max(alpha);
        (apart * AMPLIFIED).min(255) as u8
    };
    [of(0), of(1), of(2), 255]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pixel(image: &Image, x: usize, y: i32) -> [u8; 4] {
        image.view(image.rect()).row_rgba8(y)[x]
    }

    #[test]
    fn both_and_their_difference_stand_in_a_row() {
        let a = Image::from_rgb8(Rect::new(5, -5, 3, 2), vec![[10, 20, 30]; 6]);
        let mut pixels = vec![[10, 20, 30, 255]; 6];
        pixels[4] = [11, 0, 30, 255];
        pixels[5] = [10, 20, 30, 245];
        let b = Image::from_rgba8(Rect::sized(3, 2), pixels);
        let whole = side_by_side(&a, &b).expect("memory");
        assert_eq!(whole.rect(), Rect::sized(3 * 3 + 2 * GAP, 2));
        assert_eq!(
            [0, 2, 3, 10, 11].map(|x| pixel(&whole, x, 1)),
            [[10, 20, 30, 255], [10, 20, 30, 255], GREY, GREY, [10, 20, 30, 255]]
        );
        assert_eq!(pixel(&whole, 12, 1), [11, 0, 30, 255]);
        assert_eq!([22, 23, 24].map(|x| pixel(&whole, x, 1)), [[0, 0, 0, 255], [8, 160, 0, 255], [80, 80, 80, 255]]);
        assert_eq!([22, 23, 24].map(|x| pixel(&whole, x, 0)), [[0, 0, 0, 255]; 3]);
    }

    #[test]
    fn pictures_of_two_sizes_are_compared_where_both_are() {
        let a = Image::from_rgb8(Rect::sized(2, 1), vec![[100; 3]; 2]);
        let b = Image::from_rgb8(Rect::sized(1, 3), vec![[101; 3]; 3]);
        let whole = side_by_side(&a, &b).expect("memory");
        assert_eq!(whole.rect(), Rect::sized(2 + 1 + 1 + 2 * GAP, 3));
        assert_eq!(
            [0, 10, 19].map(|x| pixel(&whole, x, 0)),
            [[100, 100, 100, 255], [101, 101, 101, 255], [8, 8, 8, 255]]
        );
        assert_eq!([0, 10, 19].map(|x| pixel(&whole, x, 2)), [GREY, [101, 101, 101, 255], GREY]);
    }
}
