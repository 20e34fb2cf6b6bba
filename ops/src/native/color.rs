//! `gegl/color`: one colour without end; what follows (a crop, the requested size) bounds it.
//!
//! GEGL's property `format`, a pointer, has no counterpart.

use super::compose::rows;
use crate::{
    Area, Boxes, Cancel, Format, Formats, Info, Kind, OpError, Operation, Pass, Properties, Property, Rect, Tile, View,
};

static INFO: Info = Info {
    name: "gegl/color",
    aliases: &[],
    categories: &["render"],
    title: "Color",
    description: "Makes a plane of one colour, for a crop to cut from.",
    inputs: &[],
    properties: &[Property {
        name: "value",
        description: "The colour.",
        kind: Kind::Color { default: crate::Color::BLACK },
    }],
    revision: 1,
};

/// The operation `gegl/color`.
#[derive(Debug)]
pub struct Color;

impl Operation for Color {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn prepare(&self, properties: &Properties) -> Result<Vec<Pass>, OpError> {
        Ok(vec![Pass::Area(Box::new(Plane { pixel: properties.color("value").linear() }))])
    }
}

#[derive(Debug)]
struct Plane {
    /// Straight, linear.
    pixel: [f32; 4],
}

impl Area for Plane {
    fn formats(&self, _inputs: &[Option<Format>]) -> Formats {
        let output = if self.pixel[3] == 1.0 { Format::LIN_OPAQUE } else { Format::LIN };
        Formats { inputs: [output; 2], output }
    }

    fn bounds(&self, _boxes: Boxes<'_>) -> Result<Rect, OpError> {
        Ok(Rect::INFINITE)
    }

    fn needed(&self, _pad: usize, _region: Rect, _boxes: Boxes<'_>) -> Rect {
        Rect::default()
    }

    fn weight(&self) -> f32 {
        1.0
    }

    fn render(
        &self,
        _inputs: &[Option<View<'_>>],
        _boxes: Boxes<'_>,
        output: &mut Tile<'_>,
        cancel: &Cancel,
    ) -> Result<(), OpError> {
        for y in rows(output.rect()) {
            cancel.check()?;
            output.row_mut(y).fill(self.pixel);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::native::testing::{Tiling, all_pixels, check, run};

    #[test]
    fn every_pixel_is_the_colour() {
        let out = check(&Color, &[("value", "rgba(0.5, 0.25, 1, 0.5)")], &[]);
        assert_eq!((out.rect(), out.format()), (Rect::new(-3, -2, 24, 17), Format::LIN));
        for pixel in all_pixels(&out) {
            assert!(pixel.iter().zip([0.5, 0.25, 1.0, 0.5]).all(|(a, b)| (a - b).abs() < 1e-6), "{pixel:?}");
        }
    }

    #[test]
    fn the_default_is_opaque_black() {
        let out = check(&Color, &[], &[]);
        assert_eq!(out.format(), Format::LIN_OPAQUE);
        assert!(all_pixels(&out).iter().all(|pixel| *pixel == [0.0, 0.0, 0.0, 1.0]));
    }

    #[test]
    fn it_has_no_end() {
        let far = Rect::new(1_000_000_000, -1_000_000_000, 3, 2);
        let out = run(&Color, &[("value", "red")], &[], Some(far), Tiling::Whole, &Cancel::new()).unwrap();
        assert_eq!(out.rect(), far);
        assert!(all_pixels(&out).iter().all(|pixel| *pixel == [1.0, 0.0, 0.0, 1.0]));
    }
}
