//! Faults of settings: a single one, and all of them together.

use std::error::Error;
use std::fmt;
use std::ops::Deref;

/// A setting that cannot work: its path, the fault, and the way to mend it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingsError {
    setting: &'static str,
    what: String,
    mend: &'static str,
}

impl SettingsError {
    pub(crate) fn new(setting: &'static str, what: String, mend: &'static str) -> Self {
        SettingsError {
            setting,
            what,
            mend,
        }
    }

    /// The setting's path, such as `trip.failure_rate` or `cooldown.jitter`.
    pub fn setting(&self) -> &'static str {
        self.setting
    }

    /// The fault in words.
    pub fn what(&self) -> &str {
        &self.what
    }

    /// The way to mend it.
    pub fn mend(&self) -> &'static str {
        self.mend
    }
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.setting, self.what, self.mend)
    }
}

impl Error for SettingsError {}

/// All faults of some settings, at least one: an error of its own, which shows a fault a line.
///
/// ```
/// use fusebox_breaker::{Breaker, Settings};
///
/// fn start() -> Result<Breaker, Box<dyn std::error::Error>> {
///     Ok(Breaker::new("orders", Settings { trip: Vec::new(), ..Settings::default() })?)
/// }
///
/// assert_eq!(
///     start().unwrap_err().to_string(),
///     "trip: without a rule the breaker could never trip; give at least one, such as consecutive_failures: 5"
/// );
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingsErrors(Vec<SettingsError>);

impl SettingsErrors {
    /// The faults that were found, if there are any.
    pub(crate) fn of(found: Vec<SettingsError>) -> Result<(), SettingsErrors> {
        if found.is_empty() {
            Ok(())
        } else {
            Err(SettingsErrors(found))
        }
    }
}

impl Deref for SettingsErrors {
    type Target = [SettingsError];

    fn deref(&self) -> &[SettingsError] {
        &self.0
    }
}

impl IntoIterator for SettingsErrors {
    type Item = SettingsError;
    type IntoIter = std::vec::IntoIter<SettingsError>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a SettingsErrors {
    type Item = &'a SettingsError;
    type IntoIter = std::slice::Iter<'a, SettingsError>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

/// Lets a share that cannot be read and settings that cannot work pass the same `?`.
impl From<SettingsError> for SettingsErrors {
    fn from(error: SettingsError) -> Self {
        SettingsErrors(vec![error])
    }
}

impl fmt::Display for SettingsErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, error) in self.0.iter().enumerate() {
            if number > 0 {
                f.write_str("\n")?;
            }
            error.fmt(f)?;
        }
        Ok(())
    }
}

impl Error for SettingsErrors {}
