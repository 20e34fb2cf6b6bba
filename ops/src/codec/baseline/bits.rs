//! The bits of an entropy-coded segment (ITU-T T.81, F.2.2.5).

use memchr::memchr;

use super::Fault;

/// More bytes than the blocks of one MCU take: 10 blocks of 64 coefficients, each a code of 16 bits
/// and 15 bits more (T.81, B.2.3 and F.1.2).
pub(super) const MCU: usize = 10 * 64 * 4;
/// Bytes that are copied at a time; with tables and blocks they stay in the first cache.
const CHUNK: usize = 8 * 1024;
/// Bytes of a word.
const WORD: usize = size_of::<u64>();

/// Copies a segment, free of the zeroes that are stuffed behind bytes of ones, into a buffer that
/// can be read without looking at each byte.
pub(super) struct Bits<'a> {
    /// The file from where it has not been copied. Begins with a marker's second byte at the end of
    /// a segment.
    rest: &'a [u8],
    /// Bytes of the segment up to `end`, then enough zeroes for an MCU.
    buffer: Box<[u8; CHUNK + MCU + 2 * WORD]>,
    end: usize,
    ended: bool,
    reader: Reader,
}

/// Where in the buffer it is read.
#[derive(Clone, Copy)]
pub(super) struct Reader {
    /// The next byte that is not in `word`.
    at: usize,
    /// Bits that follow, the first one on top.
    word: u64,
    /// How many of them there are for sure.
    count: u32,
}

const START: Reader = Reader { at: 0, word: 0, count: 0 };

impl<'a> Bits<'a> {
    /// From the first byte after a scan's header.
    pub(super) fn new(rest: &'a [u8]) -> Self {
        Bits { rest, buffer: Box::new([0; _]), end: 0, ended: false, reader: START }
    }

    /// To read an MCU; what was read is to be told to [`Bits::pass`].
    #[inline(always)]
    pub(super) fn cursor(&mut self) -> Cursor<'_> {
        if !self.ended && self.end - self.reader.at < MCU + WORD {
            self.copy();
        }
        Cursor { bytes: &self.buffer, reader: self.reader }
    }

    /// Passes over what a cursor has read.
    ///
    /// # Errors
    /// [`Fault`] when the segment is shorter.
    #[inline(always)]
    pub(super) fn pass(&mut self, read: Reader) -> Result<(), Fault> {
        self.reader = read;
        self.left().map(|_| ())
    }

    /// Goes back to where the MCU began that was read last.
    pub(super) fn go_back(&mut self, before: Reader) {
        self.reader = before;
    }

    /// Bits that are there and have not been read. Those of the word come before what is to be read of the buffer.
    ///
    /// # Errors
    /// [`Fault`] when more were read than there are.
    fn left(&self) -> Result<usize, Fault> {
        (self.end * 8 + self.reader.count as usize).checked_sub(self.reader.at * 8).ok_or(Fault)
    }

    #[inline(never)]
    fn copy(&mut self) {
        let Bits { buffer, reader, .. } = self;
        buffer.copy_within(reader.at..self.end, 0);
        self.end -= reader.at;
        reader.at = 0;
        while self.end < CHUNK {
            let room = CHUNK - self.end;
            let (plain, ones) = match memchr(0xff, &self.rest[..room.min(self.rest.len())]) {
                Some(plain) => (plain, true),
                None => (room.min(self.rest.len()), false),
            };
            let (copied, rest) = self.rest.split_at(plain);
            buffer[self.end..][..plain].copy_from_slice(copied);
            self.end += plain;
            self.rest = rest;
            if ones {
                // Any number of them may come before a marker.
                let number = rest.iter().take_while(|byte| **byte == 0xff).count();
                self.rest = &rest[number..];
                if self.rest.first() == Some(&0) {
                    self.rest = &self.rest[1..];
                    buffer[self.end] = 0xff;
                    self.end += 1;
                    continue;
                }
            } else if !self.rest.is_empty() {
                continue;
            }
            self.ended = true;
            break;
        }
        buffer[self.end..].fill(0);
    }

    /// The second byte of the marker that ends the segment, which has to be read up to there.
    ///
    /// # Errors
    /// [`Fault`]: there is something between, or no marker.
    pub(super) fn marker(&mut self) -> Result<u8, Fault> {
        if !self.ended {
            self.copy();
        }
        let left = self.left()?;
        let (marker, rest) = self.rest.split_first().ok_or(Fault)?;
        if !self.ended || left >= 8 {
            return Err(Fault);
        }
        self.rest = rest;
        self.end = 0;
        self.ended = false;
        self.reader = START;
        Ok(*marker)
    }
}

/// Reads the bits of an MCU.
pub(super) struct Cursor<'a> {
    bytes: &'a [u8; CHUNK + MCU + 2 * WORD],
    reader: Reader,
}

impl Cursor<'_> {
    /// What has been read.
    #[inline(always)]
    pub(super) fn reader(&self) -> Reader {
        self.reader
    }

    /// Goes back to where it was.
    #[inline(always)]
    pub(super) fn go_back(&mut self, before: Reader) {
        self.reader = before;
    }

    /// Makes sure of 56 bits.
    #[inline(always)]
    pub(super) fn refill(&mut self) {
        let Reader { at, word, count } = &mut self.reader;
        let next = self.bytes[*at..][..WORD].try_into().map_or(0, u64::from_be_bytes);
        *word |= next >> *count;
        *at += (63 - *count as usize) / 8;
        *count |= 56;
    }

    /// The next `number` bits, 1 to 56 of them, which stay.
    #[inline(always)]
    pub(super) fn peek(&self, number: u32) -> usize {
        (self.reader.word >> (64 - number)) as usize
    }

    /// The next 64 bits, those that are there.
    #[inline(always)]
    pub(super) fn word(&self) -> u64 {
        self.reader.word
    }

    /// Passes over bits that are there.
    #[inline(always)]
    pub(super) fn pass(&mut self, number: u32) {
        self.reader.word <<= number & 63;
        self.reader.count -= number;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// MCUs that take less than the bits that are there already when more are copied.
    #[test]
    fn short_mcus_are_read_across_copies() {
        let bytes = (0..3 * CHUNK + 5).map(|index| index as u8 % 251).collect::<Vec<_>>();
        let scan = [&bytes[..], &[0xff, 0xd9]].concat();
        let mut bits = Bits::new(&scan);
        for number in 0..bytes.len() * 2 {
            let mut cursor = bits.cursor();
            cursor.refill();
            let read = cursor.peek(4);
            cursor.pass(4);
            let reader = cursor.reader();
            let done = bits.pass(reader);
            let byte = usize::from(bytes[number / 2]);
            let expected = if number % 2 == 0 { byte >> 4 } else { byte & 15 };
            assert_eq!((done.is_ok(), read), (true, expected), "half a byte {number}");
        }
        assert!(matches!(bits.marker(), Ok(0xd9)));
        let mut bits = Bits::new(&scan[scan.len() - 3..]);
        let mut cursor = bits.cursor();
        cursor.refill();
        cursor.pass(9);
        let reader = cursor.reader();
        assert!(bits.pass(reader).is_err());
    }
}
