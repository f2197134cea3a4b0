//! The options of `top`.

use super::AdminArgs;

const EXAMPLES: &str = "\
Examples:
  fusebox top                                    live: j and k select, Enter shows all, o holds open, q quits
  fusebox top --once                             one table, also in a pipe
  fusebox top --json | jq -r 'select(.state == \"open\").name'
                                                 one line of JSON for each breaker";

/// Options of `top`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct TopArgs {
    /// Print one table and exit, as happens when standard output is no terminal
    #[arg(long)]
    pub once: bool,
    #[command(flatten)]
    pub to: AdminArgs,
}
