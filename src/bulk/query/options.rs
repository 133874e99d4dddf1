//! How a query is asked.

/// How a query is asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueryOptions {
    /// Deleted and archived records too (`queryAll`).
    pub deleted: bool,
    /// What the columns hold.
    pub types: Types,
    /// Rows of a page of results at most; Salesforce chooses by default.
    pub page_rows: Option<usize>,
    /// Ranges of Ids by which the query is split from the start, each with a job of its own: 1 to 1,000. By
    /// default it is split only if it is too much for one job. Salesforce splits the queries of most
    /// objects itself.
    pub split: Option<u32>,
    /// Jobs stay in the org, with their results, whether all rows were read or the stream was dropped
    /// before. By default they are deleted or aborted then.
    pub keep_jobs: bool,
}

impl QueryOptions {
    /// Sets [`QueryOptions::deleted`].
    #[must_use]
    pub fn with_deleted(mut self, deleted: bool) -> Self {
        self.deleted = deleted;
        self
    }

    /// Sets [`QueryOptions::types`].
    #[must_use]
    pub fn with_types(mut self, types: Types) -> Self {
        self.types = types;
        self
    }

    /// Sets [`QueryOptions::page_rows`].
    #[must_use]
    pub fn with_page_rows(mut self, rows: impl Into<Option<usize>>) -> Self {
        self.page_rows = rows.into();
        self
    }

    /// Sets [`QueryOptions::split`].
    #[must_use]
    pub fn with_split(mut self, ranges: impl Into<Option<u32>>) -> Self {
        self.split = ranges.into();
        self
    }

    /// Sets [`QueryOptions::keep_jobs`].
    #[must_use]
    pub fn with_keep_jobs(mut self, keep: bool) -> Self {
        self.keep_jobs = keep;
        self
    }
}

/// What the columns of a query hold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Types {
    /// Values of the types that the describes say: `Boolean`, `Date32`, `Timestamp(ms, UTC)`,
    /// `Time32(ms)`, `Int32`, `Int64`, `Decimal128` of the field's digits, `List<Utf8>` for picklists
    /// that take several values, `Utf8` for all else and for functions.
    #[default]
    Described,
    /// `Utf8`, as Salesforce writes them. What is empty is null.
    Text,
}
