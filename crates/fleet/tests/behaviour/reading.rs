//! The reads of a node, and their times.

use fusebox_breaker::{Settings, Timestamp};
use fusebox_fleet::{
    Share,
    protocol::{Input, Key, Local, Node, NodeOptions, Output, Sharing},
};

use crate::world::{EPOCH, ms};

fn next_read(node: &mut Node) -> Option<(u64, Vec<Key>)> {
    std::iter::from_fn(|| node.next_output()).find_map(|output| match output {
        Output::Read { id, keys } => Some((id, keys)),
        _ => None,
    })
}

/// Waits until the node is due to read.
fn wait_for_read(node: &mut Node, now: &mut Timestamp) -> (u64, Vec<Key>) {
    loop {
        *now = node.wake_at().unwrap().max(*now);
        node.hear(Input::Wake, *now);
        if let Some(read) = next_read(node) {
            return read;
        }
    }
}

#[test]
fn everything_is_read_as_soon_as_a_store_that_failed_answers() {
    let mut now = Timestamp::from_millis(5_000);
    let options = NodeOptions {
        name: "node-0".into(),
        incarnation: "0".into(),
        seed: 7,
    };
    let mut node = Node::new(options, now);
    let settings = Settings::default();
    for key in ["orders", "stock", "users"] {
        let sharing = Sharing::new(Share::Verdict, &settings).unwrap();
        node.join(key.into(), sharing, Local::Closed, now);
    }
    let answer = |id, keys: &[Key]| Input::ReadOut {
        id,
        records: vec![None; keys.len()],
        now: EPOCH,
    };
    let (id, all) = wait_for_read(&mut node, &mut now);
    assert_eq!(all.len(), 3);
    node.hear(answer(id, &all), now);
    let (id, _) = wait_for_read(&mut node, &mut now);
    node.hear(Input::Failed { id }, now);
    let (id, one) = wait_for_read(&mut node, &mut now);
    assert_eq!(one.len(), 1, "a store that fails is not asked for much");
    now = now + ms(1);
    node.hear(answer(id, &one), now);
    let (_, again) = next_read(&mut node).expect("read at once");
    assert_eq!(again, all);
}
