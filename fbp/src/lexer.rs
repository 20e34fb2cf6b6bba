//! The tokens of the `.fbp` language, and what could have stood at the farthest point reached.
//!
//! The scanner follows the original's grammar rule by rule, because its errors are part of what
//! users know: position, the list of expectations, what was found.

use crate::error::Error;

/// Something the grammar can ask for at a point of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expect {
    Space,
    Hash,
    Apostrophe,
    ParenOpen,
    ParenClose,
    Comma,
    Arrow,
    Dot,
    Colon,
    At,
    BracketOpen,
    BracketClose,
    BraceOpen,
    BraceClose,
    DefaultInport,
    DefaultOutport,
    Inport,
    Outport,
    False,
    Null,
    True,
    Newline,
    NotNewline,
    NotApostrophe,
    ApostropheClass,
    Backslash,
    NameStart,
    NameRest,
    PortRest,
    ComponentChar,
    MetaChar,
    KeyChar,
    ValueChar,
    Digit,
    Number,
    String,
    End,
}

impl Expect {
    const ALL: [Self; 37] = [
        Self::Space,
        Self::Hash,
        Self::Apostrophe,
        Self::ParenOpen,
        Self::ParenClose,
        Self::Comma,
        Self::Arrow,
        Self::Dot,
        Self::Colon,
        Self::At,
        Self::BracketOpen,
        Self::BracketClose,
        Self::BraceOpen,
        Self::BraceClose,
        Self::DefaultInport,
        Self::DefaultOutport,
        Self::Inport,
        Self::Outport,
        Self::False,
        Self::Null,
        Self::True,
        Self::Newline,
        Self::NotNewline,
        Self::NotApostrophe,
        Self::ApostropheClass,
        Self::Backslash,
        Self::NameStart,
        Self::NameRest,
        Self::PortRest,
        Self::ComponentChar,
        Self::MetaChar,
        Self::KeyChar,
        Self::ValueChar,
        Self::Digit,
        Self::Number,
        Self::String,
        Self::End,
    ];

    /// The text of a literal; empty for classes and named rules.
    fn literal(self) -> &'static str {
        match self {
            Self::Space => " ",
            Self::Hash => "#",
            Self::Apostrophe => "'",
            Self::ParenOpen => "(",
            Self::ParenClose => ")",
            Self::Comma => ",",
            Self::Arrow => "->",
            Self::Dot => ".",
            Self::Colon => ":",
            Self::At => "@",
            Self::BracketOpen => "[",
            Self::BracketClose => "]",
            Self::BraceOpen => "{",
            Self::BraceClose => "}",
            Self::DefaultInport => "DEFAULT_INPORT=",
            Self::DefaultOutport => "DEFAULT_OUTPORT=",
            Self::Inport => "INPORT=",
            Self::Outport => "OUTPORT=",
            Self::False => "false",
            Self::Null => "null",
            Self::True => "true",
            _ => "",
        }
    }

    /// As the original names it.
    fn description(self) -> String {
        let class = match self {
            Self::Newline => "[\\n\\r\\u2028\\u2029]",
            Self::NotNewline => "[^\\n\\r\\u2028\\u2029]",
            Self::NotApostrophe => "[^']",
            Self::ApostropheClass => "[']",
            Self::Backslash => "[\\\\]",
            Self::NameStart => "[a-zA-Z_]",
            Self::NameRest => "[a-zA-Z0-9_\\-]",
            Self::PortRest => "[a-zA-Z.0-9_]",
            Self::ComponentChar => "[a-zA-Z/\\-0-9_]",
            Self::MetaChar => "[a-zA-Z/=_,0-9]",
            Self::KeyChar => "[a-zA-Z0-9\\-_]",
            Self::ValueChar => "[a-zA-Z0-9\\-_ \\.]",
            Self::Digit => "[0-9]",
            Self::Number => "number",
            Self::String => "string",
            Self::End => "end of input",
            _ => return format!("\"{}\"", self.literal()),
        };
        class.to_owned()
    }

    fn bit(self) -> u64 {
        1 << self as u32
    }
}

/// A port as written: its case is not folded yet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PortWord<'t> {
    pub(crate) name: &'t str,
    pub(crate) index: Option<u32>,
}

/// `name`, `name(Component:meta)` or `(Component:meta)`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NodeWord<'t> {
    /// Where the whole begins.
    pub(crate) at: usize,
    /// `None`: anonymous.
    pub(crate) name: Option<&'t str>,
    pub(crate) component: Option<ComponentWord<'t>>,
}

/// `(Component:meta)`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ComponentWord<'t> {
    pub(crate) name: &'t str,
    pub(crate) meta: Option<&'t str>,
}

/// A value that the grammar allows and this program does not hold.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    pub(crate) at: usize,
    pub(crate) message: String,
}

/// A place in a text, and the memory of where reading failed.
pub(crate) struct Scanner<'t> {
    text: &'t str,
    pub(crate) pos: usize,
    /// Port names may have dashes inside.
    dashes: bool,
    /// A port name with a dash was read.
    pub(crate) dash_seen: bool,
    farthest: usize,
    expected: u64,
    /// The first value that cannot be held; nothing is read after it.
    pub(crate) refusal: Option<Refusal>,
}

impl<'t> Scanner<'t> {
    pub(crate) fn new(text: &'t str, dashes: bool) -> Self {
        Self { text, pos: 0, dashes, dash_seen: false, farthest: 0, expected: 0, refusal: None }
    }

    pub(crate) fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.pos).copied()
    }

    pub(crate) fn rest(&self) -> &'t str {
        &self.text[self.pos..]
    }

    pub(crate) fn slice(&self, from: usize) -> &'t str {
        &self.text[from..self.pos]
    }

    pub(crate) fn at_end(&self) -> bool {
        self.pos == self.text.len()
    }

    /// The farthest point that reading reached, in bytes.
    pub(crate) fn farthest(&self) -> usize {
        self.farthest
    }

    /// Notes that `what` was looked for here and not found.
    pub(crate) fn miss(&mut self, what: Expect) {
        if self.pos > self.farthest {
            self.farthest = self.pos;
            self.expected = 0;
        }
        if self.pos == self.farthest {
            self.expected |= what.bit();
        }
    }

    pub(crate) fn refuse(&mut self, at: usize, message: String) {
        self.refusal.get_or_insert(Refusal { at, message });
    }

    /// The error for the farthest point reached.
    pub(crate) fn error(&self) -> Error {
        let (line, column) = self.position(self.farthest);
        let mut expected: Vec<String> = Expect::ALL
            .iter()
            .filter(|expect| self.expected & expect.bit() != 0)
            .map(|expect| expect.description())
            .collect();
        expected.sort();
        Error::Syntax { line, column, expected, found: self.text[self.farthest..].chars().next() }
    }

    /// Line and column of a byte offset, both from 1. As in the original, a newline after CR,
    /// U+2028 or U+2029 ends no further line.
    pub(crate) fn position(&self, offset: usize) -> (usize, usize) {
        let (mut line, mut column, mut after_other) = (1, 1, false);
        for c in self.text[..offset].chars() {
            match c {
                '\n' => {
                    line += usize::from(!after_other);
                    column = 1;
                    after_other = false;
                }
                '\r' | '\u{2028}' | '\u{2029}' => {
                    line += 1;
                    column = 1;
                    after_other = true;
                }
                _ => {
                    column += c.len_utf16();
                    after_other = false;
                }
            }
        }
        (line, column)
    }

    pub(crate) fn literal(&mut self, what: Expect) -> Option<()> {
        if self.rest().as_bytes().starts_with(what.literal().as_bytes()) {
            self.pos += what.literal().len();
            return Some(());
        }
        self.miss(what);
        None
    }

    /// As many bytes of a class as there are; all classes here are ASCII.
    fn run(&mut self, what: Expect, class: impl Fn(u8) -> bool) -> &'t str {
        let from = self.pos;
        let rest = self.rest();
        self.pos += rest.bytes().position(|b| !class(b)).unwrap_or(rest.len());
        self.miss(what);
        self.slice(from)
    }

    /// Any number of spaces. A TAB is not one.
    pub(crate) fn spaces(&mut self) {
        self.run(Expect::Space, |b| b == b' ');
    }

    /// One or more spaces.
    pub(crate) fn gap(&mut self) -> Option<()> {
        (!self.run(Expect::Space, |b| b == b' ').is_empty()).then_some(())
    }

    /// LF, CR, U+2028 or U+2029: one of them.
    pub(crate) fn newline(&mut self) -> Option<()> {
        match self.rest().chars().next() {
            Some(c) if is_newline(c) => {
                self.pos += c.len_utf8();
                Some(())
            }
            _ => {
                self.miss(Expect::Newline);
                None
            }
        }
    }

    /// Spaces, `#` and the rest of the line.
    pub(crate) fn comment(&mut self) -> Option<()> {
        let from = self.pos;
        self.spaces();
        if self.literal(Expect::Hash).is_none() {
            self.pos = from;
            return None;
        }
        self.pos += self.rest().find(is_newline).unwrap_or(self.rest().len());
        self.miss(Expect::NotNewline);
        Some(())
    }

    /// `# @key value`, without the newline that must follow. With `old`, `# !runtime value` too;
    /// its key is `!runtime`.
    pub(crate) fn annotation(&mut self, old: bool) -> Option<(&'t str, &'t str)> {
        let from = self.pos;
        let parsed = self.annotation_parts(old);
        if parsed.is_none() {
            self.pos = from;
        }
        parsed
    }

    fn annotation_parts(&mut self, old: bool) -> Option<(&'t str, &'t str)> {
        self.literal(Expect::Hash)?;
        self.gap()?;
        let key = if old && self.rest().starts_with("!runtime ") {
            let from = self.pos;
            self.pos += "!runtime".len();
            self.slice(from)
        } else {
            self.literal(Expect::At)?;
            self.run(Expect::KeyChar, |b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
        };
        if key.is_empty() {
            return None;
        }
        self.gap()?;
        let value = self.run(Expect::ValueChar, |b| b.is_ascii_alphanumeric() || b"-_ .".contains(&b));
        (!value.is_empty()).then_some((key, value))
    }

    fn name_start(&mut self) -> Option<()> {
        match self.byte() {
            Some(b) if b.is_ascii_alphabetic() || b == b'_' => {
                self.pos += 1;
                Some(())
            }
            _ => {
                self.miss(Expect::NameStart);
                None
            }
        }
    }

    fn node_name(&mut self) -> Option<&'t str> {
        let from = self.pos;
        self.name_start()?;
        self.run(Expect::NameRest, |b| b.is_ascii_alphanumeric() || b"_-".contains(&b));
        Some(self.slice(from))
    }

    pub(crate) fn port_name(&mut self) -> Option<&'t str> {
        let from = self.pos;
        self.name_start()?;
        let port = |b: u8| b.is_ascii_alphanumeric() || b"._".contains(&b);
        self.run(Expect::PortRest, port);
        // A dash belongs to the name only between two of its characters: `OUT->` ends a port.
        while self.dashes && self.byte() == Some(b'-') && self.rest().as_bytes().get(1).copied().is_some_and(port) {
            self.pos += 1;
            self.dash_seen = true;
            self.run(Expect::PortRest, port);
        }
        Some(self.slice(from))
    }

    /// `[digits]`.
    fn port_index(&mut self) -> Option<u32> {
        let from = self.pos;
        let parsed = self.port_index_digits();
        let Some(digits) = parsed else {
            self.pos = from;
            return None;
        };
        let digits = digits.trim_start_matches('0');
        if digits.is_empty() {
            return Some(0);
        }
        let index = digits.parse().ok();
        if index.is_none() {
            self.refuse(from, format!("the array index is too large: at most {}", u32::MAX));
        }
        index
    }

    fn port_index_digits(&mut self) -> Option<&'t str> {
        self.literal(Expect::BracketOpen)?;
        let digits = self.run(Expect::Digit, |b| b.is_ascii_digit());
        if digits.is_empty() {
            return None;
        }
        self.literal(Expect::BracketClose)?;
        Some(digits)
    }

    fn port(&mut self) -> Option<PortWord<'t>> {
        let name = self.port_name()?;
        Some(PortWord { name, index: self.port_index() })
    }

    /// A port and the spaces after it.
    pub(crate) fn port_before(&mut self) -> Option<PortWord<'t>> {
        let from = self.pos;
        let port = self.port();
        if port.is_some() && self.gap().is_some() {
            return port;
        }
        self.pos = from;
        None
    }

    /// Spaces and a port after them.
    pub(crate) fn port_after(&mut self) -> Option<PortWord<'t>> {
        let from = self.pos;
        if self.gap().is_some()
            && let Some(port) = self.port()
        {
            return Some(port);
        }
        self.pos = from;
        None
    }

    /// `name(Component)` or `(Component)`.
    pub(crate) fn node_with_component(&mut self) -> Option<NodeWord<'t>> {
        let at = self.pos;
        if let Some(name) = self.node_name() {
            if let Some(component) = self.component() {
                return Some(NodeWord { at, name: Some(name), component: Some(component) });
            }
            self.pos = at;
        }
        let component = self.component()?;
        Some(NodeWord { at, name: None, component: Some(component) })
    }

    /// `name(Component)`, `name` or `(Component)`.
    pub(crate) fn node(&mut self) -> Option<NodeWord<'t>> {
        let at = self.pos;
        if let Some(name) = self.node_name() {
            let component = self.component();
            return Some(NodeWord { at, name: Some(name), component });
        }
        let component = self.component()?;
        Some(NodeWord { at, name: None, component: Some(component) })
    }

    fn component(&mut self) -> Option<ComponentWord<'t>> {
        let from = self.pos;
        let parsed = self.component_parts();
        if parsed.is_none() {
            self.pos = from;
        }
        parsed
    }

    fn component_parts(&mut self) -> Option<ComponentWord<'t>> {
        self.literal(Expect::ParenOpen)?;
        let name = self.run(Expect::ComponentChar, |b| b.is_ascii_alphanumeric() || b"/-_".contains(&b));
        let mut meta = None;
        let colon = self.pos;
        if self.literal(Expect::Colon).is_some() {
            let text = self.run(Expect::MetaChar, |b| b.is_ascii_alphanumeric() || b"/=_,".contains(&b));
            if text.is_empty() {
                self.pos = colon;
            } else {
                meta = Some(text);
            }
        }
        self.literal(Expect::ParenClose)?;
        Some(ComponentWord { name, meta })
    }
}

fn is_newline(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\u{2028}' | '\u{2029}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_expectation_is_listed_once() {
        for (index, expect) in Expect::ALL.iter().enumerate() {
            assert_eq!(*expect as usize, index);
            assert!(!expect.description().is_empty());
        }
    }

    #[test]
    fn positions_count_lines_as_the_original_does() {
        let text = "a\r\nb\u{2028}c\rd\n\ne\u{1f600}f";
        let scanner = Scanner::new(text, false);
        let at = |needle: char| scanner.position(text.find(needle).unwrap());
        assert_eq!(at('a'), (1, 1));
        assert_eq!(at('b'), (2, 1));
        assert_eq!(at('c'), (3, 1));
        assert_eq!(at('d'), (4, 1));
        assert_eq!(at('e'), (6, 1));
        assert_eq!(at('f'), (6, 4));
    }

    #[test]
    fn a_dash_in_a_port_needs_leave_and_two_neighbours() {
        let read = |text, dashes| Scanner::new(text, dashes).port_name().unwrap();
        assert_eq!(read("std-dev-x ", true), "std-dev-x");
        assert_eq!(read("std-dev-x ", false), "std");
        assert_eq!(read("OUT->b", true), "OUT");
        assert_eq!(read("OUT-", true), "OUT");
    }

    #[test]
    fn a_failed_token_leaves_the_place_alone() {
        let mut scanner = Scanner::new("a[x] (A", false);
        assert!(scanner.port_before().is_none());
        assert_eq!(scanner.pos, 0);
        assert_eq!(scanner.farthest(), 2);
        scanner.pos = 5;
        assert!(scanner.node().is_none());
        assert_eq!((scanner.pos, scanner.farthest()), (5, 7));
        assert_eq!(scanner.error().expected(), ["\")\"", "\":\"", "[a-zA-Z/\\-0-9_]"]);
    }

    #[test]
    fn an_index_has_a_limit() {
        let mut scanner = Scanner::new("a[004294967295] b[4294967296] ", false);
        assert_eq!(scanner.port_before().unwrap().index, Some(u32::MAX));
        scanner.port_before();
        assert!(scanner.refusal.unwrap().message.contains("4294967295"));
    }
}
