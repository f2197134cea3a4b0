//! The embedded store behaves like the memory store, for random operations and clock jumps, and across reopening.
#![cfg(all(feature = "embedded", feature = "hostile", feature = "testing"))]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;
#[path = "common/steps.rs"]
mod steps;

use common::START;
use fusebox_store::{
    Clock, EmbeddedOptions, EmbeddedStore, ManualClock, MemoryStore, ObjectStore,
    PartitionSettings, WallTime,
};
use proptest::prelude::*;
use std::sync::Arc;
use std::time::Duration;
use steps::{PARTITIONS, Step, everything, limits, run, settings, step};

fn compare(steps: &[Step]) -> Result<(), TestCaseError> {
    let clock = Arc::new(ManualClock::new(START));
    let memory = MemoryStore::new(limits(), clock.clone());
    let directory = tempfile::tempdir().unwrap();
    let open = || {
        let options = EmbeddedOptions {
            limits: limits(),
            clock: clock.clone(),
            ..EmbeddedOptions::default()
        };
        let (embedded, _) = EmbeddedStore::open(directory.path(), options).unwrap();
        for (partition, settings) in PARTITIONS.iter().zip(settings()) {
            embedded.configure(partition, settings).unwrap();
        }
        embedded
    };
    // A restart resets the sweep times; a change of settings in between does the same.
    let configure_anew = || {
        for (partition, settings) in PARTITIONS.iter().zip(settings()) {
            let other = PartitionSettings {
                ttl: Some(Duration::from_millis(1)),
                ..PartitionSettings::default()
            };
            memory.configure(partition, other).unwrap();
            memory.configure(partition, settings).unwrap();
        }
    };
    configure_anew();
    let mut embedded = open();
    for step in steps {
        match step {
            Step::Clock(by) => {
                let now = clock.now().0;
                clock.set(WallTime(now.saturating_add_signed(i64::from(*by))));
            }
            Step::Restart => {
                drop(embedded);
                embedded = open();
                configure_anew();
            }
            step => prop_assert_eq!(run(&memory, step), run(&embedded, step), "{:?}", step),
        }
        prop_assert_eq!(
            everything(&memory),
            everything(&embedded),
            "after {:?}",
            step
        );
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: steps::cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_embedded_store_behaves_like_the_memory_store(
        steps in prop::collection::vec(step(), 1..60),
    ) {
        compare(&steps)?;
    }
}
