//! What happens to the rows of a whole job: merged by key, joined back, written as rejected.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow_salesforce::arrow::array::{ArrayRef, AsArray, RecordBatch, StringArray, UInt64Array};
use arrow_salesforce::arrow::compute::{concat_batches, take_record_batch};
use arrow_salesforce::chunk::{Chunk, Chunker, RowOrdinals};
use arrow_salesforce::coerce::{Coercion, Reason, Stage};
use arrow_salesforce::load::settle::JoinBack;
use arrow_salesforce::object::Operation;
use arrow_salesforce::reject::airbyte::labels;
use arrow_salesforce::reject::{RejectFormat, RejectStream, RejectedRow, rejected};
use arrow_salesforce::rows::{KeySet, RowSet};
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput};
use datafusion::error::Result;
use datafusion::execution::TaskContext;
use datafusion::execution::memory_pool::{MemoryPool, MemoryReservation, UnboundedMemoryPool};
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use fastrand::Rng;

use super::input::{SHAPES, coercion, job_rows, sources, upsert};
use super::records::Shape;

const SF_ERROR: &str = "REQUIRED_FIELD_MISSING:Required fields are missing: [LastName]:LastName --";

fn cells(coercion: &Coercion, sources: &[RecordBatch]) -> Vec<RecordBatch> {
    let cells = sources
        .iter()
        .map(|batch| coercion.apply(batch).unwrap().batch);
    cells.collect()
}

/// One row in ten has the key of a row before it.
pub(crate) fn merge(criterion: &mut Criterion) {
    for shape in SHAPES {
        let coercion = coercion(shape, &upsert());
        let key = coercion.key().unwrap();
        let chunk = repeating(&cells(&coercion, &sources(shape)), key.column);
        let mut group = criterion.benchmark_group(shape.name());
        group
            .sample_size(10)
            .throughput(Throughput::Elements(chunk.rows()));
        group.bench_function("merge/10%", |bench| {
            let none = KeySet::default();
            let once = |chunk: Chunk| chunk.by_key(key).unwrap().merge(&none).unwrap();
            bench.iter_batched(|| chunk.clone(), once, BatchSize::PerIteration);
        });
        group.finish();
    }
}

fn repeating(cells: &[RecordBatch], key: usize) -> Chunk {
    let mut random = Rng::with_seed(1);
    let schema = cells[0].schema();
    let mut chunker = Chunker::new(&schema, u64::MAX, None).unwrap();
    let mut seen: Vec<String> = Vec::new();
    for batch in cells {
        let first = seen.len() as u64;
        for value in batch.column(key).as_string::<i32>().iter().flatten() {
            let again = !seen.is_empty() && random.u8(..10) == 0;
            let other = again.then(|| seen[random.usize(..seen.len())].clone());
            seen.push(other.unwrap_or_else(|| value.to_owned()));
        }
        let mut columns = batch.columns().to_vec();
        columns[key] = Arc::new(StringArray::from_iter_values(&seen[first as usize..]));
        let batch = RecordBatch::try_new(batch.schema(), columns).unwrap();
        let pushed = chunker
            .push(&batch, RowOrdinals::From(first), None)
            .unwrap();
        assert!(pushed.closed.is_empty());
    }
    chunker.close().unwrap()
}

/// Rejected records of one batch to lines of JSON.
pub(crate) fn rejects(criterion: &mut Criterion) {
    let reason = Arc::new(Reason {
        stage: Stage::Salesforce,
        code: "REQUIRED_FIELD_MISSING".into(),
        message: "Required fields are missing: [LastName]".to_owned(),
        fields: vec!["LastName".to_owned()],
    });
    let format = RejectFormat::default();
    let stream = RejectStream {
        name: "contacts".to_owned(),
        namespace: None,
        labels: labels(1, 1),
        attempt: None,
    };
    for shape in SHAPES {
        let source = sources(shape).swap_remove(0);
        let row = |ordinal| RejectedRow {
            ordinal,
            reason: Arc::clone(&reason),
            job_id: Some("7500000000000AAAA0".into()),
        };
        let rows: Vec<RejectedRow> = (0..source.num_rows() as u64).map(row).collect();
        let records = rejected(source, &rows, chrono::Utc::now()).unwrap();
        let mut group = criterion.benchmark_group(shape.name());
        group.throughput(Throughput::Elements(rows.len() as u64));
        let mut out = Vec::new();
        group.bench_function("rejects", |bench| {
            bench.iter(|| {
                out.clear();
                format.write(&stream, &records, &mut out).unwrap();
            });
        });
        group.finish();
    }
}

/// A job of which some rows failed: its results in no order, with numbers and dates as sent.
pub(crate) fn settle(criterion: &mut Criterion) {
    for shape in SHAPES {
        let sent = sources(shape);
        for (name, operation) in [("insert", Operation::Insert), ("upsert", upsert())] {
            let coercion = Arc::new(coercion(shape, &operation));
            let cells = cells(&coercion, &sent);
            let mut group = criterion.benchmark_group(shape.name());
            group
                .sample_size(10)
                .throughput(Throughput::Elements(job_rows(shape)));
            for percent in [5, 100] {
                let failed = failed(&cells, percent);
                let rows: usize = failed.iter().map(RecordBatch::num_rows).sum();
                let peak = Arc::new(Peak::default());
                let pool = Arc::clone(&peak) as Arc<dyn MemoryPool>;
                let once = || {
                    let context = context(&pool);
                    let records = join_back(&coercion, &sent, &failed, &context);
                    assert_eq!(
                        rows,
                        records.iter().map(RecordBatch::num_rows).sum::<usize>()
                    );
                    records
                };
                let id = BenchmarkId::new(format!("settle/{name}"), format!("{percent}%"));
                group.bench_function(id, |bench| bench.iter(once));
                report_memory(shape, name, percent, &peak, &once());
            }
            group.finish();
        }
    }
}

/// Joins failed rows to the source rows that were sent, and makes rejected records of these.
fn join_back(
    coercion: &Arc<Coercion>,
    sent: &[RecordBatch],
    failed: &[RecordBatch],
    context: &TaskContext,
) -> Vec<RecordBatch> {
    let firsts = failed.get(..1).unwrap_or_default();
    let mut join = JoinBack::new(Arc::clone(coercion), firsts, context).unwrap();
    for rows in failed {
        join.failed(rows).unwrap();
    }
    let mut next = 0;
    let numbered = sent.iter().map(|batch| {
        let first = next;
        next += batch.num_rows() as u64;
        (first, batch.clone())
    });
    let sources: Vec<(u64, RecordBatch)> = numbered.collect();
    let (rows, numbered) = (RowSet::from(0..next), sources.iter().cloned());
    let ends = join.join(&rows, numbered.map(Ok), None).unwrap().unwrap();
    let row = |(ordinal, reason)| RejectedRow {
        ordinal,
        reason,
        job_id: None,
    };
    let all: Vec<RejectedRow> = ends.rejected.into_iter().map(row).collect();
    let records = sources.into_iter().filter_map(|(first, batch)| {
        let end = first + batch.num_rows() as u64;
        let position = |ordinal| all.partition_point(|row| row.ordinal < ordinal);
        let here = &all[position(first)..position(end)];
        let rows: UInt64Array = here.iter().map(|row| row.ordinal - first).collect();
        let rows = take_record_batch(&batch, &rows).unwrap();
        (!here.is_empty()).then(|| rejected(rows, here, chrono::Utc::now()).unwrap())
    });
    records.collect()
}

/// The rows that failed, as result files echo them.
fn failed(cells: &[RecordBatch], percent: u8) -> Vec<RecordBatch> {
    let mut random = Rng::with_seed(1);
    let cells = concat_batches(&cells[0].schema(), cells).unwrap();
    let all = 0..cells.num_rows() as u64;
    let mut rows: Vec<u64> = all.filter(|_| random.u8(..100) < percent).collect();
    random.shuffle(&mut rows);
    let echo = |rows: &[u64]| {
        let rows = UInt64Array::from(rows.to_vec());
        let cells = take_record_batch(&cells, &rows).unwrap();
        let count = cells.num_rows();
        let own = |text| Arc::new(StringArray::from_iter(vec![text; count])) as ArrayRef;
        let added = [("sf__Id", own(None)), ("sf__Error", own(Some(SF_ERROR)))];
        let schema = cells.schema();
        let names = schema.fields().iter().map(|field| field.name().as_str());
        let columns = added
            .into_iter()
            .chain(names.zip(cells.columns().iter().cloned()));
        RecordBatch::try_from_iter(columns).unwrap()
    };
    rows.chunks(8_192).map(echo).collect()
}

fn context(pool: &Arc<dyn MemoryPool>) -> TaskContext {
    let runtime = RuntimeEnvBuilder::new().with_memory_pool(Arc::clone(pool));
    TaskContext::default().with_runtime(runtime.build_arc().unwrap())
}

#[allow(clippy::print_stdout, reason = "criterion has no place for memory")]
fn report_memory(shape: Shape, name: &str, percent: u8, peak: &Peak, records: &[RecordBatch]) {
    let records: usize = records.iter().map(RecordBatch::get_array_memory_size).sum();
    let join = peak.most.load(Ordering::Relaxed);
    println!(
        "{shape}/settle/{name}/{percent}%: {} MiB at most for the join, {} MiB of rejected records",
        join >> 20,
        records >> 20
    );
}

/// Remembers the most that was reserved at once.
#[derive(Debug, Default)]
struct Peak {
    pool: UnboundedMemoryPool,
    most: AtomicUsize,
}

impl fmt::Display for Peak {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("peak")
    }
}

impl MemoryPool for Peak {
    fn name(&self) -> &str {
        "peak"
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        self.pool.grow(reservation, additional);
        self.most.fetch_max(self.pool.reserved(), Ordering::Relaxed);
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        self.pool.shrink(reservation, shrink);
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        self.grow(reservation, additional);
        Ok(())
    }

    fn reserved(&self) -> usize {
        self.pool.reserved()
    }
}
