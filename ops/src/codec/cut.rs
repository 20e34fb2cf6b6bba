//! Files that end early, told from those that are broken otherwise.

use super::{CodecError, DecodeLimits, FileFormat};

/// Decodes a whole file; one that ends early as far as it goes, where `limits` accept that.
pub(super) fn attempt<T>(
    bytes: &[u8],
    limits: DecodeLimits,
    decode: impl Fn(DecodeLimits) -> Result<T, CodecError>,
) -> Result<T, CodecError> {
    let whole = decode(DecodeLimits { accept_cut: false, ..limits });
    let decoded = match whole {
        Err(CodecError::Broken { format, .. }) if limits.accept_cut && is_cut(format, bytes) => decode(limits),
        whole => whole,
    };
    decoded.map_err(|error| explain(error, bytes))
}

/// Names the early end of a file as the reason, if that is why it is broken.
pub(super) fn explain(error: CodecError, bytes: &[u8]) -> CodecError {
    match error {
        CodecError::Broken { format, reason } if is_cut(format, bytes) => {
            CodecError::Cut { format, bytes: bytes.len(), reason }
        }
        error => error,
    }
}

/// True if a file ends before the mark that its format ends with.
fn is_cut(format: FileFormat, bytes: &[u8]) -> bool {
    // `None`: what comes next is not in the file.
    let ends = match format {
        FileFormat::Jpeg => jpeg_ends(bytes),
        FileFormat::Png => png_ends(bytes),
        FileFormat::Webp => webp_ends(bytes),
        FileFormat::Gif => gif_ends(bytes),
        FileFormat::Avif => Some(()),
    };
    ends.is_none()
}

/// Looks for the marker EOI behind the first scan's header. Thumbnails in segments before it have their own.
fn jpeg_ends(bytes: &[u8]) -> Option<()> {
    let mut at = 2;
    loop {
        while *bytes.get(at)? != 0xff {
            at += 1;
        }
        while *bytes.get(at)? == 0xff {
            at += 1;
        }
        match bytes[at] {
            0xd9 => return Some(()),
            0x00 | 0x01 | 0xd0..=0xd8 => at += 1,
            kind => {
                at += 1 + usize::from(u16::from_be_bytes(*bytes.get(at + 1..)?.first_chunk()?));
                if kind == 0xda {
                    return bytes.get(at..)?.windows(2).any(|pair| pair == [0xff, 0xd9]).then_some(());
                }
            }
        }
    }
}

/// Looks for a whole chunk `IEND`.
fn png_ends(bytes: &[u8]) -> Option<()> {
    let mut at = 8;
    loop {
        let (length, kind) = bytes.get(at..)?.split_first_chunk::<4>()?;
        let next = at + 12 + u32::from_be_bytes(*length) as usize;
        if next > bytes.len() {
            return None;
        }
        if kind.starts_with(b"IEND") {
            return Some(());
        }
        at = next;
    }
}

/// Compares the length of the file with the one in its header.
fn webp_ends(bytes: &[u8]) -> Option<()> {
    let length = u32::from_le_bytes(*bytes.get(4..)?.first_chunk()?);
    (bytes.len() as u64 >= u64::from(length) + 8).then_some(())
}

/// Looks for the trailer behind the last block.
fn gif_ends(bytes: &[u8]) -> Option<()> {
    let table = |flags: u8| if flags & 0x80 == 0 { 0 } else { 3 << ((flags & 7) + 1) };
    let mut at = 13 + table(*bytes.get(10)?);
    loop {
        at += match *bytes.get(at)? {
            0x2c => 11 + table(*bytes.get(at + 9)?),
            0x21 => 2,
            _ => return Some(()),
        };
        // Blocks of data follow, the last one of length 0.
        loop {
            let length = usize::from(*bytes.get(at)?);
            at += 1 + length;
            if length == 0 {
                break;
            }
        }
    }
}
