//! An answer that is held back while another attempt may follow it.
//!
//! A failed answer goes to the client if no attempt follows after all, or if those fail without an answer. So its head
//! and body are kept, up to a bound and within the call's time; one that is longer, or slower, is the answer.

use std::collections::VecDeque;
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::response::Parts;
use http::{HeaderMap, Method, Response};
use http_body::{Body as _, Frame};
use http_body_util::BodyExt as _;

use crate::ground::clock::WorkerRef;
use crate::message::field_kinds::FieldKinds;
use crate::upstream::answer_body::AnswerBody;
use crate::upstream::call::UpstreamCall;
use crate::upstream::pool::Connection;
use crate::upstream::upstream_errors::UpstreamError;

/// The most bytes of a failed answer's body that are kept.
pub const HELD_BYTES_MAX: usize = 64 * 1024;

/// An answer on its way to a client, some of it read already.
#[derive(Debug)]
pub struct HeldAnswer {
    /// The answer's head.
    pub parts: Parts,
    /// The kinds of fields in the head.
    pub found: FieldKinds,
    /// The part of the body that was read.
    pub ahead: VecDeque<Frame<Bytes>>,
    /// The rest of the body; at its end if all was read.
    pub rest: AnswerBody,
    /// The connection, while the body flows.
    pub connection: Option<Connection>,
}

/// The end of an attempt to hold an answer.
#[derive(Debug)]
pub enum Holding {
    /// An answer that was read to its end.
    Whole(HeldAnswer),
    /// An answer above [`HELD_BYTES_MAX`].
    Long(HeldAnswer),
    /// An answer that had not come whole in time.
    Late(HeldAnswer),
    /// A body that broke off.
    Broken(UpstreamError),
}

impl HeldAnswer {
    /// An answer of which only the head has been read.
    pub fn new(response: Response<AnswerBody>, connection: Connection) -> HeldAnswer {
        let (parts, rest) = response.into_parts();
        HeldAnswer {
            parts,
            found: connection.heard(),
            ahead: VecDeque::new(),
            rest,
            connection: Some(connection),
        }
    }

    /// True if the head announces a body above [`HELD_BYTES_MAX`].
    pub fn is_known_long(method: &Method, headers: &HeaderMap) -> bool {
        let length = headers.get(CONTENT_LENGTH);
        let length = length.and_then(|it| it.to_str().ok()?.parse::<u64>().ok());
        *method != Method::HEAD && length.is_some_and(|it| it > HELD_BYTES_MAX as u64)
    }

    /// Reads the body as far as it is kept and as it comes `within` that time, and gives the connection back at its end.
    /// The call sees the frames.
    pub async fn hold(
        mut self,
        within: Duration,
        call: &mut UpstreamCall,
        worker: &WorkerRef,
    ) -> Holding {
        let mut bytes = 0;
        let mut late = pin!(tokio::time::sleep(within));
        while !self.rest.is_end_stream() {
            let idle = call.wait();
            let frame = tokio::select! {
                biased;
                frame = tokio::time::timeout(idle, self.rest.frame()) => frame,
                () = &mut late => return Holding::Late(self),
            };
            let frame = match frame {
                Err(_) => return Holding::Broken(UpstreamError::silent_body()),
                Ok(None) => {
                    if self.rest.is_cut_short() {
                        return Holding::Broken(UpstreamError::cut_short());
                    }
                    break;
                }
                Ok(Some(Err(error))) => return Holding::Broken(UpstreamError::body(&error)),
                Ok(Some(Ok(frame))) => frame,
            };
            let data = frame.data_ref().map_or(0, Bytes::len);
            call.see(
                frame.data_ref().map_or(&[][..], |data| data),
                worker.clock.tick(),
            );
            if let Some(trailers) = frame.trailers_ref() {
                call.see_trailers(trailers);
            }
            bytes += data;
            self.ahead.push_back(frame);
            if bytes > HELD_BYTES_MAX {
                return Holding::Long(self);
            }
        }
        if let Some(connection) = self.connection.take() {
            connection.give_back(&mut self.rest, &worker.clock);
        }
        Holding::Whole(self)
    }
}
