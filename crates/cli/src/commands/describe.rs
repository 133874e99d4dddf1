//! `describe`.

use arrow_salesforce::bulk::{BulkError, Client};

use super::objects;
use crate::cli::orgs::{DescribeArgs, Form};
use crate::credentials;
use crate::error::{CliError, Result};
use crate::watch::listing::{csv, json_lines};
use crate::watch::numbers::counted;
use crate::watch::{Page, say, show};
use field::{Field, NAMES, Object};

mod field;

/// Lists the fields of an object.
///
/// # Errors
/// Any of a login's, and of a call's; a usage error that names objects that are like one that is not there.
pub(crate) async fn describe(args: DescribeArgs) -> Result<()> {
    let client = credentials::client(&args.org).await?;
    let mut object = described(&client, &args.object).await?;
    let all = object.fields.len();
    object
        .fields
        .retain(|field| !args.writable || field.is_writable());
    match args.format {
        Form::Json => json_lines(&NAMES, object.fields.iter().map(Field::values)),
        Form::Csv => csv(&NAMES, object.fields.iter().map(Field::values)),
        Form::Table => table(&object, all),
    }
    Ok(())
}

async fn described(client: &Client, name: &str) -> Result<Object> {
    let json = match client.describe(name).await {
        Ok(json) => json,
        Err(error @ BulkError::ObjectNotFound { .. }) => {
            let like = objects::like(client, name).await?;
            let error = arrow_salesforce::Error::from(error);
            return Err(match like.as_slice() {
                [] => error.into(),
                like => CliError::usage(format!("{error}; did you mean {}?", like.join(" or "))),
            });
        }
        Err(error) => return Err(arrow_salesforce::Error::from(error).into()),
    };
    serde_json::from_slice(&json).map_err(|error| {
        CliError::failed(format!("the describe of {name} cannot be read: {error}"))
    })
}

fn table(object: &Object, all: usize) {
    let mut table = Page::of_stdout().table(&["Field", "Label", "Type", "Write", "Notes"]);
    for field in &object.fields {
        table.add_row([
            field.name.clone(),
            field.label.clone(),
            field.kind(),
            field.write().to_owned(),
            field.notes(),
        ]);
    }
    show(&table.to_string());
    let shown = match object.fields.len() {
        shown if shown == all => counted(all as u64, "field"),
        shown => format!("{shown} of {}", counted(all as u64, "field")),
    };
    let may = objects::allowed(
        object.createable,
        object.updateable,
        object.deletable,
        object.queryable,
    );
    let types = object.record_types();
    let types = match types.is_empty() {
        true => String::new(),
        false => format!("; record types: {}", types.join(", ")),
    };
    say(&format!(
        "{} ({}): {shown}; you may {may}{types}",
        object.name, object.label
    ));
}
