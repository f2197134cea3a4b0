//! Keys past their limit: which one gives way, and how the others fare for which there is no room.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use fusebox_breaker::{
    Clock, Cooldown, ErrorsFail, Guards, HoldKind, OnOverflow, Over, Phase, Registry, Rule,
    Settings, Timestamp,
};
use proptest::prelude::*;

use crate::kit::*;
use crate::registry::is_shared;
use crate::ways_in::Hand;

const MINUTES: u64 = 60_000;

fn registry(settings: Settings, max_keys: usize) -> Registry {
    let builder = Registry::builder("orders", settings).max_keys(max_keys);
    builder.build().unwrap()
}

fn own(registry: &Registry, key: &str, millis: u64) -> bool {
    let breaker = registry.get_or_create(key, at(millis));
    **breaker.name() == *format!("orders/{key}")
}

#[test]
fn the_key_not_asked_for_the_longest_gives_way() {
    let registry = registry(in_a_row(1), 3);
    for (millis, key) in ["a", "b", "c", "a", "b"].iter().enumerate() {
        assert!(own(&registry, key, millis as u64));
    }
    assert!(own(&registry, "d", 10));
    assert!(!registry.contains("c"), "asked for first");
    assert!(own(&registry, "e", 11));
    assert!(!registry.contains("a"));
    assert!(registry.contains("b"));
    assert_eq!(registry.counts().evicted_spare, 2);
}

#[test]
fn keys_with_a_failure_each_do_not_fill_a_registry_for_ever() {
    let registry = registry(in_a_row(5), 100);
    for number in 0..100 {
        fail(
            &registry.get_or_create(&format!("old-{number}"), at(number)),
            0,
        );
    }
    assert!(!own(&registry, "new", 10 * MINUTES - 1));
    // The first was not asked for in ten minutes, the second lacks a millisecond.
    assert!(own(&registry, "new", 10 * MINUTES));
    assert!(!registry.contains("old-0"));
    fail(&registry.get("new").unwrap(), 10 * MINUTES);
    assert!(!own(&registry, "newer", 10 * MINUTES));
    assert!(own(&registry, "newer", 10 * MINUTES + 1));
    assert!(!registry.contains("old-1") && registry.contains("new"));
    let counts = registry.counts();
    assert_eq!((counts.evicted_idle, counts.evicted_spare), (2, 0));
    assert_eq!(counts.overflow_shared, 2);
}

#[test]
fn a_key_with_nothing_in_it_goes_before_an_older_one_with_a_failure() {
    let registry = registry(in_a_row(5), 2);
    fail(&registry.get_or_create("failed", at(0)), 0);
    assert!(own(&registry, "clean", 1_000 * MINUTES));
    assert!(own(&registry, "new", 1_000 * MINUTES + 1));
    assert!(registry.contains("failed"));
    assert!(!registry.contains("clean"));
}

#[test]
fn open_and_held_keys_never_give_way_and_one_past_its_cooldown_does_when_it_is_idle() {
    let mut settings = in_a_row(1);
    settings.cooldown = fusebox_breaker::Cooldown::fixed(Duration::from_secs(7_200));
    let builder = Registry::builder("orders", settings).max_keys(3);
    let registry = builder.idle_after(ms(1_000)).build().unwrap();
    for key in ["tripped", "released"] {
        fail(&registry.get_or_create(key, at(0)), 0);
    }
    let hour = 60 * MINUTES;
    registry
        .get_or_create("held", at(0))
        .hold(hold(HoldKind::Closed, None), at(0));
    assert!(!own(&registry, "new", hour));
    assert!(own(&registry, "new", 2 * hour));
    assert!(!registry.contains("tripped") && registry.contains("released"));
    assert!(registry.contains("held"));
}

#[test]
fn how_long_a_key_must_be_idle_follows_from_the_settings_unless_it_is_given() {
    let long = by_rule(Rule::Failures {
        threshold: 5,
        over: Over::Time(Duration::from_secs(3_600)),
        full: false,
    });
    // The windows are empty after one hour; so a breaker of a row is looked at, whose failure never grows old.
    let mut settings = long.clone();
    settings.trip.push(Rule::ConsecutiveFailures {
        threshold: 9,
        within: None,
    });
    let registry = registry(settings, 1);
    fail(&registry.get_or_create("a", at(0)), 0);
    let hour = 60 * MINUTES;
    assert!(!own(&registry, "b", 10 * hour - 1));
    registry.set_idle_after(Some(ms(5)));
    assert!(own(&registry, "b", 10 * hour - 1));
    registry.set_idle_after(None);
    fail(&registry.get_or_create("b", at(10 * hour)), 10 * hour);
    assert!(!own(&registry, "c", 20 * hour - 1));
    assert!(own(&registry, "c", 20 * hour));
}

#[test]
fn a_flood_of_keys_that_fail_takes_at_most_a_part_of_the_newcomers_service() {
    let settings = in_a_row(5);
    let registry = registry(settings, 1_000);
    // An attacker fills the registry, trips all that he filled it with, and one shared breaker.
    for number in 0..1_001u64 {
        let key = format!("evil-{number}");
        for _ in 0..5 {
            fail(&registry.get_or_create(&key, at(number / 10)), number / 10);
        }
    }
    let refused = (0..6_400)
        .filter(|number| {
            let newcomer = registry.get_or_create(&format!("honest-{number}"), at(200));
            assert!(is_shared(newcomer.name()));
            phase(&newcomer, 200) != Phase::Closed
        })
        .count();
    assert!(
        (1..200).contains(&refused),
        "{refused} of 6,400, about a 64th"
    );
    let open = registry
        .breakers()
        .iter()
        .filter(|breaker| phase(breaker, 200) == Phase::Open)
        .count();
    assert_eq!(open, 1_001);
}

#[test]
fn a_flood_that_trips_every_shared_breaker_keeps_newcomers_out_unless_they_pass() {
    let registry = registry(in_a_row(1), 10);
    for number in 0..2_000 {
        let breaker = registry.get_or_create(&format!("evil-{number}"), at(0));
        if phase(&breaker, 0) == Phase::Closed {
            fail(&breaker, 0);
        }
    }
    let refused = || {
        let closed = |number| {
            let newcomer = registry.get_or_create(&format!("honest-{number}"), at(1));
            phase(&newcomer, 1) == Phase::Closed
        };
        (0..100).filter(|number| !closed(*number)).count()
    };
    assert_eq!(refused(), 100);
    registry.set_on_overflow(OnOverflow::Pass);
    assert_eq!(refused(), 0);
}

#[test]
fn a_newcomer_meets_keys_that_failed_once_and_passes() {
    let registry = registry(Settings::standard(), 1_000);
    for number in 0..1_025 {
        fail(
            &registry.get_or_create(&format!("evil-{number}"), at(number / 6)),
            number / 6,
        );
    }
    for number in 0..100 {
        let newcomer = registry.get_or_create(&format!("honest-{number}"), at(200));
        assert!(newcomer.admit(at(200)).is_ok());
    }
}

#[test]
fn calls_of_keys_without_room_pass_unjudged_where_that_is_asked_for() {
    let builder = Registry::builder("orders", in_a_row(1)).max_keys(1);
    let registry = builder.on_overflow(OnOverflow::Pass).build().unwrap();
    fail(&registry.get_or_create("a", at(0)), 0);
    for number in 0..10 {
        let breaker = registry.get_or_create(&format!("new-{number}"), at(1));
        assert_eq!(&**breaker.name(), "orders/*");
        assert_eq!(fail(&breaker, 1), None);
    }
    assert_eq!(registry.counts().overflow_passed, 10);
    assert_eq!(registry.breakers().len(), 1);
    registry.set_on_overflow(OnOverflow::Share);
    assert!(is_shared(registry.get_or_create("new", at(1)).name()));
    // With room again the key has a breaker of its own.
    registry.remove("a").unwrap();
    assert!(own(&registry, "new", 1));
}

#[test]
fn two_registries_put_keys_among_their_shared_breakers_by_hashes_of_their_own() {
    let [one, other] = [registry(in_a_row(1), 0), registry(in_a_row(1), 0)];
    let differ = (0..64).any(|number| {
        let key = format!("key-{number}");
        let name = |registry: &Registry| registry.get_or_create(&key, at(0)).name().clone();
        name(&one) != name(&other)
    });
    assert!(differ);
}

#[test]
fn keys_are_removed_kept_and_listed_by_whoever_knows_better() {
    let registry = registry(in_a_row(1), 10);
    for key in ["a", "b", "c", "d"] {
        registry.get_or_create(key, at(0));
    }
    fail(&registry.get("b").unwrap(), 0);
    registry.retain(|key, breaker| key == "c" || phase(breaker, 0) == Phase::Open);
    let mut keys: Vec<_> = registry
        .iter()
        .map(|breaker| registry.key_of(&breaker).to_owned())
        .collect();
    keys.sort();
    assert_eq!(keys, ["b", "c"]);
    let removed = registry.remove("b").expect("was there");
    assert_eq!(phase(&removed, 0), Phase::Open);
    assert!(registry.remove("b").is_none());
    assert_eq!(phase(&registry.get_or_create("b", at(0)), 0), Phase::Closed);
    assert_eq!(registry.len(), 2);
}

#[test]
fn a_registry_made_smaller_shrinks_as_new_keys_come() {
    let registry = registry(in_a_row(1), 100);
    for number in 0..100 {
        registry.get_or_create(&format!("old-{number}"), at(number));
    }
    registry.resize(10);
    for number in 0..200 {
        registry.get_or_create(&format!("new-{number}"), at(1_000 + number));
    }
    assert_eq!(registry.len(), 10);
}

#[test]
fn a_few_keys_of_room_serve_a_flood_of_new_ones_beside_thousands_that_are_open() {
    let registry = registry(in_a_row(1), 3_000);
    for number in 0..2_990 {
        fail(&registry.get_or_create(&format!("open-{number}"), at(0)), 0);
    }
    for number in 0..20_000 {
        assert!(own(&registry, &format!("new-{number}"), 1), "{number}");
    }
    assert_eq!(registry.counts().evicted_spare, 19_990);
}

#[test]
fn what_a_new_key_costs_does_not_grow_with_their_number() {
    // Counted in time, and generously: with a scan of all keys at each, this would take minutes.
    let registry = registry(in_a_row(5), 50_000);
    for number in 0..50_000u64 {
        fail(&registry.get_or_create(&format!("old-{number}"), at(0)), 0);
    }
    let clock = fusebox_breaker::MonotonicClock;
    let begun = clock.now();
    for number in 0..20_000u64 {
        registry.get_or_create(&format!("new-{number}"), at(1));
    }
    let took = clock.now().saturating_since(begun);
    assert!(took < Duration::from_secs(30), "{took:?}");
}

/// What a registry should do, by a list that is searched from end to end.
#[derive(Default)]
struct Naive {
    keys: BTreeMap<u16, NaiveKey>,
}

#[derive(Clone, Copy)]
struct NaiveKey {
    asked: u64,
    failures: u32,
    open_until: Option<u64>,
}

const IDLE: u64 = 2_000;
const COOLDOWN: u64 = 1_000;

impl Naive {
    /// Whether the key has room.
    fn ask(&mut self, key: u16, now: u64, max_keys: usize) -> bool {
        if let Some(known) = self.keys.get_mut(&key) {
            known.asked = now;
            return true;
        }
        if self.keys.len() >= max_keys {
            let spare = |key: &NaiveKey| key.open_until.is_none() && key.failures == 0;
            let idle = |key: &NaiveKey| {
                now - key.asked >= IDLE && key.open_until.is_none_or(|until| now >= until)
            };
            let least = |may_go: &dyn Fn(&NaiveKey) -> bool| {
                let mut keys: Vec<_> = self.keys.iter().filter(|(_, key)| may_go(key)).collect();
                keys.sort_by_key(|(_, key)| key.asked);
                keys.first().map(|(key, _)| **key)
            };
            let Some(gone) = least(&spare).or_else(|| least(&idle)) else {
                return false;
            };
            self.keys.remove(&gone);
        }
        let fresh = NaiveKey {
            asked: now,
            failures: 0,
            open_until: None,
        };
        self.keys.insert(key, fresh);
        true
    }

    fn end(&mut self, key: u16, failed: bool, now: u64) {
        let known = self.keys.get_mut(&key).expect("it has room");
        match (failed, known.open_until) {
            (true, None) => {
                known.failures += 1;
                if known.failures == 2 {
                    known.open_until = Some(now + COOLDOWN);
                }
            }
            (false, None) => known.failures = 0,
            (true, Some(until)) if now >= until => known.open_until = Some(now + COOLDOWN),
            (false, Some(until)) if now >= until => {
                known.open_until = None;
                known.failures = 0;
            }
            (_, Some(_)) => {}
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn the_key_that_gives_way_is_the_one_that_a_search_would_find(
        max_keys in 1usize..150,
        steps in prop::collection::vec((0u16..300, 0u8..10, 1u64..40), 1..600),
    ) {
        let builder = Registry::builder("orders", in_a_row(2)).max_keys(max_keys);
        let registry = builder.idle_after(ms(IDLE)).build().unwrap();
        let mut naive = Naive::default();
        let mut now = 0;
        for (key, end, later) in steps {
            now += later;
            let name = key.to_string();
            let breaker = registry.get_or_create(&name, at(now));
            let has_room = naive.ask(key, now, max_keys);
            prop_assert_eq!(!is_shared(breaker.name()), has_room);
            if has_room && end < 5 && let Ok(permit) = breaker.admit(at(now)) {
                let failed = end < 3;
                let outcome = match failed {
                    true => fusebox_breaker::Outcome::Failure,
                    false => fusebox_breaker::Outcome::Success,
                };
                permit.record(outcome, at(now));
                naive.end(key, failed, now);
            }
            drop(breaker);
            let kept: BTreeSet<u16> = registry.iter().map(|breaker| registry.key_of(&breaker).parse().unwrap()).collect();
            prop_assert_eq!(kept, naive.keys.keys().copied().collect::<BTreeSet<_>>());
        }
    }
}

#[test]
fn a_breaker_in_hand_is_the_one_that_others_find() {
    // Two keys of room, eight threads, thirty keys: whoever holds a breaker of its own key finds it again.
    let registry = registry(in_a_row(1_000_000), 2);
    let stop = AtomicBool::new(false);
    let rounds: u64 = thread::scope(|scope| {
        let busy: Vec<_> = (0..8u64)
            .map(|thread| {
                let (registry, stop) = (&registry, &stop);
                scope.spawn(move || {
                    let mut held = 0;
                    let mut random = fastrand::Rng::with_seed(thread);
                    for round in 0..20_000u64 {
                        if stop.load(Ordering::Relaxed) {
                            break;
                        }
                        let key = random.u8(..30).to_string();
                        let now = Timestamp::from_millis(round);
                        let breaker = registry.get_or_create(&key, now);
                        if is_shared(breaker.name()) {
                            continue;
                        }
                        let again = registry.get_or_create(&key, now);
                        if !std::sync::Arc::ptr_eq(breaker.name(), again.name()) {
                            stop.store(true, Ordering::Relaxed);
                            panic!("{key} has two breakers at once");
                        }
                        held += 1;
                    }
                    held
                })
            })
            .collect();
        busy.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert!(rounds > 1_000, "{rounds}");
}

#[test]
fn a_registry_tells_its_limits_as_they_are_in_force() {
    let registry = registry(Settings::standard(), 7);
    assert_eq!(registry.max_keys(), 7);
    assert_eq!(registry.idle_after(), Duration::from_secs(600));
    let slow = Settings {
        cooldown: Cooldown::fixed(Duration::from_secs(3_600)),
        ..Settings::standard()
    };
    registry.reconfigure(slow, at(0)).unwrap();
    assert_eq!(registry.idle_after(), Duration::from_secs(36_000));
    registry.set_idle_after(Some(Duration::from_secs(5)));
    registry.resize(9);
    assert_eq!(
        (registry.max_keys(), registry.idle_after()),
        (9, Duration::from_secs(5))
    );
}

/// Guards of at most 100 keys, by a clock that is set by hand, each of which has failed once.
fn full_of_failures() -> (Guards<ErrorsFail, Arc<Hand>>, Arc<Hand>) {
    let hand = Arc::new(Hand::default());
    let guards = Guards::new(registry(Settings::standard(), 100)).clock(hand.clone());
    for key in 0..100 {
        let failed = guards.of(&key.to_string()).call(|| Err::<(), _>("down"));
        assert!(failed.is_err());
    }
    (guards, hand)
}

#[test]
fn keys_of_guards_age_out_by_the_clock_of_the_guards() {
    let (guards, hand) = full_of_failures();
    let made = |key: &str| {
        assert_eq!(guards.of(key).call(|| Ok::<_, ()>(())), Ok(()));
        guards.registry().contains(key)
    };
    assert!(!made("early"), "it shares a breaker");
    assert_eq!(guards.registry().counts().overflow_shared, 1);
    hand.set(600_000);
    assert!(made("late") && made("early"));
    let counts = guards.registry().counts();
    assert_eq!((counts.evicted_idle, counts.evicted_spare), (1, 1));
    assert_eq!(guards.registry().len(), 100);
}

#[cfg(feature = "tower")]
#[test]
fn keys_of_a_layer_age_out_by_the_clock_of_its_guards() {
    use crate::ways_in::now_or_never;
    use fusebox_breaker::KeyedBreakerLayer;
    use tower_layer::Layer;
    use tower_service::Service;

    #[derive(Clone)]
    struct Well;
    impl Service<&'static str> for Well {
        type Response = ();
        type Error = std::convert::Infallible;
        type Future = std::future::Ready<Result<(), Self::Error>>;
        fn poll_ready(
            &mut self,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Result<(), Self::Error>> {
            std::task::Poll::Ready(Ok(()))
        }
        fn call(&mut self, _: &'static str) -> Self::Future {
            std::future::ready(Ok(()))
        }
    }

    let (guards, hand) = full_of_failures();
    let layer = KeyedBreakerLayer::new(guards.clone(), |key: &&'static str| *key);
    let mut service = layer.layer(Well);
    assert!(now_or_never(service.call("early")).unwrap().is_ok());
    assert!(!guards.registry().contains("early"));
    hand.set(600_000);
    assert!(now_or_never(service.call("late")).unwrap().is_ok());
    assert!(guards.registry().contains("late"));
}
