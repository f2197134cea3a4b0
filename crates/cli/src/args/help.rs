//! The examples at the end of each command's help.

/// Steps for a first visit.
pub const FUSEBOX: &str = "\
First steps:
  fusebox demo       see a breaker trip, refuse, fall back, probe and recover
  fusebox init       write a first fusebox.yaml
  fusebox run        run it; the dashboard is at http://127.0.0.1:9900/
  fusebox breakers   see its breakers, from another terminal

Each command shows examples: fusebox COMMAND --help";

pub const RUN: &str = "\
Examples:
  fusebox run                                    ./fusebox.yaml, else /etc/fusebox/fusebox.yaml
  fusebox run orders.yaml --log pretty           another file, with a readable log
  fusebox run app.json                           a Flogo application as it is
  fusebox run orders.xml guards.yaml             a Mule application, with breakers before its requests
  fusebox run --admin 127.0.0.1:9900,unix:/run/fusebox.sock
                                                 the admin API at two addresses
Signals: TERM, INT and QUIT finish what is in flight and end; HUP reads the files again.
Each option is also a variable, such as FUSEBOX_ADMIN.";

pub const INIT: &str = "\
Example:
  fusebox init --upstream http://127.0.0.1:3000 && fusebox run";

pub const CHECK: &str = "\
Examples:
  fusebox check fusebox.yaml
  fusebox check orders.xml guards.yaml           an application, and what stands before its requests";

pub const CONVERT: &str = "\
Example:
  fusebox convert app.json > fusebox.yaml        the rest of what it says is on standard error";

pub const EVAL: &str = "\
Examples:
  fusebox eval 'status >= 500' --scope call.json
  echo '{\"status\": 503}' | fusebox eval 'status >= 500' --scope -
  fusebox eval --dialect flogo '$.content.id' --scope scope.json";

pub const BREAKERS: &str = "\
Examples:
  fusebox breakers                                        all of them
  fusebox breakers show orders                            why it is open, and what comes next
  fusebox breakers open orders --for 10m --reason \"moving the database\"
  fusebox breakers release orders                         end that hold
  fusebox breakers --admin unix:/run/fusebox.sock         over a socket, without a token
The variable FUSEBOX_ADMIN_URL stands for --admin.";

pub const HEALTHCHECK: &str = "\
Examples:
  fusebox healthcheck || echo \"not ready\"
  HEALTHCHECK CMD [\"fusebox\", \"healthcheck\"]            in a Dockerfile
Status 0: ready; 1: not, or no answer within 3 s.";

pub const DEMO: &str = "\
Examples:
  fusebox demo               until Ctrl-C; open the dashboard that it names
  fusebox demo --once        one round; status 0 only if everything was seen";

pub const SIMULATE: &str = "\
Examples:
  fusebox simulate fusebox.yaml --trace access.log                  how today's breakers would have done
  fusebox simulate fusebox.yaml --trace access.log --sweep consecutive_failures=3..10 --html out.html
  fusebox simulate fusebox.yaml --trace app.ndjson --map at=.time,ms=.rt,status=.status,upstream=.svc
  fusebox simulate fusebox.yaml --assume 'down 60s at 100/s, 30ms; healthy 60s' --assert 'opens_after <= 5'
A sweep ranks by cost: each failed call that is let through costs 1, each good call that is refused --cost.
An open breaker also takes load off an upstream; no log shows what that changes. See docs/simulate.md.";

pub const SCHEMA: &str = "\
Example:
  fusebox schema > fusebox.schema.json           then, as the first line of fusebox.yaml:
  # yaml-language-server: $schema=fusebox.schema.json";

pub const OPENAPI: &str = "\
Examples:
  fusebox openapi > openapi.json    for a generator of clients, or a viewer";

pub const COMPLETIONS: &str = "\
Examples:
  fusebox completions bash > ~/.local/share/bash-completion/completions/fusebox
  fusebox completions zsh > \"${fpath[1]}/_fusebox\"
  fusebox completions fish > ~/.config/fish/completions/fusebox.fish";

pub const MAN: &str = "\
Example:
  fusebox man ~/.local/share/man/man1 && man fusebox-run";
