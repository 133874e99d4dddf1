//! What may be typed to take records out of an org.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{OrgArgs, OutputArgs, PlaceArgs};

/// A query of an org.
#[derive(Debug, Args)]
pub(crate) struct QueryArgs {
    /// The query, in SOQL
    #[arg(
        value_name = "SOQL",
        required_unless_present_any = ["object", "file"],
        conflicts_with_all = ["object", "file"]
    )]
    pub(crate) soql: Option<String>,
    /// A file that holds the query
    #[arg(long, short = 'f', value_name = "FILE", conflicts_with = "object")]
    pub(crate) file: Option<PathBuf>,
    /// All fields of this object, in place of a query
    #[arg(long, value_name = "OBJECT")]
    pub(crate) object: Option<String>,
    /// Only these fields of the object
    #[arg(
        long,
        value_name = "FIELD,...",
        value_delimiter = ',',
        requires = "object"
    )]
    pub(crate) fields: Vec<String>,
    /// Only records of the object of which this is true, in SOQL
    #[arg(long = "where", value_name = "CONDITION", requires = "object")]
    pub(crate) filter: Option<String>,
    /// Where the records go: a file, a directory (Parquet parts, which can be gone on with) or a URL
    /// [default: a table here]
    #[arg(long, short = 'o', value_name = "FILE|DIR/|URL")]
    pub(crate) output: Option<String>,
    /// The format, where the name does not say
    #[arg(long, value_enum)]
    pub(crate) format: Option<QueryFormat>,
    /// Deleted and archived records too
    #[arg(long)]
    pub(crate) deleted: bool,
    /// All values as texts, as Salesforce writes them
    #[arg(long)]
    pub(crate) texts: bool,
    /// Most records of a page of results; each page is a call [default: as the org chooses]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) page_rows: Option<u32>,
    /// Query so many ranges of Ids, each by a job of its own [default: one job, more where that is too
    /// much for it]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub(crate) split: Option<u32>,
    /// Write over a file, or parts of a directory, that are there
    #[arg(long, conflicts_with = "resume")]
    pub(crate) overwrite: bool,
    /// Go on with the parts of a directory, from where they stopped
    #[arg(long)]
    pub(crate) resume: bool,
    /// Most records of a part of a directory [default: 500000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) part_rows: Option<u64>,
    #[command(flatten)]
    pub(crate) org: OrgArgs,
    #[command(flatten)]
    pub(crate) shown: OutputArgs,
}

/// Formats that records are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, ValueEnum)]
pub(crate) enum QueryFormat {
    /// A table for people
    Table,
    /// Apache Parquet
    Parquet,
    /// Comma-separated values
    Csv,
    /// JSON, one object a line
    Jsonl,
    /// Arrow IPC file
    Arrow,
}

/// Records from one org to another.
#[derive(Debug, Args)]
pub(crate) struct CopyArgs {
    /// The object
    #[arg(value_name = "OBJECT")]
    pub(crate) object: String,
    /// The org that the records come from, by its name
    #[arg(long, value_name = "NAME")]
    pub(crate) from: String,
    /// The org that they go to, by its name
    #[arg(long, value_name = "NAME")]
    pub(crate) to: String,
    /// The external ID that both orgs have
    #[arg(long, value_name = "FIELD")]
    pub(crate) key: String,
    /// Only these fields; Account.Ext__c names a parent by its external ID
    #[arg(long, value_name = "FIELD,...", value_delimiter = ',')]
    pub(crate) fields: Vec<String>,
    /// Only records of which this is true, in SOQL
    #[arg(long = "where", value_name = "CONDITION")]
    pub(crate) filter: Option<String>,
    /// Most memory that records take [default: 512MiB]
    #[arg(long, value_name = "SIZE", env = "ARROW_SALESFORCE_MEMORY")]
    pub(crate) memory: Option<String>,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
}
