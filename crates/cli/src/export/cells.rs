//! Values -> texts.

use arrow_salesforce::arrow::array::{Array, AsArray as _, ListArray, RecordBatch, StringArray};
use arrow_salesforce::arrow::datatypes::DataType;
use arrow_salesforce::arrow::error::ArrowError;
use arrow_salesforce::arrow::util::display::{ArrayFormatter, FormatOptions};

/// Between the values of a multi-select picklist, as Salesforce writes them.
const BETWEEN: char = ';';

/// The texts of a batch's values.
pub(super) struct Cells<'a>(Vec<Column<'a>>);

enum Column<'a> {
    Text(&'a StringArray),
    List(&'a ListArray),
    Other(&'a dyn Array, ArrayFormatter<'a>),
}

impl<'a> Cells<'a> {
    /// Of all columns.
    ///
    /// # Errors
    /// If a column is of a type that has no text.
    pub(super) fn of(batch: &'a RecordBatch) -> Result<Self, ArrowError> {
        const OPTIONS: &FormatOptions<'static> = &FormatOptions::new().with_null("");
        let columns = batch.columns().iter().map(|column| {
            Ok(match column.data_type() {
                DataType::Utf8 => Column::Text(column.as_string()),
                DataType::List(items) if items.data_type() == &DataType::Utf8 => {
                    Column::List(column.as_list())
                }
                _ => Column::Other(column, ArrayFormatter::try_new(column, OPTIONS)?),
            })
        });
        Ok(Self(columns.collect::<Result<_, ArrowError>>()?))
    }

    /// Hands on the text of each value of a row, in the order of the columns; `None` for null.
    ///
    /// # Errors
    /// That of `take`, or a value that has no text.
    pub(super) fn row<E: From<ArrowError>>(
        &self,
        row: usize,
        mut take: impl FnMut(Option<&str>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut text = String::new();
        for column in &self.0 {
            text.clear();
            match column {
                Column::Text(texts) if texts.is_null(row) => take(None)?,
                Column::Text(texts) => take(Some(texts.value(row)))?,
                Column::List(lists) if lists.is_null(row) => take(None)?,
                Column::List(lists) => {
                    let values = lists.value(row);
                    for (nth, value) in values.as_string::<i32>().iter().enumerate() {
                        if nth > 0 {
                            text.push(BETWEEN);
                        }
                        text.push_str(value.unwrap_or_default());
                    }
                    take(Some(&text))?;
                }
                Column::Other(values, _) if values.is_null(row) => take(None)?,
                Column::Other(_, formatter) => {
                    formatter.value(row).write(&mut text)?;
                    take(Some(&text))?;
                }
            }
        }
        Ok(())
    }
}
