//! Baseline JPEG (ITU-T T.81) at full size or up to half of it, without a look at what that does not need.
//!
//! Most of the time that a reduced picture takes goes into codes of coefficients that it has no use
//! for, and most of that of a small part into codes beside it. Here they are passed over several at a time,
//! and nothing is made of them; chroma that is stored at half the size is reduced by half as much, and never
//! has to be made larger. At full size the pixels are those that libjpeg makes by default. This reads
//! what nearly all JPEG files are: Huffman codes, one scan, YCbCr or gray. libjpeg reads the others,
//! and says what is wrong with those that fail here.

mod average;
mod bits;
mod cosine;
mod encode;
mod full;
mod headers;
mod huffman;
mod islow;
mod mcus;
mod picture;
mod pixels;
mod recode;
mod reduced;
mod scan;
mod symbols;
mod upsample;
mod write;

pub(super) use encode::Encoder;
pub(super) use headers::{Component, Headers};
pub(super) use mcus::Stored;
pub(super) use picture::Picture;
pub(super) use recode::{Recoder, Recoding};

/// Nothing that is read here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fault;

/// For each place of the zigzag, row × 8 + column (T.81, figure A.6).
pub(super) const ZIGZAG: [u8; 64] = zigzag();

const fn zigzag() -> [u8; 64] {
    let mut order = [0; 64];
    let (mut row, mut column) = (0, 0);
    let mut place = 0;
    while place < 64 {
        order[place] = (row * 8 + column) as u8;
        let up = (row + column) % 2 == 0;
        match (up, row, column) {
            (true, _, 7) => row += 1,
            (true, 0, _) => column += 1,
            (true, ..) => (row, column) = (row - 1, column + 1),
            (false, 7, _) => column += 1,
            (false, _, 0) => row += 1,
            (false, ..) => (row, column) = (row + 1, column - 1),
        }
        place += 1;
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_zigzag_is_that_of_the_standard() {
        assert_eq!(ZIGZAG[..11], [0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32]);
        assert_eq!(ZIGZAG[56..], [53, 60, 61, 54, 47, 55, 62, 63]);
    }
}
