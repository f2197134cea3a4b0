//! The adversary in a crowd: several threads do to one breaker whatever can be done to it, with clocks that lag behind one
//! another and a listener that calls back and throws. What they saw must fit together afterwards.
//!
//! 200,000 events; with `FUSEBOX_PROVE` set, ten million. Threads race, so a seed tells the events and not their order.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use fusebox_breaker::{
    Breaker, Call, HoldKind, Listener, Mode, OnProbeTimeout, Outcome, OwnedPermit, Phase, Settings,
    Timestamp, Totals, Transition, machine::SettledAs,
};

use crate::adversary::{holds, is_allowed, is_an_operators};
use crate::forms::{guarded, throw};
use crate::kit::{limited, ms};
use crate::marathon::{Deck, events, seeds};
use crate::ops::{Op, held, op, settings, since};

const THREADS: u64 = 4;

/// How many events one thread makes in the life of one breaker.
const SHARE: u64 = 2_500;

/// How many probes may be in flight at once, in all settings here.
const PROBES: u32 = 3;

/// What a crowd may do.
#[derive(Clone, Copy, PartialEq)]
enum Manners {
    /// Every permit is settled and no probe is lost, so that all can be counted to the last one.
    Tidy,
    /// Permits are dropped and forgotten, calls panic, probes time out, and the process restarts.
    Wild,
}

#[derive(Default)]
struct Heard(Mutex<Vec<Transition>>);

impl Listener for Heard {
    fn transition(&self, breaker: &Breaker, transition: &Transition) {
        self.0.lock().unwrap().push(transition.clone());
        let _ = breaker.check(transition.at);
        let _ = breaker.explain(transition.at);
        throw();
    }
}

struct Crowd {
    breaker: Breaker,
    heard: Arc<Heard>,
    manners: Manners,
    clock: AtomicU64,
    /// Probes that are out, by generation.
    out: Mutex<HashMap<u64, u32>>,
}

/// What one thread did and was told.
#[derive(Default)]
struct Seen {
    /// The generations whose permits it was given.
    permits: Vec<u64>,
    counted: Totals,
    /// Outcomes of which it was not told as what they were counted.
    untold: u64,
}

/// Settings under which what threads see can be compared: all decisions carried out, and one limit of probes.
fn comparable(settings: Settings, manners: Manners) -> Settings {
    let mut settings = settings;
    settings.mode = Mode::Enforce;
    settings.half_open.probes = limited(PROBES);
    settings.half_open.places = Default::default();
    if manners == Manners::Tidy {
        settings.half_open.probe_timeout = ms(1 << 50);
        settings.half_open.on_probe_timeout = OnProbeTimeout::Replace;
    }
    settings
}

impl Crowd {
    fn new(settings: Settings, manners: Manners, seed: u64) -> Self {
        let heard = Arc::new(Heard::default());
        let builder =
            Breaker::builder("crowd", comparable(settings, manners)).listener(heard.clone());
        Crowd {
            breaker: builder.seed(seed).build().unwrap(),
            heard,
            manners,
            clock: AtomicU64::new(0),
            out: Mutex::new(HashMap::new()),
        }
    }

    fn mingle(&self, ops: &mut Deck<Op>) -> Seen {
        let mut seen = Seen::default();
        let mut in_hand = Vec::new();
        for _ in 0..SHARE {
            self.play(ops.draw(), &mut in_hand, &mut seen);
        }
        let now = self.now();
        for permit in in_hand {
            self.settle(permit, Outcome::Success.into(), now, &mut seen);
        }
        seen
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_nanos(self.clock.load(Ordering::Relaxed))
    }

    fn play(&self, op: Op, in_hand: &mut Vec<OwnedPermit>, seen: &mut Seen) {
        let (breaker, now) = (&self.breaker, self.now());
        let wild = self.manners == Manners::Wild;
        let take = |in_hand: &mut Vec<OwnedPermit>, which: usize| {
            let count = in_hand.len();
            (count > 0).then(|| in_hand.swap_remove(which % count))
        };
        match op {
            Op::Wait(time) => {
                let time = u64::try_from(time.as_nanos()).unwrap() / THREADS;
                self.clock.fetch_add(time, Ordering::Relaxed);
            }
            // This thread has read the clock a while ago.
            Op::Back(time) => {
                let before = now.as_nanos().saturating_sub(time.as_nanos() as u64 / 50);
                self.admit(Timestamp::from_nanos(before), in_hand, seen);
            }
            Op::Admit => self.admit(now, in_hand, seen),
            Op::Record { which, call } => {
                if let Some(permit) = take(in_hand, which) {
                    self.settle(permit, call, now, seen);
                }
            }
            Op::Answered { which } => {
                if let Some(permit) = take(in_hand, which) {
                    permit.answered();
                    in_hand.push(permit);
                }
            }
            Op::Waits { which, ago } => {
                if let Some(mut permit) = take(in_hand, which) {
                    permit.waits_since(since(ago, now));
                    in_hand.push(permit);
                }
            }
            Op::Extend { which, by } => {
                if let Some(mut permit) = take(in_hand, which) {
                    permit.extend(now + by);
                    in_hand.push(permit);
                }
            }
            Op::Guarded { asynchronous, end } if wild => {
                let passed = guarded(breaker, asynchronous, end, now).is_ok();
                seen.untold += u64::from(passed);
            }
            Op::Drop { which } if wild => {
                if let Some(permit) = take(in_hand, which) {
                    self.came_back(&permit);
                    drop(permit);
                    seen.untold += 1;
                }
            }
            Op::Forget { which } if wild => std::mem::forget(take(in_hand, which)),
            Op::Restart if wild => {
                breaker.restore(&breaker.saved(now), now);
            }
            Op::Guarded { .. }
            | Op::Drop { .. }
            | Op::Abandon { .. }
            | Op::Forget { .. }
            | Op::Restart
            // To a thread that lags behind a reset, no stamp is certainly of another clock.
            | Op::Far(_) => {}
            Op::Check => {
                let _ = breaker.check(now);
            }
            Op::Report(call) => seen.count(breaker.report_settled(call, now).counted),
            Op::Trip(trip) => {
                breaker.trip(trip, now);
            }
            Op::Hold(kind, length) => {
                breaker.hold(held(kind, length, now), now);
            }
            Op::Release => {
                breaker.release(now);
            }
            Op::Reset => {
                breaker.reset(now);
            }
            Op::Tick => {
                breaker.tick(now);
            }
            Op::Reconfigure(settings) => {
                let settings = comparable(*settings, self.manners);
                breaker.reconfigure(settings, now).unwrap();
            }
        }
    }

    fn admit(&self, now: Timestamp, in_hand: &mut Vec<OwnedPermit>, seen: &mut Seen) {
        match self.breaker.admit_owned(now) {
            Ok(permit) => {
                seen.permits.push(permit.generation());
                if permit.is_probe() && self.manners == Manners::Tidy {
                    let mut out = self.out.lock().unwrap();
                    let out = out.entry(permit.generation()).or_default();
                    *out += 1;
                    assert!(*out <= PROBES, "{out} probes are out");
                }
                in_hand.push(permit);
            }
            Err(rejection) => assert!(rejection.retry_at.is_none_or(|at| at > now)),
        }
    }

    fn settle(&self, permit: OwnedPermit, call: Call, now: Timestamp, seen: &mut Seen) {
        self.came_back(&permit);
        seen.count(permit.settle(call, now).counted);
    }

    /// Before its place is free.
    fn came_back(&self, permit: &OwnedPermit) {
        if permit.is_probe() && self.manners == Manners::Tidy {
            let mut out = self.out.lock().unwrap();
            *out.entry(permit.generation()).or_default() -= 1;
        }
    }

    /// What the threads saw, put together.
    fn fits(&self, seen: &[Seen]) {
        let permits = seen.iter().flat_map(|seen| &seen.permits);
        self.transitions_fit(permits);
        self.all_counted(seen);
    }

    fn transitions_fit<'a>(&self, permits: impl Iterator<Item = &'a u64>) {
        let mut heard = self.heard.0.lock().unwrap().clone();
        heard.sort_by_key(|transition| transition.generation);
        assert!(heard.iter().all(is_allowed));
        let mut held = false;
        for pair in heard.windows(2) {
            let (one, next) = (&pair[0], &pair[1]);
            // What a restart finds saved may be older than the last command.
            held = holds(one).unwrap_or(held && one.reason.token() != "restored");
            assert!(!held || is_an_operators(next), "{one}, then {next}");
            assert_eq!(one.to, next.from, "{one}, then {next}");
            // A reset begins time anew.
            let reset = [one, next].map(|one| one.reason.token() == "reset");
            assert!(one.at <= next.at || reset.contains(&true));
            if next.reason.token() != "restored" {
                assert_eq!(one.generation + 1, next.generation);
            }
            if next.reason.token() == "cooldown_ended" {
                let due = one.retry_at.is_some_and(|until| until <= next.at);
                assert!(due, "{one:?}, then {next:?}");
            }
        }
        let refuses = |transition: &&Transition| match transition.reason.token() {
            "held_open" => true,
            "held_closed" => false,
            // A hold may come back with what was saved.
            "restored" => false,
            _ => transition.to == Phase::Open,
        };
        let shut: Vec<_> = heard.iter().filter(refuses).collect();
        for generation in permits {
            let passed = shut.binary_search_by_key(generation, |transition| transition.generation);
            assert!(passed.is_err(), "a call passed while refusing");
        }
    }

    fn all_counted(&self, seen: &[Seen]) {
        let totals = self.breaker.snapshot(self.now()).totals;
        let sum = |kind: fn(&Totals) -> u64| seen.iter().map(|seen| kind(&seen.counted)).sum();
        let untold: u64 = seen.iter().map(|seen| seen.untold).sum();
        let kinds: [fn(&Totals) -> u64; 3] = [
            |totals| totals.failures,
            |totals| totals.ignored,
            |totals| totals.late,
        ];
        for kind in kinds {
            let (counted, told): (u64, u64) = (kind(&totals), sum(kind));
            assert!((told..=told + untold).contains(&counted));
        }
        assert!(totals.successes <= sum(|totals| totals.successes) + untold);
    }

    /// The other side is well again and the operator lets go.
    fn comes_back(&self) {
        let mut now = self.now();
        self.breaker.release(now);
        for _ in 0..4 {
            // More than any settings here ask for. Once closed, kept failures may trip it with the next success.
            for _ in 0..16 {
                let passed = self.breaker.admit(now);
                if self.breaker.snapshot(now).phase == Phase::Closed {
                    return;
                }
                if let Ok(probe) = passed {
                    probe.record(Call::from(Outcome::Success).lasting(ms(0)), now);
                }
            }
            let snapshot = self.breaker.snapshot(now);
            let longest = self.breaker.settings().cooldown.longest();
            let probe = self.breaker.settings().half_open.probe_timeout;
            let due = snapshot.retry_by.or(snapshot.retry_at);
            now = due.unwrap_or(now + longest.max(probe));
        }
        panic!("stuck: {:?}", self.breaker.snapshot(now));
    }
}

impl Seen {
    fn count(&mut self, counted: SettledAs) {
        match counted {
            SettledAs::Success => self.counted.successes += 1,
            SettledAs::Failure => self.counted.failures += 1,
            SettledAs::Ignored => self.counted.ignored += 1,
            SettledAs::Late => self.counted.late += 1,
            SettledAs::Untracked => unreachable!("no settings here disable"),
        }
    }
}

/// Tells the seed of a life that failed.
struct Told(u64);

impl Drop for Told {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("play it again with FUSEBOX_SEED={}", self.0);
        }
    }
}

fn live_together(manners: Manners, first_seed: u64) {
    let mut all = Deck::new(first_seed, 500, settings());
    let ops = Deck::new(first_seed, 5_000, op());
    for seed in seeds(events() / 2 / (THREADS * SHARE)) {
        let _told = Told(seed);
        all.begin(seed);
        let crowd = Crowd::new(all.draw(), manners, seed);
        let seen: Vec<_> = thread::scope(|scope| {
            let spawn = |number| {
                let (crowd, mut ops) = (&crowd, ops.clone());
                ops.begin(seed * THREADS + number);
                scope.spawn(move || crowd.mingle(&mut ops))
            };
            let threads: Vec<_> = (0..THREADS).map(spawn).collect();
            threads.into_iter().map(|one| one.join().unwrap()).collect()
        });
        crowd.fits(&seen);
        crowd.comes_back();
    }
}

#[test]
fn what_a_tidy_crowd_saw_fits_together_to_the_last_outcome_and_probe() {
    live_together(Manners::Tidy, 3);
}

#[test]
fn a_wild_crowd_breaks_nothing_and_leaves_nothing_stuck() {
    live_together(Manners::Wild, 4);
}

/// One hold at a time, and threads that fail as fast as they can.
#[test]
fn no_permit_of_a_crowd_is_given_under_a_hold() {
    let crowd = Crowd::new(Settings::default(), Manners::Tidy, 1);
    let now = crowd.now();
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for _ in 0..SHARE {
                    if let Ok(permit) = crowd.breaker.admit(now) {
                        permit.record(Outcome::Failure, now);
                    }
                }
            });
        }
        for _ in 0..200 {
            let held = crowd.breaker.hold(held(HoldKind::Open, None, now), now);
            for _ in 0..10 {
                let refused = crowd.breaker.admit(now).unwrap_err();
                assert_eq!(refused.retry_at, None, "{held}");
            }
            crowd.breaker.reset(now);
        }
    });
    crowd.transitions_fit([].iter());
}
