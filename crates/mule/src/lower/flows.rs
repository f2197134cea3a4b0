//! Flows and sub-flows, with their sources.

use std::sync::Arc;
use std::time::Duration;

use fusebox_plan::dialect::quote;

use super::Lowering;
use super::listen::TakenPaths;
use super::names::FLOWS;
use super::open::Open;
use super::shapes::{self, Role};
use super::values::Written;
use crate::app::{Does, Flow, FlowName, Redelivery, Source, Target};
use crate::xml::Element;

impl<'a> Lowering<'a> {
    /// Reads all flows, in the order of the files.
    pub fn flows(&mut self) -> Vec<Arc<Flow>> {
        let mut taken = TakenPaths::default();
        let flows = self.globals.each(FLOWS).into_iter();
        let flows = flows.map(|element| Arc::new(self.flow(element, &mut taken)));
        flows.collect()
    }

    fn flow(&mut self, element: &'a Element, taken: &mut TakenPaths) -> Flow {
        let mut flow = Flow {
            name: "".into(),
            site: self.site(element.at),
            is_sub: &*element.name == "sub-flow",
            is_stopped: false,
            source: None,
            chain: Default::default(),
            handlers: None,
            max_concurrency: None,
            redelivery: None,
        };
        let Some(open) = self.open(element) else {
            return flow;
        };
        if let Some(name) = self.text(&open, "name") {
            flow.name = name.text.into();
        }
        if !flow.is_sub {
            flow.max_concurrency = self.count(&open, "maxConcurrency");
            flow.is_stopped = self.word(&open, "initialState") == Some("stopped");
            // A listener that is stopped takes no path from one that runs.
            let mut idle = TakenPaths::default();
            let taken = match flow.is_stopped {
                true => &mut idle,
                false => taken,
            };
            (flow.source, flow.redelivery) = self.source(&open, taken);
            if let (true, Some(state)) = (flow.is_stopped, open.attribute("initialState")) {
                let what = format!(
                    "the flow {} is stopped, so it does not run",
                    quote(&flow.name)
                );
                let mend = "write `initialState=\"started\"` to run it";
                self.warn(state.value.at, what, mend);
            }
        }
        flow.chain = self.chain(&open);
        if !flow.is_sub {
            flow.handlers = self.own_handlers(&open);
        }
        flow
    }

    fn source(
        &mut self,
        open: &Open<'a>,
        taken: &mut TakenPaths,
    ) -> (Option<Source>, Option<Redelivery>) {
        let is_source = |child: &Element| {
            shapes::find(&child.title()).is_some_and(|shape| shape.role == Role::Source)
        };
        let (mut found, mut redelivery) = (None, None);
        for (index, child) in open.element.children.iter().enumerate() {
            if !is_source(child) {
                continue;
            }
            let title = child.title();
            if found.is_some() {
                let what = format!("{} is a second source of the flow", quote(&title));
                let mend = "make a flow of its own for it, and let both refer to a third";
                self.error(child.at, what, mend);
                continue;
            }
            if index > 0 {
                let what = format!("{} comes after other elements of the flow", quote(&title));
                self.error(child.at, what, "make it the flow's first element");
            }
            let Some(source) = self.open(child) else {
                continue;
            };
            redelivery = self.redelivery(&source);
            found = match source.shape.name {
                "http:listener" => self
                    .http_source(&source, taken)
                    .map(|source| Source::Http(Box::new(source))),
                "scheduler" => self.scheduler(&source),
                _ => self.queue_source(&source),
            };
        }
        (found, redelivery)
    }

    /// Reads a source's limit of failures of one message.
    fn redelivery(&mut self, source: &Open<'a>) -> Option<Redelivery> {
        let open = self.open_part(source, "redelivery-policy")?;
        let max = self.count(&open, "maxRedeliveryCount");
        let hashes = self.flag(&open, "useSecureHash") != Some(false);
        let id = self.script(&open, "idExpression");
        if !hashes && !open.has("idExpression") {
            let what = "this `redelivery-policy` has no way to tell messages apart";
            let mend = "add `idExpression=\"#[…]\"`, or remove `useSecureHash`";
            self.error(open.at(), what, mend);
        }
        if let Some(algorithm) = open.attribute("messageDigestAlgorithm")
            && (!hashes || open.has("idExpression"))
        {
            let what = "`messageDigestAlgorithm` is for messages without an `idExpression`";
            self.error(algorithm.at, what, "remove one of the two");
        }
        let named =
            open.has("objectStore") || self.part(&open, "os:private-object-store").is_some();
        let store = match named {
            true => self.store_of(&open)?,
            false => self.own_store("redelivery", open.at(), super::objects::five_minutes),
        };
        Some(Redelivery {
            max: max?,
            id,
            store,
        })
    }

    /// A time in two attributes: the amount and the unit.
    pub fn span(&mut self, open: &Open<'a>, amount: &str, unit: &str) -> Option<Duration> {
        let written = self.written(open, amount);
        let count = self.whole(open, amount);
        let nanos = nanos_of(self.word(open, unit)?);
        let count = u64::try_from(count?).ok()?;
        let span = count.checked_mul(nanos).map(Duration::from_nanos);
        let span = span.filter(|span| *span <= SPAN_MAX);
        if let (None, Some(written)) = (span, written) {
            let what = format!("{} is too long", quote(amount));
            self.wrong(written, what, "write at most 36500 days");
        }
        span
    }

    /// Reads a `flow-ref`.
    pub fn flow_ref(&mut self, open: &Open<'a>) -> Option<Does> {
        let target = self.target(open);
        let written = self.written(open, "name")?;
        let given = self.given(open, "name")?;
        let flow = match given.literal() {
            None => FlowName::Computed(given),
            Some(name) => self.flow_named(written, name),
        };
        Some(Does::FlowRef { flow, target })
    }

    fn flow_named(&mut self, written: Written<'a>, name: &str) -> FlowName {
        if let Some(id) = self.globals.flow(name) {
            return FlowName::Known(id);
        }
        match self.bindings.get(name) {
            Some("none") => {
                let quoted = quote(name);
                let what = format!("unknown flow {quoted}, so references to it do nothing");
                self.warn(written.at(), what, "add the file that defines it");
            }
            Some(_) => {
                let what = format!("{} is a flow, but is bound to an address", quote(name));
                let mend = format!("write `--bind {name}=none` if calls to it may do nothing");
                self.wrong(written, what, mend);
            }
            None if self.is_partial => {}
            // One flow that is missing is one fault, however often it is called.
            None if !self.missing.insert(name.to_owned()) => {}
            None => {
                let what = format!("unknown flow {}", quote(name));
                let otherwise = format!(
                    "add the file that defines it, or ignore its calls: `--bind {name}=none`"
                );
                let mend = self.mend(name, FLOWS, &otherwise);
                self.wrong(written, what, mend);
            }
        }
        FlowName::Nothing
    }

    /// Reads the variable for a result.
    pub fn target(&mut self, open: &Open<'a>) -> Option<Target> {
        if !open.has("target") {
            if let Some(value) = open.attribute("targetValue") {
                let what = "`targetValue` has no effect without `target`";
                self.error(value.at, what, "add `target=\"…\"`, or remove it");
            }
            return None;
        }
        let variable = self.text(open, "target");
        let value = self.script_if_written(open, "targetValue");
        Some(Target {
            variable: variable?.text.into(),
            value,
        })
    }
}

/// The nanoseconds of a unit of time.
pub(super) fn nanos_of(unit: &str) -> u64 {
    match unit {
        "NANOSECONDS" => 1,
        "MICROSECONDS" => 1_000,
        "MILLISECONDS" => 1_000_000,
        "SECONDS" => 1_000_000_000,
        "MINUTES" => 60_000_000_000,
        "HOURS" => 3_600_000_000_000,
        _ => 86_400_000_000_000,
    }
}

const SPAN_MAX: Duration = Duration::from_secs(36_500 * 86_400);
