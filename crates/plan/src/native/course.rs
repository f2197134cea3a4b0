//! Checks the course of a call to an upstream: its endpoints, ejection, bulkhead, retries, hedge and ladder.

use super::breaker::CallTimes;
use super::draft::DraftUpstream;
use super::ejection::{self, DraftEjection};
use super::ladder::DraftLadder;
use super::retry::{self, Bounds};
use crate::diagnostic::{At, Notes};
use crate::plan::{Endpoint, KeyPart, Probe, Timeout, Upstream};

/// The upstream of a draft with the course of its calls, and without a breaker.
pub(super) fn upstream(draft: &DraftUpstream, timeout: Timeout, notes: &mut Notes) -> Upstream {
    let call = &draft.call;
    // Without an address there is no plan, and the rest is checked all the same.
    let unread = || Endpoint::new(false, "unread", 80).into();
    let endpoints = match &draft.endpoints[..] {
        [] => vec![unread()],
        endpoints => endpoints.to_vec(),
    };
    let name = draft.name.value.as_str().into();
    let mut upstream = Upstream {
        endpoints,
        resolve: call.resolve,
        ..Upstream::new(name, Endpoint::new(false, "unread", 80))
    };
    let has_several = draft.endpoints_broken || upstream.has_several();
    let times = CallTimes::of(timeout.request);
    let bounds = Bounds {
        request: Some(timeout.request),
        total: timeout.total,
    };
    if let Some((balance, key)) = &call.balance {
        upstream.balance = balance.clone();
        upstream.hash_key = key.as_ref().map(|key| key.value.clone());
        let at = draft.keys.iter().find(|(key, _)| *key == "balance");
        if let Some((_, at)) = at.filter(|_| !has_several) {
            notes.warn(
                *at,
                "`balance` has no effect: there is only one endpoint",
                "add `endpoints`, or remove it",
            );
        }
    }
    upstream.ejection = match &call.ejection {
        Some(DraftEjection::Off) => None,
        None => has_several.then(|| ejection::standard(times)),
        Some(DraftEjection::On(rules)) => {
            // Where names are looked up, the number of endpoints is not known.
            let listed = (call.resolve.is_none() && !draft.endpoints_broken)
                .then_some(draft.endpoints.len());
            let ejection = rules.check(times, listed.filter(|_| has_several), notes);
            if !has_several {
                notes.warn(
                    rules.at(),
                    "`ejection` has no effect: the only endpoint is never ejected",
                    "add `endpoints`, or remove it; the breaker stands before the upstream as a whole",
                );
            }
            has_several.then_some(ejection)
        }
    };
    if let Some(retry) = &call.retry {
        retry.check_attempts(notes);
        upstream.retry = Some(retry.check(bounds, notes));
        upstream.budget = retry.budget.as_ref().map(|it| it.value).unwrap_or_default();
    }
    if let Some(hedge) = &call.hedge {
        retry::check_hedge(hedge, bounds, call.retry.as_ref(), has_several, notes);
    }
    if let Some(At { at, value }) = probe(draft)
        && *value == Probe::Health
        && !draft.keys.iter().any(|(key, _)| *key == "health")
    {
        notes.error(
            *at,
            "`probe: health` waits for health checks, and this upstream has none",
            "add `health: { path: /healthz }` to the upstream, or write `probe: request`",
        );
    }
    let key = draft.breaker.iter().flatten().find_map(|it| it.key());
    if let Some(key) = key.filter(|key| key.value.0.contains(&KeyPart::Endpoint))
        && upstream.ejection.is_some()
    {
        notes.warn(
            key.at,
            "with `ejection` each endpoint has a breaker of its own already, and `{endpoint}` in the key makes a second one",
            "remove `{endpoint}` from the key, or write `ejection: off`",
        );
    }
    if let Some(tls) = &call.tls
        && !draft.endpoints_broken
        && draft.endpoints.iter().all(|it| !it.endpoint.tls)
    {
        notes.error(
            tls.at,
            "`tls` has no effect: no address of this upstream begins with `https://`",
            "write `https://` in its `url`, or remove `tls`",
        );
    }
    Upstream {
        tls: call.tls.as_ref().map(|it| it.value.clone()),
        health: call.health.clone(),
        bulkhead: call.bulkhead.as_ref().map(|it| it.value.clone()),
        request: call
            .request
            .as_ref()
            .map_or_else(Default::default, |it| it.value.clone()),
        hedge: call.hedge.as_ref().map(|it| it.value),
        host: call.host.clone(),
        location: call.location,
        fallback: call
            .fallback
            .as_ref()
            .map_or_else(Vec::new, DraftLadder::rungs),
        fallback_on: call
            .fallback_on
            .as_ref()
            .map(|it| it.value)
            .unwrap_or_default(),
        last_good: call
            .last_good
            .as_ref()
            .map(|it| it.value.clone())
            .unwrap_or_default(),
        timeout,
        ..upstream
    }
}

/// The calls that probe before an upstream, if its breaker says.
pub(super) fn probe(draft: &DraftUpstream) -> Option<&At<Probe>> {
    draft.breaker.iter().flatten().find_map(|it| it.probe())
}
