//! The file in the data directory: its lock, atomic creation, and renaming when damaged.

use super::database::{Opened as OpenDatabase, Opening};
use super::disk::Medium;
use super::{OnDamage, Opened};
use crate::{StoreError, WallTime};
use redb::StorageBackend;
use redb::backends::FileBackend;
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const FILE: &str = "objects.redb";
const UNFINISHED: &str = "objects.redb.new";
const LOCK: &str = "objects.lock";

/// The path of a database's file, also as text for messages.
#[derive(Debug, Clone)]
pub(super) struct DatabaseFile {
    path: PathBuf,
    place: String,
}

impl DatabaseFile {
    fn at(path: PathBuf) -> Self {
        let place = path.display().to_string();
        DatabaseFile { path, place }
    }
}

impl Medium for DatabaseFile {
    fn open(&self) -> io::Result<Arc<dyn StorageBackend>> {
        let file = OpenOptions::new().read(true).write(true).open(&self.path)?;
        let backend = FileBackend::new(file).map_err(io::Error::other)?;
        Ok(Arc::new(backend))
    }

    fn place(&self) -> &str {
        &self.place
    }
}

/// An exclusive lock on the data directory, released on drop. The engine locks its file too, but releases that lock
/// when the file is reopened or renamed.
#[derive(Debug)]
pub(super) struct DirectoryLock(File);

impl Drop for DirectoryLock {
    fn drop(&mut self) {
        // Closing the file is not enough: a process that another thread is just starting may hold a duplicate of the
        // handle for a moment, and the lock with it. An explicit unlock releases the lock in spite of duplicates. If it
        // fails, closing remains.
        let _ = self.0.unlock();
    }
}

/// Locks the directory, and opens or creates the database in it.
pub(super) fn open(
    directory: &Path,
    opening: Opening,
    on_damage: OnDamage,
    now: WallTime,
) -> Result<(DatabaseFile, DirectoryLock, OpenDatabase, Opened), StoreError> {
    std::fs::create_dir_all(directory)
        .map_err(|e| StoreError::io("creating", directory.display(), e))?;
    let lock = lock(directory)?;
    let file = DatabaseFile::at(directory.join(FILE));
    let there = file
        .path
        .try_exists()
        .map_err(|e| StoreError::io("looking for", file.place(), e))?;
    let opened = if there {
        match opening.open(&file) {
            Ok(database) => return Ok((file, lock, database, Opened::Existing)),
            Err(refusal) => match refusal.error {
                StoreError::Damaged { why, .. } if on_damage == OnDamage::SetAside => {
                    set_aside(directory, &file, why, now)?
                }
                other => return Err(other),
            },
        }
    } else {
        Opened::Fresh
    };
    create(directory, &file, opening)?;
    let database = opening.open(&file).map_err(|refusal| refusal.error)?;
    Ok((file, lock, database, opened))
}

fn lock(directory: &Path) -> Result<DirectoryLock, StoreError> {
    let path = directory.join(LOCK);
    let place = path.display().to_string();
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(|e| StoreError::io("opening", &place, e))?;
    match file.try_lock() {
        Ok(()) => Ok(DirectoryLock(file)),
        Err(TryLockError::WouldBlock) => Err(StoreError::Locked {
            place: directory.join(FILE).display().to_string(),
        }),
        Err(TryLockError::Error(error)) => Err(StoreError::io("locking", place, error)),
    }
}

/// Creates the database under a temporary name and renames it: the file under the final name is always complete, so an
/// empty or truncated one is damaged.
fn create(directory: &Path, file: &DatabaseFile, opening: Opening) -> Result<(), StoreError> {
    let unfinished = DatabaseFile::at(directory.join(UNFINISHED));
    File::create(&unfinished.path)
        .map_err(|e| StoreError::io("creating", unfinished.place(), e))?;
    opening.create(&unfinished)?;
    std::fs::rename(&unfinished.path, &file.path)
        .map_err(|e| StoreError::io("naming", file.place(), e))?;
    sync_directory(directory)
}

fn set_aside(
    directory: &Path,
    file: &DatabaseFile,
    why: String,
    now: WallTime,
) -> Result<Opened, StoreError> {
    let path = (now.0..)
        .map(|stamp| directory.join(format!("{FILE}.damaged-{stamp}")))
        .find(|path| !path.exists())
        .expect("fewer files than numbers");
    std::fs::rename(&file.path, &path).map_err(|e| StoreError::io("renaming", file.place(), e))?;
    sync_directory(directory)?;
    Ok(Opened::SetAside { path, why })
}

/// Makes a rename in the directory durable.
fn sync_directory(directory: &Path) -> Result<(), StoreError> {
    // Only Unix can open a directory; elsewhere renames are left to the file system.
    if cfg!(unix) {
        File::open(directory)
            .and_then(|opened| opened.sync_all())
            .map_err(|e| StoreError::io("syncing", directory.display(), e))?;
    }
    Ok(())
}
