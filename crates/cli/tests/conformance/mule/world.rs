//! The world of a case: its upstreams behave as written, its log is kept, its time is tokio's.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fusebox_mule::Random;
use fusebox_mule::app::LogLevel;
use fusebox_mule::jiff::fmt::temporal::DateTimeParser;
use fusebox_mule::jiff::{Timestamp, tz::TimeZone};
use fusebox_mule::run::{Answer, Call, Line, Parcel, Pending, PublishFault, SendFault, World};
use fusebox_store::{Clock, WallTime};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde_json::Value as Json;
use tokio::time::Instant;

/// The wall clock at 0.
const START_MS: u64 = 1_767_225_600_000;

/// A call that an upstream was sent.
#[derive(Debug, Clone)]
pub struct Seen {
    /// When, on the case's clock.
    pub at_ms: u64,
    /// The name of the configuration.
    pub config: String,
    /// Path and query.
    pub target: String,
    /// The body.
    pub body: String,
}

/// Messages that wait in a queue for whoever takes them.
pub type Taker = tokio::sync::mpsc::UnboundedSender<Parcel>;

/// The world of a case. Make it within the runtime that runs the case: its time begins then.
pub struct CaseWorld {
    start: Instant,
    zone: TimeZone,
    random: Random,
    upstreams: Mutex<HashMap<String, VecDeque<Json>>>,
    seen: Mutex<Vec<Seen>>,
    log: Mutex<Vec<(LogLevel, String)>>,
    takers: Mutex<HashMap<Arc<str>, Taker>>,
    /// The messages of queues that no flow listens to.
    left: Mutex<HashMap<Arc<str>, VecDeque<Parcel>>>,
    arrived: tokio::sync::Notify,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl CaseWorld {
    /// A world with upstreams as a case's `bindings` say, in its `zone`, a name or an offset, else in UTC.
    ///
    /// # Errors
    /// What of them is not known.
    pub fn new(case: &Json) -> Result<CaseWorld, String> {
        let named = ["zone", "timezone", "timeZone", "tz"].map(|key| case[key].as_str());
        let zone = match named.into_iter().flatten().next() {
            Some(name) => {
                (DateTimeParser::new().parse_time_zone(name)).map_err(|error| error.to_string())?
            }
            None => TimeZone::UTC,
        };
        let mut upstreams = HashMap::new();
        for (name, binding) in case["bindings"].as_object().into_iter().flatten() {
            let behaviour = binding["behaviour"].as_array().cloned().unwrap_or_default();
            for one in &behaviour {
                known(one)?;
            }
            upstreams.insert(name.clone(), behaviour.into());
        }
        Ok(CaseWorld {
            start: Instant::now(),
            zone,
            random: Random::seeded(1),
            upstreams: Mutex::new(upstreams),
            seen: Mutex::default(),
            log: Mutex::default(),
            takers: Mutex::default(),
            left: Mutex::default(),
            arrived: tokio::sync::Notify::new(),
        })
    }

    /// How long it has existed, in milliseconds.
    pub fn now_ms(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Waits for a moment, and then for all that happens at it.
    pub async fn wait_until(&self, at_ms: u64) {
        tokio::time::sleep_until(self.start + Duration::from_millis(at_ms)).await;
        self.settle().await;
    }

    /// Waits for all that happens now. Time stands still as long as something can be done.
    pub async fn settle(&self) {
        for _ in 0..1000 {
            tokio::task::yield_now().await;
        }
    }

    /// The calls so far.
    pub fn seen(&self) -> Vec<Seen> {
        lock(&self.seen).clone()
    }

    /// Whether a line like that is in the log.
    pub fn has_logged(&self, level: &str, part: &str) -> bool {
        lock(&self.log)
            .iter()
            .any(|(at, text)| format!("{at:?}").eq_ignore_ascii_case(level) && text.contains(part))
    }

    /// All that was logged.
    pub fn logged(&self) -> String {
        let log = lock(&self.log);
        let lines = log.iter().map(|(level, text)| format!("{level:?} {text}"));
        lines.collect::<Vec<_>>().join("; ")
    }

    /// Who takes what is left in a queue.
    pub fn take(&self, queue: &Arc<str>, taker: Taker) {
        lock(&self.takers).insert(queue.clone(), taker);
    }

    /// What an upstream does next; the last thing it does again and again.
    fn next(&self, config: &str) -> Option<Json> {
        let mut upstreams = lock(&self.upstreams);
        let behaviour = upstreams.get_mut(config)?;
        match behaviour.len() {
            0 | 1 => behaviour.front().cloned(),
            _ => behaviour.pop_front(),
        }
    }

    async fn answered(&self, behaviour: Json, timeout: Duration) -> Result<Answer, SendFault> {
        let delay = match behaviour.as_str() {
            Some("refused") => {
                return Err(SendFault::Connectivity("Connection refused".to_owned()));
            }
            Some("closed") => {
                return Err(SendFault::Connectivity("Remotely closed".to_owned()));
            }
            Some(_) => timeout,
            None => Duration::from_millis(behaviour["delay"].as_u64().unwrap_or(0)),
        };
        if delay >= timeout {
            tokio::time::sleep(timeout).await;
            return Err(SendFault::Timeout);
        }
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        let parsing = |what: &str| SendFault::Parsing(what.to_owned());
        let status = behaviour["status"].as_u64().unwrap_or(200);
        let status = u16::try_from(status).map_err(|_| parsing("a status is three digits"))?;
        let mut headers = HeaderMap::new();
        for (name, value) in behaviour["headers"].as_object().into_iter().flatten() {
            let text = value.as_str().map_or(value.to_string(), str::to_owned);
            let name = HeaderName::try_from(name).map_err(|_| parsing(name))?;
            let value = HeaderValue::try_from(text).map_err(|_| parsing("a bad field"))?;
            headers.append(name, value);
        }
        let body = match &behaviour["body"] {
            Json::Null => String::new(),
            Json::String(text) => text.clone(),
            json => json.to_string(),
        };
        let reason = StatusCode::from_u16(status).ok();
        let reason = reason.and_then(|status| status.canonical_reason());
        Ok(Answer {
            status,
            reason: reason.unwrap_or_default().to_owned(),
            headers,
            body: body.into(),
        })
    }
}

fn known(behaviour: &Json) -> Result<(), String> {
    match behaviour {
        Json::String(text) if ["refused", "timeout", "closed"].contains(&text.as_str()) => Ok(()),
        Json::Object(of) => {
            let known = ["status", "body", "headers", "delay"];
            match of.keys().find(|key| !known.contains(&key.as_str())) {
                Some(key) => Err(format!("an upstream's {key} is not known")),
                None => Ok(()),
            }
        }
        other => Err(format!("an upstream cannot behave like {other}")),
    }
}

impl Clock for CaseWorld {
    fn now(&self) -> WallTime {
        WallTime(START_MS + self.now_ms())
    }
}

impl World for CaseWorld {
    fn now(&self) -> Timestamp {
        let ms = START_MS + self.now_ms();
        i64::try_from(ms)
            .ok()
            .and_then(|ms| Timestamp::from_millisecond(ms).ok())
            .unwrap_or(Timestamp::MAX)
    }

    fn zone(&self) -> &TimeZone {
        &self.zone
    }

    fn random(&self) -> &Random {
        &self.random
    }

    fn send(&self, call: Call) -> Pending<'_, Result<Answer, SendFault>> {
        let config = call.requester.as_ref().map(|it| it.name.to_string());
        let config = config.unwrap_or_else(|| format!("{}:{}", call.host, call.port));
        lock(&self.seen).push(Seen {
            at_ms: self.now_ms(),
            config: config.clone(),
            target: call.target,
            body: String::from_utf8_lossy(&call.body).into_owned(),
        });
        Box::pin(async move {
            match self.next(&config) {
                Some(behaviour) => self.answered(behaviour, call.timeout).await,
                None => Err(SendFault::Connectivity("Connection refused".to_owned())),
            }
        })
    }

    fn publish<'a>(
        &'a self,
        queue: &'a Arc<str>,
        parcel: Parcel,
        _wait: Duration,
    ) -> Pending<'a, Result<(), PublishFault>> {
        let taker = lock(&self.takers).get(queue).cloned();
        Box::pin(async move {
            match taker {
                Some(taker) => {
                    taker.send(parcel).ok();
                }
                None => {
                    let mut left = lock(&self.left);
                    left.entry(queue.clone()).or_default().push_back(parcel);
                    self.arrived.notify_waiters();
                }
            }
            Ok(())
        })
    }

    fn consume<'a>(
        &'a self,
        queue: &'a Arc<str>,
        wait: Duration,
    ) -> Pending<'a, Result<Option<Parcel>, PublishFault>> {
        Box::pin(async move {
            let taken = async {
                loop {
                    let arrived = self.arrived.notified();
                    let waiting = lock(&self.left)
                        .get_mut(queue)
                        .and_then(VecDeque::pop_front);
                    if let Some(parcel) = waiting {
                        return parcel;
                    }
                    arrived.await;
                }
            };
            Ok(tokio::time::timeout(wait, taken).await.ok())
        })
    }

    fn spawn(&self, run: Pending<'static, ()>) {
        tokio::spawn(run);
    }

    fn log(&self, line: &Line<'_>) {
        lock(&self.log).push((line.level, line.message.to_owned()));
    }
}
