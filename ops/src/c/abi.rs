//! The structures of `imgflo-op.h`, as they lie in memory. `ops/tests/c.rs` compares their sizes.

use std::ffi::{c_char, c_float};

/// `IMGFLO_OP_VERSION`.
pub const VERSION: u32 = 1;
/// What `IMGFLO_OPERATION` defines.
pub const SYMBOL: &[u8] = b"imgflo_operation_v1\0";

pub const POINT: i32 = 1;
pub const AREA: i32 = 2;
pub const COMPOSITOR: i32 = 3;
pub const SOURCE: i32 = 4;

pub const LINEAR: i32 = 1;
pub const LINEAR_PREMULTIPLIED: i32 = 2;
pub const CODED: i32 = 3;
pub const CODED_PREMULTIPLIED: i32 = 4;

pub const NUMBER: i32 = 1;
pub const INT: i32 = 2;
pub const BOOLEAN: i32 = 3;
pub const ENUM: i32 = 4;
pub const COLOR: i32 = 5;
pub const TEXT: i32 = 6;

#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Box {
    pub x: i32,
    pub y: i32,
    pub width: i32,
    pub height: i32,
}

#[derive(Clone, Copy)]
#[repr(C)]
pub union Value {
    pub number: f64,
    pub integer: i64,
    pub color: [c_float; 4],
    pub text: *const c_char,
}

#[derive(Clone, Copy)]
#[repr(C)]
pub struct Property {
    pub name: *const c_char,
    pub description: *const c_char,
    pub type_: i32,
    pub minimum: f64,
    pub maximum: f64,
    pub initial: Value,
    pub choices: *const *const c_char,
}

#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Picture {
    pub rect: Box,
    pub stride: isize,
    pub pixels: *const c_float,
}

#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Target {
    pub rect: Box,
    pub stride: isize,
    pub pixels: *mut c_float,
}

#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Margins {
    pub left: i32,
    pub top: i32,
    pub right: i32,
    pub bottom: i32,
}

#[derive(Clone, Copy)]
#[repr(C)]
pub struct Call {
    pub values: *const Value,
    pub whole: Box,
    pub input: Picture,
    pub aux: Picture,
    pub output: Target,
}

pub type PointFunction =
    unsafe extern "C" fn(values: *const Value, pixels: *mut c_float, x: i32, y: i32, count: i32, whole: Box);
pub type RenderFunction = unsafe extern "C" fn(call: *const Call) -> *const c_char;
pub type MarginsFunction = unsafe extern "C" fn(values: *const Value) -> Margins;
pub type BoundsFunction = unsafe extern "C" fn(values: *const Value) -> Box;

#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Operation {
    pub kind: i32,
    pub format: i32,
    pub keeps_opaque: i32,
    pub weight: c_float,
    pub name: *const c_char,
    pub title: *const c_char,
    pub description: *const c_char,
    pub categories: *const c_char,
    pub properties: *const Property,
    pub point: Option<PointFunction>,
    pub render: Option<RenderFunction>,
    pub margins: Option<MarginsFunction>,
    pub bounds: Option<BoundsFunction>,
}

#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Export {
    pub version: u32,
    pub size: u32,
    pub operation: *const Operation,
}
