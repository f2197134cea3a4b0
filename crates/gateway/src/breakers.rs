//! The breakers before one upstream: one for all its calls, or one for each key.

use std::fmt::Write as _;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use fusebox_breaker::{Breaker, Listener, OVERFLOW_KEY, Registry, Timestamp, WindowFate};
use fusebox_plan::plan::{self, Key, KeyPart, Upstream};
use http::{HeaderMap, Method};

use crate::call::Desk;
use crate::clock::Clock;
use crate::meter::{BreakerMeter, PerWorker};

/// A longer key is replaced by its digest.
const KEY_BYTES_MAX: usize = 128;

/// A breaker, and what is counted of it.
#[derive(Debug, Clone)]
pub struct Guarded {
    /// The breaker.
    pub breaker: Breaker,
    /// What each worker counts.
    pub meters: Arc<PerWorker<BreakerMeter>>,
}

impl Guarded {
    /// What the desk's worker counts.
    pub fn meter(&self, desk: &Desk) -> &BreakerMeter {
        self.meters.of(desk.worker)
    }

    /// What a refusal says that has no end of its own: the breaker's cooldown, in seconds.
    pub fn fallback_seconds(&self) -> u64 {
        self.breaker.settings().cooldown.base.as_secs()
    }
}

/// What a request shows of itself to choose its breaker.
#[derive(Debug, Clone, Copy)]
pub struct KeyFacts<'a> {
    /// The route's name.
    pub route: &'a str,
    /// The request's method.
    pub method: &'a Method,
    /// The request's fields, as the client sent them.
    pub headers: &'a HeaderMap,
    /// The route's path parameters.
    pub params: &'a [(String, String)],
}

/// The breakers before one upstream.
#[derive(Debug)]
pub enum Guards {
    /// One for all calls.
    One(Guarded),
    /// One for each key.
    Keyed(Box<Keyed>),
}

/// Breakers by key, and what is counted of each.
#[derive(Debug)]
pub struct Keyed {
    upstream: Arc<str>,
    endpoint: String,
    key: Key,
    registry: Registry,
    meters: papaya::HashMap<Arc<str>, Arc<PerWorker<BreakerMeter>>>,
    workers: usize,
    clock: Arc<Clock>,
}

impl Guards {
    /// The breakers that a plan wants before an upstream.
    pub fn new(
        upstream: &Upstream,
        workers: usize,
        clock: &Arc<Clock>,
        listener: Arc<dyn Listener>,
    ) -> Guards {
        let plan = &upstream.breaker;
        let checked = "a plan's settings have been checked";
        if plan.key.is_upstream() {
            let breaker = Breaker::builder(upstream.name.clone(), plan.settings.clone())
                .listener(listener)
                .build()
                .expect(checked);
            return Guards::One(Guarded {
                breaker,
                meters: Arc::new(PerWorker::new(workers)),
            });
        }
        let registry = Registry::builder(upstream.name.clone(), plan.settings.clone())
            .max_keys(plan.keys_max)
            .listener(listener)
            .build()
            .expect(checked);
        Guards::Keyed(Box::new(Keyed {
            upstream: upstream.name.clone(),
            endpoint: upstream.endpoint.authority.clone(),
            key: plan.key.clone(),
            registry,
            meters: papaya::HashMap::new(),
            workers,
            clock: clock.clone(),
        }))
    }

    /// Whether these breakers can go on under another plan of the same upstream.
    pub fn fit(&self, upstream: &Upstream) -> bool {
        let plan = &upstream.breaker;
        match self {
            Guards::One(_) => plan.key.is_upstream(),
            Guards::Keyed(keyed) => {
                let by_endpoint = plan.key.0.contains(&KeyPart::Endpoint);
                keyed.key == plan.key
                    && (!by_endpoint || keyed.endpoint == upstream.endpoint.authority)
            }
        }
    }

    /// Gives all breakers what another plan says of them, and says, in a sentence each, what that
    /// cleared.
    pub fn reconfigure(&self, plan: &plan::Breaker, now: Timestamp) -> Vec<String> {
        if let Guards::Keyed(keyed) = self {
            keyed.registry.resize(plan.keys_max);
        }
        let settings = &plan.settings;
        let checked = "a plan's settings have been checked";
        let done = match self {
            Guards::One(guarded) => {
                let done = guarded
                    .breaker
                    .reconfigure(settings.clone(), now)
                    .expect(checked);
                vec![(guarded.breaker.clone(), done)]
            }
            Guards::Keyed(keyed) => keyed
                .registry
                .reconfigure(settings.clone(), now)
                .expect(checked),
        };
        done.into_iter()
            .filter(|(_, done)| {
                !done.state_kept
                    || done
                        .windows
                        .iter()
                        .any(|(_, fate)| *fate == WindowFate::Cleared)
            })
            .map(|(breaker, done)| format!("breaker {}: {done}", breaker.name()))
            .collect()
    }

    /// Gives back the memory of keyed breakers in which there is nothing.
    pub fn rest(&self, now: Timestamp) {
        if let Guards::Keyed(keyed) = self {
            keyed.registry.rest(now);
        }
    }

    /// The breaker of a request.
    pub fn select(&self, facts: &KeyFacts<'_>) -> Guarded {
        match self {
            Guards::One(guarded) => guarded.clone(),
            Guards::Keyed(keyed) => keyed.select(facts),
        }
    }

    /// All breakers that exist now.
    pub fn all(&self) -> Vec<Guarded> {
        match self {
            Guards::One(guarded) => vec![guarded.clone()],
            Guards::Keyed(keyed) => keyed
                .registry
                .breakers()
                .into_iter()
                .map(|breaker| keyed.guarded(breaker))
                .collect(),
        }
    }

    /// The breaker of a name, if it exists now.
    pub fn find(&self, name: &str) -> Option<Guarded> {
        match self {
            Guards::One(guarded) => (&**guarded.breaker.name() == name).then(|| guarded.clone()),
            Guards::Keyed(keyed) => {
                let key = keyed.key_in(name)?;
                keyed
                    .registry
                    .get(key)
                    .map(|breaker| keyed.guarded(breaker))
            }
        }
    }

    /// Whether a name is one that a breaker here could have.
    pub fn names(&self, name: &str) -> bool {
        match self {
            Guards::One(guarded) => &**guarded.breaker.name() == name,
            Guards::Keyed(keyed) => keyed.key_in(name).is_some(),
        }
    }

    /// The breaker of a name that was found in the store; made if a request could ask for it.
    pub fn recall(&self, name: &str, now: Timestamp) -> Option<Breaker> {
        match self {
            Guards::One(guarded) => {
                (&**guarded.breaker.name() == name).then(|| guarded.breaker.clone())
            }
            Guards::Keyed(keyed) => {
                let breaker = keyed.registry.get_or_create(keyed.key_in(name)?, now);
                // Where there is no room, a key's own past is not laid on those that share.
                (&**breaker.name() == name).then_some(breaker)
            }
        }
    }
}

impl Keyed {
    fn key_in<'a>(&self, name: &'a str) -> Option<&'a str> {
        name.strip_prefix(&*self.upstream)?.strip_prefix('/')
    }

    fn select(&self, facts: &KeyFacts<'_>) -> Guarded {
        let key = self.render(facts);
        self.guarded(self.registry.get_or_create(&key, self.clock.tick()))
    }

    fn guarded(&self, breaker: Breaker) -> Guarded {
        let meters = self.meters.pin();
        if let Some(found) = meters.get(breaker.name()) {
            return Guarded {
                meters: found.clone(),
                breaker,
            };
        }
        // Keys come and go, and what was counted of one that is gone goes with it.
        if meters.len() > 2 * self.registry.len() + 64 {
            meters.retain(|name, _| {
                self.key_in(name)
                    .is_some_and(|key| key == OVERFLOW_KEY || self.registry.contains(key))
            });
        }
        let made = meters.get_or_insert_with(breaker.name().clone(), || {
            Arc::new(PerWorker::new(self.workers))
        });
        Guarded {
            meters: made.clone(),
            breaker,
        }
    }

    /// The key's parts joined by `,`; a missing one is `-`. Too long a key, or one that names the
    /// breaker that surplus keys share, is its SHA-256.
    fn render(&self, facts: &KeyFacts<'_>) -> String {
        let mut key = String::with_capacity(32);
        for (at, part) in self.key.0.iter().enumerate() {
            if at > 0 {
                key.push(',');
            }
            match part {
                KeyPart::Upstream => key.push_str(&self.upstream),
                KeyPart::Endpoint => key.push_str(&self.endpoint),
                KeyPart::Route => key.push_str(facts.route),
                KeyPart::Method => key.push_str(facts.method.as_str()),
                KeyPart::Header(name) => match facts.headers.get(name) {
                    Some(value) if !value.is_empty() => {
                        key.push_str(&String::from_utf8_lossy(value.as_bytes()))
                    }
                    _ => key.push('-'),
                },
                KeyPart::Path(name) => {
                    let value = facts.params.iter().find(|(param, _)| param == name);
                    key.push_str(value.map_or("-", |(_, value)| value));
                }
            }
        }
        if key.len() <= KEY_BYTES_MAX && key != OVERFLOW_KEY {
            return key;
        }
        let mut hashed = String::with_capacity(64);
        for byte in digest(&SHA256, key.as_bytes()).as_ref() {
            write!(hashed, "{byte:02x}").expect("a String takes any text");
        }
        hashed
    }
}
