//! Request fields that pass facts about a client or a request from one proxy to the next program.
//!
//! Frameworks read a request's target, method, scheme or client from them instead of from the request itself. A rule
//! for `/private` does not hold any more if `GET /` may say `X-Original-URL: /private`, so these fields come from a
//! peer in `trusted_proxies` or not at all.

/// Prefix of fields that are recognised by it alone.
const FORWARDED: &str = "x-forwarded-";

/// The other fields, sorted. A name belongs here if a well-known proxy, CDN or framework writes or reads it in the way
/// described above. `X-HTTP-Method-Override` and `X-Original-Filename` do not: browsers' forms and scripts send them
/// for themselves. `Proxy` becomes `HTTP_PROXY` in a CGI program, which then sends its own calls there.
const WORDS: [&str; 92] = [
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
    "forwarded-for",
    "front-end-https",
    "incap-client-ip",
    "proxy",
    "proxy-client-ip",
    "proxy-host",
    "proxy-url",
    "remote-addr",
    "remote-user",
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
    "x-forward-for",
    "x-forwarded",
    "x-host",
    "x-http-host-override",
    "x-ms-original-url",
    "x-nf-client-connection-ip",
    "x-original-addr",
    "x-original-client-ip",
    "x-original-for",
    "x-original-forwarded-for",
    "x-original-host",
    "x-original-http-method",
    "x-original-ip",
    "x-original-method",
    "x-original-path",
    "x-original-port",
    "x-original-prefix",
    "x-original-proto",
    "x-original-protocol",
    "x-original-query",
    "x-original-query-string",
    "x-original-remote-addr",
    "x-original-request-uri",
    "x-original-request-url",
    "x-original-scheme",
    "x-original-script-name",
    "x-original-server-name",
    "x-original-uri",
    "x-original-url",
    "x-originating-ip",
    "x-proxyuser-ip",
    "x-real-ip",
    "x-remote-addr",
    "x-remote-ip",
    "x-remote-user",
    "x-replaced-path",
    "x-request-uri",
    "x-rewrite-url",
    "x-scheme",
    "x-script-name",
    "x-ssl-client-cert",
    "x-ssl-client-dn",
    "x-ssl-client-i-dn",
    "x-ssl-client-issuer-dn",
    "x-ssl-client-s-dn",
    "x-ssl-client-subject-dn",
    "x-ssl-client-verify",
    "x-tls-client-cert",
    "x-true-client-ip",
    "x-url-scheme",
    "x-vercel-forwarded-for",
];

/// True if a field of this name, in lower case, may come only from a proxy.
pub fn is_proxy_word(name: &str) -> bool {
    // Few names begin with these letters, `x` aside.
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
