//! `gegl/gray`: replaces colour by luminance.
//!
//! Y = 0.22248840 R + 0.71690369 G + 0.06060791 B of linear light (the D50-adapted sRGB row, as
//! babl's `YA`), in all three channels; alpha stays.

use multiversion::multiversion;

use crate::format::luminance;
use crate::{Format, Info, OpError, Operation, Pad, Pass, Point, Properties, Rect};

static INFO: Info = Info {
    name: "gegl/gray",
    aliases: &["gegl/grey"],
    categories: &["grayscale", "color"],
    title: "Make Gray",
    description: "Turns the picture gray, each pixel as bright as it was.",
    inputs: &[Pad::INPUT],
    properties: &[],
    revision: 1,
};

/// The operation `gegl/gray`.
#[derive(Debug)]
pub struct Gray;

impl Operation for Gray {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn prepare(&self, _properties: &Properties) -> Result<Vec<Pass>, OpError> {
        Ok(vec![Pass::Point(Box::new(ToGray { keeps_opaque: true }))])
    }
}

/// Luminance into all channels.
#[derive(Debug)]
pub(super) struct ToGray {
    /// True: a picture without alpha stays without. False: it gains alpha.
    pub(super) keeps_opaque: bool,
}

impl Point for ToGray {
    fn format(&self, input: Format) -> Format {
        if self.keeps_opaque { Format::LIN.opaque_like(input) } else { Format::LIN }
    }

    fn apply(&self, row: &mut [[f32; 4]], _x: i32, _y: i32, _bounds: Rect) {
        to_gray(row);
    }

    fn weight(&self) -> f32 {
        1.0
    }
}

#[multiversion(targets("x86_64+avx2"))]
fn to_gray(row: &mut [[f32; 4]]) {
    for pixel in row {
        let [r, g, b, a] = *pixel;
        let y = luminance([r, g, b]);
        *pixel = [y, y, y, a];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Image;
    use crate::native::testing::{assert_pixel, check, convert, noise_image};

    #[test]
    fn the_primaries_have_their_luminance() {
        let pixels = vec![[255, 0, 0, 255], [0, 255, 0, 128], [0, 0, 255, 0], [255, 255, 255, 7]];
        let image = Image::from_rgba8(Rect::new(-1, -1, 4, 1), pixels);
        let gray = check(&Gray, &[], &[Some(&image)]);
        assert_eq!((gray.rect(), gray.format()), (image.rect(), Format::LIN));
        assert_pixel(&gray, -1, -1, [0.222_488_4, 0.222_488_4, 0.222_488_4, 1.0], 1e-6);
        assert_pixel(&gray, 0, -1, [0.716_903_7, 0.716_903_7, 0.716_903_7, 128.0 / 255.0], 1e-6);
        assert_pixel(&gray, 1, -1, [0.060_607_91, 0.060_607_91, 0.060_607_91, 0.0], 1e-6);
        assert_pixel(&gray, 2, -1, [1.0, 1.0, 1.0, 7.0 / 255.0], 1e-6);
    }

    #[test]
    fn bytes_by_hand() {
        // #c86432: light 0.57758044, 0.12743768, 0.03189603; Y = 0.22179936, coded 0.50838, byte 130.
        // Rec. 709 weights would give 129 and Rec. 601 of the coded values 124.
        let image = Image::from_rgb8(Rect::sized(1, 1), vec![[0xc8, 0x64, 0x32]]);
        let gray = check(&Gray, &[], &[Some(&image)]);
        assert_eq!(gray.format(), Format::LIN_OPAQUE);
        assert_eq!(convert(&gray, Format::RGB8), Image::from_rgb8(Rect::sized(1, 1), vec![[130; 3]]));
    }

    #[test]
    fn light_out_of_range_and_no_light() {
        let image = Image::from_float(Rect::sized(1, 1), Format::LIN, vec![[4.0, -1.0, 0.0, 0.5]]);
        let y = 4.0 * 0.222_488_4 - 0.716_903_7;
        assert_pixel(&check(&Gray, &[], &[Some(&image)]), 0, 0, [y, y, y, 0.5], 1e-6);
        let empty = noise_image(Rect::new(3, 3, 0, 0), Format::RGBA8);
        assert_eq!(check(&Gray, &[], &[Some(&empty)]).rect(), empty.rect());
    }
}
