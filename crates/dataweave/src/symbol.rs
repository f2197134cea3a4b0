//! Partial evaluation: values that are known in part, to find the results of a script for all requests.
//!
//! ```
//! use std::{cell::Cell, collections::BTreeMap};
//! use fusebox_dataweave::{Properties, Script, Value};
//! use fusebox_dataweave::symbol::{Symbol, View};
//!
//! let script = Script::parse("if (vars.state == 'OPEN') 503 else payload.status")?;
//! let view = View {
//!     payload: &Symbol::input("payload"),
//!     attributes: &Symbol::Unknown,
//!     vars: &BTreeMap::from([("state".into(), Symbol::text("OPEN"))]),
//!     error: &Symbol::NULL,
//!     properties: &Properties::new(),
//!     steps: &Cell::new(1000),
//! };
//! assert_eq!(script.symbol(&view).known(), Some(&Value::from(503)));
//! # Ok::<(), fusebox_dataweave::ParseFault>(())
//! ```
//!
//! Symbols are only made by functions of this module, which simplify them and bound their size.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use crate::event::Properties;
use crate::value::Value;
use crate::value::json;
use crate::value::number::Number;
use crate::value::period::Period;

/// The limit of a symbol's parts; above it the symbol becomes [`Symbol::Unknown`].
const PARTS_MAX: usize = 200;
/// The limit of a known text that is joined from pieces, in bytes.
const TEXT_MAX: usize = 4096;

/// The input of a script, as far as it is known.
pub struct View<'a> {
    /// The message's payload.
    pub payload: &'a Symbol,
    /// The message's attributes.
    pub attributes: &'a Symbol,
    /// The variables; one that is missing is null.
    pub vars: &'a BTreeMap<Arc<str>, Symbol>,
    /// The error; null outside a handler.
    pub error: &'a Symbol,
    /// The texts that `p(key)` reads.
    pub properties: &'a Properties,
    /// The remaining steps; without any, results are unknown.
    pub steps: &'a Cell<u32>,
}

/// A value that is known in part.
#[derive(Debug, Clone, PartialEq)]
pub enum Symbol {
    /// A known value.
    Known(Value),
    /// An unknown value.
    Unknown,
    /// A part of the incoming event, by name: `payload`, `attributes`.
    Input(Arc<str>),
    /// The moment of the evaluation.
    Now,
    /// The value of an object store's entry, by the entry's number.
    Entry(usize),
    /// The value of a key in an object.
    Field(Rc<Symbol>, Arc<str>),
    /// An object that adds keys to another one.
    Object {
        /// The object with the other keys; `None`: there are none.
        base: Option<Rc<Symbol>>,
        /// The added keys.
        fields: BTreeMap<Arc<str>, Symbol>,
    },
    /// A text joined from pieces.
    Text(Vec<Symbol>),
    /// A sum or difference.
    Sum(Rc<Symbol>, Sign, Rc<Symbol>),
    /// A comparison; a known side is on the right.
    Compare(Rc<Symbol>, Relation, Rc<Symbol>),
    /// A conjunction: true if all conditions hold.
    All(Vec<Symbol>),
    /// A disjunction: true if one of the conditions holds.
    Any(Vec<Symbol>),
    /// A negation: true if the condition does not hold.
    Not(Rc<Symbol>),
    /// A choice: condition, value if it holds, value otherwise.
    If(Rc<Symbol>, Rc<Symbol>, Rc<Symbol>),
    /// A moment or an elapsed time, converted to another form.
    As(Rc<Symbol>, Cast),
}

/// The sign of a sum's second operand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// The operator `+`.
    Plus,
    /// The operator `-`.
    Minus,
}

/// The operator of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    /// The operator `==`.
    Equal,
    /// The operator `!=`.
    Unequal,
    /// The operator `<`.
    Less,
    /// The operator `<=`.
    LessEqual,
    /// The operator `>`.
    Greater,
    /// The operator `>=`.
    GreaterEqual,
}

/// The target of a conversion of a moment or elapsed time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cast {
    /// A number of units: since 1970 for a moment, in total for a period.
    Number(Unit),
    /// A text, by a format if one is given.
    Text(Option<Arc<str>>),
    /// A moment read from a number of units, or from a text.
    Moment(Unit),
    /// The same moment in another time zone.
    Zone,
    /// A period read from a text.
    Period,
}

/// The unit of a numeric time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// The number counts seconds.
    Seconds,
    /// The number counts milliseconds.
    Milliseconds,
}

impl Relation {
    /// The relation that holds exactly if this one does not.
    pub fn negated(self) -> Relation {
        match self {
            Relation::Equal => Relation::Unequal,
            Relation::Unequal => Relation::Equal,
            Relation::Less => Relation::GreaterEqual,
            Relation::LessEqual => Relation::Greater,
            Relation::Greater => Relation::LessEqual,
            Relation::GreaterEqual => Relation::Less,
        }
    }

    /// The relation with its sides exchanged.
    pub fn flipped(self) -> Relation {
        match self {
            Relation::Equal | Relation::Unequal => self,
            Relation::Less => Relation::Greater,
            Relation::LessEqual => Relation::GreaterEqual,
            Relation::Greater => Relation::Less,
            Relation::GreaterEqual => Relation::LessEqual,
        }
    }

    fn holds(self, order: std::cmp::Ordering) -> bool {
        match self {
            Relation::Equal => order.is_eq(),
            Relation::Unequal => order.is_ne(),
            Relation::Less => order.is_lt(),
            Relation::LessEqual => order.is_le(),
            Relation::Greater => order.is_gt(),
            Relation::GreaterEqual => order.is_ge(),
        }
    }
}

impl Symbol {
    /// The null value.
    pub const NULL: Symbol = Symbol::Known(Value::Null);

    /// A known text.
    pub fn text(text: impl Into<Arc<str>>) -> Symbol {
        Symbol::Known(Value::text(text))
    }

    /// A known boolean.
    pub fn flag(flag: bool) -> Symbol {
        Symbol::Known(flag.into())
    }

    /// A part of the incoming event.
    pub fn input(name: &str) -> Symbol {
        Symbol::Input(name.into())
    }

    /// Makes a symbol of a value; objects become symbols of their keys.
    pub fn of(value: Value) -> Symbol {
        match value {
            Value::Object(object) => {
                let fields = object.entries().iter();
                let fields =
                    fields.map(|(key, value)| (key.name().clone(), Symbol::of(value.clone())));
                Symbol::object(None, fields.collect())
            }
            value => Symbol::Known(value),
        }
    }

    /// The content of a known JSON text; any other symbol unchanged.
    pub fn parsed(self) -> Symbol {
        match &self {
            Symbol::Known(Value::String(text)) if text.trim_start().starts_with(['{', '[']) => {
                json::read(text).map_or(Symbol::Unknown, Symbol::of)
            }
            _ => self,
        }
    }

    /// The value of a known JSON text; any other symbol unchanged, since a stored text stands for its content.
    pub(crate) fn read(self) -> Symbol {
        match &self {
            Symbol::Known(Value::String(text)) => {
                json::read(text).map_or(Symbol::Unknown, Symbol::of)
            }
            _ => self,
        }
    }

    /// Makes an object that adds keys to another one.
    pub fn object(base: Option<Symbol>, fields: BTreeMap<Arc<str>, Symbol>) -> Symbol {
        Symbol::Object {
            base: base.map(Rc::new),
            fields,
        }
        .bounded()
    }

    /// The value, if it is known completely.
    pub fn known(&self) -> Option<&Value> {
        match self {
            Symbol::Known(value) => Some(value),
            _ => None,
        }
    }

    /// The known number, also of a text.
    pub fn number(&self) -> Option<Number> {
        match self.known()? {
            Value::Number(number) => Some(number.clone()),
            Value::String(text) => Number::parse(text.trim()),
            _ => None,
        }
    }

    /// The truth of a condition, if it is known.
    pub fn truth(&self) -> Option<bool> {
        match self.known()? {
            Value::Bool(flag) => Some(*flag),
            Value::Null => Some(false),
            Value::String(text) if &**text == "true" => Some(true),
            Value::String(text) if &**text == "false" => Some(false),
            _ => None,
        }
    }

    fn parts(&self) -> usize {
        let mut count = 0;
        self.walk(&mut |_| count += 1);
        count
    }

    fn bounded(self) -> Symbol {
        if self.parts() > PARTS_MAX {
            return Symbol::Unknown;
        }
        self
    }

    /// The value of a key.
    pub fn field(&self, key: &str) -> Symbol {
        match self {
            Symbol::Known(Value::String(_)) => match self.clone().parsed() {
                Symbol::Known(_) => Symbol::Unknown,
                parsed => parsed.field(key),
            },
            Symbol::Known(Value::Null) => Symbol::NULL,
            Symbol::Object { base, fields } => match (fields.get(key), base) {
                (Some(value), _) => value.clone(),
                (None, Some(base)) => base.field(key),
                (None, None) => Symbol::NULL,
            },
            Symbol::If(when, then, otherwise) => {
                Symbol::either((**when).clone(), then.field(key), otherwise.field(key))
            }
            Symbol::Input(_) | Symbol::Entry(_) | Symbol::Field(..) => {
                Symbol::Field(Rc::new(self.clone()), key.into()).bounded()
            }
            _ => Symbol::Unknown,
        }
    }

    /// The concatenation `a ++ b`.
    pub fn concat(self, other: Symbol) -> Symbol {
        match (&self, &other) {
            (_, Symbol::If(when, then, otherwise)) => Symbol::either(
                (**when).clone(),
                self.clone().concat((**then).clone()),
                self.concat((**otherwise).clone()),
            ),
            (Symbol::If(when, then, otherwise), Symbol::Object { .. }) => Symbol::either(
                (**when).clone(),
                (**then).clone().concat(other.clone()),
                (**otherwise).clone().concat(other),
            ),
            (_, Symbol::Object { base: None, fields }) => {
                let (base, mut all) = match self {
                    Symbol::Object { base, fields } => (base, fields),
                    other => (Some(Rc::new(other)), BTreeMap::new()),
                };
                all.extend(fields.clone());
                Symbol::Object { base, fields: all }.bounded()
            }
            (Symbol::Object { .. }, _) | (_, Symbol::Object { .. }) => Symbol::Unknown,
            (Symbol::Known(Value::Array(_)), _) | (_, Symbol::Known(Value::Array(_))) => {
                Symbol::Unknown
            }
            _ => Symbol::joined(vec![self, other]),
        }
    }

    /// Joins pieces to a text.
    pub fn joined(pieces: Vec<Symbol>) -> Symbol {
        let mut all: Vec<Symbol> = Vec::new();
        let flat = pieces.into_iter().flat_map(|piece| match piece {
            Symbol::Text(pieces) => pieces,
            piece => vec![piece],
        });
        for piece in flat {
            let plain = match &piece {
                Symbol::Known(Value::String(text)) => text.to_string(),
                Symbol::Known(Value::Number(number)) => number.to_string(),
                Symbol::Known(Value::Bool(flag)) => flag.to_string(),
                Symbol::Known(Value::Null) => "null".to_owned(),
                _ => {
                    all.push(piece);
                    continue;
                }
            };
            match all.last_mut() {
                Some(Symbol::Known(Value::String(text))) => {
                    if text.len() + plain.len() > TEXT_MAX {
                        return Symbol::Unknown;
                    }
                    *text = format!("{text}{plain}").into();
                }
                _ => all.push(Symbol::text(plain)),
            }
        }
        match all.len() {
            0 => Symbol::text(""),
            1 if matches!(all[0], Symbol::Known(_)) => all.remove(0),
            _ => Symbol::Text(all).bounded(),
        }
    }

    /// The sum `a + b` or difference `a - b`.
    pub fn sum(self, sign: Sign, other: Symbol) -> Symbol {
        if let (Some(left), Some(right)) = (self.number(), other.number()) {
            let made = match sign {
                Sign::Plus => left.add(&right),
                Sign::Minus => left.subtract(&right),
            };
            return made.map_or(Symbol::Unknown, |number| Symbol::Known(number.into()));
        }
        if sign == Sign::Plus && self.known().is_some() && other.known().is_none() {
            return other.sum(sign, self);
        }
        // Folds `(x + 1) + 1` into one sum.
        if let (Symbol::Sum(base, inner, by), Some(right)) = (&self, other.number())
            && let Some(by) = by.number()
        {
            let signed = |sign: Sign, number: Number| match sign {
                Sign::Plus => number,
                Sign::Minus => number.negated(),
            };
            if let Ok(total) = signed(*inner, by).add(&signed(sign, right)) {
                return (**base)
                    .clone()
                    .sum(Sign::Plus, Symbol::Known(total.into()));
            }
        }
        Symbol::Sum(Rc::new(self), sign, Rc::new(other)).bounded()
    }

    /// The negative number `-a`.
    pub fn negated(self) -> Symbol {
        match self.number() {
            Some(number) => Symbol::Known(number.negated().into()),
            None => Symbol::Unknown,
        }
    }

    /// The choice between two values by a condition.
    pub fn either(when: Symbol, then: Symbol, otherwise: Symbol) -> Symbol {
        match when.truth() {
            Some(true) => return then,
            Some(false) => return otherwise,
            None if then == otherwise => return then,
            None => {}
        }
        match (then.truth(), otherwise.truth()) {
            (Some(true), Some(false)) if then.is_flag() && otherwise.is_flag() => when,
            (Some(false), Some(true)) if then.is_flag() && otherwise.is_flag() => when.negation(),
            _ => Symbol::If(Rc::new(when), Rc::new(then), Rc::new(otherwise)).bounded(),
        }
    }

    fn is_flag(&self) -> bool {
        matches!(self, Symbol::Known(Value::Bool(_)))
    }

    /// True if the value can only be a boolean.
    fn is_condition(&self) -> bool {
        matches!(
            self,
            Symbol::Compare(..) | Symbol::All(_) | Symbol::Any(_) | Symbol::Not(_)
        )
    }

    /// The negated condition `!a`.
    pub fn negation(self) -> Symbol {
        match self {
            Symbol::Not(of) => (*of).clone(),
            Symbol::Compare(left, relation, right) => {
                Symbol::Compare(left, relation.negated(), right)
            }
            other => match other.truth() {
                Some(holds) => Symbol::flag(!holds),
                None => Symbol::Not(Rc::new(other)).bounded(),
            },
        }
    }

    /// The conjunction `a and b`.
    pub fn all(items: Vec<Symbol>) -> Symbol {
        Symbol::junction(items, true)
    }

    /// The disjunction `a or b`.
    pub fn any(items: Vec<Symbol>) -> Symbol {
        Symbol::junction(items, false)
    }

    /// A conjunction (`neutral` is true) or a disjunction (false).
    fn junction(items: Vec<Symbol>, neutral: bool) -> Symbol {
        let mut rest = Vec::new();
        for item in items {
            match (item.truth(), item) {
                (Some(truth), _) if truth == neutral => {}
                (Some(_), _) => return Symbol::flag(!neutral),
                (None, Symbol::All(items)) if neutral => rest.extend(items),
                (None, Symbol::Any(items)) if !neutral => rest.extend(items),
                (None, item) => rest.push(item),
            }
        }
        match rest.len() {
            0 => Symbol::flag(neutral),
            1 => rest.remove(0),
            _ if neutral => Symbol::All(rest).bounded(),
            _ => Symbol::Any(rest).bounded(),
        }
    }

    /// The comparison `a == b`, `a < b` and so on.
    pub fn compare(self, relation: Relation, other: Symbol) -> Symbol {
        if let Symbol::If(when, then, otherwise) = &self {
            let then = (**then).clone().compare(relation, other.clone());
            let otherwise = (**otherwise).clone().compare(relation, other);
            return Symbol::either((**when).clone(), then, otherwise);
        }
        if self.known().is_some() != other.known().is_some() {
            if self.known().is_some() {
                return other.compare(relation.flipped(), self);
            }
        } else if matches!(other, Symbol::If(..)) {
            return other.compare(relation.flipped(), self);
        }
        if let Some(decided) = decided(&self, relation, &other) {
            return Symbol::flag(decided);
        }
        // Simplifies `(a == b) == true`.
        if let (true, Some(Value::Bool(flag))) = (self.is_condition(), other.known()) {
            return match (relation, flag) {
                (Relation::Equal, true) | (Relation::Unequal, false) => self,
                (Relation::Equal, false) | (Relation::Unequal, true) => self.negation(),
                _ => Symbol::Unknown,
            };
        }
        Symbol::Compare(Rc::new(self), relation, Rc::new(other)).bounded()
    }

    /// Converts to another form; the form is kept for moments, stored values and elapsed times only.
    pub fn cast(self, form: Cast) -> Symbol {
        match (&self, &form) {
            (Symbol::Known(Value::String(_)), Cast::Number(_)) => match self.number() {
                Some(number) => Symbol::Known(number.into()),
                None => Symbol::Unknown,
            },
            (Symbol::Known(Value::Number(number)), Cast::Text(None)) => {
                Symbol::text(number.to_string())
            }
            (Symbol::Known(Value::String(text)), Cast::Period) => Period::parse(text.trim())
                .map_or(Symbol::Unknown, |period| {
                    Symbol::Known(Value::period(period))
                }),
            (Symbol::Text(_), Cast::Period) => Symbol::As(Rc::new(self), form).bounded(),
            (Symbol::Known(_) | Symbol::Unknown | Symbol::Text(_), _) => self,
            (Symbol::Object { fields, .. }, Cast::Text(_)) => {
                match (fields.get("namespace"), fields.get("identifier")) {
                    (Some(namespace), Some(identifier)) => Symbol::joined(vec![
                        namespace.clone(),
                        Symbol::text(":"),
                        identifier.clone(),
                    ]),
                    _ => Symbol::Unknown,
                }
            }
            (Symbol::If(when, then, otherwise), _) => Symbol::either(
                (**when).clone(),
                (**then).clone().cast(form.clone()),
                (**otherwise).clone().cast(form),
            ),
            (Symbol::Object { .. }, _) => self,
            _ => Symbol::As(Rc::new(self), form).bounded(),
        }
    }

    /// The symbol without conversions, so that equal values compare equal.
    pub fn bare(&self) -> Symbol {
        self.rewritten(&|symbol| match symbol {
            Symbol::As(of, _) => Some(of.bare()),
            _ => None,
        })
    }

    /// Replaces parts of the symbol and simplifies it again.
    pub fn rewritten(&self, with: &dyn Fn(&Symbol) -> Option<Symbol>) -> Symbol {
        if let Some(other) = with(self) {
            return other;
        }
        let again = |symbol: &Symbol| symbol.rewritten(with);
        match self {
            Symbol::Known(_)
            | Symbol::Unknown
            | Symbol::Input(_)
            | Symbol::Now
            | Symbol::Entry(_) => self.clone(),
            Symbol::Field(of, key) => again(of).field(key),
            Symbol::Object { base, fields } => {
                let fields = fields
                    .iter()
                    .map(|(key, value)| (key.clone(), again(value)))
                    .collect();
                let base = base.as_ref().map(|base| again(base));
                match base {
                    Some(base) => base.concat(Symbol::object(None, fields)),
                    None => Symbol::object(None, fields),
                }
            }
            Symbol::Text(pieces) => Symbol::joined(pieces.iter().map(again).collect()),
            Symbol::Sum(left, sign, right) => again(left).sum(*sign, again(right)),
            Symbol::Compare(left, relation, right) => again(left).compare(*relation, again(right)),
            Symbol::All(items) => Symbol::all(items.iter().map(again).collect()),
            Symbol::Any(items) => Symbol::any(items.iter().map(again).collect()),
            Symbol::Not(of) => again(of).negation(),
            Symbol::If(when, then, otherwise) => {
                Symbol::either(again(when), again(then), again(otherwise))
            }
            Symbol::As(of, form) => again(of).cast(form.clone()),
        }
    }

    /// True if the symbol or one of its parts satisfies `is`.
    pub fn has(&self, is: &dyn Fn(&Symbol) -> bool) -> bool {
        let mut found = false;
        self.walk(&mut |part| found = found || is(part));
        found
    }

    /// Visits the symbol and all its parts, each before its own parts.
    pub fn walk(&self, visit: &mut dyn FnMut(&Symbol)) {
        visit(self);
        match self {
            Symbol::Known(_)
            | Symbol::Unknown
            | Symbol::Input(_)
            | Symbol::Now
            | Symbol::Entry(_) => {}
            Symbol::Field(of, _) | Symbol::Not(of) | Symbol::As(of, _) => of.walk(visit),
            Symbol::Object { base, fields } => {
                let fields = fields.values();
                base.as_deref()
                    .into_iter()
                    .chain(fields)
                    .for_each(|part| part.walk(visit));
            }
            Symbol::Text(items) | Symbol::All(items) | Symbol::Any(items) => {
                items.iter().for_each(|item| item.walk(visit));
            }
            Symbol::Sum(left, _, right) | Symbol::Compare(left, _, right) => {
                left.walk(visit);
                right.walk(visit);
            }
            Symbol::If(when, then, otherwise) => {
                for part in [when, then, otherwise] {
                    part.walk(visit);
                }
            }
        }
    }

    /// The entry that this is the value of, or a key in the value of.
    pub fn of_entry(&self) -> Option<usize> {
        match self {
            Symbol::Entry(entry) => Some(*entry),
            Symbol::Field(of, _) => of.of_entry(),
            _ => None,
        }
    }
}

/// The result of a comparison, if it is known.
fn decided(left: &Symbol, relation: Relation, right: &Symbol) -> Option<bool> {
    let equality = matches!(relation, Relation::Equal | Relation::Unequal);
    if let (Some(one), Some(other)) = (left.known(), right.known()) {
        if equality {
            return Some((one == other) == (relation == Relation::Equal));
        }
        return match (left.number(), right.number()) {
            (Some(one), Some(other)) => Some(relation.holds(one.cmp(&other))),
            _ => None,
        };
    }
    // Stored values are never null, and neither are values made of others.
    if let (Some(Value::Null), true) = (right.known(), equality) {
        return match left {
            Symbol::Entry(_)
            | Symbol::Now
            | Symbol::Object { .. }
            | Symbol::Text(_)
            | Symbol::Sum(..)
            | Symbol::As(..) => Some(relation == Relation::Unequal),
            _ => None,
        };
    }
    if let (Some(least), Some(Value::Number(limit))) = (least(left), right.known())
        && *limit < Number::from(least)
    {
        return Some(relation.holds(std::cmp::Ordering::Greater));
    }
    let (left, right) = (left.bare(), right.bare());
    if left == right && !left.has(&|part| *part == Symbol::Unknown) {
        return Some(relation.holds(std::cmp::Ordering::Equal));
    }
    elapsed(&left, relation, &right)
}

/// The moment before every evaluation, in seconds since 1970, and so in milliseconds too.
const PAST: i64 = 1_000_000_000;

/// A number that a numeric time is above, whenever it is evaluated; `None`: it is no such time.
fn least(symbol: &Symbol) -> Option<i64> {
    match symbol {
        Symbol::As(of, Cast::Number(_)) if **of == Symbol::Now => Some(PAST),
        Symbol::Sum(base, sign, by) => {
            let by = by.known().and(by.number())?.to_i64()?;
            let base = least(base)?;
            match sign {
                Sign::Plus => base.checked_add(by),
                Sign::Minus => base.checked_sub(by),
            }
        }
        _ => None,
    }
}

/// The comparison of a moment with now plus or minus something, or of the time elapsed since now.
fn elapsed(left: &Symbol, relation: Relation, right: &Symbol) -> Option<bool> {
    let no_time = |symbol: &Symbol| match symbol {
        Symbol::Sum(one, Sign::Minus, other) => one == other && **one == Symbol::Now,
        _ => false,
    };
    // Time elapsed since now is zero, which is less than any limit.
    if no_time(left) {
        return Some(relation.holds(std::cmp::Ordering::Less));
    }
    if no_time(right) {
        return Some(relation.holds(std::cmp::Ordering::Greater));
    }
    // The order of a moment relative to now.
    let from_now = |symbol: &Symbol| match symbol {
        Symbol::Now => Some(std::cmp::Ordering::Equal),
        Symbol::Sum(base, sign, by) if **base == Symbol::Now && !by.has(&is_now) => {
            Some(match sign {
                Sign::Plus => std::cmp::Ordering::Greater,
                Sign::Minus => std::cmp::Ordering::Less,
            })
        }
        _ => None,
    };
    match (from_now(left)?, from_now(right)?) {
        (one, other) if one != other => Some(relation.holds(one.cmp(&other))),
        _ => None,
    }
}

/// True for the moment of the evaluation.
pub fn is_now(symbol: &Symbol) -> bool {
    *symbol == Symbol::Now
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(number: i64) -> Symbol {
        Symbol::Known(number.into())
    }

    #[test]
    fn a_comparison_with_what_is_known_has_it_on_the_right_side() {
        let count = Symbol::Entry(0).sum(Sign::Plus, number(1));
        let one = number(5).compare(Relation::LessEqual, count.clone());
        let other = count.compare(Relation::GreaterEqual, number(5));
        assert_eq!(one, other);
    }

    #[test]
    fn what_two_branches_have_in_common_is_known() {
        let open = Symbol::Entry(0).compare(Relation::Equal, Symbol::text("OPEN"));
        let flag = Symbol::either(open.clone(), Symbol::text("no"), Symbol::text("yes"));
        let equals = |text| flag.clone().compare(Relation::Equal, Symbol::text(text));
        assert_eq!(equals("no"), open);
        assert_eq!(equals("yes"), open.negation());
    }

    #[test]
    fn no_time_has_passed_since_now_whatever_the_form() {
        let stored = Symbol::Now
            .cast(Cast::Text(None))
            .cast(Cast::Moment(Unit::Seconds));
        let since = Symbol::Now.sum(Sign::Minus, stored);
        let passed = since.compare(Relation::Greater, Symbol::input("limit"));
        assert_eq!(passed.truth(), Some(false));
        let until = Symbol::Now.sum(Sign::Plus, number(30));
        let open = Symbol::Now.compare(Relation::Less, until);
        assert_eq!(open.truth(), Some(true));
    }

    #[test]
    fn a_symbol_that_grows_without_end_becomes_unknown() {
        let mut text = Symbol::Entry(0);
        for _ in 0..100 {
            text = text.clone().concat(text);
        }
        assert!(text.has(&|part| *part == Symbol::Unknown));
        let mut plain = Symbol::text("ab");
        for _ in 0..100 {
            plain = plain.clone().concat(plain);
        }
        assert!(plain.has(&|part| *part == Symbol::Unknown));
    }

    #[test]
    fn a_key_of_a_json_text_is_known() {
        let text = Symbol::text(r#"{"state": "OPEN", "failures": 3}"#);
        assert_eq!(text.field("state"), Symbol::text("OPEN"));
        assert_eq!(text.field("failures"), number(3));
        assert_eq!(text.field("other"), Symbol::NULL);
    }
}
