//! The upper end of a connection to an upstream: sends requests, and explains their failures.
//!
//! Over HTTP/2 hyper gives a request's own error to the request, and a connection's to the connection's task, which leaves it
//! in the connection's state.

use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};

use crate::message::interim::Watching;
use crate::message::kept_body::Outgoing;
use crate::upstream::answer_body::{AnswerBody, WireError};
use crate::upstream::http1::{self, Http1};
use crate::upstream::http2::{Http2, StreamBody, StreamUse, translated, untranslated};
use crate::upstream::parting::Parting;
use crate::upstream::upstream_errors::{ErrorKind, UpstreamError, is_unprocessed};

/// A connection's upper end: sends one request at a time, and explains its failure.
#[derive(Debug)]
pub struct Sender {
    way: Way,
}

/// The way that a request takes: a connection of its own for the time, or a stream of a shared one.
#[derive(Debug)]
enum Way {
    /// A connection; `None` once an answer's body has it.
    Http1(Option<Box<Http1>>),
    Http2(Box<OnStream>),
}

/// A stream of a shared connection.
#[derive(Debug)]
struct OnStream {
    connection: Http2,
    stream: Arc<StreamUse>,
    /// The number of reads when the last request was sent.
    reads_before: u64,
    /// The number of bytes written before the last request.
    written_before: u64,
}

/// A request that got no response's head.
#[derive(Debug)]
pub struct SendError {
    /// The error as the connection told it.
    pub error: WireError,
    /// True if nothing of the request was sent: it is in its place, whole.
    pub is_unsent: bool,
}

/// Ends a stream that was not used to its end, whatever its task waits for: an upstream that does not read would hold it for
/// as long as it likes. A connection of HTTP/1 ends with its owner.
#[derive(Debug)]
pub struct CutOnDrop(Option<Arc<StreamUse>>);

impl CutOnDrop {
    /// Lets the stream end by itself.
    pub fn spare(&mut self) {
        self.0 = None;
    }
}

impl Drop for CutOnDrop {
    fn drop(&mut self) {
        if let Some(stream) = self.0.take() {
            stream.cut();
        }
    }
}

impl Sender {
    /// A sender over a connection of HTTP/1.
    pub fn over(connection: Box<Http1>) -> Sender {
        Sender {
            way: Way::Http1(Some(connection)),
        }
    }

    /// A sender over a new stream of an HTTP/2 connection.
    pub fn on_stream(connection: Http2) -> Sender {
        let stream = connection.streams.begin(Some(&connection.closer));
        Sender {
            way: Way::Http2(Box::new(OnStream {
                connection,
                stream,
                reads_before: 0,
                written_before: 0,
            })),
        }
    }

    /// The shared connection that the stream belongs to; `None`: the connection is HTTP/1.
    pub fn http2(&self) -> Option<&Http2> {
        match &self.way {
            Way::Http1(_) => None,
            Way::Http2(on) => Some(&on.connection),
        }
    }

    /// The stream that it sends on; `None`: the connection is HTTP/1.
    pub fn stream(&self) -> Option<&Arc<StreamUse>> {
        match &self.way {
            Way::Http1(_) => None,
            Way::Http2(on) => Some(&on.stream),
        }
    }

    /// Cuts the upload on a stream if it has not ended after that time; other requests use the connection meanwhile.
    pub fn ends_upload_within(&self, rest: Duration) {
        let Some(stream) = self.stream().filter(|stream| stream.is_sending()) else {
            return;
        };
        let stream = Arc::downgrade(stream);
        tokio::spawn(async move {
            tokio::time::sleep(rest).await;
            if let Some(stream) = stream.upgrade() {
                stream.cut();
            }
        });
    }

    /// A guard that ends the stream, if it is one, when it is dropped.
    pub fn cut_on_drop(&self) -> CutOnDrop {
        CutOnDrop(self.stream().cloned())
    }

    /// The part that the place of a call on the connection is tied to; `None`: an answer's body has the connection.
    pub fn parting(&self) -> Option<&Arc<Parting>> {
        match &self.way {
            Way::Http1(connection) => connection.as_ref().map(|it| it.parting()),
            Way::Http2(on) => Some(on.stream.parting()),
        }
    }

    /// The reason why a request got no response's head. With TLS 1.3 an upstream's refusal of the handshake comes as
    /// such an error (RFC 8446, section 4.4.2.4).
    pub fn why(&self, error: &WireError) -> UpstreamError {
        let (wanted, has_read) = match &self.way {
            Way::Http1(connection) => {
                let wish = connection.as_ref().is_some_and(|it| it.is_wish_open());
                (wish, self.has_read())
            }
            Way::Http2(on) => (on.connection.state.is_wish_open(), self.has_read()),
        };
        let why = UpstreamError::head(error, wanted, has_read);
        match self.http2().and_then(|it| it.state.ended()) {
            Some(ended) if why.kind == ErrorKind::Reset => ended.clone(),
            _ => why,
        }
    }

    /// True if anything has come since the last request was handed over, for whatever request.
    pub fn has_read(&self) -> bool {
        match &self.way {
            Way::Http1(connection) => connection.as_ref().is_none_or(|it| it.has_read()),
            Way::Http2(on) => on.connection.state.reads() != on.reads_before,
        }
    }

    /// True if the upstream says by its end of the stream that it has not processed the request, or if the connection
    /// ended before the stream was opened.
    pub fn is_unprocessed(&self, error: &WireError) -> bool {
        match error {
            WireError::Http1(_) => false,
            WireError::Http2(error) => is_unprocessed(error) || error.is_user(),
        }
    }

    /// Sends the request in `place`, and waits for the head of its answer. Without one over HTTP/1 its head is in its place as it
    /// was, and its body if that is fixed; over HTTP/2 it is gone, unless nothing of it was sent.
    ///
    /// # Errors
    /// The end of the connection, or of the stream.
    pub async fn send(
        &mut self,
        place: &mut Option<Request<Outgoing>>,
        watching: Watching<'_>,
    ) -> Result<Response<AnswerBody>, SendError> {
        let Some(request) = place else {
            return Err(SendError {
                error: WireError::Http1(http1::Fault::NoAnswer),
                is_unsent: false,
            });
        };
        match &mut self.way {
            Way::Http1(held) => match http1::exchange(held, request, watching).await {
                Ok(answer) => Ok(answer.map(AnswerBody::Http1)),
                Err(none) => Err(SendError {
                    error: WireError::Http1(none.fault),
                    is_unsent: none.is_unsent,
                }),
            },
            // Boxed, so that an exchange over HTTP/1 is no larger for it.
            Way::Http2(on) => Box::pin(on.send(place)).await,
        }
    }

    /// True if that number of bytes has been written since the last request was handed over.
    pub fn has_written(&self, bytes: u64) -> bool {
        let written = match &self.way {
            Way::Http1(connection) => connection.as_ref().map_or(u64::MAX, |it| it.written()),
            Way::Http2(on) => on.connection.state.written() - on.written_before,
        };
        written >= bytes
    }
}

impl OnStream {
    async fn send(
        &mut self,
        place: &mut Option<Request<Outgoing>>,
    ) -> Result<Response<AnswerBody>, SendError> {
        let state = &self.connection.state;
        self.reads_before = state.reads();
        self.written_before = state.written();
        let request = place
            .take()
            .unwrap_or_else(|| Request::new(Outgoing::empty()));
        let request = translated(request, &self.connection.target);
        let stream = self.stream.clone();
        let request = request.map(|body| StreamBody::new(body, stream));
        let sent = self.connection.sender.try_send_request(request).await;
        match sent {
            Ok(answer) => {
                self.connection.state.answered();
                Ok(answer.map(AnswerBody::Http2))
            }
            Err(mut failure) => {
                let unsent = failure.take_message();
                *place = unsent.map(|it| untranslated(it.map(StreamBody::into_inner)));
                Err(SendError {
                    is_unsent: place.is_some(),
                    error: WireError::Http2(failure.into_error()),
                })
            }
        }
    }
}
