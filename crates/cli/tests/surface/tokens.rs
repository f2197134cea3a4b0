//! Tokens as text: always the same spaces, whatever the source's line breaks, and names where they lead.

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use quote::ToTokens;

/// The text of tokens whose names stay as they are.
pub fn plain(tokens: &impl ToTokens) -> String {
    text(tokens, &|_| None)
}

/// The text of tokens. `name` is asked for each path that may be one of a type or a trait, and says its replacement.
pub fn text(tokens: &impl ToTokens, name: &dyn Fn(&[String]) -> Option<String>) -> String {
    let mut words = Vec::new();
    flatten(tokens.to_token_stream(), name, &mut words);
    drop_comma(&mut words, 0);
    spaced(&words)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Identifiers, keywords, literals, lifetimes.
    Word,
    Mark,
    Open,
    Close,
}

#[derive(Debug)]
struct Word {
    text: String,
    kind: Kind,
}

fn is_mark(tree: Option<&TokenTree>, mark: char) -> bool {
    matches!(tree, Some(TokenTree::Punct(punct)) if punct.as_char() == mark)
}

fn flatten(tokens: TokenStream, name: &dyn Fn(&[String]) -> Option<String>, words: &mut Vec<Word>) {
    let trees: Vec<TokenTree> = tokens.into_iter().collect();
    let mut at = 0;
    let push = |words: &mut Vec<Word>, text: String, kind| words.push(Word { text, kind });
    while let Some(tree) = trees.get(at) {
        at += 1;
        match tree {
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    Delimiter::Parenthesis => ("(", ")"),
                    Delimiter::Bracket => ("[", "]"),
                    Delimiter::Brace => ("{", "}"),
                    // A fragment that a macro has put there.
                    Delimiter::None => {
                        flatten(group.stream(), name, words);
                        continue;
                    }
                };
                let is_list = words.last().is_some_and(|word| {
                    word.text == ">" || word.kind == Kind::Word && !leads_a_type(&word.text)
                });
                push(words, open.to_owned(), Kind::Open);
                let begin = words.len();
                flatten(group.stream(), name, words);
                let commas = group
                    .stream()
                    .into_iter()
                    .filter(|tree| is_mark(Some(tree), ','));
                if is_list || open != "(" || commas.count() != 1 {
                    drop_comma(words, begin);
                }
                push(words, close.to_owned(), Kind::Close);
            }
            TokenTree::Literal(literal) => push(words, literal.to_string(), Kind::Word),
            TokenTree::Ident(ident) => {
                let follows_path = words
                    .last()
                    .is_some_and(|word| word.text == "::" || word.text == ".");
                let mut path = vec![ident.to_string()];
                let mut end = at;
                while is_mark(trees.get(end), ':')
                    && is_mark(trees.get(end + 1), ':')
                    && let Some(TokenTree::Ident(next)) = trees.get(end + 2)
                {
                    path.push(next.to_string());
                    end += 3;
                }
                let is_bound = is_mark(trees.get(end), '=') && !is_mark(trees.get(end + 1), '=');
                let may_lead = path.len() > 1 || path[0].starts_with(char::is_uppercase);
                match name(&path).filter(|_| !follows_path && !is_bound && may_lead) {
                    Some(replaced) => {
                        at = end;
                        push(words, replaced, Kind::Word);
                    }
                    None => push(words, path.swap_remove(0), Kind::Word),
                }
            }
            TokenTree::Punct(punct) => {
                let mark = punct.as_char();
                if mark == '\'' {
                    let lifetime = trees.get(at).map(ToString::to_string).unwrap_or_default();
                    push(words, format!("'{lifetime}"), Kind::Word);
                    at += 1;
                    continue;
                }
                let pair = [(':', ':'), ('-', '>'), ('=', '>'), ('.', '.')]
                    .into_iter()
                    .find(|(one, two)| *one == mark && is_mark(trees.get(at), *two));
                if mark == '>' {
                    drop_comma(words, 0);
                }
                match pair {
                    Some((one, two)) => {
                        push(words, format!("{one}{two}"), Kind::Mark);
                        at += 1;
                    }
                    None => push(words, mark.to_string(), Kind::Mark),
                }
            }
        }
    }
}

/// Keywords and lifetimes, after which a parenthesis is a tuple, not the arguments of something.
fn leads_a_type(word: &str) -> bool {
    word.starts_with('\'')
        || ["for", "dyn", "mut", "const", "as", "where", "in", "impl"].contains(&word)
}

/// A comma before the end of a list says nothing.
fn drop_comma(words: &mut Vec<Word>, begin: usize) {
    if words.len() > begin && words.last().is_some_and(|word| word.text == ",") {
        words.pop();
    }
}

fn spaced(words: &[Word]) -> String {
    const BOTH: [&str; 6] = ["->", "=>", "=", "+", "|", "{"];
    let mut text = String::new();
    for (at, word) in words.iter().enumerate() {
        let Some(before) = at.checked_sub(1).map(|at| &words[at]) else {
            text.push_str(&word.text);
            continue;
        };
        let (b, w) = (before.text.as_str(), word.text.as_str());
        let prefix = ["&", "*", "?", "#"].contains(&w);
        let ends = before.kind == Kind::Word || b == ">" || before.kind == Kind::Close;
        let space = BOTH.contains(&w)
            || BOTH.contains(&b)
            || [",", ";", ":"].contains(&b)
            || w == "}"
            || ends && (word.kind == Kind::Word || prefix)
            || word.kind == Kind::Open && leads_a_type(b);
        if space {
            text.push(' ');
        }
        text.push_str(w);
    }
    text
}
