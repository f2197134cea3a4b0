//! Looks at a compiled expression without a scope: the values that it reads, and the comparisons that it makes.

use std::borrow::Cow;

use super::node::{Node, Operator, Segment, Sign};
use super::reference::{Reference, Resolver};
use super::template::Piece;
use super::{Context, Cost, Expression, Form};
use crate::language::scope::Scope;
use crate::language::value::Value;

/// A value of the scope that an expression reads: `$.name` with the path after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Read<'e> {
    pub name: &'e str,
    /// The path after the name, up to its first computed index.
    pub path: Cow<'e, str>,
    /// True within `isdefined` and `getValue`, for which a missing value is no error.
    pub may_miss: bool,
}

/// A comparison of a value of the scope with a literal.
#[derive(Debug, Clone)]
pub(crate) struct Comparison<'e> {
    pub read: Read<'e>,
    pub operator: Operator,
    pub literal: &'e Value,
}

impl Expression {
    /// The values of the scope that the expression reads, in the order of its text.
    pub(crate) fn reads(&self) -> Vec<Read<'_>> {
        let mut found = Look::default();
        found.form(&self.form);
        found.reads
    }

    /// The comparisons of a value of the scope with a literal.
    pub(crate) fn comparisons(&self) -> Vec<Comparison<'_>> {
        let mut found = Look::default();
        found.form(&self.form);
        found.comparisons
    }

    /// The values that must equal a text each, if the expression asks for nothing else: `$.a == "x" && $.b == "y"`.
    /// Parts of a conjunction that read no `open` value are left out.
    pub(crate) fn equalities(
        &self,
        open: &dyn Fn(&Read<'_>) -> bool,
    ) -> Option<Vec<(Read<'_>, &str)>> {
        let Form::Script(node) = &*self.form else {
            return None;
        };
        let mut found = Vec::new();
        for part in parts(node) {
            if !reads_of(part).iter().any(open) {
                continue;
            }
            let Node::Chain { first, rest } = part else {
                return None;
            };
            let [(Operator::Equal, second)] = &rest[..] else {
                return None;
            };
            found.push(match (reference(first), text(second)) {
                (Some(read), Some(text)) => (read, text),
                _ => (reference(second)?, text(first)?),
            });
        }
        Some(found).filter(|found| !found.is_empty())
    }

    /// The truth of the expression where the parts of a conjunction that read an `open` value are taken as true, and
    /// if there are such parts. No truth where a part has none.
    pub(crate) fn truth_but_for(
        &self,
        scope: &dyn Scope,
        open: &dyn Fn(&Read<'_>) -> bool,
    ) -> (Option<bool>, bool) {
        let truth = |value: Result<Value, _>| match value {
            Ok(Value::Bool(holds)) => Some(holds),
            _ => None,
        };
        let Form::Script(node) = &*self.form else {
            return match self.reads().iter().any(open) {
                true => (Some(true), true),
                false => (truth(self.eval(scope)), false),
            };
        };
        let (mut whole, mut has_open) = (Some(true), false);
        for part in parts(node) {
            if reads_of(part).iter().any(open) {
                has_open = true;
                continue;
            }
            let cost = Cost::default();
            let mut context = Context::new(scope, self.skip_missing, &self.random, &cost);
            match truth(part.eval(&mut context)) {
                Some(false) => return (Some(false), has_open),
                Some(true) => {}
                None => whole = None,
            }
        }
        (whole, has_open)
    }

    /// True if each evaluation may give another value, whatever the scope.
    pub(crate) fn is_random(&self) -> bool {
        self.source.contains(".random(") || self.source.contains(".uuid(")
    }
}

/// The parts of a conjunction, else the whole.
fn parts(node: &Node) -> Vec<&Node> {
    match node {
        Node::Chain { first, rest } if rest.iter().all(|(it, _)| *it == Operator::And) => {
            let rest = rest.iter().flat_map(|(_, node)| parts(node));
            parts(first).into_iter().chain(rest).collect()
        }
        _ => vec![node],
    }
}

fn reads_of(node: &Node) -> Vec<Read<'_>> {
    let mut found = Look::default();
    found.node(node);
    found.reads
}

fn text(node: &Node) -> Option<&str> {
    match node {
        Node::Literal(Value::Str(text)) => Some(text),
        _ => None,
    }
}

fn reference(node: &Node) -> Option<Read<'_>> {
    let (name, path) = match node {
        Node::Reference(Reference::Scope { name, path }) => (&**name, Cow::Borrowed(&**path)),
        Node::Computed {
            resolver: Resolver::Scope,
            rest,
        } => {
            let (Segment::Text(text), others) = rest.split_first()? else {
                return None;
            };
            let end = text.find(['.', '[']).unwrap_or(text.len());
            let mut path = text[end..].to_owned();
            for segment in others {
                match segment {
                    Segment::Text(text) => path.push_str(text),
                    Segment::Index(Node::Literal(Value::Str(key))) => {
                        path.push_str(&format!("[\"{key}\"]"));
                    }
                    Segment::Index(_) => break,
                }
            }
            (&text[..end], path.into())
        }
        _ => return None,
    };
    Some(Read {
        name,
        path,
        may_miss: false,
    })
}

/// The literal of a node, a signed one, too.
fn literal(node: &Node) -> Option<&Value> {
    match node {
        Node::Literal(value) => Some(value),
        Node::Unary { signs, of } if signs.iter().all(|sign| *sign == Sign::Minus) => literal(of),
        _ => None,
    }
}

#[derive(Default)]
struct Look<'e> {
    reads: Vec<Read<'e>>,
    comparisons: Vec<Comparison<'e>>,
    /// True within `isdefined` and `getValue`.
    may_miss: bool,
}

impl<'e> Look<'e> {
    fn form(&mut self, form: &'e Form) {
        match form {
            Form::Constant(_) => {}
            Form::Reference(Reference::Constant(_)) => {}
            Form::Reference(Reference::Scope { name, path }) => self.read(Read {
                name,
                path: Cow::Borrowed(path),
                may_miss: false,
            }),
            Form::Template(pieces) => {
                for piece in pieces {
                    if let Piece::Expression(form) = piece {
                        self.form(form);
                    }
                }
            }
            Form::Script(node) => self.node(node),
        }
    }

    fn read(&mut self, read: Read<'e>) {
        let may_miss = self.may_miss;
        self.reads.push(Read { may_miss, ..read });
    }

    fn node(&mut self, node: &'e Node) {
        match node {
            Node::Literal(_) => {}
            Node::Reference(_) => reference(node).into_iter().for_each(|read| self.read(read)),
            Node::Computed { rest, .. } => {
                reference(node).into_iter().for_each(|read| self.read(read));
                for segment in rest {
                    if let Segment::Index(node) = segment {
                        self.node(node);
                    }
                }
            }
            Node::Unary { of, .. } => self.node(of),
            Node::Chain { first, rest } => {
                self.chain(first, rest);
                self.node(first);
                rest.iter().for_each(|(_, node)| self.node(node));
            }
            Node::Choice { cases, otherwise } => {
                for (condition, value) in cases {
                    self.node(condition);
                    self.node(value);
                }
                self.node(otherwise);
            }
            Node::Call { args, .. } => args.iter().for_each(|arg| self.node(arg)),
            Node::IsDefined(of) => self.forgiving(of),
            Node::GetValue(parts) => {
                self.forgiving(&parts.0);
                self.node(&parts.1);
            }
        }
    }

    fn forgiving(&mut self, node: &'e Node) {
        let before = std::mem::replace(&mut self.may_miss, true);
        self.node(node);
        self.may_miss = before;
    }

    /// The comparison of a chain with two parts.
    fn chain(&mut self, first: &'e Node, rest: &'e [(Operator, Node)]) {
        let [(operator, second)] = rest else { return };
        if operator.precedence() != Operator::Equal.precedence() {
            return;
        }
        let sides = match (reference(first), literal(second)) {
            (Some(read), Some(literal)) => Some((read, literal)),
            _ => reference(second).zip(literal(first)),
        };
        self.comparisons
            .extend(sides.map(|(read, literal)| Comparison {
                read,
                operator: *operator,
                literal,
            }));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test")]

    use super::*;
    use crate::{Map, Names};

    fn compiled(text: &str) -> Expression {
        Expression::compile(text, &Names::default()).unwrap()
    }

    #[test]
    fn reads_are_found_in_every_form() {
        for (text, reads) in [
            ("$.a.b", &[("a", ".b")][..]),
            ("x {{$.a.b}} {{$.c}}", &[("a", ".b"), ("c", "")]),
            ("$.a['b-c'] == 1", &[("a", "[\"b-c\"]")]),
            ("$.a.b[$.i + 1].c > 2", &[("a", ".b"), ("i", "")]),
            (
                "$.a ? $.b : string.concat($.c, \"x\")",
                &[("a", ""), ("b", ""), ("c", "")],
            ),
            ("5", &[]),
        ] {
            let expression = compiled(text);
            let found = expression.reads();
            let found: Vec<_> = found.iter().map(|it| (it.name, &*it.path)).collect();
            assert_eq!(found, reads, "{text}");
        }
        assert!(compiled("isdefined($.a.b)").reads()[0].may_miss);
    }

    #[test]
    fn comparisons_with_literals_are_found_on_either_side() {
        for text in [
            "$.a.b == 9",
            "9 == $.a.b",
            "!($.a.b == 9) && $.c",
            "$.a.b == -9",
        ] {
            let expression = compiled(text);
            let found = expression.comparisons();
            assert_eq!(found.len(), 1, "{text}");
            assert_eq!(&*found[0].read.path, ".b", "{text}");
        }
        assert!(compiled("$.a == $.b").comparisons().is_empty());
    }

    #[test]
    fn equalities_are_all_that_is_asked_of_open_values() {
        let all = |_: &Read<'_>| true;
        let expression = compiled("$.headers.A == \"x\" && ('y' == $.headers.B)");
        let found = expression.equalities(&all).unwrap();
        let found: Vec<_> = found
            .iter()
            .map(|(read, text)| (&*read.path, *text))
            .collect();
        assert_eq!(found, [(".A", "x"), (".B", "y")]);
        for text in [
            "$.a == \"x\" || $.b == \"y\"",
            "$.a == 1",
            "$.a != \"x\"",
            "$.a",
        ] {
            assert!(compiled(text).equalities(&all).is_none(), "{text}");
        }
        let expression = compiled("$.a.x == \"x\" && $.b == true");
        let found = expression.equalities(&|read| read.name == "a").unwrap();
        assert_eq!(found.len(), 1);
    }

    #[test]
    fn a_conjunction_has_a_truth_without_its_open_parts() {
        let scope = Map::from([("b".into(), Value::Bool(true))]);
        for (text, truth) in [
            ("$.a.x == 1 && $.b == true", (Some(true), true)),
            ("$.b == false && $.a.x == 1", (Some(false), false)),
            ("$.a.x == 1 && $.c == 1", (None, true)),
            ("$.a.x == 1 || $.b == true", (Some(true), true)),
            ("$.a.x", (Some(true), true)),
            ("$.b", (Some(true), false)),
        ] {
            let found = compiled(text).truth_but_for(&scope, &|read| read.name == "a");
            assert_eq!(found, truth, "{text}");
        }
    }
}
