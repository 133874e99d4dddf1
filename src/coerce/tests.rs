mod policies;
mod properties;
mod tables;

use std::sync::Arc;

use arrow::array::*;
use arrow::datatypes::{Int32Type, Schema, TimeUnit};
use datafusion::execution::FunctionRegistry;

use super::*;
use crate::error::Result;
use crate::object::{Field, FieldType, ObjectSchema, Operation, RelatedObjects};
use crate::options::ValueOptions;
use crate::source::RAW_ERROR;

pub(super) fn field(name: &str, field_type: FieldType) -> Field {
    Field {
        name: name.into(),
        label: name.into(),
        field_type,
        length: 0,
        precision: 18,
        scale: 2,
        digits: 0,
        nillable: true,
        createable: true,
        updateable: true,
        defaulted_on_create: false,
        external_id: false,
        id_lookup: false,
        unique: false,
        case_sensitive: false,
        reference_to: Vec::new(),
        master_detail: None,
        cascade_delete: false,
        restricted_delete: false,
        relationship_name: None,
        restricted_picklist: false,
        picklist_values: Vec::new(),
    }
}

pub(super) fn contact() -> ObjectSchema {
    let fields = [
        ("LastName", FieldType::String),
        ("Email", FieldType::Email),
        ("Birthdate", FieldType::Date),
        ("Joined__c", FieldType::DateTime),
        ("Wakes__c", FieldType::Time),
        ("DoNotCall", FieldType::Boolean),
        ("Children__c", FieldType::Int),
        ("Clicks__c", FieldType::Long),
        ("Budget__c", FieldType::Currency),
        ("Tags__c", FieldType::MultiPicklist),
        ("Photo__c", FieldType::Base64),
        ("Place__c", FieldType::Other("location".into())),
    ];
    let fields = fields.map(|(name, field_type)| field(name, field_type));
    ObjectSchema::new("Contact", fields.to_vec())
}

pub(super) fn plan(source: &SchemaRef) -> Result<Coercion> {
    Coercion::plan(
        source,
        &contact(),
        &Operation::Insert,
        &RelatedObjects::default(),
        ValueOptions::default(),
    )
}

pub(super) fn text_batch(columns: &[(&str, &[Option<&str>])]) -> RecordBatch {
    let columns = columns.iter().map(|(name, values)| {
        let values = StringArray::from(values.to_vec());
        (*name, Arc::new(values) as ArrayRef, true)
    });
    RecordBatch::try_from_iter_with_nullable(columns).unwrap()
}

fn one_column(name: &str, column: impl Array + 'static) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable([(name, Arc::new(column) as ArrayRef, true)]).unwrap()
}

/// The batch with a column of nulls behind its own: a row without any other may lack its value.
pub(super) fn with_another(batch: &RecordBatch) -> RecordBatch {
    let nulls: ArrayRef = Arc::new(StringArray::new_null(batch.num_rows()));
    let columns = batch.schema_ref().fields().iter().zip(batch.columns());
    let columns = columns.map(|(field, column)| (field.name().as_str(), Arc::clone(column), true));
    RecordBatch::try_from_iter_with_nullable(columns.chain([("Email", nulls, true)])).unwrap()
}

/// Cells of one column, null as `-`, an invalid value as `!`.
fn cells_of(batch: &RecordBatch) -> Vec<String> {
    let batch = &with_another(batch);
    let cells = plan(&batch.schema()).unwrap().apply(batch).unwrap();
    let column: &StringArray = cells.batch.column(0).as_string();
    let rejected: Vec<usize> = cells.rejects.iter().map(|(row, _)| *row).collect();
    (0..column.len())
        .map(|row| match column.is_valid(row) {
            true => column.value(row).to_owned(),
            false if rejected.contains(&row) => "!".to_owned(),
            false => "-".to_owned(),
        })
        .collect()
}

pub(super) fn texts(name: &str, values: &[&str]) -> Vec<String> {
    let values: Vec<_> = values.iter().copied().map(Some).collect();
    cells_of(&text_batch(&[(name, &values)]))
}

#[test]
fn the_plan_prints_itself() {
    let zoned = DataType::Timestamp(TimeUnit::Microsecond, Some("Europe/Berlin".into()));
    let tag = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    let source = Arc::new(Schema::new(vec![
        ArrowField::new("lastname", DataType::Utf8, true),
        ArrowField::new("Email", DataType::Float64, true),
        ArrowField::new("birthdate", DataType::Date32, true),
        ArrowField::new("joined__c", zoned, true),
        ArrowField::new("wakes__c", DataType::Time64(TimeUnit::Microsecond), true),
        ArrowField::new("donotcall", DataType::Boolean, true),
        ArrowField::new("children__c", DataType::Int64, true),
        ArrowField::new("clicks__c", DataType::Utf8View, true),
        ArrowField::new("budget__c", DataType::Decimal128(18, 2), true),
        ArrowField::new("tags__c", tag, true),
        ArrowField::new("photo__c", DataType::LargeUtf8, true),
        ArrowField::new("place__c", DataType::Date64, true),
        ArrowField::new("_airbyte_emitted_at", DataType::Int64, true),
    ]));
    insta::assert_snapshot!(plan(&source).unwrap(), @r#"
    LastName: sf_text(lastname)
    Email: sf_text(sf_source(Email))
    Birthdate: sf_date(sf_source(birthdate))
    Joined__c: sf_datetime(sf_source(joined__c))
    Wakes__c: sf_time(sf_source(wakes__c))
    DoNotCall: sf_boolean(sf_source(donotcall))
    Children__c: sf_int(sf_source(children__c))
    Clicks__c: sf_long(sf_source(clicks__c))
    Budget__c: sf_decimal(sf_source(budget__c))
    Tags__c: sf_multipicklist(sf_source(tags__c))
    Photo__c: sf_base64(sf_source(photo__c))
    Place__c: sf_text(sf_source(place__c))
    "#);
}

#[test]
fn legal_columns_are_not_copied() {
    let batch = text_batch(&[
        ("LastName", &[Some("Ångström"), None, Some("a\tb\nc，")]),
        ("Birthdate", &[Some("2024-02-29"), None, Some("0001-01-01")]),
        ("Joined__c", &[Some("2024-02-29T23:59:59.999Z"), None, None]),
        (
            "Budget__c",
            &[Some("-0.10"), Some("0"), Some("12345678901234567890.5")],
        ),
        ("Children__c", &[Some("-2147483648"), Some("0"), None]),
        ("DoNotCall", &[Some("true"), Some("false"), None]),
    ]);
    let cells = plan(&batch.schema()).unwrap().apply(&batch).unwrap();
    assert!(cells.rejects.is_empty());
    for (cell, source) in cells.batch.columns().iter().zip(batch.columns()) {
        assert!(Arc::ptr_eq(cell, source));
    }
}

#[test]
fn a_reason_names_all_fields_and_no_value() {
    let batch = text_batch(&[
        ("lastname", &[Some("a"), Some("secret")]),
        ("birthdate", &[Some("2024-01-01"), Some("secret")]),
        ("children__c", &[None, Some("1.5")]),
    ]);
    let cells = plan(&batch.schema()).unwrap().apply(&batch).unwrap();
    let [(1, reason)] = cells.rejects.as_slice() else {
        panic!("{:?}", cells.rejects);
    };
    assert_eq!(
        reason.message,
        "Birthdate: not a date (expected YYYY-MM-DD or a timestamp); \
         Children__c: not a whole number between -2147483648 and 2147483647"
    );
    assert_eq!(reason.fields, ["Birthdate", "Children__c"]);
    assert_eq!(
        (reason.stage, reason.code.as_ref()),
        (Stage::Coerce, "INVALID_VALUE")
    );
    assert_eq!(serde_json::to_string(&reason.stage).unwrap(), r#""coerce""#);
}

#[test]
fn a_line_that_could_not_be_read_is_rejected() {
    let batch = text_batch(&[
        ("LastName", &[Some("a"), None]),
        (RAW_ERROR, &[None, Some("not JSON")]),
    ]);
    let cells = plan(&batch.schema()).unwrap().apply(&batch).unwrap();
    let [(1, reason)] = cells.rejects.as_slice() else {
        panic!("{:?}", cells.rejects);
    };
    assert_eq!(
        (reason.stage, reason.message.as_str()),
        (Stage::Decode, "not JSON")
    );
    assert_eq!(cells.batch.num_columns(), 1);
}

#[test]
fn other_arrow_types() {
    let floats = Float64Array::from(vec![Some(1.5), Some(1e21), Some(f64::NAN), None, Some(0.1)]);
    let expected = ["1.5", "1000000000000000000000", "!", "-", "0.1"];
    assert_eq!(cells_of(&one_column("Budget__c", floats.clone())), expected);
    assert_eq!(cells_of(&one_column("LastName", floats)), expected);
    let stamps = TimestampSecondArray::from(vec![Some(1_704_067_199), Some(i64::MAX), None]);
    let zoned = stamps.clone().with_timezone("America/New_York");
    let expected = ["2023-12-31T23:59:59.000Z", "!", "-"];
    assert_eq!(cells_of(&one_column("Joined__c", stamps)), expected);
    assert_eq!(cells_of(&one_column("Joined__c", zoned.clone())), expected);
    assert_eq!(
        cells_of(&one_column("Birthdate", zoned)),
        ["2023-12-31", "!", "-"]
    );
    let days = Date32Array::from(vec![Some(19_782), Some(i32::MAX), None]);
    assert_eq!(
        cells_of(&one_column("Birthdate", days)),
        ["2024-02-29", "!", "-"]
    );
    let ms = Date64Array::from(vec![Some(19_782 * 86_400_000), None]);
    assert_eq!(cells_of(&one_column("LastName", ms)), ["2024-02-29", "-"]);
    let decimals = Decimal128Array::from(vec![Some(12_340), None]);
    let decimals = decimals.with_precision_and_scale(10, 3).unwrap();
    assert_eq!(
        cells_of(&one_column("Budget__c", decimals)),
        ["12.340", "-"]
    );
    let flags = BooleanArray::from(vec![Some(true), None]);
    assert_eq!(cells_of(&one_column("DoNotCall", flags)), ["true", "-"]);
    let ints = Int64Array::from(vec![Some(1), Some(2), None]);
    assert_eq!(cells_of(&one_column("DoNotCall", ints)), ["true", "!", "-"]);
    let tags: DictionaryArray<Int32Type> = vec![Some("a"), Some(""), None].into_iter().collect();
    assert_eq!(cells_of(&one_column("LastName", tags)), ["a", "-", "-"]);
    let view = StringViewArray::from(vec![Some("2024-01-01"), Some("x"), None]);
    assert_eq!(
        cells_of(&one_column("Birthdate", view)),
        ["2024-01-01", "!", "-"]
    );
    assert_eq!(
        cells_of(&one_column("Birthdate", NullArray::new(2))),
        ["-", "-"]
    );
    let times = Time32SecondArray::from(vec![Some(3_661), None]);
    assert_eq!(
        cells_of(&one_column("Wakes__c", times)),
        ["01:01:01.000Z", "-"]
    );
}

#[test]
fn a_type_without_plain_meaning_is_a_config_error() {
    let source = Arc::new(Schema::new(vec![
        ArrowField::new("Birthdate", DataType::Int64, true),
        ArrowField::new("LastName", DataType::Binary, true),
    ]));
    let error = plan(&source).unwrap_err();
    assert_eq!(error.kind(), crate::ErrorKind::Config);
    assert_eq!(
        error.to_string(),
        "column Birthdate of type Int64 cannot fill field Birthdate (date); cast it to Utf8; \
         column LastName of type Binary cannot fill field LastName (string); cast it to Utf8"
    );
}

#[test]
fn a_batch_of_other_columns_is_an_error() {
    let planned = text_batch(&[("LastName", &[None]), ("Email", &[None])]);
    let coercion = plan(&planned.schema()).unwrap();
    let error = coercion.apply(&planned.project(&[0]).unwrap()).unwrap_err();
    assert!(matches!(error, CoerceError::Evaluate(_)));
    let ints = one_column("LastName", Int32Array::from(vec![1]));
    assert!(coercion.apply(&ints).is_err());
}

#[test]
fn canonical_forms() {
    let source = text_batch(&[
        ("LastName", &[None]),
        ("Budget__c", &[None]),
        ("Birthdate", &[None]),
    ]);
    let coercion = plan(&source.schema()).unwrap();
    let results = text_batch(&[
        ("sf__Error", &[Some("X"), None, None, None]),
        (
            "BUDGET__C",
            &[
                Some("9.12260031E8"),
                Some("912260031"),
                Some(" n/a "),
                Some("1.005"),
            ],
        ),
        (
            "lastname",
            &[Some(" a\r\nb "), Some("a\nb"), Some(" "), None],
        ),
    ]);
    let canonical = coercion.canonical(&results).unwrap();
    let expected = text_batch(&[
        ("LastName", &[Some("a\nb"), Some("a\nb"), None, None]),
        (
            "Budget__c",
            &[
                Some("912260031"),
                Some("912260031"),
                Some("n/a"),
                Some("1.01"),
            ],
        ),
    ]);
    assert_eq!(canonical, expected);
    let no_columns = coercion
        .canonical(&text_batch(&[("x", &[None, None])]))
        .unwrap();
    assert_eq!((no_columns.num_columns(), no_columns.num_rows()), (0, 2));
}

#[test]
fn the_functions_work_in_any_plan() {
    use datafusion::logical_expr::{cast, lit};
    let mut context = datafusion::prelude::SessionContext::new();
    register_udfs(&mut context).unwrap();
    let call = |name: &str, arguments| context.udf(name).unwrap().call(arguments);
    let selected = vec![
        call("sf_date", vec![lit("2024-01-01T23:00:00-02:00")]),
        call("sf_int", vec![cast(lit("250.0"), DataType::Utf8View)]),
        call("sf_canonical_decimal", vec![lit("1.005e2"), lit(0_u32)]),
        call("sf_boolean", vec![lit("maybe")]),
    ];
    let query = context.read_empty().unwrap().select(selected).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let rows = runtime.block_on(query.collect()).unwrap();
    let values = rows[0].columns().iter().map(|column| {
        let column: &StringArray = column.as_string();
        column.is_valid(0).then(|| column.value(0))
    });
    let values: Vec<_> = values.collect();
    assert_eq!(values, [Some("2024-01-02"), Some("250"), Some("101"), None]);
}
