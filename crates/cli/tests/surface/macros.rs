//! `macro_rules` that write items: expanded as the compiler does, as far as such macros go.

use std::collections::BTreeMap;

use proc_macro2::{Group, TokenStream, TokenTree};
use quote::ToTokens;
use syn::parse::{Parse, ParseStream, Parser};

/// The items that a call of the macro makes, or none where no rule fits or the rules ask for more than is known here.
pub fn expand(rules: &TokenStream, call: &TokenStream) -> Option<TokenStream> {
    let parts: Vec<TokenTree> = rules.clone().into_iter().collect();
    let mut at = 0;
    while let (Some(TokenTree::Group(pattern)), Some(TokenTree::Group(body))) =
        (parts.get(at), parts.get(at + 3))
    {
        let pattern = pieces(pattern.stream(), true)?;
        if let Some((bound, rest)) = matched(&pattern, call.clone())
            && rest.is_empty()
        {
            return written(&pieces(body.stream(), false)?, &bound);
        }
        // pattern => body ;
        at += 5;
    }
    None
}

enum Piece {
    Token(TokenTree),
    Group(Group, Vec<Piece>),
    /// `$name:kind` in a pattern, `$name` in a body, where the kind is empty.
    Variable(String, String),
    Repeat(Vec<Piece>, Vec<TokenTree>, char),
}

enum Bound {
    One(TokenStream),
    Many(Vec<Bindings>),
}

type Bindings = BTreeMap<String, Bound>;

fn mark(tree: Option<&TokenTree>) -> Option<char> {
    match tree {
        Some(TokenTree::Punct(punct)) => Some(punct.as_char()),
        _ => None,
    }
}

fn pieces(tokens: TokenStream, is_pattern: bool) -> Option<Vec<Piece>> {
    let trees: Vec<TokenTree> = tokens.into_iter().collect();
    let mut pieces = Vec::new();
    let mut at = 0;
    while let Some(tree) = trees.get(at) {
        at += 1;
        match (mark(Some(tree)), tree, trees.get(at)) {
            (Some('$'), _, Some(TokenTree::Ident(name))) => {
                at += 1;
                let mut kind = String::new();
                if is_pattern {
                    kind = trees.get(at + 1)?.to_string();
                    at += 2;
                }
                pieces.push(Piece::Variable(name.to_string(), kind));
            }
            (Some('$'), _, Some(TokenTree::Group(group))) => {
                at += 1;
                let mut separator = Vec::new();
                let operator = loop {
                    let next = trees.get(at)?;
                    at += 1;
                    match mark(Some(next)) {
                        Some(operator @ ('*' | '+' | '?')) => break operator,
                        _ => separator.push(next.clone()),
                    }
                };
                let inner = self::pieces(group.stream(), is_pattern)?;
                pieces.push(Piece::Repeat(inner, separator, operator));
            }
            (_, TokenTree::Group(group), _) => {
                let inner = self::pieces(group.stream(), is_pattern)?;
                pieces.push(Piece::Group(group.clone(), inner));
            }
            _ => pieces.push(Piece::Token(tree.clone())),
        }
    }
    Some(pieces)
}

fn matched(pattern: &[Piece], mut input: TokenStream) -> Option<(Bindings, TokenStream)> {
    let mut bound = Bindings::new();
    for piece in pattern {
        match piece {
            Piece::Token(token) => input = after(&input, token)?,
            Piece::Group(group, inner) => {
                let mut trees = input.into_iter();
                let Some(TokenTree::Group(found)) = trees.next() else {
                    return None;
                };
                let (inner, rest) = matched(inner, found.stream())?;
                if found.delimiter() != group.delimiter() || !rest.is_empty() {
                    return None;
                }
                bound.extend(inner);
                input = trees.collect();
            }
            Piece::Variable(name, kind) => {
                let (found, rest) = fragment(kind, input)?;
                bound.insert(name.clone(), Bound::One(found));
                input = rest;
            }
            Piece::Repeat(inner, separator, operator) => {
                let mut rounds = Vec::new();
                loop {
                    let mut rest = input.clone();
                    if !rounds.is_empty() {
                        let Some(next) = separator
                            .iter()
                            .try_fold(rest, |rest, one| after(&rest, one))
                        else {
                            break;
                        };
                        rest = next;
                    }
                    let Some((round, rest)) = matched(inner, rest) else {
                        break;
                    };
                    rounds.push(round);
                    input = rest;
                    if *operator == '?' || input.is_empty() {
                        break;
                    }
                }
                if *operator == '+' && rounds.is_empty() {
                    return None;
                }
                let mut names = Vec::new();
                names_of(inner, &mut names);
                // Each variable goes round by itself, as the bodies use them in other groups than the pattern's.
                for name in names {
                    let rounds = rounds.iter_mut().map(|round| {
                        let one = round.remove_entry(name);
                        one.into_iter().collect()
                    });
                    bound.insert(name.to_owned(), Bound::Many(rounds.collect()));
                }
            }
        }
    }
    Some((bound, input))
}

fn names_of<'a>(pieces: &'a [Piece], names: &mut Vec<&'a str>) {
    for piece in pieces {
        match piece {
            Piece::Variable(name, _) => names.push(name),
            Piece::Group(_, inner) | Piece::Repeat(inner, _, _) => names_of(inner, names),
            Piece::Token(_) => {}
        }
    }
}

/// The input behind that one token.
fn after(input: &TokenStream, token: &TokenTree) -> Option<TokenStream> {
    let mut trees = input.clone().into_iter();
    let found = trees.next()?;
    (found.to_string() == token.to_string()).then(|| trees.collect())
}

fn fragment(kind: &str, input: TokenStream) -> Option<(TokenStream, TokenStream)> {
    fn take<T: Parse + ToTokens>(input: TokenStream) -> Option<(TokenStream, TokenStream)> {
        let parse =
            |input: ParseStream<'_>| Ok((input.parse::<T>()?.to_token_stream(), input.parse()?));
        parse.parse2(input).ok()
    }
    match kind {
        "ty" => take::<syn::Type>(input),
        "ident" => take::<syn::Ident>(input),
        "literal" => take::<syn::Lit>(input),
        "expr" => take::<syn::Expr>(input),
        "path" => take::<syn::Path>(input),
        "lifetime" => take::<syn::Lifetime>(input),
        "vis" => take::<syn::Visibility>(input),
        "item" => take::<syn::Item>(input),
        "tt" => take::<TokenTree>(input),
        _ => None,
    }
}

fn written(body: &[Piece], bound: &Bindings) -> Option<TokenStream> {
    let bound = bound.iter().map(|(name, bound)| (name.as_str(), bound));
    write(body, &bound.collect())
}

fn write(body: &[Piece], bound: &BTreeMap<&str, &Bound>) -> Option<TokenStream> {
    let mut out = TokenStream::new();
    for piece in body {
        match piece {
            Piece::Token(token) => out.extend([token.clone()]),
            Piece::Group(group, inner) => {
                let inner = write(inner, bound)?;
                out.extend([TokenTree::from(Group::new(group.delimiter(), inner))]);
            }
            Piece::Variable(name, _) => match bound.get(name.as_str()) {
                Some(Bound::One(tokens)) => out.extend(tokens.clone()),
                Some(Bound::Many(_)) => return None,
                // `$crate`
                None => out.extend([TokenTree::from(proc_macro2::Ident::new(
                    name,
                    proc_macro2::Span::call_site(),
                ))]),
            },
            Piece::Repeat(inner, separator, _) => {
                let mut names = Vec::new();
                names_of(inner, &mut names);
                let many: Vec<_> = names
                    .iter()
                    .filter_map(|name| match bound.get(name)? {
                        Bound::Many(rounds) => Some(rounds),
                        Bound::One(_) => None,
                    })
                    .collect();
                for round in 0..many.first()?.len() {
                    if round > 0 {
                        out.extend(separator.iter().cloned());
                    }
                    let mut bound = bound.clone();
                    for rounds in &many {
                        let here = rounds.get(round)?.iter();
                        bound.extend(here.map(|(name, bound)| (name.as_str(), bound)));
                    }
                    out.extend(write(inner, &bound)?);
                }
            }
        }
    }
    Some(out)
}

/// The item inside a `pin_project!`, which is as written there.
pub fn pinned(call: &TokenStream) -> Option<syn::Item> {
    let parse = |input: ParseStream<'_>| {
        let item = input.parse::<syn::Item>()?;
        input.parse::<TokenStream>()?;
        Ok(item)
    };
    let item = parse.parse2(call.clone()).ok()?;
    matches!(item, syn::Item::Struct(_) | syn::Item::Enum(_)).then_some(item)
}
