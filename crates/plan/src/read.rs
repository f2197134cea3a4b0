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
    /// The constructs of an application that run, such as elements, each with its count, the most frequent first; empty
    /// where its dialect does not count them.
    pub runs: Vec<(String, usize)>,
    /// The constructs that errors are about, each with its count, the most frequent first; `other` counts the errors
    /// about no single construct. One diagnostic may tell several of them.
    pub blocks: Vec<(String, usize)>,
}

/// Reads native sources that together form one configuration: upstreams and routes add up, and each other key may occur
/// in one of the sources.
pub fn read(sources: &[Source<'_>], loader: &dyn Loader) -> Reading {
    read_as(&[], sources, loader)
}

/// Reads sources that together form one configuration, of the native form or of one of the `dialects`. The form of each
/// source is told by its content. There is one application at most, and whether it may have several files is its dialect's
/// to say; native files beside it say what stands before its own requests.
pub fn read_as(dialects: &[&dyn Dialect], sources: &[Source<'_>], loader: &dyn Loader) -> Reading {
    read_all(dialects, sources, false, loader)
}

/// Like [`read_as`], with the keys that have no effect yet, for the tests of their reading.
#[doc(hidden)]
pub fn read_ahead(
    dialects: &[&dyn Dialect],
    sources: &[Source<'_>],
    loader: &dyn Loader,
) -> Reading {
    read_all(dialects, sources, true, loader)
}

/// Reads sources; `ahead` keeps the keys that have no effect yet.
fn read_all(
    dialects: &[&dyn Dialect],
    sources: &[Source<'_>],
    ahead: bool,
    loader: &dyn Loader,
) -> Reading {
    let mut notes = Notes::default();
    let documents = documents(dialects, sources, &mut notes);
    let mut names: Vec<String> = sources.iter().map(|it| it.name.to_owned()).collect();
    let together = Together::of(&documents);
    // An application's own files have the first numbers.
    let is_app = |file| documents.iter().any(|it| it.file == file && it.is_app());
    let mut order: Vec<usize> = (0..sources.len()).collect();
    order.sort_by_key(|file| !is_app(*file));
    if matches!(together, Together::App(_)) && !order.is_sorted() {
        let sources: Vec<_> = order.into_iter().map(|file| sources[file]).collect();
        return read_all(dialects, &sources, ahead, loader);
    }
    let takes_bindings = match &together {
        Together::App(dialect) => dialects[*dialect].takes_bindings(),
        Together::Native | Together::Mixed | Together::Broken => false,
    };
    if !takes_bindings {
        refuse_bindings(dialects, loader, &mut notes);
    }
    let plan = match together {
        Together::Native => {
            let nothing = sources.is_empty();
            Some(read_native(documents, nothing, ahead, loader, &mut notes))
        }
        Together::App(dialect) if one_application(dialects[dialect], &documents) => {
            let apps = app_documents(&documents, sources);
            let faults = notes.errors();
            let mut plan = dialects[dialect].read(&apps, &mut names, loader, &mut notes);
            if documents.iter().any(|document| !document.is_app()) {
                // The names in an application with a mistake may not be all of them.
                let sound = notes.errors() == faults;
                let draft = drafted(documents, ahead, loader, &mut notes);
                native::put_before(draft, plan.as_mut().filter(|_| sound), &mut notes);
            }
            plan
        }
        Together::Broken => {
            let draft = drafted(documents, ahead, loader, &mut notes);
            native::put_before(draft, None, &mut notes);
            None
        }
        Together::App(_) | Together::Mixed => {
            refuse_company(dialects, &documents, &mut notes);
            None
        }
    };
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    Reading {
        runs: notes.runs(),
        blocks: notes.blocks(),
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
            Together::App(dialect)
                if documents.iter().all(Document::is_app)
                    && one_application(dialects[dialect], &documents) =>
            {
                let documents = app_documents(&documents, sources);
                let names = names.iter().map(|name| (*name).to_owned()).collect();
                return dialects[dialect].convert(&documents, names, loader, notes);
            }
            Together::Native => {
                let at = documents.first().map_or(START, Document::at);
                let mend = "name a Flogo or a Mule application";
                notes.error(at, "this is the native form already", mend);
            }
            Together::App(dialect) if one_application(dialects[dialect], &documents) => {
                let native = documents.iter().find(|document| !document.is_app());
                notes.error(
                    native.map_or(START, Document::at),
                    "this file stands beside the application, which is converted by itself",
                    "run `convert` without it, then add its `timeout` and `breaker` to the upstreams in the output",
                );
            }
            Together::App(_) | Together::Mixed | Together::Broken => {
                let at = documents.get(1).map_or(START, Document::at);
                let what = "one application is converted at a time";
                notes.error(at, what, "name its files alone");
            }
        }
    }
    Conversion {
        yaml: None,
        diagnostics: notes.finish(&names),
    }
}

/// The beginning of the first source.
const START: Place = Place::start(0);

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
    /// An application that cannot be read.
    Broken,
}

impl Document<'_> {
    fn is_app(&self) -> bool {
        matches!(self.form, Form::App(_))
    }

    fn at(&self) -> Place {
        match &self.form {
            Form::Native(root) => root.at,
            Form::App(_) | Form::Broken => Place::start(self.file),
        }
    }
}

/// The form of all documents together.
#[derive(Clone, Copy)]
enum Together {
    /// Native documents alone.
    Native,
    /// Documents of the dialect with this number, and perhaps native ones.
    App(usize),
    /// Documents of several dialects.
    Mixed,
    /// An application that cannot be read, and perhaps native documents.
    Broken,
}

impl Together {
    fn of(documents: &[Document<'_>]) -> Together {
        let forms = documents.iter().map(|document| &document.form);
        if forms.clone().any(|form| matches!(form, Form::Broken)) {
            return Together::Broken;
        }
        let mut dialects = forms.filter_map(|form| match form {
            Form::Native(_) | Form::Broken => None,
            Form::App(dialect) => Some(*dialect),
        });
        match dialects.next() {
            None => Together::Native,
            Some(first) if dialects.all(|other| other == first) => Together::App(first),
            Some(_) => Together::Mixed,
        }
    }
}

/// True if the documents of a dialect are one application.
fn one_application(dialect: &dyn Dialect, documents: &[Document<'_>]) -> bool {
    dialect.takes_many() || documents.iter().filter(|it| it.is_app()).count() == 1
}

fn app_documents<'a>(documents: &[Document<'a>], sources: &[Source<'a>]) -> Vec<AppDocument<'a>> {
    let apps = documents.iter().filter(|document| document.is_app());
    apps.map(|document| AppDocument {
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
    let numbered = sources.iter().enumerate();
    numbered
        .filter_map(|(file, source)| document(dialects, file, source, notes))
        .collect()
}

fn read_native(
    documents: Vec<Document<'_>>,
    nothing: bool,
    ahead: bool,
    loader: &dyn Loader,
    notes: &mut Notes,
) -> Plan {
    let draft = drafted(documents, ahead, loader, notes);
    if nothing {
        notes.error(START, "there is no configuration", "name a file");
    }
    native::check(draft, START, notes)
}

/// The draft of the native documents; `ahead` keeps the keys that have no effect yet.
fn drafted(
    documents: Vec<Document<'_>>,
    ahead: bool,
    loader: &dyn Loader,
    notes: &mut Notes,
) -> Draft {
    let mut draft = Draft::default();
    for document in documents {
        let Form::Native(mut root) = document.form else {
            continue;
        };
        let lines: Vec<&str> = document.text.split('\n').collect();
        if !ahead {
            native::strip(&mut root, notes);
        }
        interpolate::fill(&mut root, &lines, loader, notes);
        draft.add(&root, &lines, loader, notes);
    }
    draft
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
        let option = quote(&format!("--bind {name}"));
        let what =
            format!("{option} sets an address of a {takers} application, and this is another form");
        notes.error(START, what, "remove it");
    }
}

/// An application is a whole; another one beside it would change what its names mean.
fn refuse_company(dialects: &[&dyn Dialect], documents: &[Document<'_>], notes: &mut Notes) {
    for document in documents {
        if let Form::App(dialect) = document.form
            && !dialects[dialect].takes_many()
        {
            let name = dialects[dialect].name();
            notes.error(
                document.at(),
                format!("this is a {name} application, and there is another application beside it"),
                "run each application by itself; native files may stand beside one",
            );
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
    let start = Place::start(file);
    if source.text.len() > tree::BYTES_MAX {
        let (length, most) = (source.text.len(), tree::BYTES_MAX);
        let what = format!("the file has {length} bytes, more than {most}");
        return notes.refuse(start, what, "split it into several files");
    }
    let text = match std::str::from_utf8(source.text) {
        Ok(text) => text.strip_prefix('\u{feff}').unwrap_or(text),
        Err(error) => {
            let valid = String::from_utf8_lossy(&source.text[..error.valid_up_to()]);
            let line = valid.matches('\n').count() + 1;
            let col = valid.chars().rev().take_while(|c| *c != '\n').count() + 1;
            let clamp = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
            let (line, col) = (clamp(line), clamp(col));
            let at = Place { file, line, col };
            return notes.refuse(at, "the file is not valid UTF-8 here", "save it as UTF-8");
        }
    };
    let of = |form| Some(Document { file, text, form });
    for (number, dialect) in dialects.iter().enumerate() {
        match dialect.claim(text, file, notes) {
            Claim::None => {}
            Claim::Refused => return of(Form::Broken),
            Claim::Application => return of(Form::App(number)),
        }
    }
    let root = tree::parse(text, file, notes)?;
    for dialect in dialects {
        if let Some((what, mend)) = dialect.mistaken(&root) {
            return notes.refuse(root.at, what, mend);
        }
    }
    of(Form::Native(root))
}
