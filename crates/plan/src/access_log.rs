//! The access log: the place of its lines, and the requests that get one.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;

use crate::expression::{EvalError, Expression, Fault, Kind, MapKey, Scope, Value};
use crate::failure::{condition, holds};

/// The settings of the access log (`access_log:`). Without `when` and `sample` each request gets a line.
#[derive(Debug, Clone, PartialEq)]
pub struct AccessLog {
    /// The place of the lines; standard output by default.
    pub to: LogTarget,
    /// The requests that always get a line; `None`: none, if there is a `sample`.
    pub when: Option<When>,
    /// The share of all requests that get a line whatever `when` says, from 0 to 1; `None`: none, if there is a `when`.
    pub sample: Option<f64>,
    /// True to log queries, which may hold secrets; false by default.
    pub query: bool,
    /// The request's fields to log, without credentials; none by default.
    pub headers: Vec<HeaderName>,
}

impl AccessLog {
    /// A log with a line for each request.
    pub fn to(target: LogTarget) -> AccessLog {
        AccessLog {
            to: target,
            when: None,
            sample: None,
            query: false,
            headers: Vec::new(),
        }
    }
}

/// The place of the access log's lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogTarget {
    /// The standard output.
    Stdout,
    /// The standard error.
    Stderr,
    /// A file, to which lines are appended; relative to the working directory.
    File(PathBuf),
}

impl LogTarget {
    /// Reads `stdout`, `stderr` or a path; `None` for `off`.
    ///
    /// ```
    /// use fusebox_plan::access_log::LogTarget;
    ///
    /// assert_eq!(LogTarget::read("stdout"), Some(LogTarget::Stdout));
    /// assert_eq!(LogTarget::read("off"), None);
    /// assert_eq!(LogTarget::read("./stdout").unwrap().to_string(), "./stdout");
    /// ```
    pub fn read(text: &str) -> Option<LogTarget> {
        match text {
            "off" => None,
            "stdout" => Some(LogTarget::Stdout),
            "stderr" => Some(LogTarget::Stderr),
            path => Some(LogTarget::File(path.into())),
        }
    }
}

impl fmt::Display for LogTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LogTarget::Stdout => f.write_str("stdout"),
            LogTarget::Stderr => f.write_str("stderr"),
            LogTarget::File(path) => write!(f, "{}", path.display()),
        }
    }
}

/// The facts of a finished request, as `when` sees them. A fact that is not known is an empty text.
#[derive(Debug, Clone, Default)]
pub struct Entry<'a> {
    /// The status that the client got; 499 where it left before an answer.
    pub status: u16,
    /// The time from the request's head to the end of the exchange.
    pub duration: Duration,
    /// The bytes of the request's body that came.
    pub bytes_in: u64,
    /// The bytes of the answer's body that went out.
    pub bytes_out: u64,
    /// The breaker's generation at the admission; 0 without a breaker.
    pub generation: u64,
    /// The status of a gRPC call as its client got it; `None`: it got none, or the call was not gRPC.
    pub grpc_status: Option<u8>,
    /// The texts, by the names of the line's fields.
    pub texts: Texts<'a>,
    /// The flags, in order.
    pub flags: &'a [&'static str],
    /// The attempts, in order.
    pub attempts: &'a [Attempt],
}

/// The texts of a line.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "each is the line's field of that name")]
pub struct Texts<'a> {
    pub route: &'a str,
    pub method: &'a str,
    pub path: &'a str,
    pub client: &'a str,
    pub client_subject: &'a str,
    pub request_id: &'a str,
    pub upstream: &'a str,
    pub endpoint: &'a str,
    pub breaker: &'a str,
    pub state: &'a str,
    pub reason: &'a str,
    pub fallback: &'a str,
    pub protocol: &'a str,
}

/// One attempt of a request's calls.
#[derive(Debug, Clone, PartialEq)]
pub struct Attempt {
    /// The upstream, where it is not the line's own: a rung's, or another target of an application.
    pub upstream: Option<Arc<str>>,
    /// The endpoint's name.
    pub endpoint: Arc<str>,
    /// The upstream's time to its answer's head, or to its failure.
    pub duration: Duration,
    /// The answer's status; `None` without an answer.
    pub status: Option<u16>,
    /// The failure in a word, such as `connect`; `None` without a failure on the way.
    pub error: Option<&'static str>,
    /// `success`, `failure` or `ignored`.
    pub outcome: &'static str,
}

/// The rule for requests that always get a line (`when:`).
#[derive(Debug, Clone, PartialEq)]
pub struct When(Expression);

/// The variables of `when`, with their types: the fields of a line but `ts`, whose numbers are `0` and whose texts are
/// empty where the line has null. `grpc_status` is -1 then, since 0 is a status.
const VARIABLES: [(&str, Option<Kind>); 22] = [
    ("status", Some(Kind::Int)),
    ("duration", Some(Kind::Span)),
    ("duration_ms", Some(Kind::Double)),
    ("bytes_in", Some(Kind::Int)),
    ("bytes_out", Some(Kind::Int)),
    ("generation", Some(Kind::Int)),
    ("grpc_status", Some(Kind::Int)),
    ("route", Some(Kind::Text)),
    ("method", Some(Kind::Text)),
    ("path", Some(Kind::Text)),
    ("client", Some(Kind::Text)),
    ("client_subject", Some(Kind::Text)),
    ("request_id", Some(Kind::Text)),
    ("upstream", Some(Kind::Text)),
    ("endpoint", Some(Kind::Text)),
    ("breaker", Some(Kind::Text)),
    ("state", Some(Kind::Text)),
    ("reason", Some(Kind::Text)),
    ("fallback", Some(Kind::Text)),
    ("protocol", Some(Kind::Text)),
    ("flags", Some(Kind::List)),
    ("attempts", Some(Kind::List)),
];

impl When {
    /// Compiles an expression over the fields of a line.
    pub(crate) fn read(text: &str) -> Result<When, Vec<Fault>> {
        condition(text, &VARIABLES).map(When)
    }

    /// The expression's source text, as a file would have it.
    pub fn source(&self) -> &str {
        self.0.source()
    }

    /// Decides whether a request gets its line. Builds only the values that the expression uses, and ends within a
    /// bounded number of steps.
    ///
    /// # Errors
    /// The evaluation's error, such as a division by zero.
    pub fn holds(&self, entry: &Entry<'_>) -> Result<bool, EvalError> {
        holds(&self.0, "when", entry)
    }
}

impl Scope for Entry<'_> {
    fn variable(&self, name: &str) -> Option<Value> {
        let texts = &self.texts;
        let number = |number: u64| Value::Int(i64::try_from(number).unwrap_or(i64::MAX));
        Some(Value::text(match name {
            "status" => return Some(Value::Int(i64::from(self.status))),
            "duration" => return Some(span(self.duration)),
            "duration_ms" => return Some(millis(self.duration)),
            "bytes_in" => return Some(number(self.bytes_in)),
            "bytes_out" => return Some(number(self.bytes_out)),
            "generation" => return Some(number(self.generation)),
            "grpc_status" => return Some(Value::Int(self.grpc_status.map_or(-1, i64::from))),
            "flags" => {
                let flags = self.flags.iter().map(|flag| Value::text(flag));
                return Some(Value::List(Arc::new(flags.collect())));
            }
            "attempts" => {
                let attempts = self.attempts.iter().map(attempt);
                return Some(Value::List(Arc::new(attempts.collect())));
            }
            "route" => texts.route,
            "method" => texts.method,
            "path" => texts.path,
            "client" => texts.client,
            "client_subject" => texts.client_subject,
            "request_id" => texts.request_id,
            "upstream" => texts.upstream,
            "endpoint" => texts.endpoint,
            "breaker" => texts.breaker,
            "state" => texts.state,
            "reason" => texts.reason,
            "fallback" => texts.fallback,
            "protocol" => texts.protocol,
            _ => return None,
        }))
    }
}

fn span(duration: Duration) -> Value {
    Value::Span(i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX))
}

fn millis(duration: Duration) -> Value {
    Value::Double(duration.as_secs_f64() * 1e3)
}

fn attempt(attempt: &Attempt) -> Value {
    let status = i64::from(attempt.status.unwrap_or_default());
    let entries = [
        ("endpoint", Value::Text(attempt.endpoint.clone())),
        ("ms", millis(attempt.duration)),
        ("status", Value::Int(status)),
        ("error", Value::text(attempt.error.unwrap_or_default())),
        ("outcome", Value::text(attempt.outcome)),
    ];
    let entries = entries.map(|(key, value)| (MapKey::Text(key.into()), value));
    Value::Map(Arc::new(BTreeMap::from(entries)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn holds(text: &str, entry: &Entry<'_>) -> bool {
        When::read(text).unwrap().holds(entry).unwrap()
    }

    #[test]
    fn an_expression_sees_every_field_of_a_line() {
        let attempts = [502, 200].map(|status| Attempt {
            upstream: None,
            endpoint: "10.0.0.1:80".into(),
            duration: Duration::from_millis(3),
            status: Some(status),
            error: None,
            outcome: "success",
        });
        let entry = Entry {
            status: 200,
            duration: Duration::from_millis(1500),
            flags: &["RTY"],
            attempts: &attempts,
            texts: Texts {
                route: "orders",
                ..Texts::default()
            },
            ..Entry::default()
        };
        for (text, wanted) in [
            ("status >= 500 || duration > duration(\"1s\")", true),
            ("duration_ms > 1500.0", false),
            ("route == \"orders\" && breaker == \"\"", true),
            ("\"RTY\" in flags", true),
            ("attempts.exists(it, it.status == 502)", true),
            ("attempts.all(it, it.ms < 3.0)", false),
        ] {
            assert_eq!(holds(text, &entry), wanted, "{text}");
        }
        for (name, _) in VARIABLES {
            assert!(entry.variable(name).is_some(), "{name}");
        }
    }

    #[test]
    fn an_expression_over_anything_else_is_refused() {
        for text in ["statuss == 1", "body == \"\"", "status", "ts == \"\""] {
            assert!(When::read(text).is_err(), "{text}");
        }
    }
}
