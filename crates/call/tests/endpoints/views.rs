//! The views: what the API and the metrics show.

use std::time::Duration;

use fusebox_breaker::Phase;

use crate::kit::World;

#[test]
fn a_view_shows_all_facts_of_an_endpoint() {
    let mut world = World::new(&[1, 2]);
    world.failing = vec![0];
    world.attempts(20);
    let under_way = world.first();
    let views = world.views();
    assert_eq!((&*views[0].name, &*views[0].url), ("a:1", "http://a:1"));
    assert_eq!(
        [views[0].state, views[1].state],
        [Phase::Open, Phase::Closed]
    );
    assert_eq!((views[0].ejected, views[0].is_up()), (true, true));
    let left = views[0].ejected_until.unwrap() - world.now;
    assert!(left > Duration::from_secs(9) && left <= Duration::from_secs(10));
    assert_eq!((views[1].weight, views[1].in_flight), (2, 1));
    assert_eq!(views[1].ewma_ms(), Some(10.0));
    assert_eq!(views[1].ejected_until, None);
    drop(under_way);
    assert_eq!(world.views()[1].in_flight, 0);
}

#[test]
fn the_watch_hears_the_begin_the_prolonging_and_the_end() {
    let mut world = World::new(&[1, 1]);
    world.failing = vec![0];
    world.attempts(20);
    world.wait(10);
    world.attempts(1);
    world.failing.clear();
    world.wait(20);
    world.attempts(1);
    let changes = world.changes.0.lock().unwrap();
    let told: Vec<_> = changes
        .iter()
        .map(|change| (change.ejected, change.until.is_some()))
        .collect();
    assert_eq!(told, [(true, true), (true, true), (false, false)]);
    assert!(
        changes
            .iter()
            .all(|change| &*change.endpoint == "a:1" && !change.would_eject)
    );
    assert!(changes[1].until > changes[0].until);
}

#[test]
fn an_endpoints_breaker_has_the_name_of_the_upstream_before_its_own() {
    let world = World::new(&[1, 1]);
    let set = world.endpoints.set();
    assert_eq!(
        &**set.members()[1].endpoint().breaker().name(),
        "orders@b:1"
    );
}
