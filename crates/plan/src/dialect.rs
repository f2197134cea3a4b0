//! The port for dialects: readers of other forms of configuration.
//!
//! A [`Dialect`] recognises its documents by their content and makes a plan of them, with a [`Program`] that only the
//! dialect understands. Tools for places, messages and mends like the native form's are re-exported here.

use crate::diagnostic::Diagnostic;
use crate::plan::Plan;

pub use crate::diagnostic::{At, Notes, Place, nearest, quote, suggest};
pub use crate::interpolate::Loader;
pub use crate::path::{PathFault, Template, check_literal, read_rewrite};
pub use crate::program::{OwnTimeout, Program, Schedule, Target};
pub use crate::show::{put, show_listener_tls, show_settings};
pub use crate::tls::{PemFile, pair};
pub use crate::tree::{
    BYTES_MAX, Entry, Kind, NODES_MAX, Node, Scalar, Style, parse as parse_tree, place_within,
};
pub use crate::url::read as read_url;
pub use crate::words::show_duration;
pub use crate::yaml;

/// A form of configuration beside the native one.
pub trait Dialect: Sync {
    /// The dialect's name in messages: `Flogo`.
    fn name(&self) -> &'static str;

    /// Recognises an application of this dialect by its text. An application that cannot be parsed is refused with a
    /// note.
    fn claim(&self, text: &str, file: usize, notes: &mut Notes) -> Claim;

    /// The fault, and its mend, of a native document that was meant as an application of this dialect; `None` by
    /// default.
    fn mistaken(&self, _root: &Node) -> Option<(&'static str, &'static str)> {
        None
    }

    /// True if an application may have several documents.
    fn takes_many(&self) -> bool;

    /// True if the command line may set addresses of an application ([`Loader::bindings`]). By default false.
    fn takes_bindings(&self) -> bool {
        false
    }

    /// Makes a plan of an application's documents. The plan is valid only if the notes have no error. The names of all
    /// other files that are read are appended to `files`; places refer to them by index.
    fn read(
        &self,
        documents: &[Document<'_>],
        files: &mut Vec<String>,
        loader: &dyn Loader,
        notes: &mut Notes,
    ) -> Option<Plan>;

    /// Converts an application to the native form. `files` are the names of the documents.
    fn convert(
        &self,
        documents: &[Document<'_>],
        files: Vec<String>,
        loader: &dyn Loader,
        notes: Notes,
    ) -> Conversion;
}

/// A dialect's verdict on a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// The document belongs to another form.
    None,
    /// The document is an application of this dialect.
    Application,
    /// The document is an application of this dialect with a fault that prevents reading; the fault has been noted.
    Refused,
}

/// A document of an application, not yet parsed.
#[derive(Debug, Clone, Copy)]
pub struct Document<'a> {
    /// The number of its file in [`Place`]s.
    pub file: usize,
    /// The name of its file.
    pub name: &'a str,
    /// The document's text, without a byte order mark.
    pub text: &'a str,
}

/// The parts of an application that the native form does not say, each with its place.
///
/// A guard is whatever keeps a request from an upstream: a gate, a breaker, a limit, a check of a token. Without it
/// the upstream is open, so its loss is an error, unless the user accepts it.
#[derive(Debug, Clone, Default)]
pub struct Losses(Vec<Loss>);

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Loss {
    at: Place,
    what: String,
    is_guard: bool,
}

impl Losses {
    /// Adds a part.
    pub fn lose(&mut self, at: Place, what: impl Into<String>) {
        self.add(at, what.into(), false);
    }

    /// Adds a guard.
    pub fn lose_guard(&mut self, at: Place, what: impl Into<String>) {
        self.add(at, what.into(), true);
    }

    fn add(&mut self, at: Place, what: String, is_guard: bool) {
        let loss = Loss { at, what, is_guard };
        if !self.0.contains(&loss) {
            self.0.push(loss);
        }
    }

    /// True if the loss of a guard is reported with a place.
    pub fn has_guard(&self, at: Place) -> bool {
        self.0.iter().any(|loss| loss.at == at && loss.is_guard)
    }

    /// True if a loss is reported with a place.
    pub fn has(&self, at: Place) -> bool {
        self.0.iter().any(|loss| loss.at == at)
    }

    /// The losses as a comment at the top of the native form, or an empty text. `files` are the names of the sources.
    pub fn comment(&self, files: &[&str]) -> String {
        let mut losses = self.0.clone();
        losses.sort();
        let mut out = String::new();
        for Loss { at, what, .. } in losses {
            if out.is_empty() {
                out.push_str("#\n# Not carried:\n");
            }
            let file = base_name(files.get(at.file).copied().unwrap_or_default());
            let what = what.replace(['\n', '\r'], " ");
            out.push_str(&format!("# - {file}:{}: {what}\n", at.line));
        }
        out
    }

    /// Adds the losses to notes: guards as errors, unless their loss is accepted, all else as warnings.
    pub fn report(self, is_accepted: bool, notes: &mut Notes) {
        for Loss { at, what, is_guard } in self.0 {
            let what = format!("not carried: {what}");
            match is_guard && !is_accepted {
                true => notes.error(
                    at,
                    what,
                    "guard the upstream in another way, and accept the loss with `--lossy`",
                ),
                false => notes.warn(at, what, "port this by hand or drop it"),
            }
        }
    }
}

/// The name of a file without its directories.
pub fn base_name(path: &str) -> &str {
    let name = std::path::Path::new(path).file_name();
    name.and_then(|name| name.to_str()).unwrap_or(path)
}

/// The result of a conversion.
#[derive(Debug)]
pub struct Conversion {
    /// Native YAML; `None` if nothing could be converted, or a diagnostic is an error.
    pub yaml: Option<String>,
    /// The faults of the sources, and a diagnostic for everything that the YAML does not carry: an error for a guard
    /// whose loss is not accepted, else a warning.
    pub diagnostics: Vec<Diagnostic>,
}
