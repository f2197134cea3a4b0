//! Attributes that belong to the surface: derives, and those that users notice at the item.

use syn::{Attribute, Item, Meta};

use super::conditions::Condition;
use super::tokens;

/// The traits that an attribute derives, each under its condition.
pub fn derives_in(meta: &Meta, condition: &Condition) -> Vec<(Condition, syn::Path)> {
    let Meta::List(list) = meta else {
        return Vec::new();
    };
    let parse = syn::punctuated::Punctuated::<Meta, syn::Token![,]>::parse_terminated;
    if list.path.is_ident("derive") {
        let derives = list.parse_args_with(parse).unwrap();
        let derives = derives
            .into_iter()
            .map(|one| (condition.clone(), one.path().clone()));
        derives.collect()
    } else if list.path.is_ident("cfg_attr") {
        let mut parts = list.parse_args_with(parse).unwrap().into_iter();
        let asked = parts.next().expect("cfg_attr has a condition");
        let condition = condition.and(&Condition::of_meta(&asked));
        parts
            .flat_map(|meta| derives_in(&meta, &condition))
            .collect()
    } else {
        Vec::new()
    }
}

/// The attributes that users notice, before what they stand at.
pub fn marks(attributes: &[Attribute]) -> String {
    let mut marks = String::new();
    for attribute in attributes {
        let meta = &attribute.meta;
        let name = tokens::plain(meta.path());
        let is_hidden = name == "doc" && tokens::plain(meta) == "doc(hidden)";
        if ["non_exhaustive", "deprecated", "must_use"].contains(&name.as_str()) {
            marks += &format!("#[{name}] ");
        } else if is_hidden || name == "repr" || name == "from" {
            marks += &format!("#[{}] ", tokens::plain(meta));
        }
    }
    marks
}

pub fn attributes(item: &Item) -> Vec<Attribute> {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::ExternCrate(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::ForeignMod(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::TraitAlias(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Union(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => return Vec::new(),
    }
    .clone()
}
