//! The modules of functions, and the names that a script gives them.

use std::sync::Arc;

use super::cursor::{Cursor, Parsed};
use super::functions::{self, Builtin};
use super::own::{self, Own};
use super::tree::Declaration;
use crate::fault::ParseFault;

/// The advice in place of `lookup`, which calls a flow.
pub(super) const LOOKUP: &str = "call the flow before, by `<flow-ref name=\"…\" target=\"…\"/>`";

/// A module that scripts may import.
pub(super) struct Module {
    /// The full name.
    pub path: &'static str,
    pub functions: &'static [&'static [Builtin]],
    /// True if functions of the core belong to it as well; they need no import here.
    pub shares: bool,
}

impl Module {
    /// Finds a function of the module.
    pub fn find(&self, name: &str) -> Option<&'static Builtin> {
        let own = self.functions.iter().copied().flatten();
        let mut own = own.filter(|builtin| builtin.name == name);
        match own.next() {
            None if self.shares => functions::find(name),
            found => found,
        }
    }

    /// The module's name without those around it.
    fn last(&self) -> &'static str {
        self.path.rsplit("::").next().unwrap_or_default()
    }

    /// The function of a name, for an import or a call.
    pub fn take(&self, cursor: &Cursor<'_>, name: &str, at: usize) -> Parsed<&'static Builtin> {
        self.find(name).ok_or_else(|| {
            // The two others that this module has.
            let lacks = match (self.path, name) {
                ("Mule", "lookup") => Some(LOOKUP),
                ("Mule", "causedBy") => Some("choose the handler by its `type`"),
                _ => None,
            };
            if let Some(mend) = lacks {
                let what = format!("`{name}` of the module `{}` is not supported", self.path);
                return cursor.fault(at, &what, mend);
            }
            let what = format!("the module `{}` has no function `{name}`", self.path);
            let names = self.functions.iter().copied().flatten().map(|it| it.name);
            let mend = match functions::nearest(names, name) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "use another, or define it with `fun`".to_owned(),
            };
            cursor.fault(at, &what, &mend)
        })
    }
}

/// Finds a module by its full name.
pub(super) fn module(path: &str) -> Option<&'static Module> {
    functions::MODULES.iter().find(|module| module.path == path)
}

/// Finds the module that has a function, to advise an import.
pub(super) fn home(name: &str) -> Option<&'static str> {
    let has = |module: &&Module| {
        let mut own = module.functions.iter().copied().flatten();
        own.any(|builtin| builtin.name == name)
    };
    functions::MODULES
        .iter()
        .find(has)
        .map(|module| module.path)
}

/// A module of DataWeave, or of the project.
enum Found {
    Core(&'static Module),
    Own(Arc<Own>),
}

impl Found {
    /// The module's name without those around it.
    fn last(&self) -> &str {
        let path = match self {
            Found::Core(module) => module.path,
            Found::Own(own) => &own.path,
        };
        path.rsplit("::").next().unwrap_or_default()
    }
}

/// Parses the name of a module after its first word, `dw::core::Strings`.
fn named<'a>(cursor: &mut Cursor<'a>, start: usize, first: &'a str) -> Parsed<Found> {
    let mut path = first.to_owned();
    while cursor.eat("::") {
        path.push_str("::");
        path.push_str(cursor.take_word("the name of a module")?);
    }
    if let Some(module) = module(&path) {
        return Ok(Found::Core(module));
    }
    if let Some(own) = own::module(cursor, &path, start)? {
        return Ok(Found::Own(own));
    }
    Err({
        let what = format!("the module `{path}` is not supported");
        let known = functions::MODULES.iter().map(|module| module.path);
        let mend = match functions::nearest(known, &path) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "use a module of DataWeave itself, such as dw::core::Strings, or define its functions with `fun`".to_owned(),
        };
        cursor.fault(start, &what, &mend)
    })
}

/// The fault of a class of Java: `java!com::example::Names::first(payload)`.
pub(super) fn of_java(cursor: &Cursor<'_>, start: usize) -> ParseFault {
    let what = "classes of Java are not supported";
    let mend = "do it with functions of DataWeave, or call a service that does it";
    cursor.fault(start, what, mend)
}

/// Parses an import: `* from dw::core::Strings`, `sumBy as total, some from dw::core::Arrays`, `dw::core::Strings`,
/// `dw::core::Strings as Texts`.
pub(super) fn import(cursor: &mut Cursor<'_>, into: &mut Vec<Declaration>) -> Parsed<()> {
    cursor.blank()?;
    let mut names = Vec::new();
    if !cursor.eat("*") {
        loop {
            cursor.blank()?;
            let start = cursor.at;
            let name = cursor.take_word("the name of a function")?;
            if name == "java" && cursor.starts("!") {
                return Err(of_java(cursor, start));
            }
            if cursor.starts("::") {
                let module = named(cursor, start, name)?;
                cursor.blank()?;
                let alias = match cursor.eat_word("as") {
                    true => {
                        cursor.blank()?;
                        cursor.take_word("a name")?
                    }
                    false => module.last(),
                };
                let alias: Arc<str> = alias.into();
                match module {
                    Found::Core(module) => {
                        cursor.modules.insert(alias, module);
                    }
                    Found::Own(own) => {
                        own.all(cursor, &format!("{alias}::"), into);
                        cursor.own_modules.insert(alias, own);
                    }
                }
                return Ok(());
            }
            cursor.blank()?;
            let mut alias = name;
            if cursor.eat_word("as") {
                cursor.blank()?;
                alias = cursor.take_word("a name")?;
                cursor.blank()?;
            }
            names.push((name, alias, start));
            if !cursor.eat(",") {
                break;
            }
        }
    }
    cursor.blank()?;
    if !cursor.eat_word("from") {
        // A module in the folder of resources itself has no path.
        if let [(path, alias, start)] = names[..]
            && let Some(own) = own::module(cursor, path, start)?
        {
            own.all(cursor, &format!("{alias}::"), into);
            cursor.own_modules.insert(alias.into(), own);
            return Ok(());
        }
        return Err(cursor.unexpected("`from`"));
    }
    cursor.blank()?;
    let start = cursor.at;
    let first = cursor.take_word("the name of a module")?;
    let module = match named(cursor, start, first)? {
        Found::Core(module) => module,
        Found::Own(own) if names.is_empty() => {
            own.all(cursor, "", into);
            return Ok(());
        }
        Found::Own(own) => {
            for name in names {
                own.one(cursor, name, into)?;
            }
            return Ok(());
        }
    };
    if names.is_empty() {
        let all = module.functions.iter().copied().flatten();
        cursor
            .imported
            .extend(all.map(|builtin| (builtin.name.into(), builtin)));
    }
    for (name, alias, start) in names {
        let builtin = module.take(cursor, name, start)?;
        cursor.imported.insert(alias.into(), builtin);
    }
    Ok(())
}

/// Finds the module of a qualified name, by the names before the function's: a full name, or that of an import.
pub(super) fn of_name(cursor: &Cursor<'_>, path: &str) -> Option<&'static Module> {
    let imported = cursor.modules.get(path).copied();
    let by_last = || {
        functions::MODULES
            .iter()
            .find(|module| module.last() == path)
    };
    imported.or_else(|| module(path)).or_else(by_last)
}
