//! The times at which a flow starts by itself.

use std::time::Duration;

use fusebox_dataweave::jiff::Timestamp;
use fusebox_dataweave::jiff::tz::TimeZone;

use crate::cron::Cron;

/// A timer of a flow (`scheduler`).
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    /// The times of its runs.
    pub when: When,
    /// True if a run may start while another one runs. Mule's default for `cron`; a fixed frequency waits unless
    /// `disallowConcurrentExecution="false"` says otherwise.
    pub overlaps: bool,
}

/// The times of a schedule.
#[derive(Debug, Clone, PartialEq)]
pub enum When {
    /// A fixed frequency: the first run starts after `delay`, further runs start `every` later.
    Every {
        /// The period between two starts.
        every: Duration,
        /// The delay between the application's start and the first run.
        delay: Duration,
    },
    /// A cron expression.
    Cron {
        /// The expression, as read.
        cron: Box<Cron>,
        /// The zone of its times; `None`: the server's.
        zone: Option<TimeZone>,
    },
}

impl Schedule {
    /// The next run of an application that starts at `now`, in a server of the zone `here`; with the schedule's own zone.
    /// `None`: never.
    pub fn next<'a>(
        &'a self,
        now: Timestamp,
        here: &'a TimeZone,
    ) -> Option<(Timestamp, &'a TimeZone)> {
        match &self.when {
            When::Every { delay, .. } => Some((now.checked_add(*delay).ok()?, here)),
            When::Cron { cron, zone } => {
                let zone = zone.as_ref().unwrap_or(here);
                Some((cron.next(now, zone)?, zone))
            }
        }
    }
}
