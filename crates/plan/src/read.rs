//! The way in: sources to a plan, or to diagnostics.

use crate::diagnostic::{Diagnostic, Notes, Place, quote};
use crate::flogo::{self, Application};
use crate::interpolate::{self, Loader};
use crate::mule;
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
/// Several native sources are one configuration in parts: upstreams and routes add up, and each of
/// the other keys may be in one of them. A Flogo application stands alone. Several Mule files are one
/// application, beside which nothing else stands.
pub fn read(sources: &[Source<'_>], loader: &dyn Loader) -> Reading {
    let mut notes = Notes::default();
    let documents: Vec<Document<'_>> = sources
        .iter()
        .enumerate()
        .filter_map(|(file, source)| document(file, source, &mut notes))
        .collect();
    let mut names: Vec<String> = sources
        .iter()
        .map(|source| source.name.to_owned())
        .collect();
    let company = company(&documents);
    if !matches!(company, Company::Mule) {
        refuse_bindings(loader, &mut notes);
    }
    let plan = match company {
        Company::Native => {
            let nothing = sources.is_empty();
            Some(read_native(documents, nothing, loader, &mut notes))
        }
        Company::Flogo(document, root) if sources.len() == 1 => {
            let Application { plan, files, .. } =
                read_flogo(document, root, sources, loader, &mut notes);
            names = files;
            Some(plan)
        }
        Company::Mule => read_mule(&documents, &mut names, loader, &mut notes),
        Company::Flogo(..) | Company::Mixed => {
            refuse_company(&documents, &mut notes);
            None
        }
    };
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    Reading {
        plan: plan.filter(|_| notes.errors() == 0),
        diagnostics: notes.finish(&names),
    }
}

/// What came of converting.
#[derive(Debug)]
pub struct Conversion {
    /// Native YAML; `None` where nothing could be said in it, or a diagnostic is an error.
    pub yaml: Option<String>,
    /// What was found in the sources, and everything that the YAML does not carry.
    pub diagnostics: Vec<Diagnostic>,
}

/// Writes an application of another dialect in the native form.
///
/// The YAML does what the application does as far as the native form can say it; whatever it cannot is
/// named at its top, and in the diagnostics with its place.
pub fn convert(sources: &[Source<'_>], loader: &dyn Loader) -> Conversion {
    let mut notes = Notes::default();
    let names: Vec<&str> = sources.iter().map(|source| source.name).collect();
    let refuse = |notes: Notes| Conversion {
        yaml: None,
        diagnostics: notes.finish(&names),
    };
    let documents: Vec<Document<'_>> = sources
        .iter()
        .enumerate()
        .filter_map(|(file, source)| document(file, source, &mut notes))
        .collect();
    if notes.errors() > 0 {
        return refuse(notes);
    }
    let (document, root) = match company(&documents) {
        Company::Flogo(document, root) => (document, root),
        Company::Mule => return convert_mule(&documents, loader, notes, &names),
        Company::Native => {
            let at = documents.first().map_or(START, Document::at);
            notes.error(
                at,
                "this is the native form already",
                "name a Flogo or a Mule application",
            );
            return refuse(notes);
        }
        Company::Mixed => {
            let at = documents.get(1).map_or(START, Document::at);
            notes.error(
                at,
                "one application is converted at a time",
                "name its files alone",
            );
            return refuse(notes);
        }
    };
    let app = read_flogo(document, root, sources, loader, &mut notes);
    if notes.errors() > 0 {
        let names: Vec<&str> = app.files.iter().map(String::as_str).collect();
        return Conversion {
            yaml: None,
            diagnostics: notes.finish(&names),
        };
    }
    let (yaml, diagnostics) = flogo::convert(&app, notes);
    Conversion { yaml, diagnostics }
}

fn convert_mule(
    documents: &[Document<'_>],
    loader: &dyn Loader,
    mut notes: Notes,
    names: &[&str],
) -> Conversion {
    let mut names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let plan = read_mule(documents, &mut names, loader, &mut notes);
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let app = plan
        .and_then(|plan| plan.program::<mule::app::App>())
        .filter(|_| notes.errors() == 0);
    let (yaml, diagnostics) = match app {
        Some(app) => mule::convert(&app, &names, notes),
        None => (None, notes.finish(&names)),
    };
    Conversion { yaml, diagnostics }
}

/// Where the first source begins.
const START: Place = Place {
    file: 0,
    line: 1,
    col: 1,
};

/// A source, parsed as far as its form asks for.
struct Document<'a> {
    file: usize,
    text: &'a str,
    form: Form,
}

/// Whose form a document has.
enum Form {
    Native(Node),
    Flogo(Node),
    /// Its files are parsed together.
    Mule,
}

impl Document<'_> {
    fn at(&self) -> Place {
        match &self.form {
            Form::Native(root) | Form::Flogo(root) => root.at,
            Form::Mule => Place {
                file: self.file,
                ..START
            },
        }
    }
}

/// Which forms stand beside one another.
enum Company<'d, 'a> {
    Native,
    Flogo(&'d Document<'a>, &'d Node),
    Mule,
    /// Several forms, or several Flogo applications.
    Mixed,
}

fn company<'d, 'a>(documents: &'d [Document<'a>]) -> Company<'d, 'a> {
    let are_all = |is: fn(&Form) -> bool| documents.iter().all(|document| is(&document.form));
    if are_all(|form| matches!(form, Form::Native(_))) {
        return Company::Native;
    }
    if are_all(|form| matches!(form, Form::Mule)) {
        return Company::Mule;
    }
    match documents {
        [
            document @ Document {
                form: Form::Flogo(root),
                ..
            },
        ] => Company::Flogo(document, root),
        _ => Company::Mixed,
    }
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
        notes.error(START, "there is no configuration", "name a file");
    }
    native::check(draft, START, notes)
}

fn read_flogo(
    document: &Document<'_>,
    root: &Node,
    sources: &[Source<'_>],
    loader: &dyn Loader,
    notes: &mut Notes,
) -> Application {
    let name = sources[document.file].name;
    flogo::read(root.clone(), name, document.text, loader, notes)
}

fn read_mule(
    documents: &[Document<'_>],
    names: &mut Vec<String>,
    loader: &dyn Loader,
    notes: &mut Notes,
) -> Option<Plan> {
    let texts: Vec<(usize, &str)> = documents
        .iter()
        .map(|document| (document.file, document.text))
        .collect();
    let written = mule::read(&texts, names, loader, notes)?;
    let files: Vec<&str> = names.iter().map(String::as_str).collect();
    let setting = mule::Setting {
        files: &files,
        properties: written.properties,
        bindings: &loader.bindings(),
        compat: loader.compat(),
    };
    Some(mule::lower(written.elements, setting, notes))
}

/// Only a Mule application leaves addresses open.
fn refuse_bindings(loader: &dyn Loader, notes: &mut Notes) {
    for (name, _) in loader.bindings() {
        notes.error(
            START,
            format!(
                "{} gives an address to a Mule application, and this is none",
                quote(&format!("--bind {name}"))
            ),
            "leave it out",
        );
    }
}

/// An application is a whole; what stands beside it would change what its names mean.
fn refuse_company(documents: &[Document<'_>], notes: &mut Notes) {
    let some_mule = documents
        .iter()
        .any(|document| matches!(document.form, Form::Mule));
    for document in documents {
        match document.form {
            Form::Flogo(_) => notes.error(
                document.at(),
                "this is a Flogo application, and it stands alone: there are other files beside it",
                "run each application by itself, or `fusebox convert` it and keep native files together",
            ),
            Form::Native(_) if some_mule => notes.error(
                document.at(),
                "this is no part of the Mule application that it stands beside",
                "run each by itself, or `fusebox convert` the application and keep native files together",
            ),
            _ => {}
        }
    }
}

/// Parses a source; `None` if it cannot be, which is then in the notes.
fn document<'a>(file: usize, source: &Source<'a>, notes: &mut Notes) -> Option<Document<'a>> {
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
    // `<` alone may also begin a (refused) merge key.
    let markup =
        |text: &str| text.starts_with(|c: char| c.is_alphabetic() || matches!(c, '?' | '!' | '/'));
    if text.trim_start().strip_prefix('<').is_some_and(markup) {
        return Some(Document {
            file,
            text,
            form: Form::Mule,
        });
    }
    let root = if text.trim_start().starts_with('{') {
        match flogo::parse(text, file) {
            Ok(root) if flogo::is_application(&root) => {
                return Some(Document {
                    file,
                    text,
                    form: Form::Flogo(root),
                });
            }
            Ok(_) => tree::parse(text, file, notes)?,
            // It may be YAML in braces, which is a native form.
            Err(fault) => braces(text, file, fault, notes)?,
        }
    } else {
        tree::parse(text, file, notes)?
    };
    if flogo::is_application(&root) {
        notes.error(
            root.at,
            "this is a Flogo application in YAML, and those are written in JSON",
            "convert the file to JSON",
        );
        return None;
    }
    Some(Document {
        file,
        text,
        form: Form::Native(root),
    })
}

/// A text in braces that is not JSON: native YAML, unless it is an application with a fault.
fn braces(text: &str, file: usize, fault: flogo::NotJson, notes: &mut Notes) -> Option<Node> {
    let mut said = Notes::default();
    let root = tree::parse(text, file, &mut said);
    let looks_so = ["\"flogo:", "\"triggers\"", "\"resources\""]
        .iter()
        .any(|mark| text.contains(mark));
    match root {
        Some(root) if !flogo::is_application(&root) => {
            notes.append(said);
            Some(root)
        }
        None if !looks_so => {
            notes.append(said);
            None
        }
        _ => {
            notes.error(
                fault.at,
                format!("the application is not JSON: {}", fault.what),
                "correct it here or just before",
            );
            None
        }
    }
}
