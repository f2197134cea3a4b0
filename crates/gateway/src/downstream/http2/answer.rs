//! An answer as one stream of HTTP/2 carries it: trailers as they are, no body where none belongs, and a note of what
//! the client has taken.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::{HeaderValue, Response, StatusCode};
use http_body::{Body as _, Frame, SizeHint};

use crate::downstream::http2::request::NEVER;
use crate::downstream::http2::streams::StreamNote;
use crate::message::body::{Body, BodyError};
use crate::message::fields;

/// The largest part of a body in bytes that hyper gets at once: what a client does not take stays with us, and with
/// its upstream.
const PART: usize = 16 * 1024;

/// Prepares an answer; `is_head`: to a request for the head alone.
pub fn prepare(
    mut response: Response<Body>,
    note: Arc<StreamNote>,
    is_head: bool,
) -> Response<StreamBody> {
    for name in &NEVER {
        response.headers_mut().remove(name);
    }
    let has_none = matches!(
        response.status(),
        StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED
    );
    if is_head && !has_none && !response.headers().contains_key(CONTENT_LENGTH) {
        // HTTP/1 says what a GET would say; hyper says nothing in HTTP/2.
        if let Some(length) = response.body().size_hint().exact().filter(|it| *it > 0) {
            let length = HeaderValue::from(length);
            response.headers_mut().insert(CONTENT_LENGTH, length);
        }
    }
    response.map(|body| {
        let body = (!is_head && !has_none).then_some(body);
        let body = StreamBody {
            body,
            rest: Bytes::new(),
            broken: None,
            note,
        };
        if body.is_end_stream() {
            body.note.over();
        }
        body
    })
}

/// The body of an answer in a stream.
#[derive(Debug)]
pub struct StreamBody {
    /// `None`: the answer has no body.
    body: Option<Body>,
    /// The rest of a part that was too large.
    rest: Bytes,
    /// The error that ends the body, until the parts before it are out.
    broken: Option<BodyError>,
    note: Arc<StreamNote>,
}

impl StreamBody {
    /// The next data in parts that hyper may get at once.
    fn next_part(&mut self, mut data: Bytes) -> Frame<Bytes> {
        if data.len() > PART {
            self.rest = data.split_off(PART);
        }
        self.note.handed(self.is_end_stream());
        Frame::data(data)
    }
}

impl http_body::Body for StreamBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        this.note.asked();
        if let Some(error) = this.broken.take() {
            this.note.over();
            return Poll::Ready(Some(Err(error)));
        }
        if !this.rest.is_empty() {
            let rest = std::mem::take(&mut this.rest);
            return Poll::Ready(Some(Ok(this.next_part(rest))));
        }
        let frame = match &mut this.body {
            None => Poll::Ready(None),
            // As they are: HTTP/2 has frames of its own for trailers.
            Some(Body::Streamed(body)) => Pin::new(body).poll_frame(cx),
            Some(body @ Body::Fixed(_)) => Pin::new(body).poll_frame(cx),
        };
        let frame = std::task::ready!(frame);
        let frame = match frame {
            Some(Ok(frame)) => frame,
            None => {
                this.note.over();
                return Poll::Ready(None);
            }
            // A reset takes with it what h2 has not written: the connection has its turn first.
            Some(Err(error)) => {
                this.broken = Some(error);
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
        };
        Poll::Ready(Some(Ok(match frame.into_data() {
            Ok(data) => this.next_part(data),
            Err(frame) => {
                this.note.over();
                frame.into_trailers().map_or_else(
                    |frame| frame,
                    |mut trailers| {
                        fields::strip_framing(&mut trailers);
                        Frame::trailers(trailers)
                    },
                )
            }
        })))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let hint = self.body.as_ref().map(Body::size_hint);
        let hint = hint.unwrap_or_else(|| SizeHint::with_exact(0));
        match hint.exact() {
            Some(exact) => SizeHint::with_exact(exact + self.rest.len() as u64),
            None => hint,
        }
    }
}
