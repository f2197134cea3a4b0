//! One exchange: a request goes out on a connection, and the head of its answer comes back with the connection as its body.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::{Request, Response, Version};

use super::answer_head::AnswerHead;
use super::body::HoldingBody;
use super::connection::Http1;
use super::fault::Fault;
use crate::message::interim::Watching;
use crate::message::kept_body::Outgoing;

/// An exchange on its way. Dropped before its answer, it leaves the connection in the midst of a message.
pub struct Exchange<'a> {
    held: &'a mut Option<Box<Http1>>,
    request: &'a mut Request<Outgoing>,
    watching: Watching<'a>,
    has_begun: bool,
}

/// An exchange without an answer; the connection stays where it was.
#[derive(Debug)]
pub struct NoAnswer {
    /// The fault that ended it.
    pub fault: Fault,
    /// True if nothing of the request was written.
    pub is_unsent: bool,
}

/// Sends the request on the connection that is `held`. The answer takes the connection with it, and the place of the request's
/// fields. Without an answer the request is as it was, but for a streamed body of which some was sent.
pub fn exchange<'a>(
    held: &'a mut Option<Box<Http1>>,
    request: &'a mut Request<Outgoing>,
    watching: Watching<'a>,
) -> Exchange<'a> {
    Exchange {
        held,
        request,
        watching,
        has_begun: false,
    }
}

impl Future for Exchange<'_> {
    type Output = Result<Response<HoldingBody>, NoAnswer>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let Some(connection) = this.held.as_mut() else {
            return Poll::Ready(Err(NoAnswer {
                fault: Fault::NoAnswer,
                is_unsent: true,
            }));
        };
        if !this.has_begun {
            this.has_begun = true;
            connection.begin(this.request);
        }
        let request = &mut *this.request;
        let fields = || {
            let mut fields = std::mem::take(request.headers_mut());
            fields.clear();
            fields
        };
        match ready!(connection.poll_answer(cx, &this.watching, fields)) {
            Ok(head) => {
                let body = this.held.take();
                let body = body.map_or(HoldingBody::Gone, HoldingBody::over);
                Poll::Ready(Ok(response(head, body)))
            }
            Err(fault) => {
                let is_unsent = connection.take_back(this.request);
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
