//! File descriptors: a gateway needs one for each connection, and shells give few.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the limit on open files as far as the system lets this process; says so where that is not far.
pub fn raise(wanted: u64) {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, "the limit on open files could not be raised");
    }
    match getrlimit(Resource::Nofile).current {
        Some(have) if have < wanted => tracing::warn!(
            have,
            wanted,
            "fewer open files are allowed than `limits.connections` may need; raise the limit (ulimit -n)"
        ),
        _ => {}
    }
}
