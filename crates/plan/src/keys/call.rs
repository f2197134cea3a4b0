//! The keys of what stands between a route and an attempt: endpoints, retries, ladders, bulkheads, fields.

use super::Shape::{self, *};
use super::{COOLDOWN, POSITIVE, RAMP, TRIP, Table, key};

/// More calls at once, or in a queue, than one process can hold.
const PLACES_MAX: u64 = 1_000_000;
const PLACES: Shape = Whole { min: 1, max: PLACES_MAX };

pub(crate) static HASH: Table = Table {
    name: "hash",
    about: "The same endpoint for the same text, unless it is loaded above its share.",
    required: &[("hash", "\"{header.x-tenant}\"")],
    keys: &[key("hash", Text, "", "The text: any of {route} {method} {header.NAME} {path.NAME}.")],
};

pub(crate) static EJECTION: Table = Table {
    name: "ejection",
    about: "Which endpoint gets no calls for a while: its rules are those of a breaker's `trip`, by default five consecutive failures.",
    required: &[],
    keys: &[
        key("", Also(&TRIP), "", ""),
        key("for", Either(&[Duration, Shape::Table(&COOLDOWN)]), "", "How long it gets none: exactly this, or a map as of a cooldown; by default `{ base: 10s, max: 5m, factor: 2, jitter: 20% }`."),
        key("max_ejected", Share, "50%", "The largest part of the endpoints that is ejected at once, rounded down."),
        key("min_healthy", Whole { min: 0, max: 10_000 }, "1", "So many endpoints stay in use, whatever they do."),
        key("ramp", Either(&[Duration, Shape::Table(&RAMP)]), "", "How its calls come back; without the key all at once."),
    ],
};

pub(crate) static HEALTH: Table = Table {
    name: "health",
    about: "Checks of each endpoint, beside its calls: `path` or `grpc`.",
    required: &[],
    keys: &[
        key("path", Text, "", "What a GET asks for, below the endpoint's own path."),
        key("grpc", Flag, "false", "Asks by `grpc.health.v1.Health/Check`, the health service of gRPC, instead of a path."),
        key("service", Text, "", "Beside `grpc`: the service that is asked about; by default the server as a whole."),
        key("interval", Duration, "5s", "From one check to the next."),
        key("timeout", Duration, "1s", "A check without an answer for so long has failed."),
        key("rise", POSITIVE, "2", "So many good checks in a row make an endpoint healthy."),
        key("fall", POSITIVE, "3", "So many failed checks in a row make it unhealthy."),
        key("expect", Text, "status == 200", "Which answers are good: a CEL expression over status, headers and duration."),
        key("jitter", Share, "20%", "Moves each check by a random share of `interval` of up to this."),
    ],
};

pub(crate) static GRPC: Table = Table {
    name: "grpc",
    about: "How calls of gRPC are judged.",
    required: &[],
    keys: &[key("failure", List(&Text), "", "Which statuses are failures, by number or name, where `breaker.failure` is not set. By default `[2, 4, 13, 14, 15]`: UNKNOWN, DEADLINE_EXCEEDED, INTERNAL, UNAVAILABLE, DATA_LOSS.")],
};

pub(crate) static BULKHEAD: Table = Table {
    name: "bulkhead",
    about: "How many calls may be in flight at once, over all workers.",
    required: &[("concurrent", "256")],
    keys: &[
        key("concurrent", Either(&[PLACES, Shape::Table(&CONCURRENT)]), "", "The most calls in flight; one keeps its place until the answer's body has ended."),
        key("queued", Whole { min: 0, max: PLACES_MAX }, "0", "The most calls that wait for a place."),
        key("queue_for", Duration, "", "How long one waits at most."),
        key("streams", PLACES, "1000", "The most tunnels and event streams, which leave their places once they have begun."),
    ],
};

pub(crate) static CONCURRENT: Table = Table {
    name: "concurrent",
    about: "A number of calls that follows the upstream's times.",
    required: &[("adaptive", "{ min: 8, max: 1000 }")],
    keys: &[key("adaptive", Shape::Table(&ADAPTIVE_LIMIT), "", "The bounds of the number.")],
};

pub(crate) static ADAPTIVE_LIMIT: Table = Table {
    name: "adaptive_limit",
    about: "The bounds of a number of calls that follows the upstream's times.",
    required: &[],
    keys: &[
        key("min", PLACES, "8", "It is never lower."),
        key("max", PLACES, "1000", "It is never higher."),
    ],
};

pub(crate) static RETRY: Table = Table {
    name: "retry",
    about: "How a failed attempt is repeated.",
    required: &[],
    keys: &[
        key("attempts", Whole { min: 1, max: 10 }, "2", "The most attempts of one call, the first included."),
        key("on", List(&Text), "", "After what: `connect_error`, `reset`, `timeout`, a status such as `\"503\"`, or one of gRPC such as `UNAVAILABLE`. By default `[connect_error, reset, \"502\", \"503\", \"504\", UNAVAILABLE]`, and `timeout` where `per_try` is set."),
        key("per_try", Duration, "", "How long one attempt may take, within `timeout.total`."),
        key("methods", List(&Text), "", "The methods that are repeated though the upstream may have done what was asked. By default GET, HEAD, OPTIONS, PUT and DELETE."),
        key("backoff", Shape::Table(&BACKOFF), "", "The pause before a repeat."),
        key("budget", Either(&[Share, Shape::Table(&BUDGET)]), "20%", "How many retries the upstream's calls afford, over all workers."),
        key("buffer", Size, "64KiB", "How much of a request's body is kept for a repeat, at most 16 MiB; a longer one is sent once."),
    ],
};

pub(crate) static BACKOFF: Table = Table {
    name: "backoff",
    about: "The pause before a repeat.",
    required: &[],
    keys: &[
        key("base", Duration, "25ms", "The longest before the first repeat; it doubles with each."),
        key("max", Duration, "1s", "The longest of all."),
        key("jitter", Word(&["full", "none"]), "full", "`full` draws each pause from 0 to the longest; `none` takes the longest."),
    ],
};

pub(crate) static BUDGET: Table = Table {
    name: "budget",
    about: "How many retries and hedges the upstream's calls afford.",
    required: &[],
    keys: &[
        key("ratio", Share, "20%", "The part of a retry that each call pays in."),
        key("min", Whole { min: 0, max: 10_000 }, "3", "So many a second are there without any calls."),
    ],
};

pub(crate) static HEDGE: Table = Table {
    name: "hedge",
    about: "One more attempt, at another endpoint, for a GET or HEAD that waits.",
    required: &[("after", "200ms")],
    keys: &[key("after", Duration, "", "It begins after so long without an answer's head.")],
};

pub(crate) static RUNG: Table = Table {
    name: "rung",
    about: "One rung of a ladder: one of the keys.",
    required: &[],
    keys: &[
        key("last_good", Duration, "", "The upstream's last good answer, at most so old."),
        key("upstream", Text, "", "Another upstream, to which the request goes."),
        key("respond", Shape::Table(&RUNG_ANSWER), "", "A fixed answer."),
    ],
};

pub(crate) static RUNG_ANSWER: Table = Table {
    name: "rung_answer",
    about: "A fixed answer; `{reason}`, `{retry_after}` and `{breaker}` are filled in.",
    required: &[],
    keys: &[
        key("status", Whole { min: 200, max: 599 }, "200", "The answer's status."),
        key("headers", Texts, "", "Fields of the answer."),
        key("text", Text, "", "The body, as `text/plain; charset=utf-8`."),
        key("json", Json, "", "The body, as `application/json`."),
        key("on", List(&Word(&["refused", "failed"])), "", "Which calls it answers, the others going on to the next rung; both by default."),
    ],
};

pub(crate) static LAST_GOOD: Table = Table {
    name: "last_good",
    about: "How an upstream's last good answers are kept.",
    required: &[],
    keys: &[
        key("max_body", Size, "1MiB", "A longer body is not kept."),
        key("memory", Size, "64MiB", "What is kept in memory at most."),
        key("disk", Size, "256MiB", "What is kept on disk at most."),
        key("key", List(&Text), "", "The fields, as `header.NAME`, whose values each have answers of their own; with `header.authorization` answers to a credential are kept for it alone."),
        key("obey", Flag, "true", "Whether `must-revalidate`, `proxy-revalidate`, `s-maxage` and `no-cache` are obeyed."),
    ],
};

pub(crate) static FIELDS: Table = Table {
    name: "fields",
    about: "Changes to a message's fields.",
    required: &[],
    keys: &[
        key("set", Texts, "", "Each takes the place of all fields of its name."),
        key("remove", List(&Text), "", "The names of fields that are removed."),
    ],
};

pub(crate) static CORS: Table = Table {
    name: "cors",
    about: "The scripts of other origins that may read the answers.",
    required: &[("origins", "[\"https://app.example.com\"]")],
    keys: &[
        key("origins", List(&Text), "", "Origins such as `https://app.example.com`, or `*` for all."),
        key("methods", List(&Text), "", "The methods that they may use; by default those of the route."),
        key("headers", List(&Text), "", "The request's fields that they may set; none by default."),
        key("credentials", Flag, "false", "Whether cookies and other credentials come along."),
        key("max_age", Duration, "", "How long a browser may keep this."),
    ],
};
