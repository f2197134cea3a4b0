//! The outcome of a call: ignored, failure or success, by the default or by the file's own expressions.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use fusebox_breaker::Outcome;
use fusebox_call::GrpcCodes;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::expression::{EvalError, Expression, Fault, Kind, MapKey, Scope, Value, Variables};

/// The facts about a call from which its outcome is decided.
#[derive(Debug, Clone)]
pub struct Call<'a> {
    /// The response's status; 0 without a response.
    pub status: u16,
    /// The response's fields; `None` without a response.
    pub headers: Option<&'a HeaderMap>,
    /// The time from the request fully sent to the response's head, or to the error.
    pub duration: Duration,
    /// The error between gateway and upstream, if one occurred.
    pub error: Option<CallError>,
    /// The beginning of the body, if `failure_body` keeps one.
    pub body: Option<&'a [u8]>,
    /// The status of a gRPC call, 0 to 16; `None`: the call was not gRPC, or the upstream gave none.
    pub grpc_status: Option<u8>,
    /// The subject of the client's certificate; empty without one.
    pub client_subject: &'a str,
}

/// The status of a gRPC call that was given up, by its client or in its name.
const CANCELLED: u8 = 1;

/// An error between the gateway and an upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CallError {
    /// No connection could be opened.
    Connect,
    /// The TLS handshake failed.
    Tls,
    /// No answer came within the time limit.
    Timeout,
    /// The connection was cut before the response's head arrived.
    Reset,
    /// The connection was cut, or fell silent, within the response's body.
    Truncated,
    /// The answer was not HTTP.
    Protocol,
}

impl CallError {
    /// The error's name in expressions, logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            CallError::Connect => "connect",
            CallError::Tls => "tls",
            CallError::Timeout => "timeout",
            CallError::Reset => "reset",
            CallError::Truncated => "truncated",
            CallError::Protocol => "protocol",
        }
    }
}

/// The rule for failed calls (`failure:`).
#[derive(Debug, Clone, PartialEq)]
pub enum Failure {
    /// Fails calls with a status of 500 or above, or with any error, and those of gRPC whose status `grpc.failure` names.
    /// A gRPC call that was cancelled is ignored, unless it names that too.
    Default,
    /// Fails calls for which the expression is true. If its evaluation fails, the default decides that call.
    Expression(Expression),
}

/// The rule for ignored calls (`ignore:`): they neither fail, nor interrupt consecutive failures, nor close a half-open
/// breaker. If the expression's evaluation fails, the call is not ignored.
#[derive(Debug, Clone, PartialEq)]
pub struct Ignore(Expression);

/// The outcome of a call, with the errors of the expressions that decided it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ruling {
    /// The call's outcome for the breaker.
    pub outcome: Outcome,
    /// The evaluation errors, one for each expression that failed.
    pub errors: Vec<EvalError>,
}

/// The default's source text, as an expression.
const DEFAULT: &str = "status >= 500 || error != \"\"";

/// The variables of an expression about a call, with their types.
const VARIABLES: [(&str, Option<Kind>); 10] = [
    ("status", Some(Kind::Int)),
    ("headers", Some(Kind::Map)),
    ("duration", Some(Kind::Span)),
    ("error", Some(Kind::Text)),
    ("connect_error", Some(Kind::Bool)),
    ("timeout", Some(Kind::Bool)),
    ("truncated", Some(Kind::Bool)),
    ("body", Some(Kind::Text)),
    ("grpc_status", Some(Kind::Int)),
    ("client_subject", Some(Kind::Text)),
];

impl Failure {
    /// Compiles an expression; the default's own text gives the default.
    pub(crate) fn read(text: &str) -> Result<Failure, Vec<Fault>> {
        if text.trim() == DEFAULT {
            return Ok(Failure::Default);
        }
        condition(text, &VARIABLES).map(Failure::Expression)
    }

    /// The expression's source text, as a file would have it.
    pub fn source(&self) -> &str {
        match self {
            Failure::Default => DEFAULT,
            Failure::Expression(expression) => expression.source(),
        }
    }

    /// Decides whether the call failed. Runs once per call, builds only the values that the expression uses, and ends
    /// within a bounded number of steps.
    pub fn judge(&self, call: &Call<'_>) -> Ruling {
        judge(None, self, GrpcCodes::FAILURES, call)
    }

    pub(crate) fn uses(&self, variable: &str) -> bool {
        match self {
            Failure::Default => false,
            Failure::Expression(expression) => expression.uses(variable),
        }
    }
}

impl Ignore {
    /// True if the expression refers to a variable.
    pub(crate) fn uses(&self, variable: &str) -> bool {
        self.0.uses(variable)
    }

    pub(crate) fn read(text: &str) -> Result<Ignore, Vec<Fault>> {
        condition(text, &VARIABLES).map(Ignore)
    }

    /// True if the expression matches a reported call. If its evaluation fails, the call is not ignored.
    ///
    /// # Errors
    /// The evaluation's error.
    pub fn matches(&self, report: &Report<'_>) -> Result<bool, EvalError> {
        holds(&self.0, "ignore", report)
    }

    /// The expression's source text, as a file would have it.
    pub fn source(&self) -> &str {
        self.0.source()
    }

    pub(crate) fn expression(&self) -> &Expression {
        &self.0
    }
}

/// The rule for a good answer to a health check (`expect:`). If its evaluation fails, the answer is not good.
#[derive(Debug, Clone, PartialEq)]
pub struct Expect(Expression);

/// The source text of the default of `expect`.
const EXPECT: &str = "status == 200";

/// The variables of an expression about the answer to a health check, with their types.
const ANSWER: [(&str, Option<Kind>); 3] = [
    ("status", Some(Kind::Int)),
    ("headers", Some(Kind::Map)),
    ("duration", Some(Kind::Span)),
];

impl Expect {
    /// Compiles an expression over `status`, `headers` and `duration`.
    pub(crate) fn read(text: &str) -> Result<Expect, Vec<Fault>> {
        condition(text, &ANSWER).map(Expect)
    }

    /// The expression's source text, as a file would have it.
    pub fn source(&self) -> &str {
        self.0.source()
    }

    /// Decides whether an answer is good.
    ///
    /// # Errors
    /// The evaluation's error; the answer is then not good.
    pub fn holds(&self, answer: &Call<'_>) -> Result<bool, EvalError> {
        holds(&self.0, "expect", &CallScope::of(answer))
    }
}

impl Default for Expect {
    fn default() -> Expect {
        Expect::read(EXPECT).expect("the default is an expression")
    }
}

/// The outcome of a call by a breaker's expressions; `grpc` are the statuses of gRPC that fail by default.
pub(crate) fn judge(
    ignore: Option<&Ignore>,
    failure: &Failure,
    grpc: GrpcCodes,
    call: &Call<'_>,
) -> Ruling {
    let scope = CallScope::of(call);
    let mut errors = Vec::new();
    match ignore.map(|ignore| holds(&ignore.0, "ignore", &scope)) {
        Some(Ok(true)) => {
            return Ruling {
                outcome: Outcome::Ignored,
                errors,
            };
        }
        Some(Err(error)) => errors.push(error),
        Some(Ok(false)) | None => {}
    }
    let names = |code: u8| grpc.has(code);
    let by_default =
        call.status >= 500 || call.error.is_some() || call.grpc_status.is_some_and(names);
    let is_cancelled = call.grpc_status == Some(CANCELLED) && *failure == Failure::Default;
    if is_cancelled && !by_default {
        return Ruling {
            outcome: Outcome::Ignored,
            errors,
        };
    }
    let failed = match failure {
        Failure::Default => Ok(by_default),
        Failure::Expression(expression) => holds(expression, "failure", &scope),
    };
    let failed = failed.unwrap_or_else(|error| {
        errors.push(error);
        by_default
    });
    let outcome = match failed {
        true => Outcome::Failure,
        false => Outcome::Success,
    };
    Ruling { outcome, errors }
}

/// Compiles a boolean expression about a call.
pub(crate) fn condition(text: &str, variables: Variables<'_>) -> Result<Expression, Vec<Fault>> {
    let expression = Expression::compile(text, variables)?;
    match expression.kind() {
        Some(kind) if kind != Kind::Bool => Err(vec![Fault::new(
            0,
            format!("expected a bool, found {}", kind.article()),
            "compare it with something, as in `status >= 500`",
        )]),
        _ => Ok(expression),
    }
}

/// Evaluates a boolean expression; `key` is its name in messages.
pub(crate) fn holds(
    expression: &Expression,
    key: &str,
    scope: &dyn Scope,
) -> Result<bool, EvalError> {
    match expression.eval(scope)? {
        Value::Bool(holds) => Ok(holds),
        value => {
            let kind = value.kind().article();
            let what = format!("the {key} expression gave {kind}, expected a bool");
            Err(EvalError::whole(what))
        }
    }
}

/// A call that a program has made and reports, for `ignore`. It has no fields and no body.
#[derive(Debug, Clone, Copy, Default)]
pub struct Report<'a> {
    /// The answer's status; 0 where the report names none.
    pub status: u16,
    /// The call's duration; zero where the report names none.
    pub duration: Duration,
    /// The kind of error in the program's own words, which expressions see as `error`; empty without one.
    pub kind: &'a str,
}

impl Scope for Report<'_> {
    fn variable(&self, name: &str) -> Option<Value> {
        let is = |kind: CallError| Value::Bool(self.kind == kind.as_str());
        Some(match name {
            "status" => Value::Int(i64::from(self.status)),
            "headers" => headers(None),
            "duration" => Value::Span(i64::try_from(self.duration.as_nanos()).unwrap_or(i64::MAX)),
            "error" => Value::text(self.kind),
            "connect_error" => is(CallError::Connect),
            "timeout" => is(CallError::Timeout),
            "truncated" => is(CallError::Truncated),
            "grpc_status" => Value::Int(-1),
            "client_subject" | "body" => Value::text(""),
            _ => return None,
        })
    }
}

/// The scope of an expression about a call.
struct CallScope<'a> {
    call: &'a Call<'a>,
    headers: OnceCell<Value>,
    body: OnceCell<Value>,
}

impl<'a> CallScope<'a> {
    fn of(call: &'a Call<'a>) -> Self {
        CallScope {
            call,
            headers: OnceCell::new(),
            body: OnceCell::new(),
        }
    }
}

impl Scope for CallScope<'_> {
    fn variable(&self, name: &str) -> Option<Value> {
        let call = self.call;
        let error = |which| Value::Bool(call.error == Some(which));
        Some(match name {
            "status" => Value::Int(i64::from(call.status)),
            "headers" => self.headers.get_or_init(|| headers(call.headers)).clone(),
            "duration" => Value::Span(i64::try_from(call.duration.as_nanos()).unwrap_or(i64::MAX)),
            "error" => Value::text(call.error.map_or("", CallError::as_str)),
            "connect_error" => error(CallError::Connect),
            "timeout" => error(CallError::Timeout),
            "grpc_status" => Value::Int(call.grpc_status.map_or(-1, i64::from)),
            "truncated" => error(CallError::Truncated),
            "client_subject" => Value::text(call.client_subject),
            "body" => self
                .body
                .get_or_init(|| {
                    Value::text(&String::from_utf8_lossy(call.body.unwrap_or_default()))
                })
                .clone(),
            _ => return None,
        })
    }

    fn member(&self, variable: &str, key: &str) -> Option<Option<Value>> {
        if variable != "headers" {
            return None;
        }
        // Names in expressions are lower-case; `HeaderName` would accept others.
        let name = (!key.bytes().any(|b| b.is_ascii_uppercase()))
            .then(|| HeaderName::from_bytes(key.as_bytes()).ok());
        Some(name.flatten().and_then(|name| {
            let mut values = self.call.headers?.get_all(name).iter().peekable();
            values.peek()?;
            Some(Value::text(&joined(values)))
        }))
    }
}

/// All fields by name; repeated fields are joined (RFC 9110, section 5.3).
fn headers(fields: Option<&HeaderMap>) -> Value {
    let mut map = BTreeMap::new();
    for name in fields.into_iter().flat_map(HeaderMap::keys) {
        let values = fields.into_iter().flat_map(|fields| fields.get_all(name));
        map.insert(
            MapKey::Text(name.as_str().into()),
            Value::text(&joined(values)),
        );
    }
    Value::Map(Arc::new(map))
}

fn joined<'a>(values: impl Iterator<Item = &'a HeaderValue>) -> String {
    let mut joined = String::new();
    for (index, value) in values.enumerate() {
        if index > 0 {
            joined.push_str(", ");
        }
        joined.push_str(&String::from_utf8_lossy(value.as_bytes()));
    }
    joined
}
