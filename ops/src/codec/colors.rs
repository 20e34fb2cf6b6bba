//! Pictures with few colours: which ones, and how much of the picture is flat.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use super::rows::Rows;
use crate::{Cancel, Image, OpError};

/// What a picture consists of, as 8-bit pixels.
#[derive(Debug)]
pub(super) struct Colors {
    /// True when all pixels are gray.
    pub(super) gray: bool,
    /// True when all pixels are opaque.
    pub(super) opaque: bool,
    /// Each colour with its number, by first appearance, from 0; `None`: more than was asked for.
    pub(super) numbers: Option<Numbers>,
    /// Share of pixels that are as the one to the left, 0 to 1; 0 where there are too many colours.
    pub(super) flat: f64,
}

/// Numbers of colours.
pub(super) type Numbers = HashMap<[u8; 4], u16, BuildHasherDefault<OneWord>>;

/// Multiplies the four bytes of a colour (Knuth's multiplicative hash).
#[derive(Default)]
pub(super) struct OneWord(u64);

impl Hasher for OneWord {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 << 8 | u64::from(*byte)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        }
    }

    fn write_usize(&mut self, _length: usize) {}
}

impl Colors {
    /// Looks through a picture, no further than it must: to the end of one with `most` colours or fewer.
    ///
    /// # Errors
    /// [`OpError::Cancelled`] and the like.
    pub(super) fn of(image: &Image, most: usize, cancel: &Cancel) -> Result<Colors, OpError> {
        let may_be_clear = image.format().has_alpha();
        let width = image.rect().width as usize;
        let mut colors = Colors { gray: true, opaque: true, numbers: Some(Numbers::default()), flat: 0.0 };
        let (mut flat, mut rows) = (0, Rows::new(image));
        for band in 0..rows.bands() {
            cancel.check()?;
            if may_be_clear {
                let pixels = rows.rgba(band);
                colors.gray = colors.gray && pixels.iter().all(|[r, g, b, _]| r == g && g == b);
                colors.opaque = colors.opaque && pixels.iter().all(|[.., a]| *a == 255);
                flat += colors.count(pixels.iter().copied(), width, most);
            } else {
                let pixels = rows.rgb(band);
                colors.gray = colors.gray && pixels.iter().all(|[r, g, b]| r == g && g == b);
                flat += colors.count(pixels.iter().map(|&[r, g, b]| [r, g, b, 255]), width, most);
            }
            if colors.numbers.is_none() && !colors.gray && !(may_be_clear && colors.opaque) {
                return Ok(colors);
            }
        }
        if colors.numbers.is_some() {
            colors.flat = flat as f64 / image.rect().area() as f64;
        }
        Ok(colors)
    }

    /// Numbers the colours of some rows; returns how many pixels are as the one before in their row.
    fn count(&mut self, pixels: impl Iterator<Item = [u8; 4]>, width: usize, most: usize) -> usize {
        let Some(numbers) = &mut self.numbers else { return 0 };
        let (mut flat, mut before) = (0, None);
        for (at, pixel) in pixels.enumerate() {
            if before == Some(pixel) {
                flat += usize::from(!at.is_multiple_of(width));
                continue;
            }
            before = Some(pixel);
            let next = numbers.len();
            if *numbers.entry(pixel).or_insert(next as u16) as usize == most {
                self.numbers = None;
                return flat;
            }
        }
        flat
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Rect;

    fn of(pixels: Vec<[u8; 4]>, width: u32, most: usize) -> Colors {
        let size = Rect::sized(width, pixels.len() as u32 / width);
        Colors::of(&Image::from_rgba8(size, pixels), most, &Cancel::new()).unwrap()
    }

    #[test]
    fn colors_are_counted_to_the_last() {
        let pixels: Vec<[u8; 4]> = (0..=255).map(|n| [n, n, n, 255]).collect();
        let colors = of(pixels.clone(), 16, 256);
        assert_eq!((colors.gray, colors.opaque, colors.flat), (true, true, 0.0));
        let numbers = colors.numbers.unwrap();
        assert!((0..=255).all(|n: u8| numbers[&[n, n, n, 255]] == u16::from(n)));
        assert!(of(pixels.clone(), 16, 255).numbers.is_none());
        let clear = [&pixels[..], &[[7, 7, 7, 254]; 16]].concat();
        let colors = of(clear, 16, 256);
        assert!(colors.numbers.is_none() && !colors.opaque && colors.gray);
    }

    #[test]
    fn rows_begin_anew() {
        let colors = of(vec![[1, 2, 3, 4]; 12], 4, 10);
        assert_eq!((colors.flat, colors.numbers.unwrap().len(), colors.gray, colors.opaque), (0.75, 1, false, false));
        assert_eq!(of([[0; 4], [1; 4]].repeat(6), 4, 10).flat, 0.0);
    }
}
