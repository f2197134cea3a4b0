//! A bounded queue of log lines with one writer thread: pushing a line never waits for the reader.
//!
//! While the queue is full, lines are dropped and counted; once lines flow again, their number is logged.

use std::io::{self, ErrorKind, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

/// The most lines waiting to be written.
const LINES_MAX: usize = 8192;

/// The most bytes waiting to be written.
const BYTES_MAX: usize = 8 << 20;

/// The most bytes in one write, so that a pipe accepts all of it or nothing.
const WRITE_MAX: usize = 4096;

/// The pause before a non-blocking write is repeated.
const RETRY_AFTER: Duration = Duration::from_millis(10);

/// At the end: the interval of checks, the most checks, and the most without any progress.
const FINISH_STEP: Duration = Duration::from_millis(5);
const FINISH_STEPS: u32 = 1000;
const FINISH_STEPS_STALLED: u32 = 200;

/// A bounded queue of lines, and the thread that writes them.
#[derive(Debug)]
pub struct Queue {
    sender: SyncSender<Vec<u8>>,
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    /// Number of lines queued or being written.
    lines: AtomicUsize,
    /// Total size of these lines, in bytes.
    bytes: AtomicUsize,
    /// Number of writes so far.
    progress: AtomicU64,
    /// Number of dropped lines.
    dropped: Arc<AtomicU64>,
}

impl Queue {
    /// Starts the thread. `lost` makes the line that reports a number of dropped lines.
    pub fn start(
        sink: impl Write + Send + 'static,
        lost: impl Fn(u64) -> Vec<u8> + Send + 'static,
    ) -> io::Result<Queue> {
        let (sender, receiver) = sync_channel(LINES_MAX);
        let counts = Arc::new(Counts::default());
        let writer = Writer {
            sink,
            counts: counts.clone(),
            reported: 0,
            lines_since_report: 0,
        };
        std::thread::Builder::new()
            .name("fusebox-log".into())
            .spawn(move || writer.run(&receiver, lost))?;
        Ok(Queue { sender, counts })
    }

    /// Queues a line, or drops and counts it if the queue is full. Never waits.
    pub fn push(&self, line: Vec<u8>) {
        let counts = &self.counts;
        let size = line.len();
        counts.lines.fetch_add(1, Ordering::AcqRel);
        let before = counts.bytes.fetch_add(size, Ordering::AcqRel);
        if before + size > BYTES_MAX || self.sender.try_send(line).is_err() {
            counts.bytes.fetch_sub(size, Ordering::AcqRel);
            counts.dropped.fetch_add(1, Ordering::Relaxed);
            counts.lines.fetch_sub(1, Ordering::AcqRel);
        }
    }

    /// The counter of dropped lines.
    pub fn dropped(&self) -> Arc<AtomicU64> {
        self.counts.dropped.clone()
    }

    /// Waits until all queued lines are written, for a limited time, and less if the reader makes no progress.
    pub fn finish(&self) {
        let progress = || self.counts.progress.load(Ordering::Acquire);
        let (mut last, mut stalled) = (progress(), 0);
        for _ in 0..FINISH_STEPS {
            if self.counts.lines.load(Ordering::Acquire) == 0 || stalled == FINISH_STEPS_STALLED {
                return;
            }
            std::thread::sleep(FINISH_STEP);
            let now = progress();
            stalled = if now == last { stalled + 1 } else { 0 };
            last = now;
        }
    }
}

struct Writer<W> {
    sink: W,
    counts: Arc<Counts>,
    /// Number of dropped lines that have been reported.
    reported: u64,
    /// Number of lines written since the last report.
    lines_since_report: usize,
}

impl<W: Write> Writer<W> {
    fn run(mut self, lines: &Receiver<Vec<u8>>, lost: impl Fn(u64) -> Vec<u8>) {
        for line in lines {
            if self.write(&line).is_err() {
                self.counts.dropped.fetch_add(1, Ordering::Relaxed);
            }
            self.lines_since_report += 1;
            let dropped = self.counts.dropped.load(Ordering::Relaxed);
            // After the lines that were queued before; in a lasting flood, once per full queue.
            let last = self.counts.lines.load(Ordering::Acquire) <= 1;
            if dropped > self.reported && (last || self.lines_since_report >= LINES_MAX) {
                self.lines_since_report = 0;
                if self.write(&lost(dropped - self.reported)).is_ok() {
                    self.reported = dropped;
                }
            }
            self.counts.bytes.fetch_sub(line.len(), Ordering::AcqRel);
            self.counts.lines.fetch_sub(1, Ordering::AcqRel);
        }
    }

    fn write(&mut self, mut line: &[u8]) -> io::Result<()> {
        while !line.is_empty() {
            let piece = &line[..line.len().min(WRITE_MAX)];
            match self.sink.write(piece) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => {
                    line = &line[count..];
                    self.counts.progress.fetch_add(1, Ordering::AcqRel);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // Another process that shares standard error has made it non-blocking.
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    std::thread::sleep(RETRY_AFTER)
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Sender, channel};
    use std::sync::{Mutex, PoisonError};

    /// A pipe whose reader accepts one write per turn, and all writes once the sender of turns is dropped.
    struct Pipe {
        turns: Receiver<()>,
        read: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for Pipe {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.turns.recv().ok();
            let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
            read.extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn start() -> (Queue, Sender<()>, Arc<Mutex<Vec<u8>>>) {
        let (reader, turns) = channel();
        let read = Arc::new(Mutex::default());
        let pipe = Pipe {
            turns,
            read: read.clone(),
        };
        let lost = |lost| format!("lost {lost}\n").into_bytes();
        (Queue::start(pipe, lost).unwrap(), reader, read)
    }

    fn text(read: &Mutex<Vec<u8>>) -> String {
        String::from_utf8(read.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn dropped_lines_are_counted_and_reported_once_lines_flow() {
        let (queue, reader, read) = start();
        // One more than the queue holds may be in the writer's hand.
        for number in 0..LINES_MAX + 11 {
            queue.push(format!("line {number}\n").into_bytes());
        }
        let dropped = queue.dropped().load(Ordering::Relaxed);
        assert!((10..=11).contains(&dropped), "{dropped}");
        drop(reader);
        queue.finish();
        let text = text(&read);
        assert!(text.starts_with("line 0\nline 1\n"));
        // Once, or in two parts where the writer took a line between them.
        let lost = text.lines().filter_map(|line| line.strip_prefix("lost "));
        let lost: Vec<u64> = lost.map(|lost| lost.parse().unwrap()).collect();
        let dropped = queue.dropped().load(Ordering::Relaxed);
        assert_eq!(lost.iter().sum::<u64>(), dropped, "{lost:?}");
        let kept = text.lines().count() - lost.len();
        assert_eq!(kept as u64, LINES_MAX as u64 + 11 - dropped);
        queue.push(b"on it goes\n".to_vec());
        queue.finish();
        assert!(self::text(&read).ends_with("\non it goes\n"), "said once");
    }

    #[test]
    fn huge_lines_are_bounded_by_their_bytes() {
        let (queue, _reader, _) = start();
        for _ in 0..3 {
            queue.push(vec![b'a'; BYTES_MAX / 2]);
        }
        assert_eq!(queue.dropped().load(Ordering::Relaxed), 1);
    }

    #[test]
    fn the_end_waits_for_an_active_reader_but_not_for_an_inactive_one() {
        let (queue, reader, read) = start();
        queue.push(b"never read\n".to_vec());
        queue.finish();
        assert_eq!(text(&read), "");
        reader.send(()).unwrap();
        queue.finish();
        assert_eq!(text(&read), "never read\n");
    }
}
