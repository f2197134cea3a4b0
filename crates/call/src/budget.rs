//! The retry budget: a token bucket over all workers, without a lock.
