//! The limits of scripts and of their evaluation.
//!
//! Scripts come from configuration, but values from clients and upstreams, so an evaluation is bounded in steps,
//! nesting, text and memory.

/// The size of a script in bytes.
pub(crate) const BYTES_MAX: usize = 64 * 1024;
/// The nesting of a script: parentheses, arguments, branches and the like.
pub(crate) const DEPTH_MAX: usize = 64;
/// The nesting of an evaluation, through all called functions.
pub(crate) const NESTING_MAX: u16 = 400;
/// The steps of an evaluation; a step is one part evaluated, 16 values copied, or 1 KiB of text read or made.
pub(crate) const STEPS_MAX: u32 = 1 << 20;
/// The size of a text that an expression makes, in bytes.
pub(crate) const TEXT_MAX: usize = 16 << 20;
/// The approximate memory of a value read from JSON, in bytes; most values take 3 to 8 times their text.
pub(crate) const VALUE_MEMORY_MAX: usize = 64 << 20;
/// The nesting of arrays and objects in a value.
pub(crate) const VALUE_DEPTH_MAX: u16 = 200;
