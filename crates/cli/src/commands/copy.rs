//! `copy`: a query of one org, kept as the rows of a run, and an upsert of these into another.

use std::process::ExitCode;
use std::sync::Arc;

use arrow_salesforce::bulk::{QueryOptions, Types};
use arrow_salesforce::object::{Field, FieldType, ObjectSchema};
use arrow_salesforce::options::NullHandling;
use arrow_salesforce::{Error, Org};

use super::interrupt::Interrupt;
use super::load;
use super::prepare::Prepared;
use super::taking::{self, Records};
use crate::cli::OrgArgs;
use crate::cli::query::CopyArgs;
use crate::credentials;
use crate::error::{CliError, Result};
use crate::parquet_file::ParquetFile;
use crate::run::RunFolder;
use crate::spec::{DateOrder, DecimalMark, LoadSpec, ReadSpec, WriteSpec};
use crate::watch::numbers::counted;
use crate::watch::{TakenWatch, Watch};

/// Copies records from one org to another.
pub(crate) async fn copy(args: CopyArgs) -> Result<ExitCode> {
    if args.from == args.to {
        return Err(CliError::usage(
            "--from and --to are the same org, so that there is nothing to copy",
        ));
    }
    let interrupt = Interrupt::listen()?;
    let folder = load::new_folder(args.place.run_dir.as_deref())?;
    let watch = Watch::new(&args.output);
    let copied = Copy {
        args: &args,
        folder: &folder,
        interrupt: &interrupt,
        watch: &watch,
    };
    let prepared = match Box::pin(copied.prepare()).await {
        Ok(Some(prepared)) => prepared,
        Ok(None) => {
            folder.discard_local();
            return Ok(ExitCode::SUCCESS);
        }
        Err(error) => {
            folder.discard_local();
            return Err(error);
        }
    };
    if let Err(error) = prepared.guard(&args.output).await {
        folder.discard_local();
        return Err(error);
    }
    let ended = load::begin(&prepared, &folder, load::Origin::Typed, &interrupt, &watch).await;
    if ended.is_err() && folder.read().await.is_err() {
        // Nothing has begun that could be gone on with.
        folder.discard_local();
    }
    ended
}

/// The org that an argument names, with a bound for the memory of its records.
fn org_args(name: &str, memory: Option<&String>) -> OrgArgs {
    OrgArgs {
        memory: memory.cloned(),
        ..OrgArgs::named(name)
    }
}

struct Copy<'a> {
    args: &'a CopyArgs,
    folder: &'a RunFolder,
    interrupt: &'a Interrupt,
    watch: &'a Watch,
}

impl Copy<'_> {
    /// The load of all records that were found; none if there are none.
    async fn prepare(&self) -> Result<Option<Prepared>> {
        let memory = self.args.memory.as_ref();
        let of = org_args(&self.args.from, memory);
        let into = org_args(&self.args.to, memory);
        let none = LoadSpec::default();
        let from = Box::pin(credentials::org(&of, &none));
        let from = self.interrupt.before(from).await?;
        let to = Box::pin(credentials::org(&into, &none));
        let to = self.interrupt.before(to).await?;
        let spec = self
            .interrupt
            .before(Box::pin(self.spec(&from, &to)))
            .await?;
        let rows = Box::pin(self.take(&from, &spec)).await;
        from.client().abort_open_jobs().await;
        from.client().login_at_rest().await;
        if rows? == 0 {
            self.watch.say("there is nothing to copy");
            return Ok(None);
        }
        self.watch.say(&format!(
            "if it stops: arrow-salesforce resume {} {}",
            self.folder.id(),
            match &into.config {
                Some(file) => format!("--config {file}"),
                None => format!("--org {}", self.args.to),
            }
        ));
        let preparing = Prepared::of(spec, &into, self.folder);
        let prepared = self.interrupt.before(Box::pin(preparing)).await?;
        Ok(Some(prepared))
    }

    /// The load, with a column for each field that is copied.
    async fn spec(&self, from: &Org, to: &Org) -> Result<LoadSpec> {
        let object = &self.args.object;
        let (of, into) = (from.object(object).await?, to.object(object).await?);
        let fields = match self.args.fields.as_slice() {
            [] => self.all(&of, &into)?,
            typed => self.typed(typed)?,
        };
        Ok(LoadSpec {
            object: into.name.clone(),
            upsert: Some(self.args.key.clone()),
            map: fields
                .iter()
                .map(|field| (field.clone(), field.clone()))
                .collect(),
            filter: None,
            materialize: true,
            // As Salesforce writes them.
            read: ReadSpec {
                dates: Some(DateOrder::Ymd),
                decimal: Some(DecimalMark::Point),
                ..ReadSpec::default()
            },
            write: WriteSpec {
                nulls: Some(NullHandling::Clear),
                ..WriteSpec::default()
            },
            ..LoadSpec::default()
        })
    }

    /// The fields that were typed, and the key.
    fn typed(&self, typed: &[String]) -> Result<Vec<String>> {
        if typed.iter().any(|field| field.eq_ignore_ascii_case("Id")) {
            return Err(CliError::usage(
                "--fields: Id is another one in each org, and is not copied; records find each other by --key",
            ));
        }
        let key = &self.args.key;
        let is_key = |field: &String| field.eq_ignore_ascii_case(key);
        let before = (!typed.iter().any(is_key)).then(|| key.clone());
        Ok(before.into_iter().chain(typed.iter().cloned()).collect())
    }

    /// All fields that both orgs have and the second lets write; what is left out is said.
    fn all(&self, of: &ObjectSchema, into: &ObjectSchema) -> Result<Vec<String>> {
        let key = &self.args.key;
        for (schema, name) in [(of, &self.args.from), (into, &self.args.to)] {
            if schema.field(key).is_none() {
                return Err(CliError::usage(format!(
                    "--key: {} of {name} has no field {key}",
                    schema.name
                )));
            }
        }
        let (mut fields, mut left) = (Vec::new(), Vec::new());
        for field in of.fields() {
            match self.why_not(field, into) {
                None => fields.push(field.name.clone()),
                Some(reason) if field.createable || field.updateable => {
                    left.push(format!("{} ({reason})", field.name));
                }
                Some(_) => {}
            }
        }
        if !left.is_empty() {
            self.watch.say(&format!("left out: {}", left.join(", ")));
        }
        Ok(fields)
    }

    /// Why a field is not copied, unless it is asked for; none if it is.
    fn why_not(&self, field: &Field, into: &ObjectSchema) -> Option<String> {
        if field.name.eq_ignore_ascii_case("Id") {
            return Some("another one in each org".to_owned());
        }
        let Some(there) = into.field(&field.name) else {
            return Some(format!("{} has no such field", self.args.to));
        };
        if there.name.eq_ignore_ascii_case(&self.args.key) {
            return None;
        }
        match &field.field_type {
            FieldType::Reference => {
                let parent = field.relationship_name.as_deref();
                return Some(match parent {
                    Some("RecordType") => {
                        "add RecordType.DeveloperName to --fields to copy it".to_owned()
                    }
                    Some(parent) => format!(
                        "a lookup; add {parent}.FIELD to --fields, with an external ID of its parent"
                    ),
                    None => "a lookup".to_owned(),
                });
            }
            FieldType::Base64 => return Some("a file".to_owned()),
            FieldType::EncryptedString => return Some("encrypted".to_owned()),
            _ => {}
        }
        let writable = there.createable && there.updateable;
        (!writable).then(|| format!("it cannot be written in {}", self.args.to))
    }

    /// Takes the records out of the first org, into the folder of the run; returns how many.
    async fn take(&self, from: &Org, spec: &LoadSpec) -> Result<u64> {
        let fields: Vec<&str> = spec.map.keys().map(String::as_str).collect();
        let mut soql = format!("SELECT {} FROM {}", fields.join(", "), spec.object);
        if let Some(filter) = &self.args.filter {
            soql = format!("{soql} WHERE {filter}");
        }
        let asking = async {
            let options = QueryOptions::default().with_types(Types::Text);
            let query = from.client().query(&soql, options).await;
            query.map_err(|error| Error::from(error).into())
        };
        let query = self.interrupt.before(Box::pin(asking)).await?;
        let records = Records::of(query);
        self.folder.local()?;
        let path = self.folder.rows_path();
        let file = ParquetFile::create(&path, Arc::clone(&records.schema));
        let mut file = Some(file?);
        let mut watch = TakenWatch::new(&self.args.output, false);
        let each = taking::each(records, self.interrupt, &mut watch, async |batch| {
            if let Some(begun) = file.take() {
                file = Some(begun.write(batch).await?);
            }
            Ok(false)
        });
        each.await?;
        watch.clear();
        let rows = match file {
            Some(file) => file.finish().await?,
            None => 0,
        };
        let found = counted(rows, "record");
        self.watch.say(&format!("{found} in {}", self.args.from));
        Ok(rows)
    }
}
