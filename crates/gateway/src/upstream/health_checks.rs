//! Active health checks: one task for each endpoint asks it at its pace, whether its breaker is open or not.
//!
//! A check has a connection of its own, moves no window and appears in no count of calls. Its finding takes an endpoint
//! out of the choice; with `half_open: { probe: health }` it also closes the upstream's breaker (docs/calls.md).

use std::sync::Arc;

use fusebox_breaker::{CloseRule, Outcome, Timestamp};
use fusebox_call::endpoints::Endpoint as Member;
use fusebox_call::health::{HealthChecks, HealthPace, HealthReturn};
use fusebox_plan::Call as Answer;
use fusebox_plan::plan::{Health, Probe, UpstreamHost};
use http::header::{CONNECTION, CONTENT_TYPE, HOST, TE, USER_AGENT};
use http::{HeaderValue, Request};
use http_body_util::BodyExt as _;
use tokio::task::AbortHandle;

use crate::ground::clock::Clock;
use crate::message::grpc;
use crate::message::interim::Watching;
use crate::message::kept_body::Outgoing;
use crate::upstream::breakers::LiveBreaker;
use crate::upstream::endpoints::LiveEndpoint;
use crate::upstream::events::{Events, News};
use crate::upstream::grpc_health;
use crate::upstream::live_upstream::LiveUpstream;
use crate::upstream::pool::Connection;

/// The name that a check gives itself.
const AGENT: HeaderValue = HeaderValue::from_static("fusebox-health");

/// Running checks, which end when this is dropped.
#[derive(Debug, Default)]
pub struct RunningChecks(Vec<AbortHandle>);

impl Drop for RunningChecks {
    fn drop(&mut self) {
        self.0.iter().for_each(AbortHandle::abort);
    }
}

/// Begins the checks of upstreams, on the present runtime.
pub fn begin(
    upstreams: &[Arc<LiveUpstream>],
    clock: &Arc<Clock>,
    events: &Arc<Events>,
) -> RunningChecks {
    let mut running = RunningChecks::default();
    for upstream in upstreams {
        let (Some(health), Some(several)) = (&upstream.plan.health, &upstream.several) else {
            continue;
        };
        for (member, endpoint) in several.members() {
            let checking = Checking {
                upstream: upstream.clone(),
                health: health.clone(),
                member,
                endpoint,
                clock: clock.clone(),
                events: events.clone(),
            };
            running.0.push(tokio::spawn(checking.run()).abort_handle());
        }
    }
    running
}

/// The checks of one endpoint.
struct Checking {
    upstream: Arc<LiveUpstream>,
    health: Health,
    member: Arc<Member>,
    endpoint: Arc<LiveEndpoint>,
    clock: Arc<Clock>,
    events: Arc<Events>,
}

impl Checking {
    async fn run(self) {
        let pace = HealthPace {
            interval: self.health.interval,
            timeout: self.health.timeout,
            rise: self.health.rise,
            fall: self.health.fall,
            jitter: self.health.jitter,
        };
        let mut chance = fastrand::Rng::new();
        let mut checks = HealthChecks::new(pace, self.clock.exact(), &mut chance);
        let mut back = HealthReturn::default();
        loop {
            let next = checks.next_at().unwrap_or_default();
            let rest = next.saturating_since(self.clock.exact());
            tokio::time::sleep(rest).await;
            let begun = self.clock.exact();
            if !checks.begin(begun) {
                continue;
            }
            let result = tokio::time::timeout(self.health.timeout, self.check()).await;
            let result = result.unwrap_or_else(|_| Err("no answer in time".to_owned()));
            let now = self.clock.exact();
            let found = checks.end(result.is_ok(), now, &mut chance);
            if let Some(found) = found.filter(|found| self.member.set_health(*found, now)) {
                let news = News::Health {
                    upstream: self.upstream.plan.name.clone(),
                    endpoint: self.member.name().clone(),
                    health: found.as_str(),
                };
                self.events.publish(now, news);
                let why = result
                    .as_ref()
                    .err()
                    .map(String::as_str)
                    .unwrap_or_default();
                tracing::info!(
                    upstream = %self.upstream.plan.name,
                    endpoint = %self.member.name(),
                    health = found.as_str(),
                    why,
                    "endpoint's health changed"
                );
            }
            if self.upstream.plan.breaker.probe == Probe::Health {
                self.probe(&mut back, result.is_ok(), begun, now);
            }
        }
    }

    /// The `Host` of a check: no client asks, so that there is none to preserve.
    fn host(&self) -> HeaderValue {
        match &self.upstream.plan.host {
            UpstreamHost::Named(name) => name.clone(),
            UpstreamHost::Own | UpstreamHost::Preserved => self.endpoint.host.clone(),
        }
    }

    /// Asks the endpoint once.
    async fn check(&self) -> Result<(), String> {
        let asked_at = self.clock.exact();
        // The pools are by worker; a new connection is the same in each.
        let pool = self.endpoint.pool(0);
        let bound = self.health.timeout;
        let mut connection = pool
            .open_apart(bound)
            .await
            .map_err(|error| error.error.to_string())?;
        if let Some(service) = &self.health.grpc {
            return self.check_grpc(connection, service).await;
        }
        let path = format!("{}{}", self.endpoint.plan.base_path, self.health.path);
        let request = Request::get(path)
            .header(HOST, self.host())
            .header(USER_AGENT, AGENT)
            .header(CONNECTION, HeaderValue::from_static("close"))
            .body(Outgoing::empty())
            .map_err(|error| error.to_string())?;
        let mut place = Some(request);
        let sent = connection.sender.send(&mut place, Watching::default());
        let response = sent.await.map_err(|failure| failure.error.to_string())?;
        let answer = Answer {
            status: response.status().as_u16(),
            headers: Some(response.headers()),
            duration: self.clock.exact().saturating_since(asked_at),
            error: None,
            body: None,
            grpc_status: None,
            client_subject: "",
        };
        match self.health.expect.holds(&answer) {
            Ok(true) => Ok(()),
            Ok(false) => Err(format!("status {}", answer.status)),
            Err(error) => Err(error.what),
        }
    }

    /// Asks the health service of gRPC once.
    async fn check_grpc(&self, mut connection: Connection, service: &str) -> Result<(), String> {
        let path = format!("{}{}", self.endpoint.plan.base_path, grpc_health::PATH);
        let request = Request::post(path)
            .header(HOST, self.host())
            .header(USER_AGENT, AGENT)
            .header(CONTENT_TYPE, grpc::MEDIA_TYPE)
            .header(TE, HeaderValue::from_static("trailers"))
            .header(grpc::TIMEOUT, grpc::write_timeout(self.health.timeout))
            .body(Outgoing::fixed(grpc_health::request(service)))
            .map_err(|error| error.to_string())?;
        let mut place = Some(request);
        let sent = connection.sender.send(&mut place, Watching::default());
        let response = sent.await.map_err(|failure| failure.error.to_string())?;
        let (head, mut rest) = response.into_parts();
        let (mut body, mut trailers) = (Vec::new(), None);
        while let Some(frame) = rest.frame().await {
            let frame = frame.map_err(|error| error.to_string())?;
            if let Some(data) = frame.data_ref() {
                body.extend_from_slice(data);
            }
            if body.len() > grpc_health::ANSWER_MAX {
                return Err("an answer of the health service that is too long".to_owned());
            }
            trailers = frame.into_trailers().ok().or(trailers);
        }
        grpc_health::verdict(head.status, &head.headers, trailers.as_ref(), &body)
    }

    /// Closes the upstream's open breakers after enough good checks in a row since their cooldown.
    fn probe(&self, back: &mut HealthReturn, good: bool, begun: Timestamp, now: Timestamp) {
        for LiveBreaker { breaker, .. } in self.upstream.breakers.all() {
            if !breaker.may_probe(now) || breaker.check(now).is_err() {
                continue;
            }
            let settings = breaker.settings();
            let successes = match settings.half_open.close {
                CloseRule::Successes(successes) => successes,
                CloseRule::FailureRate { over, .. } => over,
            };
            let cooldown_end = breaker.snapshot(now).retry_at.unwrap_or_default();
            if !back.take(good, begun, cooldown_end, successes) {
                continue;
            }
            for _ in 0..successes {
                // Over a fleet only the node that leads gets the permits.
                if let Ok(permit) = breaker.admit_owned(now) {
                    permit.settle(Outcome::Success, now);
                }
            }
        }
    }
}
