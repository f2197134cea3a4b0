//! What an expression sees.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::random::Random;
use crate::value::Value;
use crate::value::media::{MediaType, Typed};

/// The variables of an event, by name.
pub type Vars = BTreeMap<Arc<str>, Typed>;

/// The properties of an application, by key.
pub type Properties = BTreeMap<Arc<str>, Arc<str>>;

/// What goes through a flow.
#[derive(Debug, Clone)]
pub struct Event {
    /// The message's payload.
    pub payload: Typed,
    /// The message's attributes; null where it has none.
    pub attributes: Value,
    /// The variables.
    pub vars: Vars,
    /// The error, while a handler runs; else null.
    pub error: Value,
    /// The event's id.
    pub correlation_id: Arc<str>,
}

/// An event of nothing.
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

/// What an evaluation sees: an event, and what is around it.
#[derive(Debug, Clone)]
pub struct Context<'a> {
    /// The event.
    pub event: &'a Event,
    /// What `p(key)` reads.
    pub properties: &'a Properties,
    /// The name of the flow, `flow.name`; empty where there is none.
    pub flow: &'a str,
    /// The name of the application, `app.name`.
    pub app: &'a str,
    /// The moment that `now()` gives, the same all through an evaluation.
    pub now: Timestamp,
    /// The server's time zone, which `now()` is shown in.
    pub zone: &'a TimeZone,
    /// Where `uuid()`, `random()` and `randomInt()` draw from.
    pub random: &'a Random,
}

static NO_PROPERTIES: Properties = Properties::new();
static UTC: TimeZone = TimeZone::UTC;

impl<'a> Context<'a> {
    /// An event with nothing around it: no properties, no names, and the time zone is UTC.
    pub fn new(event: &'a Event, now: Timestamp, random: &'a Random) -> Context<'a> {
        Context {
            event,
            properties: &NO_PROPERTIES,
            flow: "",
            app: "",
            now,
            zone: &UTC,
            random,
        }
    }
}
