//! A client's connection as its requests see it.

use std::net::SocketAddr;
use std::sync::Arc;

use http::HeaderValue;

use crate::ground::connection_slots::ConnectionSlot;
use crate::ground::listen::ListenerKey;
use crate::message::fields::Origin;
use crate::message::interim::Interim;
use crate::message::phase::Phase;
use crate::request::worker::Worker;

/// The facts of a client's TLS session, where its listener has several certificates or asks clients for theirs.
#[derive(Debug)]
pub struct SessionFacts {
    /// The name that the client asked for (SNI), where the listener has several certificates.
    pub server_name: Option<Box<str>>,
    /// The subject of the client's certificate, where the listener asks for one; empty if the client has none.
    pub subject: Option<HeaderValue>,
}

/// A client's connection. A tunnel holds it until it ends.
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
    /// The connection's slot, at the listener and among all.
    pub slot: ConnectionSlot,
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
        }
    }
}

impl Drop for Downstream {
    fn drop(&mut self) {
        // Where the client left unnoticed, the note of the last exchange is still here.
        drop(self.phase.noted.take());
        self.worker.meter().connections_ended.add();
    }
}
