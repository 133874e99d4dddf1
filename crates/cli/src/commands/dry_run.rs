//! `--dry-run`: a load that is planned, coerced and counted, and not begun.

mod keys;
mod show;

use std::process::ExitCode;

use arrow_salesforce::arrow::array::{
    Array as _, ArrayRef, AsArray as _, BooleanArray, RecordBatch,
};
use arrow_salesforce::arrow::util::display::{ArrayFormatter, FormatOptions};
use arrow_salesforce::chunk::{Chunk, Chunker, RowOrdinals};
use arrow_salesforce::coerce::{Cells, Coercion, Reason};
use arrow_salesforce::options::BATCH_RECORDS;
use arrow_salesforce::source::RAW;
use arrow_salesforce::{Error, Operation, Rejects};
use futures::StreamExt as _;

use super::prepare::Prepared;
use crate::cli::DryRun;
use crate::error::{ACCEPTED, Result, SOME_REJECTED};
use crate::rejects::{Reasons, Rejected};
use crate::watch::Watch;

use keys::{Found, Keys};

/// Calls of a job beside those for its state: create, upload, close, and its two lists of results.
const CALLS_OF_A_JOB: u64 = 5;
/// Calls for its state, about: each asks after a longer while than the one before.
const POLLS_OF_A_JOB: u64 = 10;

/// What a load would do.
struct Plan {
    columns: Vec<Column>,
    rows: u64,
    reasons: Reasons,
    jobs: u64,
    batches: u64,
    keys: Option<Keys>,
    found: Option<Found>,
}

/// What becomes of a column.
struct Column {
    /// Its name in the input, or the value that all records have.
    from: From,
    field: String,
    kind: String,
    /// A value of the input, and what is written of it.
    example: Option<(String, String)>,
    /// Rows that have no value in it.
    empty: u64,
    /// Whether the org refuses new records without a value in it.
    required: bool,
}

enum From {
    Column(String),
    Constant,
}

/// Plans a load and shows what it would do. Nothing is written.
pub(crate) async fn dry_run(
    prepared: &Prepared,
    how: DryRun,
    json: bool,
    watch: &Watch,
) -> Result<ExitCode> {
    let options = prepared.options()?;
    let loader = prepared.loader(options.clone())?.rejects(Rejects::Count);
    let loader = loader.build().await?;
    let coercion = loader.coercion();
    let mut plan = Plan::of(prepared, coercion, how);
    let (bytes, most) = (options.max_job_bytes, options.max_job_rows);
    let chunker = Chunker::new(coercion.cells_schema(), bytes, most);
    let mut chunker = chunker.map_err(Error::from)?;
    let mut rows = prepared.stream_both().await?;
    while let Some(batch) = rows.next().await {
        let (raw, read) = batch?;
        let cells = coercion.apply(&read).map_err(Error::from)?;
        plan.add(coercion, &raw, &cells, &mut chunker)?;
    }
    if let Some(last) = chunker.close() {
        plan.chunk(&last);
    }
    if let (Some(keys), Some(key)) = (&plan.keys, coercion.key()) {
        plan.found = Some(keys.ask(prepared, key, watch).await?);
    }
    let limits = prepared.org.client().limits().await.ok();
    show::show(&plan, prepared, limits.as_ref(), json);
    let code = if plan.reasons.total == 0 {
        ACCEPTED
    } else {
        SOME_REJECTED
    };
    Ok(ExitCode::from(code))
}

impl Plan {
    fn of(prepared: &Prepared, coercion: &Coercion, how: DryRun) -> Self {
        let pairs = prepared.mapping.pairs();
        let column = |field: &str| {
            let pair = pairs.iter().find(|(_, filled)| filled == field);
            pair.map_or(From::Constant, |(column, _)| From::Column(column.clone()))
        };
        let inserts = prepared.spec.operation() == Operation::Insert;
        let columns = coercion.header().columns.iter().map(|header| Column {
            from: column(prepared.schema.field(header.source).name()),
            field: header.name.clone(),
            kind: show::kind(header.fills()),
            example: None,
            empty: 0,
            required: inserts && header.fills().required_on_create(),
        });
        let asks = how == DryRun::Org && prepared.spec.upsert.is_some();
        Self {
            columns: columns.collect(),
            rows: 0,
            reasons: Reasons::default(),
            jobs: 0,
            batches: 0,
            keys: asks.then(Keys::default),
            found: None,
        }
    }

    fn add(
        &mut self,
        coercion: &Coercion,
        source: &RecordBatch,
        cells: &Cells,
        chunker: &mut Chunker,
    ) -> Result<()> {
        self.examples(coercion, source, cells);
        let mut skip = vec![false; source.num_rows()];
        for (row, reason) in &cells.rejects {
            skip[*row] = true;
            self.reasons.add(&rejected(source, *row, reason));
        }
        let first = RowOrdinals::From(self.rows);
        self.rows += source.num_rows() as u64;
        let marks = BooleanArray::from(skip.clone()).values().clone();
        let pushed = chunker.push(&cells.batch, first, Some(marks));
        let pushed = pushed.map_err(Error::from)?;
        for (row, reason) in &pushed.oversized {
            skip[*row] = true;
            self.reasons.add(&rejected(source, *row, reason));
        }
        for chunk in &pushed.closed {
            self.chunk(chunk);
        }
        if let (Some(keys), Some(key)) = (&mut self.keys, coercion.key()) {
            let column = cells.batch.column(key.column).as_string::<i32>();
            for (cell, _) in column.iter().zip(skip).filter(|(_, skip)| !skip) {
                keys.add(key, cell.unwrap_or_default());
            }
        }
        Ok(())
    }

    fn chunk(&mut self, chunk: &Chunk) {
        let rows = chunk.sent().len();
        if rows > 0 {
            self.jobs += 1;
            self.batches += rows.div_ceil(BATCH_RECORDS);
        }
    }

    fn examples(&mut self, coercion: &Coercion, source: &RecordBatch, cells: &Cells) {
        let columns = self.columns.iter_mut().zip(&coercion.header().columns);
        for ((column, header), written) in columns.zip(cells.batch.columns()) {
            let values = source.column(header.source);
            let written = written.as_string::<i32>();
            let unwritten = (0..written.len()).filter(|&row| written.is_null(row));
            let empty = unwritten.filter(|&row| text(values, row).trim().is_empty());
            column.empty += empty.count() as u64;
            if column.example.is_none() {
                let row =
                    (0..written.len()).find(|&row| written.is_valid(row) && values.is_valid(row));
                column.example = row.map(|row| (text(values, row), written.value(row).to_owned()));
            }
        }
    }

    /// Calls that the load would make, about.
    fn api_calls(&self) -> u64 {
        self.jobs * (CALLS_OF_A_JOB + POLLS_OF_A_JOB)
    }
}

/// A row that would be refused, with the values of the fields at fault.
fn rejected(source: &RecordBatch, row: usize, reason: &Reason) -> Rejected {
    let schema = source.schema();
    let fields = schema.fields().iter().zip(source.columns());
    let at_fault = fields.filter(|(field, _)| {
        let mut names = reason.fields.iter();
        names.any(|name| name.eq_ignore_ascii_case(field.name()))
    });
    let value = |values: &ArrayRef| values.is_valid(row).then(|| text(values, row));
    let values = at_fault.map(|(field, values)| (field.name().clone(), value(values)));
    Rejected {
        id: String::new(),
        attempt: None,
        ordinal: None,
        stage: reason.stage.as_str().to_owned(),
        code: reason.code.to_string(),
        message: reason.message.clone(),
        fields: reason.fields.clone(),
        values: values.collect(),
        text: source.column_by_name(RAW).and_then(value),
    }
}

fn text(values: &ArrayRef, row: usize) -> String {
    let options = FormatOptions::default();
    let formatter = ArrayFormatter::try_new(values, &options);
    formatter.map_or_else(
        |_| String::new(),
        |formatter| formatter.value(row).to_string(),
    )
}
