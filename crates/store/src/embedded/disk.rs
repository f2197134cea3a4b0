//! The bytes below the engine: the medium, the errors seen there, and a copy-on-write overlay.

use redb::{BackendError, StorageBackend};
use std::collections::BTreeMap;
use std::io;
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// The medium that holds the database. It is opened at the start, and again after a fault.
pub(super) trait Medium: Send + Sync + 'static {
    /// Opens the bytes for reading and writing.
    fn open(&self) -> io::Result<Arc<dyn StorageBackend>>;
    /// The medium's name, for messages.
    fn place(&self) -> &str;
}

/// Errors seen on a disk.
#[derive(Debug, Default)]
pub(super) struct Watch {
    sync_failed: AtomicBool,
    first_error: Mutex<Option<Arc<io::Error>>>,
}

impl Watch {
    pub(super) fn sync_failed(&self) -> bool {
        self.sync_failed.load(Ordering::SeqCst)
    }

    pub(super) fn first_error(&self) -> Option<Arc<io::Error>> {
        self.first_error
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn note<T>(&self, result: io::Result<T>) -> io::Result<T> {
        result.inspect_err(|error| {
            let seen = Arc::new(io::Error::new(error.kind(), error.to_string()));
            self.first_error
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .get_or_insert(seen);
        })
    }
}

/// A disk that records its errors, and that can leave syncing to the operating system.
#[derive(Debug)]
pub(super) struct Watched {
    pub(super) disk: Arc<dyn StorageBackend>,
    pub(super) watch: Arc<Watch>,
    pub(super) sync: bool,
}

impl Watched {
    /// Syncs everything written so far, even if commits do not sync.
    pub(super) fn sync_now(&self) -> io::Result<()> {
        let result = self.watch.note(self.disk.sync_data());
        if result.is_err() {
            self.watch.sync_failed.store(true, Ordering::SeqCst);
        }
        result
    }
}

/// A handle for the engine, which wants to own its backend; the store keeps another to sync with.
#[derive(Debug)]
pub(super) struct SharedDisk(pub(super) Arc<Watched>);

/// Forwards the engine's locks to the disk below.
macro_rules! locks_of {
    ($self:ident => $below:expr) => {
        fn try_lock_range(&$self, from: Bound<u64>, to: Bound<u64>) -> Result<bool, BackendError> {
            $below.try_lock_range(from, to)
        }
        fn try_lock_shared_range(&$self, from: Bound<u64>, to: Bound<u64>) -> Result<bool, BackendError> {
            $below.try_lock_shared_range(from, to)
        }
        fn lock_range(&$self, from: Bound<u64>, to: Bound<u64>) -> Result<(), BackendError> {
            $below.lock_range(from, to)
        }
        fn lock_shared_range(&$self, from: Bound<u64>, to: Bound<u64>) -> Result<(), BackendError> {
            $below.lock_shared_range(from, to)
        }
        fn unlock_range(&$self, from: Bound<u64>, to: Bound<u64>) -> Result<(), BackendError> {
            $below.unlock_range(from, to)
        }
        fn query_lock_range(&$self, from: Bound<u64>, to: Bound<u64>) -> Result<bool, BackendError> {
            $below.query_lock_range(from, to)
        }
    };
}

impl StorageBackend for SharedDisk {
    fn len(&self) -> io::Result<u64> {
        self.0.watch.note(self.0.disk.len())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.watch.note(self.0.disk.read(offset, out))
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.watch.note(self.0.disk.set_len(len))
    }

    fn sync_data(&self) -> io::Result<()> {
        if self.0.sync {
            self.0.sync_now()
        } else {
            Ok(())
        }
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.watch.note(self.0.disk.write(offset, data))
    }

    fn close(&self) -> io::Result<()> {
        let synced = if self.0.sync || self.0.watch.first_error().is_some() {
            Ok(())
        } else {
            self.0.sync_now()
        };
        synced.and(self.0.disk.close())
    }

    locks_of!(self => self.0.disk);
}

const PAGE: u64 = 4096;

/// A copy-on-write layer over a disk that cannot be written. Writes stay in memory, so that the engine can recover its
/// last commit and reads continue.
#[derive(Debug)]
pub(super) struct Overlay {
    disk: Arc<dyn StorageBackend>,
    sheet: Mutex<Sheet>,
}

#[derive(Debug)]
struct Sheet {
    len: u64,
    /// Length of the disk's usable part; beyond it the overlay reads as zeros.
    disk_len: u64,
    pages: BTreeMap<u64, Vec<u8>>,
}

impl Overlay {
    pub(super) fn over(disk: Arc<dyn StorageBackend>) -> io::Result<Self> {
        let len = disk.len()?;
        Ok(Overlay {
            disk,
            sheet: Mutex::new(Sheet {
                len,
                disk_len: len,
                pages: BTreeMap::new(),
            }),
        })
    }

    fn page(&self, sheet: &Sheet, number: u64) -> io::Result<Vec<u8>> {
        if let Some(page) = sheet.pages.get(&number) {
            return Ok(page.clone());
        }
        let mut page = vec![0; PAGE as usize];
        let there = sheet.disk_len.saturating_sub(number * PAGE).min(PAGE);
        if there > 0 {
            self.disk.read(number * PAGE, &mut page[..there as usize])?;
        }
        Ok(page)
    }

    /// Splits a range at page boundaries: page number, offset in the page, range within the data.
    fn parts(
        offset: u64,
        len: usize,
    ) -> impl Iterator<Item = (u64, usize, std::ops::Range<usize>)> {
        let mut at = 0;
        std::iter::from_fn(move || {
            if at >= len {
                return None;
            }
            let (number, within) = ((offset + at as u64) / PAGE, (offset + at as u64) % PAGE);
            let take = (len - at).min((PAGE - within) as usize);
            at += take;
            Some((number, within as usize, at - take..at))
        })
    }
}

impl StorageBackend for Overlay {
    fn len(&self) -> io::Result<u64> {
        Ok(self
            .sheet
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .len)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let sheet = self.sheet.lock().unwrap_or_else(PoisonError::into_inner);
        if offset + out.len() as u64 > sheet.len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        for (number, within, part) in Self::parts(offset, out.len()) {
            let page = self.page(&sheet, number)?;
            let len = part.len();
            out[part].copy_from_slice(&page[within..within + len]);
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut sheet = self.sheet.lock().unwrap_or_else(PoisonError::into_inner);
        sheet.pages.retain(|number, _| number * PAGE < len);
        if let Some(page) = sheet.pages.get_mut(&(len / PAGE)) {
            page[(len % PAGE) as usize..].fill(0);
        }
        sheet.disk_len = sheet.disk_len.min(len);
        sheet.len = len;
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut sheet = self.sheet.lock().unwrap_or_else(PoisonError::into_inner);
        for (number, within, part) in Self::parts(offset, data.len()) {
            let mut page = self.page(&sheet, number)?;
            page[within..within + part.len()].copy_from_slice(&data[part]);
            sheet.pages.insert(number, page);
        }
        sheet.len = sheet.len.max(offset + data.len() as u64);
        Ok(())
    }

    fn close(&self) -> io::Result<()> {
        self.disk.close()
    }

    locks_of!(self => self.disk);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use redb::backends::InMemoryBackend;

    proptest! {
        #[test]
        fn an_overlay_reads_as_if_the_disk_had_been_written_and_leaves_it_alone(
            start in prop::collection::vec(any::<u8>(), 0..9000),
            steps in prop::collection::vec((0u64..12000, prop::option::of(prop::collection::vec(any::<u8>(), 1..5000))), 0..8),
        ) {
            let disk = Arc::new(InMemoryBackend::new());
            disk.set_len(start.len() as u64).unwrap();
            disk.write(0, &start).unwrap();
            let overlay = Overlay::over(disk.clone()).unwrap();
            let mut model = start.clone();
            for (at, step) in steps {
                match step {
                    Some(data) => {
                        let end = at as usize + data.len();
                        if end > model.len() {
                            model.resize(end, 0);
                            overlay.set_len(end as u64).unwrap();
                        }
                        model[at as usize..end].copy_from_slice(&data);
                        overlay.write(at, &data).unwrap();
                    }
                    None => {
                        model.resize(at as usize, 0);
                        overlay.set_len(at).unwrap();
                    }
                }
            }
            let mut read = vec![0; model.len()];
            overlay.read(0, &mut read).unwrap();
            prop_assert_eq!(read, model);
            let mut below = vec![0; start.len()];
            disk.read(0, &mut below).unwrap();
            prop_assert_eq!(below, start);
        }
    }
}
