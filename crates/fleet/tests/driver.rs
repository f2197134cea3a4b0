//! Running fleets over a store in memory: real breakers, real tasks, and a clock that advances once all tasks are idle.
#![cfg(feature = "driver")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use fusebox_breaker::{
    Breaker, Clock, Cooldown, Guard, Listener, Outcome, Phase, Registry, Rule, Settings, Timestamp,
    Transition, machine::ForcedTrip,
};
use fusebox_fleet::{
    Fleet, FleetOptions, Health, News, Share, fleet,
    protocol::{State, Word},
};
use fusebox_store::{
    Fault, WallTime,
    records::{HostileRecords, MemoryRecords, SharedRecords},
};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

/// The clock of the paused runtime, which stands still while a task works.
#[derive(Clone, Copy)]
struct Virtual(Instant);

impl Clock for Virtual {
    fn now(&self) -> Timestamp {
        Timestamp::ZERO + self.0.elapsed()
    }
}

impl fusebox_store::Clock for Virtual {
    fn now(&self) -> WallTime {
        WallTime(1_700_000_000_000).after(self.0.elapsed())
    }
}

type Store = HostileRecords<MemoryRecords>;

struct Process {
    fleet: Fleet,
    breaker: Breaker,
    clock: Virtual,
    news: Arc<Mutex<Vec<News>>>,
    task: JoinHandle<()>,
}

impl Process {
    fn call(&self, outcome: Outcome) -> bool {
        let admitted = self.breaker.admit(self.clock.now());
        admitted
            .map(|permit| permit.record(outcome, self.clock.now()))
            .is_ok()
    }

    fn trip(&self) {
        (0..3).for_each(|_| assert!(self.call(Outcome::Failure)));
        assert_eq!(self.phase(), Phase::Open);
    }

    fn phase(&self) -> Phase {
        self.breaker.snapshot(self.clock.now()).phase
    }
}

fn settings() -> Settings {
    let mut settings = Settings {
        trip: vec![Rule::ConsecutiveFailures {
            threshold: 3,
            within: None,
        }],
        cooldown: Cooldown::fixed(Duration::from_secs(10)),
        ..Settings::default()
    };
    settings.half_open.probe_timeout = Duration::from_secs(1);
    settings
}

fn store(clock: Virtual) -> Arc<Store> {
    Arc::new(HostileRecords::new(MemoryRecords::new(Arc::new(clock))))
}

fn process(number: usize, share: Share, store: &Arc<Store>, clock: Virtual) -> Process {
    let news: Arc<Mutex<Vec<News>>> = Arc::default();
    let heard = news.clone();
    let options = FleetOptions {
        clock: Arc::new(clock),
        on_news: Some(Arc::new(move |news| {
            heard.lock().unwrap().push(news.clone())
        })),
        seed: number as u64,
        ..FleetOptions::new(format!("node-{number}"))
    };
    let records: Arc<dyn SharedRecords> = store.clone();
    let (fleet, driver) = fleet(options, records);
    let task = tokio::spawn(driver.run());
    let listener = fleet.listener(share, None);
    let breaker = Breaker::builder("orders", settings())
        .listener(listener)
        .build()
        .unwrap();
    fleet.join(&breaker, share).unwrap();
    Process {
        fleet,
        breaker,
        clock,
        news,
        task,
    }
}

async fn pause(millis: u64) {
    sleep(Duration::from_millis(millis)).await;
}

/// Starts a fleet of this many processes.
async fn begin(processes: usize, share: Share) -> (Vec<Process>, Arc<Store>) {
    let clock = Virtual(Instant::now());
    let store = store(clock);
    let processes = (0..processes)
        .map(|number| process(number, share, &store, clock))
        .collect();
    pause(5).await;
    (processes, store)
}

fn all(processes: &[Process], phase: Phase) -> bool {
    processes.iter().all(|process| process.phase() == phase)
}

#[tokio::test(start_paused = true)]
async fn a_trip_opens_all_and_a_probe_of_one_closes_all() {
    let (fleet, _) = begin(5, Share::Verdict).await;
    fleet[3].trip();
    pause(1).await;
    assert!(all(&fleet, Phase::Open));
    pause(10_005).await;
    assert!(
        fleet.iter().all(|process| !process.call(Outcome::Success)),
        "it asks first"
    );
    pause(1).await;
    let passed = fleet
        .iter()
        .filter(|process| process.call(Outcome::Success))
        .count();
    assert_eq!(passed, 1);
    pause(1).await;
    assert!(all(&fleet, Phase::Closed));
    let status = fleet[0].fleet.status();
    assert_eq!((status.health, status.breakers), (Health::Reachable, 1));
    assert!(status.staleness(fleet[0].clock.now()) <= Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn failures_are_counted_over_all_processes() {
    let (fleet, _) = begin(3, Share::Counts).await;
    for process in &fleet[..2] {
        assert!(process.call(Outcome::Failure));
        pause(15).await;
        assert!(all(&fleet, Phase::Closed));
    }
    assert!(fleet[2].call(Outcome::Success));
    pause(15).await;
    for process in &fleet {
        assert!(all(&fleet, Phase::Closed));
        assert!(process.call(Outcome::Failure));
        pause(15).await;
    }
    assert!(all(&fleet, Phase::Open));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_hangs_or_lies_fails_no_call_and_all_agree_when_it_is_back() {
    for fault in [
        Fault::Fail,
        Fault::Hang,
        Fault::LoseAnswer,
        Fault::Lie,
        Fault::Tear,
    ] {
        let (fleet, store) = begin(3, Share::Verdict).await;
        store.stand(fault);
        store.lose_pushes(true);
        pause(3_000).await;
        assert!(fleet.iter().all(|process| process.call(Outcome::Success)));
        fleet[1].trip();
        pause(3_000).await;
        assert_eq!(fleet[1].phase(), Phase::Open, "{fault:?}");
        store.stand(Fault::None);
        store.lose_pushes(false);
        store.release();
        pause(1_000).await;
        assert!(all(&fleet, Phase::Open), "{fault:?}");
        let away = fault != Fault::Lie && fault != Fault::Tear;
        let said = fleet[0].news.lock().unwrap().contains(&News::StoreAway);
        assert_eq!(said, away, "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_away_at_the_start_is_found_when_it_comes() {
    let clock = Virtual(Instant::now());
    let store = store(clock);
    store.stand(Fault::Hang);
    let fleet: Vec<_> = (0..3)
        .map(|n| process(n, Share::Verdict, &store, clock))
        .collect();
    assert!(fleet[0].call(Outcome::Success));
    pause(4_000).await;
    assert!(matches!(
        fleet[0].fleet.status().health,
        Health::Away { .. }
    ));
    store.stand(Fault::None);
    store.release();
    pause(1_000).await;
    fleet[0].trip();
    pause(1).await;
    assert!(all(&fleet, Phase::Open));
}

#[tokio::test(start_paused = true)]
async fn a_fleet_that_stops_or_dies_leaves_its_breakers_on_their_own() {
    for die in [false, true] {
        let (fleet, _) = begin(2, Share::Verdict).await;
        fleet[0].trip();
        pause(1).await;
        if die {
            fleet[1].task.abort();
        } else {
            fleet[1].fleet.stop();
        }
        pause(10_005).await;
        assert!(!fleet[0].call(Outcome::Success), "led");
        assert!(fleet[1].call(Outcome::Success), "alone");
    }
}

#[tokio::test(start_paused = true)]
async fn the_breakers_of_a_registry_join_when_they_are_made_and_leave_when_they_are_let_go() {
    /// Counts the forwarded events.
    #[derive(Default)]
    struct Also(Mutex<u32>);
    impl Listener for Also {
        fn transition(&self, _: &Breaker, _: &Transition) {
            *self.0.lock().unwrap() += 1;
        }
    }
    let (fleet, store) = begin(1, Share::Verdict).await;
    let clock = fleet[0].clock;
    let other = process(7, Share::Verdict, &store, clock);
    let also = Arc::new(Also::default());
    let registry = |fleet: &Fleet| {
        let listener = fleet.listener(Share::Verdict, Some(also.clone()));
        let registry = Registry::builder("tenants", settings()).max_keys(2);
        registry.listener(listener).build().unwrap()
    };
    let (here, there) = (registry(&fleet[0].fleet), registry(&other.fleet));
    let breaker = here.get_or_create("acme", clock.now());
    for _ in 0..3 {
        breaker
            .admit(clock.now())
            .unwrap()
            .record(Outcome::Failure, clock.now());
    }
    assert_eq!(*also.0.lock().unwrap(), 1);
    pause(5).await;
    let late = there.get_or_create("acme", clock.now());
    assert_eq!(late.snapshot(clock.now()).phase, Phase::Closed);
    pause(5).await;
    assert_eq!(
        late.snapshot(clock.now()).phase,
        Phase::Open,
        "what the fleet knew already"
    );
    assert_eq!(other.fleet.status().breakers, 2);
    drop(late);
    for key in 0..500 {
        there.get_or_create(&key.to_string(), clock.now());
        pause(10).await;
    }
    pause(1_100).await;
    assert_eq!(there.len(), 2, "the fleet keeps none of them");
    let kept = other.fleet.status().breakers;
    assert!(
        kept < 250,
        "the memory of the last ones is given back later: {kept}"
    );
    assert!(there.contains("acme"), "an open one stays");
}

#[tokio::test(start_paused = true)]
async fn an_operators_word_reaches_all_processes() {
    let (fleet, _) = begin(3, Share::Verdict).await;
    let word = Word::Hold {
        open: true,
        span: Some(Duration::from_secs(2)),
        why: "deploy".to_owned(),
        by: "ann".to_owned(),
    };
    fleet[0].fleet.say("orders", word);
    pause(1).await;
    assert!(fleet.iter().all(|process| !process.call(Outcome::Success)));
    fleet[1].fleet.say(
        "orders",
        Word::Reset {
            by: "ann".to_owned(),
        },
    );
    pause(1).await;
    assert!(fleet.iter().all(|process| process.call(Outcome::Success)));
}

#[tokio::test(start_paused = true)]
async fn a_breaker_that_cannot_be_shared_is_reported() {
    let (fleet, _) = begin(1, Share::Verdict).await;
    let rate = Settings {
        trip: vec![Rule::Stalled {
            calls: 5,
            longer_than: Duration::from_secs(1),
        }],
        ..settings()
    };
    let breaker = Breaker::new("slow", rate.clone()).unwrap();
    let error = fleet[0].fleet.join(&breaker, Share::Counts).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("stalled cannot be counted over a fleet")
    );
    let listener = fleet[0].fleet.listener(Share::Counts, None);
    let registry = Registry::builder("slow", rate)
        .listener(listener)
        .build()
        .unwrap();
    registry.get_or_create("x", fleet[0].clock.now());
    let long = Breaker::new("n".repeat(500), settings()).unwrap();
    fleet[0].fleet.join(&long, Share::Verdict).unwrap();
    pause(1).await;
    let news = fleet[0].news.lock().unwrap();
    let keys: Vec<_> = news
        .iter()
        .map(|news| match news {
            News::NotShared { key, .. } => key.len(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(keys, [6, 500]);
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_transitions_loses_none_that_matters() {
    let (fleet, _) = begin(2, Share::Verdict).await;
    let now = fleet[0].clock.now();
    for _ in 0..10_000 {
        fleet[0].breaker.reset(now);
    }
    fleet[0].trip();
    pause(2).await;
    assert!(all(&fleet, Phase::Open));
}

#[tokio::test(start_paused = true)]
async fn a_view_of_a_breaker_includes_all_earlier_events() {
    let (fleet, _) = begin(2, Share::Counts).await;
    assert!(fleet[0].call(Outcome::Failure));
    pause(50).await;
    let seen = fleet[1].fleet.look(Some("orders")).await;
    assert_eq!(seen.len(), 1);
    let counted: Vec<_> = seen[0].counted.iter().collect();
    assert_eq!((counted[0].observed, counted[0].threshold), (1, 3));
    assert!(!seen[0].alone && seen[0].may_probe_until.is_none());
    fleet[1].trip();
    fleet[1].fleet.settle(Duration::from_secs(1)).await;
    let seen = fleet[1].fleet.look(None).await;
    let record = seen[0].record.clone().unwrap();
    assert_eq!((record.state, &*record.by), (State::Open, "node-1"));
    assert!(fleet[1].fleet.look(Some("others")).await.is_empty());
    fleet[1].task.abort();
    pause(1).await;
    assert!(
        fleet[1].fleet.look(None).await.is_empty(),
        "nobody is there to answer"
    );
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_waits_for_pending_counts_but_not_for_a_store_that_is_away() {
    let (fleet, store) = begin(2, Share::Counts).await;
    assert!(fleet[0].call(Outcome::Failure));
    let began = Instant::now();
    fleet[0].fleet.settle(Duration::from_millis(500)).await;
    assert!(began.elapsed() < Duration::from_millis(500));
    fleet[0].task.abort();
    pause(5).await;
    let seen = fleet[1].fleet.look(Some("orders")).await;
    assert_eq!(seen[0].counted[0].observed, 1);
    store.stand(Fault::Hang);
    assert!(fleet[1].call(Outcome::Failure));
    let began = Instant::now();
    fleet[1].fleet.settle(Duration::from_millis(300)).await;
    assert!(began.elapsed() <= Duration::from_millis(301));
}

#[tokio::test(start_paused = true)]
async fn a_breaker_that_leaves_and_joins_again_at_once_has_joined() {
    let (fleet, _) = begin(2, Share::Verdict).await;
    fleet[0].fleet.leave(&fleet[0].breaker);
    fleet[0]
        .fleet
        .join(&fleet[0].breaker, Share::Verdict)
        .unwrap();
    pause(5).await;
    assert_eq!(fleet[0].fleet.status().breakers, 1);
    fleet[1].trip();
    pause(5).await;
    assert!(all(&fleet, Phase::Open));
    fleet[0].fleet.leave(&fleet[0].breaker);
    pause(5).await;
    assert_eq!(fleet[0].fleet.status().breakers, 0);
}

#[tokio::test(start_paused = true)]
async fn two_processes_with_one_name_are_reported_but_a_restart_is_not() {
    let clock = Virtual(Instant::now());
    let store = store(clock);
    let taken = |process: &Process| {
        let taken = |news: &&News| matches!(news, News::NameTaken { .. });
        process.news.lock().unwrap().iter().filter(taken).count()
    };
    let first = process(0, Share::Verdict, &store, clock);
    pause(12_000).await;
    first.fleet.stop();
    first.task.await.unwrap();
    // Another process with that name, right after the first one and after one that was killed.
    let second = process(0, Share::Verdict, &store, clock);
    pause(30_000).await;
    assert_eq!((taken(&second), second.fleet.status().same_name), (0, 0));
    second.task.abort();
    let third = process(0, Share::Verdict, &store, clock);
    pause(60_000).await;
    assert_eq!(taken(&third), 0);
    let other = process(1, Share::Verdict, &store, clock);
    let twin = process(0, Share::Verdict, &store, clock);
    pause(11_000).await;
    assert_eq!((taken(&third), taken(&twin), taken(&other)), (1, 1, 0));
    assert_eq!(twin.fleet.status().same_name, 1);
    pause(120_000).await;
    assert_eq!((taken(&third), taken(&twin)), (3, 3), "once a minute");
    twin.task.abort();
    pause(30_000).await;
    assert_eq!(third.fleet.status().same_name, 0);
}

#[test]
fn a_fleet_and_guards_made_at_any_time_tell_the_same_time() {
    let options = FleetOptions::new("anna");
    let before = options.clock.now();
    while options.clock.now() < before + Duration::from_millis(5) {
        std::thread::yield_now();
    }
    let guard = Guard::of(Breaker::new("orders", settings()).unwrap());
    let told = [options.clock.now(), guard.now(), options.clock.now()];
    assert!(told.is_sorted(), "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn a_waiting_caller_is_woken_by_a_lease() {
    for processes in [1, 3] {
        let (fleet, _) = begin(processes, Share::Verdict).await;
        let now = fleet[0].clock.now();
        fleet[0].breaker.trip(
            ForcedTrip {
                by: "ann".into(),
                reason: "a drill".into(),
                cooldown: Some(Duration::from_millis(500)),
            },
            now,
        );
        pause(5).await;
        assert!(all(&fleet, Phase::Open));
        let waits = fleet.iter().map(|process| {
            let guard = Guard::of(process.breaker.clone()).clock(process.clock);
            async move {
                let mut calls = 0;
                loop {
                    guard.ready_by(sleep).await;
                    calls += 1;
                    if guard.call(|| Ok::<_, ()>(())).is_ok() {
                        return calls;
                    }
                }
            }
        });
        let calls = futures_util::future::join_all(waits).await;
        let took = fleet[0].clock.now().saturating_since(now);
        assert!(took < Duration::from_millis(600), "{processes}: {took:?}");
        assert!(calls.iter().all(|calls| *calls == 1), "{calls:?}");
    }
}
