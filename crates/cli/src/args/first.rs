//! The options of the first commands that anybody needs: `init` and `healthcheck`.

use std::path::PathBuf;

/// Options of `init`.
#[derive(Debug, clap::Args)]
pub struct InitArgs {
    /// Address of the service to protect
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8081")]
    pub upstream: String,
    /// Overwrite fusebox.yaml if it exists
    #[arg(long)]
    pub force: bool,
}

/// Options of `healthcheck`.
#[derive(Debug, clap::Args)]
pub struct HealthcheckArgs {
    /// The gateway's admin address, or unix:PATH
    #[arg(
        long,
        value_name = "URL",
        env = "FUSEBOX_ADMIN_URL",
        default_value = "http://127.0.0.1:9900"
    )]
    pub admin: String,
    /// File with the admin token, which this question does not need
    #[arg(long, value_name = "FILE", env = "FUSEBOX_TOKEN_FILE")]
    pub token_file: Option<PathBuf>,
}
