//! Bounds an expression's text before the parser sees it, and refuses texts that would cost too much.
//!
//! The parser recurses, and its time grows steeply with nesting. So length, nesting, runs of unary operators and the
//! number of tokens are bounded first, in one pass without recursion.

use super::{BRACKETS_MAX, BYTES_MAX, Fault};

/// The most words, numbers, texts and operators. A node of the tree needs at least one.
const TOKENS_MAX: usize = 1000;
/// The longest run of unary operators: `!!!!` and `----`.
const UNARY_MAX: usize = 8;
/// The most conditionals: `a ? b : a ? b : …`.
const CONDITIONALS_MAX: usize = 32;
/// The most operators on one bracket level, as in `a + b + …`; `&&` and `||` do not count, since the parser balances
/// those.
const CHAIN_MAX: usize = 96;

pub(super) fn check(source: &str) -> Result<(), Fault> {
    if source.len() > BYTES_MAX {
        let found = source.len();
        let what = format!("an expression may have {BYTES_MAX} bytes, found {found}");
        return too_much(None, what);
    }
    if source.trim().is_empty() {
        let mend = "write one such as `status >= 500`";
        return Err(Fault::new(None, "the expression is empty", mend));
    }
    let chars: Vec<char> = source.chars().collect();
    let mut open: Vec<(char, usize)> = Vec::new();
    let mut chains = vec![0usize];
    let (mut tokens, mut unary, mut conditionals) = (0, 0, 0);
    let mut i = 0;
    while i < chars.len() {
        let c = chars[i];
        let at = i;
        i += 1;
        if c.is_whitespace() {
            continue;
        }
        if c == '/' && chars.get(i) == Some(&'/') {
            while i < chars.len() && chars[i] != '\n' {
                i += 1;
            }
            continue;
        }
        tokens += 1;
        if tokens > TOKENS_MAX {
            let what = format!("the expression has more than {TOKENS_MAX} parts");
            return too_much(at, what);
        }
        let is_unary = c == '-' || (c == '!' && chars.get(i) != Some(&'='));
        unary = if is_unary { unary + 1 } else { 0 };
        if unary > UNARY_MAX {
            let what = format!("more than {UNARY_MAX} unary operators follow one another");
            return too_much(at, what);
        }
        match c {
            '"' | '\'' => i = text(&chars, at, false).ok_or_else(|| unclosed(at))?,
            c if c.is_alphanumeric() || c == '_' => {
                while i < chars.len() && (chars[i].is_alphanumeric() || chars[i] == '_') {
                    i += 1;
                }
                let word: String = chars[at..i].iter().collect();
                let prefix = word.to_ascii_lowercase();
                if matches!(prefix.as_str(), "r" | "b" | "br" | "rb")
                    && matches!(chars.get(i), Some('"' | '\''))
                {
                    i = text(&chars, i, prefix.contains('r')).ok_or_else(|| unclosed(at))?;
                }
                if word == "in" {
                    link(&mut chains, at)?;
                }
            }
            '(' | '[' | '{' => {
                open.push((c, at));
                chains.push(0);
                if open.len() > BRACKETS_MAX {
                    let what = format!("brackets are nested more than {BRACKETS_MAX} deep");
                    return too_much(at, what);
                }
                link_postfix(&mut chains, at)?;
            }
            ')' | ']' | '}' => {
                let pair = matches!(
                    (open.pop(), c),
                    (Some(('(', _)), ')') | (Some(('[', _)), ']') | (Some(('{', _)), '}')
                );
                if !pair {
                    let what = format!("`{c}` closes nothing");
                    return Err(Fault::new(at, what, "balance the brackets"));
                }
                chains.pop();
            }
            '!' if is_unary => {}
            '?' => {
                conditionals += 1;
                if conditionals > CONDITIONALS_MAX {
                    let what = format!(
                        "the expression has more than {CONDITIONALS_MAX} conditions (`?:`)"
                    );
                    return too_much(at, what);
                }
            }
            '-' | '.' => link(&mut chains, at)?,
            '+' | '*' | '/' | '%' | '<' | '>' | '=' | '!' => {
                if chars.get(i) == Some(&'=') {
                    i += 1;
                }
                link(&mut chains, at)?;
            }
            '&' | '|' | ',' => {
                if c != ',' && chars.get(i) == Some(&c) {
                    i += 1;
                }
                // Each side of `&&` and `||` is a chain of its own.
                if let Some(chain) = chains.last_mut() {
                    *chain = 0;
                }
            }
            _ => {}
        }
    }
    match open.pop() {
        Some((c, at)) => {
            let what = format!("`{c}` is not closed");
            Err(Fault::new(at, what, "balance the brackets"))
        }
        None => Ok(()),
    }
}

fn too_much(at: impl Into<Option<usize>>, what: String) -> Result<(), Fault> {
    let mend = "simplify it, or split it over several upstreams";
    Err(Fault::new(at, what, mend))
}

fn unclosed(at: usize) -> Fault {
    Fault::new(at, "a text is not closed", "add the closing quote")
}

/// Counts one operator in the chain of the innermost bracket.
fn link(chains: &mut [usize], at: usize) -> Result<(), Fault> {
    let Some(chain) = chains.last_mut() else {
        return Ok(());
    };
    *chain += 1;
    if *chain > CHAIN_MAX {
        let what = format!("more than {CHAIN_MAX} operators follow one another");
        return Err(Fault::new(
            at,
            what,
            "use brackets to group them, or `x in [a, b, …]` instead of many comparisons",
        ));
    }
    Ok(())
}

/// Counts a bracket in its outer chain, which it lengthens: `f(…)(…)` and `a[0][0]`.
fn link_postfix(chains: &mut [usize], at: usize) -> Result<(), Fault> {
    match chains {
        [outer @ .., _inner] => link(outer, at),
        [] => Ok(()),
    }
}

/// The index after the text that opens at `at`; `None` if the text is not closed.
fn text(chars: &[char], at: usize, raw: bool) -> Option<usize> {
    let quote = chars[at];
    let triple = chars.get(at + 1) == Some(&quote) && chars.get(at + 2) == Some(&quote);
    let mut i = at + if triple { 3 } else { 1 };
    while i < chars.len() {
        match chars[i] {
            '\\' if !raw => i += 2,
            c if c == quote && triple => {
                if chars.get(i + 1) == Some(&quote) && chars.get(i + 2) == Some(&quote) {
                    return Some(i + 3);
                }
                i += 1;
            }
            c if c == quote => return Some(i + 1),
            '\n' if !triple => return None,
            _ => i += 1,
        }
    }
    None
}
