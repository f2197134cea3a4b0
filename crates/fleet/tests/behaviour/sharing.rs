//! Trips that open all nodes, and trips that do not.

use fusebox_breaker::{Outcome, Phase, RejectReason};
use fusebox_fleet::{Share, protocol::State};

use crate::world::{World, settings};

#[test]
fn a_trip_at_one_node_opens_all_within_two_messages() {
    let mut world = World::new(5, Share::Verdict);
    world.trip(2);
    world.run(2);
    assert_eq!(world.phases(), [Phase::Open; 5]);
    let snapshot = world.peers[0].breaker.snapshot(world.local(0));
    let reason = snapshot.reason.unwrap();
    assert_eq!(reason.token(), "fleet");
    assert_eq!(
        reason.to_string(),
        "told by node-2: 3 consecutive failures, the limit is 3"
    );
    let own = world.peers[2].breaker.snapshot(world.local(2));
    assert_eq!(own.reason.unwrap().token(), "consecutive_failures");
    assert_eq!(
        own.recent.len(),
        1,
        "the node that tripped hears nothing new"
    );
}

#[test]
fn no_node_admits_a_call_before_the_cooldown_ends() {
    let mut world = World::new(3, Share::Verdict);
    world.trip(0);
    let tripped = world.now;
    world.run(10);
    while world.now < tripped + 10_000 {
        for peer in 0..3 {
            let rejection = world.admit(peer).unwrap_err();
            assert!(matches!(
                rejection.reason,
                RejectReason::BreakerOpen | RejectReason::BreakerProbing
            ));
        }
        world.run(7);
    }
}

#[test]
fn two_trips_at_once_are_one() {
    let mut world = World::new(4, Share::Verdict);
    world.trip(0);
    world.trip(3);
    world.run(5);
    assert!(world.all(Phase::Open));
    assert_eq!(world.record().version.term, 1);
    world.run(3_000);
    assert_eq!(world.record().version.term, 1);
}

#[test]
fn a_push_that_is_lost_costs_one_round() {
    let mut world = World::new(5, Share::Verdict);
    world.pushes_lost = true;
    world.trip(0);
    let took = world.until(1_100, |world| world.all(Phase::Open));
    assert!(took > 2);
}

#[test]
fn a_clock_of_the_server_that_is_off_changes_nothing() {
    for off in [-5_000, 5_000, 86_400_000] {
        let mut world = World::new(3, Share::Verdict);
        world.server_off = off;
        world.run(3_000);
        world.trip(1);
        world.run(2);
        assert!(world.all(Phase::Open));
        world.run(9_990);
        for peer in 0..3 {
            assert!(world.admit(peer).is_err());
        }
        world.until(1_000, |world| {
            (0..3).any(|peer| world.call(peer, Outcome::Success).is_ok())
        });
        world.run(3);
        assert!(world.all(Phase::Closed));
    }
}

#[test]
fn under_a_quorum_one_bad_node_opens_itself_alone() {
    let mut world = World::new(5, Share::Quorum(3));
    world.trip(4);
    world.run(100);
    let mut expected = vec![Phase::Closed; 5];
    expected[4] = Phase::Open;
    assert_eq!(world.phases(), expected);
    assert_eq!(world.record().votes.len(), 1);
    // The node recovers by its own probe.
    world.run(9_900);
    assert!(world.call(4, Outcome::Success).is_ok());
    world.run(2_000);
    assert!(world.all(Phase::Closed));
    // The node can trip and vote again.
    world.trip(4);
    world.run(100);
    assert_eq!(world.record().votes.len(), 1);
    world.trip(1);
    world.trip(2);
    world.run(2);
    assert!(world.all(Phase::Open));
    assert_eq!(world.record().state, State::Open);
}

#[test]
fn votes_count_while_the_cooldown_of_their_nodes_lasts() {
    let mut world = World::new(3, Share::Quorum(2));
    world.trip(0);
    world.run(10_001);
    world.trip(1);
    world.run(10);
    assert_eq!(world.record().state, State::Closed);
    assert_eq!(world.phase(2), Phase::Closed);
}

#[test]
fn a_healthy_upstream_costs_the_store_the_same_whatever_the_traffic() {
    let commands = |calls: u64| {
        let mut world = World::new(5, Share::Counts);
        world.run(2_000);
        let before = world.commands;
        for _ in 0..1_000 {
            for peer in 0..5 {
                (0..calls).for_each(|_| world.call(peer, Outcome::Success).unwrap());
            }
            world.run(10);
        }
        world.commands - before
    };
    let (one, ten) = (commands(1), commands(10));
    assert_eq!(one, ten);
    assert!(one <= 5 * 12, "a read a second for each node: {one}");
}

#[test]
fn a_node_that_begins_while_the_fleet_is_open_is_open_at_once() {
    let mut world = World::new(3, Share::Verdict);
    world.trip(0);
    world.run(10);
    world.enter(2, Share::Verdict, &settings());
    assert_eq!(
        world.phase(2),
        Phase::Closed,
        "the local state serves at once"
    );
    world.run(3);
    assert!(world.all(Phase::Open));
}

#[test]
fn a_breaker_that_leaves_probes_for_itself() {
    let mut world = World::new(2, Share::Verdict);
    world.trip(0);
    world.run(5_000);
    let (key, now) = (world.key.clone(), world.local(1));
    world.peers[1].node.leave(&key);
    world.run(5_100);
    assert!(world.call(1, Outcome::Success).is_ok());
    assert!(now < world.local(1));
    world.run(1_000);
    assert_eq!(world.record().state, State::Open, "nobody else has asked");
}
