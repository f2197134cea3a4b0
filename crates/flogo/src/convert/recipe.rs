//! Recognises the native form of an action's steps: a breaker around a call, and several calls that are one.
//!
//! Recognition depends on the effect of the steps and not on names: they are run as after calls that failed, that
//! succeeded, and that the breaker refused.

use std::collections::BTreeSet;

use fusebox_plan::dialect::quote;

use super::gate::header_gate;
use super::rehearsal::{Ended, Rehearsal, Script, operation, static_scope, truth};
use crate::flow::{Action, Activity, BreakerActivity, FlowStep, RestActivity};

/// The statuses that an action is asked about.
const STATUSES: [u16; 11] = [500, 502, 503, 504, 429, 408, 400, 401, 403, 404, 409];
/// The values of counters that an action is asked about.
const COUNTS: i64 = 60;
/// The most attempts of a native call.
const ATTEMPTS_MAX: usize = 10;

/// The native reading of an action.
pub(super) struct Recipe<'a> {
    pub action: &'a Action,
    /// The calls that are one call here; empty if there is none, or if they are several.
    pub calls: Vec<Call<'a>>,
    pub spread: Spread,
    /// The breaker before the call, if it receives all reports that it needs.
    pub breaker: Option<&'a BreakerActivity>,
    /// The statuses that are reported to the breaker as failures.
    pub statuses: Vec<u16>,
    /// The steps without a native form.
    pub left: Vec<Left>,
    /// The fields that requests must have to be called for, by name and value, which a native route asks for, too.
    pub gate: Vec<(String, String)>,
}

/// A step without a native form.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Left {
    pub step: usize,
    pub what: String,
    /// True for what keeps requests from the call.
    pub is_guard: bool,
}

/// A call of an action.
#[derive(Clone, Copy)]
pub(super) struct Call<'a> {
    pub index: usize,
    pub service: usize,
    pub step: &'a FlowStep,
    pub rest: &'a RestActivity,
}

/// The way in which several calls share the requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Spread {
    /// There is one call.
    One,
    /// Each request takes one of the calls, by a counter; with the share of each.
    InTurn(Vec<i64>),
    /// Each call is made where the ones before it failed, or answered with one of the statuses.
    OnFailure(Vec<u16>),
}

/// A way in which the call as a whole ends: the ends of calls by service, and the value of counters.
#[derive(Debug, Clone)]
pub(super) struct Way {
    ends: Vec<(usize, Ended)>,
    count: i64,
}

impl<'a> Recipe<'a> {
    /// Reads an action. `is_own`: its payload is the trigger's own output.
    pub fn of(action: &'a Action, is_own: bool) -> Recipe<'a> {
        let mut recipe = Recipe {
            action,
            calls: Vec::new(),
            spread: Spread::One,
            breaker: None,
            statuses: Vec::new(),
            left: Vec::new(),
            gate: Vec::new(),
        };
        let made = recipe.find_calls(is_own);
        recipe.find_breaker();
        for call in made {
            if !recipe.calls.iter().any(|it| it.index == call) {
                recipe.add(
                    call,
                    "one of several calls: a native route makes one",
                    false,
                );
            }
        }
        let scope = static_scope(action);
        for (index, step) in action.steps.iter().enumerate() {
            if truth(step.when.as_ref(), &scope) != Some(false) {
                recipe.leave(index, step);
            }
        }
        recipe.left.sort();
        recipe.left.dedup();
        recipe
    }

    /// Gives the gate up: a route cannot ask for it.
    pub fn forget_gate(&mut self) {
        if let (false, Some(call)) = (self.gate.is_empty(), self.calls.first()) {
            let index = call.index;
            self.gate.clear();
            self.add(
                index,
                "the call is conditional there and unconditional here",
                true,
            );
        }
    }

    fn rehearse(&self, ends: &[(usize, Ended)], count: i64) -> Rehearsal {
        let script = Script {
            ends,
            count,
            ..Script::default()
        };
        Rehearsal::of(self.action, script)
    }

    /// The calls of a run.
    fn made(&self, ends: &[(usize, Ended)], count: i64) -> Vec<usize> {
        self.rehearse(ends, count).calls(self.action)
    }

    fn call(&self, index: usize) -> Option<Call<'a>> {
        let step = &self.action.steps[index];
        match &self.action.services[step.service].activity {
            Activity::Rest(rest) => Some(Call {
                index,
                service: step.service,
                step,
                rest,
            }),
            _ => None,
        }
    }

    /// Finds the calls, and returns all calls that any run makes, by step.
    fn find_calls(&mut self, is_own: bool) -> BTreeSet<usize> {
        let mut services = self.action.services.iter();
        let counts = services.any(|service| matches!(service.activity, Activity::Counter(_)));
        let counts: Vec<i64> = (1..=if counts { COUNTS } else { 1 }).collect();
        let usual: Vec<Vec<usize>> = counts.iter().map(|count| self.made(&[], *count)).collect();
        let mut all: BTreeSet<usize> = usual.iter().flatten().copied().collect();
        let calls: Vec<Call<'a>> = all.iter().filter_map(|call| self.call(*call)).collect();
        for call in &calls {
            let ends = [Ended::Failed]
                .into_iter()
                .chain(STATUSES.map(Ended::Answered));
            for end in ends {
                all.extend(self.made(&[(call.service, end)], 1));
            }
        }
        let refused = Script {
            refuses: true,
            ..Script::default()
        };
        all.extend(Rehearsal::of(self.action, refused).calls(self.action));
        let found = match usual.iter().all(|made| made.len() == 1) {
            true => match &calls[..] {
                [first] => self.on_failure(*first),
                several => self
                    .in_turn(&usual)
                    .map(|spread| (several.to_vec(), spread)),
            },
            false => None,
        };
        if let Some((calls, spread)) = found {
            let run = self.rehearse(&[], 1);
            if let Some(call) = calls.iter().find(|call| run.assumed.contains(&call.index)) {
                let is_known = !run.unknown.contains(&call.index);
                let when = call.step.when.as_ref();
                let when = when.filter(|_| is_own && is_known && calls.len() == 1);
                match when.and_then(|when| header_gate(when, &["payload", "headers"])) {
                    Some(gate) => self.gate = gate,
                    None => {
                        let what = "the call is conditional there and unconditional here";
                        self.add(call.index, what, true);
                    }
                }
            }
            for exit in run.exits {
                let what = "it ends the steps before the call on a condition, which native routes do not have";
                self.add(exit, what, true);
            }
            (self.calls, self.spread) = (calls, spread);
        }
        all
    }

    /// The shares of calls of which each request takes one, by a counter.
    fn in_turn(&self, usual: &[Vec<usize>]) -> Option<Spread> {
        let mut shares = std::collections::BTreeMap::new();
        for made in usual {
            *shares.entry(*made.first()?).or_insert(0) += 1;
        }
        let divisor = shares.values().copied().fold(0, common);
        let shares = shares.values();
        (divisor > 0).then(|| Spread::InTurn(shares.map(|share| share / divisor).collect()))
    }

    /// A call with those that are made where it failed, in order.
    fn on_failure(&self, first: Call<'a>) -> Option<(Vec<Call<'a>>, Spread)> {
        let mut calls = vec![first];
        let mut ends = Vec::new();
        loop {
            let last = calls.last()?;
            ends.push((last.service, Ended::Failed));
            let made = self.made(&ends, 1);
            let next = match made
                .strip_prefix(&calls.iter().map(|it| it.index).collect::<Vec<_>>()[..])?
            {
                [] => break,
                [next] => self.call(*next)?,
                _ => return None,
            };
            let is_known = calls.iter().any(|call| call.service == next.service);
            if is_known || calls.len() == ATTEMPTS_MAX {
                return None;
            }
            calls.push(next);
        }
        let [_, second, ..] = &calls[..] else {
            return Some((calls, Spread::One));
        };
        let repeated = |status: &u16| {
            let made = self.made(&[(first.service, Ended::Answered(*status))], 1);
            made == [first.index, second.index]
        };
        let statuses = STATUSES.into_iter().filter(repeated).collect();
        Some((calls, Spread::OnFailure(statuses)))
    }

    /// The ways in which the call as a whole ends.
    pub fn ways(&self, last: Ended) -> Vec<Way> {
        let way = |ends, count| Way { ends, count };
        match &self.spread {
            Spread::One => {
                let calls = self.calls.iter();
                calls
                    .map(|call| way(vec![(call.service, last)], 1))
                    .collect()
            }
            Spread::InTurn(_) => {
                let counts = 1..=COUNTS;
                let all = self.calls.iter().map(|call| (call.service, last));
                let all: Vec<_> = all.collect();
                counts.map(|count| way(all.clone(), count)).collect()
            }
            Spread::OnFailure(_) => {
                let until = |made: usize| {
                    let calls = self.calls.iter().take(made + 1).enumerate();
                    let ends = calls.map(|(at, call)| {
                        let end = if at < made { Ended::Failed } else { last };
                        (call.service, end)
                    });
                    way(ends.collect(), 1)
                };
                let calls = self.calls.len();
                match last {
                    Ended::Failed => vec![until(calls - 1)],
                    Ended::Answered(_) => (0..calls).map(until).collect(),
                }
            }
        }
    }

    /// Finds the breaker that is checked before the call, and that counts a failure after a failed call and is reset
    /// after a successful one.
    fn find_breaker(&mut self) {
        let Some(first) = self.calls.iter().map(|call| call.index).min() else {
            return;
        };
        let action = self.action;
        let usual = self.rehearse(&[], 1);
        let refused = Script {
            refuses: true,
            ..Script::default()
        };
        let refused = Rehearsal::of(action, refused).calls(action);
        let keeps = !refused
            .iter()
            .any(|call| self.calls.iter().any(|it| it.index == *call));
        let mut found = usual.ran.iter().filter_map(|step| {
            let of = &action.steps[*step];
            match &action.services[of.service].activity {
                Activity::Breaker(breaker)
                    if *step < first && operation(action, of) == Some("") =>
                {
                    Some((of.service, *step, breaker))
                }
                _ => None,
            }
        });
        let (Some((service, asked, breaker)), None) = (found.next(), found.next()) else {
            return;
        };
        let reports = |way: &Way, word: &str| {
            let run = self.rehearse(&way.ends, way.count);
            let steps = run.ran.iter().filter(|step| {
                let step = &action.steps[**step];
                step.service == service && operation(action, step) == Some(word)
            });
            steps.count()
        };
        let all = |last: Ended, counters: usize, resets: usize| {
            let ways = self.ways(last);
            ways.iter()
                .all(|way| reports(way, "counter") == counters && reports(way, "reset") == resets)
        };
        if keeps && all(Ended::Failed, 1, 0) && all(Ended::Answered(200), 0, 1) {
            let counted = |status: &u16| all(Ended::Answered(*status), 1, 0);
            self.statuses = STATUSES.into_iter().filter(counted).collect();
            self.breaker = Some(breaker);
            let is_conditional = usual.ran.iter().any(|step| {
                let is_call = self
                    .calls
                    .iter()
                    .any(|call| usual.assumed.contains(&call.index));
                action.steps[*step].service == service && usual.assumed.contains(step) && !is_call
            });
            if is_conditional {
                let what = "the breaker is conditional there and unconditional here";
                self.add(asked, what, false);
            }
        }
    }

    fn leave(&mut self, index: usize, step: &FlowStep) {
        let service = &self.action.services[step.service];
        let (what, is_guard) = match &service.activity {
            Activity::Rest(_) | Activity::Nothing | Activity::Pass(_) => return,
            Activity::Breaker(breaker) if self.has_breaker(breaker) => return,
            Activity::Breaker(_) => (
                "the breaker is not checked before the call, or does not receive its failures and successes",
                true,
            ),
            Activity::RateLimiter(_) => ("the rate limiter has no native form yet", true),
            Activity::Quota(_) => ("the limit on the time of calls has no native form", true),
            Activity::GraphQl(_) => (
                "the check of GraphQL requests has no native form: let their server bound depth and cost",
                true,
            ),
            Activity::Script(_) => ("the script has no native form", true),
            Activity::Jwt => (
                "the check of the token has no native form yet: check it before the gateway",
                true,
            ),
            Activity::Log => ("the log line: the gateway logs and counts by itself", false),
            // The balancer takes its place.
            Activity::Counter(_) if matches!(self.spread, Spread::InTurn(_)) => return,
            Activity::Counter(_) => (
                "the counter: the gateway's metrics count by themselves",
                false,
            ),
            Activity::Channel => ("the message to the channel has no native form", false),
            Activity::Return(_) | Activity::Reply(_) => ("the results have no native form", false),
        };
        let name = quote(&service.name);
        self.add(index, format!("the step of {name}: {what}"), is_guard);
    }

    fn add(&mut self, step: usize, what: impl Into<String>, is_guard: bool) {
        let what = what.into();
        self.left.push(Left {
            step,
            what,
            is_guard,
        });
    }

    fn has_breaker(&self, breaker: &BreakerActivity) -> bool {
        self.breaker.is_some_and(|found| found.name == breaker.name)
    }

    /// The response to a refused call, by index.
    pub fn refusal(&self) -> Option<usize> {
        self.breaker?;
        let script = Script {
            refuses: true,
            ..Script::default()
        };
        Rehearsal::of(self.action, script).answer(self.action)
    }

    /// The response to a request that the gate keeps from the call, by index.
    pub fn kept_back(&self) -> Option<usize> {
        let script = Script {
            keeps_back: true,
            ..Script::default()
        };
        Rehearsal::of(self.action, script).answer(self.action)
    }

    /// True if a request that the gate keeps from the call asks the breaker all the same, or reports to it.
    pub fn kept_back_moves_breaker(&self) -> bool {
        let script = Script {
            keeps_back: true,
            ..Script::default()
        };
        let ran = Rehearsal::of(self.action, script).ran;
        let mut services = ran.iter().map(|step| self.action.steps[*step].service);
        !self.gate.is_empty()
            && services.any(|service| match &self.action.services[service].activity {
                Activity::Breaker(breaker) => self.has_breaker(breaker),
                _ => false,
            })
    }

    /// The response to all calls that end so, by index; `None` if none matches, or if they differ.
    pub fn answer(&self, last: Ended) -> Option<usize> {
        let ways = self.ways(last);
        let mut answers = ways.iter().map(|way| {
            let run = self.rehearse(&way.ends, way.count);
            run.answer(self.action)
        });
        let first = answers.next()??;
        answers.all(|it| it == Some(first)).then_some(first)
    }
}

/// The greatest common divisor.
fn common(one: i64, other: i64) -> i64 {
    match other {
        0 => one,
        _ => common(other, one % other),
    }
}
