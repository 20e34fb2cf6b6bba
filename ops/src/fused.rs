//! Multiplication and addition in one step.

/// True where the processor that a function is compiled for has an instruction for [`multiply_add`]. For functions of
/// several versions, which name their targets with `fma`.
macro_rules! fuses {
    () => {
        target_cfg_f!(any(target_feature = "fma", target_arch = "aarch64"))
    };
}
pub(crate) use fuses;

/// `value` × `weight` + `sum`, rounded once. Where there is no instruction for it (`fuses`), in double precision, which
/// makes a difference once in a hundred million times.
#[inline(always)]
pub(crate) fn multiply_add(fuses: bool, value: f32, weight: f32, sum: f32) -> f32 {
    if fuses { value.mul_add(weight, sum) } else { (f64::from(value) * f64::from(weight) + f64::from(sum)) as f32 }
}
