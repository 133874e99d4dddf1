//! The first records as a table for people.

use std::fmt::Write as _;

use arrow_salesforce::arrow::array::RecordBatch;
use arrow_salesforce::arrow::datatypes::{DataType, SchemaRef};
use arrow_salesforce::arrow::error::ArrowError;
use comfy_table::CellAlignment;

use super::cells::Cells;
use crate::watch::Page;

/// Records that are shown.
pub(crate) const ROWS: usize = 100;

/// Longest text of a table, in characters.
const MAX_TEXT: usize = 60;
/// A column of a table needs so much of a page; where there is less, each record has lines of its own.
const COLUMN_WIDTH: usize = 10;

/// Records that are shown to a person.
#[derive(Debug, Clone)]
pub(crate) struct Shown {
    columns: Vec<(String, bool)>,
    rows: Vec<Vec<String>>,
}

impl Shown {
    /// None yet, with these columns.
    pub(crate) fn new(schema: &SchemaRef) -> Self {
        let columns = schema.fields().iter();
        let columns = columns.map(|field| (field.name().clone(), is_number(field.data_type())));
        Self {
            columns: columns.collect(),
            rows: Vec::new(),
        }
    }

    /// Takes records until there are enough; says whether there are.
    ///
    /// # Errors
    /// If a value has no text.
    pub(crate) fn add(&mut self, batch: &RecordBatch) -> Result<bool, ArrowError> {
        let cells = Cells::of(batch)?;
        let taken = batch.num_rows().min(ROWS - self.rows.len());
        for row in 0..taken {
            let mut texts = Vec::with_capacity(self.columns.len());
            cells.row(row, |text| {
                texts.push(printable(text.unwrap_or_default()));
                Ok::<_, ArrowError>(())
            })?;
            self.rows.push(texts);
        }
        Ok(taken < batch.num_rows() || self.rows.len() == ROWS)
    }

    /// How many there are.
    pub(crate) fn len(&self) -> u64 {
        self.rows.len() as u64
    }

    /// A table, or lines for each record where a table has no room.
    pub(crate) fn text(&self, page: Page) -> String {
        match self.columns.len() * COLUMN_WIDTH > usize::from(page.width) {
            true => self.lines(),
            false => self.table(page),
        }
    }

    fn table(&self, page: Page) -> String {
        let titles: Vec<&str> = self.columns.iter().map(|(name, _)| name.as_str()).collect();
        let mut table = page.table(&titles);
        for (nth, (_, number)) in self.columns.iter().enumerate() {
            if let Some(column) = table.column_mut(nth)
                && *number
            {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        for row in &self.rows {
            table.add_row(row);
        }
        table.to_string()
    }

    fn lines(&self) -> String {
        let names = self.columns.iter().map(|(name, _)| name.chars().count());
        let width = names.max().unwrap_or_default();
        let mut text = String::new();
        for (nth, row) in self.rows.iter().enumerate() {
            let between = if nth == 0 { "" } else { "\n" };
            let _ = writeln!(text, "{between}record {}", nth + 1);
            for ((name, _), value) in self.columns.iter().zip(row) {
                if !value.is_empty() {
                    let _ = writeln!(text, "  {name:width$}  {value}");
                }
            }
        }
        text.truncate(text.trim_end().len());
        text
    }
}

fn is_number(kind: &DataType) -> bool {
    kind.is_numeric()
}

/// A text on one line, cut where it is long. What would move the cursor is left out.
fn printable(text: &str) -> String {
    let shown = |c: char| if c.is_control() { ' ' } else { c };
    let mut chars = text.chars().map(shown);
    let mut printed: String = chars.by_ref().take(MAX_TEXT).collect();
    if chars.next().is_some() {
        printed.push_str("...");
    }
    printed
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_salesforce::arrow::array::{Int64Array, StringArray};

    use super::*;

    fn shown(names: &[&str]) -> Shown {
        let texts = StringArray::from(vec![Some("a\u{1b}[2J\nb"), None]);
        let batch = RecordBatch::try_from_iter(names.iter().map(|name| {
            let column: arrow_salesforce::arrow::array::ArrayRef = match *name {
                "Number" => Arc::new(Int64Array::from(vec![Some(7), Some(1_234)])),
                _ => Arc::new(texts.clone()),
            };
            (*name, column)
        }));
        let batch = batch.unwrap();
        let mut shown = Shown::new(&batch.schema());
        assert!(!shown.add(&batch).unwrap());
        shown
    }

    const PAGE: Page = Page {
        unicode: true,
        width: 40,
    };

    #[test]
    fn a_table_moves_no_cursor() {
        let text = shown(&["Name", "Number"]).text(PAGE);
        let lines: Vec<_> = text.lines().map(str::trim_end).collect();
        insta::assert_snapshot!(lines.join("\n"), @r"
        ──────────────────
         Name      Number
        ══════════════════
         a [2J b        7
                     1234
        ──────────────────
        ");
    }

    #[test]
    fn records_stand_alone_where_a_table_has_no_room() {
        let names = ["Name", "Number", "Other", "Third__c", "Fourth"];
        insta::assert_snapshot!(shown(&names).text(PAGE), @r"
        record 1
          Name      a [2J b
          Number    7
          Other     a [2J b
          Third__c  a [2J b
          Fourth    a [2J b

        record 2
          Number    1234
        ");
    }

    #[test]
    fn no_more_than_the_first_records_are_shown() {
        let numbers = Int64Array::from_iter_values(0..150);
        let batch = RecordBatch::try_from_iter([("n", Arc::new(numbers) as _)]).unwrap();
        let mut shown = Shown::new(&batch.schema());
        assert!(shown.add(&batch).unwrap());
        assert_eq!(shown.len(), ROWS as u64);
    }
}
