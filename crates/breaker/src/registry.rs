//! Many breakers of one family, one for each key.

use std::borrow::Borrow;
use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use crate::breaker::{Breaker, Listener, SharedListener};
use crate::chance::Chance;
use crate::inherited::{Change, Inherited};
use crate::machine::Reconfigured;
use crate::settings::{Settings, SettingsErrors};
use crate::time::Timestamp;

/// The key of the breaker that new keys share when there are too many.
pub const OVERFLOW_KEY: &str = "*";

/// How many keys a registry holds unless told otherwise.
pub const DEFAULT_MAX_KEYS: usize = 10_000;

/// How many keys are looked at to make room for a new one, so that a flood of new keys costs each of them little.
const LOOKED_AT: usize = 64;

/// The breakers of one family, made when their key is first asked for.
///
/// A breaker is named `family/key`. At most `max_keys` exist: to make room for a new key, one that is idle (closed, not
/// held, nothing in its windows, not in anyone's hands, and not asked for since it was last looked at) gives way. An
/// open, half-open or held one never does. Where no room is found among 64 keys, the new key shares the breaker
/// `family/*`, and has its own as soon as there is room. There is no timer and no task.
///
/// A breaker in which there is nothing takes at most 200 bytes beside the text of its key, once it is
/// [laid to rest](Registry::rest).
///
/// Finding a breaker that exists takes no lock.
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
    listener: Option<SharedListener>,
    chance: Option<Arc<dyn Chance>>,
    entries: papaya::HashSet<Entry>,
    overflow: OnceLock<Breaker>,
    /// Taken to make a breaker, never to find one, and never while a listener runs.
    making: Mutex<Making>,
}

/// A breaker under its key, which is the rest of its name from `key_at` on: no text is held twice.
struct Entry {
    breaker: Breaker,
    key_at: u32,
    /// Found since it was last looked at. Written only when it was not set, so that finding seldom writes.
    asked_for: AtomicBool,
}

impl Entry {
    fn key(&self) -> &str {
        &self.breaker.name()[self.key_at as usize..]
    }
}

impl Borrow<str> for Entry {
    fn borrow(&self) -> &str {
        self.key()
    }
}

impl Hash for Entry {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key().hash(state);
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Entry {}

struct Making {
    settings: Inherited,
    seeds: fastrand::Rng,
    /// All breakers with a key of their own, in the order in which they are looked at.
    breakers: Vec<Breaker>,
    next: usize,
    /// The next to be laid to rest.
    resting: usize,
}

/// How many hands a breaker is in when nobody has asked for it: those of the registry's set and list.
const OWN_HANDS: usize = 2;

/// How many breakers are looked at, and laid to rest where they can be, when another one is made.
const LAID_TO_REST: usize = 2;

/// Makes a [`Registry`].
pub struct RegistryBuilder {
    family: Arc<str>,
    settings: Arc<Settings>,
    changes: Vec<(Arc<str>, Change)>,
    max_keys: usize,
    seed: Option<u64>,
    listener: Option<Arc<dyn Listener>>,
    chance: Option<Arc<dyn Chance>>,
}

impl RegistryBuilder {
    /// The most keys with a breaker of their own. Default [`DEFAULT_MAX_KEYS`]; with 0 all keys share one.
    pub fn max_keys(mut self, max_keys: usize) -> Self {
        self.max_keys = max_keys;
        self
    }

    /// Lets a key differ: its settings are the family's, changed. They follow the family's when those are changed.
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

    /// Who hears of the transitions of all breakers. Default: nobody.
    pub fn listener(mut self, listener: Arc<dyn Listener>) -> Self {
        self.listener = Some(listener);
        self
    }

    /// The registry, without a breaker yet.
    ///
    /// # Errors
    /// All faults of the settings, see [`Settings::validate`]; with sound ones, those of the first key found that differs.
    pub fn build(self) -> Result<Registry, SettingsErrors> {
        let settings = Inherited::new(self.settings, self.changes)?;
        let seed = self
            .seed
            .unwrap_or_else(|| RandomState::new().hash_one(&self.family));
        Ok(Registry {
            family: self.family,
            max_keys: AtomicUsize::new(self.max_keys),
            listener: self.listener.map(Arc::new),
            chance: self.chance,
            entries: papaya::HashSet::new(),
            overflow: OnceLock::new(),
            making: Mutex::new(Making {
                settings,
                seeds: fastrand::Rng::with_seed(seed),
                breakers: Vec::new(),
                next: 0,
                resting: 0,
            }),
        })
    }
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

    /// A registry to be given a number of keys, a seed or a listener.
    pub fn builder(
        family: impl Into<Arc<str>>,
        settings: impl Into<Arc<Settings>>,
    ) -> RegistryBuilder {
        RegistryBuilder {
            family: family.into(),
            settings: settings.into(),
            changes: Vec::new(),
            max_keys: DEFAULT_MAX_KEYS,
            seed: None,
            listener: None,
            chance: None,
        }
    }

    /// The family's name, the first part of its breakers' names.
    pub fn family(&self) -> &Arc<str> {
        &self.family
    }

    /// The breaker of a key, made when there is none yet; the shared one when there is no room.
    /// The key [`OVERFLOW_KEY`] is the shared one itself.
    pub fn get_or_create(&self, key: &str, now: Timestamp) -> Breaker {
        self.get(key).unwrap_or_else(|| {
            let (breaker, made) = self.create(key, now);
            if made {
                breaker.tell(|listener| listener.made(&breaker));
            }
            breaker
        })
    }

    /// The breaker of a key, where it exists.
    pub fn get(&self, key: &str) -> Option<Breaker> {
        if key == OVERFLOW_KEY {
            return self.overflow.get().cloned();
        }
        let entries = self.entries.pin();
        let entry = entries.get(key)?;
        if !entry.asked_for.load(Ordering::Relaxed) {
            entry.asked_for.store(true, Ordering::Relaxed);
        }
        Some(entry.breaker.clone())
    }

    /// Whether a key has a breaker of its own; unlike [`Registry::get`], asking does not keep it from giving way.
    pub fn contains(&self, key: &str) -> bool {
        self.entries.pin().contains(key)
    }

    /// Changes the most keys with a breaker of their own. Those beyond a lower number stay until they are idle and a
    /// new key asks for room.
    pub fn resize(&self, max_keys: usize) {
        self.max_keys.store(max_keys, Ordering::Relaxed);
    }

    /// The number of keys with a breaker of their own.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether no key has a breaker of its own.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// All breakers, the shared one last, in no other order.
    pub fn breakers(&self) -> Vec<Breaker> {
        let entries = self.entries.pin();
        let own = entries.iter().map(|entry| entry.breaker.clone());
        own.chain(self.overflow.get().cloned()).collect()
    }

    /// Gives new settings to all breakers, now and to come, and says for each what was kept. Keys that differ go on to
    /// differ, from the new settings.
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
            let of = |breaker: &Breaker| {
                making
                    .settings
                    .of(&breaker.name()[self.key_at() as usize..])
                    .clone()
            };
            let breakers = self.breakers().into_iter();
            breakers.map(|breaker| (of(&breaker), breaker)).collect()
        };
        // Listeners hear of it without the lock.
        let settle = |(settings, breaker): (Arc<Settings>, Breaker)| {
            let reconfigured = breaker.reconfigure(settings, now)?;
            breaker.rest(now);
            Ok((breaker, reconfigured))
        };
        wanted.into_iter().map(settle).collect()
    }

    #[cold]
    /// The breaker, and whether it was made by this.
    fn create(&self, key: &str, now: Timestamp) -> (Breaker, bool) {
        let mut making = self.making();
        if let Some(breaker) = self.get(key) {
            return (breaker, false);
        }
        let full = making.breakers.len() >= self.max_keys.load(Ordering::Relaxed);
        if key == OVERFLOW_KEY || (full && !self.make_room(&mut making, now)) {
            let made = self.overflow.get().is_none();
            let make = || self.make(OVERFLOW_KEY, &mut making);
            return (self.overflow.get_or_init(make).clone(), made);
        }
        self.lay_to_rest(&mut making, now);
        let breaker = self.make(key, &mut making);
        // It grows by an eighth: one that doubles would waste more than half of what a breaker takes here.
        if making.breakers.len() == making.breakers.capacity() {
            let more = making.breakers.len() / 8 + 8;
            making.breakers.reserve_exact(more);
        }
        making.breakers.push(breaker.clone());
        self.entries.pin().insert(Entry {
            breaker: breaker.clone(),
            key_at: self.key_at(),
            // A flood of keys that are asked for only once makes room for itself.
            asked_for: AtomicBool::new(false),
        });
        (breaker, true)
    }

    /// Where the key begins in a breaker's name.
    fn key_at(&self) -> u32 {
        u32::try_from(self.family.len() + 1).expect("a family's name is far shorter")
    }

    /// Lays the next few breakers to rest, so that all are looked at again and again while the registry grows.
    fn lay_to_rest(&self, making: &mut Making, now: Timestamp) {
        let count = making.breakers.len();
        for _ in 0..LAID_TO_REST.min(count) {
            making.breakers[making.resting % count].rest(now);
            making.resting = (making.resting + 1) % count;
        }
    }

    fn make(&self, key: &str, making: &mut Making) -> Breaker {
        let name = format!("{}/{key}", self.family);
        let mut builder =
            Breaker::builder(name, making.settings.of(key).clone()).seed(making.seeds.u64(..));
        if let Some(listener) = &self.listener {
            builder = builder.shared_listener(listener.clone());
        }
        if let Some(chance) = &self.chance {
            builder = builder.chance(chance.clone());
        }
        builder
            .build()
            .expect("the settings were validated when the registry took them")
    }

    /// Lets one idle breaker go, and says whether there was one.
    fn make_room(&self, making: &mut Making, now: Timestamp) -> bool {
        let entries = self.entries.pin();
        // Every key may be passed twice: the first look takes the mark of having been asked for.
        for _ in 0..LOOKED_AT.min(2 * making.breakers.len()) {
            let at = making.next % making.breakers.len();
            let breaker = &making.breakers[at];
            let key = &breaker.name()[self.key_at() as usize..];
            let idle = entries.get(key).is_none_or(|entry| {
                !entry.asked_for.swap(false, Ordering::Relaxed)
                    && breaker.hands() == OWN_HANDS
                    && breaker.is_idle(now)
            });
            if idle {
                entries.remove(key);
                making.breakers.swap_remove(at);
                return true;
            }
            making.next = at + 1;
        }
        false
    }

    /// Lays all breakers to rest in which there is nothing, see [`Breaker::rest`]. It takes each one's lock for a moment.
    ///
    /// Without it, two of them are looked at whenever a new one is made: enough where keys come and go. A program whose
    /// keys stay may call this now and then.
    pub fn rest(&self, now: Timestamp) {
        self.breakers().iter().for_each(|breaker| breaker.rest(now));
    }

    fn making(&self) -> MutexGuard<'_, Making> {
        self.making.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registry")
            .field("family", &self.family)
            .field("keys", &self.len())
            .finish_non_exhaustive()
    }
}
