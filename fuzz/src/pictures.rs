//! Files of pictures.

use std::sync::LazyLock;

use imgflo_ops::codec::{
    self, DecodeLimits, EncodeOptions, FileFormat, Header, Part, decode, decode_part, decode_smooth, read_header,
    recode,
};
use imgflo_ops::{Cancel, Detail, Image, Rect};

const LIMITS: DecodeLimits = DecodeLimits { pixels: 1 << 19, side: 1 << 12, accept_cut: true };

/// The header of a file of this format that is within the limits.
fn header(bytes: &[u8], format: FileFormat) -> Option<Header> {
    if FileFormat::sniff(bytes) != Some(format) {
        return None;
    }
    let header = read_header(bytes).ok()?;
    assert!(header.width > 0 && header.height > 0, "a picture without pixels: {header:?}");
    LIMITS.check(header.width, header.height).ok()?;
    Some(header)
}

/// Reads all of a picture, which is as large as its header says.
fn whole(bytes: &[u8], format: FileFormat) {
    let Some(header) = header(bytes, format) else { return };
    if let Ok(image) = decode(bytes, LIMITS, &Cancel::new()) {
        assert_eq!(image.rect(), Rect::sized(header.width, header.height));
    }
}

/// Our own reader: whole, half, a window, as a wide blur reads it, and quantised anew.
pub fn jpeg(bytes: &[u8]) {
    let Some(header) = header(bytes, FileFormat::Jpeg) else { return };
    whole(bytes, FileFormat::Jpeg);
    parts(bytes, header, &[1, 4, 8]);
    let _ = decode_smooth(bytes, Some(part(header, 2, true)), Detail::at(1.0), LIMITS, &Cancel::new());
    let options = EncodeOptions::new(FileFormat::Jpeg, 70);
    if let Ok(Some(recoded)) = recode(bytes, options, LIMITS, &Cancel::new()) {
        assert!(read_header(&recoded).is_ok(), "what is written can be read");
    }
}

/// libjpeg's reader, which sizes that nothing else reads go to.
pub fn libjpeg(bytes: &[u8]) {
    let Some(header) = header(bytes, FileFormat::Jpeg) else { return };
    parts(bytes, header, &[5, 7]);
}

fn part(header: Header, eighths: u32, window: bool) -> Part {
    let side = |side: u32| (side * eighths).div_ceil(8).max(1);
    let (width, height) = (side(header.width), side(header.height));
    let window = if window {
        Rect::new(width as i32 / 3, height as i32 / 3, width.div_ceil(3), height.div_ceil(3))
    } else {
        Rect::sized(width, height)
    };
    Part { eighths, window }
}

fn parts(bytes: &[u8], header: Header, sizes: &[u32]) {
    for eighths in sizes {
        for window in [false, true] {
            let eighths = if header.reducible.is_some() { *eighths } else { 8 };
            let _ = decode_part(bytes, Some(part(header, eighths, window)), LIMITS, &Cancel::new());
        }
    }
}

/// PNG.
pub fn png(bytes: &[u8]) {
    whole(bytes, FileFormat::Png);
}

/// WebP, by libwebp.
pub fn webp(bytes: &[u8]) {
    whole(bytes, FileFormat::Webp);
}

/// GIF.
pub fn gif(bytes: &[u8]) {
    whole(bytes, FileFormat::Gif);
}

/// A colour profile, in a small JPEG.
pub fn icc(bytes: &[u8]) {
    const MARK: &[u8] = b"ICC_PROFILE\0\x01\x01";
    static PICTURE: LazyLock<Vec<u8>> = LazyLock::new(|| {
        let image = Image::from_rgb8(Rect::sized(8, 8), vec![[200, 100, 50]; 64]);
        let options = EncodeOptions::new(FileFormat::Jpeg, 90);
        codec::encode(&image, options, &Cancel::new()).expect("a small picture is written")
    });
    let Ok(length) = u16::try_from(2 + MARK.len() + bytes.len()) else { return };
    let (start, rest) = PICTURE.split_at(2);
    let file = [start, &[0xff, 0xe2], &length.to_be_bytes(), MARK, bytes, rest].concat();
    assert!(decode(&file, LIMITS, &Cancel::new()).is_ok(), "a profile that is none is passed over");
}
