//! The breakers of the keys without room: some dozens, to which keys are assigned by a hash.
//!
//! The hash has a secret of its own in each process, so a client cannot choose a key that falls on another's breaker.

use std::hash::{BuildHasher, RandomState};
use std::sync::OnceLock;

use crate::breaker::Breaker;

/// Number of breakers that the keys without room share. One that is tripped by one key's failures refuses at most this
/// part of the others.
pub const OVERFLOW_BREAKERS: usize = 64;

/// The treatment of a key without room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnOverflow {
    /// The key shares one of [`OVERFLOW_BREAKERS`] breakers, `family/*0` to `family/*63`, with those of the same hash.
    #[default]
    Share,
    /// The key's calls pass unjudged: its breaker is `family/*`, which is disabled.
    Pass,
}

/// True for a key that a registry reserves: `*`, or `*` and a number.
pub(super) fn is_reserved(key: &str) -> bool {
    key.strip_prefix('*')
        .is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit()))
}

pub(super) struct Overflow {
    shared: Box<[OnceLock<Breaker>]>,
    unjudged: OnceLock<Breaker>,
    hasher: RandomState,
}

impl Default for Overflow {
    fn default() -> Self {
        Overflow {
            shared: (0..OVERFLOW_BREAKERS).map(|_| OnceLock::new()).collect(),
            unjudged: OnceLock::new(),
            hasher: RandomState::new(),
        }
    }
}

impl Overflow {
    /// The breaker that a key shares, created if there is none yet; true if this call created it.
    pub fn shared(&self, key: &str, make: impl FnOnce(&str) -> Breaker) -> (Breaker, bool) {
        let part = self.hasher.hash_one(key) % self.shared.len() as u64;
        let at = usize::try_from(part).unwrap_or(0);
        let made = self.shared[at].get().is_none();
        let breaker = self.shared[at].get_or_init(|| make(&format!("*{at}")));
        (breaker.clone(), made)
    }

    /// The breaker of all keys that pass unjudged.
    pub fn unjudged(&self, make: impl FnOnce(&str) -> Breaker) -> Breaker {
        self.unjudged.get_or_init(|| make("*")).clone()
    }

    /// The breaker of a reserved key, if it exists.
    pub fn get(&self, key: &str) -> Option<Breaker> {
        let number = key.strip_prefix('*')?;
        if number.is_empty() {
            return self.unjudged.get().cloned();
        }
        let at: usize = number.parse().ok()?;
        // `*07` is not such a key.
        let named = at.to_string() == number;
        self.shared.get(at).filter(|_| named)?.get().cloned()
    }

    /// The shared breakers that exist.
    pub fn iter(&self) -> impl Iterator<Item = &Breaker> {
        self.shared.iter().filter_map(OnceLock::get)
    }
}
