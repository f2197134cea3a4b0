//! The schemas of commands: the bodies that an operator sends.

use serde_json::{Value, json};

use super::schema::{Named, object, or_null, text, without, words};
use crate::breakers::TEXT_MAX;

/// A duration of a hold, in a form that is always taken.
const DURATION: &str = r"^((0\.[0-9]{0,2}[1-9]|[1-9][0-9]{0,6}(\.[0-9]{1,3})?)s|[1-9][0-9]{0,9}ms|[1-9][0-9]{0,4}(\.[0-9]{1,3})?m|([1-9][0-9]{0,2}|[1-7][0-9]{3})(\.[0-9]{1,3})?h)$";
/// Text without control characters.
const PRINTABLE: &str = r"^[^\u0000-\u001f\u007f-\u009f]*$";

/// The schemas of this file, by name.
pub fn schemas() -> Vec<Named> {
    vec![
        ("HoldCommand", hold_command()),
        ("Command", command()),
        ("Purge", purge()),
    ]
}

fn hold_command() -> Value {
    let mut members = said();
    members.insert(
        0,
        (
            "for",
            json!({
                "type": ["string", "null"],
                "pattern": DURATION,
                "examples": ["10m"],
                "description": "the duration of the hold, at most 366 days; without it the hold has no end",
            }),
        ),
    );
    closed(object("A hold. Every member may be absent", members))
}

fn command() -> Value {
    closed(object("A command. Every member may be absent", said()))
}

fn said() -> Vec<Named> {
    let said = |about| json!({ "type": ["string", "null"], "maxLength": TEXT_MAX, "pattern": PRINTABLE, "description": about });
    let scope = words(
        &["node", "fleet"],
        "this gateway, or all of its fleet; `node` by default",
    );
    vec![
        ("reason", said("the operator's reason")),
        ("by", said("the operator; `admin` by default")),
        ("scope", or_null(scope)),
    ]
}

fn closed(mut command: Value) -> Value {
    command["required"] = json!([]);
    command["additionalProperties"] = json!(false);
    command
}

fn purge() -> Value {
    let path = json!({
        "type": ["string", "null"],
        "pattern": "^/",
        "examples": ["/orders/1"],
        "description": "the path as the upstream sees it, with its query; without it all of the upstream's answers",
    });
    let mut upstream = text("the upstream's name");
    upstream["examples"] = json!(["orders"]);
    let purge = object(
        "The answers to remove",
        vec![("upstream", upstream), ("path", path)],
    );
    let mut purge = without(purge, &["path"]);
    purge["additionalProperties"] = json!(false);
    purge
}
