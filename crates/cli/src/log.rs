//! The log on standard error, as text or JSON, which never blocks the code that logs.
//!
//! Every line goes through one bounded [`queue`]; only the queue's thread writes to standard error. If the reader is
//! too slow, lines are dropped, counted and reported, but no worker waits.

mod escape;
mod queue;

use std::fs::File;
use std::io::{self, IsTerminal as _, Write};
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use fusebox_plan::{Diagnostic, Severity};
use serde_json::json;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};

use crate::args::LogForm;
use crate::log::escape::{Escape, escaped};
use crate::log::queue::Queue;

/// The filter without `RUST_LOG`.
const BY_DEFAULT: &str = "info,h2=error";

/// A running log. On drop it waits for queued lines, for a limited time.
#[derive(Debug)]
pub struct Log {
    queue: Arc<Queue>,
    /// True if JSON was requested explicitly, so that messages before the gateway runs are JSON too.
    json_asked: bool,
    form: LogForm,
}

impl Log {
    /// Starts the log, and sends panics to it. `RUST_LOG` sets the filter; default: everything from `info` on, but
    /// what a client alone could make the h2 crate warn of.
    pub fn start(wanted: Option<LogForm>) -> io::Result<Log> {
        let terminal = io::stderr().is_terminal();
        let form = wanted.unwrap_or(if terminal {
            LogForm::Pretty
        } else {
            LogForm::Json
        });
        let lost = move |lost: u64| {
            let text = format!("{lost} log lines were dropped, because they were not read in time");
            line(form, Severity::Warning, &text)
        };
        let queue = Arc::new(Queue::start(stderr(), lost)?);
        let colours = terminal && form == LogForm::Pretty;
        let filter =
            EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(BY_DEFAULT));
        let builder = fmt()
            .with_env_filter(filter)
            .with_writer(Lines {
                queue: queue.clone(),
                escape: match form {
                    LogForm::Json => Escape::Json,
                    LogForm::Pretty => Escape::Text { colours },
                },
            })
            // Such errors would be written directly to standard error.
            .log_internal_errors(false)
            .with_target(false);
        match form {
            LogForm::Json => builder.json().flatten_event(true).init(),
            LogForm::Pretty => builder.with_ansi(colours).compact().init(),
        }
        let panics = queue.clone();
        std::panic::set_hook(Box::new(move |panic| {
            panics.push(line(form, Severity::Error, &panic_text(panic)));
        }));
        Ok(Log {
            queue,
            json_asked: wanted == Some(LogForm::Json),
            form,
        })
    }

    /// Logs a diagnostic of a configuration file before the gateway runs.
    pub fn diagnostic(&self, diagnostic: &Diagnostic) {
        self.before_run(diagnostic.severity, &diagnostic.to_string());
    }

    /// Logs the error that ends the program.
    pub fn fault(&self, text: &str) {
        if self.json_asked {
            self.before_run(Severity::Error, text);
        } else {
            self.before_run(Severity::Error, &format!("fusebox: {text}"));
        }
    }

    /// Writes a text for people, if the log is one for people and has messages of this level. False if it is not.
    pub fn text(&self, text: impl FnOnce() -> String) -> bool {
        if self.form != LogForm::Pretty {
            return false;
        }
        if tracing::enabled!(tracing::Level::INFO) {
            for line in text().lines() {
                let line = escaped(line, Escape::Text { colours: false });
                self.queue.push(format!("{line}\n").into_bytes());
            }
        }
        true
    }

    pub fn lines_dropped(&self) -> Arc<AtomicU64> {
        self.queue.dropped()
    }

    /// Logs a message as JSON if JSON was requested, otherwise as plain text for the user.
    fn before_run(&self, severity: Severity, text: &str) {
        self.queue.push(if self.json_asked {
            line(LogForm::Json, severity, text)
        } else {
            let text = escaped(text, Escape::Text { colours: false });
            format!("{text}\n").into_bytes()
        });
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.queue.finish();
    }
}

/// Logs an invalid command line as one line of JSON.
pub fn usage_as_json(text: &str) -> io::Result<()> {
    let queue = Queue::start(stderr(), |_| Vec::new())?;
    queue.push(line(LogForm::Json, Severity::Error, text.trim_end()));
    queue.finish();
    Ok(())
}

/// Standard error without the lock of [`io::Stderr`], which a blocked write would hold.
fn stderr() -> Box<dyn Write + Send> {
    match io::stderr().as_fd().try_clone_to_owned() {
        Ok(fd) => Box::new(File::from(fd)),
        Err(_) => Box::new(io::stderr()),
    }
}

/// Formats a line of the log that is not filtered.
fn line(form: LogForm, severity: Severity, text: &str) -> Vec<u8> {
    let mut at = String::new();
    // Formatting into a `String` does not fail.
    SystemTime.format_time(&mut Writer::new(&mut at)).ok();
    let level = match severity {
        Severity::Error => "ERROR",
        Severity::Warning => "WARN",
    };
    let line = match form {
        LogForm::Json => {
            let line = json!({ "timestamp": at, "level": level, "message": text });
            escaped(&line.to_string(), Escape::Json).into_owned()
        }
        LogForm::Pretty => {
            let text = escaped(text, Escape::Text { colours: false });
            format!("{at} {level:>5} {text}")
        }
    };
    (line + "\n").into_bytes()
}

fn panic_text(panic: &std::panic::PanicHookInfo<'_>) -> String {
    let thread = std::thread::current();
    let thread = thread.name().unwrap_or("?");
    let payload = panic.payload();
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    let what = text.unwrap_or("no message");
    let at = match panic.location() {
        Some(at) => format!(" at {at}"),
        None => String::new(),
    };
    let trace = std::backtrace::Backtrace::capture();
    let trace = match trace.status() {
        std::backtrace::BacktraceStatus::Captured => format!("\n{trace}"),
        _ => String::new(),
    };
    format!("thread {thread} panicked{at}: {what}{trace}")
}

/// The writer of events' lines, each in one write.
struct Lines {
    queue: Arc<Queue>,
    escape: Escape,
}

/// The writer of one event's line.
struct Line<'a>(&'a Lines);

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line(self)
    }
}

impl Write for Line<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        let text = text.strip_suffix('\n').unwrap_or(&text);
        let line = escaped(text, self.0.escape).into_owned() + "\n";
        self.0.queue.push(line.into_bytes());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_json_has_no_character_that_ends_a_line_elsewhere() {
        let line = line(LogForm::Json, Severity::Error, "a\u{2028}b\u{1b}[31mc\nd");
        let line = String::from_utf8(line).unwrap();
        assert!(
            line.contains(r#""message":"a\u2028b\u001b[31mc\nd""#),
            "{line}"
        );
        assert_eq!(line.matches('\n').count(), 1);
    }

    #[test]
    fn a_line_of_text_is_one_line() {
        let line = line(LogForm::Pretty, Severity::Warning, "a\nb\u{1b}[31m");
        let line = String::from_utf8(line).unwrap();
        assert!(line.ends_with("  WARN a\\nb\\u{1b}[31m\n"), "{line}");
    }

    #[test]
    fn a_panic_is_a_line_of_the_log() {
        // The panic hook is global to a process, so the test runs itself again in another one.
        const CHILD: &str = "FUSEBOX_TEST_PANICS";
        if std::env::var_os(CHILD).is_some() {
            let log = Log::start(Some(LogForm::Json)).unwrap();
            let unlucky = || panic!("out of luck\u{2028}");
            std::thread::spawn(unlucky).join().unwrap_err();
            drop(log);
            return;
        }
        let name = "log::tests::a_panic_is_a_line_of_the_log";
        let child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", name, "--nocapture"])
            .env(CHILD, "1")
            .output()
            .unwrap();
        let said = String::from_utf8(child.stderr).unwrap();
        let line: serde_json::Value = serde_json::from_str(said.trim()).unwrap();
        assert_eq!(line["level"], "ERROR");
        let message = line["message"].as_str().unwrap();
        assert!(
            message.contains("panicked at crates/cli/src/log.rs"),
            "{message}"
        );
        assert!(message.contains("out of luck\u{2028}"), "{message}");
    }
}
