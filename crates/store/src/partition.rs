//! What a partition lays down for its objects: when they expire, and how many there may be.

use crate::{Limits, StoreError, WallTime};
use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

/// When an object that outlived its time to live disappears.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Expiry {
    /// At its time, to the millisecond, whether or not a sweep came by. The default.
    #[default]
    OnRead,
    /// At the first sweep after its time, as in Mule's Object Store. Sweeps happen, in effect, at
    /// the moment the partition was configured and `every` after that; all that is due at one of
    /// them disappears at once. Which objects can be seen follows from the clock alone:
    /// [`sweep`](crate::ObjectStore::sweep) only gives back their space.
    AtSweep {
        /// The time from one sweep to the next. At least a millisecond.
        every: Duration,
    },
}

/// The settings of one partition. A partition that nobody configured has the defaults.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PartitionSettings {
    /// When expired objects disappear. Default: [`Expiry::OnRead`].
    pub expiry: Expiry,
    /// The time to live of an object that is stored without one. Default: none, for ever.
    pub ttl: Option<Duration>,
    /// How many objects the partition may hold. Default: no bound.
    ///
    /// A partition that expires on read refuses a new key above it ([`StoreError::Full`]), and
    /// never evicts a live object. One that expires at sweeps takes it, and evicts the objects
    /// written longest ago at the first call of [`sweep`](crate::ObjectStore::sweep) at or after
    /// each of its sweep times.
    pub max_entries: Option<u64>,
}

/// The partitions' settings, by name.
#[derive(Debug, Default)]
pub(crate) struct Partitions {
    // A std lock: held for one look-up, never across a wait.
    by_name: RwLock<HashMap<String, Configured>>,
}

#[derive(Debug, Clone)]
struct Configured {
    settings: PartitionSettings,
    anchor: WallTime,
    evicted_at: Option<WallTime>,
}

/// The settings of one partition, ready for use.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Rules {
    expiry: Expiry,
    anchor: WallTime,
    ttl: Option<Duration>,
    max_entries: Option<u64>,
}

impl Partitions {
    pub(crate) fn configure(
        &self,
        limits: &Limits,
        partition: &str,
        settings: PartitionSettings,
        now: WallTime,
    ) -> Result<(), StoreError> {
        limits.check_partition(partition)?;
        limits.check_ttl(settings.ttl)?;
        let wrong = |why: &str| {
            Err(StoreError::InvalidSettings {
                partition: partition.to_owned(),
                why: why.to_owned(),
            })
        };
        if let Expiry::AtSweep { every } = settings.expiry
            && (every < Duration::from_millis(1) || every > Duration::from_millis(u64::MAX >> 1))
        {
            return wrong("the time between sweeps must be at least 1 ms");
        }
        if settings.max_entries == Some(0) {
            return wrong("max_entries is 0, so it could hold nothing; leave it out for no bound");
        }
        let mut by_name = self.by_name.write().unwrap_or_else(PoisonError::into_inner);
        // The same settings again, as after a reload, must not shift the sweeps.
        if by_name
            .get(partition)
            .is_none_or(|known| known.settings != settings)
        {
            let configured = Configured {
                settings,
                anchor: now,
                evicted_at: None,
            };
            by_name.insert(partition.to_owned(), configured);
        }
        Ok(())
    }

    pub(crate) fn rules(&self, partition: &str) -> Rules {
        let by_name = self.by_name.read().unwrap_or_else(PoisonError::into_inner);
        by_name
            .get(partition)
            .map_or_else(Rules::default, Configured::rules)
    }

    /// The partitions for which a sweep time has passed since they last evicted, and how many
    /// objects each may keep.
    pub(crate) fn due_evictions(&self, now: WallTime) -> Vec<(String, u64)> {
        let by_name = self.by_name.read().unwrap_or_else(PoisonError::into_inner);
        let mut due: Vec<_> = by_name
            .iter()
            .filter(|(_, configured)| configured.evicted_at != Some(configured.rules().cutoff(now)))
            .filter_map(|(name, configured)| match configured.settings.expiry {
                Expiry::AtSweep { .. } => Some((name.clone(), configured.settings.max_entries?)),
                Expiry::OnRead => None,
            })
            .collect();
        due.sort_unstable();
        due
    }

    /// Notes that nothing is left to evict until the next sweep time after `now`.
    pub(crate) fn evicted(&self, partition: &str, now: WallTime) {
        let mut by_name = self.by_name.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(configured) = by_name.get_mut(partition) {
            configured.evicted_at = Some(configured.rules().cutoff(now));
        }
    }
}

impl Configured {
    fn rules(&self) -> Rules {
        Rules {
            expiry: self.settings.expiry,
            anchor: self.anchor,
            ttl: self.settings.ttl,
            max_entries: self.settings.max_entries,
        }
    }
}

impl Rules {
    /// An object is gone if it expires at this moment or before.
    pub(crate) fn cutoff(&self, now: WallTime) -> WallTime {
        match self.expiry {
            Expiry::OnRead => now,
            Expiry::AtSweep { every } => {
                let every = i128::try_from(every.as_millis())
                    .expect("configure refuses longer intervals")
                    .max(1);
                // Signed, because the clock may have jumped to before the anchor.
                let since = i128::from(now.0) - i128::from(self.anchor.0);
                let sweep = i128::from(self.anchor.0) + since.div_euclid(every) * every;
                WallTime(u64::try_from(sweep).unwrap_or(0))
            }
        }
    }

    /// The end of an object's life that begins now.
    pub(crate) fn expires_at(&self, now: WallTime, ttl: Option<Duration>) -> Option<WallTime> {
        ttl.or(self.ttl)
            .map(|ttl| now.after(ttl.max(Duration::from_millis(1))))
    }

    /// The milliseconds between two sweeps, if it expires at sweeps.
    #[cfg(feature = "valkey")]
    pub(crate) fn sweeps_every(&self) -> Option<u128> {
        match self.expiry {
            Expiry::OnRead => None,
            Expiry::AtSweep { every } => Some(every.as_millis().max(1)),
        }
    }

    /// When the settings were laid down.
    #[cfg(feature = "valkey")]
    pub(crate) fn anchor(&self) -> WallTime {
        self.anchor
    }

    /// The time to live of an object that is stored without one.
    #[cfg(feature = "valkey")]
    pub(crate) fn ttl(&self) -> Option<Duration> {
        self.ttl
    }

    /// The count at which a new key is refused.
    pub(crate) fn refuses_above(&self) -> Option<u64> {
        match self.expiry {
            Expiry::OnRead => self.max_entries,
            Expiry::AtSweep { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn every(ms: u64) -> Rules {
        Rules {
            expiry: Expiry::AtSweep {
                every: Duration::from_millis(ms),
            },
            anchor: WallTime(1_000),
            ..Rules::default()
        }
    }

    #[test]
    fn the_cutoff_is_the_last_sweep_time() {
        let rules = every(10);
        assert_eq!(rules.cutoff(WallTime(1_000)), WallTime(1_000));
        assert_eq!(rules.cutoff(WallTime(1_009)), WallTime(1_000));
        assert_eq!(rules.cutoff(WallTime(1_010)), WallTime(1_010));
        assert_eq!(rules.cutoff(WallTime(999)), WallTime(990));
        assert_eq!(rules.cutoff(WallTime(0)), WallTime(0));
    }

    #[test]
    fn configuring_the_same_again_does_not_shift_the_sweeps() {
        let partitions = Partitions::default();
        let settings = PartitionSettings {
            expiry: Expiry::AtSweep {
                every: Duration::from_millis(10),
            },
            ..PartitionSettings::default()
        };
        let limits = Limits::default();
        for now in [0, 7] {
            partitions
                .configure(&limits, "p", settings.clone(), WallTime(now))
                .unwrap();
        }
        assert_eq!(partitions.rules("p").cutoff(WallTime(12)), WallTime(10));
    }
}
