//! The breakers before one upstream: one for all its calls, or one for each key.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use fusebox_breaker::{
    Breaker, Listener, Registry, Timestamp,
    machine::WindowFate,
    registry::{KeyCounts, KeyParts, OVERFLOW_BREAKERS},
};
use fusebox_plan::plan::{self, Key, KeyPart, Upstream};
use http::{HeaderMap, HeaderValue, Method};

use crate::ground::clock::Clock;
use crate::ground::clock::WorkerRef;
use crate::ground::meter::{BreakerMeter, PerWorker};
use crate::upstream::probe_turns::ProbeTurns;

/// A longer key is replaced by its digest.
const KEY_BYTES_MAX: usize = 128;

/// A breaker, and what is counted of it.
#[derive(Debug, Clone)]
pub struct Guarded {
    /// The breaker.
    pub breaker: Breaker,
    /// What the gateway keeps beside it.
    pub beside: Arc<Beside>,
}

/// What the gateway keeps beside a breaker.
#[derive(Debug)]
pub struct Beside {
    /// What each worker counts.
    pub meters: PerWorker<BreakerMeter>,
    /// Who wants to probe.
    pub probes: ProbeTurns,
}

impl Beside {
    /// Counters for that many workers, at zero.
    pub fn new(workers: usize) -> Beside {
        Beside {
            meters: PerWorker::new(workers),
            probes: ProbeTurns::default(),
        }
    }
}

impl Guarded {
    /// What the worker counts.
    pub fn meter(&self, worker: &WorkerRef) -> &BreakerMeter {
        self.beside.meters.of(worker.index)
    }

    /// The time to wait after a refusal that has no end of its own: the breaker's cooldown.
    pub fn fallback(&self) -> Duration {
        self.breaker.settings().cooldown.base
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
    /// None: no call is refused, and nothing is counted or shown of a breaker.
    None,
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
    beside: papaya::HashMap<Arc<str>, Arc<Beside>>,
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
                beside: Arc::new(Beside::new(workers)),
            });
        }
        let mut registry = Registry::builder(upstream.name.clone(), plan.settings.clone())
            .max_keys(plan.keys_max)
            .on_overflow(plan.on_overflow)
            .listener(listener);
        if let Some(idle_after) = plan.idle_after {
            registry = registry.idle_after(idle_after);
        }
        let registry = registry.build().expect(checked);
        Guards::Keyed(Box::new(Keyed {
            upstream: upstream.name.clone(),
            endpoint: upstream.endpoint.authority.clone(),
            key: plan.key.clone(),
            registry,
            beside: papaya::HashMap::new(),
            workers,
            clock: clock.clone(),
        }))
    }

    /// Whether these breakers can go on under another plan of the same upstream.
    pub fn fit(&self, upstream: &Upstream) -> bool {
        let plan = &upstream.breaker;
        match self {
            Guards::None => false,
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
            keyed.registry.set_idle_after(plan.idle_after);
            keyed.registry.set_on_overflow(plan.on_overflow);
        }
        let settings = &plan.settings;
        let checked = "a plan's settings have been checked";
        let done = match self {
            Guards::None => Vec::new(),
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

    /// How many keys have a breaker of their own, and how often one gave way or found no room; `None`: there are no keys.
    pub fn keys(&self) -> Option<(usize, KeyCounts)> {
        match self {
            Guards::None | Guards::One(_) => None,
            Guards::Keyed(keyed) => Some((keyed.registry.len(), keyed.registry.counts())),
        }
    }

    /// Gives back the memory of keyed breakers in which there is nothing.
    pub fn rest(&self, now: Timestamp) {
        if let Guards::Keyed(keyed) = self {
            keyed.registry.rest(now);
        }
    }

    /// The breaker of a request; `None`: there is none before this upstream.
    pub fn select(&self, facts: &KeyFacts<'_>) -> Option<Guarded> {
        match self {
            Guards::None => None,
            Guards::One(guarded) => Some(guarded.clone()),
            Guards::Keyed(keyed) => Some(keyed.select(facts)),
        }
    }

    /// All breakers that exist now.
    pub fn all(&self) -> Vec<Guarded> {
        match self {
            Guards::None => Vec::new(),
            Guards::One(guarded) => vec![guarded.clone()],
            Guards::Keyed(keyed) => keyed
                .registry
                .breakers()
                .into_iter()
                .map(|breaker| keyed.guarded(breaker))
                .collect(),
        }
    }

    /// All breakers that exist now, with nothing made for those that have not been asked for yet.
    pub fn breakers(&self) -> Vec<Breaker> {
        match self {
            Guards::None => Vec::new(),
            Guards::One(guarded) => vec![guarded.breaker.clone()],
            Guards::Keyed(keyed) => keyed.registry.breakers(),
        }
    }

    /// One of these breakers, with what is counted of it.
    pub fn guarded(&self, breaker: Breaker) -> Guarded {
        match self {
            Guards::None => Guarded {
                breaker,
                beside: Arc::new(Beside::new(1)),
            },
            Guards::One(guarded) => guarded.clone(),
            Guards::Keyed(keyed) => keyed.guarded(breaker),
        }
    }

    /// The breaker of a name, if it exists now.
    pub fn find(&self, name: &str) -> Option<Guarded> {
        match self {
            Guards::None => None,
            Guards::One(guarded) => (&**guarded.breaker.name() == name).then(|| guarded.clone()),
            Guards::Keyed(keyed) => {
                let key = keyed.key_in(name)?;
                keyed
                    .registry
                    .peek(key)
                    .map(|breaker| keyed.guarded(breaker))
            }
        }
    }

    /// Whether a name is one that a breaker here could have.
    pub fn names(&self, name: &str) -> bool {
        match self {
            Guards::None => false,
            Guards::One(guarded) => &**guarded.breaker.name() == name,
            Guards::Keyed(keyed) => keyed.key_in(name).is_some(),
        }
    }

    /// The breaker of a name that was found in the store; made if a request could ask for it.
    pub fn recall(&self, name: &str, now: Timestamp) -> Option<Breaker> {
        match self {
            Guards::None => None,
            Guards::One(guarded) => {
                (&**guarded.breaker.name() == name).then(|| guarded.breaker.clone())
            }
            Guards::Keyed(keyed) => {
                // Shared breakers belong to other keys in every process, so they begin anew.
                let key = keyed.key_in(name).filter(|key| !key.starts_with('*'))?;
                let breaker = keyed.registry.get_or_create(key, now);
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
        let beside = self.beside.pin();
        if let Some(found) = beside.get(breaker.name()) {
            return Guarded {
                beside: found.clone(),
                breaker,
            };
        }
        // Keys come and go, and what was counted of one that is gone goes with it. The shared breakers stay.
        if beside.len() > 2 * (self.registry.len() + OVERFLOW_BREAKERS) {
            beside.retain(|name, _| {
                let key = self.key_in(name);
                key.is_some_and(|key| key.starts_with('*') || self.registry.contains(key))
            });
        }
        let made = beside.get_or_insert_with(breaker.name().clone(), || {
            Arc::new(Beside::new(self.workers))
        });
        Guarded {
            beside: made.clone(),
            breaker,
        }
    }

    /// The key's parts as [`KeyParts`] joins them. Too long a key is its SHA-256; one that looks like that is written
    /// differently, so that the two are never the same.
    fn render(&self, facts: &KeyFacts<'_>) -> String {
        let mut key = KeyParts::default();
        for part in &self.key.0 {
            match part {
                KeyPart::Upstream => key.push(Some(self.upstream.as_bytes())),
                KeyPart::Endpoint => key.push(Some(self.endpoint.as_bytes())),
                KeyPart::Route => key.push(Some(facts.route.as_bytes())),
                KeyPart::Method => key.push(Some(facts.method.as_str().as_bytes())),
                KeyPart::Header(name) => {
                    key.push(facts.headers.get(name).map(HeaderValue::as_bytes))
                }
                KeyPart::Path(name) => {
                    let value = facts.params.iter().find(|(param, _)| param == name);
                    key.push(value.map(|(_, value)| value.as_bytes()));
                }
            }
        }
        let mut key = key.into_key();
        if key.len() > KEY_BYTES_MAX {
            return hashed(&key);
        }
        if is_hash(&key) {
            let first = key.remove(0);
            key.insert_str(0, &format!("%{:02X}", u32::from(first)));
        }
        key
    }
}

/// The length of a digest in hexadecimal digits.
const HASH_DIGITS: usize = 64;

fn hashed(key: &str) -> String {
    let mut hashed = String::with_capacity(HASH_DIGITS);
    for byte in digest(&SHA256, key.as_bytes()).as_ref() {
        write!(hashed, "{byte:02x}").expect("a String takes any text");
    }
    hashed
}

fn is_hash(key: &str) -> bool {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    key.len() == HASH_DIGITS && key.bytes().all(is_digit)
}
