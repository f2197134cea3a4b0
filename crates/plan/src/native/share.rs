//! Reads `share:`, the sharing of a breaker over a fleet, and compares it with the breaker's rules.

use fusebox_breaker::{Over, Rule};

use crate::diagnostic::{Notes, Place};
use crate::fields::{self, Fields};
use crate::keys;
use crate::plan::Share;
use crate::tree::Kind;

#[derive(Debug)]
pub(crate) struct DraftShare {
    pub at: Place,
    share: Share,
}

pub(super) fn read_share(breaker: &Fields<'_>, notes: &mut Notes) -> Option<DraftShare> {
    let (_, node) = breaker.get("share")?;
    let at = node.at;
    if let Kind::Map(_) = &node.kind {
        let quorum = Fields::open(node, &keys::SHARE, notes)?.count("quorum", notes)?;
        let share = Share::Quorum(quorum.value);
        return Some(DraftShare { at, share });
    }
    let expected = "`none`, `verdict`, `counts` or `{ quorum: 2 }`";
    let scalar = fields::scalar(node, "share", expected, notes)?;
    let share = match scalar.text.as_str() {
        "none" => Share::None,
        "verdict" => Share::Verdict,
        "counts" => Share::Counts,
        _ => {
            let mend = format!("write {expected}");
            return fields::wrong(node, "share", expected, mend, notes);
        }
    };
    Some(DraftShare { at, share })
}

impl DraftShare {
    pub fn is_shared(&self) -> bool {
        self.share != Share::None
    }

    /// True if failures are counted over the fleet.
    pub fn is_counted(&self) -> bool {
        self.share == Share::Counts
    }

    /// Checks that the breaker's rules can be shared in this way.
    pub fn check(&self, rules: &[Rule], notes: &mut Notes) -> Share {
        if self.share == Share::Counts
            && let Some(rule) = rules.iter().find(|rule| !is_counted(rule))
        {
            notes.error(
                self.at,
                format!(
                    "`{}` cannot be counted over a fleet, only failures in a row and failures within a time can",
                    rule.kind().as_str()
                ),
                "use `share: verdict` or a quorum, or keep only `consecutive_failures` and `failures` with `within`",
            );
        }
        self.share
    }
}

fn is_counted(rule: &Rule) -> bool {
    matches!(
        rule,
        Rule::ConsecutiveFailures { .. }
            | Rule::Failures {
                over: Over::Time(_),
                ..
            }
    )
}
