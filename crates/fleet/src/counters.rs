//! What a node has done, in numbers that only grow.

/// Counts since the node began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Commands sent, of all kinds.
    pub commands: u64,
    /// Trips and votes among them.
    pub trips: u64,
    /// Batches of counts among them.
    pub batches: u64,
    /// Leases asked for or renewed among them.
    pub leases: u64,
    /// Results of probes among them.
    pub results: u64,
    /// Words of operators among them.
    pub words: u64,
    /// Lost records made anew among them.
    pub asserts: u64,
    /// Reads of records, each of at most [`READ_KEYS`](crate::protocol::READ_KEYS).
    pub reads: u64,
    /// Commands and reads that failed.
    pub failures: u64,
    /// What waited for longer than a second, or had become pointless, and was never sent.
    pub dropped: u64,
    /// Commands that changed nothing, because the record had moved on.
    pub outrun: u64,
    /// Pushes heard.
    pub pushes: u64,
    /// Gaps in what was pushed.
    pub gaps: u64,
    /// Openings and closings taken over from the fleet.
    pub adopted: u64,
    /// Records that could not be read or believed.
    pub unreadable: u64,
    /// How often the store went away.
    pub outages: u64,
}
