//! The permits that programs hold: how many outcomes each may still report, and until when.
//!
//! A program may report the outcomes of one permit in several batches, twice by mistake, or never. So each permit has an
//! entry here until its time is over, and the table has a bound: beyond it the oldest permit is dropped, and its reports
//! are late. Serial numbers follow one another, so an entry is found by its place.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use fusebox_breaker::{Advance, OwnedPermit, Timestamp};

/// The most permits of one name that are remembered.
pub const PERMITS_MAX: usize = 16_384;

/// The time after which the outcomes of a permit are late. A probe's deadline is shorter.
pub const REPORT_WITHIN: Duration = Duration::from_secs(600);

/// The permits of one name, by serial number.
#[derive(Debug, Default)]
pub struct PermitTable {
    /// The serial number of the first entry.
    first: u64,
    entries: VecDeque<Entry>,
    /// The ends of the permits that hold a breaker's own one, which is to be dropped in time.
    ends: BTreeSet<(Timestamp, u64)>,
}

#[derive(Debug)]
struct Entry {
    /// The number of outcomes that may still be reported.
    left: u32,
    /// The time from which they are late.
    until: Timestamp,
    held: Held,
}

#[derive(Debug)]
enum Held {
    Advance(Advance),
    Permit(Box<OwnedPermit>),
    Nothing,
}

/// The answer to a report.
#[derive(Debug)]
pub enum Taken {
    /// The outcomes belong to calls permitted in advance.
    Advance(Advance),
    /// The outcome is that of the one call.
    Permit(Box<OwnedPermit>),
    /// The permit's time is over, or it made room for others.
    Late,
    /// The permit has fewer outcomes left, namely these; nothing was taken.
    Beyond(u32),
}

impl PermitTable {
    /// Notes a permit for a number of calls; returns its serial number.
    pub fn grant(&mut self, advance: Advance, calls: u32, now: Timestamp) -> u64 {
        let until = now + REPORT_WITHIN;
        self.add(calls, until, Held::Advance(advance), now)
    }

    /// Notes a permit for one call, whose outcome is late from `until`; returns its serial number.
    pub fn hold(&mut self, permit: OwnedPermit, until: Timestamp, now: Timestamp) -> u64 {
        let serial = self.add(1, until, Held::Permit(Box::new(permit)), now);
        self.ends.insert((until, serial));
        serial
    }

    fn add(&mut self, left: u32, until: Timestamp, held: Held, now: Timestamp) -> u64 {
        self.sweep(now);
        if self.entries.len() >= PERMITS_MAX {
            self.drop_first();
        }
        self.entries.push_back(Entry { left, until, held });
        self.first + self.entries.len() as u64 - 1
    }

    /// Takes a number of outcomes of a permit, one at least.
    pub fn take(&mut self, serial: u64, outcomes: usize, now: Timestamp) -> Taken {
        self.sweep(now);
        let place = serial.checked_sub(self.first);
        let place = place.and_then(|place| usize::try_from(place).ok());
        let Some(entry) = place.and_then(|place| self.entries.get_mut(place)) else {
            return Taken::Late;
        };
        if entry.until <= now {
            return Taken::Late;
        }
        let outcomes = u32::try_from(outcomes).unwrap_or(u32::MAX);
        if outcomes > entry.left {
            return Taken::Beyond(entry.left);
        }
        entry.left -= outcomes;
        match &entry.held {
            Held::Advance(advance) => Taken::Advance(*advance),
            _ => {
                self.ends.remove(&(entry.until, serial));
                match std::mem::replace(&mut entry.held, Held::Nothing) {
                    Held::Permit(permit) => Taken::Permit(permit),
                    Held::Advance(_) | Held::Nothing => Taken::Late,
                }
            }
        }
    }

    /// Forgets the permits whose time is over, and drops the breaker's own ones among them.
    pub fn sweep(&mut self, now: Timestamp) {
        while let Some((until, serial)) = self.ends.first().copied()
            && until <= now
        {
            self.ends.pop_first();
            let entry = usize::try_from(serial - self.first);
            let entry = entry.ok().and_then(|at| self.entries.get_mut(at));
            if let Some(entry) = entry {
                entry.held = Held::Nothing;
            }
        }
        while self.entries.front().is_some_and(|it| it.until <= now) {
            self.drop_first();
        }
    }

    fn drop_first(&mut self) {
        if let Some(entry) = self.entries.pop_front() {
            self.ends.remove(&(entry.until, self.first));
            self.first += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use fusebox_breaker::machine::SettledAs;
    use fusebox_breaker::{Breaker, HalfOpen, Outcome, Phase, Probes, Settings};
    use proptest::prelude::*;

    use super::*;

    fn at(second: u64) -> Timestamp {
        Timestamp::from_secs(second)
    }

    #[test]
    fn a_permit_has_so_many_outcomes_and_no_more() {
        let breaker = Breaker::new("stripe", Settings::default()).unwrap();
        let advance = breaker.advance(at(0)).unwrap();
        let mut table = PermitTable::default();
        let serial = table.grant(advance, 5, at(0));
        assert!(matches!(table.take(serial, 3, at(1)), Taken::Advance(_)));
        assert!(matches!(table.take(serial, 3, at(1)), Taken::Beyond(2)));
        assert!(matches!(table.take(serial, 2, at(1)), Taken::Advance(_)));
        assert!(matches!(table.take(serial, 1, at(1)), Taken::Beyond(0)));
        assert!(matches!(table.take(serial, 1, at(600)), Taken::Late));
        assert!(matches!(table.take(serial + 1, 1, at(1)), Taken::Late));
    }

    #[test]
    fn the_oldest_permit_makes_room_and_is_late() {
        let breaker = Breaker::new("stripe", Settings::default()).unwrap();
        let advance = breaker.advance(at(0)).unwrap();
        let mut table = PermitTable::default();
        let first = table.grant(advance, 1, at(0));
        let second = table.grant(advance, 1, at(0));
        for _ in 0..PERMITS_MAX - 1 {
            table.grant(advance, 1, at(0));
        }
        assert_eq!(table.entries.len(), PERMITS_MAX);
        assert!(matches!(table.take(first, 1, at(1)), Taken::Late));
        assert!(matches!(table.take(second, 1, at(1)), Taken::Advance(_)));
    }

    #[derive(Debug, Clone)]
    enum Step {
        Check,
        Report {
            nth: usize,
            outcomes: usize,
            ok: bool,
        },
        Wait(u64),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            3 => Just(Step::Check),
            4 => (0..12_usize, 1..7_usize, any::<bool>())
                .prop_map(|(nth, outcomes, ok)| Step::Report { nth, outcomes, ok }),
            1 => (1..700_u64).prop_map(Step::Wait),
            2 => (1..9_u64).prop_map(Step::Wait),
        ];
        prop::collection::vec(step, 1..120)
    }

    proptest! {
        /// Whatever programs do, no more outcomes count than a permit was for, and no more probes are in flight than
        /// the breaker has places.
        #[test]
        fn no_permit_counts_beyond_its_calls_and_no_probe_beyond_its_places(steps in steps(), places in 1..4_u32) {
            const CALLS: u32 = 5;
            let settings = Settings {
                half_open: HalfOpen {
                    probes: Probes::Limited(places.try_into().unwrap()),
                    probe_timeout: Duration::from_secs(4),
                    ..HalfOpen::default()
                },
                ..Settings::default()
            };
            let breaker = Breaker::new("stripe", settings).unwrap();
            let (mut table, mut now) = (PermitTable::default(), at(1));
            let mut permits: Vec<(u64, u32)> = Vec::new();
            let mut counted: HashMap<u64, u32> = HashMap::new();
            let mut probes: Vec<(u64, Timestamp)> = Vec::new();
            for step in steps {
                match step {
                    Step::Wait(seconds) => now = now + Duration::from_secs(seconds),
                    Step::Check => {
                        if let Some(advance) = breaker.advance(now) {
                            permits.push((table.grant(advance, CALLS, now), CALLS));
                        } else if let Ok(permit) = breaker.admit_owned(now) {
                            let deadline = permit.deadline();
                            let until = deadline.unwrap_or(now + REPORT_WITHIN);
                            let serial = table.hold(permit, until, now);
                            permits.push((serial, 1));
                            if let Some(deadline) = deadline {
                                probes.push((serial, deadline));
                            }
                        }
                    }
                    Step::Report { nth, outcomes, ok } => {
                        if permits.is_empty() {
                            continue;
                        }
                        let (serial, calls) = permits[nth % permits.len()];
                        let outcome = if ok { Outcome::Success } else { Outcome::Failure };
                        let done = match table.take(serial, outcomes, now) {
                            Taken::Advance(advance) => (0..outcomes)
                                .map(|_| breaker.record_advance(advance, outcome, now).counted)
                                .collect(),
                            Taken::Permit(permit) => {
                                probes.retain(|(probe, _)| *probe != serial);
                                vec![permit.settle(outcome, now).counted]
                            }
                            Taken::Late | Taken::Beyond(_) => Vec::new(),
                        };
                        let own = counted.entry(serial).or_default();
                        *own += done.iter().filter(|it| **it != SettledAs::Late).count() as u32;
                        prop_assert!(*own <= calls, "{} of {}", own, calls);
                    }
                }
                let snapshot = breaker.snapshot(now);
                if snapshot.phase == Phase::HalfOpen {
                    let generation = snapshot.generation;
                    let flying = probes.iter().filter(|(_, deadline)| now < *deadline).count();
                    let in_flight = snapshot.probes.map_or(0, |it| it.in_flight);
                    prop_assert!(in_flight <= places, "{} in generation {}", in_flight, generation);
                    prop_assert!(flying as u32 >= in_flight);
                }
                prop_assert!(table.entries.len() <= PERMITS_MAX);
                prop_assert!(table.ends.len() <= table.entries.len());
            }
        }
    }
}
