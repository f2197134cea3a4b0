//! Detects the form of an attribute or element text: an expression, a text with expressions, or a plain text.

use crate::event::Context;
use crate::fault::{EvalFault, ParseFault};
use crate::library::{Empty, Library};
use crate::script::{Script, coerce};
use crate::symbol::{Symbol, View};

/// The form of a text.
#[derive(Debug, Clone, PartialEq)]
pub enum Detected {
    /// A single `#[…]`; the result keeps its type.
    Expression(Script),
    /// A text with `#[…]` in it, which only a `logger` accepts: elsewhere Mule reads it as one expression and fails.
    Template(Template),
    /// A plain text.
    Literal(String),
}

/// A text with expressions in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Template {
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone, PartialEq)]
enum Piece {
    Plain(String),
    Value(Script),
}

impl Detected {
    /// Detects the form of a text: `#[…]` without a second `#[` inside is an expression, a text with `#[…]` somewhere
    /// is a template, and any other text is a literal.
    ///
    /// # Errors
    /// If an expression has a syntax error, or no end.
    pub fn of(text: &str) -> Result<Detected, ParseFault> {
        Detected::among(text, &Empty)
    }

    /// Detects the form of a text among the files of a project, whose modules its expressions may import.
    ///
    /// # Errors
    /// The same as [`of`](Detected::of) has.
    pub fn among(text: &str, library: &dyn Library) -> Result<Detected, ParseFault> {
        let trimmed = text.trim();
        // Brackets that never close are due to quotes, perhaps an apostrophe in a comment; the script's parser
        // explains an error better.
        if let Some(inner) = trimmed.strip_prefix("#[")
            && inner.ends_with(']')
            && !inner.contains("#[")
            && closing(inner).is_none_or(|end| end + 1 == inner.len())
        {
            return inside(text, library).map(Detected::Expression);
        }
        let begun = text.find("#[").map(|at| &text[at + 2..]);
        if begun.is_some_and(|rest| rest.contains(']')) {
            return Template::parse(text, library).map(Detected::Template);
        }
        Ok(Detected::Literal(text.to_owned()))
    }

    /// Reads an attribute that is always an expression, with `#[ ]` or without.
    ///
    /// # Errors
    /// If the expression has a syntax error.
    pub fn expression(text: &str) -> Result<Script, ParseFault> {
        Detected::expression_among(text, &Empty)
    }

    /// Reads an expression among the files of a project, whose modules it may import.
    ///
    /// # Errors
    /// The same as [`expression`](Detected::expression) has.
    pub fn expression_among(text: &str, library: &dyn Library) -> Result<Script, ParseFault> {
        let trimmed = text.trim();
        match trimmed.starts_with("#[") && trimmed.ends_with(']') {
            true => inside(text, library),
            false => Script::within(text, 0, text.len(), library),
        }
    }
}

/// The script between the leading `#[` and the trailing `]` of a text.
fn inside(text: &str, library: &dyn Library) -> Result<Script, ParseFault> {
    let start = text.len() - text.trim_start().len() + 2;
    Script::within(text, start, text.trim_end().len() - 1, library)
}

/// The offset of the bracket that closes one opened before `text`; brackets in quotes do not count.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    let mut quote = None;
    let mut escaped = false;
    for (at, char) in text.char_indices() {
        if let Some(open) = quote {
            match char {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                _ if char == open => quote = None,
                _ => {}
            }
            continue;
        }
        match char {
            '\'' | '"' | '`' => quote = Some(char),
            '[' => depth += 1,
            ']' if depth == 0 => return Some(at),
            ']' => depth -= 1,
            _ => {}
        }
    }
    None
}

impl Template {
    /// The expressions in order.
    pub fn scripts(&self) -> impl Iterator<Item = &Script> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Value(script) => Some(script),
            Piece::Plain(_) => None,
        })
    }

    /// Parses a text with expressions, in which `\#` stands for `#`.
    ///
    /// # Errors
    /// If an expression has a syntax error, or no end.
    fn parse(text: &str, library: &dyn Library) -> Result<Template, ParseFault> {
        let mut pieces = Vec::new();
        let mut plain = String::new();
        let mut at = 0;
        while let Some(char) = text[at..].chars().next() {
            let rest = &text[at..];
            if rest.starts_with("\\#") {
                plain.push('#');
                at += 2;
            } else if rest.starts_with("#[") {
                let start = at + 2;
                let Some(length) = closing(&text[start..]) else {
                    let (line, col) = ParseFault::place(text, at);
                    return Err(ParseFault {
                        message: "the expression has no end".to_owned(),
                        line,
                        col,
                        mend: r"close it with `]`, or write `\#[` for a text".to_owned(),
                    });
                };
                if !plain.is_empty() {
                    pieces.push(Piece::Plain(std::mem::take(&mut plain)));
                }
                pieces.push(Piece::Value(Script::within(
                    text,
                    start,
                    start + length,
                    library,
                )?));
                at = start + length + 1;
            } else {
                plain.push(char);
                at += char.len_utf8();
            }
        }
        if !plain.is_empty() {
            pieces.push(Piece::Plain(plain));
        }
        Ok(Template { pieces })
    }

    /// The text with the values of its expressions in place: null becomes `null`, objects and arrays become JSON.
    ///
    /// # Errors
    /// If an expression fails, or if the text is too long.
    pub fn eval(&self, context: &Context<'_>) -> Result<String, EvalFault> {
        let mut text = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Plain(plain) => text.push_str(plain),
                Piece::Value(script) => text.push_str(&script.value(context)?.shown()?),
            }
            coerce::check_text(text.len())?;
        }
        Ok(text)
    }

    /// The text as far as it is known.
    pub fn symbol(&self, view: &View<'_>) -> Symbol {
        let pieces = self.pieces.iter().map(|piece| match piece {
            Piece::Plain(plain) => Symbol::text(plain.as_str()),
            Piece::Value(script) => script.symbol(view),
        });
        Symbol::joined(pieces.collect())
    }
}
