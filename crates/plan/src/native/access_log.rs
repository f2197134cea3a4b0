//! The `access_log:` section: the place of the lines, and the requests that get one.

use super::breaker::read_condition;
use super::draft::Reader;
use crate::access_log::{AccessLog, LogTarget, When};
use crate::diagnostic::At;
use crate::fields::Fields;

/// The fields that are never logged, with the error and the mend.
const CREDENTIALS: [(&str, &str, &str); 4] = [
    (
        "authorization",
        "the field `authorization` holds a credential, which no log may keep",
        MEND,
    ),
    (
        "proxy-authorization",
        "the field `proxy-authorization` holds a credential, which no log may keep",
        MEND,
    ),
    (
        "cookie",
        "the field `cookie` holds a credential, which no log may keep",
        MEND,
    ),
    (
        "x-api-key",
        "the field `x-api-key` holds a credential, which no log may keep",
        MEND,
    ),
];
const MEND: &str = "remove it from the list";

impl Reader<'_> {
    pub(super) fn access_log(&mut self, file: &Fields<'_>) -> Option<At<Option<AccessLog>>> {
        let log = file.section("access_log", self.notes)?;
        let to = log.text("to", self.notes);
        if let Some(to) = to.as_ref().filter(|to| to.value.trim().is_empty()) {
            self.notes.error(
                to.at,
                "the access log's `to` is empty",
                "write `stdout`, `stderr`, `off` or a file, such as `/var/log/fusebox/access.log`",
            );
        }
        let to = to.map_or(Some(LogTarget::Stdout), |to| {
            LogTarget::read(to.value.trim())
        });
        let when = read_condition(&log, "when", When::read, self);
        let sample = log.share("sample", self.notes);
        let query = log.flag("query", self.notes);
        let headers = self.field_names(&log, "headers", &CREDENTIALS);
        let made = to.map(|to| AccessLog {
            to,
            when: when.map(|when| when.value),
            sample: sample.map(|sample| sample.value),
            query: query.is_some_and(|query| query.value),
            headers,
        });
        Some(At::new(made, log.at))
    }
}
