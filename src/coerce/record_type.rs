//! Names of record types -> their Ids, as a DataFusion scalar function.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringBuilder};
use arrow::datatypes::DataType;
use datafusion::common::exec_datafusion_err;
use datafusion::error::Result;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::CLEAR;
use crate::object::{HeaderColumn, RecordTypes};

/// `sf_record_type(text)`: the Id of the record type of this name, or null.
#[derive(Debug, PartialEq, Eq, Hash)]
struct RecordTypeId {
    types: Arc<RecordTypes>,
    signature: Signature,
}

/// The expression of a column's cells, around the one of its text.
pub(super) fn cell(text: Expr, column: &HeaderColumn) -> Expr {
    match &column.record_types {
        None => text,
        Some(types) => ScalarUDF::new_from_impl(RecordTypeId::new(types)).call(vec![text]),
    }
}

impl ScalarUDFImpl for RecordTypeId {
    fn name(&self) -> &'static str {
        "sf_record_type"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [names] = ColumnarValue::values_to_arrays(&args.args)?
            .try_into()
            .map_err(|_| exec_datafusion_err!("sf_record_type takes a text"))?;
        Ok(ColumnarValue::Array(self.ids(&names)?))
    }
}

impl RecordTypeId {
    fn new(types: &Arc<RecordTypes>) -> Self {
        Self {
            types: Arc::clone(types),
            signature: Signature::exact(vec![DataType::Utf8], Volatility::Immutable),
        }
    }

    fn ids(&self, names: &ArrayRef) -> Result<ArrayRef> {
        let names = names
            .as_string_opt::<i32>()
            .ok_or_else(|| exec_datafusion_err!("sf_record_type takes Utf8 text"))?;
        let mut ids = StringBuilder::with_capacity(names.len(), names.len() * 18);
        for name in names {
            ids.append_option(name.and_then(|name| match name {
                CLEAR => Some(CLEAR),
                name => self.types.id(name).ok(),
            }));
        }
        Ok(Arc::new(ids.finish()))
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Array, AsArray, RecordBatch};

    use super::RecordTypeId;
    use crate::coerce::Coercion;
    use crate::coerce::tests::text_batch;
    use crate::object::{ObjectSchema, Operation, RelatedObjects};
    use crate::options::ValueOptions;

    fn plan(columns: &[(&str, &[Option<&str>])]) -> (Coercion, RecordBatch) {
        let describe = br#"{"name":"Account","fields":[
            {"name":"RecordTypeId","type":"reference","relationshipName":"RecordType",
             "referenceTo":["RecordType"]},
            {"name":"Rate__c","type":"double","scale":2,"externalId":true},
            {"name":"ParentId","type":"reference","relationshipName":"Parent",
             "referenceTo":["Account"]}],
            "recordTypeInfos":[
            {"name":"Customer","developerName":"Customer","recordTypeId":"012000000000001AAA"},
            {"name":"Partner","developerName":"Partner","recordTypeId":"012000000000002AAA"}]}"#;
        let object = ObjectSchema::from_describe(describe).unwrap();
        let batch = text_batch(columns);
        let (related, settings) = (RelatedObjects::default(), ValueOptions::default());
        let schema = batch.schema();
        let coercion = Coercion::plan(&schema, &object, &Operation::Insert, &related, settings);
        (coercion.unwrap(), batch)
    }

    #[test]
    fn names_become_ids_and_others_are_rejected() {
        let names = [
            Some("customer"),
            None,
            Some("Secret"),
            Some(""),
            Some("PARTNER "),
            Some("#N/A"),
        ];
        let (coercion, batch) = plan(&[("recordtype.developername", &names)]);
        insta::assert_snapshot!(coercion, @"RecordTypeId: sf_record_type(sf_text(recordtype.developername)), needed");
        let cells = coercion.apply(&batch).unwrap();
        let ids: Vec<_> = cells.batch.column(0).as_string::<i32>().iter().collect();
        let (customer, partner) = (Some("012000000000001AAA"), Some("012000000000002AAA"));
        assert_eq!(ids, [customer, None, None, None, partner, None]);
        let [(1, _), (2, unknown), (3, _), (5, clears)] = cells.rejects.as_slice() else {
            panic!("{:?}", cells.rejects);
        };
        insta::assert_snapshot!(unknown.message, @"RecordTypeId: not the developer name of a record type (known: Customer, Partner)");
        assert_eq!(
            (unknown.fields.as_slice(), &*unknown.code),
            (&["RecordTypeId".to_owned()][..], "INVALID_VALUE")
        );
        assert!(clears.message.contains("#N/A"), "{clears:?}");
    }

    #[test]
    fn a_cleared_field_stays_cleared() {
        let (coercion, _) = plan(&[("RecordType.Name", &[])]);
        let types = coercion.header().columns[0].record_types.clone().unwrap();
        let function = RecordTypeId::new(&types);
        let cells = text_batch(&[("cell", &[Some("#N/A"), Some("nobody")])]);
        let ids = function.ids(cells.column(0)).unwrap();
        assert_eq!(
            (ids.as_string::<i32>().value(0), ids.null_count()),
            ("#N/A", 1)
        );
    }

    #[test]
    fn values_of_a_relationship_column_have_the_type_of_the_related_field() {
        let (coercion, batch) = plan(&[("parent.rate__c", &[Some("1e3"), Some("x"), None])]);
        insta::assert_snapshot!(coercion, @"Parent.Rate__c: sf_decimal(parent.rate__c), needed");
        let cells = coercion.apply(&batch).unwrap();
        let column = cells.batch.column(0).as_string::<i32>();
        assert_eq!((column.value(0), column.null_count()), ("1000", 2));
        assert_eq!(cells.batch.schema().field(0).name(), "Parent.Rate__c");
        assert_eq!(cells.rejects.len(), 2);
        assert_eq!(cells.rejects[0].1.fields, ["Parent.Rate__c"]);
        let echo = [Some("1.0E3"), None, None];
        let echo = text_batch(&[("PARENT.RATE__C", &echo)]);
        let canonical = coercion.canonical(&echo).unwrap();
        let sent = coercion.canonical(&cells.batch).unwrap();
        assert_eq!(canonical.column(0), sent.column(0));
    }
}
