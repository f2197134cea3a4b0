//! The validation module: the conditions of its processors, each with the error that it raises.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::{Chain, Given};

/// Settings of `validation:*`.
#[derive(Debug, Clone, PartialEq)]
pub struct Validation {
    /// The condition to check.
    pub rule: ValidationRule,
    /// The error's description; `None`: the rule's default text.
    pub message: Option<Given>,
}

/// Settings of `validation:all` and `validation:any`: several validations whose errors are one, `VALIDATION:MULTIPLE`.
#[derive(Debug, Clone, PartialEq)]
pub struct Validations {
    /// True if each must hold (`all`), false if one is enough (`any`).
    pub all: bool,
    /// The validations, in the order of the file.
    pub chain: Chain,
}

/// The condition of a validation, with the error that it raises.
#[derive(Debug, Clone, PartialEq)]
pub enum ValidationRule {
    /// `is-not-null`, else `VALIDATION:NULL`.
    NotNull(Given),
    /// `is-null`, else `VALIDATION:NOT_NULL`.
    Null(Given),
    /// `is-true`, else `VALIDATION:INVALID_BOOLEAN`.
    True(Given),
    /// `is-false`, else `VALIDATION:INVALID_BOOLEAN`.
    False(Given),
    /// `is-not-blank-string`, else `VALIDATION:BLANK_STRING`.
    NotBlank(Given),
    /// `is-blank-string`, else `VALIDATION:NOT_BLANK_STRING`.
    Blank(Given),
    /// `is-not-empty-collection`, else `VALIDATION:EMPTY_COLLECTION`.
    NotEmpty(Given),
    /// `is-empty-collection`, else `VALIDATION:NOT_EMPTY_COLLECTION`.
    Empty(Given),
    /// `is-email`, else `VALIDATION:INVALID_EMAIL`.
    Email(Given),
    /// `is-url`, else `VALIDATION:INVALID_URL`.
    Url(Given),
    /// `is-ip`, else `VALIDATION:INVALID_IP`.
    Ip(Given),
    /// `is-allowed-ip` and `is-not-denied-ip`, else `VALIDATION:REJECTED_IP`, or `VALIDATION:INVALID_IP` of a text that
    /// is no address.
    IpFilter {
        /// The address; one as `attributes.remoteAddress` has it counts without its port.
        value: Given,
        /// The addresses and networks of the list.
        list: Arc<Vec<Network>>,
        /// True if the address must be in the list, false if it must not.
        allowed: bool,
    },
    /// `is-number`, else `VALIDATION:INVALID_NUMBER`.
    Number {
        /// The text of the number.
        value: Given,
        /// The kind of number: `INTEGER`, `LONG`, `SHORT`, `DOUBLE`, `FLOAT`.
        kind: Given,
        /// The least number; `None`: no limit.
        min: Option<Given>,
        /// The greatest number; `None`: no limit.
        max: Option<Given>,
    },
    /// `is-time`, else `VALIDATION:INVALID_TIME`.
    Time {
        /// The text of the time.
        value: Given,
        /// The pattern, in the letters of Java's `DateTimeFormatter`.
        pattern: Given,
    },
    /// `is-elapsed`, else `VALIDATION:NOT_ELAPSED_TIME`, and `is-not-elapsed`, else `VALIDATION:ELAPSED_TIME`.
    Elapsed {
        /// The amount of time.
        time: Given,
        /// One unit of the amount.
        unit: Duration,
        /// The time at which it begins.
        since: Given,
        /// True if the time must have passed, false if it must not.
        elapsed: bool,
    },
    /// `matches-regex`, else `VALIDATION:MISMATCH`.
    Matches {
        /// The text to match.
        value: Given,
        /// A regular expression that must match the whole text.
        regex: Given,
        /// True if case matters. Default true.
        case_sensitive: Given,
    },
    /// `validate-size`, else `VALIDATION:INVALID_SIZE`.
    Size {
        /// The value to measure.
        value: Given,
        /// The minimal size. Default 0.
        min: Given,
        /// The maximal size; `None`: no limit.
        max: Option<Given>,
    },
}

impl ValidationRule {
    /// The values that it reads.
    pub fn given(&self) -> Vec<&Given> {
        match self {
            ValidationRule::NotNull(value)
            | ValidationRule::Null(value)
            | ValidationRule::True(value)
            | ValidationRule::False(value)
            | ValidationRule::NotBlank(value)
            | ValidationRule::Blank(value)
            | ValidationRule::NotEmpty(value)
            | ValidationRule::Empty(value)
            | ValidationRule::Email(value)
            | ValidationRule::Url(value)
            | ValidationRule::Ip(value)
            | ValidationRule::IpFilter { value, .. } => vec![value],
            ValidationRule::Number {
                value,
                kind,
                min,
                max,
            } => [value, kind].into_iter().chain(min).chain(max).collect(),
            ValidationRule::Time { value, pattern } => vec![value, pattern],
            ValidationRule::Elapsed { time, since, .. } => vec![time, since],
            ValidationRule::Matches {
                value,
                regex,
                case_sensitive,
            } => vec![value, regex, case_sensitive],
            ValidationRule::Size { value, min, max } => {
                [value, min].into_iter().chain(max).collect()
            }
        }
    }
}

/// A network: an address, of which the first bits are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    addr: IpAddr,
    bits: u32,
}

impl Network {
    /// Reads `10.0.0.1`, `10.0.0.0/8`, `2001:db8::/48`, and `193.1` for all addresses that begin so.
    pub fn parse(text: &str) -> Option<Network> {
        let (addr, bits) = match text.trim().split_once('/') {
            Some((addr, bits)) => (addr, Some(bits.parse().ok()?)),
            None => (text.trim(), None),
        };
        if let Ok(addr) = addr.parse::<IpAddr>() {
            let most = if addr.is_ipv4() { 32 } else { 128 };
            let bits = bits.unwrap_or(most);
            return (bits <= most).then_some(Network { addr, bits });
        }
        let parts = addr.split('.').count();
        if bits.is_some() || parts >= 4 {
            return None;
        }
        let whole = format!("{addr}{}", ".0".repeat(4 - parts));
        let bits = u32::try_from(parts).ok()? * 8;
        let addr = whole.parse().ok()?;
        Some(Network { addr, bits })
    }

    /// True if an address is in the network.
    pub fn contains(&self, addr: IpAddr) -> bool {
        let low = |all: u32| all.saturating_sub(self.bits);
        match (self.addr, addr.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(addr)) => {
                let differ = u32::from(own) ^ u32::from(addr);
                differ.checked_shr(low(32)).unwrap_or(0) == 0
            }
            (IpAddr::V6(own), IpAddr::V6(addr)) => {
                let differ = u128::from(own) ^ u128::from(addr);
                differ.checked_shr(low(128)).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_has_the_addresses_that_begin_as_it_does() {
        for (network, addr, within) in [
            ("192.168.1.0/24", "192.168.1.77", true),
            ("192.168.1.0/24", "192.168.2.1", false),
            ("10.0.0.1/24", "10.0.0.200", true),
            ("127.0.0.1", "127.0.0.1", true),
            ("127.0.0.1", "127.0.0.2", false),
            ("193.1", "193.1.7.8", true),
            ("193.1", "193.2.0.1", false),
            ("0.0.0.0/0", "8.8.8.8", true),
            ("2001:db8::/48", "2001:db8:0:1::1", true),
            ("2001:db8::/48", "2001:db8:1::1", false),
            ("127.0.0.1", "::ffff:127.0.0.1", true),
        ] {
            let found = Network::parse(network).unwrap();
            assert_eq!(
                found.contains(addr.parse().unwrap()),
                within,
                "{network} {addr}"
            );
        }
        for text in ["", "10.0.0.0/33", "10.0.0.0.0", "a.b", "10.0/8"] {
            assert_eq!(Network::parse(text), None, "{text}");
        }
    }
}
