//! HTTP/2 towards upstreams: connections, streams and their ends.
