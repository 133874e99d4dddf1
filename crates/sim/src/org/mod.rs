//! The simulated org: its objects and fields, and the records that it holds.

pub(crate) mod columns;
pub(crate) mod describe;
mod generated;
pub(crate) mod id;
pub(crate) mod number;
pub(crate) mod record_type;
pub(crate) mod records;
pub(crate) mod reference;
mod schema;
pub(crate) mod table;
pub(crate) mod value;

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use serde_json::Value;

use self::table::{Stamp, Table};

pub(crate) use self::schema::{Field, Kind, Object, Schema};

/// The Id of the org.
pub(crate) const ORG_ID: &str = "00D5g0000000000EAA";
/// The Id of the user that everything is done as: the first of the org's users.
pub(crate) const USER_ID: &str = "0055g0000000000AAA";

/// The Id of another user.
pub(crate) const OTHER_USER_ID: &str = "0055g0000000001AAA";

/// The describe response of an object of the embedded org, found by its name in any letter case.
pub fn describe(object: &str) -> Option<Value> {
    let schema = Schema::load(None, 0).ok()?;
    schema.object(object).map(|object| object.describe())
}

/// An org: its objects, each with its records.
#[derive(Debug)]
pub(crate) struct Org {
    pub(crate) schema: Schema,
    tables: BTreeMap<String, Mutex<Table>>,
    /// The values of loaded records are not kept.
    forget: bool,
}

impl Org {
    /// An org as a file describes it, or the embedded one, with the records that it starts with.
    pub(crate) fn new(path: Option<&Path>, extra_objects: usize, forget: bool) -> io::Result<Org> {
        let schema = Schema::load(path, extra_objects)?;
        let table = |object: &Arc<Object>| {
            let table = Mutex::new(first_table(object, forget)?);
            Ok((object.name.clone(), table))
        };
        Ok(Org {
            tables: schema
                .objects
                .iter()
                .map(table)
                .collect::<io::Result<_>>()?,
            schema,
            forget,
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

    /// Returns to the records that the org starts with.
    pub(crate) fn reset(&self) -> io::Result<()> {
        for object in &self.schema.objects {
            if let Some(mut table) = self.table(&object.name) {
                *table = first_table(object, self.forget)?;
            }
        }
        Ok(())
    }
}

/// The table of an object with the records that it starts with. Values are forgotten only of what
/// clients load.
fn first_table(object: &Arc<Object>, forget: bool) -> io::Result<Table> {
    let mut table = Table::new(Arc::clone(object), !forget || !object.createable);
    if let Some(records) = &object.records {
        table
            .seed(records, Stamp::now(USER_ID))
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    }
    Ok(table)
}
