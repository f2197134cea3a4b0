//! Ejection: who is taken out, within which limits, and how one returns.

use std::time::Duration;

use fusebox_breaker::{Hold, Outcome, Phase, Ramp, Saved, SavedState, Timestamp};
use fusebox_call::endpoints::{Ask, Tried};
use fusebox_call::{Balance, Ejection};

use crate::kit::{World, assert_shares, rules};

#[test]
fn of_three_endpoints_a_failing_one_gets_exactly_five_attempts_and_one_at_its_return_and_no_client_an_error()
 {
    let mut world = World::new(&[1, 1, 1]);
    world.failing = vec![1];
    // Nine seconds of calls, well within the cooldown.
    assert!((0..300).all(|_| world.call()));
    assert_eq!(world.hits[1], 5);
    assert_eq!(world.ejected(), [false, true, false]);

    world.wait(10);
    assert!((0..300).all(|_| world.call()));
    assert_eq!(
        world.hits[1], 6,
        "one probe, after which the cooldown is twice as long"
    );

    world.wait(20);
    world.failing.clear();
    assert!(world.call());
    assert_eq!(world.hits[1], 7);
    assert_eq!(world.hits_of(300), [100, 100, 100]);
}

#[test]
fn when_all_are_dead_nothing_is_emptied_and_all_limits_hold() {
    let mut world = World::new(&[1, 1, 1]);
    world.failing = vec![0, 1, 2];
    world.attempts(200);
    // Half of three, rounded down, is one.
    assert_eq!(world.ejected(), [true, false, false]);
    assert_eq!(world.would_eject(), [false, true, true]);
    assert_eq!(world.endpoints.set().in_use(), 2);
    assert_shares(&world.hits_of(500), &[0, 1, 1]);
}

#[test]
fn past_the_limit_an_endpoint_keeps_half_its_weight_until_its_breaker_closes() {
    let mut world = World::ejecting(&[1, 1, 1, 1], |ejection| ejection.ejected_max = 0.25);
    world.failing = vec![0, 1];
    world.attempts(30);
    assert_eq!(world.ejected(), [true, false, false, false]);
    assert_eq!(world.would_eject(), [false, true, false, false]);
    assert_shares(&world.hits_of(500), &[0, 1, 2, 2]);

    // The first one returns, and the other is not ejected in its place.
    world.failing = vec![1];
    world.wait(10);
    world.attempts(2);
    assert_eq!(world.ejected(), [false; 4]);
    assert_eq!(world.would_eject(), [false, true, false, false]);

    world.failing.clear();
    world.wait(20);
    world.attempts(1);
    assert_eq!(world.would_eject(), [false; 4]);
}

#[test]
fn half_its_weight_is_half_with_every_balancer() {
    for balance in [Balance::LeastRequest, Balance::P2cEwma] {
        let mut rules = rules(balance);
        rules.ejection.as_mut().unwrap().ejected_max = 0.0;
        let mut world = World::with(&[1, 1, 1], &rules);
        world.failing = vec![1];
        world.attempts(60);
        assert_eq!(world.would_eject(), [false, true, false]);
        world.hits.fill(0);
        for _ in 0..20_000 {
            let chosen = world.first();
            chosen.end(Outcome::Ignored, world.now);
        }
        assert_shares(&world.hits, &[2, 1, 2]);
    }
}

#[test]
fn min_healthy_wins_over_max_ejected() {
    let mut world = World::ejecting(&[1, 1, 1], |ejection| {
        ejection.ejected_max = 1.0;
        ejection.healthy_min = 2;
    });
    world.failing = vec![0, 1, 2];
    world.attempts(100);
    assert_eq!(
        world.ejected().iter().filter(|ejected| **ejected).count(),
        1
    );
}

#[test]
fn the_limit_is_rounded_down_and_never_empties() {
    let most = |ejected_max, healthy_min, all| {
        let ejection = Ejection {
            ejected_max,
            healthy_min,
            ..Ejection::default()
        };
        ejection.most(all)
    };
    assert_eq!(
        [1, 2, 3, 4, 5].map(|all| most(0.5, 1, all)),
        [0, 1, 1, 2, 2]
    );
    assert_eq!(
        [most(1.0, 1, 3), most(1.0, 0, 3), most(1.0, 5, 3)],
        [2, 3, 0]
    );
    assert_eq!([most(0.29, 1, 100), most(0.1, 1, 9)], [29, 0]);
}

#[test]
fn when_all_are_ejected_calls_go_to_the_one_ejected_longest_ago() {
    let mut world = World::ejecting(&[1, 1], |ejection| {
        ejection.ejected_max = 1.0;
        ejection.healthy_min = 0;
    });
    world.failing = vec![1];
    world.attempts(20);
    world.failing = vec![0, 1];
    world.attempts(10);
    assert_eq!(world.ejected(), [true, true]);
    assert_eq!(world.hits_of(20), [0, 20]);
    assert_eq!(world.changes.0.lock().unwrap().len(), 2);
}

#[test]
fn a_single_endpoint_is_never_ejected() {
    let mut world = World::ejecting(&[1], |ejection| {
        ejection.ejected_max = 1.0;
        ejection.healthy_min = 0;
    });
    world.failing = vec![0];
    world.attempts(100);
    assert_eq!(
        (world.ejected(), world.would_eject()),
        (vec![false], vec![false])
    );
    assert_eq!(world.views()[0].state, Phase::Closed);
    assert!(!world.endpoints.set().ejects());
}

/// A world whose second endpoint of three has just come to the end of its cooldown.
fn due() -> World {
    let mut world = World::new(&[1, 1, 1]);
    world.failing = vec![1];
    world.attempts(20);
    world.failing.clear();
    world.wait(10);
    world.hits.fill(0);
    world
}

#[test]
fn a_request_that_may_not_be_repeated_probes_only_if_no_other_came_for_another_cooldown() {
    let mut world = due();
    let once = |world: &mut World| {
        let ask = Ask {
            replayable: false,
            ..Ask::first(world.now)
        };
        let chosen = world.choose(ask);
        let is_probe = chosen.is_probe();
        world.end(chosen);
        is_probe
    };
    for _ in 0..300 {
        assert!(!once(&mut world));
    }
    assert_eq!(world.hits[1], 0);
    world.wait(10);
    assert!(once(&mut world));
    assert_eq!(world.ejected(), [false; 3]);
}

#[test]
fn while_a_probe_is_in_flight_there_is_no_other_and_a_lost_one_gives_its_place_back() {
    let mut world = due();
    let probe = world.first();
    assert!(probe.is_probe() && probe.index() == 1);
    assert_eq!(world.hits_of(20)[1], 0);
    drop(probe);
    let probe = world.first();
    assert!(probe.is_probe());
    probe.end(Outcome::Ignored, world.now);
    let probe = world.first();
    assert!(probe.is_probe());
    // One that never ends loses its place at its deadline.
    world.wait(61);
    let second = world.first();
    assert!(second.is_probe());
    second.end(Outcome::Success, world.now);
    assert_eq!(world.ejected(), [false; 3]);
    drop(probe);
}

#[test]
fn a_repeat_is_no_probe() {
    let mut world = due();
    let mut tried = Tried::NONE;
    let probe = world.first();
    tried.add(&probe);
    drop(probe);
    let now = world.now;
    for _ in 0..10 {
        let ask = Ask {
            tried: &tried,
            ..Ask::first(now)
        };
        assert_ne!(world.choose(ask).index(), 1);
    }
}

#[test]
fn probes_of_one_round_of_the_upstream_go_to_different_endpoints_and_to_no_ejected_one() {
    for balance in [Balance::RoundRobin, Balance::LeastRequest, Balance::P2cEwma] {
        let mut world = World::with(&[1, 1, 1, 1], &rules(balance));
        world.failing = vec![1];
        world.attempts(100);
        world.wait(10);
        for generation in 0..50 {
            let ask = Ask {
                upstream_probe: Some(generation),
                ..Ask::first(world.now)
            };
            let probes = [(); 4].map(|()| world.choose(ask).index());
            let mut first = [probes[0], probes[1], probes[2]];
            first.sort_unstable();
            assert_eq!(first, [0, 2, 3]);
            assert_ne!(probes[3], 1, "a fourth one has to share");
        }
    }
}

#[test]
fn outcomes_of_attempts_begun_before_the_ejection_change_nothing() {
    let mut world = World::new(&[1, 1]);
    let early = [world.first(), world.first(), world.first(), world.first()];
    world.failing = vec![0];
    world.attempts(20);
    for attempt in early {
        attempt.end(Outcome::Success, world.now);
    }
    assert_eq!(world.ejected(), [true, false]);
}

#[test]
fn an_operators_commands_are_obeyed_at_once() {
    let mut world = World::new(&[1, 1, 1]);
    let set = world.endpoints.set();
    let [a, b] = [0, 1].map(|index| set.members()[index].endpoint().breaker().clone());
    a.hold(Hold::open("drain", "ada"), world.now);
    b.hold(Hold::open("drain", "ada"), world.now);
    assert_eq!(
        world.ejected(),
        [true, true, false],
        "beyond the limit of one"
    );
    assert_eq!(world.hits_of(10), [0, 0, 10]);
    b.reset(world.now);
    assert_eq!(world.hits_of(10), [0, 5, 5]);
    a.release(world.now);
    world.attempts(1);
    assert_eq!(world.hits_of(30), [10, 10, 10]);
}

#[test]
fn an_endpoint_that_an_operator_holds_open_gets_no_call_and_where_all_are_there_is_none_to_call() {
    // No limit keeps one in use here.
    let mut world = World::ejecting(&[1, 1], |ejection| {
        (ejection.ejected_max, ejection.healthy_min) = (1.0, 0);
    });
    let set = world.endpoints.set();
    let [a, b] = [0, 1].map(|index| set.members()[index].endpoint().breaker().clone());
    a.hold(Hold::open("drain", "ada"), world.now);
    world.failing = vec![1];
    // The other one is ejected, and all the same it gets the repeats too.
    for _ in 0..10 {
        world.call();
    }
    assert_eq!(world.ejected(), [true, true]);
    assert_eq!(world.hits[0], 0);
    assert!(!set.is_held(world.now));

    let hold = Hold::open("drain", "bob").until(world.now + Duration::from_secs(5));
    b.hold(hold, world.now);
    assert!(set.is_held(world.now));
    assert_eq!(set.held_until(), Some(world.now + Duration::from_secs(5)));
    world.wait(4);
    assert!(set.is_held(world.now));
    world.wait(1);
    assert!(!set.is_held(world.now), "the hold has ended by itself");
    b.hold(Hold::open("drain", "bob"), world.now);
    assert_eq!((set.is_held(world.now), set.held_until()), (true, None));
    a.release(world.now);
    assert!(!set.is_held(world.now));
}

#[test]
fn an_ejection_outlives_a_restart() {
    let mut world = World::new(&[1, 1]);
    let remaining = Duration::from_secs(4);
    let saved = Saved::new(SavedState::Open { remaining });
    let set = world.endpoints.set();
    set.members()[0]
        .endpoint()
        .breaker()
        .restore(&saved, world.now);
    assert_eq!(
        world.views()[0].ejected_until,
        Some(Timestamp::from_secs(5))
    );
    assert_eq!(world.hits_of(10), [0, 10]);
    world.wait(4);
    assert_eq!(world.hits_of(11)[0], 6);
}

#[test]
fn in_a_ramp_the_refused_share_goes_to_the_others() {
    let mut world = World::ejecting(&[1, 1], |ejection| {
        ejection.breaker.ramp = Some(Ramp::linear(Duration::from_secs(1000)));
    });
    world.failing = vec![0];
    world.attempts(20);
    world.failing.clear();
    world.wait(10);
    world.attempts(1);
    let hits = world.hits_of(1000);
    assert!((5..80).contains(&hits[0]), "{hits:?}");
}

#[test]
fn without_ejection_failures_take_nobody_out() {
    let mut world = World::with(&[1, 1], &Default::default());
    world.failing = vec![0];
    assert_eq!(world.hits_of(100), [50, 50]);
    assert_eq!(world.ejected(), [false, false]);
}
