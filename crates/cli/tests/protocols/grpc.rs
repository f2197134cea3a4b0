//! gRPC: outcomes at the trailers, deadlines, refusals and health.
