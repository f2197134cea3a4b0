//! A kept answer, and its record in the store.
//!
//! The head is one block of bytes, as it is stored: the fields of a received head lie in the connection's buffer, and
//! would keep all of it alive.

use std::sync::{Mutex, PoisonError};

use bytes::{BufMut, Bytes, BytesMut};
use http::header::{AGE, CACHE_CONTROL, CONTENT_LENGTH, DATE, EXPIRES, PRAGMA, PROXY_AUTHENTICATE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use crate::message::field_kinds::is_fusebox_word;
use crate::message::fields;
use crate::upstream::last_good::key::{Digest, Key, Salt, Spot};
use crate::upstream::last_good::memory::Stamp;
use crate::upstream::last_good::rules::Rules;

/// The first bytes of a record: its kind and version.
const MAGIC: &[u8; 4] = b"LGA2";

/// Bytes of a record beside its texts: kind, key, facts, lengths, checksum.
const RECORD_FIXED: usize = 4 + 48 + 31 + 32 + 16;

/// The time in milliseconds within which an answer that is the same as the one before need not be kept anew.
const SAME_MILLIS: u64 = 1_000;

/// The bytes of most heads.
const HEAD_BYTES: usize = 512;

/// Bytes counted for an entry beside its texts.
const OVERHEAD: u64 = 256;

/// A kept answer.
#[derive(Debug)]
pub struct Entry {
    /// The key of the entry.
    pub spot: Spot,
    /// The facts about the answer.
    pub facts: Facts,
    /// The path as the upstream sees it, without its query.
    pub path: Box<str>,
    /// The names that the answer's `Vary` lists.
    pub vary: Box<[HeaderName]>,
    /// The number of the last removal before the answer's request, or before the reading of its record.
    pub stamp: Stamp,
    /// The fields: a block of names and values, see [`Entry::fields`].
    head: Bytes,
    body: Mutex<Pieces>,
    body_len: usize,
}

/// The facts about an answer that fit into numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// The status of the answer.
    pub status: StatusCode,
    /// The arrival of the answer, in milliseconds since the Unix epoch.
    pub at: u64,
    /// The age in seconds that it had at its arrival.
    pub age: u32,
    /// The conditions under which it may be served.
    pub rules: Rules,
}

/// A body as it came, or in one piece.
#[derive(Debug)]
pub enum Pieces {
    /// Parts in the order of their coming.
    Many(Vec<Bytes>),
    /// The whole body.
    One(Bytes),
}

impl Entry {
    /// An entry of an answer's head and body. `head` is a block made by [`pack`].
    pub fn new(
        spot: Spot,
        facts: Facts,
        path: Box<str>,
        vary: Vec<HeaderName>,
        head: Vec<u8>,
        body: Pieces,
        stamp: Stamp,
    ) -> Entry {
        let body_len = match &body {
            Pieces::Many(parts) => parts.iter().map(Bytes::len).sum(),
            Pieces::One(body) => body.len(),
        };
        Entry {
            spot,
            facts,
            path,
            vary: vary.into(),
            stamp,
            head: head.into_boxed_slice().into(),
            body: Mutex::new(body),
            body_len,
        }
    }

    /// The length of the body in bytes.
    pub fn body_len(&self) -> usize {
        self.body_len
    }

    /// The body in one piece, which it stays from then on.
    pub fn body(&self) -> Bytes {
        let mut body = self.body.lock().unwrap_or_else(PoisonError::into_inner);
        let whole = match &*body {
            Pieces::One(whole) => return whole.clone(),
            Pieces::Many(parts) => {
                let mut whole = BytesMut::with_capacity(self.body_len);
                for part in parts {
                    whole.put_slice(part);
                }
                whole.freeze()
            }
        };
        *body = Pieces::One(whole.clone());
        whole
    }

    /// True if an answer of that head and body, which came a moment later, is the same but for the time.
    pub fn is_same(&self, facts: &Facts, head: &[u8], parts: &[Bytes], len: usize) -> bool {
        let own = &self.facts;
        let moment = facts.at.checked_sub(own.at).filter(|it| *it < SAME_MILLIS);
        let is_rules = moment.is_some_and(|moment| {
            let moment = i64::try_from(moment).unwrap_or(i64::MAX);
            let rules = Rules {
                fresh_until: own.rules.fresh_until.saturating_add(moment),
                ..own.rules
            };
            facts.rules == rules
        });
        if !is_rules || (facts.status, facts.age) != (own.status, own.age) {
            return false;
        }
        if head != self.head || len != self.body_len {
            return false;
        }
        let body = self.body.lock().unwrap_or_else(PoisonError::into_inner);
        let Pieces::One(body) = &*body else {
            return false;
        };
        let mut rest = &body[..];
        parts.iter().all(|part| {
            let (begin, end) = rest.split_at(part.len().min(rest.len()));
            rest = end;
            begin == part
        })
    }

    /// The bytes counted for the entry.
    pub fn weight(&self) -> u64 {
        (self.head.len() + self.body_len + self.path.len()) as u64 + OVERHEAD
    }

    /// The fields of the answer.
    pub fn fields(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in unpack(&self.head) {
            let name = HeaderName::from_bytes(name);
            if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(value)) {
                headers.append(name, value);
            }
        }
        headers
    }

    /// The digest of all that is served of the entry but its times.
    pub fn content(&self, salt: &Salt) -> Digest {
        let rules = &self.facts.rules;
        let status = self.facts.status.as_u16().to_le_bytes();
        let stale = rules.stale_if_error.unwrap_or(u64::MAX).to_le_bytes();
        let flags = [flags(rules)];
        let body = self.body();
        let fields = unpack(&self.head).filter(|(name, _)| *name != DATE.as_str().as_bytes());
        let mut parts = vec![&status[..], &stale, &flags, &body];
        for (name, value) in fields {
            parts.extend([name, value]);
        }
        salt.content(parts)
    }

    /// The length of the entry's record in bytes.
    pub fn record_len(&self) -> usize {
        let vary = self.vary.iter().map(|name| name.as_str().len() + 1);
        let texts = self.path.len() + vary.sum::<usize>().saturating_sub(1);
        RECORD_FIXED + texts + self.head.len() + self.body_len
    }

    /// The record of the entry.
    pub fn to_record(&self, salt: &Salt) -> Bytes {
        let Facts {
            status,
            at,
            age,
            rules,
        } = self.facts;
        let body = self.body();
        let mut record = BytesMut::with_capacity(self.record_len());
        record.put_slice(MAGIC);
        for part in [self.spot.key.uri, self.spot.key.private, self.spot.variant] {
            record.put_slice(&part);
        }
        record.put_u16_le(status.as_u16());
        record.put_u64_le(at);
        record.put_u32_le(age);
        record.put_i64_le(rules.fresh_until);
        record.put_u64_le(rules.stale_if_error.unwrap_or(u64::MAX));
        record.put_u8(flags(&rules));
        let vary: Vec<_> = self.vary.iter().map(HeaderName::as_str).collect();
        for part in [
            self.path.as_bytes(),
            vary.join(",").as_bytes(),
            &self.head,
            &body,
        ] {
            record.put_u64_le(part.len() as u64);
            record.put_slice(part);
        }
        let checksum = salt.content([&record[..]]);
        record.put_slice(&checksum);
        record.freeze()
    }

    /// The entry of a record; `None`: the record is damaged, of another version, or of another store.
    pub fn from_record(record: &Bytes, salt: &Salt, stamp: Stamp) -> Option<Entry> {
        let (content, checksum) = record.split_at_checked(record.len().checked_sub(16)?)?;
        if salt.content([content]) != checksum {
            return None;
        }
        let mut rest = Reader(content);
        if rest.array()? != *MAGIC {
            return None;
        }
        let spot = Spot {
            key: Key {
                uri: rest.array()?,
                private: rest.array()?,
            },
            variant: rest.array()?,
        };
        let status = StatusCode::from_u16(u16::from_le_bytes(rest.array()?)).ok()?;
        let at = u64::from_le_bytes(rest.array()?);
        let age = u32::from_le_bytes(rest.array()?);
        let fresh_until = i64::from_le_bytes(rest.array()?);
        let stale_if_error = u64::from_le_bytes(rest.array()?);
        let [flags] = rest.array()?;
        let path = std::str::from_utf8(rest.part()?).ok()?;
        let vary = std::str::from_utf8(rest.part()?).ok()?;
        let vary = vary.split(',').filter(|name| !name.is_empty());
        let vary: Result<Vec<HeaderName>, _> = vary.map(str::parse).collect();
        let head = rest.part()?.to_vec();
        let body = record.slice_ref(rest.part()?);
        let facts = Facts {
            status,
            at,
            age,
            rules: Rules {
                fresh_until,
                stale_if_error: (stale_if_error != u64::MAX).then_some(stale_if_error),
                forbids_stale: flags & 1 != 0,
                no_cache: flags & 2 != 0,
            },
        };
        let body = Pieces::One(body);
        Some(Entry::new(
            spot,
            facts,
            path.into(),
            vary.ok()?,
            head,
            body,
            stamp,
        ))
    }
}

fn flags(rules: &Rules) -> u8 {
    u8::from(rules.forbids_stale) | u8::from(rules.no_cache) << 1
}

/// The fields of an answer as a block: those that describe it, without those of its connection, its framing, and the
/// freshness that it no longer has when it is served.
pub fn pack<'a>(headers: impl Iterator<Item = (&'a HeaderName, &'a HeaderValue)>) -> Vec<u8> {
    let mut head = Vec::with_capacity(HEAD_BYTES);
    for (name, value) in headers.filter(|(name, _)| is_kept(name)) {
        for part in [name.as_str().as_bytes(), value.as_bytes()] {
            // The fields of a head are far below 4 GiB.
            head.put_u32_le(u32::try_from(part.len()).unwrap_or(0));
            head.put_slice(part);
        }
    }
    head
}

fn is_kept(name: &HeaderName) -> bool {
    const GONE: [HeaderName; 6] = [
        AGE,
        CACHE_CONTROL,
        EXPIRES,
        PRAGMA,
        CONTENT_LENGTH,
        PROXY_AUTHENTICATE,
    ];
    let text = name.as_str();
    !GONE.contains(name)
        && !matches!(text, "cdn-cache-control" | "surrogate-control")
        && !fields::is_framing(text)
        && !is_fusebox_word(text)
}

fn unpack(head: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let mut rest = Reader(head);
    std::iter::from_fn(move || {
        let mut part = || {
            let len = u32::from_le_bytes(rest.array()?);
            rest.take(len as usize)
        };
        Some((part()?, part()?))
    })
}

/// Bytes that are read from the front.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (part, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(part)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn part(&mut self) -> Option<&'a [u8]> {
        let len = u64::from_le_bytes(self.array()?);
        self.take(usize::try_from(len).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(body: Pieces) -> Entry {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("content-type", "application/json"),
            ("date", "Mon, 01 Jan 2001 00:00:00 GMT"),
            ("link", "a"),
            ("link", "b"),
            ("cache-control", "max-age=60"),
            ("content-length", "6"),
            ("connection", "close"),
        ] {
            let name = HeaderName::from_static(name);
            headers.append(name, HeaderValue::from_static(value));
        }
        let spot = Spot {
            key: Key {
                uri: [1; 16],
                private: [2; 16],
            },
            variant: [3; 16],
        };
        let facts = Facts {
            status: StatusCode::NOT_FOUND,
            at: 5_000,
            age: 7,
            rules: Rules {
                fresh_until: -3,
                stale_if_error: Some(9),
                forbids_stale: true,
                no_cache: false,
            },
        };
        let vary = vec![
            HeaderName::from_static("accept"),
            HeaderName::from_static("origin"),
        ];
        Entry::new(
            spot,
            facts,
            "/a".into(),
            vary,
            pack(headers.iter()),
            body,
            Stamp::default(),
        )
    }

    fn read(record: &Bytes, salt: &Salt) -> Option<Entry> {
        Entry::from_record(record, salt, Stamp::default())
    }

    fn parts() -> Pieces {
        Pieces::Many(vec![Bytes::from_static(b"abc"), Bytes::from_static(b"def")])
    }

    #[test]
    fn a_record_round_trips() {
        let salt = Salt::volatile();
        let entry = entry(parts());
        let record = entry.to_record(&salt);
        assert_eq!(record.len(), entry.record_len());
        let read = read(&record, &salt).unwrap();
        assert_eq!((read.spot, read.facts), (entry.spot, entry.facts));
        assert_eq!((&read.path, &read.vary), (&entry.path, &entry.vary));
        assert_eq!(read.body(), "abcdef");
        assert_eq!(read.fields(), entry.fields());
        assert_eq!(read.content(&salt), entry.content(&salt));
        let fields = read.fields();
        let names: Vec<_> = fields.keys().map(HeaderName::as_str).collect();
        assert_eq!(names, ["content-type", "date", "link"]);
        assert_eq!(fields.get_all("link").iter().count(), 2);
    }

    #[test]
    fn a_torn_flipped_or_strange_record_is_not_read() {
        let salt = Salt::volatile();
        let record = entry(parts()).to_record(&salt);
        for len in [0, 15, 16, 40, record.len() / 2, record.len() - 1] {
            assert!(read(&record.slice(..len), &salt).is_none());
        }
        for at in 0..record.len() {
            let mut flipped = record.to_vec();
            flipped[at] ^= 1;
            assert!(read(&flipped.into(), &salt).is_none(), "{at}");
        }
        assert!(read(&record, &Salt::volatile()).is_none());
    }

    #[test]
    fn the_content_is_that_of_another_time_but_not_of_another_body() {
        let salt = Salt::volatile();
        let one = entry(parts());
        let mut later = entry(Pieces::One(Bytes::from_static(b"abcdef")));
        later.facts.at += 1;
        later.facts.rules.fresh_until += 1;
        assert_eq!(one.content(&salt), later.content(&salt));
        let other = entry(Pieces::One(Bytes::from_static(b"abcdeg")));
        assert_ne!(one.content(&salt), other.content(&salt));
    }
}
