//! A [`Loader`] for one object: built once, it starts loads.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use futures::{Stream, StreamExt};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::bulk::{Client, JobTarget};
use crate::chunk::Chunker;
use crate::coerce::Coercion;
use crate::error::{Error, Result};
use crate::object::{Header, Operation};
use crate::options::{LoadOptions, ValueOptions};
use crate::reject::{RejectStore, RejectStream};

use super::checkpoint::Checkpoints;
pub(super) use super::event::Event;
use super::event::Events;
use super::feed::Feed;
use super::keys::Keys;
use super::report::{LoadReport, RejectCounts};
use super::rows::RowStore;
use super::{LoadError, Org, describe, event, pipeline};

/// Where rejected records go.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Rejects {
    /// Into the load's [`Events`], before the checkpoint behind them is acknowledged.
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
        if let Rejects::Store { store, stream } = &self.rejects {
            store.check(stream)?;
        }
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
        let (sender, events) = event::channel();
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
        let schema = Arc::clone(&self.schema);
        let (feed, messages) = Feed::new(self.org.clone(), schema, load.stop.clone());
        tokio::spawn(pipeline::run(load, messages, sender));
        (feed, events)
    }

    /// Loads a whole stream of batches and waits for its end.
    ///
    /// With [`Rejects::Events`] the rejected records are kept in memory until then; where they may
    /// be many, let them go to a store, or [start](Loader::start) the load and take them as they
    /// come.
    ///
    /// # Errors
    /// What ended the stream or the load before its last row. A config error with
    /// [`Rejects::Count`], which would drop the rejected records.
    pub async fn load<S, E>(&self, batches: S) -> Result<Loaded>
    where
        S: Stream<Item = Result<RecordBatch, E>> + Send,
        E: Into<Error>,
    {
        if matches!(self.rejects, Rejects::Count) {
            return Err(Error::config(
                "load() with Rejects::Count would drop the rejected records; build the loader with \
                 Rejects::Events to have them returned or with Rejects::Store to have them stored, \
                 or use start() if the counts are enough",
            ));
        }
        let (mut feed, mut events) = self.start();
        let feeding = async move {
            let mut batches = std::pin::pin!(batches);
            while let Some(batch) = batches.next().await {
                feed.send(batch.map_err(Into::into)?).await?;
            }
            feed.finish().await
        };
        let reading = async move {
            let mut rejected = Vec::new();
            while let Some(event) = events.next().await {
                match event? {
                    Event::Rejected(records) => rejected.push(records),
                    Event::Durable { .. } => {}
                    Event::Finished(report) => {
                        return Ok(Loaded {
                            report: *report,
                            rejected,
                        });
                    }
                }
            }
            Err(LoadError::Stopped.into())
        };
        // The load's own error explains why the feed closed, so it is the one returned.
        let (fed, loaded) = tokio::join!(feeding, reading);
        match (fed, loaded) {
            (Ok(()), loaded) => loaded,
            (Err(fed), Err(loaded)) if loaded.is_stopped() => Err(fed),
            (Err(_), Err(loaded)) => Err(loaded),
            (Err(fed), Ok(_)) => Err(fed),
        }
    }
}

/// What [`Loader::load`] returns.
#[derive(Debug)]
#[non_exhaustive]
pub struct Loaded {
    /// What the load did.
    pub report: LoadReport,
    /// The rejected records, with their columns as they came and the reason ([`crate::reject`]
    /// names the columns). Empty with [`Rejects::Store`]: the report names the files.
    pub rejected: Vec<RecordBatch>,
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
