//! Templates of policies: `{{…}}` filled in with properties of the command line, as an API manager does when it applies a
//! policy.
//!
//! Of [Handlebars](https://handlebarsjs.com/guide/) the parts that published policies use: values, `if`, `unless`, `each`
//! and comments. Lines keep their numbers, so that errors are found in the template.

use std::collections::BTreeSet;

use fusebox_plan::dialect::{Loader, Notes, Place, quote};
use serde_json::Value as Json;

use crate::properties::UNFILLED;

/// The limit of a filled-in template, in bytes.
const BYTES_MAX: usize = 4 << 20;
/// The limit of nested blocks.
const DEPTH_MAX: usize = 32;

/// Values that the platform gives to every policy.
const GIVEN: [(&str, &str); 2] = [("policyId", "policy"), ("apiId", "api")];

/// True for a text that may be a policy's template.
pub(super) fn is_template(text: &str) -> bool {
    text.contains("http-policy") && text.contains("{{")
}

/// The value that the platform gives to every policy by a name.
pub(super) fn given(name: &str) -> Option<&'static str> {
    let mut given = GIVEN.iter();
    Some(given.find(|(known, _)| *known == name)?.1)
}

/// Fills in a template. Reports values that are missing, each once, and blocks that are not closed.
pub(super) fn filled(text: &str, file: usize, loader: &dyn Loader, notes: &mut Notes) -> String {
    let mut filling = Filling {
        text,
        file,
        loader,
        notes,
        at: 0,
        out: String::with_capacity(text.len()),
        scopes: Vec::new(),
        said: BTreeSet::new(),
    };
    filling.block(None, true, 0);
    filling.out
}

struct Filling<'t, 'n> {
    text: &'t str,
    file: usize,
    loader: &'t dyn Loader,
    notes: &'n mut Notes,
    /// The offset reached.
    at: usize,
    out: String,
    /// The items of the lists around, from outside in, each with its index and whether it is the last.
    scopes: Vec<(Json, usize, bool)>,
    /// The names that have been reported.
    said: BTreeSet<String>,
}

/// The content between two pairs of braces.
enum Tag<'t> {
    Value(&'t str),
    /// The begin of a block: its helper and argument.
    Open(&'t str, &'t str),
    /// An `else`, with the condition of an `else if`.
    Else(Option<&'t str>),
    Close(&'t str),
    Comment,
}

/// The end of a block: its `else`, with the condition of an `else if`, or its end.
enum End<'t> {
    Else(Option<&'t str>),
    Close,
}

impl<'t> Filling<'t, '_> {
    /// Copies a block up to its `else` or its end; without `shown` only its line ends.
    fn block(&mut self, within: Option<(&str, usize)>, shown: bool, depth: usize) -> End<'t> {
        while let Some(found) = self.text[self.at..].find("{{") {
            let start = self.at + found;
            self.copy(start, shown);
            let Some((tag, end)) = tag(self.text, start) else {
                self.copy(start + 2, shown);
                continue;
            };
            self.skip(end);
            match tag {
                Tag::Comment => {}
                Tag::Value(name) if shown => self.value(name, start),
                Tag::Value(_) => {}
                Tag::Open(helper, name) if depth < DEPTH_MAX => {
                    self.open(helper, name, start, shown, depth + 1);
                }
                Tag::Open(..) => {
                    let what = format!("more than {DEPTH_MAX} blocks within one another");
                    self.error(start, what, "write the template with fewer");
                }
                Tag::Else(when) if within.is_some() => return End::Else(when),
                Tag::Close(name) if within.is_some_and(|(of, _)| of == name) => return End::Close,
                Tag::Else(_) | Tag::Close(_) => {
                    let what = "this ends a block of the template that is not open here";
                    self.error(start, what, "remove it, or open the block: `{{#if …}}`");
                }
            }
        }
        self.copy(self.text.len(), shown);
        if let Some((of, start)) = within {
            let what = format!("the block {} is not closed", quote(of));
            self.error(start, what, format!("add `{{{{/{of}}}}}`"));
        }
        End::Close
    }

    fn open(&mut self, helper: &str, name: &'t str, start: usize, shown: bool, depth: usize) {
        match helper {
            "if" | "unless" => {
                let holds = shown && self.holds(name, start) == (helper == "if");
                self.branches(helper, start, shown, holds, depth);
            }
            "each" => self.each(name, start, shown, depth),
            other => {
                let what = format!("unknown block {} of the template", quote(other));
                self.error(start, what, "known are if, unless and each");
                self.branches(other, start, false, false, depth);
            }
        }
    }

    /// Copies the branch that holds, of those up to the block's end.
    fn branches(&mut self, helper: &str, start: usize, shown: bool, mut holds: bool, depth: usize) {
        let mut done = false;
        loop {
            let is_shown = shown && holds && !done;
            done |= holds;
            match self.block(Some((helper, start)), is_shown, depth) {
                End::Close => return,
                End::Else(None) => holds = !done,
                End::Else(Some(name)) => {
                    holds = shown && !done && self.holds(name, start);
                }
            }
        }
    }

    fn each(&mut self, name: &'t str, start: usize, shown: bool, depth: usize) {
        let items = match shown.then(|| self.find(name)).flatten() {
            Some(Json::Array(items)) => items,
            Some(Json::Object(fields)) => fields
                .into_iter()
                .map(|(key, value)| serde_json::json!({ "key": key, "value": value }))
                .collect(),
            Some(_) => {
                let what = format!("{} is not a list", quote(name));
                let mend =
                    format!("write it as JSON: `--set {name}='[{{\"key\": …, \"value\": …}}]'`");
                self.error(start, what, mend);
                Vec::new()
            }
            None => Vec::new(),
        };
        let inner = self.at;
        let last = items.len().saturating_sub(1);
        for (index, item) in items.iter().enumerate() {
            self.at = inner;
            self.scopes.push((item.clone(), index, index == last));
            let end = self.block(Some(("each", start)), true, depth);
            self.scopes.pop();
            if let End::Else(_) = end {
                self.block(Some(("each", start)), false, depth);
            }
            if self.out.len() > BYTES_MAX {
                break;
            }
        }
        if items.is_empty()
            && let End::Else(_) = self.block(Some(("each", start)), false, depth)
        {
            self.block(Some(("each", start)), shown, depth);
        }
    }

    fn value(&mut self, name: &str, start: usize) {
        let Some(value) = self.find(name) else {
            if self.said.insert(name.to_owned()) {
                let what = format!("the template's {} has no value", quote(name));
                let mend = format!("give it one: `--set {name}=…`");
                self.error(start, what, mend);
            }
            // Nothing else is said of the value that needs it.
            self.out.push_str(&format!("${{{UNFILLED}{name}}}"));
            return;
        };
        let text = match value {
            Json::String(text) => text,
            Json::Null => String::new(),
            other => other.to_string(),
        };
        if self.out.len() + text.len() > BYTES_MAX {
            let what = format!("the filled-in template has more than {BYTES_MAX} bytes");
            self.error(start, what, "give it shorter values");
            return;
        }
        let is_raw = in_cdata(&self.text[..start]);
        push_escaped(&mut self.out, &text, is_raw);
    }

    /// The truth of a value; one that is missing is false, and named.
    fn holds(&mut self, name: &str, start: usize) -> bool {
        match self.find(name) {
            Some(Json::Bool(flag)) => flag,
            Some(Json::Null) => false,
            Some(Json::String(text)) => !matches!(text.trim(), "" | "false" | "0" | "null" | "[]"),
            Some(Json::Number(number)) => number.as_f64() != Some(0.0),
            Some(Json::Array(items)) => !items.is_empty(),
            Some(Json::Object(_)) => true,
            None => {
                if !name.starts_with('@')
                    && !name.starts_with("this")
                    && self.said.insert(name.to_owned())
                {
                    let what = format!(
                        "the template asks for {}, which has no value and is taken for false",
                        quote(name)
                    );
                    let mend = format!("say so: `--set {name}=true` or `--set {name}=false`");
                    let at = self.place(start);
                    self.notes.warn(at, what, mend);
                }
                false
            }
        }
    }

    /// The value of a name: of the item of a list, else of the command line.
    fn find(&self, name: &str) -> Option<Json> {
        let scope = self.scopes.last();
        let path = |of: &Json, path: &str| {
            let mut found = of.clone();
            for key in path.split(['.', '/']).filter(|key| !key.is_empty()) {
                found = match found {
                    Json::Object(mut fields) => fields.remove(key)?,
                    Json::Array(mut items) => {
                        let at: usize = key.parse().ok()?;
                        (at < items.len()).then(|| items.swap_remove(at))?
                    }
                    _ => return None,
                };
            }
            Some(found)
        };
        match (name, scope) {
            ("@index", Some((_, index, _))) => return Some(Json::from(*index)),
            ("@first", Some((_, index, _))) => return Some(Json::from(*index == 0)),
            ("@last", Some((.., last))) => return Some(Json::from(*last)),
            ("@key", Some((item, ..))) => return path(item, "key"),
            _ => {}
        }
        if let (Some(rest), Some((item, ..))) = (name.strip_prefix("this"), scope) {
            return path(item, rest);
        }
        if let Some(found) = scope.and_then(|(item, ..)| path(item, name)) {
            return Some(found);
        }
        let read = |text: String| match serde_json::from_str::<Json>(&text) {
            Ok(json @ (Json::Array(_) | Json::Object(_))) => json,
            _ => Json::String(text),
        };
        if let Some(text) = self.loader.property(name) {
            return Some(read(text));
        }
        if let Some((first, rest)) = name.split_once('.')
            && let Some(text) = self.loader.property(first)
        {
            return path(&read(text), rest);
        }
        given(name).map(|text| Json::String(text.to_owned()))
    }

    /// Copies the text up to an offset; without `shown` only its line ends.
    fn copy(&mut self, end: usize, shown: bool) {
        let part = &self.text[self.at..end];
        match shown {
            true => self.out.push_str(part),
            false => self.out.extend(part.chars().filter(|c| *c == '\n')),
        }
        self.at = end;
    }

    /// Leaves out the text up to an offset.
    fn skip(&mut self, end: usize) {
        self.copy(end, false);
    }

    fn place(&self, offset: usize) -> Place {
        let before = &self.text[..offset];
        let line = before.matches('\n').count() + 1;
        let col = before
            .rsplit('\n')
            .next()
            .unwrap_or_default()
            .chars()
            .count()
            + 1;
        Place {
            file: self.file,
            line: u32::try_from(line).unwrap_or(u32::MAX),
            col: u32::try_from(col).unwrap_or(u32::MAX),
        }
    }

    fn error(&mut self, offset: usize, what: impl Into<String>, mend: impl Into<String>) {
        let at = self.place(offset);
        self.notes.error(at, what, mend);
    }
}

/// The tag at an offset, with its end; `None`: the braces mean something else, as in a script.
fn tag(text: &str, start: usize) -> Option<(Tag<'_>, usize)> {
    let rest = &text[start..];
    if let Some(comment) = rest.strip_prefix("{{!--") {
        let end = comment.find("--}}")?;
        return Some((Tag::Comment, start + 5 + end + 4));
    }
    let (open, close) = match rest.starts_with("{{{") {
        true => (3, "}}}"),
        false => (2, "}}"),
    };
    let end = rest[open..].find(close)?;
    let whole = start + open + end + close.len();
    let inner = rest[open..open + end].trim_matches('~').trim();
    if inner.starts_with('!') {
        return Some((Tag::Comment, whole));
    }
    let word = |text: &str| {
        let inside = |c: char| c.is_alphanumeric() || "_-.@/$".contains(c);
        !text.is_empty() && text.chars().all(inside) && !text.starts_with(|c: char| c.is_numeric())
    };
    let tag = match inner.strip_prefix('#') {
        Some(block) => {
            let (helper, name) = block.trim().split_once(char::is_whitespace)?;
            let name = name.trim();
            (word(helper) && word(name)).then_some(Tag::Open(helper, name))?
        }
        None => match inner.strip_prefix('/') {
            Some(name) => word(name.trim()).then_some(Tag::Close(name.trim()))?,
            None if inner == "else" || inner == "^" => Tag::Else(None),
            None => match inner.strip_prefix("else if ") {
                Some(name) => word(name.trim()).then_some(Tag::Else(Some(name.trim())))?,
                None => {
                    let name = inner.strip_prefix('&').unwrap_or(inner).trim();
                    word(name).then_some(Tag::Value(name))?
                }
            },
        },
    };
    Some((tag, whole))
}

/// True at the end of a text that has an open CDATA section.
fn in_cdata(before: &str) -> bool {
    match before.rfind("<![CDATA[") {
        Some(open) => !before[open..].contains("]]>"),
        None => false,
    }
}

/// Adds a value, with the characters escaped that XML gives a meaning. An entity in the value stays one.
fn push_escaped(out: &mut String, text: &str, is_raw: bool) {
    for (at, c) in text.char_indices() {
        match c {
            _ if is_raw => out.push(c),
            '"' => out.push_str("&quot;"),
            '<' => out.push_str("&lt;"),
            '&' if !is_entity(&text[at..]) => out.push_str("&amp;"),
            '\n' | '\r' => out.push(' '),
            c => out.push(c),
        }
    }
}

/// True for a text that begins with an entity, such as `&quot;`.
fn is_entity(text: &str) -> bool {
    let Some(end) = text.find(';') else {
        return false;
    };
    let name = &text[1..end];
    let name = name.strip_prefix('#').unwrap_or(name);
    !name.is_empty() && name.len() <= 8 && name.chars().all(|c| c.is_ascii_alphanumeric())
}

#[cfg(test)]
#[path = "template/tests.rs"]
mod tests;
