//! The symbols of a picture, kept until it is known how often each comes.

use bytemuck::zeroed_box;

/// Symbols of a piece; a power of two.
const PIECE: usize = 16 * 1024;
/// The most symbols of a block: one for each coefficient, those for long runs of zeroes, and its end.
const BLOCK: usize = 64 + 3 + 1;

/// Tables: for the differences of means and for the other coefficients, of luma and of chroma.
pub(super) const TABLES: usize = 4;
/// Of [`TABLES`], the first for coefficients other than means.
pub(super) const AC: usize = 2;

/// Bits of [`Symbol`] that follow the code.
const FOLLOWING: u32 = 16;

/// What a coefficient is written as: from the top on its table, the zeroes before it, the number of bits that
/// follow its code, 4 bits each; and those bits.
pub(super) type Symbol = u32;

/// What a symbol has a code for: table and symbol, less than [`KINDS`].
#[inline(always)]
pub(super) fn kind(symbol: Symbol) -> usize {
    (symbol >> FOLLOWING) as usize % KINDS
}

/// Numbers of [`kind`].
pub(super) const KINDS: usize = TABLES << 8;

/// Bits that follow the code.
#[inline(always)]
pub(super) fn following(symbol: Symbol) -> u32 {
    symbol & ((1 << FOLLOWING) - 1)
}

/// Symbols in the order of the file.
///
/// 6 bytes a pixel at most, 0.2 to 1 in photos.
pub(super) struct Symbols {
    /// In pieces, so that none is ever copied to have room for more; and how many each has.
    full: Vec<(Box<[Symbol; PIECE]>, usize)>,
    piece: Box<[Symbol; PIECE]>,
    len: usize,
}

impl Default for Symbols {
    fn default() -> Self {
        Symbols { full: Vec::new(), piece: zeroed_box(), len: 0 }
    }
}

impl Symbols {
    /// Begins a block of luma (0) or chroma (1).
    #[inline(always)]
    pub(super) fn block(&mut self, chroma: usize) -> Block<'_> {
        if self.len > PIECE - BLOCK {
            self.begin_piece();
        }
        let at = self.len;
        Block { piece: &mut self.piece, len: &mut self.len, at, chroma, last: 0 }
    }

    #[cold]
    fn begin_piece(&mut self) {
        let full = std::mem::replace(&mut self.piece, zeroed_box());
        self.full.push((full, std::mem::take(&mut self.len)));
    }

    /// All of them, in slices.
    pub(super) fn pieces(&self) -> impl Iterator<Item = &[Symbol]> {
        let full = self.full.iter().map(|(piece, len)| &piece[..*len]);
        full.chain([&self.piece[..self.len]])
    }

    /// How often each [`kind`] comes.
    pub(super) fn counts(&self) -> Box<[u32; KINDS]> {
        // By turns, as one that has just been counted is not at hand again at once.
        let mut counts: [Box<[u32; KINDS]>; 2] = [zeroed_box(), zeroed_box()];
        for piece in self.pieces() {
            let (pairs, last) = piece.as_chunks::<2>();
            for [one, other] in pairs {
                counts[0][kind(*one)] += 1;
                counts[1][kind(*other)] += 1;
            }
            last.iter().for_each(|symbol| counts[0][kind(*symbol)] += 1);
        }
        let [mut counts, others] = counts;
        counts.iter_mut().zip(others.iter()).for_each(|(count, other)| *count += other);
        counts
    }
}

/// Takes the coefficients of a block.
pub(super) struct Block<'a> {
    piece: &'a mut [Symbol; PIECE],
    len: &'a mut usize,
    /// Where the next one goes.
    at: usize,
    chroma: usize,
    /// The place of the last coefficient that is not 0.
    last: usize,
}

impl Block<'_> {
    /// Takes the first coefficient, as the difference from that of the block before.
    #[inline(always)]
    pub(super) fn mean(&mut self, difference: i32) {
        self.symbol(self.chroma, 0, difference);
        self.at += 1;
    }

    /// Takes the coefficient at a place, which ascends. It may be 0.
    #[inline(always)]
    pub(super) fn put(&mut self, place: usize, value: i32) {
        let mut run = place.wrapping_sub(self.last + 1);
        if run > 15 && value != 0 {
            while run > 15 {
                self.symbol(AC + self.chroma, 15, 0);
                self.at += 1;
                run -= 16;
            }
        }
        // Whether it is 0 cannot be foretold: it is written, and the next one perhaps over it.
        self.symbol(AC + self.chroma, run, value);
        let some = value != 0;
        self.at += usize::from(some);
        self.last = if some { place } else { self.last };
    }

    /// No more of them are other than 0.
    #[inline(always)]
    pub(super) fn end(mut self) {
        if self.last < 63 {
            self.symbol(AC + self.chroma, 0, 0);
            self.at += 1;
        }
        *self.len = self.at;
    }

    #[inline(always)]
    fn symbol(&mut self, table: usize, run: usize, value: i32) {
        // F.1.2.1.2: a negative one is less by 1 in as many bits.
        let size = 32 - value.unsigned_abs().leading_zeros();
        let bits = (value + (value >> 31)) as u32 & ((1 << size) - 1);
        let run = (run & 15) as u32;
        self.piece[self.at % PIECE] =
            (table as u32) << (FOLLOWING + 8) | run << (FOLLOWING + 4) | size << FOLLOWING | bits;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_runs_values_and_an_end() {
        let mut symbols = Symbols::default();
        let mut block = symbols.block(1);
        block.mean(-5);
        [(1, 0), (2, 3), (3, 0), (40, 0), (41, -1)].iter().for_each(|(place, value)| block.put(*place, *value));
        block.end();
        let mut block = symbols.block(0);
        block.mean(0);
        block.put(63, 1023);
        block.end();
        let found: Vec<(usize, u32)> = symbols.pieces().flatten().map(|s| (kind(*s), following(*s))).collect();
        let (means, others) = (0x100, 0x300);
        let first = [(means | 3, 0b010), (others | 0x12, 0b11), (others | 0xf0, 0), (others | 0xf0, 0)];
        let rest = [(others | 0x61, 0), (others, 0), (0, 0), (0x2f0, 0), (0x2f0, 0), (0x2f0, 0), (0x2ea, 1023)];
        assert_eq!(found, [&first[..], &rest[..]].concat());
        let counts = symbols.counts();
        assert_eq!((counts[0x2f0], counts[others | 0xf0], counts[0], counts.iter().sum::<u32>()), (3, 2, 1, 11));
    }

    #[test]
    fn any_number_of_full_blocks_is_kept() {
        let mut symbols = Symbols::default();
        for number in 0..1000 {
            let mut block = symbols.block(0);
            block.mean(number);
            (1..64).for_each(|place| block.put(place, 1));
            block.end();
        }
        assert_eq!(symbols.pieces().map(<[Symbol]>::len).sum::<usize>(), 64_000);
        let means: Vec<u32> = symbols.pieces().flatten().step_by(64).map(|symbol| following(*symbol)).collect();
        assert_eq!(means, (0..1000).collect::<Vec<u32>>());
    }
}
