//! Sockets that clients connect to: one per worker on the same address, so that the kernel deals
//! connections out and no worker waits for another.

use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};

/// How many connections may wait to be accepted.
const BACKLOG: i32 = 4096;

/// Binds `count` sockets to one address; port 0 becomes the same free port for all.
///
/// # Errors
/// If another process has the address, or the system refuses it.
pub fn bind(addr: SocketAddr, count: usize) -> io::Result<(SocketAddr, Vec<TcpListener>)> {
    // Shared sockets would quietly join those of another process; an exclusive one finds it out.
    let exclusive = open(addr, false)?;
    let bound = exclusive.local_addr()?;
    drop(exclusive);
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
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_another_has_is_refused() {
        let (addr, first) = bind("127.0.0.1:0".parse().unwrap(), 2).unwrap();
        assert_eq!(first.len(), 2);
        assert_eq!(bind(addr, 2).unwrap_err().kind(), io::ErrorKind::AddrInUse);
    }
}
