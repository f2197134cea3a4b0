//! A crate's modules as its sources have them: items, names, imports, each with its condition.

use std::collections::BTreeMap;

use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::{Item, UseTree, Visibility};

use super::conditions::Condition;
use super::{macros, tokens};

/// A source file of the crate by its path below `src`, if it exists.
pub type Source<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Macros whose items nobody outside can reach.
const PRIVATE_MACROS: [&str; 1] = ["thread_local"];

/// A module, by its number in [`Tree::modules`].
pub type ModuleId = usize;

/// An item, by its module and its number there.
pub type ItemId = (ModuleId, usize);

pub struct Tree {
    /// The root is the first.
    pub modules: Vec<Module>,
    macros: BTreeMap<String, TokenStream>,
}

pub struct Module {
    /// The names from the root; none for the root.
    pub path: Vec<String>,
    pub parent: Option<ModuleId>,
    /// The parents' conditions are part of it.
    pub condition: Condition,
    pub items: Vec<Entry>,
    pub imports: Vec<Import>,
}

/// An item that is neither an import nor a macro's call: those have been followed.
pub struct Entry {
    pub name: String,
    pub item: Item,
    pub is_public: bool,
    pub condition: Condition,
    /// The module that a `mod` makes.
    pub module: Option<ModuleId>,
}

pub struct Import {
    /// `None` takes all names, as `*` does.
    pub name: Option<String>,
    pub path: Vec<String>,
    /// It begins with `::`, so that its first name is a crate's.
    pub is_outside: bool,
    pub is_public: bool,
    pub condition: Condition,
}

impl Tree {
    /// Reads the crate from its `lib.rs` on. What cannot be read is a panic, as half a surface would be worse.
    pub fn read(source: Source<'_>) -> Tree {
        let mut tree = Tree {
            modules: Vec::new(),
            macros: BTreeMap::new(),
        };
        let text = source("lib.rs").expect("a library has a lib.rs");
        tree.module(Vec::new(), None, Condition::always());
        tree.items(0, "", parsed("lib.rs", &text), source);
        tree
    }

    fn module(
        &mut self,
        path: Vec<String>,
        parent: Option<ModuleId>,
        condition: Condition,
    ) -> ModuleId {
        self.modules.push(Module {
            path,
            parent,
            condition,
            items: Vec::new(),
            imports: Vec::new(),
        });
        self.modules.len() - 1
    }

    /// Takes the items of a module whose own modules' files are in that folder.
    fn items(&mut self, id: ModuleId, folder: &str, items: Vec<Item>, source: Source<'_>) {
        for mut item in items {
            let condition = Condition::of_attributes(&super::attributes::attributes(&item));
            if condition == Condition::Never {
                continue;
            }
            match &mut item {
                Item::Mod(inner) => {
                    let name = inner.ident.to_string();
                    let folder = format!("{folder}{name}/");
                    let items = match inner.content.take() {
                        Some((_, items)) => items,
                        None => file(&folder, source),
                    };
                    let mut path = self.modules[id].path.clone();
                    path.push(name);
                    let inside = self.modules[id].condition.and(&condition);
                    let child = self.module(path, Some(id), inside);
                    self.enter(id, item, condition, Some(child));
                    self.items(child, &folder, items, source);
                }
                Item::Use(import) => {
                    let mut imports = Vec::new();
                    leaves(&import.tree, &mut Vec::new(), &mut imports);
                    for (name, path) in imports {
                        self.modules[id].imports.push(Import {
                            name,
                            path,
                            is_outside: import.leading_colon.is_some(),
                            is_public: matches!(import.vis, Visibility::Public(_)),
                            condition: condition.clone(),
                        });
                    }
                }
                Item::Macro(call) => match &call.ident {
                    Some(name) => {
                        self.macros
                            .insert(name.to_string(), call.mac.tokens.clone());
                        let exported = call.attrs.iter().any(|a| a.path().is_ident("macro_export"));
                        if exported {
                            self.enter(0, item, condition, None);
                        }
                    }
                    None => self.called(id, folder, item, condition, source),
                },
                _ => self.enter(id, item, condition, None),
            }
        }
    }

    /// Takes the items that a macro's call makes; where that is not known, the call itself.
    fn called(
        &mut self,
        id: ModuleId,
        folder: &str,
        item: Item,
        condition: Condition,
        source: Source<'_>,
    ) {
        let Item::Macro(call) = &item else {
            return;
        };
        let name = tokens::plain(&call.mac.path);
        if PRIVATE_MACROS.contains(&name.as_str()) {
            return;
        }
        if name == "pin_project"
            && let Some(pinned) = macros::pinned(&call.mac.tokens)
        {
            return self.items(id, folder, vec![pinned], source);
        }
        let rules = self.macros.get(&name);
        let made = rules
            .and_then(|rules| macros::expand(rules, &call.mac.tokens))
            .and_then(|made| syn::parse2::<syn::File>(made).ok());
        match made {
            Some(made) => self.items(id, folder, made.items, source),
            None => self.enter(id, item, condition, None),
        }
    }

    fn enter(&mut self, id: ModuleId, item: Item, condition: Condition, module: Option<ModuleId>) {
        let (name, visibility) = named(&item);
        self.modules[id].items.push(Entry {
            name,
            is_public: matches!(visibility, Visibility::Public(_)),
            item,
            condition,
            module,
        });
    }

    pub fn entry(&self, (module, at): ItemId) -> &Entry {
        &self.modules[module].items[at]
    }

    /// The whole condition of an item where it is defined.
    pub fn condition(&self, id: ItemId) -> Condition {
        self.modules[id.0].condition.and(&self.entry(id).condition)
    }

    /// The tokens of a macro's rules.
    pub fn rules(&self, name: &str) -> Option<&TokenStream> {
        self.macros.get(name)
    }

    /// Every item of the crate, public or not.
    pub fn all(&self) -> impl Iterator<Item = ItemId> + '_ {
        let modules = self.modules.iter().enumerate();
        modules.flat_map(|(id, module)| (0..module.items.len()).map(move |at| (id, at)))
    }
}

fn parsed(file: &str, text: &str) -> Vec<Item> {
    match syn::parse_file(text) {
        Ok(parsed) => parsed.items,
        Err(error) => panic!("{file}: {error}"),
    }
}

/// The items of the file for a module whose own folder is that one.
fn file(folder: &str, source: Source<'_>) -> Vec<Item> {
    let name = folder.trim_end_matches('/');
    let places = [format!("{name}.rs"), format!("{folder}mod.rs")];
    for place in &places {
        if let Some(text) = source(place) {
            return parsed(place, &text);
        }
    }
    panic!("the module {name} has no file")
}

fn leaves(tree: &UseTree, path: &mut Vec<String>, out: &mut Vec<(Option<String>, Vec<String>)>) {
    match tree {
        UseTree::Path(inner) => {
            path.push(inner.ident.to_string());
            leaves(&inner.tree, path, out);
            path.pop();
        }
        UseTree::Name(name) if name.ident == "self" => {
            out.push((path.last().cloned(), path.clone()));
        }
        UseTree::Name(name) => {
            let name = name.ident.to_string();
            out.push((Some(name.clone()), [&path[..], &[name]].concat()));
        }
        UseTree::Rename(rename) => {
            let mut whole = path.clone();
            if rename.ident != "self" {
                whole.push(rename.ident.to_string());
            }
            // `as _` gives no name.
            if rename.rename != "_" {
                out.push((Some(rename.rename.to_string()), whole));
            }
        }
        UseTree::Glob(_) => out.push((None, path.clone())),
        UseTree::Group(group) => {
            for tree in &group.items {
                leaves(tree, path, out);
            }
        }
    }
}

fn named(item: &Item) -> (String, Visibility) {
    let (name, visibility) = match item {
        Item::Const(item) => (&item.ident, &item.vis),
        Item::Enum(item) => (&item.ident, &item.vis),
        Item::Fn(item) => (&item.sig.ident, &item.vis),
        Item::Mod(item) => (&item.ident, &item.vis),
        Item::Static(item) => (&item.ident, &item.vis),
        Item::Struct(item) => (&item.ident, &item.vis),
        Item::Trait(item) => (&item.ident, &item.vis),
        Item::TraitAlias(item) => (&item.ident, &item.vis),
        Item::Type(item) => (&item.ident, &item.vis),
        Item::Union(item) => (&item.ident, &item.vis),
        // Whose name leads to nothing that a path could say.
        other => {
            return (
                tokens::plain(&other.to_token_stream()),
                Visibility::Inherited,
            );
        }
    };
    (name.to_string(), visibility.clone())
}
