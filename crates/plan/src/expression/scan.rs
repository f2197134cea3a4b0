//! Looks at an expression's text before the parser does, and refuses what would cost too much.
//!
//! The parser recurses, and its time grows steeply with nesting, so length, nesting, runs of unary
//! operators and the number of tokens are bounded first, by one pass that needs no stack.

use super::{BRACKETS_MAX, BYTES_MAX, Fault};

/// Words, numbers, texts and operators. A node of the tree needs at least one.
const TOKENS_MAX: usize = 1000;
/// `!!!!` and `----`.
const UNARY_MAX: usize = 8;
/// `a ? b : a ? b : …`.
const CONDITIONALS_MAX: usize = 32;
/// `a + b + …`: the operators of one bracket level, `&&` and `||` aside (the parser balances those).
const CHAIN_MAX: usize = 96;

pub(super) fn check(source: &str) -> Result<(), Fault> {
    let simplify = "simplify it, or split it over several upstreams";
    if source.len() > BYTES_MAX {
        let what = format!(
            "an expression may have {BYTES_MAX} bytes, and this has {}",
            source.len()
        );
        return Err(Fault::new(None, what, simplify));
    }
    if source.trim().is_empty() {
        return Err(Fault::new(
            None,
            "it is empty",
            "write one such as `status >= 500`",
        ));
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
            return Err(Fault::new(
                at,
                format!("it has more than {TOKENS_MAX} parts"),
                simplify,
            ));
        }
        match c {
            '"' | '\'' => {
                i = text(&chars, at, false).ok_or_else(|| unclosed(at))?;
                unary = 0;
            }
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
                unary = 0;
                if word == "in" {
                    link(&mut chains, at)?;
                }
            }
            '(' | '[' | '{' => {
                open.push((c, at));
                chains.push(0);
                if open.len() > BRACKETS_MAX {
                    return Err(Fault::new(
                        at,
                        format!("brackets are nested more than {BRACKETS_MAX} deep"),
                        simplify,
                    ));
                }
                link_postfix(&mut chains, at)?;
                unary = 0;
            }
            ')' | ']' | '}' => {
                let pair = matches!(
                    (open.pop(), c),
                    (Some(('(', _)), ')') | (Some(('[', _)), ']') | (Some(('{', _)), '}')
                );
                if !pair {
                    return Err(Fault::new(
                        at,
                        format!("`{c}` closes nothing"),
                        "balance the brackets",
                    ));
                }
                chains.pop();
                unary = 0;
            }
            '!' if chars.get(i) != Some(&'=') => {
                unary += 1;
                if unary > UNARY_MAX {
                    return Err(Fault::new(
                        at,
                        format!("more than {UNARY_MAX} unary operators follow one another"),
                        simplify,
                    ));
                }
            }
            '-' => {
                unary += 1;
                if unary > UNARY_MAX {
                    return Err(Fault::new(
                        at,
                        format!("more than {UNARY_MAX} unary operators follow one another"),
                        simplify,
                    ));
                }
                link(&mut chains, at)?;
            }
            '?' => {
                conditionals += 1;
                if conditionals > CONDITIONALS_MAX {
                    return Err(Fault::new(
                        at,
                        format!("it has more than {CONDITIONALS_MAX} conditions (`?:`)"),
                        simplify,
                    ));
                }
                unary = 0;
            }
            '+' | '*' | '/' | '%' | '<' | '>' | '=' | '!' => {
                if chars.get(i) == Some(&'=') {
                    i += 1;
                }
                link(&mut chains, at)?;
                unary = 0;
            }
            '.' => {
                link(&mut chains, at)?;
                unary = 0;
            }
            '&' | '|' => {
                // Each side of `&&` and `||` is a chain of its own.
                if chars.get(i) == Some(&c) {
                    i += 1;
                }
                if let Some(chain) = chains.last_mut() {
                    *chain = 0;
                }
                unary = 0;
            }
            ',' => {
                if let Some(chain) = chains.last_mut() {
                    *chain = 0;
                }
                unary = 0;
            }
            _ => unary = 0,
        }
    }
    match open.pop() {
        Some((c, at)) => Err(Fault::new(
            at,
            format!("`{c}` is not closed"),
            "balance the brackets",
        )),
        None => Ok(()),
    }
}

fn unclosed(at: usize) -> Fault {
    Fault::new(at, "a text is not closed", "add the closing quote")
}

/// Adds one operator to the chain of the innermost bracket.
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

/// `f(…)(…)` and `a[0][0]`: a bracket also lengthens the chain that it stands in.
fn link_postfix(chains: &mut [usize], at: usize) -> Result<(), Fault> {
    match chains {
        [outer @ .., _inner] => link(outer, at),
        [] => Ok(()),
    }
}

/// Where the text that opens at `at` ends.
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
