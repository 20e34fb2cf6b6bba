//! The headers of what WebP stores without loss (RFC 9649, section 3): transforms and groups of prefix codes.
//!
//! libwebp reads all of them in one call, before the first pixel, and begins anew where they are not there as a whole
//! yet. They are read here first, which tells where they end, and what libwebp will allocate for them.

mod bits;

use bits::{Bits, Code};

use super::broken;
use crate::Cancel;
use crate::codec::{CodecError, FileFormat};

/// Most groups of prefix codes. libwebp writes 2,600 at most (MAX_HUFF_IMAGE_SIZE), and takes up to 0.1 s for so many.
pub(super) const MAX_GROUPS: u64 = 2600;
/// Most pixels of an image that holds transforms or groups, one pixel for each block of the picture. libwebp has written
/// blocks of 16 × 16 pixels at least in large pictures, which makes as many of the largest.
pub(super) const MAX_BLOCKS: u64 = 1 << 20;

/// Bytes of a group beside its tables: `HTreeGroup` in libwebp.
const GROUP_BYTES: u64 = 576;
/// Entries of 4 bytes that the tables of a group have at most (`kTableSize` in libwebp), by bits of the color cache.
const TABLE_ENTRIES: [u64; 12] = [2954, 2956, 2958, 2962, 2970, 2986, 3018, 3082, 3212, 3468, 3980, 5004];

/// Symbols of a green component or of a length, without those of the color cache.
const GREEN: usize = 256 + 24;
/// Symbols of a distance.
const DISTANCES: usize = 40;

/// Size of the headers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Headers {
    /// Bytes of the stream up to the first pixel.
    pub(super) length: usize,
    /// Bytes that libwebp keeps of them while it decodes.
    pub(super) memory: u64,
}

/// Reads the headers of a stream: the data of a `VP8L` chunk without its first 5 bytes, or those of an `ALPH` chunk
/// without the first. `size`: width and height, pixels.
///
/// # Errors
/// [`CodecError::Unsupported`] for headers over a limit, [`CodecError::Broken`], or [`CodecError::Operation`] when
/// `cancel` says so.
pub(super) fn headers(stream: &[u8], size: (u32, u32), cancel: &Cancel) -> Result<Headers, CodecError> {
    let mut reader = Reader { bits: Bits::new(stream), cancel, memory: 0 };
    let [mut width, height] = [size.0, size.1].map(u64::from);
    let mut seen = 0;
    while reader.bits.read(1)? == 1 {
        let kind = reader.bits.read(2)?;
        if seen & (1 << kind) != 0 {
            return Err(broken("a transform comes twice"));
        }
        seen |= 1 << kind;
        match kind {
            // Predictors, and colours.
            0 | 1 => {
                let block = 2 + reader.bits.read(3)?;
                reader.image(width.div_ceil(1 << block), height.div_ceil(1 << block))?;
            }
            // Green, which is subtracted.
            2 => {}
            _ => {
                let colors = u64::from(reader.bits.read(8)?) + 1;
                reader.image(colors, 1)?;
                let together = match colors {
                    0..=2 => 8,
                    3..=4 => 4,
                    5..=16 => 2,
                    _ => 1,
                };
                width = width.div_ceil(together);
            }
        }
    }
    let cache = reader.cache_bits()?;
    let mut groups = 1;
    if reader.bits.read(1)? == 1 {
        let block = 2 + reader.bits.read(3)?;
        let image = reader.image(width.div_ceil(1 << block), height.div_ceil(1 << block))?;
        groups = image.into_iter().map(|pixel| u64::from((pixel >> 8) & 0xffff) + 1).max().unwrap_or(1);
        if groups > MAX_GROUPS {
            return Err(over(&format!("{groups} groups of prefix codes"), MAX_GROUPS));
        }
    }
    for _ in 0..groups {
        cancel.check()?;
        for symbols in symbols(cache) {
            reader.bits.lengths(symbols)?;
        }
    }
    let tables = groups * (TABLE_ENTRIES[cache as usize] * 4 + GROUP_BYTES);
    let caches = if cache == 0 { 0 } else { 8 << cache };
    Ok(Headers { length: reader.bits.bytes(), memory: reader.memory + tables + caches })
}

fn over(what: &str, limit: u64) -> CodecError {
    CodecError::unsupported(FileFormat::Webp, format!("{what}, more than the limit of {limit}"))
}

/// Symbols of the five codes of a group.
fn symbols(cache: u32) -> [usize; 5] {
    [GREEN + if cache == 0 { 0 } else { 1 << cache }, 256, 256, 256, DISTANCES]
}

struct Reader<'a> {
    bits: Bits<'a>,
    cancel: &'a Cancel,
    /// Bytes of the images so far.
    memory: u64,
}

impl Reader<'_> {
    /// Bits of a color cache; 0 for none.
    fn cache_bits(&mut self) -> Result<u32, CodecError> {
        if self.bits.read(1)? == 0 {
            return Ok(0);
        }
        match self.bits.read(4)? {
            bits @ 1..=11 => Ok(bits),
            bits => Err(broken(format!("a color cache of {bits} bits"))),
        }
    }

    /// The pixels of an image with a pixel for each block: alpha, red, green and blue from the highest bits on.
    fn image(&mut self, width: u64, height: u64) -> Result<Vec<u32>, CodecError> {
        if width * height > MAX_BLOCKS {
            return Err(over(&format!("transforms or codes for {width} x {height} blocks"), MAX_BLOCKS));
        }
        let total = (width * height) as usize;
        self.memory += width * height * 4;
        let cache = self.cache_bits()?;
        let mut codes = Vec::new();
        for symbols in symbols(cache) {
            codes.push(Code::new(&self.bits.lengths(symbols)?)?);
        }
        let mut pixels: Vec<u32> = Vec::new();
        pixels.try_reserve_exact(total).map_err(|_| crate::OpError::OutOfMemory { bytes: width * height * 4 })?;
        let mut colors = vec![0_u32; if cache == 0 { 0 } else { 1 << cache }];
        let slot = |pixel: u32| (pixel.wrapping_mul(0x1e35_a7bd) >> (32 - cache)) as usize;
        let mut checked = 0;
        while pixels.len() < total {
            if pixels.len() >= checked {
                self.cancel.check()?;
                checked = pixels.len() + (1 << 16);
            }
            let first = pixels.len();
            match codes[0].read(&mut self.bits)? {
                green @ ..256 => {
                    let [red, blue, alpha] = [
                        codes[1].read(&mut self.bits)?,
                        codes[2].read(&mut self.bits)?,
                        codes[3].read(&mut self.bits)?,
                    ];
                    pixels.push((alpha << 24) | (red << 16) | (green << 8) | blue);
                }
                symbol if (symbol as usize) < GREEN => {
                    let length = self.bits.extended(symbol - 256)? as usize;
                    let distance = codes[4].read(&mut self.bits)?;
                    let distance = distance_of(self.bits.extended(distance)?, width);
                    if distance > first || length > total - first {
                        return Err(broken("it repeats pixels that are not there"));
                    }
                    if distance >= length {
                        pixels.extend_from_within(first - distance..first - distance + length);
                    } else {
                        for _ in 0..length {
                            pixels.push(pixels[pixels.len() - distance]);
                        }
                    }
                }
                symbol => pixels.push(colors[symbol as usize - GREEN]),
            }
            if cache > 0 {
                for pixel in &pixels[first..] {
                    colors[slot(*pixel)] = *pixel;
                }
            }
        }
        Ok(pixels)
    }
}

/// Pixels back for a code of distance (RFC 9649, section 5.2.2): the first 120 are places nearby.
fn distance_of(code: u32, width: u64) -> usize {
    const NEAR: [u8; 120] = [
        0x18, 0x07, 0x17, 0x19, 0x28, 0x06, 0x27, 0x29, 0x16, 0x1a, 0x26, 0x2a, 0x38, 0x05, 0x37, 0x39, 0x15, 0x1b,
        0x36, 0x3a, 0x25, 0x2b, 0x48, 0x04, 0x47, 0x49, 0x14, 0x1c, 0x35, 0x3b, 0x46, 0x4a, 0x24, 0x2c, 0x58, 0x45,
        0x4b, 0x34, 0x3c, 0x03, 0x57, 0x59, 0x13, 0x1d, 0x56, 0x5a, 0x23, 0x2d, 0x44, 0x4c, 0x55, 0x5b, 0x33, 0x3d,
        0x68, 0x02, 0x67, 0x69, 0x12, 0x1e, 0x66, 0x6a, 0x22, 0x2e, 0x54, 0x5c, 0x43, 0x4d, 0x65, 0x6b, 0x32, 0x3e,
        0x78, 0x01, 0x77, 0x79, 0x53, 0x5d, 0x11, 0x1f, 0x64, 0x6c, 0x42, 0x4e, 0x76, 0x7a, 0x21, 0x2f, 0x75, 0x7b,
        0x31, 0x3f, 0x63, 0x6d, 0x52, 0x5e, 0x00, 0x74, 0x7c, 0x41, 0x4f, 0x10, 0x20, 0x62, 0x6e, 0x30, 0x73, 0x7d,
        0x51, 0x5f, 0x40, 0x72, 0x7e, 0x61, 0x6f, 0x50, 0x71, 0x7f, 0x60, 0x70,
    ];
    match NEAR.get(code as usize - 1) {
        // Rows above, and pixels to the left, which may be negative.
        Some(&near) => {
            let (above, left) = (i64::from(near >> 4), 8 - i64::from(near & 15));
            usize::try_from(above * width as i64 + left).unwrap_or(0).max(1)
        }
        None => code as usize - NEAR.len(),
    }
}

#[cfg(test)]
mod tests;
