//! Compares ladders with the upstreams that they name, and with one another.

use std::collections::{HashMap, HashSet};

use super::draft::{Draft, DraftRoute, DraftUpstream};
use super::ladder::DraftLadder;
use crate::diagnostic::{Notes, Place, quote, suggest};

/// The names of the upstreams that a rung of any ladder leads to.
pub(super) fn used(draft: &Draft) -> HashSet<&str> {
    let of_upstreams = draft
        .upstreams
        .iter()
        .filter_map(|it| it.call.fallback.as_ref());
    let of_routes = draft.routes.iter().filter_map(|it| it.fallback.as_ref());
    let ladders = of_upstreams.chain(of_routes);
    ladders
        .flat_map(DraftLadder::upstreams)
        .map(|(name, _)| name.text.as_str())
        .collect()
}

/// Reports rungs that lead nowhere, back to where the call came from, or in a circle, and settings without a ladder.
pub(super) fn check(draft: &Draft, notes: &mut Notes) {
    let names = draft.upstreams.iter().enumerate();
    let names: HashMap<&str, usize> = names.map(|(it, of)| (&*of.name.value, it)).collect();
    for upstream in &draft.upstreams {
        check_rungs(
            &upstream.call.fallback,
            &upstream.name.value,
            draft,
            &names,
            notes,
        );
        check_settings(upstream, draft, notes);
    }
    for route in &draft.routes {
        let upstream = route.upstream.as_ref().map(|name| name.value.text.as_str());
        check_rungs(
            &route.fallback,
            upstream.unwrap_or_default(),
            draft,
            &names,
            notes,
        );
    }
    check_circles(draft, &names, notes);
}

fn check_rungs(
    ladder: &Option<DraftLadder>,
    own: &str,
    draft: &Draft,
    names: &HashMap<&str, usize>,
    notes: &mut Notes,
) {
    for (name, at) in ladder.iter().flat_map(DraftLadder::upstreams) {
        if name.text == own {
            notes.error(
                at,
                format!("{} would fall back to itself", name.shown),
                "name another upstream, or remove the rung",
            );
        } else if !names.contains_key(&*name.text) && !draft.upstreams_doubtful {
            let others = draft.upstreams.iter().map(|it| it.name.value.as_str());
            let others = others.filter(|other| *other != own);
            notes.error(
                at,
                format!("unknown upstream {}", name.shown),
                suggest(&name.text, others),
            );
        }
    }
}

/// Reports what belongs to a ladder where no ladder uses it.
fn check_settings(upstream: &DraftUpstream, draft: &Draft, notes: &mut Notes) {
    if upstream.call.fallback_on.is_none() && upstream.call.last_good.is_none() {
        return;
    }
    let leads = |route: &&DraftRoute| {
        let name = route.upstream.as_ref();
        name.is_some_and(|name| name.value.text == upstream.name.value)
    };
    let of_routes = draft.routes.iter().filter(leads);
    let of_routes = of_routes.filter_map(|route| route.fallback.as_ref());
    let ladders: Vec<_> = upstream.call.fallback.iter().chain(of_routes).collect();
    if let Some(on) = &upstream.call.fallback_on
        && ladders.iter().all(|ladder| ladder.rungs.is_empty())
        && !upstream.call.fallback_broken
    {
        notes.error(
            on.at,
            "`fallback_on` belongs to `fallback`, which is missing",
            "add `fallback: [{ last_good: 1h }]`, or remove it",
        );
    }
    if let Some(kept) = &upstream.call.last_good
        && !ladders.iter().any(|ladder| ladder.has_last_good())
        && !upstream.call.fallback_broken
    {
        notes.error(
            kept.at,
            "`last_good` says how answers are kept, and no rung of `fallback` serves them",
            "add `fallback: [{ last_good: 1h }]`, or remove it",
        );
    }
}

/// Reports circles of upstreams that fall back to one another, each at the rung that closes it.
fn check_circles(draft: &Draft, names: &HashMap<&str, usize>, notes: &mut Notes) {
    let rungs: Vec<Vec<(usize, Place)>> = draft
        .upstreams
        .iter()
        .enumerate()
        .map(|(own, upstream)| {
            let ladder = upstream.call.fallback.iter();
            let rungs = ladder.flat_map(DraftLadder::upstreams);
            let rungs = rungs.filter_map(|(name, at)| Some((*names.get(&*name.text)?, at)));
            // A rung that leads to its own upstream has been reported.
            rungs.filter(|(next, _)| *next != own).collect()
        })
        .collect();
    let mut done = vec![false; rungs.len()];
    let mut is_on_way = vec![false; rungs.len()];
    for start in 0..rungs.len() {
        // The upstreams on the way, each with the number of its rungs that have been followed.
        let mut way = vec![(start, 0)];
        is_on_way[start] = true;
        while let Some((upstream, followed)) = way.last_mut() {
            let upstream = *upstream;
            let rung = rungs[upstream].get(*followed).filter(|_| !done[upstream]);
            *followed += 1;
            match rung {
                None => {
                    done[upstream] = true;
                    is_on_way[upstream] = false;
                    way.pop();
                }
                Some((next, at)) if is_on_way[*next] => {
                    let circle = way.iter().map(|(it, _)| *it);
                    let circle: Vec<usize> = circle.skip_while(|it| it != next).collect();
                    notes.error(
                        *at,
                        format!(
                            "these upstreams fall back in a circle: {}",
                            show_circle(&circle, draft)
                        ),
                        "remove one of the rungs",
                    );
                }
                Some((next, _)) => {
                    is_on_way[*next] = true;
                    way.push((*next, 0));
                }
            }
        }
    }
}

/// Writes a circle of upstreams, the first one at both ends; of a long one only the beginning.
fn show_circle(circle: &[usize], draft: &Draft) -> String {
    const SHOWN_MAX: usize = 5;
    let name = |it: &usize| quote(&draft.upstreams[*it].name.value);
    let mut names: Vec<String> = circle.iter().take(SHOWN_MAX).map(name).collect();
    if circle.len() > SHOWN_MAX {
        names.push("…".to_owned());
    }
    names.extend(circle.first().map(name));
    names.join(" -> ")
}
