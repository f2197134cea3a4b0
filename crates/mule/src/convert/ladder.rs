//! The answers of a flow to a call that it does not make or that failed, as the rungs of a ladder.
//!
//! A native ladder is one list for all failed calls. So the ends of all failures that count are compared, and where
//! they differ the first ones become rungs and the others are losses.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use fusebox_dataweave::symbol::Symbol;
use fusebox_plan::dialect::show_duration;
use serde_json::{Value as Json, json};

use super::answer::{Answer, Answers};
use super::at;
use super::call::{called, outcome};
use super::kept::{KEPT_FOR_EVER, key_of, store_name};
use crate::app::Site;
use crate::circuit::{Act, Circuit, Failure, Outcome, Path};

/// The parts of a flow that its ladder is made from.
pub(super) struct Scene<'w, 'a> {
    pub answers: Answers<'w, 'a>,
    pub paths: &'w [Path<'a>],
    /// The paths that an open circuit leads to.
    pub refused: Vec<&'w Path<'a>>,
    pub circuit: Option<&'w Circuit>,
    /// The call of the route.
    pub call: usize,
    /// The call after a failure of the first, with the name of its upstream.
    pub second: Option<(usize, String)>,
    /// True if answers to the call may be kept: it is a GET.
    pub keeps: bool,
    /// The age of an answer in a cache around the call.
    pub cached: Option<Duration>,
    /// True if calls may be refused without a circuit, by a limit of calls.
    pub is_limited: bool,
}

/// The rungs of a route.
#[derive(Default)]
pub(super) struct Ladder {
    pub rungs: Vec<Json>,
    /// The failures that the ladder answers; `None`: the breaker says.
    pub failures: Option<Vec<Failure>>,
    /// The stores whose entries the rungs stand for.
    pub stores: BTreeSet<String>,
    /// The fields of a request by which answers are kept, as `header.NAME`.
    pub key: Vec<String>,
    pub comments: Vec<String>,
    pub losses: Vec<(Site, String)>,
}

/// The end of a path on which the call was not made or failed.
#[derive(Debug, Clone, PartialEq)]
enum End {
    /// The upstream's own answer, or an error that nothing handles.
    Passes,
    /// The answer of the second call.
    Second,
    /// An entry that a success keeps; `false`: the flow changes it.
    Kept(usize, bool),
    Fixed(Answer),
    /// An answer that depends on the request, with the part that does.
    Computed(&'static str),
}

/// The ends of some paths, as rungs.
#[derive(Debug, Default, PartialEq)]
struct Ends {
    second: bool,
    kept: Option<(usize, bool)>,
    fixed: Vec<Answer>,
    computed: Vec<&'static str>,
}

impl Ends {
    fn has_rungs(&self) -> bool {
        self.second || self.kept.is_some() || !self.fixed.is_empty()
    }

    fn is_empty(&self) -> bool {
        !self.has_rungs() && self.computed.is_empty()
    }

    fn shown(&self) -> String {
        let mut parts: Vec<String> = self.fixed.iter().map(Answer::shown).collect();
        parts.extend(
            self.computed
                .iter()
                .map(|part| format!("{part} is computed")),
        );
        if self.kept.is_some() {
            parts.push("what was kept".to_owned());
        }
        if self.second {
            parts.push("that of the second call".to_owned());
        }
        parts.join(", or ")
    }
}

impl<'w, 'a> Scene<'w, 'a> {
    pub fn ladder(&self) -> Ladder {
        let mut ladder = Ladder::default();
        let kept = self.kept_entries();
        let failed = self.failed(&kept, &mut ladder);
        let refused = self.ends(self.refused.iter().copied(), &kept);
        self.last_good(&failed, &refused, &mut ladder);
        if failed.second
            && let Some((_, name)) = &self.second
        {
            ladder.rungs.push(json!({ "upstream": name }));
        }
        self.respond(&failed, &refused, &mut ladder);
        if let Some(circuit) = self.circuit {
            for part in &refused.computed {
                let what = format!(
                    "the answer of an open circuit, of which {part} is computed: here it is 503 with `Retry-After`"
                );
                ladder.losses.push((circuit.site.clone(), what));
            }
        }
        ladder
    }

    /// The entries in which a success keeps its answer.
    fn kept_entries(&self) -> BTreeSet<usize> {
        let good = self.paths.iter().filter(|path| {
            let last = path.acts.iter().rev().find_map(called);
            last.is_some_and(|(_, outcome)| outcome == Outcome::Good)
        });
        let acts = good.flat_map(|path| &path.acts);
        acts.filter_map(|act| match act {
            Act::Wrote { entry, value, .. } if value.bare() == Symbol::input("response") => {
                Some(*entry)
            }
            _ => None,
        })
        .collect()
    }

    /// The ends of the failures that the ladder answers.
    fn failed(&self, kept: &BTreeSet<usize>, ladder: &mut Ladder) -> Ends {
        let mut outcomes: BTreeMap<Outcome, Vec<&'w Path<'a>>> = BTreeMap::new();
        for path in self.paths {
            if let Some(outcome) = outcome(path, self.call)
                && outcome != Outcome::Good
            {
                outcomes.entry(outcome).or_default().push(path);
            }
        }
        let alike = |outcome| self.answers.walk.failures.alike(outcome);
        let counts = |outcome| match self.circuit {
            Some(circuit) => alike(outcome)
                .iter()
                .all(|it| circuit.failures.contains(it)),
            None => true,
        };
        let all: Vec<(Outcome, Ends, Option<&Site>)> = outcomes
            .into_iter()
            .map(|(outcome, paths)| {
                let site = paths.iter().find_map(|path| handled(path, self.call));
                (outcome, self.ends(paths.into_iter(), kept), site)
            })
            .collect();
        let mut judged = all
            .iter()
            .filter(|(outcome, ends, _)| counts(*outcome) && ends.has_rungs());
        let first = judged.next();
        let mut failures = Vec::new();
        for (outcome, ends, site) in &all {
            let is_same = first.is_some_and(|(_, first, _)| first == ends);
            if is_same && counts(*outcome) {
                failures.extend(alike(*outcome).iter().cloned());
            } else if !ends.is_empty() {
                let here = match (first, self.circuit) {
                    (Some((_, first, _)), Some(_)) if counts(*outcome) => first.shown(),
                    _ => "502 or 504, or what the upstream answered".to_owned(),
                };
                let kinds = alike(*outcome).iter().map(|it| it.kind.to_string());
                let what = format!(
                    "the answer to {}, {}: here it is {here}",
                    kinds.collect::<Vec<_>>().join(", "),
                    ends.shown()
                );
                let at = site.unwrap_or(self.answers.walk.calls[self.call].site);
                ladder.losses.push((at.clone(), what));
            }
        }
        if self.circuit.is_none() && first.is_some() {
            ladder.failures = Some(failures);
        }
        let Some((_, ends, site)) = first else {
            return Ends::default();
        };
        for part in &ends.computed {
            let at = site.unwrap_or(self.answers.walk.calls[self.call].site);
            let what =
                format!("one of the answers to a call that failed, of which {part} is computed");
            ladder.losses.push((at.clone(), what));
        }
        Ends {
            second: ends.second,
            kept: ends.kept,
            fixed: ends.fixed.clone(),
            computed: Vec::new(),
        }
    }

    fn ends(&self, paths: impl Iterator<Item = &'w Path<'a>>, kept: &BTreeSet<usize>) -> Ends {
        let mut ends = Ends::default();
        for path in paths {
            match self.end(path, kept) {
                End::Passes => {}
                End::Second => ends.second = true,
                End::Kept(entry, whole) => ends.kept = Some((entry, whole)),
                End::Fixed(answer) if !ends.fixed.contains(&answer) => ends.fixed.push(answer),
                End::Computed(part) if !ends.computed.contains(&part) => ends.computed.push(part),
                End::Fixed(_) | End::Computed(_) => {}
            }
        }
        ends
    }

    fn end(&self, path: &Path<'a>, kept: &BTreeSet<usize>) -> End {
        if let Some((second, _)) = &self.second
            && path
                .acts
                .iter()
                .filter_map(called)
                .any(|it| it == (*second, Outcome::Good))
        {
            return End::Second;
        }
        let payload = path.payload.bare();
        if let Symbol::Entry(entry) = payload
            && kept.contains(&entry)
        {
            let changes = ["httpStatus", "outboundHeaders"];
            let is_changed = changes.iter().any(|name| path.vars.contains_key(*name));
            return End::Kept(entry, path.raised.is_none() && !is_changed);
        }
        let of_kept = kept
            .iter()
            .find(|entry| payload.has(&|part| *part == Symbol::Entry(**entry)));
        if let Some(entry) = of_kept {
            return End::Kept(*entry, false);
        }
        if self.passes(path, &payload) {
            return End::Passes;
        }
        match self.answers.at(path) {
            Ok(answer) => End::Fixed(answer),
            Err(part) => End::Computed(part),
        }
    }

    /// True if a failed call ends with the upstream's answer, or with an error that nothing handles.
    fn passes(&self, path: &Path<'a>, payload: &Symbol) -> bool {
        if path.called().next().is_none() {
            return false;
        }
        let raised = path.raised.is_some();
        if !raised && *payload == Symbol::input("response") {
            return true;
        }
        let answer = Symbol::input("error").field("errorMessage");
        let status = path.vars.get("httpStatus").map(Symbol::bare);
        if *payload == answer.field("payload")
            && status == Some(answer.field("attributes").field("statusCode"))
        {
            return true;
        }
        raised && handled(path, self.call).is_none() && self.answers.source.error_response.is_none()
    }

    fn last_good(&self, failed: &Ends, refused: &Ends, ladder: &mut Ladder) {
        let Some((entry, whole)) = failed.kept.or(refused.kept) else {
            if let Some(age) = self.cached.filter(|_| self.keeps) {
                ladder
                    .rungs
                    .push(json!({ "last_good": show_duration(age) }));
            }
            return;
        };
        let known = &self.answers.walk.entries[entry];
        let site = self.read_at(entry);
        let (key, is_carried) = key_of(&known.key);
        if !is_carried || !self.keeps {
            let why = match self.keeps {
                true => "its key depends on more than the address",
                false => "only answers to GET are kept",
            };
            ladder
                .losses
                .push((site.clone(), format!("the answer that was kept: {why}")));
            return;
        }
        let store = known.store.as_ref();
        let age = store
            .and_then(|store| store.ttl)
            .filter(|ttl| !ttl.is_zero());
        ladder
            .rungs
            .push(json!({ "last_good": show_duration(age.unwrap_or(KEPT_FOR_EVER)) }));
        ladder.stores.insert(store_name(store.map(|it| &**it)));
        ladder.key = key;
        let at = at(&site);
        ladder.comments.push(format!(
            "differs: the flow keeps what it stores; here an answer is kept for each address, by HTTP's rules {at}"
        ));
        if age.is_none() {
            ladder.comments.push(format!(
                "differs: the flow keeps it for ever; here for {} {at}",
                show_duration(KEPT_FOR_EVER)
            ));
        }
        if self.circuit.is_some() && refused.kept.is_none() {
            ladder.comments.push(format!(
                "differs: while the breaker is open, too, an answer that was kept is given {at}"
            ));
        }
        if !whole {
            let what = "what the flow makes of the answer that it kept: here it is given as it was";
            ladder.losses.push((site, what.to_owned()));
        }
    }

    /// The position where the flow reads an entry.
    fn read_at(&self, of: usize) -> Site {
        let acts = self.paths.iter().flat_map(|path| &path.acts);
        let mut reads = acts.filter_map(|act| match act {
            Act::Read { entry, site, .. } if *entry == of => Some(*site),
            _ => None,
        });
        let call = self.answers.walk.calls[self.call].site;
        reads.next().unwrap_or(call).clone()
    }

    fn respond(&self, failed: &Ends, refused: &Ends, ladder: &mut Ladder) {
        let call = self.answers.walk.calls[self.call].site;
        let gate = self.circuit.map_or(call, |circuit| &circuit.site);
        let mut only = |ends: &Ends, site: &Site, of: &str| match &ends.fixed[..] {
            [] => None,
            [answer] => Some(answer.clone()),
            [first, ..] => {
                let what =
                    format!("the answers to {of} call, of which there are several: here one");
                ladder.losses.push((site.clone(), what));
                Some(first.clone())
            }
        };
        let on_failure = only(failed, call, "a failed");
        let on_refusal = only(refused, gate, "a refused");
        let is_refusable = self.circuit.is_some() || self.is_limited;
        let rungs: Vec<(Option<&str>, Answer)> = match (on_refusal, on_failure) {
            (Some(refused), Some(failed)) if refused == failed => vec![(None, failed)],
            (None, Some(failed)) if !is_refusable => vec![(None, failed)],
            (refused, failed) => {
                let refused = refused.map(|it| (Some("refused"), it));
                refused
                    .into_iter()
                    .chain(failed.map(|it| (Some("failed"), it)))
                    .collect()
            }
        };
        for (on, answer) in rungs {
            match answer.rung(on) {
                Some(rung) => ladder.rungs.push(rung),
                None => {
                    let what = format!("the answer {}", answer.shown());
                    ladder.losses.push((gate.clone(), what));
                }
            }
        }
    }
}

/// The position of the handler that accepted the error of a call.
fn handled<'a>(path: &Path<'a>, call: usize) -> Option<&'a Site> {
    let mut acts = path.acts.iter();
    acts.find(|act| called(act).is_some_and(|(of, _)| of == call));
    acts.find_map(|act| match act {
        Act::Handled { site } => Some(*site),
        _ => None,
    })
}
