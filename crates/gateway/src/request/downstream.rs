//! One client's connection, as its requests see it.

use std::net::SocketAddr;
use std::sync::Arc;

use http::HeaderValue;

use crate::ground::connection_slots::ConnectionSlot;
use crate::ground::listen::ListenerKey;
use crate::message::interim::Interim;
use crate::message::phase::Phase;
use crate::request::worker::Worker;

/// A client's connection, as its requests see it; a tunnel holds it until it ends.
#[derive(Debug)]
pub struct Downstream {
    /// The worker that serves it.
    pub worker: Arc<Worker>,
    /// The place of the listener that it came through.
    pub listener: ListenerKey,
    /// Who it is.
    pub peer: SocketAddr,
    /// The address that it came to.
    pub local: SocketAddr,
    /// The peer's IP address as text.
    pub peer_text: HeaderValue,
    /// What the connection waits for.
    pub phase: Arc<Phase>,
    /// `http`, or `https` where it came over TLS.
    pub scheme: &'static str,
    /// The interim answers to the request that is being served.
    pub interim: Arc<Interim>,
    /// Its place among those that the listener may have.
    pub slot: ConnectionSlot,
}

impl Drop for Downstream {
    fn drop(&mut self) {
        self.worker.meter().connections_ended.add();
    }
}
