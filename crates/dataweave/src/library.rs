//! The files around a script: modules of its own project, and data that it reads.

/// The class path of a script.
pub trait Library {
    /// The text of the file at a path such as `modules/tea.dwl`; `None`: there is none.
    ///
    /// # Errors
    /// The reason why the file cannot be read.
    fn text(&self, path: &str) -> Option<Result<String, String>>;
}

/// A class path without files.
#[derive(Debug, Clone, Copy)]
pub struct Empty;

impl Library for Empty {
    fn text(&self, _: &str) -> Option<Result<String, String>> {
        None
    }
}
