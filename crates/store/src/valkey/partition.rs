//! The keys of a partition on the server, and the scripts that use them.

use super::link::Script;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use std::sync::Arc;

/// The version of the keys' schema. Another schema uses another version, and thus other keys.
pub(super) const SCHEMA: &str = "v1:";
/// The keys of a partition, in the order of the scripts' KEYS.
const PARTS: [&str; 6] = ["values", "types", "written", "ends", "names", "state"];
/// The characters to be encoded in a hash tag.
pub(super) const IN_TAG: &AsciiSet = &CONTROLS.add(b'%').add(b'{').add(b'}');

/// Builds key names under a prefix.
pub(super) struct Keys {
    prefix: String,
}

impl Keys {
    pub(super) fn new(prefix: &str) -> Keys {
        Keys {
            prefix: format!("{prefix}{SCHEMA}"),
        }
    }

    /// The keys of one partition. Its name is their hash tag, which puts them into one slot of a cluster ([hash
    /// tags](https://valkey.io/topics/cluster-spec/#hash-tags)).
    pub(super) fn of(&self, partition: &str) -> Vec<Vec<u8>> {
        let tag = utf8_percent_encode(partition, IN_TAG);
        let base = format!("{}objects:{{{tag}}}:", self.prefix);
        PARTS
            .map(|part| format!("{base}{part}").into_bytes())
            .into()
    }

    /// The key of the set of all partitions' names.
    pub(super) fn list(&self) -> Vec<u8> {
        format!("{}objects", self.prefix).into_bytes()
    }
}

pub(super) struct Scripts {
    pub(super) get: Arc<Script>,
    pub(super) put: Arc<Script>,
    pub(super) increment: Arc<Script>,
    pub(super) remove: Arc<Script>,
    pub(super) keys: Arc<Script>,
    pub(super) clear: Arc<Script>,
    pub(super) sweep: Arc<Script>,
    pub(super) evict: Arc<Script>,
}

impl Scripts {
    pub(super) fn new() -> Scripts {
        let script = |own: &str| {
            let common = include_str!("scripts/partition.lua");
            Arc::new(Script::new(format!("{common}\n{own}")))
        };
        Scripts {
            get: script(include_str!("scripts/get.lua")),
            put: script(include_str!("scripts/put.lua")),
            increment: script(include_str!("scripts/increment.lua")),
            remove: script(include_str!("scripts/remove.lua")),
            keys: script(include_str!("scripts/keys.lua")),
            clear: script(include_str!("scripts/clear.lua")),
            sweep: script(include_str!("scripts/sweep.lua")),
            evict: script(include_str!("scripts/evict.lua")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_hash_tag_is_the_whole_name_and_no_two_names_share_keys(
            one in "[{}%a-c:]{1,6}", two in "[{}%a-c:]{1,6}",
        ) {
            let keys = Keys::new("x:");
            let first = String::from_utf8(keys.of(&one)[0].clone()).unwrap();
            let (_, rest) = first.split_once('{').unwrap();
            let (tag, _) = rest.split_once('}').unwrap();
            let decoded = percent_encoding::percent_decode_str(tag).decode_utf8().unwrap();
            prop_assert_eq!(decoded, one.as_str());
            prop_assert_eq!(one == two, keys.of(&one) == keys.of(&two));
        }
    }
}
