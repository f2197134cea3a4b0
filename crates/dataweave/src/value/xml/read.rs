//! Reads values from XML.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use quick_xml::XmlVersion;
use quick_xml::events::{BytesStart, Event};
use quick_xml::name::{PrefixDeclaration, QName};
use quick_xml::reader::Reader as Events;

use super::{TEXT, XSI};
use crate::fault::{EvalFault, ParseFault};
use crate::limits::{VALUE_DEPTH_MAX, VALUE_MEMORY_MAX};
use crate::value::{Key, Namespace, Value};

/// The elements that are read as null, besides those with `xsi:nil="true"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum NullOn {
    /// Elements that have no text, or blanks only.
    #[default]
    Blank,
    /// Elements that have no text at all.
    Empty,
    None,
}

/// Reads an XML document. Document types are skipped, and entities besides XML's own are errors.
///
/// # Errors
/// If the text is not well-formed, with the position; if it is nested too deep; or if the value needs too much memory.
pub(crate) fn read(text: &str, null_on: NullOn) -> Result<Value, EvalFault> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = Reader {
        text,
        at: 0,
        null_on,
        names: HashSet::new(),
        scope: HashMap::new(),
        open: Vec::new(),
        root: None,
        memory: 0,
    };
    let mut events = Events::from_str(text);
    loop {
        reader.at = usize::try_from(events.buffer_position()).unwrap_or(0);
        let event = events.read_event();
        let event = event.map_err(|error| reader.fault(&error.to_string()))?;
        match event {
            Event::Start(start) => reader.start(&start)?,
            Event::Empty(start) => {
                reader.start(&start)?;
                reader.end()?;
            }
            Event::End(_) => reader.end()?,
            Event::Text(text) => reader.text(&text.xml10_content())?,
            Event::CData(text) => reader.text(&text.xml10_content())?,
            Event::GeneralRef(entity) => {
                let resolved = entity.resolve_char_ref();
                let resolved = resolved.map_err(|error| reader.fault(&error.to_string()))?;
                let name = entity.into_inner();
                match (resolved, quick_xml::escape::resolve_xml_entity(&name)) {
                    (Some(char), _) => reader.text(char.encode_utf8(&mut [0; 4]))?,
                    (None, Some(text)) => reader.text(text)?,
                    (None, None) => return Err(reader.fault(&format!("unknown entity `{name}`"))),
                }
            }
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => {}
            Event::Eof => break,
        }
    }
    if let Some(open) = reader.open.last() {
        return Err(reader.fault(&format!("the element `{}` has no end", open.name)));
    }
    match reader.root.take() {
        Some(root) => Ok(Value::keyed(vec![root])),
        None => Err(reader.fault("expected an element, found the end")),
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    null_on: NullOn,
    /// The names so far; equal names share one text.
    names: HashSet<Arc<str>>,
    /// The namespaces in scope by prefix, the innermost last.
    scope: HashMap<Arc<str>, Vec<Arc<str>>>,
    open: Vec<Open>,
    root: Option<(Key, Value)>,
    /// The approximate memory of the value so far, in bytes.
    memory: usize,
}

/// An element whose end has not been read.
struct Open {
    name: Arc<str>,
    namespace: Option<Namespace>,
    attributes: Vec<(Key, Value)>,
    entries: Vec<(Key, Value)>,
    text: String,
    is_nil: bool,
    /// The prefixes that the element declares.
    declared: Vec<Arc<str>>,
}

/// The memory of a text, an entry or the mark of a key besides its content, in bytes.
const AROUND: usize = 96;

impl Reader<'_> {
    fn fault(&self, what: &str) -> EvalFault {
        let mut at = self.at.min(self.text.len());
        while !self.text.is_char_boundary(at) {
            at -= 1;
        }
        let (line, col) = ParseFault::place(self.text, at);
        EvalFault::new(format!("invalid XML: {what}, at line {line}, column {col}"))
    }

    /// Adds to the memory of the value.
    fn take(&mut self, bytes: usize) -> Result<(), EvalFault> {
        self.memory += bytes;
        if self.memory <= VALUE_MEMORY_MAX {
            return Ok(());
        }
        let most = VALUE_MEMORY_MAX >> 20;
        Err(EvalFault::new(format!(
            "as a value the XML needs more than {most} MiB of memory, which is the limit; send it in parts, or pass it on unread"
        )))
    }

    /// The shared text of a name.
    fn name(&mut self, name: &str) -> Result<Arc<str>, EvalFault> {
        if let Some(known) = self.names.get(name) {
            return Ok(known.clone());
        }
        self.take(name.len() + AROUND)?;
        let name: Arc<str> = name.into();
        self.names.insert(name.clone());
        Ok(name)
    }

    /// The local name and the namespace of a qualified name. Attributes without a prefix have no namespace.
    fn resolved(
        &mut self,
        name: QName<'_>,
        is_element: bool,
    ) -> Result<(Arc<str>, Option<Namespace>), EvalFault> {
        let (local, prefix) = name.decompose();
        let prefix = prefix.as_ref().map_or("", |prefix| prefix.as_ref());
        let local = self.name(local.as_ref())?;
        if prefix.is_empty() && !is_element {
            return Ok((local, None));
        }
        let prefix = self.name(prefix)?;
        let uri = match self.scope.get(&prefix).and_then(|uris| uris.last()) {
            Some(uri) => uri.clone(),
            None if prefix.is_empty() => return Ok((local, None)),
            None if &*prefix == "xml" => "http://www.w3.org/XML/1998/namespace".into(),
            None => return Err(self.fault(&format!("the prefix `{prefix}` has no namespace"))),
        };
        let namespace = (!uri.is_empty()).then_some(Namespace { prefix, uri });
        Ok((local, namespace))
    }

    fn start(&mut self, start: &BytesStart<'_>) -> Result<(), EvalFault> {
        if self.root.is_some() && self.open.is_empty() {
            return Err(self.fault("there is a second element beside the first"));
        }
        if self.open.len() >= usize::from(VALUE_DEPTH_MAX) {
            return Err(self.fault(&format!("more than {VALUE_DEPTH_MAX} nested elements")));
        }
        let mut declared = Vec::new();
        let mut others = Vec::new();
        let mut seen = HashSet::new();
        // The check of the library takes a time that grows with the square of their number.
        for attribute in start.attributes().with_checks(false) {
            let attribute = attribute.map_err(|error| self.fault(&error.to_string()))?;
            let value = attribute.normalized_value(XmlVersion::Explicit1_0);
            let value = value.map_err(|error| self.fault(&error.to_string()))?;
            if !seen.insert(attribute.key.as_ref().to_owned()) {
                let name: &str = attribute.key.as_ref();
                return Err(self.fault(&format!("the attribute `{name}` is there twice")));
            }
            match attribute.key.as_namespace_binding() {
                Some(binding) => {
                    let prefix = match binding {
                        PrefixDeclaration::Default => "",
                        PrefixDeclaration::Named(prefix) => prefix,
                    };
                    let (prefix, uri) = (self.name(prefix)?, self.name(&value)?);
                    self.scope.entry(prefix.clone()).or_default().push(uri);
                    declared.push(prefix);
                }
                None => others.push((attribute.key, value.into_owned())),
            }
        }
        let mut is_nil = false;
        let mut attributes = Vec::with_capacity(others.len());
        for (name, value) in others {
            let (name, namespace) = self.resolved(name, false)?;
            let is_xsi = namespace.as_ref().is_some_and(|it| &*it.uri == XSI);
            is_nil |= is_xsi && &*name == "nil" && value == "true";
            self.take(value.len() + AROUND + size_of::<(Key, Value)>())?;
            attributes.push((Key::marked(name, namespace, Vec::new()), value.into()));
        }
        let (name, namespace) = self.resolved(start.name(), true)?;
        self.take(AROUND + size_of::<(Key, Value)>())?;
        self.open.push(Open {
            name,
            namespace,
            attributes,
            entries: Vec::new(),
            text: String::new(),
            is_nil,
            declared,
        });
        Ok(())
    }

    fn text(&mut self, text: &str) -> Result<(), EvalFault> {
        self.take(text.len())?;
        match self.open.last_mut() {
            Some(open) => open.text.push_str(text),
            None if text.trim().is_empty() => {}
            None => return Err(self.fault("there is text outside of the element")),
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), EvalFault> {
        let Some(mut open) = self.open.pop() else {
            return Err(self.fault("an element ends that did not begin"));
        };
        for prefix in &open.declared {
            if let Some(uris) = self.scope.get_mut(prefix) {
                uris.pop();
            }
        }
        let is_blank = open.text.trim().is_empty();
        let value = if open.is_nil {
            Value::Null
        } else if open.entries.is_empty() {
            match self.null_on {
                NullOn::Blank if is_blank => Value::Null,
                NullOn::Empty if open.text.is_empty() => Value::Null,
                _ => open.text.into(),
            }
        } else {
            if !is_blank {
                open.entries.push((TEXT.into(), open.text.into()));
            }
            open.entries.shrink_to_fit();
            Value::keyed(open.entries)
        };
        let entry = (
            Key::marked(open.name, open.namespace, open.attributes),
            value,
        );
        match self.open.last_mut() {
            Some(parent) => parent.entries.push(entry),
            None => self.root = Some(entry),
        }
        Ok(())
    }
}
