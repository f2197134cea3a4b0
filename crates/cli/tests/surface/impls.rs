//! `impl` blocks as lines, wherever in the crate they stand: methods of public types, implementations of traits.

use std::collections::BTreeSet;

use syn::{GenericArgument, ImplItem, ItemImpl, Path, PathArguments, Type, Visibility};

use super::attributes::marks;
use super::conditions::Condition;
use super::lines::{Lines, Rank};
use super::paths::Target;
use super::signatures::Scope;
use super::tokens;
use super::tree::ItemId;

pub fn block(lines: &mut Lines<'_>, id: ItemId, block: &ItemImpl) {
    let outer = Scope {
        module: id.0,
        generics: BTreeSet::new(),
    };
    let scope = outer.with(&block.generics);
    let Some((path, condition)) = owner(lines, block, &scope) else {
        return;
    };
    let condition = condition.and(&lines.tree.condition(id));
    let (generics, bounds) = lines.generics(&block.generics, &scope);
    let itself = lines.text(&block.self_ty, &scope);
    match &block.trait_ {
        Some((not, name, _)) => {
            let not = not.map_or("", |_| "!");
            let how = block.unsafety.map_or("", |_| "unsafe ");
            let name = lines.text(name, &scope);
            let types: Vec<_> = block
                .items
                .iter()
                .filter_map(|item| match item {
                    ImplItem::Type(one) => {
                        let scope = scope.with(&one.generics);
                        let (generics, bounds) = lines.generics(&one.generics, &scope);
                        let ty = lines.text(&one.ty, &scope);
                        Some(format!("type {}{generics} = {ty}{bounds}", one.ident))
                    }
                    _ => None,
                })
                .collect();
            let types = match types.is_empty() {
                true => String::new(),
                false => format!(" {{ {} }}", types.join("; ")),
            };
            let text = format!("{how}impl{generics} {not}{name} for {itself}{bounds}{types}");
            lines.add(&path, Rank::Trait, text, &condition);
        }
        None => {
            // Where it is not of every type of that name, the line says of which.
            let of = match itself == path {
                true => String::new(),
                false => format!(" in impl{generics} {itself}{bounds}"),
            };
            for item in &block.items {
                method(lines, item, &path, &of, &scope, &condition);
            }
        }
    }
}

fn method(
    lines: &mut Lines<'_>,
    item: &ImplItem,
    path: &str,
    of: &str,
    scope: &Scope,
    condition: &Condition,
) {
    let (attributes, visibility, text) = match item {
        ImplItem::Fn(function) => {
            let at = format!("{path}::{}", function.sig.ident);
            let text = lines.signature(&function.sig, &at, scope);
            (&function.attrs, &function.vis, text)
        }
        ImplItem::Const(one) => {
            let ty = lines.text(&one.ty, scope);
            let text = format!("const {path}::{}: {ty}", one.ident);
            (&one.attrs, &one.vis, text)
        }
        ImplItem::Macro(call) => {
            let name = tokens::plain(&call.mac.path);
            let rules = lines.tree.rules(&name).map(tokens::plain);
            let text = format!(
                "{path}: {} by {{ {} }}",
                tokens::plain(call),
                rules.unwrap_or_default()
            );
            return lines.add(path, Rank::Function, text, condition);
        }
        other => {
            let text = format!("{path}: {}", tokens::plain(other));
            return lines.add(path, Rank::Function, text, condition);
        }
    };
    if matches!(visibility, Visibility::Public(_)) {
        let condition = condition.and(&Condition::of_attributes(attributes));
        let text = format!("{}pub {text}{of}", marks(attributes));
        lines.add(path, Rank::Function, text, &condition);
    }
}

/// The public item below which a block is listed, with its condition: its type, or where that is not the crate's, its
/// trait, or a type in the trait's arguments. None where something in its head is private: nobody outside sees it.
fn owner(lines: &Lines<'_>, block: &ItemImpl, scope: &Scope) -> Option<(String, Condition)> {
    let mut named = Vec::new();
    types_in(&block.self_ty, &mut named);
    if let Some((_, path, _)) = &block.trait_ {
        named.push(path.clone());
        arguments_of(path, &mut named);
    }
    let mut first = None;
    for path in &named {
        let names: Vec<_> = path
            .segments
            .iter()
            .map(|one| one.ident.to_string())
            .collect();
        if path.leading_colon.is_some() || scope.generics.contains(&names[0]) {
            continue;
        }
        if let Some(Target::Item(id, _)) = lines.tree.type_at(scope.module, &names) {
            if !lines.public.has(id) {
                return None;
            }
            first = first.or(Some(id));
        }
    }
    let (path, condition) = &lines.public.items[&first?][0];
    Some((path.join("::"), condition.clone()))
}

/// The paths of a type, the outermost first.
fn types_in(ty: &Type, out: &mut Vec<Path>) {
    match ty {
        Type::Path(path) if path.qself.is_none() => {
            out.push(path.path.clone());
            arguments_of(&path.path, out);
        }
        Type::Reference(inner) => types_in(&inner.elem, out),
        Type::Paren(inner) => types_in(&inner.elem, out),
        Type::Group(inner) => types_in(&inner.elem, out),
        Type::Slice(inner) => types_in(&inner.elem, out),
        Type::Array(inner) => types_in(&inner.elem, out),
        Type::Ptr(inner) => types_in(&inner.elem, out),
        Type::Tuple(inner) => inner.elems.iter().for_each(|ty| types_in(ty, out)),
        Type::TraitObject(inner) => {
            for bound in &inner.bounds {
                if let syn::TypeParamBound::Trait(bound) = bound {
                    out.push(bound.path.clone());
                    arguments_of(&bound.path, out);
                }
            }
        }
        _ => {}
    }
}

fn arguments_of(path: &Path, out: &mut Vec<Path>) {
    for segment in &path.segments {
        if let PathArguments::AngleBracketed(arguments) = &segment.arguments {
            for argument in &arguments.args {
                if let GenericArgument::Type(ty) = argument {
                    types_in(ty, out);
                }
            }
        }
    }
}
