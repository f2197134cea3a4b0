//! Sockets that clients connect to: one per worker on the same address, so that the kernel distributes connections and
//! no worker waits for another.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use fusebox_plan::plan::Listener;
use socket2::{Domain, Protocol, Socket, Type};

/// The most connections that wait to be accepted, for each socket.
pub const BACKLOG: u16 = 4096;

/// The key of a listener's sockets: its address. A reload that keeps the address keeps the sockets, whatever the
/// listener's name; only a port that the system chose (port 0) belongs to the name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ListenerKey {
    addr: SocketAddr,
    name: Option<Arc<str>>,
}

impl ListenerKey {
    /// The key of a plan's listener.
    pub fn of(listener: &Listener) -> ListenerKey {
        ListenerKey {
            addr: listener.addr,
            name: (listener.addr.port() == 0).then(|| listener.name.clone()),
        }
    }
}

/// Binds `count` sockets to one address; port 0 becomes the same free port for all. `ours` are the addresses that this
/// process listens on already: one may share its port with a new one until it is closed, as when `127.0.0.1:8080`
/// becomes `0.0.0.0:8080`.
///
/// # Errors
/// If another process has the address, or the system refuses it.
pub fn bind(
    addr: SocketAddr,
    count: usize,
    ours: &[SocketAddr],
) -> io::Result<(SocketAddr, Vec<TcpListener>)> {
    // Shared sockets would silently join those of another process; an exclusive one fails.
    let bound = if ours.iter().any(|ours| ours.port() == addr.port()) {
        addr
    } else {
        open(addr, false)?.local_addr()?
    };
    let listeners = (0..count.max(1))
        .map(|_| open(bound, true))
        .collect::<io::Result<Vec<_>>>()?;
    Ok((bound, listeners))
}

fn open(addr: SocketAddr, shared: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if shared {
        socket.set_reuse_port(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&addr.into())?;
    socket.listen(i32::from(BACKLOG))?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_another_has_is_refused() {
        let (addr, first) = bind("127.0.0.1:0".parse().unwrap(), 2, &[]).unwrap();
        assert_eq!(first.len(), 2);
        assert_eq!(
            bind(addr, 2, &[]).unwrap_err().kind(),
            io::ErrorKind::AddrInUse
        );
    }

    #[test]
    fn a_wider_address_can_take_over_from_one_of_ours() {
        let (narrow, first) = bind("127.0.0.1:0".parse().unwrap(), 2, &[]).unwrap();
        let wide = SocketAddr::new("0.0.0.0".parse().unwrap(), narrow.port());
        let (addr, second) = bind(wide, 2, &[narrow]).unwrap();
        assert_eq!((addr, second.len()), (wide, 2));
        drop(first);
    }
}
