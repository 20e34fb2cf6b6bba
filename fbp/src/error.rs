//! What can go wrong in reading and writing graphs.

use std::fmt;

use crate::validate::Fault;

/// Why a graph could not be read or written.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A `.fbp` text that breaks the grammar.
    #[error("line {line}, column {column}: {}", syntax_message(expected, *found))]
    Syntax {
        /// From 1. A CRLF counts as one line end.
        line: usize,
        /// From 1, in UTF-16 units as in most editors and in the original parser.
        column: usize,
        /// Everything that could have stood there, in the original parser's notation, sorted.
        expected: Vec<String>,
        /// What stood there; `None` is the end of the text.
        found: Option<char>,
    },
    /// A `.fbp` text that reads well but does not make a graph.
    #[error("line {line}, column {column}: {}", fault.message)]
    Content {
        /// From 1.
        line: usize,
        /// From 1, in UTF-16 units.
        column: usize,
        /// What is wrong with the graph.
        fault: Fault,
    },
    /// A `.fbp` text with a value that this program does not hold.
    #[error("line {line}, column {column}: {message}")]
    Refused {
        /// From 1.
        line: usize,
        /// From 1, in UTF-16 units.
        column: usize,
        /// What is wrong, with the limit.
        message: String,
    },
    /// A text that is not JSON.
    #[error("line {line}, column {column}: not JSON: {message}")]
    NotJson {
        /// From 1.
        line: usize,
        /// From 1, in bytes; 0 before the first.
        column: usize,
        /// What is wrong.
        message: String,
    },
    /// JSON that is not a graph.
    #[error("{path}: {message}")]
    Json {
        /// Where, such as `connections[3].tgt.process`; `graph` for the whole.
        path: String,
        /// What is wrong and what would be right.
        message: String,
    },
    /// A graph that the `.fbp` form cannot hold.
    #[error("the .fbp form cannot hold this graph, the JSON form can: {}", Joined(.0))]
    Unwritable(Vec<Unwritable>),
}

/// A part of a graph that the `.fbp` form cannot hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unwritable {
    /// Where in the JSON form, such as `processes.cut.metadata.x`.
    pub place: String,
    /// Why not.
    pub reason: String,
}

impl fmt::Display for Unwritable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.reason)
    }
}

impl Error {
    /// The line it happened in, from 1, if it is about a text.
    pub fn line(&self) -> Option<usize> {
        self.position().map(|(line, _)| line)
    }

    /// The column it happened in, from 1, if it is about a text.
    pub fn column(&self) -> Option<usize> {
        self.position().map(|(_, column)| column)
    }

    /// What could have stood there, of a syntax error; empty otherwise.
    pub fn expected(&self) -> &[String] {
        match self {
            Self::Syntax { expected, .. } => expected,
            _ => &[],
        }
    }

    /// What stood there instead, of a syntax error; `None` is the end of the text.
    pub fn found(&self) -> Option<char> {
        match self {
            Self::Syntax { found, .. } => *found,
            _ => None,
        }
    }

    /// The text without the position. For syntax and content errors these are the words of the
    /// original parser.
    pub fn message(&self) -> String {
        match self {
            Self::Syntax { expected, found, .. } => syntax_message(expected, *found),
            Self::Content { fault, .. } => fault.message.clone(),
            Self::Refused { message, .. } | Self::NotJson { message, .. } => message.clone(),
            Self::Json { .. } | Self::Unwritable(_) => self.to_string(),
        }
    }

    fn position(&self) -> Option<(usize, usize)> {
        match self {
            Self::Syntax { line, column, .. }
            | Self::Content { line, column, .. }
            | Self::Refused { line, column, .. }
            | Self::NotJson { line, column, .. } => Some((*line, *column)),
            Self::Json { .. } | Self::Unwritable(_) => None,
        }
    }
}

struct Joined<'a>(&'a [Unwritable]);

impl fmt::Display for Joined<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, part) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("; ")?;
            }
            part.fmt(f)?;
        }
        Ok(())
    }
}

/// The sentence that PEG.js makes of an expectation.
fn syntax_message(expected: &[String], found: Option<char>) -> String {
    let wanted = match expected {
        [] => String::new(),
        [one] => one.clone(),
        [others @ .., last] => format!("{} or {last}", others.join(", ")),
    };
    match found {
        None => format!("Expected {wanted} but end of input found."),
        Some(found) => format!("Expected {wanted} but \"{}\" found.", escaped(found)),
    }
}

fn escaped(c: char) -> String {
    match c {
        '\\' => "\\\\".to_owned(),
        '"' => "\\\"".to_owned(),
        '\u{8}' => "\\b".to_owned(),
        '\t' => "\\t".to_owned(),
        '\n' => "\\n".to_owned(),
        '\u{c}' => "\\f".to_owned(),
        '\r' => "\\r".to_owned(),
        '\0'..='\x1f' | '\u{80}'..='\u{ff}' => format!("\\x{:02X}", u32::from(c)),
        ' '..='\x7f' => c.to_string(),
        _ => {
            let mut units = [0; 2];
            c.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04X}")).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_syntax_error_reads_as_in_the_original() {
        let error =
            Error::Syntax { line: 2, column: 3, expected: vec!["\"(\"".into(), "number".into()], found: Some('"') };
        assert_eq!(error.to_string(), "line 2, column 3: Expected \"(\" or number but \"\\\"\" found.");
        assert_eq!(error.message(), "Expected \"(\" or number but \"\\\"\" found.");
        assert_eq!((error.line(), error.column(), error.found()), (Some(2), Some(3), Some('"')));
        let end = Error::Syntax { line: 1, column: 1, expected: vec!["\")\"".into()], found: None };
        assert_eq!(end.message(), "Expected \")\" but end of input found.");
    }

    #[test]
    fn odd_characters_are_escaped() {
        let shown: Vec<String> = "a\\\u{1}\u{e9}\u{2028}\u{feff}\u{1f600}".chars().map(escaped).collect();
        assert_eq!(shown, ["a", "\\\\", "\\x01", "\\xE9", "\\u2028", "\\uFEFF", "\\uD83D\\uDE00"]);
    }

    #[test]
    fn everything_unwritable_is_listed() {
        let part = |place: &str| Unwritable { place: place.into(), reason: "no".into() };
        let error = Error::Unwritable(vec![part("groups"), part("properties.icon")]);
        assert!(error.to_string().ends_with("groups: no; properties.icon: no"), "{error}");
        assert_eq!(error.line(), None);
    }
}
