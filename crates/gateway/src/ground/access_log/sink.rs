//! The way of lines to their target: a bounded buffer for each worker, and one thread that empties them.
//!
//! A worker holds its buffer's lock while it writes a line into it; the thread holds it only to take the whole buffer
//! away. So neither waits for the other, and a target that blocks the thread blocks no request.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::Thread;
use std::time::Duration;

use crossbeam_utils::CachePadded;
use fusebox_plan::access_log::LogTarget;
use parking_lot::Mutex;

use crate::ground::access_log::target::Target;

/// The most bytes of one worker's lines that wait for the thread. The thread holds as many again.
pub const BUFFER_MAX: usize = 4 << 20;

/// A buffer that has grown beyond this many bytes is given back to the system once it is empty.
const KEPT: usize = 256 << 10;

/// The time for which lines are gathered before they are written together.
const GATHERED_FOR: Duration = Duration::from_millis(5);

/// The lines of one worker that the thread has not taken yet.
#[derive(Debug, Default)]
struct Buffer {
    bytes: Vec<u8>,
    lines: u64,
}

/// The buffers of all workers, and the thread that empties them. The thread ends, once all is written, with the last
/// handle.
#[derive(Debug)]
pub struct Sink {
    shared: Arc<Shared>,
    thread: Thread,
}

#[derive(Debug)]
struct Shared {
    buffers: Box<[CachePadded<Mutex<Buffer>>]>,
    /// True if a line has come since the thread last looked.
    is_awaited: AtomicBool,
    /// True to open the target's file anew.
    reopens: AtomicBool,
    has_file: bool,
    /// True once no more lines come.
    ends: AtomicBool,
    /// Number of lines taken from workers, and of those that the thread is done with.
    pushed: AtomicU64,
    done: AtomicU64,
    /// Number of writes so far.
    progress: AtomicU64,
    dropped: Arc<AtomicU64>,
}

impl Sink {
    /// Opens the target and starts the thread.
    ///
    /// # Errors
    /// The target's error, or the thread's.
    pub fn start(to: &LogTarget, workers: usize, dropped: Arc<AtomicU64>) -> io::Result<Arc<Sink>> {
        let target = Target::open(to)?;
        // One more for the tasks beside the workers.
        let buffers = (0..=workers).map(|_| CachePadded::default());
        let shared = Arc::new(Shared {
            buffers: buffers.collect(),
            is_awaited: AtomicBool::new(false),
            reopens: AtomicBool::new(false),
            has_file: target.is_file(),
            ends: AtomicBool::new(false),
            pushed: AtomicU64::new(0),
            done: AtomicU64::new(0),
            progress: AtomicU64::new(0),
            dropped,
        });
        let writer = Writer {
            shared: shared.clone(),
            target,
            spare: Buffer::default(),
            is_failing: false,
            reported: 0,
            seen: 0,
        };
        let thread = std::thread::Builder::new()
            .name("fusebox-access".into())
            .spawn(move || writer.run())?;
        let thread = thread.thread().clone();
        Ok(Arc::new(Sink { shared, thread }))
    }

    /// Adds a line of a worker, written by `write` with its end; it is dropped and counted if the buffer is full. Never
    /// waits for the target.
    pub fn push(&self, worker: usize, write: impl FnOnce(&mut Vec<u8>)) {
        let shared = &*self.shared;
        {
            let mut buffer = shared.buffers[worker % shared.buffers.len()].lock();
            if buffer.bytes.len() >= BUFFER_MAX {
                drop(buffer);
                shared.dropped.fetch_add(1, Ordering::Relaxed);
                return;
            }
            write(&mut buffer.bytes);
            buffer.lines += 1;
            // Within the lock, so that the thread is never done with more lines than were pushed.
            shared.pushed.fetch_add(1, Ordering::Relaxed);
        }
        let awaited = &shared.is_awaited;
        if !awaited.load(Ordering::Relaxed) && !awaited.swap(true, Ordering::AcqRel) {
            self.thread.unpark();
        }
    }

    /// Opens the file anew before the next line; false if the target is none.
    pub fn reopen(&self) -> bool {
        if self.shared.has_file {
            self.shared.reopens.store(true, Ordering::Release);
            self.shared.is_awaited.store(true, Ordering::Release);
            self.thread.unpark();
        }
        self.shared.has_file
    }

    /// True once all lines are written or dropped.
    pub fn is_written(&self) -> bool {
        let shared = &self.shared;
        shared.done.load(Ordering::Acquire) == shared.pushed.load(Ordering::Acquire)
    }

    /// Number of writes so far.
    pub fn progress(&self) -> u64 {
        self.shared.progress.load(Ordering::Acquire)
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.shared.ends.store(true, Ordering::Release);
        self.thread.unpark();
    }
}

/// The thread's own part.
struct Writer {
    shared: Arc<Shared>,
    target: Target,
    /// The buffer to give to the next worker whose lines are taken.
    spare: Buffer,
    /// True after a write that failed, until one succeeds.
    is_failing: bool,
    /// Number of dropped lines that have been reported, and as seen last.
    reported: u64,
    seen: u64,
}

impl Writer {
    fn run(mut self) {
        let shared = self.shared.clone();
        self.reported = shared.dropped.load(Ordering::Relaxed);
        self.seen = self.reported;
        loop {
            let ends = shared.ends.load(Ordering::Acquire);
            if !ends && !shared.is_awaited.load(Ordering::Acquire) {
                std::thread::park();
                continue;
            }
            if !ends {
                std::thread::sleep(GATHERED_FOR);
            }
            // Before the locks: a line that comes too late for its buffer's lock finds the flag unset.
            shared.is_awaited.store(false, Ordering::Release);
            if shared.reopens.swap(false, Ordering::AcqRel) {
                self.reopen();
            }
            for buffer in &shared.buffers {
                let spare = std::mem::take(&mut self.spare);
                let taken = std::mem::replace(&mut *buffer.lock(), spare);
                self.write(taken);
            }
            self.report();
            if ends {
                return;
            }
        }
    }

    fn write(&mut self, mut taken: Buffer) {
        if taken.lines > 0 {
            let progress = &self.shared.progress;
            let written = self.target.write(&taken.bytes, || {
                progress.fetch_add(1, Ordering::AcqRel);
            });
            match written {
                Ok(()) => self.is_failing = false,
                Err((error, bytes)) => self.fail(&error, &taken.bytes[bytes..]),
            }
            self.shared.done.fetch_add(taken.lines, Ordering::AcqRel);
        }
        if taken.bytes.capacity() <= KEPT {
            taken.bytes.clear();
            taken.lines = 0;
            self.spare = taken;
        }
    }

    /// Counts the lines that could not be written, and logs the first failure of several.
    fn fail(&mut self, error: &io::Error, lost: &[u8]) {
        let lines = memchr::memchr_iter(b'\n', lost).count() as u64;
        self.shared.dropped.fetch_add(lines, Ordering::Relaxed);
        if !std::mem::replace(&mut self.is_failing, true) {
            tracing::error!(%error, to = %self.target, "the access log cannot be written; its lines are dropped and counted");
        }
        // Reported already, in effect.
        self.seen += lines;
        self.reported += lines;
    }

    fn reopen(&mut self) {
        match self.target.reopen() {
            Ok(()) => tracing::info!(to = %self.target, "the access log's file was opened anew"),
            Err(error) => {
                tracing::error!(%error, to = %self.target, "the access log's file could not be opened anew; the old one stays in use");
            }
        }
    }

    /// Logs the number of dropped lines once no more are being dropped.
    fn report(&mut self) {
        let dropped = self.shared.dropped.load(Ordering::Relaxed);
        let is_over = dropped == std::mem::replace(&mut self.seen, dropped);
        if is_over && dropped > self.reported {
            let lines = dropped - self.reported;
            self.reported = dropped;
            tracing::warn!(lines, to = %self.target, "lines of the access log were dropped, because they were not taken in time");
        }
    }
}
