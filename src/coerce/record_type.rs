//! Names of record types -> their Ids, as a DataFusion scalar function.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringBuilder};
use arrow::datatypes::DataType;
use datafusion::common::exec_datafusion_err;
use datafusion::error::Result;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use crate::object::{HeaderColumn, RecordTypes};

/// Salesforce clears a field on this text.
const CLEAR: &str = "#N/A";

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
        Some(types) => ScalarUDF::new_from_impl(RecordTypeId {
            types: Arc::clone(types),
            signature: Signature::exact(vec![DataType::Utf8], Volatility::Immutable),
        })
        .call(vec![text]),
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
