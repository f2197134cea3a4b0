//! The tree to evaluate, with names resolved and patterns compiled.

use std::sync::Arc;

use regex::Regex;

use super::functions::Function;
use super::value::{Kind, Value};

/// An operation, and the character (from 0) at which it was written.
#[derive(Debug)]
pub(crate) struct Term {
    pub at: usize,
    pub op: Op,
}

#[derive(Debug)]
pub(crate) enum Op {
    Literal(Value),
    Variable {
        name: Arc<str>,
        kind: Option<Kind>,
    },
    /// A loop's variable, by its index among the surrounding loops' variables.
    Local(usize),
    Select {
        of: Box<Term>,
        field: Arc<str>,
    },
    Has {
        of: Box<Term>,
        field: Arc<str>,
    },
    Index(Box<[Term; 2]>),
    Not(Box<Term>),
    Negate(Box<Term>),
    And(Box<[Term; 2]>),
    Or(Box<[Term; 2]>),
    If(Box<[Term; 3]>),
    /// The condition for another turn of a loop: an error does not end the loop, since CEL may still absorb it.
    NotStrictlyFalse(Box<Term>),
    Binary(Binary, Box<[Term; 2]>),
    List(Vec<Term>),
    Map(Vec<(Term, Term)>),
    Call(Function, Vec<Term>),
    Matches(Box<Term>, Regex),
    Loop(Box<Loop>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Binary {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    Equal,
    NotEqual,
    Less,
    AtMost,
    Greater,
    AtLeast,
    In,
}

impl Binary {
    /// True for `==`, `!=`, `<` and their like, not for `in`.
    pub fn compares(self) -> bool {
        use Binary::{AtLeast, AtMost, Equal, Greater, Less, NotEqual};
        matches!(self, Equal | NotEqual | Less | AtMost | Greater | AtLeast)
    }
}

/// The expansion of `all`, `exists`, `exists_one`, `map` and `filter`. Inside `condition` and `step` two more locals
/// exist: the accumulator and the item; inside `result` only the accumulator.
#[derive(Debug)]
pub(crate) struct Loop {
    pub range: Term,
    pub start: Term,
    pub condition: Term,
    pub step: Term,
    pub result: Term,
}

impl Term {
    /// The type of the value, if the tree alone determines it.
    pub fn kind(&self) -> Option<Kind> {
        match &self.op {
            Op::Literal(value) => Some(value.kind()),
            Op::Variable { kind, .. } => *kind,
            Op::Local(_) | Op::Select { .. } | Op::Index(_) => None,
            Op::Has { .. }
            | Op::Not(_)
            | Op::And(_)
            | Op::Or(_)
            | Op::NotStrictlyFalse(_)
            | Op::Matches(..) => Some(Kind::Bool),
            Op::Negate(term) => term.kind(),
            Op::If(terms) => terms[1]
                .kind()
                .filter(|kind| terms[2].kind() == Some(*kind)),
            Op::Binary(Binary::In, _) => Some(Kind::Bool),
            Op::Binary(binary, _) if binary.compares() => Some(Kind::Bool),
            Op::Binary(_, sides) => sides[0].kind(),
            Op::List(_) => Some(Kind::List),
            Op::Map(_) => Some(Kind::Map),
            Op::Call(function, _) => function.gives(),
            Op::Loop(loops) => loops.result_kind(),
        }
    }
}

impl Loop {
    /// The type of the result: `exists_one` compares a count, `all` and `exists` accumulate a boolean, `map` and
    /// `filter` a list.
    fn result_kind(&self) -> Option<Kind> {
        match &self.result.op {
            Op::Local(_) => self.start.kind(),
            _ => self.result.kind(),
        }
    }
}
