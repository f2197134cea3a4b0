//! Renews a kept answer by a 304 to a client's own revalidation (RFC 9111, section 4.3.4).
//!
//! The client has asked whether its copy is still good, and the upstream has said so of the answer with that validator.
//! Where the kept answer has the same one, it is as good as new: its age begins again, and the fields of the 304 take
//! the place of its own. A 304 never removes an entry.

use std::sync::Arc;

use http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_RANGE, CONTENT_TYPE, ETAG, EXPIRES};
use http::header::{LAST_MODIFIED, PRAGMA, VARY};
use http::{HeaderMap, HeaderName};

use crate::upstream::last_good::entry::{Entry, Facts, Pieces, pack};
use crate::upstream::last_good::memory::Stamp;
use crate::upstream::last_good::rules::{self, Rules};
use crate::upstream::last_good::serving::opaque;
use crate::upstream::last_good::{LastGood, Reading, passed_on};

/// The fields that describe the body that is kept, whatever a 304 says.
const OF_BODY: [HeaderName; 4] = [CONTENT_ENCODING, CONTENT_RANGE, CONTENT_TYPE, VARY];

impl LastGood {
    /// Renews the kept answer to a request that the upstream has answered with a 304 of those `headers`; `sent` are the
    /// request's as the upstream got them. One that is on disk alone is read beside the request.
    pub(super) fn freshen(
        self: &Arc<LastGood>,
        reading: &Reading,
        headers: &HeaderMap,
        sent: &HeaderMap,
        now: u64,
    ) {
        if rules::forbids_store(sent) {
            return;
        }
        if let Some(family) = self.memory.get(&reading.key) {
            return self.freshen_among(&family.variants, reading, headers, sent, now);
        }
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        if !self.disk.may_have(reading.key) {
            return;
        }
        let (last_good, reading) = (self.clone(), reading.clone());
        let (headers, sent) = (headers.clone(), sent.clone());
        runtime.spawn(async move {
            let stamp = last_good.memory.stamp();
            if let Ok(read) = last_good.disk.recall(reading.key, stamp).await {
                last_good.freshen_among(&read, &reading, &headers, &sent, now);
            }
        });
    }

    fn freshen_among(
        &self,
        variants: &[Arc<Entry>],
        reading: &Reading,
        headers: &HeaderMap,
        sent: &HeaderMap,
        now: u64,
    ) {
        let salt = &self.disk.salt;
        let voided = self.disk.queue.voided(reading.key.uri);
        let mut variants = variants.iter().filter(|entry| entry.stamp >= voided);
        let found = variants.find(|entry| {
            salt.variant(&entry.vary, sent) == entry.spot.variant && is_of(&entry.fields(), headers)
        });
        if let Some(entry) = found
            && let Some(rules) = self.renewed(entry, headers, reading.is_private, now)
        {
            let stamp = reading.stamp;
            self.keep(Arc::new(renewed(entry, headers, rules, now, stamp)));
        }
    }

    /// The rules of a renewed answer; `None`: the 304 says that it may not be kept.
    fn renewed(
        &self,
        entry: &Entry,
        headers: &HeaderMap,
        is_private: bool,
        now: u64,
    ) -> Option<Rules> {
        let Facts { at, age, rules, .. } = entry.facts;
        let says = [CACHE_CONTROL, EXPIRES, PRAGMA].iter();
        let obey = self.settings().obey;
        let own = rules::examine(entry.facts.status, headers, is_private, obey, now).ok()?;
        if says.into_iter().any(|name| headers.contains_key(name)) {
            return Some(own);
        }
        // It says nothing new, so the lifetime of before begins again.
        let millis = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let lifetime = rules.fresh_until - millis(at) + millis(u64::from(age) * 1_000);
        Some(Rules {
            fresh_until: own.fresh_until.saturating_add(lifetime),
            ..rules
        })
    }
}

/// True if a 304 speaks of the answer with those fields: by its tag, else by its date, else if neither has one.
fn is_of(kept: &HeaderMap, headers: &HeaderMap) -> bool {
    match (headers.get(ETAG), kept.get(ETAG)) {
        (Some(new), Some(old)) => {
            let is_weak = new.as_bytes().starts_with(b"W/");
            new == old || (is_weak && opaque(new.as_bytes()) == opaque(old.as_bytes()))
        }
        (Some(_), None) => false,
        (None, tag) => match (headers.get(LAST_MODIFIED), kept.get(LAST_MODIFIED)) {
            (Some(new), Some(old)) => new == old,
            (None, None) => tag.is_none(),
            _ => false,
        },
    }
}

/// The same answer with the fields of a 304, and as new as that.
fn renewed(entry: &Entry, headers: &HeaderMap, rules: Rules, now: u64, stamp: Stamp) -> Entry {
    let mut fields = entry.fields();
    let new = passed_on(headers);
    for name in new.keys().filter(|name| !OF_BODY.contains(name)) {
        fields.remove(name);
        for value in new.get_all(name) {
            fields.append(name, value.clone());
        }
    }
    let age = u32::try_from(rules::age(headers).as_secs()).unwrap_or(u32::MAX);
    let facts = Facts {
        status: entry.facts.status,
        at: now,
        age,
        rules,
    };
    Entry::new(
        entry.spot,
        facts,
        entry.path.clone(),
        entry.vary.to_vec(),
        pack(fields.iter()),
        Pieces::One(entry.body()),
        stamp,
    )
}
