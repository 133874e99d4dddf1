//! A columnar loader on Apache Arrow and DataFusion that writes into Salesforce with Bulk API 2.0.
//!
//! # The flow
//!
//! ```text
//! source -> RecordBatch -> coerce -> cells -> chunk -> CSV -> ingest job
//!                            |                                   |
//!                            v                                   v
//!                     rejected records <---- settle <----- failed rows
//! ```
//!
//! Each step is a module of that name. A source of any kind makes RecordBatches by the contract of
//! [`source`], such as the crate `arrow-salesforce-decode` of lines of JSON; [`coerce`] makes legal
//! Salesforce literals of their values by DataFusion expressions, [`chunk`] cuts them to size,
//! [`bulk`] speaks to Salesforce, [`reject`] keeps what did not make it, and [`load`] is the engine
//! that joins them. [`object`] holds what an org says of its objects.
//!
//! # A load
//!
//! An [`Org`] is one login, with the memory and the job slots that all loads of a process share. A
//! [`Loader`] says what goes where; it is checked against the org when it is built. The short form
//! loads a stream of batches and returns the report and the rejected rows:
//!
//! ```no_run
//! use arrow_salesforce::arrow::array::RecordBatch;
//! use arrow_salesforce::{Credentials, Error, Loader, Operation, Org, OrgOptions};
//! use futures::stream;
//!
//! # async fn example(credentials: Credentials, batch: RecordBatch) -> arrow_salesforce::Result<()> {
//! let org = Org::connect(credentials, OrgOptions::default()).await?;
//! let loader = Loader::builder(&org)
//!     .object("Contact")
//!     .operation(Operation::Insert)
//!     .schema(batch.schema())
//!     .build()
//!     .await?;
//! let loaded = loader.load(stream::iter([Ok::<_, Error>(batch)])).await?;
//! println!("{}; {} batches of rejected rows", loaded.report, loaded.rejected.len());
//! # Ok(())
//! # }
//! ```
//!
//! # A load that goes on
//!
//! Started, a load has two ends. Rows and checkpoints go into its [`Feed`], what became of them
//! comes out of its [`Events`]. [`Feed::ready`] reserves memory before a batch is made;
//! [`FeedBatch`] has several checkpoints inside a batch.
//!
//! ```no_run
//! use arrow_salesforce::arrow::array::RecordBatch;
//! use arrow_salesforce::{Event, FeedBatch, Loader};
//!
//! # async fn example(loader: Loader, batch: RecordBatch) -> arrow_salesforce::Result<()> {
//! let (mut feed, mut events) = loader.start();
//! let permit = feed.ready(8 << 20).await?;
//! let rows = batch.num_rows();
//! permit.send(FeedBatch::new(batch).received(5_000).checkpoint(rows, 5_000, 1))?;
//! feed.checkpoint(2).await?;
//! feed.finish().await?;
//! while let Some(event) = events.next().await {
//!     match event? {
//!         Event::Rejected(records) => println!("{} rejected", records.num_rows()),
//!         Event::Durable { checkpoint, .. } => println!("all before {checkpoint} is safe"),
//!         Event::Finished(report) => println!("{report}"),
//!         _ => {}
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # A query
//!
//! The other way, a [`Client`](bulk::Client) asks a [`Query`] by a job of the Bulk API, and gives its rows
//! with the types of their fields:
//!
//! ```no_run
//! use arrow_salesforce::bulk::{BulkError, Client, QueryOptions};
//! use futures::TryStreamExt;
//!
//! # async fn example(client: Client) -> Result<(), BulkError> {
//! let soql = "SELECT Id, Name, Account.AnnualRevenue FROM Contact WHERE IsDeleted = false";
//! let query = client.query(soql, QueryOptions::default()).await?;
//! println!("{:?}", query.schema());
//! let mut rows = query.stream();
//! while let Some(batch) = rows.try_next().await? {
//!     println!("{} rows", batch.num_rows());
//! }
//! # Ok(())
//! # }
//! ```
//!
//! [`LoadOptions`] and [`ValueOptions`] are of a load, [`OrgOptions`] of the process. An [`Error`]
//! says whose fault it is ([`ErrorKind`]), the cause and the cure, and where it happened.

pub mod bulk;
pub mod chunk;
pub mod coerce;
mod disk;
pub mod error;
pub mod ledger;
pub mod load;
mod network;
pub mod object;
pub mod options;
mod pauses;
pub mod receipt;
pub mod reject;
pub mod rows;
pub mod source;
pub mod storage;
mod text;
mod waits;

pub use arrow;
pub use bulk::{Credentials, Query, QueryOptions};
pub use error::{Error, ErrorKind, Result};
pub use load::{
    Event, Events, Feed, FeedBatch, LoadReport, Loader, LoaderBuilder, Org, Receipts, Rejects,
};
pub use object::Operation;
pub use object_store;
pub use options::{LoadOptions, OrgOptions, ValueOptions};
