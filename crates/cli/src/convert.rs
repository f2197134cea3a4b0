//! `fusebox convert`: prints an application of another dialect in the native form.

use std::process::ExitCode;

use crate::args::ConvertArgs;
use crate::files::convert_files;

/// Prints the native form, and the diagnostics of parts that it does not cover to standard error.
pub fn convert(args: &ConvertArgs) -> anyhow::Result<ExitCode> {
    let conversion = convert_files(&args.files, &args.reading, args.lossy)?;
    for diagnostic in &conversion.diagnostics {
        eprintln!("{diagnostic}");
    }
    match &conversion.yaml {
        Some(yaml) => crate::print(yaml),
        None => Ok(ExitCode::FAILURE),
    }
}
