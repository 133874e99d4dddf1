//! Tables that fit the terminal.

use comfy_table::presets::{ASCII_HORIZONTAL_ONLY, UTF8_HORIZONTAL_ONLY};
use comfy_table::{ContentArrangement, Table, TableComponent};

use super::screen;

/// What a page can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Page {
    /// Whether it shows more than ASCII.
    pub(crate) unicode: bool,
    /// In columns.
    pub(crate) width: u16,
}

impl Page {
    /// The terminal, or whatever stdout is.
    pub(crate) fn of_stdout() -> Self {
        Self {
            unicode: screen::is_unicode(),
            width: screen::width(),
        }
    }

    /// An empty table with these titles.
    pub(crate) fn table(self, titles: &[&str]) -> Table {
        let preset = match self.unicode {
            true => UTF8_HORIZONTAL_ONLY,
            false => ASCII_HORIZONTAL_ONLY,
        };
        let mut table = Table::new();
        table
            .load_preset(preset)
            .remove_style(TableComponent::HorizontalLines)
            .remove_style(TableComponent::MiddleIntersections)
            .set_content_arrangement(ContentArrangement::Dynamic)
            .set_width(self.width)
            .set_header(titles.to_vec());
        table
    }
}
