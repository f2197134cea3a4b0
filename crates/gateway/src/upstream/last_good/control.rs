//! The words of a `Cache-Control`, read once for a text that comes with answer after answer.

use std::cell::RefCell;
use std::time::{Duration, UNIX_EPOCH};

use http::header::{CACHE_CONTROL, DATE, EXPIRES};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use http_cache_semantics::{CacheOptions, CachePolicy};

/// The number of texts that a thread remembers.
const REMEMBERED: usize = 16;

/// The words of an answer that matter here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Control {
    /// The answer must not be stored.
    pub no_store: bool,
    /// The answer is for one user.
    pub private: bool,
    /// The answer must not be used without asking the upstream.
    pub no_cache: bool,
    /// The answer must not be served stale: `must-revalidate`, `proxy-revalidate` or `s-maxage`.
    pub forbids_stale: bool,
    /// The seconds for which it may be served stale for an error; unreadable: 0, several: the least.
    pub stale_if_error: Option<u64>,
    /// The words that a policy has to know, as a field.
    known: String,
    /// True if the words alone say for how long the answer is fresh.
    is_explicit: bool,
    /// The time of freshness by the words alone.
    lifetime: Duration,
}

/// A text and its words; `None`: a free place.
type Remembered = Option<(Box<[u8]>, Control)>;

thread_local! {
    static TEXTS: RefCell<[Remembered; REMEMBERED]> = RefCell::default();
}

impl Control {
    /// Reads the words of an answer.
    pub fn of(headers: &HeaderMap) -> Control {
        let mut values = headers.get_all(CACHE_CONTROL).iter();
        let (Some(only), None) = (values.next(), values.next()) else {
            let values = headers.get_all(CACHE_CONTROL).iter();
            return Control::read(values.flat_map(directives));
        };
        let text = only.as_bytes();
        let (first, last) = (text.first(), text.last());
        let place =
            text.len() * 7 + usize::from(*first.unwrap_or(&0)) + usize::from(*last.unwrap_or(&0));
        TEXTS.with_borrow_mut(|texts| {
            let slot = &mut texts[place % REMEMBERED];
            match slot {
                Some((known, control)) if **known == *text => control.clone(),
                _ => {
                    let control = Control::read(directives(only));
                    *slot = Some((text.into(), control.clone()));
                    control
                }
            }
        })
    }

    /// The time for which an answer is fresh from its making on. It arrived at `now`, in milliseconds since the Unix
    /// epoch.
    pub fn lifetime(&self, headers: &HeaderMap, now: u64) -> Duration {
        if self.is_explicit || !headers.contains_key(EXPIRES) {
            return self.lifetime;
        }
        lifetime(&self.known, headers, now)
    }

    fn read(directives: impl IntoIterator<Item = (String, Option<String>)>) -> Control {
        let mut control = Control::default();
        for (name, value) in directives {
            match name.as_str() {
                "no-store" => control.no_store = true,
                "private" => control.private = true,
                "no-cache" => control.no_cache = true,
                "must-revalidate" | "proxy-revalidate" => control.forbids_stale = true,
                "stale-if-error" => {
                    let seconds = value.and_then(|text| text.parse().ok()).unwrap_or(0);
                    let least = control.stale_if_error.map_or(seconds, |it| it.min(seconds));
                    control.stale_if_error = Some(least);
                }
                "max-age" | "s-maxage" | "public" | "immutable" => {
                    control.forbids_stale |= name == "s-maxage";
                    control.is_explicit |= name.ends_with("age");
                    if !control.known.is_empty() {
                        control.known.push(',');
                    }
                    control.known.push_str(&name);
                    if let Some(value) = value {
                        control.known.push('=');
                        control.known.push_str(&value);
                    }
                }
                _ => {}
            }
        }
        if !control.known.is_empty() {
            control.lifetime = lifetime(&control.known, &HeaderMap::new(), 0);
        }
        control
    }
}

/// The time for which an answer is fresh from its making on, by its words and its `Date` and `Expires`.
fn lifetime(control: &str, headers: &HeaderMap, now: u64) -> Duration {
    let mut response = Response::new(());
    // Of all statuses that are kept the time is the same.
    *response.status_mut() = StatusCode::OK;
    for name in [DATE, EXPIRES] {
        if let Some(value) = headers.get(&name) {
            response.headers_mut().insert(name, value.clone());
        }
    }
    if let Ok(control) = HeaderValue::from_str(control) {
        response.headers_mut().insert(CACHE_CONTROL, control);
    }
    let arrived = UNIX_EPOCH + Duration::from_millis(now);
    let options = CacheOptions {
        shared: true,
        cache_heuristic: 0.0,
        ..CacheOptions::default()
    };
    // The request's own words do not matter here: one with a credential or a range does not come so far.
    let policy = CachePolicy::new_options(&Request::new(()), &response, arrived, options);
    if policy.is_storable() {
        policy.time_to_live(arrived)
    } else {
        Duration::ZERO
    }
}

/// True if a field lists a word.
pub fn lists(headers: &HeaderMap, name: &HeaderName, word: &str) -> bool {
    let mut words = headers.get_all(name).iter().flat_map(directives);
    words.any(|(name, _)| name == word)
}

/// The directives of a field: names in lower case, values without their quotes. A comma within quotes does not part
/// them, unless a quote is left open, which might hide a directive.
fn directives(value: &HeaderValue) -> Vec<(String, Option<String>)> {
    let text = String::from_utf8_lossy(value.as_bytes());
    let is_balanced = text.matches('"').count().is_multiple_of(2);
    let mut is_quoted = false;
    let parts = text.split(|it| {
        is_quoted ^= it == '"' && is_balanced;
        it == ',' && !is_quoted
    });
    parts
        .filter_map(|part| {
            let (name, value) = match part.split_once('=') {
                Some((name, value)) => (name, Some(value.trim().trim_matches('"').to_owned())),
                None => (part, None),
            };
            let name = name.trim().to_ascii_lowercase();
            (!name.is_empty()).then_some((name, value))
        })
        .collect()
}
