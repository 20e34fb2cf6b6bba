//! Percent-decoding that refuses what it cannot read, instead of passing it on.

use crate::error::{Category, JobError, shown};

/// The text of one part of a path, decoded. `what` names it in errors.
pub(crate) fn decode_path(what: &str, raw: &str) -> Result<String, JobError> {
    decode(what, raw, raw)
}

/// A name or value of a query, decoded: `+` is a space there.
pub(crate) fn decode_query(what: &str, raw: &str) -> Result<String, JobError> {
    decode(what, raw, &raw.replace('+', " "))
}

fn decode(what: &str, raw: &str, encoded: &str) -> Result<String, JobError> {
    let malformed =
        |why: &str| JobError::new(Category::Malformed, format!("{what} '{}' cannot be read: {why}", shown(raw)));
    let bytes = encoded.as_bytes();
    let broken = bytes.iter().enumerate().any(|(at, byte)| {
        *byte == b'%' && !bytes.get(at + 1..at + 3).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    });
    if broken {
        return Err(malformed("each '%' must be followed by two hexadecimal digits (a plain '%' is written %25)"));
    }
    let text = percent_encoding::percent_decode_str(encoded)
        .decode_utf8()
        .map_err(|_| malformed("its percent-encoded bytes are not UTF-8"))?;
    if text.chars().any(char::is_control) {
        return Err(malformed("it holds a control character"));
    }
    Ok(text.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes() {
        assert_eq!(decode_path("p", "a%20b+c%2F%C3%A9").unwrap(), "a b+c/é");
        assert_eq!(decode_query("q", "a%20b+c%2B").unwrap(), "a b c+");
    }

    #[test]
    fn refuses_what_it_cannot_read() {
        for raw in ["%", "a%", "a%2", "%zz", "%+1", "%2%41", "%c3%28", "%ff", "%00", "a%0Ab", "%7f", "%C2%85", "a\nb"] {
            let error = decode_query("q", raw).unwrap_err();
            assert_eq!(error.category, Category::Malformed, "{raw}");
            assert!(error.message.starts_with("q '"), "{error}");
            assert!(!error.message.chars().any(char::is_control), "{error:?}");
        }
    }
}
