//! The input of an expression: an event in its context.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::fault::EvalFault;
use crate::random::Random;
use crate::value::Value;
use crate::value::media::{MediaType, Typed};

/// The variables of an event, by name.
pub type Vars = BTreeMap<Arc<str>, Typed>;

/// The properties of an application, by key.
pub type Properties = BTreeMap<Arc<str>, Arc<str>>;

/// A message with its variables on its way through a flow.
#[derive(Debug, Clone)]
pub struct Event {
    /// The message's payload.
    pub payload: Typed,
    /// The message's attributes; null if it has none.
    pub attributes: Value,
    /// The variables by name.
    pub vars: Vars,
    /// The error while a handler runs, otherwise null.
    pub error: Value,
    /// The correlation id.
    pub correlation_id: Arc<str>,
}

/// An empty event.
impl Default for Event {
    fn default() -> Event {
        Event {
            payload: Typed {
                value: Value::Null,
                media_type: MediaType::java(),
            },
            attributes: Value::Null,
            vars: Vars::new(),
            error: Value::Null,
            correlation_id: "".into(),
        }
    }
}

/// The input of an evaluation: an event, the names around it, the clock and random numbers.
#[derive(Debug, Clone)]
pub struct Context<'a> {
    /// The event to read.
    pub event: &'a Event,
    /// The properties that `p(key)` reads.
    pub properties: &'a Properties,
    /// The flow's name, `flow.name`; empty outside a flow.
    pub flow: &'a str,
    /// The application's name, `app.name`.
    pub app: &'a str,
    /// The result of `now()`, constant during an evaluation.
    pub now: Timestamp,
    /// The server's time zone, in which `now()` is shown.
    pub zone: &'a TimeZone,
    /// The source for `uuid()`, `random()` and `randomInt()`.
    pub random: &'a Random,
    /// The waits that `wait` asks for; without it they are none.
    pub waits: Option<&'a Waits>,
}

/// The time that a caller has to wait after an evaluation, because the expression calls `wait`.
#[derive(Debug, Default)]
pub struct Waits(AtomicU64);

/// The most milliseconds that expressions wait: 366 days.
const WAITS_MAX: u64 = 31_622_400_000;

impl Waits {
    pub(crate) fn add(&self, millis: u64) -> Result<(), EvalFault> {
        let sum = |waits: u64| waits.checked_add(millis).filter(|sum| *sum <= WAITS_MAX);
        match self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, sum)
        {
            Ok(_) => Ok(()),
            Err(_) => Err(EvalFault::new("`wait` waits for at most 366 days")),
        }
    }

    /// The time to wait, which is zero afterwards.
    pub fn take(&self) -> Duration {
        Duration::from_millis(self.0.swap(0, Ordering::Relaxed))
    }
}

/// A clone belongs to another run, which has nothing to wait for yet.
impl Clone for Waits {
    fn clone(&self) -> Waits {
        Waits::default()
    }
}

static NO_PROPERTIES: Properties = Properties::new();
static UTC: TimeZone = TimeZone::UTC;

impl<'a> Context<'a> {
    /// A context without properties and names, in the time zone UTC.
    pub fn new(event: &'a Event, now: Timestamp, random: &'a Random) -> Context<'a> {
        Context {
            event,
            properties: &NO_PROPERTIES,
            flow: "",
            app: "",
            now,
            zone: &UTC,
            random,
            waits: None,
        }
    }
}
