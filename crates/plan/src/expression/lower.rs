//! Lowers the parser's tree into ours: names resolved, functions and patterns known, size and depth bounded.

use cel::common::ast::{
    CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedExpr, LiteralValue, SourceInfo, operators,
};
use cel::parser::Parser;
use regex::Regex;

use super::functions::{self, Function};
use super::term::{Binary, Loop, Op, Term};
use super::value::{Kind, Value};
use super::{DEPTH_MAX, Fault, LOOPS_MAX, NODES_MAX, REGEX_MAX, Variables};
use crate::diagnostic::{quote, suggest};

pub(super) struct Lowered {
    pub tree: Term,
    pub variables: Vec<String>,
}

/// Parses and lowers a text; needs a large stack.
pub(super) fn parse(source: &str, variables: Variables<'_>) -> Result<Lowered, Vec<Fault>> {
    let (tree, info) = Parser::default()
        .parse_with_source_info(source)
        .map_err(|errors| {
            // The first fault often causes the others.
            let first = errors.errors.first().map(|error| {
                let at = offset_of(source, error.pos.0, error.pos.1);
                let mend = "correct the expression; it is CEL, such as `status >= 500`";
                Fault::new(at, plain(&error.msg), mend)
            });
            Vec::from_iter(first)
        })?;
    let mut lowering = Lowering {
        source,
        info,
        variables,
        used: Vec::new(),
        locals: Vec::new(),
        nodes: 0,
        loops: 0,
        faults: Vec::new(),
    };
    let tree = lowering.term(&tree, 0);
    match tree {
        Some(tree) if lowering.faults.is_empty() => Ok(Lowered {
            tree,
            variables: lowering.used,
        }),
        _ => Err(lowering.faults),
    }
}

/// The first line of the parser's message, shortened.
fn plain(message: &str) -> String {
    const CHARS_MAX: usize = 120;
    let line = message.lines().next().unwrap_or_default().trim();
    let line = line.strip_prefix("Syntax error: ").unwrap_or(line);
    let mut plain: String = line
        .chars()
        .filter(|c| !c.is_control())
        .take(CHARS_MAX)
        .collect();
    // A mismatch lists every token that would have been valid.
    if let Some(list) = plain.find(" expecting {") {
        plain.truncate(list);
    }
    plain
}

/// The character, from 0, at the parser's line and column (both from 1).
fn offset_of(source: &str, line: isize, col: isize) -> Option<usize> {
    let line = usize::try_from(line).ok()?.checked_sub(1)?;
    let col = usize::try_from(col).ok()?.saturating_sub(1);
    let before: usize = source
        .split_inclusive('\n')
        .take(line)
        .map(|line| line.chars().count())
        .sum();
    Some((before + col).min(source.chars().count().saturating_sub(1)))
}

struct Lowering<'a> {
    source: &'a str,
    info: SourceInfo,
    variables: Variables<'a>,
    used: Vec<String>,
    locals: Vec<String>,
    nodes: usize,
    loops: usize,
    faults: Vec<Fault>,
}

impl Lowering<'_> {
    /// Lowers one node, or returns `None` after a fault was noted.
    fn term(&mut self, expr: &IdedExpr, depth: usize) -> Option<Term> {
        let at = self.place(expr.id);
        self.nodes += 1;
        if self.nodes > NODES_MAX {
            return self.fault(
                at,
                format!("the expression has more than {NODES_MAX} parts, macros expanded"),
                "simplify it",
            );
        }
        if depth > DEPTH_MAX {
            return self.fault(
                at,
                format!("operators are nested more than {DEPTH_MAX} deep"),
                "simplify it",
            );
        }
        let depth = depth + 1;
        let op = match &expr.expr {
            Expr::Literal(literal) => Op::Literal(value_of(literal)),
            Expr::Ident(name) => self.name(at, name)?,
            Expr::Select(select) => {
                let of = Box::new(self.term(&select.operand, depth)?);
                let field = select.field.as_str().into();
                if select.test {
                    Op::Has { of, field }
                } else {
                    Op::Select { of, field }
                }
            }
            Expr::List(list) => Op::List(self.terms(&list.elements, depth)?),
            Expr::Map(map) => {
                let mut entries = Vec::new();
                for entry in &map.entries {
                    let EntryExpr::MapEntry(entry) = &entry.expr else {
                        return self.fault(at, "messages are not supported", "use a map");
                    };
                    entries.push((
                        self.term(&entry.key, depth)?,
                        self.term(&entry.value, depth)?,
                    ));
                }
                Op::Map(entries)
            }
            Expr::Call(call) => self.call(at, call, depth)?,
            Expr::Comprehension(comprehension) => self.comprehension(at, comprehension, depth)?,
            Expr::Struct(_) => return self.fault(at, "messages are not supported", "use a map"),
            Expr::Unspecified => {
                return self.fault(at, "a part is missing", "complete the expression");
            }
        };
        Some(Term { at, op })
    }

    /// Lowers several nodes, all of them even after a fault.
    fn terms<'e>(
        &mut self,
        exprs: impl IntoIterator<Item = &'e IdedExpr>,
        depth: usize,
    ) -> Option<Vec<Term>> {
        let terms: Vec<_> = exprs.into_iter().map(|it| self.term(it, depth)).collect();
        terms.into_iter().collect()
    }

    fn fault<T>(
        &mut self,
        at: usize,
        what: impl Into<String>,
        mend: impl Into<String>,
    ) -> Option<T> {
        self.faults.push(Fault::new(at, what, mend));
        None
    }

    /// The character, from 0, at which a node begins; the parser counts bytes.
    fn place(&self, id: u64) -> usize {
        let bytes = self
            .info
            .offset_for(id)
            .map_or(0, |(start, _)| start as usize);
        self.source
            .get(..bytes)
            .map_or(0, |before| before.chars().count())
    }

    fn name(&mut self, at: usize, name: &str) -> Option<Op> {
        if let Some(slot) = self.locals.iter().rposition(|local| local == name) {
            return Some(Op::Local(slot));
        }
        if let Some((_, kind)) = self.variables.iter().find(|(known, _)| *known == name) {
            if !self.used.iter().any(|used| used == name) {
                self.used.push(name.to_owned());
            }
            return Some(Op::Variable {
                name: name.into(),
                kind: *kind,
            });
        }
        if let Some(kind) = Kind::named(name) {
            return Some(Op::Literal(Value::Type(kind)));
        }
        let known = self.variables.iter().map(|(name, _)| *name);
        let locals = self
            .locals
            .iter()
            .map(String::as_str)
            .filter(|name| !name.starts_with('@'));
        let mend = match self.variables {
            // Without any, the text was given no scope.
            [] if self.locals.is_empty() => {
                format!("give it a value in the scope, as in `{{\"{name}\": 1}}`")
            }
            _ => suggest(name, known.chain(locals)),
        };
        self.fault(at, format!("unknown variable {}", quote(name)), mend)
    }

    fn call(&mut self, at: usize, call: &CallExpr, depth: usize) -> Option<Op> {
        let name = call.func_name.as_str();
        let target = call.target.as_deref().into_iter();
        let arguments: Vec<&IdedExpr> = target.chain(&call.args).collect();
        if name == "matches" && arguments.len() == 2 {
            let text = self.term(arguments[0], depth)?;
            self.expect(&text, Kind::Text, "`matches`")?;
            let Expr::Literal(LiteralValue::String(pattern)) = &arguments[1].expr else {
                return self.fault(
                    at,
                    "the pattern of `matches` must be written out",
                    "write it as a text in quotes",
                );
            };
            let place = self.place(arguments[1].id);
            return self
                .regex(place, pattern.inner())
                .map(|regex| Op::Matches(Box::new(text), regex));
        }
        let operator = self.operator(at, name, &call.target, arguments.len());
        let function = match operator {
            None => match functions::find(name, call.target.is_some(), arguments.len()) {
                Ok(function) => Some(function),
                Err((what, mend)) => return self.fault(at, what, mend),
            },
            Some(_) => None,
        };
        let terms = self.terms(arguments, depth)?;
        match (operator, function) {
            (None, Some(function)) => {
                for (term, kind) in terms.iter().zip(function.takes()) {
                    if let Some(kind) = kind {
                        self.expect(term, *kind, &format!("`{name}`"))?;
                    }
                }
                if function == Function::Duration
                    && let Some(Term {
                        at,
                        op: Op::Literal(Value::Text(text)),
                    }) = terms.first()
                    && functions::parse_span(text).is_none()
                {
                    let mend = "write one such as `duration(\"250ms\")` or `duration(\"1m30s\")`";
                    return self.fault(*at, format!("{} is not a duration", quote(text)), mend);
                }
                Some(Op::Call(function, terms))
            }
            (operator, _) => self.apply(operator??, terms),
        }
    }

    /// The operator of a call: `None` for a function's call, `Some(None)` after a fault.
    fn operator(
        &mut self,
        at: usize,
        name: &str,
        target: &Option<Box<IdedExpr>>,
        count: usize,
    ) -> Option<Option<Operator>> {
        let operator = match name {
            _ if target.is_some() => return None,
            operators::LOGICAL_AND => Operator::And,
            operators::LOGICAL_OR => Operator::Or,
            operators::LOGICAL_NOT => Operator::Not,
            operators::NEGATE => Operator::Negate,
            operators::CONDITIONAL => Operator::If,
            operators::INDEX => Operator::Index,
            operators::NOT_STRICTLY_FALSE => Operator::NotStrictlyFalse,
            operators::ADD => Operator::Binary(Binary::Add),
            operators::SUBSTRACT => Operator::Binary(Binary::Subtract),
            operators::MULTIPLY => Operator::Binary(Binary::Multiply),
            operators::DIVIDE => Operator::Binary(Binary::Divide),
            operators::MODULO => Operator::Binary(Binary::Remainder),
            operators::EQUALS => Operator::Binary(Binary::Equal),
            operators::NOT_EQUALS => Operator::Binary(Binary::NotEqual),
            operators::LESS => Operator::Binary(Binary::Less),
            operators::LESS_EQUALS => Operator::Binary(Binary::AtMost),
            operators::GREATER => Operator::Binary(Binary::Greater),
            operators::GREATER_EQUALS => Operator::Binary(Binary::AtLeast),
            operators::IN => Operator::Binary(Binary::In),
            _ => return None,
        };
        let takes = match operator {
            Operator::Not | Operator::Negate | Operator::NotStrictlyFalse => 1,
            Operator::If => 3,
            _ => 2,
        };
        if takes != count {
            return Some(self.fault(at, "an operator lacks a side", "complete the expression"));
        }
        Some(Some(operator))
    }

    fn apply(&mut self, operator: Operator, terms: Vec<Term>) -> Option<Op> {
        let mut terms = terms.into_iter();
        let mut next = || terms.next().map(Box::new);
        match operator {
            Operator::Not => {
                let term = next()?;
                self.expect(&term, Kind::Bool, "`!`")?;
                Some(Op::Not(term))
            }
            Operator::Negate => next().map(Op::Negate),
            Operator::NotStrictlyFalse => next().map(Op::NotStrictlyFalse),
            Operator::If => {
                let [condition, yes, no] = three(terms)?;
                self.expect(&condition, Kind::Bool, "the condition of `?:`")?;
                Some(Op::If(Box::new([condition, yes, no])))
            }
            Operator::And => self.bools(terms, "`&&`").map(Op::And),
            Operator::Or => self.bools(terms, "`||`").map(Op::Or),
            Operator::Index => two(terms).map(|sides| Op::Index(Box::new(sides))),
            Operator::Binary(binary) => {
                let sides = two(terms)?;
                self.check_sides(binary, &sides)?;
                Some(Op::Binary(binary, Box::new(sides)))
            }
        }
    }

    fn bools(&mut self, terms: impl Iterator<Item = Term>, of: &str) -> Option<Box<[Term; 2]>> {
        let sides = two(terms)?;
        self.expect(&sides[0], Kind::Bool, of)?;
        self.expect(&sides[1], Kind::Bool, of)?;
        Some(Box::new(sides))
    }

    fn expect(&mut self, term: &Term, kind: Kind, of: &str) -> Option<()> {
        match term.kind() {
            Some(found) if found != kind => {
                let what = format!("{of} expects {}, found {}", kind.article(), found.article());
                self.fault(
                    term.at,
                    what,
                    "compare it, as in `status >= 500`, or convert it, as in `string(status)`",
                )
            }
            _ => Some(()),
        }
    }

    /// Refuses comparisons that could only be false or fail.
    fn check_sides(&mut self, binary: Binary, sides: &[Term; 2]) -> Option<()> {
        let [Some(left), Some(right)] = [sides[0].kind(), sides[1].kind()] else {
            return Some(());
        };
        let alike = left == right || (left.is_number() && right.is_number());
        let null = left == Kind::Null || right == Kind::Null;
        if binary.compares() && !alike && !null {
            let what = format!("{} is compared with {}", left.article(), right.article());
            let mend = match (left, right) {
                (Kind::Int, Kind::Text) | (Kind::Text, Kind::Int) => {
                    "remove the quotes, or convert one side, as in `int(…)` or `string(…)`"
                }
                (Kind::Span, _) | (_, Kind::Span) => "write the time as `duration(\"2s\")`",
                _ => "convert one side, as in `int(…)` or `string(…)`",
            };
            return self.fault(sides[1].at, what, mend);
        }
        Some(())
    }

    fn regex(&mut self, at: usize, pattern: &str) -> Option<Regex> {
        const NESTING_MAX: u32 = 50;
        let built = regex::RegexBuilder::new(pattern)
            .size_limit(REGEX_MAX)
            .dfa_size_limit(REGEX_MAX)
            .nest_limit(NESTING_MAX)
            .build();
        match built {
            Ok(regex) => Some(regex),
            Err(regex::Error::CompiledTooBig(_)) => self.fault(
                at,
                "the pattern is too large once compiled (1 MiB)",
                "repeat fewer times, or match ASCII classes such as `[0-9]` instead of `\\d`",
            ),
            Err(error) => {
                let reason = error.to_string();
                let reason = reason.lines().last().unwrap_or_default();
                let reason = reason.trim_start_matches("error: ");
                let what = format!("the pattern is not a regular expression: {reason}");
                self.fault(at, what, "correct the pattern")
            }
        }
    }

    fn comprehension(&mut self, at: usize, loops: &ComprehensionExpr, depth: usize) -> Option<Op> {
        if loops.iter_var2.is_some() {
            return self.fault(
                at,
                "loops over two variables are not supported",
                "loop over the keys, and look the values up",
            );
        }
        let range = self.term(&loops.iter_range, depth)?;
        if let Some(kind) = range.kind()
            && !matches!(kind, Kind::List | Kind::Map)
        {
            return self.fault(
                range.at,
                format!("a loop expects a list or a map, found {}", kind.article()),
                "loop over `headers`, or over a list",
            );
        }
        let start = self.term(&loops.accu_init, depth)?;
        self.loops += 1;
        if self.loops > LOOPS_MAX {
            return self.fault(
                at,
                format!("loops are nested more than {LOOPS_MAX} deep"),
                "simplify it",
            );
        }
        self.locals.push(loops.accu_var.clone());
        self.locals.push(loops.iter_var.clone());
        let condition = self.term(&loops.loop_cond, depth);
        let step = self.term(&loops.loop_step, depth);
        self.locals.pop();
        let result = self.term(&loops.result, depth);
        self.locals.pop();
        self.loops -= 1;
        Some(Op::Loop(Box::new(Loop {
            range,
            start,
            condition: condition?,
            step: step?,
            result: result?,
        })))
    }
}

#[derive(Clone, Copy)]
enum Operator {
    And,
    Or,
    Not,
    Negate,
    If,
    Index,
    NotStrictlyFalse,
    Binary(Binary),
}

fn two(mut terms: impl Iterator<Item = Term>) -> Option<[Term; 2]> {
    Some([terms.next()?, terms.next()?])
}

fn three(mut terms: impl Iterator<Item = Term>) -> Option<[Term; 3]> {
    Some([terms.next()?, terms.next()?, terms.next()?])
}

fn value_of(literal: &LiteralValue) -> Value {
    match literal {
        LiteralValue::Boolean(b) => Value::Bool(*b.inner()),
        LiteralValue::Bytes(bytes) => Value::Bytes(bytes.inner().into()),
        LiteralValue::Double(double) => Value::Double(*double.inner()),
        LiteralValue::Int(int) => Value::Int(*int.inner()),
        LiteralValue::Null => Value::Null,
        LiteralValue::String(text) => Value::text(text.inner()),
        LiteralValue::UInt(uint) => Value::UInt(*uint.inner()),
    }
}
