//! The native operations, one file each.
//!
//! Names, ports, defaults and ranges are GEGL's, so that graphs are portable both ways.

use std::sync::Arc;

use crate::Operation;

// Lines are kept sorted: one `mod` and one entry below for each operation.
mod blend;
mod box_blur;
mod brightness_contrast;
mod c2g;
mod cartoon;
mod channel_mixer;
mod checkerboard;
mod cie;
mod color;
mod color_dodge;
mod color_overlay;
mod color_temperature;
mod color_to_alpha;
mod compose;
mod compound;
mod crop;
mod dropshadow;
mod edge_sobel;
mod example;
mod exposure;
mod gaussian_blur;
mod gradient;
mod gradient_map;
mod gray;
mod high_pass;
mod hue_chroma;
mod invert_gamma;
mod invert_linear;
mod levels;
mod line;
mod math;
mod matrix;
mod median_blur;
mod mono_mixer;
mod motion_blur_linear;
mod noise_cie_lch;
mod noise_reduction;
mod noise_rgb;
mod nop;
mod opacity;
mod perlin_noise;
mod pixelize;
mod porter_duff;
mod posterize;
mod quarter_turn;
mod random;
mod reflect;
mod resize;
mod retro_curve;
mod rotate;
mod rotate_on_center;
mod sampler;
mod saturation;
mod scale;
mod scale_axis;
mod scale_ratio;
mod scale_size;
mod scale_size_keepaspect;
mod screen;
mod sepia;
mod softglow;
mod src_over;
#[cfg(test)]
mod testing;
mod text;
mod threshold;
mod transform;
mod translate;
mod unsharp_mask;
mod value_invert;
mod vignette;

/// All native operations.
pub fn all() -> Vec<Arc<dyn Operation>> {
    let mut all: Vec<Arc<dyn Operation>> = vec![
        Arc::new(box_blur::BoxBlur),
        Arc::new(brightness_contrast::BrightnessContrast),
        Arc::new(c2g::C2g),
        Arc::new(cartoon::Cartoon),
        Arc::new(channel_mixer::ChannelMixer),
        Arc::new(checkerboard::Checkerboard),
        Arc::new(color::Color),
        Arc::new(color_dodge::ColorDodge),
        Arc::new(color_overlay::ColorOverlay),
        Arc::new(color_temperature::ColorTemperature),
        Arc::new(color_to_alpha::ColorToAlpha),
        Arc::new(crop::Crop),
        Arc::new(dropshadow::Dropshadow),
        Arc::new(edge_sobel::EdgeSobel),
        Arc::new(example::Example),
        Arc::new(exposure::Exposure),
        Arc::new(gaussian_blur::GaussianBlur),
        Arc::new(gradient_map::GradientMap),
        Arc::new(gray::Gray),
        Arc::new(high_pass::HighPass),
        Arc::new(hue_chroma::HueChroma),
        Arc::new(invert_gamma::InvertGamma),
        Arc::new(invert_linear::InvertLinear),
        Arc::new(levels::Levels),
        Arc::new(median_blur::MedianBlur),
        Arc::new(mono_mixer::MonoMixer),
        Arc::new(motion_blur_linear::MotionBlurLinear),
        Arc::new(noise_cie_lch::NoiseCieLch),
        Arc::new(noise_reduction::NoiseReduction),
        Arc::new(noise_rgb::NoiseRgb),
        Arc::new(nop::Nop),
        Arc::new(opacity::Opacity),
        Arc::new(pixelize::Pixelize),
        Arc::new(perlin_noise::PerlinNoise),
        Arc::new(posterize::Posterize),
        Arc::new(reflect::Reflect),
        Arc::new(resize::Resize),
        Arc::new(retro_curve::RetroCurve),
        Arc::new(rotate::Rotate),
        Arc::new(rotate_on_center::RotateOnCenter),
        Arc::new(saturation::Saturation),
        Arc::new(scale_ratio::ScaleRatio),
        Arc::new(scale_size::ScaleSize),
        Arc::new(scale_size_keepaspect::ScaleSizeKeepaspect),
        Arc::new(screen::Screen),
        Arc::new(sepia::Sepia),
        Arc::new(softglow::Softglow),
        Arc::new(src_over::SrcOver),
        Arc::new(text::Text),
        Arc::new(threshold::Threshold),
        Arc::new(translate::Translate),
        Arc::new(unsharp_mask::UnsharpMask),
        Arc::new(value_invert::ValueInvert),
        Arc::new(vignette::Vignette),
    ];
    // Those that lie in tables.
    all.extend(blend::ALL.map(|operation| Arc::new(operation) as Arc<dyn Operation>));
    all.extend(gradient::ALL.map(|operation| Arc::new(operation) as Arc<dyn Operation>));
    all.extend(math::ALL.map(|operation| Arc::new(operation) as Arc<dyn Operation>));
    all.extend(porter_duff::ALL.map(|operation| Arc::new(operation) as Arc<dyn Operation>));
    all
}
