//! The breakers in the order of their names, a page at a time.
//!
//! There may be as many breakers as clients can make up keys. A page walks over handles, keeps those that it will show,
//! and reads each of these only on request: its cost is that of the page, not that of all breakers.

use std::sync::Arc;

use fusebox_breaker::{Breaker, Phase, SavedState, Timestamp};

use crate::host::gateway::Gateway;
use crate::live::live_plan::Live;
use crate::show::status::BreakerStatus;
use crate::upstream::breakers::{BreakerExtras, LiveBreaker};

/// Number of breakers to look at before other tasks of the thread get their turn.
const AT_A_TIME: usize = 1_000;

/// The selection of a page.
#[derive(Debug, Clone, Copy, Default)]
pub struct PageQuery<'a> {
    /// The prefix of the breakers' names.
    pub prefix: &'a str,
    /// The breakers' state; `None`: any.
    pub state: Option<Phase>,
    /// The name behind which the page begins, even if no breaker has it; `None`: at the first.
    pub after: Option<&'a str>,
    /// The most breakers of the page.
    pub limit: usize,
}

impl PageQuery<'_> {
    /// True if a name lies behind the one where the page begins.
    pub fn is_ahead(&self, name: &str) -> bool {
        self.after.is_none_or(|after| name > after)
    }
}

/// A page of breakers, by name.
#[derive(Debug)]
pub struct Page {
    /// Number of breakers with the prefix and the state, on all pages.
    pub total: usize,
    /// True if there are more behind this page.
    pub has_more: bool,
    /// The breakers of this page.
    pub breakers: Vec<Listed>,
}

/// A breaker of a page, not read yet. While this exists, the breaker is not evicted for other keys.
#[derive(Debug)]
pub struct Listed {
    upstream: Arc<str>,
    live_breaker: LiveBreaker,
}

impl Listed {
    /// The breaker's name.
    pub fn name(&self) -> &Arc<str> {
        self.live_breaker.breaker.name()
    }

    /// The gateway's data for it.
    pub(crate) fn extras(&self) -> &BreakerExtras {
        &self.live_breaker.extras
    }
}

impl Gateway {
    /// A page of the breakers that exist now.
    pub async fn page(&self, query: PageQuery<'_>) -> Page {
        let live = self.0.shared.live.load_full();
        let own = live.own_breakers();
        let mut smallest = Smallest::new(query.limit);
        let mut total = 0;
        let mut looked_at = 0_usize;
        for (position, breakers) in positions(&live, &own) {
            for breaker in breakers {
                looked_at += 1;
                if looked_at.is_multiple_of(AT_A_TIME) {
                    tokio::task::yield_now().await;
                }
                if !breaker.name().starts_with(query.prefix) || !self.is_in(&breaker, query.state) {
                    continue;
                }
                total += 1;
                if query.is_ahead(breaker.name()) {
                    smallest.offer(breaker, position);
                }
            }
        }
        let (chosen, has_more) = smallest.take();
        let chosen = chosen.into_iter();
        let listed = chosen.map(|(breaker, position)| listed(&live, &own, breaker, position));
        Page {
            total,
            has_more,
            breakers: listed.collect(),
        }
    }

    /// A breaker of a page as it stands now.
    pub fn read(&self, listed: &Listed) -> BreakerStatus {
        self.status(listed.upstream.clone(), &listed.live_breaker)
    }

    fn is_in(&self, breaker: &Breaker, state: Option<Phase>) -> bool {
        state.is_none_or(|state| phase(breaker, self.clock().exact()) == state)
    }
}

/// The position of a breaker in a plan.
#[derive(Debug, Clone, Copy)]
pub enum Position {
    /// The breakers before an upstream, by its index.
    Upstream(usize),
    /// A breaker of the plan's application, by its index.
    Own(usize),
}

/// A breaker of a plan at a position.
pub fn listed(
    live: &Live,
    own: &[(Arc<str>, LiveBreaker)],
    breaker: Breaker,
    position: Position,
) -> Listed {
    match position {
        Position::Upstream(at) => {
            let breakers = &live.guarded[at].breakers;
            Listed {
                upstream: breakers.name().cloned().unwrap_or_default(),
                live_breaker: breakers.live(breaker),
            }
        }
        Position::Own(at) => {
            let (upstream, live_breaker) = own[at].clone();
            Listed {
                upstream,
                live_breaker,
            }
        }
    }
}

/// All breakers of a plan, position by position.
pub fn positions<'a>(
    live: &'a Live,
    own: &'a [(Arc<str>, LiveBreaker)],
) -> impl Iterator<Item = (Position, Vec<Breaker>)> {
    let upstreams = live.guarded.iter().enumerate();
    let upstreams = upstreams.map(|(at, it)| (Position::Upstream(at), it.breakers.handles()));
    let own = own.iter().enumerate();
    upstreams.chain(
        own.map(|(at, (_, live_breaker))| (Position::Own(at), vec![live_breaker.breaker.clone()])),
    )
}

/// The state that a snapshot would show, without making one.
fn phase(breaker: &Breaker, now: Timestamp) -> Phase {
    match breaker.saved(now).state {
        SavedState::Closed => Phase::Closed,
        SavedState::Open { .. } => Phase::Open,
        SavedState::HalfOpen => Phase::HalfOpen,
    }
}

/// The breakers with the smallest names of all offered; never holds many more than the page's.
struct Smallest {
    limit: usize,
    held: Vec<(Breaker, Position)>,
    /// A name beyond the page; all names from it on are beyond it too.
    end: Option<Arc<str>>,
}

impl Smallest {
    fn new(limit: usize) -> Smallest {
        Smallest {
            limit,
            held: Vec::new(),
            end: None,
        }
    }

    fn offer(&mut self, breaker: Breaker, position: Position) {
        if self.end.as_ref().is_some_and(|end| breaker.name() >= end) {
            return;
        }
        self.held.push((breaker, position));
        if self.held.len() > 2 * self.limit + 64 {
            self.cut();
        }
    }

    /// Drops all but the smallest, and one more that shows that there are more.
    fn cut(&mut self) {
        if self.held.len() <= self.limit + 1 {
            return;
        }
        let by_name = |a: &(Breaker, Position), b: &(Breaker, Position)| a.0.name().cmp(b.0.name());
        self.held.select_nth_unstable_by(self.limit, by_name);
        self.held.truncate(self.limit + 1);
        self.end = Some(self.held[self.limit].0.name().clone());
    }

    /// The smallest in order, and true if there were more.
    fn take(mut self) -> (Vec<(Breaker, Position)>, bool) {
        self.cut();
        self.held.sort_by(|a, b| a.0.name().cmp(b.0.name()));
        let has_more = self.held.len() > self.limit;
        self.held.truncate(self.limit);
        (self.held, has_more)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fusebox_breaker::Settings;

    #[test]
    fn the_smallest_names_are_held_and_few_others() {
        let mut numbers: Vec<u32> = (0..5_000).collect();
        fastrand::Rng::with_seed(7).shuffle(&mut numbers);
        for limit in [0, 1, 10, 4_999, 5_000, 6_000] {
            let mut smallest = Smallest::new(limit);
            for number in &numbers {
                let breaker = Breaker::new(format!("{number:05}"), Settings::default());
                smallest.offer(breaker.unwrap(), Position::Upstream(0));
                assert!(smallest.held.len() <= 2 * limit + 64);
            }
            let (chosen, has_more) = smallest.take();
            let names: Vec<_> = chosen.iter().map(|(it, _)| it.name().to_string()).collect();
            let wanted = (0..limit.min(5_000)).map(|number| format!("{number:05}"));
            assert_eq!(names, wanted.collect::<Vec<_>>());
            assert_eq!(has_more, limit < 5_000);
        }
    }
}
