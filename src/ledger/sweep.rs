//! What nobody needs any more is deleted: cursors that name no entry which is left, and what is older
//! than 7 days. By then Salesforce has nothing to say of the jobs.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use super::LedgerError;
use super::entry::LIFE_OF_RESULTS;
use super::place::{EntryName, Place};

/// Deletes what nobody needs any more, whosever it is, but for what belongs to `attempt`.
pub(super) async fn sweep(place: &Place, attempt: &str) -> Result<(), LedgerError> {
    let all = place.all().await?;
    // By the clock of the store, whatever that of this machine is: by a wrong one, what others have just
    // entered would seem old. An attempt at work has shown its sign of life a moment ago.
    let Some(now) = all.iter().map(|(_, changed)| *changed).max() else {
        return Ok(());
    };
    let alive: BTreeSet<&str> = all
        .iter()
        .filter(|(_, changed)| !is_over(*changed, now))
        .filter_map(|(name, _)| name.strip_prefix("attempts/"))
        .collect();
    let (over, left): (Vec<_>, Vec<_>) = all.iter().partition(|(name, changed)| {
        is_over(*changed, now)
            && (name.starts_with("entries/") || name.starts_with("attempts/"))
            && !alive.contains(
                EntryName::of_object(name)
                    .as_ref()
                    .map_or("", EntryName::attempt),
            )
    });
    let entries: BTreeSet<EntryName> = left
        .iter()
        .filter_map(|(name, _)| EntryName::of_object(name))
        .collect();
    let mut needless: Vec<&str> = over.into_iter().map(|(name, _)| name.as_str()).collect();
    for (name, changed) in left {
        let cursor = name.strip_prefix("cursors/");
        if let Some(of) = cursor.filter(|of| *of != attempt && !alive.contains(of)) {
            if !is_needed(place, of, &entries).await? {
                needless.push(name);
            }
        } else if let Some(claim) = name.strip_prefix("owners/")
            && is_over(*changed, now)
            && let Some((load, number)) = claim.split_once('/')
            && let Ok(number) = number.parse()
            && !entries.iter().any(|entry| entry.load() == load)
        {
            let owner = place.claimed(load, number).await?.unwrap_or_default();
            if !alive.contains(String::from_utf8_lossy(&owner).as_ref()) {
                needless.push(name);
            }
        }
    }
    place.delete_all(&needless).await
}

/// Whether an entry is left of the attempt, or one that its cursor names.
async fn is_needed(
    place: &Place,
    attempt: &str,
    entries: &BTreeSet<EntryName>,
) -> Result<bool, LedgerError> {
    if entries.is_empty() {
        return Ok(false);
    }
    if entries.iter().any(|entry| entry.attempt() == attempt) {
        return Ok(true);
    }
    let cursor = place.cursor(attempt).await?;
    Ok(entries.iter().any(|entry| cursor.names(entry.as_str())))
}

fn is_over(changed: DateTime<Utc>, now: DateTime<Utc>) -> bool {
    now - changed > LIFE_OF_RESULTS
}
