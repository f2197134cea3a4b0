//! Processors that need more than a line, and those that have others within them.

use std::sync::Arc;
use std::time::Duration;

use fusebox_dataweave::{MediaType, Script};

use super::{Chain, ErrorType, Given, Handlers, StoreDeclaration, Target};

/// `set-variable`.
#[derive(Debug, Clone, PartialEq)]
pub struct SetVariable {
    /// Its name.
    pub name: Given,
    /// Its value.
    pub value: Given,
    /// What the value is called, whatever it is; `None`: what it brings.
    pub media_type: Option<MediaType>,
}

/// `ee:transform`: its parts are evaluated on the event as it comes, then applied together.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Transform {
    /// The new payload.
    pub payload: Option<Script>,
    /// The new attributes.
    pub attributes: Option<Script>,
    /// New values of variables.
    pub variables: Vec<(Given, Script)>,
}

/// `logger`.
#[derive(Debug, Clone, PartialEq)]
pub struct Logger {
    /// What is logged; `None`: the whole message.
    pub message: Option<Given>,
    /// How loud. Default `Info`.
    pub level: LogLevel,
    /// Under which name.
    pub category: Option<Arc<str>>,
}

/// How loud a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(missing_docs, reason = "the levels' names say them")]
pub enum LogLevel {
    Trace,
    Debug,
    #[default]
    Info,
    Warn,
    Error,
}

/// `choice`.
#[derive(Debug, Clone, PartialEq)]
pub struct Choice {
    /// The first whose expression is true runs.
    pub whens: Vec<(Script, Chain)>,
    /// Where none is; `None`: the event goes on as it is.
    pub otherwise: Option<Chain>,
}

/// `try`.
#[derive(Debug, Clone, PartialEq)]
pub struct Try {
    /// What is tried.
    pub chain: Chain,
    /// What is done with its errors.
    pub handlers: Option<Arc<Handlers>>,
}

/// `raise-error`.
#[derive(Debug, Clone, PartialEq)]
pub struct RaiseError {
    /// The error's type.
    pub kind: ErrorType,
    /// Its description. Default "An error occurred."
    pub description: Option<Given>,
}

/// `until-successful`.
#[derive(Debug, Clone, PartialEq)]
pub struct UntilSuccessful {
    /// How often it is tried again. Default 5.
    pub retries: Given,
    /// Milliseconds from the end of one attempt to the next. Default 60,000.
    pub between: Given,
    /// What is tried.
    pub chain: Chain,
}

/// `foreach`.
#[derive(Debug, Clone, PartialEq)]
pub struct Foreach {
    /// What it goes through; `None`: the payload.
    pub collection: Option<Script>,
    /// The variable that counts, from 1. Default `counter`.
    pub counter: Arc<str>,
    /// The variable that holds the message before it. Default `rootMessage`.
    pub root: Arc<str>,
    /// How many items are taken at a time. Default 1: the item itself, else an array of them.
    pub batch: Given,
    /// What is done with each.
    pub chain: Chain,
}

/// `parallel-foreach`.
#[derive(Debug, Clone, PartialEq)]
pub struct ParallelForeach {
    /// What it goes through; `None`: the payload.
    pub collection: Option<Script>,
    /// What is done with each.
    pub chain: Chain,
    /// How many at once; `None`: all.
    pub max_concurrency: Option<usize>,
    /// How long each may take; `None`: as long as it likes.
    pub timeout: Option<Duration>,
    /// Where the results go; `None`: into the message.
    pub target: Option<Target>,
}

/// `scatter-gather`.
#[derive(Debug, Clone, PartialEq)]
pub struct ScatterGather {
    /// At least two.
    pub routes: Vec<Chain>,
    /// How many at once; `None`: all.
    pub max_concurrency: Option<usize>,
    /// How long each may take; `None`: as long as it likes.
    pub timeout: Option<Duration>,
    /// Where the results go; `None`: into the message.
    pub target: Option<Target>,
}

/// `async`.
#[derive(Debug, Clone, PartialEq)]
pub struct Async {
    /// What is done beside the flow.
    pub chain: Chain,
    /// How many events it works on at once; `None`: no bound.
    pub max_concurrency: Option<usize>,
}

/// `first-successful` and `round-robin`.
#[derive(Debug, Clone, PartialEq)]
pub struct FirstSuccessful {
    /// At least one.
    pub routes: Vec<Chain>,
}

/// `ee:cache`.
#[derive(Debug, Clone, PartialEq)]
pub struct Cache {
    /// What tells entries apart; `None`: a digest of the payload.
    pub key: Option<Given>,
    /// Where entries are kept; `None`: a store of its own, in memory.
    pub store: Option<Arc<StoreDeclaration>>,
    /// What is cached.
    pub chain: Chain,
}

/// `vm:publish`.
#[derive(Debug, Clone, PartialEq)]
pub struct Publish {
    /// One of the application's queues.
    pub queue: Arc<str>,
    /// What is left there; `None`: the payload.
    pub content: Option<Given>,
}

/// `validation:*`.
#[derive(Debug, Clone, PartialEq)]
pub struct Validation {
    /// What must hold.
    pub rule: ValidationRule,
    /// The error's description; `None`: one of its own.
    pub message: Option<Given>,
}

/// What a validation asks.
#[derive(Debug, Clone, PartialEq)]
pub enum ValidationRule {
    /// `is-not-null`, else `VALIDATION:NULL`.
    NotNull(Given),
    /// `is-null`, else `VALIDATION:NOT_NULL`.
    Null(Given),
    /// `is-true`, else `VALIDATION:INVALID_BOOLEAN`.
    True(Given),
    /// `is-false`, else `VALIDATION:INVALID_BOOLEAN`.
    False(Given),
    /// `is-not-blank-string`, else `VALIDATION:BLANK_STRING`.
    NotBlank(Given),
    /// `matches-regex`, else `VALIDATION:MISMATCH`.
    Matches {
        /// What is looked at.
        value: Given,
        /// A regular expression for all of it.
        regex: Given,
        /// Default true.
        case_sensitive: bool,
    },
    /// `validate-size`, else `VALIDATION:INVALID_SIZE`.
    Size {
        /// What is measured.
        value: Given,
        /// Default 0.
        min: Given,
        /// `None`: no bound.
        max: Option<Given>,
    },
}

/// A sleep, as a script asks for it. Payload and attributes are null after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sleep {
    /// `Thread.sleep(n)`.
    Fixed(Duration),
    /// `Thread.sleep(vars.x.toLong())`, `Thread.sleep((vars.x as Long) * n)`.
    Variable {
        /// The variable.
        name: Arc<str>,
        /// How many milliseconds one of it is.
        times: u64,
    },
}
