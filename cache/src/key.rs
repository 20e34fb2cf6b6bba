//! Which texts are cache keys, and where in a folder their blobs lie.

use std::path::{Path, PathBuf};

use crate::CacheError;

/// Longest key, bytes. A key is 64 hexadecimal digits and a short suffix.
pub const MAX_LENGTH: usize = 128;

/// Checks that `key` is made of `0-9`, `a-z`, `.`, `-` and `_`, at most [`MAX_LENGTH`] of them, does not start with a
/// dot and has no two dots in a row: so it is a plain file name on every system.
///
/// # Errors
/// [`CacheError::BadKey`] with the key, cut to a readable length.
pub fn check(key: &str) -> Result<(), CacheError> {
    let allowed = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'z' | b'.' | b'-' | b'_');
    let good = !key.is_empty()
        && key.len() <= MAX_LENGTH
        && !key.starts_with('.')
        && !key.contains("..")
        && key.bytes().all(allowed);
    if good { Ok(()) } else { Err(CacheError::BadKey(key.chars().take(MAX_LENGTH).collect())) }
}

/// The path of a checked key below the store's folder: `6/f9/6f95...91.png`. The first characters of a digest are evenly
/// spread, so 4096 folders share the blobs.
pub(crate) fn path(root: &Path, key: &str) -> PathBuf {
    let (first, second) = folders(key);
    root.join(first).join(second).join(key)
}

/// The two folder names of a checked key. Short keys are filled up with `_`, and a dot becomes `_`, so that neither is
/// ever `.` or `..`.
pub(crate) fn folders(key: &str) -> (String, String) {
    let mut letters = key.chars().map(|c| if c == '.' { '_' } else { c }).chain(std::iter::repeat('_'));
    let first = letters.by_ref().take(1).collect();
    (first, letters.take(2).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_digests_with_and_without_suffix() {
        let digest = "6f".repeat(32);
        for key in [digest.clone(), format!("{digest}.png"), "a".into(), "a-b_c.tar.gz".into(), "9".repeat(128)] {
            check(&key).unwrap_or_else(|error| panic!("{key}: {error}"));
        }
    }

    #[test]
    fn refuses_path_tricks() {
        let long = "a".repeat(129);
        let bad = [
            "",
            ".",
            "..",
            "../a",
            "a/b",
            "a\\b",
            "/etc/passwd",
            "a..b",
            ".hidden",
            "A.png",
            "a b",
            "a\0b",
            "a\n",
            "%2e%2e",
            "ä",
            "a:b",
            "c:",
            "a~1.",
            "*",
            &long,
        ];
        for key in bad {
            assert!(matches!(check(key), Err(CacheError::BadKey(_))), "{key:?} was accepted");
        }
    }

    #[test]
    fn an_error_never_carries_an_endless_key() {
        let Err(CacheError::BadKey(shown)) = check(&"/".repeat(1_000_000)) else { panic!("accepted") };
        assert_eq!(shown.len(), MAX_LENGTH);
    }

    #[test]
    fn folders_are_never_dots() {
        let pairs =
            [("6f95.png", "6/f9"), ("a", "a/__"), ("ab", "a/b_"), ("a.b", "a/_b"), ("a.", "a/__"), ("ab.png", "a/b_")];
        for (key, folder) in pairs {
            let (first, second) = folders(key);
            assert_eq!(format!("{first}/{second}"), folder, "{key}");
        }
    }
}
