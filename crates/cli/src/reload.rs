//! Reads the configuration again, on a signal or over the admin API; after an error the old one stays in use.

use std::sync::{Mutex, PoisonError};

use fusebox_admin::config::{Config, Loaded, ReloadError};
use fusebox_gateway::Gateway;
use fusebox_plan::Severity;
use fusebox_plan::plan::{Plan, Store};

use crate::args::RunArgs;
use crate::descriptors::Need;
use crate::files::{self, read_hashed};
use crate::printable::with_causes;

/// Reloads a gateway from the files of its start.
pub struct Reloader {
    gateway: Gateway,
    args: RunArgs,
    workers: usize,
    /// The number of descriptors that the process may have.
    allowed: Option<u64>,
    store_kind: &'static str,
    /// The SHA-256 of the files that run, in hexadecimal digits; held during a reload.
    hash: Mutex<String>,
}

impl Reloader {
    /// A reloader of the files in `args`, whose content had that hash at the start.
    pub fn new(
        gateway: Gateway,
        args: RunArgs,
        workers: usize,
        allowed: Option<u64>,
        store: &Store,
        hash: String,
    ) -> Reloader {
        Reloader {
            gateway,
            args,
            workers,
            allowed,
            store_kind: match store {
                Store::Memory => "memory",
                Store::Embedded { .. } => "embedded",
                Store::Valkey(_) => "valkey",
            },
            hash: Mutex::new(hash),
        }
    }

    /// Reads the files, and logs their diagnostics.
    fn read(&self) -> Result<(Plan, String), ReloadError> {
        let read = read_hashed(&self.args.files, &self.args.reading);
        let (reading, hash) = read.map_err(|error| {
            let error = with_causes(&error);
            tracing::error!("{error}");
            self.gateway.reload_failed();
            ReloadError::Failed(error)
        })?;
        for diagnostic in &reading.diagnostics {
            match diagnostic.severity {
                Severity::Error => tracing::error!("{diagnostic}"),
                Severity::Warning => tracing::warn!("{diagnostic}"),
            }
        }
        match reading.plan {
            Some(plan) => Ok((plan, hash)),
            None => {
                self.gateway.reload_refused(reading.diagnostics.clone());
                Err(ReloadError::Refused(reading.diagnostics))
            }
        }
    }
}

impl Config for Reloader {
    fn loaded(&self) -> Loaded {
        Loaded {
            file: files::names(&self.args.files),
            hash: self
                .hash
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone(),
        }
    }

    fn store_kind(&self) -> &'static str {
        self.store_kind
    }

    fn reload(&self) -> Result<Vec<String>, ReloadError> {
        let mut running = self.hash.lock().unwrap_or_else(PoisonError::into_inner);
        let (plan, hash) = self.read().inspect_err(|_| {
            tracing::error!("reload failed; the old plan stays in use");
        })?;
        let old = self.gateway.plan();
        for (what, changed) in [
            ("store", old.store != plan.store),
            ("fleet", old.fleet != plan.fleet),
            ("admin", old.admin != plan.admin),
        ] {
            if changed {
                tracing::warn!("`{what}` has changed, which takes effect at the next start");
            }
        }
        let need = Need::of(&plan, self.workers);
        let need = (need != Need::of(&old, self.workers)).then_some(need);
        let reloaded = self.gateway.reload(plan).map_err(|error| {
            tracing::error!(%error, "reload failed; the old plan stays in use");
            ReloadError::Failed(error.to_string())
        })?;
        if let Some(need) = need {
            need.compare(self.allowed);
        }
        for lost in &reloaded.lost {
            tracing::warn!("{lost}");
        }
        for shared in &reloaded.shared {
            tracing::info!("{shared}");
        }
        tracing::info!(changed = %reloaded.changes, "reloaded");
        *running = hash;
        Ok(reloaded.changes.names())
    }
}
