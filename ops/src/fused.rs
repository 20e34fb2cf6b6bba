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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_round_once() {
        let mut random = rand_mt::Mt::new(5);
        let mut number = || f32::from_bits(0x3f80_0000 | random.next_u32() >> 9) - 1.5;
        for _ in 0..10_000 {
            let (value, weight, sum) = (number(), number(), number());
            assert_eq!(multiply_add(false, value, weight, sum), multiply_add(true, value, weight, sum));
        }
        // Rounded twice it would be 0.
        let tiny = 1.0 + f32::EPSILON;
        assert_eq!(multiply_add(false, tiny, tiny, -(tiny * tiny)), f32::EPSILON * f32::EPSILON);
    }
}
