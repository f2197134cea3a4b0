//! A native file beside an application: its upstreams stand before the application's own requests.

use std::collections::HashMap;

use std::sync::Arc;
use std::time::Duration;

use super::breaker::CallTimes;
use super::check;
use super::course;
use super::draft::{Draft, DraftUpstream};
use super::ejection::DraftEjection;
use super::retry::Bounds;
use super::store::{check_fleet, check_shares, check_store};
use crate::diagnostic::{At, Notes, Place, quote, suggest};
use crate::plan::{Guard, KeyPart, Listener, Plan, Probe, Timeout, TimeoutBounds};
use crate::program::Target;

/// The time of calls whose end nothing tells: the longest duration that can be written.
const UNBOUNDED: Duration = Duration::from_secs(366 * 86_400);

/// Puts the upstreams of native files before the requests of the application that they stand beside, and gives its plan
/// their other settings. `None`: the application could not be read, and only the files themselves are checked.
pub(crate) fn put_before(draft: Draft, plan: Option<&mut Plan>, notes: &mut Notes) {
    refuse_ways_in(&draft, notes);
    let admin = check::admin(&draft, notes);
    let program = plan.as_ref().and_then(|plan| plan.app.clone());
    let targets = program.as_ref().map(|program| program.targets());
    let own = program.map_or_else(Vec::new, |program| program.breakers());
    let mut guards: Vec<(Place, Arc<Guard>)> = Vec::new();
    let mut taken: HashMap<Arc<str>, Place> = HashMap::new();
    for upstream in &draft.upstreams {
        refuse_connections(upstream, notes);
        let found = targets.as_deref();
        let target = found.and_then(|targets| target_of(upstream, targets, notes));
        let guard = guard(upstream, target, notes);
        let (Some(guard), Some(target)) = (guard, target) else {
            continue;
        };
        if let Some(first) = taken.insert(target.name.clone(), upstream.name.at) {
            let other = match first.file == upstream.name.at.file {
                true => format!("the upstream in line {}", first.line),
                false => "an upstream of another file".to_owned(),
            };
            let what = format!("{other} stands before {} already", quote(&target.name));
            notes.error(upstream.name.at, what, "keep one of the two");
        }
        guards.push((upstream.name.at, Arc::new(guard)));
    }
    refuse_shared_names(&guards, &own, notes);
    check_shares(&draft, notes);
    let (store, fleet) = (check_store(&draft, notes), check_fleet(&draft, notes));
    let Some(plan) = plan else { return };
    if let Some(admin) = &admin {
        // The application's file has the places of its listeners, and the mistake is ours to mend.
        for listener in &plan.listeners {
            let listener = At::new(Listener::clone(listener), admin.at);
            check::clashes(&[listener], Some(admin), notes);
        }
    }
    plan.admin = admin.map(|admin| admin.value);
    plan.store = store;
    plan.fleet = fleet;
    plan.limits = draft.limits.map(|limits| limits.value).unwrap_or_default();
    plan.guards = guards.into_iter().map(|(_, guard)| guard).collect();
}

/// Clients come in as the application says.
fn refuse_ways_in(draft: &Draft, notes: &mut Notes) {
    let listen = draft.listen.as_ref().map(|listen| listen.at);
    let listeners = draft.listeners.as_ref().map(|listeners| listeners.at);
    let routes = draft.routes.first().map(|route| route.at);
    for (key, at) in [
        ("listen", listen),
        ("listeners", listeners),
        ("routes", routes),
    ] {
        if let Some(at) = at {
            notes.error(
                at,
                format!(
                    "`{key}` has no place beside an application, which listens and routes by itself"
                ),
                "remove it, and keep `upstreams`",
            );
        }
    }
}

/// Addresses and pools are the application's to say.
fn refuse_connections(upstream: &DraftUpstream, notes: &mut Notes) {
    let pool = upstream.pool_idle.as_ref().map(|it| it.at);
    let pool = pool.or(upstream.pool_idle_timeout.as_ref().map(|it| it.at));
    let pool = pool.or(upstream.pool_max_age.as_ref().map(|it| it.at));
    // One that could not be read has no address of its own.
    let address = upstream.address.filter(|at| *at != upstream.name.at);
    for (what, at) in [
        ("this upstream's address is", address),
        ("this upstream's pool is", pool),
    ] {
        if let Some(at) = at {
            notes.error(
                at,
                format!("{what} the application's own, which its file says"),
                "remove it here",
            );
        }
    }
    for (key, at) in &upstream.keys {
        let why = match *key {
            "balance" | "health" | "resolve" | "hedge" | "request" => {
                "whose requests go where its file says"
            }
            "fallback" | "fallback_on" | "last_good" => "whose own error handling answers",
            _ => continue,
        };
        let what = format!("`{key}` has no place beside an application, {why}");
        notes.error(*at, what, "remove it");
    }
}

/// The target that an upstream stands before.
fn target_of<'a>(
    upstream: &DraftUpstream,
    targets: &'a [Target],
    notes: &mut Notes,
) -> Option<&'a Target> {
    let (wanted, shown, at) = match &upstream.applies_to {
        Some(At { value, at }) => (&value.text, value.shown.clone(), *at),
        None => {
            let name = &upstream.name;
            (&name.value, quote(&name.value), name.at)
        }
    };
    if let Some(exact) = targets.iter().find(|target| *target.name == **wanted) {
        return Some(exact);
    }
    let goes_by = |target: &&Target| {
        let short = target.short_name.as_deref();
        short == Some(wanted)
    };
    let found: Vec<&Target> = targets.iter().filter(goes_by).collect();
    match found[..] {
        [target] => return Some(target),
        [] => {
            let names = targets.iter().map(|target| &*target.name);
            let short = targets.iter().filter_map(|it| it.short_name.as_deref());
            let (what, mend) = match targets {
                [] => (
                    "the application makes no requests of its own, so there is nothing to stand before".to_owned(),
                    "remove the upstream".to_owned(),
                ),
                _ => (
                    format!("the application makes no requests by the name {shown}"),
                    suggest(wanted, short.chain(names)),
                ),
            };
            notes.error(at, what, mend);
        }
        _ => {
            let names: Vec<_> = found.iter().map(|target| quote(&target.name)).collect();
            notes.error(
                at,
                format!("{shown} is the name of several: {}", names.join(", ")),
                "write one of these with `applies_to`",
            );
        }
    }
    None
}

fn guard(upstream: &DraftUpstream, target: Option<&Target>, notes: &mut Notes) -> Option<Guard> {
    let bound = |time: &Option<At<Duration>>| time.as_ref().map(|time| time.value);
    let timeout = TimeoutBounds {
        connect: bound(&upstream.times.connect),
        request: bound(&upstream.times.request),
        total: bound(&upstream.times.total),
        idle: bound(&upstream.times.idle),
    };
    let own = target.and_then(|target| target.request_timeout);
    let known = own.into_iter().chain(timeout.request).min();
    let times = CallTimes {
        request: timeout.request.unwrap_or(UNBOUNDED),
        probe: known.unwrap_or(Timeout::default().request),
    };
    let breaker = check::breaker(upstream, times, notes);
    let key = upstream.breaker.iter().flatten();
    for key in key.filter_map(|breaker| breaker.key()) {
        let has_no_meaning = |part: &&KeyPart| matches!(part, KeyPart::Route | KeyPart::Path(_));
        if let Some(part) = key.value.0.iter().find(has_no_meaning) {
            let part = match part {
                KeyPart::Path(name) => format!("{{path.{name}}}"),
                _ => "{route}".to_owned(),
            };
            notes.error(
                key.at,
                format!(
                    "{} says nothing here: an application's own requests follow no route",
                    quote(&part)
                ),
                "use `{method}`, `{endpoint}` or `{header.NAME}`, or leave the key out",
            );
        }
    }
    if let Some(At { at, .. }) = course::probe(upstream).filter(|it| it.value == Probe::Health) {
        notes.error(
            *at,
            "`probe: health` has no place beside an application, whose services are not checked",
            "remove it",
        );
    }
    let call = &upstream.call;
    let bounds = Bounds {
        request: known,
        total: timeout.total,
    };
    let retry = call.retry.as_ref().map(|retry| retry.check(bounds, notes));
    let budget = call.retry.as_ref().and_then(|retry| retry.budget.as_ref());
    let ejection = match &call.ejection {
        Some(DraftEjection::On(rules)) => Some(rules.check(times, None, notes)),
        Some(DraftEjection::Off) | None => None,
    };
    Some(Guard {
        name: upstream.name.value.as_str().into(),
        target: target?.name.clone(),
        timeout,
        retry,
        budget: budget.map(|it| it.value).unwrap_or_default(),
        ejection,
        bulkhead: call.bulkhead.as_ref().map(|it| it.value.clone()),
        breaker,
    })
}

/// Two breakers cannot have one name: their records go by it.
fn refuse_shared_names(guards: &[(Place, Arc<Guard>)], own: &[Arc<str>], notes: &mut Notes) {
    let others = guards.iter().map(|(_, guard)| &guard.name);
    let others: Vec<_> = own.iter().chain(others).collect();
    for (at, guard) in guards {
        let keyed = !guard.breaker.key.is_upstream();
        let clashes = |other: &str| {
            let rest = other.strip_prefix(&*guard.name);
            rest.is_some_and(|rest| keyed && rest.starts_with('/'))
        };
        let own = own.iter().find(|other| ***other == *guard.name);
        let found = own.or_else(|| others.iter().copied().find(|other| clashes(other)));
        if let Some(other) = found {
            notes.error(
                *at,
                format!(
                    "a breaker of the upstream {} could have the name of another breaker, {}",
                    quote(&guard.name),
                    quote(other)
                ),
                format!("rename it, and add `applies_to: {}`", guard.target),
            );
        }
    }
}
