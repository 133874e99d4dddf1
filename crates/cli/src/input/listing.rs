//! Places -> the files that lie there, sorted, with the columns that their directories give.

use std::path::{Path as LocalPath, PathBuf};
use std::sync::Arc;

use arrow_salesforce::object_store::path::Path;
use arrow_salesforce::object_store::{self, ObjectMeta, ObjectStoreExt as _};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use glob::{MatchOptions, Pattern};

use super::bytes::{self, of_io};
use super::environment::Environment;
use super::format;
use super::place::Place;
use super::store::Remote;
use super::stored::{Hive, StoredFile};
use super::{InputError, spool};

/// Files that are looked into at once: half of the threads that may block, since each may need one
/// and wait for a request that needs another.
const AT_ONCE: usize = 8;

/// In globs as in a shell: only `**` goes into directories.
const MATCH: MatchOptions = MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: true,
};

/// What directories call a value that is null.
const HIVE_NULL: &str = "__HIVE_DEFAULT_PARTITION__";

/// The files of a place. At least one.
///
/// # Errors
/// [`InputError`] if there is none, or one cannot be read.
pub(crate) async fn files(
    place: &Place,
    environment: &Environment,
    copy: PathBuf,
) -> Result<Vec<StoredFile>, InputError> {
    match place {
        Place::Stdin => Ok(vec![spool::stdin(copy).await?]),
        Place::Local(path) => {
            let path = path.clone();
            let kind = tokio::fs::metadata(&path).await;
            if kind.is_ok_and(|kind| !kind.is_file() && !kind.is_dir()) {
                return Ok(vec![spool::pipe(&path, copy).await?]);
            }
            let listed = tokio::task::spawn_blocking(move || list_local(&path)).await;
            let listed = listed.map_err(|error| InputError::Usage(error.to_string()))??;
            let opened = listed.into_iter().map(|(path, hive)| {
                let name = path.display().to_string();
                StoredFile::local(path, name, hive)
            });
            stream::iter(opened).buffered(AT_ONCE).try_collect().await
        }
        Place::Remote(url) => list_remote(Remote::connect(url, environment)?).await,
    }
}

fn list_local(path: &LocalPath) -> Result<Vec<(PathBuf, Hive)>, InputError> {
    let shown = path.display().to_string();
    let wrong = |error| of_io(&shown, error);
    let found = std::fs::metadata(path);
    if found.as_ref().is_ok_and(std::fs::Metadata::is_file) {
        return Ok(vec![(path.to_owned(), Hive::new())]);
    }
    let mut files = Vec::new();
    match found {
        Ok(_) => walk(path, &mut files).map_err(wrong)?,
        Err(error) if !is_glob(&shown) => return Err(wrong(error)),
        Err(_) => {
            let paths =
                glob::glob_with(&shown, MATCH).map_err(|error| wrong_glob(&shown, &error))?;
            for path in paths {
                let path = path.map_err(|error| wrong(error.into()))?;
                match path.is_dir() {
                    true => walk(&path, &mut files).map_err(wrong)?,
                    false => files.push(path),
                }
            }
        }
    }
    files.sort();
    files.dedup();
    let root = root_of(&shown);
    let below = |path: &PathBuf| {
        let path = path.display().to_string();
        path.strip_prefix(root).unwrap_or(&path).to_owned()
    };
    let names: Vec<String> = files.iter().map(below).collect();
    check(&shown, &names)?;
    let data = data_files(&names).into_iter();
    Ok(data
        .map(|at| (files[at].clone(), hive(&names[at])))
        .collect())
}

/// All files below a directory. Links are followed, and may not lead back up.
fn walk(directory: &LocalPath, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        let found = std::fs::metadata(&path)?;
        if found.is_dir() {
            let above = path.canonicalize()?;
            if !directory.canonicalize()?.starts_with(above) {
                walk(&path, files)?;
            }
        } else if found.is_file() && found.len() > 0 {
            files.push(path);
        }
    }
    Ok(())
}

/// Which of these names, below what was named, are of data: not those that begin with `.` or `_`, nor in directories that
/// do; and if some names say a format, only those that do.
fn data_files(names: &[String]) -> Vec<usize> {
    let is_open = |name: &String| {
        let hidden = |part: &str| part.starts_with(['.', '_']) && part != "." && part != "..";
        !name.split('/').any(hidden) || names.len() == 1
    };
    let open: Vec<usize> = (0..names.len()).filter(|at| is_open(&names[*at])).collect();
    let says = |at: &usize| format::by_name(&names[*at]).is_some();
    match open.iter().any(says) {
        true => open.into_iter().filter(says).collect(),
        false => open,
    }
}

/// Refuses what is no plain directory of files.
fn check(shown: &str, names: &[String]) -> Result<(), InputError> {
    let wrong = |reason: &'static str| {
        Err(InputError::Missing {
            name: shown.to_owned(),
            reason,
        })
    };
    if names
        .iter()
        .any(|name| name.split('/').any(|part| part == "_delta_log"))
    {
        return wrong(
            "it is a Delta table, whose files hold rows that were deleted, too; write the table \
             as Parquet first",
        );
    }
    if data_files(names).is_empty() {
        return wrong(match is_glob(shown) {
            true => "no file matches",
            false if names.is_empty() => "it is not there, or no file with data is in it",
            false => "no file with data is in it",
        });
    }
    Ok(())
}

async fn list_remote(remote: Remote) -> Result<Vec<StoredFile>, InputError> {
    if !remote.lists {
        return Ok(vec![of_web(remote).await?]);
    }
    let shown = format!("{}/{}", remote.root, remote.key);
    let wrong = |error: object_store::Error| bytes::failed(&shown, &error);
    let key = |key: &str| Path::parse(key).map_err(|error| wrong(error.into()));
    let whole = key(remote.key.trim_end_matches('/'))?;
    // A server may answer by any error for a key that is none, but has others below it.
    let mut failed = None;
    if !remote.key.is_empty() && !remote.key.ends_with('/') {
        match remote.store.head(&whole).await {
            Ok(meta) => {
                let file = StoredFile::remote(remote.store, shown, meta, Hive::new(), true);
                return Ok(vec![file.await?]);
            }
            Err(object_store::Error::NotFound { .. }) => {}
            Err(error) => failed = Some(error),
        }
    }
    let root = root_of(&remote.key);
    let listed = remote.store.list(Some(&key(root.trim_end_matches('/'))?));
    let listed: Result<Vec<ObjectMeta>, _> = listed.try_collect().await;
    let mut listed = match (listed, failed) {
        (Ok(listed), Some(error)) if listed.is_empty() => return Err(wrong(error)),
        (Err(_), Some(error)) | (Err(error), None) => return Err(wrong(error)),
        (Ok(listed), _) => listed,
    };
    listed.sort_by(|a, b| a.location.cmp(&b.location));
    if is_glob(&remote.key) {
        let pattern = Pattern::new(&remote.key).map_err(|error| wrong_glob(&shown, &error))?;
        // What matches may be a directory, as in a shell.
        let below = Pattern::new(&format!("{}/**/*", remote.key.trim_end_matches('/')));
        let below = below.map_err(|error| wrong_glob(&shown, &error))?;
        let matches =
            |key: &str| pattern.matches_with(key, MATCH) || below.matches_with(key, MATCH);
        listed.retain(|meta| matches(meta.location.as_ref()));
    }
    listed.retain(|meta| meta.size > 0);
    let below = |meta: &ObjectMeta| {
        let key = meta.location.as_ref();
        key.strip_prefix(root).unwrap_or(key).to_owned()
    };
    let names: Vec<String> = listed.iter().map(below).collect();
    check(&shown, &names)?;
    let opened = data_files(&names).into_iter().map(|at| {
        let (store, meta) = (Arc::clone(&remote.store), listed[at].clone());
        let name = remote.url(&meta.location);
        StoredFile::remote(store, name, meta, hive(&names[at]), true)
    });
    let opened: Vec<_> = opened.collect();
    stream::iter(opened).buffered(AT_ONCE).try_collect().await
}

/// The file of a web server. Not all servers know its length without sending it, or send parts.
async fn of_web(remote: Remote) -> Result<StoredFile, InputError> {
    let name = remote.root.clone();
    let wrong = |error: object_store::Error| bytes::failed(&name, &error);
    let key = Path::parse(&remote.key).map_err(|error| wrong(error.into()))?;
    let meta = match remote.store.head(&key).await {
        Ok(meta) => meta,
        Err(_) => remote.store.get(&key).await.map_err(wrong)?.meta,
    };
    let part = 0..meta.size.min(1);
    let parts = meta.size == 0 || remote.store.get_range(&key, part).await.is_ok();
    StoredFile::remote(remote.store, remote.root, meta, Hive::new(), parts).await
}

fn is_glob(path: &str) -> bool {
    path.contains(['*', '?', '['])
}

fn wrong_glob(shown: &str, error: &glob::PatternError) -> InputError {
    InputError::Usage(format!("{shown}: {error}"))
}

/// The directory below which directories give columns: what was named, or what a glob leaves open.
fn root_of(path: &str) -> &str {
    match path.find(['*', '?', '[']) {
        Some(open) => path
            .get(..open)
            .and_then(|fixed| fixed.rfind('/'))
            .map_or("", |slash| &path[..=slash]),
        None => path,
    }
}

/// The columns that directories give: `year=2024/month=01/`.
fn hive(below: &str) -> Hive {
    let mut parts: Vec<&str> = below.split('/').collect();
    parts.pop();
    let pairs = parts.into_iter().filter_map(|part| part.split_once('='));
    pairs
        .filter(|(name, _)| !name.is_empty())
        .map(|(name, value)| {
            (
                unescaped(name),
                (value != HIVE_NULL).then(|| unescaped(value)),
            )
        })
        .collect()
}

/// `%3A` -> `:`
fn unescaped(text: &str) -> String {
    let path = Path::from_url_path(text);
    match path {
        Ok(path) if text.contains('%') => path.to_string(),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_give_columns() {
        let pair = |name: &str, value: Option<&str>| (name.to_owned(), value.map(str::to_owned));
        assert_eq!(
            hive("/dt=2024-01-01/at=10%3A30/x/none=__HIVE_DEFAULT_PARTITION__/a=b.csv"),
            [
                pair("dt", Some("2024-01-01")),
                pair("at", Some("10:30")),
                pair("none", None)
            ]
        );
        assert_eq!(root_of("data/2024*/x=1/*.csv"), "data/");
        assert_eq!(root_of("*.csv"), "");
        assert_eq!(root_of("data"), "data");
    }

    #[test]
    fn what_is_no_data_is_left_out() {
        let names = [
            "d/_SUCCESS",
            "d/.x.crc",
            "d/_tmp/a.csv",
            "d/a.csv",
            "d/read.me",
        ];
        let names = names.map(str::to_owned);
        assert_eq!(data_files(&names), [3]);
        assert_eq!(
            data_files(&["d/part-0".to_owned(), "d/_SUCCESS".to_owned()]),
            [0]
        );
    }
}
