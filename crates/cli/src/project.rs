//! A folder in place of files: the flows of a Mule project.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

/// The folders of a project's flows, as seen from the project and from its `src`.
const FLOWS: [&str; 2] = ["src/main/mule", "main/mule"];
/// The folders without flows that run: tests, and what a build leaves.
const OTHERS: [&str; 3] = ["src/test", "test/munit", "target"];
/// The limit of files in a project.
const FILES_MAX: usize = 1_000;
/// The limit of nested folders.
const DEPTH_MAX: usize = 16;

/// The files of a command line, with those of its folders in place of them, sorted by their paths.
///
/// # Errors
/// If a folder cannot be read, or has no flows.
pub fn expanded(files: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let mut all = Vec::new();
    for file in files {
        match file.is_dir() {
            true => all.extend(flows(file)?),
            false => all.push(file.clone()),
        }
    }
    Ok(all)
}

/// The files of a folder: those in its `src/main/mule`, or else its own.
fn flows(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut inner = FLOWS.iter().map(|inner| folder.join(inner));
    let from = inner.find(|inner| inner.is_dir());
    let from = from.unwrap_or_else(|| folder.to_owned());
    let mut found = Vec::new();
    collect(&from, 0, &mut found)?;
    if found.is_empty() {
        bail!(
            "cannot read {}: it is a folder without flows, as its src/main/mule has no XML file; name the files themselves",
            folder.display()
        );
    }
    found.sort();
    Ok(found)
}

fn collect(folder: &Path, depth: usize, found: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let entries = std::fs::read_dir(folder)
        .with_context(|| format!("cannot read the folder {}", folder.display()))?;
    for entry in entries {
        let entry = entry.with_context(|| format!("cannot read {}", folder.display()))?;
        let path = entry.path();
        let is_xml = path
            .extension()
            .is_some_and(|it| it.eq_ignore_ascii_case("xml"));
        // Hidden files are of other programs; a link to a folder may be a circle.
        let hidden = entry.file_name().to_string_lossy().starts_with('.');
        let is_folder = entry.file_type().is_ok_and(|it| it.is_dir());
        let is_other = || OTHERS.iter().any(|other| path.ends_with(other));
        if hidden || (is_folder && is_other()) {
            continue;
        }
        if is_folder && depth < DEPTH_MAX {
            collect(&path, depth + 1, found)?;
        } else if is_xml && path.is_file() {
            found.push(path);
        }
        if found.len() > FILES_MAX {
            bail!(
                "there are more than {FILES_MAX} XML files in {}; name the files themselves",
                folder.display()
            );
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_stands_for_the_flows_in_it() {
        let dir = tempfile::TempDir::new().unwrap();
        let flows = dir.path().join("src/main/mule");
        for path in ["common/global.xml", "main.xml", "notes.txt", ".hidden.xml"] {
            let path = flows.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        std::fs::write(dir.path().join("pom.xml"), "").unwrap();
        let found = expanded(&[dir.path().to_owned()]).unwrap();
        assert_eq!(
            found,
            [flows.join("common/global.xml"), flows.join("main.xml")]
        );
        assert_eq!(expanded(std::slice::from_ref(&flows)).unwrap(), found);
        // From the sources, the flows are those of the project, and not its tests.
        let tests = dir.path().join("src/test/munit");
        std::fs::create_dir_all(&tests).unwrap();
        std::fs::write(tests.join("main-test.xml"), "").unwrap();
        assert_eq!(expanded(&[dir.path().join("src")]).unwrap(), found);
        assert_eq!(expanded(&[dir.path().join("src/main")]).unwrap(), found);
        let empty = tempfile::TempDir::new().unwrap();
        let error = expanded(&[empty.path().to_owned()]).unwrap_err();
        assert!(
            error.to_string().contains("a folder without flows"),
            "{error}"
        );
        let file = [dir.path().join("none.xml")];
        assert_eq!(expanded(&file).unwrap(), file);
    }
}
