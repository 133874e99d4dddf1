//! One line of a file: its members or cells by name.

use std::borrow::Cow;
use std::collections::HashMap;

use serde::Deserialize;
use serde_json::value::RawValue;

/// A value as it stands in the file.
#[derive(Debug, Clone, Copy)]
pub(super) enum Given<'a> {
    /// The text of a JSON value.
    Json(&'a str),
    /// A CSV cell that is not empty, or is an empty text.
    Cell(&'a str),
}

/// The values of a line.
pub(super) struct Fields<'a>(HashMap<Cow<'a, str>, Given<'a>>);

impl<'a> Fields<'a> {
    /// The members of a JSON object.
    pub(super) fn of(json: &'a str) -> Option<Self> {
        let members: HashMap<Key<'a>, &RawValue> = serde_json::from_str(json).ok()?;
        let given = members
            .into_iter()
            .map(|(key, value)| (key.0, Given::Json(value.get())));
        Some(Self(given.collect()))
    }

    /// The cells of a row, of which those named by `empty` are empty texts and the other empty ones
    /// are nulls.
    pub(super) fn of_cells(
        names: &'a [String],
        cells: impl Iterator<Item = Option<&'a str>>,
        empty: &[String],
    ) -> Self {
        let given = names.iter().zip(cells).filter_map(|(name, cell)| {
            let cell = cell.or_else(|| empty.contains(name).then_some(""))?;
            Some((Cow::Borrowed(name.as_str()), Given::Cell(cell)))
        });
        Self(given.collect())
    }

    pub(super) fn get(&self, name: &str) -> Option<Given<'a>> {
        self.0.get(name).copied()
    }

    /// A member's JSON.
    pub(super) fn json(&self, name: &str) -> Option<&'a str> {
        match self.get(name)? {
            Given::Json(json) => Some(json),
            Given::Cell(_) => None,
        }
    }

    pub(super) fn number(&self, name: &str) -> Option<i64> {
        self.json(name)?.parse().ok()
    }
}

impl<'a> Given<'a> {
    /// The value as a text: a string's content, any other value as it stands; null is none.
    pub(super) fn text(self) -> Option<Cow<'a, str>> {
        match self {
            Self::Cell(text) => Some(text.into()),
            Self::Json("null") => None,
            Self::Json(json) if json.starts_with('"') => unquoted(json),
            Self::Json(json) => Some(json.into()),
        }
    }
}

fn unquoted(json: &str) -> Option<Cow<'_, str>> {
    serde_json::from_str::<Key<'_>>(json).ok().map(|key| key.0)
}

/// A JSON string, borrowed where it has no escapes.
#[derive(PartialEq, Eq, Hash, Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

/// `_airbyte_meta`.
#[derive(Deserialize)]
pub(super) struct Meta<'a> {
    #[serde(borrow)]
    pub(super) changes: &'a RawValue,
    pub(super) rejected: Rejected,
}

/// `_airbyte_meta.rejected`.
#[derive(Deserialize)]
pub(super) struct Rejected {
    pub(super) version: u32,
    pub(super) ordinal: u64,
    pub(super) stage: String,
    pub(super) code: String,
    pub(super) message: String,
    pub(super) fields: Vec<String>,
    pub(super) job_id: Option<String>,
    pub(super) at: i64,
    #[serde(default)]
    pub(super) nulls: Vec<String>,
    #[serde(default)]
    pub(super) empty: Vec<String>,
}

impl<'a> Meta<'a> {
    pub(super) fn of(json: &'a str) -> Option<Self> {
        serde_json::from_str(json).ok()
    }
}
