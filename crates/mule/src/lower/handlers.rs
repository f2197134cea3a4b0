//! Error handling: `error-handler` and its handlers.

use std::collections::BTreeMap;
use std::sync::Arc;

use fusebox_plan::dialect::{Place, nearest, quote};

use super::Lowering;
use super::names::name_of;
use super::open::Open;
use super::values::Written;
use crate::app::{Compat, ErrorMapping, ErrorMatch, ErrorType, Handler, Handlers};
use crate::xml::Element;

const HANDLERS: &str = "error-handler";
const ON_ERROR: &[&str] = &["on-error-continue", "on-error-propagate"];

/// Elements that are read once and referred to repeatedly, by position; `None` while one is being read. An element
/// that cannot be read has no value.
pub(super) type ReadOnce<T> = BTreeMap<Place, Option<Counted<Option<T>>>>;

/// A value with the number of its processors.
#[derive(Clone)]
pub(super) struct Counted<T> {
    value: T,
    processors: usize,
}

/// The reference that asks for an element, if one does, and the kind of element in messages.
type Reference<'a> = Option<(Written<'a>, &'static str)>;

/// The limit of processors in an application, counted once for each reference, as a walk through the application
/// visits them.
const PROCESSORS_MAX: usize = 1_000_000;

impl<'a> Lowering<'a> {
    /// Reads the handlers outside flows.
    pub fn declare_handlers(&mut self) {
        for element in self.globals.each(&[HANDLERS, ON_ERROR[0], ON_ERROR[1]]) {
            if name_of(element).is_none() {
                let quoted = quote(&element.title());
                let what = format!("{quoted} outside flows has no name, so it never runs");
                let mend = "move it into the `error-handler` of a flow, or name it and refer to it";
                self.deviation(element.at, what, mend);
            }
            match element.title() == HANDLERS {
                true => drop(self.handlers_at(element, None)),
                false => drop(self.handler_at(element, None)),
            }
        }
    }

    /// Reads the `error-handler` of a flow or `try`, which must be the last child.
    pub fn own_handlers(&mut self, open: &Open<'a>) -> Option<Arc<Handlers>> {
        let element = self.part(open, HANDLERS)?;
        let last = open.element.children.last();
        if last.is_some_and(|last| !std::ptr::eq(last, element) && last.title() != HANDLERS) {
            let what = "there are elements after the `error-handler`";
            self.error(element.at, what, "make it the last one");
        }
        let open = self.open(element)?;
        if open.has("name") {
            let what =
                "the name of an `error-handler` in a flow has no effect: nothing can refer to it";
            let mend = "remove it, or move the handler out of the flow";
            self.warn(open.at(), what, mend);
        }
        self.handlers(&open)
    }

    fn handlers(&mut self, open: &Open<'a>) -> Option<Arc<Handlers>> {
        if open.has("ref") {
            if let Some(child) = open.element.children.first() {
                let what = "this `error-handler` refers to another, and has handlers of its own";
                self.error(child.at, what, "keep one of the two");
            }
            let name = self.text(open, "ref")?;
            return self.named_handlers(name);
        }
        if open.element.children.is_empty() {
            let what = "this `error-handler` handles nothing";
            let mend = "add an `on-error-continue` or `on-error-propagate`";
            self.deviation(open.at(), what, mend);
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
                let what = "this handler never runs: the one before it accepts every error";
                let mend = "move the one without `type` and `when` to the end";
                self.deviation(element.at, what, mend);
            }
            handlers.push(handler);
        }
        Some(Arc::new(Handlers(handlers)))
    }

    /// The handlers of an `error-handler` outside flows.
    pub fn named_handlers(&mut self, name: Written<'a>) -> Option<Arc<Handlers>> {
        let kind = "`error-handler`";
        let text = name.text;
        if self.globals.find(text, &[HANDLERS]).is_none() {
            if self.bindings.get(text) == Some("none") {
                let what = format!("unknown {kind} {}, so it handles nothing", quote(text));
                self.warn(name.at(), what, "add the file that defines it");
                return Some(Arc::new(Handlers(Vec::new())));
            }
            // One that is missing is one fault, however often it is referred to.
            if !self.is_partial && self.missing.insert(text.to_owned()) {
                let otherwise =
                    format!("add the file that defines it, or do without it: `--bind {text}=none`");
                let mend = self.mend(text, &[HANDLERS], &otherwise);
                self.wrong(name, format!("unknown {kind} {}", quote(text)), mend);
            }
            return None;
        }
        let found = self.known(name, &[HANDLERS], kind, "add the file that defines it")?;
        self.handlers_at(found, Some((name, kind)))
    }

    /// The handler that an `on-error` refers to.
    fn referred(&mut self, element: &'a Element) -> Option<Handler> {
        let open = self.open(element)?;
        let name = self.text(&open, "ref")?;
        let found = self.known(name, ON_ERROR, "handler", "add the file that defines it")?;
        self.handler_at(found, Some((name, "handler")))
    }

    fn handlers_at(&mut self, element: &'a Element, by: Reference<'a>) -> Option<Arc<Handlers>> {
        let read = |this: &mut Self, element| {
            let open = this.open(element)?;
            this.handlers(&open)
        };
        self.once(element, by, |this| &mut this.handlers, read)
    }

    fn handler_at(&mut self, element: &'a Element, by: Reference<'a>) -> Option<Handler> {
        self.once(element, by, |this| &mut this.on_errors, Self::handler)
    }

    /// The value of an element outside flows, read at first; its processors count again for each reference.
    fn once<T: Clone>(
        &mut self,
        element: &'a Element,
        by: Reference<'a>,
        known: fn(&mut Self) -> &mut ReadOnce<T>,
        read: impl FnOnce(&mut Self, &'a Element) -> Option<T>,
    ) -> Option<T> {
        match (known(self).get(&element.at).cloned(), by) {
            (Some(Some(read)), by) => {
                if by.is_some() {
                    self.count_processors(read.processors, element)?;
                }
                read.value
            }
            (Some(None), Some((name, kind))) => {
                let what = format!("the {kind} {} refers to itself", quote(name.text));
                let mend = "write the handlers of its inner scope explicitly";
                self.wrong(name, what, mend);
                None
            }
            (Some(None), None) => None,
            (None, _) => {
                known(self).insert(element.at, None);
                let before = self.processors;
                let value = read(self, element);
                let read = Counted {
                    value: value.clone(),
                    processors: self.processors - before,
                };
                known(self).insert(element.at, Some(read));
                value
            }
        }
    }

    /// Adds the processors of a reference to the total, which is limited.
    fn count_processors(&mut self, more: usize, element: &'a Element) -> Option<()> {
        self.processors = self.processors.saturating_add(more);
        if self.processors > PROCESSORS_MAX {
            let what = format!(
                "handlers refer to one another so often that there are more than {PROCESSORS_MAX} processors"
            );
            self.error(element.at, what, "let fewer handlers refer to it");
            return None;
        }
        Some(())
    }

    fn handler(&mut self, element: &'a Element) -> Option<Handler> {
        let open = self.open(element)?;
        Some(Handler {
            site: self.site(element.at),
            continues: &*element.name == "on-error-continue",
            types: self.error_matches(&open),
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
                let mend = "separate types with commas, `HTTP:TIMEOUT, HTTP:CONNECTIVITY`";
                self.wrong(written, what, mend);
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
            self.warn(written.at(), what, mend);
            return;
        }
        if kind.is_known()
            || self.globals.raised.contains(kind)
            || self.globals.is_of_refused(kind)
            || self.is_partial
        {
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
                self.warn(written.at(), what, mend);
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
        for mapping in self.open_parts(open, "error-mapping") {
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
