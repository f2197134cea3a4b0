//! Flogo as a dialect: applications in one JSON document.

use fusebox_plan::dialect::{self, Claim, Document, Loader, Node, Notes, parse_tree};
use fusebox_plan::{Conversion, Plan};

use crate::read::app::{self, Application, is_application};
use crate::read::located::{self, NotJson};

/// The dialect of Project Flogo's applications.
#[derive(Debug, Clone, Copy, Default)]
pub struct Dialect;

impl dialect::Dialect for Dialect {
    fn name(&self) -> &'static str {
        "Flogo"
    }

    fn claim(&self, text: &str, file: usize, notes: &mut Notes) -> Claim {
        if !text.trim_start().starts_with('{') {
            return Claim::None;
        }
        match located::parse(text, file) {
            Ok(root) if is_application(&root) => Claim::Application,
            Ok(root) if root.entry("mashling_schema").is_some() => {
                let what = "this is a gateway of Mashling, which is not read";
                let mend = "write it as an application of its successor, Flogo's microgateway: `\"type\": \"flogo:app\"`";
                notes.error(root.at, what, mend);
                Claim::Refused
            }
            Ok(_) => Claim::None,
            Err(fault) => broken(text, file, &fault, notes),
        }
    }

    fn mistaken(&self, root: &Node) -> Option<(&'static str, &'static str)> {
        is_application(root).then_some((
            "a Flogo application must be JSON, found YAML",
            "convert the file to JSON",
        ))
    }

    fn takes_many(&self) -> bool {
        false
    }

    fn read(
        &self,
        documents: &[Document<'_>],
        files: &mut Vec<String>,
        loader: &dyn Loader,
        notes: &mut Notes,
    ) -> Option<Plan> {
        let application = application(documents, files, loader, notes)?;
        *files = application.files;
        Some(application.plan)
    }

    fn convert(
        &self,
        documents: &[Document<'_>],
        files: Vec<String>,
        loader: &dyn Loader,
        mut notes: Notes,
    ) -> Conversion {
        let application = application(documents, &files, loader, &mut notes);
        let Some(application) = application.filter(|_| notes.errors() == 0) else {
            let names: Vec<&str> = files.iter().map(String::as_str).collect();
            return Conversion {
                yaml: None,
                diagnostics: notes.finish(&names),
            };
        };
        let (yaml, diagnostics) =
            crate::convert::convert(&application, loader.accepts_losses(), notes);
        Conversion { yaml, diagnostics }
    }
}

fn application(
    documents: &[Document<'_>],
    files: &[String],
    loader: &dyn Loader,
    notes: &mut Notes,
) -> Option<Application> {
    let [document] = documents else { return None };
    match located::parse(document.text, document.file) {
        Ok(root) => Some(app::read(root, files, document.text, loader, notes)),
        // A claimed document is JSON.
        Err(fault) => refuse(&fault, notes),
    }
}

/// Decides about a text in braces that is not JSON: native YAML, unless it looks like an application with a fault.
fn broken(text: &str, file: usize, fault: &NotJson, notes: &mut Notes) -> Claim {
    let root = parse_tree(text, file, &mut Notes::default());
    let mut marks = ["\"flogo:", "\"triggers\"", "\"resources\""].iter();
    let native = match &root {
        Some(root) => !is_application(root),
        None => !marks.any(|mark| text.contains(mark)),
    };
    match native {
        true => Claim::None,
        false => refuse(fault, notes).unwrap_or(Claim::Refused),
    }
}

fn refuse<T>(fault: &NotJson, notes: &mut Notes) -> Option<T> {
    let what = format!("the application is not valid JSON: {}", fault.what);
    notes.refuse(fault.at, what, "correct it here or just before")
}
