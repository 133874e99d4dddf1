//! Records as they are kept between two runs of the simulator.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Entry, Origin, Stamp, Table, Upload};
use crate::csv::File;
use crate::org::columns::Column;

/// Where a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Place {
    Live,
    Bin,
    Gone,
}

/// The generation of a table, how many records it ever had, and how many of them were changed,
/// deleted and purged.
pub(crate) type Fingerprint = (u64, usize, [usize; 3]);

/// A record with its history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Saved {
    pub(crate) place: Place,
    pub(crate) created: Stamp,
    pub(crate) changed: Stamp,
    /// The values that are not null, by the name of the field.
    pub(crate) values: BTreeMap<String, String>,
}

impl Table {
    /// Another one than before if anything changed since.
    pub(crate) fn fingerprint(&self) -> Fingerprint {
        let changes = self.changes.values().map(Vec::len).sum();
        let counts = [changes, self.deleted.len(), self.purged.len()];
        (self.generation, self.digests.len(), counts)
    }

    /// Where a record is.
    pub(crate) fn place(&self, number: u32) -> Place {
        if self.purged.contains(&number) {
            Place::Gone
        } else if self.deleted.contains(&number) {
            Place::Bin
        } else {
            Place::Live
        }
    }

    /// Adds records as they were saved, in their order, to an empty table.
    ///
    /// # Errors
    /// If a record has a field that is not there, or two have one unique key.
    pub(crate) fn restore(&mut self, saved: &[Saved]) -> Result<(), String> {
        let mut begin = 0;
        while begin < saved.len() {
            let created = &saved[begin].created;
            let same = saved[begin..].iter();
            let same = same.take_while(|record| record.created == *created).count();
            self.restore_part(&saved[begin..begin + same], created)?;
            begin += same;
        }
        Ok(())
    }

    /// Adds records that were created together.
    fn restore_part(&mut self, saved: &[Saved], created: &Stamp) -> Result<(), String> {
        let mut columns = BTreeMap::new();
        for name in saved.iter().flat_map(|record| record.values.keys()) {
            let field = self.object.field(name);
            let field = field.ok_or_else(|| format!("{} has no field {name}", self.object.name))?;
            columns.insert(name.as_str(), Column::Field(field));
        }
        let names: Vec<&str> = columns.keys().copied().collect();
        let rows = saved.iter().map(|record| {
            let values = names.iter().map(|name| record.values.get(*name));
            values
                .map(|value| value.map_or("", String::as_str))
                .collect()
        });
        let upload = Arc::new(Upload {
            file: File::of_values(&names, rows),
            columns: columns.values().cloned().collect(),
        });
        let number = self.add_upload(&upload, created.clone());
        let mut values: Vec<Cow<'_, str>> = Vec::new();
        for (row, record) in saved.iter().enumerate() {
            upload.file.split(row, &mut values);
            let mut entry = Entry::new(&self.object, &upload, number, row, &values);
            if record.place != Place::Live {
                // It is found by no key, and may have that of another.
                entry.keys.clear();
            }
            let added = self.insert(&entry)?;
            match record.place {
                Place::Live => {}
                Place::Bin => {
                    self.deleted.insert(added);
                }
                Place::Gone => {
                    self.purged.insert(added);
                }
            }
            if record.changed != record.created {
                self.restore_change(added, record);
            }
        }
        Ok(())
    }

    /// Notes who changed a record last: by a row that writes nothing.
    fn restore_change(&mut self, number: u32, record: &Saved) {
        let known = self
            .uploads
            .iter()
            .rposition(|(upload, stamp)| upload.columns.is_empty() && *stamp == record.changed);
        let upload = match known {
            Some(upload) => u32::try_from(upload).unwrap_or(u32::MAX),
            None => {
                let empty = Upload {
                    file: File::of_values(&[], std::iter::once(Vec::new())),
                    columns: Vec::new(),
                };
                self.add_upload(&Arc::new(empty), record.changed.clone())
            }
        };
        let origin = Origin { upload, row: 0 };
        self.changes.entry(number).or_default().push(origin);
    }
}
