//! Partial evaluation: values of which only some is known, and so what a script gives whatever the request.
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
//! Symbols are made by the functions here alone, which simplify them as far as what is known goes
//! and bound how large they grow.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use crate::event::Properties;
use crate::value::json;
use crate::value::number::Number;
use crate::value::{Object, Value};

/// Parts of a symbol; one that would have more is [`Symbol::Unknown`].
const PARTS_MAX: usize = 200;
/// Bytes of a known text that is put together.
const TEXT_MAX: usize = 4096;

/// The parts of an event that a script sees, as far as they are known.
pub struct View<'a> {
    /// The message's payload.
    pub payload: &'a Symbol,
    /// The message's attributes.
    pub attributes: &'a Symbol,
    /// The variables; one that is not among them is null.
    pub vars: &'a BTreeMap<Arc<str>, Symbol>,
    /// The error; null outside a handler.
    pub error: &'a Symbol,
    /// The texts that `p(key)` reads.
    pub properties: &'a Properties,
    /// How many more parts may be evaluated; without any left, nothing is known.
    pub steps: &'a Cell<u32>,
}

/// A value of which only some is known.
#[derive(Debug, Clone, PartialEq)]
pub enum Symbol {
    /// This value.
    Known(Value),
    /// Something that nothing is known of.
    Unknown,
    /// What an event brings with it, by its name: `payload`, `attributes`.
    Input(Arc<str>),
    /// The moment of the evaluation.
    Now,
    /// What an entry of an object store holds, by the entry's number.
    Entry(usize),
    /// A key of something.
    Field(Rc<Symbol>, Arc<str>),
    /// An object: keys over those of another value.
    Object {
        /// What has the other keys; `None`: there are no others.
        base: Option<Rc<Symbol>>,
        /// The keys.
        fields: BTreeMap<Arc<str>, Symbol>,
    },
    /// A text in pieces.
    Text(Vec<Symbol>),
    /// A sum or difference.
    Sum(Rc<Symbol>, Sign, Rc<Symbol>),
    /// A comparison; what is known stands on its right side.
    Compare(Rc<Symbol>, Relation, Rc<Symbol>),
    /// Whether all of them hold.
    All(Vec<Symbol>),
    /// Whether one of them holds.
    Any(Vec<Symbol>),
    /// Whether it does not hold.
    Not(Rc<Symbol>),
    /// One value or another.
    If(Rc<Symbol>, Rc<Symbol>, Rc<Symbol>),
    /// A moment, or an elapsed time, in another form.
    As(Rc<Symbol>, Form),
}

/// Plus or minus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// `+`
    Plus,
    /// `-`
    Minus,
}

/// How two values are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    /// `==`
    Equal,
    /// `!=`
    Unequal,
    /// `<`
    Less,
    /// `<=`
    LessEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterEqual,
}

/// In what form a moment stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Form {
    /// A number of a unit since 1970, or of a period.
    Number(Unit),
    /// A text; what a format says, if one is given.
    Text(Option<Arc<str>>),
    /// A moment that is read from something.
    Moment(Unit),
    /// The same moment in another time zone.
    Zone,
}

/// What one of a number means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// A second.
    Seconds,
    /// A millisecond.
    Milliseconds,
}

impl Relation {
    /// The relation that holds exactly where this one does not.
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

    /// The same with its sides exchanged.
    fn flipped(self) -> Relation {
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
    /// Null.
    pub const NULL: Symbol = Symbol::Known(Value::Null);

    /// A known text.
    pub fn text(text: impl Into<Arc<str>>) -> Symbol {
        Symbol::Known(Value::text(text))
    }

    /// A known truth value.
    pub fn flag(flag: bool) -> Symbol {
        Symbol::Known(flag.into())
    }

    /// A part of the event that nothing is known of but its name.
    pub fn input(name: &str) -> Symbol {
        Symbol::Input(name.into())
    }

    /// A value; objects become symbols of their keys.
    pub fn of(value: Value) -> Symbol {
        match value {
            Value::Object(object) => Symbol::of_object(&object),
            value => Symbol::Known(value),
        }
    }

    fn of_object(object: &Object) -> Symbol {
        let mut fields = BTreeMap::new();
        for (key, value) in object.entries() {
            fields.insert(key.clone(), Symbol::of(value.clone()));
        }
        Symbol::object(None, fields)
    }

    /// What a JSON text holds; anything else is itself.
    pub fn parsed(self) -> Symbol {
        match &self {
            Symbol::Known(Value::String(text)) if text.trim_start().starts_with(['{', '[']) => {
                json::read(text).map_or(Symbol::Unknown, Symbol::of)
            }
            _ => self,
        }
    }

    /// An object: keys over those of another value.
    pub fn object(base: Option<Symbol>, fields: BTreeMap<Arc<str>, Symbol>) -> Symbol {
        Symbol::Object {
            base: base.map(Rc::new),
            fields,
        }
        .bounded()
    }

    /// The value, if all of it is known.
    pub fn known(&self) -> Option<&Value> {
        match self {
            Symbol::Known(value) => Some(value),
            _ => None,
        }
    }

    /// The number that it is; a text of one counts.
    pub fn number(&self) -> Option<Number> {
        match self.known()? {
            Value::Number(number) => Some(number.clone()),
            Value::String(text) => Number::parse(text.trim()),
            _ => None,
        }
    }

    /// Whether it holds, as a condition; `None`: that depends.
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
        1 + match self {
            Symbol::Known(_)
            | Symbol::Unknown
            | Symbol::Input(_)
            | Symbol::Now
            | Symbol::Entry(_) => 0,
            Symbol::Field(of, _) | Symbol::Not(of) | Symbol::As(of, _) => of.parts(),
            Symbol::Object { base, fields } => {
                base.as_ref().map_or(0, |base| base.parts())
                    + fields.values().map(Symbol::parts).sum::<usize>()
            }
            Symbol::Text(items) | Symbol::All(items) | Symbol::Any(items) => {
                items.iter().map(Symbol::parts).sum()
            }
            Symbol::Sum(left, _, right) | Symbol::Compare(left, _, right) => {
                left.parts() + right.parts()
            }
            Symbol::If(when, then, otherwise) => when.parts() + then.parts() + otherwise.parts(),
        }
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

    /// `a ++ b`
    pub fn concat(self, other: Symbol) -> Symbol {
        match (&self, &other) {
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

    /// A text of pieces.
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

    /// `a + b`, `a - b`
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
        // (x + 1) + 1
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

    /// `-a`
    pub fn negated(self) -> Symbol {
        match self.number() {
            Some(number) => Symbol::Known(number.negated().into()),
            None => Symbol::Unknown,
        }
    }

    /// One value where something holds, else another.
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

    /// Whether it is true or false and nothing else.
    fn is_condition(&self) -> bool {
        matches!(
            self,
            Symbol::Compare(..) | Symbol::All(_) | Symbol::Any(_) | Symbol::Not(_)
        )
    }

    /// `!a`
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

    /// `a and b`
    pub fn all(items: Vec<Symbol>) -> Symbol {
        let mut rest = Vec::new();
        for item in items {
            match (item.truth(), item) {
                (Some(true), _) => {}
                (Some(false), _) => return Symbol::flag(false),
                (None, Symbol::All(items)) => rest.extend(items),
                (None, item) => rest.push(item),
            }
        }
        match rest.len() {
            0 => Symbol::flag(true),
            1 => rest.remove(0),
            _ => Symbol::All(rest).bounded(),
        }
    }

    /// `a or b`
    pub fn any(items: Vec<Symbol>) -> Symbol {
        let mut rest = Vec::new();
        for item in items {
            match (item.truth(), item) {
                (Some(false), _) => {}
                (Some(true), _) => return Symbol::flag(true),
                (None, Symbol::Any(items)) => rest.extend(items),
                (None, item) => rest.push(item),
            }
        }
        match rest.len() {
            0 => Symbol::flag(false),
            1 => rest.remove(0),
            _ => Symbol::Any(rest).bounded(),
        }
    }

    /// `a == b`, `a < b` and their like.
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
        // `(a == b) == true`
        if let (true, Some(Value::Bool(flag))) = (self.is_condition(), other.known()) {
            return match (relation, flag) {
                (Relation::Equal, true) | (Relation::Unequal, false) => self,
                (Relation::Equal, false) | (Relation::Unequal, true) => self.negation(),
                _ => Symbol::Unknown,
            };
        }
        Symbol::Compare(Rc::new(self), relation, Rc::new(other)).bounded()
    }

    /// In another form; only of moments, of what is stored and of elapsed times that matters.
    pub fn cast(self, form: Form) -> Symbol {
        match (&self, &form) {
            (Symbol::Known(Value::String(_)), Form::Number(_)) => match self.number() {
                Some(number) => Symbol::Known(number.into()),
                None => Symbol::Unknown,
            },
            (Symbol::Known(Value::Number(number)), Form::Text(None)) => {
                Symbol::text(number.to_string())
            }
            (Symbol::Known(_) | Symbol::Unknown | Symbol::Text(_), _) => self,
            (Symbol::Object { fields, .. }, Form::Text(_)) => {
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

    /// Itself without changes of form, so that what is the same looks the same.
    pub fn bare(&self) -> Symbol {
        self.rewritten(&|symbol| match symbol {
            Symbol::As(of, _) => Some(of.bare()),
            _ => None,
        })
    }

    /// With other symbols for some of its parts, simplified anew.
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

    /// Whether one of its parts is such.
    pub fn has(&self, is: &dyn Fn(&Symbol) -> bool) -> bool {
        if is(self) {
            return true;
        }
        match self {
            Symbol::Known(_)
            | Symbol::Unknown
            | Symbol::Input(_)
            | Symbol::Now
            | Symbol::Entry(_) => false,
            Symbol::Field(of, _) | Symbol::Not(of) | Symbol::As(of, _) => of.has(is),
            Symbol::Object { base, fields } => {
                base.as_ref().is_some_and(|base| base.has(is))
                    || fields.values().any(|value| value.has(is))
            }
            Symbol::Text(items) | Symbol::All(items) | Symbol::Any(items) => {
                items.iter().any(|item| item.has(is))
            }
            Symbol::Sum(left, _, right) | Symbol::Compare(left, _, right) => {
                left.has(is) || right.has(is)
            }
            Symbol::If(when, then, otherwise) => when.has(is) || then.has(is) || otherwise.has(is),
        }
    }

    /// Whether it is of an entry: what the entry holds, or a key of that.
    pub fn of_entry(&self) -> Option<usize> {
        match self {
            Symbol::Entry(entry) => Some(*entry),
            Symbol::Field(of, _) => of.of_entry(),
            _ => None,
        }
    }
}

/// What a comparison comes to, if that can be told.
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
    // What is stored is never null, and neither is what is made of something.
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
    let (left, right) = (left.bare(), right.bare());
    if left == right && !left.has(&|part| *part == Symbol::Unknown) {
        return Some(relation.holds(std::cmp::Ordering::Equal));
    }
    elapsed(&left, relation, &right)
}

/// A comparison of moments that lie a known way apart, or of the time since now.
fn elapsed(left: &Symbol, relation: Relation, right: &Symbol) -> Option<bool> {
    let no_time = |symbol: &Symbol| match symbol {
        Symbol::Sum(one, Sign::Minus, other) => one == other && **one == Symbol::Now,
        _ => false,
    };
    // However long something is to last, it has not lasted that long when it begins.
    if no_time(left) {
        return Some(relation.holds(std::cmp::Ordering::Less));
    }
    if no_time(right) {
        return Some(relation.holds(std::cmp::Ordering::Greater));
    }
    // A moment after now, or before.
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

/// Whether it is the moment of the evaluation.
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
        assert_eq!(
            flag.clone().compare(Relation::Equal, Symbol::text("no")),
            open
        );
        assert_eq!(
            flag.compare(Relation::Equal, Symbol::text("yes")),
            open.negation()
        );
    }

    #[test]
    fn no_time_has_passed_since_now_whatever_the_form() {
        let stored = Symbol::Now
            .cast(Form::Text(None))
            .cast(Form::Moment(Unit::Seconds));
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
