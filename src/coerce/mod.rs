//! Source RecordBatches -> cells, by DataFusion expressions.

mod reason;

pub use reason::{Reason, Stage};

use crate::object::*;
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
/// stub
#[derive(Debug)]
pub struct Coercion;
/// stub
#[derive(Debug, Default)]
pub struct CoerceSettings;
/// stub
#[derive(Debug)]
pub struct Cells {
    /// stub
    pub batch: RecordBatch,
    /// stub
    pub rejects: Vec<(usize, Reason)>,
}
impl Coercion {
    /// stub
    pub fn plan(
        _s: &SchemaRef,
        _o: &ObjectSchema,
        _op: &Operation,
        _settings: CoerceSettings,
    ) -> Result<Self, crate::Error> {
        todo!()
    }
    /// stub
    pub fn header(&self) -> &Header {
        todo!()
    }
    /// stub
    pub fn cells_schema(&self) -> &SchemaRef {
        todo!()
    }
    /// stub
    pub fn apply(&self, _source: &RecordBatch) -> Result<Cells, crate::Error> {
        todo!()
    }
    /// stub
    pub fn canonical(&self, _cells: &RecordBatch) -> Result<RecordBatch, crate::Error> {
        todo!()
    }
}
