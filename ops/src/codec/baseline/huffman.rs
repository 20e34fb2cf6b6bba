//! Huffman codes, with the coefficients they stand for (ITU-T T.81, annexes C and F.2).

use super::Fault;
use super::bits::Cursor;
use super::scan::Coefficients;

/// Bits that a coefficient is looked up by: code and value of most of them.
const SHORT: u32 = 10;
/// Bits that coefficients nobody wants are looked up by, several at once.
const SEVERAL: u32 = 12;

/// A run that no block has: nothing but zeroes follows.
const END: u8 = 128;

/// A coefficient and the zeroes before it.
#[derive(Clone, Copy, Default)]
struct Coefficient {
    value: i16,
    run: u8,
    /// Of code and value; 0 where it is not known from so few.
    bits: u8,
}

/// Coefficients one after the other.
#[derive(Clone, Copy)]
struct Several {
    bits: u8,
    /// Places they take, at most 63, and [`END`] more if nothing follows.
    places: u8,
}

/// Not even one: more places than any block has.
const NONE: Several = Several { bits: 0, places: END - 1 };

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
    short: Box<[Coefficient; 1 << SHORT]>,
    several: Box<[Several; 1 << SEVERAL]>,
    /// For each length the first 16 bits that no code so long begins with.
    limits: [u32; 17],
    /// For each length, what to add to a code for its place among the symbols.
    offsets: [i32; 17],
    symbols: [u8; 256],
    class: Class,
}

/// A value of `size` bits (T.81, F.2.2.1: EXTEND).
#[inline(always)]
fn extend(bits: usize, size: u32) -> i32 {
    let bits = bits as i32;
    if size > 0 && bits >> (size - 1) == 0 { bits - (1 << size) + 1 } else { bits }
}

impl Table {
    /// From the numbers of codes of 1 to 16 bits, and what they stand for. `skips`: there will be
    /// coefficients that nobody wants.
    ///
    /// # Errors
    /// [`Fault`] when there cannot be such codes.
    pub(super) fn new(class: Class, lengths: &[u8; 16], symbols: &[u8], skips: bool) -> Result<Table, Fault> {
        let mut table = Table {
            short: Box::new([Coefficient::default(); _]),
            several: Box::new([NONE; _]),
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
            if code > 1 << length {
                return Err(Fault);
            }
            table.limits[length] = code << (16 - length);
            code <<= 1;
        }
        for index in 0..1 << SHORT {
            let first = table.long(index << (32 - SHORT)).filter(|first| u32::from(first.bits) <= SHORT);
            table.short[index] = first.unwrap_or_default();
        }
        if class == Class::Ac && skips {
            for index in 0..1 << SEVERAL {
                table.several[index] = table.read_several(index);
            }
        }
        Ok(table)
    }

    /// The code that 16 bits begin with: its length and what it stands for.
    fn code(&self, bits: usize) -> Option<(u32, u8)> {
        let length = (1..17).find(|length| bits < self.limits[*length] as usize)?;
        let place = self.offsets[length] + (bits >> (16 - length)) as i32;
        Some((length as u32, self.symbols[place as usize & 0xff]))
    }

    /// The coefficient that 16 bits begin with, when code and value are within the first `known`.
    fn read(&self, bits: usize, known: u32) -> Option<Coefficient> {
        let short = self.short[bits >> (16 - SHORT)];
        // What takes more has to be looked for.
        let found = if short.bits > 0 || known <= SHORT { Some(short) } else { self.long(bits << 16) };
        found.filter(|found| (1..=known).contains(&u32::from(found.bits)))
    }

    /// The run before a coefficient, and its size in bits.
    fn parts(&self, symbol: u8) -> (u8, u32) {
        let (run, size) = (symbol >> 4, u32::from(symbol & 15));
        match (self.class, run, size) {
            (Class::Ac, 0..15, 0) => (END, 0),
            _ => (run, size),
        }
    }

    fn read_several(&self, index: usize) -> Several {
        let mut several = Several { bits: 0, places: 0 };
        loop {
            let known = SEVERAL - u32::from(several.bits);
            let bits = index << (16 - SEVERAL + u32::from(several.bits)) & 0xffff;
            let next = self.read(bits, known).filter(|next| next.run == END || several.places + next.run < 63);
            match next {
                Some(Coefficient { run: END, bits, .. }) => {
                    return Several { bits: several.bits + bits, places: several.places | END };
                }
                Some(Coefficient { run, bits, .. }) => {
                    several = Several { bits: several.bits + bits, places: several.places + run + 1 };
                }
                None if several.bits == 0 => return NONE,
                None => return several,
            }
        }
    }

    /// Reads a coefficient: its value, and the zeroes before it. There have to be 32 bits.
    #[inline(always)]
    fn next(&self, bits: &mut Cursor<'_>) -> Result<(i32, usize), Fault> {
        let mut next = self.short[bits.peek(SHORT)];
        if next.bits == 0 {
            next = self.long(bits.peek(32)).ok_or(Fault)?;
            bits.pass(u32::from(next.bits));
            bits.refill();
        } else {
            bits.pass(u32::from(next.bits));
        }
        Ok((i32::from(next.value), usize::from(next.run)))
    }

    /// The coefficient that 32 bits begin with.
    #[cold]
    fn long(&self, bits: usize) -> Option<Coefficient> {
        let (length, symbol) = self.code(bits >> 16)?;
        let (run, size) = self.parts(symbol);
        let taken = length + size;
        let value = (bits >> (32 - taken)) & ((1 << size) - 1);
        Some(Coefficient { value: extend(value, size) as i16, run, bits: taken as u8 })
    }
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
    while place <= last {
        bits.refill();
        for _ in 0..(56 - 32 + SHORT) / SHORT {
            let (value, run) = ac.next(bits)?;
            place += run;
            if place <= last {
                to.put(place, value);
            }
            place += 1;
            if place > last {
                break;
            }
        }
    }
    to.end();
    while place < 64 {
        bits.refill();
        for _ in 0..56 / SEVERAL {
            let several = ac.several[bits.peek(SEVERAL)];
            let ends = several.places >> 7;
            if place + usize::from((several.places & !END) + ends) > 64 {
                // The last ones, one by one: what follows them is of the next block.
                bits.refill();
                place += ac.next(bits)?.1 + 1;
                break;
            }
            bits.pass(u32::from(several.bits));
            place += usize::from(several.places);
            if place >= 64 {
                break;
            }
        }
    }
    // Zeroes may end a block by number, or by the code for it.
    if place == 64 || place >= usize::from(END) { Ok(()) } else { Err(Fault) }
}
