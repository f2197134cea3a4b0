//! The schemas of a breaker that a flow builds by hand.

use serde_json::{Value, json};

use super::breakers::STATES;
use super::schema::{Named, flag, list, object, or_null, text, time, whole, words};

/// The schemas of this file, by name.
pub fn schemas() -> Vec<Named> {
    vec![("FlowBreaker", flow_breaker())]
}

fn flow_breaker() -> Value {
    let mut members = flow_members();
    members.push((
        "retry_after",
        or_null(
            json!({ "type": "integer", "minimum": 1, "description": "whole seconds to `retry_at`" }),
        ),
    ));
    object("A breaker that a flow builds by hand", members)
}

/// The members of a flow's breaker that a row of the state has, too.
pub fn flow_members() -> Vec<Named> {
    let flaw = object(
        "A flaw of the flow",
        vec![
            ("at", text("its place")),
            ("what", text("the flaw")),
            ("mend", text("the mend")),
        ],
    );
    vec![
        ("name", text("the entry: `STORE/KEY`")),
        ("kind", json!({ "const": "flow" })),
        (
            "upstream",
            or_null(text("the first target that it stands before")),
        ),
        (
            "upstreams",
            list(text("a target"), "the targets that it stands before"),
        ),
        ("state", words(&STATES, "its state")),
        ("mode", json!({ "const": "enforce" })),
        ("hold", json!({ "type": "null" })),
        ("reason", or_null(text("the reason for its state"))),
        (
            "retry_at",
            or_null(time("the end of its entry, while it is open")),
        ),
        (
            "persisted",
            flag("true if its store keeps it over a restart"),
        ),
        (
            "flow",
            object(
                "The flow's own",
                vec![
                    ("at", text("its place")),
                    ("store", text("its object store")),
                    ("key", text("the key of its entry")),
                    ("field", or_null(text("the field of the entry"))),
                    ("due_at", or_null(time("the entry's time to live ends"))),
                    ("gone_by", or_null(time("the entry is gone by then"))),
                    ("count", or_null(whole("counted failures"))),
                    ("count_key", or_null(text("the key of the count"))),
                    ("threshold", or_null(whole("failures at which it opens"))),
                    ("half_open", flag("true if it has that state")),
                    ("flaws", list(flaw, "what the flow does wrong")),
                ],
            ),
        ),
    ]
}
