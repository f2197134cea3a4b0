//! The guide, page by page. It is in the documentation alone; programs do not contain it.
//!
//! - [`library`]: how to use the breaker, with its defaults, its costs, and what holds whatever happens
//! - [`machine`]: what a breaker does, exactly

/// [machine.md]: crate::guide::machine
/// [machine.md, settings]: crate::guide::machine#settings
#[doc = include_str!("../docs/breaker.md")]
pub mod library {}

#[doc = include_str!("../docs/machine.md")]
pub mod machine {}
