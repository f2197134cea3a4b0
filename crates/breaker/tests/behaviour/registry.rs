//! Many breakers by key: bounded, and never at the cost of one that matters.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use fusebox_breaker::{
    Cooldown, HoldKind, KeyTemplate, Outcome, Over, Phase, Registry, Rule, Settings,
    machine::Chance,
};

use crate::kit::*;

fn registry(max_keys: usize) -> Registry {
    Registry::builder("orders", in_a_row(1))
        .max_keys(max_keys)
        .build()
        .unwrap()
}

pub fn is_shared(name: &str) -> bool {
    let number = name.strip_prefix("orders/*");
    number.is_some_and(|number| number.parse::<u8>().is_ok_and(|number| number < 64))
}

fn name_of(registry: &Registry, key: &str) -> String {
    registry.get_or_create(key, at(0)).name().to_string()
}

#[test]
fn a_key_has_one_breaker_named_after_family_and_key() {
    let registry = registry(10);
    assert!(registry.get("a").is_none());
    let breaker = registry.get_or_create("a", at(0));
    assert_eq!(&**breaker.name(), "orders/a");
    fail(&breaker, 0);
    assert_eq!(phase(&registry.get("a").unwrap(), 0), Phase::Open);
    assert_eq!(phase(&registry.get_or_create("b", at(0)), 0), Phase::Closed);
    assert_eq!(registry.len(), 2);
}

#[test]
fn past_the_limit_an_idle_key_gives_way() {
    let registry = registry(2);
    name_of(&registry, "a");
    name_of(&registry, "b");
    assert_eq!(name_of(&registry, "c"), "orders/c");
    assert_eq!(registry.len(), 2);
}

#[test]
fn open_half_open_held_and_counting_keys_never_give_way() {
    let registry = Registry::builder("orders", in_a_row(2))
        .max_keys(4)
        .build()
        .unwrap();
    let of = |key| registry.get_or_create(key, at(0));
    (0..2).for_each(|_| drop(fail(&of("open"), 0)));
    (0..2).for_each(|_| drop(fail(&of("half_open"), 0)));
    drop(of("half_open").admit(at(1_000)));
    of("held").hold(hold(HoldKind::Closed, None), at(0));
    fail(&of("counting"), 0);
    for index in 0..1_000 {
        let key = format!("new-{index}");
        let breaker = registry.get_or_create(&key, at(100));
        assert!(is_shared(breaker.name()), "{}", breaker.name());
    }
    for key in ["open", "half_open", "held", "counting"] {
        assert!(registry.get(key).is_some(), "{key}");
    }
    assert_eq!(registry.len(), 4);
    assert!(registry.breakers().len() > 60, "and nearly all shared ones");
}

#[test]
fn a_key_in_hand_or_asked_for_lately_outlives_an_idle_one() {
    let registry = registry(3);
    let in_hand = registry.get_or_create("in_hand", at(0));
    name_of(&registry, "idle");
    name_of(&registry, "busy");
    name_of(&registry, "x");
    assert_eq!(registry.len(), 3);
    assert!(registry.get("in_hand").is_some());
    drop(in_hand);
}

#[test]
fn a_key_that_is_asked_for_again_and_again_outlives_a_flood_of_new_ones() {
    let registry = registry(3);
    for index in 0..1_000 {
        assert_eq!(name_of(&registry, "busy"), "orders/busy");
        let first = Arc::as_ptr(registry.get("busy").unwrap().name());
        let key = format!("new-{index}");
        assert_eq!(name_of(&registry, &key), format!("orders/{key}"));
        let after = registry.get("busy").expect("was not let go");
        assert_eq!(Arc::as_ptr(after.name()), first);
    }
}

#[test]
fn a_window_that_has_emptied_with_time_makes_its_key_idle() {
    let settings = by_rule(Rule::Failures {
        threshold: 5,
        over: Over::Time(ms(1_000)),
        full: false,
    });
    let builder = Registry::builder("orders", settings).max_keys(1);
    let registry = builder.build().unwrap();
    fail(&registry.get_or_create("a", at(0)), 0);
    assert!(is_shared(registry.get_or_create("b", at(999)).name()));
    assert_eq!(&**registry.get_or_create("b", at(1_000)).name(), "orders/b");
}

#[test]
fn without_keys_all_share() {
    let registry = registry(0);
    for key in ["a", "*", "*7", "*64"] {
        assert!(is_shared(&name_of(&registry, key)), "{key}");
    }
    assert!(registry.is_empty());
}

#[test]
fn new_settings_reach_every_breaker_and_those_to_come() {
    let registry = registry(10);
    fail(&registry.get_or_create("a", at(0)), 0);
    let told = registry.reconfigure(in_a_row(2), at(1)).unwrap();
    assert!(told.iter().all(|(_, told)| told.state_kept));
    assert_eq!(phase(&registry.get("a").unwrap(), 1), Phase::Open);
    let later = registry.get_or_create("b", at(1));
    assert_eq!(fail(&later, 1), None);
    assert!(registry.reconfigure(in_a_row(0), at(2)).is_err());
}

#[test]
fn the_listener_of_a_registry_may_ask_it_for_new_keys() {
    struct Greedy(std::sync::OnceLock<Arc<Registry>>);
    impl fusebox_breaker::Listener for Greedy {
        fn transition(
            &self,
            breaker: &fusebox_breaker::Breaker,
            transition: &fusebox_breaker::Transition,
        ) {
            let key = format!("beside-{}", transition.generation);
            let registry = self.0.get().unwrap();
            assert!(!Arc::ptr_eq(
                breaker.name(),
                registry.get_or_create(&key, transition.at).name()
            ));
        }
    }
    let greedy = Arc::new(Greedy(Default::default()));
    let builder = Registry::builder("orders", in_a_row(1)).listener(greedy.clone());
    let registry = Arc::new(builder.build().unwrap());
    assert!(greedy.0.set(registry.clone()).is_ok());
    let breaker = registry.get_or_create("a", at(0));
    fail(&breaker, 0);
    assert_eq!(breaker.listener_faults(), 0);
    assert!(registry.get("beside-1").is_some());
}

#[test]
fn threads_that_ask_for_one_key_get_one_breaker() {
    let registry = registry(100);
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for index in 0..1_000 {
                    let key = (index % 50).to_string();
                    let breaker = registry.get_or_create(&key, at(0));
                    let again = registry.get(&key).unwrap();
                    assert!(Arc::ptr_eq(breaker.name(), again.name()));
                }
            });
        }
    });
    assert_eq!(registry.len(), 50);
}

#[test]
fn all_its_breakers_draw_from_the_chance_that_it_was_given() {
    struct Half;

    impl Chance for Half {
        fn draw(&self) -> f64 {
            0.5
        }
    }

    let settings = Settings {
        cooldown: Cooldown::exponential(ms(1_000)),
        ..in_a_row(1)
    };
    let registry = Registry::builder("orders", settings).chance(Arc::new(Half));
    let registry = registry.build().unwrap();
    for key in ["a", "b"] {
        let transition = fail(&registry.get_or_create(key, at(0)), 0).unwrap();
        assert_eq!(transition.retry_at, Some(at(1_100)), "half of 20 % longer");
    }
}

#[test]
fn a_breaker_that_was_laid_to_rest_goes_on_as_if_it_had_not_been() {
    let registry = Registry::new("orders", in_a_row(2)).unwrap();
    let breaker = registry.get_or_create("a", at(0));
    let permit = breaker.admit(at(0)).unwrap();
    fail(&breaker, 1);
    call(&breaker, Outcome::Success, 2);
    registry.rest(at(3));
    assert_eq!(breaker.snapshot(at(3)).totals.failures, 1);
    fail(&breaker, 4);
    registry.rest(at(5));
    assert!(permit.record(Outcome::Failure, at(6)).is_some(), "trips");
    registry.rest(at(7));
    assert_eq!(breaker.snapshot(at(7)).recent.len(), 1);
}

#[test]
fn a_key_that_differs_follows_its_family_in_everything_else() {
    let registry = Registry::builder("orders", in_a_row(3))
        .except("acme", |settings| {
            settings.cooldown = Cooldown::fixed(Duration::from_secs(5))
        })
        .build()
        .unwrap();
    let of = |key| registry.get_or_create(key, at(0)).settings();
    assert_eq!(of("acme").cooldown, Cooldown::fixed(Duration::from_secs(5)));
    assert_eq!(of("acme").trip, in_a_row(3).trip);
    assert_eq!(*of("other"), in_a_row(3));
    registry.reconfigure(in_a_row(7), at(0)).unwrap();
    assert_eq!(of("acme").cooldown, Cooldown::fixed(Duration::from_secs(5)));
    assert_eq!(of("acme").trip, in_a_row(7).trip);
    assert_eq!(*of("new"), in_a_row(7));
}

#[test]
fn a_key_whose_settings_would_be_unsound_is_refused_at_the_start_and_at_a_change() {
    let unsound = |settings: &mut Settings| settings.trip.truncate(1);
    let empty = Settings {
        trip: Vec::new(),
        ..in_a_row(1)
    };
    assert!(
        Registry::builder("orders", empty.clone())
            .except("acme", unsound)
            .build()
            .is_err()
    );
    let clears = |settings: &mut Settings| settings.trip.clear();
    assert!(
        Registry::builder("orders", in_a_row(1))
            .except("acme", clears)
            .build()
            .is_err()
    );
    let registry = Registry::builder("orders", in_a_row(1))
        .except("acme", unsound)
        .build()
        .unwrap();
    assert!(registry.reconfigure(empty, at(0)).is_err());
    assert_eq!(
        *registry.get_or_create("acme", at(0)).settings(),
        in_a_row(1)
    );
}

#[test]
fn a_key_template_says_what_is_wrong_with_it() {
    for (text, what) in [
        ("a{b", "the `{` at byte 1 is never closed; add a `}`"),
        ("{a{b}}", "the `{` at byte 0 is never closed; add a `}`"),
        ("a}b", "the `}` at byte 1 closes nothing; remove it"),
        ("{ }", "the braces at byte 0 hold no name; write `{name}`"),
    ] {
        let error = text.parse::<KeyTemplate>().unwrap_err();
        assert_eq!(error.to_string(), what, "{text}");
    }
}

#[test]
fn a_rendered_key_is_never_that_of_a_shared_breaker_nor_another_keys() {
    let template: KeyTemplate = "{tenant}".parse().unwrap();
    assert_eq!(template.names().collect::<Vec<_>>(), ["tenant"]);
    assert_eq!(template.render(|_| Some("*7")), "%2A7");
    assert_eq!(template.render(|_| Some("")), "-");
    assert_eq!(template.render(|_| Some("-")), "%2D");
    assert_eq!(template.render(|_| Some("acme,eu")), "acme,eu");
    let template: KeyTemplate = "v1/{ a }/{b}".parse().unwrap();
    assert_eq!(
        template.render(|name| (name == "a").then_some("x")),
        "v1/x/-"
    );
    assert_eq!(template.render(|_| Some("v1/x")), "v1/v1%2Fx/v1%2Fx");
}
