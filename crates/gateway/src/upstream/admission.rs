//! Asks a breaker for a permit, so that no client holds a probe's place.
//!
//! A half-open breaker has few places. A call that takes one and then waits for its client's body would keep all others
//! out for as long as the client likes. So a probe's place goes to complete requests only: a body is read to its end
//! first, up to [`READ_AHEAD`]. A longer one probes as it comes, but only while no complete request wants the place
//! (docs/gateway.md, "Whose fault it is"). While clients provoke answers that say nothing, complete requests take turns
//! ([`crate::upstream::probe_turns`]).

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use fusebox_breaker::{OwnedPermit, Phase as State, RejectReason, Rejection, Timestamp};

use crate::ground::clock::Clock;
use crate::ground::clock::WorkerRef;
use crate::message::phase::Phase;
use crate::message::request_body::{ClientFault, RequestBody};
use crate::upstream::breakers::LiveBreaker;
use crate::upstream::probe_queue::Prober;

/// The most bytes of a body that are read before a probe's place is taken.
const READ_AHEAD: u64 = 64 * 1024;

/// The time for which a complete request that wanted a probe's place keeps longer ones from it.
const TURN: Duration = Duration::from_secs(1);

/// The time after which a request should come again if others wait before it for a probe's place.
const COME_AGAIN: Duration = Duration::from_secs(1);

/// The reason why there is no permit.
#[derive(Debug)]
pub enum Unadmitted<R = Rejection> {
    /// The breaker rejected the call.
    Refused(R),
    /// The client's body was at fault.
    Client(ClientFault),
}

impl From<Rejection> for Unadmitted {
    fn from(rejection: Rejection) -> Unadmitted {
        Unadmitted::Refused(rejection)
    }
}

/// A breaker's answer to a request that it does not reject.
#[derive(Debug)]
pub enum Admission {
    /// The request may pass.
    Admitted(OwnedPermit),
    /// The request may not pass now, and would not be admitted later either while others wait: it waits for its
    /// [`turn`].
    Waits(Rejection),
}

/// Asks for a permit for a request without a body, or for one whose body has not been read; `None`: the body must
/// be read before the request may probe ([`ask_with`]).
pub fn ask(
    live_breaker: &LiveBreaker,
    worker: &WorkerRef,
    is_complete: bool,
) -> Result<Option<Admission>, Rejection> {
    if is_complete {
        return ask_complete(live_breaker, worker).map(Some);
    }
    if live_breaker.breaker.may_probe(worker.clock.tick()) {
        return check(live_breaker, worker).map(|()| None);
    }
    let permit = admit(live_breaker, &worker.clock)?;
    if !permit.is_probe() {
        return Ok(Some(Admission::Admitted(permit)));
    }
    // The call has become a probe since the check; its place is freed at once.
    give_back(live_breaker, worker, permit);
    Ok(None)
}

/// Checks a request that is not complete or has to wait for something else first, and must not take a place meanwhile.
/// A request that would wait for its turn to probe is not rejected: it waits later.
///
/// # Errors
/// The breaker's rejection.
pub fn check(live_breaker: &LiveBreaker, worker: &WorkerRef) -> Result<(), Rejection> {
    match live_breaker.breaker.check(worker.clock.exact()) {
        Err(rejection) if waits(live_breaker, worker, &rejection) => Ok(()),
        checked => checked,
    }
}

/// Asks for a permit for a request that has arrived completely.
pub fn ask_complete(
    live_breaker: &LiveBreaker,
    worker: &WorkerRef,
) -> Result<Admission, Rejection> {
    let probes = &live_breaker.extras.probes;
    let permit = match admit(live_breaker, &worker.clock) {
        Ok(permit) if !permit.is_probe() => return Ok(Admission::Admitted(permit)),
        Ok(permit) => permit,
        Err(rejection) => {
            if rejection.reason == RejectReason::BreakerProbing {
                probes.want(worker.clock.tick());
            }
            return match waits(live_breaker, worker, &rejection) {
                true => Ok(Admission::Waits(rejection)),
                false => Err(rejection),
            };
        }
    };
    let now = worker.clock.tick();
    probes.want(now);
    if !probes.has_queue() {
        return Ok(Admission::Admitted(permit));
    }
    // Others have waited longer.
    give_back(live_breaker, worker, permit);
    Ok(Admission::Waits(come_again(now)))
}

/// True if a request with this rejection should wait for a probe's place.
fn waits(live_breaker: &LiveBreaker, worker: &WorkerRef, rejection: &Rejection) -> bool {
    rejection.reason == RejectReason::BreakerProbing
        && live_breaker.extras.probes.is_contested(worker.clock.tick())
}

/// The rejection of a request while others wait before it for a probe's place.
pub fn come_again(now: Timestamp) -> Rejection {
    probing_until(now + COME_AGAIN)
}

/// The rejection of a request that has to wait for a probe's place.
pub fn probing_until(retry_at: Timestamp) -> Rejection {
    let mut rejection = Rejection::new(RejectReason::BreakerProbing, State::HalfOpen);
    rejection.retry_at = Some(retry_at);
    rejection
}

/// Waits until it is a complete request's turn to probe. `client` is the state of its client's connection; `None`: it
/// has none that could leave.
///
/// # Errors
/// The breaker's rejection: the breaker has opened, or the turn did not come in time.
pub async fn turn(
    live_breaker: &LiveBreaker,
    worker: &WorkerRef,
    client: Option<&Phase>,
    prober: Prober,
    refused: Rejection,
) -> Result<OwnedPermit, Rejection> {
    let probes = &live_breaker.extras.probes;
    let left = poll_fn(|cx| match client {
        Some(client) if client.is_left_by_caller(cx) => Poll::Ready(()),
        _ => Poll::Pending,
    });
    let ask = || {
        probes.want(worker.clock.tick());
        admit(live_breaker, &worker.clock)
    };
    probes.wait(prober, refused, left, &worker.clock, ask).await
}

/// Frees a probe's place that was not used.
fn give_back(live_breaker: &LiveBreaker, worker: &WorkerRef, permit: OwnedPermit) {
    drop(permit);
    live_breaker.extras.probes.freed(worker.clock.tick());
}

/// A permit for a request that has to probe and has a body: the body is read first.
///
/// # Errors
/// The breaker's rejection, or the client's fault.
pub async fn ask_with(
    live_breaker: &LiveBreaker,
    worker: &WorkerRef,
    client: &Phase,
    prober: Prober,
    body: &mut RequestBody,
) -> Result<OwnedPermit, Unadmitted> {
    let is_complete = body
        .read_ahead(READ_AHEAD)
        .await
        .map_err(Unadmitted::Client)?;
    if is_complete {
        return match ask_complete(live_breaker, worker)? {
            Admission::Admitted(permit) => Ok(permit),
            Admission::Waits(refused) => {
                let turn = turn(live_breaker, worker, Some(client), prober, refused);
                Ok(Box::pin(turn).await?)
            }
        };
    }
    let permit = admit(live_breaker, &worker.clock)?;
    let now = worker.clock.exact();
    if permit.is_probe() && is_wanted(live_breaker, now) {
        give_back(live_breaker, worker, permit);
        return Err(Unadmitted::Refused(probing_until(now + TURN)));
    }
    Ok(permit)
}

/// Asks the breaker by the tick, which costs nothing. The tick lags a little, so a rejection whose time is over is
/// checked again by the exact clock: a caller that returns at the announced time is admitted.
fn admit(live_breaker: &LiveBreaker, clock: &Clock) -> Result<OwnedPermit, Rejection> {
    let breaker = &live_breaker.breaker;
    breaker.admit_owned(clock.tick()).or_else(|rejection| {
        let now = clock.exact();
        match rejection.retry_at {
            Some(at) if at <= now => breaker.admit_owned(now),
            _ => Err(rejection),
        }
    })
}

/// True if a complete request has asked for a probe's place lately.
fn is_wanted(live_breaker: &LiveBreaker, now: Timestamp) -> bool {
    let wanted = live_breaker.extras.probes.wanted_at();
    wanted.is_some_and(|at| now < at + TURN)
}
