//! A breaker that a flow builds by hand out of an object store.
//!
//! - [`Circuit`], [`Entry`], [`Opens`], [`Count`], [`Cooldown`]: what it is
//! - [`Flaw`], [`FlawKind`]: what is wrong with it
//! - `ways`: what a flow does on all its ways; `failures`: how its calls end
//! - `find`: the circuits in what flows do; `sighting`, `trip`, `time`: one call's; `trace`: pieces of a way
//! - `flaws`: what is told of them

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use fusebox_dataweave::{Number, Typed, Value};

mod failures;
mod find;
mod flaws;
mod sighting;
mod time;
mod trace;
mod trip;
mod ways;

pub use failures::Failure;
pub(crate) use failures::{Failures, Outcome};
pub(crate) use flaws::range;
pub use flaws::{Flaw, FlawKind};
pub(crate) use ways::{Act, Call, Sent, Walk, Way};

use super::app::{App, Site, StoreDeclaration};
use fusebox_plan::dialect::{Notes, Place};

/// What the application's default object store is called.
const DEFAULT_STORE: &str = "_defaultPersistentObjectStore";

/// A breaker that a flow builds by hand out of an object store.
///
/// It is known by what the flow does: as long as an entry of a store says so, a call is not made, and
/// what becomes of that call's failures makes the entry say so.
#[derive(Debug, Clone, PartialEq)]
pub struct Circuit {
    /// `STORE/KEY` of the entry that holds its state; unique.
    pub name: Arc<str>,
    /// Where the flow asks for its state.
    pub site: Site,
    /// The entry that holds its state.
    pub state: Entry,
    /// When that entry says that it is open.
    pub opens: Opens,
    /// Where it is made to say so.
    pub trip_site: Site,
    /// What it says while calls are let through again to find out; `None`: nothing of its own.
    pub half_open: Option<Value>,
    /// What counts failures; `None`: the first failure opens it.
    pub count: Option<Count>,
    /// The failures that count.
    pub failures: Vec<Failure>,
    /// Whom the calls go to: the names of request configurations, or addresses.
    pub upstreams: Vec<Arc<str>>,
    /// When calls pass again.
    pub cooldown: Cooldown,
    /// What is written where a call succeeds, so that it is closed; `None`: nothing is.
    pub closes: Option<Value>,
    /// Whether a success forgets the failures before it.
    pub success_resets: bool,
    /// What becomes of a call that is not made.
    pub refusal: Refusal,
    /// What is wrong with it.
    pub flaws: Vec<Flaw>,
    /// Where the calls stand that it is before.
    pub calls: Vec<Site>,
}

/// An entry of an object store, or a key of the object in one.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The store; `None`: the application's default one.
    pub store: Option<Arc<StoreDeclaration>>,
    /// The entry's key.
    pub key: EntryKey,
    /// Which key of the object in it; `None`: the entry's value itself.
    pub field: Option<Arc<str>>,
}

/// The key of an entry; some of it may depend on the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryKey(pub Vec<EntryKeyPart>);

/// A part of an entry's key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryKeyPart {
    /// This text.
    Literal(Arc<str>),
    /// Whatever a request makes of it.
    Any,
}

/// When an entry says that a circuit is open.
#[derive(Debug, Clone, PartialEq)]
pub enum Opens {
    /// When it is this value.
    Is(Value),
    /// When it is there.
    Present,
    /// When it is a number from this on; `None`: a number that is computed.
    AtLeast(Option<u64>),
}

/// What counts failures.
#[derive(Debug, Clone, PartialEq)]
pub struct Count {
    /// The entry that does.
    pub entry: Entry,
    /// How many open the circuit; `None`: that is computed.
    pub threshold: Option<u64>,
    /// Where it is compared with that.
    pub site: Site,
}

/// When calls pass again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cooldown {
    /// When the entry has gone: at the first sweep after its time.
    Expiry {
        /// The age at which it is due to go.
        ttl: Duration,
        /// From one sweep to the next.
        sweep: Duration,
    },
    /// When the flow finds that enough time has passed; `None`: how much is computed.
    Timeout(Option<Duration>),
    /// When somebody closes it.
    Never,
}

/// What becomes of a call that is not made.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Refusal {
    /// `httpStatus`, where it is set to a number.
    pub status: Option<u16>,
    /// The answer's body, where it is known.
    pub body: Option<Arc<str>>,
    /// The error that is raised.
    pub error: Option<Arc<str>>,
}

/// What an entry says of a circuit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Said {
    /// Calls are made.
    Closed,
    /// Calls are not made.
    Open,
    /// Calls are made to find out.
    HalfOpen,
}

impl Said {
    /// The word for it: as for breakers.
    pub fn as_str(self) -> &'static str {
        match self {
            Said::Closed => "closed",
            Said::Open => "open",
            Said::HalfOpen => "half_open",
        }
    }
}

impl Circuit {
    /// What the value of its state's entry says; `None`: the entry is not there.
    pub fn says(&self, value: Option<&Typed>) -> Said {
        let Some(value) = value.and_then(|value| self.state.value(value)) else {
            return Said::Closed;
        };
        let is_open = match &self.opens {
            Opens::Is(open) => value == *open,
            Opens::Present => true,
            Opens::AtLeast(Some(least)) => count(&value).is_some_and(|count| count >= *least),
            Opens::AtLeast(None) => false,
        };
        match is_open {
            true => Said::Open,
            false if self.half_open.as_ref() == Some(&value) => Said::HalfOpen,
            false => Said::Closed,
        }
    }

    /// How many failures its count says there have been; `None`: it has none, or it says nothing.
    pub fn counted(&self, value: Option<&Typed>) -> Option<u64> {
        let counter = self.count.as_ref()?;
        match value {
            Some(value) => count(&counter.entry.value(value)?),
            None => Some(0),
        }
    }
}

impl Entry {
    /// `STORE`, by its name.
    pub fn store_name(&self) -> &str {
        self.store
            .as_ref()
            .map_or(DEFAULT_STORE, |store| &store.name)
    }

    /// Its value in what a store holds.
    pub fn value(&self, held: &Typed) -> Option<Value> {
        let Some(field) = &self.field else {
            return Some(held.value.clone());
        };
        let object = match &held.value {
            Value::String(text) => Value::from_json(text).ok()?,
            Value::Binary(bytes) => Value::from_json(std::str::from_utf8(bytes).ok()?).ok()?,
            other => other.clone(),
        };
        match object {
            Value::Object(object) => object.get(field).cloned(),
            _ => None,
        }
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.store_name(), self.key)?;
        match &self.field {
            Some(field) => write!(f, ".{field}"),
            None => Ok(()),
        }
    }
}

impl EntryKey {
    /// Whether all of it is known.
    pub fn literal(&self) -> Option<&Arc<str>> {
        match &self.0[..] {
            [EntryKeyPart::Literal(text)] => Some(text),
            _ => None,
        }
    }

    /// Whether a key is such.
    pub fn takes(&self, key: &str) -> bool {
        fn matches(parts: &[EntryKeyPart], key: &str) -> bool {
            match parts.split_first() {
                None => key.is_empty(),
                Some((EntryKeyPart::Literal(text), rest)) => key
                    .strip_prefix(&**text)
                    .is_some_and(|key| matches(rest, key)),
                Some((EntryKeyPart::Any, [])) => true,
                Some((EntryKeyPart::Any, rest)) => {
                    key.char_indices().any(|(at, _)| matches(rest, &key[at..]))
                }
            }
        }
        // Two neighbours that may be anything are one.
        let mut parts = self.0.clone();
        parts.dedup_by(|one, other| *one == EntryKeyPart::Any && one == other);
        matches(&parts, key)
    }
}

impl fmt::Display for EntryKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in &self.0 {
            match part {
                EntryKeyPart::Literal(text) => f.write_str(text)?,
                EntryKeyPart::Any => f.write_str("{…}")?,
            }
        }
        Ok(())
    }
}

/// The whole number that a value is; a text of one counts.
fn count(value: &Value) -> Option<u64> {
    let number = match value {
        Value::Number(number) => number.clone(),
        Value::String(text) => Number::parse(text.trim())?,
        _ => return None,
    };
    u64::try_from(number.to_i64()?).ok()
}

/// Finds an application's circuits, and tells what is wrong with them; `files` are the names of its
/// files, by their order.
pub(crate) fn recognise(app: &mut App, files: &[&str], notes: &mut Notes) {
    app.circuits = find::circuits(app);
    for flaw in app.circuits.iter().flat_map(|circuit| &circuit.flaws) {
        notes.warn(place(&flaw.site, files), &*flaw.what, &*flaw.mend);
    }
}

/// Where a site is among the files.
pub(crate) fn place(site: &Site, files: &[&str]) -> Place {
    let file = files.iter().position(|name| *name == &*site.file);
    Place {
        file: file.unwrap_or(0),
        line: site.line,
        col: site.col,
    }
}

#[cfg(test)]
mod tests;
