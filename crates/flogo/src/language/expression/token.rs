//! The tokens of a script; the longest match wins.

use winnow::ascii::digit1;
use winnow::combinator::{alt, opt, preceded, repeat};
use winnow::error::EmptyError;
use winnow::prelude::*;
use winnow::token::{any, one_of, take_till, take_while};

use super::is_blank;
use super::node::Operator;

/// A token, with its text where that varies.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Token<'a> {
    Int(&'a str),
    Float(&'a str),
    /// A text with its quotes.
    Str(&'a str),
    True,
    False,
    Nil,
    Name(&'a str),
    /// A name of several parts, joined by dots.
    Function(&'a str),
    /// The beginning of a reference, `$` or `$name`.
    Dollar(&'a str),
    /// The member access `.name`.
    Selector(&'a str),
    Operator(Operator),
    Not,
    Question,
    Colon,
    Comma,
    Open,
    Close,
    OpenIndex,
    CloseIndex,
}

type Lexed<T> = winnow::Result<T, EmptyError>;

/// Splits a text into tokens, each with its offset in bytes.
///
/// # Errors
/// The offset at which no token begins.
pub(crate) fn tokens(text: &str) -> Result<Vec<(Token<'_>, usize)>, usize> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start_matches(is_blank);
    while !rest.is_empty() {
        let at = text.len() - rest.len();
        let token = token(&mut rest).map_err(|_| at)?;
        tokens.push((token, at));
        rest = rest.trim_start_matches(is_blank);
    }
    Ok(tokens)
}

fn token<'a>(input: &mut &'a str) -> Lexed<Token<'a>> {
    alt((
        float.map(Token::Float),
        int.map(Token::Int),
        string.map(Token::Str),
        word,
        preceded('$', opt(name)).take().map(Token::Dollar),
        preceded('.', name).take().map(Token::Selector),
        symbol,
    ))
    .parse_next(input)
}

fn float<'a>(input: &mut &'a str) -> Lexed<&'a str> {
    alt((
        (digit1, '.', opt(digit1), opt(exponent)).void(),
        (digit1, exponent).void(),
        ('.', digit1, opt(exponent)).void(),
    ))
    .take()
    .parse_next(input)
}

fn exponent(input: &mut &str) -> Lexed<()> {
    (one_of(['e', 'E']), opt(one_of(['+', '-'])), digit1)
        .void()
        .parse_next(input)
}

fn int<'a>(input: &mut &'a str) -> Lexed<&'a str> {
    alt(("0".void(), (one_of('1'..='9'), opt(digit1)).void()))
        .take()
        .parse_next(input)
}

/// A quoted text; in `"` and `'` a backslash protects the next character.
fn string<'a>(input: &mut &'a str) -> Lexed<&'a str> {
    alt((
        quoted('"'),
        quoted('\''),
        ('`', take_till(0.., '`'), '`').void(),
    ))
    .take()
    .parse_next(input)
}

fn quoted<'a>(quote: char) -> impl Parser<&'a str, (), EmptyError> {
    let plain = take_till(1.., move |char| char == '\\' || char == quote).void();
    let protected = ('\\', any).void();
    let inner = repeat::<_, _, (), _, _>(0.., alt((plain, protected)));
    (quote, inner, quote).void()
}

fn name<'a>(input: &mut &'a str) -> Lexed<&'a str> {
    (
        one_of(|char: char| char.is_ascii_alphabetic() || char == '_'),
        take_while(0.., |char: char| {
            char.is_ascii_alphanumeric() || char == '_'
        }),
    )
        .take()
        .parse_next(input)
}

fn word<'a>(input: &mut &'a str) -> Lexed<Token<'a>> {
    let dotted = repeat::<_, _, (), _, _>(0.., alt((name.void(), '.'.void())));
    let word = (name, dotted).take().parse_next(input)?;
    Ok(match word {
        "true" => Token::True,
        "false" => Token::False,
        "nil" | "null" => Token::Nil,
        _ if word.contains('.') => Token::Function(word),
        _ => Token::Name(word),
    })
}

/// The tokens of fixed texts; one that begins like another stands before it.
const SYMBOLS: [(&str, Token<'static>); 21] = [
    ("||", Token::Operator(Operator::Or)),
    ("&&", Token::Operator(Operator::And)),
    ("==", Token::Operator(Operator::Equal)),
    ("!=", Token::Operator(Operator::Unequal)),
    ("<=", Token::Operator(Operator::LessEqual)),
    ("<", Token::Operator(Operator::Less)),
    (">=", Token::Operator(Operator::GreaterEqual)),
    (">", Token::Operator(Operator::Greater)),
    ("+", Token::Operator(Operator::Add)),
    ("-", Token::Operator(Operator::Subtract)),
    ("*", Token::Operator(Operator::Multiply)),
    ("/", Token::Operator(Operator::Divide)),
    ("%", Token::Operator(Operator::Remainder)),
    ("!", Token::Not),
    ("?", Token::Question),
    (":", Token::Colon),
    (",", Token::Comma),
    ("(", Token::Open),
    (")", Token::Close),
    ("[", Token::OpenIndex),
    ("]", Token::CloseIndex),
];

fn symbol<'a>(input: &mut &'a str) -> Lexed<Token<'a>> {
    let found = SYMBOLS.iter().find(|(text, _)| input.starts_with(text));
    let (text, token) = found.ok_or(EmptyError)?;
    *input = &input[text.len()..];
    Ok(*token)
}
