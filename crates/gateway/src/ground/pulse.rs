//! A liveness check of the workers. Each answers on request, so that there is no traffic without a check.
//!
//! A worker's answer comes from a task on its own runtime. A runtime that is stuck in one task, or whose thread has
//! died, does not answer; the question stays open, so that the next check fails at once.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fusebox_breaker::Timestamp;
use parking_lot::Mutex;
use tokio::sync::Notify;

/// The longest time that a worker may take to answer.
pub const PATIENCE: Duration = Duration::from_secs(2);

#[derive(Debug, Default)]
pub struct Pulse {
    /// The time of the open question; `None` without one.
    asked: Mutex<Option<Timestamp>>,
    question: Notify,
    answer: Notify,
    ended: AtomicBool,
}

impl Pulse {
    /// Answers every question for as long as the worker's runtime runs.
    pub async fn beat(&self) {
        loop {
            self.question.notified().await;
            *self.asked.lock() = None;
            self.answer.notify_waiters();
        }
    }

    /// Notes that the worker has ended regularly, so that its answer is not needed any more.
    pub fn end(&self) {
        self.ended.store(true, Ordering::Release);
        self.answer.notify_waiters();
    }

    /// Asks the worker for an answer; returns false if a question asked at least [`PATIENCE`] ago is still open.
    pub async fn ask(&self, now: Timestamp) -> bool {
        let since = *self.asked.lock().get_or_insert(now);
        self.question.notify_one();
        let answered = async {
            loop {
                let answer = self.answer.notified();
                if self.asked.lock().is_none() || self.ended.load(Ordering::Acquire) {
                    return;
                }
                answer.await;
            }
        };
        let left = PATIENCE.saturating_sub(now.saturating_since(since));
        tokio::time::timeout(left, answered).await.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::mpsc::channel;
    use tokio::time::Instant;

    fn seconds(seconds: u64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    #[tokio::test(start_paused = true)]
    async fn a_worker_that_runs_answers_at_once_again_and_again() {
        let pulse = Arc::new(Pulse::default());
        let beating = pulse.clone();
        tokio::spawn(async move { beating.beat().await });
        let start = Instant::now();
        for at in 0..3 {
            assert!(pulse.ask(seconds(at * 100)).await);
        }
        assert_eq!(start.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_worker_that_does_not_answer_is_waited_for_once() {
        let pulse = Pulse::default();
        let start = Instant::now();
        assert!(!pulse.ask(seconds(100)).await);
        assert_eq!(start.elapsed(), PATIENCE);
        assert!(!pulse.ask(seconds(110)).await, "the question is still open");
        assert_eq!(start.elapsed(), PATIENCE);
    }

    #[tokio::test(start_paused = true)]
    async fn a_worker_that_has_ended_need_not_answer() {
        let pulse = Pulse::default();
        pulse.end();
        assert!(pulse.ask(seconds(1)).await);
    }

    #[tokio::test]
    async fn a_runtime_that_is_stuck_does_not_answer_until_it_runs_again() {
        let pulse = Arc::new(Pulse::default());
        let (release, stuck) = channel::<()>();
        let (sticks, is_stuck) = channel::<()>();
        let beating = pulse.clone();
        let worker = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .build()
                .unwrap();
            runtime.block_on(async {
                let beat = tokio::spawn({
                    let pulse = beating.clone();
                    async move { pulse.beat().await }
                });
                // Like a task that computes without end.
                let computing = tokio::spawn(async move {
                    sticks.send(()).ok();
                    stuck.recv().ok();
                });
                computing.await.ok();
                beat.await.ok();
            });
        });
        is_stuck.recv().unwrap();
        // An earlier question, as old as an answer may be.
        *pulse.asked.lock() = Some(seconds(1));
        assert!(!pulse.ask(seconds(1) + PATIENCE).await);
        drop(release);
        while !pulse.ask(seconds(20)).await {
            tokio::task::yield_now().await;
        }
        drop(worker);
    }
}
