//! Parts of messages: heads, fields and bodies, with their validation.

pub mod body;
pub mod chunks;
pub mod field_kinds;
pub mod fields;
pub mod grpc;
pub mod heads;
pub mod interim;
pub mod kept_body;
pub mod location;
pub mod marks;
pub mod offer;
pub mod phase;
pub mod proxy_words;
pub mod request_body;
pub mod retry_after;
pub mod validate;
