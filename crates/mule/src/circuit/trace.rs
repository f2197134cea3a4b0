//! Parts of a path: the conditions before a call, and the entries after it.

use std::collections::{BTreeMap, BTreeSet};

use fusebox_dataweave::Value;
use fusebox_dataweave::symbol::{Relation, Sign, Symbol, is_now};

use super::paths::Act;
use super::push;

/// The values of entries, by index; `None`: the entry does not exist.
pub(super) type StoreState = BTreeMap<usize, Option<Symbol>>;

/// The entries that keep a path from being taken.
#[derive(Debug, Default)]
pub(super) struct Blockers {
    /// The entries that contradict the path.
    pub entries: BTreeSet<usize>,
    /// The entries or keys of entries in the contradicted conditions.
    pub slots: Vec<Symbol>,
}

/// Finds the entries in `held` that contradict acts. With `later`, conditions on time are ignored.
pub(super) fn blockers(acts: &[Act<'_>], held: &StoreState, later: bool) -> Blockers {
    let mut found = Blockers::default();
    for act in acts {
        match act {
            Act::Found { entry, found: is }
                if held.get(entry).is_some_and(|value| value.is_some() != *is) =>
            {
                found.entries.insert(*entry);
            }
            Act::Assumed { condition, .. } => {
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

/// True if no entry in `held` contradicts the acts. With `later`, conditions on time are ignored.
pub(super) fn passes(acts: &[Act<'_>], held: &StoreState, later: bool) -> bool {
    blockers(acts, held, later).entries.is_empty()
}

/// True if one of these paths can be taken.
pub(super) fn any_passes(paths: &[&[Act<'_>]], held: &StoreState, later: bool) -> bool {
    paths.iter().any(|acts| passes(acts, held, later))
}

/// A condition with the values of entries in place.
pub(super) fn substituted(condition: &Symbol, held: &StoreState) -> Symbol {
    condition.rewritten(&|part| match part {
        Symbol::Entry(entry) => match held.get(entry)? {
            Some(value) => Some(value.clone()),
            None => Some(Symbol::NULL),
        },
        _ => None,
    })
}

/// The entries, or keys of entries, that a condition tests.
pub(super) fn slots(condition: &Symbol) -> Vec<Symbol> {
    let mut found: Vec<Symbol> = Vec::new();
    condition.walk(&mut |part| {
        // A known slot that has the part within it, or is the part.
        let within = |known: &Symbol| known.has(&|inner| inner == part);
        if part.of_entry().is_some() && !found.iter().any(within) {
            found.push(part.clone());
        }
    });
    found
}

/// The entries after some acts. Values that depend on earlier ones become unknown.
pub(super) fn store_after(acts: &[Act<'_>]) -> StoreState {
    let mut held = StoreState::new();
    for act in acts {
        match act {
            Act::Wrote { entry, value, .. } => {
                held.insert(*entry, Some(without_entries(value)));
            }
            Act::Removed { entry, .. } => {
                held.insert(*entry, None);
            }
            _ => {}
        }
    }
    held
}

/// A value with everything unknown that depends on earlier values of entries.
pub(super) fn without_entries(value: &Symbol) -> Symbol {
    value
        .clone()
        .parsed()
        .rewritten(&|part| matches!(part, Symbol::Entry(_)).then_some(Symbol::Unknown))
}

/// An addition to the value of an entry.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Increment {
    /// The counter: an entry, or a key of an entry.
    pub slot: Symbol,
    /// The amount that is added.
    pub by: i64,
}

/// The increments of an entry inside a value that is written to it.
pub(super) fn increments(entry: usize, value: &Symbol) -> Vec<Increment> {
    let mut found = Vec::new();
    value.bare().walk(&mut |part| {
        if let Some((slot, by)) = offset(part)
            && by > 0
            && slot.of_entry() == Some(entry)
        {
            push(&mut found, Increment { slot, by });
        }
    });
    found
}

/// Splits a sum into its base and the number added.
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

/// The count from which a condition holds, if it is a condition on the count after an increment. The inner `None`:
/// the limit is not constant.
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
        (None, Some(by)) => (by, relation.flipped(), left),
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

/// The part of an entry's value at a slot.
pub(super) fn slot_value(value: &Symbol, slot: &Symbol) -> Symbol {
    match slot {
        Symbol::Field(of, key) => slot_value(value, of).field(key),
        _ => value.clone(),
    }
}

/// The value of a known scalar: text, number, or boolean.
pub(super) fn scalar(symbol: &Symbol) -> Option<Value> {
    match symbol.known()? {
        value @ (Value::String(_) | Value::Number(_) | Value::Bool(_)) => Some(value.clone()),
        _ => None,
    }
}
