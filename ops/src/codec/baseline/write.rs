//! Writes symbols with codes that are made for them (ITU-T T.81, annexes B, C and K).

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::ZIGZAG;

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

/// Symbols in the order of the file, each with bits that follow its code.
///
/// 6 bytes a pixel at most, 0.2 to 1 in photos.
#[derive(Default)]
pub(super) struct Symbols {
    /// Table, symbol, and as many bits as the symbol says in its lower half. In pieces, so that none
    /// is ever copied to have room for more.
    full: Vec<Vec<u32>>,
    last: Vec<u32>,
}

/// Symbols of a piece.
const PIECE: usize = 16 * 1024;

/// The tables: the differences of means and the other coefficients, of luma and of chroma.
const TABLES: usize = 4;
/// Of [`TABLES`], the first for coefficients other than means.
pub(super) const AC: usize = 2;

impl Symbols {
    /// Puts `value` behind a run of zeroes; `table` is 0 for luma and 1 for chroma, [`AC`] more for
    /// what is not the difference of two means.
    #[inline(always)]
    pub(super) fn put(&mut self, table: usize, run: usize, value: i32) {
        // F.1.2.1.2: a negative one is less by 1 in as many bits.
        let size = 32 - value.unsigned_abs().leading_zeros();
        let bits = (value + (value >> 31)) as u32 & ((1 << size) - 1);
        if self.last.len() == self.last.capacity() {
            self.begin_piece();
        }
        self.last.push((table as u32) << 30 | (run as u32) << 20 | size << 16 | bits);
    }

    #[cold]
    fn begin_piece(&mut self) {
        let full = std::mem::replace(&mut self.last, Vec::with_capacity(PIECE));
        self.full.push(full);
    }

    fn iter(&self) -> impl Iterator<Item = u32> {
        self.full.iter().chain([&self.last]).flatten().copied()
    }

    /// The file: gray, or YCbCr with chroma of half the size.
    pub(super) fn write(&self, [width, height]: [usize; 2], gray: bool, steps: &[[u16; 64]; 2]) -> Vec<u8> {
        let mut counts = [[0; 256]; TABLES];
        for symbol in self.iter() {
            counts[(symbol >> 30) as usize][(symbol >> 16 & 0xff) as usize] += 1;
        }
        let tables = counts.map(|counts| Codes::new(&counts));
        let planes = if gray { 1 } else { 2 };
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
        let components: &[[u8; 3]] = if gray { &[[1, 0x11, 0]] } else { &[[1, 0x22, 0], [2, 0x11, 1], [3, 0x11, 1]] };
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
        let mut bits = Bits { out, word: 0, count: 0 };
        for symbol in self.iter() {
            let table = &tables[(symbol >> 30) as usize];
            let (code, length) = table.codes[(symbol >> 16 & 0xff) as usize];
            let size = symbol >> 16 & 15;
            bits.put(u64::from(code) << size | u64::from(symbol & 0xffff), u32::from(length) + size);
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
    /// Code and length of each symbol.
    codes: [(u16, u8); 256],
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
        let mut codes = [(0, 0); 256];
        let lengths: [u8; 16] = std::array::from_fn(|index| lengths[index + 1] as u8);
        let (mut next, mut code) = (symbols.iter(), 0u16);
        for (length, number) in (1..).zip(lengths) {
            for symbol in next.by_ref().take(number.into()) {
                codes[usize::from(*symbol)] = (code, length);
                code += 1;
            }
            code <<= 1;
        }
        Codes { lengths, symbols, codes }
    }
}

/// Writes bits.
struct Bits {
    out: Vec<u8>,
    /// The last `count` bits are still to be written; less than 32 of them.
    word: u64,
    count: u32,
}

impl Bits {
    /// At most 32 bits.
    #[inline(always)]
    fn put(&mut self, bits: u64, count: u32) {
        self.word = self.word << count | bits;
        self.count += count;
        if self.count >= 32 {
            self.count -= 32;
            let word = (self.word >> self.count) as u32;
            // Whether any byte is all ones.
            if (!word).wrapping_sub(0x0101_0101) & word & 0x8080_8080 == 0 {
                self.out.extend(word.to_be_bytes());
            } else {
                word.to_be_bytes().into_iter().for_each(|byte| self.byte(byte));
            }
        }
    }

    fn byte(&mut self, byte: u8) {
        self.out.push(byte);
        if byte == 0xff {
            self.out.push(0);
        }
    }

    /// Fills up the last byte with ones.
    fn finish(mut self) -> Vec<u8> {
        self.put(0x7f, 7);
        while self.count >= 8 {
            self.count -= 8;
            self.byte((self.word >> self.count) as u8);
        }
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
        assert_eq!((codes.symbols[0], codes.codes[30]), (30, (0, 1)));
        let mut room = 1 << 16;
        for (code, length) in codes.codes.into_iter().filter(|(_, length)| *length > 0) {
            assert!(length <= 16 && u32::from(code) != (1 << length) - 1);
            room -= 1 << (16 - length);
        }
        assert!(room > 0);
        let mut counts = [0; 256];
        counts[7] = 3;
        assert_eq!(Codes::new(&counts).codes[7], (0, 1));
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
            [0, AC, 0, AC, 0, AC, 0, AC, 1, AC + 1, 1, AC + 1].iter().for_each(|table| symbols.put(*table, 0, 0));
            let ours = symbols.write([1, 1], false, &steps(quality));
            for file in [ours, theirs] {
                let [luma, chroma, ..] = Headers::read(&file).unwrap().quantisation;
                assert_eq!([luma.unwrap(), chroma.unwrap()], steps(quality), "{quality}");
            }
        }
    }

    #[test]
    fn bytes_of_ones_are_followed_by_zeroes() {
        let mut bits = Bits { out: Vec::new(), word: 0, count: 0 };
        for (value, count) in [(0x12, 8), (0xff, 8), (0x34, 8), (0x56, 8), (0xff, 8), (0b101, 3)] {
            bits.put(value, count);
        }
        assert_eq!(bits.finish(), [0x12, 0xff, 0, 0x34, 0x56, 0xff, 0, 0b1011_1111]);
    }
}
