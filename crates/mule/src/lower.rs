//! From elements to an application and its plan.
//!
//! - `shapes`: the table of elements with their attributes and children; `unsupported`: elements that are not in it
//! - `open`, `values`: checks an element against the table and reads its attributes
//! - `names`, `bind`: named elements, and the bindings of the command line
//! - `flows`, `processors`, `scopes`, `handlers`: the core; `listen`, `request`, `configs`, `cors`, `trust`: HTTP;
//!   `apikit`, `schedules`, `objects`, `queues`, `transform`, `checks`, `sleeps`: the other modules
//! - `states`: values of which nothing is said, or not everything
//! - `lints`: checks of the whole application; `plan`: the application as a plan
//!
//! After an error a placeholder takes the value's place, so that all errors are reported at once: the result of
//! [`lower`] is only valid if the notes have no error.

mod apikit;
mod bind;
mod checks;
mod class_path;
mod configs;
mod cors;
mod flows;
mod handlers;
mod lints;
mod listen;
mod names;
mod objects;
mod open;
mod plan;
mod policies;
mod processors;
mod queues;
mod request;
mod schedules;
mod scopes;
mod states;
mod unsupported;
// One element a line where possible, so that the table reads as a table.
#[rustfmt::skip]
mod shapes;
mod sleeps;
mod stores;
mod transform;
mod trust;
mod values;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use fusebox_dataweave::Properties;
use fusebox_plan::dialect::{Loader, Notes, Place};
use fusebox_plan::plan::Plan;

use self::apikit::Apis;
use self::bind::Bindings;
use self::handlers::ReadOnce;
use self::names::Globals;
use self::objects::Stores;
use self::queues::Queues;
use self::shapes::{Body, Role};
use self::states::States;
use self::trust::Contexts;
use super::app::{App, Compat, Handler, Handlers, ListenerConfig, Requester, Site};
use super::circuit;
use super::xml::Element;

/// The input of [`lower`] besides the elements.
pub(crate) struct LowerInput<'a> {
    /// The application's name.
    pub name: Arc<str>,
    /// The names of the files, by their index in places.
    pub files: &'a [&'a str],
    /// The properties that `p('key')` reads.
    pub properties: Properties,
    /// The bindings of the command line: URLs by name (`--bind NAME=URL`), or `none` for a missing flow.
    pub bindings: &'a [(String, String)],
    /// The rules by which the files are understood.
    pub compat: Compat,
    /// True if a part of the application could not be read, which is reported.
    pub is_partial: bool,
    /// The machine on which the files are read.
    pub loader: &'a dyn Loader,
    /// Tries a conversion, for the remedies of circuits.
    pub outlook: fn(&App, &[&str]) -> circuit::Outlook,
    /// The modules whose namespaces the files name.
    pub modules: &'a BTreeSet<String>,
}

/// Makes an application of its elements outside flows, which are in the order of the files.
pub(crate) fn lower(mut elements: Vec<Element>, input: LowerInput<'_>, notes: &mut Notes) -> Plan {
    names::rename(&mut elements, input.compat, notes);
    let written = policies::take(&mut elements, notes);
    elements.iter().for_each(|element| count(element, notes));
    let mut globals = Globals::collect(&elements, input.files, notes);
    globals.add_modules(input.modules);
    let mut lowering = Lowering {
        globals,
        files: input.files.iter().map(|file| Arc::from(*file)).collect(),
        names: input.files,
        compat: input.compat,
        loader: input.loader,
        contexts: Contexts::new(),
        bindings: Bindings::of(input.bindings),
        listeners: BTreeMap::new(),
        requesters: BTreeMap::new(),
        stores: Stores::default(),
        queues: Queues::default(),
        apis: Apis::new(),
        handlers: BTreeMap::new(),
        responding: BTreeSet::new(),
        on_errors: BTreeMap::new(),
        guesses: 0,
        depth: 0,
        processors: 0,
        states: States::of(&elements),
        is_partial: input.is_partial,
        has_policies: !written.is_empty(),
        missing: BTreeSet::new(),
        notes,
    };
    let mut app = lowering.app(input.name, input.properties);
    app.policies = policies::of(&app, &written);
    lints::check(&app, &mut lowering);
    if !lowering.is_partial && !lowering.states.any_broken() {
        lowering.refuse_idle_bindings();
    }
    if notes.errors() == 0 {
        circuit::recognise(&mut app, input.files, input.outlook, notes);
    }
    plan::of(app, &elements, notes)
}

/// The application under construction.
struct Lowering<'a> {
    globals: Globals<'a>,
    files: Vec<Arc<str>>,
    names: &'a [&'a str],
    compat: Compat,
    loader: &'a dyn Loader,
    contexts: Contexts,
    bindings: Bindings<'a>,
    listeners: BTreeMap<Arc<str>, Arc<ListenerConfig>>,
    requesters: BTreeMap<Arc<str>, Arc<Requester>>,
    stores: Stores,
    queues: Queues,
    apis: Apis,
    /// The `error-handler`s outside flows.
    handlers: ReadOnce<Arc<Handlers>>,
    /// The positions of each `http:response` among processors.
    responding: BTreeSet<Site>,
    /// Single handlers outside flows.
    on_errors: ReadOnce<Handler>,
    /// The number of suggestions made.
    guesses: usize,
    /// The depth of nested chains, with those of named handlers.
    depth: usize,
    /// The number of processors read, with those of named handlers once for each reference.
    processors: usize,
    /// The values of which nothing, or not everything, is said.
    states: States,
    /// True if names that nothing defines may be in a part that could not be read.
    is_partial: bool,
    /// True if there is something around which a step of a policy may be.
    has_policies: bool,
    /// The names of flows and handlers that nothing defines, which are reported.
    missing: BTreeSet<String>,
    notes: &'a mut Notes,
}

impl Lowering<'_> {
    fn app(&mut self, name: Arc<str>, properties: Properties) -> App {
        self.declare_stores();
        self.declare_queues();
        self.declare_apis();
        self.declare_configs();
        self.declare_handlers();
        let configuration = self.configuration();
        let flows = self.flows();
        self.refuse_shared_queues();
        App {
            name,
            compat: self.compat,
            properties,
            stores: self.stores.all(),
            listeners: self.listeners.values().cloned().collect(),
            requesters: self.requesters.values().cloned().collect(),
            apis: self.apis.values().cloned().collect(),
            queues: self.queues.all(),
            flows,
            default_handlers: configuration.handlers,
            response_timeout: configuration.response_timeout,
            policies: Default::default(),
            circuits: Vec::new(),
        }
    }

    fn site(&self, at: Place) -> Site {
        Site {
            file: self.files.get(at.file).cloned().unwrap_or_default(),
            line: at.line,
            col: at.col,
        }
    }
}

/// Counts the elements that run, within elements that do.
fn count(element: &Element, notes: &mut Notes) {
    let title = element.title();
    let Some(shape) = shapes::find(&title) else {
        return;
    };
    if matches!(
        shape.role,
        Role::Global | Role::Source | Role::Processor | Role::Handler
    ) {
        notes.count_run(title);
    }
    if shape.body != Body::Free {
        element
            .children
            .iter()
            .for_each(|child| count(child, notes));
    }
}
