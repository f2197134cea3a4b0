//! The addresses of the admin API as options have them: where it listens, and where a client finds it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

/// The prefix of a Unix socket's path among addresses.
const UNIX: &str = "unix:";

/// The addresses on which the admin API listens, from `--admin`. Empty: it is off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdminAddrs(pub Vec<AdminAddr>);

/// An address of the admin API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AdminAddr {
    /// An IP address with a port.
    Tcp(SocketAddr),
    /// The path of a Unix socket.
    Unix(PathBuf),
}

impl FromStr for AdminAddrs {
    type Err = String;

    fn from_str(text: &str) -> Result<AdminAddrs, String> {
        if text == "off" {
            return Ok(AdminAddrs(Vec::new()));
        }
        text.split(',')
            .map(str::parse)
            .collect::<Result<_, _>>()
            .map(AdminAddrs)
    }
}

impl FromStr for AdminAddr {
    type Err = String;

    fn from_str(text: &str) -> Result<AdminAddr, String> {
        let text = text.trim();
        if let Some(path) = unix_path(text) {
            return Ok(AdminAddr::Unix(path));
        }
        text.parse().map(AdminAddr::Tcp).map_err(|_| {
            format!("expected an address such as 127.0.0.1:9900, unix:PATH or off; found `{text}`")
        })
    }
}

/// The path in `unix:PATH` or `unix:///PATH`.
pub fn unix_path(text: &str) -> Option<PathBuf> {
    let path = text.strip_prefix(UNIX)?;
    let path = path.strip_prefix("//").unwrap_or(path);
    (!path.is_empty()).then(|| path.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(text: &str) -> AdminAddr {
        AdminAddr::Tcp(text.parse().unwrap())
    }

    #[test]
    fn a_comma_separates_several_addresses() {
        let read = |text: &str| text.parse::<AdminAddrs>().map(|it| it.0);
        assert_eq!(read("off"), Ok(vec![]));
        assert_eq!(read("127.0.0.1:9900"), Ok(vec![tcp("127.0.0.1:9900")]));
        assert_eq!(
            read("[::1]:9900, unix:/run/fusebox.sock,unix:///tmp/a"),
            Ok(vec![
                tcp("[::1]:9900"),
                AdminAddr::Unix("/run/fusebox.sock".into()),
                AdminAddr::Unix("/tmp/a".into()),
            ])
        );
    }

    #[test]
    fn what_is_no_address_is_named() {
        for (text, named) in [
            ("somewhere", "`somewhere`"),
            ("127.0.0.1:9900,off", "`off`"),
            ("127.0.0.1:9900,", "``"),
            ("unix:", "`unix:`"),
        ] {
            let error = text.parse::<AdminAddrs>().unwrap_err();
            assert!(error.ends_with(named), "{error}");
        }
    }
}
