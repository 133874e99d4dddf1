//! Decimal numbers as text: read, rounded to a scale, and echoed through a double.

/// Reads a decimal number with an optional exponent: whether it is negative, how many digits stand
/// before the point, and all significant digits.
pub(crate) fn decimal(value: &str) -> Option<(bool, usize, Vec<u8>)> {
    let (mantissa, exponent) = match value.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (value, 0),
    };
    let negative = mantissa.starts_with('-');
    let mantissa = mantissa.strip_prefix(['-', '+']).unwrap_or(mantissa);
    let (whole, part) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = [whole.as_bytes(), part.as_bytes()].concat();
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) || exponent.abs() > 400 {
        return None;
    }
    let leading = digits.iter().take_while(|&&digit| digit == b'0').count();
    let point = i64::try_from(whole.len()).ok()? + i64::from(exponent);
    let shift = point - i64::try_from(leading).ok()?;
    let mut significant = digits[leading..].to_vec();
    if significant.is_empty() {
        return Some((false, 0, Vec::new()));
    }
    if shift < 0 {
        let zeros = usize::try_from(-shift).ok()?;
        significant.splice(0..0, std::iter::repeat_n(b'0', zeros));
    }
    let whole_digits = usize::try_from(shift.max(0)).ok()?;
    while significant.len() < whole_digits {
        significant.push(b'0');
    }
    Some((negative, whole_digits, significant))
}

/// A number rounded (half up) to a scale, in plain notation without surplus zeros.
pub(crate) fn rounded(value: &str, scale: usize) -> Option<String> {
    let (negative, mut whole, mut digits) = decimal(value)?;
    let keep = whole + scale;
    if digits.len() > keep {
        let up = digits[keep] >= b'5';
        digits.truncate(keep);
        let mut at = keep;
        let mut carry = up;
        while carry && at > 0 {
            at -= 1;
            carry = digits[at] == b'9';
            digits[at] = if carry { b'0' } else { digits[at] + 1 };
        }
        if carry {
            digits.insert(0, b'1');
            whole += 1;
        }
    }
    let text = |digits: &[u8]| {
        digits
            .iter()
            .map(|&digit| char::from(digit))
            .collect::<String>()
    };
    let part = text(&digits[whole..]);
    let part = part.trim_end_matches('0');
    let mut plain = if whole == 0 {
        "0".to_owned()
    } else {
        text(&digits[..whole])
    };
    if !part.is_empty() {
        plain = format!("{plain}.{part}");
    }
    Some(if negative && plain != "0" {
        format!("-{plain}")
    } else {
        plain
    })
}

/// A number as Salesforce echoes it in results: through a Java `double`.
pub(crate) fn echoed(value: &str) -> Option<String> {
    let number = decimal(value).and_then(|_| value.parse::<f64>().ok())?;
    let size = number.abs();
    if size == 0.0 || (1e-3..1e7).contains(&size) {
        return Some(format!("{number:?}"));
    }
    let text = format!("{number:e}");
    let (mantissa, exponent) = text.split_once('e')?;
    let point = if mantissa.contains('.') { "" } else { ".0" };
    Some(format!("{mantissa}{point}E{exponent}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_rounded_and_echoed() {
        for (given, scale, expected) in [
            ("1.005", 2, "1.01"),
            ("9.999", 2, "10"),
            ("0.004", 2, "0"),
            ("-0.005", 2, "-0.01"),
            ("1.5E3", 0, "1500"),
            ("12e-3", 4, "0.012"),
            ("007.10", 4, "7.1"),
            ("0.5", 0, "1"),
        ] {
            assert_eq!(rounded(given, scale).as_deref(), Some(expected), "{given}");
        }
        for (given, expected) in [
            ("912260031", "9.12260031E8"),
            ("896852810", "8.9685281E8"),
            ("100", "100.0"),
            ("0.001", "0.001"),
            ("0.0001", "1.0E-4"),
            ("10000000", "1.0E7"),
            ("0", "0.0"),
        ] {
            assert_eq!(echoed(given).as_deref(), Some(expected));
        }
        assert_eq!(echoed("abc"), None);
    }
}
