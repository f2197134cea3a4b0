//! `fusebox man`: writes the manual pages, one for each command.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;

/// Writes `fusebox.1`, `fusebox-run.1` and so on into a directory, which is made if it is missing.
pub fn man(command: clap::Command, dir: &Path) -> anyhow::Result<ExitCode> {
    let cannot = || format!("cannot write manual pages to {}", dir.display());
    std::fs::create_dir_all(dir).with_context(cannot)?;
    clap_mangen::generate_to(command, dir).with_context(cannot)?;
    crate::print(&format!(
        "wrote the manual pages to {0}; read one with `man -l {0}/fusebox.1`\n",
        dir.display()
    ))
}
