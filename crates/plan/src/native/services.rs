//! Reads `breakers:`: breakers without an upstream, for programs that ask and report over the admin API.

use std::sync::Arc;
use std::time::Duration;

use super::breaker::{CallTimes, DraftBreaker};
use super::draft::{Draft, Reader};
use crate::diagnostic::{At, Notes, quote};
use crate::fields::Fields;
use crate::plan::ServiceBreaker;
use crate::tree::Kind;

/// The default of `half_open.probe_timeout`: the time in which the outcome of a probe is to be reported.
const PROBE_TIMEOUT: Duration = Duration::from_secs(60);

/// The time of calls without a known end: the longest duration that can be written.
const UNBOUNDED: Duration = Duration::from_secs(366 * 86_400);

/// A breaker of `breakers:` as written.
#[derive(Debug)]
pub(crate) struct DraftService {
    pub name: At<String>,
    /// The settings; `None`: they could not be read.
    pub breaker: Option<DraftBreaker>,
}

impl Reader<'_> {
    pub(super) fn services(&mut self, file: &Fields<'_>, services: &mut Vec<DraftService>) {
        let Some((_, node)) = file.get("breakers") else {
            return;
        };
        let Kind::Map(entries) = &node.kind else {
            self.notes.error(
                node.at,
                format!(
                    "`breakers` must be a map from names, found {}",
                    node.describe()
                ),
                "write `stripe: { trip: { consecutive_failures: 5 } }` below it",
            );
            return;
        };
        for entry in entries {
            let name = At::new(entry.key.clone(), entry.at);
            super::names::check_name(&name.value, &quote(&name.value), name.at, self.notes);
            if services.iter().any(|other| other.name.value == name.value) {
                self.notes.error(
                    name.at,
                    format!(
                        "the breaker {} is already given in another file",
                        quote(&name.value)
                    ),
                    "give one of the two another name",
                );
                continue;
            }
            let breaker = DraftBreaker::read_service(&entry.value, self);
            services.push(DraftService { name, breaker });
        }
    }
}

/// The breakers of `breakers:`. `others` are the names of all others, each with whether keys may follow it.
pub(super) fn check<'a>(
    draft: &Draft,
    others: impl Iterator<Item = (&'a str, bool)> + Clone,
    notes: &mut Notes,
) -> Vec<Arc<ServiceBreaker>> {
    let times = CallTimes {
        request: UNBOUNDED,
        setting: "the longest duration",
        probe: PROBE_TIMEOUT,
    };
    let services = draft.services.iter().filter_map(|service| {
        let name = &service.name;
        let clash = others.clone().find(|(other, keyed)| {
            let rest = name.value.strip_prefix(other);
            rest.is_some_and(|rest| rest.is_empty() || (*keyed && rest.starts_with('/')))
        });
        if let Some((other, _)) = clash {
            let whose = match other == name.value {
                true => "an upstream, or another breaker, has the same name".to_owned(),
                false => format!("a keyed breaker of {} could have the same name", quote(other)),
            };
            notes.error(
                name.at,
                format!("the breaker {} cannot be told from others: {whose}", quote(&name.value)),
                "give it another name; what is before an upstream can be asked by the upstream's name",
            );
        }
        let breaker = service.breaker.as_ref()?.check(times, notes);
        Some(Arc::new(ServiceBreaker {
            name: name.value.as_str().into(),
            breaker,
        }))
    });
    services.collect()
}
