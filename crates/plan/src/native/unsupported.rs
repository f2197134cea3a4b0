//! Refuses the keys that have no effect yet, before anything else is read.

use crate::diagnostic::{Notes, quote};
use crate::keys::{self, FILE, Shape, Table};
use crate::tree::{Kind, Node};

/// Takes the keys without an effect out of a file's tree, each with an error.
pub(crate) fn strip(root: &mut Node, notes: &mut Notes) {
    strip_map(root, &FILE, notes);
}

fn strip_map(node: &mut Node, table: &'static Table, notes: &mut Notes) {
    let Kind::Map(entries) = &mut node.kind else {
        return;
    };
    entries.retain_mut(|entry| {
        let Some(key) = table.key(&entry.key) else {
            return true;
        };
        if let Some(mend) = keys::mend_of(table.name, key.name) {
            let what = format!("{} is not supported yet", quote(&entry.key));
            notes.error(entry.at, what, mend);
            return false;
        }
        strip_value(&mut entry.value, &key.shape, notes);
        true
    });
}

fn strip_value(node: &mut Node, shape: &'static Shape, notes: &mut Notes) {
    match (shape, &mut node.kind) {
        (Shape::Table(table), _) => strip_map(node, table, notes),
        (Shape::Named(table), Kind::Map(entries)) => {
            let values = entries.iter_mut().map(|entry| &mut entry.value);
            values.for_each(|value| strip_map(value, table, notes));
        }
        (Shape::List(of), Kind::List(items)) => {
            items
                .iter_mut()
                .for_each(|item| strip_value(item, of, notes));
        }
        (Shape::Either(shapes), _) => {
            shapes
                .iter()
                .for_each(|shape| strip_value(node, shape, notes));
        }
        _ => {}
    }
}
