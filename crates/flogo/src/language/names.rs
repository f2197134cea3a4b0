//! What an expression's text may name, which is settled when it is compiled.

use crate::language::functions::Package;
use crate::language::random::Random;
use crate::language::value::{Map, Params};

/// What an expression's text may name.
#[derive(Debug, Clone, Default)]
pub struct Names {
    /// The environment, behind `$env[NAME]`.
    pub env: Params,
    /// The application's properties, behind `$property[NAME]`; None where there are none to name, as
    /// within a microgateway's resource.
    pub properties: Option<Map>,
    /// Whether `$loop` may be named, as within the mapping of a list: `$loop.key` is of the scope's
    /// `_loop`, `$loop[name].key` of its `name`. Default: false.
    pub loops: bool,
    /// The functions.
    pub functions: Functions,
    /// Whether a path that leads nowhere is null instead of an error. Default: false. Flogo reads it
    /// from `FLOGO_MAPPING_SKIP_MISSING`.
    pub skip_missing: bool,
    /// Where `number.random` and `utils.uuid` draw from.
    pub random: Random,
}

/// The packages of functions, and the names before their functions' dots.
///
/// By default they are those that every microgateway has: `builtin`, `coerce`, `error`, `json`,
/// `number` and `string`.
#[derive(Debug, Clone)]
pub struct Functions {
    packages: Vec<(String, Package)>,
}

impl Default for Functions {
    fn default() -> Functions {
        let packages = Package::BUILT_IN
            .iter()
            .map(|package| (package.name().to_owned(), *package))
            .collect();
        Functions { packages }
    }
}

impl Functions {
    /// Adds the package of an application's import, or gives it another name. Returns whether the path
    /// names packages of functions that are known: `…/function/NAME`, or `…/function` for all of them.
    pub fn import(&mut self, path: &str, alias: Option<&str>) -> bool {
        let path = path.trim_end_matches('/');
        if path.ends_with("/function") {
            for package in Package::ALL {
                if !self.packages.iter().any(|(_, known)| *known == package) {
                    self.packages.push((package.name().to_owned(), package));
                }
            }
            return true;
        }
        let Some(package) = path.rsplit_once("function/").and_then(|(_, name)| {
            Package::ALL
                .into_iter()
                .find(|package| package.name() == name)
        }) else {
            return false;
        };
        self.packages.retain(|(_, known)| *known != package);
        let name = alias.unwrap_or(package.name());
        self.packages.push((name.to_owned(), package));
        true
    }

    /// The packages under a name; two may share one.
    pub(crate) fn under(&self, name: &str) -> impl Iterator<Item = Package> {
        self.packages
            .iter()
            .filter(move |(alias, _)| alias == name)
            .map(|(_, package)| *package)
    }
}
