//! The inverse cosine transform of 8 × 8 points as libjpeg computes it by default, to the last bit
//! for coefficients of pixels: its vectors have 16 bits where others would need more.
//!
//! Of its 12 multiplications (Loeffler, Ligtenberg and Moschytz, 1989) none is rounded before all are
//! added, so that a line of points is 8 sums of products by whole numbers. Here they are taken as such:
//! there are no more of them than there are coefficients, and vectors hold a line.

use std::hint::black_box;

/// What each coefficient of a line adds to its points, in 1/8192: √2 cos((2x + 1) u π / 16), 1 for the
/// mean. libjpeg's numbers are sums of rounded ones, which makes some of them less or more by one.
const WEIGHTS: [[i32; 8]; 8] = [
    [8192, 8192, 8192, 8192, 8192, 8192, 8192, 8192],
    [11363, 9633, 6437, 2260, -2260, -6437, -9633, -11363],
    [10703, 4433, -4433, -10703, -10703, -4433, 4433, 10703],
    [9633, -2259, -11362, -6436, 6436, 11362, 2259, -9633],
    [8192, -8192, -8192, 8192, 8192, -8192, -8192, 8192],
    [6437, -11362, 2261, 9633, -9633, -2261, 11362, -6437],
    [4433, -10704, 10704, -4433, -4433, 10704, -10704, 4433],
    [2260, -6436, 9633, -11363, 11363, -9633, 6436, -2260],
];
/// Bits that are rounded off the columns, which keep 2 of their fraction, and then off the rows: those
/// two, the 13 of the weights, and 3 for a division by 8.
const BITS: [i32; 2] = [13 - 2, 2 + 13 + 3];

/// Writes the pixels of a block, row by row, as stored in `steps`, to the beginning of `out`, whose rows
/// are `stride` apart. Only the first `columns` of the first `rows` may be other than 0.
#[inline(always)]
pub(super) fn pixels(
    block: &[i16; 64],
    steps: &[i16; 64],
    (columns, rows): (usize, usize),
    out: &mut [u8],
    stride: usize,
) {
    if (columns, rows) == (1, 1) {
        let mean = (i32::from(block[0].wrapping_mul(steps[0])) + 4) >> 3;
        (0..8).for_each(|y| out[y * stride..][..8].fill((mean + 128).clamp(0, 255) as u8));
        return;
    }
    let mut lines = if rows > 4 { columns_of::<8>(block, steps) } else { columns_of::<4>(block, steps) };
    if columns > 4 {
        rows_of::<8>(&mut lines);
    } else {
        rows_of::<4>(&mut lines);
    };
    let mut bytes = [[0; 8]; 8];
    for (byte, sum) in bytes.as_flattened_mut().iter_mut().zip(lines.as_flattened()) {
        *byte = (sum >> BITS[1]).clamp(0, 255) as u8;
    }
    for (y, row) in bytes.iter().enumerate() {
        out[y * stride..][..8].copy_from_slice(row);
    }
}

// The compiler is not told how many lines there are (`black_box`): with all of them side by side it would
// make vectors across lines and spend its time on putting them together.

/// Lines of the points of each column of coefficients, of which there are `ROWS`.
#[inline(always)]
fn columns_of<const ROWS: usize>(block: &[i16; 64], steps: &[i16; 64]) -> [[i32; 8]; 8] {
    let mut values = [[0i32; 8]; ROWS];
    for (value, (stored, step)) in values.as_flattened_mut().iter_mut().zip(block.iter().zip(steps)) {
        *value = stored.wrapping_mul(*step).into();
    }
    let mut lines = [[0; 8]; 8];
    for y in 0..black_box(4) {
        // A point and its mirror image differ in the sign of the odd coefficients.
        let mut sums = [[1i32 << (BITS[0] - 1); 8], [0; 8]];
        for (v, values) in values.iter().enumerate() {
            let weight = WEIGHTS[v][y];
            for u in 0..8 {
                sums[v % 2][u] = values[u].wrapping_mul(weight).wrapping_add(sums[v % 2][u]);
            }
        }
        for u in 0..8 {
            lines[y][u] = sums[0][u].wrapping_add(sums[1][u]) >> BITS[0];
            lines[y ^ 7][u] = sums[0][u].wrapping_sub(sums[1][u]) >> BITS[0];
        }
    }
    lines
}

/// Makes points of rows of `COLUMNS` coefficients.
#[inline(always)]
fn rows_of<const COLUMNS: usize>(lines: &mut [[i32; 8]; 8]) {
    for line in &mut lines[..black_box(8)] {
        let mut sums = [(1 << (BITS[1] - 1)) + (128 << BITS[1]); 8];
        for (value, weights) in line[..COLUMNS].iter().zip(&WEIGHTS) {
            for x in 0..8 {
                sums[x] = value.wrapping_mul(weights[x]).wrapping_add(sums[x]);
            }
        }
        *line = sums;
    }
}
