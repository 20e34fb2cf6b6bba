//! Writes symbols with codes that are made for them (ITU-T T.81, annexes B, C and K).

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use memchr::memchr;

use super::ZIGZAG;
use super::symbols::{AC, KINDS, Symbols, TABLES, following, kind};

/// Steps for luma and chroma at quality 50, row by row (T.81, tables K.1 and K.2).
#[rustfmt::skip]
const STEPS: [[u8; 64]; 2] = [
    [
        16, 11, 10, 16, 24, 40, 51, 61,
        12, 12, 14, 19, 26, 58, 60, 55,
        14, 13, 16, 24, 40, 57, 69, 56,
        14, 17, 22, 29, 51, 87, 80, 62,
        18, 22, 37, 56, 68, 109, 103, 77,
        24, 35, 55, 64, 81, 104, 113, 92,
        49, 64, 78, 87, 103, 121, 120, 101,
        72, 92, 95, 98, 112, 100, 103, 99,
    ],
    [
        17, 18, 24, 47, 99, 99, 99, 99,
        18, 21, 26, 66, 99, 99, 99, 99,
        24, 26, 56, 99, 99, 99, 99, 99,
        47, 66, 99, 99, 99, 99, 99, 99,
        99, 99, 99, 99, 99, 99, 99, 99,
        99, 99, 99, 99, 99, 99, 99, 99,
        99, 99, 99, 99, 99, 99, 99, 99,
        99, 99, 99, 99, 99, 99, 99, 99,
    ],
];

/// The steps of luma and chroma at a quality of 1 to 100, by place: as libjpeg scales them.
pub(super) fn steps(quality: u8) -> [[u16; 64]; 2] {
    let quality = u32::from(quality);
    let percent = if quality < 50 { 5000 / quality } else { 200 - 2 * quality };
    STEPS.map(|steps| ZIGZAG.map(|at| ((u32::from(steps[usize::from(at)]) * percent + 50) / 100).max(1) as u16))
}

/// The components of a file, and their resolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sampling {
    Gray,
    /// YCbCr, all for each pixel: 4:4:4.
    Full,
    /// YCbCr with chroma for each 2 × 2 pixels: 4:2:0.
    Half,
}

impl Symbols {
    /// The file.
    pub(super) fn write(&self, [width, height]: [usize; 2], sampling: Sampling, steps: &[[u16; 64]; 2]) -> Vec<u8> {
        let counts = self.counts();
        let tables: [Codes; TABLES] = std::array::from_fn(|table| Codes::new(&counts.as_chunks().0[table]));
        let planes = if sampling == Sampling::Gray { 1 } else { 2 };
        let mut out = vec![0xff, 0xd8];
        segment(&mut out, 0xe0, b"JFIF\0\x01\x01\0\0\x01\0\x01\0\0");
        let is_wide = |steps: &[u16; 64]| steps.iter().any(|step| *step > 255);
        for (number, steps) in (0..planes).zip(steps) {
            let wide = is_wide(steps);
            let mut body = vec![u8::from(wide) << 4 | number];
            let bytes = steps.iter().map(|step| step.to_be_bytes());
            bytes.for_each(|bytes| body.extend(&bytes[usize::from(!wide)..]));
            segment(&mut out, 0xdb, &body);
        }
        let [width, height] = [width, height].map(|side| (side as u16).to_be_bytes());
        let components: &[[u8; 3]] = match sampling {
            Sampling::Gray => &[[1, 0x11, 0]],
            Sampling::Full => &[[1, 0x11, 0], [2, 0x11, 1], [3, 0x11, 1]],
            Sampling::Half => &[[1, 0x22, 0], [2, 0x11, 1], [3, 0x11, 1]],
        };
        let mut frame = vec![8, height[0], height[1], width[0], width[1], components.len() as u8];
        frame.extend(components.as_flattened());
        // Baseline has steps of 8 bits.
        segment(&mut out, if steps.iter().any(is_wide) { 0xc1 } else { 0xc0 }, &frame);
        for (number, table) in tables.iter().enumerate().filter(|(number, _)| number % AC < usize::from(planes)) {
            let mut body = vec![(number / AC * 16 + number % AC) as u8];
            body.extend(table.lengths);
            body.extend(&table.symbols);
            segment(&mut out, 0xc4, &body);
        }
        let mut scan = vec![components.len() as u8];
        scan.extend(components.iter().flat_map(|[id, _, table]| [*id, table << 4 | table]));
        scan.extend([0, 63, 0]);
        segment(&mut out, 0xda, &scan);
        let codes: [Code; KINDS] = std::array::from_fn(|kind| tables[kind >> 8].codes[kind & 0xff]);
        let mut bits = Bits::new(out);
        for symbols in self.pieces().flat_map(|piece| piece.chunks(SYMBOLS)) {
            bits.put(symbols.iter().map(|symbol| codes[kind(*symbol)].with(following(*symbol))));
        }
        let mut out = bits.finish();
        out.extend([0xff, 0xd9]);
        out
    }
}

fn segment(out: &mut Vec<u8>, marker: u8, body: &[u8]) {
    out.extend([0xff, marker]);
    out.extend((body.len() as u16 + 2).to_be_bytes());
    out.extend(body);
}

/// The shortest codes of at most 16 bits for symbols that come so often.
struct Codes {
    /// How many there are of 1 to 16 bits.
    lengths: [u8; 16],
    /// What they stand for, the shortest first.
    symbols: Vec<u8>,
    /// That of each symbol.
    codes: [Code; 256],
}

/// A code and the bits that follow it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Code {
    /// The code, with zeroes in place of the bits that follow.
    bits: u32,
    /// Of both; 0 of what never comes.
    length: u32,
}

impl Code {
    #[inline(always)]
    fn with(self, following: u32) -> Code {
        Code { bits: self.bits | following, ..self }
    }
}

impl Codes {
    /// K.2: Huffman's, with the longest ones made shorter at the cost of others. No code is all
    /// ones, so one more symbol takes part that never comes.
    fn new(counts: &[u32; 256]) -> Codes {
        let mut parents = vec![0; 257];
        let mut heap: BinaryHeap<Reverse<(u64, Reverse<usize>)>> = BinaryHeap::new();
        let used = counts.iter().enumerate().filter(|(_, count)| **count > 0);
        heap.extend(used.map(|(symbol, count)| Reverse((u64::from(*count), Reverse(symbol)))));
        heap.push(Reverse((0, Reverse(256))));
        while let (Some(Reverse((a, Reverse(one)))), Some(Reverse((b, Reverse(other))))) = (heap.pop(), heap.pop()) {
            let node = parents.len();
            parents.push(0);
            (parents[one], parents[other]) = (node, node);
            heap.push(Reverse((a + b, Reverse(node))));
            if heap.len() == 1 {
                break;
            }
        }
        let depth = |mut node: usize| {
            let mut depth = 0;
            while parents[node] > 0 {
                (node, depth) = (parents[node], depth + 1);
            }
            depth
        };
        let mut order: Vec<(usize, usize)> = (0..=256).map(|symbol| (depth(symbol), symbol)).collect();
        order.retain(|(depth, _)| *depth > 0);
        order.sort_unstable();
        // Depths are below 64: the counts of deeper trees do not fit 64 bits.
        let mut lengths = [0u16; 64];
        order.iter().for_each(|(depth, _)| lengths[*depth] += 1);
        for length in (17..64).rev() {
            while lengths[length] > 0 {
                let shorter = (1..length - 1).rfind(|length| lengths[*length] > 0).unwrap_or(1);
                lengths[length] -= 2;
                lengths[length - 1] += 1;
                lengths[shorter] -= 1;
                lengths[shorter + 1] += 2;
            }
        }
        if let Some(longest) = lengths.iter().rposition(|number| *number > 0) {
            lengths[longest] -= 1;
        }
        let symbols: Vec<u8> =
            order.iter().filter(|(_, symbol)| *symbol < 256).map(|(_, symbol)| *symbol as u8).collect();
        let mut codes = [Code::default(); 256];
        let lengths: [u8; 16] = std::array::from_fn(|index| lengths[index + 1] as u8);
        let (mut next, mut code) = (symbols.iter(), 0u32);
        for (length, number) in (1..).zip(lengths) {
            for symbol in next.by_ref().take(number.into()) {
                // Its lower half is how many bits follow.
                let size = u32::from(symbol & 15);
                codes[usize::from(*symbol)] = Code { bits: code << size, length: length + size };
                code += 1;
            }
            code <<= 1;
        }
        Codes { lengths, symbols, codes }
    }
}

/// Symbols that are written at a time, at most 32 bits each.
const SYMBOLS: usize = 1024;
/// Bytes of a word.
const WORD: usize = size_of::<u64>();

/// Writes bits.
struct Bits {
    out: Vec<u8>,
    /// What is written without a look at each byte, before zeroes are put behind those of ones.
    buffer: Box<[u8; SYMBOLS * 4 + WORD]>,
    /// Bits that are still to be written, the first one on top; less than 8 of them.
    word: u64,
    count: u32,
}

impl Bits {
    fn new(out: Vec<u8>) -> Bits {
        Bits { out, buffer: bytemuck::zeroed_box(), word: 0, count: 0 }
    }

    /// Writes [`SYMBOLS`] codes at most.
    #[inline(always)]
    fn put(&mut self, codes: impl Iterator<Item = Code>) {
        let (mut word, mut count, mut at) = (self.word, self.count, 0);
        for Code { bits, length } in codes {
            count += length;
            word |= u64::from(bits) << (u64::BITS - count);
            self.buffer[at..][..WORD].copy_from_slice(&word.to_be_bytes());
            at += (count / 8) as usize;
            word <<= count & !7;
            count &= 7;
        }
        (self.word, self.count) = (word, count);
        let mut rest = &self.buffer[..at];
        while let Some(ones) = memchr(0xff, rest) {
            self.out.extend_from_slice(&rest[..=ones]);
            self.out.push(0);
            rest = &rest[ones + 1..];
        }
        self.out.extend_from_slice(rest);
    }

    /// Fills up the last byte with ones.
    fn finish(mut self) -> Vec<u8> {
        self.put(std::iter::once(Code { bits: 0x7f, length: 7 }));
        self.out
    }
}

#[cfg(test)]
mod tests {
    use super::super::headers::Headers;
    use super::*;

    #[test]
    fn codes_are_no_longer_than_16_bits_and_none_is_all_ones() {
        // Each comes twice as often as the one before: Huffman's own codes would have 31 bits.
        let mut counts = [0; 256];
        (0..31).for_each(|symbol| counts[symbol] = 1 << symbol);
        let codes = Codes::new(&counts);
        assert_eq!(codes.symbols.len(), 31);
        assert_eq!(codes.lengths.iter().map(|number| usize::from(*number)).sum::<usize>(), 31);
        assert_eq!((codes.symbols[0], codes.codes[30]), (30, Code { bits: 0, length: 1 + 14 }));
        let mut room = 1 << 16;
        for (symbol, Code { bits, length }) in (0..).zip(codes.codes).filter(|(_, code)| code.length > 0) {
            let (code, length) = (bits >> (symbol & 15), length - (symbol & 15));
            assert!(length <= 16 && code != (1 << length) - 1);
            room -= 1 << (16 - length);
        }
        assert!(room > 0);
        let mut counts = [0; 256];
        counts[7] = 3;
        assert_eq!(Codes::new(&counts).codes[7], Code { bits: 0, length: 1 + 7 });
        assert!(Codes::new(&[0; 256]).symbols.is_empty());
    }

    #[test]
    fn steps_are_those_of_libjpeg() {
        for quality in 1..=100 {
            let mut encoder = mozjpeg::Compress::new(mozjpeg::ColorSpace::JCS_YCbCr);
            encoder.set_size(1, 1);
            encoder.set_fastest_defaults();
            encoder.set_quality(f32::from(quality));
            let mut started = encoder.start_compress(Vec::new()).unwrap();
            started.write_scanlines(&[0; 3]).unwrap();
            let theirs = started.finish().unwrap();
            let mut symbols = Symbols::default();
            for chroma in [0, 0, 0, 0, 1, 1] {
                let mut block = symbols.block(chroma);
                block.mean(0);
                block.end();
            }
            let ours = symbols.write([1, 1], Sampling::Half, &steps(quality));
            for file in [ours, theirs] {
                let [luma, chroma, ..] = Headers::read(&file).unwrap().quantisation;
                assert_eq!([luma.unwrap(), chroma.unwrap()], steps(quality), "{quality}");
            }
        }
    }

    #[test]
    fn bytes_of_ones_are_followed_by_zeroes() {
        let mut bits = Bits::new(Vec::new());
        let codes = [(0x12, 8), (0xff, 8), (0x34, 8), (0x56, 8), (0xff, 8), (0b101, 3)];
        bits.put(codes.into_iter().map(|(bits, length)| Code { bits, length }));
        assert_eq!(bits.finish(), [0x12, 0xff, 0, 0x34, 0x56, 0xff, 0, 0b1011_1111]);
    }
}
