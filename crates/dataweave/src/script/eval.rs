//! Evaluates the tree of a script.

use std::sync::Arc;

use super::coerce::{self, Coerced, shown, unfit};
use super::functions::{entry_given, item_given, kept};
use super::run::{Callee, Env, Frame, Run};
use super::tree::{
    Case, CasePattern, Content, Item, Key, Lambda, Link, Node, Operator, Piece, Sign, Stage, Step,
};
use super::types::{Setting, Target};
use super::{EvalFault, operators, parse, select};
use crate::value::{Function, Value};

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
            Node::Object(items) => self.entries(items, env),
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

    fn pair(&mut self, key: &Node, value: &Node, env: &Env) -> Coerced<(Arc<str>, Value)> {
        let key = coerce::text(&self.eval(key, env)?)?;
        Ok((key, self.eval(value, env)?))
    }

    fn entries(&mut self, items: &[Item], env: &Env) -> Coerced<Value> {
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
        self.object(entries)
    }

    /// Adds the entries of an object, or of each object in an array; null adds nothing.
    pub fn spread(&mut self, value: &Value, into: &mut Vec<(Arc<str>, Value)>) -> Coerced<()> {
        match value {
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
                Stage::Concat(right) => {
                    let right = self.eval(right, env)?;
                    operators::concat(self, &left, &right)?
                }
                Stage::Remove(right) => {
                    let right = self.eval(right, env)?;
                    operators::remove(self, &left, &right)?
                }
                Stage::Call(name, right) => {
                    let function = self.name(name, env)?;
                    let right = self.eval(right, env)?;
                    self.call(&function, vec![left, right])?
                }
                Stage::Replace(matcher, by) => {
                    let matcher = self.eval(matcher, env)?;
                    let by = self.eval(by, env)?;
                    super::functions::replace(self, &left, &matcher, &by)?
                }
                Stage::Match(cases) => self.matched(left, cases, env)?,
            };
        }
        Ok(left)
    }

    fn matched(&mut self, value: Value, cases: &[Case], env: &Env) -> Coerced<Value> {
        for case in cases {
            let mut named = value.clone();
            let fits = match &case.pattern {
                None => true,
                Some(CasePattern::Is(of)) => of.holds(&value),
                Some(CasePattern::Value(node)) => self.eval(node, env)? == value,
                Some(CasePattern::Matches(node)) => {
                    let pattern = self.eval(node, env)?;
                    let pattern = self.pattern(&pattern)?;
                    match &value {
                        Value::String(text) => {
                            self.read(text.len())?;
                            match pattern.whole().captures(text) {
                                Some(groups) => {
                                    named = super::functions::groups(&groups);
                                    true
                                }
                                None => false,
                            }
                        }
                        _ => false,
                    }
                }
            };
            if !fits {
                continue;
            }
            let env = Frame::values(vec![(case.name.clone(), named)], env);
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

    pub(super) fn path(&mut self, base: &Node, steps: &[Step], env: &Env) -> Coerced<Value> {
        let (mut found, mut steps) = (None, steps);
        // Reads a single variable without reading all of them.
        if let (Node::Name(name), [Step::Key(Key::Fixed(key)), rest @ ..]) = (base, steps)
            && &*name.text == "vars"
            && self.local(&name.text, env)?.is_none()
        {
            let there = self.context.event.vars.contains_key(&**key);
            found = Some(if there { Some(self.var(key)?) } else { None });
            steps = rest;
            if let Some(selected) = found.as_mut()
                && let Some(marked) = self.marked(selected, steps.first(), key)?
            {
                found = Some(Some(marked));
                steps = &steps[1..];
            }
        }
        let mut value = match found {
            Some(found) => found.unwrap_or_default(),
            None => self.eval(base, env)?,
        };
        while let [step, rest @ ..] = steps {
            steps = rest;
            self.step(1)?;
            let (selected, name) = match step {
                Step::Call(args) => {
                    value = self.call_with(&value, args, env)?;
                    continue;
                }
                // Without a selector before them.
                Step::Present => {
                    value = (!value.is_null()).into();
                    continue;
                }
                Step::Required => {
                    if value.is_null() {
                        return Err(EvalFault::new("a value is required, found Null"));
                    }
                    continue;
                }
                _ => {
                    let asks = matches!(steps.first(), Some(Step::Present));
                    self.select(&value, step, asks, env)?
                }
            };
            let mut selected = selected;
            value = match self.marked(&mut selected, steps.first(), &name)? {
                Some(marked) => {
                    steps = &steps[1..];
                    marked
                }
                None => selected.unwrap_or_default(),
            };
        }
        Ok(value)
    }

    /// Applies a following `?` or `!` to the result of a selector.
    fn marked(
        &mut self,
        selected: &mut Option<Value>,
        next: Option<&Step>,
        name: &str,
    ) -> Coerced<Option<Value>> {
        match next {
            Some(Step::Present) => Ok(Some(selected.is_some().into())),
            Some(Step::Required) => match selected.take() {
                Some(value) => Ok(Some(value)),
                None => Err(EvalFault::new(format!(
                    "the key `{name}` is required, and missing"
                ))),
            },
            _ => Ok(None),
        }
    }

    /// The result and the name of a selector. If a `?` follows, a value without keys gives no result instead of an
    /// error.
    fn select(
        &mut self,
        value: &Value,
        step: &Step,
        asks: bool,
        env: &Env,
    ) -> Coerced<(Option<Value>, Arc<str>)> {
        let quiet = |selected: Coerced<Option<Value>>| match selected {
            Err(_) if asks && !matches!(value, Value::Object(_) | Value::Array(_)) => Ok(None),
            selected => selected,
        };
        Ok(match step {
            Step::Key(key) | Step::All(key) | Step::Deep(key) | Step::DeepAll(key) => {
                let key = self.key(key, env)?;
                let selected = match step {
                    Step::Key(_) => quiet(select::key(self, value, &key)),
                    Step::All(_) => quiet(select::all(self, value, &key)),
                    Step::Deep(_) => select::deep(self, value, &key, false),
                    _ => select::deep(self, value, &key, true),
                };
                (selected?, key)
            }
            Step::Descendants => (select::descendants(self, value)?, "..".into()),
            Step::Index(node) => {
                let index = self.eval(node, env)?;
                let name = shown(&index);
                (quiet(select::index(self, value, &index))?, name.into())
            }
            Step::Slice(from, to) => {
                let (from, to) = (self.eval(from, env)?, self.eval(to, env)?);
                (select::slice(self, value, &from, &to)?, "to".into())
            }
            Step::Filter(lambda) => (self.filter(value, lambda, env)?, "?".into()),
            Step::Present | Step::Required | Step::Call(_) => (Some(value.clone()), "".into()),
        })
    }

    fn key(&mut self, key: &Key, env: &Env) -> Coerced<Arc<str>> {
        match key {
            Key::Fixed(key) => Ok(key.clone()),
            Key::Computed(node) => coerce::text(&self.eval(node, env)?),
        }
    }

    /// Evaluates `[?(condition)]`; `None`: nothing satisfies the condition.
    fn filter(&mut self, value: &Value, lambda: &Arc<Lambda>, env: &Env) -> Coerced<Option<Value>> {
        let test = self.closure(lambda, env)?;
        match value {
            Value::Null => Ok(None),
            Value::Array(array) => {
                let kept = kept(self, array.items(), &test, item_given)?;
                Ok((!kept.is_empty()).then(|| Value::array(kept)))
            }
            Value::Object(object) => {
                let kept = kept(self, object.entries(), &test, entry_given)?;
                Ok((!kept.is_empty()).then(|| Value::object(kept)))
            }
            _ => Err(unfit("`[?(…)]` expects an array or object", value)),
        }
    }

    fn call_with(&mut self, function: &Value, args: &[Node], env: &Env) -> Coerced<Value> {
        let mut values = Vec::with_capacity(args.len());
        for arg in args {
            values.push(self.eval(arg, env)?);
        }
        self.call(function, values)
    }

    /// Calls a function. Surplus arguments are dropped.
    pub fn call(&mut self, function: &Value, mut args: Vec<Value>) -> Coerced<Value> {
        let Value::Function(Function(closure)) = function else {
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
