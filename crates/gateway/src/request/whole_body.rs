//! A client's body as a whole, for handlers and flows that read it.

use bytes::Bytes;
use http_body::Body as _;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;

use crate::message::request_body::{ClientFault, IntakeLimits, RequestBody};
use crate::request::downstream::Protocol;
use crate::request::exchange::Exchange;

/// The largest accepted body in bytes, where the plan sets no limit.
const BODY_MAX: u64 = 10 * 1024 * 1024;

/// Reads a body to its end, at the client's pace but no slower than the limits demand.
///
/// # Errors
/// The client's fault: a malformed, slow or oversized body, or one that the client left within.
pub async fn read(exchange: &Exchange, body: Incoming) -> Result<Bytes, ClientFault> {
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    let limits = &exchange.listener.limits;
    let size_max = limits.request_body_max.unwrap_or(BODY_MAX);
    if body.size_hint().lower() > size_max {
        return Err(ClientFault::TooLarge);
    }
    let limits = IntakeLimits {
        pause_max: None,
        rate_min: limits.body_rate_min,
        size_max: Some(size_max),
        over_http2: exchange.downstream.protocol == Protocol::Http2,
    };
    let phase = exchange.downstream.phase.clone();
    let (body, intake) =
        RequestBody::new(body, false, phase, exchange.worker.clock.clone(), limits);
    let collected = body.collect().await;
    let collected = collected.map_err(|_| intake.fault().unwrap_or(ClientFault::Malformed))?;
    Ok(collected.to_bytes())
}
