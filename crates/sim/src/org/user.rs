//! Users: who they are, and the objects and fields that they may read and write.

use std::sync::Arc;

use super::file::{Right, UserFile};
use super::{Object, Schema, USER_ID, id};

/// A user of an org.
#[derive(Debug)]
pub(crate) struct User {
    pub(crate) id: String,
    pub(crate) username: String,
    pub(crate) name: String,
    /// The client that logs in as the user; absent for that of the options.
    pub(crate) client: Option<Client>,
    /// The org as the user sees it.
    pub(crate) schema: Schema,
}

/// What logs in as a user.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) id: String,
    pub(crate) secret: String,
    pub(crate) refresh_token: Option<String>,
}

/// The user name of the user that the options log in as, if the org has no other.
const USERNAME: &str = "loader@sim.example";
/// Its name.
const NAME: &str = "Lena Loader";
/// The object of users.
const OBJECT: &str = "User";

impl User {
    /// The user that the options log in as: the first, who may do everything.
    pub(crate) fn first(schema: &Schema) -> User {
        User {
            id: USER_ID.to_owned(),
            username: USERNAME.to_owned(),
            name: NAME.to_owned(),
            client: None,
            schema: schema.clone(),
        }
    }

    /// The user that a file describes, with a number among the records of `User`.
    ///
    /// # Errors
    /// If it names an object or a field that is not there.
    pub(crate) fn new(file: &UserFile, number: u32, schema: &Schema) -> Result<User, String> {
        let mut seen = schema.clone();
        for (name, rights) in &file.objects {
            let known = find(&mut seen, name)?;
            if !rights.contains(&Right::Read) {
                let known = known.name.clone();
                seen.objects.retain(|object| object.name != known);
                continue;
            }
            known.createable &= rights.contains(&Right::Create);
            known.updateable &= rights.contains(&Right::Update);
            known.deletable &= rights.contains(&Right::Delete);
        }
        for (name, rights) in &file.fields {
            let split = name.split_once('.');
            let (object, field) = split.ok_or_else(|| format!("{name} is not Object.Field"))?;
            if seen.object(object).is_none() && schema.object(object).is_some() {
                continue;
            }
            let known = find(&mut seen, object)?;
            let Some(index) = known.field(field) else {
                return Err(format!("object {object} has no field {field}"));
            };
            if !rights.contains(&Right::Read) {
                known.hide(index);
            }
            if !rights.contains(&Right::Update) {
                known.fields[index].createable = false;
                known.fields[index].updateable = false;
            }
        }
        Ok(User {
            id: id::make("005", number),
            username: file.username.clone(),
            name: file.name.clone().unwrap_or_else(|| file.username.clone()),
            client: Some(Client {
                id: file.client_id.clone(),
                secret: file.client_secret.clone(),
                refresh_token: file.refresh_token.clone(),
            }),
            schema: seen,
        })
    }
}

/// Finds an object to change it.
fn find<'a>(schema: &'a mut Schema, name: &str) -> Result<&'a mut Object, String> {
    let mut objects = schema.objects.iter_mut();
    let found = objects.find(|object| object.name.eq_ignore_ascii_case(name));
    found
        .map(Arc::make_mut)
        .ok_or_else(|| format!("there is no object {name}"))
}

/// Adds the users of a file to the records of the object of users, and returns their numbers there.
pub(super) fn add_records(objects: &mut [Object], users: &[UserFile]) -> Vec<u32> {
    let object = objects.iter_mut().find(|object| object.name == OBJECT);
    let fallback = |index: usize| u32::try_from(index + 1).unwrap_or(u32::MAX);
    let Some(records) = object.and_then(|object| object.records.as_mut()) else {
        return (0..users.len()).map(fallback).collect();
    };
    let mut numbers = Vec::with_capacity(users.len());
    for user in users {
        let header: Vec<&str> = records
            .lines()
            .next()
            .unwrap_or_default()
            .split(',')
            .collect();
        let at = header.iter().position(|name| *name == "Username");
        let rows = records.lines().skip(1);
        let is_user = |row: &str| at.and_then(|at| row.split(',').nth(at)) == Some(&user.username);
        let known = rows.clone().position(is_user);
        let number = known.unwrap_or_else(|| rows.count());
        if known.is_none() {
            let name = user.name.as_ref().unwrap_or(&user.username);
            let value = |column: &&str| match *column {
                "Username" | "Email" => user.username.clone(),
                "LastName" | "Name" => format!("\"{}\"", name.replace('"', "\"\"")),
                "IsActive" => "true".to_owned(),
                _ => String::new(),
            };
            let row: Vec<String> = header.iter().map(value).collect();
            let row = format!("{}\n", row.join(","));
            records.push_str(&row);
        }
        numbers.push(u32::try_from(number).unwrap_or(u32::MAX));
    }
    numbers
}
