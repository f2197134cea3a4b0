//! The tree of a script. Chains are flat, so that only nesting deepens it.

use super::reference::{Reference, Resolver};
use crate::language::functions::Function;
use crate::language::value::Value;

/// A node of a script.
pub(crate) enum Node {
    Literal(Value),
    Reference(Reference),
    /// A reference with computed indices.
    Computed {
        resolver: Resolver,
        rest: Vec<Segment>,
    },
    /// A value with signs, `!a` or `-a`, from left to right.
    Unary {
        signs: Vec<Sign>,
        of: Box<Node>,
    },
    /// Operators of one precedence, applied from left to right.
    Chain {
        first: Box<Node>,
        rest: Vec<(Operator, Node)>,
    },
    /// A choice, `c ? a : d ? b : e`: the first case whose condition holds.
    Choice {
        cases: Vec<(Node, Node)>,
        otherwise: Box<Node>,
    },
    Call {
        function: Function,
        args: Vec<Node>,
    },
    /// The call `isdefined(a)`.
    IsDefined(Box<Node>),
    /// The call `getValue(a, b)`.
    GetValue(Box<(Node, Node)>),
}

/// A segment of a reference's text.
pub(crate) enum Segment {
    Text(String),
    Index(Node),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sign {
    Not,
    Minus,
}

/// A binary operator of a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operator {
    Or,
    And,
    Equal,
    Unequal,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

impl Operator {
    /// The precedence; 0 binds loosest.
    pub const fn precedence(self) -> usize {
        match self {
            Operator::Or => 0,
            Operator::And => 1,
            Operator::Equal
            | Operator::Unequal
            | Operator::Less
            | Operator::LessEqual
            | Operator::Greater
            | Operator::GreaterEqual => 2,
            Operator::Add | Operator::Subtract => 3,
            Operator::Multiply | Operator::Divide | Operator::Remainder => 4,
        }
    }

    /// The precedence that binds tightest.
    pub const TIGHTEST: usize = 4;
}
