//! HTTP/2 towards clients: curl, h2load, limits and hostile frames.
