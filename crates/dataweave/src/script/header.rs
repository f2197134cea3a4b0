//! The grammar of a script's header, the part before `---`.

use std::sync::Arc;

use super::cursor::{Cursor, Parsed};
use super::tree::{Declaration, Declared, Node, Output};
use super::{body, lambda, literal, modules, parse, types};
use crate::value::json::{Layout, SkipNull};
use crate::value::media::{Format, MediaType};
use crate::value::{Namespace, Value};

/// The media types that scripts read and write, for people.
pub(super) const FORMATS: &str = "application/json, application/xml, application/csv, text/plain, application/java, application/dw, application/octet-stream or \
     application/x-www-form-urlencoded";

type Header = (Option<Output>, Vec<Declaration>);

/// Parses the header of a script, if it has one.
pub(super) fn script(cursor: &mut Cursor<'_>) -> Parsed<Header> {
    let mut output = None;
    let mut declarations = Vec::new();
    let mut there = false;
    loop {
        cursor.blank()?;
        if cursor.eat("---") {
            return Ok((output, declarations));
        }
        let start = cursor.at;
        if cursor.eat("%dw") {
            version(cursor, start)?;
        } else if begins(cursor, "output") {
            if output.is_some() {
                return Err(cursor.fault(start, "there are two `output`s", "remove one"));
            }
            cursor.at += "output".len();
            output = Some(format(cursor)?);
        } else if begins(cursor, "ns") {
            namespace(cursor)?;
        } else if begins(cursor, "input") {
            // Media types tell the formats of inputs.
            let rest = cursor.rest();
            let end = rest.find("---").unwrap_or(rest.len());
            cursor.at += rest[..end].find('\n').unwrap_or(end);
        } else if !declaration(cursor, &mut declarations)? {
            if there {
                return Err(cursor.unexpected("a directive or `---`"));
            }
            return Ok((None, Vec::new()));
        }
        there = true;
    }
}

/// Parses the text of a module, which is a header alone.
pub(super) fn module(cursor: &mut Cursor<'_>) -> Parsed<Vec<Declaration>> {
    let mut declarations = Vec::new();
    loop {
        cursor.blank()?;
        let start = cursor.at;
        // What follows is for those who run the file by itself.
        if cursor.peek().is_none() || cursor.eat("---") {
            return Ok(declarations);
        }
        if cursor.eat("%dw") {
            version(cursor, start)?;
        } else if begins(cursor, "output") {
            cursor.at += "output".len();
            format(cursor)?;
        } else if begins(cursor, "ns") {
            namespace(cursor)?;
        } else if !declaration(cursor, &mut declarations)? {
            return Err(cursor.unexpected("`var`, `fun`, `import` or `type`"));
        }
    }
}

/// Parses the header of a `do`; without declarations it needs no `---`.
pub(super) fn inner(cursor: &mut Cursor<'_>) -> Parsed<Arc<[Declaration]>> {
    let mut declarations = Vec::new();
    loop {
        cursor.blank()?;
        if cursor.eat("---") {
            return Ok(declarations.into());
        }
        if begins(cursor, "ns") {
            namespace(cursor)?;
            continue;
        }
        if !declaration(cursor, &mut declarations)? {
            if declarations.is_empty() {
                return Ok(declarations.into());
            }
            return Err(cursor.unexpected("`var`, `fun` or `---`"));
        }
    }
}

/// True if a directive begins here, and not an expression that begins with the same name.
fn begins(cursor: &Cursor<'_>, directive: &str) -> bool {
    cursor.word() == Some(directive) && {
        let after = &cursor.rest()[directive.len()..];
        let next = after.trim_start();
        next.len() < after.len()
            && (next.starts_with(|char: char| char.is_ascii_alphabetic() || char == '_')
                || next.starts_with('*'))
    }
}

/// Parses a namespace: `ns soap http://schemas.xmlsoap.org/soap/envelope/`.
fn namespace(cursor: &mut Cursor<'_>) -> Parsed<()> {
    cursor.at += "ns".len();
    cursor.blank()?;
    let prefix: Arc<str> = cursor.take_word("a prefix")?.into();
    let rest = cursor.rest();
    let start = rest.len() - rest.trim_start_matches([' ', '\t']).len();
    let length = rest[start..]
        .find(char::is_whitespace)
        .unwrap_or(rest.len() - start);
    if length == 0 {
        return Err(cursor.unexpected("the URI of a namespace"));
    }
    let uri = rest[start..start + length].trim_matches(['"', '\'']).into();
    cursor.at += start + length;
    let namespace = Namespace {
        prefix: prefix.clone(),
        uri,
    };
    cursor.namespaces.insert(prefix, namespace);
    Ok(())
}

fn version(cursor: &mut Cursor<'_>, start: usize) -> Parsed<()> {
    let rest = cursor.rest();
    let version = rest.split_whitespace().next().unwrap_or_default();
    if !(version == "2" || version.starts_with("2.")) {
        let what = format!("version {version} of DataWeave is not supported");
        let mend = "write it for `%dw 2.0`";
        return Err(cursor.fault(start, &what, mend));
    }
    let blanks = rest.len() - rest.trim_start().len();
    cursor.at += blanks + version.len();
    Ok(())
}

/// Skips annotations, `@TailRec()`, which say nothing about results.
fn annotations(cursor: &mut Cursor<'_>) -> Parsed<()> {
    while cursor.starts("@") {
        cursor.at += 1;
        cursor.take_word("the name of an annotation")?;
        if cursor.starts("(") {
            let rest = cursor.rest();
            let end = rest.find(')').unwrap_or(rest.len() - 1);
            cursor.at += end + 1;
        }
        cursor.blank()?;
    }
    Ok(())
}

/// Parses a declaration, if one begins here.
fn declaration(cursor: &mut Cursor<'_>, into: &mut Vec<Declaration>) -> Parsed<bool> {
    annotations(cursor)?;
    let start = cursor.at;
    if begins(cursor, "import") {
        cursor.at += "import".len();
        modules::import(cursor, into)?;
        return Ok(true);
    }
    if begins(cursor, "type") {
        cursor.at += "type".len();
        cursor.blank()?;
        let name = cursor.take_word("the name of a type")?;
        cursor.expect("=")?;
        let target = types::target(cursor)?;
        cursor.types.insert(name.into(), target);
        return Ok(true);
    }
    let fun = begins(cursor, "fun");
    if !fun && !begins(cursor, "var") {
        return Ok(false);
    }
    cursor.at += 3;
    cursor.blank()?;
    let name: Arc<str> = cursor.take_word("a name")?.into();
    // The script's own names come before those of a module.
    into.retain(|other| other.name != name || !matches!(other.what, Declared::Own(..)));
    let same = into.iter().position(|other| other.name == name);
    let overloads = same.filter(|at| fun && matches!(into[*at].what, Declared::Fun(_)));
    if same.is_some() && overloads.is_none() {
        let what = format!("`{name}` is declared twice");
        let mend = "give one of them another name";
        return Err(cursor.fault(start, &what, mend));
    }
    cursor.declared.insert(name.clone());
    let what = if fun {
        if cursor.starts("<")
            && let Some(end) = cursor.rest().find('>')
        {
            // Type parameters bind nothing at run time.
            for word in cursor.rest()[1..end].split([',', ' ', '<', ':']) {
                let any = types::Target {
                    of: types::Type::Any,
                    options: Arc::new([]),
                };
                cursor.types.insert(word.into(), any);
            }
            cursor.at += end + 1;
        }
        let lambda = Arc::new(cursor.inner(|cursor| lambda::function(cursor, "="))?);
        if let Some(Declared::Fun(lambdas)) = overloads.map(|at| &mut into[at].what) {
            Arc::make_mut(lambdas).push(lambda);
            return Ok(true);
        }
        Declared::Fun(Arc::new(vec![lambda]))
    } else {
        cursor.blank()?;
        let of = lambda::typed(cursor)?;
        cursor.expect("=")?;
        let value = cursor.inner(|cursor| body::or_pair(cursor, parse::expression))?;
        Declared::Var { value, of }
    };
    into.push(Declaration { name, what });
    Ok(true)
}

/// Parses the format and the options after `output`.
fn format(cursor: &mut Cursor<'_>) -> Parsed<Output> {
    cursor.blank()?;
    let start = cursor.at;
    let rest = cursor.rest();
    let end = rest
        .find(|char: char| char.is_whitespace())
        .unwrap_or(rest.len());
    let text = rest[..end].trim_end_matches("---");
    cursor.at += text.len();
    let name = full(text);
    let mut media_type = MediaType::new(name);
    cursor.blank()?;
    // A format may be named apart from the media type: `output application/problem+json with json`.
    if cursor.eat_word("with") {
        cursor.blank()?;
        let at = cursor.at;
        let word = cursor.take_word("the name of a format")?;
        let format = supported(cursor, full(word), at)?.format();
        if format != media_type.format() {
            let what = format!("`{name}` is not of the format `{word}`");
            return Err(cursor.fault(at, &what, "name a media type of that format"));
        }
    } else {
        media_type = supported(cursor, name, start)?;
    }
    let mut options = Vec::new();
    loop {
        cursor.blank()?;
        if matches!(
            cursor.word(),
            None | Some("var" | "fun" | "import" | "type" | "ns" | "input")
        ) {
            break;
        }
        let at = cursor.at;
        let name = cursor.take_word("an option")?;
        cursor.expect("=")?;
        cursor.blank()?;
        let expected = "true, false, a number or a text";
        let value = match cursor.peek() {
            Some('"' | '\'') => literal::string(cursor)?,
            Some('0'..='9') => literal::number(cursor)?,
            _ => Node::Literal(match cursor.take_word(expected)? {
                "true" => true.into(),
                "false" => false.into(),
                _ => return Err(cursor.unexpected(expected)),
            }),
        };
        let Node::Literal(value) = value else {
            return Err(cursor.unexpected("a plain text"));
        };
        options.push((name.to_owned(), value, at));
        cursor.blank()?;
        cursor.eat(",");
    }
    let mut layout = Layout::default();
    for (name, value, at) in options {
        set(&mut layout, &name, &value).map_err(|mend| {
            cursor.fault(at, &format!("the option `{name}` cannot be that"), &mend)
        })?;
    }
    Ok(Output { media_type, layout })
}

/// The media type of a format's name; another text is one itself.
pub(super) fn full(name: &str) -> &str {
    match name {
        "json" => "application/json",
        "xml" => "application/xml",
        "csv" => "application/csv",
        "java" => "application/java",
        "dw" => "application/dw",
        "binary" => "application/octet-stream",
        "text" => "text/plain",
        "urlencoded" => "application/x-www-form-urlencoded",
        other => other,
    }
}

/// The media type of a text, which is one or the name of a format, if that is supported.
pub(super) fn supported(cursor: &Cursor<'_>, text: &str, at: usize) -> Parsed<MediaType> {
    let media_type = MediaType::new(full(text));
    if media_type.format() != Format::Opaque {
        return Ok(media_type);
    }
    // Studio itself writes `applicaton/java` into parameters of requests; values are handed on as they are either way.
    if text.ends_with("/java") {
        return Ok(MediaType::new("application/java"));
    }
    Err(cursor.fault(
        at,
        &format!("the format `{text}` is not supported"),
        &format!("use {FORMATS}"),
    ))
}

/// Sets a writer's option.
///
/// # Errors
/// The remedy for an unknown option or value.
pub(super) fn set(layout: &mut Layout, name: &str, value: &Value) -> Result<(), String> {
    match (name, value) {
        ("indent", Value::Bool(indent)) => layout.indent = *indent,
        ("indent", Value::String(text)) if matches!(&**text, "true" | "false") => {
            layout.indent = &**text == "true";
        }
        ("skipNullOn", Value::String(text)) => {
            layout.skip_null = match &**text {
                "objects" => SkipNull::Objects,
                "arrays" => SkipNull::Arrays,
                "everywhere" => SkipNull::Everywhere,
                "elements" | "attributes" => layout.skip_null,
                _ => return Err("write objects, arrays or everywhere; in XML elements, attributes or everywhere".to_owned()),
            };
            layout.xml.skips_elements = matches!(&**text, "elements" | "arrays" | "everywhere");
            layout.xml.skips_attributes =
                matches!(&**text, "attributes" | "objects" | "everywhere");
        }
        ("writeAttributes", Value::Bool(writes)) => layout.attributes = *writes,
        ("duplicateKeyAsArray", Value::Bool(lists)) => layout.lists = *lists,
        ("writeDeclaration", Value::Bool(writes)) => layout.xml.declares = *writes,
        ("writeNilOnNull", Value::Bool(writes)) => layout.xml.nil_on_null = *writes,
        ("inlineCloseOn", Value::String(text)) if matches!(&**text, "empty" | "none") => {
            layout.xml.closes_inline = &**text == "empty";
        }
        ("header", Value::Bool(header)) => layout.csv.header = *header,
        ("quoteValues", Value::Bool(quotes)) => layout.csv.quotes_values = *quotes,
        ("quoteHeader", Value::Bool(quotes)) => layout.csv.quotes_header = *quotes,
        ("lineSeparator", Value::String(text)) if matches!(&**text, "\n" | "\r\n") => {
            layout.csv.crlf = &**text == "\r\n";
        }
        ("separator" | "quote" | "escape", Value::String(text)) => {
            let set = layout.csv.set(name, text);
            set.ok_or_else(|| "write one ASCII character".to_owned())?;
        }
        ("encoding", Value::String(text)) if text.eq_ignore_ascii_case("utf-8") => {}
        // Options that affect how the text is written, but not the text.
        ("deferred" | "streaming", Value::Bool(_)) | ("bufferSize", Value::Number(_)) => {}
        // CSV's writer takes options of its reader, and they change nothing that it writes.
        ("headerLineNumber" | "bodyStartLineNumber", Value::Number(_))
        | ("ignoreEmptyLine", Value::Bool(_)) => {}
        _ => {
            return Err(
                "use indent=true|false, skipNullOn=\"objects\"|\"arrays\"|\"everywhere\", \
                 encoding=\"UTF-8\", of JSON \
                 writeAttributes=true|false or duplicateKeyAsArray=true|false, of XML writeDeclaration=true|false, \
                 inlineCloseOn=\"empty\"|\"none\" or writeNilOnNull=true|false, or of CSV \
                 header=true|false, separator, quote, escape, lineSeparator, \
                 quoteValues=true|false or quoteHeader=true|false"
                    .to_owned(),
            );
        }
    }
    Ok(())
}
