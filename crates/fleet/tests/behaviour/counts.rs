//! Failures counted over the fleet.

use fusebox_breaker::{Outcome, Over, Phase, Rule, Settings};
use fusebox_fleet::{Share, protocol::State};

use crate::world::{World, ms, settings};

fn in_a_row(threshold: u32) -> Settings {
    Settings {
        trip: vec![Rule::ConsecutiveFailures {
            threshold,
            within: None,
        }],
        ..settings()
    }
}

#[test]
fn failures_at_different_nodes_trip_together_at_exactly_the_threshold() {
    let mut world = World::with(5, Share::Counts, in_a_row(7));
    for number in 0..6 {
        world.fail(number % 5);
        world.run(20);
        assert!(world.all(Phase::Closed), "after {} failures", number + 1);
    }
    world.fail(3);
    world.run(15);
    assert!(world.all(Phase::Open));
    assert_eq!(
        world.record().why,
        "7 consecutive failures over the fleet, the limit is 7"
    );
}

#[test]
fn a_success_anywhere_ends_the_row_everywhere() {
    let mut world = World::with(3, Share::Counts, in_a_row(4));
    for _ in 0..5 {
        world.fail(0);
        world.run(20);
        world.fail(1);
        world.run(20);
        world.fail(0);
        world.run(20);
        world.call(2, Outcome::Success).unwrap();
        world.run(20);
    }
    assert!(world.all(Phase::Closed));
    assert_eq!(world.record().counted(0, 0, world.server()), 0);
}

#[test]
fn the_rule_of_a_node_that_sees_all_failures_trips_at_once() {
    let mut world = World::with(3, Share::Counts, in_a_row(3));
    world.trip(1);
    world.run(2);
    assert!(world.all(Phase::Open));
}

#[test]
fn failures_within_a_time_are_counted_together_and_forgotten() {
    let settings = Settings {
        trip: vec![Rule::Failures {
            threshold: 6,
            over: Over::Time(ms(3_000)),
            full: false,
        }],
        ..settings()
    };
    let mut world = World::with(3, Share::Counts, settings);
    for number in 0..5 {
        world.fail(number % 3);
        world.call(number % 3, Outcome::Success).unwrap();
        world.run(20);
    }
    world.run(3_000);
    for number in 0..5 {
        world.fail(number % 3);
        world.run(20);
    }
    assert!(world.all(Phase::Closed));
    world.fail(0);
    world.run(15);
    assert!(world.all(Phase::Open));
}

#[test]
fn after_the_row_has_ended_nothing_is_sent() {
    let mut world = World::with(5, Share::Counts, in_a_row(5));
    world.fail(0);
    world.run(20);
    world.call(1, Outcome::Success).unwrap();
    world.run(20);
    let batches = |world: &World| -> u64 {
        world
            .peers
            .iter()
            .map(|peer| peer.node.counters().batches)
            .sum()
    };
    let before = batches(&world);
    for _ in 0..500 {
        (0..5).for_each(|peer| world.call(peer, Outcome::Success).unwrap());
        world.run(2);
    }
    assert_eq!(batches(&world), before);
    assert!(before <= 6, "{before}");
}

#[test]
fn batches_leave_at_most_every_ten_milliseconds() {
    let mut world = World::with(2, Share::Counts, in_a_row(1_000_000));
    world.fail(0);
    world.run(5);
    let before = world.peers[0].node.counters().batches;
    for _ in 0..10_000 {
        world.fail(0);
        world.fail(0);
        world.run(1);
        if world.now.is_multiple_of(3) {
            world.fail(0);
        }
        if world.now > 5_000 {
            break;
        }
    }
    let sent = world.peers[0].node.counters().batches - before;
    assert!((300..=500).contains(&sent), "{sent} in five seconds");
    let counted = world.record().counted(0, 0, world.server());
    assert!(counted > 10_000, "{counted}");
}

#[test]
fn counts_of_a_closed_period_do_not_reach_the_next() {
    let mut world = World::with(2, Share::Counts, in_a_row(3));
    world.fail(0);
    world.fail(0);
    world.run(20);
    world.trip(1);
    world.run(10_100);
    assert!(world.admit(0).is_err());
    world.run(5);
    world.call(0, Outcome::Success).unwrap();
    world.run(5);
    assert!(world.all(Phase::Closed));
    world.fail(1);
    world.fail(1);
    world.run(100);
    assert_eq!(world.record().state, State::Closed);
    assert!(world.all(Phase::Closed));
}

#[test]
fn a_batch_that_was_pushed_before_its_answer_came_does_not_delay_the_next_one() {
    let mut world = World::new(2, Share::Counts);
    world.answers_late = 20;
    world.fail(0);
    world.run(15);
    assert_eq!(world.record().counted(0, 0, 0), 1);
    world.fail(0);
    world.until(60, |world| world.record().counted(0, 0, 0) == 2);
}
