//! Signatures and types as text, with every name as a user of the crate writes it.

use std::collections::BTreeSet;

use quote::ToTokens;
use syn::{FnArg, GenericParam, Generics, Pat, Signature};

use super::lines::Lines;
use super::paths::Target;
use super::tokens;
use super::tree::ModuleId;

/// A place in the source: names mean what they do in its module, but for the generics around it.
#[derive(Clone)]
pub struct Scope {
    pub module: ModuleId,
    pub generics: BTreeSet<String>,
}

impl Scope {
    pub fn with(&self, generics: &Generics) -> Scope {
        let mut scope = self.clone();
        for parameter in &generics.params {
            match parameter {
                GenericParam::Type(one) => scope.generics.insert(one.ident.to_string()),
                GenericParam::Const(one) => scope.generics.insert(one.ident.to_string()),
                GenericParam::Lifetime(_) => false,
            };
        }
        scope
    }
}

impl Lines<'_> {
    /// `const fn PATH<T>(&self, now: Timestamp) -> Answer where T: Bound`
    pub fn signature(&self, signature: &Signature, path: &str, scope: &Scope) -> String {
        let scope = scope.with(&signature.generics);
        let mut text = String::new();
        for (is_there, word) in [
            (signature.constness.is_some(), "const "),
            (signature.asyncness.is_some(), "async "),
            (signature.unsafety.is_some(), "unsafe "),
        ] {
            text += if is_there { word } else { "" };
        }
        if let Some(abi) = &signature.abi {
            text += &format!("{} ", tokens::plain(abi));
        }
        let (generics, bounds) = self.generics(&signature.generics, &scope);
        let inputs: Vec<_> = signature
            .inputs
            .iter()
            .map(|input| self.input(input, &scope))
            .collect();
        text += &format!("fn {path}{generics}({})", inputs.join(", "));
        if let syn::ReturnType::Type(_, ty) = &signature.output {
            text += &format!(" -> {}", self.text(ty, &scope));
        }
        text + &bounds
    }

    fn input(&self, input: &FnArg, scope: &Scope) -> String {
        match input {
            FnArg::Receiver(receiver) => match (&receiver.reference, &receiver.colon_token) {
                (_, Some(_)) => format!("self: {}", self.text(&receiver.ty, scope)),
                (Some((_, lifetime)), None) => {
                    let lifetime = lifetime
                        .as_ref()
                        .map(|one| format!("{one} "))
                        .unwrap_or_default();
                    let mutable = receiver.mutability.map_or("", |_| "mut ");
                    format!("&{lifetime}{mutable}self")
                }
                (None, None) => "self".to_owned(),
            },
            FnArg::Typed(typed) => {
                let name = match &*typed.pat {
                    Pat::Ident(name) => name.ident.to_string(),
                    _ => "_".to_owned(),
                };
                format!("{name}: {}", self.text(&typed.ty, scope))
            }
        }
    }

    /// `<T: Bound>` and ` where T: Bound`, each empty where there is none.
    pub fn generics(&self, generics: &Generics, scope: &Scope) -> (String, String) {
        let params: Vec<_> = generics
            .params
            .iter()
            .map(|one| self.text(one, scope))
            .collect();
        let params = match params.is_empty() {
            true => String::new(),
            false => format!("<{}>", params.join(", ")),
        };
        let bounds = generics
            .where_clause
            .iter()
            .flat_map(|clause| &clause.predicates);
        let bounds: Vec<_> = bounds.map(|one| self.text(one, scope)).collect();
        let bounds = match bounds.is_empty() {
            true => String::new(),
            false => format!(" where {}", bounds.join(", ")),
        };
        (params, bounds)
    }

    /// Tokens with every name as the path that a user writes for it.
    pub fn text(&self, tokens: &impl ToTokens, scope: &Scope) -> String {
        tokens::text(tokens, &|path| {
            if path[0] == "Self" || scope.generics.contains(&path[0]) {
                return None;
            }
            Some(match self.tree.type_at(scope.module, path)? {
                Target::Module(id) => self.tree.modules[id].path.join("::"),
                Target::Item(id, behind) => [&[self.public.name(self.tree, id)], &behind[..]]
                    .concat()
                    .join("::"),
                Target::Outside(path) => path.join("::"),
            })
        })
    }
}
