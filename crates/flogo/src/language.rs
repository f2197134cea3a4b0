//! The language of expressions and mappings: values, parsing, functions, and JSON in Go's form.

pub mod coerce;
pub mod expression;
pub mod fault;
pub mod functions;
pub mod json;
pub mod json_path;
pub mod names;
pub mod number;
pub mod path;
pub mod patterns;
pub mod random;
pub mod scope;
pub mod urlencoded;
pub mod value;
