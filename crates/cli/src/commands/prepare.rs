//! All that a load has before its first job: rows whose columns are fields, and an org that takes them.

use std::io::IsTerminal as _;
use std::sync::Arc;

use arrow_salesforce::arrow::array::RecordBatch;
use arrow_salesforce::arrow::datatypes::{Schema, SchemaRef};
use arrow_salesforce::bulk::Organization;
use arrow_salesforce::coerce::Comparison;
use arrow_salesforce::object::ObjectSchema;
use arrow_salesforce::options::{LoadOptions, NullHandling, Timezone, ValueOptions};
use arrow_salesforce::source::{EXPLICIT_NULL_OF, RAW, RAW_ERROR, explicit_null_flag};
use arrow_salesforce::{Error, ErrorKind, Loader, LoaderBuilder, Org};
use datafusion::common::Column;
use datafusion::common::metadata::FieldMetadata;
use datafusion::dataframe::DataFrame;
use datafusion::prelude::{Expr, SessionContext, lit};
use futures::stream::{BoxStream, StreamExt as _};

use crate::cli::{OrgArgs, OutputArgs};
use crate::credentials;
use crate::error::{CliError, Result};
use crate::guard::{self, Guarded};
use crate::input::{FileState, Inputs};
use crate::mapping::Mapping;
use crate::readings::{Readings, Survey, Wanted};
use crate::records;
use crate::run::RunFolder;
use crate::spec::LoadSpec;
use crate::sql::{self, SqlError};

/// Share of the memory that a query may take, beside what the load takes.
const QUERY_SHARE: usize = 4;

/// The file that came on stdin.
const STDIN: &str = "stdin";

/// A load that is ready.
pub(crate) struct Prepared {
    pub(crate) spec: LoadSpec,
    pub(crate) org: Org,
    pub(crate) organization: Organization,
    pub(crate) object: ObjectSchema,
    pub(crate) mapping: Mapping,
    /// Rows whose columns have the names of fields.
    rows: DataFrame,
    readings: Arc<Readings>,
    pub(crate) schema: SchemaRef,
    pub(crate) files: Vec<FileState>,
    /// Whether the rows may be others each time.
    pub(crate) volatile: bool,
    /// How many rows there are, where that is known.
    pub(crate) total: Option<u64>,
    /// What was found about the inputs, in sentences.
    pub(crate) found: Vec<String>,
}

impl Prepared {
    /// Opens the inputs, logs in, and fits one to the other. Nothing is written but what must be kept
    /// of stdin and of `--materialize`, into the folder.
    ///
    /// # Errors
    /// What cannot be read, or does not fit, with what to type.
    pub(crate) async fn of(mut spec: LoadSpec, args: &OrgArgs, folder: &RunFolder) -> Result<Self> {
        let org = credentials::org(args, &spec).await?;
        let memory = usize::try_from(org.options().memory_limit_bytes).unwrap_or(usize::MAX);
        let session = sql::session(memory / QUERY_SHARE, !spec.is_unordered())?;
        let kept = folder.rows_path();
        let opened = if spec.materialize && kept.exists() {
            Opened::kept(sql::read_kept(&session, &kept).await?)
        } else {
            Opened::inputs(&spec, &session, folder).await?
        };
        let rows = opened.rows;
        sql::check(&rows, &spec).await?;
        let object = org.object(&spec.object).await?;
        spec.object.clone_from(&object.name);
        let organization = organization(&org).await?;
        let columns: SchemaRef = Arc::new(rows.schema().as_arrow().clone());
        let mapping = Mapping::of(&columns, &object, &spec)?;
        let clears = spec.write.nulls == Some(NullHandling::Clear);
        let rows = mapped(&rows, &mapping, clears)?;
        let schema = Arc::new(rows.schema().as_arrow().clone());
        let mut prepared = Self {
            files: opened.files,
            total: opened.total,
            found: opened.found,
            volatile: opened.volatile,
            readings: Arc::default(),
            spec,
            org,
            organization,
            object,
            mapping,
            rows,
            schema,
        };
        prepared.survey().await?;
        Ok(prepared)
    }

    /// Asks whether the load may delete or change what it will.
    ///
    /// # Errors
    /// As [`guard::ask`].
    pub(crate) async fn guard(&self, output: &OutputArgs) -> Result<()> {
        let most = [self.total, self.spec.limit, self.spec.sample];
        let guarded = Guarded {
            operation: &self.spec.operation(),
            object: &self.object.name,
            rows: most.into_iter().flatten().min(),
            organization: &self.organization,
        };
        guard::ask(&guarded, &self.org, output).await
    }

    /// Finds how people wrote the values, from all rows, where there are texts for fields that are none.
    async fn survey(&mut self) -> Result<()> {
        let wanted = Wanted::of(&self.schema, &self.object, &self.mapping);
        if wanted.is_empty() {
            return Ok(());
        }
        let mut survey = Survey::new(wanted);
        let mut read = 0;
        let mut rows = self.raw().await?;
        while let Some(batch) = rows.next().await {
            let batch = batch?;
            read += batch.num_rows() as u64;
            survey.add(&batch)?;
        }
        drop(rows);
        let readings = survey.finish(&self.spec.read)?;
        self.found.extend_from_slice(readings.found());
        self.readings = Arc::new(readings);
        self.total = Some(read);
        Ok(())
    }

    /// The rows as they are read.
    async fn raw(&self) -> Result<BoxStream<'static, Result<RecordBatch>>> {
        let stream = self.rows.clone().execute_stream().await;
        let stream = stream.map_err(SqlError::Run)?;
        let read = stream.map(|batch| Ok(batch.map_err(SqlError::Run)?));
        Ok(read.boxed())
    }

    /// The rows of the load, in canonical texts.
    ///
    /// # Errors
    /// [`CliError`], also of its items.
    pub(crate) async fn stream(&self) -> Result<BoxStream<'static, Result<RecordBatch>>> {
        let both = self.stream_both().await?;
        Ok(both.map(|both| Ok(both?.1)).boxed())
    }

    /// The same, each batch after what was read for it.
    ///
    /// # Errors
    /// [`CliError`], also of its items.
    pub(crate) async fn stream_both(
        &self,
    ) -> Result<BoxStream<'static, Result<(RecordBatch, RecordBatch)>>> {
        let readings = Arc::clone(&self.readings);
        let rows = self.raw().await?;
        let read = rows.map(move |batch| {
            let raw = batch?;
            let read = readings.apply(raw.clone())?;
            Ok((raw, read))
        });
        Ok(read.boxed())
    }

    /// The columns that are written, and what says of them which nulls were meant: all but the texts of
    /// rows that cannot be read.
    pub(crate) fn columns(&self) -> Vec<String> {
        let names = self.schema.fields().iter().map(|field| field.name());
        let written = names.filter(|name| *name != RAW && *name != RAW_ERROR);
        written.cloned().collect()
    }

    /// How the rows are compared with the records that they become.
    ///
    /// # Errors
    /// Those of [`values`], of calls and of the columns.
    pub(crate) async fn comparison(&self) -> Result<Comparison> {
        let (schema, object) = (&self.schema, &self.object);
        let operation = self.spec.operation();
        records::comparison(&self.org, schema, object, &operation, values(&self.spec)?).await
    }

    /// A loader of the rows, which lacks only where rejected records and receipts go.
    ///
    /// # Errors
    /// Those of [`values`].
    pub(crate) fn loader(&self, options: LoadOptions) -> Result<LoaderBuilder> {
        let loader = Loader::builder(&self.org)
            .name(self.spec.object.clone())
            .object(self.spec.object.clone())
            .operation(self.spec.operation())
            .schema(Arc::clone(&self.schema));
        Ok(loader.values(values(&self.spec)?).options(options))
    }

    /// How the rows are cut into jobs.
    ///
    /// # Errors
    /// The engine's, for values that cannot be.
    pub(crate) fn options(&self) -> Result<LoadOptions> {
        let write = &self.spec.write;
        let mut options = LoadOptions::default()
            .with_group_by(write.group_by.clone())
            .with_log_values(std::io::stderr().is_terminal());
        if let Some(bytes) = write.max_job_bytes {
            options = options.with_max_job_bytes(bytes);
        }
        if let Some(id) = &write.assignment_rule_id {
            options = options.with_assignment_rule_id(id.clone());
        }
        options = options.with_max_job_rows(write.max_job_rows);
        options.validate()?;
        Ok(options)
    }
}

/// How values are written.
///
/// # Errors
/// [`CliError::Usage`] that names the flag.
pub(crate) fn values(spec: &LoadSpec) -> Result<ValueOptions> {
    let write = &spec.write;
    let mut values = ValueOptions::default();
    values = values.with_null_handling(write.nulls.unwrap_or_default());
    values = values.with_on_too_long(write.on_too_long.unwrap_or_default());
    if let Some(zone) = &write.timezone {
        let zone = Timezone::parse(zone);
        let zone = zone.map_err(|error| CliError::usage(format!("--timezone: {error}")))?;
        values = values.with_timezone(zone);
    }
    Ok(values)
}

/// Rows before their columns are mapped.
struct Opened {
    rows: DataFrame,
    files: Vec<FileState>,
    total: Option<u64>,
    found: Vec<String>,
    volatile: bool,
}

impl Opened {
    /// Rows that an earlier attempt has kept.
    fn kept(rows: DataFrame) -> Self {
        Self {
            rows,
            files: Vec::new(),
            total: None,
            found: Vec::new(),
            volatile: false,
        }
    }

    async fn inputs(spec: &LoadSpec, session: &SessionContext, folder: &RunFolder) -> Result<Self> {
        let spool = folder.local_path().join(STDIN);
        let inputs = Inputs::open(&spec.inputs, &spec.read, &spool).await?;
        let mut rows = match &spec.sql {
            None => {
                inputs.register(session)?;
                sql::rows(session, spec).await?
            }
            Some(_) => {
                inputs.register_for_query(session)?;
                let rows = sql::rows(session, spec).await?;
                sql::with_unreadable(session, rows, inputs.unreadable())?
            }
        };
        let volatile = sql::is_volatile(&rows);
        if spec.materialize {
            folder.local()?;
            rows = sql::keep(session, rows, &folder.rows_path()).await?;
        }
        Ok(Self {
            rows,
            files: inputs.states(),
            total: inputs.rows().filter(|_| spec.is_plain()),
            found: inputs.found(),
            volatile,
        })
    }
}

/// What the org says of itself. Not each user may read it.
pub(crate) async fn organization(org: &Org) -> Result<Organization> {
    match org.client().organization().await {
        Ok(organization) => Ok(organization),
        Err(error) if error.kind() == ErrorKind::Transient => Err(Error::from(error).into()),
        Err(error) => {
            tracing::warn!(%error, "whether the org is a production org cannot be asked");
            Ok(Organization {
                edition: None,
                host: org.client().org_id(),
                is_sandbox: None,
            })
        }
    }
}

/// The rows with a column for each field. `clears` says whether nulls clear fields.
fn mapped(rows: &DataFrame, mapping: &Mapping, clears: bool) -> Result<DataFrame> {
    let column = |name: &str| -> Result<Expr> {
        let field = rows.schema().iter().find(|(_, field)| field.name() == name);
        let (table, field) = field.ok_or_else(|| {
            CliError::failed(format!("the column {name:?} is gone from the rows"))
        })?;
        Ok(Expr::Column(Column::new(table.cloned(), field.name())))
    };
    let mut columns = Vec::new();
    for (name, field) in mapping.pairs() {
        columns.push(column(name)?.alias(field));
    }
    for name in mapping.passed() {
        let field = rows.schema().iter().find(|(_, field)| field.name() == name);
        let of = field.and_then(|(_, field)| field.metadata().get(EXPLICIT_NULL_OF));
        let Some(of) = of else {
            columns.push(column(name)?.alias(name));
            continue;
        };
        // A flag of the nulls of a column, which matters where nulls clear its field.
        let filled = mapping
            .pairs()
            .iter()
            .filter(|(column, _)| clears && column == of);
        for (_, field) in filled {
            let flag = explicit_null_flag(field);
            let about = FieldMetadata::from(flag.metadata());
            columns.push(column(name)?.alias_with_metadata(flag.name(), Some(about)));
        }
    }
    for (field, value) in mapping.constants() {
        columns.push(lit(value.as_str()).alias(field));
    }
    let selected = rows.clone().select(columns);
    let selected = selected.map_err(|source| SqlError::Plan {
        part: "--map",
        source,
    });
    Ok(selected?)
}

/// The columns of the rows, for those who read rejected records later.
pub(crate) fn source_schema(schema: &Schema) -> Vec<u8> {
    let mut bytes = Vec::new();
    let written = arrow_ipc::writer::StreamWriter::try_new(&mut bytes, schema)
        .and_then(|mut writer| writer.finish());
    if written.is_err() {
        // Rejected records are texts, then.
        bytes.clear();
    }
    bytes
}
