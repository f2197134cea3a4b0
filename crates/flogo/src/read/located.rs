//! A JSON text as the tree of the native form: every key and value with its line and column.
//!
//! The YAML reader is unsuitable: it reads `\ud83d\ude00` as two broken characters and rejects tabs. So serde_json
//! validates the text and decodes its strings, and a walk over the text finds the place of each part.

use fusebox_plan::dialect::{Entry, Kind, NODES_MAX, Node, Notes, Place, Scalar, Style, quote};

use crate::Value;

/// The error of a text that is not JSON: its place, and the parser's message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NotJson {
    pub at: Place,
    pub what: String,
}

/// Parses a JSON document.
///
/// # Errors
/// The place and the message of the fault. Objects and lists may be nested up to 127 deep.
pub(crate) fn parse(text: &str, file: usize) -> Result<Node, NotJson> {
    if let Err(error) = serde_json::from_str::<serde_json::Value>(text) {
        // serde_json counts columns in bytes.
        let line = text.split('\n').nth(error.line().saturating_sub(1));
        let before = line.and_then(|line| line.get(..error.column().saturating_sub(1)));
        let col = before.map_or(error.column(), |before| before.chars().count() + 1);
        let message = error.to_string();
        let what = message.split(" at line ").next().unwrap_or(&message);
        return Err(NotJson {
            at: Place {
                file,
                line: clamp(error.line().max(1)),
                col: clamp(col.max(1)),
            },
            what: what.to_owned(),
        });
    }
    let mut walk = Walk {
        text,
        at: 0,
        line: 1,
        line_start: 0,
        counted: (0, 0),
        file,
        nodes: 0,
    };
    walk.node()
}

fn clamp(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// A walk over a text that is valid JSON.
struct Walk<'t> {
    text: &'t str,
    /// The offset of the next byte.
    at: usize,
    line: usize,
    line_start: usize,
    /// A byte of the current line, and the number of characters before it, so that a file of one long line is counted
    /// once and not for every value.
    counted: (usize, usize),
    file: usize,
    nodes: usize,
}

impl Walk<'_> {
    fn node(&mut self) -> Result<Node, NotJson> {
        self.blanks();
        let at = self.place();
        self.nodes += 1;
        if self.nodes > NODES_MAX {
            return Err(NotJson {
                at,
                what: format!("the file has more than {NODES_MAX} keys and values"),
            });
        }
        let kind = match self.peek() {
            Some(b'{') => self.map()?,
            Some(b'[') => self.list()?,
            Some(b'"') => Kind::Scalar(Scalar::new(self.string(), Style::DoubleQuoted)),
            _ => Kind::Scalar(Scalar::new(self.word().to_owned(), Style::Plain)),
        };
        Ok(Node { at, kind })
    }

    fn map(&mut self) -> Result<Kind, NotJson> {
        let mut entries = Vec::new();
        self.at += 1;
        while self.more(b'}') {
            let at = self.place();
            let key = self.string();
            self.blanks();
            self.at += 1;
            let value = self.node()?;
            entries.push(Entry { key, at, value });
        }
        Ok(Kind::Map(entries))
    }

    fn list(&mut self) -> Result<Kind, NotJson> {
        let mut items = Vec::new();
        self.at += 1;
        while self.more(b']') {
            items.push(self.node()?);
        }
        Ok(Kind::List(items))
    }

    /// Skips blanks and a comma; false once the closing bracket is skipped too.
    fn more(&mut self, close: u8) -> bool {
        self.blanks();
        if self.peek() == Some(b',') {
            self.at += 1;
            self.blanks();
        }
        let ended = self.peek().is_none_or(|byte| byte == close);
        if ended {
            self.at += 1;
        }
        !ended
    }

    fn string(&mut self) -> String {
        let start = self.at;
        self.at += 1;
        while let Some(byte) = self.peek() {
            self.at += if byte == b'\\' { 2 } else { 1 };
            if byte == b'"' {
                break;
            }
        }
        let written = &self.text[start..self.at.min(self.text.len())];
        serde_json::from_str(written).expect("serde_json has read this text before")
    }

    fn word(&mut self) -> &str {
        let start = self.at;
        let ends = |byte: u8| matches!(byte, b',' | b']' | b'}') || byte.is_ascii_whitespace();
        while self.peek().is_some_and(|byte| !ends(byte)) {
            self.at += 1;
        }
        &self.text[start..self.at]
    }

    fn blanks(&mut self) {
        while let Some(byte) = self.peek().filter(u8::is_ascii_whitespace) {
            self.at += 1;
            if byte == b'\n' {
                self.line += 1;
                self.line_start = self.at;
                self.counted = (self.at, 0);
            }
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn place(&mut self) -> Place {
        let (from, chars) = self.counted;
        let chars = chars + self.text[from..self.at].chars().count();
        self.counted = (self.at, chars);
        Place {
            file: self.file,
            line: clamp(self.line),
            col: clamp(chars + 1),
        }
    }
}

/// Reports keys that occur twice in an object. Flogo silently takes the last.
pub(crate) fn refuse_duplicates(node: &Node, notes: &mut Notes) {
    match &node.kind {
        Kind::Scalar(_) => {}
        Kind::List(items) => items.iter().for_each(|item| refuse_duplicates(item, notes)),
        Kind::Map(entries) => {
            let mut seen = std::collections::HashMap::new();
            for entry in entries {
                if let Some(Place { line, .. }) = seen.insert(&entry.key, entry.at) {
                    let key = quote(&entry.key);
                    let what = format!("the key {key} is already given in line {line}");
                    notes.error(entry.at, what, "keep one of the two");
                }
                refuse_duplicates(&entry.value, notes);
            }
        }
    }
}

/// Converts a tree to a value; numbers become 64-bit floats, as in Go.
pub(crate) fn value(node: &Node) -> Value {
    match &node.kind {
        Kind::Scalar(scalar) if scalar.style == Style::DoubleQuoted => {
            Value::from(scalar.text.as_str())
        }
        Kind::Scalar(scalar) => match scalar.text.as_str() {
            "null" => Value::Null,
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            number => Value::Float(number.parse().unwrap_or(f64::NAN)),
        },
        Kind::List(items) => Value::from(items.iter().map(value).collect::<Vec<_>>()),
        Kind::Map(entries) => Value::from(
            entries
                .iter()
                .map(|entry| (entry.key.as_str().into(), value(&entry.value)))
                .collect::<crate::Map>(),
        ),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test")]

    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_part_has_its_line_and_column() {
        let root = parse("{\n\t\"é\": [1,\r\n  \"a\\u00e9\\ud83d\\ude00\\/\" ] }", 3).unwrap();
        let entry = root.entry("é").unwrap();
        assert_eq!((entry.at.file, entry.at.line, entry.at.col), (3, 2, 2));
        let Kind::List(items) = &entry.value.kind else {
            panic!("a list");
        };
        assert_eq!((entry.value.at.line, entry.value.at.col), (2, 7));
        assert_eq!((items[0].at.line, items[0].at.col), (2, 8));
        assert_eq!((items[1].at.line, items[1].at.col), (3, 3));
        assert_eq!(value(&items[1]), Value::from("aé😀/"));
    }

    #[test]
    fn text_that_is_not_json_is_an_error_with_its_place() {
        for (text, line, col) in [
            ("{\"a\": 1,}", 1, 9),
            ("{\n\"é\": tru }", 2, 9),
            ("{", 1, 1),
            ("{} x", 1, 4),
            ("{\"a\": \"\n\"}", 2, 1),
            ("{\"a\": 1e999}", 1, 11),
        ] {
            let fault = parse(text, 0).unwrap_err();
            assert_eq!(fault.at.line, line, "{text}: {fault:?}");
            assert!(fault.at.col.abs_diff(col) <= 1, "{text}: {fault:?}");
        }
    }

    #[test]
    fn deep_nesting_is_refused() {
        let deep = "[".repeat(100_000);
        assert!(parse(&deep, 0).is_err());
        let deep = format!("{}{}", "[".repeat(120), "]".repeat(120));
        assert!(parse(&deep, 0).is_ok());
    }

    #[test]
    fn a_key_that_is_given_twice_is_reported() {
        let mut notes = Notes::default();
        refuse_duplicates(&parse(r#"{"a":{"b":1,"b":2}}"#, 0).unwrap(), &mut notes);
        let diagnostics = notes.finish(&["x.json"]);
        assert_eq!(
            diagnostics[0].to_string(),
            "x.json:1:13: error: the key `b` is already given in line 1; keep one of the two"
        );
    }

    fn document() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(serde_json::Value::from),
            any::<i64>().prop_map(serde_json::Value::from),
            any::<u64>().prop_map(serde_json::Value::from),
            // serde_json rounds longer ones differently from Go and from us.
            any::<i32>().prop_map(|eighths| (f64::from(eighths) / 8.0).into()),
            any::<String>().prop_map(serde_json::Value::from),
        ];
        leaf.prop_recursive(5, 64, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(serde_json::Value::from),
                prop::collection::btree_map(any::<String>(), inner, 0..6)
                    .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
            ]
        })
    }

    /// A document as text, with every kind of blank and every escape of JSON.
    fn written(document: &serde_json::Value, pretty: bool, escaped: bool) -> String {
        let text = if pretty {
            serde_json::to_string_pretty(document)
                .unwrap()
                .replace("\n  ", "\r\n\t ")
        } else {
            document.to_string()
        };
        if !escaped {
            return text;
        }
        let mut out = String::new();
        for c in text.chars() {
            if c.is_ascii() {
                out.push(c);
            } else {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    out.push_str(&format!("\\u{unit:04X}"));
                }
            }
        }
        out
    }

    proptest! {
        #[test]
        fn a_document_reads_as_serde_json_reads_it(
            document in document(),
            pretty in any::<bool>(),
            escaped in any::<bool>(),
        ) {
            let text = written(&document, pretty, escaped);
            let expected: serde_json::Value = serde_json::from_str(&text).unwrap();
            let node = parse(&text, 0).unwrap();
            prop_assert_eq!(value(&node), Value::from_json(&expected));
        }

        #[test]
        fn a_place_points_at_the_value(document in document(), pretty in any::<bool>()) {
            let text = written(&document, pretty, false);
            let lines: Vec<&str> = text.split('\n').collect();
            let mut nodes = vec![parse(&text, 0).unwrap()];
            while let Some(node) = nodes.pop() {
                let line = lines[node.at.line as usize - 1];
                let found = line.chars().nth(node.at.col as usize - 1);
                match node.kind {
                    Kind::Map(entries) => {
                        prop_assert_eq!(found, Some('{'));
                        nodes.extend(entries.into_iter().map(|entry| entry.value));
                    }
                    Kind::List(items) => {
                        prop_assert_eq!(found, Some('['));
                        nodes.extend(items);
                    }
                    Kind::Scalar(scalar) if scalar.style == Style::DoubleQuoted => {
                        prop_assert_eq!(found, Some('"'));
                    }
                    Kind::Scalar(scalar) => {
                        prop_assert_eq!(found, scalar.text.chars().next());
                    }
                }
            }
        }

        #[test]
        fn no_text_makes_the_walk_panic(text in "[\\[\\]{}:,\"\\\\u0-9a-f \n\ttrueé]{0,64}") {
            let read = serde_json::from_str::<serde_json::Value>(&text).is_ok();
            prop_assert_eq!(parse(&text, 0).is_ok(), read);
        }
    }
}
