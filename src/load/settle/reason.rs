//! Salesforce's own words for why a row failed.

use std::collections::HashMap;
use std::sync::Arc;

use crate::coerce::{Reason, Stage};

/// Distinct texts that are remembered: texts that hold ids or values are all distinct.
const TEXTS: usize = 1_024;

/// Longest message that is kept, in characters.
const LONGEST: usize = 4_000;

/// Bytes of the messages of a job, beyond which longer ones are cut to [`SHORT`] characters: each of
/// millions of rows may have words of its own.
const KEPT_WHOLE: usize = 4 << 20;
const SHORT: usize = 400;

/// Reasons by the text they were read from: rows that fail alike share theirs.
#[derive(Debug, Default)]
pub(crate) struct Reasons {
    known: HashMap<String, Arc<Reason>>,
    /// Bytes of all messages so far.
    bytes: usize,
}

impl Reasons {
    /// The reason that `sf__Error` gives, cut where it is long.
    pub(crate) fn of(&mut self, text: &str) -> Arc<Reason> {
        if let Some(reason) = self.known.get(text) {
            return Arc::clone(reason);
        }
        let mut reason = parse_reason(text);
        let is_whole = self.bytes + reason.message.len().min(LONGEST) <= KEPT_WHOLE;
        cut(&mut reason.message, if is_whole { LONGEST } else { SHORT });
        self.bytes += reason.message.len();
        let reason = Arc::new(reason);
        if self.known.len() < TEXTS && text.len() <= LONGEST {
            self.known.insert(text.to_owned(), Arc::clone(&reason));
        }
        reason
    }
}

/// Leaves so many characters.
fn cut(message: &mut String, most: usize) {
    if let Some((end, _)) = message.char_indices().nth(most) {
        message.truncate(end);
        message.push('…');
        message.shrink_to_fit();
    }
}

/// Reads `sf__Error`: `CODE:message:Field1, Field2 --`, its fields also separated by blanks alone, or
/// `CODE:message:--`, or several of these.
/// The code is the first cause's.
pub(super) fn parse_reason(text: &str) -> Reason {
    let mut reason = Reason {
        stage: Stage::Salesforce,
        code: Reason::UNKNOWN.into(),
        message: String::new(),
        fields: Vec::new(),
    };
    for (index, cause) in causes(text).into_iter().enumerate() {
        let (code, message, fields) = split_cause(cause);
        match (index, code) {
            (0, Some(code)) => reason.code = code.to_owned().into(),
            (0, None) => {}
            (_, code) => {
                reason.message.push_str("; ");
                reason.message.extend(code.into_iter().chain([": "]));
            }
        }
        reason.message.push_str(message);
        for field in fields {
            if !reason.fields.iter().any(|known| known == field) {
                reason.fields.push(field.to_owned());
            }
        }
    }
    if reason.message.is_empty() {
        reason.message.push_str("Salesforce gave no message");
    }
    reason
}

/// Splits after each `--` that another code follows.
fn causes(text: &str) -> Vec<&str> {
    let mut causes = Vec::new();
    let mut begin = 0;
    for (index, mark) in text.match_indices("--") {
        let next = index + mark.len();
        if next > begin && leading_code(text[next..].trim_start()).is_some() {
            causes.push(&text[begin..next]);
            begin = next;
        }
    }
    causes.push(&text[begin..]);
    causes
}

fn split_cause(cause: &str) -> (Option<&str>, &str, Vec<&str>) {
    let cause = cause.trim();
    let code = leading_code(cause);
    let rest = code.map_or(cause, |code| &cause[code.len() + 1..]);
    let Some(body) = rest.strip_suffix("--") else {
        return (code, rest, Vec::new());
    };
    let body = body.trim_end();
    match body.rsplit_once(':') {
        Some((message, "")) => (code, message, Vec::new()),
        Some((message, names)) => match fields(names) {
            Some(fields) => (code, message, fields),
            None => (code, body, Vec::new()),
        },
        None => (code, body, Vec::new()),
    }
}

/// Names of fields, separated by commas or by blanks; `None` if they are words of a message.
fn fields(names: &str) -> Option<Vec<&str>> {
    let fields: Vec<&str> = names.split(',').map(str::trim).collect();
    if fields.iter().all(|name| is_field(name)) {
        return Some(fields);
    }
    // Names have a capital or an underscore, which few words of a message have.
    let is_name =
        |name: &str| is_field(name) && name.contains(|c: char| c.is_ascii_uppercase() || c == '_');
    let fields: Vec<&str> = names.split(',').flat_map(str::split_whitespace).collect();
    (!fields.is_empty() && fields.iter().all(|name| is_name(name))).then_some(fields)
}

/// The code that a cause begins with: capitals, digits and underscores up to a colon.
fn leading_code(text: &str) -> Option<&str> {
    let (code, _) = text.split_once(':')?;
    let letters = code.len() > 2 && code.starts_with(|first: char| first.is_ascii_uppercase());
    let own = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    (letters && code.bytes().all(own)).then_some(code)
}

fn is_field(name: &str) -> bool {
    let own = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'.';
    !name.is_empty() && name.bytes().all(own)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parsed(text: &str) -> (String, String, Vec<String>) {
        let reason = parse_reason(text);
        assert_eq!(reason.stage, Stage::Salesforce);
        (reason.code.into_owned(), reason.message, reason.fields)
    }

    #[test]
    fn forms_seen_in_result_files() {
        for (text, code, message, fields) in [
            (
                "REQUIRED_FIELD_MISSING:Required fields are missing: [Name]:Name --",
                "REQUIRED_FIELD_MISSING",
                "Required fields are missing: [Name]",
                &["Name"][..],
            ),
            (
                "INVALID_CROSS_REFERENCE_KEY:invalid cross reference id:--",
                "INVALID_CROSS_REFERENCE_KEY",
                "invalid cross reference id",
                &[],
            ),
            (
                "DUPLICATE_VALUE:duplicate value found: Ext__c duplicates value on record with \
                 id: 006A:--",
                "DUPLICATE_VALUE",
                "duplicate value found: Ext__c duplicates value on record with id: 006A",
                &[],
            ),
            (
                "FIELD_INTEGRITY_EXCEPTION:a -- b: c:First__c, Last__c,Third --",
                "FIELD_INTEGRITY_EXCEPTION",
                "a -- b: c",
                &["First__c", "Last__c", "Third"],
            ),
            (
                "STRING_TOO_LONG:Title: data value too large: x:Title --\
                 INVALID_EMAIL_ADDRESS:Email: invalid email address: foo:Email --",
                "STRING_TOO_LONG",
                "Title: data value too large: x; INVALID_EMAIL_ADDRESS: Email: invalid email \
                 address: foo",
                &["Title", "Email"],
            ),
            (
                "REQUIRED_FIELD_MISSING:Required fields are missing: [LastName, Company]:LastName \
                 Company --",
                "REQUIRED_FIELD_MISSING",
                "Required fields are missing: [LastName, Company]",
                &["LastName", "Company"],
            ),
            (
                "FIELD_INTEGRITY_EXCEPTION:bad:A__c  b__c, C__c --STRING_TOO_LONG:long:Name --",
                "FIELD_INTEGRITY_EXCEPTION",
                "bad; STRING_TOO_LONG: long",
                &["A__c", "b__c", "C__c", "Name"],
            ),
            (
                "FIELD_CUSTOM_VALIDATION_EXCEPTION:Note: give a Name --",
                "FIELD_CUSTOM_VALIDATION_EXCEPTION",
                "Note: give a Name",
                &[],
            ),
            ("STRING_TOO_LONG:no end", "STRING_TOO_LONG", "no end", &[]),
            ("plain words: here", "UNKNOWN", "plain words: here", &[]),
            ("", "UNKNOWN", "Salesforce gave no message", &[]),
        ] {
            let fields: Vec<String> = fields.iter().map(|&field| field.to_owned()).collect();
            let expected = (code.to_owned(), message.to_owned(), fields);
            assert_eq!(parsed(text), expected, "{text}");
        }
    }

    #[test]
    fn rows_that_fail_alike_share_their_reason() {
        let mut reasons = Reasons::default();
        let first = reasons.of("STRING_TOO_LONG:no end");
        assert_eq!(*first, parse_reason("STRING_TOO_LONG:no end"));
        assert!(Arc::ptr_eq(&first, &reasons.of("STRING_TOO_LONG:no end")));
        for number in 0..2 * TEXTS {
            let text = format!("DUPLICATE_VALUE:on record with id {number}:--");
            assert_eq!(*reasons.of(&text), parse_reason(&text));
        }
        assert_eq!(reasons.known.len(), TEXTS, "what is remembered is bounded");
        assert!(Arc::ptr_eq(&first, &reasons.of("STRING_TOO_LONG:no end")));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(
            code in "[A-Z][A-Z_]{2,20}",
            message in "[a-z:éü ]{0,20}[a-zé]",
            fields in proptest::collection::btree_set("[A-Z][a-z_]{1,8}", 0..4),
        ) {
            let fields: Vec<String> = fields.into_iter().collect();
            let end = if fields.is_empty() { "--" } else { " --" };
            let text = format!("{code}:{message}:{}{end}", fields.join(", "));
            prop_assert_eq!(parsed(&text), (code, message, fields));
        }

        #[test]
        fn no_text_is_too_odd(text in any::<String>(), odd in "[A-Z:\\- ,é]{0,40}") {
            prop_assert!(!parse_reason(&text).message.is_empty());
            prop_assert!(!parse_reason(&odd).message.is_empty());
        }
    }

    #[test]
    fn what_is_long_is_cut_and_more_so_where_there_is_much() {
        let mut reasons = Reasons::default();
        let text = |row: usize| format!("UNABLE_TO_LOCK_ROW:{row:06}{}:--", "é".repeat(9_994));
        let first = reasons.of(&text(0));
        assert_eq!(first.message.chars().count(), LONGEST + 1);
        assert_eq!(first.code, "UNABLE_TO_LOCK_ROW");
        let (mut bytes, rows) = (0, 20_000);
        for row in 1..rows {
            bytes += reasons.of(&text(row)).message.len();
        }
        assert!(
            bytes < KEPT_WHOLE + 2 * LONGEST + rows * (2 * SHORT + 8),
            "{bytes}"
        );
        assert_eq!(reasons.of("NEW_CODE:short:--").message, "short");
    }
}
