//! A bounded queue of log lines with one thread that writes them: to push a line never waits for the reader.
//!
//! Where the queue is full a line is lost and counted; once lines flow again the log says how many were lost.

use std::io::{self, ErrorKind, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

/// The most lines that wait to be written.
const LINES_MAX: usize = 8192;

/// The most bytes that wait to be written.
const BYTES_MAX: usize = 8 << 20;

/// The most bytes of one write: what a pipe takes whole or not at all.
const WRITE_MAX: usize = 4096;

/// How long a writer that must not block waits before it tries again.
const AGAIN: Duration = Duration::from_millis(10);

/// At the end: how long queued lines are waited for, and how long without any progress.
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
    /// Lines that are queued or being written.
    lines: AtomicUsize,
    /// Their bytes.
    bytes: AtomicUsize,
    /// Grows with every write.
    progress: AtomicU64,
    /// Lines that were lost.
    dropped: Arc<AtomicU64>,
}

impl Queue {
    /// Starts the thread; `lost` makes the line that says how many lines were lost.
    ///
    /// # Errors
    /// If the system refuses a thread.
    pub fn start(
        sink: impl Write + Send + 'static,
        lost: impl Fn(u64) -> Vec<u8> + Send + 'static,
    ) -> io::Result<Queue> {
        let (sender, receiver) = sync_channel(LINES_MAX);
        let counts = Arc::new(Counts::default());
        let writer = Writer {
            sink,
            counts: counts.clone(),
            said: 0,
            since: 0,
        };
        std::thread::Builder::new()
            .name("fusebox-log".into())
            .spawn(move || writer.run(&receiver, lost))?;
        Ok(Queue { sender, counts })
    }

    /// Queues a line, or counts it as lost where the queue is full. Never waits.
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

    /// Counts the lines that were lost.
    pub fn dropped(&self) -> Arc<AtomicU64> {
        self.counts.dropped.clone()
    }

    /// Waits until every queued line is written; not for long, and less where nobody reads.
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

/// Writes the lines of a queue, one after the other.
struct Writer<W> {
    sink: W,
    counts: Arc<Counts>,
    /// Lost lines that the log has spoken of.
    said: u64,
    /// Lines written since it did.
    since: usize,
}

impl<W: Write> Writer<W> {
    fn run(mut self, lines: &Receiver<Vec<u8>>, lost: impl Fn(u64) -> Vec<u8>) {
        for line in lines {
            if self.write(&line).is_err() {
                self.counts.dropped.fetch_add(1, Ordering::Relaxed);
            }
            self.since += 1;
            let dropped = self.counts.dropped.load(Ordering::Relaxed);
            // Behind the lines that were queued before; under a lasting flood, once for each queueful.
            let last = self.counts.lines.load(Ordering::Acquire) <= 1;
            if dropped > self.said && (last || self.since >= LINES_MAX) {
                self.since = 0;
                if self.write(&lost(dropped - self.said)).is_ok() {
                    self.said = dropped;
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
                // Somebody who shares standard error has made it so.
                Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::sleep(AGAIN),
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

    /// A pipe whose reader takes one write for each turn that it is given, and all once it has no more to give.
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
    fn lines_that_nobody_reads_are_counted_and_said_once_they_flow() {
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
    fn the_end_waits_for_a_reader_that_reads_and_not_for_one_that_does_not() {
        let (queue, reader, read) = start();
        queue.push(b"never read\n".to_vec());
        queue.finish();
        assert_eq!(text(&read), "");
        reader.send(()).unwrap();
        queue.finish();
        assert_eq!(text(&read), "never read\n");
    }
}
