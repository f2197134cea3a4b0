//! The attempts of one call: whether another one follows an end, when, and why not.
