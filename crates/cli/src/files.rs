//! Configuration files: read from disk, checked by the plan crate.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, anyhow};
use aws_lc_rs::digest::{SHA256, digest};
use fusebox_plan::{
    CertificateFacts, Conversion, Loader, PairFault, Reading, Source, convert, read_as,
};

use crate::args::{CompatArg, Property, ReadingArgs};
use crate::bounded;
use crate::dialects::DIALECTS;
use crate::fetch::fetch;
use crate::project;

/// The largest configuration file, and file named by one, in bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Reads and checks configuration files.
///
/// # Errors
/// If a file cannot be read. Errors in the files' content are in the reading's diagnostics.
pub fn read_files(files: &[PathBuf], args: &ReadingArgs) -> anyhow::Result<Reading> {
    Ok(read_hashed(files, args)?.0)
}

/// Reads and checks configuration files, and returns the SHA-256 of their content, one after the other, in hexadecimal
/// digits: of a single file what `sha256sum` prints.
///
/// # Errors
/// As [`read_files`].
pub fn read_hashed(files: &[PathBuf], args: &ReadingArgs) -> anyhow::Result<(Reading, String)> {
    with_sources(files, args, false, |sources, loader| {
        let content: Vec<u8> = sources.iter().flat_map(|it| it.text).copied().collect();
        (read_as(DIALECTS, sources, loader), sha256(&content))
    })
}

/// The SHA-256 of bytes, in hexadecimal digits.
pub fn sha256(bytes: &[u8]) -> String {
    let digest = digest(&SHA256, bytes);
    digest
        .as_ref()
        .iter()
        .map(|it| format!("{it:02x}"))
        .collect()
}

/// The names of files as one text.
pub fn names(files: &[PathBuf]) -> String {
    let names: Vec<_> = files.iter().map(|it| it.display().to_string()).collect();
    names.join(", ")
}

/// Reads an application of another dialect, and writes it in the native form; `lossy`: guards may be lost.
pub fn convert_files(
    files: &[PathBuf],
    args: &ReadingArgs,
    lossy: bool,
) -> anyhow::Result<Conversion> {
    with_sources(files, args, lossy, |sources, loader| {
        convert(DIALECTS, sources, loader)
    })
}

fn with_sources<T>(
    files: &[PathBuf],
    args: &ReadingArgs,
    lossy: bool,
    work: impl FnOnce(&[Source<'_>], &dyn Loader) -> T,
) -> anyhow::Result<T> {
    let files = &project::expanded(files)?;
    let mut texts = Vec::new();
    for file in files {
        let text = bounded::read(file, FILE_BYTES_MAX)
            .with_context(|| format!("cannot read {}", file.display()))?;
        texts.push((file.display().to_string(), text));
    }
    let sources: Vec<_> = texts
        .iter()
        .map(|(name, text)| Source { name, text })
        .collect();
    // An application's own files come first in its reading, wherever they stand on the command line.
    let is_app = |(_, text): &&(String, Vec<u8>)| text.trim_ascii_start().starts_with(b"<");
    let first = texts.iter().find(is_app).or(texts.first());
    let base = first
        .and_then(|(name, _)| Path::new(name).parent())
        .unwrap_or(Path::new("."));
    let disk = Disk {
        base: base.to_owned(),
        properties: properties(args)?,
        bindings: args
            .bind
            .iter()
            .map(|bind| (bind.name.clone(), bind.value.clone()))
            .collect(),
        is_strict: match args.compat {
            CompatArg::Intent => false,
            CompatArg::Strict => true,
        },
        lossy,
    };
    Ok(work(&sources, &disk))
}

/// Loads what a configuration refers to: `${VAR}` from `--set` and the environment, `${file:PATH}` relative to the
/// first configuration file, and the files, addresses and variables of an application of another dialect.
struct Disk {
    base: PathBuf,
    properties: HashMap<String, String>,
    bindings: Vec<(String, String)>,
    is_strict: bool,
    lossy: bool,
}

/// The properties of `--set`, which override those of the variable `FUSEBOX_SET`, separated by commas.
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
        bounded::text(&self.base.join(path), FILE_BYTES_MAX)
    }

    fn bytes(&self, path: &str) -> io::Result<Vec<u8>> {
        bounded::read(&self.base.join(path), FILE_BYTES_MAX)
    }

    fn local(&self, path: &str) -> io::Result<String> {
        bounded::text(Path::new(path), FILE_BYTES_MAX)
    }

    fn fetch(&self, url: &str) -> io::Result<String> {
        fetch(url)
    }

    fn check_pair(&self, certificates: &str, key: &str) -> Result<(), PairFault> {
        fusebox_gateway::check_pair(certificates, key)
    }

    fn certificates(&self, pem: &str) -> Result<Vec<CertificateFacts>, String> {
        fusebox_gateway::certificate_facts(pem)
    }

    fn unix_seconds(&self) -> Option<i64> {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
        i64::try_from(since.as_secs()).ok()
    }

    fn on_disk(&self, path: &str) -> PathBuf {
        self.base.join(path)
    }

    fn accepts_losses(&self) -> bool {
        self.lossy
    }

    fn property(&self, name: &str) -> Option<String> {
        self.properties.get(name).cloned()
    }

    fn environment(&self) -> Vec<(String, String)> {
        let text = |text: std::ffi::OsString| text.into_string().ok();
        let mut all: HashMap<String, String> = std::env::vars_os()
            .filter_map(|(name, value)| Some((text(name)?, text(value)?)))
            .collect();
        all.extend(self.properties.clone());
        all.into_iter().collect()
    }

    fn bindings(&self) -> Vec<(String, String)> {
        self.bindings.clone()
    }

    fn is_strict(&self) -> bool {
        self.is_strict
    }
}
