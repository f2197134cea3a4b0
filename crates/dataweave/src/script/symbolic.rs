//! Partial evaluation of a script.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Script;
use super::tree::{
    Case, CasePattern, Change, Content, Declaration, Declared, Item, Key, Lambda, Link, Name, Node,
    Operator, Piece, Place, Sign, Stage, Step,
};
use super::types::{Setting, Target, Type};
use crate::symbol::{self, Cast, Relation, Symbol, Unit, View};
use crate::value::media::{Format, MediaType};
use crate::value::{Kind, Value};

/// The limit of nested functions.
const CALLS_MAX: usize = 16;

impl Script {
    /// The result as far as it is known.
    pub fn symbol(&self, view: &View<'_>) -> Symbol {
        Partial::of(self, view).1
    }

    /// True if the script may fail by the request, as far as is known: it converts a part of it, `x as Number`, or
    /// demands one, `x!`. The parts of the request are the inputs in `view`.
    pub fn demands(&self, view: &View<'_>) -> bool {
        let all = self.program.demands;
        if all == 0 {
            return false;
        }
        let (partial, _) = Partial::of(self, view);
        let reads = &self.program.reads;
        let mut vars = reads.vars.iter().filter_map(|name| view.vars.get(name));
        // A value computed of numbers alone may be unknown too, and is not of the request.
        let of_request =
            |part: &Symbol| matches!(part, Symbol::Input(_)) || *part == Symbol::Unknown;
        let reads_request =
            reads.payload || reads.java || reads.all_vars || vars.any(|var| var.has(&of_request));
        // Functions for the items of a list are not followed.
        partial.demands || reads_request && (partial.has_unknown || partial.seen < all)
    }
}

/// The meaning of a name in a script.
#[derive(Clone)]
enum Binding<'a> {
    Value(Symbol),
    Function(&'a Lambda),
}

/// A partial evaluation in progress.
struct Partial<'a, 'v> {
    view: &'v View<'v>,
    names: Vec<(Arc<str>, Binding<'a>)>,
    calls: usize,
    /// The number of conversions and demands so far.
    seen: usize,
    /// True if one of them was of a part of the request.
    demands: bool,
    /// True if one of them was of a value that is unknown in part.
    has_unknown: bool,
}

impl<'a, 'v> Partial<'a, 'v> {
    /// The evaluation of a whole script, with its result.
    fn of(script: &'a Script, view: &'v View<'v>) -> (Partial<'a, 'v>, Symbol) {
        let mut partial = Partial {
            view,
            names: Vec::new(),
            calls: 0,
            seen: 0,
            demands: false,
            has_unknown: false,
        };
        partial.declare(&script.program.declarations);
        let result = partial.node(&script.program.body);
        (partial, result)
    }

    /// Notes a conversion or a demand of a value.
    fn demand(&mut self, of: &Symbol) {
        self.seen += 1;
        self.demands |= of.has(&|part| matches!(part, Symbol::Input(_)));
        self.has_unknown |= of.has(&|part| matches!(part, Symbol::Unknown));
    }

    fn declare(&mut self, declarations: &'a [Declaration]) {
        for Declaration { name, what } in declarations {
            let named = match what {
                Declared::Var { value, .. } => Binding::Value(self.node(value)),
                Declared::Own(..) => Binding::Value(Symbol::Unknown),
                Declared::Fun(lambdas) => match lambdas.as_slice() {
                    [lambda] => Binding::Function(lambda),
                    // The types of arguments decide among several.
                    _ => Binding::Value(Symbol::Unknown),
                },
            };
            self.names.push((name.clone(), named));
        }
    }

    /// Evaluates a node with additional names.
    fn within(&mut self, names: Vec<(Arc<str>, Symbol)>, node: &'a Node) -> Symbol {
        let before = self.names.len();
        let names = names.into_iter();
        let names = names.map(|(name, symbol)| (name, Binding::Value(symbol)));
        self.names.extend(names);
        let value = self.node(node);
        self.names.truncate(before);
        value
    }

    fn named(&self, name: &str) -> Option<&Binding<'a>> {
        let mut names = self.names.iter().rev();
        names.find(|(known, _)| **known == *name).map(|(_, it)| it)
    }

    fn node(&mut self, node: &'a Node) -> Symbol {
        let Some(left) = self.view.steps.get().checked_sub(1) else {
            return Symbol::Unknown;
        };
        self.view.steps.set(left);
        match node {
            Node::Literal(value) => Symbol::of(value.clone()),
            Node::Text(pieces) => {
                let pieces = pieces.iter().map(|piece| match piece {
                    Piece::Plain(plain) => Symbol::text(plain.clone()),
                    Piece::Value(node) => self.node(node),
                });
                Symbol::joined(pieces.collect())
            }
            Node::Name(name) => self.name(&name.text),
            Node::Implicit(number) => {
                let name = super::parse::IMPLICIT[usize::from(*number) - 1];
                self.name(name)
            }
            Node::Group(inner) => self.node(inner),
            Node::Array(items) => self.array(items),
            Node::Object(items) => self.object(items),
            Node::If { cases, otherwise } => {
                let otherwise = match otherwise {
                    Some(node) => self.node(node),
                    None => Symbol::NULL,
                };
                cases.iter().rev().fold(otherwise, |rest, (when, then)| {
                    let when = self.node(when);
                    let then = self.node(then);
                    Symbol::either(when, then, rest)
                })
            }
            Node::Do { declarations, body } => {
                let before = self.names.len();
                self.declare(declarations);
                let value = self.node(body);
                self.names.truncate(before);
                value
            }
            Node::Lambda(_) | Node::Key(_) => Symbol::Unknown,
            Node::Path { base, steps } => self.path(base, steps),
            Node::Signed { signs, of } => {
                let of = self.node(of);
                signs.iter().rev().fold(of, |of, sign| match sign {
                    Sign::Not => of.negation(),
                    Sign::Minus => of.negated(),
                })
            }
            Node::Not(of) => self.node(of).negation(),
            Node::Cast { of, to } => {
                let of = self.node(of);
                if to.iter().any(Target::is_demanding) {
                    self.demand(&of);
                }
                to.iter().fold(of, |of, target| self.cast(of, target))
            }
            Node::Chain { first, rest } => {
                let first = self.node(first);
                rest.iter().fold(first, |left, link| match link {
                    Link::Operator(operator, right) => {
                        let right = self.node(right);
                        operated(left, *operator, right)
                    }
                    Link::Is(of) => is_of(&left, of),
                })
            }
            Node::Flow { first, rest } => self.flow(first, rest),
        }
    }

    fn name(&self, name: &str) -> Symbol {
        match self.named(name) {
            Some(Binding::Value(value)) => return value.clone(),
            Some(Binding::Function(_)) => return Symbol::Unknown,
            None => {}
        }
        match name {
            "payload" => self.view.payload.clone(),
            "attributes" => self.view.attributes.clone(),
            "error" => self.view.error.clone(),
            "vars" => Symbol::object(None, self.view.vars.clone()),
            "message" => {
                let fields = [
                    ("payload".into(), self.view.payload.clone()),
                    ("attributes".into(), self.view.attributes.clone()),
                ];
                Symbol::object(None, fields.into())
            }
            "correlationId" | "flow" | "app" | "server" | "mule" => Symbol::input(name),
            _ => Symbol::Unknown,
        }
    }

    fn array(&mut self, items: &'a [Item]) -> Symbol {
        let mut values = Vec::new();
        for item in items {
            match (&item.what, &item.when) {
                (Content::Value(node), None) => match self.node(node) {
                    Symbol::Known(value) => values.push(value),
                    _ => return Symbol::Unknown,
                },
                _ => return Symbol::Unknown,
            }
        }
        Symbol::Known(Value::array(values))
    }

    fn object(&mut self, items: &'a [Item]) -> Symbol {
        let mut result = Symbol::object(None, BTreeMap::new());
        for item in items {
            let part = match &item.what {
                Content::Value(_) => return Symbol::Unknown,
                Content::Pair(key, value) => {
                    let Symbol::Known(Value::String(key)) = self.node(key) else {
                        return Symbol::Unknown;
                    };
                    let value = self.node(value);
                    Symbol::object(None, [(key, value)].into())
                }
                Content::Spread(of) => self.node(of),
            };
            let when = match &item.when {
                Some(when) => self.node(when),
                None => Symbol::flag(true),
            };
            let with = match is_empty_object(&result) {
                true => part,
                false => result.clone().concat(part),
            };
            result = match (when.truth(), when) {
                (None, Symbol::Unknown) => return Symbol::Unknown,
                (_, when) => Symbol::either(when, with, result),
            };
        }
        result
    }

    fn path(&mut self, base: &'a Node, steps: &'a [Step]) -> Symbol {
        // A function's name is not a value.
        if let (Node::Name(name), Some((Step::Call(args), rest))) = (base, steps.split_first()) {
            let args: Vec<&'a Node> = args.iter().collect();
            let called = self.call(name, &args);
            return self.steps(called, rest);
        }
        // Reads one variable without making an object of all.
        if let (Node::Name(name), Some((first, rest))) = (base, steps.split_first())
            && &*name.text == "vars"
            && self.named("vars").is_none()
        {
            let key = match first {
                Step::Key(Key::Fixed(key)) => Some(key.clone()),
                Step::Key(Key::Computed(node)) => text(self.node(node)),
                Step::Index(node) => text(self.node(node)),
                _ => None,
            };
            let value = match key {
                Some(key) => self.view.vars.get(&key).cloned().unwrap_or(Symbol::NULL),
                None => Symbol::Unknown,
            };
            return self.steps(value, rest);
        }
        let base = self.node(base);
        self.steps(base, steps)
    }

    fn steps(&mut self, base: Symbol, steps: &'a [Step]) -> Symbol {
        steps.iter().fold(base, |of, step| match step {
            Step::Key(Key::Fixed(key)) => of.field(key),
            Step::Key(Key::Computed(node)) => keyed(&of, self.node(node)),
            Step::Index(node) => keyed(&of, self.node(node)),
            Step::Required => {
                self.demand(&of);
                of
            }
            Step::Present => of.compare(Relation::Unequal, Symbol::NULL),
            _ => Symbol::Unknown,
        })
    }

    fn call(&mut self, name: &Name, args: &[&'a Node]) -> Symbol {
        if let Some(Binding::Function(lambda)) = self.named(&name.text) {
            let lambda = *lambda;
            let args = args.iter().map(|node| self.node(node)).collect();
            return self.apply(lambda, args);
        }
        if self.named(&name.text).is_some() {
            return Symbol::Unknown;
        }
        // Imports may give a function another's name.
        let known = name.builtin.map_or("", |builtin| builtin.name);
        let first = match args.first() {
            Some(node) => self.node(node),
            None => Symbol::Unknown,
        };
        match (known, args.len()) {
            ("now", 0) => Symbol::Now,
            ("p", 1) => match &first {
                Symbol::Known(Value::String(key)) => match self.view.properties.get(key) {
                    Some(value) => Symbol::text(value.clone()),
                    None => Symbol::NULL,
                },
                _ => Symbol::Unknown,
            },
            ("read" | "write", _) if !self.is_json(args.get(1)) => Symbol::Unknown,
            ("read", _) => first.read(),
            ("write" | "log", 1..) if known == "write" || args.len() == 1 => first,
            ("log", 2) => self.node(args[1]),
            ("isEmpty" | "isBlank", 1) => match &first {
                Symbol::Known(Value::String(text)) => Symbol::flag(text.trim().is_empty()),
                Symbol::Known(Value::Null) => Symbol::flag(true),
                Symbol::Entry(_) | Symbol::Object { .. } => Symbol::flag(false),
                _ => first.compare(Relation::Equal, Symbol::NULL),
            },
            ("upper" | "lower" | "trim", 1) => match &first {
                Symbol::Known(Value::String(text)) => Symbol::text(match known {
                    "upper" => text.to_uppercase(),
                    "lower" => text.to_lowercase(),
                    _ => text.trim().to_owned(),
                }),
                _ => first,
            },
            ("sizeOf", 1) => size_of(&first),
            ("splitBy", 2) => split_by(&first, &self.node(args[1])),
            ("contains", 2) => {
                let wanted = self.node(args[1]);
                contains(&first, &wanted)
            }
            _ => Symbol::Unknown,
        }
    }

    /// True if a format is named, and is JSON.
    fn is_json(&mut self, format: Option<&&'a Node>) -> bool {
        match format.map(|node| self.node(node)) {
            Some(Symbol::Known(Value::String(format))) => {
                MediaType::new(format).format() == Format::Json
            }
            _ => false,
        }
    }

    /// Calls a function of the script with values for its first parameters.
    fn apply(&mut self, lambda: &'a Lambda, args: Vec<Symbol>) -> Symbol {
        let mut args = args.into_iter();
        let mut names = Vec::new();
        for param in &lambda.params {
            let value = match (args.next(), &param.default) {
                (Some(value), _) => value,
                (None, Some(default)) => self.node(default),
                (None, None) => Symbol::Unknown,
            };
            names.push((param.name.clone(), value));
        }
        if self.calls >= CALLS_MAX {
            return Symbol::Unknown;
        }
        self.calls += 1;
        let value = self.within(names, &lambda.body);
        self.calls -= 1;
        value
    }

    fn flow(&mut self, first: &'a Node, rest: &'a [Stage]) -> Symbol {
        let mut left = self.node(first);
        for stage in rest {
            left = match stage {
                Stage::Default(node) => match &left {
                    Symbol::Known(Value::Null) => self.node(node),
                    Symbol::Unknown => Symbol::Unknown,
                    _ => left,
                },
                Stage::Concat(node) => {
                    let right = self.node(node);
                    left.concat(right)
                }
                // Flows remove a key only to set it again, or because it is never read.
                Stage::Remove(node) => {
                    self.node(node);
                    left
                }
                Stage::Call(name, node) => match self.named(&name.text) {
                    Some(Binding::Function(lambda)) => {
                        let (lambda, right) = (*lambda, self.node(node));
                        self.apply(lambda, vec![left, right])
                    }
                    Some(Binding::Value(_)) => Symbol::Unknown,
                    None if name.builtin.is_some_and(|it| it.name == "contains") => {
                        let wanted = self.node(node);
                        contains(&left, &wanted)
                    }
                    None if name.builtin.is_some_and(|it| it.name == "splitBy") => {
                        split_by(&left, &self.node(node))
                    }
                    None if name.builtin.is_some_and(|it| it.name == "then") => match node {
                        Node::Lambda(lambda) => {
                            let names = lambda.params.iter().take(1);
                            let names = names.map(|param| (param.name.clone(), left.clone()));
                            self.within(names.collect(), &lambda.body)
                        }
                        _ => Symbol::Unknown,
                    },
                    None => Symbol::Unknown,
                },
                Stage::Replace(of, by) => {
                    let (of, by) = (self.node(of), self.node(by));
                    replaced(&left, of, by)
                }
                Stage::Mask(..) => Symbol::Unknown,
                Stage::Update(changes) => self.updated(left, changes),
                Stage::Match(cases) => self.matched(&left, cases),
            };
        }
        left
    }

    /// An object with new values at fixed keys.
    fn updated(&mut self, of: Symbol, changes: &'a [Change]) -> Symbol {
        changes.iter().fold(of, |of, change| {
            let mut keys = Vec::new();
            for place in &change.place {
                match place {
                    Place::Key(Key::Fixed(key)) => keys.push(key.clone()),
                    _ => return Symbol::Unknown,
                }
            }
            let before = keys.iter().fold(of.clone(), |of, key| of.field(key));
            let is_missing = matches!(before, Symbol::Known(Value::Null));
            if is_missing && !change.inserts {
                return of;
            }
            let names = vec![(change.name.clone(), before)];
            let holds = match &change.when {
                Some(when) => self.within(names.clone(), when),
                None => Symbol::flag(true),
            };
            let then = self.within(names, &change.then);
            let changed = with(&of, &keys, then);
            match holds {
                Symbol::Unknown => Symbol::Unknown,
                holds => Symbol::either(holds, changed, of),
            }
        })
    }

    fn matched(&mut self, of: &Symbol, cases: &'a [Case]) -> Symbol {
        cases.iter().rev().fold(Symbol::Unknown, |rest, case| {
            let fits = match &case.pattern {
                None => Symbol::flag(true),
                Some(CasePattern::Value(node)) => {
                    let wanted = self.node(node);
                    of.clone().compare(Relation::Equal, wanted)
                }
                Some(CasePattern::Is(of_type)) => is_of(of, of_type),
                Some(
                    CasePattern::Matches(_) | CasePattern::Empty(_) | CasePattern::Split { .. },
                ) => Symbol::Unknown,
            };
            let mut names = vec![(case.name.clone(), of.clone())];
            if let Some(CasePattern::Split { key, head, tail }) = &case.pattern {
                let parts = key.iter().chain([head, tail]);
                names.extend(parts.map(|part| (part.clone(), Symbol::Unknown)));
            }
            let when = match &case.when {
                Some(when) => self.within(names.clone(), when),
                None => Symbol::flag(true),
            };
            let then = self.within(names, &case.then);
            match Symbol::all(vec![fits, when]) {
                Symbol::Unknown => Symbol::Unknown,
                holds => Symbol::either(holds, then, rest),
            }
        })
    }

    fn cast(&mut self, of: Symbol, target: &'a Target) -> Symbol {
        let mut unit = Unit::Seconds;
        let mut format = None;
        for (setting, node) in target.options.iter() {
            let value = self.node(node);
            let Some(Value::String(text)) = value.known() else {
                continue;
            };
            match setting {
                Setting::Unit if &**text == "milliseconds" => unit = Unit::Milliseconds,
                Setting::Format => format = Some(text.clone()),
                _ => {}
            }
        }
        match &target.of {
            Type::Kind(Kind::Number) => of.cast(Cast::Number(unit)),
            Type::Kind(Kind::String) => of.cast(Cast::Text(format)),
            Type::Kind(Kind::DateTime | Kind::LocalDateTime) => of.cast(Cast::Moment(unit)),
            Type::Kind(Kind::Boolean) => match of.truth() {
                Some(flag) => Symbol::flag(flag),
                None => of,
            },
            Type::Kind(Kind::Object | Kind::Array) => of.parsed(),
            Type::Kind(Kind::Period) => of.cast(Cast::Period),
            _ => of,
        }
    }
}

/// An object with a value at a path of keys.
fn with(of: &Symbol, keys: &[Arc<str>], value: Symbol) -> Symbol {
    match keys.split_first() {
        None => value,
        Some((key, rest)) => {
            let inner = with(&of.field(key), rest, value);
            let fields = [(key.clone(), inner)].into();
            of.clone().concat(Symbol::object(None, fields))
        }
    }
}

/// A known text with a known part replaced.
fn replaced(within: &Symbol, of: Symbol, by: Symbol) -> Symbol {
    match (within.known(), of.known(), by.known()) {
        (Some(Value::String(text)), Some(Value::String(of)), Some(Value::String(by))) => {
            Symbol::text(text.replace(&**of, by))
        }
        _ => Symbol::Unknown,
    }
}

/// The number of parts, at least one for a stored value.
fn size_of(symbol: &Symbol) -> Symbol {
    let size = match symbol {
        Symbol::Known(Value::String(text)) => text.chars().count(),
        Symbol::Known(Value::Array(array)) => array.items().len(),
        Symbol::Object { base: None, fields } => fields.len(),
        Symbol::Entry(_) => 1,
        _ => return Symbol::Unknown,
    };
    i64::try_from(size).map_or(Symbol::Unknown, |size| Symbol::Known(size.into()))
}

/// The parts of a known text.
fn split_by(of: &Symbol, by: &Symbol) -> Symbol {
    match (of.known(), by.known()) {
        (Some(Value::String(text)), Some(Value::String(by))) if !by.is_empty() => {
            let parts = text.split(&**by).map(Value::text);
            Symbol::Known(Value::array(parts.collect()))
        }
        _ => Symbol::Unknown,
    }
}

fn text(symbol: Symbol) -> Option<Arc<str>> {
    match symbol {
        Symbol::Known(Value::String(text)) => Some(text),
        _ => None,
    }
}

fn keyed(of: &Symbol, key: Symbol) -> Symbol {
    text(key).map_or(Symbol::Unknown, |key| of.field(&key))
}

fn is_empty_object(symbol: &Symbol) -> bool {
    matches!(symbol, Symbol::Object { base: None, fields } if fields.is_empty())
}

fn operated(left: Symbol, operator: Operator, right: Symbol) -> Symbol {
    let relation = match operator {
        Operator::Or => return Symbol::any(vec![left, right]),
        Operator::And => return Symbol::all(vec![left, right]),
        Operator::Add => return left.sum(symbol::Sign::Plus, right),
        Operator::Subtract => return left.sum(symbol::Sign::Minus, right),
        // The same moment, in another zone.
        Operator::Shift if left.has(&symbol::is_now) => return left.cast(Cast::Zone),
        Operator::Shift | Operator::Append => return Symbol::Unknown,
        Operator::Multiply | Operator::Divide => return scaled(&left, operator, &right),
        Operator::Equal | Operator::Similar => Relation::Equal,
        Operator::Unequal => Relation::Unequal,
        Operator::Less => Relation::Less,
        Operator::LessEqual => Relation::LessEqual,
        Operator::Greater => Relation::Greater,
        Operator::GreaterEqual => Relation::GreaterEqual,
    };
    // Texts of numbers equal the numbers here, since Mule evaluates `"5" >= 5` that way.
    left.compare(relation, right)
}

fn scaled(left: &Symbol, operator: Operator, right: &Symbol) -> Symbol {
    let (Some(one), Some(other)) = (left.number(), right.number()) else {
        return Symbol::Unknown;
    };
    let result = match operator {
        Operator::Multiply => one.multiply(&other),
        _ => one.divide(&other),
    };
    result.map_or(Symbol::Unknown, |number| Symbol::Known(number.into()))
}

fn contains(within: &Symbol, wanted: &Symbol) -> Symbol {
    match within {
        Symbol::Known(Value::Array(array)) => {
            let items = array.items().iter().cloned().map(Symbol::Known);
            let equal = items.map(|item| wanted.clone().compare(Relation::Equal, item));
            Symbol::any(equal.collect())
        }
        Symbol::Known(Value::String(text)) => match wanted.known() {
            Some(Value::String(part)) => Symbol::flag(text.contains(&**part)),
            _ => Symbol::Unknown,
        },
        // A text that is searched for a state is taken to be that state.
        _ => within.clone().compare(Relation::Equal, wanted.clone()),
    }
}

fn is_of(symbol: &Symbol, of: &Type) -> Symbol {
    match (symbol, of) {
        (Symbol::Known(value), of) => Symbol::flag(of.holds(value)),
        (_, Type::Kind(Kind::Null)) => symbol.clone().compare(Relation::Equal, Symbol::NULL),
        _ => Symbol::Unknown,
    }
}
