//! Values of attributes and texts: texts, numbers, words, expressions.

use std::sync::Arc;
use std::time::Duration;

use fusebox_dataweave::{Detected, MediaType, ParseFault, Script};
use fusebox_plan::dialect::{Place, quote, suggest};

use super::Lowering;
use super::bind::Problem;
use super::class_path::ClassPath;
use super::open::Open;
use super::shapes::{Absent, Kind};
use crate::app::{Compat, Given};
use crate::xml::{Attribute, Element};

/// A value as written, or its default.
#[derive(Clone, Copy)]
pub(super) struct Written<'a> {
    pub text: &'a str,
    origin: Origin<'a>,
}

#[derive(Clone, Copy)]
enum Origin<'a> {
    Attribute(&'a Attribute),
    Text(&'a Element),
    Default(&'a Element),
}

impl<'a> Written<'a> {
    /// The position of the value.
    pub fn at(&self) -> Place {
        match self.origin {
            Origin::Attribute(attribute) => attribute.value.at,
            Origin::Text(element) => element.text.as_ref().map_or(element.at, |text| text.at),
            Origin::Default(element) => element.at,
        }
    }

    /// The position of a character in the value, from its line and column in the value, both from 1.
    pub fn place(&self, line: usize, col: usize) -> Place {
        match self.origin {
            Origin::Attribute(attribute) => attribute.place(line, col),
            Origin::Text(element) => element.text_place(line, col),
            Origin::Default(element) => element.at,
        }
    }
}

/// The text of an element; empty if the element has none.
pub(super) fn text_of(element: &Element) -> Written<'_> {
    Written {
        text: element.text.as_ref().map_or("", |text| &text.value),
        origin: Origin::Text(element),
    }
}

impl<'a> Lowering<'a> {
    /// An attribute's value, or its default.
    pub fn written(&self, open: &Open<'a>, name: &str) -> Option<Written<'a>> {
        if let Some(attribute) = open.attribute(name) {
            return Some(Written {
                text: &attribute.value.value,
                origin: Origin::Attribute(attribute),
            });
        }
        match open.attr(name).absent {
            Absent::Is(text) => Some(Written {
                text,
                origin: Origin::Default(open.element),
            }),
            Absent::Wrong | Absent::Fine => None,
        }
    }

    /// An attribute that is a literal text.
    pub fn text(&mut self, open: &Open<'a>, name: &str) -> Option<Written<'a>> {
        let written = self.written(open, name)?;
        if written.text.trim().is_empty() {
            let what = format!("{} is empty", quote(name));
            let mend = "write a text, or remove it";
            self.wrong(written, what, mend);
            return None;
        }
        if written.text.contains("#[") {
            let what = format!("{} must not be an expression", quote(name));
            let mend = "write the text itself, or a placeholder `${key}`";
            self.wrong(written, what, mend);
            return None;
        }
        Some(written)
    }

    /// An attribute that is a literal or an expression.
    pub fn given(&mut self, open: &Open<'a>, name: &str) -> Option<Given> {
        let written = self.written(open, name)?;
        let mixed = open.attr(name).kind == Kind::Message;
        Some(self.given_of(written, mixed))
    }

    /// An attribute that is a number or an expression.
    pub fn number(&mut self, open: &Open<'a>, name: &str) -> Option<Given> {
        let Kind::WholeValue(from, to) = open.attr(name).kind else {
            unreachable!("{name} of {} is not a number", open.shape.name);
        };
        let written = self.written(open, name)?;
        let given = self.read_given(written, false)?;
        if let Some(text) = given.literal() {
            self.check_whole(written, name, text, from, to)?;
            return Some(Given::Literal(text.trim().into()));
        }
        Some(given)
    }

    /// An attribute that is a boolean or an expression.
    pub fn truth(&mut self, open: &Open<'a>, name: &str) -> Given {
        let Some(written) = self.written(open, name) else {
            unreachable!("{name} of {} has a default", open.shape.name);
        };
        let Some(given) = self.read_given(written, false) else {
            return Given::Literal("false".into());
        };
        if let Some(text) = given.literal()
            && truth_of(text).is_none()
        {
            let what = not_a_truth(name, text);
            let mend = "write `true`, `false` or an expression";
            self.wrong(written, what, mend);
        }
        given
    }

    /// A whole number.
    pub fn whole(&mut self, open: &Open<'a>, name: &str) -> Option<i64> {
        let Kind::Whole(from, to) = open.attr(name).kind else {
            unreachable!("{name} of {} is not a whole number", open.shape.name);
        };
        let written = self.written(open, name)?;
        self.check_whole(written, name, written.text, from, to)
    }

    /// A whole number that is not negative.
    pub fn count(&mut self, open: &Open<'a>, name: &str) -> Option<usize> {
        let count = self.whole(open, name)?;
        usize::try_from(count).ok()
    }

    /// A time in milliseconds.
    pub fn millis(&mut self, open: &Open<'a>, name: &str) -> Option<Duration> {
        let millis = self.whole(open, name)?;
        u64::try_from(millis).ok().map(Duration::from_millis)
    }

    fn check_whole(
        &mut self,
        written: Written<'a>,
        name: &str,
        text: &str,
        from: i64,
        to: i64,
    ) -> Option<i64> {
        let number: Option<i64> = text.trim().parse().ok();
        if let Some(number) = number.filter(|number| (from..=to).contains(number)) {
            return Some(number);
        }
        let range = match (from, to) {
            (i64::MIN, _) => "a whole number".to_owned(),
            (_, i64::MAX) => format!("a whole number of at least {from}"),
            _ => format!("a whole number from {from} to {to}"),
        };
        let what = format!("{} is {}", quote(name), quote(text.trim()));
        let mend = format!("write {range}");
        self.wrong(written, what, mend);
        None
    }

    /// A boolean attribute.
    pub fn flag(&mut self, open: &Open<'a>, name: &str) -> Option<bool> {
        let written = self.written(open, name)?;
        let truth = truth_of(written.text);
        if truth.is_none() {
            let what = not_a_truth(name, written.text);
            let mend = "write `true` or `false`";
            self.wrong(written, what, mend);
        }
        truth
    }

    /// An attribute with one of the words of its kind.
    pub fn word(&mut self, open: &Open<'a>, name: &str) -> Option<&'static str> {
        let Kind::Word(words) = open.attr(name).kind else {
            unreachable!("{name} of {} is not a word", open.shape.name);
        };
        let written = self.written(open, name)?;
        let text = written.text.trim();
        let found = words.iter().find(|word| **word == text);
        if found.is_none() {
            let what = format!("{} is {}", quote(name), quote(text));
            self.wrong(written, what, suggest(text, words.iter().copied()));
        }
        found.copied()
    }

    /// An attribute that is a media type.
    pub fn media_type(&mut self, open: &Open<'a>, name: &str) -> Option<MediaType> {
        let written = self.text(open, name)?;
        let text = written.text.trim();
        let essence = text.split(';').next().unwrap_or_default().trim();
        let token = |text: &str| {
            !text.is_empty()
                && text
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"!#$&-^_.+*".contains(&b))
        };
        let is_one = essence
            .split_once('/')
            .is_some_and(|(kind, sub)| token(kind) && token(sub));
        if !is_one || text.chars().any(char::is_control) {
            let what = format!("{} is not a media type", quote(text));
            let mend = "write one such as `application/json`";
            self.wrong(written, what, mend);
            return None;
        }
        Some(MediaType::new(text))
    }

    /// An attribute that is an expression.
    pub fn script(&mut self, open: &Open<'a>, name: &str) -> Option<Script> {
        let written = self.written(open, name)?;
        self.script_of(written)
    }

    /// An attribute that is an expression; its default does not count.
    pub fn script_if_written(&mut self, open: &Open<'a>, name: &str) -> Option<Script> {
        open.has(name).then(|| self.script(open, name))?
    }

    /// An expression, with `#[ ]` or without.
    pub fn script_of(&mut self, written: Written<'a>) -> Option<Script> {
        match Detected::expression_among(written.text, &self.class_path(written)) {
            Ok(script) => {
                self.warn_of_unknown(written, [&script]);
                Some(script)
            }
            Err(fault) => {
                self.fault(written, fault);
                None
            }
        }
    }

    /// The files around a value.
    fn class_path(&self, written: Written<'a>) -> ClassPath<'_> {
        ClassPath {
            names: self.names,
            file: written.at().file,
            loader: self.loader,
        }
    }

    /// Reports names in scripts that mean nothing: the application starts, as in Mule, and the expression fails.
    fn warn_of_unknown<'s>(
        &mut self,
        written: Written<'a>,
        scripts: impl IntoIterator<Item = &'s Script>,
    ) {
        if self.states.is_broken(written.at()) {
            return;
        }
        for fault in scripts.into_iter().flat_map(Script::unknown) {
            let at = written.place(fault.line, fault.col);
            let what = format!("{}, so the expression fails", fault.message);
            let (what, mend) = self.without_secrets(written.at(), what, fault.mend.clone());
            self.notes.warn(at, what, mend);
        }
    }

    /// Reads a text. Expressions inside a text are valid only in messages.
    pub fn given_of(&mut self, written: Written<'a>, in_message: bool) -> Given {
        let read = self.read_given(written, in_message);
        read.unwrap_or_else(|| Given::Literal("".into()))
    }

    /// Reads a text; `None`: it is no valid expression, which is reported.
    fn read_given(&mut self, written: Written<'a>, in_message: bool) -> Option<Given> {
        let read = Detected::among(written.text, &self.class_path(written));
        match &read {
            Ok(Detected::Expression(script)) => self.warn_of_unknown(written, [script]),
            Ok(Detected::Template(template)) => self.warn_of_unknown(written, template.scripts()),
            _ => {}
        }
        Some(match read {
            Ok(Detected::Literal(text)) => Given::Literal(text.into()),
            Ok(Detected::Expression(script)) => Given::Expression(script),
            Ok(Detected::Template(template)) if in_message => Given::Template(template),
            Ok(Detected::Template(template)) => {
                let what = "a text with `#[…]` in it";
                let mend = "write one expression: `#[\"…\" ++ …]`";
                match self.compat {
                    Compat::Intent => {
                        let what = format!(
                            "{what} is read as a template; Mule reads it as one expression and fails"
                        );
                        self.warn(written.at(), what, mend);
                        Given::Template(template)
                    }
                    Compat::Strict => {
                        let why = format!("{what} is read as one expression, which it is not");
                        self.warn(written.at(), why.as_str(), mend);
                        Given::Broken(Arc::from(why))
                    }
                }
            }
            Err(fault) => {
                self.fault(written, fault);
                return None;
            }
        })
    }

    /// Reads the text of the child element with a name, if there is one.
    pub fn given_part(&mut self, open: &Open<'a>, name: &'static str) -> Option<Given> {
        let part = self.open_part(open, name)?;
        Some(self.given_of(text_of(part.element), false))
    }

    /// Reads the child element with a name, which must be an expression.
    pub fn object_part(&mut self, open: &Open<'a>, name: &'static str) -> Option<Given> {
        let part = self.open_part(open, name)?;
        let written = text_of(part.element);
        let given = self.read_given(written, false)?;
        if given.literal().is_some() {
            let expected = "expected an expression that gives an object";
            let what = format!("{} is a text; {expected}", quote(name));
            let mend = "write an expression such as `#[{'name': 'value'}]`";
            self.wrong(written, what, mend);
        }
        Some(given)
    }

    fn fault(&mut self, written: Written<'a>, fault: ParseFault) {
        if self.states.is_broken(written.at()) {
            return;
        }
        let at = written.place(fault.line, fault.col);
        let (what, mend) = self.without_secrets(written.at(), fault.message, fault.mend);
        // A missing function is one fault, for any number of expressions.
        let is_missing = [
            "the module `",
            "unknown module `",
            "unknown function `",
            "classes of Java",
        ];
        match is_missing.iter().any(|start| what.starts_with(start)) {
            true => {
                let cause = what.clone();
                self.notes
                    .error_of_cause(cause, at, "expression", what, mend);
            }
            false => self.notes.error_about(at, "expression", what, mend),
        }
    }

    /// Reports an error, unless it is of a value whose placeholders could not be filled in.
    pub fn error(&mut self, at: Place, what: impl Into<String>, mend: impl Into<String>) {
        if !self.states.is_broken(at) {
            let (what, mend) = self.without_secrets(at, what.into(), mend.into());
            self.notes.error(at, what, mend);
        }
    }

    /// Reports a warning, unless it is of a value whose placeholders could not be filled in.
    pub fn warn(&mut self, at: Place, what: impl Into<String>, mend: impl Into<String>) {
        if !self.states.is_broken(at) {
            let (what, mend) = self.without_secrets(at, what.into(), mend.into());
            self.notes.warn(at, what, mend);
        }
    }

    fn without_secrets(&self, at: Place, what: String, mend: String) -> (String, String) {
        (self.states.shown(at, what), self.states.shown(at, mend))
    }

    /// Reports a wrong value as an error.
    pub fn wrong(&mut self, value: Written<'a>, what: impl Into<String>, mend: impl Into<String>) {
        self.error(value.at(), what, mend);
    }

    /// The result of reading a value; reports its problem.
    pub fn checked<T>(&mut self, written: Written<'a>, read: Result<T, Problem>) -> Option<T> {
        let report = |(what, mend)| self.wrong(written, what, mend);
        read.map_err(report).ok()
    }

    /// Reports usage of published flows that Mule refuses: a warning in `intent`, an error in `strict`.
    pub fn deviation(&mut self, at: Place, what: impl Into<String>, mend: impl Into<String>) {
        match self.compat {
            Compat::Intent => self.warn(at, what, mend),
            Compat::Strict => self.error(at, what, mend),
        }
    }
}

fn truth_of(text: &str) -> Option<bool> {
    match text.trim() {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}

fn not_a_truth(name: &str, text: &str) -> String {
    format!("{} is {}", quote(name), quote(text.trim()))
}
