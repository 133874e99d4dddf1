//! `write`: records on stdin -> loads -> states on stdout, as they become durable.
//!
//! Everything that can be known before the first record is checked before it is read: config,
//! catalog, login, objects and their fields, the place for rejected records.

mod summary;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{self, BoxStream, StreamExt as _};
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::rotation;
use crate::config::Config;
use crate::failure::{Failure, Failures};
use crate::input::{Input, InputStream, Shared};
use crate::protocol::catalog::{self, CatalogStream};
use crate::protocol::message::{Message, Output};
use crate::protocol::{MessageDecoder, Scope, State, Statistics, StreamDescriptor, StreamSchema};
use arrow_salesforce::error::{Error, ErrorKind, Result};
use arrow_salesforce::load::{Counts, Event, Events, Loader, Org, Rejects};
use arrow_salesforce::options::NullHandling;
use arrow_salesforce::reject::{RejectStore, RejectStream, airbyte};
use summary::Totals;

/// Time between two lines of the log about progress, at least.
const PROGRESS: Duration = Duration::from_secs(10);

/// The same while nothing is read, as during a long job: a minute, as ticks go.
const SIGN_OF_LIFE: Duration = Duration::from_secs(55);

/// Objects that are described at once.
const DESCRIBES: usize = 4;

/// Loads what comes on stdin.
///
/// # Errors
/// Whatever stopped a load or the input, after all states that became durable were printed.
pub(super) async fn run(
    config: &Path,
    catalog: &Path,
    output: &Arc<Output>,
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
    let client = rotation::connect(&config, output).await?;
    let org = Org::new(client, config.org)?;
    let store = config.reject_store().await?;
    let loaders = loaders(&org, &config, &catalog, &schemas, store.as_ref()).await?;

    let shared = Arc::new(Shared::default());
    let mut streams = Vec::with_capacity(catalog.len());
    let mut inputs = Vec::with_capacity(catalog.len());
    let mut events = Vec::with_capacity(catalog.len());
    for (index, loader) in loaders.into_iter().enumerate() {
        let descriptor = &catalog[index].descriptor;
        let (feed, load_events) = loader.start();
        let schema = Arc::clone(schemas[index].schema());
        inputs.push(InputStream::new(descriptor.clone(), schema, feed));
        events.push(numbered(index, load_events));
        streams.push(Stream::new(descriptor.clone()));
    }
    let decoder = MessageDecoder::new(&schemas).map_err(Error::from)?;
    let mut input = Input::start(io::stdin(), decoder, inputs, Arc::clone(&shared))?;
    let mut sync = Sync {
        output,
        org,
        shared,
        streams,
        logged: 0,
        logged_at: started,
        miscounted: 0,
        started,
        failure: None,
    };
    tracing::info!(streams = catalog.len(), "the org is ready: reading records");
    let ended = sync.follow(stream::select_all(events), &mut input).await?;
    sync.end(ended)
}

/// Columns of a stream's batches; where nulls clear fields, they are told from missing keys.
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

/// One loader a stream, in the catalog's order, each with its object described and its columns
/// planned.
async fn loaders(
    org: &Org,
    config: &Config,
    catalog: &[CatalogStream],
    schemas: &[StreamSchema],
    store: Option<&Arc<RejectStore>>,
) -> Result<Vec<Loader>, Failure> {
    let builds = catalog
        .iter()
        .zip(schemas)
        .map(|(stream, schema)| async move {
            let loader = loader(org, config, stream, schema, store).await;
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
                // What passes, passes for the other streams too: no use in asking on.
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
    config: &Config,
    stream: &CatalogStream,
    schema: &StreamSchema,
    store: Option<&Arc<RejectStore>>,
) -> Result<Loader> {
    let rejects = store.map_or(Rejects::Count, |store| Rejects::Store {
        store: Arc::clone(store),
        stream: RejectStream {
            name: stream.descriptor.name.clone(),
            namespace: stream.descriptor.namespace.clone(),
            labels: airbyte::labels(stream.sync_id, stream.generation_id),
        },
    });
    let loader = Loader::builder(org)
        .object(&stream.object)
        .operation(stream.operation.clone())
        .schema(Arc::clone(schema.schema()))
        .options(config.load.clone())
        .values(config.values)
        .rejects(rejects)
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

type Numbered = (usize, Result<Event>);

/// The events of stream `index`.
fn numbered(index: usize, events: Events) -> BoxStream<'static, Numbered> {
    events.map(move |event| (index, event)).boxed()
}

/// A stream, as far as it has been printed.
#[derive(Debug)]
struct Stream {
    descriptor: StreamDescriptor,
    /// Records and bytes up to the last state.
    counts: Counts,
}

impl Stream {
    fn new(descriptor: StreamDescriptor) -> Self {
        Self {
            descriptor,
            counts: Counts::default(),
        }
    }
}

/// One run of `write`, on its printing side.
struct Sync<'a> {
    output: &'a Output,
    org: Org,
    shared: Arc<Shared>,
    streams: Vec<Stream>,
    /// Records that the last line about progress told.
    logged: u64,
    /// When that was.
    logged_at: Instant,
    /// States whose source counted other records than came.
    miscounted: u64,
    started: Instant,
    /// What stopped the sync first.
    failure: Option<Failure>,
}

impl Sync<'_> {
    /// Prints what the loads tell until all of them and the input have ended. After a failure or a
    /// signal no more is read, and what is on its way still ends.
    async fn follow(
        &mut self,
        mut events: impl futures::Stream<Item = Numbered> + Unpin,
        input: &mut Input,
    ) -> Result<Option<Failure>, Failure> {
        let mut progress = interval_at(Instant::now() + PROGRESS, PROGRESS);
        progress.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut signals = Signals::listen()?;
        let mut stopped = false;
        let mut loading = true;
        let mut input_ended = None;
        loop {
            match input_ended.take() {
                Some(ended) if !loading => return Ok(ended),
                ended => input_ended = ended,
            }
            let failure = tokio::select! {
                event = events.next(), if loading => {
                    loading = event.is_some();
                    event.and_then(|(index, event)| self.event(index, event).err())
                }
                ended = input.ended(), if input_ended.is_none() => {
                    input_ended = Some(ended?);
                    None
                }
                () = signals.next() => {
                    if stopped {
                        return Err(told_again().into());
                    }
                    stopped = true;
                    Some(told_to_stop().into())
                }
                _ = progress.tick() => {
                    self.progress();
                    None
                }
            };
            if let Some(failure) = failure {
                self.fail(failure);
                input.stop();
            }
        }
    }

    fn event(&mut self, index: usize, event: Result<Event>) -> Result<(), Failure> {
        let printed = event.and_then(|event| self.print_event(index, event));
        printed.map_err(|error| Failure::of(error, &self.streams[index].descriptor))
    }

    fn print_event(&mut self, index: usize, event: Event) -> Result<()> {
        match event {
            Event::Durable { checkpoint, counts } => {
                self.streams[index].counts = counts;
                let told = self.shared.states.told(checkpoint, counts).map_err(|()| {
                    Error::system("a state became durable twice; report it, it is a defect")
                })?;
                told.map_or(Ok(()), |(state, statistics)| {
                    self.compare_counts(&state, &statistics);
                    self.print_state(&state, &statistics)
                })
            }
            Event::Finished(report) => {
                let stream = &mut self.streams[index];
                stream.counts.total_accepted = report.accepted + report.merged;
                stream.counts.total_rejected = report.rejected;
                summary::load(&stream.descriptor, &report);
                Ok(())
            }
            // Rejected records go to the store, or are only counted.
            _ => Ok(()),
        }
    }

    /// Keeps what stopped the sync: the first failure, but for loads that only were told to stop.
    fn fail(&mut self, failure: Failure) {
        match &self.failure {
            Some(known) if !known.error.is_stopped() => return,
            Some(_) => {}
            None => tracing::warn!("the sync ends early: no more is read, jobs in flight end"),
        }
        self.failure = Some(failure);
    }

    /// The platform compares what the source counted with what the state says; so is told here who
    /// is wrong.
    fn compare_counts(&mut self, state: &State, statistics: &Statistics) {
        let came = statistics.accepted + statistics.rejected;
        let Some(counted) = state.counted.filter(|counted| *counted != came) else {
            return;
        };
        if self.miscounted == 0 {
            let stream = match &state.scope {
                Scope::Stream(stream) => stream.to_string(),
                Scope::All => "all".to_owned(),
            };
            tracing::warn!(
                stream,
                counted,
                came,
                "the source counted other records than came before a state"
            );
        }
        self.miscounted += 1;
    }

    fn print_state(&self, state: &State, statistics: &Statistics) -> Result<()> {
        let state = state.with_statistics(statistics)?;
        self.output.print(&Message::State { state: &state })
    }

    fn progress(&mut self) {
        let records = self.shared.records();
        if records != self.logged || self.logged_at.elapsed() >= SIGN_OF_LIFE {
            self.logged = records;
            self.logged_at = Instant::now();
            summary::progress(&self.totals());
        }
    }

    /// The sync so far.
    fn totals(&self) -> Totals<'_> {
        let counts = self.streams.iter().map(|stream| stream.counts);
        Totals {
            org: &self.org,
            streams: self.streams.len(),
            records: self.shared.records(),
            bytes: self.shared.bytes(),
            accepted: counts.clone().map(|counts| counts.total_accepted).sum(),
            rejected: counts.map(|counts| counts.total_rejected).sum(),
            elapsed: self.started.elapsed(),
        }
    }

    /// What is left once all loads have ended.
    fn end(self, input_failure: Option<Failure>) -> Result<(), Failure> {
        if self.miscounted > 0 {
            let states = self.miscounted;
            tracing::warn!(
                states,
                "the source counted other records than came before states"
            );
        }
        summary::sync(&self.totals());
        match (self.failure.or(input_failure), self.shared.states.len()) {
            (Some(failure), _) => Err(failure),
            (None, 0) => Ok(()),
            (None, left) => Err(Error::system(format!(
                "{left} states of the source were not given back, although all records came to \
                 their end; report it, it is a defect"
            ))
            .into()),
        }
    }
}

fn told_to_stop() -> Error {
    Error::transient(
        "the sync was told to stop. Jobs in flight came to their end, and the states that became \
         durable were printed; the next sync goes on from there",
    )
}

fn told_again() -> Error {
    Error::transient(
        "the sync was told to stop twice, so jobs in flight were left alone: Salesforce still ends \
         them. The next sync goes on from the last state, and sends their records again",
    )
}

/// The signals that end a process politely, heard from the moment this is made.
struct Signals {
    #[cfg(unix)]
    heard: Vec<tokio::signal::unix::Signal>,
}

impl Signals {
    #[cfg(unix)]
    fn listen() -> Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let kinds = [SignalKind::terminate(), SignalKind::interrupt()];
        let heard: io::Result<_> = kinds.into_iter().map(signal).collect();
        let heard = heard
            .map_err(|error| Error::system("signals cannot be listened to").with_source(error))?;
        Ok(Self { heard })
    }

    #[cfg(not(unix))]
    fn listen() -> Result<Self> {
        Ok(Self {})
    }

    /// Waits for the next one.
    #[cfg(unix)]
    async fn next(&mut self) {
        let signals = self.heard.iter_mut().map(|signal| Box::pin(signal.recv()));
        futures::future::select_all(signals).await;
    }

    #[cfg(not(unix))]
    async fn next(&mut self) {
        // Without the signal there is nothing to hear.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
