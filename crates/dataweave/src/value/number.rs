//! Numbers: exact decimals, like Java's `BigDecimal`.
//!
//! Sums and products are exact. A quotient is exact if it ends within 100 digits; otherwise it is rounded to 34
//! digits, half to even, as [`MathContext.DECIMAL128`] rounds it.
//!
//! [`MathContext.DECIMAL128`]: https://docs.oracle.com/en/java/javase/17/docs/api/java.base/java/math/MathContext.html

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::num::NonZeroU64;
use std::sync::Arc;

use bigdecimal::num_bigint::{BigInt, Sign};
use bigdecimal::{BigDecimal, RoundingMode, Signed as _, ToPrimitive as _, Zero as _};

use crate::fault::EvalFault;

/// The limit of a number's digits before the point, and of those after it.
pub(crate) const DIGITS_MAX: u64 = 1000;

/// The digits of a quotient that does not end.
const QUOTIENT_DIGITS: NonZeroU64 = NonZeroU64::new(34).expect("34 is not zero");

/// A decimal number.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Number(Repr);

/// The representation of a number; equal numbers have equal representations.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Repr {
    /// Digits without trailing zeros, and the number of digits after the point; the usual case.
    Short { digits: i64, scale: i32 },
    /// Any other number, without trailing zeros.
    Long(Arc<BigDecimal>),
}

/// The reason why a number does not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NumberFault {
    /// The number has more than [`DIGITS_MAX`] digits.
    Large,
    /// The divisor is zero.
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

impl From<NumberFault> for EvalFault {
    fn from(fault: NumberFault) -> EvalFault {
        EvalFault::new(fault.to_string())
    }
}

/// An operation with two numbers.
pub(crate) type Operation = fn(&Number, &Number) -> Result<Number, NumberFault>;

type Made = Result<Number, NumberFault>;

impl Number {
    /// Makes a number of its digits and the number of digits after the point.
    fn short(mut digits: i64, mut scale: i32) -> Number {
        if digits == 0 {
            scale = 0;
        }
        while digits != 0 && digits % 10 == 0 {
            digits /= 10;
            scale -= 1;
        }
        Number(Repr::Short { digits, scale })
    }

    /// Makes a number of a decimal without trailing zeros.
    fn normal(number: BigDecimal) -> Number {
        let (digits, scale) = number.as_bigint_and_exponent();
        match (digits.to_i64(), i32::try_from(scale)) {
            (Some(digits), Ok(scale)) => Number::short(digits, scale),
            _ => Number(Repr::Long(Arc::new(number))),
        }
    }

    fn big(&self) -> Cow<'_, BigDecimal> {
        match &self.0 {
            Repr::Short { digits, scale } => {
                Cow::Owned(BigDecimal::new((*digits).into(), (*scale).into()))
            }
            Repr::Long(number) => Cow::Borrowed(number),
        }
    }

    /// Reads a decimal text: digits, with an optional sign in front, a point anywhere and an exponent at the end.
    /// `None` for other texts and for more than a thousand digits.
    pub fn parse(text: &str) -> Option<Number> {
        // Most numbers are short and whole.
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

    /// Removes trailing zeros and checks the limit of digits.
    fn checked(number: BigDecimal) -> Made {
        // A scale alone can be huge, and normalising would write out its zeros.
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

    /// The decimal nearest to a float; `None` if the float is not finite.
    pub(crate) fn from_f64(float: f64) -> Option<Number> {
        // The shortest text of the float, as Java converts a double to a decimal; others are no numbers.
        Number::parse(&float.to_string())
    }

    /// The float nearest to the number.
    pub(crate) fn to_f64(&self) -> f64 {
        self.big().to_f64().unwrap_or(f64::NAN)
    }

    /// The number as `i64`; `None` if it has a fraction or is out of range.
    pub fn to_i64(&self) -> Option<i64> {
        self.is_integer().then(|| self.big().to_i64())?
    }

    /// The number as `i128` without its fraction; `None` if it is out of range.
    pub fn truncated(&self) -> Option<i128> {
        self.big().to_i128()
    }

    /// True if the number has no fraction.
    pub(crate) fn is_integer(&self) -> bool {
        match &self.0 {
            Repr::Short { scale, .. } => *scale <= 0,
            Repr::Long(number) => number.fractional_digit_count() <= 0,
        }
    }

    /// True if the number is less than zero.
    pub(crate) fn is_negative(&self) -> bool {
        self.big().is_negative()
    }

    /// True for the number zero.
    pub fn is_zero(&self) -> bool {
        matches!(self.0, Repr::Short { digits: 0, .. })
    }

    /// The number of digits in plain notation, without point and sign.
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

    /// The remainder, with the sign of the dividend.
    pub(crate) fn remainder(&self, other: &Number) -> Made {
        if other.is_zero() {
            return Err(NumberFault::Zero);
        }
        Number::checked(&*self.big() % &*other.big())
    }

    /// The number raised to a power: exact for whole powers, computed with floats for others.
    pub(crate) fn power(&self, power: &Number) -> Made {
        let Some(whole) = power.to_i64() else {
            let float = self.to_f64().powf(power.to_f64());
            return Number::from_f64(float).ok_or(NumberFault::Large);
        };
        let (digits, scale) = self.big().as_bigint_and_exponent();
        let size = whole.unsigned_abs();
        let one = digits.magnitude() == &1_u8.into() && scale == 0;
        // Powers of 0, 1 and -1 do not grow; only parity matters.
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
        let scale = scale.checked_mul(i64::from(power));
        let scale = scale.ok_or(NumberFault::Large)?;
        let raised = Number::checked(BigDecimal::new(digits.pow(power), scale))?;
        if whole >= 0 {
            Ok(raised)
        } else {
            Number::from(1_i64).divide(&raised)
        }
    }

    /// The number rounded to `fraction` digits after the point.
    pub(crate) fn rounded(&self, fraction: u16, mode: RoundingMode) -> Number {
        let rounded = self.big().with_scale_round(i64::from(fraction), mode);
        Number::normal(rounded.normalized())
    }

    /// The number with the opposite sign.
    pub(crate) fn negated(&self) -> Number {
        Number::normal(-self.big().into_owned())
    }

    /// The absolute value.
    pub(crate) fn magnitude(&self) -> Number {
        Number::normal(self.big().abs())
    }

    /// The square root; `None` for negative numbers.
    pub(crate) fn root(&self) -> Option<Number> {
        (self.big().sign() != Sign::Minus).then(|| Number::from_f64(self.to_f64().sqrt()))?
    }

    /// The digits with exactly `fraction` of them after the point, without a sign: `12.50`.
    pub(crate) fn padded(&self, fraction: u16) -> String {
        let size = self.big().abs();
        let scaled = size.with_scale_round(i64::from(fraction), RoundingMode::Down);
        scaled.to_plain_string()
    }
}

impl Ord for Number {
    fn cmp(&self, other: &Number) -> Ordering {
        match (&self.0, &other.0) {
            (
                Repr::Short { digits: a, scale },
                Repr::Short {
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
            "", ".", "-", "1e", "e1", "1_0", "0x1", "NaN", "1 ", "--1", "1e1001", "1e-1001",
        ] {
            assert_eq!(Number::parse(text), None, "{text}");
        }
        assert_eq!(Number::parse("1e99999999999999999999"), None);
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
