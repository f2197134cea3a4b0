//! The gateway's membership in its fleet: its name, its task, an operator's commands to all, and its view of the fleet.

use std::sync::Arc;
use std::time::Duration;

use fusebox_breaker::{HoldKind, Timestamp};
use fusebox_fleet::{
    Driver, Fleet, FleetOptions, FleetStatus, FleetView, Health, News, fleet, protocol::Word,
};
use fusebox_plan::plan;
use fusebox_store::{NewObject, ObjectStore, StoreError, When};

use crate::ground::action::Action;
use crate::ground::clock::Clock;
use crate::ground::stores::Stores;
use crate::upstream::events::{self, Events};

/// The partition of the store of records that holds this gateway's name, and its key.
const PARTITION: &str = "fleet";
const NODE: &str = "node";
/// The prefix of a record's name before the breaker's; 1 is the schema of the records.
const PREFIX: &str = "breaker:1:";
/// The most characters of the machine's name in a node's name.
const HOST_MAX: usize = 64;
/// The time that an ending gateway waits until the fleet has its last report.
const SETTLE_MAX: Duration = Duration::from_millis(500);
/// The time limit of an operator's command: the fleet drops it after a second.
const WORD_MAX: Duration = Duration::from_millis(1_500);
/// Time between two checks for the command's effect.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// A gateway's membership in a fleet.
#[derive(Debug, Clone)]
pub struct Membership {
    /// The gateway's name in the fleet.
    pub node: Arc<str>,
    /// The store's address in readable form, without secrets.
    pub place: Arc<str>,
    pub fleet: Fleet,
}

/// The reason why an operator's command did not reach the fleet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FleetError {
    /// The gateway runs without a store that others reach.
    #[error("this gateway belongs to no fleet; omit the scope, or run it with a Valkey store")]
    NoFleet,
    /// The breaker is not shared.
    #[error("the breaker is not shared; omit the scope, or give it a `share` in the configuration")]
    NotShared,
    /// No breaker has that name.
    #[error("no breaker has this name")]
    NoBreaker,
    /// The store did not take the command in time.
    #[error(
        "the fleet's store did not accept it within a second, so nothing has changed; omit the scope to steer this gateway alone"
    )]
    NotTaken,
}

impl Membership {
    /// Joins the fleet, if there is a shared store; run the task once the breakers have their restored states.
    ///
    /// # Errors
    /// If the gateway's own store cannot keep its name.
    pub async fn begin(
        stores: &Stores,
        wanted: Option<&plan::Fleet>,
        clock: &Arc<Clock>,
        events: &Arc<Events>,
    ) -> Result<Option<(Membership, Driver)>, StoreError> {
        let Some(shared) = &stores.shared else {
            return Ok(None);
        };
        let node = match wanted.and_then(|fleet| fleet.node.clone()) {
            Some(node) => node,
            None => own_name(&*stores.records).await?,
        };
        let (published, at) = (events.clone(), clock.clone());
        let on_news = move |news: &News| {
            say(news);
            let reachable = match news {
                News::StoreAway => false,
                News::StoreBack { .. } => true,
                _ => return,
            };
            published.publish(at.exact(), events::News::Store { reachable });
        };
        let options = FleetOptions {
            prefix: PREFIX.to_owned(),
            clock: clock.clone(),
            on_news: Some(Arc::new(on_news)),
            ..FleetOptions::new(node.clone())
        };
        let (fleet, driver) = fleet(options, shared.records.clone());
        tracing::info!(%node, store = %shared.place, "in a fleet");
        let place = shared.place.as_str().into();
        let node = node.into();
        Ok(Some((Membership { node, place, fleet }, driver)))
    }

    /// Waits until the fleet has the last report of an ending gateway, then ends its membership.
    pub async fn end(&self) {
        self.fleet.settle(SETTLE_MAX).await;
        self.fleet.stop();
    }

    /// Sends an operator's command to the whole fleet, for a shared breaker.
    ///
    /// # Errors
    /// [`FleetError::NotTaken`].
    pub async fn say(&self, breaker: &str, action: Action) -> Result<(), FleetError> {
        let carried_out = async || {
            let seen = self.fleet.look(Some(breaker)).await;
            let record = seen.into_iter().next().and_then(|view| view.record);
            record.and_then(|record| record.word)
        };
        let before = carried_out().await;
        self.fleet.say(breaker, word(action));
        let done = async {
            while carried_out().await == before {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        let done = tokio::time::timeout(WORD_MAX, done).await;
        done.map_err(|_| FleetError::NotTaken)
    }

    /// The store's availability and the age of the last news, in words.
    pub fn describe(&self, now: Timestamp) -> String {
        let status = self.fleet.status();
        let ago = status.staleness(now).as_secs_f64();
        let store = match status.health {
            Health::Reachable => format!("answered {ago:.1} s ago"),
            Health::Away { since } => {
                let away = now.saturating_since(since).as_secs_f64();
                format!("is away for {away:.1} s, every breaker decides alone")
            }
        };
        let (node, place, shared) = (&self.node, &self.place, status.breakers);
        let name = match status.same_name {
            0 => "",
            _ => {
                "; another gateway has the same name, so give each its own `fleet.node` and data directory"
            }
        };
        format!("node {node}, {shared} breakers shared; {place} {store}{name}")
    }
}

/// An operator's command as the fleet's type.
fn word(action: Action) -> Word {
    match action {
        Action::Hold {
            kind,
            duration,
            reason,
            by,
        } => Word::Hold {
            open: kind == HoldKind::Open,
            span: duration,
            why: reason,
            by,
        },
        Action::Release { by } => Word::Release { by },
        Action::Reset { by } => Word::Reset { by },
    }
}

/// The name of this gateway: the machine's name with a suffix that its data directory keeps, so that two gateways of
/// one machine differ and each is the same after a restart.
async fn own_name(store: &dyn ObjectStore) -> Result<String, StoreError> {
    if let Some(kept) = store.get(PARTITION, NODE).await?
        && let Ok(name) = String::from_utf8(kept.value.to_vec())
    {
        return Ok(name);
    }
    let host = rustix::system::uname();
    let host = host.nodename().to_string_lossy();
    let host: String = host.chars().take(HOST_MAX).collect();
    let name = format!("{host}-{:06x}", fastrand::u32(0..1 << 24));
    let object = NewObject::text(name.clone());
    store.put(PARTITION, NODE, object, When::Always).await?;
    Ok(name)
}

/// Logs news of the fleet for people.
fn say(news: &News) {
    match news {
        News::StoreAway => tracing::warn!(
            "the fleet's store is away; every breaker decides alone until it is back"
        ),
        News::StoreBack { after } => {
            tracing::info!(
                away_seconds = after.as_secs_f64(),
                "the fleet's store is back"
            );
        }
        News::RecordLost { key } => {
            tracing::warn!(breaker = %key, "the fleet's store lost the breaker's record; it is made anew");
        }
        News::RecordUnreadable { key } => tracing::error!(
            breaker = %key,
            "the fleet's record of the breaker was written by a later version of this program; the breaker decides alone"
        ),
        News::RecordUnsound { key, why } => tracing::warn!(
            breaker = %key,
            "the fleet's record of the breaker is not to be believed ({why}), and is made anew from what is known here; see who else writes to the store"
        ),
        News::NameTaken { others } => tracing::warn!(
            others,
            "another gateway of the fleet has this one's name, so the two count as one; give each a `fleet.node` or a data directory of its own"
        ),
        News::NotShared { key, why } => {
            tracing::error!(breaker = %key, %why, "the breaker is not shared; it decides alone");
        }
        News::WordDropped { key, .. } => tracing::warn!(
            breaker = %key,
            "an operator's word to the fleet was not carried out: the store did not take it in time"
        ),
    }
}

/// A gateway's view of its fleet.
#[derive(Debug, Clone)]
pub struct FleetShown {
    /// The gateway's name in the fleet.
    pub node: Arc<str>,
    /// The fleet's state, seen from here.
    pub status: FleetStatus,
    /// The state of each shared breaker that was asked for.
    pub breakers: Vec<FleetView>,
}
