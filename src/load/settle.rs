//! The join back: which rows of an ended job were accepted, which were not, and why.
//!
//! Result files hold no row numbers, stand in any order and do not echo every value as it was
//! sent. Rows are therefore told apart by a digest ([`Identity`]): of their key, where they have one,
//! or of the canonical form of their cells. Both sides are joined on it and an occurrence number, so
//! that identical rows pair one to one.

mod identity;
mod passing;
mod reason;
mod verdict;

pub(crate) use identity::Identity;
pub(crate) use passing::Again;
pub(crate) use reason::Reasons;
pub(crate) use verdict::{EndState, Found, JobEnd, Verdict, verdict};

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::types::UInt64Type;
use arrow::array::{ArrayRef, AsArray, RecordBatch, UInt32Array, UInt64Array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::{JoinType, NullEquality};
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::error::DataFusionError;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_plan::joins::{HashJoinExec, PartitionMode};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use datafusion::physical_plan::{ExecutionPlan, PhysicalExpr};
use futures::{Stream, StreamExt as _, TryStreamExt as _};

use crate::coerce::Reason;
use crate::error::{Error, Result};

/// Columns that both sides are joined on.
const KEY: [&str; 3] = ["digest_high", "digest_low", "occurrence"];
/// Appended to the reason of a row whose result was found by elimination.
const BY_ELIMINATION: &str = " (matched by elimination)";

/// Rows that were sent, in their order: an ordinal and a digest each.
#[derive(Debug)]
pub(crate) struct SentRows {
    pub(crate) ordinals: UInt64Array,
    pub(crate) digests: Vec<u128>,
}

/// What a result row says of the row that was sent.
#[derive(Debug, Clone, Copy)]
enum Outcome {
    /// With the index of its reason.
    Failed(usize),
    Unprocessed,
    Succeeded,
}

/// The rows of a job's result files, reduced to their keys as they are read.
pub(crate) struct Settlement {
    context: Arc<TaskContext>,
    counter: Counter,
    keys: Vec<RecordBatch>,
    outcomes: Vec<Outcome>,
    reasons: Vec<Arc<Reason>>,
    successes_read: bool,
}

impl Settlement {
    /// Begins with no result row.
    pub(crate) fn new(context: Arc<TaskContext>) -> Self {
        Self {
            counter: Counter::new(&context),
            context,
            keys: Vec::new(),
            outcomes: Vec::new(),
            reasons: Vec::new(),
            successes_read: false,
        }
    }

    /// Adds failed rows, by their digests and with one reason each.
    pub(crate) fn failed(&mut self, digests: &[u128], reasons: Vec<Arc<Reason>>) -> Result<()> {
        if reasons.len() != digests.len() {
            return Err(defect("failed rows and their reasons differ in number"));
        }
        let first = self.reasons.len();
        self.reasons.extend(reasons);
        self.add(digests, |row| Outcome::Failed(first + row))
    }

    /// Adds rows that were not processed.
    pub(crate) fn unprocessed(&mut self, digests: &[u128]) -> Result<()> {
        self.add(digests, |_| Outcome::Unprocessed)
    }

    /// Says that successful rows are read: from now on, a row found in no file has no known end.
    pub(crate) fn expect_successes(&mut self) {
        self.successes_read = true;
    }

    /// Adds rows that were written.
    pub(crate) fn succeeded(&mut self, digests: &[u128]) -> Result<()> {
        self.expect_successes();
        self.add(digests, |_| Outcome::Succeeded)
    }

    fn add(&mut self, digests: &[u128], outcome: impl Fn(usize) -> Outcome) -> Result<()> {
        let first = self.outcomes.len();
        let rows = digests.len();
        self.outcomes.extend((0..rows).map(outcome));
        let index = (first..first + rows).map(|index| index as u64);
        let index = UInt64Array::from_iter_values(index);
        let keys = keys(&mut self.counter, digests, "result", index).map_err(from_datafusion)?;
        self.keys.push(keys);
        Ok(())
    }

    /// Joins the result rows to the rows that were sent.
    ///
    /// # Errors
    /// What `sent` answers; a system error if the join itself fails.
    pub(crate) async fn join(
        self,
        sent: impl Stream<Item = Result<SentRows>> + Send + 'static,
    ) -> Result<Settled> {
        let join_type = if self.successes_read {
            JoinType::Full
        } else {
            JoinType::Left
        };
        let mut counter = Counter::new(&self.context);
        let sent = sent.map(move |rows| {
            let rows = rows.map_err(|error| DataFusionError::External(Box::new(error)))?;
            keys(&mut counter, &rows.digests, "ordinal", rows.ordinals)
        });
        let plan = plan(self.keys, sent, join_type).map_err(from_datafusion)?;
        let mut pairs = plan.execute(0, self.context).map_err(from_datafusion)?;
        let mut settled = Settled::new(self.outcomes, self.reasons, self.successes_read);
        while let Some(batch) = pairs.try_next().await.map_err(from_datafusion)? {
            settled.take(&batch);
        }
        Ok(settled)
    }
}

impl fmt::Debug for Settlement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settlement")
            .field("rows", &self.outcomes.len())
            .finish_non_exhaustive()
    }
}

/// Result rows on the build side (they are fewer, and known first), sent rows streaming by.
fn plan(
    results: Vec<RecordBatch>,
    sent: impl Stream<Item = Result<RecordBatch, DataFusionError>> + Send + 'static,
    join_type: JoinType,
) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
    let left = MemorySourceConfig::try_new_exec(&[results], key_schema("result"), None)?;
    let schema = key_schema("ordinal");
    let stream = RecordBatchStreamAdapter::new(Arc::clone(&schema), sent);
    let once = Once {
        schema: Arc::clone(&schema),
        stream: Mutex::new(Some(Box::pin(stream))),
    };
    let right = StreamingTableExec::try_new(schema, vec![Arc::new(once)], None, [], false, None)?;
    let on = KEY.iter().enumerate().map(|(index, name)| {
        let column: Arc<dyn PhysicalExpr> = Arc::new(Column::new(name, index));
        (Arc::clone(&column), column)
    });
    let join = HashJoinExec::try_new(
        left,
        Arc::new(right),
        on.collect(),
        None,
        &join_type,
        Some(vec![KEY.len(), 2 * KEY.len() + 1]),
        PartitionMode::CollectLeft,
        NullEquality::NullEqualsNothing,
        false,
    )?;
    Ok(Arc::new(join))
}

/// A stream as the one partition of a plan that runs once.
struct Once {
    schema: SchemaRef,
    stream: Mutex<Option<SendableRecordBatchStream>>,
}

impl fmt::Debug for Once {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Once")
    }
}

impl PartitionStream for Once {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let mut stream = self.stream.lock().unwrap_or_else(PoisonError::into_inner);
        stream.take().unwrap_or_else(|| {
            let again = DataFusionError::Internal("the plan runs once".to_owned());
            let again = futures::stream::once(std::future::ready(Err(again)));
            Box::pin(RecordBatchStreamAdapter::new(
                Arc::clone(&self.schema),
                again,
            ))
        })
    }
}

fn key_schema(value: &str) -> SchemaRef {
    let kinds = [DataType::UInt64, DataType::UInt64, DataType::UInt32];
    let keys = KEY
        .iter()
        .zip(kinds)
        .map(|(name, kind)| Field::new(*name, kind, false));
    let value = Field::new(value, DataType::UInt64, false);
    Arc::new(Schema::new(keys.chain([value]).collect::<Vec<_>>()))
}

/// The key of each row: its digest, and how often this digest came before.
fn keys(
    counter: &mut Counter,
    digests: &[u128],
    value: &str,
    values: UInt64Array,
) -> Result<RecordBatch, DataFusionError> {
    let high = digests.iter().map(|digest| (digest >> 64) as u64);
    let low = digests.iter().map(|digest| *digest as u64);
    let occurrences = digests.iter().map(|digest| counter.next(*digest));
    let occurrences = UInt32Array::from_iter_values(occurrences);
    counter.account()?;
    let columns: Vec<ArrayRef> = vec![
        Arc::new(UInt64Array::from_iter_values(high)),
        Arc::new(UInt64Array::from_iter_values(low)),
        Arc::new(occurrences),
        Arc::new(values),
    ];
    Ok(RecordBatch::try_new(key_schema(value), columns)?)
}

/// Counts how often each digest came, within the memory pool.
struct Counter {
    seen: HashMap<u128, u32>,
    memory: MemoryReservation,
}

impl Counter {
    fn new(context: &TaskContext) -> Self {
        Self {
            seen: HashMap::new(),
            memory: MemoryConsumer::new("settle").register(context.memory_pool()),
        }
    }

    fn next(&mut self, digest: u128) -> u32 {
        let count = self.seen.entry(digest).or_default();
        let occurrence = *count;
        *count += 1;
        occurrence
    }

    fn account(&mut self) -> Result<(), DataFusionError> {
        // A table holds an entry and a byte of its own in 8 of 7 places.
        let entry = size_of::<(u128, u32)>() + 1;
        self.memory.try_resize(self.seen.capacity() * entry * 8 / 7)
    }
}

/// What the join found.
#[derive(Debug)]
pub(crate) struct Settled {
    outcomes: Vec<Outcome>,
    reasons: Vec<Arc<Reason>>,
    rejected: Vec<(u64, Arc<Reason>)>,
    unprocessed: Vec<u64>,
    unmatched: Vec<Outcome>,
    /// Rows found in no file; `None` if successful rows were not read.
    open: Option<Vec<u64>>,
}

/// The ends of a job's rows, in ascending order. Rows that are in none of them were accepted.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Ends {
    pub(crate) rejected: Vec<(u64, Arc<Reason>)>,
    /// Not processed: these go into a new job.
    pub(crate) unprocessed: Vec<u64>,
    /// Found in no result file, or not to be told apart from others.
    pub(crate) indeterminate: Vec<u64>,
}

impl Settled {
    fn new(outcomes: Vec<Outcome>, reasons: Vec<Arc<Reason>>, successes_read: bool) -> Self {
        Self {
            outcomes,
            reasons,
            rejected: Vec::new(),
            unprocessed: Vec::new(),
            unmatched: Vec::new(),
            open: successes_read.then(Vec::new),
        }
    }

    /// Takes pairs of a result row and an ordinal, either of which may be null.
    fn take(&mut self, pairs: &RecordBatch) {
        let results = pairs.column(0).as_primitive::<UInt64Type>();
        let ordinals = pairs.column(1).as_primitive::<UInt64Type>();
        for (result, ordinal) in results.iter().zip(ordinals) {
            let outcome = result.and_then(|index| self.outcomes.get(index as usize).copied());
            match (outcome, ordinal) {
                (Some(outcome), Some(ordinal)) => self.end(ordinal, outcome, ""),
                (Some(outcome), None) => self.unmatched.push(outcome),
                (None, Some(ordinal)) => self.open.iter_mut().for_each(|open| open.push(ordinal)),
                (None, None) => {}
            }
        }
    }

    fn end(&mut self, ordinal: u64, outcome: Outcome, remark: &str) {
        match outcome {
            Outcome::Failed(reason) => {
                if let Some(reason) = self.reasons.get(reason) {
                    let mut reason = Arc::clone(reason);
                    if !remark.is_empty() {
                        Arc::make_mut(&mut reason).message.push_str(remark);
                    }
                    self.rejected.push((ordinal, reason));
                }
            }
            Outcome::Unprocessed => self.unprocessed.push(ordinal),
            Outcome::Succeeded => {}
        }
    }

    /// The end of each row, or `None` if that takes the successful rows, which were not read.
    ///
    /// Once they were, rows still open are taken for the unmatched results where these are as many
    /// and all say the same of their row; otherwise they are indeterminate.
    pub(crate) fn ends(mut self) -> Option<Ends> {
        let unmatched = std::mem::take(&mut self.unmatched);
        let mut indeterminate = match self.open.take() {
            Some(open) => open,
            None if unmatched.is_empty() => Vec::new(),
            None => return None,
        };
        indeterminate.sort_unstable();
        let kind = unmatched.first().map(std::mem::discriminant);
        let alike = unmatched
            .iter()
            .all(|outcome| Some(std::mem::discriminant(outcome)) == kind);
        if alike && unmatched.len() == indeterminate.len() {
            for (ordinal, outcome) in indeterminate.drain(..).zip(unmatched) {
                self.end(ordinal, outcome, BY_ELIMINATION);
            }
        }
        self.rejected.sort_unstable_by_key(|(ordinal, _)| *ordinal);
        self.unprocessed.sort_unstable();
        Some(Ends {
            rejected: self.rejected,
            unprocessed: self.unprocessed,
            indeterminate,
        })
    }
}

/// An error of the rows that were sent comes back as it was.
fn from_datafusion(error: DataFusionError) -> Error {
    match error {
        DataFusionError::External(error) => match error.downcast::<Error>() {
            Ok(error) => *error,
            Err(error) => defect(&error.to_string()),
        },
        DataFusionError::Context(_, error) => from_datafusion(*error),
        DataFusionError::ResourcesExhausted(reason) => Error::config(format!(
            "matching a job's results to its rows needs more memory ({reason}); raise \
             memory_limit_bytes or lower max_job_bytes"
        )),
        error => defect(&error.to_string()),
    }
}

fn defect(reason: &str) -> Error {
    Error::system(format!(
        "the results of a job could not be matched to its rows: {reason}; report it, it is a defect"
    ))
}

#[cfg(test)]
mod tests;
