//! Conditions, and the paths on which they hold.

use fusebox_dataweave::symbol::{Relation, Symbol};

use super::{Act, Path, Split, push};
use crate::app::Site;

/// The limit of cases in which one condition holds.
const CASES_MAX: usize = 24;

/// Splits a path at a condition: each possible result, with the assumptions that it needs.
pub(super) fn split<'a>(condition: Symbol, path: Path<'a>, site: &'a Site) -> Split<'a> {
    if let Some(holds) = condition.truth() {
        return vec![(path, holds)];
    }
    let of_entry = condition.has(&|part| matches!(part, Symbol::Entry(_)));
    if !of_entry {
        return vec![
            (decided(&path, site, true), true),
            (decided(&path, site, false), false),
        ];
    }
    let mut ends: Split<'a> = Vec::new();
    for holds in [true, false] {
        for case in cases(&condition, holds) {
            if let Some(path) = assumed(case, decided(&path, site, holds), site) {
                push(&mut ends, (path, holds));
            }
        }
    }
    ends
}

/// A path on which a condition holds, or does not.
fn decided<'a>(path: &Path<'a>, site: &'a Site, holds: bool) -> Path<'a> {
    let mut path = path.clone();
    path.decisions.0.push((site, holds));
    path
}

/// The conditions without `and` and `or` that make a condition hold, or not hold; each list is one case.
fn cases(condition: &Symbol, holds: bool) -> Vec<Vec<Symbol>> {
    let all = |items: &[Symbol], holds: bool| {
        items.iter().fold(vec![Vec::new()], |before, item| {
            let mut after = joined(&before, &cases(item, holds));
            after.truncate(CASES_MAX);
            after
        })
    };
    // One item decides, and all items before it have the opposite truth.
    let one = |items: &[Symbol], holds: bool| {
        let mut found = Vec::new();
        for (at, item) in items.iter().enumerate() {
            found.extend(joined(&all(&items[..at], !holds), &cases(item, holds)));
        }
        found.truncate(CASES_MAX);
        found
    };
    match (condition, holds) {
        (Symbol::All(items), true) => all(items, true),
        (Symbol::All(items), false) => one(items, false),
        (Symbol::Any(items), true) => one(items, true),
        (Symbol::Any(items), false) => all(items, false),
        (Symbol::Not(of), holds) => cases(of, !holds),
        (Symbol::If(when, then, otherwise), holds) => {
            let mut found = Vec::new();
            for (which, side) in [(true, then), (false, otherwise)] {
                found.extend(joined(&cases(when, which), &cases(side, holds)));
            }
            found.truncate(CASES_MAX);
            found
        }
        (Symbol::Known(_), _) if condition.truth() == Some(holds) => vec![Vec::new()],
        (Symbol::Known(_), _) if condition.truth().is_some() => Vec::new(),
        (other, true) => vec![vec![other.clone()]],
        (other, false) => vec![vec![other.clone().negation()]],
    }
}

/// Each of some lists with each of some others behind it.
fn joined(before: &[Vec<Symbol>], after: &[Vec<Symbol>]) -> Vec<Vec<Symbol>> {
    let with = |list: &Vec<Symbol>| {
        after
            .iter()
            .map(|more| [&list[..], more].concat())
            .collect()
    };
    before.iter().flat_map::<Vec<_>, _>(with).collect()
}

/// A path with additional conditions; `None`: they contradict the path.
fn assumed<'a>(conditions: Vec<Symbol>, mut path: Path<'a>, site: &'a Site) -> Option<Path<'a>> {
    for condition in conditions {
        let mut known = condition.clone();
        for act in &path.acts {
            let Act::Assumed {
                condition: before, ..
            } = act
            else {
                continue;
            };
            if *before == known {
                known = Symbol::flag(true);
            } else if before.clone().negation() == known {
                return None;
            } else if let Symbol::Compare(left, Relation::Equal, right) = before
                && right.known().is_some()
            {
                known = known.rewritten(&|part| (part == &**left).then(|| (**right).clone()));
            }
        }
        match known.truth() {
            Some(true) => {}
            Some(false) => return None,
            None => path.acts.push(Act::Assumed { condition, site }),
        }
    }
    Some(path)
}
