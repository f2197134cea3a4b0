//! The grammar of expressions.
//!
//! The levels, loosest first: `default`, `++`, `--`, `match { }` and functions between their operands, all on one
//! level; `or`; `and`; `== != ~=`; `< > <= >= is`; `+ - >> <<`; `* /`; `as`; the signs `! -`; selectors and calls.
//! `not` extends up to the next `or`; `if` and the body of a function extend as far as possible.
//! ([Precedence](https://docs.mulesoft.com/dataweave/latest/dataweave-flow-control-precedence))

use std::collections::BTreeSet;
use std::sync::Arc;

use super::cursor::{Cursor, Parsed};
use super::functions::{Builtin, MASK};
use super::path::{path, qualified};
use super::tree::{Lambda, Link, Name, Node, Operator, Param, Program, Reads, Sign, Stage, Step};
use super::types::{self, Target};
use super::{BYTES_MAX, ParseFault, body, cases, functions, header, modules, unknown, update};
use crate::library::Library;

/// Words that end an expression, since they cannot name a function between operands.
const KEYWORDS: [&str; 20] = [
    "and", "as", "case", "default", "do", "else", "false", "fun", "if", "import", "input", "is",
    "not", "ns", "null", "or", "output", "true", "type", "var",
];

/// The parameters of a function written with `$`.
pub(super) const IMPLICIT: [&str; 3] = ["$", "$$", "$$$"];

/// Parses a script, which is a part of a text.
pub(super) fn program(
    text: &str,
    start: usize,
    end: usize,
    library: &dyn Library,
) -> Result<Program, ParseFault> {
    let mut cursor = Cursor::new(text, start, end);
    cursor.library = library;
    let length = end - start;
    if length > BYTES_MAX {
        let what = format!("the script has {length} bytes, and at most {BYTES_MAX} are allowed");
        return Err(cursor.fault(start, &what, "split it"));
    }
    let cursor = &mut cursor;
    let (output, mut declarations) = header::script(cursor)?;
    cursor.blank()?;
    if cursor.peek().is_none() {
        let what = "the expression is empty";
        let mend = "write one, such as null";
        return Err(cursor.fault(cursor.at, what, mend));
    }
    let body = body::or_pair(cursor, expression)?;
    cursor.blank()?;
    if cursor.peek().is_some() {
        return Err(cursor.unexpected("an operator or the end"));
    }
    check_calls(cursor)?;
    declarations.append(&mut cursor.taken);
    let is_data = cursor.names.is_empty() && cursor.called.is_empty() && cursor.declared.is_empty();
    let reads = |name: &str| cursor.names.contains_key(name) && !cursor.declared.contains(name);
    let message = reads("message");
    let of_vars = !cursor.declared.contains("vars");
    let reads = Reads {
        payload: message || reads("payload"),
        java: message || reads("attributes") || reads("error"),
        all_vars: cursor.all_vars && of_vars,
        vars: if of_vars {
            std::mem::take(&mut cursor.vars)
        } else {
            BTreeSet::new()
        },
    };
    Ok(Program {
        output,
        declarations: declarations.into(),
        body,
        reads,
        is_data,
        fails: cursor.fails,
        unknown: unknown::names(cursor),
        demands: cursor.demands,
    })
}

/// Checks that every called function is built in or declared.
pub(super) fn check_calls(cursor: &Cursor<'_>) -> Parsed<()> {
    for (name, at) in &cursor.called {
        if cursor.declared.contains(name) {
            continue;
        }
        let declared = cursor.declared.iter().chain(cursor.imported.keys());
        let names = functions::names().chain(declared.map(|name| &**name));
        let mend = match (modules::home(name), functions::nearest(names, name)) {
            _ if &**name == "readUrl" => {
                "write the address as a text, `classpath://data.json`, or get the data by `http:request`"
                    .to_owned()
            }
            _ if &**name == "lookup" => modules::LOOKUP.to_owned(),
            (Some(module), _) => format!("write `import {name} from {module}` in a header"),
            (None, Some(known)) => format!("did you mean `{known}`?"),
            (None, None) => "use another, or define it with `fun` in a header".to_owned(),
        };
        return Err(cursor.fault(*at, &format!("unknown function `{name}`"), &mend));
    }
    Ok(())
}

/// Parses an expression.
pub(super) fn expression(cursor: &mut Cursor<'_>) -> Parsed<Node> {
    let first = operand(cursor)?;
    let mut rest = Vec::new();
    let mut first = Some(first);
    loop {
        cursor.blank()?;
        if cursor.eat("++") {
            rest.push(Stage::Concat(or_pair(cursor)?));
        } else if cursor.starts("--") && !cursor.starts("---") {
            cursor.at += 2;
            rest.push(Stage::Remove(or_pair(cursor)?));
        } else if cursor.eat_word("default") {
            rest.push(Stage::Default(or_pair(cursor)?));
        } else if let Some(word) = cursor.word().filter(|word| !KEYWORDS.contains(word)) {
            let start = cursor.at;
            cursor.at += word.len();
            cursor.blank()?;
            if cursor.starts("{") && matches!(word, "match" | "update") {
                rest.push(match word {
                    "match" => Stage::Match(cases::cases(cursor)?),
                    _ => Stage::Update(update::cases(cursor)?),
                });
                continue;
            }
            let name = qualified(cursor, word)?;
            cursor.names.entry(name.text.clone()).or_insert(start);
            if name.builtin.is_none() {
                cursor.called.push((name.text.clone(), start));
            }
            let takes_function = match name.builtin {
                Some(builtin) => builtin.takes_function,
                None => cursor.binders == 0,
            };
            let argument = bound(cursor, takes_function, or_pair)?;
            let argument = delayed(name.builtin, 1, argument);
            if &*name.text == "with" {
                let mend = "write `a replace b with c`, or `a mask b with c`";
                let what = "`with` follows neither `replace` nor `mask`";
                let (masks, of) = before_with(&mut first, &mut rest)
                    .ok_or_else(|| cursor.fault(start, what, mend))?;
                rest.push(match masks {
                    true => Stage::Mask(of, argument),
                    false => Stage::Replace(of, argument),
                });
            } else {
                rest.push(Stage::Call(name, argument));
            }
        } else {
            break;
        }
    }
    let first = match first {
        Some(first) if rest.is_empty() => return Ok(first),
        Some(first) => first,
        None => return Err(cursor.unexpected("a value")),
    };
    Ok(Node::Flow {
        first: Box::new(first),
        rest,
    })
}

/// Takes what a `replace` or a `mask` before a `with` looks for; the value that it changes stays in place. True for a `mask`.
fn before_with(first: &mut Option<Node>, rest: &mut Vec<Stage>) -> Option<(bool, Node)> {
    if let Some(Stage::Call(name, _)) = rest.last() {
        let masks = masks(name)?;
        return match rest.pop() {
            Some(Stage::Call(_, of)) => Some((masks, of)),
            _ => None,
        };
    }
    let Some(Node::Path { base, mut steps }) = first.take() else {
        return None;
    };
    match (*base, steps.pop(), steps.is_empty()) {
        (Node::Name(name), Some(Step::Call(mut args)), true) if args.len() == 2 => {
            let masks = masks(&name)?;
            let of = args.pop()?;
            *first = args.pop();
            Some((masks, of))
        }
        _ => None,
    }
}

/// True for `mask`, false for `replace`, `None` for all other names.
fn masks(name: &Name) -> Option<bool> {
    if name.builtin.is_some_and(|it| it.name == MASK) {
        return Some(true);
    }
    (*name.text == *"replace").then_some(false)
}

/// Parses a part; if `$` occurs in it, the part is the body of a function.
pub(super) fn bound(
    cursor: &mut Cursor<'_>,
    binds: bool,
    parse: impl FnOnce(&mut Cursor<'_>) -> Parsed<Node>,
) -> Parsed<Node> {
    let dollars = cursor.dollars;
    cursor.binders += usize::from(binds);
    let node = parse(cursor)?;
    cursor.binders -= usize::from(binds);
    if !binds || cursor.dollars == dollars {
        return Ok(node);
    }
    cursor.dollars = dollars;
    Ok(Node::Lambda(Arc::new(implicit(node))))
}

/// Makes an argument that is only evaluated on demand a function without parameters.
pub(super) fn delayed(builtin: Option<&Builtin>, at: usize, argument: Node) -> Node {
    match argument {
        Node::Lambda(_) => argument,
        _ if builtin.is_some_and(|builtin| builtin.lazy == Some(at)) => {
            Node::Lambda(Arc::new(Lambda {
                params: Vec::new(),
                returns: None,
                body: argument,
            }))
        }
        _ => argument,
    }
}

/// Makes a function whose parameters are `$`, `$$` and `$$$`.
pub(super) fn implicit(body: Node) -> Lambda {
    let params = IMPLICIT.map(|name| Param {
        name: name.into(),
        of: None,
        default: None,
    });
    Lambda {
        params: params.into(),
        returns: None,
        body,
    }
}

/// Parses an operand of the loosest level, or a pair without braces, whose value extends as far as possible.
fn or_pair(cursor: &mut Cursor<'_>) -> Parsed<Node> {
    body::or_pair(cursor, operand)
}

/// Parses an operand of the loosest level.
pub(super) fn operand(cursor: &mut Cursor<'_>) -> Parsed<Node> {
    level(cursor, 0)
}

/// The binary operators by level; of two with the same beginning the longer comes first.
const LEVELS: [&[(&str, Operator)]; 6] = [
    &[("or", Operator::Or)],
    &[("and", Operator::And)],
    &[
        ("==", Operator::Equal),
        ("!=", Operator::Unequal),
        ("~=", Operator::Similar),
    ],
    &[
        ("<=", Operator::LessEqual),
        (">=", Operator::GreaterEqual),
        ("<", Operator::Less),
        (">", Operator::Greater),
    ],
    &[
        (">>", Operator::Shift),
        ("<<", Operator::Append),
        ("+", Operator::Add),
        ("-", Operator::Subtract),
    ],
    &[("*", Operator::Multiply), ("/", Operator::Divide)],
];

/// Tokens that begin like an operator but are longer.
const OTHERS: [&str; 5] = ["++", "--", "->", "<<", ">>"];

/// Parses an operand of a level: one of the tightest, and then what follows it, level by level. So an operand alone
/// does not nest the levels on the stack.
fn level(cursor: &mut Cursor<'_>, at: usize) -> Parsed<Node> {
    let mut first = cast(cursor)?;
    for at in (at..LEVELS.len()).rev() {
        first = chain(cursor, at, first)?;
    }
    Ok(first)
}

/// Parses the operators of a level after its first operand.
fn chain(cursor: &mut Cursor<'_>, at: usize, first: Node) -> Parsed<Node> {
    let mut rest = Vec::new();
    loop {
        cursor.blank()?;
        if at == 3 && cursor.eat_word("is") {
            rest.push(Link::Is(types::plain(cursor)?));
            continue;
        }
        let found = LEVELS[at].iter().find(|(text, _)| match cursor.word() {
            Some(word) => word == *text,
            None => {
                let other = OTHERS.iter().find(|other| cursor.starts(other));
                cursor.starts(text) && other.is_none_or(|other| other == text)
            }
        });
        let Some((text, operator)) = found else { break };
        cursor.at += text.len();
        rest.push(Link::Operator(*operator, level(cursor, at + 1)?));
    }
    if rest.is_empty() {
        return Ok(first);
    }
    Ok(Node::Chain {
        first: Box::new(first),
        rest,
    })
}

fn cast(cursor: &mut Cursor<'_>) -> Parsed<Node> {
    let of = signed(cursor)?;
    let mut to: Vec<Target> = Vec::new();
    cursor.blank()?;
    while cursor.eat_word("as") {
        to.push(types::target(cursor)?);
        cursor.blank()?;
    }
    if to.is_empty() {
        return Ok(of);
    }
    cursor.demands += usize::from(to.iter().any(Target::is_demanding));
    Ok(Node::Cast {
        of: Box::new(of),
        to,
    })
}

fn signed(cursor: &mut Cursor<'_>) -> Parsed<Node> {
    let mut signs = Vec::new();
    loop {
        cursor.blank()?;
        if cursor.starts("---") {
            return Err(cursor.unexpected("a value"));
        } else if cursor.eat("-") {
            signs.push(Sign::Minus);
        } else if cursor.starts("!") && !cursor.starts("!=") {
            cursor.at += 1;
            signs.push(Sign::Not);
        } else {
            break;
        }
    }
    let of = if cursor.eat_word("not") {
        Node::Not(Box::new(cursor.inner(operand)?))
    } else {
        path(cursor)?
    };
    if signs.is_empty() {
        return Ok(of);
    }
    Ok(Node::Signed {
        signs,
        of: Box::new(of),
    })
}
