//! The lists themselves under test: each kind of change to a small crate is seen, and nothing else is.

use super::changes;
use super::lines::surface;

/// A crate with most of what ours have: private modules, imports of imports, globs, macros, features.
const CRATE: [(&str, &str); 4] = [
    (
        "lib.rs",
        "mod parts;
         mod ways;
         pub use parts::{Kind, Thing};
         pub use ways::shut::{Door, Door as Gate};
         pub mod open { pub use crate::ways::shut::*; }
         #[cfg(feature = \"more\")] pub mod more { pub fn ask(thing: &super::Thing) -> bool { thing.0 } }
         #[cfg(test)] pub mod tests { pub fn only_here() {} }",
    ),
    (
        "parts.rs",
        "use std::time::Duration;
         #[derive(Clone)] #[cfg_attr(feature = \"more\", derive(Debug))]
         pub struct Thing(bool, pub u8);
         #[non_exhaustive] pub enum Kind { One, Two { of: Duration } }
         impl Thing {
             pub fn new(kind: Kind, after: Duration) -> Self { todo!() }
             pub(crate) fn inside(&self) {}
             fn own(&self) {}
         }
         struct Hidden;
         impl Hidden { pub fn unseen(&self) {} }
         impl From<Hidden> for Thing { fn from(_: Hidden) -> Thing { todo!() } }
         impl Iterator for Thing { type Item = Kind; fn next(&mut self) -> Option<Kind> { None } }",
    ),
    (
        "ways/mod.rs",
        "pub mod shut;
         macro_rules! ways {
             ($($type:ident { $($name:ident = $ty:ty),* $(,)? })+) => {$(
                 impl $type { $(pub fn $name(&self, given: $ty) -> Option<$ty> { Some(given) })* }
             )+};
         }
         use crate::parts::Thing; use shut::Door;
         ways! { Thing { first = Vec<u8>, second = bool } Door { third = Thing } }",
    ),
    (
        "ways/shut.rs",
        "pub trait Shut<T = u8>: Send where T: Copy { const N: usize; fn shut(&self) -> T; fn slam(&self) {} }
         pub struct Door { pub wide: u32, key: u8 }
         impl<T: Copy> Shut<T> for &Door { const N: usize = 1; fn shut(&self) -> T { todo!() } }
         impl Door { pub const WIDTH: u32 = 3; }
         strange! { pub fn anything }",
    ),
];

const SURFACE: &str = "\
pub struct Door { .. }
Door::wide: u32
pub const Door::WIDTH: u32
pub fn Door::third(&self, given: Thing) -> Option<Thing>
impl<T: Copy> open::Shut<T> for &Door
pub use Gate = Door
#[non_exhaustive] pub enum Kind
Kind::One
Kind::Two { of: std::time::Duration }
pub struct Thing(_, pub u8)
pub fn Thing::first(&self, given: Vec<u8>) -> Option<Vec<u8>>
pub fn Thing::new(kind: Kind, after: std::time::Duration) -> Self
pub fn Thing::second(&self, given: bool) -> Option<bool>
derive Clone for Thing
derive Debug for Thing [feature = \"more\"]
impl Iterator for Thing { type Item = Kind }
pub mod more [feature = \"more\"]
pub fn more::ask(thing: &Thing) -> bool [feature = \"more\"]
pub mod open
pub use open::Door = Door
pub trait open::Shut<T = u8>: Send where T: Copy
const open::Shut::N: usize
fn open::Shut::shut(&self) -> T
fn open::Shut::slam(&self) { provided }
strange! { pub fn anything } in crate::ways::shut";

fn listed(files: &[(&str, String)]) -> Vec<String> {
    surface(&|path| {
        let file = files.iter().find(|(name, _)| *name == path);
        file.map(|(_, text)| text.clone())
    })
}

/// The change of the surface where in that file a text is another.
fn changed(file: &str, text: &str, other: &str) -> Vec<String> {
    let before = CRATE.map(|(name, text)| (name, text.to_owned()));
    let mut after = before.clone();
    let place = after.iter_mut().find(|(name, _)| *name == file).unwrap();
    assert!(place.1.contains(text), "{file} has no `{text}`");
    place.1 = place.1.replacen(text, other, 1);
    changes(&listed(&before), &listed(&after))
}

#[test]
fn every_public_item_has_a_line_at_its_shortest_path_and_nothing_private_has() {
    let lines = listed(&CRATE.map(|(name, text)| (name, text.to_owned())));
    let expected: Vec<_> = SURFACE.lines().map(str::to_owned).collect();
    let changes = changes(&expected, &lines);
    assert!(expected == lines, "{}", changes.join("\n"));
}

#[test]
fn an_added_method_is_seen_wherever_its_block_stands() {
    let method = "fn only_here() {} impl super::Thing { pub fn more(&mut self) {} }";
    let in_tests = changed("lib.rs", "fn only_here() {}", method);
    assert!(in_tests.is_empty(), "{in_tests:?}");
    let block = "impl crate::Thing { pub fn more(&mut self) {} } strange!";
    assert_eq!(
        changed("ways/shut.rs", "strange!", block),
        ["+ pub fn Thing::more(&mut self)"]
    );
    let public = changed("parts.rs", "pub(crate) fn inside", "pub fn inside");
    assert_eq!(public, ["+ pub fn Thing::inside(&self)"]);
}

#[test]
fn a_changed_signature_is_seen_even_where_only_an_import_changed() {
    let before = "- pub fn Thing::new(kind: Kind, after: std::time::Duration) -> Self";
    assert_eq!(
        changed("parts.rs", "after: Duration", "after: &Duration"),
        [
            before,
            "+ pub fn Thing::new(kind: Kind, after: &std::time::Duration) -> Self"
        ]
    );
    let import = changed("parts.rs", "time::Duration", "time::Instant as Duration");
    let after = "+ pub fn Thing::new(kind: Kind, after: std::time::Instant) -> Self";
    assert!(import.contains(&before.to_owned()), "{import:?}");
    assert!(import.contains(&after.to_owned()), "{import:?}");
}

#[test]
fn a_new_variant_and_a_new_field_are_seen() {
    let variant = changed("parts.rs", "{ One,", "{ One, Other(u8),");
    assert_eq!(variant, ["+ Kind::Other(u8)"]);
    let field = changed("ways/shut.rs", "key: u8", "pub key: u8");
    assert_eq!(
        field,
        [
            "- pub struct Door { .. }",
            "+ pub struct Door { all public }",
            "+ Door::key: u8"
        ]
    );
    let opened = changed("parts.rs", "#[non_exhaustive] ", "");
    assert_eq!(
        opened,
        ["- #[non_exhaustive] pub enum Kind", "+ pub enum Kind"]
    );
}

#[test]
fn a_removed_re_export_is_seen_with_all_that_it_led_to() {
    let gone = changed("lib.rs", "{Kind, Thing}", "Thing");
    assert!(gone.contains(&"- Kind::One".to_owned()), "{gone:?}");
    assert!(
        gone.contains(&"- #[non_exhaustive] pub enum Kind".to_owned()),
        "{gone:?}"
    );
    let alias = changed("lib.rs", ", Door as Gate", "");
    assert_eq!(alias, ["- pub use Gate = Door"]);
    let glob = changed("lib.rs", "pub use crate::ways::shut::*;", "");
    assert!(
        glob.contains(&"- pub use open::Door = Door".to_owned()),
        "{glob:?}"
    );
}

#[test]
fn what_a_macro_makes_is_seen_and_an_unknown_macro_by_its_own_tokens() {
    let call = changed("ways/mod.rs", "second = bool", "second = u64");
    assert_eq!(
        call,
        [
            "- pub fn Thing::second(&self, given: bool) -> Option<bool>",
            "+ pub fn Thing::second(&self, given: u64) -> Option<u64>"
        ]
    );
    let rules = changed("ways/mod.rs", "pub fn $name(&self,", "pub fn $name(self,");
    assert_eq!(rules.len(), 6, "{rules:?}");
    let unknown = changed("ways/shut.rs", "fn anything", "fn else");
    assert_eq!(unknown.len(), 2, "{unknown:?}");
}

#[test]
fn implementations_derives_and_conditions_are_seen() {
    let derive = changed("parts.rs", "derive(Clone)", "derive(Clone, Copy)");
    assert_eq!(
        derive,
        ["- derive Clone for Thing", "+ derive Clone, Copy for Thing"]
    );
    let part = changed("parts.rs", "type Item = Kind", "type Item = u8");
    assert_eq!(part.len(), 2, "{part:?}");
    let condition = changed("lib.rs", "pub use parts", "#[cfg(unix)] pub use parts");
    assert!(
        condition.contains(&"+ Kind::One [unix]".to_owned()),
        "{condition:?}"
    );
    let provided = changed("ways/shut.rs", "fn slam(&self) {}", "fn slam(&self);");
    assert_eq!(provided.len(), 2, "{provided:?}");
}

#[test]
fn line_breaks_bodies_and_private_items_change_nothing() {
    for (file, text, other) in [
        (
            "parts.rs",
            "kind: Kind, after: Duration",
            "\n kind: Kind,\n mut after: Duration,\n",
        ),
        (
            "parts.rs",
            "fn own(&self) {}",
            "fn other(&self, more: u8) {}",
        ),
        ("parts.rs", "struct Hidden;", "struct Hidden(pub u8);"),
        ("parts.rs", "todo!()", "loop {}"),
        ("ways/mod.rs", "second = bool", "second = bool,"),
        ("ways/shut.rs", "Shut<T = u8>", "Shut<\nT = u8,\n>"),
        ("ways/shut.rs", "where T: Copy {", "where T: Copy, {"),
    ] {
        let changes = changed(file, text, other);
        assert!(changes.is_empty(), "{other}: {changes:?}");
    }
}
