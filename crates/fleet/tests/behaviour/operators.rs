//! Operators' fleet-wide commands.

use std::time::Duration;

use fusebox_breaker::{HoldKind, Outcome, Phase, RejectReason, machine::ForcedTrip};
use fusebox_fleet::{News, Share, protocol::Word};

use crate::world::{World, ms};

fn hold(open: bool, span: Option<Duration>) -> Word {
    Word::Hold {
        open,
        span,
        why: "deploy".into(),
        by: "ann".into(),
    }
}

fn release() -> Word {
    Word::Release { by: "bob".into() }
}

#[test]
fn a_hold_over_the_fleet_is_placed_at_every_node_and_ends_on_time() {
    let mut world = World::new(4, Share::Verdict);
    world.say(1, hold(true, Some(ms(5_000))));
    world.run(3);
    for peer in 0..4 {
        assert_eq!(
            world.admit(peer).unwrap_err().reason,
            RejectReason::HeldOpen
        );
        let hold = world.peers[peer]
            .breaker
            .snapshot(world.local(peer))
            .hold
            .unwrap();
        assert_eq!(
            (hold.kind, &*hold.by, &*hold.reason),
            (HoldKind::Open, "ann", "deploy")
        );
    }
    world.run(4_900);
    assert_eq!(world.admit(0).unwrap_err().reason, RejectReason::HeldOpen);
    world.run(110);
    // The breaker is then half-open, and one node takes the lead.
    world.until(3_000, |world| {
        (0..4).any(|peer| world.call(peer, Outcome::Success).is_ok())
    });
    world.run(3);
    assert!(world.all(Phase::Closed));
}

#[test]
fn a_fleet_that_is_held_closed_passes_calls_whatever_happens() {
    let mut world = World::new(3, Share::Verdict);
    world.trip(0);
    world.run(10);
    world.say(2, hold(false, None));
    world.run(3);
    for peer in 0..3 {
        (0..10).for_each(|_| world.fail(peer));
    }
    world.run(2_000);
    world.say(0, release());
    world.run(1_100);
    assert!(world.all(Phase::Closed));
    assert!(world.record().hold.is_none());
    world.trip(1);
    world.run(3);
    assert!(world.all(Phase::Open));
}

#[test]
fn a_release_of_a_fleet_held_open_goes_on_half_open() {
    let mut world = World::new(3, Share::Verdict);
    world.say(0, hold(true, None));
    world.run(1_000);
    world.say(1, release());
    world.run(3);
    assert!(
        (0..3).all(|peer| world.phase(peer) == Phase::HalfOpen),
        "{:?}",
        world.phases()
    );
    world.until(1_000, |world| {
        (0..3).any(|peer| world.call(peer, Outcome::Success).is_ok())
    });
    world.run(3);
    assert!(world.all(Phase::Closed));
}

#[test]
fn a_reset_over_the_fleet_closes_all_before_the_cooldown_ends() {
    let mut world = World::new(3, Share::Verdict);
    world.trip(0);
    world.run(100);
    world.say(1, Word::Reset { by: "ann".into() });
    world.run(3);
    assert!(world.all(Phase::Closed));
    assert_eq!(world.record().by, "ann");
}

#[test]
fn a_hold_at_one_node_is_that_nodes_own() {
    let mut world = World::new(3, Share::Verdict);
    let now = world.local(2);
    world.peers[2].breaker.hold(
        fusebox_breaker::Hold {
            kind: HoldKind::Closed,
            until: None,
            reason: "here".into(),
            by: "ann".into(),
        },
        now,
    );
    world.trip(0);
    world.run(2_000);
    assert!(world.call(2, Outcome::Failure).is_ok());
    assert_eq!(world.phase(1), Phase::Open);
    world.peers[2].breaker.release(world.local(2));
    world.run(3);
    assert_eq!(
        world.phase(2),
        Phase::Open,
        "after it the fleet's word counts"
    );
}

#[test]
fn a_command_that_the_store_does_not_accept_within_a_second_is_dropped_and_reported() {
    let mut world = World::new(2, Share::Verdict);
    world.store_away = true;
    let word = hold(true, None);
    world.say(0, word.clone());
    world.run(4_000);
    let dropped = News::WordDropped {
        key: world.key.clone(),
        word,
    };
    assert!(world.peers[0].news.contains(&dropped));
    world.store_away = false;
    world.run(2_000);
    assert!(world.record().hold.is_none());
    assert!(world.call(0, Outcome::Success).is_ok());
}

#[test]
fn a_trip_that_is_forced_at_one_node_for_long_counts_for_the_longest_cooldown() {
    for probing in [false, true] {
        let mut world = World::new(2, Share::Verdict);
        if probing {
            world.trip(1);
            world.run(10_050);
            let _ = world.until_led(0);
            assert_eq!(world.phase(0), Phase::HalfOpen);
        }
        let trip = ForcedTrip {
            by: "ann".into(),
            reason: "repair".into(),
            cooldown: Some(ms(600_000)),
        };
        world.peers[0].breaker.trip(trip, world.local(0)).unwrap();
        let most = world.server() + 10_010;
        world.run(10);
        assert!(world.all(Phase::Open));
        assert!(world.record().until <= most);
        world.run(10_050);
        world.until(3_000, |world| {
            (0..2).for_each(|peer| _ = world.call(peer, Outcome::Success));
            world.all(Phase::Closed)
        });
        let news = |peer: &crate::world::Peer| peer.news.clone();
        assert!(world.peers.iter().flat_map(news).next().is_none());
    }
}
