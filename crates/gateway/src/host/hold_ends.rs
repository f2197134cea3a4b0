//! Ends holds at their time: without a call their end would be an event only later.

use std::collections::HashMap;
use std::sync::Arc;

use fusebox_breaker::{Breaker, Timestamp};
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::ground::clock::Clock;

/// The holds that have an end, by the breaker's name.
#[derive(Debug, Default)]
pub struct HoldEnds {
    due: Mutex<HashMap<Arc<str>, (Timestamp, Breaker)>>,
    added: Notify,
}

impl HoldEnds {
    /// Notes the end of a breaker's hold, if it has one.
    pub fn note(&self, breaker: &Breaker, now: Timestamp) {
        let hold = breaker.snapshot(now).hold;
        let name = breaker.name();
        let Some(until) = hold.and_then(|hold| hold.until) else {
            self.due.lock().remove(name);
            return;
        };
        let due = (until, breaker.clone());
        self.due.lock().insert(name.clone(), due);
        self.added.notify_one();
    }

    /// Ends each hold when it is due; never returns.
    pub async fn run(&self, clock: Arc<Clock>) {
        loop {
            let first = self.due.lock().values().map(|(until, _)| *until).min();
            match first.map(|until| until.saturating_since(clock.exact())) {
                None => self.added.notified().await,
                Some(wait) => {
                    tokio::select! {
                        () = self.added.notified() => {}
                        () = tokio::time::sleep(wait) => {}
                    }
                }
            }
            for breaker in self.take_due(clock.exact()) {
                breaker.tick(clock.exact());
            }
        }
    }

    fn take_due(&self, now: Timestamp) -> Vec<Breaker> {
        let mut due = self.due.lock();
        let is_due = |_: &Arc<str>, due: &mut (Timestamp, Breaker)| due.0 <= now;
        due.extract_if(is_due).map(|(_, (_, it))| it).collect()
    }
}
