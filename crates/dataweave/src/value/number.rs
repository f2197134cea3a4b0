//! Numbers: exact decimals, as Java's `BigDecimal` has them.
//!
//! Sums and products are exact. A quotient is exact where it ends within 100 digits; otherwise it is
//! rounded to 34 digits, half to even, as [`MathContext.DECIMAL128`] rounds it.
//!
//! [`MathContext.DECIMAL128`]: https://docs.oracle.com/en/java/javase/17/docs/api/java.base/java/math/MathContext.html

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::num::NonZeroU64;
use std::sync::Arc;

use bigdecimal::num_bigint::{BigInt, Sign};
use bigdecimal::{BigDecimal, RoundingMode, Signed as _, ToPrimitive as _, Zero as _};

/// Digits of a number, before or after its point, so that none grows without end.
pub(crate) const DIGITS_MAX: u64 = 1000;

/// Digits of a quotient that does not end.
const QUOTIENT_DIGITS: NonZeroU64 = NonZeroU64::new(34).expect("34 is not zero");

/// A number.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Number(Kept);

/// How a number is kept: there is one way for each.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Kept {
    /// Digits that end in no zero, and how many of them are behind the point: mostly all of it.
    Short { digits: i64, scale: i32 },
    /// Any other, without trailing zeros.
    Long(Arc<BigDecimal>),
}

/// Why there is no such number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NumberFault {
    /// It has more than [`DIGITS_MAX`] digits.
    Large,
    /// Something is divided by zero.
    Zero,
}

impl fmt::Display for NumberFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NumberFault::Large => write!(f, "the number has more than {DIGITS_MAX} digits"),
            NumberFault::Zero => f.write_str("a number cannot be divided by zero"),
        }
    }
}

type Made = Result<Number, NumberFault>;

impl Number {
    /// So many digits, of which so many are behind the point.
    fn short(mut digits: i64, mut scale: i32) -> Number {
        if digits == 0 {
            scale = 0;
        }
        while digits != 0 && digits % 10 == 0 {
            digits /= 10;
            scale -= 1;
        }
        Number(Kept::Short { digits, scale })
    }

    /// A number that has no trailing zeros.
    fn normal(number: BigDecimal) -> Number {
        let (digits, scale) = number.as_bigint_and_exponent();
        match (digits.to_i64(), i32::try_from(scale)) {
            (Some(digits), Ok(scale)) => Number::short(digits, scale),
            _ => Number(Kept::Long(Arc::new(number))),
        }
    }

    fn big(&self) -> Cow<'_, BigDecimal> {
        match &self.0 {
            Kept::Short { digits, scale } => {
                Cow::Owned(BigDecimal::new((*digits).into(), (*scale).into()))
            }
            Kept::Long(number) => Cow::Borrowed(number),
        }
    }

    /// The number of a decimal text: digits, a point among them or before or after them, a sign
    /// before, an exponent behind. None for any other text and for more than a thousand digits.
    pub fn parse(text: &str) -> Option<Number> {
        // Most are short and whole.
        if text.len() <= 18
            && text.bytes().all(|byte| byte.is_ascii_digit())
            && let Ok(digits) = text.parse()
        {
            return Some(Number::short(digits, 0));
        }
        let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
        let (digits, exponent) = match unsigned.find(['e', 'E']) {
            Some(at) => (&unsigned[..at], &unsigned[at + 1..]),
            None => (unsigned, "0"),
        };
        let exponent = exponent.strip_prefix('+').unwrap_or(exponent);
        let exponent_digits = exponent.strip_prefix('-').unwrap_or(exponent);
        let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        if (whole.is_empty() && fraction.is_empty())
            || !all_digits(whole)
            || !all_digits(fraction)
            || exponent_digits.is_empty()
            || !all_digits(exponent_digits)
            || digits.len() as u64 > 2 * DIGITS_MAX
        {
            return None;
        }
        let exponent: i64 = exponent.parse().ok()?;
        let scale = i64::try_from(fraction.len()).ok()?.checked_sub(exponent)?;
        let mut digits = BigInt::parse_bytes(format!("{whole}{fraction}").as_bytes(), 10)?;
        if text.starts_with('-') {
            digits = -digits;
        }
        Number::checked(BigDecimal::new(digits, scale)).ok()
    }

    /// The number, unless it is too large; every number is kept without trailing zeros.
    fn checked(number: BigDecimal) -> Made {
        // A scale alone can be far out, and normalising would write its zeros out.
        if number.is_zero() {
            return Ok(Number::short(0, 0));
        }
        if number.fractional_digit_count().unsigned_abs() > 2 * DIGITS_MAX {
            return Err(NumberFault::Large);
        }
        let number = number.normalized();
        let scale = number.fractional_digit_count();
        let before = i128::from(number.digits()) - i128::from(scale);
        let max = i128::from(DIGITS_MAX);
        if before > max || i128::from(scale) > max {
            return Err(NumberFault::Large);
        }
        Ok(Number::normal(number))
    }

    /// The nearest number of a float; None if it is not finite.
    pub(crate) fn from_f64(float: f64) -> Option<Number> {
        // Its shortest text, as Java reads a double into a decimal.
        float
            .is_finite()
            .then(|| Number::parse(&float.to_string()))?
    }

    /// The nearest float.
    pub(crate) fn to_f64(&self) -> f64 {
        self.big().to_f64().unwrap_or(f64::NAN)
    }

    /// The whole number that it is; None if it has a fraction or is out of range.
    pub fn to_i64(&self) -> Option<i64> {
        self.is_integer().then(|| self.big().to_i64())?
    }

    /// The whole number that it is without its fraction; None out of range.
    pub fn truncated(&self) -> Option<i128> {
        self.big().to_i128()
    }

    /// Whether it has no fraction.
    pub(crate) fn is_integer(&self) -> bool {
        match &self.0 {
            Kept::Short { scale, .. } => *scale <= 0,
            Kept::Long(number) => number.fractional_digit_count() <= 0,
        }
    }

    /// Whether it is less than zero.
    pub(crate) fn is_negative(&self) -> bool {
        self.big().is_negative()
    }

    /// Whether it is zero.
    pub fn is_zero(&self) -> bool {
        matches!(self.0, Kept::Short { digits: 0, .. })
    }

    /// How many decimal digits it has, leading and trailing zeros aside, but those before the point.
    pub(crate) fn digits(&self) -> usize {
        let text = self.to_string();
        text.bytes().filter(u8::is_ascii_digit).count()
    }

    pub(crate) fn add(&self, other: &Number) -> Made {
        Number::checked(&*self.big() + &*other.big())
    }

    pub(crate) fn subtract(&self, other: &Number) -> Made {
        Number::checked(&*self.big() - &*other.big())
    }

    pub(crate) fn multiply(&self, other: &Number) -> Made {
        Number::checked(&*self.big() * &*other.big())
    }

    pub(crate) fn divide(&self, other: &Number) -> Made {
        if other.is_zero() {
            return Err(NumberFault::Zero);
        }
        let quotient = &*self.big() / &*other.big();
        if &quotient * &*other.big() == *self.big() {
            return Number::checked(quotient);
        }
        Number::checked(quotient.with_precision_round(QUOTIENT_DIGITS, RoundingMode::HalfEven))
    }

    /// The remainder, which has the dividend's sign.
    pub(crate) fn remainder(&self, other: &Number) -> Made {
        if other.is_zero() {
            return Err(NumberFault::Zero);
        }
        Number::checked(&*self.big() % &*other.big())
    }

    /// The number raised to a power: exact for whole ones, from floats for others.
    pub(crate) fn power(&self, power: &Number) -> Made {
        let Some(whole) = power.to_i64() else {
            let float = self.to_f64().powf(power.to_f64());
            return Number::from_f64(float).ok_or(NumberFault::Large);
        };
        let (digits, scale) = self.big().as_bigint_and_exponent();
        let size = whole.unsigned_abs();
        let one = digits.magnitude() == &1_u8.into() && scale == 0;
        // Powers of 0, 1 and -1 do not grow: only whether they are odd matters.
        let power = if self.is_zero() || one {
            if size == 0 { 0 } else { 2 - size % 2 }
        } else {
            let long = self.big().digits().max(scale.unsigned_abs());
            if long.saturating_mul(size) > 2 * DIGITS_MAX {
                return Err(NumberFault::Large);
            }
            size
        };
        let power = u32::try_from(power).map_err(|_| NumberFault::Large)?;
        let scale = scale
            .checked_mul(i64::from(power))
            .ok_or(NumberFault::Large)?;
        let raised = Number::checked(BigDecimal::new(digits.pow(power), scale))?;
        if whole >= 0 {
            Ok(raised)
        } else {
            Number::from(1_i64).divide(&raised)
        }
    }

    /// The number rounded to so many digits after the point.
    pub(crate) fn rounded(&self, fraction: u16, mode: RoundingMode) -> Number {
        let rounded = self.big().with_scale_round(i64::from(fraction), mode);
        Number::normal(rounded.normalized())
    }

    /// The same number with the other sign.
    pub(crate) fn negated(&self) -> Number {
        Number::normal(-self.big().into_owned())
    }

    /// The number without its sign.
    pub(crate) fn magnitude(&self) -> Number {
        Number::normal(self.big().abs())
    }

    /// The square root; None of a negative number.
    pub(crate) fn root(&self) -> Option<Number> {
        (self.big().sign() != Sign::Minus).then(|| Number::from_f64(self.to_f64().sqrt()))?
    }

    /// Its digits with exactly so many after the point, without a sign: `12.50`.
    pub(crate) fn padded(&self, fraction: u16) -> String {
        let scaled = self
            .big()
            .abs()
            .with_scale_round(i64::from(fraction), RoundingMode::Down);
        scaled.to_plain_string()
    }
}

impl Ord for Number {
    fn cmp(&self, other: &Number) -> Ordering {
        match (&self.0, &other.0) {
            (
                Kept::Short { digits: a, scale },
                Kept::Short {
                    digits: b,
                    scale: other,
                },
            ) if scale == other => a.cmp(b),
            _ => self.big().cmp(&other.big()),
        }
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Number) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The number in plain digits, without exponent and trailing zeros.
impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.big().to_plain_string())
    }
}

impl From<i64> for Number {
    fn from(number: i64) -> Number {
        Number::normal(BigDecimal::from(number).normalized())
    }
}

impl From<i128> for Number {
    fn from(number: i128) -> Number {
        Number::normal(BigDecimal::from(number).normalized())
    }
}

impl From<usize> for Number {
    fn from(number: usize) -> Number {
        Number::normal(BigDecimal::from(number as u64).normalized())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

    use super::*;

    fn number(text: &str) -> Number {
        Number::parse(text).unwrap()
    }

    #[test]
    fn texts_are_numbers_and_numbers_are_plain_texts() {
        for (text, plain) in [
            ("0", "0"),
            ("-0.0", "0"),
            ("1.50", "1.5"),
            ("+7", "7"),
            ("1e3", "1000"),
            ("12.5E-3", "0.0125"),
            (".5", "0.5"),
            ("5.", "5"),
            (
                "123456789012345678901234567890.5",
                "123456789012345678901234567890.5",
            ),
        ] {
            assert_eq!(number(text).to_string(), plain, "{text}");
        }
        for text in [
            "",
            ".",
            "-",
            "1e",
            "e1",
            "1_0",
            "0x1",
            "NaN",
            "1 ",
            "1e1001",
            "1e-1001",
            "1e99999999999999999999",
            "--1",
        ] {
            assert_eq!(Number::parse(text), None, "{text}");
        }
    }

    #[test]
    fn quotients_are_exact_or_have_34_digits() {
        let quotient = |a: &str, b: &str| number(a).divide(&number(b)).unwrap().to_string();
        assert_eq!(quotient("1", "2"), "0.5");
        assert_eq!(quotient("10", "4"), "2.5");
        assert_eq!(quotient("1", "3"), "0.3333333333333333333333333333333333");
        assert_eq!(quotient("2", "3"), "0.6666666666666666666666666666666667");
        assert_eq!(quotient("1", "1024"), "0.0009765625");
        assert_eq!(number("1").divide(&number("0")), Err(NumberFault::Zero));
    }

    #[test]
    fn powers_are_exact_until_they_are_too_large() {
        let power = |a: &str, b: &str| number(a).power(&number(b)).map(|made| made.to_string());
        assert_eq!(power("2", "10").unwrap(), "1024");
        assert_eq!(power("2", "-1").unwrap(), "0.5");
        assert_eq!(power("1.5", "2").unwrap(), "2.25");
        assert_eq!(power("9", "0.5").unwrap(), "3");
        assert_eq!(power("-1", "1000000001").unwrap(), "-1");
        assert_eq!(power("1", "99999999999999").unwrap(), "1");
        assert_eq!(power("0", "0").unwrap(), "1");
        assert_eq!(power("10", "1000000"), Err(NumberFault::Large));
        assert_eq!(power("3", "99999"), Err(NumberFault::Large));
        assert_eq!(power("0", "-1"), Err(NumberFault::Zero));
    }
}
