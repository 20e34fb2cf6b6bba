//! The rows of the source, and their sums.

use multiversion::multiversion;
use multiversion::target::target_cfg_f;

use super::columns::Columns;
use crate::format::{Source, Target, convert_row, light};
use crate::fused::{fuses, multiply_add};
use crate::{Cancel, Encoding, Format, OpError, View};

/// Most bytes of source rows that are kept. A kernel that spans more computes some rows again instead of holding the
/// picture in memory.
const KEPT: usize = 4 << 20;

/// Source rows, converted and perhaps scaled along x when first asked for.
pub(super) struct Lines<'a> {
    input: View<'a>,
    format: Format,
    columns: &'a Columns,
    /// Numbers a pixel, as rows are converted: 3 of bytes without alpha, else 4.
    components: usize,
    /// True when rows are scaled along x, which makes them have 4 numbers a pixel; else they have the used columns.
    across: bool,
    /// Most rows that are kept.
    most: usize,
    /// The used pixels of a row, where they do not lie side by side, and converted.
    raw: Raw,
    converted: Vec<f32>,
    /// By row, ascending.
    kept: Vec<(i32, Vec<f32>)>,
    free: Vec<Vec<f32>>,
}

/// Pixels gathered from a row.
#[derive(Default)]
struct Raw {
    rgb8: Vec<[u8; 3]>,
    rgba8: Vec<[u8; 4]>,
    float: Vec<[f32; 4]>,
}

/// The pixels of `row` in those columns; `left` is the column of the first.
fn gather<'r, T: Copy>(raw: &'r mut Vec<T>, row: &'r [T], used: &[i32], left: i32) -> &'r [T] {
    if let (Some(&first), Some(&last)) = (used.first(), used.last())
        && (last - first) as usize + 1 == used.len()
    {
        return &row[(first - left) as usize..=(last - left) as usize];
    }
    raw.clear();
    raw.extend(used.iter().map(|column| row[(column - left) as usize]));
    raw
}

impl<'a> Lines<'a> {
    /// `across`: rows are scaled along x before they are added up.
    pub fn new(input: View<'a>, columns: &'a Columns, format: Format, across: bool) -> Self {
        let components = if input.format() == Format::RGB8 && format.encoding == Encoding::Linear { 3 } else { 4 };
        let width = if across { 4 * columns.outside.len() } else { components * columns.used.len() };
        let most = (KEPT / (width * size_of::<f32>()).max(1)).max(8);
        let converted = vec![0.0; if across { components * columns.row_len() } else { 0 }];
        let raw = Raw::default();
        Lines { input, format, columns, components, across, most, raw, converted, kept: Vec::new(), free: Vec::new() }
    }

    /// Numbers a pixel of the rows that are added up.
    pub fn components(&self) -> usize {
        if self.across { 4 } else { self.components }
    }

    /// The weighted sum of those rows, which ascend.
    pub fn sum(&mut self, sources: &[i32], weights: &[f32], out: &mut [f32], cancel: &Cancel) -> Result<(), OpError> {
        if sources.is_empty() {
            out.fill(0.0);
        }
        for (part, (sources, weights)) in sources.chunks(self.most).zip(weights.chunks(self.most)).enumerate() {
            self.hold(sources, cancel)?;
            add_weighted(&self.kept, weights, part > 0, out);
        }
        Ok(())
    }

    /// Keeps those rows and no others; they are at most [`Lines::most`].
    fn hold(&mut self, sources: &[i32], cancel: &Cancel) -> Result<(), OpError> {
        let free = &mut self.free;
        let old = self.kept.extract_if(.., |(row, _)| sources.binary_search(row).is_err());
        free.extend(old.map(|(_, line)| line));
        for (index, &y) in sources.iter().enumerate() {
            if self.kept.get(index).is_none_or(|(row, _)| *row != y) {
                cancel.check()?;
                let mut line = self.free.pop().unwrap_or_default();
                self.scale_row(y, &mut line);
                self.kept.insert(index, (y, line));
            }
        }
        Ok(())
    }

    fn scale_row(&mut self, y: i32, line: &mut Vec<f32>) {
        let (from, left) = (self.input.format(), self.input.rect().x);
        let numbers = self.components * self.columns.used.len();
        line.resize(if self.across { 4 * self.columns.outside.len() } else { numbers }, 0.0);
        let converted = if self.across { &mut self.converted[..numbers] } else { &mut line[..] };
        let (raw, used) = (&mut self.raw, &self.columns.used);
        let rect = self.input.rect();
        let row = match self.input.source(rect.x, y, rect.width) {
            Source::Rgb8(row) => Source::Rgb8(gather(&mut raw.rgb8, row, used, left)),
            Source::Rgba8(row) => Source::Rgba8(gather(&mut raw.rgba8, row, used, left)),
            Source::Float(row) => Source::Float(gather(&mut raw.float, row, used, left)),
        };
        match row {
            Source::Rgb8(row) if self.components == 3 => light(row.as_flattened(), converted),
            row => convert_row(from, row, self.format, Target::Float(converted.as_chunks_mut().0)),
        }
        if self.across {
            self.columns.apply(&self.converted, self.components, line.as_chunks_mut().0);
        }
    }
}

/// Adds up rows by their weights, and with `more` what is there already: some numbers of all of them at a time, so that
/// the sums stay in registers.
#[multiversion(targets("x86_64+avx2+fma"))]
fn add_weighted(rows: &[(i32, Vec<f32>)], weights: &[f32], more: bool, out: &mut [f32]) {
    const NUMBERS: usize = 64;
    let fuses = fuses!();
    let (blocks, rest) = out.as_chunks_mut::<NUMBERS>();
    let whole = blocks.len();
    for (index, block) in blocks.iter_mut().enumerate() {
        let mut sums = if more { *block } else { [0.0; NUMBERS] };
        for ((_, row), weight) in rows.iter().zip(weights) {
            for (sum, value) in sums.iter_mut().zip(&row.as_chunks::<NUMBERS>().0[index]) {
                *sum = multiply_add(fuses, *value, *weight, *sum);
            }
        }
        *block = sums;
    }
    if !more {
        rest.fill(0.0);
    }
    for ((_, row), weight) in rows.iter().zip(weights) {
        for (sum, value) in rest.iter_mut().zip(&row[whole * NUMBERS..]) {
            *sum = multiply_add(fuses, *value, *weight, *sum);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::numbers;
    use super::*;

    /// Whichever way this processor takes, to the last bit.
    #[test]
    fn vector_code_adds_up_what_plain_code_does() {
        for count in [1, 28, 32, 63, 64, 83, 256] {
            for entries in 1..=14 {
                let weights = numbers(entries);
                let rows = (0..entries as i32).map(|row| (row, numbers(count + row as usize % 2))).collect::<Vec<_>>();
                let mut found = numbers(count);
                let mut expected = vec![0.0; count];
                for more in [false, true] {
                    add_weighted(&rows, &weights, more, &mut found);
                    for ((_, row), weight) in rows.iter().zip(&weights) {
                        for (out, value) in expected.iter_mut().zip(row) {
                            *out = value.mul_add(*weight, *out);
                        }
                    }
                    assert_eq!(found, expected, "{entries} rows of {count}, {more}");
                }
            }
        }
    }
}
