//! `write`: records on stdin -> loads -> states on stdout, as they become durable.
//!
//! Everything that can be known before the first record is checked before it is read: config,
//! catalog, login, objects and their fields, the location of rejected records.

mod attempt;
mod due;
mod summary;
mod sync;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{self, StreamExt as _};
use tokio::time::Instant;

use super::stop::Stop;
use super::{proof, rotation};
use crate::config::Config;
use crate::failure::{Failure, Failures};
use crate::input::{Input, InputStream, Reading};
use crate::protocol::catalog::{self, CatalogStream};
use crate::protocol::output::Output;
use crate::protocol::{MessageDecoder, StreamDescriptor, StreamSchema};
use arrow_salesforce::bulk::Client;
use arrow_salesforce::error::{Error, ErrorKind, Result};
use arrow_salesforce::ledger::Ledger;
use arrow_salesforce::load::{Family, Loader, Org, Receipts, Rejects};
use arrow_salesforce::options::{LoadOptions, NullHandling};
use arrow_salesforce::receipt::{ReceiptStore, ReceiptStream};
use arrow_salesforce::reject::{RejectStore, RejectStream, airbyte};
use attempt::SyncLedger;
use sync::{Stream, Sync, numbered};

/// How long jobs that were never closed are aborted for at the end.
const ABORTS: Duration = Duration::from_secs(30);

/// Objects that are described at once.
const DESCRIBES: usize = 4;

/// Loads what comes on stdin.
///
/// # Errors
/// Whatever stopped a load or the input, after all states that became durable were printed.
pub(super) async fn run(
    config: &Path,
    catalog: &Path,
    output: &Output,
    stop: &Stop,
) -> Result<(), Failure> {
    let started = Instant::now();
    let config = Config::read(config)?;
    let mut catalog = catalog::read(catalog)?;
    if config.hard_delete {
        catalog::delete_for_good(&mut catalog);
    }
    let schemas = catalog
        .iter()
        .map(|stream| schema(stream, config.values.null_handling))
        .collect::<Result<Vec<_>, Failure>>()?;
    stop.set_grace(config.org.waits.stop_grace);
    let login = rotation::login(&config, output).unattended().connect();
    let client = stop
        .unless_asked_for_long(login)
        .await?
        .map_err(Error::from)?;
    let org = Org::new(client, config.org)?;
    let store = config.reject_store()?.map(RejectStore::unattended);
    if let Some(store) = &store {
        let proved = stop.unless_asked_for_long(store.prove()).await?;
        proved.map_err(Error::from)?;
    }
    let store = store.map(Arc::new);
    let receipts = proof::receipt_store(&config, true);
    let receipts = stop.unless_asked_for_long(receipts).await??.map(Arc::new);
    let attempt = Ledger::new_attempt();
    let columns = receipt_columns(&config, &schemas)?;
    let stores = Stores {
        rejects: store.as_ref(),
        receipts: receipts.as_ref(),
        attempt: &attempt,
    };
    let loaders = loaders(&org, &config, &catalog, &schemas, &columns, stores);
    let loaders = stop.unless_asked(loaders).await??;
    let ledger = SyncLedger::begin(&org, &config, &catalog, store.as_deref(), &attempt);
    let ledger = stop.unless_asked_for_long(ledger).await??;
    let older = config.ledger.older.unwrap_or_default();
    let recovering = stop.unless_asked(ledger.recover(loaders, &catalog, older));
    let loaded = match recovering.await {
        Ok(Ok(loaders)) => {
            let sync = Prepared {
                org,
                catalog,
                schemas,
                loaders,
                ledger: ledger.clone(),
            };
            sync.load(output, stop, started).await
        }
        Ok(Err(failure)) => Err(failure),
        Err(asked) => Err(asked.into()),
    };
    end(&ledger, loaded, output, stop).await
}

/// The end of an attempt. Where all of each stream was read and loaded, its ledger is not needed any
/// more; states are printed by then.
async fn end(
    ledger: &SyncLedger,
    loaded: Result<bool, Failure>,
    output: &Output,
    stop: &Stop,
) -> Result<(), Failure> {
    if let Ok(true) = loaded {
        output.written().await?;
        return Ok(ledger.finish().await?);
    }
    if stop.in_time(ABORTS, ledger.release()).await.is_none() {
        tracing::warn!("there was no time to say that the attempt has ended");
    }
    loaded.map(drop)
}

/// All that a sync has before its first record.
struct Prepared {
    org: Org,
    catalog: Vec<CatalogStream>,
    schemas: Vec<StreamSchema>,
    loaders: Vec<Loader>,
    ledger: SyncLedger,
}

impl Prepared {
    /// Loads what comes on stdin. Returns whether all of each stream was read.
    async fn load(self, output: &Output, stop: &Stop, started: Instant) -> Result<bool, Failure> {
        let Self {
            org,
            catalog,
            schemas,
            loaders,
            ledger,
        } = self;
        let reading = Arc::new(Reading::default());
        let mut streams = Vec::with_capacity(catalog.len());
        let mut inputs = Vec::with_capacity(catalog.len());
        let mut events = Vec::with_capacity(catalog.len());
        for (index, loader) in loaders.into_iter().enumerate() {
            let descriptor = &catalog[index].descriptor;
            let (feed, load_events) = loader.start();
            let schema = Arc::clone(schemas[index].schema());
            inputs.push(InputStream::new(descriptor.clone(), schema, Some(feed)));
            events.push(numbered(index, load_events));
            streams.push(Stream::new(descriptor.clone()));
        }
        let decoder = MessageDecoder::new(&schemas).map_err(Error::from)?;
        let mut input = Input::start(io::stdin(), decoder, inputs, Arc::clone(&reading))?;
        let of_sync = Arc::clone(&reading);
        let mut sync = Sync::new(output, org.clone(), of_sync, streams, ledger, started);
        tracing::info!(streams = catalog.len(), "the org is ready: reading records");
        let early = tokio::spawn(abort_at_stop(org.client().clone(), stop.clone()));
        let ended = sync
            .follow(stream::select_all(events), &mut input, stop)
            .await;
        let ending = async {
            if stop.is_asked() {
                // What it took out to be aborted, nobody else would abort.
                let _ = early.await;
            }
            org.client().abort_open_jobs().await;
            org.client().login_at_rest().await;
        };
        if stop.in_time(ABORTS, ending).await.is_none() {
            tracing::warn!("there was no time to abort all jobs that were never closed");
        }
        sync.end(ended)?;
        Ok(reading.is_complete())
    }
}

/// Aborts jobs that were never closed as soon as the sync is to stop, while those in flight end.
async fn abort_at_stop(client: Client, stop: Stop) {
    stop.asked().await;
    client.abort_open_jobs().await;
}

/// Columns of a stream's batches; where nulls clear fields, flags keep them apart from missing keys.
fn schema(stream: &CatalogStream, nulls: NullHandling) -> Result<StreamSchema, Failure> {
    let StreamDescriptor { name, namespace } = &stream.descriptor;
    let schema =
        StreamSchema::from_json_schema(name, namespace.as_deref(), stream.json_schema.get())
            .map_err(|error| Failure::of(error.into(), &stream.descriptor))?;
    Ok(if nulls == NullHandling::Clear {
        schema.with_explicit_nulls()
    } else {
        schema
    })
}

/// The columns of each stream that its receipts show, of those asked for: a stream without any has its
/// key.
///
/// # Errors
/// A config error for columns that no stream has.
fn receipt_columns(config: &Config, schemas: &[StreamSchema]) -> Result<Vec<Vec<String>>> {
    let asked = &config.receipts.columns;
    let has = |schema: &StreamSchema, name: &str| {
        let mut fields = schema.schema().fields().iter();
        fields.any(|field| field.name().eq_ignore_ascii_case(name))
    };
    let unknown: Vec<&str> = asked
        .iter()
        .filter(|name| !schemas.iter().any(|schema| has(schema, name)))
        .map(String::as_str)
        .collect();
    if !unknown.is_empty() {
        return Err(Error::config(format!(
            "receipt_columns names columns that no stream has: {}; correct the names, or leave \
             receipt_columns out to have the key of each record",
            unknown.join(", ")
        )));
    }
    let of_stream = |schema| {
        let own = asked.iter().filter(|name| has(schema, name));
        own.cloned().collect()
    };
    Ok(schemas.iter().map(of_stream).collect())
}

/// Where what is said of records goes.
#[derive(Clone, Copy)]
struct Stores<'a> {
    rejects: Option<&'a Arc<RejectStore>>,
    receipts: Option<&'a Arc<ReceiptStore>>,
    /// Id of the attempt.
    attempt: &'a str,
}

impl Stores<'_> {
    fn rejects(&self, stream: &CatalogStream) -> Rejects {
        self.rejects.map_or(Rejects::Count, |store| Rejects::Store {
            store: Arc::clone(store),
            stream: RejectStream {
                name: stream.descriptor.name.clone(),
                namespace: stream.descriptor.namespace.clone(),
                labels: airbyte::labels(stream.sync_id, stream.generation_id),
                attempt: Some(self.attempt.to_owned()),
            },
        })
    }

    fn receipts(&self, stream: &CatalogStream) -> Receipts {
        self.receipts
            .map_or(Receipts::None, |store| Receipts::Store {
                store: Arc::clone(store),
                stream: ReceiptStream {
                    run: Some(stream.sync_id.to_string()),
                    namespace: stream.descriptor.namespace.clone(),
                    name: stream.descriptor.name.clone(),
                    attempt: Some(self.attempt.to_owned()),
                },
            })
    }
}

/// One loader a stream, in the catalog's order, each with its object described and its columns
/// planned.
async fn loaders(
    org: &Org,
    config: &Config,
    catalog: &[CatalogStream],
    schemas: &[StreamSchema],
    columns: &[Vec<String>],
    stores: Stores<'_>,
) -> Result<Vec<Loader>, Failure> {
    // Streams may load the parents of each other's records.
    let family = &Family::new();
    let builds =
        catalog
            .iter()
            .zip(schemas)
            .zip(columns)
            .map(|((stream, schema), columns)| async move {
                let options = config.load.clone().with_receipt_columns(columns.clone());
                let loader = loader(org, family, config, stream, schema, options, stores).await;
                loader.map_err(|error| Failure::of(error, &stream.descriptor))
            });
    let mut built = stream::iter(builds).buffered(DESCRIBES);
    let mut loaders = Vec::with_capacity(catalog.len());
    let mut failures = Failures::default();
    while let Some(next) = built.next().await {
        match next {
            Ok(loader) => loaders.push(loader),
            Err(failure) => {
                let lasting = failure.error.kind() == ErrorKind::Config;
                failures.add(failure);
                // A network or service that fails now fails for the other streams too.
                if !lasting {
                    break;
                }
            }
        }
    }
    failures.or(loaders)
}

async fn loader(
    org: &Org,
    family: &Family,
    config: &Config,
    stream: &CatalogStream,
    schema: &StreamSchema,
    options: LoadOptions,
    stores: Stores<'_>,
) -> Result<Loader> {
    let loader = Loader::builder(org)
        .object(&stream.object)
        .operation(stream.operation.clone())
        .schema(Arc::clone(schema.schema()))
        .options(options)
        .values(config.values)
        .family(family)
        .rejects(stores.rejects(stream))
        .receipts(stores.receipts(stream))
        .name(stream.descriptor.to_string())
        .build()
        .await?;
    for field in loader.missing_required() {
        tracing::warn!(
            stream = %stream.descriptor,
            object = stream.object,
            field,
            "no column feeds a required field: Salesforce may reject records"
        );
    }
    Ok(loader)
}
