//! The time in which certificates are valid, at the moment when a plan is made, and the order of a chain.

use std::time::{Duration, UNIX_EPOCH};

use super::PemFile;
use crate::diagnostic::Notes;
use crate::interpolate::CertificateFacts;

/// The time before a certificate's end in which it is warned of.
const SOON: i64 = 14 * DAY;

const DAY: i64 = 86_400;

/// The last second of the year 9999, the last one that RFC 3339 can write.
const LAST: i64 = 253_402_300_799;

/// Refuses a chain whose own certificate is not valid now, and warns of one that ends soon, of an intermediate
/// certificate that is not valid, and of a certificate that has not issued the one before it.
pub(super) fn check_chain(
    file: &PemFile,
    chain: &[CertificateFacts],
    now: i64,
    notes: &mut Notes,
) -> Option<()> {
    let shown = &file.shown;
    let Some((own, intermediates)) = chain.split_first() else {
        return Some(());
    };
    for it in intermediates.iter().filter(|it| is_over(it, now)) {
        let what = format!(
            "a certificate in {shown} that leads to the authority has expired, at {}",
            time(it.not_after)
        );
        notes.warn(file.at, what, "put the authority's present one there");
    }
    if let Some(at) = chain.iter().position(|it| it.is_astray) {
        let what = format!(
            "certificate number {} in {shown} has not issued the one before it, so clients may not find the way to its authority",
            at + 1
        );
        let mend =
            "write the server's own certificate first, and behind each the one that issued it";
        notes.warn(file.at, what, mend);
    }
    let mend = "renew it, and put the new one there";
    if is_over(own, now) {
        let what = format!(
            "the certificate in {shown} has expired, at {}",
            time(own.not_after)
        );
        return notes.refuse(file.at, what, mend);
    }
    if own.not_before > now {
        let what = format!(
            "the certificate in {shown} is not yet valid: it is from {} on",
            time(own.not_before)
        );
        let mend = "wait until then, or check this machine's clock";
        return notes.refuse(file.at, what, mend);
    }
    if own.not_after - now < SOON {
        let what = format!(
            "the certificate in {shown} expires in {}, at {}",
            days(own.not_after - now),
            time(own.not_after)
        );
        notes.warn(file.at, what, mend);
    }
    Some(())
}

/// Warns of authorities that are not valid now: no certificate of theirs is accepted.
pub(super) fn check_authorities(
    file: &PemFile,
    all: &[CertificateFacts],
    now: i64,
    notes: &mut Notes,
) {
    for it in all.iter().filter(|it| is_over(it, now)) {
        let name = match it.name.as_str() {
            "" => String::new(),
            name => format!(" `{name}`"),
        };
        let what = format!(
            "the authority{name} in {} has expired, at {}",
            file.shown,
            time(it.not_after)
        );
        notes.warn(file.at, what, "remove it, or put its successor there");
    }
}

fn is_over(facts: &CertificateFacts, now: i64) -> bool {
    facts.not_after < now
}

fn days(seconds: i64) -> String {
    match seconds / DAY {
        0 => "less than a day".to_owned(),
        1 => "1 day".to_owned(),
        days => format!("{days} days"),
    }
}

/// A second as RFC 3339 writes it.
fn time(second: i64) -> String {
    let second = second.clamp(0, LAST).unsigned_abs();
    humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(second)).to_string()
}
