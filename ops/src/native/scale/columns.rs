//! The sums along a row.

use multiversion::multiversion;
use multiversion::target::target_cfg_f;

use super::super::scale_axis::Taps;
use crate::fused::{fuses, multiply_add};

/// The taps of output pixels side by side.
#[derive(Debug)]
pub(super) struct Columns {
    /// The columns of the source that any of them needs, ascending.
    pub used: Vec<i32>,
    /// For each output pixel what lies beyond the ends.
    pub outside: Vec<f32>,
    taps: ColumnTaps,
}

#[derive(Debug)]
enum ColumnTaps {
    /// Each output pixel has `count` columns, an even number, side by side from `starts` on, counted in `used`.
    SideBySide { count: usize, starts: Vec<u32>, weights: Vec<f32> },
    /// Any columns.
    Scattered(Taps),
}

impl Columns {
    /// `side_by_side`: the columns of each output pixel are ([`Mapping::is_side_by_side`]).
    ///
    /// [`Mapping::is_side_by_side`]: super::super::scale_axis::Mapping::is_side_by_side
    pub fn new(mut taps: Taps, side_by_side: bool) -> Columns {
        let used = taps.compact();
        let outside = std::mem::take(&mut taps.outside);
        let entries = |pixel| taps.entries(pixel);
        let count = (0..outside.len()).map(|pixel| entries(pixel).len()).max().unwrap_or(0).next_multiple_of(2);
        if !side_by_side || count == 0 {
            return Columns { used, outside, taps: ColumnTaps::Scattered(taps) };
        }
        let mut starts = Vec::with_capacity(outside.len());
        let mut weights = vec![0.0; outside.len() * count];
        for (pixel, weights) in weights.chunks_mut(count).enumerate() {
            let entries = entries(pixel);
            starts.push(taps.sources[entries.clone()].first().map_or(0, |first| *first as u32));
            weights[..entries.len()].copy_from_slice(&taps.weights[entries]);
        }
        Columns { used, outside, taps: ColumnTaps::SideBySide { count, starts, weights } }
    }

    /// Pixels of a row for [`Columns::apply`]: the used columns, and some that have no weight, so that the last output
    /// pixels have as many as any, and one that is read with the last of three components.
    pub fn row_len(&self) -> usize {
        match self.taps {
            ColumnTaps::SideBySide { count, .. } => self.used.len() + count + 1,
            ColumnTaps::Scattered(_) => self.used.len() + 1,
        }
    }

    /// Sums up a row of the source, with `components` numbers a pixel: 3 or 4. Of 3, the fourth that comes out is
    /// anything.
    pub fn apply(&self, row: &[f32], components: usize, out: &mut [[f32; 4]]) {
        match &self.taps {
            ColumnTaps::SideBySide { count, starts, weights } => {
                add_side_by_side(row, components, *count, starts, weights, out);
            }
            ColumnTaps::Scattered(taps) => {
                for (index, out) in out.iter_mut().enumerate() {
                    let entries = taps.entries(index);
                    *out = [0.0; 4];
                    for (place, weight) in taps.sources[entries.clone()].iter().zip(&taps.weights[entries]) {
                        let pixel = &row[*place as usize * components..][..4];
                        for (out, value) in out.iter_mut().zip(pixel) {
                            *out += value * weight;
                        }
                    }
                }
            }
        }
    }
}

/// What [`ColumnTaps::SideBySide`] makes of a row.
#[multiversion(targets("x86_64+avx2+fma"))]
fn add_side_by_side(
    row: &[f32],
    components: usize,
    count: usize,
    starts: &[u32],
    weights: &[f32],
    out: &mut [[f32; 4]],
) {
    /// As many numbers as a register holds, of which the last may be another pixel's.
    #[inline(always)]
    fn add(fuses: bool, components: usize, pixels: &[f32], weights: &[f32]) -> [f32; 4] {
        let mut sums = [0.0; 4];
        for (tap, weight) in weights.iter().enumerate() {
            for (sum, value) in sums.iter_mut().zip(&pixels[components * tap..][..4]) {
                *sum = multiply_add(fuses, *value, *weight, *sum);
            }
        }
        sums
    }
    #[inline(always)]
    fn known<const COUNT: usize, const COMPONENTS: usize>(
        fuses: bool,
        row: &[f32],
        starts: &[u32],
        weights: &[f32],
        out: &mut [[f32; 4]],
    ) {
        for ((out, start), weights) in out.iter_mut().zip(starts).zip(weights.as_chunks::<COUNT>().0) {
            let pixels = &row[COMPONENTS * *start as usize..][..COMPONENTS * (COUNT - 1) + 4];
            *out = add(fuses, COMPONENTS, pixels, weights);
        }
    }
    #[inline(always)]
    fn all<const COMPONENTS: usize>(
        fuses: bool,
        row: &[f32],
        count: usize,
        starts: &[u32],
        weights: &[f32],
        out: &mut [[f32; 4]],
    ) {
        match count {
            2 => known::<2, COMPONENTS>(fuses, row, starts, weights, out),
            4 => known::<4, COMPONENTS>(fuses, row, starts, weights, out),
            6 => known::<6, COMPONENTS>(fuses, row, starts, weights, out),
            8 => known::<8, COMPONENTS>(fuses, row, starts, weights, out),
            10 => known::<10, COMPONENTS>(fuses, row, starts, weights, out),
            12 => known::<12, COMPONENTS>(fuses, row, starts, weights, out),
            _ => {
                for ((out, start), weights) in out.iter_mut().zip(starts).zip(weights.chunks_exact(count)) {
                    *out = add(fuses, COMPONENTS, &row[COMPONENTS * *start as usize..], weights);
                }
            }
        }
    }
    let fuses = fuses!();
    match components {
        3 => all::<3>(fuses, row, count, starts, weights, out),
        _ => all::<4>(fuses, row, count, starts, weights, out),
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::sampler::Sampler;
    use super::super::super::scale_axis::{Beyond, Mapping};
    use super::super::tests::numbers;
    use super::*;

    /// Whichever way this processor takes, to the last bit.
    #[test]
    fn vector_code_adds_up_what_plain_code_does() {
        for (components, pixels) in [(3, 1), (3, 83), (4, 1), (4, 83)] {
            for count in (2..=16).step_by(2) {
                let row = numbers(components * (pixels + count + 1));
                let weights = numbers(count * pixels);
                let starts = (0..pixels as u32).rev().collect::<Vec<_>>();
                let mut found = vec![[9.0; 4]; pixels];
                add_side_by_side(&row, components, count, &starts, &weights, &mut found);
                for ((found, start), weights) in found.iter().zip(&starts).zip(weights.chunks(count)) {
                    let value = |tap: usize, c: usize| row[components * (*start as usize + tap) + c];
                    let sum = |c: usize| (0..count).fold(0.0, |sum, tap| value(tap, c).mul_add(weights[tap], sum));
                    let expected = (0..components).map(sum).collect::<Vec<_>>();
                    assert_eq!(found[..components], expected, "{count} columns of {components} components at {start}");
                }
            }
        }
    }

    #[test]
    fn only_columns_side_by_side_are_taken_together() {
        let mapping =
            |step, beyond, sampler| Mapping { step, origin: 0.0, shift: 0.0, first: 0, len: 50, beyond, sampler };
        let together = |mapping: Mapping| match Columns::new(mapping.taps(0, 20), mapping.is_side_by_side()).taps {
            ColumnTaps::SideBySide { count, .. } => Some(count),
            ColumnTaps::Scattered(_) => None,
        };
        assert_eq!(together(mapping(2.5, Beyond::Clamp, Sampler::Lanczos)), Some(16));
        assert_eq!(together(mapping(2.5, Beyond::Clamp, Sampler::Linear)), Some(4));
        // The far end is a neighbour; four samples leave gaps; nothing lies inside.
        assert_eq!(together(mapping(2.5, Beyond::Loop, Sampler::Lanczos)), None);
        assert_eq!(together(mapping(8.0, Beyond::Clamp, Sampler::Linear)), None);
        assert_eq!(together(Mapping { first: 500, ..mapping(2.5, Beyond::Constant, Sampler::Lanczos) }), None);
    }
}
