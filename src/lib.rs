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
//! ```no_run
//! use arrow_salesforce::arrow::array::RecordBatch;
//! use arrow_salesforce::load::{Event, Loader, Org};
//! use arrow_salesforce::object::Operation;
//!
//! # async fn example(org: Org, batch: RecordBatch) -> arrow_salesforce::Result<()> {
//! let loader = Loader::builder(&org)
//!     .object("Contact")
//!     .operation(Operation::Insert)
//!     .schema(batch.schema())
//!     .build()
//!     .await?;
//! let (mut feed, mut events) = loader.start();
//! feed.send(batch).await?;
//! feed.checkpoint(1).await?;
//! feed.finish().await?;
//! while let Some(event) = events.next().await {
//!     match event? {
//!         Event::Rejected(records) => println!("{} rejected", records.num_rows()),
//!         Event::Durable { checkpoint, .. } => println!("all before {checkpoint} is safe"),
//!         Event::Finished(report) => println!("{report}"),
//!     }
//! }
//! # Ok(())
//! # }
//! ```

pub mod bulk;
pub mod chunk;
pub mod coerce;
pub mod error;
pub mod load;
pub mod object;
pub mod options;
pub mod reject;
pub mod rows;
pub mod source;
pub mod storage;

pub use arrow;
pub use bulk::Credentials;
pub use error::{Error, ErrorKind, Result};
pub use load::{Event, Events, Feed, FeedBatch, LoadReport, Loader, LoaderBuilder, Org, Rejects};
pub use object::Operation;
pub use object_store;
pub use options::{LoadOptions, OrgOptions, ValueOptions};
