//! Outages of the store: every node decides locally, and resumes when the store is back.

use fusebox_breaker::{Outcome, Phase};
use fusebox_fleet::{Health, News, Share, protocol::State};

use crate::world::{World, settings};

#[test]
fn a_node_trips_in_the_same_call_when_the_store_is_away() {
    let mut world = World::new(3, Share::Verdict);
    world.store_away = true;
    world.trip(0);
    assert_eq!(world.phases(), [Phase::Open, Phase::Closed, Phase::Closed]);
}

#[test]
fn alone_each_node_probes_after_its_own_cooldown_and_up_to_a_fifth_more() {
    let mut world = World::new(5, Share::Verdict);
    world.store_away = true;
    world.run(5_000);
    assert!(
        world
            .peers
            .iter()
            .all(|peer| peer.news == [News::StoreAway])
    );
    assert!(matches!(world.peers[0].node.health(), Health::Away { .. }));
    (0..5).for_each(|peer| world.trip(peer));
    let tripped = world.now;
    let mut probed = [0; 5];
    while probed.contains(&0) {
        world.run(10);
        for (peer, at) in probed.iter_mut().enumerate() {
            if *at == 0 && world.call(peer, Outcome::Failure).is_ok() {
                *at = world.now - tripped;
            }
        }
        assert!(world.now < tripped + 13_000);
    }
    assert!(
        probed.iter().all(|at| (10_000..=12_010).contains(at)),
        "{probed:?}"
    );
    assert!(
        probed.iter().any(|at| *at > 10_100),
        "not all at once: {probed:?}"
    );
}

#[test]
fn an_unreported_trip_is_reported_when_the_store_is_back() {
    let mut world = World::new(4, Share::Verdict);
    world.store_away = true;
    world.run(3_000);
    world.trip(2);
    world.run(3_000);
    world.store_away = false;
    let took = world.until(1_000, |world| world.all(Phase::Open));
    assert!(took > 0);
    assert!(
        world.peers[2]
            .news
            .iter()
            .any(|news| matches!(news, News::StoreBack { .. }))
    );
}

#[test]
fn a_node_that_was_cut_off_adopts_the_record_that_it_missed() {
    let mut world = World::new(4, Share::Verdict);
    world.peers[3].cut = true;
    world.run(2_000);
    world.trip(0);
    world.run(3_000);
    assert_eq!(world.phase(3), Phase::Closed);
    world.peers[3].cut = false;
    world.until(1_000, |world| world.all(Phase::Open));
}

#[test]
fn an_older_trip_of_a_node_that_was_cut_off_does_not_reopen_the_fleet() {
    let mut world = World::with(3, Share::Verdict, {
        let mut settings = settings();
        settings.cooldown.base *= 6;
        settings.cooldown.max = settings.cooldown.base;
        settings
    });
    world.peers[2].cut = true;
    world.run(3_000);
    world.trip(2);
    world.run(10);
    // Meanwhile the others trip, and an operator finds the upstream healthy.
    world.trip(0);
    world.run(1_000);
    let word = fusebox_fleet::protocol::Word::Reset { by: "ann".into() };
    world.say(0, word);
    world.run(100);
    assert_eq!(world.phase(0), Phase::Closed);
    world.peers[2].cut = false;
    world.until(1_000, |world| world.all(Phase::Closed));
    world.run(5_000);
    assert_eq!(world.record().state, State::Closed);
}

#[test]
fn a_suspended_node_with_an_unreported_trip_does_not_overrule_later_findings() {
    let mut world = World::new(3, Share::Verdict);
    world.trip(2);
    // The node is suspended before it could report that.
    world.peers[2].stopped = true;
    world.run(10);
    assert_eq!(world.record().state, State::Closed);
    world.trip(0);
    world.run(10_010);
    assert!(world.admit(1).is_err());
    world.run(5);
    world.call(1, Outcome::Success).unwrap();
    world.run(50_000);
    let version = world.record().version;
    assert_eq!(version.term, 3);
    world.peers[2].stopped = false;
    world.until(1_000, |world| world.all(Phase::Closed));
    world.run(3_000);
    assert_eq!(world.record().version, version);
}

#[test]
fn an_outage_while_half_open_ends_in_agreement() {
    let mut world = World::new(4, Share::Verdict);
    world.trip(0);
    world.run(10_010);
    assert!(world.admit(1).is_err());
    world.run(5);
    let probe = world.admit(1).unwrap();
    world.store_away = true;
    world.run(100);
    probe.record(Outcome::Success, world.local(1));
    assert_eq!(world.phase(1), Phase::Closed, "its lease was good");
    world.run(20_000);
    world.store_away = false;
    // Once calls come in, one node probes and all agree.
    world.until(7_000, |world| {
        for peer in 0..4 {
            let _ = world.call(peer, Outcome::Success);
        }
        world.all(Phase::Closed) && world.record().state == State::Closed
    });
}

#[test]
fn a_store_that_fails_once_is_not_away() {
    let mut world = World::new(3, Share::Verdict);
    world.trip(0);
    world.run(9_800);
    world.store_away = true;
    world.run(400);
    world.store_away = false;
    world.run(2_000);
    assert!(world.peers.iter().all(|peer| peer.news.is_empty()));
    assert!(world.admit(1).is_err(), "nobody probes alone");
}

#[test]
fn a_node_that_itself_slept_does_not_take_the_store_for_away() {
    let mut world = World::new(2, Share::Verdict);
    world.trip(0);
    world.run(200);
    world.store_away = true;
    world.run(700);
    world.peers[1].stopped = true;
    world.store_away = false;
    world.run(30_000);
    world.peers[1].stopped = false;
    world.run(5);
    assert!(world.peers[1].news.is_empty(), "{:?}", world.peers[1].news);
    assert!(world.admit(1).is_err());
}

#[test]
fn a_restored_breaker_opens_a_fleet_without_a_record_and_no_other() {
    let mut world = World::new(2, Share::Verdict);
    world.trip(0);
    world.run(10);
    let saved = world.peers[0].breaker.saved(world.local(0));
    // The fleet has newer information: an operator has closed the breaker.
    world.say(1, fusebox_fleet::protocol::Word::Reset { by: "ann".into() });
    world.run(10);
    for (fresh, expected) in [(false, Phase::Closed), (true, Phase::Open)] {
        if fresh {
            world.put_back(None);
        }
        let mut settings = settings();
        settings.half_open.probe_timeout += std::time::Duration::from_millis(1);
        world.peers.truncate(1);
        world.enter_restored(0, Share::Verdict, &settings, &saved);
        world.run(5);
        assert_eq!(world.phase(0), expected);
        assert_eq!(world.record().state == State::Open, fresh);
    }
}

#[test]
fn a_store_that_can_be_read_and_takes_no_command_is_as_good_as_away() {
    let mut world = World::new(3, Share::Verdict);
    world.trip(0);
    world.run(2_000);
    world.store_full = true;
    world.run(8_100);
    // No node gets a lease, so after a while each one probes locally, and is not reopened.
    for peer in 0..3 {
        world.until(6_000, |world| world.call(peer, Outcome::Success).is_ok());
    }
    for _ in 0..50 {
        world.run(100);
        assert!(world.all(Phase::Closed), "{:?}", world.phases());
    }
    assert!(
        world
            .peers
            .iter()
            .all(|peer| peer.news == [News::StoreAway])
    );
    world.store_full = false;
    world.until(7_000, |world| {
        for peer in 0..3 {
            let _ = world.call(peer, Outcome::Success);
        }
        world.all(Phase::Closed) && world.record().state == State::Closed
    });
}

#[test]
fn one_command_that_failed_is_no_outage() {
    let mut world = World::new(2, Share::Verdict);
    world.store_full = true;
    world.trip(0);
    world.run(100);
    world.store_full = false;
    world.until(1_000, |world| world.all(Phase::Open));
    world.run(3_000);
    assert!(world.peers.iter().all(|peer| peer.news.is_empty()));
}

#[test]
fn a_node_that_tripped_before_it_first_reached_the_store_does_not_overrule_later_findings() {
    let mut world = World::new(2, Share::Verdict);
    world.enter(2, Share::Verdict, &settings());
    world.peers[2].cut = true;
    world.trip(2);
    world.run(100);
    world.trip(0);
    world.run(1_000);
    world.say(0, fusebox_fleet::protocol::Word::Reset { by: "ann".into() });
    world.run(100);
    let version = world.record().version;
    world.peers[2].cut = false;
    world.until(2_000, |world| world.all(Phase::Closed));
    world.run(1_000);
    assert_eq!(world.record().version, version);
}
