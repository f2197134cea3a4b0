//! The kinds of problems: each has a URI for programs, which stays the same, a status and a title.

use http::StatusCode;

/// The beginning of every URI.
const PREFIX: &str = "urn:fusebox:problem:";

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident $word:literal $status:ident $title:literal;)*) => {
        /// A kind of problem.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Kind {
            $($(#[$doc])* $name,)*
        }

        impl Kind {
            /// All kinds, by status.
            pub const ALL: &'static [Kind] = &[$(Kind::$name),*];

            /// The last part of the URI.
            const fn word(self) -> &'static str {
                match self {
                    $(Kind::$name => $word,)*
                }
            }

            /// The status of its answers.
            pub const fn status(self) -> StatusCode {
                match self {
                    $(Kind::$name => StatusCode::$status,)*
                }
            }

            /// The title: the kind in a few words, the same in every answer.
            pub const fn title(self) -> &'static str {
                match self {
                    $(Kind::$name => $title,)*
                }
            }
        }
    };
}

kinds! {
    /// The request cannot be read, or has a value that is not allowed.
    Malformed "malformed-request" BAD_REQUEST "Malformed request";
    /// This gateway has not given the permit for this breaker.
    ForgedPermit "forged-permit" BAD_REQUEST "Permit not given here";
    /// The token is missing or wrong.
    Unauthorized "unauthorized" UNAUTHORIZED "Token missing or wrong";
    /// The token may only read.
    ReadOnly "read-only-token" FORBIDDEN "Token may only read";
    /// The token may only ask breakers and report to them.
    ServiceOnly "service-token" FORBIDDEN "Token may only ask and report";
    /// The `Host` field is neither an address nor `localhost`.
    ForeignHost "foreign-host" FORBIDDEN "Foreign host";
    /// The `Origin` field names another origin.
    ForeignOrigin "foreign-origin" FORBIDDEN "Foreign origin";
    /// The path is unknown.
    UnknownPath "unknown-path" NOT_FOUND "Unknown path";
    /// The breaker is unknown.
    UnknownBreaker "unknown-breaker" NOT_FOUND "Unknown breaker";
    /// The upstream is unknown, or keeps no last good answers.
    NothingKept "nothing-kept" NOT_FOUND "No last good answers";
    /// The path does not support the method.
    WrongMethod "wrong-method" METHOD_NOT_ALLOWED "Method not supported";
    /// The request took too long to arrive.
    TooSlow "too-slow" REQUEST_TIMEOUT "Request too slow";
    /// A breaker that a flow builds cannot do this.
    FlowBreaker "flow-breaker" CONFLICT "Not possible with a breaker of a flow";
    /// There are more outcomes than the permit has left.
    BeyondPermit "beyond-permit" CONFLICT "More outcomes than permitted";
    /// The breaker is shared with no fleet.
    NotShared "not-shared" CONFLICT "Breaker not shared";
    /// The store could not be written, so the command may not last.
    StoreNotWritten "store-not-written" CONFLICT "Store not written";
    /// The body is too large.
    TooLarge "too-large" PAYLOAD_TOO_LARGE "Body too large";
    /// The body is not declared as JSON.
    NotJson "not-json" UNSUPPORTED_MEDIA_TYPE "Body not JSON";
    /// The configuration has errors.
    ConfigurationRefused "configuration-refused" UNPROCESSABLE_ENTITY "Configuration has errors";
    /// The configuration, or something that it needs, cannot be had.
    ConfigurationFailed "configuration-failed" UNPROCESSABLE_ENTITY "Configuration cannot be used";
    /// The address has sent too many wrong tokens.
    TooManyTokens "too-many-tokens" TOO_MANY_REQUESTS "Too many wrong tokens";
    /// The API has a fault.
    Internal "internal" INTERNAL_SERVER_ERROR "Fault of the admin API";
    /// A store that the answer needs does not respond.
    StoreAway "store-away" SERVICE_UNAVAILABLE "Store away";
    /// There are as many streams of events as there may be.
    TooManyListeners "too-many-listeners" SERVICE_UNAVAILABLE "Too many listeners";
    /// The gateway ends.
    Ending "ending" SERVICE_UNAVAILABLE "Gateway ends";
}

impl Kind {
    /// The URI, such as `urn:fusebox:problem:unknown-breaker`.
    pub fn uri(self) -> String {
        format!("{PREFIX}{}", self.word())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_kinds_have_one_uri() {
        for (at, kind) in Kind::ALL.iter().enumerate() {
            let same = Kind::ALL[..at].iter().find(|it| it.uri() == kind.uri());
            assert_eq!(same, None);
        }
    }
}
