//! The adaptive limit of calls in flight, from the times of late against a slow baseline.
