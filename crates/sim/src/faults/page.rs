//! What goes wrong with a page of results of a query job.

use serde::{Deserialize, Serialize};

/// What is wrong with one page of results of a query job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum PageFault {
    /// It ends early, after a whole record.
    Cut {
        /// How much of its records it has, from 0 to 1; half when absent.
        #[serde(default = "super::fault::half")]
        share: f64,
        /// `Sforce-NumberOfRecords` counts the records that it has, and not those of the whole page.
        #[serde(default)]
        counted: bool,
    },
    /// It has the records of the page before; the first page, its own.
    Repeat {
        /// Its `Sforce-Locator` is that of the page before too.
        #[serde(default)]
        locator: bool,
    },
    /// Its `Sforce-Locator` leads back to a page that was read: to itself, or to the first page.
    Circle {
        /// To the first page.
        #[serde(default)]
        to_first: bool,
    },
    /// Its columns come in the reversed order, with another header than the other pages.
    OtherHeader {},
    /// It has no header line.
    NoHeader {},
    /// It says nothing in `Sforce-NumberOfRecords`.
    NoCount {},
    /// It says nothing in `Sforce-Locator`.
    NoLocator {},
}
