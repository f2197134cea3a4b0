//! The guide, page by page. It is in the documentation alone; programs do not contain it.
//!
//! - [`library`]: how to use the breaker, with its defaults, its costs, and what holds whatever happens
//! - [`order`]: the order of retry, timeout and breaker
//! - [`clients`]: the place of the breaker with reqwest, hyper, tonic, sqlx
//! - [`machine`]: the exact behaviour of a breaker
//! - [`peers`]: a comparison with tower-resilience, failsafe, resilience4j and Polly

/// [machine.md]: crate::guide::machine
/// [machine.md, settings]: crate::guide::machine#settings-1
/// [clients.md]: crate::guide::clients
/// [order.md]: crate::guide::order
/// [peers.md]: crate::guide::peers
/// [configuration]: crate::Settings
#[doc = include_str!("../docs/breaker.md")]
pub mod library {}

#[doc = include_str!("../docs/machine.md")]
pub mod machine {}

/// [breaker.md]: crate::guide::library#usage
///
#[doc = include_str!("../docs/order.md")]
pub mod order {}

/// [order.md]: crate::guide::order
///
#[doc = include_str!("../docs/clients.md")]
pub mod clients {}

/// [The order]: crate::guide::order
#[doc = include_str!("../docs/peers.md")]
pub mod peers {}
