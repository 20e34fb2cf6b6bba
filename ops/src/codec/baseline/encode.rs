//! Pixels to baseline JPEG: YCbCr with chroma of half the size or of all of it, and codes that are
//! made for the picture.

use multiversion::multiversion;

use super::ZIGZAG;
use super::cosine::weight;
use super::recode::{LARGEST, ROUND};
use super::symbols::Symbols;
use super::write::{Sampling, steps};

/// Rows and columns of an MCU with chroma of half the size; rows that are taken at a time.
const MCU: usize = 16;

/// For each place of the zigzag column × 8 + row, where the transform leaves its coefficient.
const ORDER: [u8; 64] = {
    let mut order = ZIGZAG;
    let mut place = 0;
    while place < 64 {
        order[place] = order[place] % 8 * 8 + order[place] / 8;
        place += 1;
    }
    order
};

/// Makes a file of rows of pixels.
pub(in super::super) struct Encoder {
    size: [usize; 2],
    /// True if chroma is stored for each pixel.
    full: bool,
    /// Pixels of a row, filled up to whole MCUs.
    stride: usize,
    steps: [[u16; 64]; 2],
    /// Their inverses, in the order of coefficients.
    scales: [[f32; 64]; 2],
    cosines: Cosines,
    places: Box<Places>,
    symbols: Symbols,
    /// The means of the last blocks of Y, Cb and Cr.
    means: [i32; 3],
    /// Two rows of pixels, filled up to whole MCUs, and one more.
    pair: [Vec<[u8; 3]>; 2],
    /// 16 rows, around 0; those of chroma have half the size, or all of it.
    luma: Vec<f32>,
    chroma: [Vec<f32>; 2],
}

impl Encoder {
    /// For a picture of that many pixels along x and y, 1 to 65,535 each, at a quality of 1 to 100.
    /// `full`: with chroma for each pixel (4:4:4), not for each 2 × 2 (4:2:0).
    pub(in super::super) fn new(size: [usize; 2], quality: u8, full: bool) -> Encoder {
        let (steps, stride) = (steps(quality), size[0].next_multiple_of(MCU));
        let chroma = if full { stride * MCU } else { stride * MCU / 4 };
        let scales = steps.map(|steps| {
            let mut scales = [0.0; 64];
            steps.iter().zip(ORDER).for_each(|(step, at)| scales[usize::from(at)] = 1.0 / f32::from(*step));
            scales
        });
        Encoder {
            size,
            full,
            stride,
            steps,
            scales,
            cosines: Cosines::new(),
            places: places(),
            symbols: Symbols::default(),
            means: [0; 3],
            pair: [vec![[0; 3]; stride + 1], vec![[0; 3]; stride + 1]],
            luma: vec![0.0; stride * MCU],
            chroma: [vec![0.0; chroma], vec![0.0; chroma]],
        }
    }

    /// Takes the next 16 rows, or what is left.
    pub(in super::super) fn rows(&mut self, rows: &[[u8; 3]]) {
        if self.full {
            return self.full_rows(rows);
        }
        let Encoder { size: [width, _], stride, pair, luma, chroma: [cb, cr], .. } = self;
        let last = rows.len() / *width - 1;
        let chroma = cb.chunks_exact_mut(*stride / 2).zip(cr.chunks_exact_mut(*stride / 2));
        for (number, (luma, (cb, cr))) in luma.chunks_exact_mut(*stride * 2).zip(chroma).enumerate() {
            for (line, to) in pair.iter_mut().enumerate() {
                // What is beyond the picture is like its last row and column.
                let row = &rows[(number * 2 + line).min(last) * *width..][..*width];
                to[..*width].copy_from_slice(row);
                to[*width..].fill(row[*width - 1]);
            }
            let (upper, lower) = luma.split_at_mut(*stride);
            convert([pair[0].as_flattened(), pair[1].as_flattened()], [upper, lower], [cb, cr]);
        }
        self.blocks(last + 1);
    }

    /// Makes symbols of a row of MCUs, of which so many rows are of the picture.
    fn blocks(&mut self, rows: usize) {
        let Encoder { size: [width, _], stride, scales, cosines, places, symbols, means, luma, chroma, .. } = self;
        for mcu in 0..*stride / MCU {
            for (x, y) in [(0, 0), (8, 0), (0, 8), (8, 8)] {
                let left = mcu * MCU + x;
                if left < *width && y < rows {
                    let block = quantised(&luma[y * *stride + left..], *stride, cosines, &scales[0]);
                    put(symbols, 0, &mut means[0], &block, places);
                } else {
                    // Nobody sees it: what takes fewest bits is the mean of the block before.
                    let mut block = symbols.block(0);
                    block.mean(0);
                    block.end();
                }
            }
            for (plane, mean) in chroma.iter().zip(&mut means[1..]) {
                let block = quantised(&plane[mcu * MCU / 2..], *stride / 2, cosines, &scales[1]);
                put(symbols, 1, mean, &block, places);
            }
        }
    }

    /// As [`Encoder::rows`], with chroma for each pixel: an MCU is 8 × 8.
    fn full_rows(&mut self, rows: &[[u8; 3]]) {
        let Encoder { size: [width, _], stride, scales, cosines, places, symbols, means, pair, luma, chroma, .. } =
            self;
        let last = rows.len() / *width - 1;
        let [cb, cr] = chroma;
        let planes = luma.chunks_exact_mut(*stride).zip(cb.chunks_exact_mut(*stride)).zip(cr.chunks_exact_mut(*stride));
        for (number, ((luma, cb), cr)) in planes.take((last + 1).next_multiple_of(8)).enumerate() {
            let (row, to) = (&rows[number.min(last) * *width..][..*width], &mut pair[0]);
            to[..*width].copy_from_slice(row);
            to[*width..].fill(row[*width - 1]);
            convert_full(to.as_flattened(), [luma, cb, cr]);
        }
        for y in (0..=last).step_by(8) {
            for x in (0..*width).step_by(8) {
                for (component, plane) in [&*luma, &*cb, &*cr].into_iter().enumerate() {
                    let kind = component.min(1);
                    let block = quantised(&plane[y * *stride + x..], *stride, cosines, &scales[kind]);
                    put(symbols, kind, &mut means[component], &block, places);
                }
            }
        }
    }

    /// The file, after the last row.
    pub(in super::super) fn finish(self) -> Vec<u8> {
        let sampling = if self.full { Sampling::Full } else { Sampling::Half };
        self.symbols.write(self.size, sampling, &self.steps)
    }
}

/// Where bits go: of each eighth of the 64, for each of the values that it may have. Bit n of what comes out is that
/// of the coefficient at place n.
type Places = [[u64; 256]; 8];

fn places() -> Box<Places> {
    let mut places: Box<Places> = bytemuck::zeroed_box();
    for (place, at) in ORDER.into_iter().map(usize::from).enumerate() {
        for (bits, to) in places[at / 8].iter_mut().enumerate() {
            *to |= (bits as u64 >> (at % 8) & 1) << place;
        }
    }
    places
}

/// Puts a block, as [`ORDER`] has it, into the symbols of luma (0) or chroma (1).
fn put(symbols: &mut Symbols, chroma: usize, mean: &mut i32, values: &[i16; 64], places: &Places) {
    let mut block = symbols.block(chroma);
    block.mean(i32::from(values[0]) - std::mem::replace(mean, values[0].into()));
    // Of the 64, few are not 0: those are found first, and only they are put in order.
    let mut others = 0;
    for (values, places) in values.as_chunks::<8>().0.iter().zip(places) {
        // A one at bit 8 n comes to bit 56 + n.
        let ones = u64::from_le_bytes(values.map(|value| u8::from(value != 0)));
        others |= places[(ones.wrapping_mul(0x0102_0408_1020_4080) >> 56) as usize];
    }
    others &= !1;
    while others != 0 {
        let place = others.trailing_zeros() as usize;
        block.put(place, values[usize::from(ORDER[place] & 63)].into());
        others &= others - 1;
    }
    block.end();
}

/// Red, green and blue of some pixels, which a byte follows. It reads words of four bytes: a vector
/// is sooner made of them than of single bytes.
#[inline(always)]
fn components(pixels: &[u8; 3 * MCU + 1]) -> [[f32; MCU]; 3] {
    let mut components = [[0.0; MCU]; 3];
    for x in 0..MCU {
        let word = u32::from_le_bytes([pixels[3 * x], pixels[3 * x + 1], pixels[3 * x + 2], pixels[3 * x + 3]]);
        for (c, shift) in [0, 8, 16].into_iter().enumerate() {
            components[c][x] = (word >> shift & 0xff) as f32;
        }
    }
    components
}

/// Luma of two rows of pixels, and chroma of the means of 2 × 2 pixels (JFIF: T.871, 7).
#[multiversion(targets("x86_64+avx2"))]
fn convert(pixels: [&[u8]; 2], luma: [&mut [f32]; 2], chroma: [&mut [f32]; 2]) {
    let (weights, [upper, lower], [cb, cr]) = ([0.299, 0.587, 0.114], luma, chroma);
    let light = |r: f32, g: f32, b: f32| r * weights[0] + g * weights[1] + b * weights[2];
    let luma = upper.as_chunks_mut::<MCU>().0.iter_mut().zip(lower.as_chunks_mut::<MCU>().0);
    let chroma = cb.as_chunks_mut::<8>().0.iter_mut().zip(cr.as_chunks_mut::<8>().0);
    for (number, ((upper, lower), (cb, cr))) in luma.zip(chroma).enumerate() {
        let mut sums = [[0.0; MCU]; 3];
        for (pixels, luma) in pixels.into_iter().zip([upper, lower]) {
            let Some(pixels) = pixels[number * 3 * MCU..].first_chunk() else { return };
            let rgb = components(pixels);
            for x in 0..MCU {
                luma[x] = light(rgb[0][x], rgb[1][x], rgb[2][x]) - 128.0;
                (0..3).for_each(|c| sums[c][x] += rgb[c][x]);
            }
        }
        let (mut blue, mut red) = ([0.0; MCU], [0.0; MCU]);
        for x in 0..MCU {
            let [r, g, b] = [sums[0][x], sums[1][x], sums[2][x]];
            let y = light(r, g, b);
            (blue[x], red[x]) = ((b - y) * (0.125 / (1.0 - weights[2])), (r - y) * (0.125 / (1.0 - weights[0])));
        }
        for x in 0..8 {
            (cb[x], cr[x]) = (blue[2 * x] + blue[2 * x + 1], red[2 * x] + red[2 * x + 1]);
        }
    }
}

/// Luma and chroma of a row of pixels (JFIF: T.871, 7).
#[multiversion(targets("x86_64+avx2"))]
fn convert_full(pixels: &[u8], [luma, cb, cr]: [&mut [f32]; 3]) {
    let weights = [0.299, 0.587, 0.114];
    let planes = luma.as_chunks_mut::<MCU>().0.iter_mut().zip(cb.as_chunks_mut::<MCU>().0);
    for (number, ((luma, cb), cr)) in planes.zip(cr.as_chunks_mut::<MCU>().0).enumerate() {
        let Some(pixels) = pixels[number * 3 * MCU..].first_chunk() else { return };
        let rgb = components(pixels);
        for x in 0..MCU {
            let [r, g, b] = [rgb[0][x], rgb[1][x], rgb[2][x]];
            let y = r * weights[0] + g * weights[1] + b * weights[2];
            luma[x] = y - 128.0;
            (cb[x], cr[x]) = ((b - y) * (0.5 / (1.0 - weights[2])), (r - y) * (0.5 / (1.0 - weights[0])));
        }
    }
}

/// The transform's weights: of the sums of values that lie opposite each other, and of their differences.
struct Cosines {
    even: [[f32; 4]; 4],
    odd: [[f32; 4]; 4],
}

impl Cosines {
    fn new() -> Cosines {
        let of = |first: usize| std::array::from_fn(|u| std::array::from_fn(|x| weight(8, x, 2 * u + first)));
        Cosines { even: of(0), odd: of(1) }
    }

    /// Eight transforms of eight values, side by side. As cosines are even or odd around the middle,
    /// half of the products do.
    #[inline(always)]
    fn apply(&self, [a, b, c, d, e, f, g, h]: [Lanes; 8]) -> [Lanes; 8] {
        let sums = [add(a, h), add(b, g), add(c, f), add(d, e)];
        let differences = [subtract(a, h), subtract(b, g), subtract(c, f), subtract(d, e)];
        let of = |folded: [Lanes; 4], weights: &[f32; 4]| {
            let [a, b, c, d] = folded;
            add(add(scale(a, weights[0]), scale(b, weights[1])), add(scale(c, weights[2]), scale(d, weights[3])))
        };
        let [even, odd] = [&self.even, &self.odd];
        [
            of(sums, &even[0]),
            of(differences, &odd[0]),
            of(sums, &even[1]),
            of(differences, &odd[1]),
            of(sums, &even[2]),
            of(differences, &odd[2]),
            of(sums, &even[3]),
            of(differences, &odd[3]),
        ]
    }
}

/// What is worked on side by side.
type Lanes = [f32; 8];

#[inline(always)]
fn add(a: Lanes, b: Lanes) -> Lanes {
    std::array::from_fn(|lane| a[lane] + b[lane])
}

#[inline(always)]
fn scale(a: Lanes, by: f32) -> Lanes {
    std::array::from_fn(|lane| a[lane] * by)
}

#[inline(always)]
fn subtract(a: Lanes, b: Lanes) -> Lanes {
    std::array::from_fn(|lane| a[lane] - b[lane])
}

/// The coefficients of the block that `plane` begins with, over their steps, as [`ORDER`] has them (T.81, A.3.3).
#[multiversion(targets("x86_64+avx2"))]
fn quantised(plane: &[f32], stride: usize, cosines: &Cosines, scales: &[f32; 64]) -> [i16; 64] {
    let mut values = [[0.0; 8]; 8];
    for (row, values) in values.iter_mut().enumerate() {
        values.copy_from_slice(&plane[row * stride..][..8]);
    }
    let columns = cosines.apply(values);
    let turned: [Lanes; 8] = std::array::from_fn(|x| std::array::from_fn(|y| columns[y][x]));
    let coefficients = cosines.apply(turned);
    let mut rounded = [0; 64];
    for ((to, value), scale) in rounded.iter_mut().zip(coefficients.as_flattened()).zip(scales) {
        // The nearest whole number is in the low bits of the sum.
        *to = ((value * scale).clamp(-LARGEST, LARGEST) + ROUND).to_bits() as i16;
    }
    rounded
}

#[cfg(test)]
mod tests {
    use std::f64::consts::{FRAC_1_SQRT_2, PI};

    use rand_mt::Mt;

    use super::*;
    use crate::Cancel;
    use crate::codec::{DecodeLimits, decode};
    use crate::{Image, Pixels, Rect};

    /// Waves, edges and noise.
    fn picture(width: usize, height: usize) -> Vec<[u8; 3]> {
        let mut random = Mt::new(7);
        let mut pixel = |x: usize, y: usize| {
            let noise = random.next_u32() % 12;
            let wave = |step: f64| (128.0 + 100.0 * (step * (x as f64 + 0.7 * y as f64)).sin()) as u32;
            let edge = if (x / 23 + y / 17).is_multiple_of(2) { 40 } else { 0 };
            [wave(0.05) + noise, wave(0.11) / 2 + edge + noise, wave(0.03) / 3 + noise]
                .map(|value| value.min(255) as u8)
        };
        (0..height).flat_map(|y| (0..width).map(move |x| (x, y))).map(|(x, y)| pixel(x, y)).collect()
    }

    fn ours(pixels: &[[u8; 3]], size: [usize; 2], quality: u8, full: bool) -> Vec<u8> {
        let mut encoder = Encoder::new(size, quality, full);
        pixels.chunks(size[0] * MCU).for_each(|rows| encoder.rows(rows));
        encoder.finish()
    }

    /// By libjpeg, with codes made for the picture.
    fn theirs(pixels: &[[u8; 3]], [width, height]: [usize; 2], quality: u8, full: bool) -> Vec<u8> {
        let mut encoder = mozjpeg::Compress::new(mozjpeg::ColorSpace::JCS_RGB);
        encoder.set_size(width, height);
        encoder.set_fastest_defaults();
        encoder.set_quality(f32::from(quality));
        encoder.set_optimize_coding(true);
        let chroma = if full { (1, 1) } else { (2, 2) };
        encoder.set_chroma_sampling_pixel_sizes(chroma, chroma);
        let mut started = encoder.start_compress(Vec::new()).unwrap();
        started.write_scanlines(pixels.as_flattened()).unwrap();
        started.finish().unwrap()
    }

    fn read(file: &[u8], [width, height]: [usize; 2]) -> Vec<[u8; 3]> {
        let image: Image = decode(file, DecodeLimits::new(1 << 20, 1 << 12), &Cancel::new()).unwrap();
        assert_eq!(image.rect(), Rect::sized(width as u32, height as u32));
        let Pixels::Rgb8(pixels) = image.into_pixels() else { panic!("a JPEG is RGB") };
        pixels
    }

    fn squares(one: &[[u8; 3]], other: &[[u8; 3]]) -> f64 {
        let pairs = one.as_flattened().iter().zip(other.as_flattened());
        let sum: f64 = pairs.map(|(a, b)| f64::from(a.abs_diff(*b)).powi(2)).sum();
        sum / (one.len() * 3) as f64
    }

    #[test]
    fn a_file_is_as_good_and_as_small_as_that_of_libjpeg() {
        for size in [[1, 1], [2, 3], [15, 16], [17, 33], [160, 96], [211, 47]] {
            let pixels = picture(size[0], size[1]);
            for (quality, full) in [1, 30, 60, 85, 95, 100].into_iter().flat_map(|q| [(q, false), (q, true)]) {
                let [ours, theirs] = [ours(&pixels, size, quality, full), theirs(&pixels, size, quality, full)];
                let [mine, libjpegs] = [&ours, &theirs].map(|file| squares(&read(file, size), &pixels));
                // Of a few pixels, a single one that is rounded otherwise counts.
                let most = libjpegs * 1.02 + 8.0 / pixels.len() as f64;
                assert!(mine <= most, "{size:?} at {quality}, 4:4:4 {full}: {mine}, libjpeg {libjpegs}");
                let (ours, theirs) = (ours.len() as f64, theirs.len() as f64);
                assert!(
                    ours <= theirs * 1.01 + 8.0,
                    "{size:?} at {quality}, 4:4:4 {full}: {ours} bytes, libjpeg {theirs}"
                );
            }
        }
    }

    #[test]
    fn what_is_beyond_the_edges_is_like_the_edges() {
        // In one colour there is nothing but means, whatever the size.
        let sizes = [[1, 1], [16, 16], [5, 9], [31, 50]];
        for size in sizes {
            let file = ours(&vec![[200, 90, 30]; size[0] * size[1]], size, 90, false);
            let mcus = size[0].div_ceil(MCU) * size[1].div_ceil(MCU);
            let found = read(&file, size);
            assert!(squares(&found, &vec![[200, 90, 30]; found.len()]) < 2.0, "{size:?}");
            assert!(file.len() < 330 + mcus * 3, "{size:?}: {}", file.len());
        }
    }

    #[test]
    fn coefficients_are_those_of_the_standard() {
        let mut random = Mt::new(3);
        let plane: Vec<f32> = (0..8 * 11).map(|_| (random.next_u32() % 256) as f32 - 128.0).collect();
        let found = quantised(&plane, 11, &Cosines::new(), &[0.5; 64]);
        for (place, at) in ORDER.into_iter().enumerate() {
            let found = found[usize::from(at)];
            let (u, v) = (f64::from(ZIGZAG[place] % 8), f64::from(ZIGZAG[place] / 8));
            let scale = |w: f64| if w == 0.0 { FRAC_1_SQRT_2 } else { 1.0 };
            let cosine = |x: usize, w: f64| ((2 * x + 1) as f64 * w * PI / 16.0).cos();
            let values =
                (0..64).map(|at| f64::from(plane[at / 8 * 11 + at % 8]) * cosine(at % 8, u) * cosine(at / 8, v));
            let sum = 0.25 * scale(u) * scale(v) * values.sum::<f64>() * 0.5;
            assert!((f64::from(found) - sum).abs() < 0.501, "{place}: {found} {sum}");
        }
    }
}
