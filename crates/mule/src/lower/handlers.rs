//! Error handling: `error-handler` and its handlers.

use std::sync::Arc;

use fusebox_plan::dialect::{nearest, quote};

use super::Lowering;
use super::names::name_of;
use super::open::Open;
use super::values::Written;
use crate::app::{Compat, ErrorMapping, ErrorMatch, ErrorType, Handler, Handlers};
use crate::xml::Element;

const HANDLERS: &str = "error-handler";
const ON_ERROR: &[&str] = &["on-error-continue", "on-error-propagate"];

/// An element that is read once and referred to repeatedly, with its number of processors.
#[derive(Clone)]
pub(super) struct Counted<T> {
    value: T,
    processors: usize,
}

/// The limit of processors in an application, counted once for each reference, as a walk through the application
/// visits them.
const PROCESSORS_MAX: usize = 1_000_000;

impl<'a> Lowering<'a> {
    /// Reads the handlers outside flows.
    pub fn declare_handlers(&mut self) {
        for element in self.globals.each(&[HANDLERS]) {
            match name_of(element) {
                Some(name) => {
                    self.handlers_of(name.value, element);
                }
                None => {
                    self.refuse_nameless(element);
                    if let Some(open) = self.open(element) {
                        self.handlers(&open);
                    }
                }
            }
        }
        for element in self.globals.each(ON_ERROR) {
            if name_of(element).is_none() {
                self.refuse_nameless(element);
            }
            self.named_handler(element);
        }
    }

    fn refuse_nameless(&mut self, element: &'a Element) {
        self.deviation(
            element.at,
            format!(
                "{} outside flows has no name, so it never runs",
                quote(&element.title())
            ),
            "move it into the `error-handler` of a flow, or name it and refer to it",
        );
    }

    /// Reads the `error-handler` of a flow or `try`, which must be the last child.
    pub fn own_handlers(&mut self, open: &Open<'a>) -> Option<Arc<Handlers>> {
        let element = self.part(open, HANDLERS)?;
        let last = open.element.children.last();
        if last.is_some_and(|last| !std::ptr::eq(last, element) && last.title() != HANDLERS) {
            let what = "there are elements after the `error-handler`";
            self.notes.error(element.at, what, "make it the last one");
        }
        let open = self.open(element)?;
        if open.has("name") {
            let what =
                "the name of an `error-handler` in a flow has no effect: nothing can refer to it";
            self.notes.warn(
                open.at(),
                what,
                "remove it, or move the handler out of the flow",
            );
        }
        self.handlers(&open)
    }

    fn handlers(&mut self, open: &Open<'a>) -> Option<Arc<Handlers>> {
        if open.has("ref") {
            if let Some(child) = open.element.children.first() {
                let what = "this `error-handler` refers to another, and has handlers of its own";
                self.notes.error(child.at, what, "keep one of the two");
            }
            let name = self.text(open, "ref")?;
            return self.named_handlers(name);
        }
        if open.element.children.is_empty() {
            let what = "this `error-handler` handles nothing";
            self.notes.error(
                open.at(),
                what,
                "add an `on-error-continue` or `on-error-propagate`",
            );
        }
        let mut handlers: Vec<Handler> = Vec::new();
        for element in &open.element.children {
            let handler = match element.title().as_str() {
                "on-error" => self.referred(element),
                title if ON_ERROR.contains(&title) => self.handler(element),
                _ => None,
            };
            let Some(handler) = handler else {
                continue;
            };
            let all = |handler: &Handler| handler.types.is_empty() && handler.when.is_none();
            if handlers.last().is_some_and(all) {
                self.deviation(
                    element.at,
                    "this handler never runs: the one before it accepts every error",
                    "move the one without `type` and `when` to the end",
                );
            }
            handlers.push(handler);
        }
        Some(Arc::new(Handlers(handlers)))
    }

    /// The handlers of an `error-handler` outside flows.
    pub fn named_handlers(&mut self, name: Written<'a>) -> Option<Arc<Handlers>> {
        let Some(element) = self.globals.find(name.text, &[HANDLERS]) else {
            let what = format!("unknown `error-handler` {}", quote(name.text));
            let mend = self.mend(name.text, &[HANDLERS], "add the file that defines it");
            self.wrong(name, what, mend);
            return None;
        };
        match self.handlers.get(name.text).cloned() {
            Some(Some(read)) => {
                self.count_processors(read.processors, element)?;
                Some(read.value)
            }
            Some(None) => {
                let what = format!("the `error-handler` {} refers to itself", quote(name.text));
                self.wrong(
                    name,
                    what,
                    "write the handlers of its inner scope explicitly",
                );
                None
            }
            None => self.handlers_of(name.text, element),
        }
    }

    fn handlers_of(&mut self, name: &str, element: &'a Element) -> Option<Arc<Handlers>> {
        if let Some(read) = self.handlers.get(name) {
            return read.clone().map(|read| read.value);
        }
        self.handlers.insert(name.into(), None);
        let before = self.processors;
        let open = self.open(element)?;
        let handlers = self.handlers(&open);
        let read = Counted {
            // An unreadable one is kept as empty, since its error is already reported.
            value: handlers.clone().unwrap_or_default(),
            processors: self.processors - before,
        };
        self.handlers.insert(name.into(), Some(read));
        handlers
    }

    /// The handler that an `on-error` refers to.
    fn referred(&mut self, element: &'a Element) -> Option<Handler> {
        let open = self.open(element)?;
        let name = self.text(&open, "ref")?;
        let Some(found) = self.globals.find(name.text, ON_ERROR) else {
            let what = format!("unknown handler {}", quote(name.text));
            let mend = self.mend(name.text, ON_ERROR, "add the file that defines it");
            self.wrong(name, what, mend);
            return None;
        };
        match self.on_errors.get(&found.at).cloned() {
            Some(Some(read)) => {
                self.count_processors(read.processors, found)?;
                read.value
            }
            Some(None) => {
                let what = format!("the handler {} refers to itself", quote(name.text));
                self.wrong(
                    name,
                    what,
                    "write the handlers of its inner scope explicitly",
                );
                None
            }
            None => self.named_handler(found),
        }
    }

    /// Reads a handler outside flows.
    fn named_handler(&mut self, element: &'a Element) -> Option<Handler> {
        if let Some(read) = self.on_errors.get(&element.at) {
            return read.clone().and_then(|read| read.value);
        }
        self.on_errors.insert(element.at, None);
        let before = self.processors;
        let handler = self.handler(element);
        let processors = self.processors - before;
        let read = Counted {
            value: handler.clone(),
            processors,
        };
        self.on_errors.insert(element.at, Some(read));
        handler
    }

    /// Adds the processors of a reference to the total, which is limited.
    fn count_processors(&mut self, more: usize, element: &'a Element) -> Option<()> {
        self.processors = self.processors.saturating_add(more);
        if self.processors > PROCESSORS_MAX {
            let what = format!(
                "handlers refer to one another so often that there are more than {PROCESSORS_MAX} processors"
            );
            self.notes
                .error(element.at, what, "let fewer handlers refer to it");
            return None;
        }
        Some(())
    }

    fn handler(&mut self, element: &'a Element) -> Option<Handler> {
        let open = self.open(element)?;
        let types = match open.has("type") {
            true => self.error_matches(&open),
            false => Vec::new(),
        };
        Some(Handler {
            site: self.site(element.at),
            continues: &*element.name == "on-error-continue",
            types,
            when: self.script(&open, "when"),
            logs: self.flag(&open, "logException") != Some(false),
            chain: self.chain(&open),
        })
    }

    fn error_matches(&mut self, open: &Open<'a>) -> Vec<ErrorMatch> {
        let Some(written) = self.text(open, "type") else {
            return Vec::new();
        };
        let mut matches = Vec::new();
        for part in written.text.split(',').map(str::trim) {
            if part.is_empty() || part.split(':').count() > 2 {
                let what = format!("{} is not an error type", quote(part));
                self.wrong(
                    written,
                    what,
                    "separate types with commas, `HTTP:TIMEOUT, HTTP:CONNECTIVITY`",
                );
                continue;
            }
            let pattern = ErrorMatch::parse(part);
            if let ErrorMatch::Type(kind) = &pattern {
                self.check_known(written, kind);
            }
            matches.push(pattern);
        }
        matches
    }

    /// Reports a type that nothing raises, or that no name matches.
    fn check_known(&mut self, written: Written<'a>, kind: &ErrorType) {
        if kind.is_unknown() {
            let what =
                "`MULE:UNKNOWN` is the type of errors that have none, and matches none of them";
            let mend = "write `ANY`, which matches them";
            self.notes.warn(written.at(), what, mend);
            return;
        }
        if kind.is_known() || self.globals.raised.contains(kind) {
            return;
        }
        let name = kind.to_string();
        let near = match self.may_guess() {
            true => self.near_type(kind),
            false => None,
        };
        let mend = match near {
            Some(near) => format!("did you mean {}?", quote(&near)),
            None => "write the type of an error that something raises".to_owned(),
        };
        let what = format!("nothing raises {}", quote(&name));
        match self.compat {
            Compat::Strict => self.wrong(written, what, mend),
            Compat::Intent => {
                let what = format!("{what}, so it matches no error here; Mule would not start");
                self.notes.warn(written.at(), what, mend);
            }
        }
    }

    /// The type to suggest: one with the same identifier, or with a similar name.
    fn near_type(&self, kind: &ErrorType) -> Option<String> {
        let own = self.globals.raised.iter().map(ToString::to_string);
        let known = ErrorType::known().map(ToString::to_string);
        let types: Vec<String> = known.chain(own).take(256).collect();
        let same = |other: &&String| other.rsplit(':').next() == Some(&*kind.identifier);
        let near =
            || nearest(&kind.to_string(), types.iter().map(String::as_str)).map(str::to_owned);
        types.iter().find(same).cloned().or_else(near)
    }

    /// Reads the error mappings of an operation.
    pub fn mappings(&mut self, open: &Open<'a>) -> Vec<ErrorMapping> {
        if !open.shape.allows("error-mapping") {
            return Vec::new();
        }
        let module = open.element.module.to_ascii_uppercase();
        let mut mappings = Vec::new();
        for element in open.parts("error-mapping") {
            let Some(mapping) = self.open(element) else {
                continue;
            };
            let sources = self.text(&mapping, "sourceType");
            let target = self.text(&mapping, "targetType");
            let (Some(sources), Some(target)) = (sources, target) else {
                continue;
            };
            let Some(target) = self.error_type(target) else {
                continue;
            };
            for part in sources.text.split(',').map(str::trim) {
                // A type without namespace belongs to the module, if the module has it.
                let own = ErrorType::new(&module, part);
                let source = match !part.contains(':') && own.is_known() {
                    true => ErrorMatch::Type(own),
                    false => ErrorMatch::parse(part),
                };
                if let ErrorMatch::Type(kind) = &source {
                    self.check_known(sources, kind);
                }
                mappings.push(ErrorMapping {
                    source,
                    target: target.clone(),
                });
            }
        }
        mappings
    }

    /// Reads a single error type.
    pub fn error_type(&mut self, written: Written<'a>) -> Option<ErrorType> {
        let text = written.text.trim();
        let part = |text: &str| {
            let good = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
            !text.is_empty() && text.chars().all(good)
        };
        let good = match text.split_once(':') {
            Some((namespace, identifier)) => part(namespace) && part(identifier),
            None => part(text),
        };
        if !good {
            let what = format!("{} is not an error type", quote(text));
            self.wrong(written, what, "write one such as `APP:CIRCUIT_OPEN`");
            return None;
        }
        Some(ErrorType::parse(text))
    }
}
