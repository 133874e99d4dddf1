//! Paths and URLs in a query -> tables, opened as inputs are.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::{DynamicFileCatalog, TableProvider, UrlTableFactory};
use datafusion::error::{DataFusionError, Result as QueryResult};
use datafusion::execution::context::SessionContext;
use parking_lot::Mutex;

use super::InputError;
use super::place::Place;
use super::table::{Opener, Table};

/// Lets queries name files: `select * from 's3://bucket/regions.parquet'`. Each is opened once, and
/// is in `opened` then.
pub(crate) fn open_paths(context: &SessionContext, opener: Opener, opened: Arc<Mutex<Vec<Table>>>) {
    let tables = Arc::new(PathTables {
        opener,
        opened,
        by_path: tokio::sync::Mutex::default(),
    });
    let state = context.state_ref();
    let mut state = state.write();
    let catalogs = Arc::clone(state.catalog_list());
    state.register_catalog_list(Arc::new(DynamicFileCatalog::new(catalogs, tables)));
}

#[derive(Debug)]
struct PathTables {
    opener: Opener,
    opened: Arc<Mutex<Vec<Table>>>,
    by_path: tokio::sync::Mutex<HashMap<String, Arc<dyn TableProvider>>>,
}

impl PathTables {
    async fn open(&self, path: &str) -> Result<Table, InputError> {
        let place = Place::parse(path)?;
        if place == Place::Stdin {
            return Err(InputError::Usage(
                "standard input has no path in a query: add - to the inputs".to_owned(),
            ));
        }
        let files = self.opener.files(&place, usize::MAX).await?;
        self.opener.table(files).await
    }
}

#[async_trait]
impl UrlTableFactory for PathTables {
    async fn try_new(&self, path: &str) -> QueryResult<Option<Arc<dyn TableProvider>>> {
        // Other names are of tables that are not there.
        if !path.contains(['/', '.', '\\']) {
            return Ok(None);
        }
        let mut by_path = self.by_path.lock().await;
        if let Some(known) = by_path.get(path) {
            return Ok(Some(Arc::clone(known)));
        }
        let table = self.open(path).await;
        let table = table.map_err(|error| DataFusionError::External(Box::new(error)))?;
        let provider = Arc::clone(&table.readable);
        by_path.insert(path.to_owned(), Arc::clone(&provider));
        self.opened.lock().push(table);
        Ok(Some(provider))
    }
}
