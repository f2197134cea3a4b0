//! Half-open: one leading node at a time, and its succession when that node dies.

use fusebox_breaker::{Outcome, OwnedPermit, Phase, Probes};
use fusebox_fleet::{Share, protocol::State};

use crate::world::{World, ms, settings};

/// Makes a call at every node in every millisecond; admitted calls stay in flight.
fn probes(world: &mut World, millis: u64) -> Vec<(usize, OwnedPermit)> {
    let mut flying = Vec::new();
    for _ in 0..millis {
        for peer in 0..world.peers.len() {
            if !world.peers[peer].stopped
                && let Ok(permit) = world.admit(peer)
            {
                flying.push((peer, permit));
            }
        }
        world.run(1);
    }
    flying
}

#[test]
fn one_probe_is_in_flight_over_the_fleet_however_many_ask() {
    let mut world = World::new(5, Share::Verdict);
    world.trip(0);
    world.run(9_990);
    let mut flying = probes(&mut world, 900);
    assert_eq!(flying.len(), 1);
    let (leader, probe) = flying.pop().unwrap();
    assert_eq!(world.record().lease.unwrap().node, format!("node-{leader}"));
    probe.record(Outcome::Success, world.local(leader));
    world.run(2);
    assert!(world.all(Phase::Closed));
    assert_eq!(world.record().state, State::Closed);
}

#[test]
fn a_failed_probe_opens_all_for_another_cooldown() {
    let mut world = World::new(5, Share::Verdict);
    world.trip(0);
    world.run(9_990);
    let (leader, probe) = probes(&mut world, 100).pop().unwrap();
    probe.record(Outcome::Failure, world.local(leader));
    world.run(2);
    let record = world.record();
    assert_eq!((record.state, record.attempts), (State::Open, 2));
    for peer in 0..5 {
        let wait = world
            .admit(peer)
            .unwrap_err()
            .wait(world.local(peer))
            .unwrap();
        assert!(wait > ms(9_990) && wait <= ms(10_001), "{wait:?}");
        let attempts = world.peers[peer]
            .breaker
            .snapshot(world.local(peer))
            .attempts;
        assert_eq!(attempts, 2);
    }
}

#[test]
fn as_many_probes_as_allowed_are_the_leaders() {
    let mut settings = settings();
    settings.half_open.probes = Probes::Limited(3.try_into().unwrap());
    settings.half_open.close = fusebox_breaker::CloseRule::Successes(3);
    let mut world = World::with(4, Share::Verdict, settings);
    world.trip(0);
    world.run(9_990);
    let flying = probes(&mut world, 800);
    assert_eq!(flying.len(), 3);
    let leader = flying[0].0;
    for (peer, probe) in flying {
        assert_eq!(peer, leader);
        probe.record(Outcome::Success, world.local(peer));
    }
    world.run(2);
    assert!(world.all(Phase::Closed));
}

#[test]
fn an_upstream_that_hangs_has_one_probe_at_a_time() {
    let mut world = World::new(5, Share::Verdict);
    world.trip(0);
    world.run(9_990);
    let mut flying: Vec<(usize, OwnedPermit)> = Vec::new();
    let mut seen = 0;
    for _ in 0..8_000 {
        for peer in 0..5 {
            if let Ok(permit) = world.admit(peer) {
                flying.push((peer, permit));
                seen += 1;
            }
        }
        let local = |peer| world.local(peer);
        flying.retain(|(peer, permit)| permit.deadline().is_some_and(|end| local(*peer) < end));
        assert!(flying.len() <= 1);
        world.run(1);
    }
    assert!((4..=9).contains(&seen), "one after the other: {seen}");
}

#[test]
fn a_stopped_leader_costs_one_lease_and_its_late_result_changes_nothing() {
    let mut world = World::new(5, Share::Verdict);
    world.trip(0);
    world.run(9_990);
    let (leader, probe) = probes(&mut world, 50).pop().unwrap();
    world.peers[leader].stopped = true;
    let begin = world.now;
    let mut others = Vec::new();
    while others.is_empty() {
        others = probes(&mut world, 1);
        assert!(world.now < begin + 6_000, "{:#?}", world.record());
    }
    // The probe's second plus a lease margin of two; the leader had renewed the lease at most once.
    let took = world.now - begin;
    assert!((2_000..=4_000).contains(&took), "{took}");
    let (second, new) = others.pop().unwrap();
    assert_ne!(second, leader);
    let term = world.record().version;
    world.peers[leader].stopped = false;
    probe.record(Outcome::Success, world.local(leader));
    assert!(world.admit(leader).is_err(), "it must not probe either");
    world.run(20);
    assert_eq!(world.record().version, term);
    assert!(!world.phases().contains(&Phase::Closed));
    new.record(Outcome::Success, world.local(second));
    world.run(2);
    assert!(world.all(Phase::Closed));
}

#[test]
fn a_node_that_slept_through_all_of_it_lets_no_probe_pass_on_waking() {
    let mut world = World::new(3, Share::Verdict);
    world.trip(0);
    world.run(100);
    world.peers[1].stopped = true;
    world.run(60_000);
    assert!(world.admit(1).is_err());
    world.peers[1].stopped = false;
    assert!(world.admit(1).is_err());
    world.run(10);
    let flying = probes(&mut world, 100);
    assert_eq!(flying.len(), 1);
}

#[test]
fn an_unused_lease_moves_to_the_node_with_calls() {
    let mut world = World::new(2, Share::Verdict);
    world.trip(0);
    world.run(10_100);
    // One call at node 0 asks for the lease, and no other call comes there.
    assert!(world.admit(0).is_err());
    world.run(10);
    assert_eq!(world.record().lease.unwrap().node, "node-0");
    world.run(5_000);
    assert_eq!(
        world.record().lease.unwrap().node,
        "node-0",
        "it is renewed until its probe is sent"
    );
    let begin = world.now;
    while world.call(1, Outcome::Success).is_err() {
        world.run(50);
        assert!(world.now < begin + 7_000, "{:#?}", world.record());
    }
    world.run(2);
    assert!(world.all(Phase::Closed));
}

#[test]
fn without_calls_no_node_leads() {
    let mut world = World::new(3, Share::Verdict);
    world.trip(0);
    world.run(60_000);
    assert_eq!(world.record().state, State::Open);
    assert_eq!(world.peers[0].node.counters().leases, 0);
}

#[test]
fn a_probe_without_a_verdict_is_followed_by_another() {
    let mut world = World::new(3, Share::Verdict);
    world.trip(0);
    world.run(10_010);
    let (leader, probe) = probes(&mut world, 50).pop().unwrap();
    drop(probe);
    world.run(2_000);
    assert!(
        world.call(leader, Outcome::Success).is_ok(),
        "its lease is renewed"
    );
    world.run(2);
    assert!(world.all(Phase::Closed));
}

#[test]
fn a_trip_right_after_ones_own_probes_closed_counts_though_the_word_of_both_comes_later() {
    let mut world = World::new(3, Share::Verdict);
    world.trip(0);
    world.run(10_010);
    assert!(world.admit(0).is_err());
    world.run(5);
    world.call(0, Outcome::Success).unwrap();
    assert_eq!(world.phase(0), Phase::Closed);
    world.trip(0);
    world.until(100, |world| world.all(Phase::Open));
    assert_eq!(world.record().version.term, 4);
}

#[test]
fn a_due_command_that_has_to_wait_causes_no_wake_up() {
    let mut world = World::new(2, Share::Verdict);
    world.trip(0);
    world.run(10_010);
    world.put_back(None);
    // No lease is available, because the record is lost; it is restored a little later.
    assert!(world.admit(1).is_err());
    world.run(5);
    let mut woken = 0;
    for _ in 0..200 {
        let soon = world.local(1) + ms(1);
        let wakes = world.peers[1].node.wake_at().is_some_and(|at| at <= soon);
        woken += u64::from(wakes);
        world.run(1);
    }
    assert!(woken < 10, "woken {woken} times in 200 ms");
}

#[test]
fn a_cooldown_by_the_clock_of_a_former_server_keeps_no_node_open() {
    let mut world = World::new(3, Share::Verdict);
    world.trip(0);
    world.run(1_000);
    world.server_off = 5_000;
    world.enter(2, Share::Verdict, &settings());
    world.run(2_000);
    // The node knows no other clock.
    world.until(4_000, |world| world.call(2, Outcome::Success).is_ok());
    world.until(100, |world| world.all(Phase::Closed));
    assert!(world.now < 9_000);
}
