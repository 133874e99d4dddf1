//! The rejected records of a run, a directory or a URL, each once.

use std::io::{self, IsTerminal as _};
use std::path::PathBuf;

use arrow_salesforce::load::RejectCount;

use crate::cli::RejectsArgs;
use crate::error::Result;
use crate::rejects::{Place, Reasons, Rejected, RejectsError, Standing, Stored, Taken};
use crate::run::{RunFolder, RunRecord, Runs};

/// Most names of files that are passed over.
const NAMED: usize = 3;

/// Why records of a run were rejected, over all its attempts, most frequent first.
pub(crate) async fn counts(folder: &RunFolder, record: &RunRecord) -> Result<Vec<RejectCount>> {
    let place = Place::of(folder.rejected()?);
    let source = Source {
        from: record.id.clone(),
        taken: Taken::default(),
        place,
        run: Some((folder.clone(), record.clone())),
    };
    let mut reasons = Reasons::default();
    source
        .each(|rejected, _| {
            reasons.add(rejected);
            Ok(())
        })
        .await?;
    let show = io::stderr().is_terminal();
    let lines = reasons.lines().into_iter();
    Ok(lines.map(|line| line.count(show)).collect())
}

/// The rejected records that are meant.
pub(crate) struct Source {
    /// The id of the run, or the place as it was typed.
    pub(crate) from: String,
    pub(crate) place: Place,
    pub(crate) taken: Taken,
    /// The run that they are of, if it is one of ours.
    pub(crate) run: Option<(RunFolder, RunRecord)>,
}

impl Source {
    pub(super) async fn open(args: &RejectsArgs) -> Result<Self> {
        let mut from = args.from.clone();
        let (place, run) = if from.contains("://") || is_path(&from) {
            (Place::at(&from)?, None)
        } else {
            let folder = Runs::open(args.place.run_dir.as_deref())?
                .find(&from)
                .await?;
            let record = folder.read().await?;
            // `last` may be another run by the time the next command is typed.
            from.clone_from(&record.id);
            (Place::of(folder.rejected()?), Some((folder, record)))
        };
        let taken = place.taken().await?;
        Ok(Self {
            from,
            place,
            taken,
            run,
        })
    }

    /// Passes each record once.
    pub(crate) fn standing(&self) -> Standing {
        match &self.run {
            None => Standing::All,
            Some((_, record)) => {
                let attempts = record.attempts.iter();
                let attempts = attempts.map(|attempt| (attempt.id.as_str(), attempt.from));
                Standing::of(attempts, record.spec.is_unordered())
            }
        }
    }

    /// Hands on each record, with the run that has taken it.
    pub(crate) async fn each(
        &self,
        mut take: impl FnMut(&Rejected, Option<&str>) -> Result<(), RejectsError>,
    ) -> Result<()> {
        let mut standing = self.standing();
        let each = self.place.each(|_, records| {
            for record in records {
                let record = record?;
                if standing.pass(&record) {
                    take(&record, self.taken.run_of(&record.id))?;
                }
            }
            Ok(())
        });
        passed_over(&each.await?);
        Ok(())
    }
}

/// Whether it is a path of this machine, and no id of a run.
fn is_path(from: &str) -> bool {
    from.contains(['/', '\\', '.']) || PathBuf::from(from).exists()
}

fn passed_over(stored: &Stored) {
    if stored.others.is_empty() {
        return;
    }
    let named: Vec<&str> = stored
        .others
        .iter()
        .take(NAMED)
        .map(String::as_str)
        .collect();
    let more = match stored.others.len() - named.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    eprintln!(
        "passed over, no files of rejected records: {}{more}",
        named.join(", ")
    );
}
