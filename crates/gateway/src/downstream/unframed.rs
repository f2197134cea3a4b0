//! The body of an answer that ends with its connection, as a client of HTTP/1.0 gets one of unknown length.
//!
//! The end of such a connection is the end of the body, so a body that breaks off must end otherwise: by a reset.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::Response;
use http_body::{Body as _, Frame, SizeHint};

use crate::message::body::{Body, BodyError, Streaming};
use crate::message::phase::Phase;

/// An answer to a client of HTTP/1.0; its connection is noted as broken off if the body is and has no length.
pub fn watched(phase: &Arc<Phase>, answer: Response<Body>) -> Response<Body> {
    if answer.body().size_hint().exact().is_some() {
        return answer;
    }
    let phase = phase.clone();
    answer.map(|body| {
        let body: Box<dyn Streaming> = Box::new(Unframed { body, phase });
        Body::Streamed(body)
    })
}

/// A body whose end is that of its connection.
#[derive(Debug)]
struct Unframed {
    body: Body,
    phase: Arc<Phase>,
}

impl Streaming for Unframed {}

impl http_body::Body for Unframed {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        let frame = this.body.poll_inner(cx);
        if let Poll::Ready(Some(Err(_))) = &frame {
            this.phase.break_off();
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
