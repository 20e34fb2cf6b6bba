//! The native operations, one file each.
//!
//! Names, ports, defaults and ranges are GEGL's, so that graphs are portable both ways.

use std::sync::Arc;

use crate::Operation;

// Lines are kept sorted: one `mod` and one entry below for each operation.

/// All native operations.
pub fn all() -> Vec<Arc<dyn Operation>> {
    vec![]
}
