//! Tests of the checks: protocols that are broken on purpose must be detected.

use fusebox_fleet::protocol::{Act, Command, Order, Record, Rewritten, State, change};

use super::rules::Rules;
use super::{Drill, Invariant};

/// Asserts that at least one of 400 runs of a broken protocol violates one of these invariants. `from` is the first seed;
/// for a rare violation it is chosen close to a seed that shows it, to save time.
fn assert_detected(from: u64, invariants: &[Invariant], broken: impl Rules + Clone) {
    let detected = (from..from + 400).any(|seed| {
        let run = Drill::new(seed, 3 + seed as usize % 3).run_by(&mut broken.clone());
        let violation = run.violation.map(|violation| violation.invariant);
        violation.is_some_and(|violated| invariants.contains(&violated))
    });
    assert!(detected);
}

/// Rules with a modified change function.
#[derive(Clone)]
struct BrokenChange<F>(F);

impl<F: FnMut(Option<Record>, Command, u64) -> Option<Rewritten>> Rules for BrokenChange<F> {
    fn change(
        &mut self,
        record: Option<&[u8]>,
        command: &Command,
        _: Option<&[u8]>,
        time: u64,
    ) -> Option<Rewritten> {
        (self.0)(record.and_then(Record::read), command.clone(), time)
    }
}

fn apply(record: &Option<Record>, command: &Command, time: u64) -> Option<Rewritten> {
    change(
        record.as_ref().map(Record::write).as_deref(),
        &command.write(),
        None,
        time,
    )
}

fn assert_change_detected(
    from: u64,
    invariant: Invariant,
    change: impl FnMut(Option<Record>, Command, u64) -> Option<Rewritten> + Clone,
) {
    assert_detected(from, &[invariant], BrokenChange(change));
}

#[test]
fn commands_of_older_terms_that_are_accepted_are_found_out() {
    let invariant = Invariant::NoVerdictResurrected;
    assert_change_detected(259, invariant, |record, mut command, time| {
        command.about = record
            .as_ref()
            .map(|record| record.version)
            .unwrap_or_default();
        apply(&record, &command, time)
    });
}

#[test]
fn a_lease_that_never_ends_is_found_out() {
    assert_change_detected(104, Invariant::NothingStuck, |record, command, time| {
        let before = record.as_ref().and_then(|record| record.lease.clone());
        let from = &command.from;
        let mine = |node: &str, life: &str| (node, life) == (&*from.node, &*from.incarnation);
        let taken = before.is_some_and(|lease| !mine(&lease.node, &lease.incarnation));
        match command.act {
            Act::Lease { .. } if taken => None,
            _ => apply(&record, &command, time),
        }
    });
}

#[test]
fn a_lease_for_every_node_that_asks_is_found_out() {
    let invariant = Invariant::NoMoreProbesThanAllowed;
    assert_change_detected(0, invariant, |mut record, command, time| {
        if let Some(record) = &mut record
            && matches!(command.act, Act::Lease { .. })
            && record.state == State::HalfOpen
            && let Some(lease) = &mut record.lease
        {
            lease.node.clone_from(&command.from.node);
            lease.incarnation.clone_from(&command.from.incarnation);
            record.want = None;
        }
        apply(&record, &command, time)
    });
}

#[test]
fn a_batch_that_counts_each_time_it_arrives_is_found_out() {
    let mut sequence = 1_000_000;
    let invariant = Invariant::CountedExactly;
    assert_change_detected(236, invariant, move |record, mut command, time| {
        sequence += 1;
        command.from.sequence = sequence;
        apply(&record, &command, time)
    });
}

#[test]
fn a_batch_that_is_not_counted_is_found_out() {
    assert_change_detected(
        0,
        Invariant::CountedExactly,
        |record, command, time| match command.act {
            Act::Batch { .. } => None,
            _ => apply(&record, &command, time),
        },
    );
}

#[test]
fn a_lease_before_the_cooldown_ends_is_found_out() {
    let invariant = Invariant::NotBeforeTheCooldownEnds;
    assert_change_detected(0, invariant, |mut record, command, time| {
        if let Some(record) = &mut record
            && record.state == State::Open
        {
            record.until = record.until.saturating_sub(500);
        }
        apply(&record, &command, time)
    });
}

#[test]
fn a_lost_record_that_is_made_anew_as_closed_is_found_out() {
    let invariant = Invariant::NotBeforeTheCooldownEnds;
    assert_change_detected(0, invariant, |record, command, time| {
        let mut done = apply(&record, &command, time)?;
        if matches!(command.act, Act::Assert { .. }) {
            let mut record = Record::read(&done.record)?;
            (record.state, record.by_operator) = (State::Closed, true);
            done.record = record.write();
        }
        Some(done)
    });
}

#[test]
fn a_trip_that_the_store_drops_is_found_out() {
    assert_change_detected(
        113,
        Invariant::AgreedWithinARound,
        |record, command, time| match command.act {
            Act::Trip { .. } => None,
            _ => apply(&record, &command, time),
        },
    );
}

/// Rules that modify or drop orders to breakers.
#[derive(Clone)]
struct BrokenOrder<F>(F);

impl<F: FnMut(Order) -> Option<Order>> Rules for BrokenOrder<F> {
    fn order(&mut self, order: Order) -> Option<Order> {
        (self.0)(order)
    }
}

fn assert_order_detected(
    invariants: &[Invariant],
    order: impl FnMut(Order) -> Option<Order> + Clone,
) {
    assert_detected(0, invariants, BrokenOrder(order));
}

#[test]
fn a_node_that_does_not_open_with_the_others_is_found_out() {
    let invariants = [Invariant::AgreedWithinARound, Invariant::NothingStuck];
    assert_order_detected(&invariants, |order| match order {
        Order::Open { .. } => None,
        other => Some(other),
    });
}

#[test]
fn a_node_that_does_not_close_with_the_others_is_found_out() {
    assert_order_detected(&[Invariant::NothingStuck], |order| match order {
        Order::Close { .. } => None,
        other => Some(other),
    });
}

#[test]
fn probes_beyond_the_lease_are_found_out() {
    assert_order_detected(&[Invariant::NoMoreProbesThanAllowed], |order| match order {
        Order::Lease { .. } | Order::Open { .. } => Some(Order::Alone {
            extra: std::time::Duration::ZERO,
        }),
        other => Some(other),
    });
}

#[derive(Clone)]
struct NeedsStore;

impl Rules for NeedsStore {
    fn needs_store(&self) -> bool {
        true
    }
}

#[test]
fn a_request_that_needs_the_store_is_found_out() {
    assert_detected(0, &[Invariant::NoRequestNeedsTheStore], NeedsStore);
}
