//! The breakers before one upstream: one for all its calls, or one for each key.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use fusebox_breaker::{
    Breaker, Listener, Registry, Rejection, Timestamp,
    machine::{Reconfigured, WindowFate},
    registry::{KeyCounts, KeyParts, OVERFLOW_BREAKERS},
};
use fusebox_plan::plan::{self, Key, KeyPart, Upstream};
use http::{HeaderMap, HeaderValue, Method};

use crate::ground::access_log::note::Decision;
use crate::ground::clock::Clock;
use crate::ground::clock::WorkerRef;
use crate::ground::histogram::SharedSteps;
use crate::ground::meter::{BreakerMeter, PerWorker};
use crate::ground::series::Sampled;
use crate::upstream::last_failures::LastFailures;
use crate::upstream::probe_turns::ProbeTurns;

/// The longest key in bytes; a longer one is replaced by its digest.
const KEY_BYTES_MAX: usize = 128;

/// A breaker with its counters and its turns to probe.
#[derive(Debug, Clone)]
pub struct LiveBreaker {
    /// The breaker itself.
    pub breaker: Breaker,
    /// The gateway's data for it.
    pub extras: Arc<BreakerExtras>,
}

/// The thing that a breaker stands before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerKind {
    /// An upstream, or one key of it.
    Upstream,
    /// One endpoint of an upstream.
    Endpoint,
    /// A part of an application.
    Flow,
    /// Something that programs call by themselves, and report.
    Service,
}

impl BreakerKind {
    /// The word `upstream`, `endpoint`, `flow` or `service`.
    pub const fn as_str(self) -> &'static str {
        match self {
            BreakerKind::Upstream => "upstream",
            BreakerKind::Endpoint => "endpoint",
            BreakerKind::Flow => "flow",
            BreakerKind::Service => "service",
        }
    }
}

/// The gateway's data for one breaker.
#[derive(Debug)]
pub struct BreakerExtras {
    /// The thing that the breaker stands before.
    pub kind: BreakerKind,
    /// Counts of each worker.
    pub meters: PerWorker<BreakerMeter>,
    /// The requests that want to probe.
    pub probes: ProbeTurns,
    /// The last failures.
    pub failures: LastFailures,
    /// The times to the heads of answers; `None`: its upstream counts them, or they are not counted.
    pub times: Option<SharedSteps>,
    /// The last minute, if a sampler runs.
    pub sampled: Sampled,
}

impl BreakerExtras {
    /// Counters at zero for `workers` workers.
    pub fn new(workers: usize, kind: BreakerKind) -> BreakerExtras {
        BreakerExtras {
            kind,
            meters: PerWorker::new(workers),
            probes: ProbeTurns::default(),
            failures: LastFailures::default(),
            times: None,
            sampled: Sampled::default(),
        }
    }

    /// With times of its own, as one of several breakers of an upstream has them.
    pub fn timed(self) -> BreakerExtras {
        let times = Some(SharedSteps::default());
        BreakerExtras { times, ..self }
    }

    /// Counts the time to an answer's head, if this breaker has times of its own.
    pub fn observe(&self, duration: Duration) {
        if let Some(times) = &self.times {
            times.observe(duration);
        }
    }
}

impl LiveBreaker {
    /// The counts of one worker.
    pub fn meter(&self, worker: &WorkerRef) -> &BreakerMeter {
        self.extras.meters.of(worker.index)
    }

    /// The refusal of a call to an upstream, for the access log.
    pub fn refusal(
        &self,
        upstream: &Arc<str>,
        rejection: &Rejection,
        worker: &WorkerRef,
    ) -> Decision {
        let generation = self.breaker.snapshot(worker.clock.exact()).generation;
        let state = rejection.phase.as_str();
        Decision {
            upstream: upstream.clone(),
            breaker: Some((self.breaker.name().clone(), state, generation)),
        }
    }

    /// The time to wait after a refusal that has no end of its own: the breaker's cooldown.
    pub fn fallback(&self) -> Duration {
        self.breaker.settings().cooldown.base
    }
}

/// The parts of a request that choose its breaker.
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

#[derive(Debug)]
pub enum UpstreamBreakers {
    /// No breaker: no call is rejected, and nothing is counted or shown.
    None,
    One(LiveBreaker),
    Keyed(Box<Keyed>),
}

#[derive(Debug)]
pub struct Keyed {
    upstream: Arc<str>,
    endpoint: String,
    key: Key,
    registry: Registry,
    extras: papaya::HashMap<Arc<str>, Arc<BreakerExtras>>,
    workers: usize,
    clock: Arc<Clock>,
}

impl UpstreamBreakers {
    /// The breakers of an upstream in a plan. `name` is that of the one breaker, or the prefix of those of keys.
    pub fn new(
        name: &Arc<str>,
        upstream: &Upstream,
        workers: usize,
        clock: &Arc<Clock>,
        listener: Arc<dyn Listener>,
    ) -> UpstreamBreakers {
        let plan = &upstream.breaker;
        let checked = "a plan's settings have been checked";
        if plan.key.is_upstream() {
            let breaker = Breaker::builder(name.clone(), plan.settings.clone())
                .listener(listener)
                .build()
                .expect(checked);
            return UpstreamBreakers::One(LiveBreaker {
                breaker,
                extras: Arc::new(BreakerExtras::new(workers, BreakerKind::Upstream)),
            });
        }
        let mut registry = Registry::builder(name.clone(), plan.settings.clone())
            .max_keys(plan.keys_max)
            .on_overflow(plan.on_overflow)
            .listener(listener);
        if let Some(idle_after) = plan.idle_after {
            registry = registry.idle_after(idle_after);
        }
        let registry = registry.build().expect(checked);
        UpstreamBreakers::Keyed(Box::new(Keyed {
            upstream: name.clone(),
            endpoint: upstream.endpoint().authority.clone(),
            key: plan.key.clone(),
            registry,
            extras: papaya::HashMap::new(),
            workers,
            clock: clock.clone(),
        }))
    }

    /// The name of the one breaker, or the prefix of those of keys; `None`: no breaker.
    pub fn name(&self) -> Option<&Arc<str>> {
        match self {
            UpstreamBreakers::None => None,
            UpstreamBreakers::One(live_breaker) => Some(live_breaker.breaker.name()),
            UpstreamBreakers::Keyed(keyed) => Some(&keyed.upstream),
        }
    }

    /// True if these breakers can continue under another plan of the same upstream.
    pub fn fit(&self, upstream: &Upstream) -> bool {
        let plan = &upstream.breaker;
        match self {
            UpstreamBreakers::None => false,
            UpstreamBreakers::One(_) => plan.key.is_upstream(),
            UpstreamBreakers::Keyed(keyed) => {
                let by_endpoint = plan.key.0.contains(&KeyPart::Endpoint);
                keyed.key == plan.key
                    && (!by_endpoint || keyed.endpoint == upstream.endpoint().authority)
            }
        }
    }

    /// Gives all breakers the settings of another plan. Returns a sentence for each piece of state that was cleared.
    pub fn reconfigure(&self, plan: &plan::Breaker, now: Timestamp) -> Vec<String> {
        if let UpstreamBreakers::Keyed(keyed) = self {
            keyed.registry.resize(plan.keys_max);
            keyed.registry.set_idle_after(plan.idle_after);
            keyed.registry.set_on_overflow(plan.on_overflow);
        }
        let settings = &plan.settings;
        let checked = "a plan's settings have been checked";
        let done = match self {
            UpstreamBreakers::None => Vec::new(),
            UpstreamBreakers::One(live_breaker) => {
                let done = live_breaker
                    .breaker
                    .reconfigure(settings.clone(), now)
                    .expect(checked);
                vec![(live_breaker.breaker.clone(), done)]
            }
            UpstreamBreakers::Keyed(keyed) => keyed
                .registry
                .reconfigure(settings.clone(), now)
                .expect(checked),
        };
        done.into_iter()
            .filter_map(|(breaker, done)| UpstreamBreakers::lost(&breaker, &done))
            .collect()
    }

    /// A sentence about the state that new settings have cleared; `None`: nothing was lost.
    pub fn lost(breaker: &Breaker, done: &Reconfigured) -> Option<String> {
        let mut fates = done.windows.iter().map(|(_, fate)| *fate);
        let has_lost = !done.state_kept || fates.any(|fate| fate == WindowFate::Cleared);
        has_lost.then(|| format!("breaker {}: {done}", breaker.name()))
    }

    /// The number of keys with a breaker of their own, with the counts of evictions and of keys without room; `None`:
    /// no keys.
    pub fn keys(&self) -> Option<(usize, KeyCounts)> {
        match self {
            UpstreamBreakers::None | UpstreamBreakers::One(_) => None,
            UpstreamBreakers::Keyed(keyed) => Some((keyed.registry.len(), keyed.registry.counts())),
        }
    }

    /// Frees the memory of keyed breakers without any state.
    pub fn rest(&self, now: Timestamp) {
        if let UpstreamBreakers::Keyed(keyed) = self {
            keyed.registry.rest(now);
        }
    }

    /// The breaker of a request; `None`: the upstream has none.
    pub fn select(&self, facts: &KeyFacts<'_>) -> Option<LiveBreaker> {
        match self {
            UpstreamBreakers::None => None,
            UpstreamBreakers::One(live_breaker) => Some(live_breaker.clone()),
            UpstreamBreakers::Keyed(keyed) => Some(keyed.select(facts)),
        }
    }

    /// All breakers that exist now, with their counters.
    pub fn all(&self) -> Vec<LiveBreaker> {
        match self {
            UpstreamBreakers::None => Vec::new(),
            UpstreamBreakers::One(live_breaker) => vec![live_breaker.clone()],
            UpstreamBreakers::Keyed(keyed) => keyed
                .registry
                .breakers()
                .into_iter()
                .map(|breaker| keyed.live(breaker))
                .collect(),
        }
    }

    /// All breakers that exist now, without creating counters for unused ones.
    pub fn handles(&self) -> Vec<Breaker> {
        match self {
            UpstreamBreakers::None => Vec::new(),
            UpstreamBreakers::One(live_breaker) => vec![live_breaker.breaker.clone()],
            UpstreamBreakers::Keyed(keyed) => keyed.registry.breakers(),
        }
    }

    /// The counters of the breakers that exist now and have some, by name. Looking counts as no use of a key.
    pub fn metered(&self) -> Vec<(Arc<str>, Arc<BreakerExtras>)> {
        match self {
            UpstreamBreakers::None => Vec::new(),
            UpstreamBreakers::One(LiveBreaker { breaker, extras }) => {
                vec![(breaker.name().clone(), extras.clone())]
            }
            UpstreamBreakers::Keyed(keyed) => {
                let extras = keyed.extras.pin();
                let living = extras.iter().filter(|(name, _)| keyed.is_alive(name));
                living
                    .map(|(name, extras)| (name.clone(), extras.clone()))
                    .collect()
            }
        }
    }

    pub fn live(&self, breaker: Breaker) -> LiveBreaker {
        match self {
            UpstreamBreakers::None => LiveBreaker {
                breaker,
                extras: Arc::new(BreakerExtras::new(1, BreakerKind::Upstream)),
            },
            UpstreamBreakers::One(live_breaker) => live_breaker.clone(),
            UpstreamBreakers::Keyed(keyed) => keyed.live(breaker),
        }
    }

    pub fn find(&self, name: &str) -> Option<LiveBreaker> {
        match self {
            UpstreamBreakers::None => None,
            UpstreamBreakers::One(live_breaker) => {
                (&**live_breaker.breaker.name() == name).then(|| live_breaker.clone())
            }
            UpstreamBreakers::Keyed(keyed) => {
                let key = keyed.key_in(name)?;
                keyed.registry.peek(key).map(|breaker| keyed.live(breaker))
            }
        }
    }

    /// The breaker of a name that a program asks for; one of a key is made if there is none yet.
    pub fn asked(&self, name: &str, now: Timestamp) -> Option<LiveBreaker> {
        let UpstreamBreakers::Keyed(keyed) = self else {
            return self.find(name);
        };
        let key = keyed.key_in(name)?;
        let is_sound = !key.starts_with('*') && key.len() <= KEY_BYTES_MAX;
        is_sound.then(|| keyed.live(keyed.registry.get_or_create(key, now)))
    }

    /// True if a breaker of these could have the name.
    pub fn names(&self, name: &str) -> bool {
        match self {
            UpstreamBreakers::None => false,
            UpstreamBreakers::One(live_breaker) => &**live_breaker.breaker.name() == name,
            UpstreamBreakers::Keyed(keyed) => keyed.key_in(name).is_some(),
        }
    }

    /// The breaker of a name found in the store; it is created if a request could ask for it.
    pub fn recall(&self, name: &str, now: Timestamp) -> Option<Breaker> {
        match self {
            UpstreamBreakers::None => None,
            UpstreamBreakers::One(live_breaker) => {
                (&**live_breaker.breaker.name() == name).then(|| live_breaker.breaker.clone())
            }
            UpstreamBreakers::Keyed(keyed) => {
                // Shared breakers have other keys in every process, so they start again.
                let key = keyed.key_in(name).filter(|key| !key.starts_with('*'))?;
                let breaker = keyed.registry.get_or_create(key, now);
                // Without room, a key's own past is not restored into a breaker that several keys share.
                (&**breaker.name() == name).then_some(breaker)
            }
        }
    }
}

impl Keyed {
    fn key_in<'a>(&self, name: &'a str) -> Option<&'a str> {
        name.strip_prefix(&*self.upstream)?.strip_prefix('/')
    }

    /// True if the breaker of a name exists; those that keys without room share always do.
    fn is_alive(&self, name: &str) -> bool {
        let key = self.key_in(name);
        key.is_some_and(|key| key.starts_with('*') || self.registry.contains(key))
    }

    fn select(&self, facts: &KeyFacts<'_>) -> LiveBreaker {
        let key = self.render(facts);
        self.live(self.registry.get_or_create(&key, self.clock.tick()))
    }

    fn live(&self, breaker: Breaker) -> LiveBreaker {
        let extras = self.extras.pin();
        if let Some(found) = extras.get(breaker.name()) {
            return LiveBreaker {
                extras: found.clone(),
                breaker,
            };
        }
        // Keys come and go, and their counters go with them. The shared breakers stay.
        if extras.len() > 2 * (self.registry.len() + OVERFLOW_BREAKERS) {
            extras.retain(|name, _| self.is_alive(name));
        }
        let made = extras.get_or_insert_with(breaker.name().clone(), || {
            Arc::new(BreakerExtras::new(self.workers, BreakerKind::Upstream).timed())
        });
        LiveBreaker {
            extras: made.clone(),
            breaker,
        }
    }

    /// The key's parts joined as [`KeyParts`] does. A key that is too long becomes its SHA-256; one that looks like a
    /// digest is written differently, so that the two never clash.
    fn render(&self, facts: &KeyFacts<'_>) -> String {
        let mut key = key_text(&self.key, &self.upstream, &self.endpoint, facts);
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

/// A template's parts for a request, joined as [`KeyParts`] does.
pub fn key_text(key: &Key, upstream: &str, endpoint: &str, facts: &KeyFacts<'_>) -> String {
    let mut text = KeyParts::default();
    for part in &key.0 {
        match part {
            KeyPart::Upstream => text.push(Some(upstream.as_bytes())),
            KeyPart::Endpoint => text.push(Some(endpoint.as_bytes())),
            KeyPart::Route => text.push(Some(facts.route.as_bytes())),
            KeyPart::Method => text.push(Some(facts.method.as_str().as_bytes())),
            KeyPart::Header(name) => text.push(facts.headers.get(name).map(HeaderValue::as_bytes)),
            KeyPart::Path(name) => {
                let value = facts.params.iter().find(|(param, _)| param == name);
                text.push(value.map(|(_, value)| value.as_bytes()));
            }
        }
    }
    text.into_key()
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

#[cfg(test)]
mod looking;
