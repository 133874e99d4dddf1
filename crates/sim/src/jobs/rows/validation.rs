//! The validation rules of an object, which refuse records for what they would hold.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::csv::File;
use crate::org::records::Record;
use crate::org::table::{Stored, Upload};
use crate::org::{Kind, Object};
use crate::soql::Condition;

/// The rules of an object, in the order of its description.
#[derive(Debug, Default)]
pub(crate) struct Validation(Vec<Rule>);

#[derive(Debug)]
struct Rule {
    condition: Condition,
    /// The text for `sf__Error`.
    error: String,
}

impl Validation {
    /// Reads the active rules of an object.
    ///
    /// # Errors
    /// What is wrong with which rule.
    pub(crate) fn new(object: &Object) -> Result<Validation, String> {
        let rules = object.rules.iter().filter(|rule| rule.active);
        let rules = rules.map(|rule| {
            let wrong = |what: &str| {
                let name = &object.name;
                format!("object {name}: validation rule {}: {what}", rule.name)
            };
            let condition = Condition::read(&rule.condition, object);
            let condition = condition.map_err(|error| wrong(error.message()))?;
            let place = match &rule.field {
                None => "--".to_owned(),
                Some(field) => {
                    let found = object.field(field);
                    let found =
                        found.ok_or_else(|| wrong(&format!("there is no field {field}")))?;
                    format!("{} --", object.fields[found].name)
                }
            };
            let message = &rule.message;
            Ok(Rule {
                condition,
                error: format!("FIELD_CUSTOM_VALIDATION_EXCEPTION:{message}:{place}"),
            })
        });
        rules.collect::<Result<_, _>>().map(Validation)
    }

    /// Refuses a row of an upload if the record would break a rule; `before` has what the record
    /// holds already.
    ///
    /// # Errors
    /// The text for `sf__Error`.
    pub(super) fn check(
        &self,
        object: &Object,
        upload: &Upload,
        row: usize,
        before: impl FnOnce() -> BTreeMap<usize, Stored>,
    ) -> Result<(), String> {
        if self.0.is_empty() {
            return Ok(());
        }
        let record = record(object, upload, row, before());
        let broken = self.0.iter();
        let broken = broken.filter(|rule| rule.condition.holds(object, &record));
        broken
            .map(|rule| Err(rule.error.clone()))
            .next()
            .unwrap_or(Ok(()))
    }
}

/// What a record holds after a row. A lookup by another field is shown by the value of that field.
fn record(object: &Object, upload: &Upload, row: usize, before: BTreeMap<usize, Stored>) -> Record {
    let mut stored = before;
    let mut values: Vec<Cow<'_, str>> = Vec::new();
    let file: &File = &upload.file;
    file.split(row, &mut values);
    for (column, value) in upload.columns.iter().zip(&values) {
        if !value.is_empty() {
            stored.insert(column.field(), Stored::of(object, column, value));
        }
    }
    let fields = object.fields.iter().enumerate();
    let values = fields.map(|(index, field)| match stored.remove(&index) {
        Some(Stored::Text(text) | Stored::Lookup { text, .. }) => Some(text),
        _ if field.kind == Kind::Boolean => Some("false".to_owned()),
        _ => None,
    });
    values.collect()
}
