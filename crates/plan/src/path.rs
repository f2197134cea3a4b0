//! Paths: the template that a route matches, and the result of a rewrite.
//!
//! A template is `/` and segments between slashes: literal text, `{name}` for one whole segment, or `{*name}` at the
//! end for the rest of the path.

use std::borrow::Cow;

use crate::diagnostic::quote;
use crate::plan::{Rewrite, RewritePart};

/// The normal form of a path (RFC 3986, section 6.2.2): letters, digits, `-`, `.`, `_` and `~` are decoded, and the hex
/// digits of all other percent-encoded bytes are capitals. Decoding happens only once: `%2561` stays the same. A `%`
/// without two hex digits is kept.
pub fn normal(path: &str) -> Cow<'_, str> {
    if !path.contains('%') {
        return Cow::Borrowed(path);
    }
    let bytes = path.as_bytes();
    let digit = |at: usize| bytes.get(at).and_then(|byte| (*byte as char).to_digit(16));
    let mut text = String::with_capacity(path.len());
    let mut from = 0;
    while let Some(at) = path[from..].find('%').map(|at| from + at) {
        text.push_str(&path[from..at]);
        from = at + 1;
        match (digit(at + 1), digit(at + 2)) {
            (Some(high), Some(low)) => {
                from = at + 3;
                match char::from_u32(high * 16 + low) {
                    Some(c) if c.is_ascii_alphanumeric() || "-._~".contains(c) => text.push(c),
                    _ => text.push_str(&path[at..from].to_ascii_uppercase()),
                }
            }
            _ => text.push('%'),
        }
    }
    text.push_str(&path[from..]);
    Cow::Owned(text)
}

/// A fault of a path, with its offset and its mend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathFault {
    /// The offset of the fault in the text, in characters.
    pub offset: usize,
    /// The fault, for a diagnostic.
    pub what: String,
    /// The mend, for a diagnostic.
    pub mend: String,
}

fn fault(offset: usize, what: impl Into<String>, mend: impl Into<String>) -> PathFault {
    PathFault {
        offset,
        what: what.into(),
        mend: mend.into(),
    }
}

/// The template of a route's path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    segments: Vec<Segment>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    Literal(String),
    Param(String),
    Rest(String),
}

impl Template {
    /// Parses a template.
    pub fn read(text: &str) -> Result<Template, PathFault> {
        if !text.starts_with('/') {
            let mend = format!("write {}", quote(&format!("/{text}")));
            return Err(fault(0, "a path must start with `/`", mend));
        }
        let mut segments = Vec::new();
        let mut offset = 1;
        let parts: Vec<&str> = text[1..].split('/').collect();
        for (index, part) in parts.iter().enumerate() {
            let last = index + 1 == parts.len();
            segments.push(segment(part, offset, last)?);
            offset += part.chars().count() + 1;
        }
        let template = Template { segments };
        let names: Vec<&str> = template.params().collect();
        for (index, name) in names.iter().enumerate() {
            if names[..index].contains(name) {
                let what = format!("the parameter {} appears twice", quote(name));
                return Err(fault(0, what, "give each parameter a name of its own"));
            }
        }
        Ok(template)
    }

    /// The names of the parameters, in order.
    pub fn params(&self) -> impl Iterator<Item = &str> + Clone {
        self.segments.iter().filter_map(|segment| match segment {
            Segment::Literal(_) => None,
            Segment::Param(name) | Segment::Rest(name) => Some(name.as_str()),
        })
    }

    /// The template without its parameters' names: routes of the same shape match the same paths.
    pub fn shape(&self) -> String {
        let segments = self.segments.iter();
        segments.fold(String::new(), |shape, segment| match segment {
            Segment::Literal(text) => shape + "/" + text,
            Segment::Param(_) => shape + "/{}",
            Segment::Rest(_) => shape + "/{*}",
        })
    }
}

/// The fault of a path in another product's notation (`/api/*`, `/v1/**`, `/v3/:id`), which here would match only itself.
pub fn foreign(text: &str) -> Option<PathFault> {
    let is_foreign = |part: &str| {
        part.contains('*') && !part.starts_with('{')
            || part.strip_prefix(':').is_some_and(|name| !name.is_empty())
    };
    let parts: Vec<&str> = text.split('/').collect();
    let first = parts.iter().position(|part| is_foreign(part))?;
    let offset = parts[..first]
        .iter()
        .map(|part| part.chars().count() + 1)
        .sum();
    // The parameter that stands for a segment; `None` if there is none.
    let ours = |(index, part): (usize, &&str)| {
        let last = index + 1 == parts.len();
        match part.strip_prefix(':') {
            _ if !is_foreign(part) => Some((*part).to_owned()),
            Some(name) if is_name(name) => Some(format!("{{{name}}}")),
            None if last && matches!(*part, "*" | "**") => Some("{*rest}".to_owned()),
            None if *part == "*" => Some(format!("{{part{index}}}")),
            None if last => {
                let name = part.strip_prefix('*').filter(|name| is_name(name))?;
                Some(format!("{{*{name}}}"))
            }
            _ => None,
        }
    };
    let path: Option<Vec<String>> = parts.iter().enumerate().map(ours).collect();
    Some(fault(
        offset,
        format!("{} would match only itself", quote(parts[first])),
        match path {
            Some(path) => format!("write {}", quote(&path.join("/"))),
            None => {
                "write `{name}` for one whole segment, or `{*rest}` at the end for all that follow"
                    .to_owned()
            }
        },
    ))
}

fn segment(part: &str, offset: usize, last: bool) -> Result<Segment, PathFault> {
    let inside = part.strip_prefix('{');
    if let Some(inside) = inside.and_then(|part| part.strip_suffix('}')) {
        let (rest, name) = match inside.strip_prefix('*') {
            Some(name) => (true, name),
            None => (false, inside),
        };
        if !is_name(name) {
            return Err(fault(
                offset,
                format!("{} is not a parameter", quote(part)),
                "name it with letters, digits and `_`, as in `{id}` or `{*rest}`",
            ));
        }
        return match (rest, last) {
            (true, false) => Err(fault(
                offset,
                format!("{} must be the last segment", quote(part)),
                format!(
                    "end the path with it, or use {} for one segment",
                    quote(&format!("{{{name}}}"))
                ),
            )),
            (true, true) => Ok(Segment::Rest(name.to_owned())),
            (false, _) => Ok(Segment::Param(name.to_owned())),
        };
    }
    if let Some(brace) = part.find(['{', '}']) {
        let at = offset + part[..brace].chars().count();
        let what = "a parameter must be a whole segment between slashes";
        return Err(fault(at, what, "write it alone, as in `/orders/{id}`"));
    }
    if part.is_empty() && !last {
        let what = "the path has an empty segment (`//`)";
        return Err(fault(offset, what, "remove one of the slashes"));
    }
    check_literal(part, offset)?;
    Ok(Segment::Literal(normal(part).into_owned()))
}

/// Checks that a text consists of characters allowed in a path (RFC 3986, `pchar` and `/`), without dot segments.
pub fn check_literal(text: &str, offset: usize) -> Result<(), PathFault> {
    let mut chars = text.chars().enumerate();
    while let Some((index, c)) = chars.next() {
        let (what, mend) = match c {
            '?' => (
                "a path cannot have a query (`?`)".to_owned(),
                "remove the query; it is passed on as the client sent it".to_owned(),
            ),
            '#' => (
                "a path cannot have a fragment (`#`)".to_owned(),
                "remove it".to_owned(),
            ),
            '%' => {
                let two = chars.next().zip(chars.next());
                match two {
                    Some(((_, a), (_, b))) if a.is_ascii_hexdigit() && b.is_ascii_hexdigit() => {
                        continue;
                    }
                    _ => (
                        "`%` is not followed by two hexadecimal digits".to_owned(),
                        "write `%25` for a percent sign".to_owned(),
                    ),
                }
            }
            c if c.is_ascii_alphanumeric() || "-._~!$&'()*+,;=:@/".contains(c) => continue,
            c => {
                let bytes = c.to_string().into_bytes();
                let encoded: String = bytes.iter().map(|byte| format!("%{byte:02X}")).collect();
                (
                    format!("{} is not allowed in a path", quote(&c.to_string())),
                    format!("write `{encoded}`"),
                )
            }
        };
        return Err(fault(offset + index, what, mend));
    }
    // Dot segments, which a client may also write as `%2e`.
    let plain = text.to_ascii_lowercase().replace("%2e", ".");
    let mut segments = plain.split('/');
    if segments.any(|segment| matches!(segment, "." | "..")) {
        let what = "`.` and `..` may not be segments of a path";
        return Err(fault(offset, what, "write the path without them"));
    }
    Ok(())
}

fn is_name(name: &str) -> bool {
    let starts_well = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    starts_well && name.len() <= 64 && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Parses a rewrite: a path in which `{name}` stands for a parameter of the route. Also gives the offset of each part,
/// in characters.
pub fn read_rewrite(text: &str) -> Result<(Rewrite, Vec<usize>), PathFault> {
    if !text.starts_with('/') {
        let mend = format!("write {}", quote(&format!("/{text}")));
        return Err(fault(0, "a rewritten path must start with `/`", mend));
    }
    let (mut parts, mut places) = (Vec::new(), Vec::new());
    let mut offset = 0;
    let mut rest = text;
    // A parameter's value is unknown here; `x` takes its place in the search for dot segments.
    let mut outline = String::new();
    while let Some(open) = rest.find(['{', '}']) {
        let (literal, braced) = rest.split_at(open);
        check_chars(literal, offset)?;
        let at = offset + literal.chars().count();
        let named = braced.strip_prefix('{').and_then(|it| it.split_once('}'));
        let named = named.map(|(name, after)| (name.strip_prefix('*').unwrap_or(name), after));
        let Some((name, after)) = named.filter(|(name, _)| is_name(name)) else {
            let mend = "write `{name}`, or `%7B` and `%7D` for the braces themselves";
            return Err(fault(at, "a brace is not part of a parameter", mend));
        };
        if !literal.is_empty() {
            parts.push(RewritePart::Literal(literal.to_owned()));
            places.push(offset);
        }
        parts.push(RewritePart::Param(name.to_owned()));
        places.push(at);
        outline.push_str(literal);
        outline.push('x');
        offset = at + braced[..braced.len() - after.len()].chars().count();
        rest = after;
    }
    check_chars(rest, offset)?;
    outline.push_str(rest);
    check_literal(&outline, 0)?;
    if !rest.is_empty() {
        parts.push(RewritePart::Literal(rest.to_owned()));
        places.push(offset);
    }
    Ok((Rewrite(parts), places))
}

/// Checks the characters alone; dot segments are searched in the whole path.
fn check_chars(text: &str, offset: usize) -> Result<(), PathFault> {
    check_literal(&text.replace('.', "x"), offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_of_one_shape_match_the_same_paths() {
        let shape = |text| Template::read(text).map(|template| template.shape());
        assert_eq!(shape("/a/{x}"), shape("/a/{y}"));
        assert_ne!(shape("/a/{x}"), shape("/a/{*x}"));
        assert_ne!(shape("/a"), shape("/a/"));
        assert_eq!(shape("/").as_deref(), Ok("/"));
    }

    #[test]
    fn a_path_has_one_form() {
        for (path, form) in [
            ("/a/b", "/a/b"),
            ("/%61dmin", "/admin"),
            ("/%7eu%2Dv%5F%2e", "/~u-v_."),
            ("/caf%c3%a9", "/caf%C3%A9"),
            ("/a%2fb%3f%20", "/a%2Fb%3F%20"),
            ("/%2561", "/%2561"),
            ("/%25%36%31", "/%2561"),
            ("/100%", "/100%"),
            ("/%zz%6", "/%zz%6"),
            ("/%%61", "/%a"),
        ] {
            assert_eq!(normal(path), form, "{path}");
        }
        let shape = |text| Template::read(text).map(|template| template.shape());
        assert_eq!(shape("/%61/{x}"), shape("/a/{x}"));
    }

    #[test]
    fn a_path_that_no_request_can_have_is_refused_at_its_fault() {
        for (text, offset) in [
            ("orders", 0),
            ("/{*rest}/x", 1),
            ("/a/{id", 3),
            ("/a/id}", 5),
            ("/a/x{id}", 4),
            ("/a/{}", 3),
            ("/a/{1d}", 3),
            ("/a//b", 3),
            ("/a?b", 2),
            ("/a#b", 2),
            ("/a/../b", 3),
            ("/a/%2e%2E/b", 3),
            ("/a/%2", 3),
            ("/a/%zz", 3),
            ("/a b", 2),
            ("/ü", 1),
            ("/{a}/{a}", 0),
        ] {
            let found = Template::read(text).map_err(|fault| fault.offset);
            assert_eq!(found, Err(offset), "{text}");
        }
    }

    #[test]
    fn a_rewrite_keeps_text_and_parameters_apart() {
        let (rewrite, places) = read_rewrite("/v1/{id}.json/{*rest}").unwrap();
        assert_eq!(
            rewrite,
            Rewrite(vec![
                RewritePart::Literal("/v1/".to_owned()),
                RewritePart::Param("id".to_owned()),
                RewritePart::Literal(".json/".to_owned()),
                RewritePart::Param("rest".to_owned()),
            ])
        );
        assert_eq!(places, [0, 4, 8, 14]);
        for bad in [
            "x",
            "/{",
            "/}",
            "/{}",
            "/a/../b",
            "/a?x={id}",
            "/{a b}",
            "/%",
        ] {
            assert!(read_rewrite(bad).is_err(), "{bad}");
        }
        assert!(read_rewrite("/a/{x}..").is_ok());
    }
}
