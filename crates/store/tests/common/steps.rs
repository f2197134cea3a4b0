//! Random operations for running two stores side by side.
#![allow(dead_code, reason = "each test uses a part of it")]

use crate::common::wait;
use fusebox_store::{Expiry, Limits, NewObject, ObjectStore, PartitionSettings, StoreError, When};
use proptest::prelude::*;
use std::time::Duration;

#[derive(Debug, Clone)]
pub enum Step {
    Put(u8, u8, usize, Option<u16>, Condition),
    Increment(u8, u8, i64, Option<u16>),
    Remove(u8, u8, Condition),
    Get(u8, u8),
    Keys(u8, usize),
    Clear(u8),
    Sweep(usize),
    Clock(i32),
    Restart,
}

#[derive(Debug, Clone)]
pub enum Condition {
    Always,
    Absent,
    /// The present version, if there is one.
    Current,
    Other,
}

pub fn step() -> impl Strategy<Value = Step> {
    let ttl = || prop::option::of(0u16..2_000);
    let condition = || {
        prop_oneof![
            4 => Just(Condition::Always),
            1 => Just(Condition::Absent),
            1 => Just(Condition::Current),
            1 => Just(Condition::Other),
        ]
    };
    let (partition, key) = (|| 0u8..3, || 0u8..6);
    // Often a size that is there already, so that a write changes an object's end alone.
    let size = prop_oneof![6 => 1usize..3, 6 => 0usize..40, 1 => 60_000usize..140_000];
    prop_oneof![
        8 => (partition(), key(), size, ttl(), condition())
            .prop_map(|(p, k, size, ttl, when)| Step::Put(p, k, size, ttl, when)),
        4 => (partition(), key(), -3i64..4, ttl())
            .prop_map(|(p, k, by, ttl)| Step::Increment(p, k, by, ttl)),
        3 => (partition(), key(), condition()).prop_map(|(p, k, when)| Step::Remove(p, k, when)),
        4 => (partition(), key()).prop_map(|(p, k)| Step::Get(p, k)),
        2 => (partition(), 0usize..8).prop_map(|(p, limit)| Step::Keys(p, limit)),
        1 => partition().prop_map(Step::Clear),
        4 => (0usize..10).prop_map(Step::Sweep),
        6 => (-1_500i32..2_000).prop_map(Step::Clock),
        1 => Just(Step::Restart),
    ]
}

pub const PARTITIONS: [&str; 3] = ["exact", "swept", "full"];

pub fn limits() -> Limits {
    Limits {
        ttl_max: Duration::from_millis(2_000),
        ..Limits::default()
    }
}

pub fn settings() -> [PartitionSettings; 3] {
    let every = Duration::from_millis(300);
    [
        PartitionSettings::default(),
        PartitionSettings {
            expiry: Expiry::AtSweep { every },
            ttl: Some(Duration::from_millis(500)),
            max_entries: Some(3),
        },
        PartitionSettings {
            max_entries: Some(3),
            ..PartitionSettings::default()
        },
    ]
}

/// The result of an operation as text, so that results and errors can be compared.
pub fn run(store: &dyn ObjectStore, step: &Step) -> String {
    let at = |partition: &u8, key: &u8| (PARTITIONS[*partition as usize], format!("k{key}"));
    let when = |condition: &Condition, partition: &str, key: &str| match condition {
        Condition::Always => When::Always,
        Condition::Absent => When::Absent,
        Condition::Other => When::Version(u64::MAX),
        Condition::Current => {
            let current = wait(store.get(partition, key)).unwrap();
            When::Version(current.map_or(0, |object| object.version))
        }
    };
    let ttl = |ms: &Option<u16>| ms.map(|ms| Duration::from_millis(ms.into()));
    match step {
        Step::Put(p, k, size, ms, condition) => {
            let (partition, key) = at(p, k);
            let mut object = NewObject::new(vec![b'1' + k; *size], "text/plain");
            object.ttl = ttl(ms);
            let when = when(condition, partition, &key);
            text(wait(store.put(partition, &key, object, when)))
        }
        Step::Increment(p, k, by, ms) => {
            let (partition, key) = at(p, k);
            text(wait(store.increment(partition, &key, *by, ttl(ms))))
        }
        Step::Remove(p, k, condition) => {
            let (partition, key) = at(p, k);
            let when = when(condition, partition, &key);
            text(wait(store.remove(partition, &key, when)))
        }
        Step::Get(p, k) => {
            let (partition, key) = at(p, k);
            text(wait(store.get(partition, &key)))
        }
        Step::Keys(p, limit) => text(wait(store.keys(PARTITIONS[*p as usize], "", *limit))),
        Step::Clear(p) => text(wait(store.clear(PARTITIONS[*p as usize]))),
        Step::Sweep(budget) => text(wait(store.sweep(*budget))),
        Step::Clock(_) | Step::Restart => String::new(),
    }
}

pub fn text<T: std::fmt::Debug>(answer: Result<T, StoreError>) -> String {
    match answer {
        Ok(answer) => format!("{answer:?}"),
        Err(error) => error.to_string(),
    }
}

pub fn everything(store: &dyn ObjectStore) -> Vec<String> {
    let mut all = Vec::new();
    for partition in PARTITIONS {
        for key in wait(store.keys(partition, "", usize::MAX)).unwrap() {
            all.push(text(wait(store.get(partition, &key))));
        }
    }
    all
}

/// Number of rounds of operations in a test.
pub fn cases() -> u32 {
    if std::env::var_os("FUSEBOX_PROVE").is_some() {
        2_000
    } else {
        32
    }
}
