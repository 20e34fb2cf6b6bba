//! The inverse cosine transform, to fewer points than it was made of.

use std::f64::consts::{FRAC_1_SQRT_2, PI};

use crate::fused::multiply_add;

/// Pixels from the lowest cosines of a block, `width` × `height` of them.
#[derive(Clone, Copy)]
pub(super) struct Cosine {
    pub(super) width: usize,
    pub(super) height: usize,
    /// For each column of coefficients what it adds to the pixels of a row.
    across: [[f32; 8]; 8],
    /// For each row of pixels what it takes of a column of coefficients.
    down: [[f32; 8]; 8],
}

/// x(i) = ½ Σ C(u) X(u) cos((2i + 1) u π / 2n) with C(0) = 1/√2, else 1: ITU-T T.81, A.3.3 for
/// n = 8. With any other number of points the mean stays what it is.
pub(super) fn weight(points: usize, point: usize, cosine: usize) -> f32 {
    if point >= points || cosine >= points {
        return 0.0;
    }
    let angle = ((2 * point + 1) * cosine) as f64 * PI / (2 * points) as f64;
    let scale = if cosine == 0 { FRAC_1_SQRT_2 } else { 1.0 };
    (0.5 * scale * angle.cos()) as f32
}

impl Cosine {
    /// Sides of 1, 2, 3, 4, 6 or 8 pixels.
    pub(super) fn new(width: usize, height: usize) -> Cosine {
        let across = std::array::from_fn(|u| std::array::from_fn(|x| weight(width, x, u)));
        let down = std::array::from_fn(|y| std::array::from_fn(|v| weight(height, y, v)));
        Cosine { width, height, across, down }
    }

    /// Writes the pixels of a block of `WIDTH` coefficients a row to the beginning of `out`, whose rows are `stride`
    /// apart. All beyond the first `side` columns and rows, 1, 2, 4 or 8, are taken for 0. `fuses`: as [`multiply_add`]
    /// has it.
    #[inline(always)]
    pub(super) fn apply<const WIDTH: usize>(
        &self,
        fuses: bool,
        values: &[f32; 64],
        side: usize,
        out: &mut [f32],
        stride: usize,
    ) {
        match side {
            1 => {
                let mean = values[0] * self.down[0][0] * self.across[0][0];
                (0..self.height).for_each(|y| out[y * stride..][..WIDTH].fill(mean));
            }
            2 => self.transform::<WIDTH, 2>(fuses, values, out, stride),
            4 => self.transform::<WIDTH, 4>(fuses, values, out, stride),
            _ => self.transform::<WIDTH, 8>(fuses, values, out, stride),
        }
    }

    /// [`Cosine::apply`] of the first `SIDE` columns and rows: what is known when this is compiled runs without a jump.
    #[inline(always)]
    fn transform<const WIDTH: usize, const SIDE: usize>(
        &self,
        fuses: bool,
        values: &[f32; 64],
        out: &mut [f32],
        stride: usize,
    ) {
        let mut rows = [[0.0; WIDTH]; SIDE];
        for (row, values) in rows.iter_mut().zip(values.as_chunks::<WIDTH>().0) {
            for (value, across) in values.iter().zip(&self.across).take(SIDE) {
                for x in 0..WIDTH {
                    row[x] = multiply_add(fuses, *value, across[x], row[x]);
                }
            }
        }
        for (y, down) in self.down[..self.height].iter().enumerate() {
            let mut pixels = [0.0; WIDTH];
            for (row, weight) in rows.iter().zip(down) {
                for x in 0..WIDTH {
                    pixels[x] = multiply_add(fuses, row[x], *weight, pixels[x]);
                }
            }
            out[y * stride..][..WIDTH].copy_from_slice(&pixels);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eight_points_are_the_transform_of_the_standard() {
        let mut random = rand_mt::Mt::new(3);
        let block: [i16; 64] = std::array::from_fn(|_| (random.next_u32() % 401) as i16 - 200);
        let steps: [f32; 64] = std::array::from_fn(|_| (1 + random.next_u32() % 9) as f32);
        let mut out = [0.0; 64];
        let values = std::array::from_fn(|at| f32::from(block[at]) * steps[at]);
        Cosine::new(8, 8).apply::<8>(true, &values, 8, &mut out, 8);
        for (at, found) in out.iter().enumerate() {
            let (x, y) = ((at % 8) as f64, (at / 8) as f64);
            let mut sum = 0.0;
            for (at, (coefficient, step)) in block.iter().zip(&steps).enumerate() {
                let (u, v) = ((at % 8) as f64, (at / 8) as f64);
                let scale = |w: f64| if w == 0.0 { FRAC_1_SQRT_2 } else { 1.0 };
                let cosine = |p: f64, w: f64| ((2.0 * p + 1.0) * w * PI / 16.0).cos();
                sum += 0.25
                    * scale(u)
                    * scale(v)
                    * f64::from(*coefficient)
                    * f64::from(*step)
                    * cosine(x, u)
                    * cosine(y, v);
            }
            assert!((f64::from(*found) - sum).abs() < 5e-3, "{at}: {found} {sum}");
        }
    }

    #[test]
    fn the_mean_stays_whatever_the_size() {
        let mut values = [0.0; 64];
        values[0] = 800.0;
        for (side, known) in
            [1, 2, 3, 4, 6, 8].into_iter().flat_map(|side: usize| [(side, 1), (side, side.next_power_of_two())])
        {
            let mut out = [0.0; 64];
            let cosine = Cosine::new(side, side);
            match side {
                1 => cosine.apply::<1>(true, &values, known, &mut out, 8),
                2 => cosine.apply::<2>(true, &values, known, &mut out, 8),
                3 => cosine.apply::<3>(true, &values, known, &mut out, 8),
                4 => cosine.apply::<4>(true, &values, known, &mut out, 8),
                6 => cosine.apply::<6>(true, &values, known, &mut out, 8),
                _ => cosine.apply::<8>(true, &values, known, &mut out, 8),
            }
            assert!(out.iter().enumerate().all(|(at, value)| {
                let inside = at % 8 < side && at / 8 < side;
                (value - if inside { 100.0 } else { 0.0 }).abs() < 1e-3
            }));
        }
    }

    /// With and without an instruction that fuses, of a part of the coefficients and of all.
    #[test]
    fn fewer_points_are_the_sum_of_their_cosines() {
        fn check<const WIDTH: usize>(height: usize) {
            let mut random = rand_mt::Mt::new(8);
            let cosine = Cosine::new(WIDTH, height);
            for side in [2, 4, 8] {
                let mut values = [0.0; 64];
                for (v, u) in (0..height.min(side)).flat_map(|v| (0..WIDTH.min(side)).map(move |u| (v, u))) {
                    values[v * WIDTH + u] = (random.next_u32() % 801) as f32 - 400.0;
                }
                for fuses in [false, true] {
                    let mut out = [7.0; 8 * 9];
                    cosine.apply::<WIDTH>(fuses, &values, side, &mut out, 9);
                    for (y, x) in (0..height).flat_map(|y| (0..WIDTH).map(move |x| (y, x))) {
                        let term = |at: usize| {
                            let (v, u) = (at / WIDTH, at % WIDTH);
                            values[at] * weight(WIDTH, x, u) * weight(height, y, v)
                        };
                        let sum = (0..WIDTH * height).map(term).sum::<f32>();
                        let found = out[y * 9 + x];
                        assert!((found - sum).abs() < 5e-3, "{WIDTH} x {height} of {side}, {x} {y}: {found} {sum}");
                    }
                    assert!((0..height).all(|y| out[y * 9 + WIDTH..(y + 1) * 9].iter().all(|beside| *beside == 7.0)));
                }
            }
        }
        for height in [1, 2, 3, 4, 6, 8] {
            check::<1>(height);
            check::<2>(height);
            check::<3>(height);
            check::<4>(height);
            check::<6>(height);
            check::<8>(height);
        }
    }
}
