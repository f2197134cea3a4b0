//! A breaker as a service: its operations, bodies and answers.

use serde_json::{Value, json};

use super::paths::{Operation, Route};
use super::schema::{Named, flag, list, object, of, or_null, text, whole, without, words};
use crate::calls::{KIND_MAX, MS_MAX};
use crate::problem_kind::Kind;

const JSON: &str = "application/json";

/// The paths of this file.
pub fn paths() -> Vec<Route> {
    let about = "Asks whether a program may call, and gives it a permit";
    let check = Operation::new("check_call", "calls", about)
        .serves()
        .name()
        .answers(JSON, json!({ "anyOf": [of("Permitted"), of("Refused")] }))
        .problems(&[Kind::UnknownBreaker, Kind::ReadOnly])
        .done();
    let counted = || json!({ "anyOf": [of("Counted"), of("CountedAndRefused")] });
    let report = Operation::new("report_calls", "calls", "Takes the outcomes of calls")
        .serves()
        .name()
        .body(of("CallReport"), false)
        .answers(JSON, counted())
        .problems(&[
            Kind::UnknownBreaker,
            Kind::ForgedPermit,
            Kind::BeyondPermit,
            Kind::ReadOnly,
            Kind::TooLarge,
            Kind::NotJson,
        ])
        .done();
    let one = |id, about| {
        Operation::new(id, "calls", about)
            .serves()
            .name()
            .body(of("CallFacts"), false)
            .answers(JSON, counted())
            .problems(&[
                Kind::UnknownBreaker,
                Kind::ReadOnly,
                Kind::TooLarge,
                Kind::NotJson,
            ])
            .done()
    };
    vec![
        ("/api/v1/calls/{name}/check", "get", look()),
        ("/api/v1/calls/{name}/check", "post", check),
        ("/api/v1/calls/{name}/report", "post", report),
        (
            "/api/v1/calls/{name}/counter",
            "post",
            one(
                "count_failure",
                "Takes one failure of a caller without a permit",
            ),
        ),
        (
            "/api/v1/calls/{name}/reset",
            "post",
            one(
                "count_success",
                "Takes one success of a caller without a permit",
            ),
        ),
    ]
}

/// The question of a proxy, whose answer is a status.
fn look() -> Value {
    let about = "Says by its status whether a call would pass, and moves nothing";
    let mut look = Operation::new("look_at_call", "calls", about)
        .serves_readers()
        .name()
        .query(
            "deny",
            words(&["403", "503"], "the status of a refusal; 503 by default"),
        )
        .query(
            "allow",
            words(
                &["200", "204"],
                "the status where a call would pass; 204 by default",
            ),
        )
        .problems(&[Kind::UnknownBreaker])
        .done();
    look["responses"]["204"] = json!({ "description": "A call would pass" });
    look["responses"]["200"] = json!({ "description": "A call would pass, with `allow=200`" });
    let refused = json!({ "schema": of("LookRefused") });
    let headers = json!({
        "Retry-After": {
            "description": "seconds until another question has a chance; absent under a hold without an end",
            "schema": { "type": "integer", "minimum": 1 },
        },
        "Fusebox-Reason": {
            "description": "the reason, the breaker and its state; absent in a problem",
            "schema": { "type": "string" },
        },
    });
    look["responses"]["503"] = json!({
        "description": "A call would be refused",
        "headers": headers,
        "content": { JSON: refused },
    });
    let forbidden = &mut look["responses"]["403"];
    forbidden["content"][JSON] = refused;
    forbidden["headers"] = headers;
    let problems = forbidden["description"].as_str().unwrap_or_default();
    forbidden["description"] = json!(format!("A call would be refused; {problems}"));
    look
}

/// The schemas of this file, by name.
pub fn schemas() -> Vec<Named> {
    vec![
        ("Permitted", permitted()),
        ("Refused", object("A refusal", refusal())),
        ("LookRefused", look_refused()),
        ("CallReport", report()),
        ("CallOutcome", outcome()),
        ("CallFacts", open("The facts of one call", facts())),
        ("Counted", counted()),
        ("CountedAndRefused", counted_and_refused()),
    ]
}

fn permitted() -> Value {
    object(
        "A permit for calls",
        vec![
            ("tripped", json!({ "const": false })),
            (
                "permit",
                text("the permit, which the report of the outcomes has in it"),
            ),
            (
                "valid_for_ms",
                whole(
                    "milliseconds in which the calls may begin; while half-open also those until the report",
                ),
            ),
            (
                "calls",
                whole("number of calls: many while closed, else one"),
            ),
        ],
    )
}

fn refusal() -> Vec<Named> {
    vec![
        ("tripped", json!({ "const": true })),
        (
            "retry_after",
            or_null(whole(
                "seconds until another question has a chance; null under a hold without an end",
            )),
        ),
        ("reason", text("the reason, such as `breaker_open`")),
    ]
}

fn look_refused() -> Value {
    object(
        "A refusal",
        vec![
            ("error", text("the refusal in words")),
            ("breaker", text("the breaker's full name")),
            (
                "retry_after",
                or_null(whole(
                    "seconds until another question has a chance; null under a hold without an end",
                )),
            ),
        ],
    )
}

fn report() -> Value {
    let mut permit = text("the permit; without it each outcome counts as it comes");
    // 32 bytes in base64url.
    permit["pattern"] = json!("^[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$");
    let mut report = object(
        "Outcomes of calls: of one permit, or of calls without a permit",
        vec![
            ("permit", or_null(permit)),
            (
                "outcomes",
                list(
                    of("CallOutcome"),
                    "the outcomes; taken as a whole or not at all",
                ),
            ),
        ],
    );
    report["additionalProperties"] = json!(false);
    without(report, &["permit", "outcomes"])
}

/// The facts of a call, each of which may be absent.
const FACTS: [&str; 4] = ["ms", "kind", "status", "retry_after"];

fn facts() -> Vec<Named> {
    let time = |max: f64, about| json!({ "type": ["number", "null"], "minimum": 0, "maximum": max, "description": about });
    vec![
        ("ms", time(MS_MAX, "the call's duration in milliseconds")),
        (
            "kind",
            json!({
                "type": ["string", "null"],
                "maxLength": KIND_MAX,
                "pattern": r"^[^\u0000-\u001f\u007f-\u009f]*$",
                "examples": ["timeout"],
                "description": "the kind of its error, in the program's own words",
            }),
        ),
        (
            "status",
            json!({ "type": ["integer", "null"], "minimum": 100, "maximum": 599, "description": "the status of an answer over HTTP" }),
        ),
        (
            "retry_after",
            time(
                MS_MAX / 1_000.0,
                "seconds after which the other side asked to be called again",
            ),
        ),
    ]
}

fn outcome() -> Value {
    let mut members = facts();
    members.insert(0, ("ok", flag("true if the call went well")));
    open("The outcome of one call", members)
}

/// An object about a call. Members that are not described are left alone, for programs of a later version.
fn open(about: &str, members: Vec<Named>) -> Value {
    let mut object = without(object(about, members), &FACTS);
    object["additionalProperties"] = json!(true);
    object
}

fn counts() -> Vec<Named> {
    vec![
        ("counted", whole("outcomes that were in time")),
        ("late", whole("outcomes that came too late to count")),
    ]
}

fn counted() -> Value {
    let mut members = counts();
    members.insert(0, ("tripped", json!({ "const": false })));
    object("A report was taken, and the next call would pass", members)
}

fn counted_and_refused() -> Value {
    let mut members = refusal();
    members.extend(counts());
    object(
        "A report was taken, and the next call would be refused",
        members,
    )
}
