//! What may be typed.

pub(crate) mod after;
pub(crate) mod orgs;
pub(crate) mod query;

use std::path::PathBuf;
use std::sync::LazyLock;

use arrow_salesforce::bulk::API_VERSION;
use arrow_salesforce::options::Older;
use clap::{Args, Parser, Subcommand, ValueEnum};

use self::after::{UndoArgs, VerifyArgs};
use self::orgs::{DescribeArgs, LimitsArgs, LoginArgs, LogoutArgs, ObjectsArgs, OrgsArgs};
use self::query::{CopyArgs, QueryArgs};
use crate::spec::{DateOrder, DecimalMark, Format};

/// Loads files and queries into Salesforce, and can account for every record.
#[derive(Debug, Parser)]
#[command(
    name = "arrow-salesforce",
    version,
    long_version = FEATURES.as_str(),
    after_help = EXIT_CODES,
    max_term_width = 100
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Load files, or a query over them, into an object
    #[command(after_help = after_help())]
    Load(Box<LoadArgs>),
    /// Go on with a load that stopped, from where it stopped
    #[command(after_help = after_help())]
    Resume(ResumeArgs),
    /// List runs, or delete old ones
    Runs(RunsArgs),
    /// Show the rejected records of a run, export them, or load them again
    #[command(after_help = after_help())]
    Rejects(Box<RejectsArgs>),
    /// Take the records of a query out of an org
    #[command(after_help = after_help())]
    Query(Box<QueryArgs>),
    /// Compare the org with what a run has sent
    #[command(after_help = after_help())]
    Verify(VerifyArgs),
    /// Take a run back: delete what it created, restore what it changed
    #[command(after_help = after_help())]
    Undo(UndoArgs),
    /// Copy records of an object from one org to another
    Copy(Box<CopyArgs>),
    /// Log in to an org by the browser, and keep the login
    Login(LoginArgs),
    /// Log out of an org
    Logout(LogoutArgs),
    /// List the orgs that are logged in to
    Orgs(OrgsArgs),
    /// Show what is left of an org's limits
    Limits(LimitsArgs),
    /// List the objects of an org
    Objects(ObjectsArgs),
    /// List the fields of an object
    Describe(DescribeArgs),
    /// Print what makes a shell complete the commands
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    Man,
}

/// The version, and what this build can read.
static FEATURES: LazyLock<String> = LazyLock::new(|| {
    format!(
        "{}\n\
         formats: CSV, JSON lines, Parquet, Arrow IPC (file and stream)\n\
         compression: gzip, zstd, bzip2, xz\n\
         places: files, stdin, s3://, gs://, az://, https://\n\
         Salesforce API: {API_VERSION}",
        env!("CARGO_PKG_VERSION")
    )
});

/// What stands below the options of commands that load.
fn after_help() -> String {
    format!("{ENVIRONMENT}\n\n{EXIT_CODES}")
}

/// What the environment may say, for `--help`.
const ENVIRONMENT: &str = "\
Credentials, unless --org, --config or --from-sf is given; without any, those of the default org:
  SF_INSTANCE_URL, SF_ACCESS_TOKEN          a session that is there already
  SF_CLIENT_ID, SF_CLIENT_SECRET            client credentials, with SF_LOGIN_URL: the My Domain
  SF_CLIENT_ID, SF_USERNAME,                JWT, with the key in PEM form
    SF_PRIVATE_KEY_FILE (or SF_PRIVATE_KEY)
  SF_CLIENT_ID, SF_REFRESH_TOKEN            refresh token, with SF_CLIENT_SECRET if the app asks for it
  SF_LOGIN_URL                              https://test.salesforce.com for a sandbox";

const EXIT_CODES: &str = "\
Exit codes:
  0  all records were accepted
  1  the load failed; `resume` goes on
  2  what was typed cannot be done
  3  some records were rejected
  4  stopped by --max-rejected";

/// Whose org, and how to log in.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Org")]
pub(crate) struct OrgArgs {
    /// An org by the name that `login` gave it [env: ARROW_SALESFORCE_ORG=]
    #[arg(long, value_name = "NAME", group = "whose")]
    pub(crate) org: Option<String>,
    /// A config file of the Airbyte destination [env: ARROW_SALESFORCE_CONFIG=]
    #[arg(long, value_name = "FILE", group = "whose")]
    pub(crate) config: Option<String>,
    /// An org that the sf command line is logged in to
    #[arg(long, value_name = "ALIAS", group = "whose")]
    pub(crate) from_sf: Option<String>,
    /// Most memory that records take [default: 512MiB]
    #[arg(long, value_name = "SIZE", env = "ARROW_SALESFORCE_MEMORY")]
    pub(crate) memory: Option<String>,
}

impl OrgArgs {
    /// An org by a name that `login` gave it, or by its config file.
    pub(crate) fn named(text: &str) -> Self {
        let is_file = std::path::Path::new(text).is_file();
        let text = Some(text.to_owned());
        match is_file {
            true => Self {
                config: text,
                ..Self::default()
            },
            false => Self {
                org: text,
                ..Self::default()
            },
        }
    }

    /// The same, wherever the process stands.
    pub(crate) fn absolute(mut self) -> Self {
        if self.org.is_none() && self.from_sf.is_none() {
            let set = std::env::var("ARROW_SALESFORCE_CONFIG").ok();
            self.config = self.config.or(set.filter(|path| !path.is_empty()));
        }
        let absolute = |path: String| match std::path::absolute(&path) {
            Ok(absolute) => absolute.display().to_string(),
            Err(_) => path,
        };
        self.config = self.config.map(absolute);
        self
    }
}

/// What is shown, and how.
#[derive(Debug, Clone, Copy, Default, Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct OutputArgs {
    /// Print one JSON object a line
    #[arg(long)]
    pub(crate) json: bool,
    /// Show no progress
    #[arg(long, short)]
    pub(crate) quiet: bool,
    /// Do not ask
    #[arg(long, short)]
    pub(crate) yes: bool,
}

/// Where runs lie.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct PlaceArgs {
    /// Where runs are kept: a directory, or a URL of an object store
    #[arg(
        long,
        value_name = "DIR",
        env = "ARROW_SALESFORCE_RUNS",
        help_heading = "Output"
    )]
    pub(crate) run_dir: Option<String>,
}

/// A load.
#[derive(Debug, Args)]
pub(crate) struct LoadArgs {
    /// Files, globs, directories or URLs (s3://, gs://, az://, https://); - is stdin; name=INPUT names it
    #[arg(value_name = "INPUT")]
    pub(crate) inputs: Vec<String>,
    /// A file that describes the load; flags come before it
    #[arg(long, short = 'f', value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// The object to load into
    #[arg(long, value_name = "OBJECT")]
    pub(crate) object: Option<String>,
    #[command(flatten)]
    pub(crate) operation: OperationArgs,
    #[command(flatten)]
    pub(crate) rows: RowArgs,
    #[command(flatten)]
    pub(crate) read: ReadArgs,
    #[command(flatten)]
    pub(crate) write: WriteArgs,
    /// Plan and coerce everything, and write nothing; `org` also asks the org what upserts would do
    #[arg(long, value_name = "HOW", num_args = 0..=1, default_missing_value = "here", require_equals = true)]
    pub(crate) dry_run: Option<DryRun>,
    #[command(flatten)]
    pub(crate) org: OrgArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
}

/// What is done with each record.
#[derive(Debug, Default, Args)]
#[group(multiple = false)]
#[command(next_help_heading = "Operation")]
pub(crate) struct OperationArgs {
    /// Create a record for each row (the default)
    #[arg(long)]
    pub(crate) insert: bool,
    /// Change the record with this key, or create it
    #[arg(long, value_name = "FIELD")]
    pub(crate) upsert: Option<String>,
    /// Change the record that Id names
    #[arg(long)]
    pub(crate) update: bool,
    /// Move the record that Id names to the recycle bin
    #[arg(long)]
    pub(crate) delete: bool,
    /// Delete the record that Id names, past the recycle bin
    #[arg(long)]
    pub(crate) hard_delete: bool,
}

/// Which rows, and which columns fill which fields.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Rows and fields")]
pub(crate) struct RowArgs {
    /// A query over the inputs: `input`, or each by its name
    #[arg(long, value_name = "QUERY")]
    pub(crate) sql: Option<String>,
    /// Which column fills which field: Email=mail,LastName=surname
    #[arg(long, value_name = "FIELD=COLUMN,...", value_delimiter = ',')]
    pub(crate) map: Vec<String>,
    /// The same from a file, a line each
    #[arg(long, value_name = "FILE")]
    pub(crate) map_file: Option<PathBuf>,
    /// Leave out columns that match no field
    #[arg(long)]
    pub(crate) ignore_unknown: bool,
    /// A field with the same value in all records
    #[arg(long, value_name = "FIELD=VALUE")]
    pub(crate) set: Vec<String>,
    /// Only rows of which this is true
    #[arg(long = "where", value_name = "CONDITION")]
    pub(crate) filter: Option<String>,
    /// Only the first rows
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<u64>,
    /// Load so many rows, report and stop; `resume` loads the rest
    #[arg(long, value_name = "N", conflicts_with = "dry_run")]
    pub(crate) sample: Option<u64>,
    /// Keep the result of the query as Parquet in the run, and load that
    #[arg(long)]
    pub(crate) materialize: bool,
}

/// How inputs are read.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Reading")]
pub(crate) struct ReadArgs {
    /// The format, where names do not say
    #[arg(long, value_enum)]
    pub(crate) format: Option<Format>,
    /// The character between columns of a CSV, or `tab`
    #[arg(long, value_name = "CHAR")]
    pub(crate) delimiter: Option<String>,
    /// The encoding of a CSV, such as latin1
    #[arg(long, value_name = "NAME")]
    pub(crate) encoding: Option<String>,
    /// The order of day, month and year
    #[arg(long, value_enum)]
    pub(crate) dates: Option<DateOrder>,
    /// What stands before the fraction of a number
    #[arg(long, value_enum)]
    pub(crate) decimal: Option<DecimalMark>,
}

/// How records are written.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Writing")]
pub(crate) struct WriteArgs {
    /// Stop once more records are rejected: N, or N% of those read
    #[arg(long, value_name = "N|N%")]
    pub(crate) max_rejected: Option<String>,
    /// What becomes of nulls: leave lets fields be as they are, clear empties them
    #[arg(long, value_name = "HOW")]
    pub(crate) nulls: Option<String>,
    /// What becomes of texts that are too long
    #[arg(long, value_name = "HOW")]
    pub(crate) on_too_long: Option<String>,
    /// Time zone of times without one, such as +01:00
    #[arg(long, value_name = "ZONE")]
    pub(crate) timezone: Option<String>,
    /// The lookup whose rows stand together in a job
    #[arg(long, value_name = "FIELD")]
    pub(crate) group_by: Option<String>,
    /// Most jobs at once
    #[arg(long, value_name = "N")]
    pub(crate) max_jobs_in_flight: Option<usize>,
    /// Most bytes of a job
    #[arg(long, value_name = "N")]
    pub(crate) max_job_bytes: Option<u64>,
    /// Most records of a job
    #[arg(long, value_name = "N")]
    pub(crate) max_job_rows: Option<u64>,
    /// The assignment rule for leads and cases
    #[arg(long, value_name = "ID")]
    pub(crate) assignment_rule_id: Option<String>,
    /// Keep the former values of the fields that are written, so that `undo` can restore them
    #[arg(long)]
    pub(crate) snapshot: bool,
    /// Keep no receipts of accepted records
    #[arg(long)]
    pub(crate) no_receipts: bool,
}

/// How much of a load is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum DryRun {
    /// On this machine
    Here,
    /// Also ask the org what upserts would do
    Org,
}

/// What is done about rows that earlier attempts may have inserted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Earlier {
    /// They are not sent again, if a sample of their records is still in the org
    Expect,
    /// They are not sent again
    Trust,
    /// They are sent again: some may be in the org twice then
    Forget,
}

impl Earlier {
    /// The engine's word for it.
    pub(crate) fn older(self) -> Older {
        match self {
            Self::Expect => Older::Expect,
            Self::Trust => Older::Trust,
            Self::Forget => Older::Forget,
        }
    }
}

/// A load that goes on.
#[derive(Debug, Args)]
pub(crate) struct ResumeArgs {
    /// The run, by its id or the beginning of it
    #[arg(value_name = "RUN")]
    pub(crate) run: String,
    /// What is done about inserts whose end nobody heard of
    #[arg(long, value_enum, default_value_t = Earlier::Expect)]
    pub(crate) ledger: Earlier,
    #[command(flatten)]
    pub(crate) org: OrgArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
}

/// Runs.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct RunsArgs {
    #[command(subcommand)]
    pub(crate) task: Option<RunsTask>,
    #[command(flatten)]
    pub(crate) list: RunsListArgs,
}

/// How runs are listed.
#[derive(Debug, Default, Args)]
pub(crate) struct RunsListArgs {
    /// Print one JSON object a line
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
}

/// What to do with runs.
#[derive(Debug, Subcommand)]
pub(crate) enum RunsTask {
    /// Delete runs with all that they keep, personal data included
    Prune(PruneArgs),
}

/// Which runs are deleted.
#[derive(Debug, Args)]
pub(crate) struct PruneArgs {
    /// Older than this: 30d, 12h
    #[arg(long, value_name = "AGE")]
    pub(crate) older_than: String,
    /// Do not ask
    #[arg(long, short)]
    pub(crate) yes: bool,
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
}

/// Rejected records.
#[derive(Debug, Args)]
pub(crate) struct RejectsArgs {
    /// A run, or a directory or URL with files of rejected records
    #[arg(value_name = "RUN|DIR|URL")]
    pub(crate) from: String,
    /// Write them as CSV, in the shape of the input with a column of reasons
    #[arg(long, value_name = "FILE", conflicts_with = "load")]
    pub(crate) export: Option<PathBuf>,
    /// Load them again: as they are, or from a repaired export
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "")]
    pub(crate) load: Option<String>,
    /// A query over them, by the name `input`
    #[arg(long, value_name = "QUERY", requires = "load")]
    pub(crate) sql: Option<String>,
    /// The object, where the place does not say
    #[arg(long, value_name = "OBJECT")]
    pub(crate) object: Option<String>,
    #[command(flatten)]
    pub(crate) operation: OperationArgs,
    #[command(flatten)]
    pub(crate) org: OrgArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
}
