//! The configuration that `run` takes where none is named.

use std::path::{Path, PathBuf};

/// The places of a configuration without a name, the first before the second.
const PLACES: [&str; 2] = ["fusebox.yaml", "/etc/fusebox/fusebox.yaml"];

/// The advice where no place has a file.
pub const ADVICE: &str = "no configuration: name a file, or write ./fusebox.yaml with `fusebox init` \
     (looked for ./fusebox.yaml and /etc/fusebox/fusebox.yaml)";

/// The first file of the usual places; `None`: there is none.
pub fn find() -> Option<PathBuf> {
    first(PLACES.map(Path::new))
}

/// The first place that has a file of any kind; reading it may still fail.
fn first<'a>(places: impl IntoIterator<Item = &'a Path>) -> Option<PathBuf> {
    let mut places = places.into_iter();
    let found = places.find(|place| place.symlink_metadata().is_ok())?;
    Some(found.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_place_with_a_file_is_taken() {
        let dir = tempfile::TempDir::new().unwrap();
        let [here, there] = ["here.yaml", "there.yaml"].map(|name| dir.path().join(name));
        let find = || first([here.as_path(), there.as_path()]);
        assert_eq!(find(), None);
        std::fs::write(&there, "").unwrap();
        assert_eq!(find(), Some(there.clone()));
        std::fs::write(&here, "").unwrap();
        assert_eq!(find(), Some(here.clone()));
    }
}
