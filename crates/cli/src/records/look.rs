//! Values of records as an org has them now: by lists of their keys, or by a query of the whole object,
//! whichever costs less.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use arrow_salesforce::arrow::array::{ArrayRef, RecordBatch, StringBuilder};
use arrow_salesforce::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow_salesforce::arrow::error::ArrowError;
use arrow_salesforce::bulk::{Client, KeyedBy, QueryOptions, Types};
use futures::stream::{self, BoxStream, StreamExt as _, TryStreamExt as _};

use crate::error::{CliError, Result};
use crate::parquet_file::ParquetFile;
use crate::watch::numbers::counted;

/// Most keys that lists are made of.
const LISTED: usize = 200_000;

/// Keys of a list whose address is short enough for one call, on average.
const KEYS_A_CALL: u64 = 200;

/// Bytes of the columns of a list.
const MOST_SELECTED: usize = 6_000;

/// Keys whose records make a batch.
const KEYS_A_BATCH: usize = 1_000;

/// Lists that are asked for at once.
const LISTS_AT_ONCE: usize = 4;

/// Calls of a query job beside its pages.
const CALLS_OF_JOB: u64 = 6;

/// Records of a page of a query job.
const RECORDS_A_PAGE: u64 = 50_000;

/// Records that come as quickly as a call is answered.
const RECORDS_A_CALL: u64 = 5_000;

/// The values of a record.
type Row = Vec<Option<String>>;

/// Which records are looked for, and what is read of each.
#[derive(Debug, Clone)]
pub(crate) struct Look {
    pub(crate) client: Client,
    pub(crate) object: String,
    /// The field whose values name the records.
    pub(crate) key: String,
    /// It holds numbers.
    pub(crate) numeric: bool,
    /// The Id, then fields, or those of parents.
    pub(crate) columns: Vec<String>,
}

/// The keys of the records.
#[derive(Debug, Clone)]
pub(crate) enum Keys {
    /// Each once.
    Listed(Vec<String>),
    /// More than lists are worth.
    TooMany,
}

/// How records are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    /// By lists of keys.
    Lists { keys: u64, calls: u64 },
    /// All records of the object that have a key.
    Whole {
        /// How many there are, if the org says it.
        records: Option<u64>,
        calls: u64,
    },
}

/// Collects keys, each once, as long as lists are worth it.
#[derive(Debug, Default)]
pub(crate) struct KeyList {
    keys: HashSet<String>,
    too_many: bool,
}

impl KeyList {
    /// Adds a key. Returns whether more are wanted.
    pub(crate) fn push(&mut self, key: &str) -> bool {
        if !self.too_many && !self.keys.contains(key) {
            self.keys.insert(key.to_owned());
            self.too_many = self.keys.len() > LISTED;
        }
        !self.too_many
    }

    /// The keys, in order.
    pub(crate) fn finish(self) -> Keys {
        if self.too_many {
            return Keys::TooMany;
        }
        let mut keys: Vec<String> = self.keys.into_iter().collect();
        keys.sort_unstable();
        Keys::Listed(keys)
    }
}

impl How {
    /// What it takes, as half a sentence.
    pub(crate) fn said(&self) -> String {
        match self {
            Self::Lists { keys, calls } => format!(
                "by {} in lists, with about {}",
                counted(*keys, "key"),
                counted(*calls, "call")
            ),
            Self::Whole { records, calls } => {
                let all = match records {
                    Some(records) => format!("all {}", counted(*records, "record")),
                    None => "all records".to_owned(),
                };
                format!(
                    "by one query of {all} of the object, with about {}",
                    counted(*calls, "call")
                )
            }
        }
    }

    /// The way that costs less: `records` of the object are there.
    fn of(keys: &Keys, records: Option<u64>) -> Self {
        let in_job = |records: u64| CALLS_OF_JOB + records.div_ceil(RECORDS_A_PAGE);
        let whole = Self::Whole {
            records,
            calls: in_job(records.unwrap_or(0)),
        };
        let Keys::Listed(listed) = keys else {
            return whole;
        };
        let keys = listed.len() as u64;
        let calls = keys.div_ceil(KEYS_A_CALL);
        let costs_of_job = |records| in_job(records) + records / RECORDS_A_CALL;
        match records {
            Some(records) if costs_of_job(records) < calls + keys / RECORDS_A_CALL => whole,
            _ => Self::Lists { keys, calls },
        }
    }
}

impl Look {
    /// Columns that are read: the Id and these, each once, whatever its letter case.
    pub(crate) fn columns_of<'a>(names: impl Iterator<Item = &'a str>) -> Vec<String> {
        let mut columns: Vec<String> = Vec::new();
        for name in std::iter::once("Id").chain(names) {
            let known = |column: &String| column.eq_ignore_ascii_case(name);
            if !columns.iter().any(known) {
                columns.push(name.to_owned());
            }
        }
        columns
    }

    /// How the records of these keys are read.
    pub(crate) async fn choose(&self, keys: &Keys) -> How {
        // The address of a list has them all.
        let selected: usize = self.columns.iter().map(|column| column.len() + 2).sum();
        if selected > MOST_SELECTED {
            return How::of(&Keys::TooMany, self.count().await);
        }
        let records = match keys {
            // So few calls that it is not worth asking.
            Keys::Listed(keys) if keys.len() as u64 <= CALLS_OF_JOB * KEYS_A_CALL => None,
            _ => self.count().await,
        };
        How::of(keys, records)
    }

    /// How many records the object has, if that can be counted in time.
    async fn count(&self) -> Option<u64> {
        let count = self.client.record_count(&self.object).await;
        count
            .inspect_err(|error| tracing::debug!(%error, "the records cannot be counted"))
            .ok()
    }

    /// The columns of the batches: Utf8, with the names of [`Look::columns`].
    pub(crate) fn schema(&self) -> SchemaRef {
        let fields = self.columns.iter();
        let fields = fields.map(|name| Field::new(name, DataType::Utf8, true));
        Arc::new(Schema::new(fields.collect::<Vec<_>>()))
    }

    /// The records, in no order; by a query of the whole object, also those of other keys.
    ///
    /// # Errors
    /// Those of calls, also of the items.
    pub(crate) async fn read(
        &self,
        how: How,
        keys: Keys,
    ) -> Result<BoxStream<'static, Result<RecordBatch>>> {
        match keys {
            Keys::Listed(keys) if matches!(how, How::Lists { .. }) => Ok(self.by_lists(&keys)),
            _ => self.whole().await,
        }
    }

    /// Reads the records into a file; returns how many.
    ///
    /// # Errors
    /// Those of calls, and of writing the file.
    pub(crate) async fn keep(&self, how: How, keys: Keys, path: &Path) -> Result<u64> {
        let mut file = ParquetFile::create(path, self.schema())?;
        let mut rows = self.read(how, keys).await?;
        while let Some(batch) = rows.try_next().await? {
            file = file.write(batch).await?;
        }
        Ok(file.finish().await?)
    }

    fn by_lists(&self, keys: &[String]) -> BoxStream<'static, Result<RecordBatch>> {
        let lists: Vec<Vec<String>> = keys.chunks(KEYS_A_BATCH).map(<[_]>::to_vec).collect();
        let look = self.clone();
        let of_lists = look.clone();
        let read = stream::iter(lists).map(move |keys| {
            let look = of_lists.clone();
            async move {
                let by = KeyedBy {
                    object: &look.object,
                    field: &look.key,
                    numeric: look.numeric,
                };
                let found = look.client.values_by_key(by, &keys, &look.columns).await;
                Ok(found.map_err(arrow_salesforce::Error::from)?)
            }
        });
        let mut seen = HashSet::new();
        let batches = read
            .buffered(LISTS_AT_ONCE)
            .map(move |found: Result<Vec<Row>>| {
                let mut found = found?;
                // Keys that differ in letter case alone find the same record.
                found.retain(|row| row.first().is_none_or(|id| seen.insert(id.clone())));
                look.batch(&found).map_err(broken)
            });
        batches.boxed()
    }

    fn batch(&self, rows: &[Row]) -> Result<RecordBatch, ArrowError> {
        let column = |index: usize| -> ArrayRef {
            let mut texts = StringBuilder::new();
            for row in rows {
                // To a query, an empty text is none.
                let value = row.get(index).and_then(Option::as_deref);
                texts.append_option(value.filter(|value| !value.is_empty()));
            }
            Arc::new(texts.finish())
        };
        let columns = (0..self.columns.len()).map(column).collect();
        RecordBatch::try_new(self.schema(), columns)
    }

    async fn whole(&self) -> Result<BoxStream<'static, Result<RecordBatch>>> {
        let (object, key) = (&self.object, &self.key);
        let mut soql = format!("SELECT {} FROM {object}", self.columns.join(", "));
        if !key.eq_ignore_ascii_case("Id") {
            soql.push_str(&format!(" WHERE {key} != null"));
        }
        let options = QueryOptions::default().with_types(Types::Text);
        let query = self.client.query(&soql, options).await;
        let query = query.map_err(arrow_salesforce::Error::from)?;
        let schema = self.schema();
        let rows = query.stream().map(move |batch| {
            let batch = batch.map_err(arrow_salesforce::Error::from)?;
            let columns = batch.columns().to_vec();
            RecordBatch::try_new(Arc::clone(&schema), columns).map_err(broken)
        });
        Ok(rows.boxed())
    }
}

#[expect(clippy::needless_pass_by_value, reason = "map_err hands it over")]
fn broken(error: ArrowError) -> CliError {
    CliError::failed(format!("records of the org cannot be read: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(count: u64) -> Keys {
        Keys::Listed((0..count).map(|key| key.to_string()).collect())
    }

    #[test]
    fn what_costs_less_is_chosen() {
        for (count, records, lists) in [
            (1, None, true),
            (1_000, Some(1_000_000), true),
            (10_000, Some(10_000), false),
            (200_000, Some(400_000), false),
            (200_000, Some(50_000_000), true),
            (0, None, true),
        ] {
            let how = How::of(&keys(count), records);
            assert_eq!(
                matches!(how, How::Lists { .. }),
                lists,
                "{count} {records:?}"
            );
        }
        assert!(matches!(How::of(&Keys::TooMany, None), How::Whole { .. }));
    }

    #[test]
    fn what_it_takes_is_said() {
        insta::assert_snapshot!(How::of(&keys(1_000), None).said(), @"by 1,000 keys in lists, with about 5 calls");
        insta::assert_snapshot!(How::of(&Keys::TooMany, Some(400_000)).said(), @"by one query of all 400,000 records of the object, with about 14 calls");
    }

    #[test]
    fn keys_are_listed_once() {
        let mut list = KeyList::default();
        for key in ["b", "a", "b"] {
            assert!(list.push(key));
        }
        assert!(matches!(list.finish(), Keys::Listed(keys) if keys == ["a", "b"]));
        let mut list = KeyList::default();
        let wanted = (0..=LISTED).map(|key| list.push(&key.to_string()));
        assert_eq!(wanted.filter(|wanted| !wanted).count(), 1);
        assert!(matches!(list.finish(), Keys::TooMany));
    }
}
