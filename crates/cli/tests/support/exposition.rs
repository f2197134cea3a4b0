//! Metrics as a scraper reads them: strictly, in either form.

use std::collections::{BTreeMap, HashSet};

/// A sample's labels, by name.
pub type Labels = BTreeMap<String, String>;

/// One line with a value.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Its name, suffix and all.
    pub name: String,
    /// Its labels.
    pub labels: Labels,
    /// Its value.
    pub value: f64,
}

/// Everything that was read.
#[derive(Debug, Default)]
pub struct Exposition {
    /// Each family's type, by name.
    pub types: BTreeMap<String, String>,
    /// All samples, in order.
    pub samples: Vec<Sample>,
}

impl Exposition {
    /// Reads Prometheus' text format, 0.0.4.
    ///
    /// # Errors
    /// What a scraper would refuse, or warn of.
    pub fn prometheus(text: &str) -> Result<Exposition, String> {
        if text.contains("# EOF") || text.contains("# UNIT") {
            return Err("EOF and UNIT belong to OpenMetrics".into());
        }
        let read = parse(text.lines())?;
        read.check(|name, kind| match kind {
            "counter" if !name.ends_with("_total") => Err(format!("{name} is no counter's name")),
            _ => Ok(name.to_owned()),
        })?;
        Ok(read)
    }

    /// Reads OpenMetrics, 1.0.
    ///
    /// # Errors
    /// What a scraper would refuse.
    pub fn open_metrics(text: &str) -> Result<Exposition, String> {
        let body = text.strip_suffix("# EOF\n").ok_or("it has no end")?;
        let read = parse(body.lines())?;
        read.check(|name, kind| match kind {
            "counter" if name.ends_with("_total") => Err(format!("{name}: the family's name")),
            "counter" => Ok(format!("{name}_total")),
            _ => Ok(name.to_owned()),
        })?;
        Ok(read)
    }

    /// Every sample belongs to its described family, families are in one piece, none comes twice.
    fn check(
        &self,
        sample_name: impl Fn(&str, &str) -> Result<String, String>,
    ) -> Result<(), String> {
        let mut names = BTreeMap::new();
        for (family, kind) in &self.types {
            let name = sample_name(family, kind)?;
            let suffixes: &[&str] = match kind.as_str() {
                "histogram" => &["_bucket", "_sum", "_count"],
                "counter" | "gauge" => &[""],
                other => return Err(format!("{family} has the type {other}")),
            };
            for suffix in suffixes {
                names.insert(format!("{name}{suffix}"), family.clone());
            }
        }
        let mut left = HashSet::new();
        let mut current = None;
        let mut seen = HashSet::new();
        for sample in &self.samples {
            let family = names
                .get(&sample.name)
                .ok_or_else(|| format!("{} was not described", sample.name))?;
            if current != Some(family) {
                if let Some(current) = current.replace(family) {
                    left.insert(current);
                }
                if left.contains(family) {
                    return Err(format!("{family} comes in pieces"));
                }
            }
            if !seen.insert((sample.name.clone(), sample.labels.clone())) {
                return Err(format!("{sample:?} comes twice"));
            }
        }
        self.check_histograms()
    }

    fn check_histograms(&self) -> Result<(), String> {
        for (family, _) in self.types.iter().filter(|(_, kind)| *kind == "histogram") {
            let counts = self.all(&format!("{family}_count"));
            for count in &counts {
                let mut last = 0.0;
                let mut infinite = None;
                for bucket in self.all(&format!("{family}_bucket")) {
                    let mut labels = bucket.labels.clone();
                    let Some(bound) = labels.remove("le") else {
                        return Err(format!("{bucket:?} has no bound"));
                    };
                    if labels != count.labels {
                        continue;
                    }
                    if bucket.value < last {
                        return Err(format!("{bucket:?} is below the one before"));
                    }
                    last = bucket.value;
                    infinite = (bound == "+Inf").then_some(bucket.value);
                }
                if infinite != Some(count.value) {
                    return Err(format!("{count:?}, but the last bucket has {infinite:?}"));
                }
            }
        }
        Ok(())
    }

    /// All samples of a name.
    pub fn all(&self, name: &str) -> Vec<&Sample> {
        self.samples
            .iter()
            .filter(|sample| sample.name == name)
            .collect()
    }

    /// The value of the one sample with a name and exactly these labels.
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let labels: Labels = labels
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let found = self
            .samples
            .iter()
            .find(|s| s.name == name && s.labels == labels);
        found.map(|sample| sample.value)
    }
}

fn parse<'a>(lines: impl Iterator<Item = &'a str>) -> Result<Exposition, String> {
    let mut read = Exposition::default();
    let mut helped = HashSet::new();
    for line in lines {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').ok_or("a help without a text")?;
            if help.is_empty() || !helped.insert(name.to_owned()) {
                return Err(format!("the help of {name}: {line}"));
            }
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').ok_or("a type without a name")?;
            if read.types.insert(name.into(), kind.into()).is_some() {
                return Err(format!("{name} has two types"));
            }
        } else if line.starts_with("# UNIT ") {
            continue;
        } else if line.starts_with('#') || line.is_empty() {
            return Err(format!("what is {line:?}?"));
        } else {
            read.samples.push(sample(line)?);
        }
    }
    match read.types.keys().find(|name| !helped.contains(*name)) {
        Some(name) => Err(format!("{name} has no help")),
        None => Ok(read),
    }
}

fn sample(line: &str) -> Result<Sample, String> {
    let wrong = || format!("not a sample: {line:?}");
    let end = line.find(['{', ' ']).ok_or_else(wrong)?;
    let (name, rest) = line.split_at(end);
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    if name.is_empty() || !name.chars().all(plain) || name.starts_with(|c: char| c.is_ascii_digit())
    {
        return Err(wrong());
    }
    let (labels, value) = match rest.strip_prefix('{') {
        Some(inside) => labels(inside).ok_or_else(wrong)?,
        None => (Labels::new(), rest),
    };
    let value = value.strip_prefix(' ').ok_or_else(wrong)?;
    Ok(Sample {
        name: name.into(),
        labels,
        value: value.parse().map_err(|_| wrong())?,
    })
}

/// Labels behind their `{`, and what stands behind their `}`.
fn labels(mut text: &str) -> Option<(Labels, &str)> {
    let mut labels = Labels::new();
    loop {
        if let Some(rest) = text.strip_prefix('}') {
            return Some((labels, rest));
        }
        let (name, rest) = text.split_once("=\"")?;
        let mut value = String::new();
        let mut chars = rest.char_indices();
        let end = loop {
            match chars.next()? {
                (at, '"') => break at,
                (_, '\\') => value.push(match chars.next()?.1 {
                    'n' => '\n',
                    escaped @ ('\\' | '"') => escaped,
                    _ => return None,
                }),
                (_, plain) => value.push(plain),
            }
        };
        labels.insert(name.to_owned(), value);
        text = &rest[end + 1..];
        text = text.strip_prefix(',').unwrap_or(text);
    }
}
