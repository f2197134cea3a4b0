//! Configuration files: read from disk, checked by the plan crate.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, bail};
use fusebox_plan::{Loader, Reading, Source, read};

use crate::args::{Property, ReadingArgs};

/// The largest configuration file that is read.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Reads and checks files.
///
/// # Errors
/// If a file cannot be read, or an option asks for what is not supported yet. What is wrong within
/// the files is in the reading's diagnostics.
pub fn read_files(files: &[PathBuf], args: &ReadingArgs) -> anyhow::Result<Reading> {
    if !args.bind.is_empty() {
        bail!(
            "--bind gives Mule files their addresses, and Mule files are not supported yet; leave it out"
        );
    }
    if args.compat.is_some() {
        bail!("--compat is for Mule files, and those are not supported yet; leave it out");
    }
    let mut texts = Vec::new();
    for file in files {
        let size = std::fs::metadata(file)
            .with_context(|| format!("cannot read {}", file.display()))?
            .len();
        if size > FILE_BYTES_MAX {
            bail!(
                "{} has {size} bytes; a configuration file has at most {FILE_BYTES_MAX}",
                file.display()
            );
        }
        let text =
            std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
        texts.push((file.display().to_string(), text));
    }
    let sources: Vec<_> = texts
        .iter()
        .map(|(name, text)| Source { name, text })
        .collect();
    let base = files
        .first()
        .and_then(|file| file.parent())
        .unwrap_or(Path::new("."));
    let disk = Disk {
        base: base.to_owned(),
        properties: properties(args)?,
    };
    Ok(read(&sources, &disk))
}

/// Gives a configuration its `${VAR}`, from `--set` and the environment, and its `${file:PATH}`,
/// relative to the first configuration file.
struct Disk {
    base: PathBuf,
    properties: HashMap<String, String>,
}

/// What `--set` says, and before it the variable `FUSEBOX_SET`, which parts its pairs by commas.
fn properties(args: &ReadingArgs) -> anyhow::Result<HashMap<String, String>> {
    let variable = std::env::var("FUSEBOX_SET").unwrap_or_default();
    let mut properties = HashMap::new();
    for pair in variable.split(',').filter(|pair| !pair.is_empty()) {
        let set: Property = pair
            .parse()
            .map_err(|error| anyhow!("FUSEBOX_SET: `{pair}`: {error}"))?;
        properties.insert(set.name, set.value);
    }
    let sets = args.properties.iter().cloned();
    properties.extend(sets.map(|set| (set.name, set.value)));
    Ok(properties)
}

impl Loader for Disk {
    fn env(&self, name: &str) -> Option<String> {
        self.properties
            .get(name)
            .cloned()
            .or_else(|| std::env::var(name).ok())
    }

    fn file(&self, path: &str) -> io::Result<String> {
        std::fs::read_to_string(self.base.join(path))
    }
}
