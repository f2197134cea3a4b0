//! `fusebox init`: writes a first configuration, with a comment on each choice.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use fusebox_plan::plan::Plan;
use fusebox_plan::{Loader, Severity, Source, read};

use crate::args::first::InitArgs;

/// The file that `init` writes and `run` finds.
const FILE: &str = "fusebox.yaml";

/// The first configuration; `{url}` is the service's address.
const TEMPLATE: &str = include_str!("init/fusebox.yaml");

/// Writes the file, unless there is one.
pub fn init(args: &InitArgs) -> anyhow::Result<ExitCode> {
    let text = TEMPLATE.replace("{url}", &scalar(&args.upstream));
    let plan = checked(&text, &args.upstream)?;
    write(Path::new(FILE), &text, args.force)?;
    let listener = plan.listeners.first().map(|it| it.addr);
    let listener = listener.map(|it| it.to_string()).unwrap_or_default();
    crate::print(&format!(
        "wrote {FILE}: http://{listener} -> {}, with a breaker\n\n\
         fusebox check {FILE}   says what is wrong with it, after a change\n\
         fusebox run                  runs it; the dashboard is then at http://127.0.0.1:9900/\n",
        args.upstream,
    ))
}

/// Reads the text as `run` will.
fn checked(text: &str, url: &str) -> anyhow::Result<Plan> {
    let source = Source {
        name: FILE,
        text: text.as_bytes(),
    };
    let reading = read(&[source], &NoFiles);
    let mut errors = reading.diagnostics.iter();
    match (
        errors.find(|it| it.severity == Severity::Error),
        reading.plan,
    ) {
        (None, Some(plan)) => Ok(plan),
        (error, _) => {
            let why = error.map(|it| format!("{}; {}", it.what, it.mend));
            bail!("--upstream {url}: {}", why.unwrap_or_default());
        }
    }
}

fn write(path: &Path, text: &str, force: bool) -> anyhow::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true);
    match force {
        true => options.create(true).truncate(true),
        false => options.create_new(true),
    };
    let written = options
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()));
    match written {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            bail!("{} exists; --force overwrites it", path.display())
        }
        written => written.with_context(|| format!("cannot write {}", path.display())),
    }
}

/// A text as a value in YAML.
fn scalar(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b":/.-_~%".contains(&byte);
    match text.bytes().all(is_plain) {
        true => text.to_owned(),
        // Every text of JSON is one of YAML.
        false => serde_json::Value::from(text).to_string(),
    }
}

/// A configuration that is in no file yet, and refers to none.
struct NoFiles;

impl Loader for NoFiles {
    fn env(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn file(&self, _: &str) -> std::io::Result<String> {
        Err(ErrorKind::NotFound.into())
    }
}
