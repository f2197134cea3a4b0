//! An upstream's endpoints: those in use, ejected or unhealthy, and the one that the next attempt goes to.
//!
//! # Two facts
//! An endpoint is *ejected* by its own breaker, which records every attempt, and *unhealthy* by its health checks. Neither
//! writes the other; one that has either gets no calls.
//!
//! # Never empty
//! At most `max_ejected` of the endpoints are ejected, and at least `min_healthy` stay. Beyond that an endpoint whose
//! breaker opens stays in use with half its weight (`would_eject`) until its breaker closes. If all are unhealthy, the
//! calls go to all. Whether the whole upstream is sick is for its own breaker to say.
//!
//! # The return
//! Once an endpoint's cooldown is over, the next call that may be repeated probes it, one at a time; if none came for
//! another `for.base`, any call does.
//!
//! # Shared
//! [`Endpoints`] belongs to all workers. A call takes the current [`EndpointSet`], which never changes; an update makes a
//! new one, with the same [`Endpoint`] wherever a name stays.

use std::error::Error;
use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::{ArcSwap, Guard};
use fusebox_breaker::settings::{Probes, RetryAfter};
use fusebox_breaker::{Breaker, Settings, SettingsErrors, Timestamp};

use crate::balance::{Ewma, hash_of, median, schedule};
use crate::settings::{Balance, Ejection};

mod ask;
mod chosen;
mod endpoint;
mod field;
mod ledger;
mod names;
mod set;
mod view;

pub use ask::{Ask, Tried};
pub use chosen::Chosen;
pub use endpoint::Endpoint;
pub use ledger::{EjectionChange, Watch};
pub use names::{EndpointSpec, names};
pub use set::{EndpointSet, Member};
pub use view::EndpointView;

use ledger::{Ledger, OnTransition};

/// The most endpoints of one upstream; further ones are left out.
pub const MAX_ENDPOINTS: usize = 1024;

/// The largest weight; a larger one is taken for it.
pub const MAX_WEIGHT: u32 = 1_000_000;

/// The endpoints of one upstream, over all workers and reloads.
pub struct Endpoints {
    upstream: Arc<str>,
    ledger: Arc<Ledger>,
    set: ArcSwap<EndpointSet>,
    next_id: AtomicU32,
    /// Held during an update.
    updating: Mutex<()>,
}

/// The rules of the choice.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ChoiceRules {
    /// `balance`: the choice among those in use. Default: round robin.
    pub balance: Balance,
    /// `ejection`; `None`: off. Without effect on a single endpoint.
    pub ejection: Option<Ejection>,
}

/// The endpoints that came and left with an update.
#[derive(Debug, Default)]
pub struct Updated {
    /// Endpoints that are new.
    pub came: Vec<Arc<Endpoint>>,
    /// Those no longer chosen; their attempts in flight are not cut off.
    pub left: Vec<Arc<Endpoint>>,
}

/// The reason why there are no such endpoints.
#[derive(Debug)]
pub enum EndpointsError {
    /// There is not even one.
    Empty,
    /// The settings of the endpoints' breakers are faulty.
    Settings(SettingsErrors),
}

impl fmt::Display for EndpointsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EndpointsError::Empty => f.write_str("no endpoints; give at least one"),
            EndpointsError::Settings(errors) => errors.fmt(f),
        }
    }
}

impl Error for EndpointsError {}

impl From<SettingsErrors> for EndpointsError {
    fn from(errors: SettingsErrors) -> EndpointsError {
        EndpointsError::Settings(errors)
    }
}

impl Endpoints {
    /// The endpoints of an upstream, all of unknown health and with closed breakers, each named `UPSTREAM@ENDPOINT`.
    ///
    /// # Errors
    /// No endpoint, or faults of the ejection's settings.
    pub fn new(
        upstream: impl Into<Arc<str>>,
        specs: &[EndpointSpec],
        rules: &ChoiceRules,
        watch: Arc<dyn Watch>,
        now: Timestamp,
    ) -> Result<Endpoints, EndpointsError> {
        let (ledger, upstream) = (Arc::new(Ledger::new(watch)), upstream.into());
        let next_id = AtomicU32::new(0);
        let maker = Maker {
            upstream: &upstream,
            ledger: &ledger,
            next_id: &next_id,
        };
        let set = Arc::new(maker.set(specs, rules, &[], now)?);
        ledger.serve(&set, now);
        Ok(Endpoints {
            upstream,
            set: ArcSwap::new(set),
            ledger,
            next_id,
            updating: Mutex::new(()),
        })
    }

    /// The endpoints in use now, for a call to keep.
    pub fn set(&self) -> Arc<EndpointSet> {
        self.set.load_full()
    }

    /// The same for a look, without a handle of one's own.
    pub fn look(&self) -> Guard<Arc<EndpointSet>> {
        self.set.load()
    }

    /// Takes other endpoints or rules, after a reload or when names were looked up again. An endpoint whose name stays
    /// keeps its state, with the breaker's settings changed. An empty list keeps the endpoints and changes the rules.
    ///
    /// # Errors
    /// Faults of the ejection's settings; nothing is changed then.
    pub fn update(
        &self,
        specs: &[EndpointSpec],
        rules: &ChoiceRules,
        now: Timestamp,
    ) -> Result<Updated, EndpointsError> {
        let _updating = self.updating.lock().unwrap_or_else(PoisonError::into_inner);
        let old = self.set();
        let same: Vec<EndpointSpec>;
        let specs = match specs {
            [] => {
                same = old.members.iter().map(Member::spec).collect();
                &same
            }
            specs => specs,
        };
        let maker = Maker {
            upstream: &self.upstream,
            ledger: &self.ledger,
            next_id: &self.next_id,
        };
        let set = Arc::new(maker.set(specs, rules, &old.members, now)?);
        self.ledger.serve(&set, now);
        self.set.store(set.clone());
        let without = |all: &EndpointSet, others: &EndpointSet| {
            let is_in = |id| others.members.iter().any(|other| other.endpoint.id() == id);
            let missing = all.members.iter().map(|member| &member.endpoint);
            missing
                .filter(|endpoint| !is_in(endpoint.id()))
                .cloned()
                .collect()
        };
        Ok(Updated {
            came: without(&set, &old),
            left: without(&old, &set),
        })
    }

    /// Takes account of breakers that were restored or commanded, and of holds that have ended by themselves. Only their
    /// own transitions are noticed without it.
    pub fn settle(&self, now: Timestamp) {
        self.ledger.settle(now);
    }
}

impl fmt::Debug for Endpoints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoints")
            .field("upstream", &self.upstream)
            .field("set", &self.look())
            .finish_non_exhaustive()
    }
}

impl Member {
    /// The endpoint as it was given, but for its name, which stays as it is.
    fn spec(&self) -> EndpointSpec {
        EndpointSpec {
            authority: self.endpoint.name().clone(),
            path: "".into(),
            url: self.url.clone(),
            weight: self.weight,
        }
    }
}

/// Makes sets, and the endpoints that are new in them.
struct Maker<'a> {
    upstream: &'a str,
    ledger: &'a Arc<Ledger>,
    next_id: &'a AtomicU32,
}

impl Maker<'_> {
    fn set(
        &self,
        specs: &[EndpointSpec],
        rules: &ChoiceRules,
        old: &[Member],
        now: Timestamp,
    ) -> Result<EndpointSet, EndpointsError> {
        let specs = &specs[..specs.len().min(MAX_ENDPOINTS)];
        if specs.is_empty() {
            return Err(EndpointsError::Empty);
        }
        let ejection = rules.ejection.clone().unwrap_or_default();
        let settings = Arc::new(endpoint_settings(&ejection.breaker));
        settings.validate()?;
        let usual = median(old.iter().map(|member| member.endpoint.ewma()));
        let mut members = Vec::with_capacity(specs.len());
        for (spec, name) in specs.iter().zip(names(specs)) {
            let kept = old.iter().find(|member| *member.endpoint.name() == name);
            let endpoint = match kept {
                Some(kept) => {
                    let breaker = kept.endpoint.breaker();
                    if breaker.settings() != settings {
                        breaker.reconfigure(settings.clone(), now)?;
                    }
                    kept.endpoint.clone()
                }
                None => {
                    let breaker = self.breaker(&name, &settings)?;
                    let id = self.next_id.fetch_add(1, Ordering::Relaxed);
                    let ewma = Ewma::starting(usual, now);
                    Arc::new(Endpoint::new(id, name, breaker, ewma, self.ledger.clone()))
                }
            };
            members.push(Member {
                key: hash_of(endpoint.name()),
                endpoint,
                weight: spec.weight.clamp(1, MAX_WEIGHT),
                url: spec.url.clone(),
            });
        }
        let weights: Vec<u32> = members.iter().map(|member| member.weight).collect();
        let base = ejection.breaker.cooldown.base.as_nanos();
        Ok(EndpointSet {
            schedule: schedule(&weights),
            balance: rules.balance.clone(),
            ejects: rules.ejection.is_some() && members.len() > 1,
            ejected_most: ejection.most(members.len()),
            weight_mean: weights.iter().copied().map(f64::from).sum::<f64>() / weights.len() as f64,
            healthy_min: ejection.healthy_min as usize,
            patience: u64::try_from(base).unwrap_or(u64::MAX),
            ledger: self.ledger.clone(),
            members: members.into(),
        })
    }

    fn breaker(&self, name: &str, settings: &Arc<Settings>) -> Result<Breaker, SettingsErrors> {
        let full = format!("{}@{name}", self.upstream);
        let builder = Breaker::builder(full, settings.clone())
            .listener(Arc::new(OnTransition(self.ledger.clone())));
        self.ledger.watch.equip(name, builder).build()
    }
}

/// The settings of an endpoint's breaker: one probe at a time, and no `Retry-After`.
fn endpoint_settings(given: &Settings) -> Settings {
    let mut settings = given.clone();
    settings.half_open.probes = Probes::default();
    settings.retry_after = RetryAfter::Ignore;
    settings
}
