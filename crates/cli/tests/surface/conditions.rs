//! Conditions under which an item exists: what `cfg` asks, without tests and documentation.

use std::collections::BTreeSet;

use syn::punctuated::Punctuated;
use syn::{Attribute, Meta, Token};

use super::tokens;

/// Set by tools alone: what needs one of them is in no user's build.
const TOOLS: [&str; 5] = ["test", "doc", "doctest", "docsrs", "loom"];

/// A condition: never, or all of these; none of them is always.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Condition {
    Never,
    All(BTreeSet<String>),
}

impl Condition {
    pub fn always() -> Condition {
        Condition::All(BTreeSet::new())
    }

    fn of(one: String) -> Condition {
        Condition::All(BTreeSet::from([one]))
    }

    /// The condition of an item with these attributes.
    pub fn of_attributes(attributes: &[Attribute]) -> Condition {
        attributes
            .iter()
            .filter(|attribute| attribute.path().is_ident("cfg"))
            .map(|attribute| match attribute.parse_args::<Meta>() {
                Ok(meta) => Condition::of_meta(&meta),
                Err(error) => panic!("unreadable cfg: {error}"),
            })
            .fold(Condition::always(), |all, one| all.and(&one))
    }

    pub fn of_meta(meta: &Meta) -> Condition {
        let parts = || {
            let list = meta.require_list().unwrap();
            let parts = list.parse_args_with(Punctuated::<Meta, Token![,]>::parse_terminated);
            parts.unwrap().into_iter().map(|meta| Self::of_meta(&meta))
        };
        let path = meta.path();
        if TOOLS.iter().any(|tool| path.is_ident(tool)) {
            Condition::Never
        } else if path.is_ident("all") {
            parts().fold(Condition::always(), |all, one| all.and(&one))
        } else if path.is_ident("any") {
            Condition::any(parts())
        } else if path.is_ident("not") {
            match parts().next() {
                Some(Condition::Never) | None => Condition::always(),
                Some(Condition::All(all)) if all.is_empty() => Condition::Never,
                Some(Condition::All(all)) => Condition::of(format!("not({})", joined(&all))),
            }
        } else {
            Condition::of(tokens::plain(meta))
        }
    }

    pub fn and(&self, other: &Condition) -> Condition {
        match (self, other) {
            (Condition::All(one), Condition::All(other)) => Condition::All(one | other),
            _ => Condition::Never,
        }
    }

    pub fn any(parts: impl IntoIterator<Item = Condition>) -> Condition {
        let mut texts = BTreeSet::new();
        let mut last = Condition::Never;
        for part in parts {
            if let Condition::All(all) = &part {
                if all.is_empty() {
                    return part;
                }
                texts.insert(joined(all));
                last = part;
            }
        }
        if texts.len() < 2 {
            return last;
        }
        let texts: Vec<_> = texts.into_iter().collect();
        Condition::of(format!("any({})", texts.join(", ")))
    }

    /// The end of an item's line: nothing, or the conditions in brackets.
    pub fn suffix(&self) -> String {
        match self {
            Condition::Never => " [never]".to_owned(),
            Condition::All(all) if all.is_empty() => String::new(),
            Condition::All(all) => {
                let all: Vec<_> = all.iter().map(String::as_str).collect();
                format!(" [{}]", all.join(", "))
            }
        }
    }
}

fn joined(all: &BTreeSet<String>) -> String {
    let texts: Vec<_> = all.iter().map(String::as_str).collect();
    match &texts[..] {
        [one] => (*one).to_owned(),
        _ => format!("all({})", texts.join(", ")),
    }
}
