//! One request of a client's connection, between hyper and the exchange: the notes to make before hyper reads on, and
//! the connection's additions to the answer.

use std::convert::Infallible;
use std::sync::Arc;

use http::header::CONNECTION;
use http::{HeaderValue, Request, Response, StatusCode, Version};
use http_body::Body as _;
use hyper::body::Incoming;

use crate::downstream::dispatch;
use crate::downstream::unframed;
use crate::ground::closing::Closing;
use crate::live::shared::Shared;
use crate::message::body::Body;
use crate::message::field_kinds::FieldKinds;
use crate::message::heads::BodyNote;
use crate::message::validate;
use crate::request::downstream::Downstream;
use crate::request::exchange::Finish;
use crate::request::noted_body;
use crate::request::target;

const CLOSE: HeaderValue = HeaderValue::from_static("close");

/// A client's connection as a service that hyper calls.
#[derive(Debug)]
pub struct Serving {
    /// The state shared by all workers.
    pub shared: Arc<Shared>,
    /// The client's connection.
    pub downstream: Arc<Downstream>,
    /// The closing signal of its listener.
    pub closing: Arc<Closing>,
    /// The note to the socket about the body that follows.
    pub body_note: Arc<BodyNote>,
}

/// The data noted when a request arrives.
#[derive(Debug)]
pub struct Arrived {
    finish: Finish,
    fields: FieldKinds,
    length: Option<u64>,
    asks_to_switch: bool,
    /// True for HTTP/1.0, where an answer of unknown length ends with its connection.
    is_old: bool,
}

impl Serving {
    /// Notes a request that hyper has just read: the connection is busy from here on, and the socket knows which body
    /// follows.
    // Kept out of the caller, which hyper inlines: the future of a request is then built in its final place.
    #[inline(never)]
    pub fn arrive(&self, request: &mut Request<Incoming>) -> Arrived {
        let length = request.body().size_hint().exact();
        let fields = FieldKinds::of_request(request.headers());
        let asks_to_switch = fields.has(FieldKinds::UPGRADE) && validate::upgrade_asked(request);
        if asks_to_switch {
            self.body_note.upgrade();
        } else {
            self.body_note.body(length);
        }
        target::restore_raw(request);
        let has_interim = request.version() == Version::HTTP_11;
        self.downstream.interim.begin(has_interim);
        Arrived {
            finish: Finish::begin(&self.downstream, request),
            fields,
            length,
            asks_to_switch,
            is_old: !has_interim,
        }
    }

    /// Answers a request that has arrived.
    ///
    /// # Errors
    /// None: every failure has an answer.
    pub async fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
        arrived: Arrived,
    ) -> Result<Response<Body>, Infallible> {
        let downstream = &self.downstream;
        let (found, finish) = (arrived.fields, arrived.finish);
        let response = dispatch::serve(
            &self.shared,
            downstream.clone(),
            request,
            found,
            Ok(()),
            finish,
        );
        let mut response = response.await;
        downstream.interim.end().await;
        let switches = response.status() == StatusCode::SWITCHING_PROTOCOLS;
        if arrived.asks_to_switch && switches {
            self.body_note.tunnel();
        } else if arrived.asks_to_switch {
            self.body_note.no_upgrade(arrived.length);
        }
        // A client that knows sends no further request into a connection that ends.
        let ends = self.closing.has_begun() || downstream.phase.has_left();
        if ends && !switches {
            response.headers_mut().insert(CONNECTION, CLOSE);
        }
        let response = noted_body::watched(&downstream.phase.noted, response);
        Ok(match arrived.is_old {
            true => unframed::watched(&downstream.phase, response),
            false => response,
        })
    }
}
