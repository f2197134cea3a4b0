//! One exchange: a request goes out on a connection, and the head of its answer comes back with the connection as its body.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::{HeaderMap, Request, Response, Version};

use super::answer_head::AnswerHead;
use super::body::HoldingBody;
use super::connection::Http1;
use super::fault::Fault;
use crate::message::interim::Watching;
use crate::message::kept_body::Outgoing;

/// An exchange on its way. Dropped before its answer, it leaves the connection in the midst of a message.
pub struct Exchange<'a> {
    held: &'a mut Option<Box<Http1>>,
    place: &'a mut Option<Request<Outgoing>>,
    watching: Watching<'a>,
    has_begun: bool,
    /// The place for the answer's fields, empty.
    headers: HeaderMap,
}

/// An exchange without an answer; the connection stays where it was.
#[derive(Debug)]
pub struct NoAnswer {
    /// The reason.
    pub fault: Fault,
    /// True if nothing of the request was written: it is where it was, whole.
    pub is_unsent: bool,
}

/// Sends the request in `place` on the connection that is `held`. The answer takes the connection with it, and the request is
/// gone from its place unless nothing of it was written.
pub fn exchange<'a>(
    held: &'a mut Option<Box<Http1>>,
    place: &'a mut Option<Request<Outgoing>>,
    watching: Watching<'a>,
) -> Exchange<'a> {
    Exchange {
        held,
        place,
        watching,
        has_begun: false,
        headers: HeaderMap::new(),
    }
}

impl Future for Exchange<'_> {
    type Output = Result<Response<HoldingBody>, NoAnswer>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let (Some(connection), Some(request)) = (this.held.as_mut(), this.place.as_mut()) else {
            return Poll::Ready(Err(NoAnswer {
                fault: Fault::NoAnswer,
                is_unsent: this.place.is_some(),
            }));
        };
        if !this.has_begun {
            this.has_begun = true;
            connection.begin(request);
        }
        // The request's fields are written, and their place is as good as a new one for the answer's.
        if connection.written() > 0 && this.headers.capacity() == 0 {
            this.headers = std::mem::take(request.headers_mut());
            this.headers.clear();
        }
        let answered = connection.poll_answer(cx, &this.watching, &mut this.headers);
        match ready!(answered) {
            Ok(head) => {
                *this.place = None;
                let body = this
                    .held
                    .take()
                    .map_or(HoldingBody::Gone, HoldingBody::over);
                Poll::Ready(Ok(response(head, body)))
            }
            Err(fault) => {
                let is_unsent = connection.take_back(request);
                if !is_unsent {
                    *this.place = None;
                }
                Poll::Ready(Err(NoAnswer { fault, is_unsent }))
            }
        }
    }
}

fn response(head: AnswerHead, body: HoldingBody) -> Response<HoldingBody> {
    let mut response = Response::new(body);
    *response.status_mut() = head.status;
    *response.headers_mut() = head.headers;
    if !head.is_http11 {
        *response.version_mut() = Version::HTTP_10;
    }
    if let Some(reason) = head.reason {
        response.extensions_mut().insert(reason);
    }
    response
}
