//! The depth of a GraphQL request, as the original counts it.

use std::collections::{HashMap, HashSet};

use graphql_tools::static_graphql::query;

/// The depth of the deepest operation: a field adds one level, a fragment none.
pub(super) fn depth(document: &query::Document) -> usize {
    let mut depths = Depths::default();
    for definition in &document.definitions {
        if let query::Definition::Fragment(fragment) = definition {
            depths
                .fragments
                .insert(&fragment.name, &fragment.selection_set);
        }
    }
    let operations = document
        .definitions
        .iter()
        .filter_map(|definition| match definition {
            query::Definition::Operation(operation) => Some(operation.selection_set()),
            query::Definition::Fragment(_) => None,
        });
    operations.map(|set| depths.of(set)).max().unwrap_or(0)
}

#[derive(Default)]
struct Depths<'d> {
    fragments: HashMap<&'d str, &'d query::SelectionSet>,
    known: HashMap<&'d str, usize>,
    /// The fragments on the way; one that leads back to itself adds nothing, and is refused afterwards.
    open: HashSet<&'d str>,
}

impl<'d> Depths<'d> {
    fn of(&mut self, set: &'d query::SelectionSet) -> usize {
        let depths = set.items.iter().map(|item| match item {
            query::Selection::Field(field) => 1 + self.of(&field.selection_set),
            query::Selection::InlineFragment(fragment) => self.of(&fragment.selection_set),
            query::Selection::FragmentSpread(spread) => self.fragment(&spread.fragment_name),
        });
        depths.max().unwrap_or(0)
    }

    fn fragment(&mut self, name: &'d str) -> usize {
        if let Some(known) = self.known.get(name) {
            return *known;
        }
        let Some(set) = self.fragments.get(name).copied() else {
            return 0;
        };
        if !self.open.insert(name) {
            return 0;
        }
        let depth = self.of(set);
        self.open.remove(name);
        self.known.insert(name, depth);
        depth
    }
}
