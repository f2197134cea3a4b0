//! A client's connection as its requests see it.

use std::net::SocketAddr;
use std::sync::Arc;

use http::HeaderValue;
use rustls_pki_types::CertificateDer;

use crate::ground::connection_slots::ConnectionSlot;
use crate::ground::listen::ListenerKey;
use crate::message::fields::{KnownElement, Origin};
use crate::message::interim::Interim;
use crate::message::phase::Phase;
use crate::request::worker::Worker;

/// The protocol that a client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.0 or 1.1: one request at a time on a connection.
    Http1,
    /// HTTP/2: each request is a stream of its own.
    Http2,
}

/// A client's TCP connection; counted as ended, and its slot free, when it is dropped.
#[derive(Debug)]
pub struct OpenConnection {
    worker: Arc<Worker>,
    /// The element of `Forwarded` for most of its requests.
    forwarded: KnownElement,
    /// The connection's slot, at the listener and among all.
    _slot: ConnectionSlot,
}

impl OpenConnection {
    /// A connection that a worker has accepted.
    pub fn new(worker: Arc<Worker>, slot: ConnectionSlot) -> Arc<OpenConnection> {
        Arc::new(OpenConnection {
            worker,
            forwarded: KnownElement::default(),
            _slot: slot,
        })
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.worker.meter().connections_ended.add();
    }
}

/// The facts of a client's TLS session, where its listener has several certificates or asks clients for theirs.
#[derive(Debug)]
pub struct SessionFacts {
    /// The name that the client asked for (SNI), where the listener has several certificates.
    pub server_name: Option<Box<str>>,
    /// The subject of the client's certificate, where the listener asks for one; empty if the client has none.
    pub subject: Option<HeaderValue>,
    /// The client's own certificate, where the listener asks for one and the client has one.
    pub certificate: Option<CertificateDer<'static>>,
}

/// A client's connection, or one stream of an HTTP/2 connection. A tunnel holds it until it ends.
#[derive(Debug)]
pub struct Downstream {
    /// The worker that serves the connection.
    pub worker: Arc<Worker>,
    pub listener: ListenerKey,
    /// The client's address.
    pub peer: SocketAddr,
    /// The local address that the client connected to.
    pub local: SocketAddr,
    /// The peer's IP address as text.
    pub peer_text: HeaderValue,
    /// The state of the connection, for its time limits.
    pub phase: Arc<Phase>,
    /// `http`, or `https` over TLS.
    pub scheme: &'static str,
    /// The facts of the TLS session that requests are judged by; `None`: the listener asks for none.
    pub session: Option<Arc<SessionFacts>>,
    /// The interim answers to the present request.
    pub interim: Arc<Interim>,
    /// The protocol that the client speaks.
    pub protocol: Protocol,
    /// The TCP connection, which the streams of an HTTP/2 connection share.
    pub open: Arc<OpenConnection>,
}

impl Downstream {
    /// The subject of the client's certificate, where the listener asks for one; empty if the client has none.
    pub fn client_subject(&self) -> Option<&HeaderValue> {
        self.session.as_ref()?.subject.as_ref()
    }

    /// The facts about the connection that forwarded fields are made of; `trusted`: the peer's own fields are believed.
    pub fn origin(&self, trusted: bool) -> Origin<'_> {
        Origin {
            peer: self.peer.ip().to_canonical(),
            peer_text: &self.peer_text,
            trusted,
            scheme: self.scheme,
            via: match self.protocol {
                Protocol::Http1 => "1.1 fusebox",
                Protocol::Http2 => "2 fusebox",
            },
            known: &self.open.forwarded,
        }
    }
}

impl Drop for Downstream {
    fn drop(&mut self) {
        // Where the client left unnoticed, the note of the last exchange is still here.
        drop(self.phase.noted.take());
    }
}
