//! The names that an expression's text may use, resolved at compilation.

use crate::language::functions::{PACKAGES, Package};
use crate::language::random::Random;
use crate::language::value::{Map, Params};

/// The names that an expression's text may use.
#[derive(Debug, Clone, Default)]
pub struct Names {
    /// The environment, available as `$env[NAME]`.
    pub env: Params,
    /// The application's properties, available as `$property[NAME]`; `None` if properties are not available.
    pub properties: Option<Map>,
    /// True if `$loop` is available, as in the mapping of a list: `$loop.key` refers to `_loop` in the scope,
    /// `$loop[name].key` to its `name`. Default: false.
    pub loops: bool,
    /// True if `$flow.NAME`, `$activity[ID].NAME` and `$error.NAME` are available, as in a flow. Default: false.
    pub flows: bool,
    /// The functions, by package.
    pub functions: Functions,
    /// True to evaluate a path that leads nowhere to null instead of an error. Default: false. Flogo reads the setting
    /// from `FLOGO_MAPPING_SKIP_MISSING`.
    pub skip_missing: bool,
    /// The random numbers for `number.random` and `utils.uuid`.
    pub random: Random,
}

/// The packages of functions, with the names before their functions' dots.
///
/// By default the packages of every microgateway: `builtin`, `coerce`, `error`, `json`, `number` and `string`.
#[derive(Debug, Clone)]
pub struct Functions {
    packages: Vec<(String, &'static Package)>,
}

impl Default for Functions {
    fn default() -> Functions {
        let built_in = PACKAGES.iter().filter(|package| package.is_built_in);
        let packages = built_in.map(|package| (package.name.to_owned(), package));
        Functions {
            packages: packages.collect(),
        }
    }
}

impl Functions {
    /// Adds the package of an application's import, or gives it another name. True if the path refers to known packages
    /// of functions: `…/function/NAME`, or `…/function` for all of them.
    pub fn import(&mut self, path: &str, alias: Option<&str>) -> bool {
        let path = path.trim_end_matches('/');
        if path.ends_with("/function") {
            for package in &PACKAGES {
                let mut known = self.packages.iter();
                if !known.any(|(_, known)| known.name == package.name) {
                    self.packages.push((package.name.to_owned(), package));
                }
            }
            return true;
        }
        let name = path.rsplit_once("function/").map(|(_, name)| name);
        let Some(package) = PACKAGES.iter().find(|package| Some(package.name) == name) else {
            return false;
        };
        self.packages
            .retain(|(_, known)| known.name != package.name);
        let name = alias.unwrap_or(package.name);
        self.packages.push((name.to_owned(), package));
        true
    }

    /// The packages with a name, which two may share.
    pub(crate) fn under(&self, name: &str) -> impl Iterator<Item = &'static Package> {
        let packages = self.packages.iter();
        packages.filter_map(move |(alias, package)| (alias == name).then_some(*package))
    }
}
