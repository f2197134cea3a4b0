//! Writes values as XML.

use std::collections::HashMap;
use std::sync::Arc;

use super::{TEXT, XSI};
use crate::fault::EvalFault;
use crate::value::text::{check_text, shown, text};
use crate::value::{Key, Namespace, Value};

/// The way to write an XML text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Style {
    /// True if the text begins with `<?xml …?>`. Default true.
    pub declares: bool,
    /// True if null is `<a/>` and not `<a></a>`. Default true.
    pub closes_inline: bool,
    /// True if null is `<a xsi:nil="true"/>`. Default false.
    pub nil_on_null: bool,
    /// True if elements that are null are left out. Default false.
    pub skips_elements: bool,
    /// True if attributes that are null are left out. Default false.
    pub skips_attributes: bool,
}

impl Style {
    /// The way without options.
    pub const PLAIN: Style = Style {
        declares: true,
        closes_inline: true,
        nil_on_null: false,
        skips_elements: false,
        skips_attributes: false,
    };
}

/// Writes an object of one key as an XML document.
///
/// # Errors
/// If the value is another, if a key is not a name of XML, if a text has characters that XML cannot hold, or if the
/// text is too long.
pub(crate) fn write(value: &Value, indent: bool, style: Style) -> Result<String, EvalFault> {
    let mut writer = Writer {
        text: String::new(),
        indent,
        style,
        scope: HashMap::new(),
    };
    if style.declares {
        writer
            .text
            .push_str("<?xml version='1.0' encoding='UTF-8'?>");
        if indent {
            writer.text.push('\n');
        }
    }
    let plain = match value.plain() {
        Value::Object(object) => object.message_payload().unwrap_or(value).plain(),
        plain => plain,
    };
    let roots = match plain {
        Value::Object(object) => object.entries(),
        _ => &[],
    };
    match roots {
        [(key, value)] if !matches!(value.plain(), Value::Array(_)) => {
            writer.element(key, value, 0)?;
            Ok(writer.text)
        }
        _ => Err(EvalFault::new(format!(
            "XML needs an object of one key, whose value is the root element; found {}",
            shown(value)
        ))),
    }
}

struct Writer {
    text: String,
    indent: bool,
    style: Style,
    /// The namespaces in scope by prefix, the innermost last.
    scope: HashMap<Arc<str>, Vec<Arc<str>>>,
}

impl Writer {
    /// Writes the elements of a key; a list is one element for each item.
    fn elements(&mut self, key: &Key, value: &Value, depth: usize) -> Result<(), EvalFault> {
        check_text(self.text.len())?;
        match value.plain() {
            Value::Array(array) => array
                .items()
                .iter()
                .try_for_each(|item| self.elements(key, item, depth)),
            Value::Null if self.style.skips_elements => Ok(()),
            _ => {
                self.line(depth);
                self.element(key, value, depth)
            }
        }
    }

    fn element(&mut self, key: &Key, value: &Value, depth: usize) -> Result<(), EvalFault> {
        let mut declared = Vec::new();
        let mut attributes = String::new();
        let prefix = self.prefix(key.namespace(), true, &mut declared, &mut attributes);
        let name = qualified(&prefix, key)?;
        for (key, value) in key.attributes() {
            if value.is_null() && self.style.skips_attributes {
                continue;
            }
            let prefix = match key.namespace() {
                Some(namespace) => {
                    self.prefix(Some(namespace), false, &mut declared, &mut attributes)
                }
                None => "".into(),
            };
            let value = match value.is_null() {
                true => "".into(),
                false => text(value)?,
            };
            attributes.push_str(&format!(" {}=\"", qualified(&prefix, key)?));
            escaped(&mut attributes, &value, true)?;
            attributes.push('"');
        }
        if value.is_null() && self.style.nil_on_null {
            let xsi = Namespace {
                prefix: "xsi".into(),
                uri: XSI.into(),
            };
            let prefix = self.prefix(Some(&xsi), false, &mut declared, &mut attributes);
            attributes.push_str(&format!(" {prefix}:nil=\"true\""));
        }
        self.text.push_str(&format!("<{name}{attributes}"));
        self.content(&name, value, depth)?;
        for prefix in declared {
            if let Some(uris) = self.scope.get_mut(&prefix) {
                uris.pop();
            }
        }
        Ok(())
    }

    /// Writes the rest of an element after its attributes.
    fn content(&mut self, name: &str, value: &Value, depth: usize) -> Result<(), EvalFault> {
        if value.is_cdata() {
            // The end of a section cannot stand within one.
            let text = text(value)?.replace("]]>", "]]]]><![CDATA[>");
            check_text(self.text.len() + text.len())?;
            escaped(&mut String::new(), &text, false)?;
            self.text.push_str(&format!("><![CDATA[{text}]]></{name}>"));
            return Ok(());
        }
        let entries = match value.plain() {
            Value::Null if self.style.closes_inline => {
                self.text.push_str("/>");
                return Ok(());
            }
            Value::Null => &[],
            Value::Object(object)
                if object.message_payload().is_none() && object.error_type().is_none() =>
            {
                if object.entries().is_empty() && self.style.closes_inline {
                    self.text.push_str("/>");
                    return Ok(());
                }
                object.entries()
            }
            scalar => {
                self.text.push('>');
                let text = text(scalar)?;
                check_text(self.text.len() + text.len())?;
                escaped(&mut self.text, &text, false)?;
                self.text.push_str(&format!("</{name}>"));
                return Ok(());
            }
        };
        self.text.push('>');
        let before = self.text.len();
        // Lines between text and elements would be a part of the text.
        let mixed = entries.iter().any(|(key, _)| &**key == TEXT);
        let indent = self.indent;
        self.indent = indent && !mixed;
        for (key, value) in entries {
            if &**key == TEXT {
                escaped(&mut self.text, &text(value)?, false)?;
            } else {
                self.elements(key, value, depth + 1)?;
            }
        }
        if self.text.len() > before {
            self.line(depth);
        }
        self.indent = indent;
        self.text.push_str(&format!("</{name}>"));
        Ok(())
    }

    fn line(&mut self, depth: usize) {
        if self.indent {
            self.text.push('\n');
            self.text.extend(std::iter::repeat_n("  ", depth));
        }
    }

    /// The prefix of a namespace, which is declared at the element unless it is in scope.
    fn prefix(
        &mut self,
        namespace: Option<&Namespace>,
        is_element: bool,
        declared: &mut Vec<Arc<str>>,
        attributes: &mut String,
    ) -> Arc<str> {
        let empty: Arc<str> = "".into();
        let (mut prefix, uri) = match namespace {
            Some(namespace) => (namespace.prefix.clone(), namespace.uri.clone()),
            None => (empty.clone(), empty.clone()),
        };
        // An attribute without a prefix has no namespace, and an element declares a prefix once.
        let mut number = 0;
        loop {
            let known = self.scope.get(&prefix).and_then(|uris| uris.last());
            let fits = is_element || !prefix.is_empty();
            match known {
                Some(known) if *known == uri && fits => return prefix,
                None if uri.is_empty() => return prefix,
                _ if fits && !declared.contains(&prefix) => break,
                _ => {}
            }
            prefix = format!("ns{number}").into();
            number += 1;
        }
        let colon = if prefix.is_empty() { "" } else { ":" };
        attributes.push_str(&format!(" xmlns{colon}{prefix}=\""));
        for char in uri.chars() {
            escape(attributes, char, true);
        }
        attributes.push('"');
        self.scope.entry(prefix.clone()).or_default().push(uri);
        declared.push(prefix.clone());
        prefix
    }
}

/// A name with its prefix.
///
/// # Errors
/// If it is no name of XML.
fn qualified(prefix: &str, key: &Key) -> Result<String, EvalFault> {
    let is_name = |name: &str| {
        let starts = |char: char| char.is_alphabetic() || char == '_';
        let goes_on =
            |char: char| starts(char) || char.is_numeric() || matches!(char, '-' | '.' | '\u{b7}');
        name.starts_with(starts) && name.chars().all(goes_on)
    };
    // A script may write the prefix itself: `"soap:Body"`.
    let is_key = match (prefix.is_empty(), key.split_once(':')) {
        (true, Some((written, local))) => is_name(written) && is_name(local),
        _ => is_name(key),
    };
    if !is_key || !(prefix.is_empty() || is_name(prefix)) {
        return Err(EvalFault::new(format!(
            "the key {:?} is not a name of XML",
            &**key
        )));
    }
    Ok(match prefix.is_empty() {
        true => key.to_string(),
        false => format!("{prefix}:{key}"),
    })
}

fn escaped(into: &mut String, text: &str, in_attribute: bool) -> Result<(), EvalFault> {
    for char in text.chars() {
        let is_legal = matches!(char, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'..);
        if !is_legal {
            return Err(EvalFault::new(format!(
                "XML cannot hold the character {char:?}"
            )));
        }
        escape(into, char, in_attribute);
    }
    Ok(())
}

fn escape(into: &mut String, char: char, in_attribute: bool) {
    match char {
        '&' => into.push_str("&amp;"),
        '<' => into.push_str("&lt;"),
        '"' if in_attribute => into.push_str("&quot;"),
        '\t' | '\n' | '\r' if in_attribute => into.push_str(&format!("&#{};", u32::from(char))),
        _ => into.push(char),
    }
}
