//! Tests that cut the power at every change of the disk, keep what a disk may keep, and reopen.
//!
//! Each change that was not synced is kept, dropped, or kept in only some of its 512-byte sectors. The store must open
//! in a state between the last acknowledged and the last begun operation and be able to continue, even if the power is
//! cut again during the recovery.

use super::schema::INLINE_BYTES_MAX;
use super::simulated::{
    Contents, Dice, Disk, DiskChange, apply, assert_tables_agree, contents, open, together, wait,
};
use super::{Durability, EmbeddedOptions};
use crate::{
    Clock, ManualClock, MemoryStore, NewObject, ObjectStore, Pending, Put, StoreError, WallTime,
    When,
};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

const PARTITIONS: [&str; 2] = ["flows", "breakers"];
const SECTOR: usize = 512;

/// One operation of the workload.
#[derive(Debug, Clone)]
enum Step {
    Put(&'static str, String, NewObject),
    Increment(&'static str, String),
    Remove(&'static str, String),
    Clear(&'static str),
    Sweep,
}

impl Step {
    fn roll(dice: &mut Dice) -> Step {
        let partition = PARTITIONS[dice.below(2) as usize];
        let key = format!("k{}", dice.below(12));
        match dice.below(20) {
            0..=11 => {
                let len = match dice.below(8) {
                    0 => INLINE_BYTES_MAX + dice.below(90_000) as usize,
                    _ => dice.below(2_000) as usize,
                };
                let mut object = NewObject::new(vec![dice.roll() as u8; len], "a/b");
                if dice.below(2) == 0 {
                    object.ttl = Some(Duration::from_millis(1 + dice.below(40)));
                }
                Step::Put(partition, key, object)
            }
            12..=14 => Step::Increment(partition, format!("n{}", dice.below(3))),
            15..=17 => Step::Remove(partition, key),
            18 => Step::Sweep,
            _ => Step::Clear(partition),
        }
    }

    fn run<'a>(&'a self, store: &'a dyn ObjectStore) -> Pending<'a, ()> {
        Box::pin(async move {
            match self {
                Step::Put(partition, key, object) => {
                    let put = store.put(partition, key, object.clone(), When::Always);
                    assert!(matches!(put.await?, Put::Stored { .. }));
                }
                Step::Increment(partition, key) => {
                    store.increment(partition, key, 1, None).await?;
                }
                Step::Remove(partition, key) => {
                    store.remove(partition, key, When::Always).await?;
                }
                Step::Clear(partition) => {
                    store.clear(partition).await?;
                }
                Step::Sweep => {
                    store.sweep(7).await?;
                }
            }
            Ok(())
        })
    }
}

/// The states allowed after the disk's change `at`: `acknowledged..=begun` operations carried out.
#[derive(Debug, Clone, Copy)]
struct Mark {
    at: usize,
    acknowledged: usize,
    begun: usize,
}

struct Workload {
    start: Vec<u8>,
    log: Vec<DiskChange>,
    marks: Vec<Mark>,
    /// The contents after each operation, from the reference store at the final time.
    states: Vec<Contents>,
    options: EmbeddedOptions,
}

impl Workload {
    fn run(operations: usize, seed: u64, durability: Durability) -> Workload {
        let clock = Arc::new(ManualClock::new(WallTime(1_000_000)));
        let options = EmbeddedOptions {
            clock: clock.clone(),
            cache_bytes: 1 << 20,
            durability,
            ..EmbeddedOptions::default()
        };
        let start = Disk::formatted(&options).bytes();
        let disk = Disk::holding(start.clone());
        let store = open(&disk, &options).unwrap();
        let reference = MemoryStore::new(options.limits.clone(), clock.clone());
        let dice = &mut Dice(seed);
        let mut steps: Vec<(u64, Step)> = Vec::new();
        let mut marks = vec![Mark {
            at: 0,
            acknowledged: 0,
            begun: 0,
        }];
        while steps.len() < operations {
            let acknowledged = steps.len();
            clock.advance(Duration::from_millis(dice.below(4)));
            let group: Vec<Step> = (0..1 + dice.below(4)).map(|_| Step::roll(dice)).collect();
            marks.push(Mark {
                at: disk.log_len(),
                acknowledged,
                begun: acknowledged + group.len(),
            });
            let pending = group.iter().map(|step| step.run(&store)).collect();
            for answer in wait(together(pending)) {
                answer.unwrap();
            }
            let now = clock.now().0;
            steps.extend(group.into_iter().map(|step| (now, step)));
            marks.push(Mark {
                at: disk.log_len(),
                acknowledged: steps.len(),
                begun: steps.len(),
            });
        }
        drop(store);
        let end = clock.now();
        let mut states = vec![Contents::new()];
        for (at, step) in &steps {
            clock.set(WallTime(*at));
            wait(step.run(&reference)).unwrap();
            clock.set(end);
            states.push(wait(contents(&reference, &PARTITIONS)));
        }
        Workload {
            start,
            log: disk.log(),
            marks,
            states,
            options,
        }
    }

    fn mark(&self, changes: usize) -> Mark {
        let past = self.marks.partition_point(|mark| mark.at <= changes);
        self.marks[past - 1]
    }

    /// Opens an image, checks it, and returns the disk log of the recovery.
    fn check(&self, image: Vec<u8>, mark: Mark, what: &str) -> Vec<DiskChange> {
        let disk = Disk::holding(image);
        let store = match open(&disk, &self.options) {
            Ok(store) => store,
            Err(error) => panic!("{what}: does not open: {error}"),
        };
        let recovery = disk.log();
        let found = wait(contents(&store, &PARTITIONS));
        let matching = (mark.acknowledged..=mark.begun).any(|n| self.states[n] == found);
        assert!(
            matching,
            "{what}: {} objects found, none of the states {} to {}",
            found.len(),
            mark.acknowledged,
            mark.begun
        );
        assert_tables_agree(&store);
        wait(store.put("after", "k", NewObject::text("v"), When::Absent)).unwrap();
        recovery
    }

    /// Cuts the power after every `stride`-th change, and again during each recovery.
    fn cut_everywhere(&self, stride: usize, variants: u64, second_cuts: usize) -> Tally {
        let mut tally = Tally::default();
        let mut cut = Cut::at_start(&self.start);
        for changes in 0..=self.log.len() {
            if changes > 0 {
                cut.advance(&self.log[changes - 1]);
            }
            if changes % stride != 0 {
                continue;
            }
            tally.points += 1;
            let mark = self.mark(changes);
            for variant in 0..variants {
                let dice = &mut Dice(0x9E37_79B9 + (changes as u64) * 64 + variant);
                let image = cut.image(variant, dice);
                let what = format!("cut after change {changes}, variant {variant}");
                let recovery = self.check(image.clone(), mark, &what);
                tally.first += 1;
                let mut again = Cut::at_start(&image);
                let step = recovery.len().div_ceil(second_cuts.max(1)).max(1);
                for (done, change) in recovery.iter().enumerate() {
                    again.advance(change);
                    if second_cuts > 0 && (done + variant as usize).is_multiple_of(step) {
                        let image = again.image(2, dice);
                        let what = format!("{what}, again after change {done} of the recovery");
                        self.check(image, mark, &what);
                        tally.second += 1;
                    }
                }
            }
        }
        tally
    }
}

#[derive(Debug, Default)]
struct Tally {
    points: u64,
    first: u64,
    second: u64,
}

/// A disk at a moment: its durable bytes and the changes not yet synced.
struct Cut {
    durable: Vec<u8>,
    unsynced: Vec<DiskChange>,
}

impl Cut {
    fn at_start(image: &[u8]) -> Self {
        Cut {
            durable: image.to_vec(),
            unsynced: Vec::new(),
        }
    }

    fn advance(&mut self, change: &DiskChange) {
        if let DiskChange::Sync = change {
            for change in std::mem::take(&mut self.unsynced) {
                apply(&mut self.durable, &change);
            }
        } else {
            self.unsynced.push(change.clone());
        }
    }

    /// The disk's content after the power cut. Variant 0: all changes arrived; 1: none; others: some.
    fn image(&self, variant: u64, dice: &mut Dice) -> Vec<u8> {
        let mut image = self.durable.clone();
        for change in &self.unsynced {
            match (variant, dice.below(4)) {
                (0, _) | (2.., 0) => apply(&mut image, change),
                (1, _) | (2.., 1) => {}
                _ => apply_some_sectors(&mut image, change, dice),
            }
        }
        image
    }
}

fn apply_some_sectors(image: &mut Vec<u8>, change: &DiskChange, dice: &mut Dice) {
    let DiskChange::Write(at, data) = change else {
        return apply(image, change);
    };
    for (number, sector) in data.chunks(SECTOR).enumerate() {
        if dice.below(2) == 0 {
            let at = at + (number * SECTOR) as u64;
            apply(image, &DiskChange::Write(at, sector.into()));
        }
    }
}

#[test]
fn a_power_cut_at_any_change_loses_nothing_that_was_acknowledged() {
    let workload = Workload::run(40, 0x00C0_FFEE, Durability::Immediate);
    let tally = workload.cut_everywhere(1, 4, 2);
    assert!(tally.points > 100 && tally.second > 1_000, "{tally:?}");
}

/// The complete run, enabled by `FUSEBOX_PROVE=1`; best with optimisation.
#[test]
fn prove_that_a_power_cut_at_every_change_of_200_operations_loses_nothing() {
    if std::env::var_os("FUSEBOX_PROVE").is_none() {
        return;
    }
    let workload = Workload::run(200, 0xFEED_BEEF, Durability::Immediate);
    let tally = workload.cut_everywhere(1, 5, 4);
    println!(
        "power loss: 200 operations, {} changes of the disk, {} cut points, {} first and {} second \
         cuts recovered, 0 acknowledged operations lost",
        workload.log.len(),
        tally.points,
        tally.first,
        tally.second
    );
}

/// Shows that these tests can fail.
#[test]
fn without_syncs_the_same_cuts_do_lose_acknowledged_writes() {
    let workload = Workload::run(40, 0x00C0_FFEE, Durability::Process);
    let cuts = AssertUnwindSafe(|| workload.cut_everywhere(1, 4, 0));
    let panic = catch_unwind(cuts).expect_err("nothing was lost");
    let words = panic.downcast_ref::<String>().unwrap();
    assert!(
        words.contains("none of the states") || words.contains("damaged"),
        "{words}"
    );
}

#[test]
fn a_disk_whose_syncs_lied_gives_a_store_or_a_named_damage_but_no_panic() {
    let workload = Workload::run(16, 7, Durability::Immediate);
    let (mut opened, mut damaged) = (0, 0);
    for seed in 1..40 {
        let dice = &mut Dice(seed * 7919);
        let cut = Cut {
            durable: workload.start.clone(),
            unsynced: workload.log[..dice.below(workload.log.len() as u64) as usize].to_vec(),
        };
        let disk = Disk::holding(cut.image(2, dice));
        match open(&disk, &workload.options) {
            Ok(store) => {
                let _ = wait(store.keys("flows", "", usize::MAX));
                opened += 1;
            }
            Err(StoreError::Damaged { .. }) => damaged += 1,
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!(opened + damaged, 39);
}
