//! Descriptors kept for the admin API, for the time when the process has none left.
//!
//! A flood of clients may take every descriptor, and an operator must reach the gateway then more than ever. A few are
//! held from the start; one is given up to accept a connection, and when that ends its own takes the place, so that none
//! goes back to the flood.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::io::Errno;
use tokio::net::TcpListener;

/// Descriptors held, and so the connections that can be open when the process has none left.
const HELD: usize = 8;

/// The descriptors.
#[derive(Debug, Clone)]
pub struct Reserve(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// The socket that is duplicated to have a descriptor.
    socket: Arc<TcpListener>,
    held: Mutex<Vec<OwnedFd>>,
}

impl Reserve {
    /// A reserve of duplicates of the listening socket, as full as can be.
    pub fn new(socket: Arc<TcpListener>) -> Reserve {
        let reserve = Reserve(Arc::new(Inner {
            socket,
            held: Mutex::default(),
        }));
        reserve.fill();
        reserve
    }

    /// Whether an error says that there is no descriptor left, or no memory for a connection.
    pub fn is_wanted_by(error: &io::Error) -> bool {
        let errors = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM];
        Errno::from_io_error(error).is_some_and(|error| errors.contains(&error))
    }

    /// Takes what is missing, as far as the process has descriptors.
    pub fn fill(&self) {
        let mut held = self.held();
        while held.len() < HELD {
            match self.0.socket.as_fd().try_clone_to_owned() {
                Ok(spare) => held.push(spare),
                Err(_) => return,
            }
        }
    }

    /// Gives one up, for a connection; says whether there was one.
    pub fn give_up(&self) -> bool {
        self.held().pop().is_some()
    }

    /// Keeps the descriptor of something that has ended, if one is missing.
    pub fn keep(&self, make: impl FnOnce() -> Option<OwnedFd>) {
        let mut held = self.held();
        if held.len() < HELD {
            held.extend(make());
        }
    }

    fn held(&self) -> MutexGuard<'_, Vec<OwnedFd>> {
        self.0.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_given_up_is_taken_back_from_what_ends() {
        let socket = Arc::new(TcpListener::bind("127.0.0.1:0").await.unwrap());
        let reserve = Reserve::new(socket.clone());
        reserve.keep(|| panic!("nothing is missing"));
        for _ in 0..HELD {
            assert!(reserve.give_up());
        }
        assert!(!reserve.give_up());
        reserve.keep(|| socket.as_fd().try_clone_to_owned().ok());
        assert!(reserve.give_up() && !reserve.give_up());
        reserve.fill();
        assert_eq!(reserve.held().len(), HELD);
    }
}
