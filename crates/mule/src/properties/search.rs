//! The files that an application names, and the places where they are looked for.
//!
//! A file of a project stands in the nearest `src/main/resources` of the file that names it; without a project, beside
//! one of the application's files. Neither depends on the order of the files.

use std::io;

use fusebox_plan::dialect::{At, BYTES_MAX, Loader, Notes, quote};

/// The folder of a project's flows.
const FLOWS: &str = "src/main/mule/";
/// The folder of a project's resources.
const RESOURCES: &str = "src/main/resources/";
/// The limit of folders above the working directory that are searched for a project.
const ABOVE_MAX: usize = 5;

/// A kind of file, by the places where it is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A property file, or another resource.
    Resource,
    /// A file of flows.
    Flows,
}

/// The names of the application's files while further ones are read.
pub(crate) struct Names<'n> {
    /// The names of all files so far, by their index in places.
    pub all: &'n mut Vec<String>,
    /// The number of files that the user named.
    pub given: usize,
}

impl Names<'_> {
    /// The directory of the first file, from which the loader reads.
    fn base(&self) -> &str {
        self.all.first().map_or("", |name| directory(name))
    }

    /// The paths where a file that another one names may be, the nearest first; not below the base.
    pub fn candidates(&self, path: &str, of: usize, kind: Kind) -> Vec<String> {
        // As on the machine where it was written.
        let path = &path.replace('\\', "/");
        if path.starts_with('/') {
            return vec![path.clone()];
        }
        let own = self.all.get(of).map_or("", |name| directory(name));
        let project = own.rfind(FLOWS).map(|at| &own[..at]);
        let mut folders = Vec::new();
        match kind {
            Kind::Resource => {
                // A project's class path is made of its resources; a file beside the flows is the second choice.
                folders.extend(project.map(|root| format!("{root}{RESOURCES}")));
                folders.push(own.to_owned());
                folders.push(format!("{own}../resources/"));
                folders.push(format!("{own}{RESOURCES}"));
            }
            Kind::Flows => {
                folders.push(own.to_owned());
                folders.push(format!("{own}{FLOWS}"));
                folders.extend(project.map(|root| format!("{root}{FLOWS}")));
            }
        }
        let mut others: Vec<&str> = self.all[..self.given.min(self.all.len())]
            .iter()
            .map(|name| directory(name))
            .collect();
        others.sort_unstable();
        others.dedup();
        folders.extend(others.iter().map(ToString::to_string));
        let inner = match kind {
            Kind::Resource => RESOURCES,
            Kind::Flows => FLOWS,
        };
        folders.extend(others.iter().map(|folder| format!("{folder}{inner}")));
        let mut above = String::new();
        for _ in 0..ABOVE_MAX {
            above.push_str("../");
            folders.push(format!("{own}{above}{inner}"));
        }
        let mut found: Vec<String> = Vec::new();
        for folder in folders {
            let candidate = plain(&format!("{folder}{path}"));
            if !found.contains(&candidate) {
                found.push(candidate);
            }
        }
        found
    }

    /// The text of a file that the file with the index `of` names in a value.
    ///
    /// # Errors
    /// The problem and the remedy.
    pub fn text(
        &self,
        path: &str,
        of: usize,
        kind: Kind,
        loader: &dyn Loader,
    ) -> Result<String, (String, String)> {
        match self.find(path, of, kind, |path| loader.file(path)) {
            Found::File(_, text) => Ok(text),
            Found::Nowhere => {
                let what = format!("the file {} cannot be read: no place has it", quote(path));
                Err((what, self.advice(path, of, kind)))
            }
            Found::Unreadable(name, error) => {
                let mend = "check that it is a text in UTF-8 and that this process may read it";
                Err((unreadable(&name, &error), mend.to_owned()))
            }
        }
    }

    /// Finds a file that the file with the index `of` names, and adds its name. Returns the name's index, and the text
    /// unless it is too long. Reports problems.
    pub fn open(
        &mut self,
        path: &At<String>,
        of: usize,
        kind: Kind,
        loader: &dyn Loader,
        notes: &mut Notes,
    ) -> Option<(usize, Option<String>)> {
        let found = self.find(&path.value, of, kind, |path| loader.file(path));
        let mend = "check that it is a text in UTF-8 and that this process may read it";
        let (name, text) = self.found(found, path, of, kind, mend, notes)?;
        let length = text.len();
        if length > BYTES_MAX {
            let quoted = quote(&name);
            let what =
                format!("the file {quoted} has {length} bytes, above the limit of {BYTES_MAX}");
            notes.error(path.at, what, "split it into several files");
        }
        self.all.push(name);
        Some((self.all.len() - 1, (length <= BYTES_MAX).then_some(text)))
    }

    /// Finds a resource that is no text. Returns its name and its bytes. Reports problems.
    pub fn open_bytes(
        &self,
        path: &At<String>,
        of: usize,
        loader: &dyn Loader,
        notes: &mut Notes,
    ) -> Option<(String, Vec<u8>)> {
        let kind = Kind::Resource;
        let found = self.find(&path.value, of, kind, |path| loader.bytes(path));
        let mend = "check that this process may read it";
        self.found(found, path, of, kind, mend, notes)
    }

    /// The result of a search; reports a file that is missing or cannot be read.
    fn found<T>(
        &self,
        found: Found<T>,
        path: &At<String>,
        of: usize,
        kind: Kind,
        mend: &str,
        notes: &mut Notes,
    ) -> Option<(String, T)> {
        match found {
            Found::File(name, content) => Some((name, content)),
            Found::Nowhere => {
                let what = format!("there is no file {}", quote(&path.value));
                let mend = self.advice(&path.value, of, kind);
                notes.error_about(path.at, "file", what, mend);
                None
            }
            Found::Unreadable(name, error) => {
                notes.error(path.at, unreadable(&name, &error), mend);
                None
            }
        }
    }

    /// True if no place has the file.
    pub fn is_missing(&self, path: &str, of: usize, kind: Kind, loader: &dyn Loader) -> bool {
        let found = self.find(path, of, kind, |path| loader.file(path));
        matches!(found, Found::Nowhere)
    }

    fn find<T>(
        &self,
        path: &str,
        of: usize,
        kind: Kind,
        read: impl Fn(&str) -> io::Result<T>,
    ) -> Found<T> {
        for name in self.candidates(path, of, kind) {
            match read(&relative(self.base(), &name)) {
                Ok(content) => return Found::File(name, content),
                Err(error) if is_absent(&error) => {}
                Err(error) => return Found::Unreadable(name, error),
            }
        }
        Found::Nowhere
    }

    /// The remedy for a file that is in no place.
    pub fn advice(&self, path: &str, of: usize, kind: Kind) -> String {
        /// The number of places that a message names.
        const SHOWN: usize = 3;
        let candidates = self.candidates(path, of, kind);
        let tried = candidates.iter().take(SHOWN);
        let tried: Vec<String> = tried.map(|name| quote(name)).collect();
        let tried = tried.join(", ");
        format!(
            "put it beside the file that names it, or into `src/main/resources`; searched: {tried}"
        )
        .replace(
            "src/main/resources`;",
            match kind {
                Kind::Resource => "src/main/resources`;",
                Kind::Flows => "src/main/mule`;",
            },
        )
    }
}

/// The result of a search.
enum Found<T> {
    /// The name, and the content.
    File(String, T),
    Nowhere,
    /// The name of a file that cannot be read, and why.
    Unreadable(String, io::Error),
}

/// True for the errors of a place without such a file; a part of the path may be a file itself.
fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

/// The problem of a file that cannot be read.
fn unreadable(path: &str, error: &io::Error) -> String {
    let why = quote(&error.to_string());
    let why = why.trim_matches('`');
    format!("the file {} cannot be read: {why}", quote(path))
}

/// The directory of a path, with the trailing slash; empty if there is none.
fn directory(path: &str) -> &str {
    path.rfind('/').map_or("", |slash| &path[..=slash])
}

/// A path without redundant parts: `.`, `..` and double slashes.
pub(crate) fn plain(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/').filter(|part| *part != ".") {
        match (part, parts.last()) {
            ("..", Some(&last)) if last != ".." && !last.is_empty() => {
                parts.pop();
            }
            ("", Some(_)) => {}
            _ => parts.push(part),
        }
    }
    parts.join("/")
}

/// A path as it is seen from a directory, both from the same place.
fn relative(base: &str, path: &str) -> String {
    let base = plain(base);
    if path.starts_with('/') || base.starts_with('/') {
        let below = path
            .strip_prefix(base.as_str())
            .and_then(|rest| rest.strip_prefix('/'));
        return below.unwrap_or(path).to_owned();
    }
    let mut from: Vec<&str> = base.split('/').filter(|part| !part.is_empty()).collect();
    let mut to: Vec<&str> = path.split('/').collect();
    while let (Some(one), Some(other)) = (from.first(), to.first())
        && one == other
    {
        from.remove(0);
        to.remove(0);
    }
    let up = from.iter().map(|_| "..");
    up.chain(to).collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_seen_from_the_first_file() {
        for (base, path, seen) in [
            ("", "a.yaml", "a.yaml"),
            ("app/", "app/a.yaml", "a.yaml"),
            (
                "app/src/main/mule/x/",
                "app/src/main/resources/a.yaml",
                "../../resources/a.yaml",
            ),
            ("", "../a.yaml", "../a.yaml"),
            ("./", "a.yaml", "a.yaml"),
            ("/p/app/", "/p/app/a.yaml", "a.yaml"),
            ("/p/app/", "/p/a.yaml", "/p/a.yaml"),
        ] {
            assert_eq!(relative(base, path), seen, "{base} {path}");
        }
    }

    #[test]
    fn the_nearest_folder_of_resources_comes_first_whatever_the_order() {
        let of = |names: &[&str]| {
            let mut all: Vec<String> = names.iter().map(ToString::to_string).collect();
            let global = all
                .iter()
                .position(|it| it.ends_with("global.xml"))
                .unwrap();
            let given = all.len();
            let names = Names {
                all: &mut all,
                given,
            };
            names.candidates("t.yaml", global, Kind::Resource)
        };
        let names = [
            "p/src/main/mule/common/global.xml",
            "p/src/main/mule/main.xml",
        ];
        let one = of(&names);
        let other = of(&[names[1], names[0]]);
        assert_eq!(one, other);
        let at = |name: &str| one.iter().position(|it| it == name).unwrap();
        assert!(at("p/src/main/resources/t.yaml") < at("p/src/main/mule/t.yaml"));
    }
}
