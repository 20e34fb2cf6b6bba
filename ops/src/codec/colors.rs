//! Pictures with few colours: which ones, and how much of the picture is flat.

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

/// Numbers of colours: a table with open addressing, several times as fast as one for any type, as each pixel is looked
/// up in it.
#[derive(Debug)]
pub(super) struct Numbers {
    most: usize,
    /// By number.
    colors: Vec<[u8; 4]>,
    /// Numbers, and one more; 0 where there is none. A power of two, at least twice as many as colours.
    slots: Vec<u32>,
}

impl Numbers {
    /// For so many colours.
    pub(super) fn new(most: usize) -> Numbers {
        Numbers { most, colors: Vec::new(), slots: vec![0; (most * 2).next_power_of_two().max(2)] }
    }

    /// The colours, by number.
    pub(super) fn colors(&self) -> &[[u8; 4]] {
        &self.colors
    }

    /// The number of a colour, a new one where it has none; `None`: no more can have one.
    #[inline]
    pub(super) fn number(&mut self, color: [u8; 4]) -> Option<usize> {
        let mask = self.slots.len() - 1;
        // Knuth's multiplicative hash: the upper bits are the good ones.
        let mut at = (u32::from_le_bytes(color).wrapping_mul(0x9e37_79b1) >> 8) as usize & mask;
        loop {
            match self.slots[at] as usize {
                0 if self.colors.len() == self.most => return None,
                0 => {
                    self.colors.push(color);
                    self.slots[at] = self.colors.len() as u32;
                    return Some(self.colors.len() - 1);
                }
                number if self.colors[number - 1] == color => return Some(number - 1),
                _ => at = (at + 1) & mask,
            }
        }
    }
}

impl Colors {
    /// Looks through a picture, no further than it must: to the end of one with `most` colours or fewer.
    ///
    /// # Errors
    /// [`OpError::Cancelled`] and the like.
    pub(super) fn of(image: &Image, most: usize, cancel: &Cancel) -> Result<Colors, OpError> {
        let may_be_clear = image.format().has_alpha();
        let width = image.rect().width as usize;
        let mut colors = Colors { gray: true, opaque: true, numbers: Some(Numbers::new(most)), flat: 0.0 };
        let (mut flat, mut rows) = (0, Rows::new(image));
        for band in 0..rows.bands() {
            cancel.check()?;
            if may_be_clear {
                let pixels = rows.rgba(band);
                colors.gray = colors.gray && pixels.iter().all(|[r, g, b, _]| r == g && g == b);
                colors.opaque = colors.opaque && pixels.iter().all(|[.., a]| *a == 255);
                flat += colors.count(pixels.iter().copied(), width);
            } else {
                let pixels = rows.rgb(band);
                colors.gray = colors.gray && pixels.iter().all(|[r, g, b]| r == g && g == b);
                flat += colors.count(pixels.iter().map(|&[r, g, b]| [r, g, b, 255]), width);
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
    fn count(&mut self, pixels: impl Iterator<Item = [u8; 4]>, width: usize) -> usize {
        let Some(numbers) = &mut self.numbers else { return 0 };
        let (mut flat, mut before) = (0, None);
        for (at, pixel) in pixels.enumerate() {
            if before == Some(pixel) {
                flat += usize::from(!at.is_multiple_of(width));
                continue;
            }
            before = Some(pixel);
            if numbers.number(pixel).is_none() {
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
        let mut numbers = colors.numbers.unwrap();
        assert_eq!(numbers.colors(), pixels);
        assert!((0..=255).all(|n: u8| numbers.number([n, n, n, 255]) == Some(n.into())));
        assert_eq!(numbers.number([0; 4]), None);
        assert!(of(pixels.clone(), 16, 255).numbers.is_none());
        let clear = [&pixels[..], &[[7, 7, 7, 254]; 16]].concat();
        let colors = of(clear, 16, 256);
        assert!(colors.numbers.is_none() && !colors.opaque && colors.gray);
    }

    #[test]
    fn rows_begin_anew() {
        let colors = of(vec![[1, 2, 3, 4]; 12], 4, 10);
        assert_eq!(
            (colors.flat, colors.numbers.unwrap().colors().len(), colors.gray, colors.opaque),
            (0.75, 1, false, false)
        );
        assert_eq!(of([[0; 4], [1; 4]].repeat(6), 4, 10).flat, 0.0);
    }
}
