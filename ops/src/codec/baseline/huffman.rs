//! Huffman codes, with the coefficients they stand for (ITU-T T.81, annexes C and F.2).

use super::Fault;
use super::bits::Cursor;
use super::scan::Coefficients;

/// Bits that a code is looked up by: most of them are shorter.
const SHORT: u32 = 9;
/// Bits that coefficients nobody wants are looked up by, several at once.
const SEVERAL: u32 = 12;
/// Bits that wanted coefficients are looked up by, two at once where both fit.
const PAIR: u32 = 10;
/// The last place from which on that pays.
const MANY: usize = 8;
/// The most bits that a short code takes, with the value behind it.
const MOST: u32 = SHORT + 15;

/// A run that no block has: nothing but zeroes follows.
const END: u8 = 128;

/// What a code stands for, in one word, as it comes with one load: the bits of code and value, of the
/// code, 63 less those of the value, and the zeroes before the coefficient, a byte for each. 0 is a code
/// of more than [`SHORT`] bits.
#[derive(Clone, Copy, Default)]
struct Code(u32);

impl Code {
    fn new(length: u32, size: u8, run: u8) -> Code {
        Code(u32::from_le_bytes([length as u8 + size, length as u8, 63 - size, run]))
    }

    /// Bits of the code and of the value.
    #[inline(always)]
    fn bits(self) -> u32 {
        self.0 & 0xff
    }

    /// The same, whatever follows it in a [`Pair`].
    #[inline(always)]
    fn own_bits(self) -> u32 {
        (self.0 >> 8 & 0xff) + 63 - (self.0 >> 16 & 0xff)
    }

    /// The zeroes before the coefficient.
    #[inline(always)]
    fn run(self) -> u8 {
        (self.0 >> 24) as u8
    }

    /// The value of a coefficient whose code 64 bits begin with (T.81, F.2.2.1: EXTEND). Without a
    /// branch: nobody could guess where it goes.
    #[inline(always)]
    fn value(self, bits: u64) -> i32 {
        let bits = bits << (self.0 >> 8 & 63);
        // Without a one on top it is negative, and all its bits are turned over.
        let negative = !(bits as i64 >> 63);
        let size = (bits ^ negative as u64) >> 1 >> (self.0 >> 16 & 63);
        ((size as i64 ^ negative) - negative) as i32
    }
}

/// A coefficient as a [`Code`], of which the bits are those of both, and the next one: the places it takes
/// with the zeroes before it, and its value from bit 48 on; both are 0 where it takes too many bits. 0 is a
/// code of more than [`PAIR`] bits.
#[derive(Clone, Copy, Default)]
struct Pair(u64);

impl Pair {
    #[inline(always)]
    fn first(self) -> Code {
        Code(self.0 as u32)
    }

    #[inline(always)]
    fn places(self) -> usize {
        usize::from((self.0 >> 32) as u8)
    }

    #[inline(always)]
    fn second(self) -> i32 {
        (self.0 as i64 >> 48) as i32
    }
}

/// Coefficients one after the other, in 16 bits: two tables of them fit into the first cache. Bits of all, places they take
/// from bit 4 on, with [`END`] if nothing follows, and from bit 12 on the [level](LEVELS) of the sum of their squares.
#[derive(Clone, Copy)]
struct Several(u16);

/// Sums of squares that [`Several`] tells apart.
const LEVELS: [u16; 16] = [0, 1, 2, 3, 4, 5, 6, 8, 12, 20, 40, 90, 250, 1000, 5000, 30000];

impl Several {
    /// Not even one: more places than any block has.
    const NONE: Several = Several::new(0, END - 1, 0);

    const fn new(bits: u8, places: u8, level: u16) -> Several {
        Several(bits as u16 | (places as u16) << 4 | level << 12)
    }

    /// `energy`: the sum of the squares of the coefficients.
    fn of(bits: u8, places: u8, energy: u32) -> Several {
        let above = LEVELS.partition_point(|level| u32::from(*level) < energy).min(LEVELS.len() - 1);
        let below = above.saturating_sub(1);
        let nearer = u32::from(LEVELS[above]).abs_diff(energy) <= u32::from(LEVELS[below]).abs_diff(energy);
        Several::new(bits, places, if nearer { above } else { below } as u16)
    }

    #[inline(always)]
    fn bits(self) -> u32 {
        u32::from(self.0 & 15)
    }

    /// At most 63, and [`END`] more if nothing follows.
    #[inline(always)]
    fn places(self) -> u8 {
        (self.0 >> 4) as u8
    }

    #[inline(always)]
    fn energy(self) -> u16 {
        LEVELS[usize::from(self.0 >> 12)]
    }
}

/// What its codes stand for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// The number of bits of a difference.
    Dc,
    /// A run of zeroes and the number of bits of what follows it.
    Ac,
}

/// A table of codes, made ready for reading.
pub(super) struct Table {
    short: Box<[Code; 1 << SHORT]>,
    pairs: Box<[Pair; 1 << PAIR]>,
    several: Box<[Several; 1 << SEVERAL]>,
    /// For each length the first 16 bits that no code so long begins with.
    limits: [u32; 17],
    /// For each length, what to add to a code for its place among the symbols.
    offsets: [i32; 17],
    symbols: [u8; 256],
    class: Class,
}

impl Table {
    /// From the numbers of codes of 1 to 16 bits, and what they stand for. `skips`: there will be
    /// coefficients that nobody wants.
    ///
    /// # Errors
    /// [`Fault`] when there cannot be such codes.
    pub(super) fn new(class: Class, lengths: &[u8; 16], symbols: &[u8], skips: bool) -> Result<Table, Fault> {
        let mut table = Table {
            short: Box::new([Code::default(); _]),
            pairs: Box::new([Pair::default(); _]),
            several: Box::new([Several::NONE; _]),
            limits: [0; 17],
            offsets: [0; 17],
            symbols: [0; 256],
            class,
        };
        table.symbols.get_mut(..symbols.len()).ok_or(Fault)?.copy_from_slice(symbols);
        if class == Class::Dc && symbols.iter().any(|size| *size > 15) {
            return Err(Fault);
        }
        let (mut code, mut place) = (0u32, 0);
        for (length, number) in (1..).zip(lengths) {
            table.offsets[length] = place - code as i32;
            code += u32::from(*number);
            place += i32::from(*number);
            // None is all ones.
            if *number > 0 && code >= 1 << length {
                return Err(Fault);
            }
            table.limits[length] = code << (16 - length);
            code <<= 1;
        }
        let codes = (1..).zip(lengths).flat_map(|(length, number)| (0..*number).map(move |_| length));
        let (mut short, mut pairs) = (0, 0);
        for (length, symbol) in codes.zip(symbols).take_while(|(length, _)| *length <= PAIR) {
            let code = table.code(length, *symbol);
            if length <= SHORT {
                let next = short + (1 << (SHORT - length));
                table.short[short..next].fill(code);
                short = next;
            }
            if class == Class::Ac {
                let next = pairs + (1 << (PAIR - length));
                table.pairs[pairs..next].fill(Pair(code.0.into()));
                pairs = next;
            }
        }
        for index in 0..pairs {
            table.pairs[index] = table.read_pair(index);
        }
        if class == Class::Ac && skips {
            for index in 0..1 << SEVERAL {
                table.several[index] = table.read_several(index);
            }
        }
        Ok(table)
    }

    /// What a symbol stands for, behind a code of so many bits.
    fn code(&self, length: u32, symbol: u8) -> Code {
        let (run, size) = match (self.class, symbol >> 4, symbol & 15) {
            (Class::Ac, 0..15, 0) => (END, 0),
            (_, run, size) => (run, size),
        };
        Code::new(length, size, run)
    }

    /// Adds the second one to a first, if it fits.
    fn read_pair(&self, index: usize) -> Pair {
        let pair = self.pairs[index];
        let bits = pair.first().own_bits();
        if bits >= PAIR || pair.first().run() == END {
            return pair;
        }
        let rest = index << bits & ((1 << PAIR) - 1);
        let second = self.pairs[rest].first();
        if second.0 == 0 || bits + second.own_bits() > PAIR {
            return pair;
        }
        let value = second.value((rest as u64) << (64 - PAIR)) as u16;
        let places = u64::from(second.run()) + 1;
        Pair((pair.0 + u64::from(second.own_bits())) | (places << 32) | (u64::from(value) << 48))
    }

    fn read_several(&self, index: usize) -> Several {
        let (mut bits, mut places, mut energy) = (0, 0, 0);
        loop {
            // Followed by zeroes, which may not be there: what takes more bits does not count.
            let rest = index << bits & ((1 << SEVERAL) - 1);
            let next = self.short[rest >> (SEVERAL - SHORT)];
            let (after, run) = (bits + next.bits() as u8, next.run());
            if next.0 == 0 || u32::from(after) > SEVERAL || (run != END && places + run >= 63) {
                return if bits == 0 { Several::NONE } else { Several::of(bits, places, energy) };
            }
            if run == END {
                return Several::of(after, places | END, energy);
            }
            energy += u32::from(square(next.value((rest as u64) << (64 - SEVERAL))));
            (bits, places) = (after, places + run + 1);
        }
    }

    /// Reads a coefficient: its value, and the zeroes before it. There have to be [`MOST`] bits, of which
    /// it takes all at most: if it is longer, more are made sure of.
    #[inline(always)]
    fn next(&self, bits: &mut Cursor<'_>) -> Result<(i32, usize), Fault> {
        let mut code = self.short[bits.peek(SHORT)];
        if code.0 == 0 {
            bits.refill();
            code = self.long(bits.peek(16)).ok_or(Fault)?;
        }
        let value = code.value(bits.word());
        bits.pass(code.bits());
        Ok((value, code.run().into()))
    }

    /// The code that 16 bits begin with.
    #[cold]
    fn long(&self, bits: usize) -> Option<Code> {
        let length = (1..17).find(|length| bits < self.limits[*length] as usize)?;
        let place = self.offsets[length] + (bits >> (16 - length)) as i32;
        Some(self.code(length as u32, self.symbols[place as usize & 0xff]))
    }
}

/// The square of a coefficient, as far as it goes: 255 is a great deal.
#[inline(always)]
pub(super) fn square(value: i32) -> u16 {
    let value = value.unsigned_abs().min(255);
    (value * value) as u16
}

/// Reads a block. `to` gets the coefficients that are at place `last` of the zigzag or before, as
/// stored; the first is kept in `mean`, for what the next one is added to.
///
/// # Errors
/// [`Fault`]
#[inline(always)]
pub(super) fn block(
    bits: &mut Cursor<'_>,
    dc: &Table,
    ac: &Table,
    last: usize,
    mean: &mut i32,
    mut to: impl Coefficients,
) -> Result<(), Fault> {
    bits.refill();
    let (difference, _) = dc.next(bits)?;
    *mean = mean.wrapping_add(difference);
    to.mean(*mean);
    let mut place = 1;
    if to.pairs() && last >= MANY {
        place = pairs(bits, ac, last, &mut to)?;
    }
    'wanted: while place <= last {
        bits.refill();
        for _ in 0..56 / MOST {
            let (value, run) = ac.next(bits)?;
            place += run;
            if place >= last {
                if place == last {
                    to.put(place, value);
                } else {
                    to.pass(place, square(value));
                }
                place += 1;
                break 'wanted;
            }
            to.put(place, value);
            place += 1;
        }
    }
    // The end by code follows the last one; what is left out may have any place.
    to.found(if place > usize::from(END) { (place - usize::from(END) - 2).min(last) } else { last });
    while place < 64 {
        bits.refill();
        for _ in 0..56 / SEVERAL {
            let several = ac.several[bits.peek(SEVERAL)];
            let places = several.places();
            let ends = places >> 7;
            if place + usize::from((places & !END) + ends) > 64 {
                // The last ones, one by one: what follows them is of the next block.
                bits.refill();
                let (value, run) = ac.next(bits)?;
                place += run + 1;
                to.pass(place - 1, square(value));
                break;
            }
            bits.pass(several.bits());
            place += usize::from(places);
            to.pass(place - 1, several.energy());
            if place >= 64 {
                break;
            }
        }
    }
    to.end();
    // Zeroes may end a block by number, or by the code for it.
    if place == 64 || place >= usize::from(END) { Ok(()) } else { Err(Fault) }
}

/// Reads coefficients up to place `last` at least, and where the next one would be.
#[inline(always)]
fn pairs(bits: &mut Cursor<'_>, ac: &Table, last: usize, to: &mut impl Coefficients) -> Result<usize, Fault> {
    let mut place = 1;
    while place <= last {
        bits.refill();
        for _ in 0..56 / (PAIR + 15) {
            let pair = ac.pairs[bits.peek(PAIR)];
            let first = pair.first();
            if first.0 == 0 {
                let (value, run) = ac.next(bits)?;
                to.put_pair([place + run; 2], [value, 0]);
                place += run + 1;
                if place - 1 > last {
                    to.pass(place - 1, square(value));
                }
                break;
            }
            let (value, at, before) = (first.value(bits.word()), place + usize::from(first.run()), bits.reader());
            bits.pass(first.bits());
            place = at + 1 + pair.places();
            to.put_pair([at, place - 1], [value, pair.second()]);
            if place > last {
                // Of a full block the second one is that of the next.
                if (63..usize::from(END)).contains(&at) {
                    bits.go_back(before);
                    bits.pass(first.own_bits());
                    place = at + 1;
                } else if place > at + 1 {
                    to.pass(place - 1, square(pair.second()));
                }
                if at > last {
                    to.pass(at, square(value));
                }
                break;
            }
        }
    }
    Ok(place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_code_is_all_ones() {
        let table = |lengths: [u8; 16]| Table::new(Class::Ac, &lengths, &[1, 2, 3], true).is_ok();
        assert!(table([1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]));
        assert!(!table([2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]));
        assert!(!table([1, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]));
    }
}
