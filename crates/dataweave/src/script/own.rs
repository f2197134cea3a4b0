//! What a script takes from the files of its project: modules, and the data of `readUrl("classpath://…")`.

use std::sync::Arc;

use super::cursor::{Cursor, Parsed};
use super::tree::{Declaration, Declared, Name, Node};
use super::{BYTES_MAX, functions, header, parse};
use crate::fault::ParseFault;
use crate::value::Value;

/// The limit of modules that import one another.
const WITHIN_MAX: usize = 16;
/// The scheme of the files of a project.
const CLASSPATH: &str = "classpath:";

/// A module of the project.
pub(super) struct Own {
    /// The full name, `modules::tea`.
    pub path: String,
    pub declarations: Arc<[Declaration]>,
}

impl Own {
    /// The declaration of a name under another one.
    fn taken(self: &Arc<Own>, name: &str, alias: Arc<str>) -> Option<Declaration> {
        let mut own = self.declarations.iter();
        let found = own.find(|declaration| *declaration.name == *name)?;
        Some(Declaration {
            name: alias,
            what: Declared::Own(self.clone(), found.name.clone()),
        })
    }

    /// Imports everything, under the plain names or behind a prefix.
    pub fn all(
        self: &Arc<Own>,
        cursor: &mut Cursor<'_>,
        prefix: &str,
        into: &mut Vec<Declaration>,
    ) {
        for declaration in self.declarations.iter() {
            let alias: Arc<str> = format!("{prefix}{}", declaration.name).into();
            let taken = self.taken(&declaration.name, alias);
            taken.into_iter().for_each(|it| add(cursor, it, into));
        }
    }

    /// Imports one name.
    pub fn one(
        self: &Arc<Own>,
        cursor: &mut Cursor<'_>,
        (name, alias, start): (&str, &str, usize),
        into: &mut Vec<Declaration>,
    ) -> Parsed<()> {
        let Some(taken) = self.taken(name, alias.into()) else {
            let what = format!("the module `{}` has no function `{name}`", self.path);
            let names = self.declarations.iter().map(|it| &*it.name);
            let mend = match functions::nearest(names, name) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "define it there with `fun`".to_owned(),
            };
            return Err(cursor.fault(start, &what, &mend));
        };
        add(cursor, taken, into);
        Ok(())
    }
}

fn add(cursor: &mut Cursor<'_>, taken: Declaration, into: &mut Vec<Declaration>) {
    cursor.declared.insert(taken.name.clone());
    into.retain(|known| known.name != taken.name || !matches!(known.what, Declared::Own(..)));
    into.push(taken);
}

/// Finds a module of the project by its full name; `None`: no file has it.
pub(super) fn module(
    cursor: &mut Cursor<'_>,
    path: &str,
    start: usize,
) -> Parsed<Option<Arc<Own>>> {
    let file = format!("{}.dwl", path.replace("::", "/"));
    let Some(text) = cursor.library.text(&file) else {
        return Ok(None);
    };
    let text = text.map_err(|why| unreadable(cursor, start, &file, &why))?;
    if cursor.within.iter().any(|outer| **outer == *path) {
        let what = format!("the module `{path}` imports itself, if through others");
        let mend = "move what both use into a third module";
        return Err(cursor.fault(start, &what, mend));
    }
    if cursor.within.len() == WITHIN_MAX {
        let what = format!("more than {WITHIN_MAX} modules import one another here");
        return Err(cursor.fault(start, &what, "import from fewer"));
    }
    if text.len() > BYTES_MAX {
        let what = format!("the module `{path}` has more than {BYTES_MAX} bytes");
        return Err(cursor.fault(start, &what, "split it"));
    }
    let mut inner = Cursor::new(&text, 0, text.len());
    inner.library = cursor.library;
    inner.within.clone_from(&cursor.within);
    inner.within.push(path.into());
    let declarations = match header::module(&mut inner).and_then(|mut declarations| {
        parse::check_calls(&inner)?;
        declarations.append(&mut inner.taken);
        Ok(declarations)
    }) {
        Ok(declarations) => declarations,
        Err(fault) => {
            let ParseFault {
                message,
                line,
                mend,
                ..
            } = fault;
            let what = format!("line {line} of the module `{path}`: {message}");
            return Err(cursor.fault(start, &what, &mend));
        }
    };
    cursor.demands += inner.demands;
    cursor.fails |= inner.fails;
    Ok(Some(Arc::new(Own {
        path: path.to_owned(),
        declarations: declarations.into(),
    })))
}

/// Takes a function of a module that is named in full where it is used, `modules::tea::cup()`. Returns the name of its
/// declaration; `None`: no file has the module.
pub(super) fn in_full(
    cursor: &mut Cursor<'_>,
    path: &str,
    name: &str,
    start: usize,
) -> Parsed<Option<Arc<str>>> {
    let text: Arc<str> = format!("{path}::{name}").into();
    if cursor.declared.contains(&text) {
        return Ok(Some(text));
    }
    let read = cursor.taken.iter().find_map(|it| match &it.what {
        Declared::Own(own, _) if own.path == path => Some(own.clone()),
        _ => None,
    });
    let own = match read {
        Some(own) => own,
        None => match module(cursor, path, start)? {
            Some(own) => own,
            None => return Ok(None),
        },
    };
    let mut taken = std::mem::take(&mut cursor.taken);
    let done = own.one(cursor, (name, &text, start), &mut taken);
    cursor.taken = taken;
    done.map(|()| Some(text))
}

fn unreadable(cursor: &Cursor<'_>, start: usize, file: &str, why: &str) -> ParseFault {
    let what = format!("the file `{file}` cannot be read: {why}");
    let mend = "check that it is a text in UTF-8 and that this process may read it";
    cursor.fault(start, &what, mend)
}

/// The function `read` in place of `readUrl`, whose arguments are then the text of the file that they name by
/// `classpath://…`, and its media type; `None`: the address is another.
pub(super) fn read_file(
    cursor: &Cursor<'_>,
    args: &mut Vec<Node>,
    start: usize,
) -> Parsed<Option<Name>> {
    let Some(Node::Literal(Value::String(url))) = args.first() else {
        return Ok(None);
    };
    let Some(path) = url.strip_prefix(CLASSPATH) else {
        return Ok(None);
    };
    let path = path.trim_start_matches('/').to_owned();
    let Some(text) = cursor.library.text(&path) else {
        let what = format!("the file `{path}` is nowhere in the project");
        let mend = "put it into `src/main/resources`";
        return Err(cursor.fault(start, &what, mend));
    };
    let text = text.map_err(|why| unreadable(cursor, start, &path, &why))?;
    args[0] = Node::Literal(text.as_str().into());
    if args.len() == 1 {
        args.push(Node::Literal(media_type(&path).into()));
    }
    Ok(Some(Name {
        text: "read".into(),
        builtin: functions::find("read"),
    }))
}

/// The media type of a file by its ending; that of DataWeave's own form by default.
fn media_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map_or("", |(_, ending)| ending) {
        "json" => "application/json",
        "xml" => "application/xml",
        "csv" => "application/csv",
        "txt" => "text/plain",
        _ => "application/dw",
    }
}
