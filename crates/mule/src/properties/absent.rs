//! Property files that are named, and are nowhere.
//!
//! Projects keep them out of their repositories. What they define may be given in another way, so only properties
//! without a value need them.

use std::collections::BTreeSet;

use fusebox_dataweave::Compat;
use fusebox_plan::dialect::{At, Notes, quote};

/// The number of properties that a message names.
const SHOWN: usize = 24;

/// The property files of an application that are nowhere.
#[derive(Default)]
pub(crate) struct Absent {
    /// The path of each as it is named, and the advice where to put it.
    pub files: Vec<(At<String>, String)>,
    /// The properties that are used and have no value, which such a file may define.
    pub wanted: BTreeSet<String>,
}

impl Absent {
    /// Reports the files: as errors if a property has no value, else as warnings. By Mule's own rules each is an error.
    pub fn tell(self, compat: Compat, notes: &mut Notes) {
        let wanted = self.wanted.iter().take(SHOWN);
        let wanted: Vec<String> = wanted.map(|key| format!("`--set {key}=VALUE`")).collect();
        for (path, advice) in self.files {
            let what = format!("the property file {} is missing", quote(&path.value));
            if compat == Compat::Strict {
                notes.error_about(path.at, "file", what, advice);
            } else if wanted.is_empty() {
                let what = format!("{what}, so its properties have no values");
                let mend = "put it into `src/main/resources`, or give them by `--set KEY=VALUE`";
                notes.warn(path.at, what, mend);
            } else {
                let mend = format!("{advice}; or give its properties: {}", wanted.join(", "));
                notes.error_about(path.at, "file", what, mend);
            }
        }
    }
}
