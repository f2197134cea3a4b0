//! Opens the database over a disk or an overlay, and explains engine errors.

use super::disk::{Medium, Overlay, SharedDisk, Watch, Watched};
use super::fault::{EngineFailure, Stop, guarded};
use super::schema::{self, FORMAT};
use crate::StoreError;
use redb::{Builder, Database, StorageBackend};
use std::io;
use std::sync::Arc;

/// Settings for opening the database.
#[derive(Debug, Clone, Copy)]
pub(super) struct Opening {
    pub(super) cache_bytes: usize,
    pub(super) verify: bool,
    pub(super) sync: bool,
}

/// An open database and its disk.
pub(super) struct Opened {
    // Declared before the disk, so that it is closed first.
    pub(super) database: Database,
    pub(super) disk: Arc<Watched>,
}

/// The error of a failed opening.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) error: StoreError,
    /// True if a sync failed during the opening, so that the disk's content cannot be trusted.
    pub(super) sync_failed: bool,
}

impl Opening {
    pub(super) fn open(self, medium: &dyn Medium) -> Result<Opened, Refusal> {
        self.over(medium, Ok)
    }

    /// Opens the database in the state of its last complete commit, without writing to the medium.
    pub(super) fn open_overlaid(self, medium: &dyn Medium) -> Result<Opened, Refusal> {
        self.over(medium, |disk| Ok(Arc::new(Overlay::over(disk)?)))
    }

    /// Creates an empty database on an empty medium.
    pub(super) fn create(self, medium: &dyn Medium) -> Result<(), StoreError> {
        let place = medium.place();
        let disk = self.watched(medium.open().map_err(|e| opening(place, e))?);
        let refused = |stop| explain(stop, "creating", place, &disk.watch);
        guarded(|| {
            let database = self
                .builder()
                .create_with_backend(SharedDisk(disk.clone()))?;
            schema::write(&database)?;
            database.close()?;
            Ok(())
        })
        .map_err(refused)?;
        disk.sync_now()
            .map_err(|e| StoreError::io("syncing", place, e))
    }

    fn over(
        self,
        medium: &dyn Medium,
        lay: impl FnOnce(Arc<dyn StorageBackend>) -> io::Result<Arc<dyn StorageBackend>>,
    ) -> Result<Opened, Refusal> {
        let place = medium.place();
        let unharmed = |error| Refusal {
            error,
            sync_failed: false,
        };
        let below = medium
            .open()
            .and_then(lay)
            .map_err(|e| unharmed(opening(place, e)))?;
        if below.len().map_err(|e| unharmed(opening(place, e)))? == 0 {
            return Err(unharmed(StoreError::damaged(place, "the file is empty")));
        }
        let disk = self.watched(below);
        let database = guarded(|| {
            let database = self
                .builder()
                .create_with_backend(SharedDisk(disk.clone()))?;
            match schema::format(&database)? {
                Some(FORMAT) => Ok(database),
                Some(found) if found > FORMAT => Err(StoreError::NewerFormat {
                    place: place.to_owned(),
                    found,
                    known: FORMAT,
                }
                .into()),
                Some(_) => Err(StoreError::damaged(place, "its format was never released").into()),
                None => Err(StoreError::damaged(place, "it is not an object store").into()),
            }
        })
        .map_err(|stop| Refusal {
            error: explain(stop, "opening", place, &disk.watch),
            sync_failed: disk.watch.sync_failed(),
        })?;
        Ok(Opened { database, disk })
    }

    fn builder(self) -> Builder {
        let mut builder = Builder::new();
        builder
            .set_cache_size(self.cache_bytes)
            .set_check_integrity_on_open(self.verify);
        builder
    }

    fn watched(self, disk: Arc<dyn StorageBackend>) -> Arc<Watched> {
        Arc::new(Watched {
            disk,
            watch: Arc::new(Watch::default()),
            sync: self.sync,
        })
    }
}

fn opening(place: &str, error: io::Error) -> StoreError {
    StoreError::io("opening", place, error)
}

/// Turns an interruption into the error for the caller.
pub(super) fn explain(stop: Stop, doing: &'static str, place: &str, watch: &Watch) -> StoreError {
    let failure = match stop {
        Stop::Refused(error) => return error,
        Stop::Broken(failure) => failure,
    };
    let place = place.to_owned();
    let damaged = |why: String| StoreError::damaged(&place, why);
    match failure {
        EngineFailure::Panic(message) => damaged(format!("the engine panicked on it ({message})")),
        EngineFailure::Error(error) => match *error {
            redb::Error::DatabaseAlreadyOpen | redb::Error::LockProtocolMismatch => {
                StoreError::Locked { place }
            }
            redb::Error::Io(error) if is_damage(&error) => damaged(error.to_string()),
            redb::Error::Io(error) => StoreError::io(doing, place, error),
            redb::Error::Corrupted(why) => damaged(why),
            redb::Error::UpgradeRequired(version) => damaged(format!(
                "it has version {version} of the engine's format, which this store never wrote"
            )),
            other => match watch.first_error() {
                Some(source) => StoreError::Io {
                    doing,
                    place,
                    source,
                },
                None => StoreError::not_available(format!(
                    "{doing} {place} failed ({other}); check the disk, then try again"
                )),
            },
        },
    }
}

/// True for a short or malformed file; other disk errors may be temporary.
fn is_damage(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof
    )
}
