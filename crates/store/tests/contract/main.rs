//! One suite of behaviours, run on every store.
#![cfg(all(feature = "embedded", feature = "hostile", feature = "testing"))]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../common/mod.rs"]
mod common;
mod expiry;
mod operations;

/// Defines a test for each listed behaviour, on the store that `$make` makes.
macro_rules! behaviours {
    ($($behaviour:ident),+ $(,)?) => {
        behaviours!(@over memory, $($behaviour),+);
        behaviours!(@over embedded, $($behaviour),+);
        behaviours!(@over hostile, $($behaviour),+);
        behaviours!(@over valkey, $($behaviour),+);
    };
    (@over $make:ident, $($behaviour:ident),+) => {
        mod $make {
            $(
                #[test]
                fn $behaviour() {
                    super::$behaviour(&crate::common::$make);
                }
            )+
        }
    };
}
pub(crate) use behaviours;

/// Makes a new store.
pub(crate) type Make<'a> = &'a dyn Fn(fusebox_store::Limits) -> common::Bed;
