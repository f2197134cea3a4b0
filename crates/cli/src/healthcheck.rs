//! `fusebox healthcheck`: asks a running gateway once, for containers and scripts.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use http::StatusCode;

use crate::admin_client::AdminClient;
use crate::args::AdminArgs;
use crate::args::first::HealthcheckArgs;
use crate::printable::printable;

/// The longest wait for the answer.
const TIME_MAX: Duration = Duration::from_secs(3);

/// Succeeds if the gateway takes requests.
pub async fn healthcheck(args: HealthcheckArgs) -> anyhow::Result<ExitCode> {
    let client = AdminClient::new(&AdminArgs {
        json: false,
        admin: args.admin,
        token_file: args.token_file,
    })?;
    let answer = tokio::time::timeout(TIME_MAX, client.status("/readyz")).await;
    let (status, text) = answer.with_context(|| {
        let limit = TIME_MAX.as_secs();
        format!("{} did not answer within {limit} s", client.place())
    })??;
    match status {
        StatusCode::OK => crate::print("ready\n"),
        StatusCode::SERVICE_UNAVAILABLE => bail!("not ready: the gateway is draining"),
        _ => {
            let text = text.lines().next().unwrap_or_default();
            bail!("{} answered {status}: {}", client.place(), printable(text))
        }
    }
}
