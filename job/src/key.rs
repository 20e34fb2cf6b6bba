//! The name of a result, which also says how the result may be kept.

use std::borrow::Cow;

use sha2::{Digest, Sha256};

use crate::background::Background;
use crate::message::Urgency;
use crate::quality::Quality;

/// Changes whenever the same fields must give another key.
const VERSION: &str = "imgflo-key-3";

/// Longest suffix of a key, characters.
const MAX_EXTENSION: usize = 8;

/// Permission of clients, and of caches between them and us, to keep a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Keeping {
    /// By everybody and for ever: all that it was made of is in its key.
    Forever,
    /// By everybody, who asks now and then: its input is at an origin and may change there, so `_nocache` may store
    /// other bytes under the same key.
    Checked,
    /// By nobody: its origin forbade that with `no-store` or `private`.
    Private,
}

impl Keeping {
    /// Tells how the result with a key may be kept: the two highest bits of the key tell.
    pub fn of(key: &str) -> Keeping {
        match key.bytes().next() {
            Some(b'8' | b'9' | b'a' | b'b') => Keeping::Checked,
            Some(b'c'..=b'f') => Keeping::Private,
            _ => Keeping::Forever,
        }
    }

    /// Header `Cache-Control` of the result.
    pub fn cache_control(self) -> &'static str {
        match self {
            Keeping::Forever => "public, max-age=31536000, immutable",
            Keeping::Checked => "public, max-age=3600",
            Keeping::Private => "private, no-store",
        }
    }

    /// A key whose two highest bits tell this, with the others of `key`.
    fn mark(self, key: &str) -> String {
        let (first, rest) = key.split_at(1);
        let digit = u8::from_str_radix(first, 16).unwrap_or_default();
        let digit = match self {
            Keeping::Forever => digit & 0b0111,
            Keeping::Checked => digit & 0b0011 | 0b1000,
            Keeping::Private => digit & 0b0011 | 0b1100,
        };
        format!("{digit:x}{rest}")
    }
}

/// The key under which the result of `key` is stored if its origin forbids to keep it; none for a result without
/// origin.
pub fn private(key: &str) -> Option<String> {
    (Keeping::of(key) == Keeping::Checked).then(|| Keeping::Private.mark(key))
}

/// The key of a result: 64 hexadecimal digits and the suffix that tells the type, if there is one.
///
/// SHA-256 over the fields, each preceded by its length (64 bits, little-endian), so that no two
/// different requests hash the same bytes.
///
/// * `graph_content`: canonical text of the graph, and the revision of each operation in it.
/// * `arguments`: canonical text of the parameters.
/// * `input`: identity of the input ([`crate::Source::identity`]), empty if there is none.
/// * `keeping`: that of the input ([`crate::Source::keeping`]); [`Keeping::Forever`] if there is none.
/// * `extension`: type of the result, without the dot; none for a graph that hands bytes on.
/// * `quality`: what of it makes a difference to the type ([`Quality::of_type`]).
/// * `background`: what lies behind the picture, where the type has no alpha ([`Background::of_type`]).
pub fn cache_key(
    graph_content: &str,
    arguments: &str,
    input: &str,
    keeping: Keeping,
    extension: Option<&str>,
    quality: Quality,
    background: Option<Background>,
) -> String {
    let mut hash = Sha256::new();
    let quality = quality.to_string();
    let background = background.map(|background| background.to_string()).unwrap_or_default();
    for field in [VERSION, graph_content, arguments, input, extension.unwrap_or_default(), &quality, &background] {
        hash.update((field.len() as u64).to_le_bytes());
        hash.update(field);
    }
    let digest = keeping.mark(&hex::encode(hash.finalize()));
    match extension {
        Some(extension) => format!("{digest}.{extension}"),
        None => digest,
    }
}

/// The name under which the machines of a cluster claim the making of a result. Each lane has its
/// own: who waits for a result that is only queued in the background somewhere has it made at once.
pub fn claim(urgency: Urgency, key: &str) -> Cow<'_, str> {
    match urgency {
        Urgency::Urgent => Cow::Borrowed(key),
        Urgency::Background => Cow::Owned(format!("background.{key}")),
    }
}

/// True for what [`cache_key`] can return: 64 lower-case hexadecimal digits, then at most a dot and
/// 1 to 8 of `a-z0-9`. Nothing else may reach a store or a file name.
pub fn is_key(text: &str) -> bool {
    let (digest, extension) = match text.split_once('.') {
        Some((digest, extension)) => (digest, Some(extension)),
        None => (text, None),
    };
    digest.len() == 64
        && digest.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        && extension.is_none_or(is_extension)
}

/// True for a suffix that a key can have.
pub(crate) fn is_extension(text: &str) -> bool {
    (1..=MAX_EXTENSION).contains(&text.len()) && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'z'))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::quality::Chroma;

    const WHITE: Option<Background> = Some(Background::WHITE);
    const NONE: Quality = Quality { number: None, small: false, progressive: false, chroma: None };

    #[test]
    fn stays_what_it_is() {
        // Computed with Python's hashlib and struct over the same fields. If this fails, stored
        // results of earlier versions are lost: raise VERSION knowingly, or undo the change.
        assert_eq!(
            cache_key("graph", "width=10", "file:a.jpg", Keeping::Forever, Some("png"), NONE, None),
            "438d1599d975b191fdf0787219ba20d187c1249dd7383021b8dd240a4641f28e.png"
        );
        let quality = Quality::of(85);
        assert_eq!(
            cache_key("graph", "width=10", "url:http://a/b.jpg", Keeping::Checked, Some("jpg"), quality, WHITE),
            "ad71877a2186b941a5f31e581318146b151b2b4cdb15e3401dae55bef0fe19fe.jpg"
        );
    }

    #[test]
    fn a_key_tells_how_its_result_may_be_kept() {
        for number in 0..64 {
            let key = |keeping| cache_key("graph", &number.to_string(), "", keeping, Some("png"), NONE, None);
            for keeping in [Keeping::Forever, Keeping::Checked, Keeping::Private] {
                assert_eq!(Keeping::of(&key(keeping)), keeping);
                assert!(is_key(&key(keeping)));
            }
            assert_eq!(private(&key(Keeping::Checked)), Some(key(Keeping::Private)));
            assert_eq!((private(&key(Keeping::Forever)), private(&key(Keeping::Private))), (None, None));
        }
        for (keeping, immutable) in [(Keeping::Forever, true), (Keeping::Checked, false), (Keeping::Private, false)] {
            assert_eq!(keeping.cache_control().contains("immutable"), immutable);
            assert_eq!(keeping.cache_control().contains("public"), keeping != Keeping::Private);
        }
    }

    #[test]
    fn fields_do_not_run_into_each_other() {
        let keys: HashSet<String> = [
            cache_key("a", "b", "c", Keeping::Checked, Some("png"), NONE, None),
            cache_key("ab", "", "c", Keeping::Checked, Some("png"), NONE, None),
            cache_key("", "ab", "c", Keeping::Checked, Some("png"), NONE, None),
            cache_key("a", "bc", "", Keeping::Checked, Some("png"), NONE, None),
            cache_key("a", "", "bc", Keeping::Checked, Some("png"), NONE, None),
            cache_key("a", "b", "c", Keeping::Checked, Some("jpg"), NONE, None),
            cache_key("a", "b", "cpng", Keeping::Checked, None, NONE, None),
            cache_key("a", "b", "c", Keeping::Checked, None, NONE, None),
            cache_key("a", "b", "c", Keeping::Checked, Some("jpg"), Quality::of(85), None),
            cache_key("a", "b", "c", Keeping::Checked, Some("jpg"), Quality::of(8), None),
            cache_key("a", "b", "c", Keeping::Checked, Some("jpg"), Quality { small: true, ..Quality::of(85) }, None),
            cache_key(
                "a",
                "b",
                "c",
                Keeping::Checked,
                Some("jpg"),
                Quality { progressive: true, ..Quality::of(85) },
                None,
            ),
            cache_key(
                "a",
                "b",
                "c",
                Keeping::Checked,
                Some("jpg"),
                Quality { chroma: Some(Chroma::Full), ..Quality::of(85) },
                None,
            ),
            cache_key("a", "b", "c", Keeping::Checked, Some("jpg"), Quality::of(85), Some(Background::WHITE)),
            cache_key("a", "b", "c", Keeping::Checked, Some("jpg"), Quality::of(85), Some(Background { rgb: [0; 3] })),
        ]
        .into();
        assert_eq!(keys.len(), 15);
        let digests: HashSet<&str> = keys.iter().map(|key| &key[..64]).collect();
        assert_eq!(digests.len(), 15);
    }

    #[test]
    fn each_lane_has_its_claim() {
        let key = cache_key("a", "b", "c", Keeping::Checked, Some("jpg"), Quality::of(85), None);
        assert_eq!(claim(Urgency::Urgent, &key), key);
        assert_eq!(claim(Urgency::Background, &key), format!("background.{key}"));
    }

    #[test]
    fn knows_keys() {
        for key in [
            cache_key("a", "b", "c", Keeping::Checked, Some("jpg"), NONE, None),
            cache_key("a", "b", "c", Keeping::Checked, None, NONE, None),
        ] {
            assert!(is_key(&key), "{key}");
        }
        let digest = "0123456789abcdef".repeat(4);
        let upper = digest.to_uppercase();
        for text in [
            "",
            ".png",
            &digest[1..],
            &format!("{digest}0"),
            &upper,
            &format!("{digest}."),
            &format!("{digest}.PNG"),
            &format!("{digest}.tar.gz"),
            &format!("{digest}.123456789"),
            &format!("{digest}/../x"),
            &format!("{digest}.p/g"),
            &format!("../{digest}"),
            &format!("{digest}\n"),
            &format!("é{}", &digest[2..]),
        ] {
            assert!(!is_key(text), "{text}");
        }
    }
}
