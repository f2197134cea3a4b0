//! Certificates on both sides: choice, change, checks, clients.
