//! Public items as lines, one for each thing that a user can name.

use std::collections::{BTreeMap, BTreeSet};

use syn::{Fields, GenericParam, Generics, Item, TraitItem, Visibility};

use super::attributes::{self, attributes, derives_in, marks};
use super::conditions::Condition;
use super::impls;
use super::paths::Public;
use super::signatures::Scope;
use super::tokens;
use super::tree::{ItemId, Source, Tree};

/// The lines of a crate's surface, sorted by path.
pub fn surface(source: Source<'_>) -> Vec<String> {
    let tree = Tree::read(source);
    let public = Public::of(&tree);
    let mut lines = Lines {
        tree: &tree,
        public: &public,
        lines: BTreeSet::new(),
    };
    lines.all();
    lines.lines.into_iter().map(|line| line.text).collect()
}

/// The order of lines with one path: itself, its parts, what it can do, what it implements.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    Itself,
    Part,
    Function,
    Trait,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Line {
    path: String,
    rank: Rank,
    /// The text from the name on, so that no attribute and no keyword decides on the order.
    name: String,
    text: String,
}

pub struct Lines<'a> {
    pub tree: &'a Tree,
    pub public: &'a Public,
    lines: BTreeSet<Line>,
}

impl Lines<'_> {
    pub fn add(&mut self, path: &str, rank: Rank, text: String, condition: &Condition) {
        if *condition != Condition::Never {
            let name = text
                .split_once(&format!("{path}::"))
                .map_or("", |(_, name)| name);
            self.lines.insert(Line {
                path: path.to_owned(),
                rank,
                name: name.to_owned(),
                text: text + &condition.suffix(),
            });
        }
    }

    fn all(&mut self) {
        for (path, condition) in &self.public.modules {
            let path = path.join("::");
            self.add(&path, Rank::Itself, format!("pub mod {path}"), condition);
        }
        for (path, other, condition) in &self.public.others {
            let path = path.join("::");
            self.add(
                &path,
                Rank::Itself,
                format!("pub use {path} = {other}"),
                condition,
            );
        }
        for (id, paths) in &self.public.items {
            let ((path, condition), others) = paths.split_first().unwrap();
            let path = path.join("::");
            self.item(*id, &path, condition);
            for (other, condition) in others {
                let other = other.join("::");
                let text = format!("pub use {other} = {path}");
                self.add(&other, Rank::Itself, text, condition);
            }
        }
        let tree = self.tree;
        for id in tree.all() {
            let entry = tree.entry(id);
            match &entry.item {
                Item::Impl(block) => impls::block(self, id, block),
                Item::Macro(call) => {
                    let name = tokens::plain(&call.mac.path);
                    let at = tree.modules[id.0].path.join("::");
                    let given = tokens::plain(&call.mac.tokens);
                    let text = match (&call.ident, tree.rules(&name)) {
                        (Some(name), _) => format!("pub macro {name}! {{ {given} }}"),
                        (None, Some(rules)) => {
                            let rules = tokens::plain(rules);
                            format!("{name}! {{ {given} }} in crate::{at} by {{ {rules} }}")
                        }
                        (None, None) => format!("{name}! {{ {given} }} in crate::{at}"),
                    };
                    self.add(&at, Rank::Itself, text, &tree.condition(id));
                }
                _ => {}
            }
        }
    }

    fn item(&mut self, id: ItemId, path: &str, condition: &Condition) {
        let tree = self.tree;
        let item = &tree.entry(id).item;
        let scope = Scope {
            module: id.0,
            generics: BTreeSet::new(),
        };
        let marks = marks(&attributes(item));
        let (text, generics) = match item {
            Item::Const(item) => (
                format!("pub const {path}: {}", self.text(&item.ty, &scope)),
                None,
            ),
            Item::Static(item) => (
                format!("pub static {path}: {}", self.text(&item.ty, &scope)),
                None,
            ),
            Item::Fn(item) => (
                format!("pub {}", self.signature(&item.sig, path, &scope)),
                None,
            ),
            Item::Type(item) => {
                let scope = scope.with(&item.generics);
                let (generics, bounds) = self.generics(&item.generics, &scope);
                let ty = self.text(&item.ty, &scope);
                (format!("pub type {path}{generics} = {ty}{bounds}"), None)
            }
            Item::Struct(item) => {
                let scope = scope.with(&item.generics);
                let (generics, bounds) = self.generics(&item.generics, &scope);
                let shape = self.fields(&item.fields, path, &scope, condition);
                (
                    format!("pub struct {path}{generics}{shape}{bounds}"),
                    Some(&item.generics),
                )
            }
            Item::Union(item) => {
                let fields = Fields::Named(item.fields.clone());
                let shape = self.fields(&fields, path, &scope.with(&item.generics), condition);
                (format!("pub union {path}{shape}"), Some(&item.generics))
            }
            Item::Enum(item) => {
                let scope = scope.with(&item.generics);
                let (generics, bounds) = self.generics(&item.generics, &scope);
                for variant in &item.variants {
                    let condition = condition.and(&Condition::of_attributes(&variant.attrs));
                    let shape = self.variant(&variant.fields, &scope);
                    let marks = attributes::marks(&variant.attrs);
                    let value = variant
                        .discriminant
                        .as_ref()
                        .map(|(_, value)| format!(" = {}", tokens::plain(value)));
                    let name = &variant.ident;
                    let text = format!("{marks}{path}::{name}{shape}{}", value.unwrap_or_default());
                    self.add(path, Rank::Part, text, &condition);
                }
                (
                    format!("pub enum {path}{generics}{bounds}"),
                    Some(&item.generics),
                )
            }
            Item::Trait(item) => {
                let scope = scope.with(&item.generics);
                let (generics, bounds) = self.generics(&item.generics, &scope);
                for part in &item.items {
                    self.trait_item(part, path, &scope, condition);
                }
                let supers: Vec<_> = item
                    .supertraits
                    .iter()
                    .map(|one| self.text(one, &scope))
                    .collect();
                let supers = match supers.is_empty() {
                    true => String::new(),
                    false => format!(": {}", supers.join(" + ")),
                };
                let how = item.unsafety.map_or("", |_| "unsafe ");
                (
                    format!("pub {how}trait {path}{generics}{supers}{bounds}"),
                    None,
                )
            }
            other => (tokens::plain(other), None),
        };
        self.add(path, Rank::Itself, format!("{marks}{text}"), condition);
        if let Some(generics) = generics {
            self.derives(id, path, generics, condition);
        }
    }

    /// Adds the derived traits, in one line for each condition.
    fn derives(&mut self, id: ItemId, path: &str, generics: &Generics, condition: &Condition) {
        let scope = Scope {
            module: id.0,
            generics: BTreeSet::new(),
        };
        let names: Vec<_> = generics.params.iter().map(parameter_name).collect();
        let names = match names.is_empty() {
            true => String::new(),
            false => format!("<{}>", names.join(", ")),
        };
        let mut derived: BTreeMap<Condition, BTreeSet<String>> = BTreeMap::new();
        for attribute in attributes(&self.tree.entry(id).item) {
            for (condition, derive) in derives_in(&attribute.meta, condition) {
                let name = self.text(&derive, &scope);
                derived.entry(condition).or_default().insert(name);
            }
        }
        for (condition, traits) in derived {
            let traits: Vec<_> = traits.into_iter().collect();
            let text = format!("derive {} for {path}{names}", traits.join(", "));
            self.add(path, Rank::Trait, text, &condition);
        }
    }

    fn trait_item(&mut self, part: &TraitItem, path: &str, scope: &Scope, condition: &Condition) {
        let (attributes, rank, text) = match part {
            TraitItem::Fn(function) => {
                let at = format!("{path}::{}", function.sig.ident);
                let text = self.signature(&function.sig, &at, scope);
                let provided = function.default.as_ref().map_or("", |_| " { provided }");
                (&function.attrs, Rank::Function, format!("{text}{provided}"))
            }
            TraitItem::Type(one) => {
                let scope = scope.with(&one.generics);
                let (generics, bounds) = self.generics(&one.generics, &scope);
                let mut text = format!("type {path}::{}{generics}", one.ident);
                if !one.bounds.is_empty() {
                    text += &format!(": {}", self.text(&one.bounds, &scope));
                }
                if let Some((_, default)) = &one.default {
                    text += &format!(" = {}", self.text(default, &scope));
                }
                (&one.attrs, Rank::Part, text + &bounds)
            }
            TraitItem::Const(one) => {
                let ty = self.text(&one.ty, scope);
                let provided = one.default.as_ref().map_or("", |_| " { provided }");
                let text = format!("const {path}::{}: {ty}{provided}", one.ident);
                (&one.attrs, Rank::Part, text)
            }
            other => {
                let text = format!("{path} {{ {} }}", tokens::plain(other));
                return self.add(path, Rank::Part, text, condition);
            }
        };
        let condition = condition.and(&Condition::of_attributes(attributes));
        self.add(path, rank, marks(attributes) + &text, &condition);
    }

    /// Adds a line for each public field; says how the struct is put together, and whether something in it is private.
    fn fields(
        &mut self,
        fields: &Fields,
        path: &str,
        scope: &Scope,
        condition: &Condition,
    ) -> String {
        let is_public = |vis: &Visibility| matches!(vis, Visibility::Public(_));
        match fields {
            Fields::Unit => String::new(),
            Fields::Unnamed(fields) => {
                let fields = fields
                    .unnamed
                    .iter()
                    .map(|field| match is_public(&field.vis) {
                        true => format!("pub {}", self.text(&field.ty, scope)),
                        false => "_".to_owned(),
                    });
                format!("({})", fields.collect::<Vec<_>>().join(", "))
            }
            Fields::Named(fields) => {
                for field in fields.named.iter().filter(|field| is_public(&field.vis)) {
                    let condition = condition.and(&Condition::of_attributes(&field.attrs));
                    let name = field.ident.as_ref().unwrap();
                    let text = format!("{path}::{name}: {}", self.text(&field.ty, scope));
                    self.add(path, Rank::Part, marks(&field.attrs) + &text, &condition);
                }
                match fields.named.iter().all(|field| is_public(&field.vis)) {
                    true => " { all public }".to_owned(),
                    false => " { .. }".to_owned(),
                }
            }
        }
    }

    fn variant(&self, fields: &Fields, scope: &Scope) -> String {
        match fields {
            Fields::Unit => String::new(),
            Fields::Unnamed(fields) => {
                let fields = fields
                    .unnamed
                    .iter()
                    .map(|field| self.text(&field.ty, scope));
                format!("({})", fields.collect::<Vec<_>>().join(", "))
            }
            Fields::Named(fields) => {
                let fields = fields.named.iter().map(|field| {
                    let name = field.ident.as_ref().unwrap();
                    format!("{name}: {}", self.text(&field.ty, scope))
                });
                format!(" {{ {} }}", fields.collect::<Vec<_>>().join(", "))
            }
        }
    }
}

fn parameter_name(parameter: &GenericParam) -> String {
    match parameter {
        GenericParam::Type(one) => one.ident.to_string(),
        GenericParam::Const(one) => one.ident.to_string(),
        GenericParam::Lifetime(one) => one.lifetime.to_string(),
    }
}
