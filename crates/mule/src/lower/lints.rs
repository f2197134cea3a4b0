//! Checks of the whole application: a status that has no effect, a count that starts over.

use std::collections::BTreeSet;
use std::sync::Arc;

use fusebox_plan::dialect::quote;

use super::Lowering;
use crate::app::{
    App, Chain, Compat, Does, Flow, FlowId, Processor, Site, Source, UntilSuccessful,
};
use crate::circuit::place;
use crate::xml::start_of;

/// Checks an application.
pub(super) fn check(app: &App, lowering: &mut Lowering<'_>) {
    let mut budget = Budget::new(app);
    if app.compat == Compat::Intent {
        for flow in &app.flows {
            warn_of_status(app, flow, &mut budget, lowering);
        }
    }
    for flow in &app.flows {
        flow.walk(&mut |processor| {
            if let Does::UntilSuccessful(scope) = &processor.does {
                warn_of_restoring(app, scope, &mut budget, lowering);
            }
        });
    }
    warn_of_what_never_starts(app, lowering);
}

/// The budget for examining flows that others refer to.
///
/// Thousands of flows may refer to thousands of others, and the result is only a warning, so a very large
/// application gets fewer of them.
struct Budget {
    /// The number of processors of each flow.
    sizes: Vec<usize>,
    left: usize,
}

/// The limit of examined processors.
const BUDGET_MAX: usize = 1 << 20;
/// The limit of nested flows in an examination.
const DEPTH_MAX: usize = 64;

impl Budget {
    fn new(app: &App) -> Budget {
        let size = |flow: &Arc<Flow>| {
            let mut count = 1;
            flow.walk(&mut |_| count += 1);
            count
        };
        Budget {
            sizes: app.flows.iter().map(size).collect(),
            left: BUDGET_MAX,
        }
    }

    /// Takes a flow's size from the budget; false if too little is left.
    fn take(&mut self, id: FlowId) -> bool {
        let rest = self.left.checked_sub(self.sizes[id.0]);
        self.left = rest.unwrap_or(self.left);
        rest.is_some()
    }
}

/// Warns of variables that become status and headers of a response although the listener does not read them.
fn warn_of_status(app: &App, flow: &Flow, budget: &mut Budget, lowering: &mut Lowering<'_>) {
    let Some(Source::Http(source)) = &flow.source else {
        return;
    };
    if source.response.is_some() && source.error_response.is_some() {
        return;
    }
    let missing = match (&source.response, &source.error_response) {
        (None, None) => "`http:response` and `http:error-response`",
        (None, _) => "`http:response`",
        _ => "`http:error-response`",
    };
    for (variable, becomes) in [("httpStatus", "status"), ("outboundHeaders", "headers")] {
        let site = first_set(app, flow, variable, budget);
        // An `http:response` among processors has its own warning.
        let Some(site) = site.filter(|site| !lowering.responding.contains(site)) else {
            continue;
        };
        let at = place(&site, lowering.names);
        let what = format!(
            "`vars.{variable}` becomes the {becomes} of the response, which Mule does only if the listener of {} says so",
            quote(&flow.name)
        );
        lowering.warn(at, what, format!("add {missing} to its `http:listener`"));
    }
}

/// The position where a flow, or one that it calls, first sets a variable.
fn first_set(app: &App, flow: &Flow, variable: &str, budget: &mut Budget) -> Option<Site> {
    let mut found = None;
    let mut seen = BTreeSet::new();
    let mut next = vec![flow];
    while let Some(flow) = next.pop() {
        let mut inner = Vec::new();
        let mut look = |processor: &Processor| {
            if found.is_none() && processor.does.sets().iter().any(|set| &***set == variable) {
                found = Some(processor.site.clone());
            }
            if let Some(id) = processor.does.flow()
                && processor.does.target().is_none()
                && seen.insert(id)
                && budget.take(id)
            {
                inner.push(&**app.flow(id));
            }
        };
        flow.walk(&mut look);
        if let (None, false, Some(handlers)) = (&flow.handlers, flow.is_sub, &app.default_handlers)
        {
            handlers.walk(&mut look);
        }
        if found.is_some() {
            return found;
        }
        next.extend(inner.into_iter().rev());
    }
    None
}

/// Warns of counting across attempts: each attempt starts with the original variables.
fn warn_of_restoring(
    app: &App,
    scope: &UntilSuccessful,
    budget: &mut Budget,
    lowering: &mut Lowering<'_>,
) {
    let mut attempt = Attempt {
        app,
        read: BTreeSet::new(),
        set: BTreeSet::new(),
        lost: Vec::new(),
        seen: BTreeSet::new(),
        path: 0,
        budget,
    };
    attempt.chain(&scope.chain);
    for (variable, site) in attempt.lost {
        let at = place(&site, lowering.names);
        let what = format!(
            "`vars.{variable}` is read and then set in an `until-successful`, where every attempt starts with the variables from before it"
        );
        let mend = "use an object store for values that must survive an attempt";
        lowering.warn(at, what, mend);
    }
}

/// The variables that an attempt reads before it sets them.
struct Attempt<'a> {
    app: &'a App,
    read: BTreeSet<Arc<str>>,
    set: BTreeSet<Arc<str>>,
    lost: Vec<(Arc<str>, Site)>,
    seen: BTreeSet<FlowId>,
    /// The depth of nested flows.
    path: usize,
    budget: &'a mut Budget,
}

impl Attempt<'_> {
    fn chain(&mut self, chain: &Chain) {
        for processor in &chain.0 {
            self.processor(processor);
        }
    }

    fn processor(&mut self, processor: &Processor) {
        let scripts = processor.does.scripts();
        let read = scripts.iter().flat_map(|script| script.variables());
        let early = read.filter(|variable| !self.set.contains(*variable));
        let early: Vec<Arc<str>> = early.cloned().collect();
        self.read.extend(early);
        if let Some(id) = processor.does.flow()
            && processor.does.target().is_none()
            && self.path < DEPTH_MAX
            && self.seen.insert(id)
            && self.budget.take(id)
        {
            self.path += 1;
            let flow = self.app.flow(id).clone();
            self.chain(&flow.chain);
            for handler in flow.handlers.iter().flat_map(|handlers| &handlers.0) {
                self.chain(&handler.chain);
            }
            self.path -= 1;
        }
        for chain in processor.does.chains() {
            self.chain(chain);
        }
        for variable in processor.does.sets() {
            if self.set.insert(variable.clone()) && self.read.contains(variable) {
                self.lost.push((variable.clone(), processor.site.clone()));
            }
        }
    }
}

/// Warns of an application without any source, which may be a part of another.
fn warn_of_what_never_starts(app: &App, lowering: &mut Lowering<'_>) {
    if app.flows.iter().any(|flow| flow.source.is_some()) || lowering.notes.errors() > 0 {
        return;
    }
    let what = "nothing starts: no flow has a source";
    let mend = "add an `http:listener`, a `scheduler` or a `vm:listener` to a flow, or add the file that has one";
    // The order of the files changes nothing.
    let file = app.flows.iter().map(|flow| &*flow.site.file).min();
    let file = file.and_then(|file| lowering.names.iter().position(|name| *name == file));
    lowering.warn(start_of(file.unwrap_or(0)), what, mend);
}
