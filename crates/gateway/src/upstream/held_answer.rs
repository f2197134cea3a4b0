//! An answer that is held back while another attempt may follow it.
//!
//! A failed answer goes to the client if no attempt follows after all, or if those fail without an answer. So its head
//! and body are kept, up to a bound; one that is longer is the answer.

use std::collections::VecDeque;

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::response::Parts;
use http::{HeaderMap, Method, Response};
use http_body::{Body as _, Frame};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::time::Instant;

use crate::ground::clock::WorkerRef;
use crate::upstream::call::UpstreamCall;
use crate::upstream::pool::Connection;
use crate::upstream::upstream_errors::UpstreamError;

/// The most bytes of a failed answer's body that are kept.
pub const HELD_BYTES_MAX: usize = 64 * 1024;

/// An answer on its way to a client, some of it read already.
#[derive(Debug)]
pub struct HeldAnswer {
    /// The head.
    pub parts: Parts,
    /// What was read of the body.
    pub ahead: VecDeque<Frame<Bytes>>,
    /// The rest of the body; at its end if all was read.
    pub rest: Incoming,
    /// The connection, while the body flows.
    pub connection: Option<Connection>,
}

/// The end of an attempt to hold an answer.
#[derive(Debug)]
pub enum Holding {
    /// All of it was read.
    Whole(HeldAnswer),
    /// It is longer than what is kept, or did not come to its end in time.
    Long(HeldAnswer),
    /// Its body broke off.
    Broken(UpstreamError),
}

impl HeldAnswer {
    /// An answer of which only the head has been read.
    pub fn new(response: Response<Incoming>, connection: Connection) -> HeldAnswer {
        let (parts, rest) = response.into_parts();
        HeldAnswer {
            parts,
            ahead: VecDeque::new(),
            rest,
            connection: Some(connection),
        }
    }

    /// True if the head says that the body is longer than what is kept.
    pub fn is_known_long(method: &Method, headers: &HeaderMap) -> bool {
        let length = headers.get(CONTENT_LENGTH);
        let length = length.and_then(|it| it.to_str().ok()?.parse::<u64>().ok());
        *method != Method::HEAD && length.is_some_and(|it| it > HELD_BYTES_MAX as u64)
    }

    /// Reads the body as far as it is kept, and gives the connection back at its end. The call sees the frames.
    pub async fn hold(self, call: &mut UpstreamCall, worker: &WorkerRef) -> Holding {
        self.hold_until(call, worker, None).await
    }

    /// Reads the body as [`HeldAnswer::hold`] does, but no longer than until then.
    pub async fn hold_until(
        mut self,
        call: &mut UpstreamCall,
        worker: &WorkerRef,
        until: Option<Instant>,
    ) -> Holding {
        let mut bytes = 0;
        while !self.rest.is_end_stream() {
            let silent_at = Instant::now() + call.wait();
            let until = until.filter(|until| *until < silent_at);
            let next = tokio::time::timeout_at(until.unwrap_or(silent_at), self.rest.frame());
            let frame = match next.await {
                Err(_) if until.is_some() => return Holding::Long(self),
                Err(_) => return Holding::Broken(UpstreamError::silent_body()),
                Ok(None) => break,
                Ok(Some(Err(error))) => return Holding::Broken(UpstreamError::body(&error)),
                Ok(Some(Ok(frame))) => frame,
            };
            let data = frame.data_ref().map_or(0, Bytes::len);
            call.see(
                frame.data_ref().map_or(&[][..], |data| data),
                worker.clock.tick(),
            );
            bytes += data;
            self.ahead.push_back(frame);
            if bytes > HELD_BYTES_MAX {
                return Holding::Long(self);
            }
        }
        if let Some(connection) = self.connection.take() {
            connection.give_back(worker.clock.tick());
        }
        Holding::Whole(self)
    }
}
