//! Values of properties from outside the application: environment variables and files, as
//! `FLOGO_APP_PROPS_ENV` and `FLOGO_APP_PROPS_JSON` ask for them.

use std::collections::HashMap;

use fusebox_plan::dialect::{Loader, Notes, Place, quote};

use crate::read::secret;
use crate::{Map, Numbers, Value};

const ENV: &str = "FLOGO_APP_PROPS_ENV";
const FILES: &str = "FLOGO_APP_PROPS_JSON";
const ORDER: &str = "FLOGO_APP_PROP_RESOLVERS";
/// The variable of older documents, which core 1.x ignores.
const OVERRIDE: &str = "FLOGO_APP_PROPS_OVERRIDE";

/// The sources of properties' values outside the application, the strongest first.
#[derive(Debug, Default)]
pub(crate) struct Outside(Vec<Source>);

#[derive(Debug)]
enum Source {
    /// Variables under the names of the properties: exactly, with `_` for each `.`, and that in capitals.
    Auto,
    /// The names of variables, by property.
    Variables(HashMap<String, String>),
    /// The members of files, a later file's over an earlier one's.
    Files(Map),
}

/// A value from outside.
pub(crate) struct Found {
    pub value: Value,
    /// The source in words: `the environment variable N`.
    pub from: String,
}

impl Outside {
    /// Reads what the environment asks for; faults are reported at `at`, the application's beginning.
    pub fn read(loader: &dyn Loader, at: Place, notes: &mut Notes) -> Outside {
        if given(OVERRIDE, loader).is_some() {
            let what = format!("{OVERRIDE} is ignored, as by Flogo core 1.x");
            let mend =
                format!("use {FILES} for a file, {ENV} for variables, or `--set NAME=VALUE`");
            notes.warn(at, what, mend);
        }
        let env = given(ENV, loader).and_then(|mode| variables(&mode, at, notes));
        let files = given(FILES, loader).map(|paths| files(&paths, loader, at, notes));
        let order = given(ORDER, loader);
        let (mut env, mut files) = (env, files);
        let mut sources = Vec::new();
        match order.as_deref() {
            Some("disabled") => {}
            None => sources.extend(env.into_iter().chain(files)),
            Some(order) => {
                for name in order.split(',').map(str::trim) {
                    let (source, variable) = match name {
                        "env" => (env.take(), ENV),
                        "json" => (files.take(), FILES),
                        _ => {
                            let what = format!(
                                "{ORDER}: Unsupported property resolver type - {name}. Resolver not registered."
                            );
                            notes.error(at, what, "use env, json, or both: `env,json`");
                            continue;
                        }
                    };
                    // A faulty variable has been reported.
                    if source.is_none() && given(variable, loader).is_none() {
                        let what = format!(
                            "{ORDER}: Unsupported property resolver type - {name}. Resolver not registered."
                        );
                        notes.error(at, what, format!("set {variable} too, or omit `{name}`"));
                    }
                    sources.extend(source);
                }
            }
        }
        Outside(sources)
    }

    /// The value of a property, with secrets decrypted; `None` if no source has one.
    ///
    /// # Errors
    /// The reason why a secret in the value cannot be decrypted.
    pub fn find(&self, name: &str, loader: &dyn Loader) -> Option<Result<Found, String>> {
        let (value, from) = self.0.iter().find_map(|source| source.find(name, loader))?;
        let Value::Str(text) = &value else {
            return Some(Ok(Found { value, from }));
        };
        let revealed = secret::reveal_value(text, loader);
        let revealed =
            revealed.map_err(|why| format!("the secret from {from} cannot be decrypted: {why}"));
        Some(revealed.map(|text| Found {
            value: text.into(),
            from,
        }))
    }
}

impl Source {
    fn find(&self, name: &str, loader: &dyn Loader) -> Option<(Value, String)> {
        let variable = |name: &str| {
            let text = loader.env(name)?;
            Some((text.into(), format!("the environment variable {name}")))
        };
        match self {
            Source::Auto => {
                let plain = name.replace('.', "_");
                let capitals = plain.to_uppercase();
                let mut names = [name, plain.as_str(), capitals.as_str()].into_iter();
                names.find_map(variable)
            }
            Source::Variables(names) => variable(names.get(name)?),
            Source::Files(members) => {
                let value = members.get(name)?.clone();
                Some((value, FILES.to_owned()))
            }
        }
    }
}

/// A variable that is not empty.
fn given(name: &str, loader: &dyn Loader) -> Option<String> {
    loader.env(name).filter(|value| !value.is_empty())
}

/// The source of `auto`, or of `{"mappings": {PROPERTY: VARIABLE}}`; `None` after an error.
fn variables(mode: &str, at: Place, notes: &mut Notes) -> Option<Source> {
    if mode.eq_ignore_ascii_case("auto") {
        return Some(Source::Auto);
    }
    let mappings = match Value::from_json_text(mode, Numbers::Float) {
        Ok(Value::Object(object)) => object.get("mappings").cloned(),
        _ => None,
    };
    let names = match mappings {
        Some(Value::Object(names)) => {
            let names = names.iter().map(|(property, variable)| match variable {
                Value::Str(variable) => Some((property.to_string(), variable.to_string())),
                _ => None,
            });
            names.collect::<Option<HashMap<_, _>>>()
        }
        _ => None,
    };
    let Some(names) = names else {
        let what = format!(
            "{ENV} is neither `auto` nor names of variables: {}",
            quote(mode)
        );
        let mend = "set it to `auto`, or to `{\"mappings\": {\"PROPERTY\": \"VARIABLE\"}}`";
        return notes.refuse(at, what, mend);
    };
    Some(Source::Variables(names))
}

/// The members of all files; those that cannot be read are reported.
fn files(paths: &str, loader: &dyn Loader, at: Place, notes: &mut Notes) -> Source {
    let mut members = Map::new();
    for path in paths
        .split(',')
        .map(str::trim)
        .filter(|path| !path.is_empty())
    {
        let shown = quote(path);
        let read = loader.local(path).map_err(|error| error.to_string());
        let read = read.and_then(|text| {
            let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
            match Value::from_json_text(text, Numbers::Float) {
                Ok(Value::Object(object)) => Ok(object),
                Ok(other) => Err(format!("expected an object, found {}", other.kind())),
                Err(fault) => Err(format!("invalid JSON: {fault}")),
            }
        });
        match read {
            Ok(object) => members.extend(object.iter().map(|(name, value)| (name.clone(), value.clone()))),
            Err(why) => notes.error(
                at,
                format!("{FILES}: the file {shown} cannot be read: {why}"),
                "name JSON files with an object of properties; paths are relative to the directory that the program was started in",
            ),
        }
    }
    Source::Files(members)
}
