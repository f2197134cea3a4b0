//! Threads that run beside each other, each pinned to a core of its own, and the proof that they did.
//!
//! On a busy machine two threads may have their turns one after the other; what is then measured is one thread's time
//! under the name of two. So a turn counts only if each thread had its core to itself for nearly all of it.

use std::sync::Barrier;
use std::time::{Duration, Instant};

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};

/// The least share of a turn for which each thread must have run.
const SHARE: f64 = 0.95;

/// The cores that this process may use, as it began.
pub struct Cores(Vec<usize>);

impl Cores {
    /// Reads them from the system.
    pub fn new() -> std::io::Result<Self> {
        let all = sched_getaffinity(None)?;
        let cores = (0..CpuSet::MAX_CPU).filter(|core| all.is_set(*core));
        Ok(Cores(cores.collect()))
    }

    /// The number of cores.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Runs `work` for `turn` on so many cores at once and returns the nanoseconds of each block, or nothing where the
    /// threads did not run beside each other. `work` measures one block.
    pub fn beside(
        &self,
        threads: usize,
        turn: Duration,
        work: impl Fn() -> f64 + Sync,
    ) -> Option<Vec<f64>> {
        let start = Barrier::new(threads);
        let timed = |core: usize| {
            let mut only = CpuSet::new();
            only.set(core);
            sched_setaffinity(None, &only).ok()?;
            start.wait();
            let (begin, ran) = (Instant::now(), run_for());
            let mut blocks = Vec::new();
            while begin.elapsed() < turn {
                blocks.push(work());
            }
            let share = (run_for() - ran).as_secs_f64() / begin.elapsed().as_secs_f64();
            // One alone meets nobody, and the median passes over its interruptions.
            (threads == 1 || share >= SHARE).then_some(blocks)
        };
        let cores = self.0.get(..threads)?;
        std::thread::scope(|scope| {
            let all: Vec<_> = cores
                .iter()
                .map(|core| scope.spawn(move || timed(*core)))
                .collect();
            let blocks = all.into_iter().map(|thread| {
                let blocks = thread.join();
                blocks.expect("every thread is answered as it must be")
            });
            // All of them, so that none is left running.
            let blocks: Vec<_> = blocks.collect();
            let blocks: Option<Vec<_>> = blocks.into_iter().collect();
            blocks.map(|blocks| blocks.concat())
        })
    }
}

/// How long this thread has run so far.
fn run_for() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(
        time.tv_sec.try_into().unwrap_or(0),
        time.tv_nsec.try_into().unwrap_or(0),
    )
}
