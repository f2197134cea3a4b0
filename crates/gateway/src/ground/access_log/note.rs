//! The facts of one exchange, gathered for its line.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fusebox_breaker::Timestamp;
use fusebox_plan::access_log::Attempt;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri, Version};
use parking_lot::Mutex;

use crate::ground::access_log::{Running, line};

/// The note of one exchange. Its line is written once, when the last holder drops it: the body of the answer, a tunnel,
/// or a call that continues without its client.
#[derive(Debug)]
pub struct Note {
    running: Arc<Running>,
    worker: usize,
    pub(super) started: Timestamp,
    /// The request's head; `None` if it could not be read.
    pub(super) head: Option<Head>,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
    facts: Mutex<Facts>,
}

/// The parts of a request's head that are logged.
#[derive(Debug)]
pub struct Head {
    pub method: Method,
    pub uri: Uri,
    pub version: Version,
    /// The fields that the settings list.
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

/// The facts that are learnt on the way.
#[derive(Debug, Default)]
pub struct Facts {
    /// The end of the exchange with the client; `None`: that of the note.
    pub ended: Option<Timestamp>,
    pub id: Option<HeaderValue>,
    pub client: Option<IpAddr>,
    /// The subject of the client's certificate, where the listener asks for one.
    pub client_subject: Option<HeaderValue>,
    pub route: Option<Arc<str>>,
    /// The status of the answer; `None`: the client left before it.
    pub status: Option<StatusCode>,
    pub decision: Option<Decision>,
    pub attempts: Vec<Attempt>,
    /// The error of the attempt that is on its way.
    pub error: Option<&'static str>,
    pub reason: Option<Reason>,
    pub fallback: Option<Fallback>,
    pub flags: Vec<Flag>,
    /// True if the exchange is one of gRPC.
    pub is_grpc: bool,
    /// The status of a gRPC exchange, as its client gets it; `None`: it got none.
    pub grpc_status: Option<u8>,
}

/// The decision on the exchange's first call: its admission, or its refusal.
#[derive(Debug)]
pub struct Decision {
    pub upstream: Arc<str>,
    /// The breaker, with its state and generation then; `None`: there is none.
    pub breaker: Option<(Arc<str>, &'static str, u64)>,
}

/// The reason of a refusal or a failure.
#[derive(Debug)]
pub enum Reason {
    /// A word or sentence that the program has.
    Fixed(&'static str),
    /// Any other text.
    Text(Box<str>),
}

impl Reason {
    /// The reason as text.
    pub fn as_str(&self) -> &str {
        match self {
            Reason::Fixed(text) => text,
            Reason::Text(text) => text,
        }
    }
}

/// The rung of a ladder that answered.
#[derive(Debug)]
pub enum Fallback {
    /// The last good answer.
    LastGood,
    /// A fixed answer.
    Respond,
    /// The upstream of that name.
    Upstream(Arc<str>),
}

/// A remark about an exchange, by a short word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flag {
    /// `BR`: a bad request, refused before a route was looked for.
    BadRequest,
    /// `NR`: no route takes it.
    NoRoute,
    /// `DC`: the client left before it had all of the answer, or within its own body.
    ClientLeft,
    /// `UC`: the upstream's body ended early.
    Cut,
    /// `URX`: the attempts are used up.
    RetriesUsed,
    /// `RBE`: the retry budget is spent.
    BudgetSpent,
    /// `UG`: the connection switched to another protocol.
    Upgraded,
}

impl Flag {
    /// The flag's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Flag::BadRequest => "BR",
            Flag::NoRoute => "NR",
            Flag::ClientLeft => "DC",
            Flag::Cut => "UC",
            Flag::RetriesUsed => "URX",
            Flag::BudgetSpent => "RBE",
            Flag::Upgraded => "UG",
        }
    }
}

impl Note {
    /// The note of a request whose head has come.
    pub fn begin<B>(
        running: Arc<Running>,
        worker: usize,
        peer: IpAddr,
        request: &Request<B>,
        started: Timestamp,
    ) -> Arc<Note> {
        let head = Head {
            method: request.method().clone(),
            uri: request.uri().clone(),
            version: request.version(),
            headers: listed(&running.rules.headers, request.headers()),
        };
        Note::new(running, worker, peer, Some(head), started)
    }

    /// The note of a request whose head could not be read: it is answered with `status` for `reason`.
    pub fn unread(
        running: Arc<Running>,
        worker: usize,
        peer: IpAddr,
        id: &HeaderValue,
        status: StatusCode,
        reason: &str,
    ) {
        let started = running.clock.exact();
        let note = Note::new(running, worker, peer, None, started);
        note.identify(id, None);
        note.flag(Flag::BadRequest);
        note.with(|facts| {
            facts.status = Some(status);
            facts.reason = Some(Reason::Text(reason.into()));
        });
    }

    fn new(
        running: Arc<Running>,
        worker: usize,
        peer: IpAddr,
        head: Option<Head>,
        started: Timestamp,
    ) -> Arc<Note> {
        Arc::new(Note {
            running,
            worker,
            started,
            head,
            bytes_in: AtomicU64::new(0),
            bytes_out: AtomicU64::new(0),
            facts: Mutex::new(Facts {
                client: Some(peer.to_canonical()),
                ..Facts::default()
            }),
        })
    }

    fn with<T>(&self, see: impl FnOnce(&mut Facts) -> T) -> T {
        see(&mut self.facts.lock())
    }

    /// True for a request whose answers have no body.
    pub fn is_head(&self) -> bool {
        let head = self.head.as_ref();
        head.is_some_and(|head| head.method == Method::HEAD)
    }

    /// Notes the request's id, and the client's address where it is not the peer's.
    pub fn identify(&self, id: &HeaderValue, client: Option<IpAddr>) {
        self.with(|facts| {
            facts.id = Some(id.clone());
            facts.client = client.or(facts.client);
        });
    }

    /// Notes the subject of the client's certificate.
    pub fn client_subject(&self, subject: &HeaderValue) {
        self.with(|facts| facts.client_subject = Some(subject.clone()));
    }

    /// Notes the route.
    pub fn route(&self, name: &Arc<str>) {
        self.with(|facts| facts.route = Some(name.clone()));
    }

    /// Notes the decision on a call; the first one of an exchange counts.
    pub fn decision(&self, decision: impl FnOnce() -> Decision) {
        self.with(|facts| {
            facts.decision.get_or_insert_with(decision);
        });
    }

    /// Notes the beginning of an attempt, and returns its time.
    pub fn attempt_begins(&self) -> Timestamp {
        self.with(|facts| facts.error = None);
        self.running.clock.exact()
    }

    /// Notes the error of the attempt that is on its way.
    pub fn error(&self, word: &'static str) {
        self.with(|facts| facts.error = Some(word));
    }

    /// Notes the end of an attempt at an upstream, and the time that it took.
    pub fn attempt(
        &self,
        upstream: &Arc<str>,
        endpoint: &Arc<str>,
        duration: Duration,
        status: Option<StatusCode>,
        outcome: &'static str,
    ) {
        self.with(|facts| {
            let own = facts.decision.as_ref().map(|it| &it.upstream);
            let attempt = Attempt {
                upstream: (own != Some(upstream)).then(|| upstream.clone()),
                endpoint: endpoint.clone(),
                duration,
                status: status.map(|status| status.as_u16()),
                error: facts.error.take(),
                outcome,
            };
            facts.attempts.push(attempt);
        });
    }

    /// Notes the reason of a refusal or failure; the first one counts.
    pub fn reason(&self, reason: &str) {
        self.with(|facts| {
            let text = || Reason::Text(reason.into());
            facts.reason.get_or_insert_with(text);
        });
    }

    /// The same for a text of the program's own.
    pub fn fixed_reason(&self, reason: &'static str) {
        self.with(|facts| {
            facts.reason.get_or_insert(Reason::Fixed(reason));
        });
    }

    /// Notes the rung that answered.
    pub fn fallback(&self, fallback: Fallback) {
        self.with(|facts| facts.fallback = Some(fallback));
    }

    /// Notes a flag.
    pub fn flag(&self, flag: Flag) {
        self.with(|facts| {
            if !facts.flags.contains(&flag) {
                facts.flags.push(flag);
            }
        });
    }

    /// Notes the status of the answer, unless its client left before.
    pub fn answered(&self, status: StatusCode) {
        self.with(|facts| {
            if !facts.flags.contains(&Flag::ClientLeft) {
                facts.status = Some(status);
            }
        });
    }

    /// Notes that the exchange is one of gRPC.
    pub fn is_grpc(&self) {
        self.with(|facts| facts.is_grpc = true);
    }

    /// Notes the status of a gRPC exchange that a head or trailers have, if they have one.
    pub fn hear_grpc(&self, status: Option<u8>) {
        if status.is_some() {
            self.with(|facts| {
                if !facts.flags.contains(&Flag::ClientLeft) {
                    facts.grpc_status = status;
                }
            });
        }
    }

    /// Notes the end of the exchange with the client.
    pub fn ended(&self) {
        let now = self.running.clock.exact();
        self.with(|facts| facts.ended = Some(now));
    }

    /// Counts bytes of the request's body.
    pub fn came(&self, bytes: usize) {
        self.bytes_in.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Counts bytes of the answer's body.
    pub fn went(&self, bytes: usize) {
        self.bytes_out.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// The bytes of both bodies: the request's and the answer's.
    pub(super) fn bytes(&self) -> (u64, u64) {
        let bytes = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        (bytes(&self.bytes_in), bytes(&self.bytes_out))
    }
}

impl Drop for Note {
    fn drop(&mut self) {
        let mut facts = std::mem::take(self.facts.get_mut());
        if facts.status.is_none() && !facts.flags.contains(&Flag::ClientLeft) {
            facts.flags.push(Flag::ClientLeft);
        }
        let now = self.running.clock.exact();
        let ended = facts.ended.unwrap_or(now);
        let duration = ended.saturating_since(self.started);
        line::write(&self.running, self.worker, self, &facts, duration);
    }
}

fn listed(names: &[HeaderName], headers: &HeaderMap) -> Vec<(HeaderName, HeaderValue)> {
    let all = names.iter().flat_map(|name| {
        let values = headers.get_all(name).iter();
        values.map(|value| (name.clone(), value.clone()))
    });
    all.collect()
}
