//! Circuit breakers that flows build by hand from entries of an object store.
//!
//! - [`Circuit`], [`Entry`], [`OpenWhen`], [`Count`], [`Cooldown`]: the description of such a circuit
//! - [`Flaw`], [`FlawKind`]: its weaknesses, which become warnings
//! - `paths`: symbolic execution of a flow along all its paths; `failures`: how calls end
//! - `find`: from paths to circuits; `call_paths`, `trip`, `time`: the circuit of one call; `trace`: parts of a path
//! - `flaws`: from a circuit to its flaws

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use fusebox_dataweave::{Number, Typed, Value};

mod call_paths;
mod failures;
mod find;
mod flaws;
mod paths;
mod time;
mod trace;
mod trip;

pub(crate) use call_paths::CallPaths;
pub use failures::Failure;
pub(crate) use failures::{Failures, Outcome};
pub(crate) use find::{Walked, walk_all};
pub(crate) use flaws::range;
pub use flaws::{Flaw, FlawKind};
pub(crate) use paths::{Act, Call, Path, SentRequest, Walk};

use super::app::{App, Site, StoreDeclaration};
use fusebox_plan::dialect::{Notes, Place};

/// The name of the application's default object store.
const DEFAULT_STORE: &str = "_defaultPersistentObjectStore";

/// A circuit breaker that a flow builds by hand from an entry of an object store.
///
/// It is recognised by behaviour and not by names: while the entry has a certain value the flow does not make the
/// call, and failures of the call lead to that value.
#[derive(Debug, Clone, PartialEq)]
pub struct Circuit {
    /// The name: `STORE/KEY` of the entry with the state; unique.
    pub name: Arc<str>,
    /// The position where the flow reads the state.
    pub site: Site,
    /// The entry that holds the state.
    pub state: Entry,
    /// The values of the entry that mean open.
    pub open_when: OpenWhen,
    /// The position where the flow opens the circuit.
    pub trip_site: Site,
    /// The value while probes are allowed; `None`: the circuit has no half-open state.
    pub half_open: Option<Value>,
    /// The counter of failures; `None`: the first failure opens the circuit.
    pub count: Option<Count>,
    /// The failures that count.
    pub failures: Vec<Failure>,
    /// The failures that neither count nor reset the count.
    pub ignored: Vec<Failure>,
    /// The upstreams of the calls: names of request configurations, or URLs.
    pub upstreams: Vec<Arc<str>>,
    /// The condition under which calls are allowed again.
    pub cooldown: Cooldown,
    /// The value that a successful call writes to close the circuit; `None`: it writes nothing.
    pub closes: Option<Value>,
    /// True if a success resets the count of failures.
    pub success_resets: bool,
    /// The flow's result for a call that it does not make.
    pub refusal: Refusal,
    /// The weaknesses of the circuit.
    pub flaws: Vec<Flaw>,
    /// The positions of the calls that the circuit guards.
    pub calls: Vec<Site>,
}

/// An entry of an object store, or a key of an object in an entry.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The store; `None`: the application's default store.
    pub store: Option<Arc<StoreDeclaration>>,
    /// The key in the store.
    pub key: EntryKey,
    /// The key inside the object that the entry holds, keys of objects within joined by dots; `None`: the entry's value
    /// itself.
    pub field: Option<Arc<str>>,
}

/// The key of an entry; parts of it may depend on the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryKey(pub Vec<EntryKeyPart>);

/// A part of an entry's key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryKeyPart {
    /// A constant text.
    Literal(Arc<str>),
    /// A text that depends on the request.
    Any,
}

/// The values of an entry that mean open.
#[derive(Debug, Clone, PartialEq)]
pub enum OpenWhen {
    /// One certain value.
    Is(Value),
    /// Any value: an entry that exists.
    Present,
    /// Any number of at least this; `None`: a limit that the flow computes.
    AtLeast(Option<u64>),
    /// Any value, while the count in the same entry has reached its threshold.
    Counted,
}

/// A counter of failures.
#[derive(Debug, Clone, PartialEq)]
pub struct Count {
    /// The entry that holds the count.
    pub entry: Entry,
    /// The number of failures that opens the circuit; `None`: the flow computes it.
    pub threshold: Option<u64>,
    /// The position where the flow compares the count with the threshold.
    pub site: Site,
}

/// The condition under which calls are allowed again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cooldown {
    /// The entry has expired: at the first sweep after its time to live.
    Expiry {
        /// The entry's time to live.
        ttl: Duration,
        /// The period of sweeps.
        sweep: Duration,
    },
    /// The flow finds that enough time has passed; `None`: it computes the time.
    Timeout(Option<Duration>),
    /// No condition: only an operator closes the circuit.
    Never,
}

/// The flow's result for a call that it does not make.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Refusal {
    /// The value of `httpStatus`, if it is a constant number.
    pub status: Option<u16>,
    /// The response's body, if it is a constant text.
    pub body: Option<Arc<str>>,
    /// The type of the raised error, if any.
    pub error: Option<Arc<str>>,
}

/// The state of a circuit, as its entry says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CircuitState {
    /// Calls are made.
    Closed,
    /// Calls are not made.
    Open,
    /// Calls are made to probe the upstream.
    HalfOpen,
}

impl CircuitState {
    /// The state's name, as for breakers.
    pub fn as_str(self) -> &'static str {
        match self {
            CircuitState::Closed => "closed",
            CircuitState::Open => "open",
            CircuitState::HalfOpen => "half_open",
        }
    }
}

impl Circuit {
    /// The state for a value of its entry; `None`: the entry does not exist.
    pub fn state_for(&self, value: Option<&Typed>) -> CircuitState {
        let held = value;
        let Some(value) = value.and_then(|value| self.state.value(value)) else {
            return CircuitState::Closed;
        };
        let is_open = match &self.open_when {
            OpenWhen::Is(open) => value == *open,
            OpenWhen::Present => true,
            OpenWhen::AtLeast(Some(least)) => count(&value).is_some_and(|count| count >= *least),
            OpenWhen::AtLeast(None) => false,
            OpenWhen::Counted => {
                let threshold = self.count.as_ref().and_then(|count| count.threshold);
                let count = self.count_in(held);
                threshold.is_some_and(|least| count.is_some_and(|count| count >= least))
            }
        };
        match is_open {
            true => CircuitState::Open,
            false if self.half_open.as_ref() == Some(&value) => CircuitState::HalfOpen,
            false => CircuitState::Closed,
        }
    }

    /// The number of failures in a value of the counter's entry; `None`: no counter, or not a number.
    pub fn count_in(&self, value: Option<&Typed>) -> Option<u64> {
        let counter = self.count.as_ref()?;
        match value {
            Some(value) => count(&counter.entry.value(value)?),
            None => Some(0),
        }
    }
}

impl Entry {
    /// The store's name.
    pub fn store_name(&self) -> &str {
        self.store
            .as_ref()
            .map_or(DEFAULT_STORE, |store| &store.name)
    }

    /// The value of this entry in a stored object.
    pub fn value(&self, held: &Typed) -> Option<Value> {
        let Some(field) = &self.field else {
            return Some(held.value.clone());
        };
        let object = match &held.value {
            Value::String(text) => Value::from_json(text).ok()?,
            Value::Binary(bytes) => Value::from_json(std::str::from_utf8(bytes).ok()?).ok()?,
            other => other.clone(),
        };
        let key = |of: &Value, key: &str| match of {
            Value::Object(object) => object.get(key).cloned(),
            _ => None,
        };
        let mut keys = field.split('.');
        key(&object, field).or_else(|| keys.try_fold(object, |of, name| key(&of, name)))
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
    /// The whole key, if it is constant.
    pub fn literal(&self) -> Option<&Arc<str>> {
        match &self.0[..] {
            [EntryKeyPart::Literal(text)] => Some(text),
            _ => None,
        }
    }

    /// True if the pattern matches a key.
    pub fn matches(&self, key: &str) -> bool {
        fn matches_parts(parts: &[EntryKeyPart], key: &str) -> bool {
            match parts.split_first() {
                None => key.is_empty(),
                Some((EntryKeyPart::Literal(text), rest)) => key
                    .strip_prefix(&**text)
                    .is_some_and(|key| matches_parts(rest, key)),
                Some((EntryKeyPart::Any, [])) => true,
                Some((EntryKeyPart::Any, rest)) => key
                    .char_indices()
                    .any(|(at, _)| matches_parts(rest, &key[at..])),
            }
        }
        // Adjacent variable parts match the same as one.
        let mut parts = self.0.clone();
        parts.dedup_by(|one, other| *one == EntryKeyPart::Any && one == other);
        matches_parts(&parts, key)
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

/// The whole number in a value, or in a text.
fn count(value: &Value) -> Option<u64> {
    let number = match value {
        Value::Number(number) => number.clone(),
        Value::String(text) => Number::parse(text.trim())?,
        _ => return None,
    };
    u64::try_from(number.to_i64()?).ok()
}

/// The result of a conversion for the circuits of an application.
pub(crate) struct Outlook {
    /// The names of the circuits that become breakers.
    pub breakers: BTreeSet<String>,
    /// True if that takes the loss of a guard, with `--lossy`.
    pub is_lossy: bool,
}

/// Finds an application's circuits and reports their flaws as warnings. `files` are the names of the
/// application's files, in order.
///
/// `outlook` says what a conversion of the application does with its circuits.
pub(crate) fn recognise(
    app: &mut App,
    files: &[&str],
    outlook: fn(&App, &[&str]) -> Outlook,
    notes: &mut Notes,
) {
    app.circuits = find::circuits(app);
    if app.circuits.is_empty() {
        return;
    }
    let outlook = outlook(app, files);
    for circuit in &mut app.circuits {
        let is_written = outlook.breakers.contains(&*circuit.name);
        let flaws = circuit.flaws.iter_mut();
        flaws.for_each(|flaw| flaw.promise(is_written, outlook.is_lossy));
    }
    for flaw in app.circuits.iter().flat_map(|circuit| &circuit.flaws) {
        notes.warn(place(&flaw.site, files), &*flaw.what, &*flaw.mend);
    }
}

/// Adds an item to a list that does not have it.
fn push<T: PartialEq>(list: &mut Vec<T>, item: T) {
    if !list.contains(&item) {
        list.push(item);
    }
}

/// The place of a position, with the file's index in `files`.
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
