//! The grammar of values, with the selectors and arguments that follow them.

use std::sync::Arc;

use super::cursor::{Cursor, Parsed};
use super::parse::{bound, delayed, expression, implicit};
use super::tree::{Content, Item, Key, Name, Node, Piece, Stage, Step};
use super::{body, functions, lambda, literal, modules, own};
use crate::value::Value;

/// Parses a value with its selectors and arguments.
pub(super) fn path(cursor: &mut Cursor<'_>) -> Parsed<Node> {
    let start = cursor.at;
    let mut base = primary(cursor)?;
    let mut steps = Vec::new();
    while let Some(step) = step(cursor, &base, &steps, start)? {
        steps.push(step);
    }
    if let (Node::Name(name), Some(Step::Call(args))) = (&mut base, steps.first_mut())
        && &*name.text == "readUrl"
        && let Some(read) = own::read_file(cursor, args, start)?
    {
        *name = read;
        cursor.called.retain(|(_, at)| *at != start);
        cursor.names.remove("readUrl");
    }
    if let Node::Name(name) = &base
        && &*name.text == "vars"
    {
        match steps.first() {
            Some(Step::Key(Key::Fixed(key))) => {
                cursor.vars.insert(key.clone());
            }
            _ => cursor.all_vars = true,
        }
    }
    if steps.is_empty() {
        return Ok(base);
    }
    Ok(Node::Path {
        base: Box::new(base),
        steps,
    })
}

fn step(
    cursor: &mut Cursor<'_>,
    base: &Node,
    before: &[Step],
    start: usize,
) -> Parsed<Option<Step>> {
    let here = cursor.at;
    if cursor.starts("(") {
        return call(cursor, base, before, start).map(Some);
    }
    // A list cannot follow a value, so brackets select, also after white space.
    cursor.blank()?;
    if cursor.starts("(") && before.is_empty() && matches!(base, Node::Name(_)) {
        return call(cursor, base, before, start).map(Some);
    }
    if cursor.starts("`") && before.is_empty() && matches!(base, Node::Name(_)) {
        return interpolated(cursor).map(Some);
    }
    if cursor.eat("[") {
        return cursor.inner(index).map(Some);
    }
    if cursor.eat("?") {
        return Ok(Some(Step::Present));
    }
    if cursor.starts("!") && !cursor.starts("!=") {
        cursor.at += 1;
        cursor.demands += 1;
        return Ok(Some(Step::Required));
    }
    if cursor.eat(".^") {
        let name = cursor.take_word("the name of metadata, such as mimeType")?;
        return Ok(Some(Step::Meta(name.into())));
    }
    if cursor.eat("..") {
        if cursor.eat("&") {
            return Ok(Some(Step::DeepEntries(key(cursor)?)));
        }
        if cursor.eat("@") {
            return Ok(Some(Step::DeepAttribute(key(cursor)?)));
        }
        if cursor.eat("*") {
            return Ok(Some(Step::DeepAll(key(cursor)?)));
        }
        let named = cursor.word().is_some() || matches!(cursor.peek(), Some('"' | '\'' | '`'));
        return Ok(Some(if named {
            Step::Deep(key(cursor)?)
        } else {
            Step::Descendants
        }));
    }
    if cursor.eat(".*@") {
        return Ok(Some(Step::Attribute(key(cursor)?)));
    }
    if cursor.eat(".*") {
        return Ok(Some(Step::All(key(cursor)?)));
    }
    if cursor.eat(".") {
        cursor.blank()?;
        return dotted(cursor).map(Some);
    }
    cursor.at = here;
    Ok(None)
}

/// Parses a selector after its dot: `key`, `@name`, `@`, `#`, `&key`.
fn dotted(cursor: &mut Cursor<'_>) -> Parsed<Step> {
    let named = |cursor: &Cursor<'_>| {
        cursor.word().is_some() || matches!(cursor.peek(), Some('"' | '\'' | '`'))
    };
    if cursor.eat("@") {
        return match named(cursor) {
            true => Ok(Step::Attribute(key(cursor)?)),
            false => Ok(Step::Attributes),
        };
    }
    if cursor.eat("#") {
        return Ok(Step::Namespace);
    }
    if cursor.eat("&") {
        return Ok(Step::Entries(key(cursor)?));
    }
    Ok(Step::Key(key(cursor)?))
}

/// Parses a selector's key: a word, even a keyword, or a text in quotes.
pub(super) fn key(cursor: &mut Cursor<'_>) -> Parsed<Key> {
    if matches!(cursor.peek(), Some('"' | '\'' | '`')) {
        return Ok(match literal::string(cursor)? {
            Node::Literal(Value::String(key)) => Key::Fixed(key),
            node => Key::Computed(Box::new(node)),
        });
    }
    if let Some(namespace) = cursor.eat_namespace()? {
        let key = cursor.inner(key)?;
        return Ok(Key::Spaced(Box::new((namespace, key))));
    }
    Ok(Key::Fixed(cursor.take_word("a key")?.into()))
}

/// Parses the inside of brackets.
fn index(cursor: &mut Cursor<'_>) -> Parsed<Step> {
    cursor.blank()?;
    if cursor.eat("?") {
        cursor.expect("(")?;
        let node = bound(cursor, true, expression)?;
        cursor.expect(")")?;
        cursor.expect("]")?;
        let lambda = match node {
            Node::Lambda(lambda) => lambda,
            constant => Arc::new(implicit(constant)),
        };
        return Ok(Step::Filter(lambda));
    }
    // Selectors with a key that is computed.
    for (mark, step) in [
        ("*(", Step::All as fn(Key) -> Step),
        ("@(", Step::Attribute),
        ("&(", Step::Entries),
    ] {
        if cursor.eat(mark) {
            let key = Key::Computed(Box::new(expression(cursor)?));
            cursor.expect(")")?;
            cursor.expect("]")?;
            return Ok(step(key));
        }
    }
    let node = expression(cursor)?;
    cursor.expect("]")?;
    Ok(match node {
        Node::Literal(Value::String(key)) => Step::Key(Key::Fixed(key)),
        Node::Flow { first, mut rest } => match (rest.pop(), rest.is_empty()) {
            (Some(Stage::Call(name, to)), true) if &*name.text == "to" => Step::Slice(*first, to),
            (last, _) => {
                rest.extend(last);
                Step::Index(Node::Flow { first, rest })
            }
        },
        node => Step::Index(node),
    })
}

/// Parses the arguments of a call.
fn call(cursor: &mut Cursor<'_>, base: &Node, before: &[Step], start: usize) -> Parsed<Step> {
    let name = match base {
        Node::Name(name) if before.is_empty() => Some(name),
        _ => None,
    };
    if let Some(name) = name.filter(|name| name.builtin.is_none()) {
        cursor.called.push((name.text.clone(), start));
    }
    let builtin = name.and_then(|name| name.builtin);
    cursor.at += 1;
    let args = cursor.inner(|cursor| {
        let mut args: Vec<Node> = Vec::new();
        loop {
            cursor.blank()?;
            if cursor.eat(")") {
                return Ok(args);
            }
            // For functions that are not built in, a `$` without meaning shows that the argument is a function.
            let takes_function = match builtin {
                Some(builtin) => builtin.takes_function && !args.is_empty(),
                None => cursor.binders == 0,
            };
            let arg = bound(cursor, takes_function, |cursor| {
                body::or_pair(cursor, expression)
            })?;
            args.push(delayed(builtin, args.len(), arg));
            cursor.blank()?;
            if !cursor.eat(",") {
                cursor.expect(")")?;
                return Ok(args);
            }
        }
    })?;
    if let Some(name) = name {
        functions::check(cursor, name, &args, start)?;
    }
    Ok(Step::Call(args))
}

/// Parses a text as the arguments of the function before it: its parts, and the values between them.
fn interpolated(cursor: &mut Cursor<'_>) -> Parsed<Step> {
    let mut parts = Vec::new();
    let mut values = Vec::new();
    let item = |node| Item {
        what: Content::Value(node),
        when: None,
    };
    let pieces = match literal::string(cursor)? {
        Node::Text(pieces) => pieces,
        Node::Literal(Value::String(text)) => vec![Piece::Plain(text)],
        _ => Vec::new(),
    };
    for piece in pieces {
        match piece {
            Piece::Plain(text) if parts.len() == values.len() => {
                parts.push(item(Node::Literal(Value::String(text))));
            }
            // Two values without a text between them have an empty one.
            Piece::Value(node) => {
                if parts.len() == values.len() {
                    parts.push(item(Node::Literal("".into())));
                }
                values.push(item(node));
            }
            Piece::Plain(_) => {}
        }
    }
    Ok(Step::Call(vec![Node::Array(parts), Node::Array(values)]))
}

/// Parses a value without selectors and operators.
fn primary(cursor: &mut Cursor<'_>) -> Parsed<Node> {
    cursor.blank()?;
    match cursor.peek() {
        Some('0'..='9') => literal::number(cursor),
        Some('"' | '\'' | '`') => literal::string(cursor),
        Some('|') => literal::date(cursor),
        Some('/') => literal::regex(cursor),
        Some('{') => cursor.inner(body::object),
        Some('[') => cursor.inner(body::array),
        Some('(') => cursor.inner(lambda::enclosed),
        Some('$') => {
            let dollars = cursor.rest().chars().take(4);
            let count = dollars.take_while(|char| *char == '$').count();
            let Ok(count @ 1..=3) = u8::try_from(count) else {
                return Err(cursor.unexpected("`$`, `$$` or `$$$`"));
            };
            cursor.at += usize::from(count);
            cursor.dollars += 1;
            Ok(Node::Implicit(count))
        }
        _ => word(cursor),
    }
}

fn word(cursor: &mut Cursor<'_>) -> Parsed<Node> {
    let Some(word) = cursor.word() else {
        return Err(cursor.unexpected("a value"));
    };
    let start = cursor.at;
    if matches!(
        word,
        "and" | "or" | "as" | "is" | "case" | "else" | "default"
    ) {
        return Err(cursor.unexpected("a value"));
    }
    cursor.at += word.len();
    match word {
        "true" => Ok(Node::Literal(true.into())),
        "false" => Ok(Node::Literal(false.into())),
        "null" => Ok(Node::Literal(Value::Null)),
        "if" => cursor.inner(body::choice),
        "do" => {
            cursor.blank()?;
            if cursor.starts("{") {
                return cursor.inner(body::scope);
            }
            Err(cursor.unexpected("the `{` of a `do`"))
        }
        "using" => cursor.inner(body::using),
        "java" if cursor.starts("!") && !cursor.starts("!=") => {
            Err(modules::of_java(cursor, start))
        }
        "unless" => Err(cursor.fault(start, "`unless` is not supported", "use `if (!a) b else c`")),
        _ => {
            let name = qualified(cursor, word)?;
            cursor.names.entry(name.text.clone()).or_insert(start);
            Ok(Node::Name(name))
        }
    }
}

/// The name in an interpolated `$name`.
pub(super) fn named(cursor: &mut Cursor<'_>, word: &str) -> Node {
    let before = cursor.at.saturating_sub(word.len());
    cursor.names.entry(word.into()).or_insert(before);
    cursor.all_vars |= word == "vars";
    Node::Name(Name {
        text: word.into(),
        builtin: functions::find(word),
    })
}

/// Parses a name with its module, if it has one: `Strings::capitalize`, `dw::core::Strings::capitalize`.
pub(super) fn qualified(cursor: &mut Cursor<'_>, first: &str) -> Parsed<Name> {
    let name = of_module(cursor, first)?;
    cursor.fails |= name.builtin.is_some_and(functions::Builtin::fails);
    Ok(name)
}

fn of_module(cursor: &mut Cursor<'_>, first: &str) -> Parsed<Name> {
    let start = cursor.at - first.len();
    let mut path = String::new();
    let mut last = first;
    while cursor.eat("::") {
        if !path.is_empty() {
            path.push_str("::");
        }
        path.push_str(last);
        last = cursor.take_word("the name of a function")?;
    }
    if path.is_empty() || path == "Mule" {
        let imported = cursor.imported.get(last).copied();
        return Ok(Name {
            text: last.into(),
            builtin: imported.or_else(|| functions::find(last)),
        });
    }
    if let Some(own) = cursor.own_modules.get(path.as_str()).cloned() {
        let text: Arc<str> = format!("{path}::{last}").into();
        if !cursor.declared.contains(&text) {
            own.one(cursor, (last, last, start), &mut Vec::new())?;
        }
        return Ok(Name {
            text,
            builtin: None,
        });
    }
    let Some(module) = modules::of_name(cursor, &path) else {
        if let Some(text) = own::in_full(cursor, &path, last, start)? {
            return Ok(Name {
                text,
                builtin: None,
            });
        }
        let what = format!("unknown module `{path}`");
        let mend = "import it in a header: `import dw::core::Strings`";
        return Err(cursor.fault(start, &what, mend));
    };
    let builtin = module.take(cursor, last, start)?;
    // The script may declare the bare name as something else; some functions of the core have a grammar of their own.
    let text = match functions::find(last).is_some_and(|core| std::ptr::eq(core, builtin)) {
        true => last.into(),
        false => format!("{path}::{last}").into(),
    };
    Ok(Name {
        text,
        builtin: Some(builtin),
    })
}
