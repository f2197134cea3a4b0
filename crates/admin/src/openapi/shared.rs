//! The schemas of a breaker that a fleet shares: a gateway's view of it, and the record.

use serde_json::Value;

use super::breakers::{HOLDS, STATES};
use super::schema::{Named, flag, list, object, of, or_null, text, time, whole, words};

/// The schemas of this file, by name.
pub fn schemas() -> Vec<Named> {
    vec![("FleetPart", fleet()), ("FleetRecord", record())]
}

fn fleet() -> Value {
    object(
        "This gateway's view of a shared breaker",
        vec![
            (
                "share",
                text("what is shared: `verdict`, `quorum: N` or `counts`"),
            ),
            ("node", text("this gateway's name")),
            ("store", words(&["reachable", "away"], "the fleet's store")),
            (
                "others_of_this_name",
                whole("other processes of the same name"),
            ),
            ("alone", flag("true if it decides alone")),
            (
                "may_probe_until",
                or_null(time("the end of its lease to probe")),
            ),
            ("record", or_null(of("FleetRecord"))),
        ],
    )
}

fn record() -> Value {
    let vote = |about| {
        object(
            about,
            vec![
                ("node", text("the node")),
                ("until", or_null(time("the end"))),
            ],
        )
    };
    let count = object(
        "A count of all nodes",
        vec![
            ("observed", whole("failures")),
            ("threshold", whole("failures at which it trips")),
        ],
    );
    object(
        "The record that all gateways of a fleet agree on. Its times are the server's",
        vec![
            ("epoch", whole("the record's epoch")),
            ("term", whole("the number of its changes of state")),
            ("since", or_null(time("the start of its state"))),
            ("written", or_null(time("when it was written"))),
            ("state", words(&STATES, "its state")),
            ("until", or_null(time("the end of its cooldown"))),
            ("attempts", whole("the openings in a row")),
            ("by", text("the node that changed it")),
            ("why", text("the reason")),
            ("votes", list(vote("A node's vote"), "the votes to open")),
            ("counts", list(count, "the rules that are counted together")),
            ("lease", or_null(vote("The lease to probe"))),
            (
                "hold",
                or_null(object(
                    "An operator's hold",
                    vec![
                        ("kind", words(&HOLDS, "held open or held closed")),
                        ("until", or_null(time("its end"))),
                        ("reason", text("the operator's reason")),
                        ("by", text("the operator")),
                    ],
                )),
            ),
        ],
    )
}
