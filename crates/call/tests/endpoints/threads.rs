//! Many workers at once: the laws that need no order, and an account that is right in the end.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use fusebox_breaker::{Outcome, Phase, Timestamp};
use fusebox_call::endpoints::{Ask, Chosen, Endpoints};
use fusebox_call::{Balance, Ejection};

use crate::kit::World;

#[test]
fn of_many_workers_one_probes_and_the_account_is_right_in_the_end() {
    for seed in 0..4u64 {
        let mut rules = crate::kit::rules(Balance::RoundRobin);
        let mut ejection = Ejection {
            ejected_max: 0.7,
            ..rules.ejection.unwrap()
        };
        // A worker that the system stops in a probe keeps it, however far the others move the clock meanwhile.
        ejection.breaker.half_open.probe_timeout = Duration::from_secs(1_000_000);
        rules.ejection = Some(ejection);
        let world = World::with(&[1, 2, 1, 1], &rules);
        let endpoints = &world.endpoints;
        // Each attempt takes 10 ms, so a cooldown lasts about a thousand of them.
        let clock = AtomicU64::new(1_000);
        let probing: [AtomicU32; 4] = Default::default();
        let probed = AtomicU32::new(0);
        let work = &|worker: u64| {
            let mut chance = fastrand::Rng::with_seed(seed * 10 + worker);
            for _ in 0..4_000 {
                let now = Timestamp::from_millis(clock.fetch_add(10, SeqCst));
                let chosen = endpoints.set().choose(&Ask::first(now), &mut chance);
                let index = chosen.index();
                let is_probe = chosen.is_probe();
                if is_probe {
                    assert_eq!(probing[index].fetch_add(1, SeqCst), 0, "two probes");
                    probed.fetch_add(1, SeqCst);
                }
                let outcome = match (index < 2, chance.u8(..10)) {
                    (_, 0) => Outcome::Ignored,
                    (true, 1..9) => Outcome::Failure,
                    _ => Outcome::Success,
                };
                if is_probe {
                    probing[index].fetch_sub(1, SeqCst);
                }
                chosen.end(outcome, Timestamp::from_millis(clock.load(SeqCst)));
            }
        };
        thread::scope(|scope| {
            let workers = [0, 1, 2, 3].map(|worker| scope.spawn(move || work(worker)));
            workers
                .into_iter()
                .for_each(|worker| worker.join().unwrap());
        });
        assert!(probed.load(SeqCst) > 0);
        let views = endpoints
            .set()
            .views(Timestamp::from_millis(clock.load(SeqCst)));
        for view in views {
            let is_out = view.state != Phase::Closed;
            assert_eq!(view.ejected || view.would_eject, is_out, "{view:?}");
            assert_eq!(view.in_flight, 0);
        }
    }
}

#[test]
fn a_choice_can_be_kept_by_a_body_that_moves_between_threads() {
    fn is_movable<T: Send + Sync + 'static>() {}
    is_movable::<Chosen>();
    is_movable::<Endpoints>();
}
