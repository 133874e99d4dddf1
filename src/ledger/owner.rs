//! Which attempt a load belongs to: one at a time.
//!
//! An attempt claims a load by the next number, which nobody else can claim. A claim is as good as the
//! signs of life of its attempt: who finds one waits until the attempt has shown none for a while, and
//! then claims the next number. Who has lost a load finds a claim that is not its own.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use tokio::time::{Instant, sleep};

use super::LedgerError;
use super::place::{Claim, Place};
use crate::options::Waits;

/// Time between two signs of life.
pub(super) const BEAT_EACH: Duration = Duration::from_secs(15);

/// An attempt that has shown no sign of life for so long has ended.
pub(super) const SILENCE: Duration = Duration::from_secs(60);

/// Time between two looks at an attempt that may have ended.
const LOOK_EACH: Duration = Duration::from_secs(5);

/// Loads that are claimed at the same time.
const AT_ONCE: usize = 16;

/// Claims loads for `attempt`, once no other attempt is at work on any of them.
///
/// # Errors
/// [`LedgerError::Busy`] if another one is.
pub(super) async fn claim(
    place: &Place,
    attempt: &str,
    loads: &[String],
    waits: &Waits,
) -> Result<Vec<Claim>, LedgerError> {
    let last: Vec<Option<Claim>> = stream::iter(loads)
        .map(|load| place.last_claim(load))
        .buffered(AT_ONCE)
        .try_collect()
        .await?;
    let others: BTreeSet<&str> = last
        .iter()
        .flatten()
        .map(|claim| claim.attempt.as_str())
        .filter(|other| *other != attempt)
        .collect();
    stream::iter(others)
        .map(|other| until_silent(place, other, waits))
        .buffered(AT_ONCE)
        .try_collect::<Vec<()>>()
        .await?;
    stream::iter(loads.iter().zip(last))
        .map(|(load, last)| take(place, load, last, attempt))
        .buffered(AT_ONCE)
        .try_collect()
        .await
}

/// Waits until an attempt has ended, or shows no sign of life.
///
/// # Errors
/// [`LedgerError::Busy`] if it shows one.
pub(super) async fn until_silent(
    place: &Place,
    attempt: &str,
    waits: &Waits,
) -> Result<(), LedgerError> {
    let Some(first) = place.beat(attempt).await? else {
        return Ok(());
    };
    let (silence, pause) = (waits.scaled(SILENCE), waits.scaled(LOOK_EACH));
    tracing::info!(
        attempt,
        seconds = silence.as_secs_f64(),
        "an earlier attempt has not said that it ended; waiting whether it is still at work"
    );
    let began = Instant::now();
    while began.elapsed() < silence {
        sleep(pause).await;
        match place.beat(attempt).await? {
            None => return Ok(()),
            Some(now) if now != first => {
                return Err(LedgerError::Busy {
                    attempt: attempt.to_owned(),
                });
            }
            Some(_) => {}
        }
    }
    Ok(())
}

/// Claims a load after its `last` claim.
async fn take(
    place: &Place,
    load: &str,
    last: Option<Claim>,
    attempt: &str,
) -> Result<Claim, LedgerError> {
    let claim = Claim {
        number: last.as_ref().map_or(0, |last| last.number + 1),
        attempt: attempt.to_owned(),
    };
    // A server without conditions may have written over another one's claim, or it over ours.
    if !place.create_claim(load, &claim).await?
        || place.last_claim(load).await?.as_ref() != Some(&claim)
    {
        return Err(LedgerError::Busy {
            attempt: "another one that began at the same time".to_owned(),
        });
    }
    for before in place.claims_before(load, claim.number).await? {
        // It has shown no sign of life, or has said that it ended. Its claim goes last: by that another
        // attempt finds both, should this one be killed in between.
        place.delete_beat(&before.attempt).await?;
        place.delete_claim(load, before.number).await?;
    }
    Ok(claim)
}

/// Whether no other attempt has claimed the load since: who does, deletes this claim before it looks
/// at the entries. So what was entered before a claim was found, a later attempt sees.
pub(super) async fn holds(place: &Place, load: &str, claim: &Claim) -> Result<bool, LedgerError> {
    let claimed = place.claimed(load, claim.number).await?;
    Ok(claimed.is_some_and(|attempt| *attempt == *claim.attempt.as_bytes()))
}
