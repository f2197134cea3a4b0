//! Kinds of fields in a head, found in one look over its names: looking one name up costs as much as passing several.

use http::HeaderMap;

use crate::message::proxy_words::is_proxy_word;

/// The kinds of fields that a head has: a set of bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FieldKinds(u32);

impl FieldKinds {
    /// `Connection`. This kind and the next six are the fields of one connection that `Connection` need not name.
    pub const CONNECTION: FieldKinds = FieldKinds(1);
    /// The field `Keep-Alive`.
    pub const KEEP_ALIVE: FieldKinds = FieldKinds(1 << 1);
    /// The field `Proxy-Connection`.
    pub const PROXY_CONNECTION: FieldKinds = FieldKinds(1 << 2);
    /// The field `Transfer-Encoding`.
    pub const TRANSFER_ENCODING: FieldKinds = FieldKinds(1 << 3);
    /// The field `Upgrade`.
    pub const UPGRADE: FieldKinds = FieldKinds(1 << 4);
    /// The field `Proxy-Authenticate`.
    pub const PROXY_AUTHENTICATE: FieldKinds = FieldKinds(1 << 5);
    /// The field `HTTP2-Settings`.
    pub const HTTP2_SETTINGS: FieldKinds = FieldKinds(1 << 6);
    /// The field `TE`.
    pub const TE: FieldKinds = FieldKinds(1 << 7);
    /// The field `Proxy-Authorization`.
    pub const PROXY_AUTHORIZATION: FieldKinds = FieldKinds(1 << 8);
    /// The field `Content-Length`.
    pub const CONTENT_LENGTH: FieldKinds = FieldKinds(1 << 9);
    /// The field `Tracestate`.
    pub const TRACESTATE: FieldKinds = FieldKinds(1 << 10);
    /// The field `Traceparent`.
    pub const TRACEPARENT: FieldKinds = FieldKinds(1 << 11);
    /// The field `Expect`.
    pub const EXPECT: FieldKinds = FieldKinds(1 << 12);
    /// The field `X-Request-Id`.
    pub const REQUEST_ID: FieldKinds = FieldKinds(1 << 13);
    /// A field that clients may not send: see [`is_ours`].
    pub const OURS: FieldKinds = FieldKinds(1 << 14);
    /// A field that only proxies may send: see [`is_proxy_word`].
    pub const PROXY_WORD: FieldKinds = FieldKinds(1 << 15);
    /// The field `Content-Type`.
    pub const CONTENT_TYPE: FieldKinds = FieldKinds(1 << 16);

    /// The kinds of a request's fields.
    pub fn of_request(headers: &HeaderMap) -> FieldKinds {
        let bits = headers.keys().map(|name| {
            let name = name.as_str();
            let ours = u32::from(is_ours(name)) * FieldKinds::OURS.0;
            let proxys = u32::from(is_proxy_word(name)) * FieldKinds::PROXY_WORD.0;
            FieldKinds::of_name(name).0 | ours | proxys
        });
        FieldKinds(bits.fold(0, |found, bit| found | bit))
    }

    /// The kinds of an answer's fields; [`OURS`](FieldKinds::OURS) are those that only we may write.
    pub fn of_answer(headers: &HeaderMap) -> FieldKinds {
        let bits = headers.keys().map(|name| {
            let name = name.as_str();
            let ours = u32::from(is_fusebox_word(name)) * FieldKinds::OURS.0;
            FieldKinds::of_name(name).0 | ours
        });
        FieldKinds(bits.fold(0, |found, bit| found | bit))
    }

    /// The kind of a field by its name in lower case; empty for most.
    pub fn of_name(name: &str) -> FieldKinds {
        match name {
            "connection" => FieldKinds::CONNECTION,
            "keep-alive" => FieldKinds::KEEP_ALIVE,
            "proxy-connection" => FieldKinds::PROXY_CONNECTION,
            "transfer-encoding" => FieldKinds::TRANSFER_ENCODING,
            "upgrade" => FieldKinds::UPGRADE,
            "proxy-authenticate" => FieldKinds::PROXY_AUTHENTICATE,
            "http2-settings" => FieldKinds::HTTP2_SETTINGS,
            "te" => FieldKinds::TE,
            "proxy-authorization" => FieldKinds::PROXY_AUTHORIZATION,
            "content-length" => FieldKinds::CONTENT_LENGTH,
            "content-type" => FieldKinds::CONTENT_TYPE,
            "tracestate" => FieldKinds::TRACESTATE,
            "traceparent" => FieldKinds::TRACEPARENT,
            "expect" => FieldKinds::EXPECT,
            "x-request-id" => FieldKinds::REQUEST_ID,
            _ => FieldKinds(0),
        }
    }

    /// True if the head has a field of one of these kinds.
    pub const fn has(self, kinds: FieldKinds) -> bool {
        self.0 & kinds.0 != 0
    }

    /// The kinds of either set.
    pub const fn or(self, other: FieldKinds) -> FieldKinds {
        FieldKinds(self.0 | other.0)
    }
}

/// True for names that clients may not send: those with `_`, which some programs read as `-`, and those that a gateway
/// uses towards the programs behind it.
pub fn is_ours(name: &str) -> bool {
    name.contains('_')
        || is_fusebox_word(name)
        || name.starts_with("x-fusebox-")
        || name.starts_with("x-breaker-")
        || name.starts_with("x-gateway-")
}

/// True if a field of this name, in lower case, is a statement of this gateway about an answer, such as
/// `Fusebox-Reason`. In an upstream's answer it would be mistaken for ours, so it is removed; an upstream that is a
/// Fusebox too addressed it to us.
pub fn is_fusebox_word(name: &str) -> bool {
    name.starts_with("fusebox-")
}
