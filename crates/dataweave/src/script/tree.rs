//! The tree of a script. Chains are flat, so that only nesting makes it deep.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::functions::Builtin;
use super::types::{Target, Type};
use crate::value::Value;
use crate::value::json::Layout;
use crate::value::media::MediaType;

/// A whole script.
pub(super) struct Program {
    pub output: Option<Output>,
    pub declarations: Arc<[Declaration]>,
    pub body: Node,
    pub reads: Reads,
}

/// An `output` directive.
pub(super) struct Output {
    pub media_type: MediaType,
    pub layout: Layout,
}

/// The parts of an event that a script reads.
#[derive(Debug, Default)]
pub(super) struct Reads {
    pub payload: bool,
    /// Attributes or the error, which are always `application/java`.
    pub java: bool,
    pub vars: BTreeSet<Arc<str>>,
    /// Whether variables may be read that are not named: `vars[key]`.
    pub all_vars: bool,
}

/// A `var` or `fun` of a header.
pub(super) struct Declaration {
    pub name: Arc<str>,
    pub what: Declared,
}

pub(super) enum Declared {
    Var { value: Node, of: Option<Type> },
    Fun(Arc<Lambda>),
}

/// A part of a script.
pub(super) enum Node {
    Literal(Value),
    /// A text with `$(…)` in it.
    Text(Vec<Piece>),
    Name(Name),
    /// `$`, `$$`, `$$$`: 1 to 3.
    Implicit(u8),
    /// `(a)`
    Group(Box<Node>),
    Array(Vec<Item>),
    Object(Vec<Item>),
    /// `if (a) b else if (c) d else e`
    If {
        cases: Vec<(Node, Node)>,
        otherwise: Option<Box<Node>>,
    },
    /// `do { var a = 1 --- b }`
    Do {
        declarations: Arc<[Declaration]>,
        body: Box<Node>,
    },
    Lambda(Arc<Lambda>),
    /// What follows a value without a blank: selectors and arguments.
    Path {
        base: Box<Node>,
        steps: Vec<Step>,
    },
    /// `!a`, `-a`: the signs from left to right.
    Signed {
        signs: Vec<Sign>,
        of: Box<Node>,
    },
    /// `not a`
    Not(Box<Node>),
    /// `a as Number as String`
    Cast {
        of: Box<Node>,
        to: Vec<Target>,
    },
    /// Operators of one precedence, applied from left to right.
    Chain {
        first: Box<Node>,
        rest: Vec<Link>,
    },
    /// The loosest level: `a default b ++ c map d match { … }`, from left to right.
    Flow {
        first: Box<Node>,
        rest: Vec<Stage>,
    },
}

/// A part of a text.
pub(super) enum Piece {
    Plain(Arc<str>),
    Value(Node),
}

/// A name, and the function that it is where nothing else has it.
#[derive(Clone)]
pub(super) struct Name {
    pub text: Arc<str>,
    pub builtin: Option<&'static Builtin>,
}

/// What an array or object is made of.
pub(super) struct Item {
    pub what: Content,
    /// `(…) if condition`
    pub when: Option<Node>,
}

pub(super) enum Content {
    /// A value of an array.
    Value(Node),
    /// A key and its value; in an array an object of its own.
    Pair(Node, Node),
    /// `(object)` in an object: all that it has.
    Spread(Node),
}

/// A function.
pub(super) struct Lambda {
    pub params: Vec<Param>,
    pub returns: Option<Type>,
    pub body: Node,
}

pub(super) struct Param {
    pub name: Arc<str>,
    pub of: Option<Type>,
    pub default: Option<Node>,
}

/// A selector, or the arguments of a call.
pub(super) enum Step {
    /// `.key`, `["key"]` with a text
    Key(Key),
    /// `.*key`
    All(Key),
    /// `..`
    Descendants,
    /// `..key`
    Deep(Key),
    /// `..*key`
    DeepAll(Key),
    /// `[index]`, where the index may be a key
    Index(Node),
    /// `[a to b]`
    Slice(Node, Node),
    /// `[?(condition)]`
    Filter(Arc<Lambda>),
    /// `?`
    Present,
    /// `!`
    Required,
    Call(Vec<Node>),
}

/// A selector's key.
pub(super) enum Key {
    Fixed(Arc<str>),
    Computed(Box<Node>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sign {
    Not,
    Minus,
}

pub(super) enum Link {
    Operator(Operator, Node),
    Is(Type),
}

/// An operator of the five middle levels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Or,
    And,
    Equal,
    Unequal,
    Similar,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    Add,
    Subtract,
    /// `>>`
    Shift,
    /// `<<`
    Append,
    Multiply,
    Divide,
}

/// A step of the loosest level.
pub(super) enum Stage {
    Default(Node),
    /// `++`
    Concat(Node),
    /// `--`
    Remove(Node),
    /// `a name b`
    Call(Name, Node),
    /// `a replace b with c`
    Replace(Node, Node),
    Match(Vec<Case>),
}

/// A case of a `match`; `else` is one without pattern and condition.
pub(super) struct Case {
    /// The name that the value has in it; `$` where none is given.
    pub name: Arc<str>,
    pub pattern: Option<CasePattern>,
    pub when: Option<Node>,
    pub then: Node,
}

/// A case's pattern.
pub(super) enum CasePattern {
    Value(Node),
    Is(Type),
    Matches(Node),
}
