//! The media type that a blob is stored with.

/// By what the content begins with, or else by the suffix of the key: a result that hands its input
/// on has no suffix. What is neither is given a type that browsers never run.
pub(crate) fn media_type(bytes: &[u8], key: &str) -> &'static str {
    let by_content = match bytes {
        [0xff, 0xd8, 0xff, ..] => Some("image/jpeg"),
        [0x89, b'P', b'N', b'G', 0x0d, 0x0a, 0x1a, 0x0a, ..] => Some("image/png"),
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Some("image/gif"),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some("image/webp"),
        [_, _, _, _, b'f', b't', b'y', b'p', b'a', b'v', b'i', b'f' | b's', ..] => Some("image/avif"),
        _ => None,
    };
    let by_suffix = || match key.rsplit_once('.').map(|(_, suffix)| suffix) {
        Some("jpg" | "jpeg") => "image/jpeg",
        Some("png") => "image/png",
        Some("gif") => "image/gif",
        Some("webp") => "image/webp",
        Some("avif") => "image/avif",
        Some("mp4") => "video/mp4",
        _ => "application/octet-stream",
    };
    by_content.unwrap_or_else(by_suffix)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_counts_more_than_the_name() {
        assert_eq!(media_type(b"GIF89a...", "ab.png"), "image/gif");
        assert_eq!(media_type(&[0xff, 0xd8, 0xff, 0xe0], "ab"), "image/jpeg");
        assert_eq!(media_type(b"RIFF1234WEBPVP8 ", "ab"), "image/webp");
        assert_eq!(media_type(b"\0\0\0\x1cftypavif", "ab"), "image/avif");
        assert_eq!(media_type(b"\0\0\0\x1cftypisom", "ab.mp4"), "video/mp4");
        assert_eq!(media_type(b"<html>", "ab.png"), "image/png");
        assert_eq!(media_type(b"<html>", "ab.html"), "application/octet-stream");
        assert_eq!(media_type(b"", "ab"), "application/octet-stream");
    }
}
