//! What some bytes are, judged by themselves: names and content types lie.

use imgflo_job::{Category, JobError};
use imgflo_runtime::ops::codec::FileFormat;

/// The image format of `bytes`, of which the beginning is enough.
///
/// # Errors
/// [`Category::UnsupportedType`]: names what it seems to be and lists the supported types.
pub fn supported(bytes: &[u8], media_type: Option<&str>) -> Result<FileFormat, JobError> {
    FileFormat::sniff(bytes).ok_or_else(|| unsupported(bytes, media_type))
}

/// Says what `bytes` seem to be instead of a supported image.
pub fn unsupported(bytes: &[u8], media_type: Option<&str>) -> JobError {
    let what = match (guess(bytes), media_type) {
        (Some(what), _) => what.to_owned(),
        (None, Some(media_type)) => format!("'{}'", media_type.chars().take(100).collect::<String>()),
        (None, None) => "something else".to_owned(),
    };
    let supported: Vec<&str> =
        FileFormat::ALL.into_iter().filter(|format| format.can_decode()).map(FileFormat::extension).collect();
    let message = format!("the input is no image of a supported type but {what}; supported: {}", supported.join(", "));
    JobError::new(Category::UnsupportedType, message).with("supported", supported)
}

/// The extension that bytes deserve which are handed on as they are: by their content, else by their media type.
pub fn extension(bytes: &[u8], media_type: Option<&str>) -> Option<&'static str> {
    if let Some(format) = FileFormat::sniff(bytes) {
        return Some(format.extension());
    }
    let declared = media_type?.split(';').next()?.trim();
    match declared {
        "video/mp4" => Some("mp4"),
        "image/svg+xml" => Some("svg"),
        "image/tiff" => Some("tif"),
        _ => FileFormat::ALL.into_iter().find(|format| format.media_type() == declared).map(FileFormat::extension),
    }
}

/// A name for people, for the kinds of files that end up in image URLs.
fn guess(bytes: &[u8]) -> Option<&'static str> {
    const MAGIC: [(&[u8], &str); 25] = [
        (b"%PDF-", "a PDF document"),
        (b"BM", "a BMP image"),
        (b"II*\0", "a TIFF image"),
        (b"MM\0*", "a TIFF image"),
        (b"II+\0", "a TIFF image"),
        (b"MM\0+", "a TIFF image"),
        (b"\0\0\x01\0", "an ICO image"),
        (b"\0\0\x02\0", "a CUR image"),
        (b"icns", "an ICNS image"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "a JPEG 2000 image"),
        (b"\xff\x4f\xff\x51", "a JPEG 2000 image"),
        (b"qoif", "a QOI image"),
        (b"gimp xcf", "a GIMP image"),
        (b"v/1\x01", "an OpenEXR image"),
        (b"#?RADIANCE", "a Radiance HDR image"),
        (b"DDS ", "a DDS image"),
        (b"SIMPLE  =", "a FITS image"),
        (b"%!PS", "a PostScript document"),
        (b"\xc5\xd0\xd3\xc6", "a PostScript document"),
        (b"\x1a\x45\xdf\xa3", "a WebM or Matroska video"),
        (b"PK\x03\x04", "a ZIP archive"),
        (b"\x1f\x8b", "gzip data"),
        (b"8BPS", "a Photoshop document"),
        (b"\xff\x0a", "a JPEG XL image"),
        (b"\0\0\0\x0cJXL ", "a JPEG XL image"),
    ];
    if let Some((_, name)) = MAGIC.iter().find(|(magic, _)| bytes.starts_with(magic)) {
        return Some(name);
    }
    if bytes.get(4..8) == Some(b"ftyp") {
        // ISO/IEC 14496-12, 4.3: the major brand, its version, and the brands that the file is compatible with.
        let length = bytes.first_chunk().map_or(0, |length| u32::from_be_bytes(*length)) as usize;
        let brands = bytes.get(8..length.min(bytes.len())).unwrap_or_default().as_chunks::<4>().0;
        let has = |known: &[&[u8; 4]]| brands.iter().any(|brand| known.contains(&brand));
        return Some(match () {
            () if has(&[b"avif", b"avis"]) => "an AVIF image",
            () if has(&[b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"]) => "a HEIF image",
            () => "an MP4 video",
        });
    }
    if let [b'P', b'1'..=b'7', b' ' | b'\n' | b'\r' | b'\t', ..] = bytes {
        return Some("a PNM image");
    }
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let start = text.trim_ascii_start();
    let start = start[..start.len().min(512)].to_ascii_lowercase();
    let holds = |word: &[u8]| start.windows(word.len()).any(|window| window == word);
    if start.starts_with(b"<svg") || (start.starts_with(b"<?xml") && holds(b"<svg")) {
        Some("an SVG image")
    } else if start.starts_with(b"<!doctype html") || start.starts_with(b"<html") || holds(b"<head") || holds(b"<body")
    {
        Some("an HTML page")
    } else if start.starts_with(b"<") {
        Some("XML")
    } else if start.starts_with(b"{") || start.starts_with(b"[") {
        Some("JSON")
    } else if !start.is_empty() && start.iter().all(|&byte| byte >= 0x20 || byte.is_ascii_whitespace()) {
        Some("plain text")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_known_by_their_bytes_alone() {
        let png = supported(b"\x89PNG\r\n\x1a\n....", Some("text/html")).unwrap();
        assert_eq!(png, FileFormat::Png);
        assert_eq!(supported(b"\xff\xd8\xff\xe0", None).unwrap(), FileFormat::Jpeg);
    }

    #[test]
    fn what_is_no_image_is_named_beside_what_is_supported() {
        let table: [(&[u8], &str); 24] = [
            (b"<!DOCTYPE html><p>", "an HTML page"),
            (b"\xef\xbb\xbf \n <HTML>", "an HTML page"),
            (b"<?xml version='1.0'?><SVG>", "an SVG image"),
            (b"<svg xmlns=", "an SVG image"),
            (b"<?xml version='1.0'?><feed>", "XML"),
            (b"{\"error\": 1}", "JSON"),
            (b"Not found", "plain text"),
            (b"%PDF-1.7", "a PDF document"),
            (b"MM\0*....", "a TIFF image"),
            (b"\0\0\0\x20ftypavif", "an AVIF image"),
            (b"\0\0\0\x18ftypmif1\0\0\0\0miafavif", "an AVIF image"),
            (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic", "a HEIF image"),
            (b"\0\0\x01\0\x01\0", "an ICO image"),
            (b"\0\0\x02\0\x01\0", "a CUR image"),
            (b"\0\0\0\x0cjP  \r\n\x87\n\0\0\0\x14ftypjp2 ", "a JPEG 2000 image"),
            (b"\xff\x4f\xff\x51\0\x2f", "a JPEG 2000 image"),
            (b"BM\x36\0\0\0", "a BMP image"),
            (b"II+\0\x08\0", "a TIFF image"),
            (b"P6\n4 4\n255\n", "a PNM image"),
            (b"qoif\0\0\0\x04", "a QOI image"),
            (b"\0\0\0\x20ftypisom", "an MP4 video"),
            (b"\x1f\x8b\x08", "gzip data"),
            (b"\x01\x02\x03", "'application/x-strange'"),
            (b"", "'application/x-strange'"),
        ];
        for (bytes, name) in table {
            let error = supported(bytes, Some("application/x-strange")).unwrap_err();
            assert_eq!(error.category, Category::UnsupportedType);
            assert!(error.message.contains(name), "{name}: {}", error.message);
            assert!(error.message.ends_with("supported: jpg, png, webp, gif"), "{}", error.message);
            assert_eq!(error.details["supported"], serde_json::json!(["jpg", "png", "webp", "gif"]));
        }
    }

    #[test]
    fn the_extension_follows_the_content_before_the_media_type() {
        assert_eq!(extension(b"GIF89a", Some("image/png")), Some("gif"));
        assert_eq!(extension(b"....", Some("image/png; charset=x")), Some("png"));
        assert_eq!(extension(b"....", Some("video/mp4")), Some("mp4"));
        assert_eq!(extension(b"....", Some("text/html")), None);
        assert_eq!(extension(b"....", None), None);
    }
}
