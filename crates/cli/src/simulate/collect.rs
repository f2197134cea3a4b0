//! Reads logs line by line, and sorts their calls to the breakers of a configuration.
//!
//! Each call takes 32 bytes of memory; nothing else of a line is kept.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use fusebox_breaker::registry::KeyParts;
use fusebox_plan::Plan;
use fusebox_plan::plan::KeyPart;
use fusebox_sim::rerun::{self, Call, Extent, Fact};
use fusebox_sim::trace::{
    Attempt, End, Format, LINE_BYTES_MAX, Line, Reader, Unreadable, attempts,
};

use crate::args::simulate::SimulateArgs;
use crate::files::sha256;
use crate::simulate::judge::{Facts, Judge};
use crate::simulate::routes::{Routes, Taken, path_of};
use crate::simulate::subjects::Subject;

/// The unreadable lines that are named.
const NAMED: usize = 5;

/// The longest key in bytes; a longer one is its SHA-256, as in the gateway.
const KEY_BYTES_MAX: usize = 128;

/// The calls of one breaker, sorted by their starts.
pub struct Recorded {
    /// The number of its subject.
    pub subject: usize,
    /// The breaker's full name.
    pub name: String,
    pub calls: Vec<Call>,
}

/// The calls of all logs by their breaker, and the lines that are no calls.
#[derive(Default)]
pub struct Collected {
    /// By subject, then by name.
    pub breakers: Vec<Recorded>,
    /// Lines that are not blank, and not the names above CSV.
    pub lines: u64,
    pub unreadable: u64,
    /// The first unreadable lines: file, number and reason.
    pub named: Vec<(String, u64, Unreadable)>,
    /// Lines that no route with a breaker takes, or that name no upstream.
    pub unrouted: u64,
    /// Lines of upstreams that have no breaker here, by name.
    pub foreign: BTreeMap<String, u64>,
    /// Lines that were answered without asking an upstream.
    pub local: u64,
    /// Calls without any duration.
    pub untimed: u64,
    /// Calls whose expressions failed to evaluate.
    pub judge_errors: u64,
    /// The form of each log.
    pub formats: Vec<Format>,
    /// The first start and the last end of all readable lines, in nanoseconds.
    pub first: i64,
    pub last: i64,
    names: HashMap<String, usize>,
}

impl Collected {
    /// Reads all logs.
    ///
    /// # Errors
    /// A log that cannot be read, one without a readable line, or logs without a call of any breaker.
    pub fn read(
        args: &SimulateArgs,
        plan: &Plan,
        subjects: &[Subject],
        chosen: Option<usize>,
    ) -> anyhow::Result<Collected> {
        let mut by_name = HashMap::new();
        for (number, subject) in subjects.iter().enumerate() {
            for name in subject.aliases.iter().chain([&subject.name]) {
                by_name.insert(&**name, number);
            }
        }
        let routes = Routes::of(plan);
        let mut sorter = Sorter {
            subjects,
            by_name,
            has_routes: routes.forward(),
            routes,
            plan,
            // The breaker of lines that name none, and that no route could tell.
            fallback: chosen.or((subjects.len() == 1).then_some(0)),
            judges: subjects.iter().map(|it| Judge::new(&it.breaker)).collect(),
            own: vec![None; subjects.len()],
            collected: Collected {
                first: i64::MAX,
                last: i64::MIN,
                ..Collected::default()
            },
        };
        for path in &args.trace {
            sorter.file(args, path)?;
        }
        let errors = sorter.judges.iter().map(|judge| judge.errors).sum();
        let mut collected = sorter.collected;
        collected.judge_errors = errors;
        if collected.breakers.is_empty() {
            bail!(nothing(&collected, args, subjects));
        }
        let by_order = |it: &Recorded| (it.subject, it.name.clone());
        collected.breakers.sort_by_cached_key(by_order);
        collected
            .breakers
            .iter_mut()
            .for_each(|it| rerun::sort(&mut it.calls));
        Ok(collected)
    }

    /// Keeps the breakers of a name: one by its full name, or all keys of an upstream.
    ///
    /// # Errors
    /// The log has no call of it.
    pub fn keep(&mut self, name: &str, subjects: &[Subject]) -> anyhow::Result<()> {
        let is = |it: &Recorded| it.name == name || &*subjects[it.subject].name == name;
        if !self.breakers.iter().any(is) {
            let names: Vec<_> = self.breakers.iter().take(10).map(|it| &*it.name).collect();
            bail!(
                "the log has no call of `{name}`; it has calls of {}",
                names.join(", ")
            );
        }
        self.breakers.retain(is);
        Ok(())
    }

    /// The extent of a breaker's replay: the same zero for all, and a seed of its own.
    pub fn extent(&self, seed: u64, name: &str) -> Extent {
        Extent {
            origin: self.first,
            // FNV-1a, so that breakers do not draw alike.
            seed: name
                .bytes()
                .fold(seed ^ 0xcbf2_9ce4_8422_2325, |hash, byte| {
                    (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
                }),
            timeline: None,
        }
    }

    /// Nanoseconds from the first start to the last end.
    pub fn span(&self) -> u64 {
        u64::try_from(self.last.saturating_sub(self.first)).unwrap_or(0)
    }
}

/// The error of logs whose lines are all about something else.
fn nothing(collected: &Collected, args: &SimulateArgs, subjects: &[Subject]) -> String {
    let names: Vec<_> = subjects.iter().map(|it| &*it.name).collect();
    let mut why = format!(
        "none of the {} lines is about a breaker of {} ({})",
        collected.lines,
        crate::files::names(&args.config),
        names.join(", ")
    );
    if !collected.foreign.is_empty() {
        let named: Vec<_> = collected
            .foreign
            .keys()
            .take(5)
            .map(String::as_str)
            .collect();
        why += &format!("; the log names the upstreams {}", named.join(", "));
    }
    if collected.unrouted > 0 {
        why += &format!(
            "; {} lines take no route with a breaker",
            collected.unrouted
        );
    }
    if collected.local > 0 {
        why += &format!("; {} were answered without an upstream", collected.local);
    }
    why + "; name the field of the upstream with --map upstream=.NAME, or the one breaker with --breaker"
}

/// Sorts lines to breakers.
struct Sorter<'p> {
    subjects: &'p [Subject],
    by_name: HashMap<&'p str, usize>,
    routes: Routes<'p>,
    has_routes: bool,
    plan: &'p Plan,
    fallback: Option<usize>,
    judges: Vec<Judge<'p>>,
    /// The place in `collected.breakers` of subjects with one breaker for all calls.
    own: Vec<Option<usize>>,
    collected: Collected,
}

impl<'p> Sorter<'p> {
    fn file(&mut self, args: &SimulateArgs, path: &Path) -> anyhow::Result<()> {
        let cannot = || format!("cannot read {}", path.display());
        let source: Box<dyn Read> = match path == Path::new("-") {
            true => Box::new(io::stdin().lock()),
            false => Box::new(File::open(path).with_context(cannot)?),
        };
        let mut source = BufReader::with_capacity(1 << 18, source);
        if source
            .fill_buf()
            .with_context(cannot)?
            .starts_with(&[0x1f, 0x8b])
        {
            bail!(
                "{} is compressed; run `zcat {0} | fusebox simulate … --trace -`",
                path.display()
            );
        }
        let before = self.collected.lines - self.collected.unreadable;
        let first_unreadable = self.collected.named.len();
        let (mut buffer, mut number) = (Vec::new(), 0_u64);
        let mut reader: Option<Reader> = None;
        while next_line(&mut source, &mut buffer).with_context(cannot)? {
            number += 1;
            if buffer.trim_ascii().is_empty() {
                continue;
            }
            let reader = match &mut reader {
                Some(reader) => reader,
                none => {
                    let format = self.format(args, path, &buffer)?;
                    self.collected.formats.push(format);
                    let map = args.map.clone().unwrap_or_default();
                    none.insert(Reader::new(format, map, args.at_end))
                }
            };
            let mut counted = true;
            match reader.read(&buffer) {
                Ok(Some(line)) => {
                    if let Err(why) = self.line(&line) {
                        self.collected.bad(path, number, why);
                    }
                }
                Ok(None) => {
                    counted = false;
                    if let Some(lacks) = reader.lacks() {
                        bail!(
                            "{}:{number}: none of the names in the first line stands for `{lacks}`; name its column with \
                             --map {lacks}=NAME",
                            path.display()
                        );
                    }
                }
                Err(why) => self.collected.bad(path, number, why),
            }
            self.collected.lines += u64::from(counted);
        }
        if self.collected.lines - self.collected.unreadable == before {
            bail!(self.unread(path, first_unreadable));
        }
        Ok(())
    }

    fn format(&self, args: &SimulateArgs, path: &Path, line: &[u8]) -> anyhow::Result<Format> {
        if let Some(format) = args.format {
            return Ok(format.into());
        }
        match Format::detect(line) {
            Some(Format::Csv) => Ok(Format::Csv),
            // With a map it is the map that says what the names mean.
            Some(_) if args.map.is_some() && line.trim_ascii().starts_with(b"{") => {
                Ok(Format::Ndjson)
            }
            Some(format) => Ok(format),
            None => bail!(
                "{}: the first line is of no form that is known; expected the access log of Fusebox, nginx or Envoy, CSV \
                 with names in its first line, or JSON lines with --map; say which with --format",
                path.display()
            ),
        }
    }

    /// The error of a log without a readable line.
    fn unread(&self, path: &Path, first: usize) -> String {
        let path = path.display();
        match self.collected.named.get(first) {
            None => format!("{path} has no lines"),
            Some((_, number, why)) => {
                let form = self
                    .collected
                    .formats
                    .last()
                    .map_or("", |format| format.as_str());
                format!(
                    "{path}: no line can be read as {form}; line {number}: {why}; name the form with --format, or the fields \
                     with --map at=.time,ms=.rt,status=.status,upstream=.svc"
                )
            }
        }
    }

    /// Takes in a line.
    fn line(&mut self, line: &Line<'_>) -> Result<(), Unreadable> {
        let lasted = line.lasted.or(line.took).unwrap_or(0);
        let collected = &mut self.collected;
        collected.first = collected.first.min(line.at);
        let end = line
            .at
            .saturating_add(i64::try_from(lasted).unwrap_or(i64::MAX));
        collected.last = collected.last.max(end);
        if let Some(raw) = line.attempts {
            return self.own_line(line, raw);
        }
        if line.end == Some(End::Local) {
            self.collected.local += 1;
            return Ok(());
        }
        let path = path_of(line);
        let taken = self.taken(line, path.as_deref());
        if let Some(subject) = self.subject(line, taken.as_ref()) {
            let facts = Facts {
                status: line.status,
                error: line.error.as_deref(),
                took: line.took.or(line.lasted),
                grpc_status: line.grpc_status,
                client_subject: line.client_subject.as_deref().unwrap_or_default(),
            };
            let (fact, code) = match line.end {
                Some(End::Refused) => (Fact::Unknown, 0),
                Some(End::Left) => (Fact::Left, 0),
                Some(End::Ignored) => (Fact::Ignored, 0),
                Some(End::Success) => (Fact::Success, 0),
                Some(End::Failure) => (
                    Fact::Failure,
                    line.status.filter(|it| *it >= 100).unwrap_or(0),
                ),
                Some(End::Local) | None => self.judges[subject].judge(facts),
            };
            self.collected.untimed += u64::from(facts.took.is_none());
            let call = Call {
                start: line.at,
                lasted,
                took: facts.took.unwrap_or(Call::UNTIMED),
                fact,
                code,
            };
            let endpoint = line.endpoint.as_deref();
            self.push(subject, call, line, endpoint, taken.as_ref());
        }
        Ok(())
    }

    /// Takes in a line of our own log: a call for each upstream that it asked, by the last attempt of each; for an
    /// endpoint's breaker every attempt.
    fn own_line(&mut self, line: &Line<'_>, raw: &[u8]) -> Result<(), Unreadable> {
        let mut list = Vec::new();
        attempts(raw, &mut list)?;
        let path = path_of(line);
        let taken = self.taken(line, path.as_deref());
        let whole = line.lasted.unwrap_or(0);
        let first = line.upstream.as_deref();
        if line.end == Some(End::Refused) {
            if let Some(subject) = self.subject(line, taken.as_ref())
                && !self.subjects[subject].by_attempt()
            {
                let call = Call {
                    start: line.at,
                    lasted: 0,
                    took: Call::UNTIMED,
                    fact: Fact::Unknown,
                    code: 0,
                };
                self.push(subject, call, line, None, taken.as_ref());
            }
        } else if first.is_none() || (list.is_empty() && line.end == Some(End::Local)) {
            self.collected.local += 1;
        }
        // Attempts follow one another; the waits between them are not in the log.
        let mut since = 0_u64;
        let mut at = 0;
        while at < list.len() {
            let upstream = list[at].upstream.as_deref().or(first);
            let same = |attempt: &&Attempt<'_>| attempt.upstream.as_deref().or(first) == upstream;
            let count = list[at..].iter().take_while(same).count();
            let group = &list[at..at + count];
            at += count;
            let is_last = at == list.len();
            let begun = since;
            since += group.iter().map(|attempt| attempt.took).sum::<u64>();
            let Some(subject) = self.of_upstream(upstream) else {
                continue;
            };
            if self.subjects[subject].by_attempt() {
                let mut start = begun;
                for attempt in group {
                    let call = self.of_attempt(subject, line, attempt, start, attempt.took);
                    start += attempt.took;
                    let endpoint = (!attempt.endpoint.is_empty()).then_some(&*attempt.endpoint);
                    self.push(subject, call, line, endpoint, taken.as_ref());
                }
            } else if let Some(attempt) = group.last() {
                let ends = if is_last { whole.max(since) } else { since };
                let call = self.of_attempt(subject, line, attempt, begun, ends - begun);
                self.push(subject, call, line, None, taken.as_ref());
            }
        }
        Ok(())
    }

    fn of_attempt(
        &mut self,
        subject: usize,
        line: &Line<'_>,
        attempt: &Attempt<'_>,
        begun: u64,
        lasted: u64,
    ) -> Call {
        let error = attempt.error.as_deref();
        let left = line.end == Some(End::Left) && attempt.ignored;
        let (fact, code) = match error {
            _ if left => (Fact::Left, 0),
            // Neither is the upstream's fault by itself; the live breaker knew.
            Some("client") => (Fact::Ignored, 0),
            Some("limit") if !attempt.failed => (Fact::Ignored, 0),
            None if attempt.status.is_none() && attempt.ignored => (Fact::Ignored, 0),
            _ => self.judges[subject].judge(Facts {
                status: attempt.status,
                error,
                took: Some(attempt.took),
                grpc_status: line.grpc_status,
                client_subject: line.client_subject.as_deref().unwrap_or_default(),
            }),
        };
        // A good body that has flowed for `settle` is a success by then, and a tunnel at its begin.
        let settle =
            u64::try_from(self.subjects[subject].breaker.settle.as_nanos()).unwrap_or(u64::MAX);
        let lasted = match fact {
            Fact::Success if line.is_tunnel => attempt.took.min(lasted),
            Fact::Success => lasted
                .min(attempt.took.saturating_add(settle))
                .max(attempt.took.min(lasted)),
            _ => lasted,
        };
        Call {
            start: line
                .at
                .saturating_add(i64::try_from(begun).unwrap_or(i64::MAX)),
            lasted,
            took: attempt.took,
            fact,
            code,
        }
    }

    /// The route of a line, as far as one is needed.
    fn taken<'l>(&self, line: &Line<'_>, path: Option<&'l str>) -> Option<Taken<'p, 'l>> {
        let by_path = || self.subjects.iter().any(uses_route);
        if line.upstream.is_some() && !by_path() {
            return None;
        }
        let named = line
            .route
            .as_deref()
            .and_then(|name| self.routes.named(name, path.unwrap_or("/")));
        named.or_else(|| self.routes.find(line, path?))
    }

    /// The subject of a line; one that has none is counted.
    fn subject(&mut self, line: &Line<'_>, taken: Option<&Taken<'_, '_>>) -> Option<usize> {
        if let Some(name) = line.upstream.as_deref() {
            return self.of_upstream(Some(name));
        }
        let knows_route = line.path.is_some() || line.route.is_some();
        if self.has_routes && knows_route {
            return match taken.and_then(Taken::upstream) {
                Some(name) => self.of_upstream(Some(name)),
                None => self.of_upstream(None),
            };
        }
        match self.fallback {
            Some(subject) => Some(subject),
            None => self.of_upstream(None),
        }
    }

    fn of_upstream(&mut self, name: Option<&str>) -> Option<usize> {
        let Some(name) = name else {
            self.collected.unrouted += 1;
            return None;
        };
        let found = self.by_name.get(name).copied();
        if found.is_none() {
            let foreign = &mut self.collected.foreign;
            // Names are few; of a log with many the first are named.
            let is_full = foreign.len() >= 100;
            match foreign.get_mut(name) {
                Some(count) => *count += 1,
                None if is_full => self.collected.unrouted += 1,
                None => {
                    foreign.insert(name.to_owned(), 1);
                }
            }
        }
        found
    }

    fn push(
        &mut self,
        subject: usize,
        call: Call,
        line: &Line<'_>,
        endpoint: Option<&str>,
        taken: Option<&Taken<'_, '_>>,
    ) {
        let breaker = &self.subjects[subject].breaker;
        let place = match breaker.key.is_upstream() {
            true => self.own[subject],
            false => None,
        };
        let place = match place {
            Some(place) => place,
            None => {
                let name = self.name(subject, line, endpoint, taken);
                let breakers = &mut self.collected.breakers;
                match self.collected.names.get(&name) {
                    Some(place) => *place,
                    None => {
                        breakers.push(Recorded {
                            subject,
                            name: name.clone(),
                            calls: Vec::new(),
                        });
                        self.collected.names.insert(name, breakers.len() - 1);
                        breakers.len() - 1
                    }
                }
            }
        };
        self.own[subject] = Some(place);
        self.collected.breakers[place].calls.push(call);
    }

    /// The full name of the breaker of a call, as the gateway makes it.
    fn name(
        &self,
        subject: usize,
        line: &Line<'_>,
        endpoint: Option<&str>,
        taken: Option<&Taken<'_, '_>>,
    ) -> String {
        let Subject { name, breaker, .. } = &self.subjects[subject];
        if breaker.key.is_upstream() {
            return name.to_string();
        }
        // An upstream with one endpoint has it whatever the log says.
        let only = || {
            let upstream = self.plan.upstreams.iter().find(|it| it.name == *name)?;
            (upstream.endpoints.len() == 1).then(|| &*upstream.endpoint().authority)
        };
        let mut key = KeyParts::default();
        for part in &breaker.key.0 {
            let text = match part {
                KeyPart::Upstream => Some(&**name),
                KeyPart::Endpoint => endpoint.or_else(only),
                KeyPart::Route => line
                    .route
                    .as_deref()
                    .or(taken.map(|taken| &*taken.route.name)),
                KeyPart::Method => line.method.as_deref(),
                KeyPart::Header(header) => {
                    let found = line
                        .headers
                        .iter()
                        .find(|(name, _)| *name == header.as_str());
                    found.map(|(_, value)| &**value)
                }
                KeyPart::Path(param) => {
                    let params = taken.map(|taken| &taken.params[..]).unwrap_or_default();
                    params
                        .iter()
                        .find(|(name, _)| name == param)
                        .map(|(_, value)| *value)
                }
            };
            key.push(text.map(str::as_bytes));
        }
        let key = key.into_key();
        match key.len() > KEY_BYTES_MAX {
            true => format!("{name}/{}", sha256(key.as_bytes())),
            false => format!("{name}/{key}"),
        }
    }
}

/// True if a key needs the route that a path takes.
fn uses_route(subject: &Subject) -> bool {
    let needs = |part: &KeyPart| matches!(part, KeyPart::Route | KeyPart::Path(_));
    subject.breaker.key.0.iter().any(needs)
}

impl Collected {
    fn bad(&mut self, path: &Path, line: u64, why: Unreadable) {
        self.unreadable += 1;
        if self.named.len() < NAMED {
            self.named
                .push((PathBuf::from(path).display().to_string(), line, why));
        }
    }
}

/// Reads a line without its end into a buffer; false at the end of the source. Of a line that is too long only the
/// beginning is kept, which no reader takes.
fn next_line(source: &mut impl BufRead, buffer: &mut Vec<u8>) -> io::Result<bool> {
    const MOST: u64 = LINE_BYTES_MAX as u64 + 2;
    buffer.clear();
    source.by_ref().take(MOST).read_until(b'\n', buffer)?;
    if buffer.is_empty() {
        return Ok(false);
    }
    if buffer.last() != Some(&b'\n') && buffer.len() as u64 == MOST {
        let mut rest = Vec::new();
        loop {
            rest.clear();
            source.by_ref().take(MOST).read_until(b'\n', &mut rest)?;
            if rest.is_empty() || rest.last() == Some(&b'\n') {
                break;
            }
        }
    }
    Ok(true)
}
