//! Errors of a request, and the link's reaction to each.
//!
//! The error codes of a server are listed with their meaning in the sources of Valkey and Redis (`server.c`,
//! `createSharedObjects`); the first word of an error is its code.

use crate::StoreError;
use redis::{ErrorKind, RedisError};

/// The error of a request without a usable answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RequestError {
    /// The server cannot be reached or does not serve requests now.
    Unavailable(String),
    /// Foreign or incomplete data was found under the store's keys.
    Foreign(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reaction {
    /// Keep the connection, which is intact; another request may succeed.
    Keep,
    /// Retry within the time that is left, since nothing was done.
    Retry,
    /// Open a new connection, resolving names and asking Sentinels anew.
    Reconnect,
    /// Open a new connection, since the state of this one is unknown.
    Discard,
}

impl RequestError {
    /// Converts the error to one about `what`.
    pub(crate) fn about(self, what: impl FnOnce() -> String) -> StoreError {
        match self {
            RequestError::Unavailable(why) => StoreError::NotAvailable { why },
            RequestError::Foreign(why) => StoreError::Damaged { place: what(), why },
        }
    }
}

/// Classifies an error for the link and for the caller.
pub(super) fn classify(error: &RedisError, place: &str) -> (Reaction, RequestError) {
    let text = error.to_string();
    let (reaction, remedy) = match code(error).as_deref() {
        Some("NOSCRIPT") => (
            Reaction::Keep,
            "it forgot the script it had just been sent; find out why its script cache is flushed",
        ),
        Some("READONLY") => (
            Reaction::Reconnect,
            "it is a replica; name the primary, or Sentinels (a new connection is made)",
        ),
        Some("LOADING") => (
            Reaction::Keep,
            "it is reading its data set; wait until it is done",
        ),
        Some("MASTERDOWN") => (
            Reaction::Reconnect,
            "it is a replica that lost its primary; repair their connection, or name the primary",
        ),
        Some("MISCONF") => (
            Reaction::Keep,
            "it cannot save its data, so it accepts no writes; check its disk and its log",
        ),
        Some("OOM") => (
            Reaction::Keep,
            "its memory is full; raise its maxmemory, or store less",
        ),
        Some("BUSY") => (
            Reaction::Keep,
            "a script keeps it busy; wait, or end that script with SCRIPT KILL",
        ),
        Some("NOREPLICAS") => (
            Reaction::Keep,
            "too few replicas follow it (min-replicas-to-write); bring them back",
        ),
        Some("NOAUTH" | "WRONGPASS") => (
            Reaction::Reconnect,
            "it requires another user or password; correct those in the store's URL",
        ),
        Some("NOPERM") => (
            Reaction::Keep,
            "its access list denies that to this user; allow the keys and channels under the \
             prefix, and the commands of scripts, hashes, sorted sets, sets and publishing",
        ),
        Some("WRONGTYPE") => return (Reaction::Keep, foreign()),
        Some("EXECABORT") => (
            Reaction::Keep,
            "it aborted a transaction because a command in it was rejected; check its log",
        ),
        Some("CLUSTERDOWN") => (
            Reaction::Retry,
            "its cluster has no node for this slot; check CLUSTER INFO",
        ),
        Some("TRYAGAIN") => (
            Reaction::Retry,
            "it is moving the slot to another node; wait until that is done",
        ),
        Some("MOVED" | "ASK") => (
            Reaction::Retry,
            "the slot is on another node of its cluster; use redis+cluster:// instead of the URL of \
             one server",
        ),
        Some(_) => (Reaction::Keep, "check its log"),
        None => match error.kind() {
            ErrorKind::ClusterConnectionNotFound => (
                Reaction::Discard,
                "no node of its cluster that serves this slot can be reached; check CLUSTER NODES",
            ),
            ErrorKind::Parse | ErrorKind::UnexpectedReturnType => (
                Reaction::Discard,
                "it does not speak Valkey's protocol; check which server listens there",
            ),
            _ => (Reaction::Discard, "a new connection is made"),
        },
    };
    let why = format!("{place} replied: {text}; {remedy}");
    (reaction, RequestError::Unavailable(why))
}

/// Explains a failure to connect, with its remedy.
pub(super) fn unreachable(error: &RedisError, place: &str) -> String {
    let remedy = match (error.kind(), code(error).as_deref()) {
        (ErrorKind::AuthenticationFailed, _) | (_, Some("NOAUTH" | "WRONGPASS")) => {
            "correct the user and password in the store's URL"
        }
        (ErrorKind::MasterNameNotFoundBySentinel, _) => {
            "correct the master's name in the store's URL, or add the master to the Sentinels"
        }
        (ErrorKind::RESP3NotSupported, _) => "use Valkey, or Redis 6.2 or newer",
        (ErrorKind::InvalidClientConfig, _) => "correct the store's URL and its TLS files",
        _ if error.is_connection_refusal() => "start it, or correct its address",
        _ => "check that it runs and that the network reaches it",
    };
    format!("no connection to {place}: {error}; {remedy} (connecting is retried all the time)")
}

/// The error for data under the store's keys that is not the store's.
pub(super) fn foreign() -> RequestError {
    RequestError::Foreign(
        "its keys hold data that this store did not write, or a part of its data is gone; make \
         sure that nothing else writes there and that the server evicts nothing (maxmemory-policy \
         noeviction), then clear it"
            .to_owned(),
    )
}

/// Extracts the code, which is the first word of a server's error.
///
/// Redis before 7 wraps an error that a command met inside a script:
/// `ERR Error running script (…): @user_script:12: -OOM command not allowed …`.
fn code(error: &RedisError) -> Option<String> {
    let code = error.code()?;
    if code != "ERR" {
        return Some(code.to_owned());
    }
    let inner = error
        .detail()
        .filter(|detail| detail.contains("@user_script"))
        .and_then(|detail| detail.split(": ").find_map(|part| part.strip_prefix('-')))
        .and_then(|said| said.split(' ').next());
    Some(inner.unwrap_or(code).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(code: &str, detail: &str) -> RedisError {
        redis::make_extension_error(code.to_owned(), Some(detail.to_owned()))
    }

    #[test]
    fn an_error_inside_a_script_of_an_old_server_is_known_by_its_own_code() {
        let said = "Error running script (call to f_12ab): @user_script:97: @user_script: 97: \
                    -OOM command not allowed when used memory > 'maxmemory'.";
        assert_eq!(code(&error("ERR", said)).as_deref(), Some("OOM"));
        let plain = "Error compiling script - a -OOM in the text";
        assert_eq!(code(&error("ERR", plain)).as_deref(), Some("ERR"));
    }

    #[test]
    fn a_foreign_type_is_damage_and_everything_else_is_absence() {
        let (_, wrong) = classify(&error("WRONGTYPE", "Operation against a key"), "here");
        assert!(matches!(wrong, RequestError::Foreign(_)));
        let (_, other) = classify(&error("NEWCODE", "whatever"), "here");
        assert!(matches!(other, RequestError::Unavailable(_)));
    }
}
