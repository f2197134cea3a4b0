//! The settings of an upstream's last good answers.

use http::HeaderName;

/// The settings of the store of one upstream's last good answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The longest body that is kept, in bytes. Default 1 MiB.
    pub max_body: usize,
    /// Bytes kept in memory, heads and bookkeeping included. Default 64 MiB; 0 keeps nothing in memory.
    pub memory: u64,
    /// Bytes kept in the store on disk. Default 256 MiB; 0 keeps nothing on disk.
    pub disk: u64,
    /// The request fields to whose values an entry is private. Default: none, and a request with `Authorization` or
    /// `Cookie` is neither kept nor served.
    pub key: Vec<HeaderName>,
    /// True if answers that forbid to be served stale are not. Default true.
    pub obey: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            max_body: 1 << 20,
            memory: 64 << 20,
            disk: 256 << 20,
            key: Vec::new(),
            obey: true,
        }
    }
}
