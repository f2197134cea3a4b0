//! The files of a project that expressions name: modules that they import, and data that they read.

use fusebox_dataweave::Library;
use fusebox_plan::dialect::Loader;

use crate::properties::{Kind, Names};

/// The resources of a project, as a value in one of its files sees them.
pub(super) struct ClassPath<'l> {
    /// The names of all files.
    pub names: &'l [&'l str],
    /// The index of the file with the value.
    pub file: usize,
    pub loader: &'l dyn Loader,
}

impl Library for ClassPath<'_> {
    fn text(&self, path: &str) -> Option<Result<String, String>> {
        let mut all: Vec<String> = self.names.iter().map(ToString::to_string).collect();
        let given = all.len();
        let names = Names {
            all: &mut all,
            given,
        };
        // Projects keep modules in either folder.
        let beside = format!("dwl/{path}");
        let is_module = path.ends_with(".dwl");
        let places = [Some(path), is_module.then_some(beside.as_str())];
        let mut places = places.into_iter().flatten();
        let there = |place: &&str| !names.is_missing(place, self.file, Kind::Resource, self.loader);
        let place = places.find(there)?;
        let text = names.text(place, self.file, Kind::Resource, self.loader);
        Some(text.map_err(|(what, _)| what))
    }
}
