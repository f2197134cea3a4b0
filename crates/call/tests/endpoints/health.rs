//! Health beside ejection: two facts, of which neither writes the other.

use fusebox_call::health::Health;

use crate::kit::World;

fn set(world: &World, index: usize, health: Health) -> bool {
    let set = world.endpoints.set();
    set.members()[index]
        .endpoint()
        .set_health(health, world.now)
}

fn words(world: &World) -> Vec<&'static str> {
    world.views().iter().map(|view| view.health).collect()
}

#[test]
fn an_unhealthy_endpoint_gets_no_calls_and_an_unknown_one_does() {
    let mut world = World::new(&[1, 1, 1]);
    assert!(set(&world, 0, Health::Unhealthy) && !set(&world, 0, Health::Unhealthy));
    assert!(set(&world, 1, Health::Healthy));
    assert_eq!(world.hits_of(100), [0, 50, 50]);
    assert_eq!(words(&world), ["unhealthy", "healthy", "unknown"]);
    assert!(set(&world, 0, Health::Healthy));
    assert_eq!(world.hits_of(99), [33, 33, 33]);
}

#[test]
fn the_last_endpoint_is_kept_and_if_all_are_unhealthy_calls_go_to_all() {
    let mut world = World::new(&[1, 1]);
    set(&world, 0, Health::Unhealthy);
    set(&world, 1, Health::Unhealthy);
    assert_eq!(world.hits_of(100), [50, 50]);
    assert_eq!(words(&world), ["kept", "kept"]);
    assert_eq!(world.endpoints.set().in_use(), 2);

    let mut alone = World::new(&[1]);
    set(&alone, 0, Health::Unhealthy);
    assert_eq!((alone.hits_of(10), words(&alone)), (vec![10], vec!["kept"]));
    assert!(!alone.views()[0].is_up());
}

#[test]
fn an_ejected_endpoint_that_is_healthy_stays_ejected_until_its_time() {
    let mut world = World::new(&[1, 1]);
    world.failing = vec![0];
    world.attempts(20);
    world.failing.clear();
    set(&world, 0, Health::Healthy);
    assert_eq!(world.ejected(), [true, false]);
    assert_eq!(world.hits_of(10), [0, 10]);
    world.wait(10);
    world.attempts(1);
    assert_eq!(world.ejected(), [false, false]);
}

#[test]
fn no_client_probes_an_endpoint_that_is_known_to_be_unhealthy() {
    let mut world = World::new(&[1, 1]);
    world.failing = vec![0];
    world.attempts(20);
    set(&world, 0, Health::Unhealthy);
    world.wait(30);
    assert_eq!(world.hits_of(20), [0, 20]);
    set(&world, 0, Health::Healthy);
    world.failing.clear();
    assert_eq!(world.hits_of(21), [11, 10]);
}

#[test]
fn the_only_healthy_endpoint_is_not_ejected() {
    let mut world = World::new(&[1, 1]);
    set(&world, 1, Health::Unhealthy);
    world.failing = vec![0];
    world.attempts(20);
    assert_eq!((world.ejected()[0], world.would_eject()[0]), (false, true));
    assert_eq!(world.hits_of(10), [10, 0]);
}
