//! One attempt of a load that has a ledger, from the claim to the end.

use crate::error::Result;
use crate::ledger::{Covered, Ledger, LedgerError, LoadIdentity};
use crate::options::LedgerOptions;

use super::checkpoint::Counts;
use super::event::Events;
use super::feed::Feed;
use super::loader::Loader;
use super::past::Recovered;

/// The ledger of a load that has begun: what its reader says of how far the rows are safe elsewhere.
/// Without a ledger each of its methods does nothing.
///
/// Dropped without [`Attempt::finish`] or [`Attempt::release`], it lets a later attempt wait for a
/// minute.
#[derive(Debug)]
pub struct Attempt {
    claimed: Option<(Ledger, LoadIdentity)>,
    recovered: Recovered,
}

impl Loader {
    /// Starts a load as [`Loader::start`] does, as an attempt that can be repeated: claims the ledger
    /// of [`LoadOptions::ledger`](crate::options::LoadOptions::ledger), finds out what earlier attempts
    /// left behind, and says from then on what each job is given. Without a ledger it only starts.
    ///
    /// Who reads the events [covers](Attempt::cover) what is durable *before* it acknowledges it to the source,
    /// and [finishes](Attempt::finish) after the last event.
    ///
    /// ```no_run
    /// use arrow_salesforce::{Event, Loader};
    ///
    /// # fn acknowledge(_: u64) {}
    /// # async fn example(loader: Loader) -> arrow_salesforce::Result<()> {
    /// let (feed, mut events, attempt) = loader.begin().await?;
    /// # drop(feed);
    /// // Rows and checkpoints go into `feed` meanwhile.
    /// while let Some(event) = events.next().await {
    ///     match event? {
    ///         Event::Durable { checkpoint, counts } => {
    ///             attempt.cover(&counts).await?;
    ///             acknowledge(checkpoint);
    ///         }
    ///         Event::Finished(_) => {
    ///             attempt.finish().await?;
    ///             break;
    ///         }
    ///         _ => {}
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`LedgerError`], most of them config errors with the choices that are left; any of reading jobs
    /// and their results.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub async fn begin(&self) -> Result<(Feed, Events, Attempt)> {
        let Some(options) = self.own_ledger() else {
            let (feed, events) = self.start();
            return Ok((feed, events, Attempt::without()));
        };
        let (ledger, load) = self.claim(options).await?;
        match self.recovered(&ledger, &load, options).await {
            Ok((loader, recovered)) => {
                let (feed, events) = loader.start();
                let claimed = Some((ledger, load));
                Ok((feed, events, Attempt { claimed, recovered }))
            }
            Err(error) => {
                release(&ledger).await;
                Err(error)
            }
        }
    }

    async fn claim(&self, options: &LedgerOptions) -> Result<(Ledger, LoadIdentity)> {
        let waits = self.org().options().waits;
        let store = options.store.clone().with_waits(waits);
        let store = Ledger::prove(store.unattended()).await?;
        let org = self.org().client().org_id();
        let load = LoadIdentity::new(org, self.object(), self.name(), &options.id);
        let attempt = Ledger::new_attempt();
        let ledger = Ledger::begin(store, attempt, std::slice::from_ref(&load), waits).await?;
        Ok((ledger, load))
    }

    async fn recovered(
        &self,
        ledger: &Ledger,
        load: &LoadIdentity,
        options: &LedgerOptions,
    ) -> Result<(Self, Recovered)> {
        let of_load = ledger.load(load).ok_or(LedgerError::Lost)?;
        let loader = self.clone().with_ledger(of_load);
        let recovered = loader.recover(options.older).await?;
        Ok((loader, recovered))
    }
}

impl Attempt {
    fn without() -> Self {
        Self {
            claimed: None,
            recovered: Recovered::default(),
        }
    }

    /// What earlier attempts left behind.
    pub fn recovered(&self) -> Recovered {
        self.recovered
    }

    /// Notes that a checkpoint is about to be acknowledged to the source: a later attempt does not expect rows
    /// before it to come again. Of several checkpoints at once, the counts of the last.
    ///
    /// # Errors
    /// [`LedgerError`]: the checkpoint must not be acknowledged then.
    pub async fn cover(&self, counts: &Counts) -> Result<()> {
        let Some((ledger, load)) = &self.claimed else {
            return Ok(());
        };
        let rows = counts.total_accepted + counts.total_rejected;
        Ok(ledger.cover(&[Covered { load, rows }]).await?)
    }

    /// All rows came, and are loaded: the ledger of the load is not needed any more, and deleted. A
    /// later load of equal rows is another one then. Returns how many rows of earlier attempts did not
    /// come again.
    ///
    /// # Errors
    /// [`LedgerError`]: it could not be noted, so that a later load takes itself for an attempt of this
    /// one.
    pub async fn finish(self) -> Result<u64> {
        match &self.claimed {
            Some((ledger, _)) => Ok(ledger.finish().await?),
            None => Ok(0),
        }
    }

    /// The attempt ends early: a later one need not wait whether it is still at work.
    pub async fn release(self) {
        if let Some((ledger, _)) = &self.claimed {
            release(ledger).await;
        }
    }
}

async fn release(ledger: &Ledger) {
    if let Err(error) = ledger.release().await {
        tracing::warn!(%error, "the next attempt of the load waits a minute before it begins");
    }
}
