//! The tree of a script. Chains are flat, so that only nested parts make it deep.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::functions::Builtin;
use super::own::Own;
use super::types::{Target, Type};
use crate::fault::ParseFault;
use crate::value::json::Layout;
use crate::value::media::MediaType;
use crate::value::{Kind, Namespace, Value};

/// A parsed script.
pub(super) struct Program {
    pub output: Option<Output>,
    pub declarations: Arc<[Declaration]>,
    pub body: Node,
    pub reads: Reads,
    /// True if the script is a value alone: it reads, calls and declares nothing.
    pub is_data: bool,
    /// True if it names a function that fails as the script says.
    pub fails: bool,
    /// The names that mean nothing, so that an evaluation that comes to them fails.
    pub unknown: Vec<ParseFault>,
    /// The number of conversions and demands, which fail by their input: `a as Number`, `a!`.
    pub demands: usize,
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
    /// True if variables may be read that are not named: `vars[key]`.
    pub all_vars: bool,
}

/// A `var` or `fun` of a header.
pub(super) struct Declaration {
    pub name: Arc<str>,
    pub what: Declared,
}

pub(super) enum Declared {
    Var {
        value: Node,
        of: Option<Type>,
    },
    /// Functions of one name, of which a call takes the first that fits its arguments.
    Fun(Arc<Vec<Arc<Lambda>>>),
    /// A name of a module of the project.
    Own(Arc<Own>, Arc<str>),
}

/// A node of the tree.
pub(super) enum Node {
    Literal(Value),
    /// A text with `$(…)` in it.
    Text(Vec<Piece>),
    Name(Name),
    /// An implicit parameter: 1 to 3 for `$`, `$$`, `$$$`.
    Implicit(u8),
    /// A part in parentheses: `(a)`.
    Group(Box<Node>),
    Array(Vec<Item>),
    Object(Vec<Item>),
    /// A key with a namespace or attributes: `soap#Body @(id: 1)`.
    Key(Box<MarkedKey>),
    /// A choice: `if (a) b else if (c) d else e`.
    If {
        cases: Vec<(Node, Node)>,
        otherwise: Option<Box<Node>>,
    },
    /// A scope: `do { var a = 1 --- b }`.
    Do {
        declarations: Arc<[Declaration]>,
        body: Box<Node>,
    },
    Lambda(Arc<Lambda>),
    /// A value with the selectors and arguments that follow it.
    Path {
        base: Box<Node>,
        steps: Vec<Step>,
    },
    /// A value with signs, from left to right: `!a`, `-a`.
    Signed {
        signs: Vec<Sign>,
        of: Box<Node>,
    },
    /// A negation: `not a`.
    Not(Box<Node>),
    /// Conversions in order: `a as Number as String`.
    Cast {
        of: Box<Node>,
        to: Vec<Target>,
    },
    /// Operators of one precedence, applied from left to right.
    Chain {
        first: Box<Node>,
        rest: Vec<Link>,
    },
    /// Stages of the loosest level, from left to right: `a default b ++ c map d match { … }`.
    Flow {
        first: Box<Node>,
        rest: Vec<Stage>,
    },
}

/// A key with a namespace or attributes.
pub(super) struct MarkedKey {
    pub name: Node,
    pub namespace: Option<Namespace>,
    pub attributes: Vec<Item>,
}

/// A part of a text.
pub(super) enum Piece {
    Plain(Arc<str>),
    Value(Node),
}

/// A name, with the built-in function that it refers to unless the script declares it.
#[derive(Clone)]
pub(super) struct Name {
    pub text: Arc<str>,
    pub builtin: Option<&'static Builtin>,
}

/// A part of an array or object.
pub(super) struct Item {
    pub what: Content,
    /// The condition of `(…) if condition`.
    pub when: Option<Node>,
}

pub(super) enum Content {
    /// A value in an array.
    Value(Node),
    /// A key with its value; in an array, an object of its own.
    Pair(Node, Node),
    /// All entries of an object: `(object)`.
    Spread(Node),
}

/// A function of the script.
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
    /// One key: `.key`, `["key"]` with a text.
    Key(Key),
    /// All values of a key: `.*key`.
    All(Key),
    /// All descendants: `..`.
    Descendants,
    /// A key at any depth: `..key`.
    Deep(Key),
    /// All values of a key at any depth: `..*key`.
    DeepAll(Key),
    /// An index or a key: `[index]`.
    Index(Node),
    /// A range: `[a to b]`.
    Slice(Node, Node),
    /// A filter: `[?(condition)]`.
    Filter(Arc<Lambda>),
    /// Metadata of a part of the event: `.^mimeType`.
    Meta(Arc<str>),
    /// An attribute: `.@name`.
    Attribute(Key),
    /// All attributes: `.@`.
    Attributes,
    /// The URI of the namespace: `.#`.
    Namespace,
    /// The entries of a key, with their keys: `.&key`.
    Entries(Key),
    /// The entries of a key at any depth: `..&key`.
    DeepEntries(Key),
    /// An attribute at any depth: `..@name`.
    DeepAttribute(Key),
    /// True if the selection exists: `?`.
    Present,
    /// An error if the selection does not exist: `!`.
    Required,
    Call(Vec<Node>),
}

/// A selector's key.
pub(super) enum Key {
    Fixed(Arc<str>),
    Computed(Box<Node>),
    /// A key in a namespace: `soap#Body`.
    Spaced(Box<(Namespace, Key)>),
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
    /// The operator `>>`.
    Shift,
    /// The operator `<<`.
    Append,
    Multiply,
    Divide,
}

/// A step of the loosest level.
pub(super) enum Stage {
    Default(Node),
    /// Concatenation: `a ++ b`.
    Concat(Node),
    /// Removal: `a -- b`.
    Remove(Node),
    /// A function between its operands: `a name b`.
    Call(Name, Node),
    /// A replacement: `a replace b with c`.
    Replace(Node, Node),
    /// New values at the places of a name: `a mask b with c`.
    Mask(Node, Node),
    Match(Vec<Case>),
    /// New values at places within a value: `a update { case .b -> c }`.
    Update(Vec<Change>),
}

/// A case of an `update`.
pub(super) struct Change {
    /// The name of the value at the place; `$` by default.
    pub name: Arc<str>,
    pub place: Vec<Place>,
    /// True if missing keys on the way to the place are added: `.a!`.
    pub inserts: bool,
    pub when: Option<Node>,
    pub then: Node,
}

/// A step to a place within a value.
pub(super) enum Place {
    Key(Key),
    /// An attribute of the key before, which is the last step.
    Attribute(Key),
    Index(Node),
}

/// A case of a `match`; an `else` has neither pattern nor condition.
pub(super) struct Case {
    /// The name of the value inside the case; `$` by default.
    pub name: Arc<str>,
    pub pattern: Option<CasePattern>,
    pub when: Option<Node>,
    pub then: Node,
}

/// The pattern of a case.
pub(super) enum CasePattern {
    Value(Node),
    Is(Type),
    Matches(Node),
    /// An empty list or object: `[]`, `{}`.
    Empty(Kind),
    /// A list by its first item and the rest, `[a ~ b]`, or an object by its first entry and the rest, `{k: v ~ b}`.
    Split {
        key: Option<Arc<str>>,
        head: Arc<str>,
        tail: Arc<str>,
    },
}
