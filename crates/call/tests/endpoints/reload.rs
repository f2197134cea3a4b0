//! Updates by reload and by names looked up again: who stays keeps its state, who leaves is drained.

use fusebox_call::Balance;
use fusebox_call::endpoints::{ChoiceRules, EndpointSpec, Endpoints, EndpointsError};

use crate::kit::{World, ejection, rules, specs};

#[test]
fn an_endpoint_that_stays_keeps_its_ejection_and_one_that_leaves_is_drained() {
    let mut world = World::new(&[1, 1, 1]);
    world.failing = vec![0];
    world.attempts(30);
    let under_way = world.first();
    let leaving = under_way.name().clone();
    assert_ne!(&*leaving, "a:1");
    let mut next = specs(&[2, 2, 2, 2]);
    next.retain(|spec| spec.authority != leaving);
    let updated = world
        .endpoints
        .update(&next, &rules(Balance::RoundRobin), world.now)
        .unwrap();
    assert_eq!(updated.came.len(), 1);
    assert_eq!(updated.left[0].name(), &leaving);
    assert_eq!(updated.left[0].in_flight(), 1);
    world.end(under_way);
    assert_eq!(updated.left[0].in_flight(), 0);
    assert_eq!(world.ejected(), [true, false, false]);
    assert_eq!(world.views()[0].weight, 2);
    assert_eq!(world.hits_of(10), [0, 5, 5]);
}

#[test]
fn an_empty_answer_keeps_the_endpoints() {
    let mut world = World::new(&[1, 3]);
    let updated = world
        .endpoints
        .update(&[], &rules(Balance::RoundRobin), world.now)
        .unwrap();
    assert!(updated.came.is_empty() && updated.left.is_empty());
    assert_eq!(world.hits_of(40), [10, 30]);
}

#[test]
fn a_set_that_shrinks_puts_the_last_ejected_one_back_into_use() {
    let mut world = World::new(&[1, 1, 1, 1]);
    world.failing = vec![1];
    world.attempts(40);
    world.failing = vec![1, 2];
    world.attempts(40);
    assert_eq!(world.ejected(), [false, true, true, false]);
    let fewer = &specs(&[1, 1, 1, 1])[1..];
    world
        .endpoints
        .update(fewer, &rules(Balance::RoundRobin), world.now)
        .unwrap();
    assert_eq!(world.ejected(), [true, false, false]);
    assert_eq!(world.would_eject(), [false, true, false]);
}

#[test]
fn the_last_endpoint_left_over_is_in_use_although_it_was_ejected() {
    let mut world = World::new(&[1, 1]);
    world.failing = vec![0];
    world.attempts(20);
    assert_eq!(world.ejected(), [true, false]);
    let only = &specs(&[1])[..];
    world
        .endpoints
        .update(only, &rules(Balance::RoundRobin), world.now)
        .unwrap();
    assert_eq!(world.ejected(), [false]);
    assert_eq!(world.hits_of(10)[0], 10);
    // Together with another one it is ejected as before.
    world
        .endpoints
        .update(&specs(&[1, 1]), &rules(Balance::RoundRobin), world.now)
        .unwrap();
    assert_eq!(world.ejected(), [true, false]);
}

#[test]
fn ejection_can_be_switched_off_and_on() {
    let mut world = World::new(&[1, 1]);
    world.failing = vec![0];
    world.attempts(20);
    world
        .endpoints
        .update(&[], &ChoiceRules::default(), world.now)
        .unwrap();
    assert_eq!(world.hits_of(10), [5, 5]);
    world
        .endpoints
        .update(&[], &rules(Balance::RoundRobin), world.now)
        .unwrap();
    assert_eq!(world.hits_of(10), [0, 10]);
}

#[test]
fn a_new_endpoint_begins_at_the_median_of_the_others() {
    let mut world = World::new(&[1, 1, 1]);
    world.attempts(6);
    world
        .endpoints
        .update(&specs(&[1, 1, 1, 1]), &rules(Balance::P2cEwma), world.now)
        .unwrap();
    assert_eq!(world.views()[3].ewma_ms(), Some(10.0));
}

#[test]
fn no_endpoints_and_faulty_settings_are_errors() {
    let none = |specs: &[EndpointSpec], rules: &ChoiceRules| {
        let watch = std::sync::Arc::new(());
        Endpoints::new("orders", specs, rules, watch, Default::default()).unwrap_err()
    };
    assert!(matches!(
        none(&[], &ChoiceRules::default()),
        EndpointsError::Empty
    ));
    let mut faulty = ejection();
    faulty.breaker.trip.clear();
    let faulty = ChoiceRules {
        ejection: Some(faulty),
        ..ChoiceRules::default()
    };
    assert!(matches!(
        none(&specs(&[1]), &faulty),
        EndpointsError::Settings(_)
    ));
}
