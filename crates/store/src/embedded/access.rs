//! The way to the open database, for readers and the writer, and its repair after a fault.

use super::database::{Opened, Opening, Refusal, explain};
use super::disk::{Medium, Watched};
use super::fault::{Stop, guarded};
use crate::StoreError;
use redb::{Database, ReadTransaction, ReadableDatabase};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock};

/// The database, as it can be used now.
pub(super) struct Access {
    medium: Box<dyn Medium>,
    opening: Opening,
    // A std lock: held to write only while the database is opened anew, so readers never wait for
    // an ordinary commit.
    state: RwLock<State>,
    reads_broke: AtomicBool,
}

enum State {
    /// Reads and writes.
    Open(Opened),
    /// Reads only, over a sheet laid on the disk.
    ReadOnly { opened: Opened, why: Closed },
    /// Neither.
    Shut(Closed),
}

/// Why writes are refused.
#[derive(Debug, Clone)]
enum Closed {
    /// It may pass.
    ForNow(StoreError),
    /// It does not pass while this process runs.
    ForGood(StoreError),
}

impl Closed {
    fn error(&self) -> &StoreError {
        match self {
            Closed::ForNow(error) | Closed::ForGood(error) => error,
        }
    }
}

impl State {
    fn opened(&self) -> Result<&Opened, StoreError> {
        match self {
            State::Open(opened) | State::ReadOnly { opened, .. } => Ok(opened),
            State::Shut(why) => Err(why.error().clone()),
        }
    }
}

impl Access {
    pub(super) fn new(medium: Box<dyn Medium>, opening: Opening, opened: Opened) -> Self {
        Access {
            medium,
            opening,
            state: RwLock::new(State::Open(opened)),
            reads_broke: AtomicBool::new(false),
        }
    }

    pub(super) fn place(&self) -> &str {
        self.medium.place()
    }

    /// Reads from a snapshot of the last commit. The second answer says that the database must be
    /// mended, and that this is the first to notice.
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
            Err(Stop::Said(said)) => (Err(said), false),
            Err(broke) => {
                let first = !self.reads_broke.swap(true, Ordering::SeqCst);
                let error = explain(broke, "reading", self.place(), &opened.disk.watch);
                (Err(error), first)
            }
        }
    }

    /// Gives the writer the database and its disk. What breaks is explained, not yet mended.
    pub(super) fn write<T>(
        &self,
        work: impl FnOnce(&Database, &Watched) -> Result<T, Stop>,
    ) -> Result<T, StoreError> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        let Opened { database, disk } = match &*state {
            State::Open(opened) => opened,
            State::ReadOnly { why, .. } | State::Shut(why) => return Err(why.error().clone()),
        };
        guarded(|| work(database, disk))
            .map_err(|stop| explain(stop, "writing", self.place(), &disk.watch))
    }

    /// Whether writes can be tried, or mending could bring that about.
    pub(super) fn condition(&self) -> Condition {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        match &*state {
            State::Open(_) if !self.reads_broke.load(Ordering::SeqCst) => Condition::Well,
            State::Open(_) => Condition::Ill,
            State::ReadOnly { why, .. } | State::Shut(why) => match why {
                Closed::ForNow(_) => Condition::Ill,
                Closed::ForGood(error) => Condition::Lost(error.clone()),
            },
        }
    }

    /// Opens the database anew after a fault.
    ///
    /// After a failed write that is enough: the engine recovers its last commit. After a failed
    /// sync it would not be: the kernel may have dropped the pages and call them clean, so a later
    /// sync that succeeds proves nothing. Then the store only reads from here on.
    pub(super) fn mend(&self, fault: &StoreError) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        let mut distrust = match &*state {
            State::Open(opened) => opened.disk.watch.sync_failed(),
            State::ReadOnly { why, .. } | State::Shut(why) => matches!(why, Closed::ForGood(_)),
        };
        // The engine's own lock on the file must go before the file is opened again.
        let old = std::mem::replace(&mut *state, State::Shut(Closed::ForNow(fault.clone())));
        // A close that fails or panics says nothing new about a database that broke before.
        let _ = guarded(|| {
            drop(old);
            Ok(())
        });
        self.reads_broke.store(false, Ordering::SeqCst);
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
            Closed::ForGood(StoreError::ReadOnly {
                place: self.place().to_owned(),
                why: format!("the disk did not confirm a write ({cause})"),
            })
        } else {
            Closed::ForNow(cause)
        };
        *state = match self.opening.open_overlaid(&*self.medium) {
            Ok(opened) => State::ReadOnly { opened, why },
            Err(_) => State::Shut(why),
        };
    }
}

/// How the database is.
pub(super) enum Condition {
    Well,
    Ill,
    Lost(StoreError),
}
