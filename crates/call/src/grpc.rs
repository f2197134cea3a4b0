//! Statuses of gRPC: their names, and sets of them.

/// The names of the statuses, by number.
pub const NAMES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// The number of a status by its name, in upper or lower case; `None`: no status has that name.
pub fn code_named(name: &str) -> Option<u8> {
    let known = NAMES.iter().position(|it| it.eq_ignore_ascii_case(name));
    known.and_then(|code| u8::try_from(code).ok())
}

/// A set of statuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct GrpcCodes(u32);

impl GrpcCodes {
    /// The statuses that tell of the other side's own trouble, the default of `grpc.failure`: UNKNOWN,
    /// DEADLINE_EXCEEDED, INTERNAL, UNAVAILABLE and DATA_LOSS.
    pub const FAILURES: GrpcCodes = GrpcCodes::of(&[2, 4, 13, 14, 15]);

    /// The set of these numbers; those above 16 are left out.
    pub const fn of(codes: &[u8]) -> GrpcCodes {
        let mut bits = 0;
        let mut at = 0;
        while at < codes.len() {
            if (codes[at] as usize) < NAMES.len() {
                bits |= 1 << codes[at];
            }
            at += 1;
        }
        GrpcCodes(bits)
    }

    /// True if a status is one of the set.
    pub const fn has(self, code: u8) -> bool {
        (code as usize) < NAMES.len() && self.0 & (1 << code) != 0
    }

    /// The set with one more status.
    #[must_use]
    pub const fn with(self, code: u8) -> GrpcCodes {
        GrpcCodes(self.0 | GrpcCodes::of(&[code]).0)
    }

    /// The numbers of the set, in their order.
    pub fn iter(self) -> impl Iterator<Item = u8> {
        (0..=16).filter(move |code| self.has(*code))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_has_what_was_put_into_it() {
        let codes = GrpcCodes::of(&[14, 2, 0, 200]).with(16);
        assert_eq!(codes.iter().collect::<Vec<_>>(), [0, 2, 14, 16]);
        assert!(!codes.has(200) && !codes.has(1));
        assert_eq!(GrpcCodes::default().iter().count(), 0);
    }

    #[test]
    fn a_status_is_known_by_its_name_in_either_case() {
        assert_eq!(code_named("UNAVAILABLE"), Some(14));
        assert_eq!(code_named("unavailable"), Some(14));
        assert_eq!(code_named("OK"), Some(0));
        assert_eq!(code_named("unavailible"), None);
    }
}
