//! The schemas of events, by their type.

use serde_json::{Value, json};

use super::breakers::{HOLDS, KINDS, STATES};
use super::schema::{Named, flag, list, map, object, of, or_null, text, time, whole, words};

/// The schemas of this file, by name.
pub fn schemas() -> Vec<Named> {
    let kept = kinds();
    let all = || kept.iter().map(|(name, kind, _)| (*name, *kind));
    let mut schemas: Vec<_> = kept
        .iter()
        .map(|(name, kind, members)| {
            (
                *name,
                object(&about(kind), with_head(kind, members.clone())),
            )
        })
        .collect();
    let mut in_stream: Vec<_> = all().map(|(name, _)| of(name)).collect();
    for (name, kind, members) in signs() {
        schemas.push((name, object(&about(kind), with_head(kind, members))));
        in_stream.push(of(name));
    }
    let in_state: Vec<_> = kept
        .iter()
        .map(|(_, kind, members)| {
            let mut members = members.clone();
            members.push(("id", text("its identifier")));
            object(&about(kind), with_head(kind, members))
        })
        .collect();
    schemas.push((
        "Event",
        json!({ "anyOf": in_stream, "description": "The data of an event in the stream" }),
    ));
    schemas.push((
        "KeptEvent",
        json!({ "anyOf": in_state, "description": "An event with its identifier" }),
    ));
    schemas
}

fn about(kind: &str) -> String {
    format!("An event of the type `{kind}`")
}

fn with_head(kind: &str, members: Vec<Named>) -> Vec<Named> {
    let mut all = vec![
        ("type", json!({ "const": kind })),
        ("at", time("its time")),
        ("node", text("the gateway's name")),
    ];
    all.extend(members);
    all
}

/// The events that the gateway keeps: schema, type, members.
fn kinds() -> [(&'static str, &'static str, Vec<Named>); 6] {
    let breaker = || ("breaker", text("the breaker's name"));
    let upstream = || ("upstream", text("the upstream's name"));
    let endpoint = || ("endpoint", text("the endpoint's name"));
    [
        (
            "TransitionEvent",
            "transition",
            vec![
                breaker(),
                upstream(),
                ("kind", words(&KINDS, "what the breaker stands before")),
                ("from", words(&STATES, "the state before")),
                ("to", words(&STATES, "the state after")),
                ("reason", text("the reason, as a sentence")),
                ("generation", whole("the generation that began")),
                ("retry_at", or_null(time("when it is worth calling again"))),
            ],
        ),
        (
            "HoldEvent",
            "hold",
            vec![
                breaker(),
                ("hold", or_null(words(&HOLDS, "the hold; null: it is over"))),
                ("until", or_null(time("its end"))),
                ("reason", text("the operator's reason")),
                ("by", text("the operator")),
            ],
        ),
        (
            "ReloadEvent",
            "reload",
            vec![
                ("result", words(&["ok", "refused", "failed"], "the result")),
                ("changed", list(text("a name"), "the names of what changed")),
                (
                    "diagnostics",
                    list(of("Diagnostic"), "the faults in the files"),
                ),
            ],
        ),
        (
            "StoreEvent",
            "store",
            vec![("state", words(&["reachable", "away"], "the store's state"))],
        ),
        (
            "EjectionEvent",
            "ejection",
            vec![
                upstream(),
                endpoint(),
                ("ejected", flag("true if it gets no calls from now on")),
                ("until", or_null(time("the end of the ejection"))),
            ],
        ),
        (
            "HealthEvent",
            "health",
            vec![
                upstream(),
                endpoint(),
                (
                    "health",
                    words(&["healthy", "unhealthy"], "the verdict of its checks"),
                ),
            ],
        ),
    ]
}

/// The events that only a stream has: schema, type, members.
fn signs() -> [(&'static str, &'static str, Vec<Named>); 3] {
    let pulse: Value = object(
        "A breaker's numbers",
        vec![("rates", of("Rates")), ("second", of("Second"))],
    );
    [
        (
            "PulseEvent",
            "pulse",
            vec![(
                "breakers",
                map(pulse, "the breakers with calls in the last 10 s, by name"),
            )],
        ),
        (
            "GapEvent",
            "gap",
            vec![(
                "missed",
                or_null(whole("lost events; null: their number is unknown")),
            )],
        ),
        ("ResetEvent", "reset", vec![]),
    ]
}
