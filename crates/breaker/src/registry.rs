//! Many breakers of one family, one for each key.

use std::borrow::Borrow;
use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::breaker::Breaker;
use crate::breaker::listener::Listeners;
use crate::chance::Chance;
use crate::inherited::Inherited;
use crate::last_use::{self, KeyClock};
use crate::machine::Reconfigured;
use crate::settings::{Mode, Settings, SettingsErrors};
use crate::time::Timestamp;

mod builder;
mod counts;
mod hash;
mod limits;
mod order;
mod overflow;
mod room;

pub use crate::key_text::KeyParts;
pub use builder::RegistryBuilder;
pub use counts::KeyCounts;
pub use limits::{DEFAULT_MAX_KEYS, IDLE_AFTER_MIN};
pub use overflow::{OVERFLOW_BREAKERS, OnOverflow};

use counts::Counters;
use hash::ByKey;
use limits::Limits;
use overflow::{Overflow, is_reserved};
use room::{Now, Room};

/// The breakers of one family, each created at the first call of its key.
///
/// A breaker is named `family/key`. At most `max_keys` exist; for a new key beyond that one is evicted:
///
/// 1. the least recently used among those that are closed and hold no failure, at any age;
/// 2. else the least recently used among those that were not used for
///    [`idle_after`](RegistryBuilder::idle_after) and are closed, whatever their windows hold, or past their cooldown.
///
/// An open or held one is never evicted, nor one with a handle elsewhere. If none can be, the new key shares one of
/// [`OVERFLOW_BREAKERS`] breakers, `family/*0` to `family/*63`, with those of the same hash, and has its own as soon as
/// there is room; or its calls pass unjudged, see [`OnOverflow`]. There is no timer and no task.
///
/// A time more than a year ahead of all earlier times is of another clock: it makes no key look older.
///
/// A breaker without any state takes at most 200 bytes beside the text of its key, once it is [laid to
/// rest](Registry::rest).
///
/// Finding a breaker that exists takes no lock. The cost of a new key does not depend on their number, on average over
/// many of them.
///
/// ```
/// use fusebox_breaker::{Registry, Settings, Timestamp};
///
/// let registry = Registry::builder("orders", Settings::default()).max_keys(100).build()?;
/// let breaker = registry.get_or_create("tenant-7", Timestamp::ZERO);
/// assert_eq!(&**breaker.name(), "orders/tenant-7");
/// # Ok::<(), fusebox_breaker::SettingsErrors>(())
/// ```
pub struct Registry {
    family: Arc<str>,
    max_keys: AtomicUsize,
    listeners: Option<Listeners>,
    chance: Option<Arc<dyn Chance>>,
    entries: papaya::HashSet<Entry, ByKey>,
    clock: KeyClock,
    overflow: Overflow,
    counters: Counters,
    /// Locked to make a breaker, never to find one, and never while a listener runs.
    making: Mutex<Making>,
}

/// A breaker under its key, which is the rest of its name: no text is stored twice.
struct Entry(Breaker);

impl Borrow<str> for Entry {
    fn borrow(&self) -> &str {
        self.0.key()
    }
}

impl Hash for Entry {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.key().hash(state);
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.0.key() == other.0.key()
    }
}

impl Eq for Entry {}

struct Making {
    settings: Inherited,
    limits: Limits,
    seeds: fastrand::Rng,
    room: Room,
}

impl Registry {
    /// A registry with the default number of keys.
    ///
    /// # Errors
    /// All faults of the settings, see [`Settings::validate`].
    pub fn new(
        family: impl Into<Arc<str>>,
        settings: impl Into<Arc<Settings>>,
    ) -> Result<Self, SettingsErrors> {
        Registry::builder(family, settings).build()
    }

    /// A builder of a registry with a number of keys, a seed or a listener.
    pub fn builder(
        family: impl Into<Arc<str>>,
        settings: impl Into<Arc<Settings>>,
    ) -> RegistryBuilder {
        RegistryBuilder::new(family.into(), settings.into())
    }

    /// The family's name, the first part of its breakers' names.
    pub fn family(&self) -> &Arc<str> {
        &self.family
    }

    /// The breaker of a key, created if there is none yet; a shared one without room.
    ///
    /// A key that is `*`, or `*` and a number, has no breaker of its own, as shared ones are named so.
    pub fn get_or_create(&self, key: &str, now: Timestamp) -> Breaker {
        self.get_or_create_by(key, now, || now)
    }

    /// As [`Registry::get_or_create`], with a time for the age of a known key that may lag a little, and an exact one
    /// for a new key.
    #[inline]
    pub(crate) fn get_or_create_by(
        &self,
        key: &str,
        coarse: Timestamp,
        now: impl FnOnce() -> Timestamp,
    ) -> Breaker {
        if let Some(breaker) = self.find(key)
            && breaker.last_use().note(coarse, &self.clock)
        {
            return breaker;
        }
        self.get_or_create_exactly(key, now())
    }

    #[cold]
    fn get_or_create_exactly(&self, key: &str, now: Timestamp) -> Breaker {
        let (breaker, made) = self.create(key, now);
        if made {
            breaker.tell(|listener| listener.made(&breaker));
        }
        breaker
    }

    /// The breaker of a key, if it exists. The keys `*0` to `*63` are those of the shared breakers.
    pub fn get(&self, key: &str) -> Option<Breaker> {
        match is_reserved(key) {
            true => self.overflow.get(key),
            false => self
                .find(key)
                .filter(|found| found.last_use().note_untimed()),
        }
    }

    /// As [`Registry::get`], for an observer: it is not a use of the key.
    pub fn peek(&self, key: &str) -> Option<Breaker> {
        match is_reserved(key) {
            true => self.overflow.get(key),
            false => self.find(key).filter(|found| found.last_use().is_here()),
        }
    }

    fn find(&self, key: &str) -> Option<Breaker> {
        self.entries.pin().get(key).map(|entry| entry.0.clone())
    }

    /// True if a key has a breaker of its own; unlike [`Registry::get`], this is not a use that prevents its eviction.
    pub fn contains(&self, key: &str) -> bool {
        self.entries.pin().contains(key)
    }

    /// The key of one of this registry's breakers: the part of its name after the family's.
    pub fn key_of<'a>(&self, breaker: &'a Breaker) -> &'a str {
        breaker.key()
    }

    /// Removes the breaker of a key, whatever its state, and returns it. Calls that are under way are still recorded
    /// with it, without effect on other callers.
    pub fn remove(&self, key: &str) -> Option<Breaker> {
        let mut making = self.making();
        let breaker = self.find(key)?;
        self.forget(&breaker, &mut making);
        Some(breaker)
    }

    /// Removes the breakers of all keys for which `keep` is false, as [`Registry::remove`] does. `keep` is called
    /// without a lock, and for each key once.
    pub fn retain(&self, mut keep: impl FnMut(&str, &Breaker) -> bool) {
        for breaker in self.iter() {
            if !keep(breaker.key(), &breaker) {
                let mut making = self.making();
                // Meanwhile its key may have another one.
                if self
                    .find(breaker.key())
                    .is_some_and(|found| found.is(&breaker))
                {
                    self.forget(&breaker, &mut making);
                }
            }
        }
    }

    /// The breakers of all keys that have their own, in no order. Those created or removed meanwhile may be among them
    /// or not.
    pub fn iter(&self) -> impl Iterator<Item = Breaker> {
        let entries = self.entries.pin();
        let own: Vec<_> = entries.iter().map(|entry| entry.0.clone()).collect();
        own.into_iter()
    }

    fn forget(&self, breaker: &Breaker, making: &mut Making) {
        breaker.last_use().leave(|| true);
        self.entries.pin().remove(breaker.key());
        making.room.remove(breaker);
    }

    /// Changes the most keys with a breaker of their own. Those beyond a lower number stay until they can be evicted,
    /// two with each new key.
    pub fn resize(&self, max_keys: usize) {
        self.max_keys.store(max_keys, Ordering::Relaxed);
    }

    /// The most keys with a breaker of their own.
    pub fn max_keys(&self) -> usize {
        self.max_keys.load(Ordering::Relaxed)
    }

    /// The time for which a key must not have been used before it is evicted with failures in its windows, or past its
    /// cooldown: as it was set, or by the settings in force, see [`RegistryBuilder::idle_after`].
    pub fn idle_after(&self) -> Duration {
        let making = self.making();
        making.limits.idle_after(making.settings.family())
    }

    /// Changes the time for which a key must not have been used before it is evicted with failures in its windows;
    /// `None`: the default of [`RegistryBuilder::idle_after`].
    pub fn set_idle_after(&self, idle_after: Option<Duration>) {
        self.making().limits.idle_after = idle_after;
    }

    /// Changes the treatment of keys without room.
    pub fn set_on_overflow(&self, on_overflow: OnOverflow) {
        self.making().limits.on_overflow = on_overflow;
    }

    /// Number of evictions of keys, and of calls without room for their key.
    pub fn counts(&self) -> KeyCounts {
        self.counters.read()
    }

    /// The number of keys with a breaker of their own.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True if no key has a breaker of its own.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// All breakers, the shared ones last, in no other order. That of the keys that pass unjudged is not among them.
    pub fn breakers(&self) -> Vec<Breaker> {
        self.iter().chain(self.overflow.iter().cloned()).collect()
    }

    /// Gives new settings to all breakers, present and future, and reports for each which state was kept. Keys that
    /// differ continue to differ, from the new settings.
    ///
    /// # Errors
    /// All faults of the new settings, as of [`RegistryBuilder::build`]; the old ones then stay in force.
    pub fn reconfigure(
        &self,
        settings: impl Into<Arc<Settings>>,
        now: Timestamp,
    ) -> Result<Vec<(Breaker, Reconfigured)>, SettingsErrors> {
        let wanted: Vec<_> = {
            let mut making = self.making();
            making.settings = making.settings.under(settings.into())?;
            let of = |breaker: &Breaker| making.settings.of(breaker.key()).clone();
            let breakers = self.breakers().into_iter();
            breakers.map(|breaker| (of(&breaker), breaker)).collect()
        };
        // Listeners are called without the lock.
        let settle = |(settings, breaker): (Arc<Settings>, Breaker)| {
            let reconfigured = breaker.reconfigure(settings, now)?;
            breaker.rest(now);
            Ok((breaker, reconfigured))
        };
        wanted.into_iter().map(settle).collect()
    }

    /// The breaker, and true if this call created it.
    fn create(&self, key: &str, now: Timestamp) -> (Breaker, bool) {
        let mut making = self.making();
        if let Some(breaker) = self.find(key)
            && breaker.last_use().note(now, &self.clock)
        {
            return (breaker, false);
        }
        let moment = self.clock.step(now);
        if is_reserved(key) || !self.has_room(&mut making, now, moment) {
            return self.overflowed(key, &mut making);
        }
        making.room.lay_to_rest(now);
        let breaker = self.make(key, &mut making, |settings| settings);
        breaker.last_use().touch(moment);
        making.room.insert(breaker.clone(), moment);
        self.entries.pin().insert(Entry(breaker.clone()));
        (breaker, true)
    }

    /// True if there is room for another key, if need be after an eviction.
    fn has_room(&self, making: &mut Making, time: Timestamp, moment: last_use::Moment) -> bool {
        let max_keys = self.max_keys.load(Ordering::Relaxed);
        let len = making.room.len();
        if len < max_keys {
            return true;
        }
        if max_keys == 0 {
            return false;
        }
        let idle_after = making.limits.idle_after(making.settings.family());
        let now = Now {
            time,
            moment,
            idle_after,
        };
        // Two, if there are more than allowed, so that they become fewer.
        let wanted = (len + 1 - max_keys).min(2);
        let mut made = 0;
        while made < wanted
            && let Some(gone) = making.room.make(now)
        {
            let breaker = self.counters.gone(gone);
            self.entries.pin().remove(breaker.key());
            made += 1;
        }
        made > 0
    }

    fn overflowed(&self, key: &str, making: &mut Making) -> (Breaker, bool) {
        self.counters.overflowed(making.limits.on_overflow);
        match making.limits.on_overflow {
            OnOverflow::Share => self
                .overflow
                .shared(key, |shared| self.make(shared, making, |settings| settings)),
            OnOverflow::Pass => {
                let disabled = |settings: Arc<Settings>| {
                    Arc::new(Settings {
                        mode: Mode::Disabled,
                        ..(*settings).clone()
                    })
                };
                let unjudged = self
                    .overflow
                    .unjudged(|shared| self.make(shared, making, disabled));
                (unjudged, false)
            }
        }
    }

    fn make(
        &self,
        key: &str,
        making: &mut Making,
        change: impl FnOnce(Arc<Settings>) -> Arc<Settings>,
    ) -> Breaker {
        let name = format!("{}/{key}", self.family);
        let settings = change(making.settings.of(key).clone());
        let mut builder = Breaker::builder(name, settings)
            .seed(making.seeds.u64(..))
            .keyed_from(limits::key_at(&self.family))
            .shared_listeners(self.listeners.clone());
        if let Some(chance) = &self.chance {
            builder = builder.chance(chance.clone());
        }
        builder
            .build()
            .expect("the settings were validated when the registry took them")
    }

    /// Lays all breakers without any state to rest, see [`Breaker::rest`]. It locks each one for a moment.
    ///
    /// Without it, two of them are looked at whenever a new one is made: enough while keys come and go. A program whose
    /// keys stay may call this now and then.
    pub fn rest(&self, now: Timestamp) {
        self.breakers().iter().for_each(|breaker| breaker.rest(now));
    }

    fn making(&self) -> MutexGuard<'_, Making> {
        self.making.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A panic leaves a registry as the last event left it, see [`Breaker`].
impl std::panic::UnwindSafe for Registry {}

/// The same as for [`UnwindSafe`](std::panic::UnwindSafe).
impl std::panic::RefUnwindSafe for Registry {}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registry")
            .field("family", &self.family)
            .field("keys", &self.len())
            .finish_non_exhaustive()
    }
}
