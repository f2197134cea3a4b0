//! Expiry of objects, and limits on their number.

use crate::common::{Bed, START, wait};
use crate::{Make, behaviours};
use fusebox_store::{
    Clock, Expiry, Limits, NewObject, Object, PartitionSettings, Put, StoreError, WallTime, When,
};
use std::time::Duration;

behaviours!(
    an_object_lives_to_its_last_millisecond_and_is_gone_at_its_end,
    storing_again_starts_the_life_anew_and_reading_does_not,
    storing_without_a_life_over_one_with_a_life_lasts,
    an_expired_object_counts_as_absent_for_every_condition,
    an_increment_keeps_the_life_unless_it_is_given_one,
    an_increment_of_an_expired_number_starts_at_zero,
    a_life_above_the_limit_is_refused,
    a_life_below_a_millisecond_is_one,
    a_partitions_life_is_for_objects_without_one,
    a_sweep_removes_at_most_its_budget_the_oldest_first,
    a_sweep_spares_the_living,
    a_backward_jump_deletes_nothing_and_prolongs_nothing_past_the_limit,
    a_forward_jump_expires_the_objects_that_are_due,
    at_sweep_an_object_lives_until_the_sweep_after_its_end,
    at_sweep_all_that_is_due_goes_at_once_whatever_the_budget,
    at_sweep_the_oldest_written_go_when_there_are_too_many,
    at_sweep_nothing_is_evicted_between_two_sweep_times,
    a_full_partition_refuses_new_keys_and_takes_old_ones,
    a_full_partition_has_room_when_something_expired,
    settings_that_cannot_be_are_refused,
);

const MINUTE: Duration = Duration::from_secs(60);

fn put(bed: &Bed, key: &str, ttl: Option<Duration>) {
    let mut object = NewObject::text(key);
    object.ttl = ttl;
    let put = wait(bed.store.put("p", key, object, When::Always)).unwrap();
    assert!(matches!(put, Put::Stored { .. }));
}

fn get(bed: &Bed, key: &str) -> Option<Object> {
    wait(bed.store.get("p", key)).unwrap()
}

fn keys(bed: &Bed) -> Vec<String> {
    wait(bed.store.keys("p", "", 100)).unwrap()
}

fn at(bed: &Bed, ms: u64) {
    bed.clock.set(WallTime(START.0 + ms));
}

fn swept_every(every: Duration) -> PartitionSettings {
    PartitionSettings {
        expiry: Expiry::AtSweep { every },
        ..PartitionSettings::default()
    }
}

fn an_object_lives_to_its_last_millisecond_and_is_gone_at_its_end(make: Make<'_>) {
    let bed = make(Limits::default());
    put(&bed, "k", Some(MINUTE));
    assert_eq!(
        get(&bed, "k").unwrap().expires_at,
        Some(START.after(MINUTE))
    );
    at(&bed, 59_999);
    assert!(get(&bed, "k").is_some());
    assert_eq!(keys(&bed), ["k"]);
    at(&bed, 60_000);
    assert_eq!(get(&bed, "k"), None);
    assert!(keys(&bed).is_empty());
    assert_eq!(
        wait(bed.store.remove("p", "k", When::Always)).unwrap(),
        None
    );
    assert_eq!(wait(bed.store.clear("p")).unwrap(), 0);
}

fn storing_again_starts_the_life_anew_and_reading_does_not(make: Make<'_>) {
    let bed = make(Limits::default());
    put(&bed, "k", Some(MINUTE));
    at(&bed, 50_000);
    get(&bed, "k");
    put(&bed, "k", Some(MINUTE));
    at(&bed, 109_999);
    assert!(get(&bed, "k").is_some());
    at(&bed, 110_000);
    assert_eq!(get(&bed, "k"), None);
}

fn storing_without_a_life_over_one_with_a_life_lasts(make: Make<'_>) {
    let bed = make(Limits::default());
    put(&bed, "k", Some(MINUTE));
    put(&bed, "k", None);
    bed.clock.advance(MINUTE * 10);
    assert_eq!(wait(bed.store.sweep(100)).unwrap(), 0);
    assert_eq!(get(&bed, "k").unwrap().expires_at, None);
}

fn an_expired_object_counts_as_absent_for_every_condition(make: Make<'_>) {
    let bed = make(Limits::default());
    put(&bed, "k", Some(MINUTE));
    let version = get(&bed, "k").unwrap().version;
    bed.clock.advance(MINUTE);
    let over = |when| wait(bed.store.put("p", "k", NewObject::text("new"), when)).unwrap();
    assert_eq!(over(When::Version(version)), Put::Refused { current: None });
    assert!(matches!(over(When::Absent), Put::Stored { .. }));
    // The first object's end is removed along with it.
    assert_eq!(wait(bed.store.sweep(100)).unwrap(), 0);
    assert!(get(&bed, "k").is_some());
}

fn an_increment_keeps_the_life_unless_it_is_given_one(make: Make<'_>) {
    let bed = make(Limits::default());
    let end = || get(&bed, "n").unwrap().expires_at.unwrap();
    wait(bed.store.increment("p", "n", 1, Some(MINUTE))).unwrap();
    bed.clock.advance(MINUTE / 2);
    wait(bed.store.increment("p", "n", 1, None)).unwrap();
    assert_eq!(end(), START.after(MINUTE));
    wait(bed.store.increment("p", "n", 1, Some(MINUTE))).unwrap();
    assert_eq!(end(), START.after(MINUTE + MINUTE / 2));
}

fn an_increment_of_an_expired_number_starts_at_zero(make: Make<'_>) {
    let bed = make(Limits::default());
    wait(bed.store.increment("p", "n", 7, Some(MINUTE))).unwrap();
    bed.clock.advance(MINUTE);
    assert_eq!(wait(bed.store.increment("p", "n", 1, None)).unwrap(), 1);
    assert_eq!(get(&bed, "n").unwrap().expires_at, None);
}

fn a_life_above_the_limit_is_refused(make: Make<'_>) {
    let bed = make(Limits::default());
    let max = Limits::default().ttl_max;
    put(&bed, "k", Some(max));
    let over = NewObject::text("").living(max + Duration::from_nanos(1));
    let answers = [
        wait(bed.store.put("p", "k", over.clone(), When::Always)).err(),
        wait(bed.store.increment("p", "k", 1, over.ttl)).err(),
        bed.store
            .configure(
                "p",
                PartitionSettings {
                    ttl: over.ttl,
                    ..PartitionSettings::default()
                },
            )
            .err(),
    ];
    for answer in answers {
        assert!(
            matches!(answer, Some(StoreError::TtlTooLong { .. })),
            "{answer:?}"
        );
    }
}

fn a_life_below_a_millisecond_is_one(make: Make<'_>) {
    let bed = make(Limits::default());
    for ttl in [Duration::ZERO, Duration::from_nanos(1)] {
        put(&bed, "k", Some(ttl));
        let end = bed.clock.now().after(Duration::from_millis(1));
        assert_eq!(get(&bed, "k").unwrap().expires_at, Some(end));
    }
}

fn a_partitions_life_is_for_objects_without_one(make: Make<'_>) {
    let bed = make(Limits::default());
    let settings = PartitionSettings {
        ttl: Some(MINUTE),
        ..PartitionSettings::default()
    };
    bed.store.configure("p", settings).unwrap();
    put(&bed, "given", Some(MINUTE * 3));
    put(&bed, "none", None);
    bed.clock.advance(MINUTE);
    assert_eq!(keys(&bed), ["given"]);
    wait(bed.store.put("q", "k", NewObject::text(""), When::Always)).unwrap();
    assert_eq!(
        wait(bed.store.get("q", "k")).unwrap().unwrap().expires_at,
        None
    );
}

fn a_sweep_removes_at_most_its_budget_the_oldest_first(make: Make<'_>) {
    let bed = make(Limits::default());
    for n in (0..10).rev() {
        put(&bed, &format!("k{n}"), Some(Duration::from_millis(1 + n)));
    }
    at(&bed, 10);
    assert_eq!(wait(bed.store.sweep(0)).unwrap(), 0);
    assert_eq!(wait(bed.store.sweep(4)).unwrap(), 4);
    // The clock goes back: swept objects stay deleted, but merely expired ones are live again.
    at(&bed, 0);
    assert_eq!(keys(&bed), ["k4", "k5", "k6", "k7", "k8", "k9"]);
    at(&bed, 10);
    assert_eq!(wait(bed.store.sweep(100)).unwrap(), 6);
    assert_eq!(wait(bed.store.sweep(100)).unwrap(), 0);
}

fn a_sweep_spares_the_living(make: Make<'_>) {
    let bed = make(Limits::default());
    for n in 0..600 {
        put(
            &bed,
            &format!("k{n}"),
            (n % 3 > 0).then_some(MINUTE * (n % 3)),
        );
    }
    bed.clock.advance(MINUTE);
    assert_eq!(wait(bed.store.sweep(1_000)).unwrap(), 200);
    assert_eq!(wait(bed.store.keys("p", "", 1_000)).unwrap().len(), 400);
}

fn a_backward_jump_deletes_nothing_and_prolongs_nothing_past_the_limit(make: Make<'_>) {
    let bed = make(Limits {
        ttl_max: MINUTE,
        ..Limits::default()
    });
    put(&bed, "k", Some(MINUTE));
    put(&bed, "l", Some(MINUTE / 2));
    let day = 24 * 3_600_000;
    bed.clock.set(WallTime(START.0 - day));
    assert_eq!(wait(bed.store.sweep(100)).unwrap(), 0);
    let version = get(&bed, "k").unwrap().version;
    assert_eq!(keys(&bed), ["k", "l"]);
    let latest = bed.clock.now().after(MINUTE);
    assert_eq!(get(&bed, "k").unwrap().expires_at, Some(latest));
    assert_eq!(get(&bed, "l").unwrap().expires_at, Some(latest));
    bed.clock.advance(MINUTE - Duration::from_millis(1));
    assert_eq!(get(&bed, "k").unwrap().version, version);
    bed.clock.advance(Duration::from_millis(1));
    assert!(keys(&bed).is_empty());
    assert_eq!(wait(bed.store.sweep(100)).unwrap(), 2);
}

fn a_forward_jump_expires_the_objects_that_are_due(make: Make<'_>) {
    let bed = make(Limits::default());
    put(&bed, "k", Some(MINUTE));
    put(&bed, "l", Some(MINUTE * 60 * 48));
    bed.clock.advance(MINUTE * 60 * 24);
    assert_eq!(keys(&bed), ["l"]);
}

fn at_sweep_an_object_lives_until_the_sweep_after_its_end(make: Make<'_>) {
    let bed = make(Limits::default());
    let ten_seconds = Duration::from_secs(10);
    bed.store.configure("p", swept_every(ten_seconds)).unwrap();
    at(&bed, 3_000);
    put(&bed, "k", Some(MINUTE));
    at(&bed, 69_999);
    assert_eq!(wait(bed.store.sweep(100)).unwrap(), 0);
    assert_eq!(keys(&bed), ["k"]);
    let again = wait(bed.store.put("p", "k", NewObject::text(""), When::Absent)).unwrap();
    assert!(matches!(again, Put::Refused { current: Some(_) }));
    at(&bed, 70_000);
    assert_eq!(get(&bed, "k"), None);
    assert_eq!(wait(bed.store.sweep(100)).unwrap(), 1);
}

fn at_sweep_all_that_is_due_goes_at_once_whatever_the_budget(make: Make<'_>) {
    let bed = make(Limits::default());
    bed.store.configure("p", swept_every(MINUTE)).unwrap();
    for n in 0..10 {
        put(&bed, &format!("k{n}"), Some(Duration::from_secs(n)));
    }
    bed.clock.advance(MINUTE);
    assert_eq!(wait(bed.store.sweep(3)).unwrap(), 3);
    assert!(keys(&bed).is_empty());
}

fn at_sweep_the_oldest_written_go_when_there_are_too_many(make: Make<'_>) {
    let bed = make(Limits::default());
    let settings = PartitionSettings {
        max_entries: Some(2),
        ..swept_every(MINUTE)
    };
    bed.store.configure("p", settings).unwrap();
    for key in ["a", "b", "c", "d"] {
        put(&bed, key, None);
    }
    put(&bed, "a", None);
    assert_eq!(keys(&bed), ["a", "b", "c", "d"]);
    assert_eq!(wait(bed.store.sweep(1)).unwrap(), 1);
    assert_eq!(keys(&bed), ["a", "c", "d"]);
    assert_eq!(wait(bed.store.sweep(100)).unwrap(), 1);
    assert_eq!(keys(&bed), ["a", "d"]);
}

fn at_sweep_nothing_is_evicted_between_two_sweep_times(make: Make<'_>) {
    let bed = make(Limits::default());
    let settings = PartitionSettings {
        max_entries: Some(1),
        ..swept_every(MINUTE)
    };
    bed.store.configure("p", settings).unwrap();
    assert_eq!(wait(bed.store.sweep(100)).unwrap(), 0);
    put(&bed, "a", None);
    put(&bed, "b", None);
    at(&bed, 59_999);
    assert_eq!(wait(bed.store.sweep(100)).unwrap(), 0);
    at(&bed, 60_000);
    assert_eq!(wait(bed.store.sweep(100)).unwrap(), 1);
    assert_eq!(keys(&bed), ["b"]);
}

fn a_full_partition_refuses_new_keys_and_takes_old_ones(make: Make<'_>) {
    let bed = make(Limits::default());
    let settings = PartitionSettings {
        max_entries: Some(2),
        ..PartitionSettings::default()
    };
    bed.store.configure("p", settings).unwrap();
    put(&bed, "a", None);
    wait(bed.store.increment("p", "b", 1, None)).unwrap();
    let answers = [
        wait(bed.store.put("p", "c", NewObject::text(""), When::Always)).err(),
        wait(bed.store.increment("p", "c", 1, None)).err(),
    ];
    for answer in answers {
        assert!(
            matches!(answer, Some(StoreError::Full { .. })),
            "{answer:?}"
        );
    }
    put(&bed, "a", None);
    wait(bed.store.increment("p", "b", 1, None)).unwrap();
    assert_eq!(wait(bed.store.sweep(100)).unwrap(), 0);
    wait(bed.store.remove("p", "a", When::Always)).unwrap();
    put(&bed, "c", None);
    assert_eq!(keys(&bed), ["b", "c"]);
}

fn a_full_partition_has_room_when_something_expired(make: Make<'_>) {
    let bed = make(Limits::default());
    let settings = PartitionSettings {
        max_entries: Some(2),
        ..PartitionSettings::default()
    };
    bed.store.configure("p", settings).unwrap();
    put(&bed, "a", Some(MINUTE));
    put(&bed, "b", Some(MINUTE * 2));
    bed.clock.advance(MINUTE);
    put(&bed, "c", None);
    assert_eq!(keys(&bed), ["b", "c"]);
}

fn settings_that_cannot_be_are_refused(make: Make<'_>) {
    let bed = make(Limits::default());
    let none = PartitionSettings {
        max_entries: Some(0),
        ..PartitionSettings::default()
    };
    for settings in [
        none,
        swept_every(Duration::ZERO),
        swept_every(Duration::MAX),
    ] {
        let answer = bed.store.configure("p", settings);
        assert!(
            matches!(answer, Err(StoreError::InvalidSettings { .. })),
            "{answer:?}"
        );
    }
}
