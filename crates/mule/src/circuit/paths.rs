//! Symbolic execution: the paths through a flow, with the conditions, store operations and calls on each.
//!
//! - `processors`, `objects`: the effect of each kind of processor on a path
//! - `conditions`: where a path splits

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

mod conditions;
mod objects;
mod policies;
mod processors;

use super::failures::{Failures, Outcome};
use super::push;
use crate::app::{
    App, Chain, ErrorType, Flow, Given, Handlers, Processor, Request, Site, StoreDeclaration,
    Target,
};
use conditions::split;
use fusebox_dataweave::symbol::{Symbol, View};
use fusebox_dataweave::{MediaType, Script, Value};

/// The limit of processors on the paths of one flow; a flow above it is not examined.
const WORK_MAX: u32 = 10_000;
/// The limit of processors in all flows together.
const TOTAL_MAX: u32 = 60_000;
/// The limit of evaluated script parts.
const STEPS_MAX: u32 = 400_000;
/// The limit of paths at a time.
const PATHS_MAX: usize = 300;
/// The limit of nested `flow-ref`s.
const DEPTH_MAX: usize = 24;

/// An entry of an object store.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    /// The store; `None`: the application's default store.
    pub store: Option<Arc<StoreDeclaration>>,
    /// The key, as far as it is known.
    pub key: Symbol,
}

/// A call, by its position.
#[derive(Debug, Clone)]
pub(crate) struct Call<'a> {
    pub site: &'a Site,
    pub request: &'a Request,
}

/// A step on a path that matters for circuits.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Act<'a> {
    /// A condition was assumed to hold.
    Assumed { condition: Symbol, site: &'a Site },
    /// An entry was assumed to exist, or not to.
    Found { entry: usize, found: bool },
    /// An entry was read.
    Read {
        entry: usize,
        site: &'a Site,
        /// True if the value replaced the message.
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
        sent: Rc<SentRequest>,
    },
    /// A `raise-error` or a validation raised an error.
    Raised { site: &'a Site },
    /// A handler accepted an error.
    Handled { site: &'a Site },
    /// An attempt of an `until-successful` ended with an error.
    Retried { site: &'a Site },
}

/// The contents of a call's request.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SentRequest {
    pub method: Symbol,
    pub url: Option<Symbol>,
    pub path: Symbol,
    pub uri_params: Option<Symbol>,
    pub query: Option<Symbol>,
    pub headers: Option<Symbol>,
    /// The body; `None`: the request has none.
    pub body: Option<Symbol>,
}

/// A path through a flow, from its start to its end.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Path<'a> {
    pub acts: Vec<Act<'a>>,
    pub payload: Symbol,
    /// The media type declared for the payload.
    pub media_type: Option<MediaType>,
    pub vars: BTreeMap<Arc<str>, Symbol>,
    /// The error at the end, if any.
    pub raised: Option<Raised>,
    pub decisions: Decisions<'a>,
    attributes: Symbol,
    error: Symbol,
    /// The known values of entries; `None`: the entry does not exist.
    held: BTreeMap<usize, Option<Symbol>>,
}

/// The conditions that a path has met, each with its position and its truth.
///
/// They are not compared: paths that differ in these alone are one path.
#[derive(Debug, Clone, Default)]
pub(crate) struct Decisions<'a>(pub Vec<(&'a Site, bool)>);

impl PartialEq for Decisions<'_> {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// A raised error, with the underlying one.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Raised {
    pub kind: ErrorType,
    pub description: Symbol,
    pub cause: Option<ErrorType>,
}

impl Raised {
    /// An error that nothing is known of but its type.
    pub fn of(kind: ErrorType) -> Raised {
        Raised {
            kind,
            description: Symbol::Unknown,
            cause: None,
        }
    }
}

/// A key of the object that an entry holds, with the entry's index.
pub(crate) type StoredKey = (usize, Arc<str>);

/// The walk over an application's flows, with all entries and calls found so far.
pub(crate) struct Walk<'a> {
    pub app: &'a App,
    pub failures: &'a Failures,
    pub entries: Vec<Entry>,
    pub calls: Vec<Call<'a>>,
    /// The keys of stored objects that always have the same value.
    pub constants: BTreeMap<StoredKey, Symbol>,
    /// The keys of stored objects that conditions test.
    pub tested: BTreeSet<StoredKey>,
    /// The remaining processors: for this flow, and for all flows.
    work: u32,
    total: u32,
    steps: Cell<u32>,
    /// The flow with policies around it, and the number of policies around the walk.
    within: Option<(&'a Flow, usize)>,
    /// The request with policies around it, and the number of policies around the walk.
    operation: Option<(&'a Request, &'a Site, usize)>,
    /// True if a limit was exceeded.
    exhausted: bool,
    /// The processors whose expressions may fail by the request before a call is made.
    demands: BTreeSet<&'a Site>,
}

type Ends<'a> = Vec<(Path<'a>, Option<Raised>)>;

/// Paths on which something holds, or does not.
type Split<'a> = Vec<(Path<'a>, bool)>;

impl<'a> Walk<'a> {
    pub fn new(app: &'a App, failures: &'a Failures) -> Walk<'a> {
        Walk {
            app,
            failures,
            entries: Vec::new(),
            calls: Vec::new(),
            constants: BTreeMap::new(),
            tested: BTreeSet::new(),
            work: WORK_MAX,
            total: TOTAL_MAX,
            steps: Cell::new(STEPS_MAX),
            within: None,
            operation: None,
            exhausted: false,
            demands: BTreeSet::new(),
        }
    }

    /// True if an expression of the processor at a position may fail by the request before a call is made.
    pub fn demands(&self, site: &Site) -> bool {
        self.demands.contains(site)
    }

    /// All paths through a flow; `None`: there are too many.
    pub fn through(&mut self, flow: &'a Flow) -> Option<Vec<Path<'a>>> {
        self.work = WORK_MAX.min(self.total);
        self.total -= self.work;
        self.steps.set(STEPS_MAX);
        self.exhausted = false;
        let start = Path {
            acts: Vec::new(),
            payload: Symbol::input("payload"),
            media_type: None,
            vars: BTreeMap::new(),
            raised: None,
            decisions: Decisions::default(),
            attributes: Symbol::input("attributes"),
            error: Symbol::NULL,
            held: BTreeMap::new(),
        };
        let ends = self.entered(flow, start);
        self.total += self.work;
        if self.exhausted || self.steps.get() == 0 {
            return None;
        }
        let paths = ends.into_iter().map(|(mut path, raised)| {
            path.raised = raised;
            path
        });
        Some(paths.collect())
    }

    fn flow(&mut self, flow: &'a Flow, path: Path<'a>, depth: usize) -> Ends<'a> {
        let ends = self.chain(&flow.chain, path, depth);
        if flow.is_sub {
            return ends;
        }
        let handlers = flow
            .handlers
            .as_ref()
            .or(self.app.default_handlers.as_ref());
        self.handled(ends, handlers.map(|handlers| &**handlers), depth)
    }

    fn chain(&mut self, chain: &'a Chain, path: Path<'a>, depth: usize) -> Ends<'a> {
        let mut ends = Vec::new();
        let mut paths = vec![path];
        for processor in &chain.0 {
            let mut next: Vec<Path<'a>> = Vec::new();
            for path in paths {
                for (path, raised) in self.processor(processor, path, depth) {
                    match raised {
                        Some(raised) => ends.push((path, Some(raised))),
                        None => push(&mut next, path),
                    }
                }
            }
            paths = next;
            if paths.len() + ends.len() > PATHS_MAX {
                self.exhausted = true;
            }
            if self.exhausted {
                break;
            }
        }
        ends.extend(paths.into_iter().map(|path| (path, None)));
        ends
    }

    /// Continues failed paths with the handlers of their errors.
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
        for (path, raised) in ends {
            let Some(raised) = raised else {
                push(&mut after, (path, None));
                continue;
            };
            let outer = path.error.clone();
            let mut left = vec![Path {
                error: error(&raised),
                ..path
            }];
            for handler in &handlers.0 {
                let takes = handler.types.is_empty()
                    || handler.types.iter().any(|types| {
                        let mut kinds = std::iter::once(&raised.kind).chain(&raised.cause);
                        kinds.any(|kind| types.matches(kind))
                    });
                if !takes {
                    continue;
                }
                let mut refused = Vec::new();
                for path in left {
                    let split = match &handler.when {
                        Some(when) => self.script(when, path, &handler.site),
                        None => vec![(path, true)],
                    };
                    for (mut path, accepted) in split {
                        if !accepted {
                            refused.push(path);
                            continue;
                        }
                        path.acts.push(Act::Handled {
                            site: &handler.site,
                        });
                        for (mut path, new) in self.chain(&handler.chain, path, depth) {
                            path.error = outer.clone();
                            let end = match new {
                                Some(new) => Some(new),
                                None if handler.continues => None,
                                None => Some(raised.clone()),
                            };
                            push(&mut after, (path, end));
                        }
                    }
                }
                left = refused;
                if left.is_empty() || self.exhausted {
                    break;
                }
            }
            for path in left {
                let path = Path {
                    error: outer.clone(),
                    ..path
                };
                push(&mut after, (path, Some(raised.clone())));
            }
        }
        after
    }

    fn processor(&mut self, processor: &'a Processor, path: Path<'a>, depth: usize) -> Ends<'a> {
        match self.work.checked_sub(1) {
            Some(left) => self.work = left,
            None => self.exhausted = true,
        }
        if self.exhausted {
            return vec![(path, None)];
        }
        let site = &processor.site;
        if path.called().next().is_none() && !self.demands.contains(site) {
            let view = self.view(&path);
            let mut scripts = processor.does.scripts().into_iter();
            if scripts.any(|script| script.demands(&view)) {
                self.demands.insert(site);
            }
        }
        let mut ends = self.does(&processor.does, site, path, depth);
        for raised in ends.iter_mut().filter_map(|(_, raised)| raised.as_mut()) {
            let mapping = processor
                .mappings
                .iter()
                .find(|mapping| mapping.source.matches(&raised.kind));
            if let Some(mapping) = mapping {
                raised.kind = mapping.target.clone();
            }
        }
        ends
    }

    fn set_target(
        &self,
        target: &Target,
        payload: Symbol,
        attributes: Symbol,
        path: &mut Path<'a>,
    ) {
        let value = match &target.value {
            None => payload,
            Some(script) => {
                let view = View {
                    payload: &payload,
                    attributes: &attributes,
                    ..self.view(path)
                };
                self.with_constants(script.symbol(&view))
            }
        };
        path.vars.insert(target.variable.clone(), value);
    }

    fn script(&self, script: &Script, path: Path<'a>, site: &'a Site) -> Split<'a> {
        let condition = self.value(script, &path);
        split(condition, path, site)
    }

    fn view<'v>(&'v self, path: &'v Path<'_>) -> View<'v> {
        View {
            payload: &path.payload,
            attributes: &path.attributes,
            vars: &path.vars,
            error: &path.error,
            properties: &self.app.properties,
            steps: &self.steps,
        }
    }

    fn value(&self, script: &Script, path: &Path<'_>) -> Symbol {
        self.with_constants(script.symbol(&self.view(path)))
    }

    fn given(&self, given: &Given, path: &Path<'_>) -> Symbol {
        self.with_constants(given.symbol(&self.view(path)))
    }

    /// A value of the listener's, at the end of a path.
    pub fn at_end(&self, given: &Given, path: &Path<'a>) -> Symbol {
        match &path.raised {
            None => self.given(given, path),
            Some(raised) => self.given(
                given,
                &Path {
                    error: error(raised),
                    ..path.clone()
                },
            ),
        }
    }

    /// A value that is the same for all events, as far as it is known.
    pub fn constant(&self, given: &Given) -> Symbol {
        given.symbol(&View {
            payload: &Symbol::Unknown,
            attributes: &Symbol::Unknown,
            vars: &BTreeMap::new(),
            error: &Symbol::Unknown,
            properties: &self.app.properties,
            steps: &self.steps,
        })
    }

    /// A symbol with the constants of entries in place.
    fn with_constants(&self, symbol: Symbol) -> Symbol {
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

impl<'a> Path<'a> {
    /// The status of the response that the message stands for, after a policy; null: it has none.
    pub fn response_status(&self) -> Symbol {
        self.attributes.field("statusCode")
    }

    /// The calls that it makes.
    pub fn called(&self) -> impl Iterator<Item = usize> {
        self.acts.iter().filter_map(|act| match act {
            Act::Called { call, .. } => Some(*call),
            _ => None,
        })
    }

    /// The event of this path with the acts of another one that ran beside it.
    fn with_acts_of(&self, other: Path<'a>) -> Path<'a> {
        Path {
            acts: other.acts,
            held: other.held,
            decisions: other.decisions,
            ..self.clone()
        }
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
