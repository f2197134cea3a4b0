//! Partition settings: expiry and the number of objects.

use crate::{Limits, StoreError, WallTime};
use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

/// The moment at which an object disappears after its time to live has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Expiry {
    /// At the end of its time to live, to the millisecond, whether or not a sweep has run. The default.
    #[default]
    OnRead,
    /// At the first sweep time after its time to live has ended, as in Mule's Object Store. Sweep times begin when
    /// the partition is configured and recur after each `every`; all objects due at a sweep time disappear at once. Visibility follows from the clock alone: [`sweep`](crate::ObjectStore::sweep) only frees the
    /// space.
    AtSweep {
        /// The interval between sweep times. At least a millisecond.
        every: Duration,
    },
}

/// The settings of one partition. A partition that was not configured has the defaults.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PartitionSettings {
    /// The expiry policy. Default: [`Expiry::OnRead`].
    pub expiry: Expiry,
    /// The time to live of an object stored without one. Default: unlimited.
    pub ttl: Option<Duration>,
    /// The most objects the partition may hold. Default: unlimited. 0 is invalid.
    ///
    /// A full partition that expires on read rejects a new key ([`StoreError::Full`]) and never evicts a live object. A
    /// full partition that expires at sweeps accepts the key, and evicts the objects with the oldest writes at the
    /// first call of [`sweep`](crate::ObjectStore::sweep) at or after each sweep time.
    pub max_entries: Option<u64>,
}

/// The settings of all configured partitions, by name.
#[derive(Debug, Default)]
pub(crate) struct Partitions {
    // A std lock: held for one look-up, never across an await.
    by_name: RwLock<HashMap<String, Configured>>,
}

#[derive(Debug, Clone)]
struct Configured {
    settings: PartitionSettings,
    anchor: WallTime,
    evicted_at: Option<WallTime>,
}

/// The settings of one partition in the form that operations use.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Rules {
    expiry: Expiry,
    /// The moment when the partition was configured.
    pub(crate) anchor: WallTime,
    /// The time to live of an object stored without one.
    pub(crate) ttl: Option<Duration>,
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
            return wrong(
                "max_entries is 0, so the partition could hold no objects; remove it for no limit",
            );
        }
        let mut by_name = self.by_name.write().unwrap_or_else(PoisonError::into_inner);
        // Repeating the same settings, as a reload does, must not shift the sweep times.
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

    /// The partitions with a sweep time since their last eviction, each with its `max_entries`.
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

    /// Records that a partition needs no eviction until the next sweep time after `now`.
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
    /// The expiry cutoff: objects whose life ends at this moment or earlier are gone.
    pub(crate) fn cutoff(&self, now: WallTime) -> WallTime {
        match self.expiry {
            Expiry::OnRead => now,
            Expiry::AtSweep { every } => {
                let every = i128::try_from(every.as_millis())
                    .expect("configure refuses longer intervals")
                    .max(1);
                // Signed, because the clock may have jumped to a time before the anchor.
                let since = i128::from(now.0) - i128::from(self.anchor.0);
                let sweep = i128::from(self.anchor.0) + since.div_euclid(every) * every;
                WallTime(u64::try_from(sweep).unwrap_or(0))
            }
        }
    }

    /// The end of a life that begins now.
    pub(crate) fn expires_at(&self, now: WallTime, ttl: Option<Duration>) -> Option<WallTime> {
        ttl.or(self.ttl)
            .map(|ttl| now.after(ttl.max(Duration::from_millis(1))))
    }

    /// The milliseconds between sweep times, or `None` if the partition expires on read.
    #[cfg(feature = "valkey")]
    pub(crate) fn sweeps_every(&self) -> Option<u128> {
        match self.expiry {
            Expiry::OnRead => None,
            Expiry::AtSweep { every } => Some(every.as_millis().max(1)),
        }
    }

    /// The count at which a new key is rejected, or `None` if none is ever rejected.
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
