//! The port for dialects: what reads, checks and converts the applications of another form.
//!
//! A [`Dialect`] tells its documents by their content, and makes a plan of them whose program it alone knows
//! ([`Program`]). What it needs of this crate to speak of places and mends as the native form does is re-exported here.

use crate::diagnostic::Diagnostic;
use crate::plan::Plan;

pub use crate::diagnostic::{At, Notes, Place, nearest, quote, suggest};
pub use crate::interpolate::Loader;
pub use crate::listener_tls::{PemFile, pair};
pub use crate::path::{PathFault, Template, check_literal, read_rewrite};
pub use crate::program::{Program, Target};
pub use crate::show::{show_listener_tls, show_settings};
pub use crate::tree::{
    BYTES_MAX, Entry, Kind, NODES_MAX, Node, Scalar, Style, parse as parse_tree, place_within,
};
pub use crate::url::read as read_url;
pub use crate::words::show_duration;
pub use crate::yaml;

/// A form of configuration beside the native one.
pub trait Dialect: Sync {
    /// The name of the dialect, as messages say it: `Flogo`.
    fn name(&self) -> &'static str;

    /// Tells from a document's text whether it is an application of this dialect. A text that is one and cannot be
    /// read at all is refused with a note.
    fn claim(&self, text: &str, file: usize, notes: &mut Notes) -> Claim;

    /// What is wrong with a document that reads as the native form and is meant as an application, and how to mend it.
    fn mistaken(&self, _root: &Node) -> Option<(&'static str, &'static str)> {
        None
    }

    /// Whether an application may have several documents.
    fn takes_many(&self) -> bool;

    /// Whether the command line may give addresses to an application ([`Loader::bindings`]).
    fn takes_bindings(&self) -> bool {
        false
    }

    /// Makes a plan of an application's documents; it is meant only if the notes have no error. The names of all
    /// files that are read beside them are added to `files`, by whose order places number them.
    fn read(
        &self,
        documents: &[Document<'_>],
        files: &mut Vec<String>,
        loader: &dyn Loader,
        notes: &mut Notes,
    ) -> Option<Plan>;

    /// Writes an application in the native form. `files` are the names of the documents.
    fn convert(
        &self,
        documents: &[Document<'_>],
        files: Vec<String>,
        loader: &dyn Loader,
        notes: Notes,
    ) -> Conversion;
}

/// What a dialect says of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// It is no application of this dialect.
    None,
    /// It is one.
    Application,
    /// It is meant as one and cannot be read, which has been noted.
    Refused,
}

/// A document of an application.
#[derive(Debug, Clone, Copy)]
pub struct Document<'a> {
    /// The number of its file in places.
    pub file: usize,
    /// The name of its file.
    pub name: &'a str,
    /// Its text, without a byte order mark.
    pub text: &'a str,
}

/// What came of converting.
#[derive(Debug)]
pub struct Conversion {
    /// Native YAML; `None` where nothing could be said in it, or a diagnostic is an error.
    pub yaml: Option<String>,
    /// What was found in the sources, and everything that the YAML does not carry.
    pub diagnostics: Vec<Diagnostic>,
}
