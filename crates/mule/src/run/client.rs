//! Sends the requests of flows, on connections of the worker that runs them.
//!
//! The exchange as a whole has one limit of time. A connection that the other side closes before it
//! has answered is nothing a flow hears of, as long as the request may be repeated.

use std::collections::HashMap;
use std::error::Error as _;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use fusebox_gateway::app::Host;
use fusebox_gateway::parts::{
    Fault, Jar, LiveUpstream, NO_LIMIT, NoAnswer, NoConnection, Outbound, OwnTrust, Policy, Pool,
    Redirects, Repeat, Trust, Unconnected, WorkerRef, fetch, fields, is_idempotent,
};
use fusebox_plan::CallError;
use fusebox_plan::plan::{Breaker, Endpoint, HttpVersion, Limits, Timeout, Upstream};
use http::{Method, StatusCode};
use hyper::ext::ReasonPhrase;
use tokio::sync::Semaphore;

use super::outside::{Answer, Call, SendFault};
use crate::app::{App, Requester};

/// The longest time to connect where no configuration says it.
const CONNECT_MAX: Duration = Duration::from_secs(30);

/// Idle connections kept per worker.
const IDLE_MAX: usize = 512;

/// The greatest age of a connection.
const MAX_AGE: Duration = Duration::from_secs(300);

/// Repeats of a request whose connection was closed before there was an answer.
const REPEATS_MAX: u32 = 3;

/// The largest body of an answer.
const ANSWER_MAX: usize = 32 * 1024 * 1024;

/// The name under which errors are told of requests that use no configuration.
const NAMELESS: &str = "http:request";

/// Mule's client follows a few, and changes a request's method only where it must.
const REDIRECTS: Redirects = Redirects {
    most: 5,
    becomes_get: |method, status| match status {
        StatusCode::SEE_OTHER => *method != Method::HEAD,
        _ => *method == Method::POST,
    },
    keeps_secrets: |from, to| from == to,
    tells_referer: false,
};

/// Mule's client uses any idle connection, and repeats what may be repeated also where its connection was new.
fn repeat(method: &Method) -> Repeat {
    Repeat {
        on_any_idle: true,
        times: if is_idempotent(method) {
            REPEATS_MAX
        } else {
            0
        },
        from_new: true,
    }
}

/// The clients of an application's requests.
#[derive(Debug)]
pub struct Clients {
    by_name: HashMap<Arc<str>, Client>,
    /// Takes requests that use no configuration, wherever they go.
    nameless: Arc<LiveUpstream>,
    limits: Limits,
}

/// The client of one configuration.
#[derive(Debug)]
struct Client {
    plan: Arc<Requester>,
    target: Arc<LiveUpstream>,
    /// `None`: as many connections as are wanted.
    places: Option<Arc<Semaphore>>,
    jar: Option<Arc<Jar>>,
}

impl Clients {
    /// The clients of an application; of an earlier one's what still fits, with its connections and
    /// cookies. There is a pool for each worker, and one more for what no worker runs.
    ///
    /// # Errors
    /// The configuration whose upstream cannot be had; no target is made then.
    pub fn new(app: &App, host: &Host<'_>, previous: Option<&Clients>) -> Result<Clients, String> {
        let limits = &host.plan.limits;
        let previous = previous.filter(|previous| previous.limits == *limits);
        let pools = |upstream: &Upstream, trust: &Trust| {
            let workers = host.workers.max(1) + 1;
            Pool::for_workers(workers, upstream, upstream.endpoint(), None, limits, trust)
        };
        let mut all = Vec::new();
        for plan in &app.requesters {
            let kept = previous.and_then(|previous| previous.by_name.get(&plan.name));
            let kept = kept.filter(|client| client.plan == *plan);
            let upstream = upstream(plan);
            let pools = match kept {
                Some(kept) => kept.target.pools().clone(),
                None => trust(plan, host.trust)
                    .and_then(|trust| pools(&upstream, &trust))
                    .map_err(|error| format!("http:request-config `{}`: {error}", plan.name))?,
            };
            all.push((plan, kept, upstream, pools));
        }
        // Nothing is at its own endpoint.
        let nowhere = Endpoint::new(false, "", 0);
        let nameless = unconfigured(NAMELESS.into(), nowhere, CONNECT_MAX);
        let to_anywhere = pools(&nameless, host.trust)?;
        let clients = all.into_iter().map(|(plan, kept, upstream, pools)| {
            let places = |max: usize| Semaphore::new(max.clamp(1, Semaphore::MAX_PERMITS));
            let client = Client {
                plan: plan.clone(),
                target: (host.target)(upstream, pools),
                places: match kept {
                    Some(kept) => kept.places.clone(),
                    None => plan.connections_max.map(|max| Arc::new(places(max))),
                },
                jar: match kept {
                    Some(kept) => kept.jar.clone(),
                    None => plan.cookies.then(Arc::default),
                },
            };
            (plan.name.clone(), client)
        });
        Ok(Clients {
            by_name: clients.collect(),
            nameless: (host.target)(nameless, to_anywhere),
            limits: limits.clone(),
        })
    }

    /// The upstreams of configurations.
    pub fn targets(&self) -> impl Iterator<Item = &Arc<LiveUpstream>> {
        self.by_name.values().map(|client| &client.target)
    }

    /// Sends a call and takes in the whole answer.
    ///
    /// # Errors
    /// The reason why there is none.
    pub async fn send(&self, call: Call, worker: &WorkerRef) -> Result<Answer, SendFault> {
        let requester = call.requester.as_ref();
        let client = requester.and_then(|requester| self.by_name.get(&requester.name));
        let policy = Policy {
            repeat,
            redirects: call.follow_redirects.then_some(&REDIRECTS),
            jar: client.and_then(|client| client.jar.as_deref()),
            places: client.and_then(|client| client.places.as_deref()),
            total: Some(call.timeout),
            gzip: false,
            body_max: ANSWER_MAX,
        };
        let target = client.map_or(&self.nameless, |client| &client.target);
        let answer = fetch(target, outbound(call), &policy, worker).await;
        let (parts, body) = answer.map_err(|none| fault(&none))?.into_parts();
        let phrase = parts.extensions.get::<ReasonPhrase>();
        let reason = match phrase {
            Some(phrase) => String::from_utf8_lossy(phrase.as_bytes()).into_owned(),
            None => parts
                .status
                .canonical_reason()
                .unwrap_or_default()
                .to_owned(),
        };
        Ok(Answer {
            status: parts.status.as_u16(),
            reason,
            headers: parts.headers,
            body,
        })
    }
}

/// The trust of a configuration's connections.
fn trust(plan: &Requester, system: &Trust) -> Result<Trust, String> {
    let Some(tls) = &plan.trust else {
        return Ok(system.clone());
    };
    let identity = tls.identity.as_ref();
    let own = OwnTrust {
        verified: tls.verified,
        // Authorities of its own take the place of the system's.
        system_roots: tls.authorities.is_none(),
        authorities: tls.authorities.as_ref().map(|it| it.pem.as_str()),
        identity: identity.map(|own| (own.certificates.as_str(), own.key.reveal())),
    };
    own.trust(system)
}

/// A call as a request. What belongs to the connection is not the flow's to say.
fn outbound(call: Call) -> Outbound {
    let mut headers = call.headers;
    fields::strip_framing(&mut headers);
    // Servers wait for the length of what these methods send, also where it is nothing.
    let sends = matches!(call.method, Method::POST | Method::PUT | Method::PATCH);
    Outbound {
        method: call.method,
        endpoint: Endpoint::new(call.tls, &call.host, call.port),
        target: call.target,
        headers,
        body: (sends || !call.body.is_empty()).then_some(call.body),
    }
}

/// The upstream of a configuration, under its name, with the times of Mule's client and no breaker. The exchange as a
/// whole is timed by each call.
pub fn upstream(plan: &Requester) -> Upstream {
    let endpoint = Endpoint::new(plan.tls, &plan.host, plan.port);
    Upstream {
        pool_idle_max: if plan.persistent { IDLE_MAX } else { 0 },
        pool_idle_timeout: plan.idle_timeout,
        ..unconfigured(plan.name.clone(), endpoint, plan.connect_timeout)
    }
}

fn unconfigured(name: Arc<str>, endpoint: Endpoint, connect: Duration) -> Upstream {
    Upstream {
        timeout: Timeout {
            connect,
            request: NO_LIMIT,
            total: None,
            idle: NO_LIMIT,
        },
        pool_idle_max: IDLE_MAX,
        pool_idle_timeout: Duration::ZERO,
        pool_max_age: MAX_AGE,
        http: HttpVersion::One,
        breaker: Breaker::disabled(NO_LIMIT),
        ..Upstream::new(name, endpoint)
    }
}

/// The fault of a request that got no answer, in the words of Mule's client.
fn fault(none: &NoAnswer) -> SendFault {
    SendFault::Connectivity(match &none.fault {
        Fault::Timeout | Fault::Silent(_) => return SendFault::Timeout,
        Fault::Malformed | Fault::HeadTooLarge => {
            return SendFault::Parsing("the answer is no HTTP response".into());
        }
        Fault::Location(bad) => {
            let (location, why) = (&bad.location, &bad.why);
            let what = format!("the redirect to {location:?} leads nowhere: {why}");
            return SendFault::Parsing(what);
        }
        Fault::Redirects(_) => format!("Maximum redirect reached: {}", REDIRECTS.most),
        Fault::Refused(refusal) => refusal.to_string(),
        Fault::Unsendable(why) => why.clone(),
        Fault::Unconnected(failed) => unconnected(failed),
        Fault::Cut(cut) => closed(&cut.error),
        Fault::Broken(error) => closed(error),
        Fault::BrokenHeld(_) => "Remotely closed".into(),
        Fault::TooLarge => format!("the answer is larger than {ANSWER_MAX} bytes"),
        // The bulkhead says it in a sentence; and nothing is asked for in a compressed form.
        none @ (Fault::Full(..) | Fault::CutGzip | Fault::NoGzip) => none.to_string(),
    })
}

/// The end of a connection.
fn closed(error: &hyper::Error) -> String {
    let io = error.source();
    let io = io.and_then(|source| source.downcast_ref::<io::Error>());
    match io {
        Some(error) if error.kind() == io::ErrorKind::ConnectionReset => {
            "Connection reset by peer".into()
        }
        _ => "Remotely closed".into(),
    }
}

/// The reason why there is no connection.
fn unconnected(failed: &NoConnection) -> String {
    let error = &failed.error;
    match (failed.why, error.kind()) {
        (Unconnected::Exhausted, _) => "the gateway has no connection to spare".into(),
        (_, io::ErrorKind::ConnectionRefused) => "Connection refused".into(),
        (_, io::ErrorKind::ConnectionReset) => "Connection reset by peer".into(),
        (_, io::ErrorKind::TimedOut) => "Connection timed out".into(),
        (Unconnected::Upstream(CallError::Tls), _) => format!("the TLS handshake failed: {error}"),
        _ if failed.address.is_none() => "Name or service not known".into(),
        _ => {
            let text = error.to_string();
            text.split(" (os error ").next().unwrap_or(&text).to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use fusebox_breaker::{Phase, RejectReason, Rejection};
    use http::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, HOST, LOCATION, TRANSFER_ENCODING};
    use http::{HeaderMap, HeaderValue};

    use fusebox_gateway::parts::Refusal;

    fn request(method: Method, body: &'static str) -> Outbound {
        let fields = [
            (AUTHORIZATION, "x"),
            (CONTENT_TYPE, "a/b"),
            (COOKIE, "c=1"),
            (HOST, "other"),
            (TRANSFER_ENCODING, "chunked"),
        ];
        outbound(Call {
            requester: None,
            tls: false,
            host: "a".into(),
            port: 8081,
            method,
            target: "/b/c?d".into(),
            headers: fields
                .map(|(name, value)| (name, HeaderValue::from_static(value)))
                .into_iter()
                .collect(),
            body: Bytes::from_static(body.as_bytes()),
            timeout: Duration::from_secs(1),
            follow_redirects: true,
        })
    }

    fn led(method: Method, status: u16, location: &'static str) -> Option<Outbound> {
        let mut answer = HeaderMap::new();
        answer.insert(LOCATION, HeaderValue::from_static(location));
        let status = StatusCode::from_u16(status).unwrap();
        let next = REDIRECTS.next(&request(method, "body"), status, &answer);
        next.map(Result::unwrap)
    }

    #[test]
    fn a_redirect_keeps_the_method_but_where_it_must_become_get() {
        for (method, status, next) in [
            (Method::POST, 301, Method::GET),
            (Method::POST, 302, Method::GET),
            (Method::PUT, 302, Method::PUT),
            (Method::PUT, 303, Method::GET),
            (Method::HEAD, 303, Method::HEAD),
            (Method::POST, 307, Method::POST),
            (Method::POST, 308, Method::POST),
        ] {
            let led = led(method.clone(), status, "/x").unwrap();
            assert_eq!(led.method, next, "{method} {status}");
            let kept = led.method == method;
            assert_eq!(led.body.is_some(), kept);
            assert_eq!(led.headers.contains_key(CONTENT_TYPE), kept);
            assert!(led.headers.contains_key(AUTHORIZATION));
        }
        assert!(led(Method::GET, 304, "/x").is_none());
    }

    #[test]
    fn a_redirect_elsewhere_takes_no_secret_along() {
        let there = led(Method::GET, 302, "http://a/x").unwrap();
        assert_eq!((&*there.endpoint.authority, &*there.target), ("a", "/x"));
        for secret in [AUTHORIZATION, COOKIE, HOST] {
            assert!(!there.headers.contains_key(secret));
        }
    }

    #[test]
    fn a_request_says_its_length_where_servers_wait_for_it() {
        let length = |method, body| request(method, body).body.map(|body| body.len());
        assert_eq!(length(Method::POST, ""), Some(0));
        assert_eq!(length(Method::GET, ""), None);
        assert_eq!(length(Method::DELETE, "x"), Some(1));
        let headers = request(Method::GET, "").headers;
        assert!(headers.contains_key(HOST) && !headers.contains_key(TRANSFER_ENCODING));
    }

    #[test]
    fn a_breaker_that_refuses_is_a_matter_of_connectivity() {
        let fault = fault(&NoAnswer {
            request: request(Method::GET, ""),
            fault: Fault::Refused(Refusal {
                breaker: "Orders".into(),
                rejection: Rejection::new(RejectReason::BreakerOpen, Phase::Open),
                retry_after: Some(12),
            }),
        });
        let why = "breaker `Orders` refused the call: the breaker is open and its cooldown has not ended; retry in 12 s";
        assert_eq!(fault, SendFault::Connectivity(why.into()));
    }

    #[test]
    fn what_may_be_repeated_is_repeated_also_on_a_new_connection() {
        let of = |method| (repeat(&method).times, repeat(&method).from_new);
        assert_eq!(of(Method::TRACE), (3, true));
        assert_eq!(of(Method::POST).0, 0);
    }
}
