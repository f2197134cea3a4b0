//! Names and where they lead: paths resolved in a module, and the public paths of every item.

use std::collections::{BTreeMap, BTreeSet};

use syn::Item;

use super::conditions::Condition;
use super::tree::{ItemId, ModuleId, Tree};

/// Imports of imports are followed so far; a circle of them has no end.
const DEEP: usize = 16;

/// The end of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    Module(ModuleId),
    /// The names behind it are of its variants or of what belongs to it.
    Item(ItemId, Vec<String>),
    /// In another crate, in the prelude, or a generic.
    Outside(Vec<String>),
}

impl Tree {
    /// The places to which a path leads from a module: one per namespace, or per condition.
    pub fn resolve(&self, from: ModuleId, path: &[String]) -> Vec<Target> {
        self.followed(from, path, 0)
    }

    fn followed(&self, from: ModuleId, path: &[String], depth: usize) -> Vec<Target> {
        let Some((first, mut rest)) = path.split_first() else {
            return vec![Target::Module(from)];
        };
        let parent = |id: ModuleId| self.modules[id].parent.unwrap_or(0);
        let mut found = match first.as_str() {
            "crate" => vec![Target::Module(0)],
            "self" => vec![Target::Module(from)],
            "super" => {
                let mut at = parent(from);
                while let Some(("super", more)) =
                    rest.split_first().map(|(one, more)| (one.as_str(), more))
                {
                    at = parent(at);
                    rest = more;
                }
                vec![Target::Module(at)]
            }
            _ => match self.looked_up(from, first, depth) {
                none if none.is_empty() => return vec![Target::Outside(path.to_vec())],
                found => found,
            },
        };
        for name in rest {
            found = found
                .into_iter()
                .flat_map(|target| match target {
                    Target::Module(id) => self.looked_up(id, name, depth),
                    Target::Item(id, mut behind) => {
                        behind.push(name.clone());
                        vec![Target::Item(id, behind)]
                    }
                    Target::Outside(mut path) => {
                        path.push(name.clone());
                        vec![Target::Outside(path)]
                    }
                })
                .collect();
        }
        // A function does not hide the module of its name.
        if !rest.is_empty() {
            found.retain(|target| match target {
                Target::Item(id, behind) => behind.is_empty() || self.is_type(*id),
                _ => true,
            });
        }
        found
    }

    fn looked_up(&self, module: ModuleId, name: &str, depth: usize) -> Vec<Target> {
        let mut found = Vec::new();
        if depth > DEEP {
            return found;
        }
        let here = &self.modules[module];
        for (at, entry) in here.items.iter().enumerate() {
            if entry.name == name {
                found.push(match entry.module {
                    Some(id) => Target::Module(id),
                    None => Target::Item((module, at), Vec::new()),
                });
            }
        }
        for import in here
            .imports
            .iter()
            .filter(|import| import.name.as_deref() == Some(name))
        {
            // `use name;` takes a crate, unless a module has its name.
            let is_crate = import.path[0] == name
                && !found
                    .iter()
                    .any(|target| matches!(target, Target::Module(_)));
            match import.is_outside || is_crate {
                true => found.push(Target::Outside(import.path.clone())),
                false => found.extend(self.followed(module, &import.path, depth + 1)),
            }
        }
        if found.is_empty() {
            for import in here
                .imports
                .iter()
                .filter(|i| i.name.is_none() && !i.is_outside)
            {
                for target in self.followed(module, &import.path, depth + 1) {
                    match target {
                        Target::Module(id) if id != module => {
                            found.extend(self.looked_up(id, name, depth + 1));
                        }
                        Target::Item(id, behind)
                            if behind.is_empty() && self.has_variant(id, name) =>
                        {
                            found.push(Target::Item(id, vec![name.to_owned()]));
                        }
                        _ => {}
                    }
                }
            }
        }
        let mut once = Vec::new();
        for target in found {
            if !once.contains(&target) {
                once.push(target);
            }
        }
        once
    }

    fn is_type(&self, id: ItemId) -> bool {
        matches!(
            self.entry(id).item,
            Item::Enum(_) | Item::Struct(_) | Item::Trait(_) | Item::Type(_) | Item::Union(_)
        )
    }

    pub fn has_variant(&self, id: ItemId, name: &str) -> bool {
        match &self.entry(id).item {
            Item::Enum(item) => item.variants.iter().any(|variant| variant.ident == name),
            _ => false,
        }
    }

    /// The type, trait or module at which a path ends.
    pub fn type_at(&self, from: ModuleId, path: &[String]) -> Option<Target> {
        let found = self.resolve(from, path);
        let is_type = |target: &Target| match target {
            Target::Item(id, _) => self.is_type(*id),
            _ => true,
        };
        let typed = found.iter().find(|target| is_type(target)).cloned();
        typed.or_else(|| found.into_iter().next())
    }
}

/// The public paths of a crate.
#[derive(Default)]
pub struct Public {
    /// Every path at which an item stands, with the condition under which it does.
    pub items: BTreeMap<ItemId, Vec<(Vec<String>, Condition)>>,
    pub modules: Vec<(Vec<String>, Condition)>,
    /// Names that lead to another crate, or to a part of an item: a variant.
    pub others: Vec<(Vec<String>, String, Condition)>,
}

impl Public {
    pub fn of(tree: &Tree) -> Public {
        let mut public = Public::default();
        let mut seen = BTreeSet::new();
        public.walk(tree, 0, &[], &Condition::always(), &mut seen);
        for paths in public.items.values_mut() {
            paths.sort_by_key(|(path, _)| (path.len(), path.clone()));
            paths.dedup();
        }
        public
    }

    fn walk(
        &mut self,
        tree: &Tree,
        module: ModuleId,
        path: &[String],
        condition: &Condition,
        seen: &mut BTreeSet<(ModuleId, Vec<String>)>,
    ) {
        if !seen.insert((module, path.to_vec())) {
            return;
        }
        let here = &tree.modules[module];
        for (at, entry) in here
            .items
            .iter()
            .enumerate()
            .filter(|(_, entry)| entry.is_public)
        {
            let condition = condition.and(&entry.condition);
            let target = match entry.module {
                Some(id) => Target::Module(id),
                None => Target::Item((module, at), Vec::new()),
            };
            self.show(tree, target, &entry.name, path, &condition, seen);
        }
        for import in here.imports.iter().filter(|import| import.is_public) {
            let condition = condition.and(&import.condition);
            let targets = match import.is_outside {
                true => vec![Target::Outside(import.path.clone())],
                false => tree.resolve(module, &import.path),
            };
            assert!(
                !targets.is_empty(),
                "`pub use {}` leads nowhere",
                import.path.join("::")
            );
            for target in targets {
                match (&import.name, target) {
                    (Some(name), target) => self.show(tree, target, name, path, &condition, seen),
                    (None, Target::Module(id)) => self.walk(tree, id, path, &condition, seen),
                    (None, target) => self.show(tree, target, "*", path, &condition, seen),
                }
            }
        }
    }

    fn show(
        &mut self,
        tree: &Tree,
        target: Target,
        name: &str,
        path: &[String],
        condition: &Condition,
        seen: &mut BTreeSet<(ModuleId, Vec<String>)>,
    ) {
        let path = [path, &[name.to_owned()]].concat();
        match target {
            Target::Module(id) => {
                // A private module of the name of a public function.
                if is_public_module(tree, id) {
                    let condition = condition.and(&tree.modules[id].condition);
                    self.modules.push((path.clone(), condition.clone()));
                    self.walk(tree, id, &path, &condition, seen);
                }
            }
            Target::Item(id, behind) if behind.is_empty() && name != "*" => {
                if tree.entry(id).is_public {
                    let condition = condition.and(&tree.condition(id));
                    self.items.entry(id).or_default().push((path, condition));
                }
            }
            Target::Item(id, behind) => {
                let entry = &tree.entry(id).name;
                let part = [std::slice::from_ref(entry), &behind[..]]
                    .concat()
                    .join("::");
                self.others.push((path, part, condition.clone()));
            }
            Target::Outside(other) => self
                .others
                .push((path, other.join("::"), condition.clone())),
        }
    }

    /// The path that stands for an item: its shortest public one, or `crate::` and where it is, which nobody outside can
    /// write.
    pub fn name(&self, tree: &Tree, id: ItemId) -> String {
        match self.items.get(&id).and_then(|paths| paths.first()) {
            Some((path, _)) => path.join("::"),
            None => {
                let module = &tree.modules[id.0].path;
                let path = [
                    &["crate".to_owned()],
                    &module[..],
                    &[tree.entry(id).name.clone()],
                ];
                path.concat().join("::")
            }
        }
    }

    pub fn has(&self, id: ItemId) -> bool {
        self.items.contains_key(&id)
    }
}

fn is_public_module(tree: &Tree, id: ModuleId) -> bool {
    let Some(parent) = tree.modules[id].parent else {
        return true;
    };
    let entries = &tree.modules[parent].items;
    entries
        .iter()
        .any(|entry| entry.module == Some(id) && entry.is_public)
}
