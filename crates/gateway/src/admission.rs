//! Asks a breaker for a permit, so that no client holds a probe's place.
//!
//! A half-open breaker has few places. A call that takes one and then waits for its client's body
//! would keep everybody else out for as long as the client likes. So a probe's place goes to complete
//! requests only: a body is read to its end first, up to [`READ_AHEAD`]. A longer one probes as it
//! comes, but only while no complete request wants the place (docs/gateway.md, "Whose fault it is").

use std::time::Duration;

use fusebox_breaker::{OwnedPermit, Phase, RejectReason, Rejection, Timestamp};

use crate::breakers::Guarded;
use crate::call::Desk;
use crate::clock::Clock;
use crate::request_body::{ClientFault, RequestBody};

/// How much of a body is read before a probe's place is taken, in bytes.
const READ_AHEAD: u64 = 64 * 1024;

/// How long a complete request that wanted a probe's place keeps longer ones from it.
const TURN: Duration = Duration::from_secs(2);

/// After how long a request that finds a probe in flight should come again, at most: how long the probe takes
/// is not known, but few take as long as they may.
const COME_AGAIN: Duration = Duration::from_secs(1);

/// Why there is no permit.
#[derive(Debug)]
pub enum Unadmitted {
    /// The breaker refuses.
    Refused(Rejection),
    /// The client did not send what it said.
    Client(ClientFault),
}

impl From<Rejection> for Unadmitted {
    fn from(rejection: Rejection) -> Unadmitted {
        Unadmitted::Refused(rejection)
    }
}

/// A permit for a request without a body, or none for one whose body must be read before it may
/// probe.
///
/// # Errors
/// The breaker's refusal.
pub fn ask(
    guarded: &Guarded,
    desk: &Desk,
    is_complete: bool,
) -> Result<Option<OwnedPermit>, Rejection> {
    if !is_complete && guarded.breaker.may_probe(desk.clock.tick()) {
        // Not even for a moment does it take a place.
        let now = desk.clock.exact();
        let passes = guarded.breaker.check(now);
        return passes
            .map(|()| None)
            .map_err(|rejection| told_to_return(rejection, now));
    }
    let permit = admit(guarded, &desk.clock).inspect_err(|rejection| {
        if is_complete && rejection.reason == RejectReason::BreakerProbing {
            note(guarded, desk);
        }
    })?;
    if !permit.is_probe() {
        return Ok(Some(permit));
    }
    if is_complete {
        note(guarded, desk);
        return Ok(Some(permit));
    }
    // It has become a probe since; its place is free again at once.
    drop(permit);
    Ok(None)
}

/// A permit for a request that has to probe and has a body: the body is read first.
///
/// # Errors
/// The breaker's refusal, or the client's fault.
pub async fn ask_with(
    guarded: &Guarded,
    desk: &Desk,
    body: &mut RequestBody,
) -> Result<OwnedPermit, Unadmitted> {
    let is_complete = body
        .read_ahead(READ_AHEAD)
        .await
        .map_err(Unadmitted::Client)?;
    if is_complete {
        let asked = ask(guarded, desk, true)?;
        return Ok(asked.expect("a complete request is admitted or refused"));
    }
    let permit = admit(guarded, &desk.clock)?;
    let now = desk.clock.exact();
    if permit.is_probe() && is_wanted(guarded, now) {
        return Err(Unadmitted::Refused(Rejection {
            reason: RejectReason::BreakerProbing,
            phase: Phase::HalfOpen,
            retry_at: Some(now + TURN),
        }));
    }
    Ok(permit)
}

/// Asks the breaker by the tick, which costs nothing. The tick lags a little, so a refusal whose
/// time is over is asked for again by the clock: a caller that comes back when it was told to is let in.
fn admit(guarded: &Guarded, clock: &Clock) -> Result<OwnedPermit, Rejection> {
    let breaker = &guarded.breaker;
    breaker.admit_owned(clock.tick()).or_else(|rejection| {
        let now = clock.exact();
        match rejection.retry_at {
            Some(at) if at <= now => breaker.admit_owned(now),
            _ => Err(rejection),
        }
        .map_err(|rejection| told_to_return(rejection, now))
    })
}

/// The refusal with a time to come again that is worth it: a probe's deadline is when it ends at the latest.
fn told_to_return(mut rejection: Rejection, now: Timestamp) -> Rejection {
    if rejection.reason == RejectReason::BreakerProbing {
        let soon = now + COME_AGAIN;
        rejection.retry_at = rejection.retry_at.map(|at| at.min(soon));
    }
    rejection
}

/// A complete request has asked for a probe's place.
fn note(guarded: &Guarded, desk: &Desk) {
    guarded.meter(desk).probe_wanted.set(desk.clock.tick());
}

/// Whether a complete request has asked for a probe's place lately, at any worker.
fn is_wanted(guarded: &Guarded, now: Timestamp) -> bool {
    let wanted = guarded.meters.iter().filter_map(|it| it.probe_wanted.get());
    wanted.max().is_some_and(|at| now < at + TURN)
}
