//! The access log: one line for each exchange, written by a thread of its own.
//!
//! A [`Note`] gathers the facts of one exchange, only while the log is on, and makes its line when the last holder lets
//! go of it. The line goes into a bounded buffer of its worker ([`sink`]); the log's thread takes the buffers' contents
//! to the [`target`]. A target that takes nothing fills the buffers: further lines are dropped and counted, and no
//! request waits (I8).

pub mod line;
pub mod note;
pub mod scope;
pub mod sink;
pub mod slot;
pub mod target;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use fusebox_plan::access_log::AccessLog as Rules;

use crate::ground::access_log::sink::Sink;
use crate::ground::clock::Clock;

pub use note::Note;

/// The access log of a gateway, on or off.
#[derive(Debug)]
pub struct AccessLog {
    is_on: AtomicBool,
    running: ArcSwapOption<Running>,
    clock: Arc<Clock>,
    workers: usize,
    /// Number of lines lost by any log of the process.
    dropped: Arc<AtomicU64>,
}

/// The log as one plan has it. An exchange keeps what it began with, so that a reload changes no line halfway.
#[derive(Debug)]
pub struct Running {
    /// The settings of the plan.
    pub rules: Rules,
    /// The place of the lines.
    pub sink: Arc<Sink>,
    /// The gateway's clock.
    pub clock: Arc<Clock>,
}

impl AccessLog {
    /// A log that is off, for a number of workers; lines that it loses are counted in `dropped`.
    pub fn new(clock: Arc<Clock>, workers: usize, dropped: Arc<AtomicU64>) -> AccessLog {
        AccessLog {
            is_on: AtomicBool::new(false),
            running: ArcSwapOption::empty(),
            clock,
            workers,
            dropped,
        }
    }

    /// The log of a plan, to be [switched](AccessLog::switch) to; `None`: it has none. The target is opened, unless the
    /// present log has the same.
    ///
    /// # Errors
    /// The reason why the target cannot be opened, as a sentence.
    pub fn prepare(&self, rules: Option<&Rules>) -> Result<Option<Arc<Running>>, String> {
        let Some(rules) = rules else { return Ok(None) };
        let present = self.running.load_full();
        let same = present.filter(|present| present.rules.to == rules.to);
        let sink = match same {
            Some(present) => present.sink.clone(),
            None => Sink::start(&rules.to, self.workers, self.dropped.clone())
                .map_err(|error| format!("the access log cannot write to {}: {error}", rules.to))?,
        };
        Ok(Some(Arc::new(Running {
            rules: rules.clone(),
            sink,
            clock: self.clock.clone(),
        })))
    }

    /// Makes a prepared log the present one. Exchanges under way end in the log that they began with.
    pub fn switch(&self, running: Option<Arc<Running>>) {
        self.is_on.store(running.is_some(), Ordering::Release);
        self.running.store(running);
    }

    /// The log, if it is on. While it is off this is one load.
    pub fn running(&self) -> Option<Arc<Running>> {
        if !self.is_on.load(Ordering::Relaxed) {
            return None;
        }
        self.running.load_full()
    }

    /// Opens the log's file anew before the next line, as after its rotation; false if the log has no file.
    pub fn reopen(&self) -> bool {
        let running = self.running();
        running.is_some_and(|running| running.sink.reopen())
    }

    /// Waits until all lines are written, for a limited time, and less if the target takes nothing.
    pub async fn finish(&self) {
        const STEP: Duration = Duration::from_millis(5);
        const STEPS: u32 = 1000;
        const STEPS_STALLED: u32 = 100;
        let Some(running) = self.running() else {
            return;
        };
        let (mut last, mut stalled) = (running.sink.progress(), 0);
        for _ in 0..STEPS {
            if running.sink.is_written() || stalled == STEPS_STALLED {
                return;
            }
            tokio::time::sleep(STEP).await;
            let now = running.sink.progress();
            stalled = if now == last { stalled + 1 } else { 0 };
            last = now;
        }
    }
}
