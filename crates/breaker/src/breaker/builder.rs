//! The builder of a breaker: seed, chance, listeners.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::AtomicU16;

use super::{Breaker, Inner};
use crate::breaker::listener::{Listener, Listeners, OnRefused, shared};
use crate::chance::Chance;
use crate::clock;
use crate::last_use::LastUse;
use crate::machine::Machine;
use crate::rare_state::RareStateHandle;
use crate::refused::Refused;
use crate::settings::{Settings, SettingsErrors};
use crate::shared::Core;
use crate::transition::Transition;

/// Builds a [`Breaker`] with more than a name and settings.
pub struct Builder {
    name: Arc<str>,
    settings: Arc<Settings>,
    seed: Option<u64>,
    chance: Option<Arc<dyn Chance>>,
    listeners: Vec<Arc<dyn Listener>>,
    shared_listeners: Option<Listeners>,
    key_at: u16,
}

impl Builder {
    pub(super) fn new(name: Arc<str>, settings: Arc<Settings>) -> Self {
        Builder {
            name,
            settings,
            seed: None,
            chance: None,
            listeners: Vec::new(),
            shared_listeners: None,
            key_at: 0,
        }
    }

    /// The seed of the jitter, for runs that must repeat. Default: from the operating system.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Another source of random numbers than the seeded one. Default: none.
    pub fn chance(mut self, chance: Arc<dyn Chance>) -> Self {
        self.chance = Some(chance);
        self
    }

    /// Adds a listener, called after those added earlier. Default: none.
    #[doc(alias = "on_state_transition")]
    pub fn listener(mut self, listener: Arc<dyn Listener>) -> Self {
        self.listeners.push(listener);
        self
    }

    /// Adds a closure that is called for every transition, see [`Listener::transition`].
    ///
    /// ```
    /// use fusebox_breaker::{Breaker, Settings};
    ///
    /// let breaker = Breaker::builder("orders", Settings::default())
    ///     .on_transition(|breaker, transition| println!("{}: {transition}", breaker.name()))
    ///     .on_refused(|_, refused| println!("{refused}"))
    ///     .build()?;
    /// # Ok::<(), fusebox_breaker::SettingsErrors>(())
    /// ```
    pub fn on_transition(
        self,
        hears: impl Fn(&Breaker, &Transition) + Send + Sync + 'static,
    ) -> Self {
        self.listener(Arc::new(hears))
    }

    /// Adds a closure that is called for every refused call, see [`Listener::refused`].
    pub fn on_refused(self, hears: impl Fn(&Breaker, &Refused) + Send + Sync + 'static) -> Self {
        self.listener(Arc::new(OnRefused(hears)))
    }

    /// Sets the listeners of a registry in place of its own.
    pub(crate) fn shared_listeners(mut self, listeners: Option<Listeners>) -> Self {
        self.shared_listeners = listeners;
        self
    }

    /// Marks the breaker as one of a registry; its name from that byte on is its key.
    pub(crate) fn keyed_from(mut self, key_at: u16) -> Self {
        self.key_at = key_at;
        self
    }

    /// The finished breaker, closed.
    ///
    /// # Errors
    /// All faults of the settings, see [`Settings::validate`].
    pub fn build(self) -> Result<Breaker, SettingsErrors> {
        clock::begin();
        let seed = self
            .seed
            .unwrap_or_else(|| RandomState::new().hash_one(&self.name));
        let mut machine = Machine::new(self.settings, seed)?;
        if let Some(chance) = self.chance {
            machine.draw_from(chance);
        }
        Ok(Breaker(Arc::new(Inner {
            core: Core::new(machine),
            name: self.name,
            listeners: self.shared_listeners.or_else(|| shared(self.listeners)),
            last_use: LastUse::default(),
            announcing: AtomicU16::new(0),
            key_at: self.key_at,
            rare: RareStateHandle::default(),
        })))
    }
}
