//! A share of calls, held as whole numbers so that a limit of 60 % is met by exactly 3 of 5.

use std::fmt;

use crate::settings_error::SettingsError;

/// A share above 0 and at most 1, kept as a reduced fraction and compared with counts in whole numbers.
///
/// ```
/// use fusebox_breaker::Ratio;
///
/// assert_eq!(Ratio::percent(50), Ratio::new(0.5)?);
/// assert_eq!(Ratio::of(2, 3)?.to_string(), "66.6667%");
/// assert!(Ratio::new(1.5).is_err());
/// # Ok::<(), fusebox_breaker::settings::SettingsError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ratio {
    numerator: u32,
    denominator: u32,
}

/// The resolution of a ratio made from a floating point number.
const PARTS: u32 = 1_000_000;

impl Ratio {
    /// The whole: every call.
    pub const ONE: Ratio = Ratio {
        numerator: 1,
        denominator: 1,
    };

    /// A ratio of whole percent, for values known when the program is written.
    ///
    /// # Panics
    /// When `percent` is not within 1 to 100. Numbers that come from outside go through [`Ratio::new`].
    pub const fn percent(percent: u8) -> Self {
        assert!(
            percent >= 1 && percent <= 100,
            "a ratio in percent lies within 1 to 100"
        );
        Self::reduced(percent as u32, 100)
    }

    /// A ratio from a number above 0 and at most 1, rounded to the nearest millionth.
    ///
    /// # Errors
    /// When the number is not within that range, or rounds to zero.
    pub fn new(share: f64) -> Result<Self, SettingsError> {
        let parts = (share * f64::from(PARTS)).round();
        if share.is_finite() && parts >= 1.0 && share <= 1.0 {
            Ok(Self::reduced(parts as u32, PARTS))
        } else {
            Err(SettingsError::new(
                "ratio",
                format!("{share} is not a share of calls"),
                "give a number above 0 and at most 1 (0.5 is 50 %)",
            ))
        }
    }

    /// The exact fraction `numerator / denominator`.
    ///
    /// # Errors
    /// When the fraction is zero, above one, or has a denominator of zero.
    pub fn of(numerator: u32, denominator: u32) -> Result<Self, SettingsError> {
        if numerator >= 1 && numerator <= denominator {
            Ok(Self::reduced(numerator, denominator))
        } else {
            Err(SettingsError::new(
                "ratio",
                format!("{numerator}/{denominator} is not a share of calls"),
                "give a fraction above 0 and at most 1",
            ))
        }
    }

    /// The ratio as a floating point number, for display.
    pub fn as_f64(self) -> f64 {
        f64::from(self.numerator) / f64::from(self.denominator)
    }

    /// The numerator and the denominator, reduced.
    #[cfg(feature = "serde")]
    pub(crate) fn parts(self) -> (u32, u32) {
        (self.numerator, self.denominator)
    }

    /// The smallest part of `whole` that meets this limit or more.
    pub(crate) fn least(self, whole: u64) -> u64 {
        // A division of 128 bits costs many times one of 64, and is hardly ever needed.
        if let Some(limit) = whole.checked_mul(self.numerator.into()) {
            return limit.div_ceil(self.denominator.into());
        }
        let limit = u128::from(whole) * u128::from(self.numerator);
        let least = limit.div_ceil(u128::from(self.denominator));
        u64::try_from(least).unwrap_or(u64::MAX)
    }

    /// True if `part` of `whole` meets this limit. Nothing of nothing meets no limit.
    pub fn is_met(self, part: u64, whole: u64, compare: Compare) -> bool {
        let part = u128::from(part) * u128::from(self.denominator);
        let limit = u128::from(whole) * u128::from(self.numerator);
        whole > 0
            && match compare {
                Compare::AtLeast => part >= limit,
                Compare::Above => part > limit,
            }
    }

    const fn reduced(numerator: u32, denominator: u32) -> Self {
        let (mut a, mut b) = (numerator, denominator);
        while b != 0 {
            (a, b) = (b, a % b);
        }
        Ratio {
            numerator: numerator / a,
            denominator: denominator / a,
        }
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", rounded(self.as_f64() * 100.0))
    }
}

/// A number with at most four decimals, without trailing zeros.
pub(crate) fn rounded(number: f64) -> f64 {
    (number * 10_000.0).round() / 10_000.0
}

/// The comparison of a rate with its limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compare {
    /// `>=`: the limit itself is enough.
    #[default]
    AtLeast,
    /// `>`: the limit itself is not enough.
    Above,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_met_at_exactly_its_share() {
        let limit = Ratio::new(0.6).unwrap();
        assert!(limit.is_met(3, 5, Compare::AtLeast));
        assert!(!limit.is_met(3, 5, Compare::Above));
        assert!(!limit.is_met(59_999, 100_000, Compare::AtLeast));
        assert!(Ratio::of(2, 3).unwrap().is_met(2, 3, Compare::AtLeast));
        assert!(limit.is_met(u64::MAX, u64::MAX, Compare::AtLeast));
    }

    #[test]
    fn nothing_of_nothing_meets_no_limit() {
        assert!(!Ratio::percent(1).is_met(0, 0, Compare::AtLeast));
    }

    #[test]
    fn numbers_that_are_no_share_are_refused_with_the_mend() {
        for share in [0.0, -0.5, 1.000_000_1, f64::NAN, f64::INFINITY, 1e-9] {
            let error = Ratio::new(share).unwrap_err();
            assert!(error.to_string().contains("above 0"), "{error}");
        }
        assert!(Ratio::of(0, 5).is_err() && Ratio::of(3, 2).is_err() && Ratio::of(1, 0).is_err());
    }
}
