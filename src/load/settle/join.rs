//! The join back of one job, from its result files to the ends of its rows.

use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use datafusion::execution::TaskContext;
use datafusion::execution::memory_pool::MemoryReservation;

use super::ends::{Ends, JobCounts};
use super::groups::SentRows;
use super::identity::Identity;
use super::reason::Reasons;
use super::record_log::RecordLog;
use super::settlement::{Settled, Settlement};
use crate::coerce::{Coercion, Reason};
use crate::error::Result;
use crate::object::RecordIds;
use crate::rows::{KeyDigest, RowSet};

/// Digests of rows sent that are joined at once.
const DIGESTS_AT_ONCE: usize = 8_192;

/// Joins the result files of a job to the rows that were sent in it.
///
/// Result rows are reduced to digests as they are added. The rows that were sent are coerced once
/// more, a batch at a time, so that their cells need not be kept. Where the memory pool has no room
/// for all digests, they go to temporary files and are joined in parts.
#[derive(Debug)]
pub struct JoinBack {
    coercion: Arc<Coercion>,
    identity: Identity,
    rows: Settlement,
    reasons: Reasons,
    ids: RecordIds,
    ids_memory: MemoryReservation,
}

/// Which record each row became.
#[derive(Debug)]
pub(crate) struct Records {
    pub(crate) log: RecordLog,
    /// The Ids of the numbers in it.
    pub(crate) ids: RecordIds,
}

impl JoinBack {
    /// Begins with the first rows of each result file that has rows: they say which columns came
    /// back. The join draws from the memory pool of `context`.
    ///
    /// # Errors
    /// A system error if the rows have no canonical form.
    pub fn new(
        coercion: Arc<Coercion>,
        firsts: &[RecordBatch],
        context: &TaskContext,
    ) -> Result<Self> {
        let identity = Identity::of(&coercion, firsts)?;
        Ok(Self::by(identity, coercion, context))
    }

    fn by(identity: Identity, coercion: Arc<Coercion>, context: &TaskContext) -> Self {
        let rows = Settlement::new(context);
        Self {
            identity,
            coercion,
            ids: RecordIds::default(),
            ids_memory: rows.memory(),
            rows,
            reasons: Reasons::default(),
        }
    }

    /// As [`JoinBack::new`], for rows of which the digests of all cells are known and nothing else; or
    /// the columns that a result file lacks.
    ///
    /// # Errors
    /// As [`JoinBack::new`].
    pub(crate) fn by_all_cells(
        coercion: Arc<Coercion>,
        firsts: &[RecordBatch],
        context: &TaskContext,
    ) -> Result<Result<Self, Vec<String>>> {
        let identity = Identity::of_all_cells(&coercion, firsts)?;
        Ok(identity.map(|identity| Self::by(identity, coercion, context)))
    }

    /// Whether the results that were added have values in all columns: then they are compared by the
    /// digests of all cells, as [`row_digests`](super::row_digests) makes them.
    pub(crate) fn has_all_cells(&self) -> bool {
        self.identity.has_all_cells(&self.coercion)
    }

    /// Whether the results are compared by the keys of rows, as [`KeyForm::digest`] makes them.
    ///
    /// [`KeyForm::digest`]: crate::coerce::KeyForm::digest
    pub(crate) fn has_keys(&self) -> bool {
        self.identity.is_key()
    }

    /// Adds rows of `failedResults`, of which `sf__Error` is the reason.
    ///
    /// # Errors
    /// A system error if they have no canonical form.
    pub fn failed(&mut self, rows: &RecordBatch) -> Result<()> {
        let digests = self.identity.of_results(&self.coercion, rows)?;
        let reasons = reasons(rows, &mut self.reasons);
        self.rows.failed(&digests, reasons)
    }

    /// Adds rows of `unprocessedrecords`.
    ///
    /// # Errors
    /// As [`JoinBack::failed`].
    pub fn unprocessed(&mut self, rows: &RecordBatch) -> Result<()> {
        let digests = self.identity.of_results(&self.coercion, rows)?;
        self.rows.unprocessed(&digests);
        Ok(())
    }

    /// Says that successful rows are added too: a row found in no file is unknown then. Without them
    /// it was accepted.
    pub fn expect_successes(&mut self) {
        self.rows.expect_successes();
    }

    /// Adds rows of `successfulResults`, of which `sf__Id` is the record.
    ///
    /// # Errors
    /// As [`JoinBack::failed`].
    pub fn succeeded(&mut self, rows: &RecordBatch) -> Result<()> {
        let digests = self.identity.of_results(&self.coercion, rows)?;
        self.rows.succeeded(&digests, &records(rows, &mut self.ids));
        self.ids_memory.resize(self.ids.memory());
        Ok(())
    }

    /// The end of each row of `sent`; `None` if that takes the successful rows, which were not
    /// added. `sources` are the source batches that hold these rows, ascending, each with the
    /// ordinal of its first row; `counts` are those of the job, where it gives them.
    ///
    /// # Errors
    /// Those of `sources`; a system error if the rows have no canonical form, or cannot be read back
    /// from a temporary file.
    pub fn join(
        self,
        sent: &RowSet,
        sources: impl IntoIterator<Item = Result<(u64, RecordBatch)>>,
        counts: Option<JobCounts>,
    ) -> Result<Option<Ends>> {
        let coercion = Arc::clone(&self.coercion);
        let (settled, identity, _) = self.settled(sent, sources)?;
        let mut ends = settled.ends(counts)?;
        if let Some(ends) = &mut ends
            && !ends.unknown.is_empty()
        {
            ends.lacking = identity.lacking(&coercion);
        }
        Ok(ends)
    }
}

impl JoinBack {
    /// Goes on with the Ids of another job: numbers are of both.
    #[must_use]
    pub(crate) fn with_ids(mut self, ids: RecordIds) -> Self {
        self.ids = ids;
        self
    }

    /// As [`JoinBack::records`], for rows of which the digests of all cells are known: those of `sent`,
    /// of which some were `written`, one for each in their order.
    ///
    /// # Errors
    /// As [`JoinBack::join`].
    pub(crate) fn records_of_digests(
        self,
        sent: &RowSet,
        digests: impl Iterator<Item = KeyDigest>,
        written: &RowSet,
    ) -> Result<Records> {
        let rows = sent.iter().zip(digests);
        let parts = parts_of(rows.filter(|(row, _)| written.contains(*row)));
        let log = self.rows.join(parts)?.records(written)?;
        Ok(Records { log, ids: self.ids })
    }

    /// Which record each of the rows `written` became, by the successful rows, which alone were added.
    /// `sources` are as for [`JoinBack::join`].
    ///
    /// # Errors
    /// As [`JoinBack::join`].
    pub(crate) fn records(
        self,
        written: &RowSet,
        sources: impl IntoIterator<Item = Result<(u64, RecordBatch)>>,
    ) -> Result<Records> {
        let (settled, _, ids) = self.settled(written, sources)?;
        let log = settled.records(written)?;
        Ok(Records { log, ids })
    }

    /// Joins the results to the rows sent; returns what was compared too, and the Ids in the results.
    fn settled(
        self,
        sent: &RowSet,
        sources: impl IntoIterator<Item = Result<(u64, RecordBatch)>>,
    ) -> Result<(Settled, Identity, RecordIds)> {
        let Self {
            coercion,
            mut identity,
            rows,
            ids,
            ..
        } = self;
        let mut without_result = RowSet::new();
        let sources = sources.into_iter().map(|source| {
            let (first, batch) = source?;
            let (rows, others) = identity.sent_rows(&coercion, first, &batch, sent)?;
            without_result.insert_all(&others);
            Ok(rows)
        });
        let mut settled = rows.join(sources)?;
        settled.add_without_result(&without_result);
        Ok((settled, identity, ids))
    }
}

impl JoinBack {
    /// As [`JoinBack::join`], for rows of which the digests that are compared are known, those of their
    /// keys or of all cells: one for each of `sent`, in their order.
    ///
    /// # Errors
    /// As [`JoinBack::join`].
    pub(crate) fn join_digests(
        self,
        sent: &RowSet,
        digests: impl Iterator<Item = KeyDigest>,
        counts: Option<JobCounts>,
    ) -> Result<Option<Ends>> {
        let parts = parts_of(sent.iter().zip(digests));
        self.rows.join(parts)?.ends(counts)
    }
}

/// Rows by their ordinals and digests, so many at once.
fn parts_of(
    rows: impl Iterator<Item = (u64, KeyDigest)>,
) -> impl Iterator<Item = Result<SentRows>> {
    let mut rows = rows.peekable();
    std::iter::from_fn(move || {
        rows.peek()?;
        let rows = rows.by_ref().take(DIGESTS_AT_ONCE);
        let (ordinals, digests): (Vec<u64>, Vec<KeyDigest>) = rows.unzip();
        Some(Ok(SentRows {
            ordinals: ordinals.into(),
            digests,
            wholes: None,
        }))
    })
}

/// The number of the Id of each record that was written, 0 where there is none.
fn records(succeeded: &RecordBatch, ids: &mut RecordIds) -> Vec<u64> {
    let texts = |name| {
        succeeded
            .column_by_name(name)
            .map(AsArray::as_string::<i32>)
    };
    let (records, created) = (texts("sf__Id"), texts("sf__Created"));
    let number = |row| {
        let id = records.filter(|ids| ids.is_valid(row))?.value(row);
        let created = created.filter(|created| created.is_valid(row));
        let created =
            created.is_some_and(|created| created.value(row).eq_ignore_ascii_case("true"));
        Some(ids.number(id, created))
    };
    let numbers = (0..succeeded.num_rows()).map(number);
    numbers.map(Option::unwrap_or_default).collect()
}

/// The reason of each failed row, in Salesforce's words.
fn reasons(failed: &RecordBatch, known: &mut Reasons) -> Vec<Arc<Reason>> {
    let errors = failed
        .column_by_name("sf__Error")
        .map(AsArray::as_string::<i32>);
    (0..failed.num_rows())
        .map(|row| {
            let error = errors.filter(|errors| errors.is_valid(row));
            known.of(error.map_or("", |errors| errors.value(row)))
        })
        .collect()
}

#[cfg(test)]
mod tests;
