//! The file in the data directory: its lock, its creation in one step, and setting it aside.

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

/// A database's file.
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

/// The right to the data directory, held as long as this lives. The engine locks its file too, but
/// lets go of it when it is opened anew, or set aside.
#[derive(Debug)]
pub(super) struct DirectoryLock(File);

impl Drop for DirectoryLock {
    fn drop(&mut self) {
        // Closing the file is not enough: a process that another thread is just starting may hold
        // a copy of it for a moment, and the lock with it. Unlocking frees it whoever holds copies.
        // If that fails, closing is what is left.
        let _ = self.0.unlock();
    }
}

/// Takes the directory, and opens or creates the database in it.
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

/// Creates the database under another name first: a file under its own name is always whole, so
/// an empty or headless one can only be damage.
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
        .expect("there are more numbers than files");
    std::fs::rename(&file.path, &path)
        .map_err(|e| StoreError::io("setting aside", file.place(), e))?;
    sync_directory(directory)?;
    Ok(Opened::SetAside { path, why })
}

/// Makes a change of names durable.
fn sync_directory(directory: &Path) -> Result<(), StoreError> {
    // Only Unix can open a directory; elsewhere the file system is trusted with its names.
    if cfg!(unix) {
        File::open(directory)
            .and_then(|opened| opened.sync_all())
            .map_err(|e| StoreError::io("syncing", directory.display(), e))?;
    }
    Ok(())
}
