//! The part of a request that is kept while it is on its way, so that it can be sent once more.
//!
//! A connection of HTTP/1 leaves the head where it was, so that only the body is kept. A stream takes the whole request.

use http::Request;

use crate::message::kept_body::Outgoing;
use crate::upstream::pool::Connection;

/// The part of a request that is kept so that it can be sent again.
#[derive(Debug)]
pub(super) enum KeptRequest {
    /// The whole request, which a shared connection takes.
    Request(Box<Request<Outgoing>>),
    /// The body: the head stays in its place.
    Body(Outgoing),
}

impl KeptRequest {
    /// The part that is needed after a connection; `None`: its body is a client's, which comes once.
    pub fn of(request: &Request<Outgoing>, connection: &Connection) -> Option<KeptRequest> {
        match connection.is_shared() {
            true => copy_of(request).map(|it| KeptRequest::Request(Box::new(it))),
            false => request.body().again().map(KeptRequest::Body),
        }
    }

    /// The request once more; `place` has what was left of it.
    pub fn request(self, place: &mut Option<Request<Outgoing>>) -> Option<Request<Outgoing>> {
        match self {
            KeptRequest::Request(request) => Some(*request),
            KeptRequest::Body(body) => place.take().map(|request| request.map(|_| body)),
        }
    }
}

/// A copy of the request; `None`: its body is a client's, which comes once.
fn copy_of(request: &Request<Outgoing>) -> Option<Request<Outgoing>> {
    let mut again = Request::new(request.body().again()?);
    *again.method_mut() = request.method().clone();
    *again.uri_mut() = request.uri().clone();
    again.headers_mut().clone_from(request.headers());
    Some(again)
}
