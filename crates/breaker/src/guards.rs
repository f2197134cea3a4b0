//! A registry with everything that calls need: a clock and a classifier, so that one line guards a call by the breaker
//! of its key.

use std::sync::Arc;

use crate::call::Call;
use crate::classify::ErrorsFail;
use crate::clock::{Clock, MonotonicClock};
use crate::guard::Guard;
use crate::registry::Registry;
use crate::time::Timestamp;

/// Guards calls by the breakers of a [`Registry`], one for each key: tenants, hosts, endpoints.
///
/// All of them share the classifier and the clock. Clones share the registry too. The age of a known key is measured by
/// [`Clock::coarse`], so to some milliseconds; the calls themselves are judged by exact times, where a time matters.
///
/// ```
/// use fusebox_breaker::{Guards, Registry, Settings};
///
/// let guards = Guards::new(Registry::new("orders", Settings::default())?);
/// let answer = guards.of("tenant-7").call(|| "42".parse::<u32>());
/// assert_eq!(answer, Ok(42));
/// # Ok::<(), fusebox_breaker::SettingsErrors>(())
/// ```
#[derive(Clone, Debug)]
pub struct Guards<K = ErrorsFail, C = MonotonicClock> {
    registry: Arc<Registry>,
    classifier: K,
    clock: C,
}

impl Guards {
    /// Guards on the [clock of the process](MonotonicClock) that take every error for a failure.
    pub fn new(registry: impl Into<Arc<Registry>>) -> Self {
        Guards {
            registry: registry.into(),
            classifier: ErrorsFail,
            clock: MonotonicClock,
        }
    }
}

impl<K, C> Guards<K, C> {
    /// The same guards with another classifier.
    #[must_use = "these are other guards of the same registry"]
    pub fn classifier<N>(self, classifier: N) -> Guards<N, C> {
        Guards {
            registry: self.registry,
            classifier,
            clock: self.clock,
        }
    }

    /// The same guards with a closure for a classifier, see [`Guard::classify`].
    #[must_use = "these are other guards of the same registry"]
    pub fn classify<T, E, O, F>(self, classify: F) -> Guards<F, C>
    where
        F: Fn(&Result<T, E>) -> O,
        O: Into<Call>,
    {
        self.classifier(classify)
    }

    /// The same guards with another clock.
    #[must_use = "these are other guards of the same registry"]
    pub fn clock<N: Clock>(self, clock: N) -> Guards<K, N> {
        Guards {
            registry: self.registry,
            classifier: self.classifier,
            clock,
        }
    }

    /// The guarded registry.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }
}

impl<K, C: Clock> Guards<K, C> {
    /// The time by the guards' clock, see [`Guard::now`].
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The guard of a key. Ask for it at each call and do not keep it: a breaker with another handle cannot be evicted
    /// for a new key, see [`Registry`].
    pub fn of(&self, key: &str) -> Guard<K, C>
    where
        K: Clone,
        C: Clone,
    {
        let clock = &self.clock;
        let breaker = self
            .registry
            .get_or_create_by(key, clock.coarse(), || clock.now());
        Guard::assembled(breaker, self.classifier.clone(), self.clock.clone())
    }
}
