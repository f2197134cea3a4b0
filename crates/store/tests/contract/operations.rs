//! The behaviour of each operation.

use crate::common::{Bed, wait};
use crate::{Make, behaviours};
use fusebox_store::{Limits, NewObject, Put, StoreError, When};
use std::time::Duration;

behaviours!(
    an_object_is_returned_with_its_media_type_and_without_an_expiry,
    nothing_is_got_where_nothing_was_put,
    an_empty_value_is_a_value,
    a_value_at_the_limit_is_kept_and_one_above_is_refused,
    values_of_every_size_round_the_size_of_a_chunk_are_kept,
    put_if_absent_stores_once,
    put_if_version_stores_only_over_that_version,
    versions_rise_across_keys_partitions_removal_and_clear,
    partitions_do_not_see_one_another,
    remove_returns_the_removed_object,
    remove_if_version_spares_another_version,
    increment_counts_from_zero_and_keeps_decimal_text,
    increment_rejects_a_value_that_is_not_a_number_and_keeps_it,
    increment_reads_every_form_of_a_decimal_number,
    increment_refuses_to_overflow_and_leaves_the_number,
    keys_are_sorted_filtered_and_limited,
    keys_of_one_partition_stop_where_the_next_begins,
    clear_empties_one_partition_and_counts,
    malformed_names_are_refused_by_every_operation,
    names_are_measured_in_characters,
    a_long_media_type_is_refused,
    a_future_that_is_never_polled_does_nothing,
    flush_returns,
);

fn put(bed: &Bed, partition: &str, key: &str, value: &str) -> u64 {
    let object = NewObject::text(value);
    match wait(bed.store.put(partition, key, object, When::Always)).unwrap() {
        Put::Stored { version } => version,
        refused => panic!("{refused:?}"),
    }
}

fn got(bed: &Bed, partition: &str, key: &str) -> Option<String> {
    let object = wait(bed.store.get(partition, key)).unwrap()?;
    Some(String::from_utf8(object.value.to_vec()).unwrap())
}

fn an_object_is_returned_with_its_media_type_and_without_an_expiry(make: Make<'_>) {
    let bed = make(Limits::default());
    let object = NewObject::new(vec![0, 159, 255], "application/x-odd; q=1");
    wait(bed.store.put("p", "k", object, When::Always)).unwrap();
    let object = wait(bed.store.get("p", "k")).unwrap().unwrap();
    assert_eq!(object.value.as_ref(), [0, 159, 255]);
    assert_eq!(object.media_type, "application/x-odd; q=1");
    assert_eq!(object.expires_at, None);
}

fn nothing_is_got_where_nothing_was_put(make: Make<'_>) {
    let bed = make(Limits::default());
    assert_eq!(got(&bed, "p", "k"), None);
    assert_eq!(
        wait(bed.store.remove("p", "k", When::Always)).unwrap(),
        None
    );
    assert_eq!(wait(bed.store.clear("p")).unwrap(), 0);
    assert!(wait(bed.store.keys("p", "", 10)).unwrap().is_empty());
}

fn an_empty_value_is_a_value(make: Make<'_>) {
    let bed = make(Limits::default());
    put(&bed, "p", "k", "");
    assert_eq!(got(&bed, "p", "k").as_deref(), Some(""));
}

fn a_value_at_the_limit_is_kept_and_one_above_is_refused(make: Make<'_>) {
    let bed = make(Limits::default());
    let max = Limits::default().value_bytes_max;
    let full = NewObject::new(vec![7; max], "a/b");
    wait(bed.store.put("p", "k", full, When::Always)).unwrap();
    let object = wait(bed.store.get("p", "k")).unwrap().unwrap();
    assert!(object.value.len() == max && object.value.iter().all(|byte| *byte == 7));
    let over = NewObject::new(vec![8; max + 1], "a/b");
    match wait(bed.store.put("p", "k", over, When::Always)) {
        Err(StoreError::TooLarge { limit, size, .. }) => assert_eq!((limit, size), (max, max + 1)),
        other => panic!("{other:?}"),
    }
    assert_eq!(wait(bed.store.get("p", "k")).unwrap().unwrap(), object);
}

fn values_of_every_size_round_the_size_of_a_chunk_are_kept(make: Make<'_>) {
    let bed = make(Limits::default());
    let (page, chunk) = (64 << 10, (64 << 10) - 256);
    for middle in [page, chunk, 2 * chunk, 3 * chunk] {
        for len in middle - 1..=middle + 1 {
            let value: Vec<u8> = (0..len).map(|n| (n % 251) as u8).collect();
            let object = NewObject::new(value.clone(), "a/b");
            wait(bed.store.put("p", "k", object, When::Always)).unwrap();
            let object = wait(bed.store.get("p", "k")).unwrap().unwrap();
            assert!(object.value == value, "{len} bytes");
        }
    }
}

fn put_if_absent_stores_once(make: Make<'_>) {
    let bed = make(Limits::default());
    let first = wait(bed.store.put("p", "k", NewObject::text("1"), When::Absent)).unwrap();
    let Put::Stored { version } = first else {
        panic!("{first:?}")
    };
    let second = wait(bed.store.put("p", "k", NewObject::text("2"), When::Absent)).unwrap();
    let current = Some(version);
    assert_eq!(second, Put::Refused { current });
    assert_eq!(got(&bed, "p", "k").as_deref(), Some("1"));
}

fn put_if_version_stores_only_over_that_version(make: Make<'_>) {
    let bed = make(Limits::default());
    let try_over = |version| {
        let object = NewObject::text("new");
        wait(bed.store.put("p", "k", object, When::Version(version))).unwrap()
    };
    assert_eq!(try_over(0), Put::Refused { current: None });
    let version = put(&bed, "p", "k", "old");
    let current = Some(version);
    assert_eq!(try_over(version + 1), Put::Refused { current });
    assert_eq!(got(&bed, "p", "k").as_deref(), Some("old"));
    assert!(matches!(try_over(version), Put::Stored { .. }));
    assert_eq!(got(&bed, "p", "k").as_deref(), Some("new"));
}

fn versions_rise_across_keys_partitions_removal_and_clear(make: Make<'_>) {
    let bed = make(Limits::default());
    let mut versions = vec![put(&bed, "p", "k", "1"), put(&bed, "q", "k", "1")];
    wait(bed.store.remove("q", "k", When::Always)).unwrap();
    versions.push(put(&bed, "q", "k", "2"));
    wait(bed.store.clear("p")).unwrap();
    wait(bed.store.increment("p", "k", 1, None)).unwrap();
    versions.push(wait(bed.store.get("p", "k")).unwrap().unwrap().version);
    assert!(versions.is_sorted_by(|a, b| a < b), "{versions:?}");
}

fn partitions_do_not_see_one_another(make: Make<'_>) {
    let bed = make(Limits::default());
    put(&bed, "p", "k", "1");
    put(&bed, "p\0", "k", "2");
    put(&bed, "pk", "k", "3");
    assert_eq!(got(&bed, "p", "k").as_deref(), Some("1"));
    assert_eq!(wait(bed.store.clear("p")).unwrap(), 1);
    assert_eq!(got(&bed, "p\0", "k").as_deref(), Some("2"));
    assert_eq!(got(&bed, "pk", "k").as_deref(), Some("3"));
}

fn remove_returns_the_removed_object(make: Make<'_>) {
    let bed = make(Limits::default());
    let version = put(&bed, "p", "k", "gone");
    let removed = wait(bed.store.remove("p", "k", When::Always))
        .unwrap()
        .unwrap();
    assert_eq!(
        (removed.value.as_ref(), removed.version),
        (&b"gone"[..], version)
    );
    assert_eq!(got(&bed, "p", "k"), None);
    let large = NewObject::new(vec![3; 200_000], "a/b");
    wait(bed.store.put("p", "k", large, When::Always)).unwrap();
    let removed = wait(bed.store.remove("p", "k", When::Always))
        .unwrap()
        .unwrap();
    assert!(removed.value == vec![3; 200_000]);
}

fn remove_if_version_spares_another_version(make: Make<'_>) {
    let bed = make(Limits::default());
    let version = put(&bed, "p", "k", "here");
    for when in [When::Version(version + 1), When::Absent] {
        assert_eq!(wait(bed.store.remove("p", "k", when)).unwrap(), None);
    }
    assert_eq!(got(&bed, "p", "k").as_deref(), Some("here"));
    let when = When::Version(version);
    assert!(wait(bed.store.remove("p", "k", when)).unwrap().is_some());
}

fn increment_counts_from_zero_and_keeps_decimal_text(make: Make<'_>) {
    let bed = make(Limits::default());
    assert_eq!(wait(bed.store.increment("p", "n", 5, None)).unwrap(), 5);
    assert_eq!(wait(bed.store.increment("p", "n", -7, None)).unwrap(), -2);
    let object = wait(bed.store.get("p", "n")).unwrap().unwrap();
    assert_eq!(object.value, "-2");
    assert_eq!(object.media_type, "text/plain");
    let typed = NewObject::new("40", "application/json");
    wait(bed.store.put("p", "n", typed, When::Always)).unwrap();
    assert_eq!(wait(bed.store.increment("p", "n", 2, None)).unwrap(), 42);
    let object = wait(bed.store.get("p", "n")).unwrap().unwrap();
    assert_eq!(object.media_type, "application/json");
}

fn increment_rejects_a_value_that_is_not_a_number_and_keeps_it(make: Make<'_>) {
    let bed = make(Limits::default());
    for text in ["", "one", "1.5", " 1", "9223372036854775808"] {
        put(&bed, "p", "n", text);
        let answer = wait(bed.store.increment("p", "n", 1, None));
        assert!(
            matches!(answer, Err(StoreError::NotANumber { .. })),
            "{text}: {answer:?}"
        );
        assert_eq!(got(&bed, "p", "n").as_deref(), Some(text));
    }
}

fn increment_reads_every_form_of_a_decimal_number(make: Make<'_>) {
    let bed = make(Limits::default());
    let long = format!("{}7", "0".repeat(40));
    for text in [
        "+5",
        "-0",
        "007",
        "-009",
        "000",
        &long,
        "9007199254740993",
        "-9223372036854775808",
        "+",
        "-",
        "--1",
        "0x7",
        "1e3",
        "7 ",
        "7\n",
        "7\0",
        "\u{663}",
        "99999999999999999999",
    ] {
        put(&bed, "p", "n", text);
        let answer = wait(bed.store.increment("p", "n", 1, None));
        match text.parse::<i64>() {
            Ok(number) => {
                assert_eq!(answer.unwrap(), number + 1, "{text}");
                let sum = (number + 1).to_string();
                assert_eq!(got(&bed, "p", "n"), Some(sum), "{text}");
            }
            Err(_) => {
                assert!(
                    matches!(answer, Err(StoreError::NotANumber { .. })),
                    "{text}"
                );
                assert_eq!(got(&bed, "p", "n").as_deref(), Some(text));
            }
        }
    }
}

fn increment_refuses_to_overflow_and_leaves_the_number(make: Make<'_>) {
    let bed = make(Limits::default());
    wait(bed.store.increment("p", "n", i64::MAX, None)).unwrap();
    let answer = wait(bed.store.increment("p", "n", 1, None));
    assert!(
        matches!(answer, Err(StoreError::Overflow { .. })),
        "{answer:?}"
    );
    assert_eq!(
        wait(bed.store.increment("p", "n", -1, None)).unwrap(),
        i64::MAX - 1
    );
}

fn keys_are_sorted_filtered_and_limited(make: Make<'_>) {
    let bed = make(Limits::default());
    for key in ["b", "ab", "a", "abc", "ä", "aa"] {
        put(&bed, "p", key, "");
    }
    let keys = |prefix: &str, limit| wait(bed.store.keys("p", prefix, limit)).unwrap();
    assert_eq!(keys("", 10), ["a", "aa", "ab", "abc", "b", "ä"]);
    assert_eq!(keys("a", 10), ["a", "aa", "ab", "abc"]);
    assert_eq!(keys("ab", 1), ["ab"]);
    assert_eq!(keys("", 0), Vec::<String>::new());
    assert_eq!(keys("z", 10), Vec::<String>::new());
}

fn keys_of_one_partition_stop_where_the_next_begins(make: Make<'_>) {
    let bed = make(Limits::default());
    put(&bed, "p", "k1", "");
    put(&bed, "pp", "k0", "");
    put(&bed, "q", "k2", "");
    assert_eq!(wait(bed.store.keys("p", "", 10)).unwrap(), ["k1"]);
    assert_eq!(wait(bed.store.keys("pp", "k", 10)).unwrap(), ["k0"]);
}

fn clear_empties_one_partition_and_counts(make: Make<'_>) {
    let bed = make(Limits::default());
    for n in 0..30 {
        put(&bed, "p", &format!("k{n}"), "");
        put(&bed, "q", &format!("k{n}"), "");
    }
    assert_eq!(wait(bed.store.clear("p")).unwrap(), 30);
    assert_eq!(wait(bed.store.clear("p")).unwrap(), 0);
    assert_eq!(wait(bed.store.keys("q", "", 100)).unwrap().len(), 30);
}

fn malformed_names_are_refused_by_every_operation(make: Make<'_>) {
    let bed = make(Limits::default());
    let store = &bed.store;
    let long = "x".repeat(257);
    for bad in ["", " \t", &long] {
        let answers = [
            wait(store.get("p", bad)).err(),
            wait(store.put("p", bad, NewObject::text(""), When::Always)).err(),
            wait(store.increment("p", bad, 1, None)).err(),
            wait(store.remove("p", bad, When::Always)).err(),
        ];
        for answer in answers {
            assert!(
                matches!(answer, Some(StoreError::InvalidKey { .. })),
                "{answer:?}"
            );
        }
        let answers = [
            wait(store.get(bad, "k")).err(),
            wait(store.put(bad, "k", NewObject::text(""), When::Always)).err(),
            wait(store.increment(bad, "k", 1, None)).err(),
            wait(store.remove(bad, "k", When::Always)).err(),
            wait(store.keys(bad, "", 1)).err(),
            wait(store.clear(bad)).err(),
            store.configure(bad, Default::default()).err(),
        ];
        for answer in answers {
            assert!(
                matches!(answer, Some(StoreError::InvalidPartition { .. })),
                "{answer:?}"
            );
        }
    }
}

fn names_are_measured_in_characters(make: Make<'_>) {
    let bed = make(Limits::default());
    let key = "ö".repeat(256);
    put(&bed, &key, &key, "v");
    assert_eq!(got(&bed, &key, &key).as_deref(), Some("v"));
}

fn a_long_media_type_is_refused(make: Make<'_>) {
    let bed = make(Limits {
        media_type_bytes_max: usize::MAX,
        ..Limits::default()
    });
    for (len, fits) in [(65_535, true), (65_536, false)] {
        let object = NewObject::new("", "m".repeat(len));
        let answer = wait(bed.store.put("p", "k", object, When::Always));
        assert_eq!(answer.is_ok(), fits, "{len}");
    }
}

fn a_future_that_is_never_polled_does_nothing(make: Make<'_>) {
    let bed = make(Limits::default());
    drop(bed.store.put("p", "k", NewObject::text("1"), When::Always));
    let ttl = Some(Duration::from_secs(1));
    drop(bed.store.increment("p", "k", 1, ttl));
    assert_eq!(got(&bed, "p", "k"), None);
}

fn flush_returns(make: Make<'_>) {
    let bed = make(Limits::default());
    put(&bed, "p", "k", "1");
    wait(bed.store.flush()).unwrap();
}
