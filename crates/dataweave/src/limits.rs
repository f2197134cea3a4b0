//! The limits of scripts and of what they may cost.
//!
//! Scripts come from configuration, but values from clients and upstreams, so an evaluation is bounded in steps,
//! nesting, text and memory.

/// Bytes in a script.
pub(crate) const BYTES_MAX: usize = 64 * 1024;
/// Parentheses, arguments, branches and the like inside one another in a script.
pub(crate) const DEPTH_MAX: usize = 64;
/// Parts inside one another while a script runs, through all the functions it calls.
pub(crate) const NESTING_MAX: u16 = 400;
/// Steps of one evaluation; a step is one part evaluated, 16 values copied, or 1 KiB of text read or
/// made.
pub(crate) const STEPS_MAX: u32 = 1 << 20;
/// Bytes in a text that an expression makes.
pub(crate) const TEXT_MAX: usize = 16 << 20;
/// About how much memory the value of one JSON text takes, in bytes; most take 3 to 8 times their text.
pub(crate) const VALUE_MEMORY_MAX: usize = 64 << 20;
/// Arrays and objects inside one another in a value.
pub(crate) const VALUE_DEPTH_MAX: u16 = 200;
