//! What users hold: a [`Loader`] for one object, a [`Feed`] to put rows in, [`Events`] to hear what
//! became of them.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use futures::{Stream, StreamExt};
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

use crate::bulk::{Client, JobTarget};
use crate::chunk::Chunker;
use crate::coerce::Coercion;
use crate::error::{Error, Result};
use crate::object::{Header, Operation};
use crate::options::{LoadOptions, ValueOptions};
use crate::reject::{RejectStore, RejectStream};

use super::budget::Grant;
use super::checkpoint::{Checkpoints, Counts};
use super::keys::Keys;
use super::report::{LoadReport, RejectCounts};
use super::rows::RowStore;
use super::{LoadError, Org, describe, pipeline};

/// Batches that may wait between a feed and its load.
const FEED_BATCHES: usize = 2;

/// Events that may wait to be read.
const EVENTS: usize = 64;

/// Where rejected records go.
#[derive(Debug, Clone)]
pub enum Rejects {
    /// Into the load's [`Events`], before the checkpoint behind them is told.
    Events,
    /// Into files of a store; checkpoints wait until they are written.
    Store {
        /// The store.
        store: Arc<RejectStore>,
        /// The stream that the files belong to.
        stream: RejectStream,
    },
    /// Nowhere: they are only counted, by reason.
    Count,
}

/// Builds a [`Loader`].
#[derive(Debug)]
pub struct LoaderBuilder {
    org: Org,
    object: String,
    operation: Operation,
    schema: Option<SchemaRef>,
    name: Option<String>,
    rejects: Rejects,
    options: LoadOptions,
    values: ValueOptions,
}

impl LoaderBuilder {
    /// API name of the Salesforce object.
    #[must_use]
    pub fn object(mut self, object: impl Into<String>) -> Self {
        self.object = object.into();
        self
    }

    /// What to do with each row; [`Operation::Insert`] by default.
    #[must_use]
    pub fn operation(mut self, operation: Operation) -> Self {
        self.operation = operation;
        self
    }

    /// Columns of the batches that will come. Names match fields whatever their letter case.
    #[must_use]
    pub fn schema(mut self, schema: SchemaRef) -> Self {
        self.schema = Some(schema);
        self
    }

    /// Name of the load in reports and logs; the object's by default.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Where rejected records go; [`Rejects::Events`] by default.
    #[must_use]
    pub fn rejects(mut self, rejects: Rejects) -> Self {
        self.rejects = rejects;
        self
    }

    /// How the load runs; [`LoadOptions::default`] by default.
    #[must_use]
    pub fn options(mut self, options: LoadOptions) -> Self {
        self.options = options;
        self
    }

    /// How values are written; [`ValueOptions::default`] by default.
    #[must_use]
    pub fn values(mut self, values: ValueOptions) -> Self {
        self.values = values;
        self
    }

    /// Reads the describe of the object, and of those that its relationship columns point to, and
    /// plans how each column becomes a cell.
    ///
    /// # Errors
    /// A config error that names an option out of range, every column the object cannot take, or
    /// that the user may not do the operation; a transient one if Salesforce cannot be reached.
    pub async fn build(self) -> Result<Loader> {
        self.options.validate()?;
        let schema = self.schema.ok_or_else(|| {
            Error::config("a loader needs the schema of its batches: call schema() before build()")
        })?;
        if self.object.is_empty() {
            return Err(Error::config(
                "a loader needs an object: call object() before build()",
            ));
        }
        let client = self.org.client();
        let object = describe::object(client, &self.object).await?;
        let columns: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
        let related = Header::related(&columns, &object, &self.operation);
        let related = describe::related(client, &related).await?;
        let options = self.options;
        let operation = &self.operation;
        let coercion = Coercion::plan(&schema, &object, operation, &related, self.values)?;
        // Told now, rather than when the first record is read.
        Chunker::new(
            coercion.cells_schema(),
            options.max_job_bytes,
            options.max_job_rows,
        )?;
        Ok(Loader {
            name: self.name.unwrap_or_else(|| object.name.clone()),
            target: JobTarget {
                assignment_rule_id: options
                    .assignment_rule_id
                    .clone()
                    .filter(|_| matches!(object.name.as_str(), "Lead" | "Case")),
                object: object.name,
                operation: coercion.header().operation.clone(),
            },
            org: self.org,
            schema,
            coercion: Arc::new(coercion),
            rejects: self.rejects,
            options,
            values: self.values,
        })
    }
}

/// Loads rows of one schema into one object by one operation.
#[derive(Debug, Clone)]
pub struct Loader {
    org: Org,
    name: String,
    target: JobTarget,
    schema: SchemaRef,
    coercion: Arc<Coercion>,
    rejects: Rejects,
    options: LoadOptions,
    values: ValueOptions,
}

impl Loader {
    /// Starts to build a loader over `org`.
    pub fn builder(org: &Org) -> LoaderBuilder {
        LoaderBuilder {
            org: org.clone(),
            object: String::new(),
            operation: Operation::Insert,
            schema: None,
            name: None,
            rejects: Rejects::Events,
            options: LoadOptions::default(),
            values: ValueOptions::default(),
        }
    }

    /// How each column becomes a cell; its `Display` shows one expression a column.
    pub fn coercion(&self) -> &Coercion {
        &self.coercion
    }

    /// Required fields of the object that no column feeds: each insert will miss them, unless a
    /// trigger or a default fills them.
    pub fn missing_required(&self) -> &[String] {
        &self.coercion.header().missing_required
    }

    /// Starts a load. Read the [`Events`] while feeding: when nobody reads them, the feed waits.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn start(&self) -> (Feed, Events) {
        let (rows_in, rows_out) = mpsc::channel(FEED_BATCHES);
        let (events_in, events_out) = mpsc::channel(EVENTS);
        let load = Arc::new(Load {
            client: self.org.client().scoped(),
            org: self.org.clone(),
            name: self.name.clone(),
            target: self.target.clone(),
            coercion: Arc::clone(&self.coercion),
            rejects: self.rejects.clone(),
            options: self.options.clone(),
            values: self.values,
            rows: RowStore::default(),
            checkpoints: Mutex::new(Checkpoints::new()),
            keys: Mutex::default(),
            ended: Notify::new(),
            open_bytes: AtomicU64::new(0),
            close_open: Notify::new(),
            spilled: AtomicU64::new(0),
            stop: CancellationToken::new(),
            tally: Mutex::default(),
            started: Instant::now(),
        });
        self.org.register(&load);
        let stop = load.stop.clone();
        tokio::spawn(pipeline::run(load, rows_out, events_in));
        let feed = Feed {
            org: self.org.clone(),
            rows: rows_in,
            schema: Arc::clone(&self.schema),
            stop,
        };
        (feed, Events { events: events_out })
    }

    /// Loads a whole stream of batches and waits for its end. Rejected records go to the loader's
    /// store; with [`Rejects::Events`] or [`Rejects::Count`] they are only counted.
    ///
    /// # Errors
    /// What ended the stream or the load before its last row.
    pub async fn load<S, E>(&self, batches: S) -> Result<LoadReport>
    where
        S: Stream<Item = Result<RecordBatch, E>> + Send,
        E: Into<Error>,
    {
        let (mut feed, mut events) = self.start();
        let feeding = async move {
            let mut batches = std::pin::pin!(batches);
            while let Some(batch) = batches.next().await {
                feed.send(batch.map_err(Into::into)?).await?;
            }
            feed.finish().await
        };
        let hearing = async move {
            while let Some(event) = events.next().await {
                if let Event::Finished(report) = event? {
                    return Ok(*report);
                }
            }
            Err(LoadError::Stopped.into())
        };
        // The load's own error explains why the feed closed, so it is told first.
        let (fed, heard) = tokio::join!(feeding, hearing);
        match (fed, heard) {
            (Ok(()), heard) => heard,
            (Err(fed), Err(heard)) if heard.is_stopped() => Err(fed),
            (Err(_), Err(heard)) => Err(heard),
            (Err(fed), Ok(_)) => Err(fed),
        }
    }
}

/// A checkpoint inside a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// Rows of the batch before the checkpoint.
    pub row: usize,
    /// Bytes received for those rows.
    pub bytes: u64,
    /// The checkpoint.
    pub id: u64,
}

/// What goes from a feed to its load.
#[derive(Debug)]
pub(crate) enum Fed {
    Rows {
        batch: RecordBatch,
        bytes: u64,
        marks: Vec<Mark>,
    },
    Flush,
    End,
}

/// Puts rows into a load. Dropping it without [`Feed::finish`] stops the load.
#[derive(Debug)]
pub struct Feed {
    org: Org,
    rows: mpsc::Sender<Fed>,
    schema: SchemaRef,
    stop: CancellationToken,
}

impl Feed {
    /// Sends rows; waits while memory is used up.
    ///
    /// # Errors
    /// A config error if the columns are not the loader's; [`LoadError::Stopped`] if the load ended
    /// already: the cause is in its [`Events`].
    pub async fn send(&mut self, batch: RecordBatch) -> Result<()> {
        let bytes = batch.get_array_memory_size() as u64;
        self.send_marked(batch, bytes, Vec::new()).await
    }

    /// Sets a checkpoint behind all rows sent so far. It is told as [`Event::Durable`] when each of
    /// them is in Salesforce or rejected.
    ///
    /// # Errors
    /// As [`Feed::send`].
    pub async fn checkpoint(&mut self, id: u64) -> Result<()> {
        let empty = RecordBatch::new_empty(Arc::clone(&self.schema));
        self.send_marked(
            empty,
            0,
            vec![Mark {
                row: 0,
                bytes: 0,
                id,
            }],
        )
        .await
    }

    /// Sends rows that were received as `bytes`, with the checkpoints among them in order.
    ///
    /// # Errors
    /// As [`Feed::send`].
    pub async fn send_marked(
        &mut self,
        batch: RecordBatch,
        bytes: u64,
        marks: Vec<Mark>,
    ) -> Result<()> {
        if batch.schema().fields() != self.schema.fields() {
            let (expected, actual) = (columns(&self.schema), columns(&batch.schema()));
            return Err(LoadError::Schema { expected, actual }.into());
        }
        self.put(Fed::Rows {
            batch,
            bytes,
            marks,
        })
        .await
    }

    /// Submits what was sent so far without waiting for more rows. More may follow.
    ///
    /// # Errors
    /// As [`Feed::send`].
    pub async fn flush(&mut self) -> Result<()> {
        self.put(Fed::Flush).await
    }

    /// No more rows will come: what is open is submitted.
    ///
    /// # Errors
    /// As [`Feed::send`].
    pub async fn finish(self) -> Result<()> {
        self.put(Fed::End).await
    }

    /// Tells the load to stop: jobs in flight come to their end, what became durable is told, and
    /// rows not yet in a closed job are given up.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    async fn put(&self, fed: Fed) -> Result<()> {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Err(LoadError::Stopped.into()),
            sent = self.rows.send(fed) => sent.map_err(|_| LoadError::Stopped.into()),
        }
    }
}

/// What a face needs that keeps something of its own until a checkpoint is told.
impl Feed {
    /// Memory of something beside the rows that is kept until a checkpoint is told.
    pub fn hold(&self, bytes: usize) -> Grant {
        self.org.budget().grant(bytes)
    }

    /// Whether the memory budget is used up: nothing more should be kept before
    /// [`Feed::room`], nor rows held back that checkpoints wait for.
    pub fn is_full(&self) -> bool {
        self.org.budget().is_full()
    }

    /// Waits until the memory budget has room.
    ///
    /// # Errors
    /// As [`Feed::send`].
    pub async fn room(&self) -> Result<()> {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Err(LoadError::Stopped.into()),
            room = self.org.room() => room,
        }
    }
}

fn columns(schema: &SchemaRef) -> String {
    let names: Vec<String> = schema
        .fields()
        .iter()
        .map(|field| format!("{} {}", field.name(), field.data_type()))
        .collect();
    names.join(", ")
}

/// What became of the rows.
#[derive(Debug)]
pub enum Event {
    /// Records that were rejected, with their columns as they came and the reason
    /// ([`crate::reject`] names the columns). Only with [`Rejects::Events`].
    Rejected(RecordBatch),
    /// All rows before a checkpoint are in Salesforce or rejected, and the rejected ones stored.
    Durable {
        /// The checkpoint.
        checkpoint: u64,
        /// Rows of its interval, and of the load up to it.
        counts: Counts,
    },
    /// All rows have their end. The last event of a load.
    Finished(Box<LoadReport>),
}

/// The events of a load, in order.
#[derive(Debug)]
pub struct Events {
    events: mpsc::Receiver<Result<Event>>,
}

impl Events {
    /// The next event; an error is the last. `None` after the end.
    pub async fn next(&mut self) -> Option<Result<Event>> {
        self.events.recv().await
    }
}

/// A load while it runs: what its tasks share.
#[derive(Debug)]
pub(crate) struct Load {
    pub(crate) org: Org,
    /// Counts the calls of this load beside those of the org.
    pub(crate) client: Client,
    pub(crate) name: String,
    pub(crate) target: JobTarget,
    pub(crate) coercion: Arc<Coercion>,
    pub(crate) rejects: Rejects,
    pub(crate) options: LoadOptions,
    pub(crate) values: ValueOptions,
    pub(crate) rows: RowStore,
    pub(crate) checkpoints: Mutex<Checkpoints>,
    pub(crate) keys: Mutex<Keys>,
    /// Rows ended, or the last of them did.
    pub(crate) ended: Notify,
    /// CSV bytes of the open chunk.
    pub(crate) open_bytes: AtomicU64,
    /// The open chunk should be closed: memory is short.
    pub(crate) close_open: Notify,
    pub(crate) spilled: AtomicU64,
    pub(crate) stop: CancellationToken,
    pub(crate) tally: Mutex<Tally>,
    pub(crate) started: Instant,
}

/// What a report counts while the load runs.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) jobs: u64,
    pub(crate) batches: u64,
    pub(crate) uploaded: u64,
    pub(crate) rejects: RejectCounts,
    pub(crate) reject_files: Vec<String>,
    pub(crate) nulls_left: u64,
}
