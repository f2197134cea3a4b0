//! An upstream's endpoints: those in use, ejected or unhealthy, and the one that the next attempt goes to.
