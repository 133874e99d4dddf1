//! Canonical forms: texts that are equal where Salesforce would call two values of a field equal.
//!
//! Salesforce echoes numbers of processed rows through the field's type (`912260031` comes back as
//! `9.12260031E8`) and values that it could not read as they were sent. A text that is no literal
//! of the type is therefore its own canonical form.

use super::literal::{CLEAR, LiteralType, Rewrite, clean, is_suspicious};
use super::number;
use crate::options::Timezone;
use crate::text::{is_bare, trim};

impl LiteralType {
    /// The canonical form of a cell or of its echo; numbers are rounded to `scale` digits. A cell
    /// that clears its field may come back empty.
    pub(super) fn canonical(self, value: &str, scale: u32, out: &mut String) -> Rewrite {
        if value == CLEAR {
            return Rewrite::Null;
        }
        match self {
            Self::Int | Self::Long => number::canonical(value, 0, out),
            Self::Decimal => number::canonical(value, scale, out),
            Self::Boolean | Self::Date | Self::DateTime | Self::Time => {
                match self.literal(value, Timezone::default(), out) {
                    Rewrite::Invalid(_) => {
                        out.clear();
                        text(value, out)
                    }
                    rewrite => rewrite,
                }
            }
            Self::Text | Self::MultiPicklist | Self::Base64 => text(value, out),
        }
    }
}

/// Text without its outer blanks of ASCII, its line breaks as LF, without characters that XML cannot
/// hold.
fn text(value: &str, out: &mut String) -> Rewrite {
    if !value.bytes().any(is_suspicious) {
        return clean_text(value, out);
    }
    let mut cleaned = String::with_capacity(value.len());
    clean(value, &mut cleaned);
    out.push_str(trim(&cleaned));
    if out.is_empty() {
        Rewrite::Null
    } else {
        Rewrite::Written
    }
}

/// The canonical form of a cell of text whose characters all may stay.
pub(super) fn clean_text(value: &str, out: &mut String) -> Rewrite {
    let trimmed = if is_bare(value) { value } else { trim(value) };
    if trimmed.is_empty() || value == CLEAR {
        return Rewrite::Null;
    }
    if trimmed.len() == value.len() {
        return Rewrite::Same;
    }
    out.push_str(trimmed);
    Rewrite::Written
}
