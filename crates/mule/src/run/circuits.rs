//! The circuits that flows build by hand: reading their state, and steering them as an operator.
//!
//! The state of such a circuit is an entry of an object store, so it is read on request, and steered by writing
//! or removing the entry. No state is held here: the flow continues from the changed entry.

use fusebox_breaker::Phase;
use fusebox_gateway::app::{Circuit as Status, CircuitFault, CircuitFlaw, Steer};
use std::time::Duration;

use super::build::LiveApp;
use super::gateway_world::wall_time;
use super::stores::{EntryFault, Partition};
use crate::app::Site;
use crate::{Circuit, CircuitState, Entry, OpenWhen, Typed, Value};

/// The limit of entries shown for one circuit whose key depends on the request.
const KEYS_MAX: usize = 1_000;

/// One entry of a circuit: the circuit's index in the application, and the entry's actual key.
struct FoundEntry {
    index: usize,
    key: String,
}

impl From<EntryFault> for CircuitFault {
    fn from(fault: EntryFault) -> CircuitFault {
        CircuitFault::Store(fault.to_string())
    }
}

/// The status of a circuit; `None`: there is no circuit of the name.
type Steered = Result<Option<Status>, CircuitFault>;

/// All circuits of an application with their current state.
///
/// # Errors
/// If an object store fails.
pub async fn all(app: &LiveApp) -> Result<Vec<Status>, CircuitFault> {
    let mut all = Vec::new();
    for (index, circuit) in app.engine.app().circuits.iter().enumerate() {
        for key in app.keys_of(circuit).await? {
            all.push(app.status_of(&FoundEntry { index, key }).await?);
        }
    }
    Ok(all)
}

/// The circuit with a name; `None`: there is no such circuit.
///
/// # Errors
/// If its object store fails.
pub async fn one(app: &LiveApp, name: &str) -> Steered {
    let found = app.find_circuit(name).await?;
    Ok(found.map(|(_, status)| status))
}

/// Steers a circuit as an operator asks; `None`: there is no circuit of that name.
///
/// # Errors
/// If its object store fails, or if its entry cannot be written from outside the flow.
pub async fn steer(app: &LiveApp, name: &str, steer: Steer) -> Steered {
    let Some((found, _)) = app.find_circuit(name).await? else {
        return Ok(None);
    };
    let circuit = &app.engine.app().circuits[found.index];
    let now = wall_time(&app.clock);
    let partition = app.partition(&circuit.state);
    match steer {
        Steer::Open => {
            let value = opened(circuit).map_err(CircuitFault::Conflict)?;
            partition.put(&found.key, &value, false, now).await?;
        }
        Steer::Close | Steer::Reset => {
            partition.remove(&found.key, now).await?;
        }
    }
    if steer == Steer::Reset
        && let Some(count) = &circuit.count
        && let Some(key) = count.entry.key.literal()
    {
        app.partition(&count.entry).remove(key, now).await?;
    }
    Ok(Some(app.status_of(&found).await?))
}

impl LiveApp {
    fn partition(&self, entry: &Entry) -> Partition<'_> {
        self.engine.stores().partition(entry.store.as_deref())
    }

    /// A circuit's entry by its name, with its status; `None`: there is none.
    async fn find_circuit(&self, name: &str) -> Result<Option<(FoundEntry, Status)>, EntryFault> {
        for (index, circuit) in self.engine.app().circuits.iter().enumerate() {
            let Some(key) = key_in(name, circuit) else {
                continue;
            };
            let found = FoundEntry { index, key };
            let status = self.status_of(&found).await?;
            if circuit.state.key.literal().is_some() || status.state != Phase::Closed {
                return Ok(Some((found, status)));
            }
        }
        Ok(None)
    }

    async fn keys_of(&self, circuit: &Circuit) -> Result<Vec<String>, EntryFault> {
        if let Some(key) = circuit.state.key.literal() {
            return Ok(vec![key.to_string()]);
        }
        let partition = self.partition(&circuit.state);
        let keys = partition.keys(wall_time(&self.clock)).await?.into_iter();
        let own = keys.filter(|key| circuit.state.key.matches(key));
        Ok(own.take(KEYS_MAX).collect())
    }

    async fn status_of(&self, found: &FoundEntry) -> Result<Status, EntryFault> {
        let app = self.engine.app();
        let circuit = &app.circuits[found.index];
        let now = wall_time(&self.clock);
        let partition = self.partition(&circuit.state);
        let (value, due_at) = match partition.get_with_expiry(&found.key, now).await? {
            Some((value, due_at)) => (Some(value), due_at),
            None => (None, None),
        };
        let count = match &circuit.count {
            None => None,
            Some(count) if count.entry.key == circuit.state.key => circuit.count_in(value.as_ref()),
            Some(count) => match count.entry.key.literal() {
                Some(key) => {
                    let value = self.partition(&count.entry).get(key, now).await?;
                    circuit.count_in(value.as_ref())
                }
                None => None,
            },
        };
        let key = found.key.clone();
        Ok(status(circuit, key, value.as_ref(), count, due_at))
    }
}

/// The status of a circuit's entry.
fn status(
    circuit: &Circuit,
    key: String,
    value: Option<&Typed>,
    count: Option<u64>,
    due_at: Option<u64>,
) -> Status {
    let at = |site: &Site| format!("{}:{}", site.file, site.line);
    let store = circuit.state.store.as_ref();
    let flaws = circuit.flaws.iter().map(|flaw| CircuitFlaw {
        at: at(&flaw.site),
        what: flaw.what.to_string(),
        mend: flaw.mend.to_string(),
    });
    Status {
        name: named(&circuit.state, &key),
        upstreams: circuit.upstreams.clone(),
        state: match circuit.state_for(value) {
            CircuitState::Closed => Phase::Closed,
            CircuitState::Open => Phase::Open,
            CircuitState::HalfOpen => Phase::HalfOpen,
        },
        at: at(&circuit.site),
        store: circuit.state.store_name().to_owned(),
        field: circuit.state.field.as_deref().map(str::to_owned),
        persisted: store.is_none_or(|store| store.persistent),
        count,
        count_key: circuit.count.as_ref().map(|it| it.entry.to_string()),
        threshold: circuit.count.as_ref().and_then(|it| it.threshold),
        half_open: circuit.half_open.is_some(),
        due_at,
        retry_at: retry_at(circuit, due_at),
        sweep_every: store.and_then(|store| store.sweep_every),
        flaws: flaws.collect(),
        key,
    }
}

/// The end of the flow's own timeout, which begins when the entry is written.
fn retry_at(circuit: &Circuit, due_at: Option<u64>) -> Option<u64> {
    let crate::Cooldown::Timeout(Some(after)) = circuit.cooldown else {
        return None;
    };
    let ttl = circuit.state.store.as_ref()?.ttl?;
    let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let written = due_at?.saturating_sub(millis(ttl));
    Some(written.saturating_add(millis(after)))
}

/// A circuit's name with the actual key.
fn named(state: &Entry, key: &str) -> String {
    match &state.field {
        Some(field) => format!("{}/{key}.{field}", state.store_name()),
        None => format!("{}/{key}", state.store_name()),
    }
}

/// The key in a name, if the name belongs to the circuit.
fn key_in(name: &str, circuit: &Circuit) -> Option<String> {
    let key = name
        .strip_prefix(circuit.state.store_name())?
        .strip_prefix('/')?;
    let key = match &circuit.state.field {
        Some(field) => key.strip_suffix(&**field)?.strip_suffix('.')?,
        None => key,
    };
    circuit.state.key.matches(key).then(|| key.to_owned())
}

/// The entry's value that opens a circuit.
fn opened(circuit: &Circuit) -> Result<Typed, String> {
    if circuit.state.field.is_some() {
        return Err(format!(
            "{} shares its entry with other data, so only the flow can open it; close or reset it, which removes the entry",
            circuit.name
        ));
    }
    let number = |number: u64| Value::Number(i64::try_from(number).unwrap_or(i64::MAX).into());
    let value = match &circuit.open_when {
        OpenWhen::Is(value) => value.clone(),
        OpenWhen::Present => Value::text("true"),
        OpenWhen::AtLeast(Some(least)) => number(*least),
        OpenWhen::AtLeast(None) | OpenWhen::Counted => {
            return Err(format!(
                "{} opens at a count that is computed",
                circuit.name
            ));
        }
    };
    Ok(match value {
        Value::String(text) => Typed::literal(text),
        value => Typed::java(value),
    })
}
