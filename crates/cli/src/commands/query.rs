//! `query`: records of an org, by a bulk job, or by the REST API where no job answers.

use std::process::ExitCode;

use arrow_salesforce::Error;
use arrow_salesforce::bulk::{BulkError, Client, QueryOptions, Types};

use super::answer;
use super::interrupt::Interrupt;
use super::taking::{self, Records};
use crate::cli::query::QueryArgs;
use crate::credentials;
use crate::error::{CliError, Result};
use crate::export::{Asked, ExportError, Parts, PartsState, Place, Shown, TABLE_ROWS, Target, To};
use crate::watch::numbers::{count, counted};
use crate::watch::{Page, Taken, TakenWatch, show};

/// Takes records out of an org.
pub(crate) async fn query(args: QueryArgs) -> Result<ExitCode> {
    let soql = soql(&args)?;
    let target = Target::of(&args)?;
    let interrupt = Interrupt::listen()?;
    let watch = TakenWatch::new(&args.shown, target.is_stdout());
    let mut taking = Taking {
        args: &args,
        soql,
        target,
        interrupt,
        watch,
    };
    let client = taking.login().await?;
    let taken = Box::pin(taking.take(&client)).await;
    taking.watch.clear();
    client.abort_open_jobs().await;
    client.login_at_rest().await;
    match taken {
        // Whoever reads along has seen enough.
        Err(CliError::Export(ExportError::Closed)) => {}
        Err(error) => return Err(error),
        Ok(None) => {}
        Ok(Some(mut taken)) => {
            taken.api_calls = client.usage().api_calls;
            taking.watch.end(&taken);
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The query that was typed, or that the arguments describe.
fn soql(args: &QueryArgs) -> Result<String> {
    if let Some(file) = &args.file {
        let read = std::fs::read_to_string(file);
        return read
            .map_err(|error| CliError::usage(format!("--file {}: {error}", file.display())));
    }
    let Some(object) = &args.object else {
        return Ok(args.soql.clone().unwrap_or_default());
    };
    let fields = match args.fields.as_slice() {
        [] => "FIELDS(ALL)".to_owned(),
        fields => fields.join(", "),
    };
    Ok(match &args.filter {
        Some(filter) => format!("SELECT {fields} FROM {object} WHERE {filter}"),
        None => format!("SELECT {fields} FROM {object}"),
    })
}

/// A query, and where its records go.
struct Taking<'a> {
    args: &'a QueryArgs,
    soql: String,
    target: Target,
    interrupt: Interrupt,
    watch: TakenWatch,
}

impl Taking<'_> {
    async fn login(&self) -> Result<Client> {
        self.target.check().await?;
        let login = Box::pin(credentials::client(&self.args.org));
        self.interrupt.before(login).await
    }

    /// Takes the records; none if there is nothing to say of them.
    async fn take(&mut self, client: &Client) -> Result<Option<Taken>> {
        match self.target.to.clone() {
            To::Parts(place) => self.parts(client, &place).await.map(Some),
            To::Table => self.table(client).await,
            To::Stdout(_) | To::Device(..) | To::File(..) => self.file(client).await.map(Some),
        }
    }

    /// The records, by a job or by REST.
    async fn ask(&self, client: &Client, options: QueryOptions) -> Result<Records> {
        let asked = async {
            match client.query(&self.soql, options).await {
                Ok(query) => Ok(Records::of(query)),
                Err(BulkError::NotForBulk { .. }) => self.answer(client).await,
                Err(error) => Err(engine(error)),
            }
        };
        self.interrupt.before(Box::pin(asked)).await
    }

    async fn answer(&self, client: &Client) -> Result<Records> {
        if self.args.deleted {
            return Err(CliError::usage(
                "--deleted is for queries that bulk jobs run; for this one write ALL ROWS at its end",
            ));
        }
        let rows = client.rows(&self.soql).await.map_err(engine)?;
        let records = answer::records(&rows);
        let records = records.map_err(|error| CliError::failed(error.to_string()))?;
        Ok(Records::at_once(records))
    }

    fn options(&self) -> QueryOptions {
        let types = match self.args.texts {
            true => Types::Text,
            false => Types::Described,
        };
        QueryOptions::default()
            .with_deleted(self.args.deleted)
            .with_types(types)
            .with_page_rows(self.args.page_rows.map(|rows| rows as usize))
            .with_split(self.args.split)
    }

    /// The first records as a table.
    async fn table(&mut self, client: &Client) -> Result<Option<Taken>> {
        let records = self.ask(client, self.options()).await?;
        let mut shown = Shown::new(&records.schema);
        let (interrupt, watch) = (&self.interrupt, &mut self.watch);
        let found = taking::each(records, interrupt, watch, async |batch| {
            let enough = shown.add(&batch);
            enough.map_err(|error| CliError::failed(error.to_string()))
        });
        let found = found.await?;
        self.watch.clear();
        let total = found.unwrap_or(shown.len()).max(shown.len());
        if shown.len() > 0 {
            show(&format!("{}\n", shown.text(Page::of_stdout())));
        }
        show(&match total > shown.len() {
            true => format!(
                "the first {TABLE_ROWS} of {} records; -o FILE takes all of them",
                count(total)
            ),
            false => counted(total, "record"),
        });
        Ok(None)
    }

    /// All records, in one file or on stdout.
    async fn file(&mut self, client: &Client) -> Result<Taken> {
        let records = self.ask(client, self.options()).await?;
        let (object, handle) = (records.object.clone(), records.handle.clone());
        let Some(mut file) = self.target.begin(&records.schema).await? else {
            return Err(CliError::failed("there is no file to write"));
        };
        let (interrupt, watch) = (&self.interrupt, &mut self.watch);
        let each = taking::each(records, interrupt, watch, async |batch| {
            file.write(batch).await?;
            Ok(false)
        });
        let ended = match each.await {
            Ok(_) => file.finish().await.map_err(CliError::from),
            Err(error) => Err(error),
        };
        let rows = file.rows();
        if let Err(error) = ended {
            file.abort().await;
            return Err(error);
        }
        Ok(Taken {
            object,
            records: rows,
            output: self.target.shown().map(str::to_owned),
            jobs: taking::jobs(handle.as_ref()).0.len() as u64,
            api_calls: 0,
        })
    }

    /// All records, in the parts of a directory.
    async fn parts(&mut self, client: &Client, place: &Place) -> Result<Taken> {
        let asked = Asked {
            soql: self.soql.clone(),
            org: client.org_id(),
            deleted: self.args.deleted,
            texts: self.args.texts,
        };
        let (records, state) = match self.again(client, place, &asked).await? {
            Some(again) => again,
            None => self.anew(client, place, asked).await?,
        };
        if state.rows() > 0 {
            let whole = counted(state.rows(), "record");
            self.watch.say(&format!(
                "{whole} are in {}; the rest follows",
                place.shown()
            ));
        }
        let (object, handle) = (records.object.clone(), records.handle.clone());
        let (interrupt, watch) = (&self.interrupt, &mut self.watch);
        let mut parts = Parts::begin(place, state, &records.schema, self.args.part_rows).await?;
        let (jobs, all) = taking::jobs(handle.as_ref());
        parts.note(jobs, all).await?;
        let each = taking::each(records, interrupt, watch, async |batch| {
            // A kill finds the jobs of the records that are here.
            let (jobs, all) = taking::jobs(handle.as_ref());
            parts.note(jobs, all).await?;
            parts.write(&batch).await?;
            Ok(false)
        });
        let ended = match each.await {
            Ok(_) => parts.finish().await.map_err(CliError::from),
            Err(error) => Err(error),
        };
        let rows = parts.rows();
        if let Err(error) = ended {
            parts.abort().await;
            self.watch.say(&format!(
                "{} are in {}: the same command with --resume goes on, and with --overwrite it begins anew",
                counted(rows, "record"),
                place.shown()
            ));
            return Err(error);
        }
        if let Some(handle) = &handle
            && let Err(error) = handle.delete().await
        {
            tracing::debug!(%error, "jobs whose records are all here could not be deleted");
        }
        Ok(Taken {
            object,
            records: rows,
            output: Some(place.shown().to_owned()),
            jobs: taking::jobs(handle.as_ref()).0.len() as u64,
            api_calls: 0,
        })
    }

    /// New jobs, and an empty directory for their records.
    async fn anew(
        &self,
        client: &Client,
        place: &Place,
        asked: Asked,
    ) -> Result<(Records, PartsState)> {
        let overwrite = self.args.overwrite || self.args.resume;
        for job in Parts::clear(place, overwrite).await? {
            if let Err(error) = client.delete_query(&job).await {
                tracing::debug!(%error, job, "a job that is not needed could not be deleted");
            }
        }
        let options = self.options().with_keep_jobs(true);
        let records = self.ask(client, options).await?.kept();
        let state = PartsState::new(asked, &records.schema);
        Ok((records, state))
    }

    /// The records of the jobs that parts are of already, and the state of these parts; none if there
    /// is nothing to go on with.
    async fn again(
        &self,
        client: &Client,
        place: &Place,
        asked: &Asked,
    ) -> Result<Option<(Records, PartsState)>> {
        if !self.args.resume {
            return Ok(None);
        }
        let Some(state) = Parts::state(place).await? else {
            return Ok(None);
        };
        state.fits(asked, place.shown())?;
        let rows = state.rows();
        if state.complete {
            return Err(CliError::usage(format!(
                "{} has all {} records already",
                place.shown(),
                count(rows)
            )));
        }
        if !state.all_jobs {
            self.watch.say(&format!(
                "the query of {} stopped before all its jobs were made: it begins anew",
                place.shown()
            ));
            return Ok(None);
        }
        let options = self.options().with_keep_jobs(true);
        let asking = async {
            let query = client.query_again(&self.soql, options, &state.jobs, state.passed_over());
            Ok(query.await)
        };
        match self.interrupt.before(Box::pin(asking)).await? {
            Ok(query) => Ok(Some((Records::of(query).kept(), state))),
            // Nothing of it is here: another job is as good.
            Err(BulkError::QueryGone { .. }) if rows == 0 => Ok(None),
            Err(BulkError::QueryGone { id }) => Err(CliError::usage(format!(
                "the org has deleted the job {id}, whose records are in {}, and those of another job do not \
                 go with them: begin anew with --overwrite",
                place.shown()
            ))),
            Err(error) => Err(engine(error)),
        }
    }
}

/// Where Salesforce shows the place in the query.
const PLACE: &str = "ERROR at Row";

fn engine(error: BulkError) -> CliError {
    match &error {
        BulkError::Refused { detail, .. } if detail.contains(PLACE) => CliError::usage(format!(
            "Salesforce refuses the query:\n{}",
            detail.trim_matches('\n')
        )),
        _ => Error::from(error).into(),
    }
}
