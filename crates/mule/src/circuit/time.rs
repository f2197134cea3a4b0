//! The time that a condition waits for.

use std::time::Duration;

use fusebox_dataweave::Value;
use fusebox_dataweave::symbol::{Cast, Relation, Sign, Symbol, Unit, is_now};

use super::trace::StoreState;

/// A condition with the stored values in place of entries.
pub(super) fn stored_times(condition: &Symbol, held: &StoreState) -> Symbol {
    // A stored `now` becomes an input of its own, to differ from the current one.
    condition.rewritten(&|part| match part {
        Symbol::Entry(entry) => {
            let value = held.get(entry)?.clone()?;
            Some(value.rewritten(&|part| is_now(part).then(|| Symbol::input("then"))))
        }
        _ => None,
    })
}

/// The time that must pass until a condition holds.
pub(super) fn time(condition: &Symbol) -> Option<Duration> {
    let Symbol::Compare(left, relation, right) = condition else {
        return None;
    };
    let upward = matches!(relation, Relation::Greater | Relation::GreaterEqual);
    // `now - then > limit`, `now > then + limit`
    let (elapsed, limit) = match (&**left, &**right) {
        (elapsed, Symbol::Known(limit)) if upward => (elapsed, limit.clone()),
        (now, Symbol::Sum(_, Sign::Plus, limit)) if upward && now.has(&is_now) => {
            (now, limit.known()?.clone())
        }
        (Symbol::Sum(_, Sign::Plus, limit), now) if !upward && now.has(&is_now) => {
            (now, limit.known()?.clone())
        }
        _ => return None,
    };
    match limit {
        Value::Period(period) if period.is_exact() => period.time.try_into().ok(),
        Value::Number(number) => {
            let number = u64::try_from(number.to_i64()?).ok()?;
            Some(match unit(elapsed) {
                Unit::Seconds => Duration::from_secs(number),
                Unit::Milliseconds => Duration::from_millis(number),
            })
        }
        _ => None,
    }
}

/// The unit of a numeric time: that of the outermost conversion.
pub(super) fn unit(symbol: &Symbol) -> Unit {
    match symbol {
        Symbol::As(_, Cast::Number(unit)) => *unit,
        Symbol::Sum(left, _, right) => match unit(left) {
            Unit::Seconds => unit(right),
            found => found,
        },
        Symbol::As(of, _) => unit(of),
        _ => Unit::Seconds,
    }
}
