//! A simulated disk for tests: it logs its changes, fails as planned, and loses power.

use super::access::Access;
use super::disk::Medium;
use super::fault::Stop;
use super::record::{Content, Record};
use super::rows::chunk_count;
use super::schema::{CHUNKS, COUNTS, EXPIRY, OBJECTS};
use super::{EmbeddedOptions, EmbeddedStore};
use crate::{ObjectStore, Pending, StoreError};
use redb::{ReadableTable, ReadableTableMetadata, StorageBackend};
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::io;
use std::sync::{Arc, Mutex};
use std::task::Poll;

/// One change of the disk's content.
#[derive(Debug, Clone)]
pub(super) enum DiskChange {
    Write(u64, Arc<[u8]>),
    SetLen(u64),
    Sync,
}

/// A kind of disk operation that can be made to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DiskCall {
    Read,
    Write,
    SetLen,
    Sync,
}

/// A plan of failures: `times` operations of these kinds fail, after `after` that succeed.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    pub(super) calls: Vec<DiskCall>,
    pub(super) after: u64,
    pub(super) times: u64,
    pub(super) kind: io::ErrorKind,
}

#[derive(Debug, Default)]
struct State {
    bytes: Vec<u8>,
    log: Vec<DiskChange>,
    failure: Option<Failure>,
    failed: u64,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Disk(Arc<Mutex<State>>);

impl Disk {
    pub(super) fn holding(bytes: Vec<u8>) -> Self {
        let disk = Disk::default();
        disk.0.lock().unwrap().bytes = bytes;
        disk
    }

    /// A disk with an empty database on it.
    pub(super) fn formatted(options: &EmbeddedOptions) -> Self {
        let disk = Disk::default();
        options.opening().create(&disk).unwrap();
        Disk::holding(disk.bytes())
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        self.0.lock().unwrap().bytes.clone()
    }

    pub(super) fn log(&self) -> Vec<DiskChange> {
        self.0.lock().unwrap().log.clone()
    }

    pub(super) fn log_len(&self) -> usize {
        self.0.lock().unwrap().log.len()
    }

    pub(super) fn fail(&self, failure: Failure) {
        let mut state = self.0.lock().unwrap();
        state.failure = Some(failure);
        state.failed = 0;
    }

    /// Ends the failures, and returns the number of failed operations.
    pub(super) fn heal(&self) -> u64 {
        let mut state = self.0.lock().unwrap();
        state.failure = None;
        state.failed
    }

    fn call(&self, call: DiskCall) -> io::Result<std::sync::MutexGuard<'_, State>> {
        let mut state = self.0.lock().unwrap();
        if let Some(failure) = &mut state.failure
            && failure.calls.contains(&call)
        {
            if failure.after > 0 {
                failure.after -= 1;
            } else if failure.times > 0 {
                failure.times -= 1;
                let kind = failure.kind;
                state.failed += 1;
                return Err(kind.into());
            }
        }
        Ok(state)
    }
}

pub(super) fn apply(image: &mut Vec<u8>, change: &DiskChange) {
    match change {
        DiskChange::Write(at, data) => {
            let at = *at as usize;
            if image.len() < at + data.len() {
                image.resize(at + data.len(), 0);
            }
            image[at..at + data.len()].copy_from_slice(data);
        }
        DiskChange::SetLen(len) => image.resize(*len as usize, 0),
        DiskChange::Sync => {}
    }
}

impl Medium for Disk {
    fn open(&self) -> io::Result<Arc<dyn StorageBackend>> {
        Ok(Arc::new(self.clone()))
    }

    fn place(&self) -> &str {
        "the simulated disk"
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.lock().unwrap().bytes.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.call(DiskCall::Read)?;
        let from = offset as usize;
        let there = state.bytes.get(from..from + out.len());
        out.copy_from_slice(there.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.call(DiskCall::SetLen)?;
        let change = DiskChange::SetLen(len);
        apply(&mut state.bytes, &change);
        state.log.push(change);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.call(DiskCall::Sync)?.log.push(DiskChange::Sync);
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut state = self.call(DiskCall::Write)?;
        let change = DiskChange::Write(offset, data.into());
        apply(&mut state.bytes, &change);
        state.log.push(change);
        Ok(())
    }
}

/// Opens a store over a disk, as after a restart of the process.
pub(super) fn open(disk: &Disk, options: &EmbeddedOptions) -> Result<EmbeddedStore, StoreError> {
    let opening = options.opening();
    let opened = opening.open(disk).map_err(|refusal| refusal.error)?;
    let access = Access::new(Box::new(disk.clone()), opening, opened);
    EmbeddedStore::start(access, options.clone(), None)
}

pub(super) fn wait<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread();
    { runtime }.build().unwrap().block_on(future)
}

/// Runs several futures concurrently, polled in this order.
pub(super) async fn together<T>(mut pending: Vec<Pending<'_, T>>) -> Vec<Result<T, StoreError>> {
    let mut answers: Vec<Option<Result<T, StoreError>>> = pending.iter().map(|_| None).collect();
    poll_fn(move |context| {
        for (one, answer) in pending.iter_mut().zip(&mut answers) {
            if answer.is_none()
                && let Poll::Ready(ready) = one.as_mut().poll(context)
            {
                *answer = Some(ready);
            }
        }
        if answers.iter().all(Option::is_some) {
            Poll::Ready(answers.iter_mut().filter_map(Option::take).collect())
        } else {
            Poll::Pending
        }
    })
    .await
}

/// All live objects of some partitions: value, media type and expiry by partition and key.
pub(super) type Contents = BTreeMap<(String, String), (Vec<u8>, String, Option<u64>)>;

pub(super) async fn contents(store: &dyn ObjectStore, partitions: &[&str]) -> Contents {
    let mut contents = Contents::new();
    for partition in partitions {
        for key in store.keys(partition, "", usize::MAX).await.unwrap() {
            let object = store.get(partition, &key).await.unwrap().unwrap();
            let end = object.expires_at.map(|end| end.0);
            contents.insert(
                ((*partition).to_owned(), key),
                (object.value.to_vec(), object.media_type, end),
            );
        }
    }
    contents
}

/// Asserts that counts, expiry entries and chunks agree with the objects.
pub(super) fn assert_tables_agree(store: &EmbeddedStore) {
    let check = |snapshot: &redb::ReadTransaction| -> Result<(), Stop> {
        let mut counts = BTreeMap::<String, u64>::new();
        let (mut ends, mut chunks) = (0, 0);
        let expiry = snapshot.open_table(EXPIRY)?;
        let pieces = snapshot.open_table(CHUNKS)?;
        for row in snapshot.open_table(OBJECTS)?.iter()? {
            let (at, bytes) = row?;
            let (partition, key) = at.value();
            *counts.entry(partition.to_owned()).or_default() += 1;
            let record = Record::decode(bytes.value()).unwrap();
            if let Some(end) = record.expires_at {
                assert!(
                    expiry.get((partition, end.0, key))?.is_some(),
                    "end of {key}"
                );
                ends += 1;
            }
            if let Content::Chunked { len } = record.content {
                for number in 0..chunk_count(len) {
                    assert!(pieces.get((record.version, number))?.is_some());
                    chunks += 1;
                }
            }
        }
        assert_eq!(expiry.len()?, ends, "ends without an object");
        assert_eq!(pieces.len()?, chunks, "chunks without an object");
        let mut noted = BTreeMap::new();
        for row in snapshot.open_table(COUNTS)?.iter()? {
            let (name, count) = row?;
            noted.insert(name.value().to_owned(), count.value());
        }
        assert_eq!(noted, counts);
        Ok(())
    };
    store.read(check).unwrap();
}

/// A small random number generator (xorshift64) with a seed, so that a failing run can be repeated.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn roll(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(super) fn below(&mut self, limit: u64) -> u64 {
        self.roll() % limit
    }
}
