//! Pieces of a way: what must hold until a call is made, and what a store makes of that.

use std::collections::{BTreeMap, BTreeSet};

use fusebox_dataweave::Value;
use fusebox_dataweave::symbol::{Relation, Sign, Symbol, is_now};

use super::ways::Act;

/// What entries hold; `None`: they are not there.
pub(super) type Held = BTreeMap<usize, Option<Symbol>>;

/// What stands against some acts.
#[derive(Debug, Default)]
pub(super) struct Against {
    /// The entries that do, and what of them is asked.
    pub entries: BTreeSet<usize>,
    /// Keys of entries that are asked for.
    pub slots: Vec<Symbol>,
}

/// What stands against acts where entries hold something. Conditions on time are left out `later`.
pub(super) fn against(acts: &[Act<'_>], held: &Held, later: bool) -> Against {
    let mut found = Against::default();
    for act in acts {
        match act {
            Act::Found {
                entry,
                found: there,
            } => {
                if let Some(value) = held.get(entry)
                    && value.is_some() != *there
                {
                    found.entries.insert(*entry);
                }
            }
            Act::Held { condition, .. } => {
                if later && condition.has(&is_now) {
                    continue;
                }
                if substituted(condition, held).truth() != Some(false) {
                    continue;
                }
                for slot in slots(condition) {
                    if let Some(entry) = slot.of_entry()
                        && held.contains_key(&entry)
                    {
                        found.entries.insert(entry);
                        found.slots.push(slot);
                    }
                }
            }
            _ => {}
        }
    }
    found
}

/// A condition where entries hold something.
pub(super) fn substituted(condition: &Symbol, held: &Held) -> Symbol {
    condition.rewritten(&|part| match part {
        Symbol::Entry(entry) => match held.get(entry)? {
            Some(value) => Some(value.clone()),
            None => Some(Symbol::NULL),
        },
        _ => None,
    })
}

/// What of entries a condition looks at: `Entry`, or a key of one.
pub(super) fn slots(condition: &Symbol) -> Vec<Symbol> {
    let found = std::cell::RefCell::new(Vec::new());
    condition.has(&|part| {
        if part.of_entry().is_some() {
            let inner = |other: &Symbol| other.has(&|inner| inner == part) && other != part;
            let mut found = found.borrow_mut();
            if !found.iter().any(inner) && !found.contains(part) {
                found.push(part.clone());
            }
        }
        false
    });
    found.into_inner()
}

/// What is left in entries by acts. What they held before is not known any more.
pub(super) fn left(acts: &[Act<'_>]) -> Held {
    let mut held = Held::new();
    for act in acts {
        match act {
            Act::Wrote { entry, value, .. } => {
                held.insert(*entry, Some(forgotten(value)));
            }
            Act::Removed { entry, .. } => {
                held.insert(*entry, None);
            }
            _ => {}
        }
    }
    held
}

/// A value in which nothing is known of what entries held.
pub(super) fn forgotten(value: &Symbol) -> Symbol {
    value
        .clone()
        .parsed()
        .rewritten(&|part| matches!(part, Symbol::Entry(_)).then_some(Symbol::Unknown))
}

/// One more than what an entry holds.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Increment {
    /// What is counted in: `Entry`, or a key of one.
    pub slot: Symbol,
    /// How much is added.
    pub by: i64,
}

/// The increments that a value for an entry has in it.
pub(super) fn increments(entry: usize, value: &Symbol) -> Vec<Increment> {
    let found = std::cell::RefCell::new(Vec::new());
    value.bare().has(&|part| {
        if let Some((slot, by)) = offset(part)
            && by > 0
            && slot.of_entry() == Some(entry)
        {
            let increment = Increment { slot, by };
            let mut found = found.borrow_mut();
            if !found.contains(&increment) {
                found.push(increment);
            }
        }
        false
    });
    found.into_inner()
}

/// A sum as what it is of, and how much is added to that.
pub(super) fn offset(symbol: &Symbol) -> Option<(Symbol, i64)> {
    match symbol {
        Symbol::Sum(base, sign, by) => {
            let by = by.number()?.to_i64()?;
            let by = match sign {
                Sign::Plus => by,
                Sign::Minus => by.checked_neg()?,
            };
            Some(((**base).clone(), by))
        }
        _ => None,
    }
}

/// From which count on a condition holds, where it is one on a count; the count is what the
/// increment leaves. The inner `None`: that depends.
pub(super) fn threshold(condition: &Symbol, increment: &Increment) -> Option<Option<u64>> {
    let Symbol::Compare(left, relation, right) = condition.bare() else {
        return None;
    };
    let side = |side: &Symbol| match offset(side) {
        Some((base, by)) if base == increment.slot => Some(by),
        _ if *side == increment.slot => Some(0),
        _ => None,
    };
    let (before, relation, limit) = match (side(&left), side(&right)) {
        (Some(by), _) => (by, relation, right),
        (None, Some(by)) => {
            let flipped = match relation {
                Relation::Less => Relation::Greater,
                Relation::LessEqual => Relation::GreaterEqual,
                Relation::Greater => Relation::Less,
                Relation::GreaterEqual => Relation::LessEqual,
                same => same,
            };
            (by, flipped, left)
        }
        (None, None) => return None,
    };
    let more = match relation {
        Relation::GreaterEqual | Relation::Equal => 0,
        Relation::Greater => 1,
        Relation::Unequal | Relation::Less | Relation::LessEqual => return None,
    };
    let Some(limit) = limit.number() else {
        return Some(None);
    };
    // A limit between two whole numbers is reached at the upper one.
    let whole = limit.to_i64().or_else(|| {
        let floor = i64::try_from(limit.truncated()?).ok()?;
        floor.checked_add(1 - more)
    });
    let least = whole.and_then(|whole| {
        let least = whole
            .checked_add(more)?
            .checked_sub(before)?
            .checked_add(increment.by)?;
        let times = least
            .checked_add(increment.by - 1)?
            .checked_div(increment.by)?;
        u64::try_from(times.max(1)).ok()
    });
    Some(least)
}

/// A value of an entry, at one of its keys.
pub(super) fn at_slot(value: &Symbol, slot: &Symbol) -> Symbol {
    match slot {
        Symbol::Field(of, key) => at_slot(value, of).field(key),
        _ => value.clone(),
    }
}

/// A value that is no text of an object but a plain one.
pub(super) fn plain(symbol: &Symbol) -> Option<Value> {
    match symbol.known()? {
        value @ (Value::String(_) | Value::Number(_) | Value::Bool(_)) => Some(value.clone()),
        _ => None,
    }
}
