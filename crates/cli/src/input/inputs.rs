//! All inputs of a load.

use std::path::Path;
use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::common::TableReference;
use datafusion::execution::context::SessionContext;
use parking_lot::Mutex;

use super::environment::Environment;
use super::place::{Argument, Place};
use super::sql;
use super::stored::StoredFile;
use super::table::{Opener, Table};
use super::{FileState, InputError};
use crate::spec::ReadSpec;

/// The table of all inputs that have no name.
const UNNAMED: &str = "input";

/// The inputs of a load, opened: their files are known, and what their columns are.
#[derive(Debug)]
pub(crate) struct Inputs {
    opener: Opener,
    tables: Vec<(String, Table)>,
    /// Those that a query names.
    queried: Arc<Mutex<Vec<Table>>>,
}

impl Inputs {
    /// Opens what was typed. Standard input is copied to `spool`; if that is there, it is read in
    /// place of standard input.
    ///
    /// # Errors
    /// [`InputError`] if an input is not there, cannot be read, or is not what it should be.
    pub(crate) async fn open(
        typed: &[String],
        read: &ReadSpec,
        spool: &Path,
    ) -> Result<Self, InputError> {
        Self::open_in(typed, read, spool, Environment::of_process()).await
    }

    /// The same with the credentials of another environment.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub(crate) async fn open_in(
        typed: &[String],
        read: &ReadSpec,
        spool: &Path,
        environment: Environment,
    ) -> Result<Self, InputError> {
        let opener = Opener {
            environment,
            read: read.clone(),
            spool: spool.to_owned(),
            copies: Arc::default(),
        };
        let mut named: Vec<(String, Vec<StoredFile>)> = Vec::new();
        let mut stdin = false;
        for (nth, typed) in typed.iter().enumerate() {
            let Argument { name, place } = Argument::parse(typed)?;
            if place == Place::Stdin && std::mem::replace(&mut stdin, true) {
                return Err(InputError::Usage(
                    "- can be read only once: give it one time".to_owned(),
                ));
            }
            let files = opener.files(&place, nth).await?;
            let table = name.as_deref().unwrap_or(UNNAMED);
            let same = |(other, _): &&mut (String, _)| other.eq_ignore_ascii_case(table);
            match named.iter_mut().find(same) {
                Some((_, all)) if name.is_none() => all.extend(files),
                Some(_) => {
                    return Err(InputError::Usage(format!(
                        "two inputs are named {table}: give each a name of its own"
                    )));
                }
                None => named.push((table.to_owned(), files)),
            }
        }
        let mut tables = Vec::with_capacity(named.len());
        for (name, files) in named {
            tables.push((name, opener.table(files).await?));
        }
        Ok(Self {
            opener,
            tables,
            queried: Arc::default(),
        })
    }

    /// Makes tables of the inputs: `input` of those without a name, or of the only one; the others by
    /// their names. Records that cannot be read are rows, too: see
    /// [`source`](arrow_salesforce::source).
    ///
    /// # Errors
    /// [`InputError::Usage`] if DataFusion refuses.
    pub(crate) fn register(&self, context: &SessionContext) -> Result<(), InputError> {
        self.register_by(context, |table| &table.all)
    }

    /// The same for a query of the user's, which sees the records that can be read: the others are
    /// [`Self::unreadable`]. What the query names by its path or URL is opened when it is planned.
    ///
    /// # Errors
    /// As [`Self::register`].
    pub(crate) fn register_for_query(&self, context: &SessionContext) -> Result<(), InputError> {
        self.register_by(context, |table| &table.readable)
    }

    fn register_by(
        &self,
        context: &SessionContext,
        provider: impl Fn(&Table) -> &Arc<dyn TableProvider>,
    ) -> Result<(), InputError> {
        sql::open_paths(context, self.opener.clone(), Arc::clone(&self.queried));
        let register = |name: &str, table: &Table| {
            let provider = Arc::clone(provider(table));
            let registered = context.register_table(TableReference::bare(name), provider);
            registered
                .map(drop)
                .map_err(|error| InputError::Usage(format!("{name}: {error}")))
        };
        for (name, table) in &self.tables {
            register(name, table)?;
            // A query has names without quotes in lower case.
            let lower = name.to_ascii_lowercase();
            if lower != *name {
                register(&lower, table)?;
            }
        }
        match self.tables.as_slice() {
            [(name, only)] if name != UNNAMED => register(UNNAMED, only),
            _ => Ok(()),
        }
    }

    /// Tables of the records that cannot be read, those of files that a query names included once it is
    /// planned: each has a row for such a record, with the columns [`RAW`] and [`RAW_ERROR`] alone.
    ///
    /// [`RAW`]: arrow_salesforce::source::RAW
    /// [`RAW_ERROR`]: arrow_salesforce::source::RAW_ERROR
    pub(crate) fn unreadable(&self) -> Vec<Arc<dyn TableProvider>> {
        self.of_all(|table| table.unreadable.clone())
    }

    /// What was found in the files, as sentences.
    pub(crate) fn found(&self) -> Vec<String> {
        self.of_all(|table| table.found.clone())
    }

    /// What the files were when they were opened, those that a query names included once it is
    /// planned.
    pub(crate) fn states(&self) -> Vec<FileState> {
        self.of_all(|table| table.states.clone())
    }

    fn of_all<T, I: IntoIterator<Item = T>>(&self, of: impl Fn(&Table) -> I) -> Vec<T> {
        let tables = self.tables.iter().map(|(_, table)| table);
        let queried = self.queried.lock();
        tables.chain(queried.iter()).flat_map(of).collect()
    }

    /// Rows of `input`, where that is known before they are read.
    pub(crate) fn rows(&self) -> Option<u64> {
        match self.tables.as_slice() {
            [(_, only)] => only.rows,
            tables => {
                let input = tables.iter().find(|(name, _)| name == UNNAMED);
                input.and_then(|(_, table)| table.rows)
            }
        }
    }
}
