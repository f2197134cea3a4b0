//! Texts that are numbers, addresses of mail, URLs, or addresses of computers.

use std::net::IpAddr;
use std::sync::Arc;

use super::Broken;
use crate::Number;

/// True for an address of mail: a name, `@`, and a domain with a dot in it.
pub fn email(text: &str) -> bool {
    let Some((name, domain)) = text.rsplit_once('@') else {
        return false;
    };
    let quoted = name.len() > 2 && name.starts_with('"') && name.ends_with('"');
    let is_atom = |c: char| c.is_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c);
    let plain = |part: &str| !part.is_empty() && part.chars().all(is_atom);
    (quoted || name.split('.').all(plain)) && name.len() <= 64 && is_domain(domain)
}

fn is_domain(domain: &str) -> bool {
    if let Some(literal) = domain.strip_prefix('[').and_then(|it| it.strip_suffix(']')) {
        let literal = literal.strip_prefix("IPv6:").unwrap_or(literal);
        return literal.parse::<IpAddr>().is_ok();
    }
    let labels: Vec<&str> = domain.split('.').collect();
    let is_label = |label: &&str| {
        let inner = |c: char| c.is_alphanumeric() || c == '-';
        !label.is_empty()
            && label.len() <= 63
            && label.chars().all(inner)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let top = labels.last().copied().unwrap_or_default();
    let is_top = top.starts_with("xn--") || top.chars().all(char::is_alphabetic);
    labels.len() > 1 && labels.iter().all(is_label) && top.chars().count() > 1 && is_top
}

/// The schemes that Java knows.
const SCHEMES: [&str; 6] = ["http", "https", "ftp", "file", "jar", "mailto"];

/// True for what Java reads as a URL: a scheme that it knows, and a port that is a number.
pub fn url(text: &str) -> bool {
    let Some((scheme, rest)) = text.trim().split_once(':') else {
        return false;
    };
    if !SCHEMES.contains(&&*scheme.to_ascii_lowercase()) {
        return false;
    }
    if scheme.eq_ignore_ascii_case("jar") {
        return rest.contains("!/");
    }
    let Some(rest) = rest.strip_prefix("//") else {
        return true;
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    let port = match host.strip_prefix('[') {
        Some(literal) => match literal.split_once(']') {
            Some((_, port)) => port.strip_prefix(':').or((port.is_empty()).then_some("")),
            None => return false,
        },
        None => host.split_once(':').map(|(_, port)| port).or(Some("")),
    };
    port.is_some_and(|port| port.chars().all(|c| c.is_ascii_digit()))
}

/// The address of a computer, as it is written or as `attributes.remoteAddress` has it.
pub fn ip(text: &str) -> Option<IpAddr> {
    if let Ok(addr) = text.parse() {
        return Some(addr);
    }
    let (_, socket) = text.split_once('/')?;
    let (addr, _) = socket.rsplit_once(':')?;
    addr.trim_matches(['[', ']']).parse().ok()
}

/// Checks that a text is a number of a kind, between two others.
pub fn number(
    text: &str,
    kind: &str,
    min: Option<Arc<str>>,
    max: Option<Arc<str>>,
) -> Result<(), Broken> {
    let broken = |what: String| Err(("INVALID_NUMBER", what));
    let Some(value) = read(text, kind) else {
        return broken(format!("{text} is not a valid {kind} value"));
    };
    let limit = |limit: Option<Arc<str>>| limit.and_then(|limit| read(&limit, kind));
    if let Some(min) = limit(min).filter(|min| value < *min) {
        return broken(format!("{value} is lower that {min}"));
    }
    if let Some(max) = limit(max).filter(|max| value > *max) {
        return broken(format!("{value} is greater that {max}"));
    }
    Ok(())
}

/// A number as in English, `1,234.5`, within the range of its kind.
fn read(text: &str, kind: &str) -> Option<Number> {
    let plain = text.trim().replace(',', "");
    let digits = plain.strip_prefix('-').unwrap_or(&plain);
    if !digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return None;
    }
    let whole = || plain.parse::<i64>().ok();
    let fits = match kind.trim() {
        "SHORT" => i16::try_from(whole()?).is_ok(),
        "INTEGER" => i32::try_from(whole()?).is_ok(),
        "LONG" => whole().is_some(),
        "FLOAT" => plain.parse::<f32>().is_ok_and(f32::is_finite),
        _ => plain.parse::<f64>().is_ok_and(f64::is_finite),
    };
    Number::parse(&plain).filter(|_| fits)
}

/// A whole number with a comma between thousands, as Java writes it in a message.
pub fn grouped(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    match number < 0 {
        true => format!("-{out}"),
        false => out,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_mail_has_a_name_and_a_domain() {
        for text in [
            "a@b.com",
            "a.b+c@x.y-z.org",
            "\"a b\"@b.com",
            "a@[127.0.0.1]",
            "é@b.com",
        ] {
            assert!(email(text), "{text}");
        }
        for text in [
            "",
            "a",
            "a@b",
            "@b.com",
            "a@",
            "a..b@c.com",
            "a b@c.com",
            " a@b.com",
            "a@b.c",
            "a@-b.com",
            "a@b.com ",
        ] {
            assert!(!email(text), "{text}");
        }
    }

    #[test]
    fn a_url_has_a_scheme_that_java_knows() {
        for text in [
            "http://a",
            "https://a.b:80/c?d",
            "ftp://x",
            "http://[::1]:80/",
            "mailto:a@b",
            "file:/x",
            "http://u:p@h:1/",
        ] {
            assert!(url(text), "{text}");
        }
        for text in [
            "",
            "a.b",
            "here://a",
            "http//a",
            "http://a:b/",
            "http://[::1/",
        ] {
            assert!(!url(text), "{text}");
        }
    }

    #[test]
    fn a_number_is_of_a_kind_and_within_its_limits() {
        let held = |text, kind, min: Option<&str>, max: Option<&str>| {
            number(text, kind, min.map(Arc::from), max.map(Arc::from))
        };
        assert_eq!(held("12", "INTEGER", Some("12"), Some("12")), Ok(()));
        assert_eq!(held("1,234.5", "DOUBLE", None, None), Ok(()));
        assert_eq!(held("007", "LONG", None, None), Ok(()));
        for (text, kind, min, max, what) in [
            (
                "12.5",
                "INTEGER",
                None,
                None,
                "12.5 is not a valid INTEGER value",
            ),
            (
                "40000",
                "SHORT",
                None,
                None,
                "40000 is not a valid SHORT value",
            ),
            (
                "3000000000",
                "INTEGER",
                None,
                None,
                "3000000000 is not a valid INTEGER value",
            ),
            ("a", "LONG", None, None, "a is not a valid LONG value"),
            (
                "NaN",
                "DOUBLE",
                None,
                None,
                "NaN is not a valid DOUBLE value",
            ),
            ("3", "LONG", Some("5"), None, "3 is lower that 5"),
            ("7", "DOUBLE", None, Some("6.5"), "7 is greater that 6.5"),
        ] {
            let told = held(text, kind, min, max);
            assert_eq!(told, Err(("INVALID_NUMBER", what.to_owned())));
        }
    }

    #[test]
    fn an_address_may_have_a_port() {
        for (text, found) in [
            ("127.0.0.1", Some("127.0.0.1")),
            ("/127.0.0.1:5000", Some("127.0.0.1")),
            ("host/10.0.0.1:1", Some("10.0.0.1")),
            ("/[::1]:5000", Some("::1")),
            ("127.0.0.1:80", None),
            ("host", None),
        ] {
            assert_eq!(ip(text), found.map(|it| it.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn thousands_have_a_comma() {
        assert_eq!(
            [0, 999, 1000, -1234567].map(grouped),
            ["0", "999", "1,000", "-1,234,567"]
        );
    }
}
