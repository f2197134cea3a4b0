//! Tests that looking at breakers changes nothing, over a minute of virtual time.

use fusebox_breaker::{Outcome, Phase, Settings};

use super::*;
use crate::ground::series::Totals;

fn keyed(idle_after: Duration, keys_max: usize) -> Keyed {
    let registry = Registry::builder("orders", Settings::default())
        .max_keys(keys_max)
        .idle_after(idle_after);
    Keyed {
        upstream: "orders".into(),
        endpoint: "127.0.0.1:1".to_owned(),
        key: Key(vec![KeyPart::Route]),
        registry: registry.build().unwrap(),
        extras: papaya::HashMap::new(),
        workers: 1,
        clock: Arc::default(),
    }
}

/// All that the dashboard's data are read with.
fn look(breakers: &UpstreamBreakers, second: u64) {
    let now = Timestamp::from_secs(second);
    for breaker in breakers.handles() {
        let name = breaker.name().clone();
        breaker.snapshot(now);
        breaker.explain(now);
        assert!(breakers.find(&name).is_some());
    }
    for (_, extras) in breakers.metered() {
        extras.sampled.note(second, Totals::default());
        extras.sampled.series(second, Duration::from_secs(10));
        extras.failures.list();
    }
}

#[test]
fn a_minute_of_looking_is_no_probe_and_no_use_of_a_key() {
    let keyed = keyed(Duration::from_secs(90), 2);
    let used = |key: &str, second: u64| {
        let breaker = keyed
            .registry
            .get_or_create(key, Timestamp::from_secs(second));
        breaker.report(Outcome::Failure, Timestamp::from_secs(second));
        breaker
    };
    drop(used("calm", 0));
    for _ in 0..5 {
        drop(used("red", 0));
    }
    let red = || keyed.registry.peek("red").unwrap();
    let before = red().saved(Timestamp::ZERO);
    let breakers = UpstreamBreakers::Keyed(Box::new(keyed));
    for second in 0..=60 {
        look(&breakers, second);
    }
    let UpstreamBreakers::Keyed(keyed) = breakers else {
        unreachable!("it was made above");
    };
    let now = Timestamp::from_secs(60);
    let red = || keyed.registry.peek("red").unwrap();
    let snapshot = red().snapshot(now);
    assert_eq!(snapshot.phase, Phase::HalfOpen, "its cooldown is over");
    assert_eq!(snapshot.generation, before.generation);
    assert_eq!(snapshot.recent.len(), 1);
    assert_eq!(snapshot.probes.map(|it| it.in_flight), Some(0));
    assert!(red().admit(now).is_ok(), "the first call is the probe");
    // Both keys were last used at 0 s and `red` just now, so `calm` gives way at 91 s.
    drop(
        keyed
            .registry
            .get_or_create("new", Timestamp::from_secs(91)),
    );
    assert!(keyed.registry.contains("new"));
    assert!(!keyed.registry.contains("calm"));
}
