//! The admin token: reading it from a request, and counting wrong ones.
//!
//! Only wrong tokens are slowed down. A request with the right token never depends on the number of wrong ones before
//! it, so that no client behind the same address can lock an operator out.

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{Digest, SHA256, digest};
use fusebox_plan::plan::Secret;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use parking_lot::Mutex;

use crate::clock::{self, Instant};
use crate::problem::Problem;

/// The most wrong tokens of one address within a second that are answered 401; further ones are answered 429.
const WRONG_MAX: u32 = 10;
const WRONG_WITHIN: Duration = Duration::from_secs(1);
/// The most addresses whose wrong tokens are counted at once. Wrong tokens of other addresses are answered 401.
const ADDRESSES_MAX: usize = 1_024;

/// The requests that a token admits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grant {
    /// All of them.
    All,
    /// Those that change nothing.
    Read,
    /// Questions to breakers and reports, `/api/v1/calls`.
    Service,
}

/// The token that requests must carry, with the counts of wrong ones.
pub struct Token {
    /// The token's digest. Digests have one length, so that comparing them does not even reveal the token's.
    expected: Digest,
    /// The digest of the token that may only read.
    read: Option<Digest>,
    /// The digest of the token that may only ask breakers and report to them.
    service: Option<Digest>,
    wrong: Mutex<HashMap<IpAddr, Wrong>>,
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").finish_non_exhaustive()
    }
}

#[derive(Debug, Clone, Copy)]
struct Wrong {
    since: Instant,
    count: u32,
}

impl Token {
    /// A check for this token, the one that may only read and the one that may only ask breakers, with no wrong ones
    /// counted.
    pub fn new(token: &Secret, read: Option<&Secret>, service: Option<&Secret>) -> Token {
        let of = |token: &Secret| digest(&SHA256, token.reveal().as_bytes());
        Token {
            expected: of(token),
            read: read.map(of),
            service: service.map(of),
            wrong: Mutex::default(),
        }
    }

    /// Checks that a request carries a token, and says what it admits.
    ///
    /// # Errors
    /// 401 without a token or with a wrong one; 429 for a wrong one above the limit.
    pub fn check(&self, peer: IpAddr, headers: &HeaderMap) -> Result<Grant, Problem> {
        let Some(sent) = bearer(headers) else {
            return Err(Problem::unauthorized());
        };
        let sent = digest(&SHA256, sent);
        let is = |token: &Digest| verify_slices_are_equal(sent.as_ref(), token.as_ref()).is_ok();
        if is(&self.expected) {
            Ok(Grant::All)
        } else if self.read.as_ref().is_some_and(is) {
            Ok(Grant::Read)
        } else if self.service.as_ref().is_some_and(is) {
            Ok(Grant::Service)
        } else if self.is_one_too_many(peer) {
            Err(Problem::too_many())
        } else {
            Err(Problem::unauthorized())
        }
    }

    /// Counts a wrong token. True if it is above the limit.
    fn is_one_too_many(&self, peer: IpAddr) -> bool {
        let now = clock::now();
        let counts = |wrong: &Wrong| now.duration_since(wrong.since) < WRONG_WITHIN;
        let mut all = self.wrong.lock();
        let peer = network(peer);
        if all.len() >= ADDRESSES_MAX && !all.contains_key(&peer) {
            all.retain(|_, wrong| counts(wrong));
            if all.len() >= ADDRESSES_MAX {
                return false;
            }
        }
        let fresh = Wrong {
            since: now,
            count: 0,
        };
        let wrong = all.entry(peer).or_insert(fresh);
        if !counts(wrong) {
            *wrong = fresh;
        }
        wrong.count = wrong.count.saturating_add(1);
        wrong.count > WRONG_MAX
    }
}

/// The token of the one `Authorization` field, if its scheme is `Bearer` in any case (RFC 9110, sections 11.1 and 11.4:
/// one space or more between them).
fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let mut fields = headers.get_all(AUTHORIZATION).iter();
    let (Some(field), None) = (fields.next(), fields.next()) else {
        return None;
    };
    let field = field.as_bytes();
    let space = field.iter().position(|byte| *byte == b' ')?;
    let (scheme, rest) = field.split_at(space);
    let token = rest.iter().position(|byte| *byte != b' ')?;
    scheme
        .eq_ignore_ascii_case(b"Bearer")
        .then(|| &rest[token..])
}

/// The range of addresses that one client controls: for IPv6, its network of 64 bits.
fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V4(peer) => IpAddr::V4(peer),
        IpAddr::V6(peer) => {
            let network = peer.to_bits() & !u128::from(u64::MAX);
            IpAddr::V6(Ipv6Addr::from_bits(network))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn sends(fields: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for field in fields {
            headers.append(AUTHORIZATION, field.parse().unwrap());
        }
        headers
    }

    #[test]
    fn the_scheme_has_any_case_and_any_number_of_spaces_behind_it() {
        let token = Token::new(&Secret::new("s3cret"), Some(&Secret::new("r3ad")), None);
        for right in [
            "Bearer s3cret",
            "bearer s3cret",
            "BEARER s3cret",
            "bEaReR    s3cret",
        ] {
            let found = token.check(PEER, &sends(&[right]));
            assert_eq!(found, Ok(Grant::All), "{right}");
        }
        for wrong in [
            "s3cret",
            "Bearer",
            "Bearer ",
            "Bearer\ts3cret",
            "Bearers3cret",
            "Basic s3cret",
            "Bearer s3cret x",
            "Bearer s3cre",
            "Bearer S3CRET",
        ] {
            let refused = token.check(PEER, &sends(&[wrong]));
            assert_eq!(refused, Err(Problem::unauthorized()), "{wrong}");
        }
        let two = sends(&["Bearer s3cret", "Bearer s3cret"]);
        assert_eq!(token.check(PEER, &two), Err(Problem::unauthorized()));
    }

    #[test]
    fn wrong_tokens_are_slowed_down_and_the_right_one_never_is() {
        let token = Token::new(&Secret::new("s3cret"), Some(&Secret::new("r3ad")), None);
        let check = |field: &str| token.check(PEER, &sends(&[field]));
        for _ in 0..WRONG_MAX {
            assert_eq!(check("Bearer guess"), Err(Problem::unauthorized()));
        }
        for _ in 0..3 {
            assert_eq!(check("Bearer guess"), Err(Problem::too_many()));
            assert_eq!(check("Bearer s3cret"), Ok(Grant::All));
            assert_eq!(check("Bearer r3ad"), Ok(Grant::Read));
        }
        let neighbour = "10.0.0.2".parse().unwrap();
        let guess = sends(&["Bearer guess"]);
        assert_eq!(token.check(neighbour, &guess), Err(Problem::unauthorized()));
        assert_eq!(
            token.check(PEER, &HeaderMap::new()),
            Err(Problem::unauthorized()),
            "a missing token does not count as a wrong one"
        );
    }

    #[test]
    fn a_client_is_its_network_and_the_number_counted_is_limited() {
        let token = Token::new(&Secret::new("s3cret"), Some(&Secret::new("r3ad")), None);
        let guess = sends(&["Bearer guess"]);
        let host = |n: u128| IpAddr::V6(Ipv6Addr::from_bits((0x2001_0db8 << 96) + n));
        let refused = (0..20).map(|n| token.check(host(n), &guess));
        let slowed = refused.filter(|it| *it == Err(Problem::too_many())).count();
        assert_eq!(slowed, 10);
        for n in 0..3_000 {
            token.check(host(n << 64), &guess).unwrap_err();
        }
        assert_eq!(token.wrong.lock().len(), ADDRESSES_MAX);
    }
}
