//! Prints how often each case allocates per operation, a line each: the case, a tab, the number.
//!
//! A program of its own, so that the counting does not lengthen what the other one times.

use std::alloc::System;
use std::io::Write as _;

use fusebox_bench_breaker::{ROUND, Tick, cases};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Operations to count over.
const OPERATIONS: u64 = 100 * ROUND;

fn main() -> std::io::Result<()> {
    let tick = Tick::new();
    let mut out = std::io::stdout();
    for case in cases(&tick) {
        let run = (case.make)();
        // What is allocated once, for the first calls, is not a call's.
        run(OPERATIONS);
        let region = Region::new(ALLOCATOR);
        run(OPERATIONS);
        let seen = region.change();
        let allocations = seen.allocations + seen.reallocations;
        writeln!(
            out,
            "{}\t{:.3}",
            case.id,
            allocations as f64 / OPERATIONS as f64
        )?;
    }
    Ok(())
}
