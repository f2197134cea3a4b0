//! The entry point: from sources to a plan, or to diagnostics.

use crate::diagnostic::{Diagnostic, Notes, Place, quote};
use crate::dialect::{Claim, Conversion, Dialect, Document as AppDocument};
use crate::interpolate::{self, Loader};
use crate::native::{self, Draft};
use crate::plan::Plan;
use crate::tree::{self, Node};

/// One configuration file.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// The source's name in diagnostics: the path as the user gave it.
    pub name: &'a str,
    /// The content of the file, at most 1 MiB.
    pub text: &'a [u8],
}

/// The result of reading.
#[derive(Debug)]
pub struct Reading {
    /// The plan; `None` exactly if a diagnostic is an error.
    pub plan: Option<Plan>,
    /// All diagnostics, by source, line and column.
    pub diagnostics: Vec<Diagnostic>,
}

/// Reads native sources that together form one configuration: upstreams and routes add up, and each other key may occur
/// in one of the sources.
pub fn read(sources: &[Source<'_>], loader: &dyn Loader) -> Reading {
    read_as(&[], sources, loader)
}

/// Reads sources that together form one configuration, in the native form or in that of one of the `dialects`; a
/// source's content determines its form. An application stands alone, with one file or several as its dialect allows.
pub fn read_as(dialects: &[&dyn Dialect], sources: &[Source<'_>], loader: &dyn Loader) -> Reading {
    let mut notes = Notes::default();
    let documents = documents(dialects, sources, &mut notes);
    let mut names: Vec<String> = sources
        .iter()
        .map(|source| source.name.to_owned())
        .collect();
    let together = Together::of(&documents);
    let takes_bindings = match &together {
        Together::App(dialect) => dialects[*dialect].takes_bindings(),
        Together::Native | Together::Mixed => false,
    };
    if !takes_bindings {
        refuse_bindings(dialects, loader, &mut notes);
    }
    let plan = match together {
        Together::Native => {
            let nothing = sources.is_empty();
            Some(read_native(documents, nothing, loader, &mut notes))
        }
        Together::App(dialect) if sources.len() == 1 || dialects[dialect].takes_many() => {
            let documents = app_documents(&documents, sources);
            dialects[dialect].read(&documents, &mut names, loader, &mut notes)
        }
        Together::App(_) | Together::Mixed => {
            refuse_company(dialects, &documents, &mut notes);
            None
        }
    };
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    Reading {
        plan: plan.filter(|_| notes.errors() == 0),
        diagnostics: notes.finish(&names),
    }
}

/// Converts an application of one of the `dialects` to the native form.
///
/// The YAML does what the application does, as far as the native form can express it. Everything else is named at the
/// top of the YAML, and in the diagnostics with its place.
pub fn convert(
    dialects: &[&dyn Dialect],
    sources: &[Source<'_>],
    loader: &dyn Loader,
) -> Conversion {
    let mut notes = Notes::default();
    let names: Vec<&str> = sources.iter().map(|source| source.name).collect();
    let documents = documents(dialects, sources, &mut notes);
    if notes.errors() == 0 {
        match Together::of(&documents) {
            Together::App(dialect) if documents.len() == 1 || dialects[dialect].takes_many() => {
                let documents = app_documents(&documents, sources);
                let names = names.iter().map(|name| (*name).to_owned()).collect();
                return dialects[dialect].convert(&documents, names, loader, notes);
            }
            Together::Native => {
                let at = documents.first().map_or(START, Document::at);
                notes.error(
                    at,
                    "this is the native form already",
                    "name a Flogo or a Mule application",
                );
            }
            Together::App(_) | Together::Mixed => {
                let at = documents.get(1).map_or(START, Document::at);
                notes.error(
                    at,
                    "one application is converted at a time",
                    "name its files alone",
                );
            }
        }
    }
    Conversion {
        yaml: None,
        diagnostics: notes.finish(&names),
    }
}

/// The beginning of the first source.
const START: Place = Place {
    file: 0,
    line: 1,
    col: 1,
};

/// A source, parsed as far as its form requires.
struct Document<'a> {
    file: usize,
    text: &'a str,
    form: Form,
}

/// The form of a document.
enum Form {
    Native(Node),
    /// The form of the dialect with this index.
    App(usize),
}

impl Document<'_> {
    fn at(&self) -> Place {
        match &self.form {
            Form::Native(root) => root.at,
            Form::App(_) => Place {
                file: self.file,
                ..START
            },
        }
    }
}

/// The form of all documents together.
#[derive(Clone, Copy)]
enum Together {
    Native,
    /// Only documents of the dialect with this index.
    App(usize),
    Mixed,
}

impl Together {
    fn of(documents: &[Document<'_>]) -> Together {
        let mut forms = documents.iter().map(|document| match document.form {
            Form::Native(_) => Together::Native,
            Form::App(dialect) => Together::App(dialect),
        });
        let first = forms.next().unwrap_or(Together::Native);
        let same = |form| match (first, form) {
            (Together::Native, Together::Native) => true,
            (Together::App(one), Together::App(other)) => one == other,
            _ => false,
        };
        if forms.all(same) {
            first
        } else {
            Together::Mixed
        }
    }
}

fn app_documents<'a>(documents: &[Document<'a>], sources: &[Source<'a>]) -> Vec<AppDocument<'a>> {
    documents
        .iter()
        .map(|document| AppDocument {
            file: document.file,
            name: sources[document.file].name,
            text: document.text,
        })
        .collect()
}

fn documents<'a>(
    dialects: &[&dyn Dialect],
    sources: &[Source<'a>],
    notes: &mut Notes,
) -> Vec<Document<'a>> {
    sources
        .iter()
        .enumerate()
        .filter_map(|(file, source)| document(dialects, file, source, notes))
        .collect()
}

fn read_native(
    documents: Vec<Document<'_>>,
    nothing: bool,
    loader: &dyn Loader,
    notes: &mut Notes,
) -> Plan {
    let mut draft = Draft::default();
    for document in documents {
        let Form::Native(mut root) = document.form else {
            continue;
        };
        let lines: Vec<&str> = document.text.split('\n').collect();
        interpolate::fill(&mut root, &lines, loader, notes);
        draft.add(&root, &lines, loader, notes);
    }
    if nothing {
        notes.error(START, "no configuration is given", "name a file");
    }
    native::check(draft, START, notes)
}

/// Refuses `--bind` for applications without open addresses.
fn refuse_bindings(dialects: &[&dyn Dialect], loader: &dyn Loader, notes: &mut Notes) {
    let takers = dialects.iter().filter(|dialect| dialect.takes_bindings());
    let takers: Vec<_> = takers.map(|dialect| dialect.name()).collect();
    let takers = if takers.is_empty() {
        "other".to_owned()
    } else {
        takers.join(" or ")
    };
    for (name, _) in loader.bindings() {
        notes.error(
            START,
            format!(
                "{} sets an address of a {takers} application, and this is another form",
                quote(&format!("--bind {name}"))
            ),
            "remove it",
        );
    }
}

/// Refuses files beside an application, since they could change the meaning of its names.
fn refuse_company(dialects: &[&dyn Dialect], documents: &[Document<'_>], notes: &mut Notes) {
    let mut several = documents.iter().filter_map(|document| match document.form {
        Form::App(dialect) if dialects[dialect].takes_many() => Some(dialects[dialect].name()),
        _ => None,
    });
    let whole = several.next();
    for document in documents {
        match (&document.form, whole) {
            (Form::App(dialect), _) if !dialects[*dialect].takes_many() => notes.error(
                document.at(),
                format!(
                    "this is a {} application, which cannot be combined with other files",
                    dialects[*dialect].name()
                ),
                "run each application by itself, or `fusebox convert` it and keep native files together",
            ),
            (Form::Native(_), Some(whole)) => notes.error(
                document.at(),
                format!("this is not part of the {whole} application beside it"),
                "run each by itself, or `fusebox convert` the application and keep native files together",
            ),
            _ => {}
        }
    }
}

/// Parses a source; `None` after an error, which is in the notes.
fn document<'a>(
    dialects: &[&dyn Dialect],
    file: usize,
    source: &Source<'a>,
    notes: &mut Notes,
) -> Option<Document<'a>> {
    let start = Place {
        file,
        line: 1,
        col: 1,
    };
    if source.text.len() > tree::BYTES_MAX {
        let what = format!(
            "the file has {} bytes, more than {}",
            source.text.len(),
            tree::BYTES_MAX
        );
        notes.error(start, what, "split it into several files");
        return None;
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
            return None;
        }
    };
    for (number, dialect) in dialects.iter().enumerate() {
        match dialect.claim(text, file, notes) {
            Claim::None => {}
            Claim::Refused => return None,
            Claim::Application => {
                return Some(Document {
                    file,
                    text,
                    form: Form::App(number),
                });
            }
        }
    }
    let root = tree::parse(text, file, notes)?;
    for dialect in dialects {
        if let Some((what, mend)) = dialect.mistaken(&root) {
            notes.error(root.at, what, mend);
            return None;
        }
    }
    Some(Document {
        file,
        text,
        form: Form::Native(root),
    })
}
