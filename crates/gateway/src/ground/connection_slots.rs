//! Limits on open connections, for each listener and for all, over all workers and reloads.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use crate::ground::listen::ListenerKey;

/// The number of open connections of each listener and of all together, over all workers and reloads.
#[derive(Debug)]
pub struct ConnectionSlots {
    /// The most connections of all listeners together, whatever the plan says: the number that the process can carry.
    all_max: usize,
    all: Arc<AtomicUsize>,
    listeners: Mutex<HashMap<ListenerKey, Arc<AtomicUsize>>>,
}

/// The slot of one open connection, at its listener and among all; freed when dropped.
#[derive(Debug)]
pub struct ConnectionSlot([Arc<AtomicUsize>; 2]);

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        for taken in &self.0 {
            taken.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

impl ConnectionSlots {
    /// A counter at zero, with `all_max` slots in all.
    pub fn new(all_max: usize) -> ConnectionSlots {
        ConnectionSlots {
            all_max,
            all: Arc::default(),
            listeners: Mutex::default(),
        }
    }

    /// The most connections of all listeners together.
    pub fn all_max(&self) -> usize {
        self.all_max
    }

    /// A slot, if fewer than `limit` are taken at this listener and the process can carry one more.
    pub fn take(&self, listener: &ListenerKey, limit: usize) -> Option<ConnectionSlot> {
        // Taken once for each connection, not for each request.
        let mut listeners = self.listeners.lock();
        let taken = match listeners.get(listener) {
            Some(taken) => taken.clone(),
            None => listeners.entry(listener.clone()).or_default().clone(),
        };
        drop(listeners);
        if !take_one(&self.all, self.all_max) {
            return None;
        }
        if !take_one(&taken, limit) {
            self.all.fetch_sub(1, Ordering::AcqRel);
            return None;
        }
        Some(ConnectionSlot([taken, self.all.clone()]))
    }
}

fn take_one(taken: &AtomicUsize, limit: usize) -> bool {
    let got = taken.fetch_update(Ordering::AcqRel, Ordering::Acquire, |count| {
        (count < limit).then_some(count + 1)
    });
    got.is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(addr: &str) -> ListenerKey {
        let plan = fusebox_plan::plan::Listener {
            name: "a".into(),
            addr: addr.parse().unwrap(),
            trusted_proxies: Vec::new(),
            encoded_slash_allowed: false,
            double_slash_allowed: false,
            manner: fusebox_plan::plan::Manner::Native,
            tls: None,
            http2: None,
        };
        ListenerKey::of(&plan)
    }

    #[test]
    fn a_slot_is_free_again_when_its_connection_ends() {
        let slots = ConnectionSlots::new(usize::MAX);
        let key = key("127.0.0.1:8080");
        let first = slots.take(&key, 1);
        assert!(first.is_some() && slots.take(&key, 1).is_none());
        drop(first);
        assert!(slots.take(&key, 1).is_some());
    }

    #[test]
    fn all_listeners_together_have_no_more_slots_than_the_process_can_carry() {
        let slots = ConnectionSlots::new(2);
        let (one, other) = (key("127.0.0.1:8080"), key("127.0.0.1:8081"));
        let first = slots.take(&one, 10);
        let _second = slots.take(&other, 10).unwrap();
        assert!(slots.take(&one, 10).is_none() && slots.take(&other, 10).is_none());
        assert!(slots.take(&other, 1).is_none(), "a refusal takes none");
        drop(first);
        assert!(slots.take(&other, 1).is_none());
        assert!(slots.take(&other, 10).is_some());
    }
}
