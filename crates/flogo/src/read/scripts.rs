//! The script of a `jsexec` activity, compiled once to report syntax errors.

use std::sync::Arc;

use fusebox_plan::dialect::Notes;

use crate::read::settings::Settings;

/// The text of the script, empty where it is missing. In the original one that does not compile is an output of each run.
pub(crate) fn script(settings: &Settings<'_>, notes: &mut Notes) -> Arc<str> {
    let text = settings.text("script").unwrap_or_default();
    #[cfg(feature = "script")]
    if let Some(fault) = crate::script::fault(&text) {
        let what = format!("the script does not compile: {fault}");
        let mend = "correct it: until then every run has this as its `errorMessage`";
        notes.warn(settings.place("script"), what, mend);
    }
    #[cfg(not(feature = "script"))]
    let _ = notes;
    text.into()
}
