//! `gegl/channel-mixer`: mixes the channels anew.
//!
//! Each new channel is a weighted sum of R, G and B in linear light; with `preserve-luminosity` divided
//! by the absolute sum of its weights, if that is not 0. Alpha stays (GEGL 0.4, `gegl:channel-mixer`,
//! by its output alone).

use super::matrix::Matrix;
use super::mono_mixer::normalised;
use crate::{Encoding, Info, Kind, OpError, Operation, Pad, Pass, Properties, Property};

const fn gain(name: &'static str, description: &'static str, default: f64) -> Property {
    Property { name, description, kind: Kind::Number { default, minimum: -2.0, maximum: 2.0 } }
}

static INFO: Info = Info {
    name: "gegl/channel-mixer",
    aliases: &[],
    categories: &["color"],
    title: "Channel Mixer",
    description: "Mixes red, green and blue anew.",
    inputs: &[Pad::INPUT],
    properties: &[
        Property {
            name: "preserve-luminosity",
            description: "Divide by the sum of the weights of a channel, so that white stays white.",
            kind: Kind::Boolean { default: false },
        },
        gain("rr-gain", "Weight of red light in red.", 1.0),
        gain("rg-gain", "Weight of green light in red.", 0.0),
        gain("rb-gain", "Weight of blue light in red.", 0.0),
        gain("gr-gain", "Weight of red light in green.", 0.0),
        gain("gg-gain", "Weight of green light in green.", 1.0),
        gain("gb-gain", "Weight of blue light in green.", 0.0),
        gain("br-gain", "Weight of red light in blue.", 0.0),
        gain("bg-gain", "Weight of green light in blue.", 0.0),
        gain("bb-gain", "Weight of blue light in blue.", 1.0),
    ],
    revision: 1,
};

/// The operation `gegl/channel-mixer`.
#[derive(Debug)]
pub struct ChannelMixer;

impl Operation for ChannelMixer {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn prepare(&self, properties: &Properties) -> Result<Vec<Pass>, OpError> {
        let preserve = properties.boolean("preserve-luminosity");
        let rows =
            [["rr-gain", "rg-gain", "rb-gain"], ["gr-gain", "gg-gain", "gb-gain"], ["br-gain", "bg-gain", "bb-gain"]]
                .map(|row| row.map(|name| properties.number(name)))
                .map(|row| if preserve { normalised(row) } else { row });
        Ok(Matrix::new(Encoding::Linear, rows).passes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::native::testing::{assert_pixel, assert_same, check, noise_image};
    use crate::{Format, Image, Rect};

    #[test]
    fn weights_by_hand() {
        let image = Image::from_float(Rect::new(-1, 0, 1, 1), Format::LIN, vec![[0.5, 0.25, 1.0, 0.4]]);
        let given = [
            ("rr-gain", "0.5"),
            ("rg-gain", "1"),
            ("gg-gain", "0"),
            ("gb-gain", "-2"),
            ("br-gain", "2"),
            ("bg-gain", "-1"),
        ];
        let out = check(&ChannelMixer, &given, &[Some(&image)]);
        assert_pixel(&out, -1, 0, [0.5, -2.0, 1.75, 0.4], 1e-6);
        let given: Vec<_> = given.into_iter().chain([("preserve-luminosity", "true")]).collect();
        let out = check(&ChannelMixer, &given, &[Some(&image)]);
        assert_pixel(&out, -1, 0, [0.5 / 1.5, -1.0, 0.875, 0.4], 1e-6);
    }

    #[test]
    fn defaults_change_nothing() {
        let image = noise_image(Rect::new(-3, 2, 9, 4), Format::RGBA8);
        assert_same(&check(&ChannelMixer, &[], &[Some(&image)]), &image, "defaults");
    }
}
