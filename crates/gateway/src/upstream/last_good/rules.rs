//! May an answer be kept, and when may it be served: RFC 9111 for a shared cache, RFC 5861 for an error.
//!
//! The time of freshness is that of `http-cache-semantics`. It does not know `stale-if-error`, counts `proxy-revalidate`
//! as never fresh, and knows nothing of an entry that is private to a credential: those are read in `control`.

use std::time::Duration;

use http::header::{AGE, CACHE_CONTROL, EXPIRES, PRAGMA, SET_COOKIE, VARY};
use http::{HeaderMap, HeaderName, StatusCode};

use crate::upstream::last_good::control::{Control, lists};

/// The most fields that an answer's `Vary` may name.
const VARY_MAX: usize = 16;

/// The conditions under which a kept answer may be served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// The end of its freshness, in milliseconds since the Unix epoch; before its arrival for one that came stale.
    pub fresh_until: i64,
    /// The longest time in seconds that it may be served for after `fresh_until`; `None`: it says nothing.
    pub stale_if_error: Option<u64>,
    /// True if it must not be served stale: `must-revalidate`, `proxy-revalidate` or `s-maxage`.
    pub forbids_stale: bool,
    /// True if it must not be served without asking the upstream: `no-cache`.
    pub no_cache: bool,
}

/// The reason why an answer may not be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unstorable {
    /// The answer says `no-store`.
    NoStore,
    /// The answer is for one user, and the settings' `key` names no field of the request.
    Private,
    /// The answer says `no-cache`, so it would never be served.
    NoCache,
    /// The answer sets a cookie.
    SetCookie,
    /// The answer depends on more than a cache can know: `Vary: *`, or an unreadable `Vary`.
    Vary,
    /// The answer is of a kind that a shared cache may not store.
    Forbidden,
}

impl Unstorable {
    /// The reason in a word, for a log.
    pub fn word(self) -> &'static str {
        match self {
            Unstorable::NoStore => "no-store",
            Unstorable::Private => "private",
            Unstorable::NoCache => "no-cache",
            Unstorable::SetCookie => "set-cookie",
            Unstorable::Vary => "vary",
            Unstorable::Forbidden => "forbidden",
        }
    }
}

/// True for the statuses of answers that are kept.
pub fn is_kept(status: StatusCode) -> bool {
    matches!(
        status.as_u16(),
        200 | 203 | 204 | 300 | 301 | 308 | 404 | 410
    )
}

/// The rules of an answer that arrived at `now`, in milliseconds since the Unix epoch.
///
/// # Errors
/// The reason why it may not be kept.
pub fn examine(
    status: StatusCode,
    headers: &HeaderMap,
    is_private: bool,
    obey: bool,
    now: u64,
) -> Result<Rules, Unstorable> {
    let arrived = i64::try_from(now).unwrap_or(i64::MAX);
    let mut rules = Rules {
        fresh_until: arrived,
        stale_if_error: None,
        forbids_stale: false,
        no_cache: false,
    };
    if !speaks(headers) {
        return match is_kept(status) {
            true => Ok(rules),
            false => Err(Unstorable::Forbidden),
        };
    }
    if headers.contains_key(SET_COOKIE) {
        return Err(Unstorable::SetCookie);
    }
    let has_control = headers.contains_key(CACHE_CONTROL);
    let has_pragma = !has_control && headers.contains_key(PRAGMA);
    if !is_kept(status) {
        return Err(Unstorable::Forbidden);
    }
    if !has_control && !has_pragma && !headers.contains_key(EXPIRES) {
        // All statuses that are kept may be stored by default, and are stale from the beginning.
        rules.fresh_until -= millis(age(headers));
        return Ok(rules);
    }
    let control = Control::of(headers);
    if control.no_store {
        return Err(Unstorable::NoStore);
    }
    if control.private && !is_private {
        return Err(Unstorable::Private);
    }
    rules.no_cache = control.no_cache || (has_pragma && lists(headers, &PRAGMA, "no-cache"));
    if rules.no_cache && obey {
        return Err(Unstorable::NoCache);
    }
    rules.forbids_stale = control.forbids_stale;
    rules.stale_if_error = control.stale_if_error;
    let lifetime = millis(control.lifetime(headers, now));
    rules.fresh_until = arrived.saturating_add(lifetime) - millis(age(headers));
    Ok(rules)
}

/// True if an answer has one of the fields that decide about its keeping. Most have none, and one look over the names
/// costs less than a look for each.
fn speaks(headers: &HeaderMap) -> bool {
    const WORDS: [HeaderName; 5] = [SET_COOKIE, CACHE_CONTROL, PRAGMA, EXPIRES, AGE];
    headers.keys().any(|name| WORDS.contains(name))
}

/// True if a request asks that its answer be not kept.
pub fn forbids_store(request: &HeaderMap) -> bool {
    lists(request, &CACHE_CONTROL, "no-store")
}

/// The names that an answer's `Vary` lists, sorted, each once.
///
/// # Errors
/// If it lists `*`, too many names, or something that is not a name.
pub fn vary(headers: &HeaderMap) -> Result<Vec<HeaderName>, Unstorable> {
    let mut names = Vec::new();
    for value in headers.get_all(VARY) {
        for name in value.as_bytes().split(|byte| *byte == b',') {
            let name = name.trim_ascii();
            if name.is_empty() {
                continue;
            }
            // A star is a valid name by its characters.
            let name = HeaderName::from_bytes(name).ok().filter(|name| name != "*");
            names.push(name.ok_or(Unstorable::Vary)?);
        }
    }
    names.sort_unstable_by(|a, b| a.as_str().cmp(b.as_str()));
    names.dedup();
    if names.len() > VARY_MAX {
        return Err(Unstorable::Vary);
    }
    Ok(names)
}

/// The age that an answer had at its arrival.
pub fn age(headers: &HeaderMap) -> Duration {
    let age = headers.get(AGE).and_then(|age| age.to_str().ok());
    let age = age.and_then(|age| age.trim().parse::<u32>().ok());
    Duration::from_secs(age.unwrap_or(0).into())
}

impl Rules {
    /// The last moment at which the answer's `stale-if-error` lets it be served; `None`: it says nothing.
    pub fn ends(&self) -> Option<i64> {
        let seconds = i64::try_from(self.stale_if_error?).unwrap_or(i64::MAX);
        Some(
            self.fresh_until
                .saturating_add(seconds.saturating_mul(1_000)),
        )
    }

    /// True while the answer is fresh.
    pub fn is_fresh(&self, now: u64) -> bool {
        i64::try_from(now).unwrap_or(i64::MAX) < self.fresh_until
    }
}

fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use std::time::UNIX_EPOCH;

    const NOW: u64 = 1_700_000_000_000;

    fn fields(fields: &[(&'static str, &str)]) -> HeaderMap {
        let pairs = fields.iter().map(|(name, value)| {
            (
                HeaderName::from_static(name),
                HeaderValue::from_str(value).unwrap(),
            )
        });
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(name, value);
        }
        headers
    }

    fn control(value: &str, is_private: bool, obey: bool) -> Result<Rules, Unstorable> {
        let headers = fields(&[("cache-control", value)]);
        examine(StatusCode::OK, &headers, is_private, obey, NOW)
    }

    /// The time of freshness left at the arrival, in milliseconds.
    fn fresh(headers: &[(&'static str, &str)]) -> i64 {
        let rules = examine(StatusCode::OK, &fields(headers), false, true, NOW).unwrap();
        rules.fresh_until - NOW as i64
    }

    #[test]
    fn words_that_forbid_to_keep_an_answer_do() {
        let rows = [
            ("no-store", Err(Unstorable::NoStore)),
            ("max-age=60, No-Store", Err(Unstorable::NoStore)),
            ("private", Err(Unstorable::Private)),
            ("private=\"a, b\", max-age=60", Err(Unstorable::Private)),
            ("no-cache", Err(Unstorable::NoCache)),
            ("x=\"open, no-store", Err(Unstorable::NoStore)),
            ("max-age=60", Ok(())),
            ("x=\"a, no-store\"", Ok(())),
        ];
        for (value, expected) in rows {
            assert_eq!(control(value, false, true).map(|_| ()), expected, "{value}");
        }
        let examine = |headers| examine(StatusCode::OK, &fields(headers), false, true, NOW);
        let cookie = [("set-cookie", "a=b"), ("cache-control", "public")];
        assert_eq!(examine(&cookie), Err(Unstorable::SetCookie));
        assert_eq!(examine(&[("pragma", "no-cache")]), Err(Unstorable::NoCache));
    }

    #[test]
    fn only_some_statuses_are_kept() {
        let kept = (100..=599).filter(|status| is_kept(StatusCode::from_u16(*status).unwrap()));
        assert_eq!(
            kept.collect::<Vec<_>>(),
            [200, 203, 204, 300, 301, 308, 404, 410]
        );
    }

    #[test]
    fn a_private_answer_is_kept_for_its_credential() {
        assert!(control("private, max-age=60", true, true).is_ok());
        assert_eq!(
            control("private, no-store", true, true),
            Err(Unstorable::NoStore)
        );
    }

    #[test]
    fn no_cache_is_kept_if_it_need_not_be_obeyed() {
        assert!(control("no-cache", false, false).unwrap().no_cache);
        assert_eq!(control("no-store", false, false), Err(Unstorable::NoStore));
    }

    #[test]
    fn freshness_counts_from_the_making_of_the_answer() {
        assert_eq!(fresh(&[]), 0);
        assert_eq!(fresh(&[("age", "5")]), -5_000);
        assert_eq!(fresh(&[("cache-control", "max-age=60")]), 60_000);
        assert_eq!(
            fresh(&[("cache-control", "max-age=60"), ("age", "70")]),
            -10_000
        );
        assert_eq!(
            fresh(&[("cache-control", "max-age=60, proxy-revalidate")]),
            60_000
        );
        assert_eq!(
            fresh(&[("cache-control", "max-age=60, s-maxage=30")]),
            30_000
        );
        let date = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_millis(NOW));
        let expires = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_millis(NOW + 90_000));
        assert_eq!(fresh(&[("date", &date), ("expires", &expires)]), 90_000);
        assert_eq!(fresh(&[("expires", "0")]), 0);
        // Nothing is guessed from the last change.
        assert_eq!(
            fresh(&[
                ("last-modified", "Mon, 01 Jan 2001 00:00:00 GMT"),
                ("expires", "0")
            ]),
            0
        );
    }

    #[test]
    fn stale_answers_are_forbidden_by_three_words() {
        for word in ["must-revalidate", "proxy-revalidate", "s-maxage=1"] {
            assert!(control(word, false, true).unwrap().forbids_stale, "{word}");
        }
        assert!(!control("max-age=1", false, true).unwrap().forbids_stale);
    }

    #[test]
    fn stale_if_error_counts_from_the_end_of_freshness() {
        let rules = control("max-age=60, stale-if-error=30", false, true).unwrap();
        assert_eq!(rules.ends(), Some(NOW as i64 + 90_000));
        let shortest = control("stale-if-error=30, stale-if-error=10", false, true).unwrap();
        assert_eq!(shortest.stale_if_error, Some(10));
        let unreadable = control("stale-if-error=soon", false, true).unwrap();
        assert_eq!(unreadable.stale_if_error, Some(0));
        assert_eq!(control("max-age=1", false, true).unwrap().ends(), None);
    }

    #[test]
    fn vary_is_sorted_and_a_star_refused() {
        let names = |values: &[&str]| {
            let values: Vec<_> = values.iter().map(|value| ("vary", *value)).collect();
            vary(&fields(&values))
        };
        assert_eq!(
            names(&["Origin, accept-encoding", "origin"]).unwrap(),
            ["accept-encoding", "origin"]
        );
        assert!(names(&[]).unwrap().is_empty());
        for star in [&["*"][..], &["accept", "origin, *"], &["a b"]] {
            assert_eq!(names(star), Err(Unstorable::Vary));
        }
    }
}
