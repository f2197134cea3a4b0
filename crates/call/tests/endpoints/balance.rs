//! The balancers over a whole set: weights, load, time and texts, also while endpoints are out of use.

use std::collections::HashMap;
use std::thread;
use std::time::Duration;

use fusebox_breaker::{Call, Outcome};
use fusebox_call::Balance;
use fusebox_call::balance::hash_of;
use fusebox_call::endpoints::Ask;
use fusebox_call::health::Health;

use crate::kit::{World, assert_shares, rules, specs};

#[test]
fn turns_follow_the_weights_over_several_workers() {
    let world = World::new(&[5, 1, 2, 12]);
    let (set, now) = (world.endpoints.set(), world.now);
    let work = || {
        let (mut hits, mut chance) = ([0u32; 4], fastrand::Rng::with_seed(1));
        for _ in 0..2_500 {
            let chosen = set.choose(&Ask::first(now), &mut chance);
            hits[chosen.index()] += 1;
            chosen.end(Outcome::Success, now);
        }
        hits
    };
    let hits = thread::scope(|scope| {
        let workers = [(); 4].map(|()| scope.spawn(work));
        workers.map(|worker| worker.join().unwrap())
    });
    let all: Vec<u32> = (0..4)
        .map(|index| hits.iter().map(|hits| hits[index]).sum())
        .collect();
    assert_eq!(all, [2_500, 500, 1_000, 6_000]);
}

#[test]
fn turns_follow_the_weights_of_those_in_use() {
    let mut world = World::new(&[3, 9, 1, 2]);
    let set = world.endpoints.set();
    set.members()[1]
        .endpoint()
        .set_health(Health::Unhealthy, world.now);
    let hits = world.hits_of(9_996);
    assert_eq!(hits[1], 0);
    assert_shares(&[hits[0], hits[2], hits[3]], &[3, 1, 2]);
}

#[test]
fn requests_go_where_fewer_are_in_flight_for_the_weight() {
    for balance in [Balance::LeastRequest, Balance::P2cEwma] {
        let mut world = World::with(&[10, 10, 20], &rules(balance));
        let kept: Vec<_> = (0..400).map(|_| world.first()).collect();
        let in_flight: Vec<u32> = world
            .views()
            .iter()
            .map(|view| view.in_flight as u32)
            .collect();
        assert_shares(&in_flight, &[1, 1, 2]);
        drop(kept);
        let idle = world.hits_of(20_000);
        assert_shares(&idle, &[1, 1, 2]);
    }
}

#[test]
fn a_slow_endpoint_gets_few_requests_and_is_tried_again_after_a_while() {
    let mut world = World::with(&[1, 1, 1], &rules(Balance::P2cEwma));
    let mut run = |slow: Option<usize>, times: usize| {
        world.hits.fill(0);
        for _ in 0..times {
            let chosen = world.first();
            let lasted = if Some(chosen.index()) == slow {
                900
            } else {
                20
            };
            world.now = world.now + Duration::from_millis(20);
            let call = Call::from(Outcome::Success).lasting(Duration::from_millis(lasted));
            chosen.end(call, world.now);
        }
        world.hits.clone()
    };
    // Two seconds are enough to know; then it gets hardly any.
    run(Some(2), 100);
    let hits = run(Some(2), 500);
    assert!(hits[2] <= 25, "{hits:?}");
    // Two minutes later it has its share again.
    run(None, 6_000);
    let hits = run(None, 1_000);
    assert!(hits[2] > 100, "{hits:?}");
}

#[test]
fn a_text_stays_with_its_endpoint_and_only_those_of_one_that_leaves_move() {
    let mut world = World::with(&[1; 5], &rules(Balance::Hash));
    let homes = |world: &mut World| -> HashMap<String, String> {
        let texts = (0..1_000).map(|tenant| format!("tenant-{tenant}"));
        let homes = texts.map(|text| {
            let ask = Ask {
                hash: Some(hash_of(&text)),
                ..Ask::first(world.now)
            };
            let name = world.choose(ask).name().to_string();
            (text, name)
        });
        homes.collect()
    };
    let before = homes(&mut world);
    assert_eq!(before, homes(&mut world));
    let fewer = &specs(&[1; 5])[..4];
    world
        .endpoints
        .update(fewer, &rules(Balance::Hash), world.now)
        .unwrap();
    let after = homes(&mut world);
    for (text, home) in &before {
        assert!(
            home == &after[text] || home == "e:1",
            "{text} moved from {home}"
        );
        assert_ne!(after[text], "e:1");
    }
}

#[test]
fn many_requests_of_one_text_do_not_go_to_one_endpoint_alone() {
    let mut world = World::with(&[1; 4], &rules(Balance::Hash));
    let ask = Ask {
        hash: Some(7),
        ..Ask::first(world.now)
    };
    let kept: Vec<_> = (0..400).map(|_| world.choose(ask)).collect();
    let most = world.views().iter().map(|view| view.in_flight).max();
    assert!(most <= Some(126), "{most:?}");
    drop(kept);
}

#[test]
fn without_a_text_the_hash_takes_turns() {
    let mut world = World::with(&[1, 1, 1], &rules(Balance::Hash));
    assert_eq!(world.hits_of(300), [100, 100, 100]);
}

#[test]
fn every_balancer_leaves_out_the_ejected_and_the_unhealthy() {
    for balance in [
        Balance::RoundRobin,
        Balance::LeastRequest,
        Balance::P2cEwma,
        Balance::Hash,
    ] {
        let mut world = World::with(&[1; 4], &rules(balance.clone()));
        world.failing = vec![0];
        let texts = |world: &mut World, times| {
            for text in 0..times {
                let ask = Ask {
                    hash: Some(hash_of(&text.to_string())),
                    ..Ask::first(world.now)
                };
                let chosen = world.choose(ask);
                world.end(chosen);
            }
        };
        texts(&mut world, 100);
        assert_eq!(
            (world.hits[0], world.ejected()[0]),
            (5, true),
            "{balance:?}"
        );
        let set = world.endpoints.set();
        set.members()[3]
            .endpoint()
            .set_health(Health::Unhealthy, world.now);
        world.hits.fill(0);
        texts(&mut world, 200);
        assert_eq!([world.hits[0], world.hits[3]], [0, 0], "{balance:?}");
        assert!(
            world.hits[1] > 50 && world.hits[2] > 50,
            "{balance:?}: {:?}",
            world.hits
        );
    }
}

#[test]
fn a_repeat_goes_to_another_endpoint_while_there_is_one() {
    for balance in [Balance::RoundRobin, Balance::LeastRequest, Balance::P2cEwma] {
        let mut world = World::with(&[1, 1], &rules(balance));
        world.failing = vec![0];
        assert!((0..50).all(|_| world.call()));
    }
}
