//! The names of endpoints: the authority of the URL, with the path where several share an address.

use std::collections::HashMap;
use std::sync::Arc;

/// One endpoint as configured or resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointSpec {
    /// The host and port that the name is made of, such as `10.0.0.2:8081`.
    pub authority: Arc<str>,
    /// The base path of the URL, such as `/v2`; empty or `/` without one.
    pub path: Arc<str>,
    /// The whole URL, for people and for the caller's own use.
    pub url: Arc<str>,
    /// `weight`: the share of the calls, relative to those of the others; 1 to
    /// [`MAX_WEIGHT`](super::MAX_WEIGHT). Default 1.
    pub weight: u32,
}

impl EndpointSpec {
    /// An endpoint without a path, of weight 1, at `http://AUTHORITY`.
    pub fn at(authority: &str) -> EndpointSpec {
        EndpointSpec {
            authority: authority.into(),
            path: "".into(),
            url: format!("http://{authority}").into(),
            weight: 1,
        }
    }

    /// The same endpoint with another weight.
    #[must_use]
    pub fn weighing(self, weight: u32) -> EndpointSpec {
        EndpointSpec { weight, ..self }
    }
}

/// The names of those endpoints, all different: the authority, with the path where several share it, with `#2` and so on
/// where they share that too.
pub fn names(specs: &[EndpointSpec]) -> Vec<Arc<str>> {
    let mut sharing: HashMap<&str, usize> = HashMap::new();
    for spec in specs {
        *sharing.entry(&spec.authority).or_default() += 1;
    }
    let mut taken: HashMap<Arc<str>, usize> = HashMap::new();
    let names = specs.iter().map(|spec| {
        let name: Arc<str> = match sharing[&*spec.authority] {
            1 => spec.authority.clone(),
            _ => format!("{}{}", spec.authority, spec.path).into(),
        };
        let times = taken.entry(name.clone()).or_default();
        *times += 1;
        match *times {
            1 => name,
            times => format!("{name}#{times}").into(),
        }
    });
    names.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_the_path_only_where_two_share_an_address() {
        let at = |authority, path: &str| EndpointSpec {
            path: path.into(),
            ..EndpointSpec::at(authority)
        };
        let specs = [at("a:1", "/v1"), at("b:1", "/v1"), at("b:1", "/v2")];
        assert_eq!(
            names(&specs).as_slice(),
            ["a:1", "b:1/v1", "b:1/v2"].map(Arc::from)
        );
        let twice = [at("a:1", "/"), at("a:1", "/")];
        assert_eq!(names(&twice).as_slice(), ["a:1/", "a:1/#2"].map(Arc::from));
    }
}
