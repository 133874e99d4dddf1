//! Rows that Salesforce refused since their parent is not there, while another load, or their own, may
//! still bring it.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array as _, AsArray as _};
use tokio::task::spawn_blocking;

use super::retry::with_merged;
use crate::coerce::Reason;
use crate::error::Result;
use crate::load::LoadError;
use crate::load::held::Held;
use crate::load::keys::HELD_BYTES;
use crate::load::recoerce::recoerced;
use crate::load::state::Load;
use crate::rows::{KeyDigest, MergedRow, RowSet, WaitingRow};

/// The code of a row whose parent is not there: its text is in the user's language.
const NO_PARENT: &str = "INVALID_FIELD";

/// Rows that are looked at at once.
const AT_ONCE: u64 = 8_192;

/// Begins what stands for the key of a row without one: no key begins so, which is text.
const NO_KEY: u8 = 0xff;

/// A row that is sent, with those that were merged into it.
#[derive(Default)]
struct Sent {
    rows: Vec<u64>,
    /// One of them names a parent that may come.
    refers: bool,
}

/// Holds those of the rejected rows that may find their parents later, as many as there is room for,
/// with all that was merged into them; returns the others.
///
/// # Errors
/// Those of reading rows back and of coercing them.
pub(super) async fn hold(
    load: &Arc<Load>,
    job: &str,
    mut rejected: Vec<(u64, Arc<Reason>)>,
    merged: &[MergedRow],
) -> Result<Vec<(u64, Arc<Reason>)>> {
    let Some(held) = &load.held else {
        return Ok(rejected);
    };
    let from = held.from();
    let refused = rejected.iter();
    let refused = refused.filter(|(row, reason)| *row >= from && reason.code == NO_PARENT);
    let mut left: RowSet = refused.map(|(row, _)| *row).collect();
    if left.is_empty() {
        return Ok(rejected);
    }
    let back = held.came_back(&with_merged(left.clone(), merged));
    if back.in_vain {
        return Ok(rejected);
    }
    let rows = hold_referring(load, held, &mut left, merged).await?;
    let mut first = rows.clone();
    first.remove_all(&back.rows);
    held.count(first.len());
    if !rows.is_empty() {
        tracing::info!(
            stream = %load.plan.name, job, rows = rows.len(),
            "records name parents that are not there yet and that this sync loads too: they are held"
        );
        rejected.retain(|(row, _)| !rows.contains(*row));
    }
    if !left.is_empty() && held.are_too_many() {
        tracing::warn!(
            stream = %load.plan.name, job, held_rows = load.plan.options.held_rows,
            "more records than may be held name parents that are not there yet: the others are \
             rejected. Send parents before their children, or raise held_rows or the memory limit"
        );
    }
    Ok(rejected)
}

/// Holds those of the rows that name a parent which may come, with all that was merged into them, and
/// returns them. What there is no room for is left.
async fn hold_referring(
    load: &Arc<Load>,
    held: &Held,
    left: &mut RowSet,
    merged: &[MergedRow],
) -> Result<RowSet> {
    let mut all = RowSet::new();
    while !left.is_empty() {
        let by_memory = load.org.admission().room_to_hold(HELD_BYTES);
        let room = held.room(load.keys.held_rows() as u64).min(by_memory);
        if room == 0 {
            break;
        }
        let piece: RowSet = left.iter().take(room.min(AT_ONCE) as usize).collect();
        left.remove_all(&piece);
        let (of_task, rows) = (Arc::clone(load), with_merged(piece, merged));
        let _memory = load.org.budget().reserve(load.books.rows().bytes(&rows));
        let found = spawn_blocking(move || referring(&of_task, &rows));
        let found = found.await.map_err(LoadError::from)??;
        all.extend(found.iter().map(|held| held.row));
        load.keys.hold(found);
        load.member.set_held(load.keys.held_rows());
    }
    Ok(all)
}

/// Those of the rows, with what stands for their keys, that name a parent which may come.
fn referring(load: &Load, rows: &RowSet) -> Result<Vec<WaitingRow>> {
    let columns = load.held.as_ref().map(Held::columns).unwrap_or_default();
    let key = load.plan.coercion.key();
    let mut sent = BTreeMap::<KeyDigest, Sent>::new();
    let mut buffer = String::new();
    for read in recoerced(load, rows) {
        let read = read?;
        let key = key.map(|key| (key, read.cells.column(key.column).as_string::<i32>()));
        for row in 0..read.cells.num_rows() {
            let ordinal = read.ordinals.of(row);
            let key = key.filter(|(_, cells)| cells.is_valid(row));
            let digest = key.map(|(key, cells)| key.form.digest(cells.value(row), &mut buffer));
            let one = sent.entry(digest.unwrap_or_else(|| without_key(ordinal)));
            let one = one.or_default();
            let mut cells = columns.iter().map(|column| read.cells.column(*column));
            one.refers |= cells.any(|cells| cells.is_valid(row));
            one.rows.push(ordinal);
        }
    }
    let referring = sent.into_iter().filter(|(_, sent)| sent.refers);
    let rows = referring.flat_map(|(key, sent)| {
        let rows = sent.rows.into_iter();
        rows.map(move |row| WaitingRow { key, row })
    });
    Ok(rows.collect())
}

/// What stands for the key of a row that has none.
fn without_key(row: u64) -> KeyDigest {
    let mut bytes = [NO_KEY; 9];
    bytes[1..].copy_from_slice(&row.to_be_bytes());
    KeyDigest::of(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_without_a_key_wait_for_none() {
        let key = |row| without_key(row);
        assert_ne!(key(1), key(256));
        assert_ne!(key(7), KeyDigest::of(&7_u64.to_be_bytes()));
    }
}
