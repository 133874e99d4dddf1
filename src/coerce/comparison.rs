//! What rows say of their records, and what an org says of the same records, in forms that are equal
//! where Salesforce holds the values equal.
//!
//! ```text
//! source rows ──► sent: literals, null where the field was left alone ──┐
//! rows of a query, as texts ────────────────────────────────────────────┴─► canonical: compared
//! ```
//!
//! The forms go beyond those of the join back, since a record is more than the echo of a row: its
//! Ids have 18 characters, its choices the order of their picklist, its moments whole seconds.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, RecordBatchOptions, StringBuilder};
use arrow::datatypes::{Field as ArrowField, Schema, SchemaRef};

use super::apply::evaluation;
use super::function::append;
use super::{CoerceError, Coercion, text_field};
use crate::error::Result;
use crate::object::{
    Field, FieldType, HeaderColumn, ObjectSchema, Operation, RecordId, RelatedObjects,
};
use crate::options::ValueOptions;
use crate::text::trim;

/// Fields of the records of any object that a query reads through a lookup to several objects.
const FIELDS_OF_ANY: [&str; 9] = [
    "Alias",
    "Email",
    "FirstName",
    "Id",
    "LastName",
    "Name",
    "Phone",
    "Title",
    "Username",
];

/// How records are compared with the rows that a load has sent.
#[derive(Debug)]
pub struct Comparison {
    coercion: Coercion,
    fields: Vec<ComparedField>,
    left_out: Vec<LeftOut>,
    schema: SchemaRef,
}

/// A field that is compared.
#[derive(Debug, Clone)]
pub struct ComparedField {
    /// Name of its column in jobs: `LastName`, `Account.Ext__c`, `User:Owner.Email`.
    pub name: String,
    /// What a query reads it by: `LastName`, `Account.Ext__c`, `Owner.Email`.
    pub path: String,
    /// The field of the object that holds it: `LastName`, `AccountId`, `OwnerId`.
    pub fills: Arc<Field>,
    /// Among the columns of jobs.
    column: usize,
    alike: Alike,
}

/// A column that cannot be compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// Name of the column in jobs.
    pub name: String,
    /// Why, as the end of a sentence.
    pub reason: &'static str,
}

/// What values are alike beside those of one canonical form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Alike {
    /// None.
    Equal,
    /// Ids of one record.
    Id,
    /// Those that differ in letter case.
    Folded,
    /// The same choices in any order, and in any letter case.
    Choices { folded: bool },
    /// Moments of one second: Salesforce keeps no parts of it.
    Second,
}

impl Comparison {
    /// Plans how rows of this source were written into an object, as [`Coercion::plan`] does, and how
    /// they are compared. The user need not be allowed to write the object.
    ///
    /// # Errors
    /// A config error that names every column which no field of the object takes (any more).
    pub fn plan(
        source: &SchemaRef,
        object: &ObjectSchema,
        operation: &Operation,
        related: &RelatedObjects,
        options: ValueOptions,
    ) -> Result<Self> {
        let coercion = Coercion::plan(source, &writable(object), operation, related, options)?;
        let header = coercion.header();
        let (mut fields, mut left_out) = (Vec::new(), Vec::new());
        for (index, column) in header.columns.iter().enumerate() {
            let is_key = header.key == Some(index);
            if is_key && column.field.name == "Id" {
                continue;
            }
            match ComparedField::of(index, column, is_key) {
                Ok(field) => fields.push(field),
                Err(reason) => left_out.push(LeftOut {
                    name: column.name.clone(),
                    reason,
                }),
            }
        }
        let names = fields
            .iter()
            .map(|field: &ComparedField| text_field(&field.name));
        let schema = Arc::new(Schema::new(names.collect::<Vec<ArrowField>>()));
        Ok(Self {
            coercion,
            fields,
            left_out,
            schema,
        })
    }

    /// The fields that are compared: all that rows fill, but for an Id that is their key.
    pub fn fields(&self) -> &[ComparedField] {
        &self.fields
    }

    /// The columns that cannot be compared.
    pub fn left_out(&self) -> &[LeftOut] {
        &self.left_out
    }

    /// How rows became cells.
    pub fn coercion(&self) -> &Coercion {
        &self.coercion
    }

    /// The number among [`Comparison::fields`] of the key; `None` if rows have none, or it is the Id.
    pub fn key(&self) -> Option<usize> {
        let key = self.coercion.key()?.column;
        self.fields.iter().position(|field| field.column == key)
    }

    /// The columns of [`Comparison::sent`]: Utf8, in the order of the fields and with their names.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// What was sent of source rows: literals, [`CLEAR`](super::CLEAR) where the field was cleared,
    /// null where it was left alone.
    ///
    /// # Errors
    /// [`CoerceError::Evaluate`] if the batch has other columns than the source planned for.
    pub fn sent(&self, source: &RecordBatch) -> Result<RecordBatch, CoerceError> {
        let cells = self.coercion.cells(source)?;
        let columns = self.fields.iter();
        let columns = columns.map(|field| Arc::clone(cells.column(field.column)));
        let rows = RecordBatchOptions::new().with_row_count(Some(source.num_rows()));
        let schema = SchemaRef::clone(&self.schema);
        RecordBatch::try_new_with_options(schema, columns.collect(), &rows).map_err(evaluation)
    }

    /// The canonical form of values of a field, by its number among [`Comparison::fields`]: of those
    /// that were sent, or of texts of a query. Null where the field is empty or was cleared.
    ///
    /// # Errors
    /// [`CoerceError::Evaluate`] if there is no such field, or the values are not Utf8.
    pub fn canonical(&self, field: usize, values: &ArrayRef) -> Result<ArrayRef, CoerceError> {
        let Some(field) = self.fields.get(field) else {
            return Err(evaluation(arrow::error::ArrowError::SchemaError(
                "no such field".into(),
            )));
        };
        let canonical = self.coercion.canonical_cells(field.column, values)?;
        field.alike.form(canonical)
    }
}

impl ComparedField {
    /// The field that a column fills; the error says why it cannot be compared.
    fn of(index: usize, column: &HeaderColumn, is_key: bool) -> Result<Self, &'static str> {
        let field = &column.field;
        let fills = Arc::new(column.fills().clone());
        match fills.field_type {
            FieldType::Base64 => return Err("holds a file, which a query does not read"),
            FieldType::EncryptedString => return Err("is encrypted, and may be read as a mask"),
            _ => {}
        }
        let path = match (&column.lookup, column.name.split_once(':')) {
            (Some(lookup), _) if column.record_types.is_some() => lookup.name.clone(),
            (_, None) => column.name.clone(),
            (_, Some((_, path))) if FIELDS_OF_ANY.contains(&field.name.as_str()) => path.to_owned(),
            (_, Some(_)) => {
                return Err("points to several objects, whose own fields a query does not read");
            }
        };
        Ok(Self {
            name: column.name.clone(),
            path,
            fills,
            column: index,
            alike: Alike::of(column, is_key),
        })
    }
}

impl Alike {
    fn of(column: &HeaderColumn, is_key: bool) -> Self {
        let field = &column.field;
        let names_record = is_key || column.lookup.is_some();
        let loose = names_record && (field.unique || !field.external_id) && !field.case_sensitive;
        match &field.field_type {
            _ if column.record_types.is_some() => Self::Id,
            FieldType::Id | FieldType::Reference => Self::Id,
            FieldType::DateTime => Self::Second,
            FieldType::MultiPicklist => Self::Choices {
                folded: field.restricted_picklist,
            },
            // Salesforce keeps addresses of mail in lower case, and a choice as its picklist has it.
            FieldType::Email => Self::Folded,
            FieldType::Picklist if field.restricted_picklist => Self::Folded,
            FieldType::String if loose => Self::Folded,
            _ => Self::Equal,
        }
    }

    /// The form of canonical texts.
    fn form(self, canonical: ArrayRef) -> Result<ArrayRef, CoerceError> {
        if self == Self::Equal {
            return Ok(canonical);
        }
        let texts = canonical.as_string_opt::<i32>();
        let texts = texts
            .ok_or_else(|| evaluation(arrow::error::ArrowError::SchemaError("not Utf8".into())))?;
        let mut forms = StringBuilder::with_capacity(texts.len(), texts.value_data().len());
        let mut form = String::new();
        for text in texts {
            form.clear();
            let value = text.map(|text| {
                self.write(text, &mut form);
                form.as_str()
            });
            append(&mut forms, value).map_err(CoerceError::Evaluate)?;
        }
        Ok(Arc::new(forms.finish()))
    }

    fn write(self, text: &str, out: &mut String) {
        match self {
            Self::Equal => out.push_str(text),
            Self::Id => match RecordId::parse(text) {
                Some(id) => out.extend(id.as_bytes().iter().map(|byte| char::from(*byte))),
                None => out.push_str(text),
            },
            Self::Folded => out.push_str(&text.to_lowercase()),
            Self::Choices { folded } => {
                let choices = text
                    .split(';')
                    .map(trim)
                    .filter(|choice| !choice.is_empty());
                let choices: BTreeSet<String> = choices
                    .map(|choice| match folded {
                        true => choice.to_lowercase(),
                        false => choice.to_owned(),
                    })
                    .collect();
                for (index, choice) in choices.iter().enumerate() {
                    out.push_str(if index == 0 { "" } else { ";" });
                    out.push_str(choice);
                }
            }
            Self::Second => match text.split_once('.') {
                Some((seconds, _)) => {
                    out.push_str(seconds);
                    out.push('Z');
                }
                None => out.push_str(text),
            },
        }
    }
}

/// The object as one may see it who may write all of it.
fn writable(object: &ObjectSchema) -> ObjectSchema {
    let fields = object.fields().iter().map(|field| Field {
        createable: true,
        updateable: true,
        ..field.clone()
    });
    let mut writable = ObjectSchema::new(object.name.clone(), fields.collect());
    writable.record_types.clone_from(&object.record_types);
    writable
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coerce::CLEAR;
    use crate::coerce::tests::text_batch;
    use crate::options::NullHandling;

    const DESCRIBE: &[u8] = br#"{"name":"Account","createable":false,"updateable":false,"fields":[
        {"name":"Id","type":"id","createable":false,"updateable":false},
        {"name":"Name","type":"string","updateable":false,"createable":false},
        {"name":"Ext__c","type":"string","externalId":true,"unique":true},
        {"name":"Rate__c","type":"double","scale":2},
        {"name":"Since__c","type":"datetime"},
        {"name":"Day__c","type":"date"},
        {"name":"Wakes__c","type":"time"},
        {"name":"Vip__c","type":"boolean"},
        {"name":"Count__c","type":"int"},
        {"name":"Mail__c","type":"email"},
        {"name":"Tags__c","type":"multipicklist"},
        {"name":"Tier__c","type":"picklist","restrictedPicklist":true,
         "picklistValues":[{"value":"Gold"}]},
        {"name":"Free__c","type":"picklist"},
        {"name":"Logo__c","type":"base64"},
        {"name":"Card__c","type":"encryptedstring"},
        {"name":"OwnerId","type":"reference","relationshipName":"Owner",
         "referenceTo":["Group","User"]},
        {"name":"ParentId","type":"reference","relationshipName":"Parent",
         "referenceTo":["Account"]},
        {"name":"Boss__c","type":"reference","relationshipName":"Boss__r","referenceTo":["Account"]},
        {"name":"RecordTypeId","type":"reference","relationshipName":"RecordType",
         "referenceTo":["RecordType"]}],
        "recordTypeInfos":[
        {"name":"Customer","developerName":"Customer","recordTypeId":"012000000000001AAA"}]}"#;

    fn plan(names: &[&str], operation: &Operation, options: ValueOptions) -> Comparison {
        let object = ObjectSchema::from_describe(DESCRIBE).unwrap();
        let user = br#"{"name":"User","fields":[{"name":"Id","type":"id"},
            {"name":"Email","type":"email","idLookup":true},
            {"name":"Ext__c","type":"string","externalId":true}]}"#;
        let group = br#"{"name":"Group","fields":[{"name":"Id","type":"id"}]}"#;
        let related = [&user[..], &group[..]].map(|d| ObjectSchema::from_describe(d).unwrap());
        let columns: Vec<(&str, &[Option<&str>])> =
            names.iter().map(|name| (*name, &[][..])).collect();
        let source = text_batch(&columns).schema();
        let related = related.into_iter().collect();
        Comparison::plan(&source, &object, operation, &related, options).unwrap()
    }

    fn upsert() -> Operation {
        Operation::Upsert {
            external_id: "Ext__c".to_owned(),
        }
    }

    /// What was sent and what a query gives are alike, or not.
    fn alike(column: &str, sent: &str, now: &str) -> bool {
        let comparison = plan(&["Ext__c", column], &upsert(), ValueOptions::default());
        let field = comparison.fields().len() - 1;
        let source = text_batch(&[("Ext__c", &[Some("1")]), (column, &[Some(sent)])]);
        let cells = comparison.sent(&source).unwrap();
        let now = text_batch(&[("now", &[Some(now)])]);
        let sent = comparison.canonical(field, cells.column(field)).unwrap();
        let now = comparison.canonical(field, now.column(0)).unwrap();
        assert!(sent.is_valid(0), "{column}: {sent:?}");
        sent.as_ref() == now.as_ref()
    }

    #[test]
    fn values_are_alike_as_the_org_keeps_them() {
        for (column, sent, now) in [
            ("Name", " a\r\nb ", "a\nb"),
            ("Rate__c", "1234.565", "1234.57"),
            ("Rate__c", "912260031", "9.12260031E8"),
            ("Count__c", "0250", "250.0"),
            (
                "Since__c",
                "2024-03-01T12:00:00.678+02:00",
                "2024-03-01T10:00:00.000Z",
            ),
            (
                "Since__c",
                "2024-03-01T10:00:00Z",
                "2024-03-01T10:00:00.000+0000",
            ),
            ("Day__c", "2024-03-01T12:00:00Z", "2024-03-01"),
            ("Wakes__c", "07:30", "07:30:00.000Z"),
            ("Vip__c", "yes", "true"),
            ("Mail__c", "Ada@Example.com", "ada@example.com"),
            ("Tags__c", r#"["b","a"]"#, "a;b"),
            ("Tags__c", "b;a;b", "a;b"),
            ("Tier__c", "gold", "Gold"),
            ("ParentId", "001000000000001", "001000000000001AAA"),
            ("Parent.Ext__c", "a1", "A1"),
            ("User:Owner.Email", "Ada@example.com", "ada@example.com"),
            ("RecordType.DeveloperName", "customer", "012000000000001AAA"),
        ] {
            assert!(alike(column, sent, now), "{column}: {sent} {now}");
        }
        for (column, sent, now) in [
            ("Name", "a", "A"),
            ("Rate__c", "1.01", "1.02"),
            ("Count__c", "1", "2"),
            (
                "Since__c",
                "2024-03-01T10:00:00Z",
                "2024-03-01T10:00:01.000Z",
            ),
            ("Day__c", "2024-03-01", "2024-03-02"),
            ("Wakes__c", "07:30", "07:30:00.001Z"),
            ("Vip__c", "yes", "false"),
            ("Tags__c", "a;b", "a"),
            ("Tags__c", "a", "A"),
            ("Free__c", "gold", "Gold"),
            ("ParentId", "001000000000001AAA", "001000000000002AAA"),
            ("RecordType.DeveloperName", "customer", "012000000000002AAA"),
        ] {
            assert!(!alike(column, sent, now), "{column}: {sent} {now}");
        }
    }

    #[test]
    fn fields_are_read_by_a_path_or_left_out() {
        let names = [
            "ext__c",
            "name",
            "parent.ext__c",
            "User:Owner.Email",
            "RecordType.Name",
            "Logo__c",
            "Card__c",
        ];
        let comparison = plan(&names, &upsert(), ValueOptions::default());
        let fields = comparison.fields().iter();
        let fields: Vec<String> = fields
            .map(|field| format!("{} {} {}", field.name, field.path, field.fills.name))
            .collect();
        insta::assert_snapshot!(fields.join("\n"), @r"
        Ext__c Ext__c Ext__c
        Name Name Name
        Parent.Ext__c Parent.Ext__c ParentId
        User:Owner.Email Owner.Email OwnerId
        RecordTypeId RecordTypeId RecordTypeId
        ");
        assert_eq!(comparison.key(), Some(0));
        let left_out = comparison.left_out().iter();
        let left_out: Vec<&str> = left_out.map(|left| left.name.as_str()).collect();
        assert_eq!(left_out, ["Logo__c", "Card__c"]);
        let deep = plan(
            &["Ext__c", "User:Owner.Ext__c"],
            &upsert(),
            ValueOptions::default(),
        );
        assert_eq!(deep.left_out()[0].name, "User:Owner.Ext__c");
        let update = plan(&["Id", "Name"], &Operation::Update, ValueOptions::default());
        assert_eq!(update.fields().len(), 1);
        assert_eq!(update.key(), None);
        let delete = plan(&["Id", "Name"], &Operation::Delete, ValueOptions::default());
        assert!(delete.fields().is_empty());
        let ids = text_batch(&[("Id", &[Some("001000000000001")]), ("Name", &[None])]);
        assert_eq!(delete.sent(&ids).unwrap().num_rows(), 1);
    }

    #[test]
    fn nulls_are_left_alone_or_clear() {
        let rows = text_batch(&[("Ext__c", &[Some("1")]), ("Name", &[None])]);
        let of = |nulls| {
            let options = ValueOptions::default().with_null_handling(nulls);
            let comparison = plan(&["Ext__c", "Name"], &upsert(), options);
            let sent = Arc::clone(comparison.sent(&rows).unwrap().column(1));
            let canonical = comparison.canonical(1, &sent).unwrap();
            assert!(canonical.is_null(0));
            let sent = sent.as_string::<i32>();
            sent.is_valid(0).then(|| sent.value(0).to_owned())
        };
        assert_eq!(of(NullHandling::Leave), None);
        assert_eq!(of(NullHandling::Clear).as_deref(), Some(CLEAR));
    }
}
