//! `gegl/posterize`: leaves a few levels of each channel.
//!
//! c' = round(c levels) / levels for sRGB-coded R, G, B, halves to even; so there is one level more
//! than `levels`, which counts steps. Alpha stays (GEGL 0.4, `posterize.c`).

use crate::{Format, Info, Kind, OpError, Operation, Pad, Pass, Point, Properties, Property, Rect};

static INFO: Info = Info {
    name: "gegl/posterize",
    aliases: &[],
    categories: &["color"],
    title: "Posterize",
    description: "Leaves a few levels of each channel, as on a poster.",
    inputs: &[Pad::INPUT],
    properties: &[Property {
        name: "levels",
        description: "Steps from black to the full channel.",
        kind: Kind::Int { default: 8, minimum: 1, maximum: 64 },
    }],
    revision: 1,
};

/// The operation `gegl/posterize`.
#[derive(Debug)]
pub struct Posterize;

impl Operation for Posterize {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn prepare(&self, properties: &Properties) -> Result<Vec<Pass>, OpError> {
        Ok(vec![Pass::Point(Box::new(Steps { levels: properties.int("levels") as f32 }))])
    }
}

#[derive(Debug)]
struct Steps {
    levels: f32,
}

impl Point for Steps {
    fn format(&self, input: Format) -> Format {
        Format::GAM.opaque_like(input)
    }

    fn apply(&self, row: &mut [[f32; 4]], _x: i32, _y: i32, _bounds: Rect) {
        // 1.5 times 2^23 has a unit of 1 in the last place: adding it rounds to whole numbers.
        const ROUND: f32 = 12_582_912.0;
        let (levels, step) = (self.levels, 1.0 / self.levels);
        for pixel in row {
            let [r, g, b, a] = *pixel;
            let [r, g, b] = [r, g, b].map(|c| ((c * levels + ROUND) - ROUND) * step);
            *pixel = [r, g, b, a];
        }
    }

    fn channelwise(&self) -> bool {
        true
    }

    fn weight(&self) -> f32 {
        1.5
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Image;
    use crate::native::testing::{all_pixels, check};

    #[test]
    fn levels_by_hand() {
        let pixels = vec![[0.1, 0.13, 0.49, 0.3], [0.51, -0.2, 1.2, 1.0]];
        let image = Image::from_float(Rect::new(-1, 0, 2, 1), Format::GAM, pixels);
        let out = check(&Posterize, &[("levels", "4")], &[Some(&image)]);
        assert_eq!(all_pixels(&out), [[0.0, 0.25, 0.5, 0.3], [0.5, -0.25, 1.25, 1.0]]);
        let out = check(&Posterize, &[("levels", "1")], &[Some(&image)]);
        assert_eq!(all_pixels(&out), [[0.0, 0.0, 0.0, 0.3], [1.0, 0.0, 1.0, 1.0]]);
    }

    #[test]
    fn halves_go_to_even() {
        let image = Image::from_float(Rect::sized(1, 1), Format::GAM_OPAQUE, vec![[0.125, 0.375, 0.625, 1.0]]);
        let out = check(&Posterize, &[("levels", "4")], &[Some(&image)]);
        assert_eq!((out.format(), all_pixels(&out)[0]), (Format::GAM_OPAQUE, [0.0, 0.5, 0.5, 1.0]));
    }
}
