//! Rows of any image as 8-bit pixels, a band at a time, so that no 8-bit copy of the whole image
//! is needed.

use std::ops::Range;

use crate::format::{Source, Target, convert_row};
use crate::{Format, Image, Pixels};

/// Rows in a band: two rows of blocks, which is what JPEG codes at once with 4:2:0.
pub(super) const BAND: usize = 16;

/// Gives an image's rows as 8-bit pixels; keeps a band of those that have to be converted.
pub(super) struct Rows<'a> {
    image: &'a Image,
    rgb: Vec<[u8; 3]>,
    rgba: Vec<[u8; 4]>,
}

impl<'a> Rows<'a> {
    pub(super) fn new(image: &'a Image) -> Self {
        Rows { image, rgb: Vec::new(), rgba: Vec::new() }
    }

    /// The number of bands.
    pub(super) fn bands(&self) -> usize {
        (self.image.rect().height as usize).div_ceil(BAND)
    }

    fn range(&self, band: usize) -> Range<usize> {
        let (width, height) = (self.image.rect().width as usize, self.image.rect().height as usize);
        band * BAND * width..((band + 1) * BAND).min(height) * width
    }

    /// Band `band` without alpha: colours as they are beside it, black where alpha is 0.
    pub(super) fn rgb(&mut self, band: usize) -> &[[u8; 3]] {
        let range = self.range(band);
        if let Pixels::Rgb8(pixels) = self.image.pixels() {
            return &pixels[range];
        }
        self.rgb.resize(range.len(), [0; 3]);
        let rgba = match self.image.pixels() {
            Pixels::Float(pixels) if !self.image.format().has_alpha() => {
                let (source, target) = (Source::Float(&pixels[range]), Target::Rgb8(&mut self.rgb));
                convert_row(self.image.format(), source, Format::RGB8, target);
                return &self.rgb;
            }
            Pixels::Rgba8(pixels) => &pixels[range],
            Pixels::Float(_) | Pixels::Rgb8(_) => {
                self.convert_rgba(range);
                &self.rgba
            }
        };
        for (to, &[r, g, b, a]) in self.rgb.iter_mut().zip(rgba) {
            *to = if a == 0 { [0; 3] } else { [r, g, b] };
        }
        &self.rgb
    }

    /// Band `band` with alpha.
    pub(super) fn rgba(&mut self, band: usize) -> &[[u8; 4]] {
        let range = self.range(band);
        if let Pixels::Rgba8(pixels) = self.image.pixels() {
            return &pixels[range];
        }
        self.convert_rgba(range);
        &self.rgba
    }

    fn convert_rgba(&mut self, range: Range<usize>) {
        self.rgba.resize(range.len(), [0; 4]);
        let source = match self.image.pixels() {
            Pixels::Rgb8(pixels) => Source::Rgb8(&pixels[range]),
            Pixels::Rgba8(pixels) => Source::Rgba8(&pixels[range]),
            Pixels::Float(pixels) => Source::Float(&pixels[range]),
        };
        convert_row(self.image.format(), source, Format::RGBA8, Target::Rgba8(&mut self.rgba));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Rect;

    #[test]
    fn alpha_is_dropped_beside_the_colour() {
        let straight = vec![[200, 100, 50, 128], [200, 100, 50, 0], [1, 2, 3, 255]];
        let image = Image::from_rgba8(Rect::sized(3, 1), straight);
        assert_eq!(Rows::new(&image).rgb(0), [[200, 100, 50], [0, 0, 0], [1, 2, 3]]);
        let premultiplied = vec![[0.25, 0.5, 0.0, 0.5], [0.0; 4], [1.0, 0.0, 1.0, 1.0]];
        let image = Image::from_float(Rect::sized(3, 1), Format::GAMP, premultiplied);
        assert_eq!(Rows::new(&image).rgb(0), [[128, 255, 0], [0, 0, 0], [255, 0, 255]]);
    }

    #[test]
    fn bands_cover_all_rows_once() {
        let pixels: Vec<[u8; 3]> = (0..37u8).map(|y| [y; 3]).collect();
        let image = Image::from_rgb8(Rect::new(-3, 9, 1, 37), pixels.clone());
        let mut rows = Rows::new(&image);
        let all: Vec<[u8; 3]> = (0..rows.bands()).flat_map(|band| rows.rgb(band).to_vec()).collect();
        assert_eq!(all, pixels);
        let all: Vec<[u8; 4]> = (0..rows.bands()).flat_map(|band| rows.rgba(band).to_vec()).collect();
        assert!(all.iter().enumerate().all(|(y, &p)| p == [y as u8, y as u8, y as u8, 255]));
    }
}
