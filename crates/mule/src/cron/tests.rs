//! When schedules run, and what they may not say.

use super::*;

/// The next runs of an expression after a time, in a zone.
fn runs(text: &str, after: &str, zone: &str, count: usize) -> Vec<String> {
    let cron = parse(text).unwrap_or_else(|problem| panic!("{text}: {problem}"));
    let zone = TimeZone::get(zone).unwrap();
    let mut at: Timestamp = after.parse().unwrap();
    let mut found = Vec::new();
    while found.len() < count {
        let Some(next) = cron.next(at, &zone) else {
            break;
        };
        let offset = next.display_with_offset(zone.to_offset(next));
        found.push(offset.to_string());
        at = next;
    }
    found
}

/// The next runs in UTC, without seconds and the offset.
fn days(text: &str, after: &str, count: usize) -> String {
    let runs = runs(text, after, "UTC", count);
    let runs: Vec<&str> = runs.iter().map(|run| &run[..16]).collect();
    runs.join(" ")
}

#[test]
fn every_form_of_a_field_is_read() {
    let after = "2024-01-01T00:00:00Z";
    assert_eq!(
        runs("0/2 * * * * ?", after, "UTC", 2),
        ["2024-01-01T00:00:02+00:00", "2024-01-01T00:00:04+00:00"]
    );
    for (text, expected) in [
        ("0 0 12 * * ?", "2024-01-01T12:00 2024-01-02T12:00"),
        ("0 15 10 ? * MON-FRI", "2024-01-01T10:15 2024-01-02T10:15"),
        ("0 0/30 8-9 5,20 * ?", "2024-01-05T08:00 2024-01-05T08:30"),
        ("0 0 0 L * ?", "2024-01-31T00:00 2024-02-29T00:00"),
        ("0 0 0 L-3 * ?", "2024-01-28T00:00 2024-02-26T00:00"),
        ("0 0 0 LW * ?", "2024-01-31T00:00 2024-02-29T00:00"),
        ("0 0 0 LW 3,6 ? *", "2024-03-29T00:00 2024-06-28T00:00"),
        ("0 0 0 15W 6 ?", "2024-06-14T00:00 2025-06-16T00:00"),
        ("0 0 0 1W 6 ?", "2024-06-03T00:00 2025-06-02T00:00"),
        ("0 0 0 ? * 6L", "2024-01-26T00:00 2024-02-23T00:00"),
        ("0 0 0 ? * FRI#3", "2024-01-19T00:00 2024-02-16T00:00"),
        ("0 0 0 ? * 2#5", "2024-01-29T00:00 2024-04-29T00:00"),
        ("0 0 0 ? * L", "2024-01-06T00:00 2024-01-13T00:00"),
        ("0 0 0 ? * fri-mon", "2024-01-05T00:00 2024-01-06T00:00"),
        ("0 0 22-1 * * ?", "2024-01-01T01:00 2024-01-01T22:00"),
        ("0 0 0 29 FEB ?", "2024-02-29T00:00 2028-02-29T00:00"),
        ("0 0 0 1 1 ? 2026/2", "2026-01-01T00:00 2028-01-01T00:00"),
        (
            "0 */20 0 ? jan,DEC SUN",
            "2024-01-07T00:00 2024-01-07T00:20",
        ),
        ("0 0 0 1 1 ? 2023", ""),
    ] {
        assert_eq!(days(text, after, 2), expected, "{text}");
    }
}

#[test]
fn a_schedule_runs_in_its_own_zone() {
    assert_eq!(
        runs("0 0 9 * * ?", "2024-03-30T12:00:00Z", "Europe/Berlin", 2),
        ["2024-03-31T09:00:00+02:00", "2024-04-01T09:00:00+02:00"]
    );
    // The hour that there is not, and the one that comes twice.
    assert_eq!(
        runs("0 30 2 * * ?", "2024-03-30T12:00:00Z", "Europe/Berlin", 1),
        ["2024-03-31T03:30:00+02:00"]
    );
    assert_eq!(
        runs("0 30 2 * * ?", "2024-10-26T12:00:00Z", "Europe/Berlin", 2),
        ["2024-10-27T02:30:00+02:00", "2024-10-28T02:30:00+01:00"]
    );
    assert_eq!(
        runs("0 0/30 * * * ?", "2024-10-27T00:00:00Z", "Europe/Berlin", 4),
        [
            "2024-10-27T02:30:00+02:00",
            "2024-10-27T02:00:00+01:00",
            "2024-10-27T02:30:00+01:00",
            "2024-10-27T03:00:00+01:00",
        ]
    );
}

#[test]
fn what_quartz_refuses_is_refused_with_the_reason() {
    for (text, reason) in [
        ("* * * * *", "this one has 5"),
        ("* * * * * ? * *", "this one has 8"),
        (
            "60 * * * * ?",
            "`60` is not a second, which is a number from 0 to 59",
        ),
        ("0 0 24 * * ?", "`24` is not an hour"),
        ("0 0 0 32 * ?", "`32` is not a day of the month"),
        ("0 0 0 0 * ?", "`0` is not a day of the month"),
        ("0 0 0 ? 13 1", "or a name from JAN to DEC"),
        ("0 0 0 ? * 8", "`8` is not a day of the week"),
        ("0 0 0 ? * 0", "`0` is not a day of the week"),
        ("0 0 0 1 * 1", "both given"),
        ("0 0 0 * * *", "both given"),
        ("0 0 0 ? * ?", "both `?`"),
        ("? 0 0 1 * ?", "`?` is for the day"),
        ("0/60 * * * * ?", "the step of a second"),
        ("0/ * * * * ?", "the step of a second"),
        ("0 0 0 L,3 * ?", "`L` must be the only"),
        ("0 0 0 ? * 6#6", "from 1 to 5"),
        ("0 0 0 ? * 6#1,3#2", "the only day"),
        ("0 0 0 32W * ?", "`32` is not a day"),
        ("0 0 0 1 1 ? 1969", "`1969` is not a year"),
        ("0 0 0 30 2 ?", "has such a day"),
        ("0 0 0 ? * XYZ", "`XYZ` is not a day of the week"),
        ("", "this one has 0"),
    ] {
        let problem = parse(text).unwrap_err();
        assert!(problem.contains(reason), "{text}: {problem}");
    }
}

proptest::proptest! {
    #[test]
    fn whatever_is_written_is_refused_or_runs_later_than_now(
        text in "[0-9*?/,LW# -]{0,12}( [0-9*?/,LW#-]{1,4}){0,6}",
        second in 0_i64..4_000_000_000,
    ) {
        if let Ok(cron) = parse(&text) {
            let after = Timestamp::from_second(second).unwrap();
            let zone = TimeZone::get("America/New_York").unwrap();
            if let Some(next) = cron.next(after, &zone) {
                proptest::prop_assert!(next > after, "{text}: {next}");
            }
        }
    }
}
