//! Lost records.

use fusebox_breaker::{Outcome, Phase};
use fusebox_fleet::{Health, News, Share, protocol::State};

use crate::world::World;

#[test]
fn an_open_record_that_is_lost_is_restored_and_no_node_closes() {
    let mut world = World::new(3, Share::Verdict);
    world.trip(0);
    world.run(2_000);
    let before = world.record();
    world.put_back(None);
    world.run(1_100);
    let after = world.record();
    assert!(after.version.number() > before.version.number());
    assert_eq!((after.state, after.version.epoch), (State::Open, 1));
    assert!(after.until >= before.until && after.until <= before.until + 10);
    assert!(world.all(Phase::Open));
    let lost = |peer: &crate::world::Peer| {
        peer.news
            .iter()
            .any(|n| matches!(n, News::RecordLost { .. }))
    };
    assert!(world.peers.iter().any(lost));
}

#[test]
fn an_older_record_that_comes_back_is_not_adopted() {
    let mut world = World::new(3, Share::Verdict);
    world.run(10);
    let closed = world.record();
    world.trip(0);
    world.run(1_000);
    world.put_back(Some(&closed));
    world.run(1_100);
    assert_eq!(world.record().state, State::Open);
    assert!(world.all(Phase::Open));
}

#[test]
fn a_closed_record_that_is_lost_is_made_anew_once() {
    let mut world = World::new(20, Share::Verdict);
    world.trip(0);
    world.run(10);
    world.say(1, fusebox_fleet::protocol::Word::Reset { by: "ann".into() });
    world.run(2_000);
    assert!(world.all(Phase::Closed));
    world.put_back(None);
    world.run(2_000);
    assert_eq!(world.record().version.epoch, 1);
    let asserts: u64 = world
        .peers
        .iter()
        .map(|peer| peer.node.counters().asserts)
        .sum();
    assert!(
        (1..=4).contains(&asserts),
        "not everybody at once: {asserts}"
    );
}

#[test]
fn a_lost_lease_keeps_other_nodes_from_probing_before_its_end() {
    let mut world = World::new(3, Share::Verdict);
    world.trip(0);
    world.run(10_010);
    assert!(world.admit(0).is_err());
    world.run(5);
    let probe = world.admit(0).unwrap();
    world.put_back(None);
    for _ in 0..1_000 {
        world.run(1);
        for peer in 1..3 {
            assert!(world.admit(peer).is_err());
        }
    }
    drop(probe);
    let begin = world.now;
    world.until(6_000, |world| {
        (0..3).any(|peer| world.call(peer, Outcome::Success).is_ok())
    });
    assert!(world.now - begin > 500);
    world.run(1_100);
    assert!(world.all(Phase::Closed));
}

#[test]
fn a_record_of_another_version_leaves_the_breaker_to_local_decisions() {
    let mut world = World::new(2, Share::Verdict);
    world.trip(0);
    world.run(10);
    let mut record = world.record();
    record.schema = 2;
    record.version.term += 1;
    world.put_back(Some(&record));
    world.run(1_100);
    assert!(
        world.peers[0]
            .news
            .iter()
            .any(|n| matches!(n, News::RecordUnreadable { .. }))
    );
    assert_eq!(world.peers[0].node.health(), Health::Reachable);
    world.run(12_100);
    assert!(world.call(0, Outcome::Success).is_ok());
    assert_eq!(world.record().version.term, 0, "it was not touched");
}

/// Node 2 misses the trip, and is the first to notice the loss of the record.
fn lost_and_restored_by_an_uninformed_node() -> World {
    let mut world = World::new(3, Share::Verdict);
    world.trip(0);
    world.run(10);
    world.say(0, fusebox_fleet::protocol::Word::Reset { by: "ann".into() });
    world.run(1_100);
    world.pushes_lost = true;
    world.peers[2].cut = true;
    world.trip(0);
    world.until(1_100, |world| world.phase(1) == Phase::Open);
    (world.peers[0].cut, world.peers[1].cut) = (true, true);
    world.put_back(None);
    world.peers[2].cut = false;
    world.until(1_800, |world| world.record().version.epoch == 1);
    assert_eq!(world.record().state, State::Closed);
    world.pushes_lost = false;
    (world.peers[0].cut, world.peers[1].cut) = (false, false);
    world
}

#[test]
fn a_record_restored_by_a_node_that_missed_a_trip_is_opened_by_the_others() {
    let mut world = lost_and_restored_by_an_uninformed_node();
    world.until(1_300, |world| world.all(Phase::Open));
    let record = world.record();
    assert_eq!((record.state, record.version.epoch), (State::Open, 2));
    assert_eq!(record.by, "node-0");
}

#[test]
fn findings_after_a_restoration_are_not_overruled_by_earlier_knowledge() {
    let mut world = lost_and_restored_by_an_uninformed_node();
    (world.peers[0].cut, world.peers[1].cut) = (true, true);
    world.run(10);
    world.trip(2);
    world.run(10);
    world.say(2, fusebox_fleet::protocol::Word::Reset { by: "ann".into() });
    world.run(10);
    let version = world.record().version;
    (world.peers[0].cut, world.peers[1].cut) = (false, false);
    world.until(2_000, |world| world.all(Phase::Closed));
    assert_eq!(world.record().version, version);
}

#[test]
fn a_record_that_began_anew_under_the_same_number_is_taken() {
    let mut world = World::new(2, Share::Counts);
    for _ in 0..2 {
        world.fail(0);
        world.run(1_100);
    }
    let before = world.record();
    assert_eq!(before.counted(0, 0, 0), 2);
    world.put_back(None);
    world.fail(1);
    world.run(1_100);
    let after = world.record();
    assert_eq!(after.version, before.version);
    assert!(after.revision < before.revision);
    for peer in &world.peers {
        let view = peer.node.member("orders").unwrap();
        assert_eq!(view.record, Some(&after));
    }
}

#[test]
fn failures_that_find_the_record_lost_are_counted_once_it_is_made_anew() {
    let mut world = World::new(3, Share::Counts);
    world.trip(0);
    world.run(10);
    world.say(0, fusebox_fleet::protocol::Word::Reset { by: "ann".into() });
    world.run(1_100);
    world.put_back(None);
    let begin = world.now;
    for peer in 0..3 {
        world.fail(peer);
        world.run(20);
    }
    assert!(world.all(Phase::Open), "{:#?}", world.record());
    assert!(world.now - begin < 100);
}

#[test]
fn an_older_record_with_an_opening_is_repaired_at_once() {
    let mut world = World::new(3, Share::Verdict);
    world.trip(0);
    world.run(10);
    let open = world.record();
    world.say(0, fusebox_fleet::protocol::Word::Reset { by: "ann".into() });
    world.run(1_100);
    world.put_back(Some(&open));
    let lost = |world: &World| {
        let lost = |peer: &crate::world::Peer| {
            let lost = |news: &News| matches!(news, News::RecordLost { .. });
            peer.news.iter().any(lost)
        };
        world.peers.iter().any(lost)
    };
    world.until(1_100, lost);
    world.until(5, |world| world.record().version.epoch == 1);
}
