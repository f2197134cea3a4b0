//! Calls: the parameters of their paths, and the time limit of those that a breaker guards.

use fusebox_plan::dialect::{Entry, quote, suggest};

use super::known::is_misspelt;
use super::services::{entries, entry, keys, object_of};
use super::{Subject, literal};
use crate::flow::{Activity, RestActivity, TargetPart};
use crate::read::object::Object;
use crate::read::reader::{Reader, expression_of};

/// The input with the path parameters.
const PARAMS: &str = "pathParams";

impl Subject<'_> {
    pub(super) fn calls(&self, reader: &mut Reader<'_>) {
        let services = self.written_services();
        let mut asked = None;
        for (step, index) in self.steps() {
            match self.activity(index) {
                Some(Activity::Breaker(_)) => {
                    let settings = services
                        .get(index)
                        .and_then(|it| object_of(*it, "settings"));
                    let own = entry(object_of(step, "input"), "operation");
                    let operation = own.or(entry(settings, "operation"));
                    let operation = operation.and_then(|it| literal(&it.value));
                    if !matches!(operation, Some("counter" | "reset")) {
                        asked = asked.or(Some(index));
                    }
                }
                Some(Activity::Rest(rest)) => {
                    let Some(service) = services.get(index) else {
                        continue;
                    };
                    self.parameters(step, *service, index, rest, reader);
                    let is_meant = is_misspelt(entries(object_of(*service, "settings")), "timeout");
                    if let (Some(breaker), None, false) = (asked, rest.timeout, is_meant) {
                        let (name, breaker) = (self.name(index), self.name(breaker));
                        let what = format!(
                            "{name} has no `timeout`, so a backend that hangs never counts as a failure of {breaker}"
                        );
                        let mend = "add `\"timeout\"`, in seconds, to its settings";
                        reader.notes.warn(service.place_of("name"), what, mend);
                    }
                }
                _ => {}
            }
        }
    }

    fn parameters(
        &self,
        step: Object<'_>,
        service: Object<'_>,
        index: usize,
        rest: &RestActivity,
        reader: &mut Reader<'_>,
    ) {
        let wanted: Vec<&str> = rest
            .target
            .iter()
            .filter_map(|part| match part {
                TargetPart::Param(name) => Some(name.as_str()),
                TargetPart::Literal(_) => None,
            })
            .collect();
        let name = self.name(index);
        let (settings, input) = (object_of(service, "settings"), object_of(step, "input"));
        let mut given: Vec<&str> = Vec::new();
        let (mut is_open, mut is_stray) = (false, false);
        let mut stray = |param: &str, entry: &Entry, reader: &mut Reader<'_>| {
            if !wanted.contains(&param) {
                is_stray = true;
                let shown = quote(param);
                let what = format!(
                    "the path parameter {shown} goes nowhere: the uri of {name} has no `/:{param}`"
                );
                let mend = suggest(param, wanted.iter().copied());
                reader.notes.warn(entry.at, what, mend);
            }
        };
        for entry in entries(settings).iter().chain(entries(input)) {
            if let Some(param) = entry.key.strip_prefix("pathParams.") {
                given.push(param);
                stray(param, entry, reader);
            } else if entry.key == PARAMS {
                for param in keys(entry) {
                    given.push(param);
                    stray(param, entry, reader);
                }
                is_open |= expression_of(&entry.value).is_some();
            }
        }
        if is_open {
            if let Some(entry) = entry(input, PARAMS) {
                self.passed_on(entry, &wanted, &given, &name, reader);
            }
            return;
        }
        let missing = wanted.iter().find(|param| !given.contains(param));
        let is_meant = is_misspelt(entries(input), PARAMS);
        let Some(missing) = missing.filter(|_| !is_stray && !is_meant) else {
            return;
        };
        let what = format!(
            "the uri of {name} has `/:{missing}`, but this step gives no such path parameter, so the call fails"
        );
        let mend = format!(
            "add `\"pathParams.{missing}\": \"=$.payload.pathParams.{missing}\"` to its input"
        );
        reader.notes.warn(step.place_of("service"), what, mend);
    }

    /// Parameters of the client's path that are passed on as they are.
    fn passed_on(
        &self,
        entry: &Entry,
        wanted: &[&str],
        given: &[&str],
        name: &str,
        reader: &mut Reader<'_>,
    ) {
        let whole = expression_of(&entry.value).map(|(_, source)| source);
        if whole != Some("$.payload.pathParams") || !self.is_of_trigger(PARAMS) {
            return;
        }
        let known: Vec<&str> = self
            .users
            .iter()
            .flat_map(|user| user.params.iter().flatten())
            .copied()
            .collect();
        for param in wanted.iter().filter(|param| !given.contains(param)) {
            if self.users.is_empty() || known.contains(param) {
                continue;
            }
            let what = format!(
                "the uri of {name} has `/:{param}`, but no path that leads here has it, so the call fails"
            );
            let mend = match known.first() {
                Some(first) => format!(
                    "write `\"pathParams.{param}\": \"=$.payload.pathParams.{first}\"`, or rename one of the two"
                ),
                None => format!("add `/:{param}` to the handler's path"),
            };
            reader.notes.warn(entry.at, what, mend);
        }
    }
}
