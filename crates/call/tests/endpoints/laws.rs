//! The laws of a choice, under any order of attempts, outcomes, pauses and findings of health.

use std::sync::Arc;
use std::time::Duration;

use fusebox_breaker::{Call, Outcome, Timestamp};
use fusebox_call::endpoints::{Ask, ChoiceRules, Chosen, EndpointView, Endpoints, Tried};
use fusebox_call::health::Health;
use fusebox_call::{Balance, Ejection};
use proptest::prelude::*;

use crate::kit::specs;

#[derive(Debug, Clone)]
enum Step {
    Begin {
        replayable: bool,
        tried: Option<usize>,
        upstream_probe: Option<u64>,
        text: Option<u64>,
    },
    End(usize, Outcome),
    Drop(usize),
    Wait(u64),
    Find(usize, Health),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let outcome = prop_oneof![
        1 => Just(Outcome::Success),
        4 => Just(Outcome::Failure),
        1 => Just(Outcome::Ignored),
    ];
    let health = prop_oneof![
        Just(Health::Unknown),
        Just(Health::Healthy),
        Just(Health::Unhealthy)
    ];
    let begin = (
        any::<bool>(),
        prop::option::weighted(0.2, 0usize..6),
        prop::option::weighted(0.1, 1u64..3),
        prop::option::of(0u64..50),
    );
    let begin = begin.prop_map(|(replayable, tried, upstream_probe, text)| Step::Begin {
        replayable,
        tried,
        upstream_probe,
        text,
    });
    let step = prop_oneof![
        8 => begin,
        8 => (0usize..8, outcome).prop_map(|(which, outcome)| Step::End(which, outcome)),
        1 => (0usize..8).prop_map(Step::Drop),
        3 => (0u64..8_000).prop_map(Step::Wait),
        1 => (0usize..6, health).prop_map(|(index, health)| Step::Find(index, health)),
    ];
    prop::collection::vec(step, 1..250)
}

fn rules() -> impl Strategy<Value = ChoiceRules> {
    let balance = prop_oneof![
        Just(Balance::RoundRobin),
        Just(Balance::LeastRequest),
        Just(Balance::P2cEwma),
        Just(Balance::Hash),
    ];
    (balance, 0.0f64..=1.0, 0u32..4).prop_map(|(balance, ejected_max, healthy_min)| {
        let mut ejection = Ejection {
            ejected_max,
            healthy_min,
            ..Ejection::default()
        };
        ejection.breaker.trip = vec![fusebox_breaker::Rule::ConsecutiveFailures {
            threshold: 2,
            within: None,
        }];
        ChoiceRules {
            balance,
            ejection: Some(ejection),
        }
    })
}

/// The laws of a choice that was made in that state.
fn lawful(chosen: &Chosen, ask: &Ask<'_>, before: &[EndpointView]) -> Result<(), TestCaseError> {
    let at = &before[chosen.index()];
    let in_use = |view: &&EndpointView| !view.ejected;
    let usable = |view: &&EndpointView| !view.ejected && view.is_up();
    let all_out = before.iter().filter(in_use).count() == 0;
    let some_usable = before.iter().filter(usable).count() > 0;
    if at.ejected {
        prop_assert!(chosen.is_probe() || all_out, "an ejected one was chosen");
        let is_first = ask.tried.is_empty() && ask.upstream_probe.is_none();
        prop_assert!(
            is_first || all_out,
            "a repeat or an upstream's probe went to an ejected one"
        );
    }
    if !at.is_up() && some_usable {
        prop_assert!(false, "an unhealthy one was chosen beside a usable one");
    }
    let untried = before
        .iter()
        .enumerate()
        .any(|(index, view)| usable(&view) && !ask.tried.has(index as u32));
    if untried {
        prop_assert!(
            !ask.tried.has(chosen.id()),
            "a tried one was chosen beside another"
        );
    }
    if chosen.is_probe() && before.len() > 1 && !all_out {
        let due = at.ejected_until.unwrap_or(Timestamp::ZERO);
        prop_assert!(
            at.ejected && due <= ask.now || at.would_eject,
            "a probe before its time"
        );
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn no_order_of_events_breaks_the_laws(
        weights in prop::collection::vec(1u32..5, 1..7), rules in rules(), steps in steps(), seed: u64,
    ) {
        let ejection = rules.ejection.clone().unwrap();
        let (all, mut now) = (weights.len(), Timestamp::from_secs(1));
        let endpoints = Endpoints::new("orders", &specs(&weights), &rules, Arc::new(()), now).unwrap();
        let set = endpoints.set();
        let mut chance = fastrand::Rng::with_seed(seed);
        let mut under_way: Vec<Chosen> = Vec::new();
        for step in steps {
            match step {
                Step::Begin { replayable, tried, upstream_probe, text } => {
                    let mut memory = Tried::NONE;
                    let before = set.views(now);
                    if let Some(index) = tried.filter(|index| *index < all) {
                        // The numbers of endpoints are their indexes here.
                        let mut ask = Ask::first(now);
                        ask.replayable = false;
                        let mut looks = 0;
                        loop {
                            let other = set.choose(&ask, &mut chance);
                            looks += 1;
                            if other.index() == index || looks > 20 {
                                memory.add(&other);
                                break;
                            }
                        }
                        if set.views(now) != before {
                            continue;
                        }
                    }
                    let ask = Ask { now, replayable, hash: text, tried: &memory, upstream_probe };
                    let chosen = set.choose(&ask, &mut chance);
                    lawful(&chosen, &ask, &before)?;
                    under_way.push(chosen);
                }
                Step::End(which, outcome) if which < under_way.len() => {
                    let call = Call::from(outcome).lasting(Duration::from_millis(which as u64));
                    under_way.swap_remove(which).end(call, now);
                }
                Step::Drop(which) if which < under_way.len() => drop(under_way.swap_remove(which)),
                Step::End(..) | Step::Drop(_) => {}
                Step::Wait(millis) => now = now + Duration::from_millis(millis),
                Step::Find(index, health) if index < all => {
                    set.members()[index].endpoint().set_health(health, now);
                }
                Step::Find(..) => {}
            }

            let views = set.views(now);
            let ejected = views.iter().filter(|view| view.ejected).count();
            prop_assert!(ejected <= ejection.most(all), "more are ejected than may be");
            prop_assert!(all - ejected >= all.min(ejection.healthy_min as usize));
            prop_assert!(all > 1 || ejected == 0);
            prop_assert!(views.iter().all(|view| !(view.ejected && view.would_eject)));
            for (index, view) in views.iter().enumerate() {
                let here = under_way.iter().filter(|chosen| chosen.index() == index);
                let (probes, others): (Vec<_>, Vec<_>) = here.partition(|chosen| chosen.is_probe());
                prop_assert_eq!(view.in_flight, probes.len() + others.len());
                let asked = set.members()[index].endpoint().breaker().snapshot(now);
                prop_assert!(asked.probes.is_none_or(|probes| probes.in_flight <= 1));
                // Out is exactly whose breaker is not closed.
                let is_out = all > 1 && view.state != fusebox_breaker::Phase::Closed;
                prop_assert_eq!(view.ejected || view.would_eject, is_out);
            }
        }
    }
}
