//! Rows of any image as 8-bit pixels, a band at a time, so that no 8-bit copy of the whole image
//! is needed.

use std::ops::Range;

use crate::format::{Source, Target, convert_row};
use crate::{Color, Format, Image, Pixels};

/// Rows in a band: two rows of blocks, which is what JPEG codes at once with 4:2:0.
pub(super) const BAND: usize = 16;

/// Gives an image's rows as 8-bit pixels; keeps a band of those that have to be converted.
pub(super) struct Rows<'a> {
    image: &'a Image,
    /// What lies behind pixels without alpha: linear light, and how much of it is opaque.
    background: [f32; 4],
    rgb: Vec<[u8; 3]>,
    rgba: Vec<[u8; 4]>,
    /// Premultiplied light.
    light: Vec<[f32; 4]>,
}

impl<'a> Rows<'a> {
    /// Without alpha, the rows are over white.
    pub(super) fn new(image: &'a Image) -> Self {
        Rows::over(image, [255; 3])
    }

    /// Without alpha, the rows are over `background`, in sRGB.
    pub(super) fn over(image: &'a Image, [r, g, b]: [u8; 3]) -> Self {
        let background = Color::from_bytes([r, g, b, 255]).linear();
        Rows { image, background, rgb: Vec::new(), rgba: Vec::new(), light: Vec::new() }
    }

    /// The number of bands.
    pub(super) fn bands(&self) -> usize {
        (self.image.rect().height as usize).div_ceil(BAND)
    }

    fn range(&self, band: usize) -> Range<usize> {
        let (width, height) = (self.image.rect().width as usize, self.image.rect().height as usize);
        band * BAND * width..((band + 1) * BAND).min(height) * width
    }

    /// Band `band` without alpha: what is not opaque is mixed with the background in linear light.
    pub(super) fn rgb(&mut self, band: usize) -> &[[u8; 3]] {
        let range = self.range(band);
        if let Pixels::Rgb8(pixels) = self.image.pixels() {
            return &pixels[range];
        }
        let format = self.image.format();
        self.rgb.resize(range.len(), [0; 3]);
        let source = match self.image.pixels() {
            Pixels::Rgb8(pixels) => Source::Rgb8(&pixels[range]),
            Pixels::Rgba8(pixels) if pixels[range.clone()].iter().all(|[.., alpha]| *alpha == 255) => {
                let opaque = self.rgb.iter_mut().zip(&pixels[range]);
                opaque.for_each(|(to, &[r, g, b, _])| *to = [r, g, b]);
                return &self.rgb;
            }
            Pixels::Rgba8(pixels) => Source::Rgba8(&pixels[range]),
            Pixels::Float(pixels) => Source::Float(&pixels[range]),
        };
        if !format.has_alpha() {
            convert_row(format, source, Format::RGB8, Target::Rgb8(&mut self.rgb));
            return &self.rgb;
        }
        self.light.resize(self.rgb.len(), [0.0; 4]);
        convert_row(format, source, Format::LINP, Target::Float(&mut self.light));
        for pixel in &mut self.light {
            let rest = (1.0 - pixel[3]).clamp(0.0, 1.0);
            *pixel = std::array::from_fn(|c| pixel[c] + self.background[c] * rest);
        }
        convert_row(Format::LIN_OPAQUE, Source::Float(&self.light), Format::RGB8, Target::Rgb8(&mut self.rgb));
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
    fn without_alpha_pixels_are_over_the_background_in_linear_light() {
        // 0.5 of the light of white is 188; that of 200, 100, 50 at 128 of 255 over white:
        let straight = vec![[200, 100, 50, 128], [200, 100, 50, 0], [1, 2, 3, 255], [0, 0, 0, 128], [255, 9, 9, 1]];
        let image = Image::from_rgba8(Rect::sized(5, 1), straight);
        let white = [[230, 198, 190], [255; 3], [1, 2, 3], [187; 3], [255; 3]];
        assert_eq!(Rows::new(&image).rgb(0), white);
        let black = [[147, 72, 34], [0; 3], [1, 2, 3], [0; 3], [13, 0, 0]];
        assert_eq!(Rows::over(&image, [0; 3]).rgb(0), black);
        // Light beyond the picture's own, as sharp resampling makes it, is cut off after it is laid over.
        let premultiplied = vec![[0.25, 0.5, 0.0, 0.5], [0.0; 4], [1.0, 0.0, 1.0, 1.0], [-0.01, 0.0, 0.01, -0.01]];
        let image = Image::from_float(Rect::sized(4, 1), Format::LINP, premultiplied);
        assert_eq!(Rows::new(&image).rgb(0), [[225, 255, 188], [255; 3], [255, 0, 255], [254, 255, 255]]);
        assert_eq!(Rows::over(&image, [0, 128, 255]).rgb(0)[1], [0, 128, 255]);
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
