//! What one column is written for: the type of its field, and what settings and operation add.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use super::literal::{CLEAR, CLEARS, LiteralType, Problem, Rewrite};
use crate::object::{Field, FieldType, HeaderColumn, Operation};
use crate::options::{NullHandling, OnTooLong, Timezone, Validate, ValueOptions};
use crate::text;

/// How the texts of one column become its literals.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Target {
    pub(super) literal_type: LiteralType,
    /// Zone of dates, and of timestamps without an offset.
    zone: Timezone,
    limit: Option<Limit>,
    /// The values of a restricted picklist, in lower case.
    choices: Option<Arc<BTreeSet<String>>>,
    /// What is wrong with a row without a value, if something is.
    needed: Option<Problem>,
    /// A null that the source states clears the field.
    clears: bool,
    /// Outer blanks are taken off: the value names a record.
    trims: bool,
    /// Blanks alone are no value: the row needs one, here or in another column.
    sees_blanks: bool,
}

/// What the value of a column is to its row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// The key of the record.
    Key,
    /// All there is of the row.
    Alone,
    /// One of several.
    Other,
}

/// Whether each record needs a value in a column, by its describe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Required {
    Yes,
    No,
    /// In this column or in another.
    Either,
}

/// Most characters of a text, as Salesforce counts them, and what becomes of longer ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Limit {
    Cut(u32),
    Refuse(u32),
}

impl Target {
    /// A field of the type, by the default options.
    pub(super) fn of_type(literal_type: LiteralType) -> Self {
        Self {
            literal_type,
            zone: Timezone::default(),
            limit: None,
            choices: None,
            needed: None,
            clears: false,
            trims: false,
            sees_blanks: false,
        }
    }

    /// What the options make of a column of a job.
    pub(super) fn new(
        column: &HeaderColumn,
        part: Part,
        required: Required,
        operation: &Operation,
        options: ValueOptions,
    ) -> Self {
        let field = column.field.as_ref();
        let strict = options.validate == Validate::Strict;
        // The values of a relationship column are keys of other records, those of a record type
        // its name.
        let own = column.name == field.name && column.record_types.is_none();
        let judged = strict && own && *operation == Operation::Insert;
        let either = judged && required == Required::Either;
        let needed = match part {
            Part::Key => Some(Problem::NoKey),
            _ if judged && required == Required::Yes => Some(Problem::Required),
            Part::Alone => Some(Problem::Alone),
            Part::Other => None,
        };
        let names_record = part == Part::Key || column.lookup.is_some();
        let cut = options.on_too_long == OnTooLong::Truncate && own && part != Part::Key;
        let literal_type = LiteralType::of(&field.field_type);
        // A boolean has no null: Salesforce reads `#N/A` as no boolean.
        let kept = either || !matches!(needed, None | Some(Problem::Alone));
        let clearable = !kept && literal_type != LiteralType::Boolean;
        Self {
            literal_type,
            zone: options.timezone,
            limit: limit(field, cut, strict && own),
            choices: (strict && own).then(|| choices(field)).flatten(),
            clears: options.null_handling == NullHandling::Clear && clearable,
            needed,
            trims: names_record,
            sees_blanks: needed.is_some() || either,
        }
    }

    /// The literal of a text; `out` is empty when called and used when the text is `Written`.
    pub(super) fn literal(&self, value: &str, out: &mut String) -> Rewrite {
        let rewrite = match self.literal_type.literal(value, self.zone, out) {
            Rewrite::Same => self.judged(value, out),
            Rewrite::Written => {
                let written = std::mem::take(out);
                match self.judged(&written, out) {
                    Rewrite::Same => {
                        *out = written;
                        Rewrite::Written
                    }
                    rewrite => rewrite,
                }
            }
            rewrite => rewrite,
        };
        if rewrite == Rewrite::Null && self.clears {
            out.push_str(CLEAR);
            return Rewrite::Written;
        }
        rewrite
    }

    /// Whether [`Self::literal`] certainly leaves a text as it is if its type does.
    pub(super) fn admits(&self, value: &str) -> bool {
        let short = match self.limit {
            None => true,
            Some(Limit::Cut(most) | Limit::Refuse(most)) => value.len() <= most as usize,
        };
        let keeps_blanks = !(self.trims || self.sees_blanks);
        short && self.choices.is_none() && (keeps_blanks || text::is_bare(value))
    }

    /// Whether a null that the source states clears the field.
    pub(super) fn clears(&self) -> bool {
        self.clears
    }

    /// How values are written, beside the type.
    pub(super) fn form(&self) -> Form<'_> {
        Form(self)
    }

    /// What is wrong with a row without a value, if something is.
    pub(super) fn needed(&self) -> Option<Problem> {
        self.needed
    }

    /// What a literal of the type becomes here.
    fn judged(&self, cell: &str, out: &mut String) -> Rewrite {
        let bare = if self.trims { text::trim(cell) } else { cell };
        match bare {
            CLEAR => Rewrite::Invalid(CLEARS),
            "" => Rewrite::Null,
            blank if self.sees_blanks && text::is_blank(blank) => Rewrite::Null,
            bare => self.checked(bare, out).unwrap_or_else(|| {
                if bare.len() == cell.len() {
                    return Rewrite::Same;
                }
                out.push_str(bare);
                Rewrite::Written
            }),
        }
    }

    /// What becomes of a literal that does not stay as it is.
    fn checked(&self, cell: &str, out: &mut String) -> Option<Rewrite> {
        match self.limit {
            Some(Limit::Cut(most)) if is_longer(cell, most) => {
                out.push_str(text::beginning(text::trim(cell), most as usize));
                return Some(match out.as_str() {
                    "" => Rewrite::Null,
                    CLEAR => Rewrite::Invalid(CLEARS),
                    _ => Rewrite::Written,
                });
            }
            // Salesforce takes outer blanks off before it measures.
            Some(Limit::Refuse(most)) if is_longer(text::trim(cell), most) => {
                let wide = text::has_wide(cell);
                return Some(Rewrite::Invalid(Problem::TooLong { most, wide }));
            }
            _ => {}
        }
        let choices = self.choices.as_ref()?;
        let listed = |choice: &str| {
            let choice = text::trim(choice);
            choice.is_empty() || choices.contains(&choice.to_lowercase())
        };
        let all_listed = match self.literal_type {
            LiteralType::MultiPicklist => cell.split(';').all(listed),
            _ => listed(cell),
        };
        (!all_listed).then_some(Rewrite::Invalid(Problem::NotListed))
    }
}

fn is_longer(text: &str, most: u32) -> bool {
    text.len() > most as usize && text::length(text) > most as usize
}

fn limit(field: &Field, cut: bool, strict: bool) -> Option<Limit> {
    let texts = matches!(
        LiteralType::of(&field.field_type),
        LiteralType::Text | LiteralType::MultiPicklist
    );
    if field.length == 0 || !texts {
        return None;
    }
    if cut && may_be_cut(&field.field_type) {
        return Some(Limit::Cut(field.length));
    }
    strict.then_some(Limit::Refuse(field.length))
}

/// Whether a part of the text still means something: an address or an Id that was cut does not.
fn may_be_cut(field_type: &FieldType) -> bool {
    matches!(
        field_type,
        FieldType::String
            | FieldType::TextArea
            | FieldType::EncryptedString
            | FieldType::Combobox
            | FieldType::Phone
            | FieldType::AnyType
            | FieldType::Other(_)
    )
}

fn choices(field: &Field) -> Option<Arc<BTreeSet<String>>> {
    let values = field.picklist_values.iter();
    (field.restricted_picklist && !field.picklist_values.is_empty()).then(|| {
        Arc::new(
            values
                .map(|value| text::trim(value).to_lowercase())
                .collect(),
        )
    })
}

/// What the options add to the type, but for what an administrator may change between two attempts:
/// the choices of a picklist, and the lengths that are only judged by.
pub(super) struct Form<'a>(&'a Target);

impl fmt::Display for Form<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Target {
            literal_type,
            zone,
            limit,
            choices,
            needed,
            clears,
            trims,
            sees_blanks: _,
        } = self.0;
        if matches!(literal_type, LiteralType::Date | LiteralType::DateTime) {
            write!(f, ", in {zone}")?;
        }
        if let Some(Limit::Cut(most)) = limit {
            write!(f, ", cut to {most} characters")?;
        }
        let judged = matches!(limit, Some(Limit::Refuse(_)))
            || choices.is_some()
            || *needed == Some(Problem::Required);
        for (holds, words) in [
            (judged, ", judged"),
            (*clears, ", nulls clear it"),
            (*trims, ", trimmed"),
        ] {
            f.write_str(if holds { words } else { "" })?;
        }
        Ok(())
    }
}

/// What the type alone does not say: `, cut to 80 characters, nulls clear it`.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let zoned = matches!(self.literal_type, LiteralType::Date | LiteralType::DateTime);
        match self.zone {
            zone if !zoned || zone == Timezone::default() => {}
            Timezone::Named(zone) => write!(f, ", in {zone}")?,
            Timezone::Offset(offset) => write!(f, ", in {offset}")?,
        }
        match self.limit {
            None => {}
            Some(Limit::Cut(most)) => write!(f, ", cut to {most} characters")?,
            Some(Limit::Refuse(most)) => write!(f, ", at most {most} characters")?,
        }
        if let Some(choices) = &self.choices {
            write!(f, ", of {} choices", choices.len())?;
        }
        if self.needed.is_some() {
            f.write_str(", needed")?;
        }
        if self.clears {
            f.write_str(", nulls clear it")?;
        }
        Ok(())
    }
}
