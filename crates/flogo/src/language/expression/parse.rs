//! The parser of scripts.
//!
//! Loosest first: `? :`, `||`, `&&`, the comparisons, `+ -`, `* / %`, the signs `! -`, then literals, references, calls
//! and parentheses. A choice (`c ? a : b`) may be the whole script, an index, or, even in parentheses, a part of
//! another choice, and is refused everywhere else.

use std::sync::Arc;

use super::node::{Node, Operator, Segment, Sign};
use super::reference::{Reference, Resolver};
use super::token::{Token, tokens};
use super::{CompileError, DEPTH_MAX, is_blank};
use crate::language::functions::Function;
use crate::language::names::Names;
use crate::language::number;
use crate::language::value::Value;

/// Parses a script into its tree.
///
/// # Errors
/// Fails if the syntax is wrong, the nesting too deep, or a name unknown.
pub(crate) fn script(text: &str, names: &Names) -> Result<Node, CompileError> {
    let complain = |fault: CompileError| CompileError {
        message: format!("unable to compile expression '{text}': {}", fault.message),
        ..fault
    };
    let tokens = tokens(text).map_err(|at| {
        let what = match text[at..].chars().next() {
            Some('"' | '\'' | '`') => "unclosed text".to_owned(),
            Some(char) => format!("unexpected character {char:?}"),
            None => "unexpected end".to_owned(),
        };
        complain(syntax(at, &what))
    })?;
    let mut parser = Parser {
        tokens: &tokens,
        at: 0,
        text,
        depth: 0,
        names,
    };
    parser.whole().map_err(complain)
}

fn syntax(at: usize, what: &str) -> CompileError {
    CompileError {
        message: format!("error parsing expression: {what}"),
        at,
    }
}

type Parsed<T> = Result<T, CompileError>;

/// The kind of the part just parsed, which limits its place.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// Any part but a choice, valid everywhere.
    Plain,
    /// A choice without parentheses.
    Choice,
    /// A choice in parentheses.
    Enclosed,
}

struct Parser<'a> {
    tokens: &'a [(Token<'a>, usize)],
    at: usize,
    text: &'a str,
    depth: usize,
    names: &'a Names,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<Token<'a>> {
        self.tokens.get(self.at).map(|(token, _)| *token)
    }

    /// The offset of the current token.
    fn place(&self) -> usize {
        self.tokens
            .get(self.at)
            .map_or(self.text.len(), |(_, at)| *at)
    }

    fn next_if(&mut self, expected: Token<'_>) -> bool {
        let there = self.peek() == Some(expected);
        self.at += usize::from(there);
        there
    }

    fn unexpected(&self, expected: &str) -> CompileError {
        const SHOWN: usize = 20;
        let rest = &self.text[self.place()..];
        let found = match rest.split(is_blank).next().filter(|word| !word.is_empty()) {
            None => "the end".to_owned(),
            Some(word) => format!("`{}`", word.chars().take(SHOWN).collect::<String>()),
        };
        syntax(self.place(), &format!("expected {expected}, found {found}"))
    }

    fn expect(&mut self, expected: Token<'_>, name: &str) -> Parsed<()> {
        match self.next_if(expected) {
            true => Ok(()),
            false => Err(self.unexpected(name)),
        }
    }

    /// Parses a nested part.
    fn inner<T>(&mut self, parse: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.depth == DEPTH_MAX {
            let what = format!("more than {DEPTH_MAX} nested parts: simplify it");
            return Err(syntax(self.place(), &what));
        }
        self.depth += 1;
        let parsed = parse(self);
        self.depth -= 1;
        parsed
    }

    fn whole(&mut self) -> Parsed<Node> {
        let node = self.statement()?;
        if self.peek().is_some() {
            return Err(self.unexpected("an operator or the end"));
        }
        Ok(node)
    }

    /// A script or an index, which may be a choice, unless in parentheses.
    fn statement(&mut self) -> Parsed<Node> {
        let start = self.place();
        match self.choice()? {
            (_, Shape::Enclosed) => Err(misplaced(start)),
            (node, _) => Ok(node),
        }
    }

    /// An operand of an operator or an argument of a function, which may not be a choice.
    fn plain(&mut self, parse: impl FnOnce(&mut Self) -> Parsed<(Node, Shape)>) -> Parsed<Node> {
        let start = self.place();
        match parse(self)? {
            (node, Shape::Plain) => Ok(node),
            _ => Err(misplaced(start)),
        }
    }

    fn choice(&mut self) -> Parsed<(Node, Shape)> {
        let (mut part, shape) = self.binary(0)?;
        if self.peek() != Some(Token::Question) {
            return Ok((part, shape));
        }
        let mut cases = Vec::new();
        while self.next_if(Token::Question) {
            let (then, _) = self.inner(Self::choice)?;
            self.expect(Token::Colon, "the `:` of a choice")?;
            cases.push((part, then));
            (part, _) = self.binary(0)?;
        }
        let node = Node::Choice {
            cases,
            otherwise: Box::new(part),
        };
        Ok((node, Shape::Choice))
    }

    fn binary(&mut self, precedence: usize) -> Parsed<(Node, Shape)> {
        if precedence > Operator::TIGHTEST {
            return self.unary();
        }
        let start = self.place();
        let (first, shape) = self.binary(precedence + 1)?;
        let mut rest = Vec::new();
        while let Some(Token::Operator(operator)) = self.peek()
            && operator.precedence() == precedence
        {
            if shape != Shape::Plain {
                return Err(misplaced(start));
            }
            self.at += 1;
            rest.push((operator, self.plain(|this| this.binary(precedence + 1))?));
        }
        if rest.is_empty() {
            return Ok((first, shape));
        }
        let node = Node::Chain {
            first: Box::new(first),
            rest,
        };
        Ok((node, Shape::Plain))
    }

    fn unary(&mut self) -> Parsed<(Node, Shape)> {
        let mut signs = Vec::new();
        loop {
            match self.peek() {
                Some(Token::Not) => signs.push(Sign::Not),
                Some(Token::Operator(Operator::Subtract)) => signs.push(Sign::Minus),
                _ => break,
            }
            self.at += 1;
        }
        if signs.is_empty() {
            return self.primary();
        }
        let of = Box::new(self.plain(Self::primary)?);
        Ok((Node::Unary { signs, of }, Shape::Plain))
    }

    fn primary(&mut self) -> Parsed<(Node, Shape)> {
        let start = self.place();
        let Some(token) = self.peek() else {
            return Err(self.unexpected("a value"));
        };
        self.at += 1;
        let node = match token {
            Token::Open => return self.enclosed(start),
            Token::Int(text) => literal(start, number::read_int(text))?,
            Token::Float(text) => literal(start, number::read_float(text))?,
            Token::Str(text) => Node::Literal(unquoted(text).into()),
            Token::True => Node::Literal(true.into()),
            Token::False => Node::Literal(false.into()),
            Token::Nil => Node::Literal(Value::Null),
            Token::Name(name) | Token::Function(name) => self.call(name, start)?,
            Token::Dollar(text) => self.reference(text, start)?,
            _ => {
                self.at -= 1;
                return Err(self.unexpected("a value"));
            }
        };
        Ok((node, Shape::Plain))
    }

    fn enclosed(&mut self, start: usize) -> Parsed<(Node, Shape)> {
        let (node, shape) = self.inner(Self::choice)?;
        self.expect(Token::Close, "a `)`")?;
        match shape {
            Shape::Plain => Ok((node, Shape::Plain)),
            Shape::Choice => Ok((node, Shape::Enclosed)),
            Shape::Enclosed => Err(misplaced(start)),
        }
    }

    fn call(&mut self, name: &str, start: usize) -> Parsed<Node> {
        self.expect(Token::Open, "the `(` of a call (texts need quotes)")?;
        let mut args = Vec::new();
        if !self.next_if(Token::Close) {
            loop {
                args.push(self.plain(|this| this.inner(Self::choice))?);
                if !self.next_if(Token::Comma) {
                    break;
                }
            }
            self.expect(Token::Close, "a `,` or `)`")?;
        }
        let fault = |message| CompileError { message, at: start };
        let takes = |count| fault(format!("{name} function should have {count} arguments"));
        let mut args = args.into_iter();
        if name.eq_ignore_ascii_case("isdefined") {
            let of = args.next().ok_or_else(|| takes(1))?;
            return Ok(Node::IsDefined(Box::new(of)));
        }
        if name.eq_ignore_ascii_case("getvalue") {
            let (Some(of), Some(otherwise)) = (args.next(), args.next()) else {
                return Err(takes(2));
            };
            return Ok(Node::GetValue(Box::new((of, otherwise))));
        }
        let function = self.function(name).ok_or_else(|| {
            let why = self.missing(name);
            fault(format!(
                "unable to parse expression, function [{name}] is not installed{why}"
            ))
        })?;
        let args = args.collect();
        Ok(Node::Call { function, args })
    }

    fn function(&self, name: &str) -> Option<Function> {
        let (package, name) = name.rsplit_once('.')?;
        let mut packages = self.names.functions.under(package);
        packages.find_map(|package| package.function(name))
    }

    /// The explanation of an unknown function, where one helps.
    fn missing(&self, name: &str) -> &'static str {
        let mut packages = match name.rsplit_once('.') {
            Some((package, _)) => self.names.functions.under(package),
            None => return ": functions have a package, as in string.len(…)",
        };
        if packages.any(|package| package.is_partial) {
            ": Flogo may have it, but it is not supported here"
        } else {
            ""
        }
    }

    /// The rest of a reference after `$` or `$resolver`.
    fn reference(&mut self, first: &str, start: usize) -> Parsed<Node> {
        let mut text = first.to_owned();
        let mut segments = Vec::new();
        let steps = self.at;
        loop {
            match self.peek() {
                Some(Token::Selector(selector)) => {
                    self.at += 1;
                    text.push_str(selector);
                }
                Some(Token::OpenIndex) => {
                    self.at += 1;
                    if let (Some(Token::Name(name)), Some((Token::CloseIndex, _))) =
                        (self.peek(), self.tokens.get(self.at + 1))
                    {
                        self.at += 2;
                        text.push_str(&format!("[{name}]"));
                        continue;
                    }
                    if let (Some(Token::Function(name)), Some((Token::CloseIndex, _))) =
                        (self.peek(), self.tokens.get(self.at + 1))
                    {
                        let what = format!(
                            "within a longer expression a name with dots needs quotes: `{text}[\"{name}\"]`"
                        );
                        return Err(syntax(self.place(), &what));
                    }
                    let index = self.inner(Self::statement)?;
                    self.expect(Token::CloseIndex, "a `]`")?;
                    segments.push(Segment::Text(std::mem::take(&mut text)));
                    segments.push(Segment::Index(index));
                }
                _ => break,
            }
        }
        if self.at == steps {
            return Err(self.unexpected("a name after the `$`"));
        }
        if segments.is_empty() {
            return Reference::of(&text, self.names)
                .map(Node::Reference)
                .map_err(|message| CompileError { message, at: start });
        }
        segments.push(Segment::Text(text));
        // A reference that begins with an index has no resolver, which its evaluation reports.
        let Some(Segment::Text(first)) = segments.first_mut() else {
            return Err(self.unexpected("a name after the `$`"));
        };
        let (resolver, rest) = Resolver::of(&first[1..], self.names);
        *first = rest.to_owned();
        Ok(Node::Computed {
            resolver,
            rest: segments,
        })
    }
}

fn misplaced(at: usize) -> CompileError {
    let what = "a choice (`c ? a : b`) is allowed only as a whole expression, an index or a part of another choice";
    syntax(at, what)
}

/// The literal of a number.
fn literal<T: Into<Value>>(at: usize, number: Result<T, number::NumberFault<T>>) -> Parsed<Node> {
    let fault = |message| CompileError { message, at };
    match number {
        Ok(number) => Ok(Node::Literal(number.into())),
        Err(bad) => Err(fault(bad.message)),
    }
}

/// The content of a quoted text. A backslash protects its own quote, and `\n`, `\r`, `\t` have Go's meaning; all other
/// backslashes stay, even pairs of them.
fn unquoted(text: &str) -> Arc<str> {
    let inner = &text[1..text.len() - 1];
    let quoted = match text.as_bytes()[0] {
        b'"' => inner.replace("\\\"", "\""),
        b'\'' => inner.replace("\\'", "'"),
        _ => return inner.into(),
    };
    quoted
        .replace("\\n", "\n")
        .replace("\\r", "\r")
        .replace("\\t", "\t")
        .into()
}
