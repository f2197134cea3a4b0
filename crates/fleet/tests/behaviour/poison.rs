//! Foreign data in a record's place: no fleet accepts it, and it keeps no breaker open.

use fusebox_breaker::{Outcome, Phase};
use fusebox_fleet::{
    News, Share,
    protocol::{Lease, Record, State, Version, Word},
};

use crate::world::{EPOCH, World};

/// An open record with this version and this end of the cooldown.
pub fn open(epoch: u64, term: u64, until: u64) -> Record {
    Record {
        version: Version {
            epoch,
            term,
            since: EPOCH,
        },
        state: State::Open,
        until,
        at: EPOCH,
        revision: 7,
        by: "somebody".into(),
        ..Record::fresh()
    }
}

/// Records that are unreadable or implausible, at a time somewhat after `EPOCH`.
fn poisons() -> Vec<(&'static str, Vec<u8>)> {
    let far = EPOCH + 1_000_000_000;
    let with = |record: Record| record.write();
    let text = |text: &str| text.as_bytes().to_vec();
    let changed = |from: &str, to: &str| {
        let json = String::from_utf8(open(0, 9, EPOCH).write()).unwrap();
        assert!(json.contains(from), "{json}");
        json.replacen(from, to, 1).into_bytes()
    };
    let mut votes = open(0, 9, EPOCH);
    votes.state = State::Closed;
    votes.votes.insert("nobody".into(), far);
    let mut unled = open(0, 9, EPOCH);
    unled.state = State::HalfOpen;
    let mut led = open(0, 9, EPOCH);
    led.state = State::HalfOpen;
    led.lease = Some(Lease {
        node: "nobody".into(),
        incarnation: "0".into(),
        ends: far,
        since: EPOCH,
    });
    let mut counted = open(0, 9, EPOCH);
    counted.state = State::Closed;
    counted.counts.insert("0".into(), vec![far, 1_000_000]);
    vec![
        ("nothing", Vec::new()),
        ("no JSON", text("poison")),
        ("not UTF-8", vec![0xff, 0xfe, 0]),
        ("a list", text("[1,2]")),
        ("a number", text("7")),
        ("no fields", text("{\"v\":1}")),
        ("another schema that is none", text("{\"v\":-2}")),
        ("half a schema", text("{\"v\":1.5}")),
        ("a version in words", changed("\"v\":1", "\"v\":\"1\"")),
        ("an unknown state", changed("\"open\"", "\"ajar\"")),
        ("a negative term", changed("\"t\":9", "\"t\":-9")),
        ("half a term", changed("\"t\":9", "\"t\":9.5")),
        ("a term without end", changed("\"t\":9", "\"t\":1e400")),
        ("a term in words", changed("\"t\":9", "\"t\":\"9\"")),
        (
            "a long reason",
            with(Record {
                why: "x".repeat(300_000),
                ..open(0, 9, EPOCH)
            }),
        ),
        ("many attempts", changed("\"a\":0", "\"a\":4294967296")),
        (
            "deeply nested",
            ["[".repeat(2_000), "]".repeat(2_000)].concat().into_bytes(),
        ),
        ("an epoch of 2^53", with(open(1 << 53, 1, EPOCH + 5_000))),
        ("a term of 2^53", with(open(0, 1 << 53, EPOCH + 5_000))),
        ("a term of 2^63", with(open(0, 1 << 63, EPOCH + 5_000))),
        (
            "an end in a thousand years",
            with(open(0, 9, EPOCH + 31_536_000_000_000)),
        ),
        ("an end in a minute", with(open(0, 9, EPOCH + 60_000))),
        (
            "an end a lease beyond the longest cooldown",
            with(open(0, 9, EPOCH + 15_500)),
        ),
        ("half-open, and nobody leads", with(unled)),
        (
            "closed, and somebody leads",
            with(Record {
                state: State::Closed,
                ..led.clone()
            }),
        ),
        (
            "an opening in an hour",
            with(Record {
                version: Version {
                    since: EPOCH + 3_600_000,
                    ..open(0, 9, 0).version
                },
                ..open(0, 9, EPOCH + 3_610_000)
            }),
        ),
        ("an end that is no time", with(open(0, 9, u64::MAX))),
        ("the last epoch", with(open(99_999_999_999_999, 1, far))),
        ("the last term", with(open(0, 99_999_999_999_999, far))),
        ("a vote without end", with(votes)),
        ("a lease without end", with(led)),
        ("failures to come", with(counted)),
    ]
}

/// Number of reports about an implausible record.
pub fn told(world: &World) -> usize {
    let unsound = |news: &&News| matches!(news, News::RecordUnsound { .. });
    let told = |peer: &crate::world::Peer| peer.news.iter().filter(unsound).count();
    world.peers.iter().map(told).sum()
}

/// Checks that the fleet works: a trip at one node opens all, and a probe closes all.
pub fn works(world: &mut World) {
    world.until(5_000, |world| world.all(Phase::Closed));
    world.trip(0);
    world.until(1_100, |world| world.all(Phase::Open));
    world.run(10_050);
    world.until(5_000, |world| {
        let _ = world.call(1, Outcome::Success);
        world.all(Phase::Closed)
    });
}

#[test]
fn a_poisoned_record_is_reported_and_restored_and_opens_nothing() {
    for (what, poison) in poisons() {
        let mut world = World::new(2, Share::Verdict);
        world.write(&poison);
        world.run(1_700);
        assert!(world.all(Phase::Closed), "{what}");
        let record = world.bytes().and_then(|bytes| Record::read(&bytes));
        let record = record.unwrap_or_else(|| panic!("{what} is there still"));
        assert_eq!(record.state, State::Closed, "{what}");
        assert_eq!(
            record.version.number(),
            (1, 1),
            "{what}: nothing of it is counted"
        );
        assert!((1..=2).contains(&told(&world)), "{what}: {}", told(&world));
        works(&mut world);
    }
}

#[test]
fn poison_neither_closes_an_open_breaker_nor_extends_its_cooldown() {
    for share in [Share::Verdict, Share::Quorum(2), Share::Counts] {
        for (what, poison) in poisons() {
            let mut world = World::new(3, share);
            let begin = world.now;
            world.trip(0);
            world.trip(1);
            world.run(2_000);
            world.write(&poison);
            while world.now < begin + 9_900 {
                world.run(100);
                assert_eq!(world.phase(0), Phase::Open, "{what} at {share:?}");
                assert!(world.call(0, Outcome::Success).is_err(), "{what}");
            }
            let record = world.record();
            assert_eq!(record.state, State::Open, "{what} at {share:?}");
            assert_eq!(record.version.epoch, 1, "{what} at {share:?}");
            world.run(200);
            world.until(5_000, |world| {
                (0..3).for_each(|peer| _ = world.call(peer, Outcome::Success));
                world.all(Phase::Closed)
            });
        }
    }
}

#[test]
fn a_trip_at_the_moment_of_poison_opens_all() {
    for (what, poison) in poisons() {
        let mut world = World::new(2, Share::Verdict);
        world.write(&poison);
        world.trip(0);
        world.until(2_600, |world| world.phase(1) == Phase::Open);
        world.run(6_000);
        assert!(world.all(Phase::Open), "{what}");
        assert_eq!(&*world.record().by, "node-0", "{what}");
    }
}

#[test]
fn a_breaker_whose_record_is_poisoned_all_the_time_goes_on_alone() {
    let mut world = World::new(2, Share::Verdict);
    world.trip(0);
    world.run(100);
    let until = world.now + 60_000;
    let mut passed = 0;
    while world.now < until {
        world.write(b"poison");
        world.run(20);
        passed += u32::from(world.call(0, Outcome::Success).is_ok());
    }
    assert!(passed > 1_000, "{passed}");
    assert!(told(&world) <= 4, "once a minute each: {}", told(&world));
    // As after an outage, the fleet's state counts again, and one more probe closes all.
    world.run(7_000);
    world.until(12_000, |world| {
        let _ = world.call(1, Outcome::Success);
        world.all(Phase::Closed)
    });
    works(&mut world);
}

#[test]
fn numbers_at_their_ends_begin_again() {
    const LAST: u64 = 99_999_999_999_999;
    for (epoch, term) in [(0, LAST), (LAST, 1), (LAST - 1, LAST), (LAST, LAST)] {
        let mut world = World::new(2, Share::Verdict);
        world.put_back(Some(&open(epoch, term, world.server() + 5_000)));
        world.until(1_100, |world| world.all(Phase::Open));
        world.until(9_000, |world| {
            let _ = world.call(1, Outcome::Success);
            world.all(Phase::Closed)
        });
        works(&mut world);
        world.put_back(None);
        world.run(2_000);
        works(&mut world);
    }
}

#[test]
fn a_hold_without_end_is_an_operators_to_end() {
    let mut world = World::new(2, Share::Verdict);
    let word = Word::Hold {
        open: true,
        span: None,
        why: "repair".into(),
        by: "ann".into(),
    };
    world.say(0, word);
    world.run(100_000);
    assert!(world.call(1, Outcome::Success).is_err());
    assert_eq!(told(&world), 0);
    world.write(b"poison");
    world.run(2_000);
    assert!(world.record().hold.is_some(), "it is known here");
    world.say(1, Word::Release { by: "ann".into() });
    world.run(1_000);
    world.until(5_000, |world| {
        let _ = world.call(1, Outcome::Success);
        world.all(Phase::Closed)
    });
}

/// The present record, but with this state and this end of the cooldown.
fn altered(world: &World, state: State, until: u64) -> Vec<u8> {
    let record = Record {
        state,
        until,
        ..world.record()
    };
    record.write()
}

#[test]
fn a_foreign_state_in_a_record_is_reported_and_hides_no_trip() {
    for (what, state, until) in [
        ("half-open", State::HalfOpen, 0),
        ("open until long ago", State::Open, 0),
        ("open for nine seconds more", State::Open, 9_000),
    ] {
        // In an initial record and in one with an earlier opening; with a trip at once and later.
        for (used, later) in [(false, false), (false, true), (true, false), (true, true)] {
            let mut world = World::new(2, Share::Verdict);
            world.run(1_100);
            if used {
                works(&mut world);
                world.run(1_100);
            }
            let until = match until {
                0 => world.record().until,
                more => world.server() + more,
            };
            world.write(&altered(&world, state, until));
            if later {
                world.run(1_700);
                assert!(world.all(Phase::Closed), "{what}");
                assert_eq!(world.record().state, State::Closed, "{what}");
                assert!((1..=2).contains(&told(&world)), "{what}");
            }
            world.trip(0);
            let begin = world.now;
            world.until(2_600, |world| world.all(Phase::Open));
            while world.now < begin + 9_900 {
                world.run(100);
                assert!(world.call(0, Outcome::Success).is_err(), "{what}");
            }
            world.run(200);
            world.until(5_000, |world| {
                let _ = world.call(1, Outcome::Success);
                world.all(Phase::Closed)
            });
            works(&mut world);
        }
    }
}

#[test]
fn no_record_is_open_for_longer_than_the_longest_cooldown_of_a_short_one() {
    let mut settings = crate::world::settings();
    settings.cooldown = fusebox_breaker::Cooldown::fixed(crate::world::ms(2_000));
    settings.half_open.probe_timeout = crate::world::ms(30_000);
    // A record read within a second is still more than a second too long.
    let mut world = World::with(2, Share::Verdict, settings.clone());
    world.write(&open(0, 9, world.server() + 4_100).write());
    world.run(1_700);
    assert!(world.all(Phase::Closed));
    let mut world = World::with(2, Share::Verdict, settings);
    world.write(&open(0, 9, world.server() + 30_000).write());
    world.run(1_700);
    assert!(world.all(Phase::Closed));
    assert!((1..=2).contains(&told(&world)));
    world.trip(0);
    world.until(1_100, |world| world.all(Phase::Open));
    // The length of a lease does not make the record implausible, either: if lost, the lease belongs to no node until
    // its end.
    world.run(2_050);
    let probe = world.until_led(1);
    let ends = world.record().lease.unwrap().ends;
    world.put_back(None);
    world.run(1_700);
    let record = world.record();
    assert_eq!(record.state, State::HalfOpen);
    assert!(record.until <= world.server(), "{record:?}");
    let lease = record.lease.unwrap();
    assert_eq!((&*lease.node, &*lease.incarnation), ("node-1", ""));
    assert!(lease.ends + 50 > ends && lease.ends < ends + 50);
    drop(probe);
    let begin = world.server();
    let most = ends - begin + 3_000;
    world.until(most, |world| {
        (0..2).for_each(|peer| _ = world.call(peer, Outcome::Success));
        world.all(Phase::Closed)
    });
    assert!(world.server() >= ends, "nobody probed beside it");
}
