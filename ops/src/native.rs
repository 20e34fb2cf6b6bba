//! The native operations, one file each.
//!
//! Names, ports, defaults and ranges are GEGL's, so that graphs are portable both ways.

use std::sync::Arc;

use crate::Operation;

// Lines are kept sorted: one `mod` and one entry below for each operation.
mod brightness_contrast;
mod edge_sobel;
mod example;
mod gray;
mod nop;
#[cfg(test)]
mod testing;

/// All native operations.
pub fn all() -> Vec<Arc<dyn Operation>> {
    vec![
        Arc::new(brightness_contrast::BrightnessContrast),
        Arc::new(edge_sobel::EdgeSobel),
        Arc::new(example::Example),
        Arc::new(gray::Gray),
        Arc::new(nop::Nop),
    ]
}
