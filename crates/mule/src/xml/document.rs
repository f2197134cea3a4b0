//! From a file's text to its elements.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use fusebox_plan::dialect::{NODES_MAX, Notes, Place, nearest, quote};

use super::cursor::{Cursor, is_name_start, is_space};
use super::modules::{Bindings, split, title};
use super::quoting::LOOKAHEAD_MAX;
use super::tag::{Tag, within};
use super::value::{Part, Value};
use super::{Attribute, DEPTH_MAX, Element, start_of};
use crate::app::Compat;

/// The limit of errors reported for one file.
const FAULTS_MAX: usize = 100;

/// Reads a file: the children of its root `<mule>`, or its top-level elements.
///
/// `None`: there are errors, which are in the notes.
pub(crate) fn parse(
    text: &str,
    file: usize,
    compat: Compat,
    notes: &mut Notes,
) -> Option<Vec<Element>> {
    let errors = notes.errors();
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = Reader {
        cursor: Cursor::new(text, file),
        compat,
        notes,
        lookahead: LOOKAHEAD_MAX,
        start: start_of(file),
        faults_max: errors + FAULTS_MAX,
        bindings: Bindings::default(),
        foreign: HashSet::new(),
        open: Vec::new(),
        top: Vec::new(),
        count: 0,
    };
    if reader.read().is_ok() {
        reader.finish();
    }
    let top = reader.top;
    (notes.errors() == errors).then_some(top)
}

/// An error that ends reading; it has been reported.
pub(super) struct Stop;

/// The state of reading a file.
pub(super) struct Reader<'a, 'n> {
    pub cursor: Cursor<'a>,
    pub compat: Compat,
    pub notes: &'n mut Notes,
    /// The remaining bytes of fruitless look-ahead.
    pub lookahead: usize,
    /// The place where the file begins.
    start: Place,
    faults_max: usize,
    bindings: Bindings,
    /// The prefixes with foreign namespaces that have been reported.
    foreign: HashSet<(Arc<str>, Arc<str>)>,
    open: Vec<Open<'a>>,
    top: Vec<Element>,
    count: usize,
}

/// An element whose end tag is still to come.
struct Open<'a> {
    element: Element,
    /// The name as written.
    name: &'a str,
    text: Value,
    /// The number of prefixes that were bound before it.
    bindings: usize,
}

impl<'a> Reader<'a, '_> {
    pub fn error(&mut self, at: Place, what: impl Into<String>, mend: impl Into<String>) {
        self.notes.error(at, what, mend);
    }

    /// Reports a deviation from XML that can be read: a warning in `intent`, an error in `strict`.
    pub fn tolerate(&mut self, at: Place, what: &str, mend: &str) {
        match self.compat {
            Compat::Intent => self
                .notes
                .warn(at, format!("{what}; it is read as written"), mend),
            Compat::Strict => self.error(at, what, mend),
        }
    }

    fn read(&mut self) -> Result<(), Stop> {
        loop {
            let rest = self.cursor.rest();
            let at = self.cursor.place();
            if rest.is_empty() {
                return Ok(());
            }
            if self.notes.errors() >= self.faults_max {
                let what = "too many errors; the rest of the file was not read";
                self.error(at, what, "fix those above first");
                return Err(Stop);
            }
            let Some(markup) = rest.strip_prefix('<') else {
                self.text();
                continue;
            };
            if markup.starts_with("!--") {
                self.comment()?;
            } else if markup.starts_with("![CDATA[") {
                self.cdata()?;
            } else if markup.starts_with('!') {
                return self.refuse_declaration();
            } else if markup.starts_with('?') {
                self.instruction()?;
            } else if markup.starts_with('/') {
                self.end_tag();
            } else if markup.starts_with(is_name_start) {
                let tag = self.tag()?;
                self.begin(tag)?;
            } else {
                let what = "a bare `<` in a text is not XML";
                self.tolerate(
                    at,
                    what,
                    "write `&lt;`, or put the text into `<![CDATA[ ]]>`",
                );
                self.take_text(1, Part::Text);
            }
        }
    }

    fn text(&mut self) {
        let rest = self.cursor.rest();
        let raw = &rest[..rest.find('<').unwrap_or(rest.len())];
        if let Some(end) = raw.find("]]>") {
            let at = within(raw, self.cursor.place(), end);
            self.tolerate(at, "a bare `]]>` in a text is not XML", "write `]]&gt;`");
        }
        self.take_text(raw.len(), Part::Text);
    }

    /// Adds a part to the text of the open element.
    fn take_text(&mut self, length: usize, part: Part) {
        let at = self.cursor.place();
        let raw = self.cursor.take(length);
        match self.open.last_mut() {
            Some(open) => open.text.add(raw, at, part, self.notes),
            None => self.refuse_text(raw, at),
        }
    }

    /// Refuses text outside of all elements.
    fn refuse_text(&mut self, raw: &str, at: Place) {
        if raw.trim().is_empty() {
            return;
        }
        let at = within(raw, at, raw.len() - raw.trim_start().len());
        let what = format!("the text {} belongs to no element", quote(raw.trim()));
        self.error(at, what, "remove it, or make it a comment: `<!-- … -->`");
    }

    fn comment(&mut self) -> Result<(), Stop> {
        let at = self.cursor.place();
        self.cursor.take("<!--".len());
        let start = self.cursor.place();
        let Some(content) = self.cursor.take_through("-->") else {
            self.error(at, "this comment has no end", "close it with `-->`");
            return Err(Stop);
        };
        let last = || content.ends_with('-').then(|| content.len() - 1);
        let doubled = content.find("--").or_else(last);
        if let Some(doubled) = doubled {
            let at = within(content, start, doubled);
            self.tolerate(at, "`--` within a comment is not XML", "write a single `-`");
        }
        Ok(())
    }

    fn cdata(&mut self) -> Result<(), Stop> {
        let at = self.cursor.place();
        self.cursor.take("<![CDATA[".len());
        let rest = self.cursor.rest();
        let Some(length) = rest.find("]]>") else {
            self.error(at, "this `<![CDATA[` has no end", "close it with `]]>`");
            return Err(Stop);
        };
        self.take_text(length, Part::Cdata);
        self.cursor.take("]]>".len());
        Ok(())
    }

    /// Refuses `<!DOCTYPE` and the like, which could expand a small file to a large one, or read other files.
    fn refuse_declaration(&mut self) -> Result<(), Stop> {
        let at = self.cursor.place();
        self.cursor.take("<!".len());
        let name = self.cursor.name();
        let (what, mend) = if name.eq_ignore_ascii_case("doctype") {
            (
                "document types are not supported: their entities are not expanded".to_owned(),
                "remove `<!DOCTYPE …>` and replace its entities by their text",
            )
        } else {
            let shown = quote(&format!("<!{name}"));
            let what = format!("{shown} is not valid in an application");
            (what, "remove it; a comment is `<!-- … -->`")
        };
        self.error(at, what, mend);
        Err(Stop)
    }

    /// Skips a processing instruction, which has no meaning here, or checks the XML declaration.
    fn instruction(&mut self) -> Result<(), Stop> {
        let at = self.cursor.place();
        self.cursor.take("<?".len());
        let target = self.cursor.name();
        let Some(content) = self.cursor.take_through("?>") else {
            let what = format!("{} has no end", quote(&format!("<?{target}")));
            self.error(at, what, "close it with `?>`");
            return Err(Stop);
        };
        if !target.eq_ignore_ascii_case("xml") {
            return Ok(());
        }
        if (at.line, at.col) != (1, 1) {
            let what = "an XML declaration that does not begin the file is not XML";
            self.tolerate(at, what, "remove it");
        }
        if let Some(encoding) = encoding(content)
            && !matches!(
                encoding.to_ascii_lowercase().as_str(),
                "utf-8" | "utf8" | "us-ascii"
            )
        {
            let what = format!("the file declares the encoding {}", quote(encoding));
            let mend = "save it as UTF-8 and declare that: `encoding=\"UTF-8\"`";
            self.error(at, what, mend);
            return Err(Stop);
        }
        Ok(())
    }

    fn begin(&mut self, tag: Tag<'a>) -> Result<(), Stop> {
        self.count += 1;
        let what = if self.open.len() >= DEPTH_MAX {
            format!("more than {DEPTH_MAX} nested elements")
        } else if self.count > NODES_MAX {
            format!("the file has more than {NODES_MAX} elements")
        } else {
            let name = tag.name;
            let bindings = self.bindings.depth();
            let is_empty = tag.is_empty;
            let element = self.element(tag);
            self.open.push(Open {
                element,
                name,
                text: Value::default(),
                bindings,
            });
            if is_empty {
                self.close();
            }
            return Ok(());
        };
        let mend = "split the application into more flows or files";
        self.error(tag.at, what, mend);
        Err(Stop)
    }

    /// Makes the element of a tag, with its names resolved.
    fn element(&mut self, tag: Tag<'a>) -> Element {
        for written in &tag.attributes {
            match split(written.name) {
                ("", "xmlns") => self.bindings.bind("", &written.value.value),
                ("xmlns", prefix) => self.bindings.bind(prefix, &written.value.value),
                _ => {}
            }
        }
        let (prefix, local) = split(tag.name);
        if local.is_empty() || local.contains(':') {
            let what = format!("{} is not an element name", quote(tag.name));
            self.error(tag.at, what, "write `name`, or `module:name`");
        }
        let module = match self.bindings.module(prefix) {
            Ok(module) => module,
            Err(foreign) => {
                let which = match prefix {
                    "" => "xmlns".to_owned(),
                    prefix => format!("xmlns:{prefix}"),
                };
                let what = format!(
                    "{} is bound to {}, which is not a namespace of Mule",
                    quote(&which),
                    quote(&foreign.address)
                );
                let mend = format!("write `{which}=\"{}\"`", foreign.expected);
                // One binding is one fault, however many elements it covers.
                if self.foreign.insert((prefix.into(), foreign.address)) {
                    self.error(tag.at, what, mend);
                }
                prefix.into()
            }
        };
        let mut attributes: Vec<Attribute> = Vec::new();
        let mut seen: HashMap<String, Place> = HashMap::new();
        for written in tag.attributes {
            let (prefix, local) = split(written.name);
            // An attribute without a prefix belongs to its element, not to the default namespace.
            let module = match prefix {
                "" | "xmlns" | "xml" => None,
                prefix => self.bindings.module(prefix).ok(),
            };
            let name = match module {
                Some(module) => title(&module, local),
                None => written.name.to_owned(),
            };
            if let Some(first) = seen.insert(name.clone(), written.at) {
                let what = format!("the attribute {} is given twice", quote(&name));
                let mend = format!("keep one; the first is in line {}", first.line);
                self.error(written.at, what, mend);
                continue;
            }
            let ignored =
                ["doc", "xsi", "xml", "xmlns"].contains(&split(&name).0) || name == "xmlns";
            if !ignored {
                attributes.push(Attribute {
                    name: name.into(),
                    at: written.at,
                    value: written.value,
                    places: written.places,
                    state: super::Filling::default(),
                });
            }
        }
        Element {
            module,
            name: local.into(),
            at: tag.at,
            attributes,
            children: Vec::new(),
            text: None,
            text_places: super::Places::default(),
            text_state: super::Filling::default(),
        }
    }

    fn end_tag(&mut self) {
        let at = self.cursor.place();
        self.cursor.take("</".len());
        let name = self.cursor.name();
        self.cursor.space();
        let shown = quote(&format!("</{name}>"));
        if !self.cursor.eat(">") {
            let what = format!("the end tag {} has no `>`", quote(&format!("</{name}")));
            self.error(at, what, format!("write {shown}"));
            let rest = self.cursor.rest();
            let skip = rest.find(['<', '>']).unwrap_or(rest.len());
            self.cursor.take(skip);
            self.cursor.eat(">");
        }
        let Some(open) = self.open.iter().rposition(|open| open.name == name) else {
            self.end_of_nothing(name, &shown, at);
            return;
        };
        while self.open.len() > open + 1 {
            self.close_unclosed(&format!("before {shown} in line {}", at.line));
        }
        self.close();
    }

    /// Handles an end tag that matches none of the open elements.
    fn end_of_nothing(&mut self, name: &str, shown: &str, at: Place) {
        let Some(open) = self.open.last() else {
            let what = format!("{shown} closes no element");
            self.error(at, what, "remove it");
            return;
        };
        let expected = format!("`</{}>`", open.name);
        let what = format!(
            "{shown} does not close `<{}>` of line {}",
            open.name, open.element.at.line
        );
        let meant = nearest(name, [open.name]).is_some();
        self.error(at, what, format!("write {expected}, or remove it"));
        // A misspelt end tag closes the element of similar name, so that the rest of the file still fits.
        if meant {
            self.close();
        }
    }

    fn close_unclosed(&mut self, when: &str) {
        if let Some(open) = self.open.last() {
            let shown = quote(&format!("<{}>", open.name));
            let what = format!("{shown} is not closed {when}");
            let mend = format!("add `</{}>`, or end the tag with `/>`", open.name);
            self.error(open.element.at, what, mend);
        }
        self.close();
    }

    /// Closes the innermost element.
    fn close(&mut self) {
        let Some(open) = self.open.pop() else {
            return;
        };
        self.bindings.leave(open.bindings);
        let mut element = open.element;
        if let Some((text, places)) = open.text.trimmed() {
            element.text = Some(text);
            element.text_places = places;
        }
        match self.open.last_mut() {
            Some(parent) => parent.element.children.push(element),
            // A domain's file holds configurations, like an application's.
            None if matches!(
                (&*element.module, &*element.name),
                ("", "mule") | ("domain" | "ee/domain", "mule-domain")
            ) =>
            {
                if let Some(text) = &element.text {
                    let (raw, at) = (text.value.clone(), text.at);
                    self.refuse_text(&raw, at);
                }
                self.top.append(&mut element.children);
            }
            None => self.top.push(element),
        }
    }

    fn finish(&mut self) {
        while !self.open.is_empty() {
            self.close_unclosed("before the file ends");
        }
        if self.count == 0 {
            let what = "the file has no elements";
            let mend = "write the application's flows, `<flow name=\"…\">`, with or without `<mule>` around them";
            self.error(self.start, what, mend);
        }
    }
}

/// The encoding in an XML declaration.
fn encoding(declaration: &str) -> Option<&str> {
    let (_, rest) = declaration.split_once("encoding")?;
    let rest = rest.trim_start_matches(is_space).strip_prefix('=')?;
    let rest = rest.trim_start_matches(is_space);
    let mark = rest.chars().next();
    let mark = mark.filter(|mark| matches!(mark, '"' | '\''))?;
    rest[1..].split(mark).next()
}
