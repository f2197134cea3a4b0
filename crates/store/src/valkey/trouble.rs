//! What went wrong with a call, and what the link does about it.
//!
//! The codes of a server's errors are listed with their meaning in Valkey's and Redis's sources
//! (`server.c`, `createSharedObjects`); the first word of an error is its code.

use crate::StoreError;
use redis::{ErrorKind, RedisError};

/// Why a call had no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// The server cannot be asked, or will not answer, now.
    Away(String),
    /// Something foreign or torn lies where our data should be.
    Foreign(String),
}

/// What the link does after an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reaction {
    /// Nothing: the connection is good, and another call may go well.
    Keep,
    /// Sends the script's text, once.
    SendText,
    /// Asks again within the time that is left, since nothing was done.
    Again,
    /// Makes a new connection, resolving names and asking Sentinels anew.
    Renew,
    /// Makes a new connection: of this one nothing can be said.
    Drop,
}

impl Trouble {
    /// The same for whoever asked about `what`.
    pub(crate) fn about(self, what: impl FnOnce() -> String) -> StoreError {
        match self {
            Trouble::Away(why) => StoreError::NotAvailable { why },
            Trouble::Foreign(why) => StoreError::Damaged { place: what(), why },
        }
    }
}

/// What an error means: for the link, and for the caller.
pub(super) fn judge(error: &RedisError, place: &str) -> (Reaction, Trouble) {
    let text = error.to_string();
    let (reaction, mend) = match code(error).as_deref() {
        Some("NOSCRIPT") => (
            Reaction::SendText,
            "it forgot the script it had just been sent; see why its script cache is flushed",
        ),
        Some("READONLY") => (
            Reaction::Renew,
            "it is a replica; name the primary, or Sentinels (a new connection is made)",
        ),
        Some("LOADING") => (
            Reaction::Keep,
            "it is reading its data set; wait until it is done",
        ),
        Some("MASTERDOWN") => (
            Reaction::Renew,
            "it is a replica that lost its primary; mend their link, or name the primary",
        ),
        Some("MISCONF") => (
            Reaction::Keep,
            "it cannot save its data, so it takes no writes; look at its disk and its log",
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
            Reaction::Renew,
            "it asks for another user or password; correct those in the store's URL",
        ),
        Some("NOPERM") => (
            Reaction::Keep,
            "its access list forbids that to this user; allow the keys and channels under the \
             prefix, and the commands of scripts, hashes, sorted sets, sets and publishing",
        ),
        Some("WRONGTYPE") => return (Reaction::Keep, foreign()),
        Some("EXECABORT") => (
            Reaction::Keep,
            "it gave up a transaction because a command in it was refused; look at its log",
        ),
        Some("CLUSTERDOWN") => (
            Reaction::Again,
            "its cluster has no node for this slot; look at CLUSTER INFO",
        ),
        Some("TRYAGAIN") => (
            Reaction::Again,
            "it is moving the slot to another node; wait until that is done",
        ),
        Some("MOVED" | "ASK") => (
            Reaction::Again,
            "the slot is on another node of its cluster; write redis+cluster:// if the URL says \
             one server",
        ),
        Some(_) => (Reaction::Keep, "look at its log"),
        None => match error.kind() {
            ErrorKind::ClusterConnectionNotFound => (
                Reaction::Drop,
                "no node of its cluster that serves this slot can be reached; look at CLUSTER NODES",
            ),
            ErrorKind::Parse | ErrorKind::UnexpectedReturnType => (
                Reaction::Drop,
                "it does not speak as Valkey does; see what listens there",
            ),
            _ => (Reaction::Drop, "a new connection is made"),
        },
    };
    let why = format!("{place} says: {text}; {mend}");
    (reaction, Trouble::Away(why))
}

/// Why no connection could be made, and how to mend it.
pub(super) fn unreachable(error: &RedisError, place: &str) -> String {
    let mend = match (error.kind(), code(error).as_deref()) {
        (ErrorKind::AuthenticationFailed, _) | (_, Some("NOAUTH" | "WRONGPASS")) => {
            "correct the user and password in the store's URL"
        }
        (ErrorKind::MasterNameNotFoundBySentinel, _) => {
            "correct the master's name in the store's URL, or tell the Sentinels of it"
        }
        (ErrorKind::RESP3NotSupported, _) => "use Valkey, or Redis from 6.2 on",
        (ErrorKind::InvalidClientConfig, _) => "correct the store's URL and its TLS files",
        _ if error.is_connection_refusal() => "start it, or correct its address",
        _ => "see that it runs, and that the way to it is open",
    };
    format!("no connection to {place}: {error}; {mend} (it is tried again all the time)")
}

/// What lies where our data should be is not ours.
pub(super) fn foreign() -> Trouble {
    Trouble::Foreign(
        "under its keys is something that this store did not write, or a part of it is gone; see \
         that nobody else writes there and that the server evicts nothing (maxmemory-policy \
         noeviction), then clear it"
            .to_owned(),
    )
}

/// The first word of a server's error.
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
        let (_, wrong) = judge(&error("WRONGTYPE", "Operation against a key"), "here");
        assert!(matches!(wrong, Trouble::Foreign(_)));
        let (_, other) = judge(&error("NEWCODE", "whatever"), "here");
        assert!(matches!(other, Trouble::Away(_)));
    }
}
