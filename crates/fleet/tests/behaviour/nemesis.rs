//! Random faults, and the invariants that hold in spite of them.

use fusebox_breaker::{Outcome, OwnedPermit, Phase};
use fusebox_fleet::{Share, protocol::State};
use proptest::prelude::*;

use crate::world::World;

#[derive(Debug, Clone, Copy)]
enum Trouble {
    Stop(usize),
    Cut(usize),
    Away,
    Deaf,
    Forget,
    Sick,
    Calm,
}

fn trouble() -> impl Strategy<Value = Trouble> {
    prop_oneof![
        (0..4usize).prop_map(Trouble::Stop),
        (0..4usize).prop_map(Trouble::Cut),
        Just(Trouble::Away),
        Just(Trouble::Deaf),
        Just(Trouble::Forget),
        Just(Trouble::Sick),
        Just(Trouble::Sick),
        Just(Trouble::Calm),
    ]
}

fn share() -> impl Strategy<Value = Share> {
    prop_oneof![
        Just(Share::Verdict),
        Just(Share::Counts),
        (1..=4u32).prop_map(Share::Quorum),
    ]
}

fn heal(world: &mut World) {
    world.store_away = false;
    world.pushes_lost = false;
    for peer in &mut world.peers {
        peer.stopped = false;
        peer.cut = false;
    }
}

/// Makes calls at every node for this long; each probe takes 300 ms, and its outcome depends on the upstream.
fn traffic(
    world: &mut World,
    millis: u64,
    sick: bool,
    flying: &mut Vec<(usize, u64, OwnedPermit)>,
) {
    for step in 0..millis / 10 {
        for peer in 0..world.peers.len() {
            if world.peers[peer].stopped || !(step + peer as u64).is_multiple_of(3) {
                continue;
            }
            let Ok(permit) = world.admit(peer) else {
                continue;
            };
            if permit.is_probe() {
                flying.push((peer, world.now + 300, permit));
            } else {
                let outcome = if sick {
                    Outcome::Failure
                } else {
                    Outcome::Success
                };
                permit.record(outcome, world.local(peer));
            }
        }
        let now = world.now;
        for (peer, _, permit) in flying.extract_if(.., |(_, at, _)| *at <= now) {
            let outcome = if sick {
                Outcome::Failure
            } else {
                Outcome::Success
            };
            permit.record(outcome, world.local(peer));
        }
        world.run(10);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_the_fleet_agrees_and_recovers_afterwards(
        share in share(), troubles in prop::collection::vec((trouble(), 100u64..6_000), 1..10),
    ) {
        let mut world = World::new(4, share);
        let mut flying = Vec::new();
        for (trouble, lasts) in troubles {
            let mut sick = false;
            match trouble {
                Trouble::Stop(peer) => world.peers[peer].stopped = true,
                Trouble::Cut(peer) => world.peers[peer].cut = true,
                Trouble::Away => world.store_away = true,
                Trouble::Deaf => world.pushes_lost = true,
                Trouble::Forget => world.put_back(None),
                Trouble::Sick => sick = true,
                Trouble::Calm => heal(&mut world),
            }
            traffic(&mut world, lasts, sick, &mut flying);
        }
        heal(&mut world);
        // I9 and I5: all agree soon, and with a healthy upstream the fleet closes and stays closed.
        traffic(&mut world, 30_000, false, &mut flying);
        prop_assert_eq!(world.phases(), vec![Phase::Closed; 4], "{:#?}", world.record());
        prop_assert_eq!(world.record().state, State::Closed);
        // A trip still reaches all nodes.
        let nodes = if let Share::Quorum(k) = share { k as usize } else { 1 };
        (0..nodes).for_each(|peer| world.trip(peer));
        world.run(5);
        prop_assert_eq!(world.phases(), vec![Phase::Open; 4]);
    }

    /// I2, as long as the store is reachable, in spite of suspended nodes and lost pushes.
    #[test]
    fn one_probe_at_a_time_while_the_store_is_there(
        stops in prop::collection::vec((0..4usize, any::<bool>(), any::<bool>(), 100u64..4_000), 1..10),
    ) {
        let mut world = World::new(4, Share::Verdict);
        world.trip(0);
        world.run(9_990);
        let mut flying: Vec<(usize, OwnedPermit)> = Vec::new();
        for (peer, stopped, deaf, lasts) in stops {
            world.peers[peer].stopped = stopped;
            world.pushes_lost = deaf;
            for _ in 0..lasts / 5 {
                for peer in 0..4 {
                    // A suspended node, too: its first call after waking must not probe by outdated knowledge.
                    if let Ok(permit) = world.admit(peer) {
                        prop_assert!(permit.is_probe());
                        flying.push((peer, permit));
                    }
                }
                flying.retain(|(peer, permit)| {
                    permit.deadline().is_some_and(|end| world.local(*peer) < end)
                });
                prop_assert!(flying.len() <= 1, "{:?}", flying);
                world.run(5);
            }
        }
    }
}
