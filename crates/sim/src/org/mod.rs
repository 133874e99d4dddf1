//! The simulated org: its objects and fields, and the records that it holds.

mod check;
pub(crate) mod columns;
pub(crate) mod describe;
pub(crate) mod file;
mod generated;
pub(crate) mod id;
pub(crate) mod name;
pub(crate) mod number;
pub(crate) mod record_type;
pub(crate) mod records;
pub(crate) mod reference;
mod schema;
pub(crate) mod state;
pub(crate) mod table;
pub(crate) mod user;
pub(crate) mod value;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use serde_json::Value;

use self::file::{Limits, OrgFile};
use self::table::{Stamp, Table};
use self::user::User;

pub(crate) use self::schema::{Field, Kind, Object, Schema};

/// The Id of the org.
pub(crate) const ORG_ID: &str = "00D5g0000000000EAA";
/// The Id of the user that everything is done as: the first of the org's users.
pub(crate) const USER_ID: &str = "0055g0000000000AAA";

/// The Id of another user.
pub(crate) const OTHER_USER_ID: &str = "0055g0000000001AAA";

/// The describe response of an object of the embedded org, found by its name in any letter case.
pub fn describe(object: &str) -> Option<Value> {
    let schema = Schema::embedded().ok()?;
    schema.object(object).map(|object| object.describe())
}

/// An org: its objects, each with its records.
#[derive(Debug)]
pub(crate) struct Org {
    pub(crate) schema: Schema,
    /// The user that the options log in as, then those of the org's file.
    pub(crate) users: Vec<Arc<User>>,
    /// Limits of the org's file.
    pub(crate) limits: Limits,
    tables: BTreeMap<String, Mutex<Table>>,
    /// The values of loaded records are not kept.
    forget: bool,
    /// By the name of an object, further records that are there from the start, as CSV.
    data: BTreeMap<String, String>,
}

impl Org {
    /// An org as a file describes it, or the embedded one, with the records that it starts with.
    pub(crate) fn new(
        path: Option<&Path>,
        extra_objects: usize,
        forget: bool,
        data: &BTreeMap<String, PathBuf>,
    ) -> io::Result<Org> {
        let invalid = |error: String| io::Error::new(io::ErrorKind::InvalidData, error);
        let (schema, users, limits) = match path {
            None if extra_objects == 0 => (Schema::embedded()?, Vec::new(), Limits::default()),
            path => {
                let file = match path {
                    Some(path) => OrgFile::read(path),
                    None => OrgFile::embedded(),
                };
                let file = file.map_err(invalid)?;
                let read = Schema::read(&file, extra_objects).map_err(|error| {
                    let path = path.map(Path::display);
                    invalid(path.map_or_else(|| error.clone(), |path| format!("{path}: {error}")))
                })?;
                (read.0, read.1, file.limits)
            }
        };
        let first = Arc::new(User::first(&schema));
        let data = data.iter().map(|(name, path)| {
            let at =
                |error: &dyn std::fmt::Display| invalid(format!("{}: {error}", path.display()));
            let object = schema.object(name);
            let object = object.ok_or_else(|| at(&format!("there is no object {name}")))?;
            let csv = std::fs::read_to_string(path).map_err(|error| at(&error))?;
            Ok((object.name.clone(), csv))
        });
        let data: BTreeMap<String, String> = data.collect::<io::Result<_>>()?;
        let table = |object: &Arc<Object>| {
            let more = data.get(&object.name);
            let table = Mutex::new(first_table(object, forget, more)?);
            Ok((object.name.clone(), table))
        };
        Ok(Org {
            tables: schema
                .objects
                .iter()
                .map(table)
                .collect::<io::Result<_>>()?,
            users: [vec![first], users].concat(),
            limits,
            schema,
            forget,
            data,
        })
    }

    /// Finds an object by its name in any letter case.
    pub(crate) fn object(&self, name: &str) -> Option<&Arc<Object>> {
        self.schema.object(name)
    }

    /// The records of an object, by its exact name.
    pub(crate) fn table(&self, object: &str) -> Option<MutexGuard<'_, Table>> {
        self.tables.get(object).map(Mutex::lock)
    }

    /// The records of an object, after all were dropped.
    fn emptied(&self, object: &Arc<Object>) -> Option<MutexGuard<'_, Table>> {
        let mut table = self.table(&object.name)?;
        *table = Table::new(Arc::clone(object), true);
        Some(table)
    }

    /// Returns to the records that the org starts with.
    pub(crate) fn reset(&self) -> io::Result<()> {
        for object in &self.schema.objects {
            if let Some(mut table) = self.table(&object.name) {
                *table = first_table(object, self.forget, self.data.get(&object.name))?;
            }
        }
        Ok(())
    }
}

/// The table of an object with the records that it starts with. Values are forgotten only of what
/// clients load.
fn first_table(object: &Arc<Object>, forget: bool, data: Option<&String>) -> io::Result<Table> {
    let mut table = Table::new(Arc::clone(object), !forget || !object.createable);
    for records in object.records.iter().chain(data) {
        table.seed(records, Stamp::now(USER_ID)).map_err(|error| {
            let error = format!("the records of {}: {error}", object.name);
            io::Error::new(io::ErrorKind::InvalidData, error)
        })?;
    }
    Ok(table)
}
