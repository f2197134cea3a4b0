//! The Python packages of the tests, in an environment of their own.

use std::path::{Path, PathBuf};

/// A program of that environment, such as `python3` or `schemathesis`.
pub fn program(name: &str) -> PathBuf {
    let house = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let program = house.join("target/python/bin").join(name);
    assert!(
        program.exists(),
        "{name} is missing: `python3 -m venv target/python`, then \
         `target/python/bin/pip install -r crates/cli/tests/support/requirements.txt`"
    );
    program
}
