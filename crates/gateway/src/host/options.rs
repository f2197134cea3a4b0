//! The options of a gateway, and the errors of its start and reload.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use fusebox_store::StoreError;

use crate::app::AppBuilder;

/// The reason why a gateway could not start or take a new plan.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// A listener's address is not available.
    #[error("listener \"{name}\" cannot listen on {addr}: {error}{mend}")]
    Listen {
        /// The listener's name.
        name: Arc<str>,
        /// The listener's address.
        addr: SocketAddr,
        /// The system's error.
        error: io::Error,
        /// The remedy, as a part of the message.
        mend: &'static str,
    },
    /// The plan needs a resource that is not available.
    #[error("{0}")]
    Plan(String),
    /// The store cannot be read, so the breakers' state is not known.
    #[error("the breakers' state cannot be read: {0}")]
    Store(#[from] StoreError),
    /// The system refused a thread or a runtime.
    #[error("no worker can be started: {0}")]
    System(#[from] io::Error),
    /// The gateway is draining and takes no new plan.
    #[error("the gateway is draining")]
    Draining,
}

/// The options of a gateway beyond its plan.
#[derive(Debug, Clone)]
pub struct Options {
    /// Worker threads; the number of cores by default.
    pub workers: usize,
    /// The most client connections of all listeners together, whatever the plan allows: as many as the process has
    /// descriptors for. Beyond it a client gets 503. No bound by default.
    pub connections_max: usize,
    /// The builders of applications, one for each dialect that it can run; none by default.
    pub apps: Vec<Arc<dyn AppBuilder>>,
    /// Number of lines that the log of the process has lost, shown among the metrics.
    pub log_lines_dropped: Arc<AtomicU64>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            workers: std::thread::available_parallelism().map_or(1, usize::from),
            connections_max: usize::MAX,
            apps: Vec::new(),
            log_lines_dropped: Arc::default(),
        }
    }
}
