//! The ways through a flow: what it asks, stores and calls on each, as far as that can be told.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

use super::failures::{Failures, Outcome};
use crate::mule::app::{
    App, Chain, Choice, Does, ErrorType, Flow, FlowName, Given, Handlers, ObjectCall,
    ObjectOperation, Processor, Request, SendBody, Site, StoreDeclaration, Target, ValidationRule,
};
use crate::mule::dataweave::{Script, View};
use crate::mule::media::MediaType;
use crate::mule::symbol::{Relation, Symbol};
use crate::mule::value::Value;

/// Processors that are gone through; a flow that needs more is not looked through.
const WORK_MAX: u32 = 10_000;
/// The same for all flows together.
const TOTAL_MAX: u32 = 60_000;
/// Parts of scripts that are evaluated.
const STEPS_MAX: u32 = 400_000;
/// Ways at once.
const WAYS_MAX: usize = 300;
/// `flow-ref`s inside one another.
const DEPTH_MAX: usize = 24;
/// Ways in which one condition may come to hold.
const CASES_MAX: usize = 24;

/// An entry of an object store.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    /// The store; `None`: the application's default one.
    pub store: Option<Arc<StoreDeclaration>>,
    /// Its key.
    pub key: Symbol,
}

/// A call, by where it stands.
#[derive(Debug, Clone)]
pub(crate) struct Call<'a> {
    pub site: &'a Site,
    pub request: &'a Request,
}

/// What a flow does on its way that matters for circuits.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Act<'a> {
    /// A condition held.
    Held { condition: Symbol, site: &'a Site },
    /// An entry was there, or was not.
    Found { entry: usize, found: bool },
    /// An entry was asked for.
    Read {
        entry: usize,
        site: &'a Site,
        /// Whether the message was lost over it.
        over_message: bool,
    },
    /// An entry was written.
    Wrote {
        entry: usize,
        value: Symbol,
        site: &'a Site,
    },
    /// An entry was removed.
    Removed { entry: usize, site: &'a Site },
    /// A call was made.
    Called {
        call: usize,
        outcome: Outcome,
        sent: Rc<Sent>,
    },
    /// A handler took an error.
    Handled { site: &'a Site },
}

/// What a call sends.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sent {
    pub method: Symbol,
    pub url: Option<Symbol>,
    pub path: Symbol,
    pub uri_params: Option<Symbol>,
    pub query: Option<Symbol>,
    pub headers: Option<Symbol>,
    /// The body; `None`: there is none.
    pub body: Option<Symbol>,
}

/// A way through a flow, from its start to its end.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Way<'a> {
    pub acts: Vec<Act<'a>>,
    pub payload: Symbol,
    /// The media type that the payload was given.
    pub media_type: Option<MediaType>,
    pub vars: BTreeMap<Arc<str>, Symbol>,
    /// The error that it ended with.
    pub raised: Option<Raised>,
    attributes: Symbol,
    error: Symbol,
    /// What is known of entries: what they hold, or that they are not there.
    held: BTreeMap<usize, Option<Symbol>>,
}

/// An error, and that which it stands for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Raised {
    pub kind: ErrorType,
    pub description: Symbol,
    pub cause: Option<ErrorType>,
}

/// All that is known of an application's entries and calls, and the ways through one flow.
pub(crate) struct Walk<'a> {
    app: &'a App,
    pub failures: &'a Failures,
    pub entries: Vec<Entry>,
    pub calls: Vec<Call<'a>>,
    /// What keys of entries hold, whenever they hold anything.
    pub constants: BTreeMap<(usize, Arc<str>), Symbol>,
    /// Keys of what entries hold that conditions look at.
    pub asked: BTreeSet<(usize, Arc<str>)>,
    /// Processors that may be gone through yet: in this flow, and in all.
    work: u32,
    total: u32,
    steps: Cell<u32>,
    /// Whether there was too much to look through.
    spent: bool,
}

type Ends<'a> = Vec<(Way<'a>, Option<Raised>)>;

impl<'a> Walk<'a> {
    pub fn new(app: &'a App, failures: &'a Failures) -> Walk<'a> {
        Walk {
            app,
            failures,
            entries: Vec::new(),
            calls: Vec::new(),
            constants: BTreeMap::new(),
            asked: BTreeSet::new(),
            work: WORK_MAX,
            total: TOTAL_MAX,
            steps: Cell::new(STEPS_MAX),
            spent: false,
        }
    }

    /// All ways through a flow; `None`: there are too many.
    pub fn through(&mut self, flow: &'a Flow) -> Option<Vec<Way<'a>>> {
        self.work = WORK_MAX.min(self.total);
        self.total -= self.work;
        self.steps.set(STEPS_MAX);
        self.spent = false;
        let start = Way {
            acts: Vec::new(),
            payload: Symbol::input("payload"),
            media_type: None,
            vars: BTreeMap::new(),
            raised: None,
            attributes: Symbol::input("attributes"),
            error: Symbol::NULL,
            held: BTreeMap::new(),
        };
        let ends = self.flow(flow, start, 0);
        self.total += self.work;
        if self.spent || self.steps.get() == 0 {
            return None;
        }
        let ways = ends.into_iter().map(|(mut way, raised)| {
            way.raised = raised;
            way
        });
        Some(ways.collect())
    }

    fn flow(&mut self, flow: &'a Flow, way: Way<'a>, depth: usize) -> Ends<'a> {
        let ends = self.chain(&flow.chain, way, depth);
        if flow.is_sub {
            return ends;
        }
        let handlers = flow
            .handlers
            .as_ref()
            .or(self.app.default_handlers.as_ref());
        self.handled(ends, handlers.map(|handlers| &**handlers), depth)
    }

    fn chain(&mut self, chain: &'a Chain, way: Way<'a>, depth: usize) -> Ends<'a> {
        let mut ends = Vec::new();
        let mut ways = vec![way];
        for processor in &chain.0 {
            let mut next: Vec<Way<'a>> = Vec::new();
            for way in ways {
                for (way, raised) in self.processor(processor, way, depth) {
                    match raised {
                        Some(raised) => ends.push((way, Some(raised))),
                        None if next.contains(&way) => {}
                        None => next.push(way),
                    }
                }
            }
            ways = next;
            if ways.len() + ends.len() > WAYS_MAX {
                self.spent = true;
            }
            if self.spent {
                break;
            }
        }
        ends.extend(ways.into_iter().map(|way| (way, None)));
        ends
    }

    /// What becomes of errors.
    fn handled(
        &mut self,
        ends: Ends<'a>,
        handlers: Option<&'a Handlers>,
        depth: usize,
    ) -> Ends<'a> {
        let Some(handlers) = handlers else {
            return ends;
        };
        let mut after: Ends<'a> = Vec::new();
        for (way, raised) in ends {
            let Some(raised) = raised else {
                push(&mut after, (way, None));
                continue;
            };
            let outer = way.error.clone();
            let mut left = vec![Way {
                error: error(&raised),
                ..way
            }];
            for handler in &handlers.0 {
                let takes = handler.types.is_empty()
                    || handler.types.iter().any(|types| {
                        types.takes(&raised.kind)
                            || raised
                                .cause
                                .as_ref()
                                .is_some_and(|cause| types.takes(cause))
                    });
                if !takes {
                    continue;
                }
                let mut refused = Vec::new();
                for way in left {
                    let asked = match &handler.when {
                        Some(when) => self.script(when, way, &handler.site),
                        None => vec![(way, true)],
                    };
                    for (mut way, accepted) in asked {
                        if !accepted {
                            refused.push(way);
                            continue;
                        }
                        way.acts.push(Act::Handled {
                            site: &handler.site,
                        });
                        for (mut way, new) in self.chain(&handler.chain, way, depth) {
                            way.error = outer.clone();
                            let end = match new {
                                Some(new) => Some(new),
                                None if handler.continues => None,
                                None => Some(raised.clone()),
                            };
                            push(&mut after, (way, end));
                        }
                    }
                }
                left = refused;
                if left.is_empty() || self.spent {
                    break;
                }
            }
            for way in left {
                let way = Way {
                    error: outer.clone(),
                    ..way
                };
                push(&mut after, (way, Some(raised.clone())));
            }
        }
        after
    }

    fn processor(&mut self, processor: &'a Processor, way: Way<'a>, depth: usize) -> Ends<'a> {
        match self.work.checked_sub(1) {
            Some(left) => self.work = left,
            None => self.spent = true,
        }
        if self.spent {
            return vec![(way, None)];
        }
        let site = &processor.site;
        let mut ends = self.does(&processor.does, site, way, depth);
        for raised in ends.iter_mut().filter_map(|(_, raised)| raised.as_mut()) {
            let mapping = processor
                .mappings
                .iter()
                .find(|mapping| mapping.source.takes(&raised.kind));
            if let Some(mapping) = mapping {
                raised.kind = mapping.target.clone();
            }
        }
        ends
    }

    fn does(&mut self, does: &'a Does, site: &'a Site, mut way: Way<'a>, depth: usize) -> Ends<'a> {
        match does {
            Does::FlowRef { flow, target } => return self.flow_ref(flow, target, way, depth),
            Does::SetVariable(set) => {
                let value = self.given(&set.value, &way);
                if let Some(name) = text(&self.given(&set.name, &way)) {
                    way.vars.insert(name, value);
                }
            }
            Does::RemoveVariable(name) => {
                if let Some(name) = text(&self.given(name, &way)) {
                    way.vars.remove(&name);
                }
            }
            Does::SetPayload { value, media_type } => {
                way.payload = self.given(value, &way);
                way.media_type = media_type.clone();
            }
            Does::Transform(transform) => {
                let payload = transform.payload.as_ref();
                let payload = payload.map(|script| self.value(script, &way));
                let attributes = transform.attributes.as_ref();
                let attributes = attributes.map(|script| self.value(script, &way));
                let mut vars = Vec::new();
                for (name, script) in &transform.variables {
                    if let Some(name) = text(&self.given(name, &way)) {
                        vars.push((name, self.value(script, &way)));
                    }
                }
                way.vars.extend(vars);
                way.payload = payload.unwrap_or(way.payload);
                way.attributes = attributes.unwrap_or(way.attributes);
            }
            Does::Logger(_) | Does::Publish(_) => {}
            Does::Choice(choice) => return self.choice(choice, site, way, depth),
            Does::Try(scope) => {
                let ends = self.chain(&scope.chain, way, depth);
                return self.handled(ends, scope.handlers.as_deref(), depth);
            }
            Does::RaiseError(raise) => {
                let description = match &raise.description {
                    Some(description) => self.given(description, &way),
                    None => Symbol::text("An error occurred."),
                };
                let raised = Raised {
                    kind: raise.kind.clone(),
                    description,
                    cause: None,
                };
                return vec![(way, Some(raised))];
            }
            Does::UntilSuccessful(scope) => {
                let mut ends = self.chain(&scope.chain, way, depth);
                for raised in ends.iter_mut().filter_map(|(_, raised)| raised.as_mut()) {
                    let cause = raised.cause.take().unwrap_or_else(|| raised.kind.clone());
                    *raised = Raised {
                        kind: ErrorType::new("MULE", "RETRY_EXHAUSTED"),
                        description: Symbol::Unknown,
                        cause: Some(cause),
                    };
                }
                return ends;
            }
            Does::Foreach(scope) => {
                let (payload, attributes) = (way.payload.clone(), way.attributes.clone());
                way.payload = Symbol::Unknown;
                let mut ends = self.chain(&scope.chain, way, depth);
                for (way, _) in ends.iter_mut().filter(|(_, raised)| raised.is_none()) {
                    way.payload = payload.clone();
                    way.attributes = attributes.clone();
                }
                return ends;
            }
            Does::ParallelForeach(scope) => {
                let routes = [&scope.chain];
                return self.routes(routes, scope.target.as_ref(), true, way, depth);
            }
            Does::ScatterGather(scope) => {
                return self.routes(&scope.routes, scope.target.as_ref(), false, way, depth);
            }
            Does::Async(scope) => {
                let before = way.clone();
                let ends = self.chain(&scope.chain, way, depth);
                let back = ends.into_iter().map(|(way, _)| (before.beside(way), None));
                return back.collect();
            }
            Does::FirstSuccessful(scope) => {
                let mut done: Ends<'a> = Vec::new();
                let mut left = vec![(way.clone(), None)];
                for route in &scope.routes {
                    let mut failed = Vec::new();
                    for (from, _) in left {
                        for (end, raised) in self.chain(route, way.beside(from), depth) {
                            match raised {
                                Some(raised) => failed.push((end, Some(raised))),
                                None => push(&mut done, (end, None)),
                            }
                        }
                    }
                    left = failed;
                }
                done.extend(left);
                return done;
            }
            Does::RoundRobin(scope) => {
                let routes = scope.routes.iter();
                let ends = routes.flat_map(|route| self.chain(route, way.clone(), depth));
                return ends.collect();
            }
            Does::Request(request) => return self.request(request, site, way),
            Does::Object(call) => return self.object(call, site, way),
            Does::Cache(scope) => return self.chain(&scope.chain, way, depth),
            Does::Validation(validation) => return self.validation(&validation.rule, site, way),
            Does::Sleep(_) => {
                way.payload = Symbol::NULL;
                way.attributes = Symbol::NULL;
            }
        }
        vec![(way, None)]
    }

    fn flow_ref(
        &mut self,
        flow: &'a FlowName,
        target: &'a Option<Target>,
        mut way: Way<'a>,
        depth: usize,
    ) -> Ends<'a> {
        let FlowName::Known(id) = flow else {
            if matches!(flow, FlowName::Computed(_)) {
                way.payload = Symbol::Unknown;
            }
            return vec![(way, None)];
        };
        if depth >= DEPTH_MAX {
            self.spent = true;
            return vec![(way, None)];
        }
        let app = self.app;
        let before = target.as_ref().map(|_| way.clone());
        let mut ends = self.flow(app.flow(*id), way, depth + 1);
        if let (Some(before), Some(target)) = (before, target) {
            for (way, _) in ends.iter_mut().filter(|(_, raised)| raised.is_none()) {
                let (payload, attributes) = (way.payload.clone(), way.attributes.clone());
                *way = before.beside(way.clone());
                self.set_target(target, payload, attributes, way);
            }
        }
        ends
    }

    /// Routes that run beside one another, here one after the other.
    fn routes(
        &mut self,
        routes: impl IntoIterator<Item = &'a Chain>,
        target: Option<&'a Target>,
        items: bool,
        way: Way<'a>,
        depth: usize,
    ) -> Ends<'a> {
        let mut ends: Ends<'a> = vec![(way.clone(), None)];
        for route in routes {
            let mut next: Ends<'a> = Vec::new();
            for (from, before) in ends {
                let mut start = way.beside(from);
                if items {
                    start.payload = Symbol::Unknown;
                }
                for (end, raised) in self.chain(route, start, depth) {
                    let cause = raised.map(|raised| raised.cause.unwrap_or(raised.kind));
                    let raised = before.clone().or(cause.map(|cause| Raised {
                        kind: ErrorType::new("MULE", "COMPOSITE_ROUTING"),
                        description: Symbol::Unknown,
                        cause: Some(cause),
                    }));
                    push(&mut next, (way.beside(end), raised));
                }
            }
            ends = next;
            if ends.len() > WAYS_MAX {
                self.spent = true;
                break;
            }
        }
        for (way, _) in ends.iter_mut().filter(|(_, raised)| raised.is_none()) {
            match target {
                Some(target) => {
                    way.vars.insert(target.variable.clone(), Symbol::Unknown);
                }
                None => way.payload = Symbol::Unknown,
            }
        }
        ends
    }

    fn choice(
        &mut self,
        choice: &'a Choice,
        site: &'a Site,
        way: Way<'a>,
        depth: usize,
    ) -> Ends<'a> {
        let mut ends = Vec::new();
        let mut left = vec![way];
        for (when, chain) in &choice.whens {
            let mut next = Vec::new();
            for way in left {
                for (way, holds) in self.script(when, way, site) {
                    if holds {
                        ends.extend(self.chain(chain, way, depth));
                    } else if !next.contains(&way) {
                        next.push(way);
                    }
                }
            }
            left = next;
        }
        for way in left {
            match &choice.otherwise {
                Some(chain) => ends.extend(self.chain(chain, way, depth)),
                None => ends.push((way, None)),
            }
        }
        ends
    }

    fn request(&mut self, request: &'a Request, site: &'a Site, way: Way<'a>) -> Ends<'a> {
        let call = match self.calls.iter().position(|call| call.site == site) {
            Some(call) => call,
            None => {
                self.calls.push(Call { site, request });
                self.calls.len() - 1
            }
        };
        let body = match &request.body {
            Some(body) => self.given(body, &way),
            None => way.payload.clone(),
        };
        let method = self.given(&request.method, &way);
        let bodiless = text(&method).is_some_and(|method| {
            ["GET", "HEAD", "OPTIONS"]
                .iter()
                .any(|plain| method.eq_ignore_ascii_case(plain))
        });
        let mode = request.send_body.unwrap_or_else(|| {
            let config = request.config.as_ref();
            config.map_or(SendBody::Auto, |config| config.send_body)
        });
        let sends = match mode {
            SendBody::Auto => !bodiless,
            SendBody::Always => true,
            SendBody::Never => false,
        };
        let optional = |given: &Option<Given>| given.as_ref().map(|given| self.given(given, &way));
        let sent = Rc::new(Sent {
            method,
            url: optional(&request.url),
            path: self.given(&request.path, &way),
            uri_params: optional(&request.uri_params),
            query: optional(&request.query_params),
            headers: optional(&request.headers),
            body: sends.then_some(body),
        });
        let mut ends = Vec::new();
        for outcome in self.failures.outcomes(request) {
            let mut way = way.clone();
            let raised = self.failures.error(outcome).map(|kind| Raised {
                kind: kind.clone(),
                description: Symbol::Unknown,
                cause: None,
            });
            way.acts.push(Act::Called {
                call,
                outcome,
                sent: sent.clone(),
            });
            if raised.is_none() {
                let status = self.failures.status(outcome).unwrap_or(200);
                let fields = [(
                    Arc::from("statusCode"),
                    Symbol::Known(i64::from(status).into()),
                )];
                let attributes =
                    Symbol::input("attributes").concat(Symbol::object(None, fields.into()));
                let payload = Symbol::input("response");
                way.media_type = None;
                match &request.target {
                    Some(target) => self.set_target(target, payload, attributes, &mut way),
                    None => {
                        way.payload = payload;
                        way.attributes = attributes;
                    }
                }
            }
            ends.push((way, raised));
        }
        ends
    }

    fn object(&mut self, call: &'a ObjectCall, site: &'a Site, mut way: Way<'a>) -> Ends<'a> {
        let missing = |name: &str| Raised {
            kind: ErrorType::new("OS", name),
            description: Symbol::Unknown,
            cause: None,
        };
        match &call.operation {
            ObjectOperation::Store {
                key,
                value,
                fail_if_present,
                ..
            } => {
                let entry = self.entry(call, key, &way);
                let value = match value {
                    Some(value) => self.given(value, &way),
                    None => way.payload.clone(),
                };
                let once = self.given(fail_if_present, &way).truth() == Some(true);
                let mut ends = Vec::new();
                let ways = match once {
                    true => self.found(entry, way),
                    false => vec![(way, false)],
                };
                for (mut way, there) in ways {
                    if there {
                        ends.push((way, Some(missing("KEY_ALREADY_EXISTS"))));
                        continue;
                    }
                    way.held.insert(entry, Some(value.clone()));
                    way.acts.push(Act::Wrote {
                        entry,
                        value: value.clone(),
                        site,
                    });
                    ends.push((way, None));
                }
                ends
            }
            ObjectOperation::Retrieve { key, default } => {
                let entry = self.entry(call, key, &way);
                way.acts.push(Act::Read {
                    entry,
                    site,
                    over_message: call.target.is_none(),
                });
                let mut ends = Vec::new();
                for (mut way, there) in self.found(entry, way) {
                    let value = if there {
                        let held = way.held.get(&entry).cloned().flatten();
                        held.unwrap_or(Symbol::Entry(entry))
                    } else {
                        match default {
                            Some(default) => self.given(default, &way),
                            None => {
                                ends.push((way, Some(missing("KEY_NOT_FOUND"))));
                                continue;
                            }
                        }
                    };
                    self.result(call, value, &mut way);
                    ends.push((way, None));
                }
                ends
            }
            ObjectOperation::Contains { key } => {
                let entry = self.entry(call, key, &way);
                way.acts.push(Act::Read {
                    entry,
                    site,
                    over_message: false,
                });
                let mut ends = Vec::new();
                for (mut way, there) in self.found(entry, way) {
                    self.result(call, Symbol::flag(there), &mut way);
                    ends.push((way, None));
                }
                ends
            }
            ObjectOperation::Remove { key } => {
                let entry = self.entry(call, key, &way);
                let mut ends = Vec::new();
                for (mut way, there) in self.found(entry, way) {
                    if !there {
                        ends.push((way, Some(missing("KEY_NOT_FOUND"))));
                        continue;
                    }
                    way.held.insert(entry, None);
                    way.acts.push(Act::Removed { entry, site });
                    ends.push((way, None));
                }
                ends
            }
            ObjectOperation::Clear => {
                let store = call.store.as_ref().map(|store| &store.name);
                for (entry, known) in self.entries.iter().enumerate() {
                    if known.store.as_ref().map(|store| &store.name) == store {
                        way.held.insert(entry, None);
                        way.acts.push(Act::Removed { entry, site });
                    }
                }
                vec![(way, None)]
            }
            ObjectOperation::RetrieveAllKeys | ObjectOperation::RetrieveAll => {
                self.result(call, Symbol::Unknown, &mut way);
                vec![(way, None)]
            }
        }
    }

    /// The number of the entry of a key.
    fn entry(&mut self, call: &ObjectCall, key: &Given, way: &Way<'_>) -> usize {
        let key = self.given(key, way).bare();
        let store = call.store.clone();
        let name =
            |store: &Option<Arc<StoreDeclaration>>| store.as_ref().map(|store| store.name.clone());
        let known = self
            .entries
            .iter()
            .position(|entry| entry.key == key && name(&entry.store) == name(&store));
        known.unwrap_or_else(|| {
            self.entries.push(Entry { store, key });
            self.entries.len() - 1
        })
    }

    /// Whether an entry is there: both, unless that is known.
    fn found(&self, entry: usize, way: Way<'a>) -> Vec<(Way<'a>, bool)> {
        if let Some(held) = way.held.get(&entry) {
            let there = held.is_some();
            return vec![(way, there)];
        }
        let as_if = |found: bool| {
            let mut way = way.clone();
            let held = found.then_some(Symbol::Entry(entry));
            way.held.insert(entry, held);
            way.acts.push(Act::Found { entry, found });
            (way, found)
        };
        vec![as_if(true), as_if(false)]
    }

    fn result(&self, call: &ObjectCall, value: Symbol, way: &mut Way<'a>) {
        match &call.target {
            Some(target) => self.set_target(target, value, Symbol::NULL, way),
            None => {
                way.payload = value;
                way.attributes = Symbol::NULL;
            }
        }
    }

    fn set_target(&self, target: &Target, payload: Symbol, attributes: Symbol, way: &mut Way<'a>) {
        let value = match &target.value {
            None => payload,
            Some(script) => {
                let view = View {
                    payload: &payload,
                    attributes: &attributes,
                    vars: &way.vars,
                    error: &way.error,
                    properties: &self.app.properties,
                    steps: &self.steps,
                };
                self.fixed(script.symbol(&view))
            }
        };
        way.vars.insert(target.variable.clone(), value);
    }

    fn validation(&mut self, rule: &'a ValidationRule, site: &'a Site, way: Way<'a>) -> Ends<'a> {
        let (condition, error) = match rule {
            ValidationRule::True(given) => (self.given(given, &way), "INVALID_BOOLEAN"),
            ValidationRule::False(given) => (self.given(given, &way).negation(), "INVALID_BOOLEAN"),
            ValidationRule::NotNull(given) => {
                let value = self.given(given, &way);
                (value.compare(Relation::Unequal, Symbol::NULL), "NULL")
            }
            ValidationRule::Null(given) => {
                let value = self.given(given, &way);
                (value.compare(Relation::Equal, Symbol::NULL), "NOT_NULL")
            }
            ValidationRule::NotBlank(_)
            | ValidationRule::Matches { .. }
            | ValidationRule::Size { .. } => return vec![(way, None)],
        };
        let asked = asked(condition, way, site);
        let ends = asked.into_iter().map(|(way, holds)| {
            let raised = (!holds).then(|| Raised {
                kind: ErrorType::new("VALIDATION", error),
                description: Symbol::Unknown,
                cause: None,
            });
            (way, raised)
        });
        ends.collect()
    }

    fn script(&self, script: &Script, way: Way<'a>, site: &'a Site) -> Vec<(Way<'a>, bool)> {
        let condition = self.value(script, &way);
        asked(condition, way, site)
    }

    fn view<'v>(&'v self, way: &'v Way<'_>) -> View<'v> {
        View {
            payload: &way.payload,
            attributes: &way.attributes,
            vars: &way.vars,
            error: &way.error,
            properties: &self.app.properties,
            steps: &self.steps,
        }
    }

    fn value(&self, script: &Script, way: &Way<'_>) -> Symbol {
        self.fixed(script.symbol(&self.view(way)))
    }

    fn given(&self, given: &Given, way: &Way<'_>) -> Symbol {
        self.fixed(given.symbol(&self.view(way)))
    }

    /// With the constants of entries in place.
    fn fixed(&self, symbol: Symbol) -> Symbol {
        if self.constants.is_empty() {
            return symbol;
        }
        symbol.rewritten(&|part| match part {
            Symbol::Field(of, key) => match &**of {
                Symbol::Entry(entry) => self.constants.get(&(*entry, key.clone())).cloned(),
                _ => None,
            },
            _ => None,
        })
    }
}

impl<'a> Way<'a> {
    /// This event, after what another way did beside it.
    fn beside(&self, other: Way<'a>) -> Way<'a> {
        Way {
            acts: other.acts,
            held: other.held,
            ..self.clone()
        }
    }
}

fn push<'a>(ends: &mut Ends<'a>, end: (Way<'a>, Option<Raised>)) {
    if !ends.contains(&end) {
        ends.push(end);
    }
}

fn text(symbol: &Symbol) -> Option<Arc<str>> {
    match symbol.known()? {
        Value::String(text) => Some(text.clone()),
        _ => None,
    }
}

/// An error as expressions see it.
fn error(raised: &Raised) -> Symbol {
    let kind = |kind: &ErrorType| {
        let fields = [
            (Arc::from("namespace"), Symbol::text(kind.namespace.clone())),
            ("identifier".into(), Symbol::text(kind.identifier.clone())),
        ];
        Symbol::object(None, fields.into())
    };
    let fields = [
        (Arc::from("errorType"), kind(&raised.kind)),
        ("description".into(), raised.description.clone()),
    ];
    Symbol::input("error").concat(Symbol::object(None, fields.into()))
}

/// What becomes of a way at a condition: what can be, with what then holds.
fn asked<'a>(condition: Symbol, way: Way<'a>, site: &'a Site) -> Vec<(Way<'a>, bool)> {
    if let Some(holds) = condition.truth() {
        return vec![(way, holds)];
    }
    let of_entry = condition.has(&|part| matches!(part, Symbol::Entry(_)));
    if !of_entry {
        return vec![(way.clone(), true), (way, false)];
    }
    let mut ends: Vec<(Way<'a>, bool)> = Vec::new();
    for holds in [true, false] {
        for case in cases(&condition, holds) {
            if let Some(way) = assumed(case, way.clone(), site) {
                let end = (way, holds);
                if !ends.contains(&end) {
                    ends.push(end);
                }
            }
        }
    }
    ends
}

/// The conditions without `and` and `or` that make one hold, or not; any of the lists does.
fn cases(condition: &Symbol, holds: bool) -> Vec<Vec<Symbol>> {
    let all = |items: &[Symbol], holds: bool| {
        items
            .iter()
            .fold(vec![Vec::new()], |before: Vec<Vec<Symbol>>, item| {
                let mut after = Vec::new();
                for list in before {
                    for more in cases(item, holds) {
                        let mut list = list.clone();
                        list.extend(more);
                        after.push(list);
                    }
                }
                after.truncate(CASES_MAX);
                after
            })
    };
    // The first that decides, and all before it that did not.
    let one = |items: &[Symbol], holds: bool| {
        let mut found = Vec::new();
        for at in 0..items.len() {
            for before in all(&items[..at], !holds) {
                for last in cases(&items[at], holds) {
                    let mut list = before.clone();
                    list.extend(last);
                    found.push(list);
                }
            }
        }
        found.truncate(CASES_MAX);
        found
    };
    match (condition, holds) {
        (Symbol::All(items), true) => all(items, true),
        (Symbol::All(items), false) => one(items, false),
        (Symbol::Any(items), true) => one(items, true),
        (Symbol::Any(items), false) => all(items, false),
        (Symbol::Not(of), holds) => cases(of, !holds),
        (Symbol::If(when, then, otherwise), holds) => {
            let mut found = Vec::new();
            for (which, side) in [(true, then), (false, otherwise)] {
                for before in cases(when, which) {
                    for last in cases(side, holds) {
                        let mut list = before.clone();
                        list.extend(last);
                        found.push(list);
                    }
                }
            }
            found.truncate(CASES_MAX);
            found
        }
        (Symbol::Known(_), _) if condition.truth() == Some(holds) => vec![Vec::new()],
        (Symbol::Known(_), _) if condition.truth().is_some() => Vec::new(),
        (other, true) => vec![vec![other.clone()]],
        (other, false) => vec![vec![other.clone().negation()]],
    }
}

/// A way on which conditions hold besides; `None`: they cannot.
fn assumed<'a>(conditions: Vec<Symbol>, mut way: Way<'a>, site: &'a Site) -> Option<Way<'a>> {
    for condition in conditions {
        let mut known = condition.clone();
        for act in &way.acts {
            let Act::Held {
                condition: before, ..
            } = act
            else {
                continue;
            };
            if *before == known {
                known = Symbol::flag(true);
            } else if before.clone().negation() == known {
                return None;
            } else if let Symbol::Compare(left, Relation::Equal, right) = before
                && right.known().is_some()
            {
                known = known.rewritten(&|part| (part == &**left).then(|| (**right).clone()));
            }
        }
        match known.truth() {
            Some(true) => {}
            Some(false) => return None,
            None => way.acts.push(Act::Held { condition, site }),
        }
    }
    Some(way)
}
