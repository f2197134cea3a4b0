//! The choice among endpoints: round robin, two random choices by load or by time, consistent hash.
