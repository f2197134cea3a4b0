//! Descriptors reserved for the admin API, for times when the process has no others left.
//!
//! A flood of clients may take all descriptors, and that is when an operator needs the gateway most. A few are held
//! from the start; one is released to accept a connection, and when the connection ends its own descriptor is held in
//! its place, so that none goes to the flood.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use parking_lot::Mutex;
use rustix::io::Errno;

use crate::socket::Socket;

/// Number of held descriptors, and so of connections that can be open when the process has none left.
const HELD: usize = 8;

/// The held descriptors, cheap to clone.
#[derive(Debug, Clone)]
pub struct Reserve(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// The socket that is duplicated to obtain a descriptor.
    socket: Arc<Socket>,
    held: Mutex<Vec<OwnedFd>>,
}

impl Reserve {
    /// A reserve of duplicates of the listening socket, as many as the process can get.
    pub fn new(socket: Arc<Socket>) -> Reserve {
        let reserve = Reserve(Arc::new(Inner {
            socket,
            held: Mutex::default(),
        }));
        reserve.fill();
        reserve
    }

    /// True if an error means that descriptors, or memory for a connection, are exhausted.
    pub fn is_exhausted(error: &io::Error) -> bool {
        let errors = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM];
        Errno::from_io_error(error).is_some_and(|error| errors.contains(&error))
    }

    /// Refills the reserve, as far as the process has descriptors.
    pub fn fill(&self) {
        let mut held = self.0.held.lock();
        while held.len() < HELD {
            match self.0.socket.as_fd().try_clone_to_owned() {
                Ok(spare) => held.push(spare),
                Err(_) => return,
            }
        }
    }

    /// Releases one descriptor, for a connection. False if there was none.
    pub fn release(&self) -> bool {
        self.0.held.lock().pop().is_some()
    }

    /// Keeps the descriptor of an ended connection, if the reserve is not full.
    pub fn keep(&self, make: impl FnOnce() -> Option<OwnedFd>) {
        let mut held = self.0.held.lock();
        if held.len() < HELD {
            held.extend(make());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn released_descriptors_are_replaced_by_those_of_ended_connections() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
        let socket = Arc::new(Socket::Tcp(listener.unwrap()));
        let reserve = Reserve::new(socket.clone());
        reserve.keep(|| panic!("nothing is missing"));
        for _ in 0..HELD {
            assert!(reserve.release());
        }
        assert!(!reserve.release());
        reserve.keep(|| socket.as_fd().try_clone_to_owned().ok());
        assert!(reserve.release() && !reserve.release());
        reserve.fill();
        assert_eq!(reserve.0.held.lock().len(), HELD);
    }
}
