//! Limits the time that each token's calls take (the microgateway's `graphql` in mode b): a bucket of milliseconds that
//! fills in steps, and of which a call takes what passes between `startconsume` and `stopconsume`.
//!
//! As in the original a token has one running call: the time of calls at once is counted from the last start.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use fusebox_breaker::Timestamp;

use crate::{Map, QuotaActivity};

/// The most tokens at once, since clients can invent them. Beyond it full buckets go, which are as new ones, then those
/// that have waited longest for a call.
const TOKENS_MAX: usize = 100_000;

/// The token of calls without one.
const SHARED: &str = "GLOBAL_TOKEN";

/// The quotas of all tokens of a service.
#[derive(Debug)]
pub struct Quota {
    plan: QuotaActivity,
    buckets: Mutex<HashMap<Box<str>, Bucket>>,
}

#[derive(Debug)]
struct Bucket {
    left: u64,
    /// The time of the last step of filling.
    filled_at: Timestamp,
    /// The start of the last call.
    started_at: Timestamp,
}

impl Bucket {
    fn fill(&mut self, plan: &QuotaActivity, now: Timestamp) {
        let passed = now.saturating_since(self.filled_at).as_nanos();
        let steps = passed / plan.every.as_nanos().max(1);
        let steps = u32::try_from(steps).unwrap_or(u32::MAX);
        let more = plan.fill.saturating_mul(u64::from(steps));
        self.left = self.left.saturating_add(more).min(plan.most);
        self.filled_at = self.filled_at + plan.every.saturating_mul(steps);
    }
}

impl Quota {
    /// Full quotas of a plan.
    pub fn new(plan: QuotaActivity) -> Quota {
        Quota {
            plan,
            buckets: Mutex::default(),
        }
    }

    /// The settings of the quotas.
    pub fn plan(&self) -> &QuotaActivity {
        &self.plan
    }

    /// Runs an operation for a token and returns the activity's outputs; any other operation does nothing.
    pub fn outputs(&self, operation: &str, token: &str, now: Timestamp) -> Map {
        let token = if token.is_empty() { SHARED } else { token };
        let failed = |message: &str| {
            Map::from([
                ("error".into(), true.into()),
                ("errorMessage".into(), message.into()),
            ])
        };
        match operation {
            "startconsume" if self.start(token, now) => Map::from([("error".into(), false.into())]),
            "startconsume" => failed("Quota is not available"),
            "stopconsume" if !self.stop(token, now) => failed("Consumed entire Quota"),
            _ => Map::new(),
        }
    }

    /// Starts a call. False if nothing is left for it.
    fn start(&self, token: &str, now: Timestamp) -> bool {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if !buckets.contains_key(token) {
            make_room(&mut buckets, &self.plan, now);
        }
        let bucket = buckets.entry(token.into()).or_insert_with(|| Bucket {
            left: self.plan.most,
            filled_at: now,
            started_at: now,
        });
        bucket.fill(&self.plan, now);
        bucket.started_at = now;
        bucket.left > 0
    }

    /// Ends a call. False if it took more than was left.
    fn stop(&self, token: &str, now: Timestamp) -> bool {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(bucket) = buckets.get_mut(token) else {
            return true;
        };
        bucket.fill(&self.plan, now);
        let taken = now.saturating_since(bucket.started_at).as_millis();
        let taken = u64::try_from(taken).unwrap_or(u64::MAX);
        let is_enough = taken <= bucket.left;
        bucket.left = bucket.left.saturating_sub(taken);
        is_enough
    }
}

fn make_room(buckets: &mut HashMap<Box<str>, Bucket>, plan: &QuotaActivity, now: Timestamp) {
    if buckets.len() < TOKENS_MAX {
        return;
    }
    buckets.retain(|_, bucket| {
        bucket.fill(plan, now);
        bucket.left < plan.most
    });
    if buckets.len() < TOKENS_MAX {
        return;
    }
    // A sixteenth at once, so that a flood of tokens scans all of them only once in thousands of calls.
    let mut starts: Vec<Timestamp> = buckets.values().map(|it| it.started_at).collect();
    let at = starts.len() / 16;
    let (_, last, _) = starts.select_nth_unstable(at);
    let last = *last;
    buckets.retain(|_, bucket| bucket.started_at > last);
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn quota() -> Quota {
        Quota::new(QuotaActivity {
            most: 300,
            fill: 100,
            every: Duration::from_millis(1000),
        })
    }

    fn said(outputs: &Map) -> (Option<bool>, String) {
        let error = outputs.get("error").map(|it| it.to_bool().unwrap());
        let message = outputs.get("errorMessage").map(crate::Value::to_text);
        (error, message.unwrap_or_default().to_string())
    }

    #[test]
    fn calls_take_their_time_of_the_quota_until_nothing_is_left() {
        let quota = quota();
        assert_eq!(
            said(&quota.outputs("startconsume", "a", at(0))),
            (Some(false), String::new())
        );
        assert_eq!(
            said(&quota.outputs("stopconsume", "a", at(200))),
            (None, String::new())
        );
        quota.outputs("startconsume", "a", at(300));
        // 150 ms of the 100 that are left.
        let over = (Some(true), "Consumed entire Quota".to_owned());
        assert_eq!(said(&quota.outputs("stopconsume", "a", at(450))), over);
        let none = (Some(true), "Quota is not available".to_owned());
        assert_eq!(said(&quota.outputs("startconsume", "a", at(500))), none);
        let free = (Some(false), String::new());
        assert_eq!(said(&quota.outputs("startconsume", "b", at(500))), free);
        assert_eq!(said(&quota.outputs("startconsume", "", at(500))), free);
    }

    #[test]
    fn a_quota_fills_in_steps_up_to_the_most() {
        let quota = quota();
        quota.outputs("startconsume", "a", at(0));
        quota.outputs("stopconsume", "a", at(900));
        let is_free = |millis| {
            let outputs = quota.outputs("startconsume", "a", at(millis));
            said(&outputs).0 == Some(false)
        };
        assert!(!is_free(999));
        assert!(is_free(1000));
        // 300 again after a long time, and no more.
        quota.outputs("startconsume", "a", at(90_000));
        let outputs = quota.outputs("stopconsume", "a", at(90_301));
        assert_eq!(said(&outputs).1, "Consumed entire Quota");
    }

    #[test]
    fn other_operations_and_an_end_without_a_start_do_nothing() {
        let quota = quota();
        for operation in ["stopconsume", "", "Startconsume"] {
            assert!(quota.outputs(operation, "a", at(0)).is_empty());
        }
    }

    #[test]
    fn a_flood_of_tokens_is_bounded() {
        let quota = quota();
        for token in 0..TOKENS_MAX + 10 {
            let token = token.to_string();
            quota.outputs("startconsume", &token, at(1));
            quota.outputs("stopconsume", &token, at(2));
        }
        assert!(quota.buckets.lock().unwrap().len() <= TOKENS_MAX);
    }
}
