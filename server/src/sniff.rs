//! What type a stored result or a served file is.

/// Media type of an image, by its first bytes; none when they are not known.
pub(crate) fn by_content(bytes: &[u8]) -> Option<&'static str> {
    if bytes.starts_with(&[0xff, 0xd8, 0xff]) {
        Some("image/jpeg")
    } else if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
        Some("image/png")
    } else if bytes.starts_with(b"GIF87a") || bytes.starts_with(b"GIF89a") {
        Some("image/gif")
    } else if bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP") {
        Some("image/webp")
    } else if bytes.get(4..8) == Some(b"ftyp") && matches!(bytes.get(8..12), Some(b"avif" | b"avis")) {
        Some("image/avif")
    } else {
        None
    }
}

/// Media type by a name's suffix; none when it is not an image's.
pub(crate) fn by_name(name: &str) -> Option<&'static str> {
    match name.rsplit_once('.')?.1.to_ascii_lowercase().as_str() {
        "jpg" | "jpeg" => Some("image/jpeg"),
        "png" => Some("image/png"),
        "gif" => Some("image/gif"),
        "webp" => Some("image/webp"),
        "avif" => Some("image/avif"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_tells_the_type() {
        assert_eq!(by_content(&[0xff, 0xd8, 0xff, 0xe0]), Some("image/jpeg"));
        assert_eq!(by_content(b"\x89PNG\r\n\x1a\n...."), Some("image/png"));
        assert_eq!(by_content(b"GIF89a"), Some("image/gif"));
        assert_eq!(by_content(b"RIFF\x01\x02\x03\x04WEBPVP8 "), Some("image/webp"));
        assert_eq!(by_content(b"\0\0\0\x1cftypavif"), Some("image/avif"));
        assert_eq!(by_content(b"RIFF\x01\x02\x03\x04WAVE"), None);
        assert_eq!(by_content(b"<html>"), None);
        assert_eq!(by_content(b""), None);
    }

    #[test]
    fn names_tell_the_type() {
        assert_eq!(by_name("a.b.JPEG"), Some("image/jpeg"));
        assert_eq!(by_name("ab12.webp"), Some("image/webp"));
        assert_eq!(by_name("index.html"), None);
        assert_eq!(by_name("png"), None);
    }
}
