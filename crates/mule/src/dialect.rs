//! Mule as a configuration dialect: XML in one or more files.

use std::sync::Arc;

use fusebox_plan::dialect::{self, Claim, Document, Loader, Notes};
use fusebox_plan::{Conversion, Plan, Reading, Source};

use crate::app::App;
use crate::lower::{LowerInput, lower};
use crate::written;

/// The dialect of Mule 4 applications.
#[derive(Debug, Clone, Copy, Default)]
pub struct Dialect;

/// Reads sources as the native form or as a Mule application, depending on their content.
pub fn read(sources: &[Source<'_>], loader: &dyn Loader) -> Reading {
    fusebox_plan::read_as(&[&Dialect], sources, loader)
}

/// Converts a Mule application to the native form.
pub fn convert(sources: &[Source<'_>], loader: &dyn Loader) -> Conversion {
    fusebox_plan::convert(&[&Dialect], sources, loader)
}

impl dialect::Dialect for Dialect {
    fn name(&self) -> &'static str {
        "Mule"
    }

    fn claim(&self, text: &str, _file: usize, _notes: &mut Notes) -> Claim {
        // `<` alone may also begin a (refused) merge key.
        let markup = |text: &str| {
            text.starts_with(|c: char| c.is_alphabetic() || matches!(c, '?' | '!' | '/'))
        };
        match text.trim_start().strip_prefix('<').is_some_and(markup) {
            true => Claim::Application,
            false => Claim::None,
        }
    }

    fn takes_many(&self) -> bool {
        true
    }

    fn takes_bindings(&self) -> bool {
        true
    }

    fn read(
        &self,
        documents: &[Document<'_>],
        files: &mut Vec<String>,
        loader: &dyn Loader,
        notes: &mut Notes,
    ) -> Option<Plan> {
        // The order of the files changes nothing.
        let mut documents = documents.to_vec();
        documents.sort_by(|one, other| one.name.cmp(other.name));
        let texts: Vec<(usize, &str)> = documents.iter().map(|it| (it.file, it.text)).collect();
        let app_name = app_name(documents.first().map_or("", |first| first.name));
        let written = written::read(&texts, files, loader, notes)?;
        let names: Vec<&str> = files.iter().map(String::as_str).collect();
        let setting = LowerInput {
            name: app_name,
            files: &names,
            properties: written.properties,
            bindings: &loader.bindings(),
            compat: written::compat(loader),
            is_partial: written.is_partial,
            loader,
            outlook: crate::convert::outlook,
            modules: &written.modules,
        };
        Some(lower(written.elements, setting, notes))
    }

    fn convert(
        &self,
        documents: &[Document<'_>],
        mut files: Vec<String>,
        loader: &dyn Loader,
        mut notes: Notes,
    ) -> Conversion {
        let plan = self.read(documents, &mut files, loader, &mut notes);
        let names: Vec<&str> = files.iter().map(String::as_str).collect();
        let app = plan.and_then(|plan| plan.program::<App>());
        match app.filter(|_| notes.errors() == 0) {
            Some(app) => crate::convert::convert(&app, &names, loader.accepts_losses(), notes),
            None => Conversion {
                yaml: None,
                diagnostics: notes.finish(&names),
            },
        }
    }
}

/// The application's name: that of its project's folder, or else that of its first file without extension.
fn app_name(file: &str) -> Arc<str> {
    let base = |path: &str| path.rsplit(['/', '\\']).next().unwrap_or(path).to_owned();
    if let Some((project, _)) = file.rsplit_once("/src/main/mule/") {
        let name = base(project);
        if !name.trim_matches('.').is_empty() {
            return name.into();
        }
    }
    let name = base(file);
    name.strip_suffix(".xml").unwrap_or(&name).into()
}
