//! Shared access to the open database for readers and the writer, and recovery after a fault.

use super::database::{Opened, Opening, Refusal, explain};
use super::disk::{Medium, Watched};
use super::fault::{Stop, guarded};
use crate::StoreError;
use redb::{Database, ReadTransaction, ReadableDatabase};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock};

/// The database in its current state, and the means to reopen it.
pub(super) struct Access {
    medium: Box<dyn Medium>,
    opening: Opening,
    // A std lock: write-locked only while the database is reopened, so that readers never wait for an ordinary commit.
    state: RwLock<State>,
    read_failed: AtomicBool,
}

enum State {
    /// Open for reads and writes.
    Open(Opened),
    /// Open for reads only, through an overlay on the disk.
    ReadOnly { opened: Opened, why: Outage },
    /// Closed to reads and writes.
    Closed(Outage),
}

/// The error returned for every write, and its permanence.
#[derive(Debug, Clone)]
enum Outage {
    /// A later attempt may succeed.
    Temporary(StoreError),
    /// No write succeeds until the process restarts.
    Permanent(StoreError),
}

impl Outage {
    fn error(&self) -> &StoreError {
        match self {
            Outage::Temporary(error) | Outage::Permanent(error) => error,
        }
    }
}

impl State {
    fn opened(&self) -> Result<&Opened, StoreError> {
        match self {
            State::Open(opened) | State::ReadOnly { opened, .. } => Ok(opened),
            State::Closed(why) => Err(why.error().clone()),
        }
    }
}

impl Access {
    pub(super) fn new(medium: Box<dyn Medium>, opening: Opening, opened: Opened) -> Self {
        Access {
            medium,
            opening,
            state: RwLock::new(State::Open(opened)),
            read_failed: AtomicBool::new(false),
        }
    }

    pub(super) fn place(&self) -> &str {
        self.medium.place()
    }

    /// Reads from a snapshot of the last commit. The flag is true for the first read that finds the database broken;
    /// its caller must wake the writer for a recovery.
    pub(super) fn read<T>(
        &self,
        work: impl FnOnce(&ReadTransaction) -> Result<T, Stop>,
    ) -> (Result<T, StoreError>, bool) {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        let opened = match state.opened() {
            Ok(opened) => opened,
            Err(error) => return (Err(error), false),
        };
        match guarded(|| work(&opened.database.begin_read()?)) {
            Ok(answer) => (Ok(answer), false),
            Err(Stop::Refused(error)) => (Err(error), false),
            Err(stop) => {
                let first = !self.read_failed.swap(true, Ordering::SeqCst);
                let error = explain(stop, "reading", self.place(), &opened.disk.watch);
                (Err(error), first)
            }
        }
    }

    /// Lends the writer the database and its disk. A failure is explained but not recovered from here.
    pub(super) fn write<T>(
        &self,
        work: impl FnOnce(&Database, &Watched) -> Result<T, Stop>,
    ) -> Result<T, StoreError> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        let Opened { database, disk } = match &*state {
            State::Open(opened) => opened,
            State::ReadOnly { why, .. } | State::Closed(why) => return Err(why.error().clone()),
        };
        guarded(|| work(database, disk))
            .map_err(|stop| explain(stop, "writing", self.place(), &disk.watch))
    }

    /// The health of the database, as far as writes are concerned.
    pub(super) fn health(&self) -> Health {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        match &*state {
            State::Open(_) if !self.read_failed.load(Ordering::SeqCst) => Health::Healthy,
            State::Open(_) => Health::Broken,
            State::ReadOnly { why, .. } | State::Closed(why) => match why {
                Outage::Temporary(_) => Health::Broken,
                Outage::Permanent(error) => Health::Failed(error.clone()),
            },
        }
    }

    /// Reopens the database after a fault.
    ///
    /// After a failed write that is enough: the engine recovers its last commit. After a failed sync it is not: the
    /// kernel may have dropped the pages and marked them clean, so a later successful sync proves nothing. The store
    /// then becomes read-only.
    pub(super) fn recover(&self, fault: &StoreError) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        let mut distrust = match &*state {
            State::Open(opened) => opened.disk.watch.sync_failed(),
            State::ReadOnly { why, .. } | State::Closed(why) => matches!(why, Outage::Permanent(_)),
        };
        // The engine's own lock on the file must be released before the file is opened again.
        let old = std::mem::replace(&mut *state, State::Closed(Outage::Temporary(fault.clone())));
        // A failing or panicking close says nothing new about a broken database.
        let _ = guarded(|| {
            drop(old);
            Ok(())
        });
        self.read_failed.store(false, Ordering::SeqCst);
        let mut cause = fault.clone();
        if !distrust {
            match self.opening.open(&*self.medium) {
                Ok(opened) => {
                    *state = State::Open(opened);
                    return;
                }
                Err(Refusal { error, sync_failed }) => {
                    distrust = sync_failed;
                    cause = error;
                }
            }
        }
        let why = if distrust {
            Outage::Permanent(StoreError::ReadOnly {
                place: self.place().to_owned(),
                why: format!("the disk did not confirm a write ({cause})"),
            })
        } else {
            Outage::Temporary(cause)
        };
        *state = match self.opening.open_overlaid(&*self.medium) {
            Ok(opened) => State::ReadOnly { opened, why },
            Err(_) => State::Closed(why),
        };
    }
}

/// The health of the database, for the writer.
pub(super) enum Health {
    /// Writes can be tried.
    Healthy,
    /// Writes fail until the database is recovered.
    Broken,
    /// Writes fail with this error until the process restarts.
    Failed(StoreError),
}
