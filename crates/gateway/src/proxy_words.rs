//! Request fields by which one proxy tells the next program about a client or a request.
//!
//! Frameworks take a request's target, method, scheme or client from them instead of from the request itself. A rule
//! that holds for `/private` holds no longer where `GET /` may say `X-Original-URL: /private`, so these fields come from
//! a peer in `trusted_proxies` or not at all.

/// Prefix of the fields that are known by it alone.
const FORWARDED: &str = "x-forwarded-";

/// The other fields, sorted. A name belongs here if a well-known proxy, CDN or framework writes or reads it as said
/// above. `X-HTTP-Method-Override` does not: browsers' forms and scripts send it for themselves.
const WORDS: [&str; 60] = [
    "ali-cdn-real-ip",
    "base-url",
    "cf-connecting-ip",
    "cf-connecting-ipv6",
    "cf-pseudo-ipv4",
    "client-cert",
    "client-cert-chain",
    "client-ip",
    "cloudfront-viewer-address",
    "do-connecting-ip",
    "fastly-client-ip",
    "fly-client-ip",
    "front-end-https",
    "incap-client-ip",
    "proxy-client-ip",
    "remote-addr",
    "request-uri",
    "ssl-client-cert",
    "ssl-client-issuer-dn",
    "ssl-client-subject-dn",
    "ssl-client-verify",
    "true-client-ip",
    "wl-proxy-client-cert",
    "wl-proxy-client-ip",
    "wl-proxy-ssl",
    "x-appengine-user-ip",
    "x-arr-clientcert",
    "x-arr-ssl",
    "x-azure-clientip",
    "x-azure-socketip",
    "x-client-cert",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-envoy-external-address",
    "x-envoy-original-host",
    "x-envoy-original-path",
    "x-host",
    "x-http-host-override",
    "x-nf-client-connection-ip",
    "x-original-for",
    "x-original-forwarded-for",
    "x-original-host",
    "x-original-method",
    "x-original-path",
    "x-original-proto",
    "x-original-uri",
    "x-original-url",
    "x-originating-ip",
    "x-proxyuser-ip",
    "x-real-ip",
    "x-remote-addr",
    "x-remote-ip",
    "x-replaced-path",
    "x-rewrite-url",
    "x-scheme",
    "x-script-name",
    "x-ssl-client-cert",
    "x-true-client-ip",
    "x-url-scheme",
    "x-vercel-forwarded-for",
];

/// Whether a field of this name, in lower case, is a proxy's to send.
pub fn is_proxy_word(name: &str) -> bool {
    // Few names begin with the letters that these do, `x` aside.
    let may_be = matches!(
        name.as_bytes().first(),
        Some(b'a' | b'b' | b'c' | b'd' | b'f' | b'i' | b'p' | b'r' | b's' | b't' | b'w' | b'x')
    );
    may_be && (name.starts_with(FORWARDED) || WORDS.binary_search(&name).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_sorted_and_every_word_of_it_is_found() {
        assert!(WORDS.is_sorted());
        for word in WORDS {
            assert!(is_proxy_word(word), "{word}");
        }
        for word in ["x-forwarded-for", "x-forwarded-prefix"] {
            assert!(is_proxy_word(word), "{word}");
        }
    }

    #[test]
    fn what_an_application_says_for_itself_is_no_proxys_word() {
        for name in [
            "accept",
            "cookie",
            "origin",
            "range",
            "referer",
            "destination",
            "x-http-method-override",
            "x-original-filename",
            "x-requested-with",
            "x-request-id",
            "x-api-key",
        ] {
            assert!(!is_proxy_word(name), "{name}");
        }
    }
}
