//! IIPs in the `.fbp` language: `'text'` and JSON.

use serde_json::{Map, Value};

use crate::MAX_DEPTH;
use crate::lexer::{Expect, Scanner};
use crate::number;

impl Scanner<'_> {
    /// An IIP: `'text'` or JSON. The blanks around JSON include TABs and newlines.
    pub(crate) fn iip(&mut self) -> Option<Value> {
        let from = self.pos;
        if let Some(text) = self.quoted() {
            return Some(Value::String(text));
        }
        self.pos = from;
        self.blanks();
        let value = self.value(0);
        match value {
            Some(_) => self.blanks(),
            None => self.pos = from,
        }
        value
    }

    /// `'text'`: everything up to the next apostrophe without a backslash before it.
    fn quoted(&mut self) -> Option<String> {
        self.literal(Expect::Apostrophe)?;
        let mut text = String::new();
        loop {
            let rest = self.rest();
            let plain = rest.find(['\\', '\'']).unwrap_or(rest.len());
            text.push_str(&rest[..plain]);
            self.pos += plain;
            match self.byte() {
                Some(b'\\') => {
                    self.pos += 1;
                    if self.byte() == Some(b'\'') {
                        text.push('\'');
                        self.pos += 1;
                    } else {
                        self.miss(Expect::ApostropheClass);
                        text.push('\\');
                    }
                }
                end => {
                    self.miss(Expect::Backslash);
                    self.miss(Expect::NotApostrophe);
                    if end.is_none() {
                        self.miss(Expect::Apostrophe);
                        return None;
                    }
                    self.pos += 1;
                    return Some(text);
                }
            }
        }
    }

    fn blanks(&mut self) {
        let rest = self.rest();
        self.pos += rest.bytes().position(|b| !b" \t\n\r".contains(&b)).unwrap_or(rest.len());
    }

    fn value(&mut self, depth: usize) -> Option<Value> {
        if self.refusal.is_some() {
            return None;
        }
        if self.literal(Expect::False).is_some() {
            return Some(Value::Bool(false));
        }
        if self.literal(Expect::Null).is_some() {
            return Some(Value::Null);
        }
        if self.literal(Expect::True).is_some() {
            return Some(Value::Bool(true));
        }
        let from = self.pos;
        if let Some(object) = self.object(depth) {
            return Some(object);
        }
        self.pos = from;
        if let Some(array) = self.array(depth) {
            return Some(array);
        }
        self.pos = from;
        if let Some(number) = self.number() {
            return Some(number);
        }
        self.pos = from;
        self.string().map(Value::String)
    }

    /// One of the marks of JSON, with blanks around it.
    fn mark(&mut self, mark: Expect) -> Option<()> {
        let from = self.pos;
        self.blanks();
        if self.literal(mark).is_none() {
            self.pos = from;
            return None;
        }
        self.blanks();
        Some(())
    }

    fn deeper(&mut self, depth: usize) -> Option<usize> {
        if depth >= MAX_DEPTH {
            let at = self.pos;
            self.refuse(at, format!("the literal is nested too deeply: at most {MAX_DEPTH} levels"));
            return None;
        }
        Some(depth + 1)
    }

    fn object(&mut self, depth: usize) -> Option<Value> {
        self.mark(Expect::BraceOpen)?;
        let depth = self.deeper(depth)?;
        let mut members = Map::new();
        let mut next = self.pos;
        while let Some((name, value)) = self.member(depth) {
            members.insert(name, value);
            next = self.pos;
            if self.mark(Expect::Comma).is_none() {
                break;
            }
        }
        self.pos = next;
        self.mark(Expect::BraceClose)?;
        Some(Value::Object(members))
    }

    fn member(&mut self, depth: usize) -> Option<(String, Value)> {
        let name = self.string()?;
        self.mark(Expect::Colon)?;
        Some((name, self.value(depth)?))
    }

    fn array(&mut self, depth: usize) -> Option<Value> {
        self.mark(Expect::BracketOpen)?;
        let depth = self.deeper(depth)?;
        let mut items = Vec::new();
        let mut next = self.pos;
        while let Some(value) = self.value(depth) {
            items.push(value);
            next = self.pos;
            if self.mark(Expect::Comma).is_none() {
                break;
            }
        }
        self.pos = next;
        self.mark(Expect::BracketClose)?;
        Some(Value::Array(items))
    }

    fn number(&mut self) -> Option<Value> {
        let from = self.pos;
        let rest = self.rest().as_bytes();
        let digits = |from: usize| rest[from..].iter().take_while(|b| b.is_ascii_digit()).count();
        let is = |at: usize, set: &[u8]| rest.get(at).is_some_and(|b| set.contains(b));
        let mut end = usize::from(is(0, b"-"));
        let whole = if is(end, b"0") { 1 } else { digits(end) };
        if whole == 0 {
            self.miss(Expect::Number);
            return None;
        }
        end += whole;
        if is(end, b".") && digits(end + 1) > 0 {
            end += 1 + digits(end + 1);
        }
        if is(end, b"eE") {
            let sign = usize::from(is(end + 1, b"+-"));
            let power = digits(end + 1 + sign);
            if power > 0 {
                end += 1 + sign + power;
            }
        }
        self.pos += end;
        let number = number::from_text(self.slice(from));
        if number.is_none() {
            self.refuse(from, "the number is out of range: at most 1.7976931348623157e308".to_owned());
        }
        number.map(Value::Number)
    }

    fn string(&mut self) -> Option<String> {
        let from = self.pos;
        let string = self.string_chars();
        if string.is_none() {
            self.pos = from;
            self.miss(Expect::String);
        }
        string
    }

    fn string_chars(&mut self) -> Option<String> {
        if self.byte() != Some(b'"') {
            return None;
        }
        self.pos += 1;
        let mut text = String::new();
        loop {
            let rest = self.rest();
            let plain = rest.bytes().position(|b| b < 0x20 || b == b'"' || b == b'\\').unwrap_or(rest.len());
            text.push_str(&rest[..plain]);
            self.pos += plain;
            match self.byte()? {
                b'"' => {
                    self.pos += 1;
                    return Some(text);
                }
                b'\\' => text.push(self.escape()?),
                _ => return None,
            }
        }
    }

    fn escape(&mut self) -> Option<char> {
        let from = self.pos;
        self.pos += 1;
        let c = match self.byte()? {
            b @ (b'"' | b'\\' | b'/') => char::from(b),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.code_point(from),
            _ => return None,
        };
        self.pos += 1;
        Some(c)
    }

    /// The character of `\uXXXX` or of a pair of them, at the `u`.
    fn code_point(&mut self, from: usize) -> Option<char> {
        let hex = |text: &str| {
            let digits = text.get(..4).filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()))?;
            u16::from_str_radix(digits, 16).ok()
        };
        let first = hex(&self.rest()[1..])?;
        self.pos += 5;
        let second = self.rest().strip_prefix("\\u").and_then(hex).filter(|unit| (0xdc00..0xe000).contains(unit));
        let units = [first, second.unwrap_or_default()];
        let pair = (0xd800..0xdc00).contains(&first) && second.is_some();
        let decoded = char::decode_utf16(units[..if pair { 2 } else { 1 }].iter().copied()).next();
        match decoded {
            Some(Ok(c)) => {
                self.pos += if pair { 6 } else { 0 };
                Some(c)
            }
            _ => {
                self.refuse(from, format!("\\u{first:04x} is half of a character: the other half is missing"));
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(text: &str) -> Option<(Value, usize)> {
        let mut scanner = Scanner::new(text, false);
        scanner.iip().map(|value| (value, scanner.pos))
    }

    fn refusal(text: &str) -> String {
        let mut scanner = Scanner::new(text, false);
        assert!(scanner.iip().is_none());
        scanner.refusal.expect("refused").message
    }

    #[test]
    fn apostrophes_hold_any_text() {
        assert_eq!(read("'it\\'s \\n\n\"x\" #'->"), Some((json!("it's \\n\n\"x\" #"), 16)));
        assert_eq!(read("''"), Some((json!(""), 2)));
        assert_eq!(read(r"'\\'' "), Some((json!(r"\'"), 5)));
        assert_eq!(read(r"'abc\'"), None);
        assert_eq!(read("'open"), None);
    }

    #[test]
    fn json_literals() {
        for (text, value) in [
            ("300", json!(300)),
            ("-1.5e1", json!(-15)),
            ("0.25", json!(0.25)),
            ("\t true\n", json!(true)),
            ("[]", json!([])),
            ("{ }", json!({})),
            ("[1 ,\n2,[null,false]]", json!([1, 2, [null, false]])),
            (r#"{"a":{"b":[1]},"a":2}"#, json!({"a": 2})),
            (r#""\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00""#, json!("\"\\/\u{8}\u{c}\n\r\t\u{e9}\u{1f600}")),
        ] {
            assert_eq!(read(text), Some((value, text.len())), "{text}");
        }
    }

    #[test]
    fn numbers_stop_where_the_grammar_does() {
        for (text, end) in [("01", 1), ("1.", 1), ("1e", 1), ("1e+", 1), ("1.5.5", 3), ("-0", 2)] {
            assert_eq!(read(text).unwrap().1, end, "{text}");
        }
        for text in ["-", "+1", ".5", "[1,]", "[,1]", "{\"a\"}", "{a:1}", "\"\n\"", "\"\\x\"", "\"\\u12g4\"", "\"open"]
        {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_held_is_refused_with_the_limit() {
        assert!(refusal("1e400").contains("1.7976931348623157e308"));
        assert!(refusal(r#""\ud83d""#).contains("half of a character"));
        assert!(refusal(r#""\ude00""#).contains("half of a character"));
        let nest = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(read(&nest(MAX_DEPTH)).is_some());
        assert!(refusal(&nest(MAX_DEPTH + 1)).contains("at most 100 levels"));
        assert!(refusal(&"[{\"a\":".repeat(200_000)).contains("at most 100 levels"));
    }
}
