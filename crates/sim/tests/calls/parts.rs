//! The parts of the world that are plain data: the gateways' settings, the servers, the ends of calls, and counts.

use std::collections::VecDeque;
use std::time::Duration;

use fusebox_breaker::Settings;
use fusebox_call::attempts::{Call as Facts, Repeats};
use fusebox_call::budget::RetryBudget;
use fusebox_call::{Budget, Ejection, Retry};
use http::{Method, StatusCode};

/// The settings that all gateways have.
#[derive(Debug, Clone)]
pub struct Plan {
    pub breaker: Settings,
    pub ejection: Option<Ejection>,
    pub retry: Option<Retry>,
    pub budget: Budget,
    /// The time limit of one attempt.
    pub request_timeout: Duration,
    /// The time limit of a call.
    pub total: Duration,
}

/// The state of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// It answers 200.
    Working,
    /// It answers 503 at once.
    Failing,
    /// It begins no work.
    Stalled,
}

/// An endpoint behind all gateways.
#[derive(Debug)]
pub struct Server {
    pub mode: Mode,
    workers: usize,
    pub busy: usize,
    pub queue: VecDeque<Job>,
    /// The mean time of work on one attempt.
    mean: f64,
}

/// One attempt, as a server has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Job {
    pub call: usize,
    pub attempt: u32,
}

/// The end of a call, as its client sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    Answered(StatusCode),
    TimedOut,
    Refused,
}

/// The numbers of one second.
#[derive(Debug, Default, Clone, Copy)]
pub struct Second {
    /// Calls that began.
    pub calls: usize,
    /// Attempts that began.
    pub attempts: usize,
    /// Of the calls that began, those that were answered with success.
    pub good: usize,
    /// Of the calls that began, those that were refused.
    pub refused: usize,
}

impl Plan {
    /// The facts of a call.
    pub fn facts<'a>(&'a self, budget: &'a RetryBudget, is_probe: bool) -> Facts<'a> {
        Facts {
            method: &Method::GET,
            is_upgrade: false,
            is_attempt: false,
            is_probe,
            request_timeout: self.request_timeout,
            total: self.total,
            repeats: self.retry.as_ref().map(|retry| Repeats {
                retry: Some(retry),
                hedge: None,
                budget,
            }),
        }
    }
}

impl Server {
    /// A server that works on that many attempts at the same time, each for 20 ms in the mean.
    pub fn new(workers: usize) -> Server {
        Server {
            mode: Mode::Working,
            workers,
            busy: 0,
            queue: VecDeque::new(),
            mean: 0.020,
        }
    }

    /// The next attempt that a free worker begins, with the time that it takes; also one that was given up.
    pub fn begin(&mut self, random: &mut fastrand::Rng) -> Option<(Job, Duration)> {
        if self.mode != Mode::Working || self.busy >= self.workers {
            return None;
        }
        let job = self.queue.pop_front()?;
        self.busy += 1;
        let took = self.mean * (0.5 + random.f64());
        Some((job, Duration::from_secs_f64(took)))
    }
}
