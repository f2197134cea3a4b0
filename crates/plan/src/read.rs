//! The way in: sources to a plan, or to diagnostics.

use crate::diagnostic::{Diagnostic, Notes, Place};
use crate::interpolate::{self, Loader};
use crate::native::{self, Draft};
use crate::plan::Plan;
use crate::tree::{self, Node};

/// One configuration file.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// What diagnostics call it: the path as the user gave it.
    pub name: &'a str,
    /// Its content, as it was read; at most 1 MiB.
    pub text: &'a [u8],
}

/// What came of reading.
#[derive(Debug)]
pub struct Reading {
    /// The plan; `None` exactly if a diagnostic is an error.
    pub plan: Option<Plan>,
    /// Everything that was found, by source, line and column.
    pub diagnostics: Vec<Diagnostic>,
}

/// Reads sources that together form one configuration. The form of each is told by its content.
///
/// Several sources are one configuration in parts: upstreams and routes add up, and each of the
/// other keys may be in one of them.
pub fn read(sources: &[Source<'_>], loader: &dyn Loader) -> Reading {
    let mut notes = Notes::default();
    let mut draft = Draft::default();
    for (file, source) in sources.iter().enumerate() {
        read_one(file, source, loader, &mut draft, &mut notes);
    }
    let start = Place {
        file: 0,
        line: 1,
        col: 1,
    };
    if sources.is_empty() {
        notes.error(start, "there is no configuration", "name a file");
    }
    let plan = native::check(draft, start, &mut notes);
    let plan = (notes.errors() == 0).then_some(plan);
    let names: Vec<&str> = sources.iter().map(|source| source.name).collect();
    Reading {
        plan,
        diagnostics: notes.finish(&names),
    }
}

fn read_one(
    file: usize,
    source: &Source<'_>,
    loader: &dyn Loader,
    draft: &mut Draft,
    notes: &mut Notes,
) {
    let start = Place {
        file,
        line: 1,
        col: 1,
    };
    if source.text.len() > tree::BYTES_MAX {
        let what = format!(
            "the file has {} bytes, and may have {}",
            source.text.len(),
            tree::BYTES_MAX
        );
        notes.error(start, what, "split it into several files");
        return;
    }
    let text = match std::str::from_utf8(source.text) {
        Ok(text) => text.strip_prefix('\u{feff}').unwrap_or(text),
        Err(error) => {
            let valid = String::from_utf8_lossy(&source.text[..error.valid_up_to()]);
            let line = valid.matches('\n').count() + 1;
            let col = valid.chars().rev().take_while(|c| *c != '\n').count() + 1;
            let clamp = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
            notes.error(
                Place {
                    file,
                    line: clamp(line),
                    col: clamp(col),
                },
                "the file is not valid UTF-8 here",
                "save it as UTF-8",
            );
            return;
        }
    };
    // `<` alone may also begin a (refused) merge key.
    let markup =
        |text: &str| text.starts_with(|c: char| c.is_alphabetic() || matches!(c, '?' | '!'));
    if text.trim_start().strip_prefix('<').is_some_and(markup) {
        notes.error(
            start,
            "this is XML, as a Mule application is, and Mule applications are not supported yet",
            "write the configuration in the native form",
        );
        return;
    }
    let Some(mut root) = tree::parse(text, file, notes) else {
        return;
    };
    if is_flogo(&root) {
        notes.error(
            root.at,
            "this is a Flogo application, and Flogo applications are not supported yet",
            "write the configuration in the native form",
        );
        return;
    }
    let lines: Vec<&str> = text.split('\n').collect();
    interpolate::fill(&mut root, &lines, loader, notes);
    draft.add(&root, &lines, notes);
}

/// A Flogo application says so by its type, or by its triggers and resources.
fn is_flogo(root: &Node) -> bool {
    let typed = root
        .entry("type")
        .is_some_and(|entry| entry.value.describe().starts_with("`flogo:"));
    typed
        || (root.entry("triggers").is_some() && root.entry("upstreams").is_none())
        || (root.entry("resources").is_some() && root.entry("upstreams").is_none())
}
