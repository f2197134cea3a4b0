//! The builder of a registry.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::limits::{self, DEFAULT_MAX_KEYS, Limits};
use super::{Making, OnOverflow, Registry};
use crate::breaker::Breaker;
use crate::breaker::listener::{Listener, OnRefused, shared};
use crate::chance::Chance;
use crate::inherited::{Change, Inherited};
use crate::refused::Refused;
use crate::settings::{Settings, SettingsErrors};
use crate::transition::Transition;

/// Builds a [`Registry`] with its limits, seeds and listeners.
pub struct RegistryBuilder {
    family: Arc<str>,
    settings: Arc<Settings>,
    changes: Vec<(Arc<str>, Change)>,
    max_keys: usize,
    limits: Limits,
    seed: Option<u64>,
    listeners: Vec<Arc<dyn Listener>>,
    chance: Option<Arc<dyn Chance>>,
}

impl RegistryBuilder {
    pub(super) fn new(family: Arc<str>, settings: Arc<Settings>) -> Self {
        RegistryBuilder {
            family,
            settings,
            changes: Vec::new(),
            max_keys: DEFAULT_MAX_KEYS,
            limits: Limits::default(),
            seed: None,
            listeners: Vec::new(),
            chance: None,
        }
    }

    /// The most keys with a breaker of their own. Default [`DEFAULT_MAX_KEYS`]; with 0 all keys share one.
    pub fn max_keys(mut self, max_keys: usize) -> Self {
        self.max_keys = max_keys;
        self
    }

    /// The time for which a key must not have been used before it is evicted for a new key although there are failures
    /// in its windows, or it has tripped and is past its cooldown. Default: ten times the longest of the windows, the
    /// cooldown and [`probe_timeout`](crate::HalfOpen::probe_timeout), and at least [`IDLE_AFTER_MIN`].
    ///
    /// [`IDLE_AFTER_MIN`]: super::IDLE_AFTER_MIN
    pub fn idle_after(mut self, idle_after: Duration) -> Self {
        self.limits.idle_after = Some(idle_after);
        self
    }

    /// The treatment of a key without room. Default: it shares a breaker with others.
    pub fn on_overflow(mut self, on_overflow: OnOverflow) -> Self {
        self.limits.on_overflow = on_overflow;
        self
    }

    /// Lets a key differ: its settings are the family's with a change. They follow the family's when those are changed.
    ///
    /// ```
    /// use fusebox_breaker::{Cooldown, Registry, Settings, Timestamp};
    /// use std::time::Duration;
    ///
    /// let registry = Registry::builder("tenants", Settings::default())
    ///     .except("acme", |settings| settings.cooldown = Cooldown::fixed(Duration::from_secs(5)))
    ///     .build()?;
    /// let cooldown = |key| registry.get_or_create(key, Timestamp::ZERO).settings().cooldown.base;
    /// assert_eq!(cooldown("acme"), Duration::from_secs(5));
    /// assert_eq!(cooldown("other"), Duration::from_secs(30));
    /// # Ok::<(), fusebox_breaker::SettingsErrors>(())
    /// ```
    pub fn except(
        mut self,
        key: impl Into<Arc<str>>,
        change: impl Fn(&mut Settings) + Send + Sync + 'static,
    ) -> Self {
        self.changes.push((key.into(), Arc::new(change)));
        self
    }

    /// The seed of all jitter, for runs that must repeat. Default: from the operating system.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Another source of random numbers for all breakers than seeds of their own. Default: none.
    pub fn chance(mut self, chance: Arc<dyn Chance>) -> Self {
        self.chance = Some(chance);
        self
    }

    /// Adds a listener of all breakers, called after those added earlier. Default: none.
    pub fn listener(mut self, listener: Arc<dyn Listener>) -> Self {
        self.listeners.push(listener);
        self
    }

    /// Adds a closure that is called for every transition of all breakers, see [`Listener::transition`].
    pub fn on_transition(
        self,
        hears: impl Fn(&Breaker, &Transition) + Send + Sync + 'static,
    ) -> Self {
        self.listener(Arc::new(hears))
    }

    /// Adds a closure that is called for every call that one of the breakers refused, see [`Listener::refused`].
    pub fn on_refused(self, hears: impl Fn(&Breaker, &Refused) + Send + Sync + 'static) -> Self {
        self.listener(Arc::new(OnRefused(hears)))
    }

    /// The finished registry, without a breaker yet.
    ///
    /// # Errors
    /// All faults of the settings, see [`Settings::validate`]; with sound ones, those of the first key found that differs;
    /// or that the family's name has more than 65,000 bytes.
    pub fn build(self) -> Result<Registry, SettingsErrors> {
        limits::check_family(&self.family)?;
        let settings = Inherited::new(self.settings, self.changes)?;
        let seed = self
            .seed
            .unwrap_or_else(|| RandomState::new().hash_one(&self.family));
        Ok(Registry {
            family: self.family,
            max_keys: AtomicUsize::new(self.max_keys),
            listeners: shared(self.listeners),
            chance: self.chance,
            entries: papaya::HashSet::default(),
            clock: Default::default(),
            overflow: Default::default(),
            counters: Default::default(),
            making: Mutex::new(Making {
                settings,
                limits: self.limits,
                seeds: fastrand::Rng::with_seed(seed),
                room: Default::default(),
            }),
        })
    }
}
