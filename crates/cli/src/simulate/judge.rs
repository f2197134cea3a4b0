//! Decides the outcome of a call by the breaker's own `ignore` and `failure`, from what a line of a log knows.
//!
//! A log has no response fields and no body: expressions see them empty. Where an expression looks at neither them nor
//! the duration, its answer for a status and an error is remembered, as a log has few of these.

use std::time::Duration;

use fusebox_breaker::Outcome;
use fusebox_plan::plan::Breaker;
use fusebox_plan::{Call, CallError, Failure};
use fusebox_sim::rerun::{Fact, WORDS};

/// The most answers that are remembered.
const REMEMBERED: usize = 256;

/// The facts of one ended call.
#[derive(Clone, Copy)]
pub struct Facts<'a> {
    pub status: Option<u16>,
    pub error: Option<&'a str>,
    pub took: Option<u64>,
    pub grpc_status: Option<u8>,
    pub client_subject: &'a str,
}

/// A breaker's expressions, with their answers so far.
pub struct Judge<'p> {
    breaker: &'p Breaker,
    /// True if the answer follows from status and errors alone.
    is_plain: bool,
    remembered: Vec<(Key, (Fact, u16))>,
    /// Calls whose expressions failed to evaluate.
    pub errors: u64,
}

/// The facts on which a plain expression's answer depends.
type Key = (u16, Option<CallError>, Option<u8>);

impl<'p> Judge<'p> {
    pub fn new(breaker: &'p Breaker) -> Judge<'p> {
        let sources = sources(breaker);
        let looks = |word: &&str| sources.iter().any(|source| source.contains(word));
        Judge {
            breaker,
            is_plain: !["duration", "headers", "body", "client_subject"]
                .iter()
                .any(looks),
            remembered: Vec::new(),
            errors: 0,
        }
    }

    /// The outcome, and the code of its cause.
    pub fn judge(&mut self, facts: Facts<'_>) -> (Fact, u16) {
        let error = facts.error.map(error_of);
        let key = (facts.status.unwrap_or(0), error, facts.grpc_status);
        if self.is_plain
            && let Some((_, known)) = self.remembered.iter().find(|(known, _)| *known == key)
        {
            return *known;
        }
        let ruling = self.breaker.judge(&Call {
            status: key.0,
            headers: None,
            duration: Duration::from_nanos(facts.took.unwrap_or(0)),
            error,
            body: None,
            grpc_status: facts.grpc_status,
            client_subject: facts.client_subject,
        });
        self.errors += u64::from(!ruling.errors.is_empty());
        let fact = match ruling.outcome {
            Outcome::Success => Fact::Success,
            Outcome::Failure => Fact::Failure,
            Outcome::Ignored => Fact::Ignored,
        };
        let word = |word: &str| WORDS.iter().position(|known| *known == word).unwrap_or(0);
        let code = match (error, facts.grpc_status) {
            (Some(error), _) => word(error.as_str()) as u16,
            (None, Some(code)) if code > 0 && key.0 < 500 => word("grpc") as u16,
            (None, _) => key.0,
        };
        if self.is_plain && self.remembered.len() < REMEMBERED {
            self.remembered.push((key, (fact, code)));
        }
        (fact, code)
    }
}

/// The source texts of a breaker's expressions.
pub fn sources(breaker: &Breaker) -> Vec<&str> {
    let failure = match &breaker.failure {
        Failure::Default => None,
        written => Some(written.source()),
    };
    let ignore = breaker.ignore.as_ref().map(|ignore| ignore.source());
    failure.into_iter().chain(ignore).collect()
}

/// The error that a log's word stands for; a strange word is a cut connection.
fn error_of(word: &str) -> CallError {
    let word = word.to_ascii_lowercase();
    let has = |part: &str| word.contains(part);
    if has("connect") || has("refus") || has("dns") || has("unreach") {
        CallError::Connect
    } else if has("time") || has("deadline") {
        CallError::Timeout
    } else if has("tls") || has("certificate") {
        CallError::Tls
    } else if has("trunc") {
        CallError::Truncated
    } else if has("protocol") || has("limit") {
        CallError::Protocol
    } else {
        CallError::Reset
    }
}
