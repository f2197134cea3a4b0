//! The begin of a trouble before a trip, and of the calm before a close, found among the calls.
//!
//! Both are a run of calls with a score. Before a trip a bad call adds 4 and a good one takes 1 away; at zero the run
//! ends, so within a trouble more than a fifth of the calls are bad, and scattered failures begin none. Before a close a
//! good call adds 1 and a bad one takes 1 away, so a calm is mostly good. The score has a cap, so that an old run ends
//! soon after it is over.

/// The weight of a bad call, against 1 of a good one, before a trip.
const BAD: u32 = 4;

/// The highest score: a hundred bad calls.
const MOST: u32 = 100 * BAD;

/// The run of bad calls before a trip.
#[derive(Debug, Default)]
pub struct Trouble {
    score: u32,
    begun: u64,
}

impl Trouble {
    /// Takes in the outcome of a call by its start.
    pub fn see(&mut self, start: u64, bad: bool) {
        if bad {
            if self.score == 0 {
                self.begun = start;
            }
            self.begun = self.begun.min(start);
            self.score = (self.score + BAD).min(MOST);
        } else {
            self.score = self.score.saturating_sub(1);
        }
    }

    /// The start of its first call, if there is a trouble.
    pub fn begun(&self) -> Option<u64> {
        (self.score > 0).then_some(self.begun)
    }
}

/// The run of good calls before a close.
#[derive(Debug, Default)]
pub struct Recovery {
    score: u32,
    begun: u64,
}

impl Recovery {
    /// Takes in a call of the log, refused or not; `bad` is `None` for one without an outcome.
    pub fn see(&mut self, start: u64, bad: Option<bool>) {
        match bad {
            Some(false) => {
                if self.score == 0 {
                    self.begun = start;
                }
                self.score = (self.score + 1).min(MOST);
            }
            Some(true) => self.score = self.score.saturating_sub(1),
            None => {}
        }
    }

    /// The start of its first call, if there is a calm.
    pub fn begun(&self) -> Option<u64> {
        (self.score > 0).then_some(self.begun)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scattered_failures_begin_no_trouble() {
        let mut trouble = Trouble::default();
        for start in 0..1_000 {
            trouble.see(start, start % 100 == 0);
        }
        assert_eq!(trouble.begun(), None);
        (1_000..1_010).for_each(|start| trouble.see(start, true));
        assert_eq!(trouble.begun(), Some(1_000));
    }

    #[test]
    fn a_calm_begins_at_its_first_good_call_and_outlives_a_failure() {
        let mut calm = Recovery::default();
        (0..50).for_each(|start| calm.see(start, Some(true)));
        calm.see(50, None);
        (51..70).for_each(|start| calm.see(start, Some(start == 60)));
        assert_eq!(calm.begun(), Some(51));
    }
}
