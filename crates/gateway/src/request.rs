//! One request and its answer: the exchange, forwarding, and the response.

pub mod admitting;
pub mod answer;
pub mod client_request;
pub mod downstream;
pub mod exchange;
pub mod forward;
pub mod grpc_answer;
pub mod ladder;
pub mod linger;
pub mod noted_body;
pub mod outlive;
pub mod passing;
pub mod response_body;
pub mod target;
pub mod tunnel;
pub mod way_back;
pub mod whole_body;
pub mod worker;
