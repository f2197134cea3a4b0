//! The settings and inputs that each activity reads, and names that only its documentation has.

use fusebox_plan::dialect::{Entry, nearest};

use crate::flow::{Activity, PassKind};

/// True if an entry is meant by a misspelt name, which has its own warning.
pub(super) fn is_misspelt(entries: &[Entry], name: &str) -> bool {
    let mut keys = entries.iter().map(|entry| entry.key.split('.').next());
    keys.any(|key| key.is_some_and(|key| key != name && nearest(key, [name]).is_some()))
}

/// The names that an activity reads.
pub(crate) struct Known {
    pub activity: &'static str,
    /// Settings that are no inputs: a step cannot say them.
    pub settings: &'static [&'static str],
    /// Inputs, for which a setting is the default.
    pub inputs: &'static [&'static str],
    /// Names that documents have, and the names that are read.
    pub documented: &'static [(&'static str, &'static str)],
}

impl Known {
    pub fn of(activity: &Activity) -> Known {
        let known = |activity, settings, inputs, documented| Known {
            activity,
            settings,
            inputs,
            documented,
        };
        match activity {
            Activity::Breaker(_) => known(
                "circuitbreaker",
                &["mode", "threshold", "period", "timeout"],
                &["operation"],
                &[],
            ),
            Activity::Rest(_) => known(
                "rest",
                &[
                    "method",
                    "uri",
                    "proxy",
                    "timeout",
                    "skipSSLVerify",
                    "certFile",
                    "keyFile",
                    "CAFile",
                    "sslConfig",
                ],
                &["pathParams", "queryParams", "headers", "content"],
                &[
                    ("params", "pathParams"),
                    ("query", "queryParams"),
                    ("header", "headers"),
                    ("body", "content"),
                    ("url", "uri"),
                    ("skipSsl", "skipSSLVerify"),
                ],
            ),
            Activity::RateLimiter(_) => known(
                "ratelimiter",
                &["limit", "spikeThreshold", "decayRate"],
                &["token"],
                &[],
            ),
            Activity::Quota(_) => {
                known("graphql", &["mode", "limit"], &["operation", "token"], &[])
            }
            Activity::GraphQl(_) => known(
                "graphql",
                &["mode", "limit"],
                &["query", "schemaFile", "maxQueryDepth"],
                &[],
            ),
            Activity::Pass(pass) => match pass.kind {
                PassKind::Socket => known(
                    "wsproxy",
                    &["uri", "maxconnections"],
                    &["wsconnection"],
                    &[("url", "uri"), ("maxConnections", "maxconnections")],
                ),
                PassKind::Grpc => known(
                    "grpc",
                    &["operatingMode", "hosturl", "enableTLS", "clientCert"],
                    &["grpcMthdParamtrs"],
                    &[],
                ),
            },
            Activity::Script(_) => known("jsexec", &["script"], &["parameters"], &[]),
            Activity::Jwt => known(
                "jwt",
                &[],
                &["token", "key", "signingMethod", "iss", "sub", "aud"],
                &[
                    ("issuer", "iss"),
                    ("subject", "sub"),
                    ("audience", "aud"),
                    ("secret", "key"),
                    ("algorithm", "signingMethod"),
                    ("alg", "signingMethod"),
                ],
            ),
            Activity::Log => known(
                "log",
                &[],
                &["message", "addDetails", "usePrint"],
                &[("flowInfo", "addDetails")],
            ),
            Activity::Counter(_) => known("counter", &["counterName", "op"], &[], &[]),
            Activity::Nothing => known("noop", &[], &[], &[]),
            Activity::Channel => known("channel", &[], &["channel", "data"], &[("value", "data")]),
            Activity::Return(_) => known("actreturn", &["mappings"], &[], &[]),
            Activity::Reply(_) => known("actreply", &["mappings"], &[], &[]),
        }
    }

    /// The outputs of an activity; `None`: any name.
    pub fn outputs(activity: &Activity) -> Option<&'static [&'static str]> {
        Some(match activity {
            Activity::Breaker(_) => &["tripped"],
            Activity::Rest(_) => &["status", "data", "headers", "cookies"],
            Activity::RateLimiter(_) => {
                &["limitReached", "limitAvailable", "error", "errorMessage"]
            }
            Activity::Quota(_) => &["error", "errorMessage"],
            Activity::GraphQl(_) => &["valid", "validationMessage", "error", "errorMessage"],
            Activity::Script(_) => &["error", "errorMessage", "result"],
            Activity::Jwt => &[
                "valid",
                "token",
                "validationMessage",
                "error",
                "errorMessage",
            ],
            Activity::Counter(_) => &["value"],
            Activity::Log
            | Activity::Nothing
            | Activity::Channel
            | Activity::Pass(_)
            | Activity::Return(_)
            | Activity::Reply(_) => return None,
        })
    }

    /// True if a setting of that name is read.
    pub fn has(&self, name: &str) -> bool {
        self.all().any(|known| known == name)
    }

    pub fn all(&self) -> impl Iterator<Item = &'static str> + Clone + use<> {
        self.settings.iter().chain(self.inputs).copied()
    }

    /// The name that is read, for one that only documents have.
    pub fn meant(&self, name: &str) -> Option<&'static str> {
        let mut documented = self.documented.iter();
        let found = documented.find(|(other, _)| other.eq_ignore_ascii_case(name));
        found.map(|(_, meant)| *meant)
    }
}
