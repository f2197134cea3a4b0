//! The table of all keys of the native form.
//!
//! The reader refuses keys that are not in the table, suggests keys from it, and asserts that it reads no others; the
//! published schema is made from it. So the three cannot diverge.

mod call;
mod unsupported;

pub(crate) use call::*;
pub(crate) use unsupported::mend_of;

/// A map with known keys.
pub(crate) struct Table {
    /// The table's name in messages and in the schema's `$defs`.
    pub name: &'static str,
    pub about: &'static str,
    /// The keys that a map must have, with an example of each.
    pub required: &'static [(&'static str, &'static str)],
    pub keys: &'static [Key],
}

/// One key of a table.
pub(crate) struct Key {
    pub name: &'static str,
    pub shape: Shape,
    pub about: &'static str,
    /// The default in the file's notation; empty if there is none, or if `about` describes it.
    pub default: &'static str,
}

/// The form of a value.
pub(crate) enum Shape {
    Text,
    Flag,
    Duration,
    Size,
    Rate,
    Share,
    Over,
    Calls,
    Whole {
        min: u64,
        max: u64,
    },
    Real {
        min: f64,
        max: f64,
    },
    Word(&'static [&'static str]),
    Table(&'static Table),
    /// A map from names of the file's own choosing.
    Named(&'static Table),
    /// A map from texts to texts.
    Texts,
    List(&'static Shape),
    /// One of several, distinguished by their form.
    Either(&'static [Shape]),
    /// Any JSON value.
    Json,
    /// In place of a key: all keys of another table.
    Also(&'static Table),
    /// A key that is not supported yet, with a mend.
    Later(&'static str),
    /// A key of the library or of another form without a meaning here, with the reason and a mend.
    Foreign {
        why: &'static str,
        mend: &'static str,
    },
}

impl Table {
    pub fn key(&self, name: &str) -> Option<&'static Key> {
        self.all().find(|key| key.name == name)
    }

    /// The keys that are supported today.
    pub fn supported(&self) -> impl Iterator<Item = &'static Key> + Clone + use<> {
        let table = self.name;
        self.all().filter(move |key| {
            let later = matches!(key.shape, Shape::Later(_) | Shape::Foreign { .. });
            !later && mend_of(table, key.name).is_none()
        })
    }

    /// All keys, with those of other tables that it has too.
    pub fn all(&self) -> impl Iterator<Item = &'static Key> + Clone + use<> {
        let own = |key: &'static Key| match key.shape {
            Shape::Also(other) => other.keys,
            _ => std::slice::from_ref(key),
        };
        self.keys.iter().flat_map(own)
    }
}

const fn key(name: &'static str, shape: Shape, default: &'static str, about: &'static str) -> Key {
    Key {
        name,
        shape,
        about,
        default,
    }
}

const fn later(name: &'static str, mend: &'static str) -> Key {
    Key {
        name,
        shape: Shape::Later(mend),
        about: "",
        default: "",
    }
}

const fn foreign(name: &'static str, why: &'static str, mend: &'static str) -> Key {
    Key {
        name,
        shape: Shape::Foreign { why, mend },
        about: "",
        default: "",
    }
}

use Shape::{
    Calls, Duration, Either, Flag, Json, List, Named, Over, Rate, Real, Share, Size, Text, Texts,
    Whole, Word,
};

pub(crate) const POSITIVE: Shape = Whole {
    min: 1,
    max: u32::MAX as u64,
};

/// A record stores the votes of at most this many processes.
const QUORUM_MAX: u64 = 256;

pub(crate) static FILE: Table = Table {
    name: "file",
    about: "A Fusebox configuration in its native form.",
    required: &[],
    keys: &[
        key("version", Whole { min: 1, max: 1 }, "1", "The version of this form."),
        key("listen", Either(&[Text, List(&Text)]), "", "Where clients connect, in short: an address with a port, or a list of them."),
        key("listeners", List(&Shape::Table(&LISTENER)), "", "Where clients connect, in full."),
        key("admin", Shape::Table(&ADMIN), "", "The admin API's own address."),
        key("store", Shape::Table(&STORE), "", "Where state is kept."),
        key("fleet", Shape::Table(&FLEET), "", "Who this process is among those that share breakers."),
        key("access_log", Shape::Table(&ACCESS_LOG), "", "One line for each request, at its end; without the key none is written."),
        key("limits", Shape::Table(&LIMITS), "", "Bounds on what one client or upstream may cost."),
        key("upstreams", Named(&UPSTREAM), "", "The services behind the gateway, by name."),
        key("breakers", Named(&SERVICE_BREAKER), "", "Breakers without an upstream, by name, for programs that ask over the admin API."),
        key("routes", List(&Shape::Table(&ROUTE)), "", "What is done with the requests of each path."),
        later("on_transition", "remove the key; follow transitions in the log or the metrics for now"),
    ],
};

pub(crate) static LISTENER: Table = Table {
    name: "listener",
    about: "An address on which clients connect.",
    required: &[("addr", "127.0.0.1:8080")],
    keys: &[
        key("name", Text, "", "Unique among the listeners; routes name it. By default `default`, then `default-2` and so on."),
        key("addr", Text, "", "Where it listens: `ADDRESS:PORT`; port 0 lets the system choose."),
        key("trusted_proxies", List(&Text), "", "Networks whose `Forwarded` and `X-Forwarded-*` fields are believed; none by default."),
        key("paths", Shape::Table(&PATHS), "", "What is done with doubtful paths."),
        key("tls", Shape::Table(&LISTENER_TLS), "", "The certificates with which it speaks TLS; without the key it speaks plain HTTP."),
        key("http2", Word(&["auto", "cleartext", "off"]), "", "Whether clients may speak HTTP/2: where they choose it in the TLS handshake, also without TLS by prior knowledge, or never. By default `auto` with `tls`, `off` without."),
    ],
};

pub(crate) static LISTENER_TLS: Table = Table {
    name: "tls",
    about: "The certificates with which a listener speaks TLS. Their files are watched, and read again when they change.",
    required: &[("cert", "cert.pem"), ("key", "key.pem")],
    keys: &[
        Key { name: "", shape: Shape::Also(&KEY_PAIR), default: "", about: "" },
        key("also", List(&Shape::Table(&KEY_PAIR)), "", "Further certificates, each for its own DNS names; `cert` is shown where no name fits, or a client names none."),
        key("client_ca", Text, "", "A PEM file: the authorities of clients' certificates. With it clients are asked for one."),
        key("client_auth", Word(&["required", "optional"]), "required", "Beside `client_ca`: whether a client without a certificate is refused."),
        key("min", Word(&["1.2", "1.3"]), "1.2", "The oldest version of TLS that is spoken."),
    ],
};

pub(crate) static KEY_PAIR: Table = Table {
    name: "key_pair",
    about: "A certificate with its private key.",
    required: &[("cert", "cert.pem"), ("key", "key.pem")],
    keys: &[
        key("cert", Text, "", "A PEM file: the certificate, then those that lead to the authority. Relative to the first configuration file."),
        key("key", Text, "", "A PEM file: the certificate's private key, not encrypted. Relative to the first configuration file."),
    ],
};

pub(crate) static UPSTREAM_TLS: Table = Table {
    name: "upstream_tls",
    about: "The TLS of an upstream's `https` addresses. Its files are watched, and read again when they change.",
    required: &[],
    keys: &[
        key("ca", Text, "", "A PEM file: the only authorities that are trusted; by default those of the system."),
        key("cert", Text, "", "A PEM file: the certificate that is shown to the upstream, then those that lead to the authority; none by default."),
        key("key", Text, "", "A PEM file: the private key of `cert`, not encrypted."),
        key("name", Text, "", "The name that is asked for (SNI) and that the upstream's certificate must have; by default the host of its address."),
        foreign("insecure", "an upstream's certificate is always verified", "name its authority, or the certificate itself: `ca: ca.pem`; `name` says which name it has"),
    ],
};

pub(crate) static PATHS: Table = Table {
    name: "paths",
    about: "What is done with doubtful paths.",
    required: &[],
    keys: &[
        key("encoded_slash", Word(&["refuse", "allow"]), "refuse", "A path with `%2F`: refused with 400, or passed on."),
        key("double_slash", Word(&["refuse", "allow"]), "refuse", "A path with `//`: refused with 400, or passed on."),
    ],
};

pub(crate) static ADMIN: Table = Table {
    name: "admin",
    about: "The admin API's own address.",
    required: &[],
    keys: &[
        key("addr", Text, "127.0.0.1:9900", "Where it listens: `ADDRESS:PORT`."),
        key("token", Text, "", "The bearer token that it asks for; required away from loopback."),
        key("service_token", Text, "", "A bearer token for programs that ask breakers and report to them: it may call `/api/v1/calls` and nothing else; beside `token`."),
        key("read_token", Text, "", "A bearer token that may only read, such as for a dashboard on a wall; beside `token`."),
    ],
};

pub(crate) static STORE: Table = Table {
    name: "store",
    about: "Where state is kept.",
    required: &[],
    keys: &[
        key("kind", Word(&["memory", "embedded", "valkey"]), "embedded", "In the process, in a directory of this machine, or on a Valkey or Redis server."),
        key("path", Text, "./fusebox-data", "The directory of an embedded store; beside a Valkey server that of the breaker records, which stay on this machine."),
        key("url", Text, "", "Where the Valkey server is: `redis://HOST:PORT`, `rediss://…` with TLS, `redis+sentinel://…`, `redis+cluster://…`."),
        key("prefix", Text, "fusebox:", "What all keys on the Valkey server begin with; the processes of a fleet have the same."),
        key("timeout", Duration, "250ms", "How long an operation of the Valkey server may take, at most a minute. No request waits for it but a flow's own."),
    ],
};

pub(crate) static FLEET: Table = Table {
    name: "fleet",
    about: "Who this process is among those that share breakers.",
    required: &[],
    keys: &[key(
        "node",
        Text,
        "",
        "Its name, which no other process of the fleet has; at most 128 bytes. By default the machine's name with a suffix that is drawn once and kept in the data directory.",
    )],
};

pub(crate) static ACCESS_LOG: Table = Table {
    name: "access_log",
    about: "One line of JSON for each request, written at its end.",
    required: &[],
    keys: &[
        key("to", Text, "stdout", "Where the lines go: `stdout`, `stderr`, `off`, or a file, relative to the working directory."),
        key("when", Text, "", "An expression over the line's fields: it is written where this is true, as in `status >= 500`. Without `when` and `sample` each is."),
        key("sample", Share, "", "The share of all requests whose line is written whatever `when` says, chosen at random."),
        key("query", Flag, "false", "True to log the query too, which may hold secrets."),
        key("headers", List(&Text), "", "The request's fields to log; none by default, and never credentials."),
    ],
};

pub(crate) static SHARE: Table = Table {
    name: "share",
    about: "How many processes must have tripped for all to open.",
    required: &[("quorum", "2")],
    keys: &[key(
        "quorum",
        Whole { min: 1, max: QUORUM_MAX },
        "",
        "All open when this many processes have tripped, each within its own cooldown; a process's own trip opens itself at once.",
    )],
};

pub(crate) static LIMITS: Table = Table {
    name: "limits",
    about: "Bounds on what one client or upstream may cost.",
    required: &[],
    keys: &[
        key("connections", Whole { min: 1, max: 10_000_000, }, "10000", "Open client connections per listener; over it a client gets 503."),
        key("head", Size, "64KiB", "Bytes of a request or response head, at most 16 MiB; over it 431 (a client) or 502 (an upstream)."),
        key("fields", Whole { min: 1, max: 10_000, }, "100", "Header fields in a head; over it 431 or 502."),
        key("first_byte", Duration, "10s", "From the connection to its first byte."),
        key("head_timeout", Duration, "10s", "From a request's first byte to the end of its head; over it 408."),
        key("keep_alive", Duration, "75s", "How long an idle client connection is kept."),
        key("body_rate", Rate, "1KiB/s", "The slowest a client may send a body, measured after the first 10 s; slower is 408."),
        key("request_body", Size, "", "The largest request body; over it 413. No bound by default."),
        key("streams", Whole { min: 1, max: 10_000, }, "100", "Requests at once on one HTTP/2 connection; those over it are refused with REFUSED_STREAM."),
        key("stream_stall", Duration, "30s", "How long an HTTP/2 client may read nothing of an answer that waits for it; then its stream is reset."),
        key("stream_resets", Whole { min: 1, max: 10_000, }, "100", "Streams that an HTTP/2 client may reset before they have begun; over it the connection ends."),
        key("stream_errors", Whole { min: 1, max: 1_000_000, }, "1000", "Streams of one HTTP/2 connection that are reset for a client's faults; over it the connection ends."),
        key("control_frames", Whole { min: 1, max: 1_000_000, }, "1000", "HTTP/2 frames a second that carry no request and no data, measured over 10 s; over it the connection ends."),
        key("upgrade_idle", Duration, "10m", "How long an upgraded connection may be silent both ways."),
        key("drain", Duration, "30s", "How long requests in flight may take to finish at the end."),
        key("drain_delay", Duration, "0s", "How long requests are still taken at the end, while /readyz says 503; then the drain begins."),
    ],
};

pub(crate) static UPSTREAM: Table = Table {
    name: "upstream",
    about: "A service behind the gateway, or a target of an application's own requests, with the breaker before it.",
    required: &[],
    keys: &[
        key("url", Text, "", "Where it is: `http://HOST:PORT/BASE` or `https://…`."),
        key("endpoints", List(&Shape::Table(&ENDPOINT)), "", "Where it is, in full; each address once."),
        key("applies_to", Text, "", "Beside an application, and instead of an address: the `http:request-config` or the rest service that it stands before. By default its own name."),
        key("timeout", Shape::Table(&TIMEOUT), "", "How long a call may take."),
        key("pool", Shape::Table(&POOL), "", "The idle connections that are kept."),
        key("breaker", Shape::Table(&BREAKER), "", "The breaker; `{}` is one with all defaults. Without the key the upstream has none."),
        key("http", Either(&[Word(&["auto"]), Whole { min: 1, max: 2 }]), "auto", "The version of HTTP that is spoken to it: `1`, `2`, or `auto`, which takes what ALPN chooses over TLS and HTTP/1 in cleartext."),
        key("grpc", Shape::Table(&GRPC), "", "How calls of gRPC are judged; a call is one of gRPC by its `content-type`."),
        key("balance", Either(&[Word(&["round_robin", "least_request", "p2c_ewma"]), Shape::Table(&HASH)]), "round_robin", "Which endpoint a call goes to: in turn, that of two with fewer calls, that of two with less time, or by a hash of a text (a map)."),
        key("ejection", Either(&[Word(&["off"]), Shape::Table(&EJECTION)]), "", "Which endpoint gets no calls for a while. With several endpoints it is on, with its defaults."),
        key("health", Shape::Table(&HEALTH), "", "Checks of each endpoint, beside its calls; without the key there are none."),
        key("resolve", Duration, "", "How old a looked-up name may become; each of its addresses is then an endpoint. Without the key names are looked up at each connection."),
        key("tls", Shape::Table(&UPSTREAM_TLS), "", "The trust and the certificate for `https` addresses; by default the system's authorities, and no certificate."),
        key("host", Text, "upstream", "The `Host` (`:authority`) of requests to it: the address's own (`upstream`), the client's (`preserve`), or this name, with an optional port."),
        key("location", Word(&["rewrite", "keep"]), "rewrite", "Redirects of the upstream to its own address: they point to the gateway, or stay as they are."),
        key("bulkhead", Shape::Table(&BULKHEAD), "", "How many calls may be in flight at once; no bound by default."),
        key("request", Shape::Table(&FIELDS), "", "Changes to the fields of every request to this upstream, as a rung too, after the route's."),
        key("retry", Shape::Table(&RETRY), "", "How a failed attempt is repeated; `{}` is two attempts. Without the key there is one."),
        key("hedge", Shape::Table(&HEDGE), "", "One more attempt, at another endpoint, for a GET or HEAD that waits."),
        key("fallback", List(&Shape::Table(&RUNG)), "", "What answers a call that was refused or failed: the first rung that can."),
        key("fallback_on", List(&Word(&["refused", "failed"])), "", "Which calls the ladder answers; both by default."),
        key("last_good", Shape::Table(&LAST_GOOD), "", "How the answers for the rungs `last_good` are kept."),
    ],
};

pub(crate) static ENDPOINT: Table = Table {
    name: "endpoint",
    about: "One address of an upstream.",
    required: &[("url", "http://127.0.0.1:8081")],
    keys: &[
        key("url", Text, "", "Where it is: `http://HOST:PORT/BASE` or `https://…`."),
        key("weight", Whole { min: 1, max: 1000 }, "1", "Its share of the calls, in relation to the others'."),
    ],
};

pub(crate) static TIMEOUT: Table = Table {
    name: "timeout",
    about: "How long a call may take.",
    required: &[],
    keys: &[
        key("connect", Duration, "5s", "To connect, TLS included."),
        key("request", Duration, "30s", "From the later of \"request fully sent\" and \"last wait for the client\" to the response's head."),
        key("total", Duration, "", "From the first attempt to the final answer's head, less the time spent waiting for the client; by default `request`."),
        key("idle", Duration, "60s", "The longest gap in the upstream's body."),
    ],
};

pub(crate) static POOL: Table = Table {
    name: "pool",
    about: "The idle connections that are kept.",
    required: &[],
    keys: &[
        key("idle", Whole { min: 0, max: 100_000, }, "64", "Idle connections kept per worker thread; 0 keeps none."),
        key("idle_timeout", Duration, "30s", "How long an idle connection is kept; choose less than the upstream's own."),
        key("max_age", Duration, "5m", "How old a connection may become before it is not used again."),
    ],
};

pub(crate) static BREAKER: Table = Table {
    name: "breaker",
    about: "The breaker before an upstream.",
    required: &[],
    keys: &[
        key("key", Text, "{upstream}", "Which calls share a breaker: any of {upstream} {endpoint} {route} {method} {header.NAME} {path.NAME}."),
        key("failure", Text, "", "Which calls failed: a CEL expression. By default `status >= 500 || error != \"\"`."),
        key("failure_body", Size, "", "How much of the response's body the failure expression sees, at most 1 MiB; none by default."),
        Key { name: "", shape: Shape::Also(&ANY_BREAKER), default: "", about: "" },
    ],
};

pub(crate) static SERVICE_BREAKER: Table = Table {
    name: "service_breaker",
    about: "A breaker without an upstream, for programs that ask and report over the admin API.",
    required: &[],
    keys: &[
        foreign("key", "`key` has no meaning in `breakers`: each name there is one breaker", "give each a name, or use an upstream with a `key`"),
        foreign("failure", "`failure` has no meaning in `breakers`: the program that reports says which calls failed", "remove the key"),
        foreign("failure_body", "`failure_body` has no meaning in `breakers`: no body is reported", "remove the key"),
        Key { name: "", shape: Shape::Also(&ANY_BREAKER), default: "", about: "" },
    ],
};

pub(crate) static ANY_BREAKER: Table = Table {
    name: "any_breaker",
    about: "The settings of every breaker.",
    required: &[],
    keys: &[
        key("max_keys", Whole { min: 1, max: 10_000_000, }, "10000", "How many keys at most have a breaker of their own; past it one that is not needed gives way."),
        key("idle_after", Duration, "", "A key not asked for so long gives way to a new one, whatever its windows hold; by default ten times the longest of window, cooldown and `probe_timeout`, and at least 10 minutes."),
        key("on_overflow", Word(&["share", "pass"]), "share", "The calls of a key that finds no room: they share one of 64 breakers by a hash, or pass unjudged."),
        key("mode", Word(&["enforce", "monitor", "disabled"]), "enforce", "`monitor` decides everything and refuses nothing; `disabled` admits and records nothing."),
        key("trip", Either(&[Shape::Table(&TRIP), List(&Shape::Table(&TRIP))]), "", "When it opens: a map of rules, or a list of such maps; any rule that is met trips. By default five consecutive failures, or half of at least 20 calls in 10 s; beside `share: counts` the former alone."),
        key("judge_on", Word(&["outcomes", "failures"]), "outcomes", "Whether rate rules are judged at every outcome or at failures only."),
        key("compare", Word(&[">=", ">"]), ">=", "A rate against its limit."),
        key("slow_compare", Word(&[">=", ">"]), ">", "A call's duration against `slower_than`."),
        key("window", Word(&["sliding", "tumbling"]), "sliding", "`tumbling` clears a window each time its length has passed."),
        key("history", Word(&["clear", "keep"]), "clear", "Whether windows and counts survive an open period."),
        key("ignore", Text, "", "Which calls count as nothing, asked before `failure`: a CEL expression, such as `status == 404`; none by default."),
        key("abandoned", Duration, "", "Calls given up by their clients after the upstream kept them waiting so long are failures; by default no such call is."),
        key("settle", Duration, "5s", "A good body that has flowed this long is a success."),
        key("cooldown", Either(&[Duration, Shape::Table(&COOLDOWN)]), "30s", "How long it stays open: exactly this, or a map that grows with the attempts."),
        key("half_open", Shape::Table(&HALF_OPEN), "", "How it finds out whether the upstream is back."),
        key("share", Either(&[Word(&["none", "verdict", "counts"]), Shape::Table(&SHARE)]), "none", "What the processes of a fleet decide together: the trip of one opens all (`verdict`), of several (`quorum: 2`, a map), or failures are counted over all (`counts`)."),
        key("retry_after", Word(&["ignore", "honour", "trip"]), "ignore", "What an upstream's `Retry-After` does: `honour` makes it the cooldown of the trip that it comes with, `trip` also trips by it alone."),
        key("ramp", Shape::Table(&RAMP), "", "How calls come back after a close; without the key all at once."),
        foreign("adaptive", "`adaptive` is a rule, and rules are in `trip`", "write `trip: { adaptive: { memory: 5 } }`"),
        foreign("on_panic", "`on_panic` has no meaning here: a call of the gateway does not panic, and the gateway's own faults never count", "remove the key"),
    ],
};

pub(crate) static TRIP: Table = Table {
    name: "trip",
    about: "Rules, any of which trips.",
    required: &[],
    keys: &[
        key("consecutive_failures", POSITIVE, "", "This many failures in a row, all within `within` where that is given."),
        key("failures", POSITIVE, "", "This many failures within `within`, or among the last calls of `over: n calls`."),
        key("failure_rate", Share, "", "This share of failures over `over`, once there are `min_calls`."),
        key("within", Duration, "", "The time in which the failures of every count rule of this map must fall."),
        key("over", Over, "10s", "The window of every rate rule of this map: a time, or `n calls`."),
        key("min_calls", POSITIVE, "", "How many calls a rate rule needs before it is judged: by default 20, or n for `over: n calls`."),
        key("full", Flag, "false", "`failures` over `n calls` waits until there have been n."),
        key("slow_rate", Share, "", "This share of slow calls over `over`, once there are `min_calls`."),
        key("slower_than", Duration, "", "Which calls are slow for `slow_rate`: those that take longer to the response's head."),
        key("stalled", POSITIVE, "", "This many calls in flight, without a response's head, for longer than `longer_than`."),
        key("longer_than", Duration, "", "How long a call in flight may take before `stalled` counts it."),
        key("adaptive", Shape::Table(&ADAPTIVE), "", "Refuses a share of the calls that follows the last outcomes; never trips."),
    ],
};

pub(crate) static ADAPTIVE: Table = Table {
    name: "adaptive",
    about: "Refuses a share of the calls that follows the last outcomes.",
    required: &[],
    keys: &[key(
        "memory",
        Whole {
            min: 1,
            max: fusebox_breaker::settings::MAX_MEMORY as u64,
        },
        "5",
        "How many last outcomes are weighed, the younger the more.",
    )],
};

pub(crate) static RAMP: Table = Table {
    name: "ramp",
    about: "How calls come back after a close.",
    required: &[("over", "10s")],
    keys: &[
        key("over", Duration, "", "How long it takes until all calls pass again."),
        key("from", Share, "5%", "The share of calls that passes at once."),
        key("curve", Word(&["linear"]), "linear", "How the share grows."),
    ],
};

pub(crate) static COOLDOWN: Table = Table {
    name: "cooldown",
    about: "A cooldown that grows with the attempts.",
    required: &[],
    keys: &[
        key("base", Duration, "", "The first cooldown; by default 30s."),
        key("factor", Real { min: 1.0, max: 100.0, }, "2", "What each further trip multiplies it by."),
        key("max", Duration, "", "The longest, jitter aside; by default ten times `base`."),
        key("jitter", Share, "20%", "Lengthens each cooldown by a random share of up to this."),
    ],
};

pub(crate) static HALF_OPEN: Table = Table {
    name: "half_open",
    about: "How a breaker finds out whether its upstream is back.",
    required: &[],
    keys: &[
        key("probes", Either(&[POSITIVE, Word(&["unlimited"])]), "1", "Probes in flight at once; with `places: spent` those of a whole half-open period."),
        key("places", Word(&["freed", "spent"]), "freed", "Whether a settled probe frees its place for another, or has used it up."),
        key("successes", POSITIVE, "1", "So many successes close it."),
        key("failures", POSITIVE, "1", "So many failures reopen it."),
        key("in_a_row", Flag, "false", "Whether the successes must come in a row: a failure that does not reopen begins their count anew."),
        key("failure_rate", Share, "", "Instead of `successes`: decided by the share of failures, once `over` calls have answered."),
        key("over", Calls, "", "How many answers `failure_rate` waits for: `n calls`."),
        key("slow_rate", Share, "", "Beside `failure_rate`: this share of slow answers reopens, too."),
        key("slower_than", Duration, "", "Which probes are slow for `slow_rate`: those that take longer to the response's head."),
        key("probe_timeout", Duration, "", "How long a probe may take; by default, and at most, `timeout.request`."),
        key("on_probe_timeout", Word(&["replace", "fail"]), "fail", "Past it the place is freed; `fail` also reopens."),
        key("period_timeout", Duration, "", "How long it may be half-open without a decision; as long as it takes by default."),
        key("on_period_timeout", Word(&["open", "close"]), "open", "Past that it opens for another cooldown, or closes."),
        key("probe", Word(&["request", "health"]), "request", "What finds out whether the upstream is back: calls of clients, or the checks of `health`."),
    ],
};

pub(crate) static ROUTE: Table = Table {
    name: "route",
    about: "What is done with the requests of one path.",
    required: &[("path", "/orders")],
    keys: &[
        key("name", Text, "", "Unique among the routes; the path by default."),
        key("path", Text, "", "Literal segments, `{name}` for one segment, `{*name}` at the end for the rest. The most specific path wins."),
        key("methods", List(&Text), "", "The methods it takes; all but CONNECT and TRACE by default."),
        key("listeners", List(&Text), "", "The listeners it is served on; all by default."),
        key("upstream", Text, "", "The upstream that answers."),
        key("respond", Shape::Table(&RESPOND), "", "A fixed answer instead of an upstream."),
        key("rewrite", Text, "", "The path that the upstream sees, made of text and of the route's `{name}`; the request's own by default."),
        key("host", Text, "", "The host it takes: a name, or `*.example.com` for all below it; all by default. The most specific is asked first."),
        key("headers", Texts, "", "The fields that a request must have, with these values; none by default."),
        key("max_concurrency", POSITIVE, "", "The most requests in flight; one more is refused. No bound by default."),
        key("request", Shape::Table(&FIELDS), "", "Changes to the fields of requests to the route's own upstream."),
        key("response", Shape::Table(&FIELDS), "", "Changes to the fields of every answer of the route."),
        key("cors", Shape::Table(&CORS), "", "The scripts of other origins that may read the answers; without the key the upstream says."),
        key("retry", Shape::Table(&RETRY), "", "Instead of the upstream's `retry`; the budget stays the upstream's."),
        key("fallback", List(&Shape::Table(&RUNG)), "", "Instead of the upstream's `fallback`."),
        key("bulkhead", Shape::Table(&BULKHEAD), "", "Instead of the upstream's `bulkhead`."),
    ],
};

pub(crate) static RESPOND: Table = Table {
    name: "respond",
    about: "A fixed answer.",
    required: &[],
    keys: &[
        key("status", Whole { min: 200, max: 599 }, "200", "The answer's status."),
        key("headers", Texts, "", "Fields of the answer."),
        key("text", Text, "", "The body, as `text/plain; charset=utf-8`."),
        key("json", Json, "", "The body, as `application/json`."),
        key("body", Text, "", "The body; name its `content-type` in `headers`."),
    ],
};
