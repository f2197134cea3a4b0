//! The circuits that flows build by hand: what their entries say, and how an operator steers them.
//!
//! A flow's circuit is what an entry of an object store says, so it is read when somebody asks, and
//! steered by writing or removing that entry. Nothing of it is held: the flow goes on from there.

use std::sync::Arc;

use fusebox_plan::mule::app::App;
use fusebox_plan::mule::{Circuit, Entry, MediaType, Opens, Said, Typed, Value};

use super::cast::LiveApp;
use super::stores::ShelfFault;
use super::world::wall_time;
use crate::ground::clock::Clock;

/// How many entries of one circuit are shown whose key depends on the request.
const KEYS_MAX: usize = 1_000;

/// A circuit as its entry says.
#[derive(Debug, Clone)]
pub struct CircuitStatus {
    /// Its name, `STORE/KEY`, with the key as it is.
    pub name: String,
    /// The key of its entry.
    pub key: String,
    /// What the entry says.
    pub said: Said,
    /// How many failures its count says there have been.
    pub count: Option<u64>,
    /// When the entry is due to go: in milliseconds since the Unix epoch. It goes at the first sweep
    /// after that. `None`: it does not, or there is none.
    pub due_at: Option<u64>,
    app: Arc<App>,
    index: usize,
}

impl CircuitStatus {
    /// What it is.
    pub fn circuit(&self) -> &Circuit {
        &self.app.circuits[self.index]
    }

    /// By when the entry has gone, if it is due to: one sweep after that.
    pub fn gone_by(&self) -> Option<u64> {
        let sweep = self.circuit().state.store.as_ref()?.sweep_every?;
        let sweep = u64::try_from(sweep.as_millis()).unwrap_or(u64::MAX);
        Some(self.due_at?.saturating_add(sweep))
    }
}

/// What an operator does with a circuit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Steer {
    /// Its entry says that it is open from now on.
    Open,
    /// Its entry is removed.
    Close,
    /// Its entry is removed, and that of its count.
    Reset,
}

/// Why a circuit was not read or steered.
#[derive(Debug, thiserror::Error)]
pub enum CircuitFault {
    /// The store did not do it.
    #[error("the object store did not answer as it should: {0}")]
    Store(#[from] ShelfFault),
    /// It cannot be done with a circuit such as this.
    #[error("{0}")]
    Conflict(String),
}

/// The circuits of a running application, where there is one.
#[derive(Debug)]
pub struct Circuits {
    app: Option<Arc<LiveApp>>,
    clock: Arc<Clock>,
}

impl Circuits {
    /// Those of an application; none where there is none.
    pub fn of(app: Option<Arc<LiveApp>>, clock: Arc<Clock>) -> Circuits {
        Circuits { app, clock }
    }

    /// All of them, as their entries say now.
    ///
    /// # Errors
    /// Where an object store does not answer.
    pub async fn all(&self) -> Result<Vec<CircuitStatus>, CircuitFault> {
        let Some(live) = self.app.clone() else {
            return Ok(Vec::new());
        };
        let mut all = Vec::new();
        for (index, circuit) in live.engine.app().circuits.iter().enumerate() {
            for key in self.keys_of(&live, circuit).await? {
                all.push(self.status_of(&live, index, key).await?);
            }
        }
        Ok(all)
    }

    /// The circuit of a name; `None`: there is none.
    ///
    /// # Errors
    /// Where its object store does not answer.
    pub async fn find(&self, name: &str) -> Result<Option<CircuitStatus>, CircuitFault> {
        let Some(live) = self.app.clone() else {
            return Ok(None);
        };
        for (index, circuit) in live.engine.app().circuits.iter().enumerate() {
            let Some(key) = key_in(name, circuit) else {
                continue;
            };
            let status = self.status_of(&live, index, key).await?;
            if circuit.state.key.literal().is_some() || status.said != Said::Closed {
                return Ok(Some(status));
            }
        }
        Ok(None)
    }

    /// Does what an operator wants with a circuit; `None`: there is none of that name.
    ///
    /// # Errors
    /// Where its object store does not answer, or its entry is not one that can be written so.
    pub async fn steer(
        &self,
        name: &str,
        steer: Steer,
    ) -> Result<Option<CircuitStatus>, CircuitFault> {
        let Some(status) = self.find(name).await? else {
            return Ok(None);
        };
        let Some(live) = self.app.clone() else {
            return Ok(None);
        };
        let circuit = status.circuit();
        let now = wall_time(&self.clock);
        let shelf = live.engine.stores().shelf(circuit.state.store.as_deref());
        match steer {
            Steer::Open => {
                let value = opened(circuit).map_err(CircuitFault::Conflict)?;
                shelf.put(&status.key, &value, false, now).await?;
            }
            Steer::Close | Steer::Reset => {
                shelf.remove(&status.key, now).await?;
            }
        }
        if steer == Steer::Reset
            && let Some(count) = &circuit.count
            && let Some(key) = count.entry.key.literal()
        {
            let shelf = live.engine.stores().shelf(count.entry.store.as_deref());
            shelf.remove(key, now).await?;
        }
        Ok(Some(
            self.status_of(&live, status.index, status.key.clone())
                .await?,
        ))
    }

    async fn keys_of(&self, live: &LiveApp, circuit: &Circuit) -> Result<Vec<String>, ShelfFault> {
        if let Some(key) = circuit.state.key.literal() {
            return Ok(vec![key.to_string()]);
        }
        let shelf = live.engine.stores().shelf(circuit.state.store.as_deref());
        let keys = shelf.keys(wall_time(&self.clock)).await?;
        let own = keys.into_iter().filter(|key| circuit.state.key.takes(key));
        Ok(own.take(KEYS_MAX).collect())
    }

    async fn status_of(
        &self,
        live: &LiveApp,
        index: usize,
        key: String,
    ) -> Result<CircuitStatus, ShelfFault> {
        let app = live.engine.app().clone();
        let circuit = &app.circuits[index];
        let now = wall_time(&self.clock);
        let shelf = live.engine.stores().shelf(circuit.state.store.as_deref());
        let (value, due_at) = match shelf.look(&key, now).await? {
            Some((value, due_at)) => (Some(value), due_at),
            None => (None, None),
        };
        let said = circuit.says(value.as_ref());
        let count = match &circuit.count {
            None => None,
            Some(count) if count.entry.key == circuit.state.key => circuit.counted(value.as_ref()),
            Some(count) => match count.entry.key.literal() {
                Some(key) => {
                    let shelf = live.engine.stores().shelf(count.entry.store.as_deref());
                    circuit.counted(shelf.get(key, now).await?.as_ref())
                }
                None => None,
            },
        };
        Ok(CircuitStatus {
            name: named(&circuit.state, &key),
            key,
            said,
            count,
            due_at,
            app: app.clone(),
            index,
        })
    }
}

/// A circuit's name with a key as it is.
fn named(state: &Entry, key: &str) -> String {
    match &state.field {
        Some(field) => format!("{}/{key}.{field}", state.store_name()),
        None => format!("{}/{key}", state.store_name()),
    }
}

/// The key that a name says of a circuit.
fn key_in(name: &str, circuit: &Circuit) -> Option<String> {
    let key = name
        .strip_prefix(circuit.state.store_name())?
        .strip_prefix('/')?;
    let key = match &circuit.state.field {
        Some(field) => key.strip_suffix(&**field)?.strip_suffix('.')?,
        None => key,
    };
    circuit.state.key.takes(key).then(|| key.to_owned())
}

/// The value that opens a circuit.
fn opened(circuit: &Circuit) -> Result<Typed, String> {
    if circuit.state.field.is_some() {
        return Err(format!(
            "{} keeps its state with other things in one entry, which only the flow can write; close or reset it, which removes the entry",
            circuit.name
        ));
    }
    let number = |number: u64| Value::Number(i64::try_from(number).unwrap_or(i64::MAX).into());
    let value = match &circuit.opens {
        Opens::Is(value) => value.clone(),
        Opens::Present => Value::text("true"),
        Opens::AtLeast(Some(least)) => number(*least),
        Opens::AtLeast(None) => {
            return Err(format!(
                "{} opens at a count that is computed",
                circuit.name
            ));
        }
    };
    Ok(match value {
        Value::String(text) => Typed::literal(text),
        value => Typed {
            value,
            media_type: MediaType::java(),
        },
    })
}
