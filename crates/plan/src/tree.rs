//! A YAML or JSON text as a small tree whose nodes carry their places.
//!
//! Only the YAML of a configuration is read: one document of maps, lists and scalars. Anchors, aliases, tags and merge
//! keys are refused, so that a small file cannot expand into a large one. A scalar is a text until its key determines
//! its type.

use saphyr_parser::{Event, Parser, ScalarStyle, StrInput};

use crate::diagnostic::{Notes, Place, quote};

/// The most bytes in one source.
pub const BYTES_MAX: usize = 1 << 20;
/// The most nodes in one source.
pub const NODES_MAX: usize = 250_000;
/// The deepest nesting of lists and maps.
const DEPTH_MAX: usize = 64;

const ALIASES: &str = "aliases (`*name`) are not supported";
const WRITE_OUT: &str =
    "write the value out where it is used; a text that begins with `*` needs quotes";

/// A value in the text, with its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// The place of its first character.
    pub at: Place,
    /// The node's kind, with its content.
    pub kind: Kind,
}

/// The kinds of nodes, with their contents.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// A single value.
    Scalar(Scalar),
    /// A list of values.
    List(Vec<Node>),
    /// A map; its keys are in the order of the text.
    Map(Vec<Entry>),
}

/// A key and its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The key, with quotes and escapes resolved.
    pub key: String,
    /// The place of the key.
    pub at: Place,
    /// The value of the key.
    pub value: Node,
}

/// A text in the file, and its style.
#[derive(Debug, Clone, PartialEq)]
pub struct Scalar {
    /// The text, with quotes and escapes resolved.
    pub text: String,
    /// The notation in the file.
    pub style: Style,
    /// The text before interpolation, if that changed it. Messages show this one.
    pub written: Option<String>,
    /// True if interpolation failed; the fault has been reported, and no other is.
    pub broken: bool,
}

/// The notation of a scalar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Written without quotes.
    Plain,
    /// Within single quotes.
    SingleQuoted,
    /// Within double quotes.
    DoubleQuoted,
    /// A block with its line breaks (`|`).
    Literal,
    /// A block with its lines joined (`>`).
    Folded,
}

/// True if a variable or a file has a place in the text, and not only `$${`.
fn has_place(text: &str) -> bool {
    let mut from = 0;
    while let Some(found) = text[from..].find("${") {
        let start = from + found;
        if !(text[..start].ends_with('$') && found > 0) {
            return true;
        }
        from = start + 2;
    }
    false
}

impl Scalar {
    /// A scalar as the file has it.
    pub fn new(text: String, style: Style) -> Scalar {
        Scalar {
            text,
            style,
            written: None,
            broken: false,
        }
    }

    /// The text for a message, without the content of any variable or file.
    pub fn shown(&self) -> String {
        quote(self.written.as_deref().unwrap_or(&self.text))
    }

    /// True if a variable or a file gave a part of the text, so that it may be a secret.
    pub fn is_filled(&self) -> bool {
        let written = self.written.as_deref();
        written.is_some_and(has_place)
    }

    /// True for a null value (`key:` alone, `~`, `null`).
    pub fn is_null(&self) -> bool {
        self.style == Style::Plain
            && self.written.is_none()
            && matches!(self.text.as_str(), "" | "~" | "null" | "Null" | "NULL")
    }
}

impl Node {
    /// A description of the node, to follow "found".
    pub fn describe(&self) -> String {
        match &self.kind {
            Kind::Scalar(scalar) if scalar.is_null() => "nothing".to_owned(),
            Kind::Scalar(scalar) => scalar.shown(),
            Kind::List(_) => "a list".to_owned(),
            Kind::Map(_) => "a map".to_owned(),
        }
    }

    /// Calls a function for each node one level below this one.
    pub fn each_child(&mut self, mut visit: impl FnMut(&mut Node)) {
        match &mut self.kind {
            Kind::Scalar(_) => {}
            Kind::List(items) => items.iter_mut().for_each(visit),
            Kind::Map(entries) => entries.iter_mut().for_each(|it| visit(&mut it.value)),
        }
    }

    /// The entry of a key; `None` if the node has no such key, or is not a map.
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        match &self.kind {
            Kind::Map(entries) => entries.iter().find(|entry| entry.key == key),
            _ => None,
        }
    }
}

/// Parses one document. `None` after an error, which is in `notes`.
pub fn parse(text: &str, file: usize, notes: &mut Notes) -> Option<Node> {
    let mut builder = Builder {
        nodes: 0,
        stack: Vec::new(),
        root: None,
    };
    let mut parser = Parser::new(StrInput::new(text));
    let mut documents = 0;
    loop {
        let (event, span) = match parser.next_event() {
            None | Some(Ok((Event::StreamEnd, _))) => break,
            Some(Ok(event)) => event,
            Some(Err(error)) => {
                let mark = error.marker();
                let at = place(file, mark.line(), mark.col());
                if error.info().contains("unknown anchor") {
                    return notes.refuse(at, ALIASES, WRITE_OUT);
                }
                let what = format!("invalid YAML: {}", error.info());
                let mend =
                    "check indentation, quotes and brackets on this line and the one before it";
                return notes.refuse(at, what, mend);
            }
        };
        let at = place(file, span.start.line(), span.start.col());
        if let Event::DocumentStart(_) = event {
            documents += 1;
            if documents > 1 {
                let mend = "keep one document a file: remove `---` and what follows, or give it a file of its own";
                return notes.refuse(at, "a second document begins here", mend);
            }
            continue;
        }
        if let Err((at, what, mend)) = builder.take(event, at) {
            return notes.refuse(at, what, mend);
        }
    }
    if builder.root.is_none() {
        notes.error(
            Place::start(file),
            "the file is empty",
            "begin with `listen: 127.0.0.1:8080`, then `upstreams:` and `routes:`; beside an application, with `upstreams:` alone",
        );
    }
    let mut root = builder.root?;
    refuse_duplicates(&mut root, notes);
    Some(root)
}

fn place(file: usize, line: usize, col: usize) -> Place {
    let clamp = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Place {
        file,
        line: clamp(line.max(1)),
        col: clamp(col + 1),
    }
}

/// The error that stopped parsing: place, fault, mend.
type Refusal = (Place, String, &'static str);

struct Builder {
    nodes: usize,
    stack: Vec<Open>,
    root: Option<Node>,
}

/// A list or map whose end has not been reached yet, and the key whose value comes next.
struct Open {
    node: Node,
    key: Option<(String, Place)>,
}

impl Open {
    /// True if the next node is a key.
    fn takes_key(&self) -> bool {
        matches!(self.node.kind, Kind::Map(_)) && self.key.is_none()
    }
}

impl Builder {
    fn take(&mut self, event: Event<'_>, at: Place) -> Result<(), Refusal> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                refuse_extras(anchor, tag.is_some(), at)?;
                self.scalar(text.into_owned(), style, at)
            }
            Event::SequenceStart(anchor, tag) => {
                refuse_extras(anchor, tag.is_some(), at)?;
                self.open(at, Kind::List(Vec::new()))
            }
            Event::MappingStart(anchor, tag) => {
                refuse_extras(anchor, tag.is_some(), at)?;
                self.open(at, Kind::Map(Vec::new()))
            }
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some(Open { node, .. }) = self.stack.pop() {
                    self.add(node);
                }
                Ok(())
            }
            Event::Alias(_) => Err((at, ALIASES.to_owned(), WRITE_OUT)),
            _ => Ok(()),
        }
    }

    fn scalar(&mut self, text: String, style: ScalarStyle, at: Place) -> Result<(), Refusal> {
        self.count(at)?;
        if let Some(open) = self.stack.last_mut().filter(|open| open.takes_key()) {
            open.key = Some((text, at));
            return Ok(());
        }
        let style = match style {
            ScalarStyle::Plain => Style::Plain,
            ScalarStyle::SingleQuoted => Style::SingleQuoted,
            ScalarStyle::DoubleQuoted => Style::DoubleQuoted,
            ScalarStyle::Literal => Style::Literal,
            ScalarStyle::Folded => Style::Folded,
        };
        let kind = Kind::Scalar(Scalar::new(text, style));
        self.add(Node { at, kind });
        Ok(())
    }

    fn open(&mut self, at: Place, kind: Kind) -> Result<(), Refusal> {
        self.count(at)?;
        if self.stack.len() >= DEPTH_MAX {
            let what = format!("lists and maps are nested more than {DEPTH_MAX} deep");
            return Err((at, what, "flatten it"));
        }
        if self.stack.last().is_some_and(Open::takes_key) {
            let what = "a list or map cannot be a key".to_owned();
            return Err((at, what, "use a plain word as the key"));
        }
        let node = Node { at, kind };
        self.stack.push(Open { node, key: None });
        Ok(())
    }

    fn add(&mut self, value: Node) {
        let Some(Open { node, key }) = self.stack.last_mut() else {
            self.root = Some(value);
            return;
        };
        match &mut node.kind {
            Kind::List(items) => items.push(value),
            Kind::Map(entries) => {
                let (key, at) = key.take().unwrap_or((String::new(), value.at));
                entries.push(Entry { key, at, value });
            }
            Kind::Scalar(_) => {}
        }
    }

    fn count(&mut self, at: Place) -> Result<(), Refusal> {
        self.nodes += 1;
        if self.nodes > NODES_MAX {
            let what = format!("the file has more than {NODES_MAX} keys and values");
            return Err((at, what, "split it into several files"));
        }
        Ok(())
    }
}

fn refuse_extras(anchor: usize, tagged: bool, at: Place) -> Result<(), Refusal> {
    if anchor != 0 {
        let what = "anchors (`&name`) are not supported".to_owned();
        let mend = "remove the anchor and write the value out where it is used";
        return Err((at, what, mend));
    }
    if tagged {
        let what = "tags (`!name`) are not supported".to_owned();
        let mend = "remove the tag; the key decides what its value means";
        return Err((at, what, mend));
    }
    Ok(())
}

/// Reports keys that occur twice in a map, and keeps the first of each.
fn refuse_duplicates(node: &mut Node, notes: &mut Notes) {
    if let Kind::Map(entries) = &mut node.kind {
        let mut seen = std::collections::HashMap::new();
        entries.retain(|entry| match seen.get(&entry.key) {
            Some(line) => {
                let key = quote(&entry.key);
                let what = format!("the key {key} is already given in line {line}");
                notes.error(entry.at, what, "remove one of the two");
                false
            }
            None => {
                seen.insert(entry.key.clone(), entry.at.line);
                true
            }
        });
    }
    node.each_child(|child| refuse_duplicates(child, notes));
}

/// The place in the file of the character at `offset` of a scalar's text; the scalar's own place if that is unknown
/// (folded lines, interpolated texts).
pub fn place_within(lines: &[&str], at: Place, scalar: &Scalar, offset: usize) -> Place {
    let text = scalar.written.as_deref().unwrap_or(&scalar.text);
    let line = |number: u32| {
        lines
            .get(number as usize - 1)
            .map(|line| line.trim_end_matches('\r'))
    };
    let written = line(at.line).map(|line| line.chars().skip(at.col as usize - 1));
    let shift = |columns: usize| Place {
        col: at.col + columns as u32,
        ..at
    };
    match (scalar.style, written) {
        (_, None) => at,
        (Style::Plain, Some(written)) => {
            let same = written
                .zip(text.chars())
                .take_while(|(a, b)| a == b)
                .count();
            if same >= offset { shift(offset) } else { at }
        }
        (Style::SingleQuoted, Some(written)) => {
            let mut written = written.skip(1).peekable();
            let mut columns = 1;
            for _ in 0..offset {
                let Some(c) = written.next() else { return at };
                columns += 1;
                if c == '\'' && written.next_if_eq(&'\'').is_some() {
                    columns += 1;
                }
            }
            shift(columns)
        }
        (Style::DoubleQuoted, Some(written)) => {
            let mut written = written.skip(1);
            let mut columns = 1;
            for _ in 0..offset {
                let Some(c) = written.next() else { return at };
                columns += 1;
                if c == '\\' {
                    let digits = match written.next() {
                        None => return at,
                        Some('x') => 2,
                        Some('u') => 4,
                        Some('U') => 8,
                        Some(_) => 0,
                    };
                    let number: String = written.by_ref().take(digits).collect();
                    columns += 1 + digits;
                    // JSON escapes characters beyond 16 bits as two halves: `\ud83d\ude00`.
                    let code = u32::from_str_radix(&number, 16).unwrap_or_default();
                    if (0xd800..0xdc00).contains(&code) {
                        columns += written.by_ref().take(6).count();
                    }
                }
            }
            shift(columns)
        }
        (Style::Literal, _) => {
            let before: String = text.chars().take(offset).collect();
            let row = before.matches('\n').count();
            let col = before.chars().rev().take_while(|c| *c != '\n').count();
            let header = (at.line..at.line + 2)
                .find(|number| line(*number).is_some_and(|line| line.contains('|')));
            let number = header.unwrap_or(at.line) + 1 + row as u32;
            let (Some(content), Some(raw)) = (text.lines().nth(row), line(number)) else {
                return at;
            };
            match raw.find(content) {
                Some(bytes) => {
                    let indent = raw[..bytes].chars().count();
                    Place {
                        line: number,
                        col: (indent + col + 1) as u32,
                        ..at
                    }
                }
                None => at,
            }
        }
        (Style::Folded, _) => at,
    }
}
