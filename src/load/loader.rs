//! A [`Loader`] for one object: built once, it starts loads.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use futures::{Stream, StreamExt};

use crate::bulk::JobTarget;
use crate::coerce::Coercion;
use crate::error::{Error, Result};
use crate::ledger::LoadLedger;
use crate::object::{Header, ObjectSchema, Operation, RelatedObjects};
use crate::options::{LedgerOptions, LoadOptions, Older, ValueOptions};

use super::event::{self, Event, Events};
use super::family::Family;
use super::feed::Feed;
use super::grouping::grouping;
use super::past::{self, Recovered};
use super::plan::{ExternalId, Plan, Receipts, ReceiptsPlan, Rejects, sent_columns};
use super::report::LoadReport;
use super::state::Load;
use super::{LoadError, Org, describe, run};

/// Builds a [`Loader`].
#[derive(Debug)]
pub struct LoaderBuilder {
    org: Org,
    object: String,
    operation: Operation,
    schema: Option<SchemaRef>,
    name: Option<String>,
    rejects: Rejects,
    receipts: Receipts,
    options: LoadOptions,
    values: ValueOptions,
    family: Option<Family>,
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

    /// Where receipts of accepted rows go: nowhere by default. [`LoadOptions::receipt_columns`] says
    /// with which columns.
    #[must_use]
    pub fn receipts(mut self, receipts: Receipts) -> Self {
        self.receipts = receipts;
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

    /// The loads that its own runs beside, of which some may bring the parents of its rows; none by
    /// default, and then a row whose parent is not there is rejected at once.
    #[must_use]
    pub fn family(mut self, family: &Family) -> Self {
        self.family = Some(family.clone());
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
        let stop = self.org.stopping().clone();
        let describes = describes(&self.org, &self.object, &schema, &self.operation);
        let (object, related) = tokio::select! {
            biased;
            () = stop.cancelled() => return Err(LoadError::Stopped.into()),
            described = describes => described?,
        };
        let options = self.options;
        let operation = &self.operation;
        let coercion = Coercion::plan(&schema, &object, operation, &related, self.values)?;
        let external_id = ExternalId::of(&coercion, &object);
        let asked = &options.receipt_columns;
        let receipts = ReceiptsPlan::of(self.receipts, &schema, asked, &coercion)?;
        let grouping = grouping(&coercion, &object.name, options.group_by.as_deref())?;
        let plan = Plan {
            external_id,
            grouping,
            sent_columns: sent_columns(&coercion),
            name: self.name.unwrap_or_else(|| object.name.clone()),
            target: JobTarget {
                assignment_rule_id: options
                    .assignment_rule_id
                    .clone()
                    .filter(|_| matches!(object.name.as_str(), "Lead" | "Case")),
                object: object.name,
                operation: coercion.header().operation.clone(),
            },
            coercion: Arc::new(coercion),
            rejects: self.rejects,
            receipts,
            options,
            values: self.values,
        };
        // What is wrong with the columns is said now, rather than when the first record is read.
        plan.chunker()?;
        Ok(Loader {
            org: self.org,
            schema,
            plan: Arc::new(plan),
            ledger: None,
            family: self.family,
        })
    }
}

/// The describe of an object, and of those that its relationship columns point to. What is left of
/// the org's limits is read beside them.
async fn describes(
    org: &Org,
    object: &str,
    schema: &SchemaRef,
    operation: &Operation,
) -> Result<(ObjectSchema, RelatedObjects)> {
    let limits = org.limits().read_first();
    let (object, ()) = tokio::join!(describe::object(org.client(), object), limits);
    let object = object?;
    let columns: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
    let related = Header::related(&columns, &object, operation);
    let related = describe::related(org.client(), &related).await?;
    Ok((object, related))
}

/// Loads rows of one schema into one object by one operation.
#[derive(Debug, Clone)]
pub struct Loader {
    org: Org,
    schema: SchemaRef,
    plan: Arc<Plan>,
    ledger: Option<LoadLedger>,
    family: Option<Family>,
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
            receipts: Receipts::None,
            options: LoadOptions::default(),
            values: ValueOptions::default(),
            family: None,
        }
    }

    /// How each column becomes a cell; its `Display` shows one expression a column.
    pub fn coercion(&self) -> &Coercion {
        &self.plan.coercion
    }

    /// Required fields of the object that no column feeds: each insert will miss them, unless a
    /// trigger or a default fills them.
    pub fn missing_required(&self) -> &[String] {
        &self.plan.coercion.header().missing_required
    }

    pub(super) fn org(&self) -> &Org {
        &self.org
    }

    pub(super) fn object(&self) -> &str {
        &self.plan.target.object
    }

    pub(super) fn name(&self) -> &str {
        &self.plan.name
    }

    /// The ledger of its options, which it claims itself; only inserts need one.
    pub(super) fn own_ledger(&self) -> Option<&LedgerOptions> {
        let inserts = self.plan.target.operation == Operation::Insert;
        let own = self.plan.options.ledger.as_ref();
        own.filter(|_| inserts && self.ledger.is_none())
    }

    /// Lets the rows of its load be entered in a ledger that several loads share, as one attempt with
    /// one cursor; [`LoadOptions::ledger`] is for a load of its own. The ledger is of one load, and so
    /// is the loader then. Only inserts need one; others ignore it.
    ///
    /// Call [`Loader::recover`] before [`Loader::start`].
    #[must_use]
    pub fn with_ledger(mut self, ledger: LoadLedger) -> Self {
        let inserts = self.plan.target.operation == Operation::Insert;
        self.ledger = Some(ledger).filter(|_| inserts);
        self
    }

    /// Finds out which rows of older attempts, whose states were not acknowledged, are in Salesforce or
    /// stored as rejected: jobs that are open are aborted, others waited for. When an equal row comes
    /// again, it takes the place of one of these and is not sent. Does nothing without a ledger.
    ///
    /// # Errors
    /// [`LedgerError`](crate::ledger::LedgerError), most of them config errors with the choices that
    /// are left; any of reading jobs and their results.
    pub async fn recover(&self, older: Older) -> Result<Recovered> {
        let Some(ledger) = &self.ledger else {
            return Ok(Recovered::default());
        };
        let stop = self.org.stopping().child_token();
        let load = Arc::new(Load::new(
            &self.org,
            Arc::clone(&self.plan),
            stop,
            None,
            None,
        ));
        past::recover(&load, ledger, older).await
    }

    /// Starts a load. Read the [`Events`] while feeding: when nobody reads them, the feed waits. With
    /// [`LoadOptions::ledger`] it is [`Loader::begin`] that starts an insert; here it ends with an error.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn start(&self) -> (Feed, Events) {
        let stop = self.org.stopping().child_token();
        let (sender, events) = event::channel();
        let schema = Arc::clone(&self.schema);
        let ledger = self.ledger.clone();
        let (plan, family) = (Arc::clone(&self.plan), self.family.as_ref());
        let load = Load::new(&self.org, plan, stop.clone(), ledger, family);
        let (feed, messages) = Feed::new(self.org.clone(), Arc::clone(&load.member), schema, stop);
        if self.own_ledger().is_some() {
            tokio::spawn(event::refuse(sender, not_begun()));
        } else {
            tokio::spawn(run::run(Arc::new(load), messages, sender));
        }
        (feed, events)
    }

    /// Loads a whole stream of batches and waits for its end. With [`LoadOptions::ledger`] an insert
    /// that ended early can be repeated, with the same rows, without inserting any of them twice.
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
        if matches!(self.plan.rejects, Rejects::Count) {
            return Err(Error::config(
                "load() with Rejects::Count would drop the rejected records; build the loader with \
                 Rejects::Events to have them returned or with Rejects::Store to have them stored, \
                 or use start() if the counts are enough",
            ));
        }
        let (mut feed, mut events, attempt) = self.begin().await?;
        let feeding = async move {
            let mut batches = std::pin::pin!(batches);
            // A stream that pauses must not hold a load that has ended.
            while let Some(batch) = feed
                .unless_stopped(async { Ok(batches.next().await) })
                .await?
            {
                feed.send(batch.map_err(Into::into)?).await?;
            }
            feed.finish().await
        };
        let reading = async move {
            let (mut rejected, mut accepted) = (Vec::new(), Vec::new());
            while let Some(event) = events.next().await {
                match event? {
                    Event::Rejected(records) => rejected.push(records),
                    Event::Accepted(receipts) => accepted.push(receipts),
                    Event::Durable { .. } => {}
                    Event::Finished(report) => {
                        return Ok::<_, Error>(Loaded {
                            report: *report,
                            rejected,
                            accepted,
                        });
                    }
                }
            }
            Err(LoadError::Stopped.into())
        };
        // The load's own error explains why the feed closed, so it is the one returned.
        let (sent, loaded) = tokio::join!(feeding, reading);
        let loaded: Result<Loaded> = match (sent, loaded) {
            (Ok(()), loaded) => loaded,
            (Err(sent), Err(loaded)) if loaded.is_stopped() => Err(sent),
            (Err(_), Err(loaded)) => Err(loaded),
            (Err(sent), Ok(_)) => Err(sent),
        };
        match loaded {
            Ok(loaded) => attempt.finish().await.map(|_| loaded),
            Err(error) => {
                attempt.release().await;
                Err(error)
            }
        }
    }
}

fn not_begun() -> Error {
    Error::config(
        "a loader with LoadOptions::ledger is started by begin(), or by load(): start() cannot wait for \
         what earlier attempts left behind",
    )
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
    /// The record that each accepted row became ([`crate::receipt`] names the columns). Only with
    /// [`Receipts::Events`].
    pub accepted: Vec<RecordBatch>,
}
