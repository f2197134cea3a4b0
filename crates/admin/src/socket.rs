//! The sockets of the admin API: addresses of the network, and Unix sockets, whose files say who may connect.

use std::fmt;
use std::io::{self, ErrorKind};
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll};

use rustix::fs::Mode;
use rustix::io::Errno;
use socket2::{Domain, SockAddr, Socket as Probe, Type};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

/// The mode bits that a Unix socket's file does not get, which leaves it 0660.
const WITHHELD: u32 = 0o117;

/// A socket on which the admin API listens.
#[derive(Debug)]
pub enum Socket {
    /// An address of the network, whose clients need the token if there is one.
    Tcp(TcpListener),
    /// A Unix socket, whose clients need none.
    Unix(UnixSocket),
}

impl Socket {
    /// Accepts one connection.
    pub(crate) async fn accept(&self) -> io::Result<(Connection, Peer)> {
        match self {
            Socket::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                Ok((Connection::Tcp(stream), Peer::Address(peer)))
            }
            Socket::Unix(socket) => {
                let (stream, _) = socket.listener.accept().await?;
                Ok((Connection::Unix(stream), Peer::Unix))
            }
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Socket::Tcp(listener) => listener.as_fd(),
            Socket::Unix(socket) => socket.listener.as_fd(),
        }
    }
}

impl From<TcpListener> for Socket {
    fn from(listener: TcpListener) -> Socket {
        Socket::Tcp(listener)
    }
}

/// A listening Unix socket. Its file is removed on drop, unless another process has taken its place.
#[derive(Debug)]
pub struct UnixSocket {
    listener: UnixListener,
    path: PathBuf,
    /// The device and inode of the file.
    file: Option<(u64, u64)>,
}

impl UnixSocket {
    /// Listens on a path; the file gets the mode 0660. A file that a dead process left behind is replaced.
    ///
    /// # Errors
    /// If a live process listens there, another kind of file is in the way, or the system does not allow it.
    pub fn bind(path: &Path) -> io::Result<UnixSocket> {
        remove_stale(path)?;
        // Set while the file is made, since a mode that is set later comes too late for the first client.
        let before = rustix::process::umask(Mode::from_raw_mode(WITHHELD));
        let bound = UnixListener::bind(path);
        rustix::process::umask(before);
        Ok(UnixSocket {
            listener: bound?,
            path: path.to_owned(),
            file: identity(path),
        })
    }
}

impl Drop for UnixSocket {
    fn drop(&mut self) {
        if self.file.is_some() && self.file == identity(&self.path) {
            // A file that stays is taken for a stale one at the next start.
            std::fs::remove_file(&self.path).ok();
        }
    }
}

/// Removes the file of a socket on which no process listens.
fn remove_stale(path: &Path) -> io::Result<()> {
    let metadata = match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        found => found?,
    };
    if !metadata.file_type().is_socket() {
        let why = "the file exists and is not a socket";
        return Err(io::Error::new(ErrorKind::AlreadyExists, why));
    }
    let probe = Probe::new(Domain::UNIX, Type::STREAM, None)?;
    // A live listener whose queue is full says so at once.
    probe.set_nonblocking(true)?;
    match probe.connect(&SockAddr::unix(path)?) {
        Err(error) if Errno::from_io_error(&error) == Some(Errno::CONNREFUSED) => {
            std::fs::remove_file(path)
        }
        Err(error) if error.kind() != ErrorKind::WouldBlock => Err(error),
        Ok(()) | Err(_) => {
            let why = "another process listens there";
            Err(io::Error::new(ErrorKind::AddrInUse, why))
        }
    }
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    let metadata = std::fs::symlink_metadata(path).ok()?;
    Some((metadata.dev(), metadata.ino()))
}

/// The other end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// A client on the network.
    Address(SocketAddr),
    /// A client on this machine that may open the socket's file.
    Unix,
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Peer::Address(addr) => addr.fmt(f),
            Peer::Unix => f.write_str("unix"),
        }
    }
}

/// An accepted connection.
#[derive(Debug)]
pub enum Connection {
    /// From an address of the network.
    Tcp(TcpStream),
    /// Over a Unix socket.
    Unix(UnixStream),
}

impl Connection {
    /// Ends the connection and returns its descriptor, if the system lets it go.
    pub fn end(self) -> Option<OwnedFd> {
        match self {
            Connection::Tcp(stream) => {
                let stream = stream.into_std().ok()?;
                // The client sees the end of the connection; the descriptor lives on.
                stream.shutdown(Shutdown::Both).ok();
                Some(stream.into())
            }
            Connection::Unix(stream) => {
                let stream = stream.into_std().ok()?;
                stream.shutdown(Shutdown::Both).ok();
                Some(stream.into())
            }
        }
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Connection::Tcp(stream) => stream.as_fd(),
            Connection::Unix(stream) => stream.as_fd(),
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Connection::Tcp(stream) => Pin::new(stream).poll_read(context, buffer),
            Connection::Unix(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Connection::Tcp(stream) => Pin::new(stream).poll_write(context, bytes),
            Connection::Unix(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Connection::Tcp(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            Connection::Unix(stream) => Pin::new(stream).poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Connection::Tcp(stream) => stream.is_write_vectored(),
            Connection::Unix(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Connection::Tcp(stream) => Pin::new(stream).poll_flush(context),
            Connection::Unix(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Connection::Tcp(stream) => Pin::new(stream).poll_shutdown(context),
            Connection::Unix(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
