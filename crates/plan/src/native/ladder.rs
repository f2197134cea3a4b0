//! Reads `fallback:`, the ladder of an upstream or a route, and how the last good answers are kept.

use std::time::Duration;

use http::HeaderName;

use super::draft::{Name, Reader};
use crate::diagnostic::{At, Notes, Place, nearest, quote};
use crate::fields::{self, Fields};
use crate::keys;
use crate::plan::{FallbackOn, LastGood, Rung, RungAnswer, Words};
use crate::tree::{Kind, Node};
use crate::words::show_size;

/// The rungs of a ladder, in order.
#[derive(Debug)]
pub(crate) struct DraftLadder {
    pub rungs: Vec<At<DraftRung>>,
}

#[derive(Debug)]
pub(crate) enum DraftRung {
    LastGood(Duration),
    Upstream(Name),
    Respond(RungAnswer),
}

/// The rungs that answer every refused and every failed call.
#[derive(Default)]
struct Answered {
    refused: Option<Place>,
    failed: Option<Place>,
}

impl Answered {
    fn add(&mut self, at: Place, on: FallbackOn) {
        self.refused = self.refused.or(on.refused.then_some(at));
        self.failed = self.failed.or(on.failed.then_some(at));
    }

    /// Reports a rung for calls that others before it answer, once for each of these.
    fn check(&mut self, rung: Place, on: FallbackOn, notes: &mut Notes) {
        let mut before: Vec<u32> = Vec::new();
        for (takes, answered) in [(on.refused, self.refused), (on.failed, self.failed)] {
            match answered {
                Some(at) if takes => before.push(at.line),
                None if takes => return,
                _ => {}
            }
        }
        before.sort_unstable();
        before.dedup();
        let what = match before[..] {
            [] => return,
            [line] if self.refused == self.failed => {
                format!("the `respond` in line {line} before it always answers")
            }
            [line] => format!("the `respond` in line {line} before it answers its calls"),
            [one, .., other] => {
                format!("the `respond`s in lines {one} and {other} before it answer every call")
            }
        };
        notes.error(
            rung,
            format!("this rung is never reached: {what}"),
            "put `respond` last, or remove the rungs after it",
        );
        *self = Answered::default();
    }
}

impl DraftLadder {
    /// The upstreams of the rungs.
    pub fn upstreams(&self) -> impl Iterator<Item = (&Name, Place)> {
        self.rungs.iter().filter_map(|rung| match &rung.value {
            DraftRung::Upstream(name) => Some((name, rung.at)),
            DraftRung::LastGood(_) | DraftRung::Respond(_) => None,
        })
    }

    /// True if a rung answers with the last good answer.
    pub fn has_last_good(&self) -> bool {
        let mut rungs = self.rungs.iter();
        rungs.any(|rung| matches!(rung.value, DraftRung::LastGood(_)))
    }

    /// The rungs of the plan.
    pub fn rungs(&self) -> Vec<Rung> {
        let rung = |rung: &At<DraftRung>| match &rung.value {
            DraftRung::LastGood(age) => Rung::LastGood(*age),
            DraftRung::Upstream(name) => Rung::Upstream(name.text.as_str().into()),
            DraftRung::Respond(answer) => Rung::Respond(answer.clone()),
        };
        self.rungs.iter().map(rung).collect()
    }
}

impl Reader<'_> {
    pub(super) fn ladder(&mut self, of: &Fields<'_>) -> Option<DraftLadder> {
        let (_, node) = of.get("fallback")?;
        let items = fields::items(node, "fallback", self.notes)?;
        let mut rungs: Vec<At<DraftRung>> = Vec::new();
        let mut answered = Answered::default();
        for item in items {
            let Some(rung) = Fields::open(item, &keys::RUNG, self.notes) else {
                continue;
            };
            let is_respond = rung.place("respond").is_some();
            let read = self.rung(&rung);
            let on = match read.as_ref().map(|rung| &rung.value) {
                Some(DraftRung::Respond(answer)) => answer.on,
                _ => FallbackOn::default(),
            };
            answered.check(item.at, on, self.notes);
            if is_respond {
                answered.add(item.at, on);
            }
            rungs.extend(read);
        }
        Some(DraftLadder { rungs })
    }

    fn rung(&mut self, rung: &Fields<'_>) -> Option<At<DraftRung>> {
        match rung.places()[..] {
            [_] => {}
            [] => {
                // An unknown key has been reported.
                if rung.is_empty() {
                    self.notes.error(
                        rung.at,
                        "this rung is empty",
                        "write one of `last_good: 1h`, `upstream: NAME` and `respond: { status: 503 }`",
                    );
                }
                return None;
            }
            [_, (_, second), ..] => {
                self.notes.error(
                    second,
                    "a rung has one key",
                    "make each key a rung of its own, in the order in which they are tried",
                );
                return None;
            }
        }
        if let Some(age) = rung.duration("last_good", self.notes) {
            return Some(age.map(DraftRung::LastGood));
        }
        if let Some(name) = rung.scalar("upstream", self.notes) {
            return Some(name.map(|name| DraftRung::Upstream(Name::of(name))));
        }
        let (_, node) = rung.get("respond")?;
        let answer = self.rung_answer(node)?;
        Some(At::new(DraftRung::Respond(answer), node.at))
    }

    fn rung_answer(&mut self, node: &Node) -> Option<RungAnswer> {
        let answer = self.respond(node, &keys::RUNG_ANSWER)?;
        let on = answer.on.unwrap_or_default();
        if let Kind::Map(entries) = &node.kind {
            let is_text = |key: &str| matches!(key, "headers" | "text" | "json");
            for entry in entries.iter().filter(|entry| is_text(&entry.key)) {
                check_words(&entry.value, self.notes);
            }
        }
        let words = |bytes: &[u8]| Words::read(&String::from_utf8_lossy(bytes));
        let headers = answer.headers.iter();
        Some(RungAnswer {
            on,
            status: answer.status,
            headers: headers
                .map(|(name, value)| {
                    let shown = value.is_sensitive().then(|| "***".to_owned());
                    (name.clone(), words(value.as_bytes()).shown_as(shown))
                })
                .collect(),
            body: words(&answer.body).shown_as(answer.body_shown),
            json: answer.json,
        })
    }

    pub(super) fn fallback_on(&mut self, upstream: &Fields<'_>) -> Option<At<FallbackOn>> {
        let words = upstream.words("fallback_on", self.notes)?;
        Some(words.map(|words| of_words(&words)))
    }

    pub(super) fn last_good(&mut self, upstream: &Fields<'_>) -> Option<At<LastGood>> {
        let kept = upstream.section("last_good", self.notes)?;
        let defaults = LastGood::default();
        let (body, memory, disk) = (
            kept.size("max_body", self.notes),
            kept.size("memory", self.notes),
            kept.size("disk", self.notes),
        );
        let value = |size: &Option<At<u64>>, default| size.as_ref().map_or(default, |it| it.value);
        let body_max = value(&body, defaults.body_max as u64);
        let last_good = LastGood {
            body_max: usize::try_from(body_max).unwrap_or(usize::MAX),
            memory_max: value(&memory, defaults.memory_max),
            disk_max: value(&disk, defaults.disk_max),
            key: self.last_good_key(&kept),
            obey: kept.flag("obey", self.notes).is_none_or(|it| it.value),
        };
        let stores = [
            ("memory", last_good.memory_max, &memory),
            ("disk", last_good.disk_max, &disk),
        ];
        let least = stores.into_iter().min_by_key(|(_, most, _)| *most);
        if let Some((name, most, given)) = least
            && last_good.body_max as u64 > most
        {
            let at = given.as_ref().or(body.as_ref()).map_or(kept.at, |it| it.at);
            self.notes.error(
                at,
                format!(
                    "`max_body` is {}, and `{name}` holds {} in all",
                    show_size(last_good.body_max as u64),
                    show_size(most)
                ),
                format!("lower `max_body`, or raise `{name}`"),
            );
        }
        if !last_good.obey {
            self.notes.warn(
                kept.place("obey").unwrap_or(kept.at),
                "with `obey: false` answers are served stale although their upstream forbids it (`must-revalidate`, `no-cache` and the like)",
                "remove it, unless the upstream's answers are known to be harmless when they are old",
            );
        }
        Some(At::new(last_good, kept.at))
    }

    /// The fields whose values have answers of their own: `header.NAME` each.
    fn last_good_key(&mut self, kept: &Fields<'_>) -> Vec<HeaderName> {
        let mut names = Vec::new();
        let items = kept
            .get("key")
            .and_then(|(_, node)| fields::items(node, "key", self.notes));
        for item in items.unwrap_or_default() {
            let expected = "a request's field such as `header.authorization`";
            let Some(scalar) = fields::scalar(item, "key", expected, self.notes) else {
                continue;
            };
            let name = scalar.text.strip_prefix("header.");
            match name.and_then(|name| HeaderName::from_bytes(name.as_bytes()).ok()) {
                None => {
                    let mend = match HeaderName::from_bytes(scalar.text.as_bytes()) {
                        Ok(name) if scalar.written.is_none() && !scalar.text.contains('.') => {
                            format!("write {}", quote(&format!("header.{name}")))
                        }
                        _ => "write fields such as `header.authorization`".to_owned(),
                    };
                    let expected = "a list of a request's fields";
                    fields::wrong::<()>(item, "key", expected, mend, self.notes);
                }
                Some(name) if names.contains(&name) => self.notes.error(
                    item.at,
                    format!("the field `{name}` is listed twice"),
                    "remove one of them",
                ),
                Some(name) => names.push(name),
            }
        }
        names
    }
}

/// The calls that a ladder or a rung answers, by the words for them.
pub(super) fn of_words(words: &[usize]) -> FallbackOn {
    FallbackOn {
        refused: words.contains(&0),
        failed: words.contains(&1),
    }
}

/// Reports words in braces that are filled in with nothing, in the texts below a node; JSON's own braces have none.
fn check_words(node: &Node, notes: &mut Notes) {
    match &node.kind {
        Kind::List(items) => items.iter().for_each(|item| check_words(item, notes)),
        Kind::Map(entries) => entries.iter().for_each(|it| check_words(&it.value, notes)),
        // The content of a variable or file is not shown.
        Kind::Scalar(scalar) if scalar.written.is_some() => {}
        Kind::Scalar(scalar) => {
            let inner = scalar.text.split('{').skip(1);
            for word in inner.filter_map(|rest| Some(rest.split_once('}')?.0)) {
                check_word(word, node.at, notes);
            }
        }
    }
}

fn check_word(word: &str, at: Place, notes: &mut Notes) {
    let is_word = !word.is_empty()
        && word
            .chars()
            .all(|c| c.is_ascii_alphabetic() || matches!(c, '_' | '-'));
    if !is_word || Words::FILLED.contains(&word) {
        return;
    }
    let shown = quote(&format!("{{{word}}}"));
    match nearest(word, Words::FILLED) {
        Some(near) => notes.error(
            at,
            format!("{shown} is not filled in"),
            format!("did you mean {}?", quote(&format!("{{{near}}}"))),
        ),
        None => notes.warn(
            at,
            format!("{shown} is not filled in, and clients get it as it stands"),
            "write one of `{reason}`, `{retry_after}` and `{breaker}`, or other brackets",
        ),
    }
}
