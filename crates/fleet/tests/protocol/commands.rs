//! Random commands of a few nodes to one record, in any order of arrival.

use fusebox_fleet::protocol::{
    Act, Command, CountRule, FleetHold, Led, Record, Stamp, Version, change,
};
use proptest::prelude::*;

pub const NODES: [&str; 3] = ["a", "b", "c"];

/// The version of the record that a command is about.
#[derive(Debug, Clone, Copy)]
pub enum About {
    /// The present version.
    Current,
    /// An earlier version.
    Older,
    /// A version that the store has lost.
    Newer,
    /// Another version with the same numbers.
    Other,
    /// A version of the previous epoch, beyond the one that the record was restored from.
    Forgotten,
}

/// A command to be sent, some milliseconds after the previous one.
#[derive(Debug, Clone)]
pub struct Sent {
    pub after: u64,
    pub node: usize,
    pub incarnation: u64,
    pub about: About,
    pub again: bool,
    pub act: Act,
}

/// A record with its server's time, and the sequence of commands.
#[derive(Debug, Clone, Default)]
pub struct Server {
    pub record: Option<Vec<u8>>,
    pub now: u64,
    pub sequence: u64,
}

impl Server {
    pub fn new() -> Self {
        Server {
            record: None,
            now: 1_700_000_000_000,
            sequence: 0,
        }
    }

    pub fn read(&self) -> Record {
        let record = self.record.as_deref().and_then(Record::read);
        record.unwrap_or_else(Record::fresh)
    }

    /// Builds the command as sent now.
    pub fn command(&mut self, sent: &Sent) -> Command {
        self.now += sent.after;
        self.sequence += u64::from(!sent.again);
        let Version { epoch, term, since } = self.read().version;
        let version = |epoch, term, since| Version { epoch, term, since };
        Command {
            about: match sent.about {
                About::Current => version(epoch, term, since),
                About::Older => version(epoch, term.saturating_sub(1), since),
                About::Newer => version(epoch, term + 3, since + 7),
                About::Other => version(epoch, term, since + 1),
                About::Forgotten => version(epoch.saturating_sub(1), term + 3, since),
            },
            from: Stamp {
                node: NODES[sent.node].to_owned(),
                incarnation: sent.incarnation.to_string(),
                sequence: self.sequence,
            },
            act: sent.act.clone(),
        }
    }

    /// Carries out a command, and returns true if anything changed.
    pub fn obey(&mut self, command: &Command) -> bool {
        let rewritten = change(self.record.as_deref(), &command.write(), None, self.now);
        let changed = rewritten.is_some();
        if let Some(rewritten) = rewritten {
            self.record = Some(rewritten.record);
        }
        changed
    }
}

pub fn rules() -> Vec<CountRule> {
    let rule = |threshold, within, row| CountRule {
        threshold,
        within,
        row,
    };
    vec![rule(5, 0, true), rule(7, 900, false), rule(4, 300, true)]
}

fn text() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["", "5 failures", "quote \" \\ and \u{e9}\u{1f525}\n"])
        .prop_map(str::to_owned)
}

fn span() -> impl Strategy<Value = u64> {
    1u64..2_000
}

pub fn act() -> impl Strategy<Value = Act> {
    let batch = (any::<bool>(), 0u64..4, 0u64..4, span());
    let hold = || (any::<bool>(), prop::option::of(span()), text());
    let led = (prop::sample::select(&NODES[..]), span()).prop_map(|(node, span)| Led {
        node: node.to_owned(),
        span,
    });
    let led = prop::option::of(led.prop_map(Box::new));
    let assert = (prop::option::of(0u64..2_000), led, 0u32..9, text(), hold());
    prop_oneof![
        4 => (span(), 1u32..9, text(), 1u32..4).prop_map(|(cooldown, attempts, why, quorum)| {
            Act::Trip { cooldown, attempts, why, quorum }
        }),
        6 => batch.prop_map(|(had_success, row, more, cooldown)| Act::Batch {
            had_success, row, failures: row + more, rules: rules(), cooldown,
        }),
        6 => (span(), any::<bool>()).prop_map(|(span, used)| Act::Lease { span, used }),
        2 => text().prop_map(|why| Act::Close { why }),
        2 => (span(), 1u32..9, text()).prop_map(|(cooldown, attempts, why)| {
            Act::Reopen { cooldown, attempts, why }
        }),
        1 => assert.prop_map(|(open_for, led, attempts, why, (open, until, by))| Act::Assert {
            open_for, led, attempts, why: why.clone(), by: by.clone(),
            hold: (attempts > 6).then_some(FleetHold {
                open, until: until.map(|span| 1_700_000_000_000 + span), why, by,
            }),
        }),
        1 => hold().prop_map(|(open, span, why)| Act::Hold { open, span, why, by: "op".into() }),
        1 => Just(Act::Release { by: "op".into() }),
        1 => Just(Act::Reset { by: "op".into() }),
    ]
}

pub fn sent() -> impl Strategy<Value = Sent> {
    let about = prop_oneof![
        12 => Just(About::Current),
        1 => Just(About::Older),
        1 => Just(About::Newer),
        1 => Just(About::Other),
        1 => Just(About::Forgotten),
    ];
    let again = prop::bool::weighted(0.1);
    (0u64..700, 0..NODES.len(), 0u64..2, about, again, act()).prop_map(
        |(after, node, incarnation, about, again, act)| Sent {
            after,
            node,
            incarnation,
            about,
            again,
            act,
        },
    )
}
