//! The Valkey store behaves like the memory store, for random operations and clock jumps, and across reopening.
#![cfg(all(feature = "embedded", feature = "hostile", feature = "testing"))]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;
#[path = "common/steps.rs"]
mod steps;

use common::{START, patient};
use fusebox_store::testing::Server;
use fusebox_store::{Clock, ManualClock, MemoryStore, ObjectStore, ValkeyStore, WallTime};
use proptest::prelude::*;
use std::sync::Arc;
use steps::{PARTITIONS, Step, everything, limits, run, settings, step};

/// The versions of a store in the order of their first appearance, since different stores issue different versions.
#[derive(Default)]
struct Versions(Vec<String>);

impl Versions {
    fn in_order(&mut self, answer: &str) -> String {
        let mut text = String::new();
        let mut rest = answer;
        while let Some(at) = ["version: ", "current: Some("]
            .iter()
            .filter_map(|mark| rest.find(mark).map(|at| at + mark.len()))
            .min()
        {
            let (before, after) = rest.split_at(at);
            let end = after.find(|c: char| !c.is_ascii_digit()).unwrap();
            let (version, after) = after.split_at(end);
            let seen = self.0.iter().position(|known| known == version);
            let number = seen.unwrap_or_else(|| {
                self.0.push(version.to_owned());
                self.0.len() - 1
            });
            text.push_str(before);
            text.push_str(&number.to_string());
            rest = after;
        }
        text + rest
    }

    fn everything(&mut self, store: &dyn ObjectStore) -> Vec<String> {
        let answers = everything(store);
        answers.iter().map(|answer| self.in_order(answer)).collect()
    }
}

fn compare(server: &Server, steps: &[Step]) -> Result<(), TestCaseError> {
    let clock = Arc::new(ManualClock::new(START));
    let memory = MemoryStore::new(limits(), clock.clone());
    let open = || {
        let mut options = patient(&server.url());
        options.limits = limits();
        options.clock = Some(clock.clone());
        let valkey = ValkeyStore::open(options).unwrap();
        for (partition, settings) in PARTITIONS.iter().zip(settings()) {
            valkey.configure(partition, settings).unwrap();
        }
        valkey
    };
    for (partition, settings) in PARTITIONS.iter().zip(settings()) {
        memory.configure(partition, settings).unwrap();
    }
    let mut valkey = open();
    // The first operation sets the sweep times, so one must run before the store is closed.
    everything(&valkey);
    let (mut ours, mut theirs) = (Versions::default(), Versions::default());
    for step in steps {
        match step {
            Step::Clock(by) => {
                let now = clock.now().0;
                clock.set(WallTime(now.saturating_add_signed(i64::from(*by))));
            }
            // Unlike a file's, the sweep times on a server continue without the store.
            Step::Restart => valkey = open(),
            step => prop_assert_eq!(
                ours.in_order(&run(&memory, step)),
                theirs.in_order(&run(&valkey, step)),
                "{:?}",
                step
            ),
        }
        prop_assert_eq!(
            ours.everything(&memory),
            theirs.everything(&valkey),
            "after {:?}",
            step
        );
    }
    Ok(())
}

#[test]
fn the_valkey_store_behaves_like_the_memory_store() {
    let server = Server::start();
    let config = ProptestConfig {
        cases: steps::cases(),
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    proptest!(config, |(steps in prop::collection::vec(step(), 1..60))| {
        server.ask("FLUSHALL");
        compare(&server, &steps)?;
    });
}
