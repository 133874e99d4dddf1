//! `objects`.

use arrow_salesforce::bulk::Client;
use arrow_salesforce::object::ListedObject;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::cli::orgs::{Form, ObjectsArgs};
use crate::credentials;
use crate::error::{CliError, Result};
use crate::watch::listing::{csv, json_lines};
use crate::watch::numbers::counted;
use crate::watch::{Page, say, show};

const NAMES: [&str; 7] = [
    "name", "label", "custom", "create", "change", "delete", "query",
];

/// An object, as the org lists it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Listed {
    #[serde(flatten)]
    object: ListedObject,
    #[serde(default)]
    label: String,
    #[serde(default)]
    custom: bool,
    #[serde(default)]
    queryable: bool,
}

/// Lists the objects of an org.
///
/// # Errors
/// Any of a login's, and of a call's.
pub(crate) async fn objects(args: ObjectsArgs) -> Result<()> {
    let client = credentials::client(&args.org).await?;
    let mut objects = listed(&client).await?;
    objects.retain(|one| args.all || one.object.is_writable());
    if let Some(text) = &args.text {
        objects.retain(|one| one.has(text));
    }
    objects.sort_by(|one, other| one.object.name.cmp(&other.object.name));
    match args.format {
        Form::Json => json_lines(&NAMES, objects.iter().map(Listed::values)),
        Form::Csv => csv(&NAMES, objects.iter().map(Listed::values)),
        Form::Table => table(&objects, &args),
    }
    Ok(())
}

/// The names of the objects that are most like this one, at most three.
///
/// # Errors
/// Any of a call's.
pub(super) async fn like(client: &Client, name: &str) -> Result<Vec<String>> {
    const LIKE: f64 = 0.7;
    let wanted = name.to_lowercase();
    let likeness = |one: &Listed| {
        strsim::normalized_damerau_levenshtein(&wanted, &one.object.name.to_lowercase())
    };
    let objects = listed(client).await?;
    let near = objects.iter().map(|one| (likeness(one), &one.object.name));
    let mut near: Vec<_> = near.filter(|(likeness, _)| *likeness >= LIKE).collect();
    near.sort_by(|one, other| other.0.total_cmp(&one.0).then(one.1.cmp(other.1)));
    Ok(near
        .into_iter()
        .take(3)
        .map(|(_, name)| name.clone())
        .collect())
}

/// What a user may do with the records of an object, in words.
pub(super) fn allowed(create: bool, change: bool, delete: bool, query: bool) -> String {
    let words = [
        (create, "create"),
        (change, "change"),
        (delete, "delete"),
        (query, "query"),
    ];
    let words = words.iter().filter(|(may, _)| *may).map(|(_, word)| *word);
    let words: Vec<&str> = words.collect();
    match words.is_empty() {
        true => "nothing".to_owned(),
        false => words.join(", "),
    }
}

async fn listed(client: &Client) -> Result<Vec<Listed>> {
    #[derive(Deserialize)]
    struct List {
        sobjects: Vec<Listed>,
    }
    let json = client.sobjects().await;
    let json = json.map_err(arrow_salesforce::Error::from)?;
    let list: List = serde_json::from_slice(&json).map_err(|error| {
        CliError::failed(format!("the list of objects cannot be read: {error}"))
    })?;
    Ok(list.sobjects)
}

fn table(objects: &[Listed], args: &ObjectsArgs) {
    let mut table = Page::of_stdout().table(&["Object", "Label", "You may"]);
    for one in objects {
        table.add_row([one.object.name.clone(), one.label.clone(), one.allowed()]);
    }
    if !objects.is_empty() {
        show(&table.to_string());
    }
    let found = counted(objects.len() as u64, "object");
    say(&match (&args.text, args.all) {
        (Some(text), false) => {
            format!("{found} with {text:?}; --all also lists those that nothing can be loaded into")
        }
        (Some(text), true) => format!("{found} with {text:?}"),
        (None, false) => format!("{found}; --all also lists those that nothing can be loaded into"),
        (None, true) => found,
    });
}

impl Listed {
    /// Whether its name or label has this in it, in any case.
    fn has(&self, text: &str) -> bool {
        let text = text.to_lowercase();
        let has = |whole: &str| whole.to_lowercase().contains(&text);
        has(&self.object.name) || has(&self.label)
    }

    fn allowed(&self) -> String {
        let ListedObject {
            createable,
            updateable,
            deletable,
            ..
        } = self.object;
        allowed(createable, updateable, deletable, self.queryable)
    }

    fn values(&self) -> Vec<Value> {
        let object = &self.object;
        vec![
            json!(object.name),
            json!(self.label),
            json!(self.custom),
            json!(object.createable),
            json!(object.updateable),
            json!(object.deletable),
            json!(self.queryable),
        ]
    }
}
