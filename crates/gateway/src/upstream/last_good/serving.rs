//! Serves a kept answer in place of the upstream's: may it be, how is it marked, and what of it goes out.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{
    AGE, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderName,
    IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED,
};
use http::{HeaderMap, HeaderValue, StatusCode};

use crate::message::fields::FUSEBOX_FALLBACK;
use crate::upstream::call_state::RungResult;
use crate::upstream::last_good::entry::Entry;
use crate::upstream::last_good::memory::Stamp;
use crate::upstream::last_good::{LastGood, Lookup};

/// The field that says how a cache answered (RFC 9211).
const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// The reason why the rung did not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Skipped {
    /// There is no answer to this request.
    None,
    /// The request has a credential that the settings' `key` does not name.
    Credential,
    /// The request asks for a range, which is neither kept nor served.
    Range,
    /// The request is not a GET or HEAD.
    Method,
    /// The request has a body, on which its answer may depend.
    Body,
    /// The answer is older than the rung, or its own `stale-if-error`, allows.
    TooOld,
    /// The answer is stale and says `must-revalidate`, `proxy-revalidate` or `s-maxage`.
    MustRevalidate,
    /// The answer says `no-cache`.
    NoCache,
    /// The disk did not answer in time.
    Unreadable,
}

impl Skipped {
    /// The result as it is counted.
    pub fn result(self) -> RungResult {
        match self {
            Skipped::None => RungResult::None,
            Skipped::Credential => RungResult::Credential,
            Skipped::Unreadable => RungResult::Failed,
            Skipped::Range
            | Skipped::Method
            | Skipped::Body
            | Skipped::TooOld
            | Skipped::MustRevalidate
            | Skipped::NoCache => RungResult::Skipped,
        }
    }

    /// The reason in a word, for a log.
    pub fn word(self) -> &'static str {
        match self {
            Skipped::None => "none",
            Skipped::Credential => "credential",
            Skipped::Range => "range",
            Skipped::Method => "method",
            Skipped::Body => "body",
            Skipped::TooOld => "too_old",
            Skipped::MustRevalidate => "must_revalidate",
            Skipped::NoCache => "no_cache",
            Skipped::Unreadable => "unreadable",
        }
    }
}

/// The request for a kept answer.
#[derive(Debug, Clone, Copy)]
pub struct Wish<'a> {
    /// The fields of the request as the upstream would see them, by which `Vary` selects.
    pub headers: &'a HeaderMap,
    /// The age limit of the rung: the longest time after the answer's arrival.
    pub age_max: Duration,
    /// The present time in milliseconds since the Unix epoch.
    pub now: u64,
    /// The reason why the upstream does not answer, such as `breaker_open`: a token for `Cache-Status`.
    pub reason: &'a str,
}

/// An answer to be served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Served {
    /// The status: the kept one, or 304.
    pub status: StatusCode,
    /// The fields, marked; without `Fusebox-Reason`, which is the caller's.
    pub headers: HeaderMap,
    /// The body; empty for HEAD, 204 and 304.
    pub body: Bytes,
}

impl LastGood {
    /// The last good answer to a request. It comes from memory at once; only for one that memory does not know the disk
    /// is read, within a quarter of a second.
    ///
    /// # Errors
    /// The reason why there is none to serve.
    pub async fn serve(&self, lookup: &Lookup, wish: &Wish<'_>) -> Result<Served, Skipped> {
        let (key, is_head) = match lookup {
            Lookup::Read(reading) => (reading.key, reading.is_head),
            Lookup::Write(_) => return Err(Skipped::Method),
            Lookup::Off(why) => return Err(*why),
        };
        let variants = match self.memory.get(&key) {
            // Empty: neither memory nor disk holds one.
            Some(family) if family.variants.is_empty() => return Err(Skipped::None),
            Some(family) => family.variants.clone(),
            None => Vec::new(),
        };
        let voided = self.disk.queue.voided(key.uri);
        let mut entry = self.selected(&variants, voided, wish);
        if entry.is_none() {
            let stamp = self.memory.stamp();
            let read = self.disk.recall(key, stamp).await;
            let read = read.map_err(|_| Skipped::Unreadable)?;
            // A removal that came while the disk was read counts for what was read before it.
            if !self.memory.is_current(key.uri, stamp) {
                return Err(Skipped::None);
            }
            for entry in &read {
                self.memory.warm(entry);
            }
            entry = self.selected(&read, Stamp::default(), wish);
        }
        let entry = entry.ok_or(Skipped::None)?;
        self.may_serve(&entry, wish)?;
        self.disk.index().touch(&entry.spot, wish.now);
        Ok(answer(&entry, is_head, wish))
    }

    /// The newest variant whose `Vary` selects it for the request, of those that were not voided.
    fn selected(
        &self,
        variants: &[Arc<Entry>],
        voided: Stamp,
        wish: &Wish<'_>,
    ) -> Option<Arc<Entry>> {
        let salt = &self.disk.salt;
        let mut variants = variants.iter().filter(|entry| entry.stamp >= voided);
        let found =
            variants.find(|entry| salt.variant(&entry.vary, wish.headers) == entry.spot.variant);
        found.cloned()
    }

    fn may_serve(&self, entry: &Entry, wish: &Wish<'_>) -> Result<(), Skipped> {
        let rules = &entry.facts.rules;
        let obey = self.settings().obey;
        if obey && rules.no_cache {
            return Err(Skipped::NoCache);
        }
        if obey && rules.forbids_stale && !rules.is_fresh(wish.now) {
            return Err(Skipped::MustRevalidate);
        }
        let limit = u64::try_from(wish.age_max.as_millis()).unwrap_or(u64::MAX);
        let is_old = wish.now > entry.facts.at.saturating_add(limit);
        let now = i64::try_from(wish.now).unwrap_or(i64::MAX);
        let is_over = rules.ends().is_some_and(|ends| now > ends) && !rules.is_fresh(wish.now);
        if is_old || is_over {
            return Err(Skipped::TooOld);
        }
        Ok(())
    }
}

/// The answer of an entry, marked as one that the upstream did not give.
fn answer(entry: &Entry, is_head: bool, wish: &Wish<'_>) -> Served {
    let mut headers = entry.fields();
    let mut status = entry.facts.status;
    let is_bodiless = status == StatusCode::NO_CONTENT;
    if status.is_success() && is_unmodified(&headers, wish.headers) {
        status = StatusCode::NOT_MODIFIED;
        for name in [CONTENT_TYPE, CONTENT_ENCODING] {
            headers.remove(name);
        }
    } else if !is_bodiless {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(entry.body_len()));
    }
    let resident = wish.now.saturating_sub(entry.facts.at) / 1_000;
    let age = resident.saturating_add(entry.facts.age.into());
    headers.insert(AGE, HeaderValue::from(age));
    // A client, or a cache before us, must not take the answer for a fresh one.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    let detail = format!("fusebox; hit; fwd=stale; detail={}", token(wish.reason));
    if let Ok(detail) = HeaderValue::try_from(detail) {
        headers.append(CACHE_STATUS, detail);
    }
    headers.insert(FUSEBOX_FALLBACK, HeaderValue::from_static("last_good"));
    let has_body = !is_head && !is_bodiless && status != StatusCode::NOT_MODIFIED;
    let body = if has_body { entry.body() } else { Bytes::new() };
    Served {
        status,
        headers,
        body,
    }
}

/// A reason as a token of a structured field: other characters become `_`.
fn token(reason: &str) -> String {
    let is_plain = |it: char| it.is_ascii_alphanumeric() || matches!(it, '_' | '-' | '.');
    let token: String = reason
        .chars()
        .map(|it| if is_plain(it) { it } else { '_' })
        .collect();
    // A token begins with a letter.
    if token.starts_with(|it: char| it.is_ascii_alphabetic()) {
        token
    } else {
        format!("r{token}")
    }
}

/// True if the client has the answer already, by its conditions (RFC 9110, section 13).
fn is_unmodified(answer: &HeaderMap, request: &HeaderMap) -> bool {
    if request.contains_key(IF_NONE_MATCH) {
        let own = answer.get(ETAG).map(|tag| opaque(tag.as_bytes()));
        let mut tags = request
            .get_all(IF_NONE_MATCH)
            .iter()
            .flat_map(|tags| entity_tags(tags.as_bytes()));
        return tags.any(|tag| tag == b"*" || Some(opaque(tag)) == own);
    }
    let date = |headers: &HeaderMap, name| {
        let text = headers.get(name)?.to_str().ok()?;
        httpdate::parse_http_date(text).ok()
    };
    let changed = date(answer, LAST_MODIFIED);
    let known = date(request, IF_MODIFIED_SINCE);
    changed
        .zip(known)
        .is_some_and(|(changed, known)| changed <= known)
}

/// An entity tag without its weakness, by which tags are compared here.
pub(super) fn opaque(tag: &[u8]) -> &[u8] {
    let tag = tag.trim_ascii();
    tag.strip_prefix(b"W/").unwrap_or(tag)
}

/// The tags of a list; a comma within quotes does not part them.
fn entity_tags(list: &[u8]) -> Vec<&[u8]> {
    let mut is_quoted = false;
    let tags = list.split(move |byte| {
        is_quoted ^= *byte == b'"';
        *byte == b',' && !is_quoted
    });
    tags.map(<[u8]>::trim_ascii)
        .filter(|tag| !tag.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(name: HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_str(value).unwrap())])
    }

    #[test]
    fn entity_tags_are_compared_weakly() {
        let answer = fields(ETAG, "W/\"a,b\"");
        for (condition, expected) in [
            ("\"a,b\"", true),
            ("\"x\", W/\"a,b\"", true),
            ("*", true),
            ("\"a\"", false),
            ("a,b", false),
        ] {
            let request = fields(IF_NONE_MATCH, condition);
            assert_eq!(is_unmodified(&answer, &request), expected, "{condition}");
        }
        let untagged = HeaderMap::new();
        assert!(!is_unmodified(&untagged, &fields(IF_NONE_MATCH, "\"a\"")));
    }

    #[test]
    fn a_date_counts_only_without_a_tag() {
        let (old, new) = (
            "Mon, 01 Jan 2001 00:00:00 GMT",
            "Tue, 02 Jan 2001 00:00:00 GMT",
        );
        let answer = fields(LAST_MODIFIED, old);
        let since = |date| fields(IF_MODIFIED_SINCE, date);
        assert!(is_unmodified(&answer, &since(old)));
        assert!(is_unmodified(&answer, &since(new)));
        assert!(!is_unmodified(&fields(LAST_MODIFIED, new), &since(old)));
        assert!(!is_unmodified(&answer, &since("yesterday")));
        let mut both = since(new);
        both.insert(IF_NONE_MATCH, HeaderValue::from_static("\"a\""));
        assert!(!is_unmodified(&answer, &both));
    }

    #[test]
    fn a_reason_becomes_a_token() {
        assert_eq!(token("breaker_open"), "breaker_open");
        assert_eq!(token("a b\"\r\n"), "a_b___");
        assert_eq!(token("503"), "r503");
    }
}
