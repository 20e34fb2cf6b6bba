//! Texts that mean harm, or none at all: whatever comes in, reading ends, and what was read holds
//! together.

use serde_json::{Map, Value};

use crate::{Error, Graph, ParseOptions, parse, to_fbp, to_fbp_lossy};

/// A small generator of equal numbers everywhere (xorshift64*).
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % end
    }

    /// `text` with some characters dropped, doubled, exchanged or replaced.
    fn mutated(&mut self, text: &str) -> String {
        const NEW: &[char] = &[
            '(',
            ')',
            '[',
            ']',
            '{',
            '}',
            '\'',
            '"',
            '\\',
            '-',
            '>',
            '#',
            '@',
            '!',
            ':',
            '.',
            ',',
            '=',
            ' ',
            '\n',
            '\r',
            '\t',
            '\0',
            '0',
            '9',
            'e',
            'a',
            'Z',
            '_',
            '\u{e9}',
            '\u{2028}',
            '\u{1f600}',
            '\u{feff}',
        ];
        let mut chars: Vec<char> = text.chars().collect();
        for _ in 0..=self.below(4) {
            let at = self.below(chars.len() + 1);
            match self.below(4) {
                0 if at < chars.len() => drop(chars.remove(at)),
                1 if at < chars.len() => chars[at] = NEW[self.below(NEW.len())],
                2 if !chars.is_empty() => {
                    let end = chars.len().min(at + self.below(12));
                    let part = chars[at..end].to_vec();
                    let to = self.below(chars.len() + 1);
                    chars.splice(to..to, part);
                }
                _ => chars.insert(at, NEW[self.below(NEW.len())]),
            }
        }
        chars.into_iter().collect()
    }
}

const FBP: &str = "# @runtime imgflo\n# !runtime other\nINPORT=cut.INPUT:INPUT\r\nOUTPORT=end.OUT:OUT # c\n\
    DEFAULT_INPORT=input\n'it\\'s' -> S cut(gegl/crop:x=1,y=2,main) OUT[1] -> IN[0] end(gegl/nop)\n\
    {\"a\": [1, -2.5e3, \"\\u00e9\\n\", null]} -> DATA cut, 1.5 -> std-dev-x end\n(x/y-z) -> (x/y-z) OUT -> cut\n";

const JSON: &str = r#"{"caseSensitive":false,"properties":{"name":"n","environment":{"type":"imgflo"}},
    "inports":{"input":{"process":"cut","port":"input","metadata":{"x":1.5}}},"outports":{},
    "groups":[{"name":"g","nodes":["cut"]}],"processes":{"cut":{"component":"gegl/crop","metadata":{"x":1}}},
    "connections":[{"data":"\u00e9'\\","tgt":{"process":"cut","port":"IN","index":0},"metadata":{"route":null}},
    {"src":{"process":"cut","port":"out"},"tgt":{"process":"cut","port":"in"}}]}"#;

/// What holds for every graph that was read.
fn holds_together(graph: &Graph, from: &str) {
    let json = graph.to_json();
    let again = Graph::from_json_str(&json.to_string()).unwrap_or_else(|error| panic!("{from:?}: {error}"));
    assert_eq!(again.to_json(), json, "{from:?}");
    assert_eq!(again.canonical(), graph.canonical(), "{from:?}");
    graph.validate();
    match to_fbp(graph) {
        Ok(text) => {
            let strict = ParseOptions { extensions: false, ..ParseOptions::default() };
            let again = parse(&text, &strict).unwrap_or_else(|error| panic!("{from:?} -> {text:?}: {error}"));
            assert_eq!(&again, graph, "{from:?} -> {text:?}");
            assert_eq!(again.canonical(), graph.canonical(), "{from:?}");
        }
        Err(Error::Unwritable(parts)) => assert!(!parts.is_empty()),
        Err(other) => panic!("{from:?}: {other}"),
    }
    match to_fbp_lossy(graph) {
        Ok((text, lost)) => {
            let again = parse(&text, &ParseOptions::default());
            let again = again.unwrap_or_else(|error| panic!("{from:?} -> {text:?}: {error}"));
            assert_eq!(again, graph.writable(), "{from:?} -> {text:?}");
            assert_eq!(lost.is_empty(), to_fbp(graph).is_ok(), "{from:?}: {lost:?}");
        }
        Err(Error::Unwritable(parts)) => assert!(!parts.is_empty() && to_fbp(graph).is_err()),
        Err(other) => panic!("{from:?}: {other}"),
    }
}

#[test]
fn mutated_fbp_texts_do_no_harm() {
    let mut chance = Chance(1);
    let mut read = 0;
    for _ in 0..6000 {
        let text = chance.mutated(FBP);
        for validate in [true, false] {
            let options = ParseOptions { validate, ..ParseOptions::default() };
            match parse(&text, &options) {
                Ok(graph) => {
                    read += 1;
                    holds_together(&graph, &text);
                }
                Err(error) => {
                    assert!(error.line() >= Some(1) && error.column() >= Some(1), "{text:?}");
                    assert!(!error.message().is_empty());
                }
            }
        }
    }
    assert!(read > 1000, "only {read} texts were graphs");
}

#[test]
fn mutated_json_texts_do_no_harm() {
    let mut chance = Chance(2);
    let mut read = 0;
    for _ in 0..6000 {
        let text = chance.mutated(JSON);
        if let Ok(graph) = Graph::from_json_str(&text) {
            read += 1;
            holds_together(&graph, &text);
        }
    }
    assert!(read > 500, "only {read} texts were graphs");
}

/// Replaces values in a well-formed graph, so that the types are wrong and not the syntax.
#[test]
fn json_of_the_wrong_shape_does_no_harm() {
    let mut chance = Chance(3);
    let odd: [Value; 7] =
        [(-1).into(), 0.5.into(), "x".into(), true.into(), Value::Null, vec![1].into(), Value::Object(Map::new())];
    let (mut read, mut refused) = (0, 0);
    for _ in 0..3000 {
        let mut json: Value = serde_json::from_str(JSON).unwrap();
        let mut place = &mut json;
        for _ in 0..=chance.below(4) {
            let count = place.as_object().map_or(0, Map::len) + place.as_array().map_or(0, Vec::len);
            if count == 0 {
                break;
            }
            let at = chance.below(count);
            place = match place {
                Value::Object(map) => map.values_mut().nth(at),
                Value::Array(items) => items.get_mut(at),
                _ => None,
            }
            .expect("there are so many");
        }
        *place = odd[chance.below(odd.len())].clone();
        match Graph::from_json(&json) {
            Ok(graph) => {
                read += 1;
                holds_together(&graph, &json.to_string());
            }
            Err(Error::Json { path, .. }) => {
                refused += 1;
                assert!(!path.is_empty());
            }
            Err(other) => panic!("{json}: {other}"),
        }
    }
    assert!(read > 300 && refused > 300, "{read} read, {refused} refused");
}

#[test]
fn every_prefix_of_a_text_does_no_harm() {
    for end in (0..=FBP.len()).filter(|end| FBP.is_char_boundary(*end)) {
        if let Ok(graph) = parse(&FBP[..end], &ParseOptions::default()) {
            holds_together(&graph, &FBP[..end]);
        }
    }
}

/// A quadratic reader would need hours for these, a recursive one more stack than there is.
#[test]
fn a_million_characters_are_read_in_one_go() {
    const SIZE: usize = 1_000_000;
    let fill = |part: &str| part.repeat(SIZE / part.len());
    let read = [
        fill("n(C) "),
        fill("a(A) OUT -> IN a\n"),
        fill("# a comment\n"),
        fill("# @a "),
        fill("\n"),
        format!("{}a(A)", fill("a(A) -> ")),
        format!("'{}' -> IN a(A)", fill("\\'x")),
        format!("\"{}\" -> IN a(A)", fill("\\u00e9")),
        format!("[{}1] -> IN a(A)", fill("1,")),
        format!("{}1 -> IN a(A)", fill(" \t")).split_off(1),
        fill("(C),"),
        fill("x "),
        fill("INPORT=a(A).i:i\n"),
        format!("a({}:x=1)", fill("c")),
        format!("a(A:{})", fill("k=v,")),
        format!("a(A) -> IN{} a", fill(".x")),
    ];
    for text in &read {
        let graph = parse(text, &ParseOptions::default());
        let graph = graph.unwrap_or_else(|error| panic!("{}: {error}", &text[..40]));
        assert!(!graph.canonical().is_empty());
        to_fbp(&graph).expect("a graph read from .fbp can be written");
    }
    let refused = [
        fill("a -> "),
        fill("1 -> "),
        fill("a-b -> c-d "),
        fill(" "),
        fill("("),
        fill("'"),
        fill("\""),
        fill("["),
        fill("{\"a\":"),
        fill("[[1],"),
        fill("a["),
        fill("->"),
        fill("\t\n"),
        fill("\\'"),
        fill("INPORT="),
        format!("'{}", fill("x")),
        format!("a(A) -> IN[{}] a", fill("9")),
        format!("{} -> IN a(A)", fill("9")),
    ];
    for text in &refused {
        assert!(parse(text, &ParseOptions::default()).is_err(), "{}", &text[..40]);
    }
}
