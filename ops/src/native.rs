//! The native operations, one file each.
//!
//! Names, ports, defaults and ranges are GEGL's, so that graphs are portable both ways.

use std::sync::Arc;

use crate::Operation;

// Lines are kept sorted: one `mod` and one entry below for each operation.
mod brightness_contrast;
mod c2g;
mod checkerboard;
mod color;
mod color_dodge;
mod compose;
mod crop;
mod edge_sobel;
mod example;
mod gaussian_blur;
mod gradient_map;
mod gray;
mod motion_blur_linear;
mod multiply;
mod noise_cie_lch;
mod noise_reduction;
mod nop;
mod opacity;
mod resize;
mod retro_curve;
mod rotate_on_center;
mod sampler;
mod scale;
mod scale_axis;
mod scale_size_keepaspect;
mod screen;
mod src_over;
#[cfg(test)]
mod testing;

/// All native operations.
pub fn all() -> Vec<Arc<dyn Operation>> {
    vec![
        Arc::new(brightness_contrast::BrightnessContrast),
        Arc::new(c2g::C2g),
        Arc::new(checkerboard::Checkerboard),
        Arc::new(color::Color),
        Arc::new(color_dodge::ColorDodge),
        Arc::new(crop::Crop),
        Arc::new(edge_sobel::EdgeSobel),
        Arc::new(example::Example),
        Arc::new(gaussian_blur::GaussianBlur),
        Arc::new(gradient_map::GradientMap),
        Arc::new(gray::Gray),
        Arc::new(motion_blur_linear::MotionBlurLinear),
        Arc::new(multiply::Multiply),
        Arc::new(noise_cie_lch::NoiseCieLch),
        Arc::new(noise_reduction::NoiseReduction),
        Arc::new(nop::Nop),
        Arc::new(opacity::Opacity),
        Arc::new(resize::Resize),
        Arc::new(retro_curve::RetroCurve),
        Arc::new(rotate_on_center::RotateOnCenter),
        Arc::new(scale_size_keepaspect::ScaleSizeKeepaspect),
        Arc::new(screen::Screen),
        Arc::new(src_over::SrcOver),
    ]
}
