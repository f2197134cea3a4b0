//! Evaluates the tree of a script.

use std::sync::Arc;

use super::coerce::{self, Coerced, shown, unfit};
use super::run::{Callee, Env, Frame, Run};
use super::tree::{
    Case, CasePattern, Content, Item, Lambda, Link, MarkedKey, Name, Node, Operator, Piece, Sign,
    Stage,
};
use super::types::{Setting, Target};
use super::{EvalFault, operators, parse};
use crate::value::{Function, Key, Kind, Value};

/// Names with their values.
type Names = Vec<(Arc<str>, Value)>;

impl Run<'_> {
    /// Evaluates a node.
    pub fn eval(&mut self, node: &Node, env: &Env) -> Coerced<Value> {
        self.step(1)?;
        match node {
            Node::Literal(value) => Ok(value.clone()),
            Node::Name(name) => self.nested(|run| run.name(name, env)),
            Node::Implicit(count) => self.implicit(*count, env),
            Node::Lambda(lambda) => self.closure(lambda, env),
            _ => self.nested(|run| run.compound(node, env)),
        }
    }

    fn compound(&mut self, node: &Node, env: &Env) -> Coerced<Value> {
        match node {
            Node::Group(inner) => self.eval(inner, env),
            Node::Text(pieces) => self.pieces(pieces, env),
            Node::Array(items) => self.items(items, env),
            Node::Object(items) => {
                let entries = self.entries(items, env)?;
                self.object(entries)
            }
            Node::Key(key) => self.marked_key(key, env),
            Node::If { cases, otherwise } => self.choice(cases, otherwise.as_deref(), env),
            Node::Do { declarations, body } => {
                let env = Frame::declared(declarations, env);
                self.eval(body, &env)
            }
            Node::Path { base, steps } => self.path(base, steps, env),
            Node::Signed { signs, of } => {
                let value = self.eval(of, env)?;
                signs
                    .iter()
                    .rev()
                    .try_fold(value, |value, sign| match sign {
                        Sign::Not => Ok((!coerce::boolean(&value)?).into()),
                        Sign::Minus => operators::negate(&value),
                    })
            }
            Node::Not(of) => Ok((!coerce::boolean(&self.eval(of, env)?)?).into()),
            Node::Cast { of, to } => self.casts(of, to, env),
            Node::Chain { first, rest } => self.chain(first, rest, env),
            Node::Flow { first, rest } => self.flow(first, rest, env),
            Node::Literal(_) | Node::Name(_) | Node::Implicit(_) | Node::Lambda(_) => {
                self.eval(node, env)
            }
        }
    }

    fn implicit(&mut self, count: u8, env: &Env) -> Coerced<Value> {
        let name = parse::IMPLICIT[usize::from(count) - 1];
        let value = self.local(&Arc::from(name), env)?;
        value.ok_or_else(|| EvalFault::new(format!("`{name}` has no meaning here")))
    }

    fn pieces(&mut self, pieces: &[Piece], env: &Env) -> Coerced<Value> {
        let mut text = String::new();
        for piece in pieces {
            let part = match piece {
                Piece::Plain(plain) => plain.clone(),
                Piece::Value(node) => coerce::text(&self.eval(node, env)?)?,
            };
            self.text(text.len() + part.len())?;
            text.push_str(&part);
        }
        Ok(text.into())
    }

    fn is_included(&mut self, item: &Item, env: &Env) -> Coerced<bool> {
        match &item.when {
            Some(when) => coerce::boolean(&self.eval(when, env)?),
            None => Ok(true),
        }
    }

    fn items(&mut self, items: &[Item], env: &Env) -> Coerced<Value> {
        let mut values = Vec::with_capacity(items.len());
        for item in items {
            if !self.is_included(item, env)? {
                continue;
            }
            values.push(match &item.what {
                Content::Value(node) | Content::Spread(node) => self.eval(node, env)?,
                Content::Pair(key, value) => {
                    let pair = self.pair(key, value, env)?;
                    self.object(vec![pair])?
                }
            });
        }
        self.array(values)
    }

    fn pair(&mut self, key: &Node, value: &Node, env: &Env) -> Coerced<(Key, Value)> {
        let key = self.eval(key, env)?;
        let key = match key.as_key() {
            Some(key) => key.clone(),
            None => coerce::text(&key)?.into(),
        };
        Ok((key, self.eval(value, env)?))
    }

    fn entries(&mut self, items: &[Item], env: &Env) -> Coerced<Vec<(Key, Value)>> {
        let mut entries = Vec::with_capacity(items.len());
        for item in items {
            if !self.is_included(item, env)? {
                continue;
            }
            match &item.what {
                Content::Pair(key, value) => entries.push(self.pair(key, value, env)?),
                Content::Value(node) | Content::Spread(node) => {
                    let value = self.eval(node, env)?;
                    self.spread(&value, &mut entries)?;
                }
            }
        }
        Ok(entries)
    }

    /// Evaluates a key with a namespace or attributes, whose values are texts.
    fn marked_key(&mut self, key: &MarkedKey, env: &Env) -> Coerced<Value> {
        let MarkedKey {
            name,
            namespace,
            attributes,
        } = key;
        let name = self.eval(name, env)?;
        let mut all = Vec::new();
        // A key that is used again keeps its attributes, unless others take their place.
        if let Some(key) = name.as_key()
            && attributes.is_empty()
        {
            all.extend_from_slice(key.attributes());
        }
        for (key, value) in self.entries(attributes, env)? {
            let value = match value.is_null() {
                true => Value::Null,
                false => Value::String(coerce::text(&value)?),
            };
            all.push((key, value));
        }
        let kept = name.as_key().and_then(Key::namespace);
        let namespace = namespace.as_ref().or(kept).cloned();
        Ok(Key::marked(coerce::text(&name)?, namespace, all).to_value())
    }

    /// Adds the entries of an object, or of each object in an array; null adds nothing.
    pub fn spread(&mut self, value: &Value, into: &mut Vec<(Key, Value)>) -> Coerced<()> {
        match value.plain() {
            Value::Null => Ok(()),
            Value::Object(object) => {
                self.copy(object.entries().len())?;
                into.extend_from_slice(object.entries());
                Ok(())
            }
            Value::Array(array) => array.items().iter().try_for_each(|item| {
                self.step(1)?;
                self.spread(item, into)
            }),
            _ => Err(unfit("expected an object's pairs", value)),
        }
    }

    fn choice(
        &mut self,
        cases: &[(Node, Node)],
        otherwise: Option<&Node>,
        env: &Env,
    ) -> Coerced<Value> {
        for (condition, then) in cases {
            if coerce::boolean(&self.eval(condition, env)?)? {
                return self.eval(then, env);
            }
        }
        match otherwise {
            Some(otherwise) => self.eval(otherwise, env),
            None => Ok(Value::Null),
        }
    }

    fn casts(&mut self, of: &Node, to: &[Target], env: &Env) -> Coerced<Value> {
        let mut value = self.eval(of, env)?;
        for target in to {
            let mut options: Vec<(Setting, Value)> = Vec::new();
            for (option, node) in target.options.iter() {
                options.push((*option, self.eval(node, env)?));
            }
            if let Value::String(text) = &value {
                self.read(text.len())?;
            }
            value = coerce::cast(&value, &target.of, &options, self.context.zone)?;
        }
        Ok(value)
    }

    fn chain(&mut self, first: &Node, rest: &[Link], env: &Env) -> Coerced<Value> {
        let mut left = self.eval(first, env)?;
        for link in rest {
            left = match link {
                Link::Is(of) => of.holds(&left).into(),
                Link::Operator(operator @ (Operator::Or | Operator::And), right) => {
                    let decides = *operator == Operator::Or;
                    match coerce::boolean(&left)? == decides {
                        true => decides.into(),
                        false => coerce::boolean(&self.eval(right, env)?)?.into(),
                    }
                }
                Link::Operator(operator, right) => {
                    let right = self.eval(right, env)?;
                    operators::apply(self, *operator, &left, &right)?
                }
            };
        }
        Ok(left)
    }

    fn flow(&mut self, first: &Node, rest: &[Stage], env: &Env) -> Coerced<Value> {
        let mut left = self.eval(first, env)?;
        for stage in rest {
            left = match stage {
                Stage::Default(right) if left.is_null() => self.eval(right, env)?,
                Stage::Default(_) => left,
                Stage::Concat(right) => self.joined(left, right, operators::concat, env)?,
                Stage::Remove(right) => self.joined(left, right, operators::remove, env)?,
                Stage::Call(name, right) => self.called(name, left, right, env)?,
                Stage::Replace(matcher, by) => self.replaced(left, matcher, by, env)?,
                Stage::Mask(selector, by) => {
                    let selector = self.eval(selector, env)?;
                    let by = self.eval(by, env)?;
                    super::functions::mask(self, &left, &selector, &by)?
                }
                Stage::Match(cases) => self.matched(left, cases, env)?,
                Stage::Update(cases) => self.updated(left, cases, env)?,
            };
        }
        Ok(left)
    }

    fn joined(
        &mut self,
        left: Value,
        right: &Node,
        join: fn(&mut Self, &Value, &Value) -> Coerced<Value>,
        env: &Env,
    ) -> Coerced<Value> {
        let right = self.eval(right, env)?;
        join(self, &left, &right)
    }

    fn called(&mut self, name: &Name, left: Value, right: &Node, env: &Env) -> Coerced<Value> {
        let function = self.name(name, env)?;
        let right = self.eval(right, env)?;
        self.call(&function, vec![left, right])
    }

    fn replaced(&mut self, left: Value, matcher: &Node, by: &Node, env: &Env) -> Coerced<Value> {
        let matcher = self.eval(matcher, env)?;
        let by = self.eval(by, env)?;
        super::functions::replace(self, &left, &matcher, &by)
    }

    fn matched(&mut self, value: Value, cases: &[Case], env: &Env) -> Coerced<Value> {
        for case in cases {
            let Some(names) = self.fitting(&value, case, env)? else {
                continue;
            };
            let env = Frame::values(names, env);
            if let Some(when) = &case.when
                && !coerce::boolean(&self.eval(when, &env)?)?
            {
                continue;
            }
            return self.eval(&case.then, &env);
        }
        let what = format!("no case fits {}: add an `else`", shown(&value));
        Err(EvalFault::new(what))
    }

    /// The names that a case gives: of the value itself, of the groups of a regular expression, or of the parts of a list
    /// or object; `None`: it does not fit.
    fn fitting(&mut self, value: &Value, case: &Case, env: &Env) -> Coerced<Option<Names>> {
        let named = |value: Value| vec![(case.name.clone(), value)];
        let fits = match &case.pattern {
            None => true,
            Some(CasePattern::Is(of)) => of.holds(value),
            Some(CasePattern::Value(node)) => self.eval(node, env)? == *value,
            Some(CasePattern::Empty(kind)) => match value.plain() {
                Value::Array(array) => *kind == Kind::Array && array.items().is_empty(),
                Value::Object(object) => *kind == Kind::Object && object.entries().is_empty(),
                _ => false,
            },
            Some(CasePattern::Split { key, head, tail }) => {
                return self.split(value, key.as_ref(), head, tail);
            }
            Some(CasePattern::Matches(node)) => {
                let pattern = self.eval(node, env)?;
                let pattern = self.pattern(&pattern)?;
                let Value::String(text) = value.plain() else {
                    return Ok(None);
                };
                self.read(text.len())?;
                let groups = pattern.whole().captures(text);
                return Ok(groups.map(|groups| named(super::functions::groups(&groups))));
            }
        };
        Ok(fits.then(|| named(value.clone())))
    }

    /// The names of the parts of a list or object that has any; `None`: it has none, or is another value.
    fn split(
        &mut self,
        value: &Value,
        key: Option<&Arc<str>>,
        head: &Arc<str>,
        tail: &Arc<str>,
    ) -> Coerced<Option<Names>> {
        Ok(match (value.plain(), key) {
            (Value::Array(array), None) => match array.items() {
                [first, rest @ ..] => {
                    self.copy(rest.len())?;
                    let rest = self.array(rest.to_vec())?;
                    Some(vec![(head.clone(), first.clone()), (tail.clone(), rest)])
                }
                [] => None,
            },
            (Value::Object(object), Some(key)) => match object.entries() {
                [(name, first), rest @ ..] => {
                    self.copy(rest.len())?;
                    let rest = self.object(rest.to_vec())?;
                    Some(vec![
                        (key.clone(), name.to_value()),
                        (head.clone(), name.value(first)),
                        (tail.clone(), rest),
                    ])
                }
                [] => None,
            },
            _ => None,
        })
    }

    pub(super) fn call_with(
        &mut self,
        function: &Value,
        args: &[Node],
        env: &Env,
    ) -> Coerced<Value> {
        let mut values = Vec::with_capacity(args.len());
        for arg in args {
            values.push(self.eval(arg, env)?);
        }
        self.call(function, values)
    }

    /// Calls a function. Surplus arguments are dropped.
    pub fn call(&mut self, function: &Value, mut args: Vec<Value>) -> Coerced<Value> {
        let Value::Function(Function(closure)) = function.plain() else {
            return Err(unfit("expected a function", function));
        };
        self.step(1)?;
        match &closure.0 {
            Callee::Builtin(builtin) => {
                args.truncate(builtin.most);
                let (name, least, count) = (builtin.name, builtin.least, args.len());
                if count < least {
                    let what = format!("`{name}` needs {least} arguments, found {count}");
                    return Err(EvalFault::new(what));
                }
                self.nested(|run| builtin.run(run, &args))
            }
            Callee::Lambda(lambda, env) => self.nested(|run| run.apply(lambda, env, args)),
            Callee::Overloads(lambdas, env) => {
                let lambda = fitting_function(lambdas, &args);
                self.nested(|run| run.apply(lambda, env, args))
            }
        }
    }

    fn apply(&mut self, lambda: &Lambda, env: &Env, args: Vec<Value>) -> Coerced<Value> {
        let mut values = Vec::with_capacity(lambda.params.len());
        let mut args = args.into_iter();
        for param in &lambda.params {
            let mut value = match (args.next(), &param.default) {
                (Some(value), _) => value,
                (None, Some(default)) => {
                    let env = Frame::values(values.clone(), env);
                    self.eval(default, &env)?
                }
                // `$$` and `$$$` are optional.
                (None, None) if param.name.starts_with('$') => break,
                (None, None) => {
                    let what = format!("the argument `{}` is missing", param.name);
                    return Err(EvalFault::new(what));
                }
            };
            if let Some(of) = &param.of {
                value = coerce::to_type(&value, of, self.context.zone)?;
            }
            values.push((param.name.clone(), value));
        }
        let env = Frame::values(values, env);
        let value = self.eval(&lambda.body, &env)?;
        match &lambda.returns {
            Some(of) => coerce::to_type(&value, of, self.context.zone),
            None => Ok(value),
        }
    }
}

/// The first function whose parameters are of the arguments' types, or else the first of as many parameters.
fn fitting_function<'f>(lambdas: &'f [Arc<Lambda>], args: &[Value]) -> &'f Lambda {
    let takes = |lambda: &&Arc<Lambda>| {
        let needed = lambda.params.iter().filter(|param| param.default.is_none());
        (needed.count()..=lambda.params.len()).contains(&args.len())
    };
    let fits = |lambda: &&Arc<Lambda>| {
        let mut params = lambda.params.iter().zip(args);
        params.all(|(param, arg)| param.of.as_ref().is_none_or(|of| of.holds(arg)))
    };
    let mut taking = lambdas.iter().filter(takes);
    let found = taking.clone().find(fits).or_else(|| taking.next());
    found.unwrap_or(&lambdas[0])
}
