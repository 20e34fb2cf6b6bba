//! Tokens: proof that who asks knows an application's secret.
//!
//! What is signed is `graphspec + query`: the last part of the path as written (`crop.jpeg`), then
//! the query as sent with its `?`, or nothing. A graphspec holds no `?`, so the two cannot be
//! mistaken for another pair.

use hmac::{Hmac, KeyInit, Mac};
use md5::{Digest, Md5};
use sha2::Sha256;
use subtle::{Choice, ConstantTimeEq};

/// The token of a request: HMAC-SHA256 of `graphspec + query`, keyed with the secret; 64
/// lower-case hexadecimal digits.
pub fn token(secret: &str, graphspec: &str, query: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(graphspec.as_bytes());
    mac.update(query.as_bytes());
    hex::encode(mac.finalize().into_bytes())
}

/// The original's token: MD5 of `graphspec + query + secret`; 32 lower-case hexadecimal digits. MD5
/// used like this can be forged; it is for clients of that time only.
pub fn md5_token(secret: &str, graphspec: &str, query: &str) -> String {
    let mut hash = Md5::new();
    hash.update(graphspec);
    hash.update(query);
    hash.update(secret);
    hex::encode(hash.finalize())
}

/// True when the token is right: [`token`], or [`md5_token`] where that is allowed. Takes the same
/// time wherever a wrong token differs. Never true for an empty secret.
///
/// Browsers send an apostrophe in a query as `%27` (WHATWG URL, "special-query percent-encode set"),
/// and `encodeURIComponent`, with which clients make the text that they sign, leaves it as it is.
/// Both mean the same, so a token is right for either.
pub fn verify(secret: &str, allow_md5: bool, graphspec: &str, query: &str, given: &str) -> bool {
    let same = |right: &str| right.as_bytes().ct_eq(given.as_bytes());
    let right = |query: &str| {
        let current = same(&token(secret, graphspec, query));
        let legacy = same(&md5_token(secret, graphspec, query)) & Choice::from(u8::from(allow_md5));
        current | legacy
    };
    let as_signed = query.replace("%27", "'");
    !secret.is_empty() && bool::from(right(query) | right(&as_signed))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPEC: &str = "passthrough.jpg";
    const QUERY: &str = "?input=http%3A%2F%2Fexample.com%2Fa.JPG&width=300";

    #[test]
    fn vectors() {
        // MD5: what imgflo-url 1.2.0 makes. HMAC: `openssl dgst -sha256 -hmac secret`.
        assert_eq!(md5_token("secret", SPEC, QUERY), "ec2197d9da95d47afff78a4461897ea5");
        assert_eq!(token("secret", SPEC, QUERY), "849ce266565ac2a7bf718611d07918e24683206dbaf2c88ee9ba6afca9de76a9");
    }

    #[test]
    fn the_documented_vectors_are_right() {
        let documentation = include_str!("../../docs/HTTP-API.md");
        let start = documentation.find("Test vector").expect("a test vector");
        let vector = documentation[start..].split("\n\n").next().unwrap_or_default();
        for part in [&format!("`{SPEC}{QUERY}`"), &token("secret", SPEC, QUERY), &md5_token("secret", SPEC, QUERY)] {
            assert!(vector.contains(part), "{part} is not in: {vector}");
        }
    }

    #[test]
    fn right_tokens_pass() {
        assert!(verify("secret", false, SPEC, QUERY, &token("secret", SPEC, QUERY)));
        assert!(verify("secret", true, SPEC, QUERY, &token("secret", SPEC, QUERY)));
        assert!(verify("secret", true, SPEC, QUERY, &md5_token("secret", SPEC, QUERY)));
        assert!(verify("secret", false, "crop", "", &token("secret", "crop", "")));
    }

    #[test]
    fn an_apostrophe_may_be_sent_as_browsers_do() {
        let (signed, sent) = ("?input=a'b&t=c'd", "?input=a%27b&t=c%27d");
        for token in [token("secret", SPEC, signed), md5_token("secret", SPEC, signed)] {
            assert!(verify("secret", true, SPEC, sent, &token) && verify("secret", true, SPEC, signed, &token));
            for other in ["?input=a%27b&t=cd", "?input=a%2527b&t=c%2527d", "?input=a\"b&t=c\"d"] {
                assert!(!verify("secret", true, SPEC, other, &token), "{other}");
            }
        }
        assert!(verify("secret", false, SPEC, sent, &token("secret", SPEC, sent)));
    }

    #[test]
    fn wrong_tokens_do_not() {
        let right = token("secret", SPEC, QUERY);
        let md5 = md5_token("secret", SPEC, QUERY);
        for wrong in ["", "0", &right[1..], &format!("{right}0"), &right.to_uppercase(), &md5, &right.replace('8', "9")]
        {
            assert!(!verify("secret", false, SPEC, QUERY, wrong), "{wrong}");
        }
        assert!(!verify("secret", true, SPEC, QUERY, &md5[1..]));
        assert!(!verify("other", true, SPEC, QUERY, &right));
        // Order, spelling and extension of the request are all signed.
        for (spec, query) in [
            (SPEC, "?width=300&input=http%3A%2F%2Fexample.com%2Fa.JPG"),
            (SPEC, "?input=http%3a%2f%2fexample.com%2fa.JPG&width=300"),
            (SPEC, "?input=http%3A%2F%2Fexample.com%2Fa.JPG&width=3000"),
            (SPEC, ""),
            ("passthrough.jpeg", QUERY),
            ("passthrough", QUERY),
        ] {
            assert!(!verify("secret", true, spec, query, &right), "{spec}{query}");
        }
    }

    #[test]
    fn an_empty_secret_opens_nothing() {
        assert!(!verify("", true, SPEC, QUERY, &token("", SPEC, QUERY)));
        assert!(!verify("", true, SPEC, QUERY, &md5_token("", SPEC, QUERY)));
    }
}
