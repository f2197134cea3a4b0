//! Changes to the fields of requests and answers (`request:`, `response:`).

use http::header::Entry;
use http::{HeaderMap, HeaderName, HeaderValue};

/// Fields that are set, and fields that are removed. By default none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FieldChanges {
    /// `set`: each takes the place of all fields of its name. All that is set in requests is marked as sensitive; in
    /// answers, values from variables or files and credentials are. Names are unique.
    pub set: Vec<(HeaderName, HeaderValue)>,
    /// Fields of requests that are set to `{client_subject}`, the subject of the client's certificate. Without one they
    /// are removed. None of them is in `set`.
    pub subject: Vec<HeaderName>,
    /// `remove`: the names of fields that are removed. None of them is set.
    pub remove: Vec<HeaderName>,
}

impl FieldChanges {
    /// True without any change.
    pub fn is_empty(&self) -> bool {
        self.set.is_empty() && self.subject.is_empty() && self.remove.is_empty()
    }

    /// Changes the fields of a message; `subject` is that of the client's certificate, if it has shown one.
    pub fn apply(&self, headers: &mut HeaderMap, subject: Option<&HeaderValue>) {
        let subject = subject.filter(|subject| !subject.is_empty());
        let without = subject.map_or(&self.subject[..], |_| &[]);
        for name in self.remove.iter().chain(without) {
            if let Entry::Occupied(entry) = headers.entry(name) {
                entry.remove_entry_mult();
            }
        }
        for (name, value) in &self.set {
            headers.insert(name.clone(), value.clone());
        }
        for (name, subject) in self.subject.iter().zip(subject.into_iter().cycle()) {
            headers.insert(name.clone(), subject.clone());
        }
    }
}
