//! Paths of REST handlers, `/pets/:petId` and `/files/*rest`, and their form in the plan.
//!
//! The rules are those of the router in Flogo's REST trigger (julienschmidt/httprouter), except that within one method a
//! fixed segment may stand beside a parameter or a rest: the fixed one is tried first. Two parameters of different names,
//! or a parameter and a rest, have no place beside one another.

use std::collections::HashMap;
use std::fmt::Write as _;

use crate::language::urlencoded;

/// The path of a REST handler.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HandlerPath {
    segments: Vec<Segment>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    Literal(String),
    Param(String),
    Rest(String),
}

/// A fault of a path: its offset in characters, and its mend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PathFault {
    pub offset: usize,
    pub what: String,
    pub mend: &'static str,
}

impl HandlerPath {
    pub fn read(text: &str) -> Result<HandlerPath, PathFault> {
        let fault = |offset: usize, what: &str, mend: &'static str| {
            Err(PathFault {
                offset,
                what: what.to_owned(),
                mend,
            })
        };
        let Some(rest) = text.strip_prefix('/') else {
            let mend = "write it as in `/pets/:petId`";
            return fault(0, "path must begin with '/'", mend);
        };
        let mut segments: Vec<Segment> = Vec::new();
        let mut offset = 1;
        let parts: Vec<&str> = rest.split('/').collect();
        for (index, part) in parts.iter().enumerate() {
            let last = index + 1 == parts.len();
            let named = part.strip_prefix([':', '*']);
            let name = named.unwrap_or("");
            let mut later = part.chars().enumerate().skip(1);
            if let Some((inner, _)) = later.find(|(_, c)| matches!(c, ':' | '*')) {
                let what = match named {
                    Some(_) => "only one wildcard per path segment is allowed",
                    None => "a wildcard within a segment is not supported",
                };
                let mend = "let a parameter be a whole segment between slashes";
                return fault(offset + inner, what, mend);
            }
            if let Some(at) = part.find(['{', '}', '?', '#']) {
                let at = offset + part[..at].chars().count();
                let mend = "remove them; parameters are written `:name`";
                return fault(at, "a path has no braces, `?` or `#`", mend);
            }
            let (what, mend) = match part.chars().next() {
                Some(':' | '*') if name.is_empty() => (
                    "wildcards must be named with a non-empty name",
                    "name it, as in `:id` or `*rest`",
                ),
                None if !last => ("the path has an empty segment", "remove one of the slashes"),
                Some(':' | '*') if names(&segments).any(|other| other == name) => (
                    "two parameters of the path have the same name",
                    "give each a name of its own",
                ),
                Some('*') if !last => (
                    "catch-all routes are only allowed at the end of the path",
                    "end the path with it, or use `:name` for one segment",
                ),
                first => {
                    segments.push(match first {
                        Some(':') => Segment::Param(name.to_owned()),
                        Some('*') => Segment::Rest(name.to_owned()),
                        _ => Segment::Literal((*part).to_owned()),
                    });
                    offset += part.chars().count() + 1;
                    continue;
                }
            };
            return fault(offset, what, mend);
        }
        Ok(HandlerPath { segments })
    }

    /// The names of its parameters.
    pub fn params(&self) -> Vec<&str> {
        names(&self.segments).collect()
    }

    /// The path in the plan's notation: `/pets/{petId}`, `/files/{*rest}`; literals are percent-encoded.
    pub fn template(&self) -> String {
        self.renamed(str::to_owned)
    }

    /// The path like [`template`](HandlerPath::template), with other names for the parameters.
    pub fn renamed(&self, mut name_of: impl FnMut(&str) -> String) -> String {
        let mut out = String::new();
        for segment in &self.segments {
            let _ = match segment {
                // The router compares decoded paths, so a percent sign in the file is a literal one.
                Segment::Literal(text) => write!(out, "/{}", urlencoded::segment(text)),
                Segment::Param(name) => write!(out, "/{{{}}}", name_of(name)),
                Segment::Rest(name) => write!(out, "/{{*{}}}", name_of(name)),
            };
        }
        out
    }

    /// True if the parameter takes the rest of a path, including its first slash.
    pub fn is_rest(&self, name: &str) -> bool {
        let last = self.segments.last();
        matches!(last, Some(Segment::Rest(rest)) if rest == name)
    }
}

/// The paths of one method, as the router stores them.
#[derive(Debug, Default)]
pub(crate) struct PathTree {
    /// The first path that was added here.
    first: usize,
    /// The path that ends here, if any.
    end: Option<usize>,
    literals: HashMap<String, PathTree>,
    param: Option<(String, Box<PathTree>)>,
    rest: Option<usize>,
}

impl PathTree {
    /// Adds a path with its number.
    ///
    /// # Errors
    /// The number of a path with which the router reports a conflict; the new path is then not added.
    pub fn add(&mut self, path: &HandlerPath, number: usize) -> Result<(), usize> {
        self.add_from(&path.segments, number)
    }

    fn add_from(&mut self, segments: &[Segment], number: usize) -> Result<(), usize> {
        let Some((segment, rest)) = segments.split_first() else {
            let first = *self.end.get_or_insert(number);
            return if first == number { Ok(()) } else { Err(first) };
        };
        if let Some(other) = self.refuses(segment) {
            return Err(other);
        }
        let new = || PathTree {
            first: number,
            ..PathTree::default()
        };
        let next = match segment {
            Segment::Literal(text) => self.literals.entry(text.clone()).or_insert_with(new),
            Segment::Param(name) => {
                let make = || (name.clone(), Box::new(new()));
                &mut self.param.get_or_insert_with(make).1
            }
            Segment::Rest(_) => {
                self.rest = Some(number);
                return Ok(());
            }
        };
        next.add_from(rest, number)
    }

    /// A path whose parameter or rest conflicts with a segment here.
    fn refuses(&self, segment: &Segment) -> Option<usize> {
        let param = self.param.as_ref();
        match segment {
            Segment::Literal(_) => None,
            Segment::Param(name) => self.rest.or_else(|| {
                let other = param.filter(|(other, _)| other != name);
                other.map(|(_, tree)| tree.first)
            }),
            Segment::Rest(_) => self.rest.or_else(|| param.map(|(_, tree)| tree.first)),
        }
    }
}

fn names(segments: &[Segment]) -> impl Iterator<Item = &str> {
    segments.iter().filter_map(|segment| match segment {
        Segment::Literal(_) => None,
        Segment::Param(name) | Segment::Rest(name) => Some(name.as_str()),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test")]

    use super::*;

    fn path(text: &str) -> HandlerPath {
        HandlerPath::read(text).unwrap()
    }

    #[test]
    fn a_path_is_written_in_the_plans_notation() {
        for (text, template) in [
            ("/", "/"),
            ("/pets/:petId", "/pets/{petId}"),
            ("/t/*rest", "/t/{*rest}"),
            ("/a/:x-y/b/", "/a/{x-y}/b/"),
            ("/a b/é%", "/a%20b/%C3%A9%25"),
        ] {
            assert_eq!(path(text).template(), template);
        }
    }

    #[test]
    fn paths_that_the_router_refuses_are_errors_at_their_fault() {
        for (text, offset) in [
            ("pets", 0),
            ("/a/:", 3),
            ("/a/v:id", 4),
            ("/a/:id:x", 6),
            ("/a/*rest/b", 3),
            ("/a/:id/:id", 7),
            ("/a//b", 3),
            ("/a/{id}", 3),
        ] {
            assert_eq!(
                HandlerPath::read(text).unwrap_err().offset,
                offset,
                "{text}"
            );
        }
    }

    fn clash(paths: &[&str]) -> Option<(usize, usize)> {
        let mut tree = PathTree::default();
        paths.iter().enumerate().find_map(|(number, text)| {
            let other = tree.add(&path(text), number).err()?;
            Some((other, number))
        })
    }

    #[test]
    fn paths_clash_as_they_do_in_one_tree() {
        for (one, two, clashes) in [
            ("/pets/:id", "/pets/:id", true),
            ("/pets/:id", "/pets/new", false),
            ("/pets/:id", "/pets/new/:x", false),
            ("/pets/:id/a", "/pets/:name/b", true),
            ("/pets/:id", "/pets/:name", true),
            ("/pets/:id", "/pets/", false),
            ("/pets/:id", "/pets", false),
            ("/pets/:id", "/pets/:id/toys", false),
            ("/pets/:id", "/petshop", false),
            ("/t/*rest", "/t/", false),
            ("/t/*rest", "/t/a", false),
            ("/t/*rest", "/t/:a", true),
            ("/t/*rest", "/t/:a/b", true),
            ("/t/*rest", "/t/*rest", true),
            ("/t/*rest", "/t", false),
            ("/a", "/b", false),
            ("/a", "/a/", false),
        ] {
            assert_eq!(clash(&[one, two]), clashes.then_some((0, 1)), "{one} {two}");
            assert_eq!(clash(&[two, one]), clashes.then_some((0, 1)), "{two} {one}");
        }
    }

    #[test]
    fn a_clash_names_the_first_path_of_its_kind() {
        let paths = ["/a", "/pets/:id/toys", "/pets/:id", "/pets/:name/x"];
        assert_eq!(clash(&paths), Some((1, 3)));
    }
}
