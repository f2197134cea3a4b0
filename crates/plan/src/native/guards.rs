//! A native file beside an application: its upstreams stand before the application's own requests.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use super::breaker::{CallTimes, TIMEOUT};
use super::check;
use super::course;
use super::draft::{Draft, DraftUpstream};
use super::ejection::DraftEjection;
use super::retry::Bounds;
use super::services;
use super::store::{check_fleet, check_shares, check_store};
use crate::diagnostic::{At, Notes, Place, place_of, quote, suggest, value_of};
use crate::plan::{Guard, KeyPart, Listener, Plan, Probe, Timeout, TimeoutBounds};
use crate::program::{OwnTimeout, Target};

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
        let found = found.map_or_else(Vec::new, |targets| targets_of(upstream, targets, notes));
        let guard = guard(upstream, &found, notes);
        let [target, ..] = found[..] else { continue };
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
    warn_of_others(&guards, targets.as_deref().unwrap_or_default(), notes);
    refuse_shared_names(&guards, &own, notes);
    let others = guards.iter().map(|(_, guard)| guard);
    let others = others.map(|it| (&*it.name, !it.breaker.key.is_upstream()));
    let others = others.chain(own.iter().map(|name| (&**name, false)));
    let breakers = services::check(&draft, others, notes);
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
    plan.breakers = breakers;
    plan.store = store;
    plan.fleet = fleet;
    plan.access_log = value_of(&draft.access_log).and_then(|log| log);
    plan.limits = value_of(&draft.limits).unwrap_or_default();
    plan.guards = guards.into_iter().map(|(_, guard)| guard).collect();
}

/// Clients come in as the application says.
fn refuse_ways_in(draft: &Draft, notes: &mut Notes) {
    for (key, at) in [
        ("listen", place_of(&draft.listen)),
        ("listeners", place_of(&draft.listeners)),
        ("routes", draft.routes.first().map(|route| route.at)),
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
    let pool = place_of(&upstream.pool_idle);
    let pool = pool.or(place_of(&upstream.pool_idle_timeout));
    let pool = pool.or(place_of(&upstream.pool_max_age));
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
            "balance" | "health" | "resolve" | "hedge" | "request" | "tls" | "http" | "host"
            | "location" => "whose requests go where its file says",
            "fallback" | "fallback_on" | "last_good" => "whose own error handling answers",
            "grpc" => "whose requests are not gRPC",
            _ => continue,
        };
        let what = format!("`{key}` has no place beside an application, {why}");
        notes.error(*at, what, "remove it");
    }
}

/// The targets that an upstream stands before: all that are one service at one address.
fn targets_of<'a>(
    upstream: &DraftUpstream,
    targets: &'a [Target],
    notes: &mut Notes,
) -> Vec<&'a Target> {
    let (wanted, shown, at) = match &upstream.applies_to {
        Some(None) => return Vec::new(),
        Some(Some(At { value, at })) => (&*value.text, value.shown.clone(), *at),
        None => {
            let name = &upstream.name;
            (&*name.value, quote(&name.value), name.at)
        }
    };
    let goes_by: [fn(&Target, &str) -> bool; 3] = [
        |target, name| *target.service == *name,
        |target, name| *target.name == *name,
        |target, name| target.short_name.as_deref() == Some(name),
    ];
    let all = |is: &fn(&Target, &str) -> bool| -> Vec<&Target> {
        targets.iter().filter(|it| is(it, wanted)).collect()
    };
    let mut ways = goes_by.iter().map(all);
    let Some(found) = ways.find(|found| !found.is_empty()) else {
        let names = targets.iter().map(|target| &*target.service);
        let short = targets.iter().filter_map(|it| it.short_name.as_deref());
        let (what, mend) = match targets {
            [] => (
                "no request of the application has a name, so there is nothing to stand before"
                    .to_owned(),
                "give its requests an `http:request-config` or a rest service, or remove the upstream".to_owned(),
            ),
            _ => (
                format!("the application makes no requests by the name {shown}"),
                suggest(wanted, short.chain(names)),
            ),
        };
        notes.error(at, what, mend);
        return Vec::new();
    };
    let mut seen = HashSet::new();
    let services = found.iter().map(|target| &target.service);
    let services: Vec<_> = services.filter(|name| seen.insert(*name)).collect();
    if services.len() > 1 {
        let names: Vec<_> = services.into_iter().map(|name| quote(name)).collect();
        notes.error(
            at,
            format!("{shown} is the name of several: {}", names.join(", ")),
            "write one of these with `applies_to`",
        );
        return Vec::new();
    }
    let is_same =
        |target: &&Target| target.service == found[0].service && target.address == found[0].address;
    targets.iter().filter(is_same).collect()
}

/// Warns of targets that are the same service as a guarded one at another address, where no guard is before them.
fn warn_of_others(guards: &[(Place, Arc<Guard>)], targets: &[Target], notes: &mut Notes) {
    let is_guarded = |target: &Target| {
        let mut guards = guards.iter();
        guards.any(|(_, guard)| guard.targets.contains(&target.name))
    };
    for (at, guard) in guards {
        let mut seen: Vec<&Target> = Vec::new();
        let first = targets.iter().find(|it| it.name == guard.targets[0]);
        for other in targets.iter().filter(|it| !is_guarded(it)) {
            let is_other = first.is_some_and(|first| first.service == other.service);
            if !is_other || seen.iter().any(|it| it.address == other.address) {
                continue;
            }
            seen.push(other);
            notes.warn(
                *at,
                format!(
                    "{} is the same service at another address, {}, and the breaker of {} is not before it",
                    quote(&other.name),
                    other.address,
                    quote(&guard.name),
                ),
                format!("add an upstream with `applies_to: {}`", other.name),
            );
        }
    }
}

fn guard<'a>(upstream: &DraftUpstream, targets: &[&'a Target], notes: &mut Notes) -> Guard {
    let timeout = TimeoutBounds {
        connect: value_of(&upstream.times.connect),
        request: value_of(&upstream.times.request),
        total: value_of(&upstream.times.total),
        idle: value_of(&upstream.times.idle),
    };
    let own = targets.iter().map(|target| target.request_timeout.as_ref());
    let longer = |one: &'a OwnTimeout, other: &'a OwnTimeout| {
        if one.time < other.time { other } else { one }
    };
    let own = own.reduce(|one, other| one.zip(other).map(|(one, other)| longer(one, other)));
    let own = own.flatten().map(|own| (own.time, &*own.setting));
    let bound = timeout.request.map(|time| (time, TIMEOUT));
    let known = bound.into_iter().chain(own).min_by_key(|(time, _)| *time);
    let (request, setting) = known.unwrap_or((UNBOUNDED, TIMEOUT));
    let times = CallTimes {
        request,
        setting,
        probe: known.map_or(Timeout::default().request, |(time, _)| time),
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
        request: known.map(|(time, _)| time),
        total: timeout.total,
    };
    check::check_times(&upstream.times, notes);
    if let Some(retry) = &call.retry {
        retry.check_attempts(notes);
    }
    let retry = call.retry.as_ref().map(|retry| retry.check(bounds, notes));
    let budget = call.retry.as_ref().and_then(|retry| retry.budget.as_ref());
    if let Some(DraftEjection::On(rules)) = &call.ejection {
        rules.check(times, None, notes);
        notes.warn(
            rules.at(),
            "`ejection` has no effect: an application gives each service one address, and the only one is never ejected",
            "remove it; the breaker stands before the service as a whole",
        );
    }
    Guard {
        name: upstream.name.value.as_str().into(),
        targets: targets.iter().map(|it| it.name.clone()).collect(),
        timeout,
        retry,
        budget: budget.map(|it| it.value).unwrap_or_default(),
        bulkhead: call.bulkhead.as_ref().map(|it| it.value.clone()),
        breaker,
    }
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
                format!("rename it, and add `applies_to: {}`", guard.targets[0]),
            );
        }
    }
}
