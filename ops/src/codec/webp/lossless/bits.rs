//! Bits and prefix codes, the lowest bit of a byte first (RFC 9649, sections 3 and 6.2.1).

use super::super::broken;
use crate::codec::CodecError;

/// Longest code, bits.
const LONGEST: usize = 15;

/// A stream of bits.
pub(super) struct Bits<'a> {
    bytes: &'a [u8],
    /// Bits that have been read.
    at: usize,
}

impl<'a> Bits<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Bits { bytes, at: 0 }
    }

    /// Bytes that have been read, the last one in part.
    pub(super) fn bytes(&self) -> usize {
        self.at.div_ceil(8)
    }

    /// At least 32 of the next bits; zeros behind the end.
    fn peek(&self) -> u32 {
        let rest = self.bytes.get(self.at / 8..).unwrap_or_default();
        let next = rest.first_chunk::<8>().copied().unwrap_or_else(|| {
            let mut bytes = [0; 8];
            bytes[..rest.len()].copy_from_slice(rest);
            bytes
        });
        (u64::from_le_bytes(next) >> (self.at % 8)) as u32
    }

    fn skip(&mut self, bits: u32) -> Result<(), CodecError> {
        self.at += bits as usize;
        if self.at > self.bytes.len() * 8 { Err(broken("it ends before its pixels do")) } else { Ok(()) }
    }

    /// The next bits, 24 at most.
    pub(super) fn read(&mut self, bits: u32) -> Result<u32, CodecError> {
        let value = self.peek() & ((1 << bits) - 1);
        self.skip(bits)?;
        Ok(value)
    }

    /// A length or a code of distance, of which `symbol` tells the highest bits.
    pub(super) fn extended(&mut self, symbol: u32) -> Result<u32, CodecError> {
        if symbol < 4 {
            return Ok(symbol + 1);
        }
        let extra = (symbol - 2) >> 1;
        Ok(((2 + (symbol & 1)) << extra) + self.read(extra)? + 1)
    }

    /// Lengths of a code for so many symbols.
    pub(super) fn lengths(&mut self, symbols: usize) -> Result<Vec<u8>, CodecError> {
        let mut lengths = vec![0; symbols];
        if self.read(1)? == 1 {
            let second = self.read(1)? == 1;
            let wide = self.read(1)? == 1;
            let first = self.read(if wide { 8 } else { 1 })? as usize;
            let second = second.then(|| self.read(8)).transpose()?;
            for symbol in [Some(first), second.map(|symbol| symbol as usize)].into_iter().flatten() {
                if let Some(length) = lengths.get_mut(symbol) {
                    *length = 1;
                }
            }
            return Ok(lengths);
        }
        const ORDER: [usize; 19] = [17, 18, 0, 1, 2, 3, 4, 5, 16, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];
        let mut of_lengths = [0; 19];
        let number = self.read(4)? as usize + 4;
        for place in &ORDER[..number] {
            of_lengths[*place] = self.read(3)? as u8;
        }
        let code = Code::new(&of_lengths)?;
        let mut left = symbols;
        if self.read(1)? == 1 {
            let bits = 2 + 2 * self.read(3)?;
            left = 2 + self.read(bits)? as usize;
            if left > symbols {
                return Err(broken("a code has too many lengths"));
            }
        }
        let (mut symbol, mut before) = (0, 8);
        while symbol < symbols && left > 0 {
            left -= 1;
            let (length, times) = match code.read(self)? {
                16 => (before, 3 + self.read(2)?),
                17 => (0, 3 + self.read(3)?),
                18 => (0, 11 + self.read(7)?),
                length => (length as u8, 1),
            };
            if length != 0 {
                before = length;
            }
            let end = symbol + times as usize;
            lengths.get_mut(symbol..end).ok_or_else(|| broken("a code has too many lengths"))?.fill(length);
            symbol = end;
        }
        Ok(lengths)
    }
}

/// A prefix code.
pub(super) struct Code {
    /// Symbol and length by the next bits; a power of two.
    table: Vec<(u16, u8)>,
}

impl Code {
    /// By the lengths of its symbols; 0 for one that does not occur.
    ///
    /// # Errors
    /// [`CodecError::Broken`] for lengths that are not those of a complete code.
    pub(super) fn new(lengths: &[u8]) -> Result<Code, CodecError> {
        let mut used = lengths.iter().enumerate().filter(|(_, length)| **length > 0);
        if let (Some((symbol, _)), None) = (used.next(), used.next()) {
            // The only symbol takes no bit.
            return Ok(Code { table: vec![(symbol as u16, 0)] });
        }
        let longest = lengths.iter().copied().max().unwrap_or(0).min(LONGEST as u8);
        let mut counts = [0_u32; LONGEST + 1];
        lengths.iter().for_each(|length| counts[usize::from(*length).min(LONGEST)] += 1);
        counts[0] = 0;
        let filled: u32 = (1..=LONGEST).map(|length| counts[length] << (LONGEST - length)).sum();
        if filled != 1 << LONGEST {
            return Err(broken("a code is incomplete"));
        }
        let mut next = [0_u32; LONGEST + 2];
        for length in 1..=LONGEST {
            next[length + 1] = (next[length] + counts[length]) << 1;
        }
        let mut table = vec![(0, 0); 1 << longest];
        for (symbol, &length) in lengths.iter().enumerate().filter(|(_, length)| **length > 0) {
            let code = next[usize::from(length)];
            next[usize::from(length)] += 1;
            // Codes come with their highest bit first.
            let first = (code.reverse_bits() >> (32 - u32::from(length))) as usize;
            table.iter_mut().skip(first).step_by(1 << length).for_each(|entry| *entry = (symbol as u16, length));
        }
        Ok(Code { table })
    }

    /// The next symbol.
    #[inline]
    pub(super) fn read(&self, bits: &mut Bits<'_>) -> Result<u32, CodecError> {
        if let [(symbol, 0)] = self.table[..] {
            return Ok(symbol.into());
        }
        let (symbol, length) = self.table[bits.peek() as usize & (self.table.len() - 1)];
        bits.skip(length.into())?;
        Ok(symbol.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_come_from_the_lowest_on() {
        let mut bits = Bits::new(&[0b1010_0110, 0xff]);
        assert_eq!([bits.read(1), bits.read(3), bits.read(8)], [Ok(0), Ok(0b011), Ok(0xfa)]);
        assert_eq!((bits.bytes(), bits.read(4)), (2, Ok(15)));
        assert!(bits.read(1).is_err());
    }

    #[test]
    fn codes_are_canonical() {
        // RFC 9649 takes codes of RFC 1951: lengths 3 3 3 3 3 2 4 4 are 010 011 100 101 110 00 1110 1111.
        let code = Code::new(&[3, 3, 3, 3, 3, 2, 4, 4]).unwrap();
        // From the right: 0, 1, 0 and 1, 1, 1, 0.
        let mut bits = Bits::new(&[0b0011_1010]);
        assert_eq!([code.read(&mut bits), code.read(&mut bits)], [Ok(0), Ok(6)]);
        let only = Code::new(&[0, 0, 9]).unwrap();
        assert_eq!((only.read(&mut bits), bits.at), (Ok(2), 7));
        for faulty in [&[0, 0][..], &[1, 2], &[1, 1, 1]] {
            assert!(Code::new(faulty).is_err(), "{faulty:?}");
        }
    }
}
