//! Counters of a node's activity; they only grow.

/// Activity of a node since it started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Commands sent, of all kinds.
    pub commands: u64,
    /// Of these, trips and votes.
    pub trips: u64,
    /// Of these, batches of counts.
    pub batches: u64,
    /// Of these, requests for leases and renewals.
    pub leases: u64,
    /// Of these, results of probes.
    pub results: u64,
    /// Of these, commands of operators.
    pub words: u64,
    /// Of these, restorations of lost records.
    pub asserts: u64,
    /// Reads of records, each of at most [`READ_KEYS`](crate::protocol::READ_KEYS).
    pub reads: u64,
    /// Commands and reads that failed.
    pub failures: u64,
    /// Messages dropped unsent, because they had waited for more than a second or become pointless.
    pub dropped: u64,
    /// Commands that had no effect, because the record had changed meanwhile.
    pub outrun: u64,
    /// Number of pushes received.
    pub pushes: u64,
    /// Gaps in the pushes.
    pub gaps: u64,
    /// Openings and closings adopted from the fleet.
    pub adopted: u64,
    /// Records that were unreadable or implausible.
    pub unreadable: u64,
    /// Outages of the store.
    pub outages: u64,
}
