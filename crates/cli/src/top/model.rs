//! The gateway as `top` knows it: the last snapshot, and the events and rates since.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::{Duration, SystemTime};

use serde_json::Value;

use super::news::News;
use super::row::{Hold, Phase, Rates, Row, time};

/// The most events that are kept.
const EVENTS_MAX: usize = 200;

/// The members of `GET /api/v1/state` that are shown.
#[derive(Debug, Clone, PartialEq, serde::Deserialize)]
pub struct Snapshot {
    /// The identifier of the event from which a stream continues.
    pub event_id: String,
    #[serde(default, deserialize_with = "time")]
    now: Option<SystemTime>,
    gateway: Facts,
    counts: Counts,
    breakers: Vec<Row>,
    #[serde(default)]
    more: usize,
    #[serde(default)]
    incomplete: Option<String>,
    #[serde(default)]
    events: Vec<Value>,
}

/// The facts about the gateway itself.
#[derive(Debug, Clone, Default, PartialEq, serde::Deserialize)]
#[serde(default)]
pub struct Facts {
    /// The node's name.
    pub node: String,
    /// The program's version.
    pub version: String,
    /// The start of the process.
    #[serde(deserialize_with = "time")]
    pub started_at: Option<SystemTime>,
    /// True while it finishes its requests before the end.
    pub draining: bool,
    /// True if the token may only read.
    pub read_only: bool,
    /// The store of the breakers' state.
    pub store: StoreFacts,
    /// The fleet; `None` for a gateway alone.
    pub fleet: Option<FleetFacts>,
}

/// The store of the breakers' state.
#[derive(Debug, Clone, Default, PartialEq, serde::Deserialize)]
#[serde(default)]
pub struct StoreFacts {
    /// The state: `reachable`, `away` or `none`.
    pub state: String,
}

/// The fleet, as this node knows it.
#[derive(Debug, Clone, Default, PartialEq, serde::Deserialize)]
#[serde(default)]
pub struct FleetFacts {
    /// The nodes that have been seen.
    pub nodes: Vec<Value>,
    /// The number of nodes that there should be.
    pub expected: Option<u64>,
}

/// The counts of all breakers, also of those without a row.
#[derive(Debug, Clone, Default, PartialEq, serde::Deserialize)]
#[serde(default)]
pub struct Counts {
    /// The number of all breakers.
    pub breakers: usize,
}

/// All that is known of a gateway. Times given as `at` are those of the program: the time since its start.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    /// The gateway itself.
    pub gateway: Facts,
    /// The counts of all breakers.
    pub counts: Counts,
    /// The rows, in no order.
    pub rows: Vec<Row>,
    /// The number of breakers without a row.
    pub more: usize,
    /// The reason why breakers are missing.
    pub incomplete: Option<String>,
    /// The last events, the oldest first.
    pub events: VecDeque<News>,
    /// The gateway's time at a time of the program.
    clock: (SystemTime, Duration),
    /// The times to try again that have passed, by the breaker's name; nothing announces them.
    passed: HashMap<String, SystemTime>,
}

impl Model {
    /// The model of a snapshot that came at `at`.
    pub fn new(snapshot: Snapshot, at: Duration) -> Model {
        let mut model = Model {
            gateway: Facts::default(),
            counts: Counts::default(),
            rows: Vec::new(),
            more: 0,
            incomplete: None,
            events: VecDeque::new(),
            clock: (SystemTime::UNIX_EPOCH, at),
            passed: HashMap::new(),
        };
        model.renew(snapshot, at);
        model
    }

    /// Takes a newer snapshot; rows that it does not have are gone.
    pub fn renew(&mut self, snapshot: Snapshot, at: Duration) {
        if let Some(now) = snapshot.now {
            self.clock = (now, at);
        }
        self.gateway = snapshot.gateway;
        self.counts = snapshot.counts;
        self.rows = snapshot.breakers;
        self.more = snapshot.more;
        self.incomplete = snapshot.incomplete;
        let names: HashSet<&str> = self.rows.iter().map(|row| &*row.name).collect();
        self.passed.retain(|name, _| names.contains(&**name));
        // Events that came since are newer than the snapshot's; gaps are in no snapshot.
        for event in &snapshot.events {
            self.remember(News::read(event));
        }
        self.events.make_contiguous().sort_by_key(|news| news.at);
    }

    /// The gateway's time at a time of the program.
    pub fn now(&self, at: Duration) -> SystemTime {
        let (now, then) = self.clock;
        now + at.saturating_sub(then)
    }

    /// The row of a breaker.
    pub fn row(&self, name: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.name == name)
    }

    /// Takes an event. True if only a new snapshot shows all that it changed.
    pub fn event(&mut self, event: &Value) -> bool {
        self.remember(News::read(event));
        let name = event["breaker"].as_str();
        let row = self.rows.iter_mut().find(|row| name == Some(&*row.name));
        match (event["type"].as_str(), row) {
            (Some("transition"), Some(row)) => {
                transition(row, event);
                true
            }
            (Some("hold"), Some(row)) => {
                row.hold = Phase::read(&event["hold"]).map(|kind| Hold {
                    kind,
                    until: event_time(&event["until"]),
                    reason: event["reason"].as_str().unwrap_or_default().into(),
                    by: event["by"].as_str().unwrap_or_default().into(),
                });
                true
            }
            (Some("store"), _) => {
                let state = event["state"].as_str();
                self.gateway.store.state = state.unwrap_or_default().into();
                false
            }
            (Some("webhook"), _) => false,
            _ => true,
        }
    }

    /// Takes the rates of a second. Breakers that it does not name had nothing in it.
    pub fn pulse(&mut self, pulse: &Value) {
        for row in &mut self.rows {
            let news = &pulse["breakers"][&row.name];
            let rates: Option<Rates> = serde_json::from_value(news["rates"].clone()).ok();
            let second = serde_json::from_value(news["second"].clone());
            row.pulse(rates.map(|rates| (rates, second.unwrap_or_default())));
        }
    }

    /// True once for each breaker whose time to try again has passed, which no event says.
    pub fn has_due(&mut self, at: Duration) -> bool {
        let now = self.now(at);
        let mut any = false;
        for row in &self.rows {
            let due = row.retry_at.filter(|due| *due <= now);
            let Some(due) = due.filter(|_| row.state == Phase::Open) else {
                continue;
            };
            any |= self.passed.insert(row.name.clone(), due) != Some(due);
        }
        any
    }

    fn remember(&mut self, news: News) {
        // A gap and a new start share the identifier from which the stream continues.
        let known = |it: &News| it.id.is_some() && it.id == news.id && it.text == news.text;
        if self.events.iter().any(known) {
            return;
        }
        self.events.push_back(news);
        if self.events.len() > EVENTS_MAX {
            self.events.pop_front();
        }
    }
}

fn transition(row: &mut Row, event: &Value) {
    let Some(to) = Phase::read(&event["to"]) else {
        return;
    };
    row.state = to;
    row.since = event_time(&event["at"]);
    row.retry_at = event_time(&event["retry_at"]);
    let reason = event["reason"].as_str().map(str::to_owned);
    row.why = reason.filter(|_| to != Phase::Closed);
    if to != Phase::Closed {
        row.ramp = None;
    }
}

/// The time in a member of an event.
pub fn event_time(value: &Value) -> Option<SystemTime> {
    humantime::parse_rfc3339(value.as_str()?).ok()
}
