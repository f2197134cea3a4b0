//! Servers' clocks that are set, and answers that are old.

use fusebox_breaker::{Cooldown, Outcome, Phase};
use fusebox_fleet::{Share, protocol::State};

use crate::poison::{open, told, works};
use crate::world::{World, ms, settings};

#[test]
fn a_record_open_for_an_hour_more_because_the_servers_clock_was_set_back_is_repaired() {
    let mut world = World::new(2, Share::Verdict);
    world.trip(0);
    world.run(2_000);
    world.server_off = -3_600_000;
    world.run(3_000);
    for peer in 0..2 {
        assert!(world.call(peer, Outcome::Success).is_err());
    }
    world.run(5_200);
    world.until(5_000, |world| {
        let _ = world.call(1, Outcome::Success);
        world.all(Phase::Closed)
    });
}

#[test]
fn a_trip_unknown_to_a_node_outlives_a_servers_clock_that_is_set_back() {
    let mut world = World::new(2, Share::Verdict);
    world.pushes_lost = true;
    world.trip(0);
    world.run(3);
    // Only the record has it, from a clock that was ahead.
    assert_eq!(world.record().state, State::Open);
    assert_eq!(world.phase(1), Phase::Closed);
    world.peers[0].stopped = true;
    world.server_off = -5_000;
    let begin = world.now;
    world.until(1_100, |world| world.phase(1) == Phase::Open);
    assert_eq!(told(&world), 1);
    let record = world.record();
    assert_eq!((record.state, &*record.by), (State::Open, "node-0"));
    assert!(record.until <= world.server() + 10_000, "{record:?}");
    world.peers[0].stopped = false;
    while world.now < begin + 9_900 {
        world.run(100);
        (0..2).for_each(|peer| assert!(world.call(peer, Outcome::Success).is_err()));
    }
    world.run(1_200);
    world.until(3_000, |world| {
        (0..2).for_each(|peer| _ = world.call(peer, Outcome::Success));
        world.all(Phase::Closed)
    });
}

#[test]
fn an_opening_of_a_time_that_has_not_come_lasts_for_one_cooldown_from_now() {
    let mut world = World::new(2, Share::Verdict);
    let ahead = world.server() + 30_000;
    let mut record = open(0, 9, ahead + 10_000);
    record.version.since = ahead;
    world.write(&record.write());
    world.run(1_700);
    assert!((1..=2).contains(&told(&world)));
    assert!(world.record().until <= world.server() + 10_000);
    world.until(11_500, |world| {
        (0..2).for_each(|peer| _ = world.call(peer, Outcome::Success));
        world.all(Phase::Closed)
    });
    works(&mut world);
}

#[test]
fn a_node_that_wakes_to_an_old_answer_keeps_no_cooldown_for_longer() {
    // The first cooldown is much shorter than the longest, so a record may be open for far longer.
    let mut settings = settings();
    settings.cooldown = Cooldown::exponential(ms(3_000));
    let mut world = World::with(2, Share::Verdict, settings);
    // The node is suspended while the answer to a read is under way.
    let reads = |world: &World| world.peers[1].node.counters().reads;
    let before = reads(&world);
    world.until(1_100, |world| reads(world) > before);
    world.peers[1].stopped = true;
    world.run(8_000);
    world.trip(0);
    world.run(2_900);
    world.until(500, |world| {
        let _ = world.call(0, Outcome::Success);
        world.phase(0) == Phase::Closed
    });
    world.run(10);
    world.peers[1].stopped = false;
    world.run(1_100);
    assert!(world.all(Phase::Closed));
    assert_eq!(world.record().version.term, 3);
}
