//! The writer thread: it batches waiting writes, commits them together and answers each; refreshes go along.

use super::access::{Access, Health};
use super::fault::Stop;
use super::refreshes::{Refreshes, Touches, WRITTEN_AFTER};
use super::rows;
use super::tables::Tables;
use crate::clock::Stopwatch;
use crate::{Clock, Limits, StoreError, WallTime};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::oneshot;

/// The most writes in a batch.
const BATCH_MAX: usize = 100;
/// The time after which a batch takes no more writes. A batch never waits for further writes: the next one fills up
/// while this one is written to disk.
const BATCH_TIME_MAX: Duration = Duration::from_millis(5);

/// A write that is waiting for its commit.
trait Job: Send {
    /// Size of the values it holds, in bytes.
    fn bytes(&self) -> usize;
    /// The objects that it may change.
    fn touches(&self) -> &Touches;
    /// Applies the write inside the batch's transaction.
    fn apply(&mut self, tables: &mut Tables<'_>) -> Result<(), Stop>;
    /// Answers the caller once the transaction is durable or lost.
    fn settle(self: Box<Self>, committed: Result<(), StoreError>);
}

/// A message to the writer.
enum Message {
    Job(Box<dyn Job>),
    /// There are refreshes to write.
    Refreshed,
}

struct Write<F, T> {
    bytes: usize,
    touches: Touches,
    work: Option<F>,
    answer: Option<Result<T, StoreError>>,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<F, T> Job for Write<F, T>
where
    F: FnOnce(&mut Tables<'_>) -> Result<T, Stop> + Send,
    T: Send,
{
    fn bytes(&self) -> usize {
        self.bytes
    }

    fn touches(&self) -> &Touches {
        &self.touches
    }

    fn apply(&mut self, tables: &mut Tables<'_>) -> Result<(), Stop> {
        let Some(work) = self.work.take() else {
            return Ok(());
        };
        self.answer = Some(match work(tables) {
            Ok(answer) => Ok(answer),
            Err(Stop::Refused(error)) => Err(error),
            Err(broken) => return Err(broken),
        });
        Ok(())
    }

    fn settle(self: Box<Self>, committed: Result<(), StoreError>) {
        let answer = match committed {
            Ok(()) => self.answer.unwrap_or_else(|| Err(stopped())),
            Err(error) => Err(error),
        };
        // A caller that gave up needs no answer.
        let _ = self.reply.send(answer);
    }
}

/// The sending end of the queue, and the writer's thread.
pub(super) struct Queue {
    jobs: Option<mpsc::Sender<Message>>,
    waiting: Arc<Waiting>,
    refreshes: Arc<Refreshes>,
    thread: Option<JoinHandle<()>>,
    writes_max: usize,
    bytes_max: usize,
}

#[derive(Default)]
struct Waiting {
    writes: AtomicUsize,
    bytes: AtomicUsize,
}

impl Queue {
    /// Starts the writer thread.
    pub(super) fn start(
        access: Arc<Access>,
        refreshes: Arc<Refreshes>,
        clock: Arc<dyn Clock>,
        limits: &Limits,
        retry_after: Duration,
    ) -> Result<Self, StoreError> {
        let (jobs, receiver) = mpsc::channel();
        let waiting = Arc::new(Waiting::default());
        let writer = Writer {
            access,
            clock,
            retry_after,
            jobs: receiver,
            waiting: waiting.clone(),
            refreshes: refreshes.clone(),
            refreshed: None,
            pause: None,
        };
        let thread = std::thread::Builder::new()
            .name("fusebox-store".to_owned())
            .spawn(move || writer.run())
            .map_err(|e| StoreError::io("starting the writer of", "the object store", e))?;
        Ok(Queue {
            jobs: Some(jobs),
            waiting,
            refreshes,
            thread: Some(thread),
            writes_max: limits.waiting_writes_max,
            bytes_max: limits.waiting_bytes_max,
        })
    }

    /// Runs some work in the next batch, and returns its result once it is durable.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        bytes: usize,
        touches: Touches,
        work: impl FnOnce(&mut Tables<'_>) -> Result<T, Stop> + Send + 'static,
    ) -> Result<T, StoreError> {
        let answer = self.submit(bytes, touches, work)?;
        answer.await.unwrap_or_else(|_| Err(stopped()))
    }

    /// Queues work for the next batch without waiting for it.
    pub(super) fn submit<T: Send + 'static>(
        &self,
        bytes: usize,
        touches: Touches,
        work: impl FnOnce(&mut Tables<'_>) -> Result<T, Stop> + Send + 'static,
    ) -> Result<oneshot::Receiver<Result<T, StoreError>>, StoreError> {
        let Waiting {
            writes,
            bytes: held,
        } = &*self.waiting;
        let (before, held_before) = (
            writes.fetch_add(1, Ordering::SeqCst),
            held.fetch_add(bytes, Ordering::SeqCst),
        );
        let (reply, answer) = oneshot::channel();
        let full = before >= self.writes_max
            || (held_before > 0 && held_before.saturating_add(bytes) > self.bytes_max);
        let refusal = if full {
            StoreError::Busy {
                writes: before,
                bytes: held_before,
            }
        } else {
            self.refreshes.begin(&touches);
            let job = Message::Job(Box::new(Write {
                bytes,
                touches,
                work: Some(work),
                answer: None,
                reply,
            }));
            match self.jobs.as_ref().map(|jobs| jobs.send(job)) {
                Some(Ok(())) => return Ok(answer),
                Some(Err(mpsc::SendError(Message::Job(job)))) => {
                    self.refreshes.cancel(job.touches());
                    stopped()
                }
                _ => stopped(),
            }
        };
        writes.fetch_sub(1, Ordering::SeqCst);
        held.fetch_sub(bytes, Ordering::SeqCst);
        Err(refusal)
    }

    /// Sends the writer word of refreshes to write.
    pub(super) fn tell(&self) {
        // A writer that has stopped writes nothing, and every other write fails.
        let _ = self.jobs.as_ref().map(|jobs| jobs.send(Message::Refreshed));
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        // The writer ends once the queue is closed and empty.
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // Panics inside a batch are caught; any other panic has no caller left to notify.
            let _ = thread.join();
        }
    }
}

fn stopped() -> StoreError {
    StoreError::not_available("its writer thread has stopped; restart the process")
}

struct Writer {
    access: Arc<Access>,
    clock: Arc<dyn Clock>,
    retry_after: Duration,
    jobs: mpsc::Receiver<Message>,
    waiting: Arc<Waiting>,
    refreshes: Arc<Refreshes>,
    /// Running since the first refresh that is to be written.
    refreshed: Option<Refreshed>,
    pause: Option<Pause>,
}

/// The time at which refreshes are to be written.
struct Refreshed {
    since: Stopwatch,
    after: Duration,
}

impl Refreshed {
    fn new(after: Duration) -> Self {
        let since = Stopwatch::start();
        Refreshed { since, after }
    }

    /// The time that is left until then.
    fn rest(&self) -> Duration {
        self.after.saturating_sub(self.since.elapsed())
    }
}

/// A pause after a fault, so that a failing disk is not recovered for every write.
struct Pause {
    since: WallTime,
    fault: StoreError,
}

impl Writer {
    fn run(mut self) {
        loop {
            let heard = match self.refreshed.as_ref().map(Refreshed::rest) {
                None => self
                    .jobs
                    .recv()
                    .map_err(|_| mpsc::RecvTimeoutError::Disconnected),
                Some(rest) => self.jobs.recv_timeout(rest),
            };
            match heard {
                Ok(Message::Refreshed) => self.note_refreshed(),
                Ok(Message::Job(first)) => {
                    self.dequeued(&*first);
                    self.serve(vec![first]);
                }
                Err(mpsc::RecvTimeoutError::Timeout) => self.serve(Vec::new()),
                Err(mpsc::RecvTimeoutError::Disconnected) => return self.close(),
            }
        }
    }

    fn note_refreshed(&mut self) {
        self.refreshed
            .get_or_insert_with(|| Refreshed::new(WRITTEN_AFTER));
    }

    /// Commits the jobs of a batch, if possible, with the refreshes that are due, and answers each.
    fn serve(&mut self, mut batch: Vec<Box<dyn Job>>) {
        let committed = self.ready().and_then(|()| {
            let committed = self.commit(&mut batch);
            match &committed {
                Ok(()) => self.pause = None,
                Err(fault) => self.recover(fault),
            }
            committed
        });
        if committed.is_err() {
            let touched = batch.iter().map(|job| job.touches());
            self.refreshes.failed(touched, |partition, key| {
                let read = |snapshot: &_| rows::version(snapshot, partition, key);
                self.access.read(read).0.ok().flatten()
            });
            if self.refreshed.is_some() {
                self.refreshed = Some(Refreshed::new(self.retry_after));
            }
        }
        for job in batch {
            job.settle(committed.clone());
        }
    }

    /// Writes what was acknowledged and is not on disk, and the exact last version.
    fn close(&mut self) {
        // There is no later: a disk that failed a moment ago is tried once more.
        self.pause = None;
        let Ok(()) = self.ready() else { return };
        while self.refreshed.is_some() {
            self.refreshed = Some(Refreshed::new(Duration::ZERO));
            if self.commit(&mut Vec::new()).is_err() {
                return;
            }
        }
        if let Some(last_version) = self.refreshes.last_mark() {
            // No caller waits for it; without it, versions are skipped.
            let _ = self.access.write(|database, _| {
                let transaction = database.begin_write()?;
                Tables::open(&transaction, &self.refreshes)?.note_last_version(last_version)?;
                transaction.commit()?;
                Ok(())
            });
        }
    }

    fn dequeued(&self, job: &dyn Job) {
        self.waiting.writes.fetch_sub(1, Ordering::SeqCst);
        self.waiting.bytes.fetch_sub(job.bytes(), Ordering::SeqCst);
    }

    /// Commits the batch, including the writes that arrive while it is being applied.
    fn commit(&mut self, batch: &mut Vec<Box<dyn Job>>) -> Result<(), StoreError> {
        let stopwatch = Stopwatch::start();
        let is_due = |refreshed: &Refreshed| refreshed.rest() == Duration::ZERO;
        let due = self.refreshed.as_ref().is_some_and(is_due);
        let due = due.then(|| self.refreshes.due());
        let more = due.as_ref().is_some_and(|due| due.more);
        let was_due = due.is_some();
        let mut taken = due.map(|due| due.refreshes).unwrap_or_default();
        let mut was_told = false;
        let mark = self.access.write(|database, disk| {
            let transaction = database.begin_write()?;
            let mut tables = Tables::open(&transaction, &self.refreshes)?;
            for refresh in &taken {
                tables.refresh(refresh)?;
            }
            let mut next = 0;
            while let Some(job) = batch.get_mut(next) {
                for refresh in self.refreshes.before(job.touches()) {
                    tables.refresh(&refresh)?;
                    taken.push(refresh);
                }
                job.apply(&mut tables)?;
                next += 1;
                while next == batch.len()
                    && next < BATCH_MAX
                    && stopwatch.elapsed() < BATCH_TIME_MAX
                    && let Ok(message) = self.jobs.try_recv()
                {
                    match message {
                        Message::Refreshed => was_told = true,
                        Message::Job(job) => {
                            self.dequeued(&*job);
                            batch.push(job);
                        }
                    }
                }
            }
            let wants_sync = tables.wants_sync();
            let mark = tables.finish()?;
            match mark {
                Some(_) => transaction.commit()?,
                None => transaction.abort()?,
            }
            if wants_sync && !disk.sync {
                disk.sync_now().map_err(redb::StorageError::Io)?;
            }
            Ok(mark)
        });
        if was_due && mark.is_ok() {
            self.refreshed = more.then(|| Refreshed::new(Duration::ZERO));
        }
        if was_told {
            self.note_refreshed();
        }
        let touched = batch.iter().map(|job| job.touches());
        self.refreshes.committed(&taken, mark?, touched);
        Ok(())
    }

    /// Returns an error if no batch may be tried now.
    fn ready(&mut self) -> Result<(), StoreError> {
        let health = self.access.health();
        if let Health::Failed(error) = health {
            return Err(error);
        }
        let now = self.clock.now();
        if let Some(Pause { since, fault }) = &self.pause {
            // Measured as a distance, so that a clock jump in either direction can end the pause early but never
            // prolong it.
            if u128::from(now.0.abs_diff(since.0)) < self.retry_after.as_millis() {
                return Err(StoreError::not_available(format!(
                    "writes pause for {:?} after a fault: {fault}",
                    self.retry_after
                )));
            }
        }
        if let Health::Broken = health {
            let fault = match self.pause.take() {
                Some(pause) => pause.fault,
                None => StoreError::not_available("a read failed; check the disk"),
            };
            self.recover(&fault);
            if let Health::Broken = self.access.health() {
                return Err(fault);
            }
        }
        Ok(())
    }

    fn recover(&mut self, fault: &StoreError) {
        self.access.recover(fault);
        self.pause = Some(Pause {
            since: self.clock.now(),
            fault: fault.clone(),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::super::refreshes::Touches;
    use super::super::simulated::{Disk, DiskChange, open, together, wait};
    use crate::{EmbeddedOptions, Limits, ObjectStore, StoreError};
    use std::sync::mpsc;

    #[test]
    fn writes_that_wait_together_are_committed_together() {
        let options = EmbeddedOptions::default();
        let disk = Disk::formatted(&options);
        let store = open(&disk, &options).unwrap();
        let syncs = || {
            let log = disk.log();
            let syncs = log
                .iter()
                .filter(|change| matches!(change, DiskChange::Sync));
            syncs.count()
        };
        let (release, held) = mpsc::channel::<()>();
        let holding = store.queue.submit(0, Touches::Nothing, move |_| {
            let _ = held.recv();
            Ok(())
        });
        let before = syncs();
        let keys: Vec<String> = (0..250).map(|n| n.to_string()).collect();
        let mut writes: Vec<_> = keys
            .iter()
            .map(|key| store.increment("p", key, 1, None))
            .collect();
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        for write in &mut writes {
            assert!(write.as_mut().poll(&mut context).is_pending());
        }
        drop(release);
        wait(holding.unwrap()).unwrap().unwrap();
        assert!(wait(together(writes)).iter().all(Result::is_ok));
        let spent = syncs() - before;
        assert!(spent <= 125, "{spent} syncs for 250 writes");
    }

    #[test]
    fn a_full_queue_rejects_a_write_at_once() {
        let options = EmbeddedOptions {
            limits: Limits {
                waiting_writes_max: 0,
                ..Limits::default()
            },
            ..EmbeddedOptions::default()
        };
        let store = open(&Disk::formatted(&options), &options).unwrap();
        let answer = wait(store.increment("p", "n", 1, None));
        assert!(matches!(answer, Err(StoreError::Busy { .. })), "{answer:?}");
        assert!(wait(store.get("p", "n")).unwrap().is_none());
    }
}
