//! The ladder: the answers to a call that was refused or failed, and the store of the last good ones.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

/// One rung of a ladder (`fallback:`).
#[derive(Debug, Clone, PartialEq)]
pub enum Rung {
    /// `last_good`: the upstream's last good answer to the same request, at most this old.
    LastGood(Duration),
    /// `upstream`: the name of another upstream of the plan, to which the request goes instead.
    Upstream(Arc<str>),
    /// `respond`: a fixed answer; the last rung of its ladder for the calls that it answers.
    Respond(RungAnswer),
}

/// The calls that a ladder answers (`fallback_on:`). By default both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FallbackOn {
    /// `refused`: those refused by a breaker, a hold or a bulkhead.
    pub refused: bool,
    /// `failed`: those that were judged a failure.
    pub failed: bool,
}

impl FallbackOn {
    /// True for a call that was refused, or that failed (`is_refused` is false).
    pub fn takes(self, is_refused: bool) -> bool {
        match is_refused {
            true => self.refused,
            false => self.failed,
        }
    }
}

impl Default for FallbackOn {
    fn default() -> FallbackOn {
        FallbackOn {
            refused: true,
            failed: true,
        }
    }
}

/// The store of an upstream's last good answers (`last_good:`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastGood {
    /// `max_body`: the longest body that is kept, in bytes. Default 1 MiB.
    pub body_max: usize,
    /// `memory`: the most bytes that are kept in memory. Default 64 MiB.
    pub memory_max: u64,
    /// `disk`: the most bytes that are kept on disk. Default 256 MiB.
    pub disk_max: u64,
    /// `key`: the fields of a request that part the answers of one URI, such as a credential's. Empty by default.
    pub key: Vec<HeaderName>,
    /// `obey`: true to obey an answer's `must-revalidate`, `proxy-revalidate`, `s-maxage` and `no-cache`. Default: true.
    pub obey: bool,
}

impl Default for LastGood {
    fn default() -> LastGood {
        LastGood {
            body_max: 1 << 20,
            memory_max: 64 << 20,
            disk_max: 256 << 20,
            key: Vec::new(),
            obey: true,
        }
    }
}

/// A fixed answer whose texts say why it is given (`respond:` of a rung).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RungAnswer {
    /// `on`: the calls that it answers; others come to the next rung. By default both.
    pub on: FallbackOn,
    /// The status, 200..=599. Default 200.
    pub status: StatusCode,
    /// The fields of the answer, including `Content-Type`.
    pub headers: Vec<(HeaderName, Words)>,
    /// The body; empty by default.
    pub body: Words,
    /// True if the body is JSON, so that facts are escaped as they are filled in.
    pub json: bool,
}

/// A text with places to fill in. It displays as it was written, and with `***` for what came from variables and files.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Words {
    words: Vec<Word>,
    /// The text in which it displays; `None`: as it is.
    shown: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Word {
    Text(String),
    Reason,
    RetryAfter,
    Breaker,
}

/// The facts that a rung's answer fills in.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// `{reason}`: the refusal's or failure's reason, such as `breaker_open`.
    pub reason: &'a str,
    /// `{retry_after}`: the whole seconds until the next try; filled in as an empty text where it is not known.
    pub retry_after: Option<u64>,
    /// `{breaker}`: the breaker's name.
    pub breaker: &'a str,
}

impl RungAnswer {
    /// The fields and the body, with the facts filled in. A field with `{retry_after}` is left out where that is not known.
    pub fn fill(&self, facts: &Facts<'_>) -> (HeaderMap, Bytes) {
        let mut headers = HeaderMap::with_capacity(self.headers.len());
        for (name, words) in &self.headers {
            if facts.retry_after.is_none() && words.words.contains(&Word::RetryAfter) {
                continue;
            }
            // Names of breakers have no control characters, so every filled text is a field's value.
            if let Ok(value) = HeaderValue::from_bytes(words.fill(facts, false).as_bytes()) {
                headers.insert(name.clone(), value);
            }
        }
        (headers, Bytes::from(self.body.fill(facts, self.json)))
    }
}

impl Words {
    /// The words in braces that are filled in.
    pub(crate) const FILLED: [&str; 3] = ["reason", "retry_after", "breaker"];

    /// Reads a text; `{reason}`, `{retry_after}` and `{breaker}` are places to fill in, all else stays.
    pub fn read(text: &str) -> Words {
        let mut words = Vec::new();
        let mut rest = text;
        let mut from = 0;
        while let Some(at) = rest[from..].find('{').map(|at| from + at) {
            let found = [Word::Reason, Word::RetryAfter, Word::Breaker]
                .into_iter()
                .find_map(|word| Some((rest[at..].strip_prefix(word.written())?, word)));
            match found {
                None => from = at + 1,
                Some((after, word)) => {
                    if at > 0 {
                        words.push(Word::Text(rest[..at].to_owned()));
                    }
                    words.push(word);
                    (rest, from) = (after, 0);
                }
            }
        }
        if !rest.is_empty() {
            words.push(Word::Text(rest.to_owned()));
        }
        Words { words, shown: None }
    }

    /// The same text, which displays in another one.
    #[must_use]
    pub fn shown_as(self, shown: Option<String>) -> Words {
        Words { shown, ..self }
    }

    /// True without any text.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    fn fill(&self, facts: &Facts<'_>, json: bool) -> String {
        let text_of = |text: &str| match json {
            true => {
                let quoted = serde_json::Value::from(text).to_string();
                quoted[1..quoted.len() - 1].to_owned()
            }
            false => text.to_owned(),
        };
        let word = |word: &Word| match word {
            Word::Text(text) => text.clone(),
            Word::Reason => text_of(facts.reason),
            Word::RetryAfter => facts
                .retry_after
                .map_or_else(String::new, |it| it.to_string()),
            Word::Breaker => text_of(facts.breaker),
        };
        self.words.iter().map(word).collect()
    }
}

impl Word {
    fn written(&self) -> &str {
        match self {
            Word::Text(text) => text,
            Word::Reason => "{reason}",
            Word::RetryAfter => "{retry_after}",
            Word::Breaker => "{breaker}",
        }
    }
}

impl std::fmt::Display for Words {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.shown {
            Some(shown) => f.write_str(shown),
            None => self
                .words
                .iter()
                .try_for_each(|word| f.write_str(word.written())),
        }
    }
}

impl std::fmt::Debug for Words {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.to_string())
    }
}
