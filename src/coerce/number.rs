//! Numbers, checked and shifted as text: neither digits nor magnitude pass through a float.

use super::literal::{Problem, Rewrite};

/// Longest number written, in characters: more digits than any double has before or after its
/// point.
const MAX_LENGTH: usize = 400;

const NOT_DECIMAL: Problem = Problem::Type("not a number (expected digits such as 1234.5)");
const NOT_INT: Problem = Problem::Type("not a whole number between -2147483648 and 2147483647");
const NOT_LONG: Problem = Problem::Type("not a whole number of 64 bits");

/// Any number -> plain decimal text, all digits kept.
pub(super) fn decimal(text: &str, out: &mut String) -> Rewrite {
    if is_plain(text) && text.len() <= MAX_LENGTH {
        return Rewrite::Same;
    }
    let text = text.trim();
    if text.is_empty() {
        return Rewrite::Null;
    }
    match Parts::parse(text) {
        Some(parts) if parts.write_plain(out) => Rewrite::Written,
        _ => Rewrite::Invalid(NOT_DECIMAL),
    }
}

/// A number with an exponent -> plain decimal text; any other text as it is.
pub(super) fn plain(text: &str, out: &mut String) -> Rewrite {
    if text.contains(['e', 'E']) && decimal(text, out) == Rewrite::Written {
        Rewrite::Written
    } else {
        Rewrite::Same
    }
}

/// A whole number as JSON writes it -> digits, as many as it has; any other number without its
/// exponent, any other text as it is.
pub(super) fn integer(text: &str, out: &mut String) -> Rewrite {
    let number = text.strip_prefix('-').unwrap_or(text);
    let is_json = number.starts_with(|first: char| first.is_ascii_digit())
        && (!number.starts_with('0') || !number[1..].starts_with(|c: char| c.is_ascii_digit()));
    if !is_json || text != "-0" && !number.contains(['.', 'e', 'E']) {
        return Rewrite::Same;
    }
    match decimal(text, out) {
        Rewrite::Same => out.push_str(text),
        Rewrite::Written => {}
        Rewrite::Null | Rewrite::Invalid(_) => return Rewrite::Same,
    }
    if let Some((whole, fraction)) = out.split_once('.')
        && fraction.bytes().all(|digit| digit == b'0')
    {
        out.truncate(whole.len());
    }
    if out == "-0" {
        out.remove(0);
    }
    Rewrite::Written
}

/// A whole number of 32 bits -> digits.
pub(super) fn int(text: &str, out: &mut String) -> Rewrite {
    whole(text, out, NOT_INT, |digits| digits.parse::<i32>().is_ok())
}

/// A whole number of 64 bits -> digits.
pub(super) fn long(text: &str, out: &mut String) -> Rewrite {
    whole(text, out, NOT_LONG, |digits| digits.parse::<i64>().is_ok())
}

/// A number equal to 1 or to 0.
pub(super) fn bit(text: &str) -> Option<bool> {
    let mut digits = String::new();
    match whole(text, &mut digits, NOT_INT, |digits| {
        matches!(digits, "0" | "-0" | "1")
    }) {
        Rewrite::Same => Some(text == "1"),
        Rewrite::Written => Some(digits == "1"),
        Rewrite::Null | Rewrite::Invalid(_) => None,
    }
}

fn whole(
    text: &str,
    out: &mut String,
    problem: Problem,
    in_range: impl Fn(&str) -> bool,
) -> Rewrite {
    match decimal(text, out) {
        Rewrite::Same => out.push_str(text),
        Rewrite::Written => {}
        Rewrite::Null => return Rewrite::Null,
        Rewrite::Invalid(_) => return Rewrite::Invalid(problem),
    }
    if let Some((whole, fraction)) = out.split_once('.') {
        if fraction.bytes().any(|digit| digit != b'0') {
            return Rewrite::Invalid(problem);
        }
        out.truncate(whole.len());
    }
    if !in_range(out) {
        Rewrite::Invalid(problem)
    } else if out.as_str() == text {
        Rewrite::Same
    } else {
        Rewrite::Written
    }
}

/// Whether the text is `-`, digits without leading zeros, and a fraction, the outer two optional.
fn is_plain(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text).as_bytes();
    let whole = digits.iter().take_while(|b| b.is_ascii_digit()).count();
    let fraction_ok = match digits.get(whole..) {
        None | Some([]) => true,
        Some([b'.', fraction @ ..]) => {
            !fraction.is_empty() && fraction.iter().all(u8::is_ascii_digit)
        }
        Some(_) => false,
    };
    whole > 0 && fraction_ok && (whole == 1 || digits.first() != Some(&b'0'))
}

/// A number as written: sign, digits before and after the point, exponent.
struct Parts<'a> {
    negative: bool,
    whole: &'a str,
    fraction: &'a str,
    exponent: i64,
}

impl<'a> Parts<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let (negative, unsigned) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, parse_exponent(exponent)?),
            None => (unsigned, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all_digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
        let some_digit = !(whole.is_empty() && fraction.is_empty());
        (some_digit && all_digits(whole) && all_digits(fraction)).then_some(Self {
            negative,
            whole,
            fraction,
            exponent,
        })
    }

    /// Writes the number without exponent; false if it would be longer than [`MAX_LENGTH`].
    fn write_plain(&self, out: &mut String) -> bool {
        let digits = || self.whole.bytes().chain(self.fraction.bytes());
        let length = self.whole.len() + self.fraction.len();
        let zeros = digits().take_while(|digit| *digit == b'0').count();
        if zeros == length {
            out.push('0');
            return true;
        }
        let significant = (length - zeros) as i64;
        let whole_length = self.whole.len() as i64 - zeros as i64;
        let point = whole_length.saturating_add(self.exponent);
        let most = MAX_LENGTH as i64 - 3;
        if significant > most || point > most || significant.saturating_sub(point) > most {
            return false;
        }
        if self.negative {
            out.push('-');
        }
        if point <= 0 {
            out.push_str("0.");
            out.extend((point..0).map(|_| '0'));
        }
        for (index, digit) in digits().skip(zeros).enumerate() {
            if index > 0 && index as i64 == point {
                out.push('.');
            }
            out.push(char::from(digit));
        }
        out.extend((significant..point).map(|_| '0'));
        true
    }
}

/// Digits with an optional sign, as far from zero as an `i64` at most.
fn parse_exponent(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let magnitude = digits.parse().unwrap_or(i64::from(i32::MAX));
    Some(if text.starts_with('-') {
        -magnitude
    } else {
        magnitude
    })
}

/// The nearest double, rounded half away from zero to `scale` digits after the point, in a form
/// that is the same for equal values. What is no number comes back trimmed.
pub(super) fn canonical(text: &str, scale: u32, out: &mut String) -> Rewrite {
    let trimmed = text.trim();
    if trimmed.is_empty() {
        return Rewrite::Null;
    }
    let value = Parts::parse(trimmed).and_then(|_| trimmed.parse::<f64>().ok());
    match value.filter(|value| value.is_finite()) {
        Some(value) => round(&value.to_string(), scale as usize, out),
        None => out.push_str(trimmed),
    }
    Rewrite::Written
}

/// Rounds a plain decimal text and drops what adds nothing to its value.
fn round(plain: &str, scale: usize, out: &mut String) {
    let (negative, digits) = match plain.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, plain),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let kept = fraction.get(..scale).unwrap_or(fraction);
    let mut rounded = format!("0{whole}{kept}").into_bytes();
    if fraction
        .as_bytes()
        .get(scale)
        .is_some_and(|next| *next >= b'5')
    {
        for digit in rounded.iter_mut().rev() {
            if *digit != b'9' {
                *digit += 1;
                break;
            }
            *digit = b'0';
        }
    }
    let rounded: String = rounded.into_iter().map(char::from).collect();
    let (whole, fraction) = rounded.split_at(rounded.len() - kept.len());
    let (whole, fraction) = (
        whole.trim_start_matches('0'),
        fraction.trim_end_matches('0'),
    );
    if negative && !(whole.is_empty() && fraction.is_empty()) {
        out.push('-');
    }
    out.push_str(if whole.is_empty() { "0" } else { whole });
    if !fraction.is_empty() {
        out.push('.');
        out.push_str(fraction);
    }
}
