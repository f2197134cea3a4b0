//! The budget of a client's control frames.
//!
//! hyper and h2 bound what a client makes them keep, not how often it makes them work: a client may send settings,
//! pings, priorities and window updates as fast as it can. So such frames are counted below hyper, and a connection
//! with too many of them ends.

use fusebox_breaker::Timestamp;

use crate::downstream::http2::frames::{DATA, END_STREAM, FrameHead, HEADERS, PADDED};

/// Time in seconds over which the rate is measured.
const OVER: u64 = 10;

/// The largest padded DATA frame in bytes that may be nothing but padding.
const PADDING_MAX: usize = 256;

/// A bucket of tokens, one for each control frame. It begins full, and is filled by time and by what a client gets.
#[derive(Debug)]
pub struct ControlBudget {
    /// Tokens per second.
    rate: u64,
    tokens: u64,
    filled_at: Timestamp,
}

impl ControlBudget {
    /// A full bucket for `rate` frames per second.
    pub fn new(rate: u32, now: Timestamp) -> ControlBudget {
        let rate = u64::from(rate);
        ControlBudget {
            rate,
            tokens: rate * OVER,
            filled_at: now,
        }
    }

    /// Counts a frame of the client's; false: it is one too many.
    pub fn spend(&mut self, head: FrameHead, now: Timestamp) -> bool {
        if !is_control(head) {
            return true;
        }
        if self.tokens == 0 {
            let gone = now.saturating_since(self.filled_at).as_millis();
            let filled = u64::try_from(gone)
                .unwrap_or(u64::MAX)
                .saturating_mul(self.rate)
                / 1000;
            self.tokens = filled.min(self.rate * OVER);
            self.filled_at = now;
        }
        match self.tokens.checked_sub(1) {
            Some(rest) => {
                self.tokens = rest;
                true
            }
            None => false,
        }
    }

    /// Counts a frame of ours: a client answers data with window updates, one for its stream and one for the
    /// connection, and may have sent a priority with a request that is answered.
    pub fn earn(&mut self, head: FrameHead) {
        let earned = match head.kind {
            DATA => 2,
            HEADERS => 1,
            _ => return,
        };
        self.tokens = (self.tokens + earned).min(self.rate * OVER);
    }
}

/// True for a frame that carries neither a request nor data nor the end of one.
fn is_control(head: FrameHead) -> bool {
    match head.kind {
        HEADERS => false,
        DATA => {
            let is_padding = head.has(PADDED) && head.length <= PADDING_MAX;
            (head.length == 0 || is_padding) && !head.has(END_STREAM)
        }
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, length: usize, flags: u8) -> FrameHead {
        FrameHead {
            length,
            kind,
            flags,
            stream: 1,
        }
    }

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    #[test]
    fn a_burst_of_ten_seconds_passes_and_one_more_does_not() {
        let ping = frame(6, 8, 0);
        let mut budget = ControlBudget::new(1000, at(0));
        assert!((0..10_000).all(|_| budget.spend(ping, at(0))));
        assert!(!budget.spend(ping, at(0)));
    }

    #[test]
    fn the_rate_may_be_kept_up_for_ever() {
        let ping = frame(6, 8, 0);
        let mut budget = ControlBudget::new(1000, at(0));
        for second in 0..60 {
            assert!(
                (0..1000).all(|_| budget.spend(ping, at(second * 1000))),
                "{second}"
            );
        }
        let mut seconds = 60..;
        let cut = seconds.find(|second| !(0..2000).all(|_| budget.spend(ping, at(second * 1000))));
        assert!(cut.is_some_and(|second| second < 90), "{cut:?}");
    }

    #[test]
    fn what_a_client_gets_pays_for_its_window_updates() {
        let update = frame(8, 4, 0);
        let mut budget = ControlBudget::new(1, at(0));
        for _ in 0..10_000 {
            budget.earn(frame(DATA, 16_384, 0));
            assert!(budget.spend(update, at(0)) && budget.spend(update, at(0)));
        }
        assert!((0..8).all(|_| budget.spend(update, at(0))));
        assert!(!budget.spend(update, at(0)));
    }

    #[test]
    fn requests_and_data_are_no_control_frames() {
        for (kind, length, flags) in [(HEADERS, 0, 0), (DATA, 1, 0), (DATA, 0, END_STREAM)] {
            assert!(!is_control(frame(kind, length, flags)), "{kind}");
        }
        for (kind, length, flags) in [(DATA, 0, 0), (DATA, 256, PADDED), (9, 1, 0), (77, 1, 0)] {
            assert!(is_control(frame(kind, length, flags)), "{kind}");
        }
    }
}
