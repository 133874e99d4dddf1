//! Groups of records, and what is counted and summed in them.

use std::collections::{HashMap, HashSet};

use super::filter::Key;
use super::parse::{Function, Item, Select};
use super::{Columns, Names, Query, What};
use crate::error::ApiError;
use crate::org::Kind;
use crate::org::records::Record;

/// A column of a query of groups.
#[derive(Debug, Clone)]
pub(crate) struct Total {
    pub(crate) what: Shown,
    /// The column of the query.
    pub(crate) field: usize,
    /// Its name in the answer.
    pub(crate) name: String,
}

/// What a column shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shown {
    /// The value by which records are grouped.
    Group,
    Of(Function),
}

impl Total {
    /// The type of its values.
    pub(crate) fn kind(&self, columns: Columns<'_>) -> Kind {
        match self.what {
            Shown::Of(Function::Count | Function::CountDistinct) => Kind::Int,
            Shown::Of(Function::Sum | Function::Avg) => Kind::Double,
            Shown::Of(Function::Min | Function::Max) | Shown::Group => {
                columns.field(self.field).kind
            }
        }
    }
}

/// The columns of a query with functions or groups.
///
/// # Errors
/// If a field is neither grouped nor aggregated, or cannot be.
pub(super) fn totals(
    names: &mut Names<'_>,
    select: &Select,
    groups: &[usize],
) -> Result<What, ApiError> {
    let mut totals: Vec<Total> = Vec::new();
    let mut unnamed = 0;
    for item in &select.what {
        totals.push(match item {
            Item::Field(name) => {
                let field = names.field(name)?;
                let shown = names.columns().field(field).name.clone();
                if !groups.contains(&field) {
                    let message = format!("Field must be grouped or aggregated: {shown}");
                    return Err(names.error(name.at, "MALFORMED_QUERY", &message));
                }
                Total {
                    what: Shown::Group,
                    field,
                    name: shown,
                }
            }
            Item::Total(function, name, alias) => {
                let field = names.field(name)?;
                let kind = names.columns().field(field).kind;
                let is_number = matches!(kind, Kind::Int | Kind::Long | Kind::Double);
                if matches!(function, Function::Sum | Function::Avg) && !is_number {
                    let message = format!(
                        "field {} does not support aggregate operator {function:?}",
                        name.is
                    );
                    return Err(names.error(name.at, "MALFORMED_QUERY", &message.to_uppercase()));
                }
                let shown = alias.clone().unwrap_or_else(|| {
                    unnamed += 1;
                    format!("expr{}", unnamed - 1)
                });
                Total {
                    what: Shown::Of(*function),
                    field,
                    name: shown,
                }
            }
            Item::Fields(_) | Item::Count => {
                let message = "COUNT() and FIELDS() do not go with GROUP BY or other functions";
                return Err(names.error(0, "MALFORMED_QUERY", message));
            }
        });
    }
    Ok(What::Totals(totals))
}

/// A group: the first of its records, and the values of each column.
#[derive(Debug, Default)]
struct Group {
    first: Record,
    values: Vec<Vec<(Key, String)>>,
}

impl Query {
    /// The rows of a query of groups, in the order in which the groups are met.
    pub(super) fn totals_of(&self, totals: &[Total], records: Vec<Record>) -> Vec<Record> {
        let mut places: HashMap<Vec<Option<String>>, usize> = HashMap::new();
        let mut groups: Vec<Group> = Vec::new();
        if self.groups.is_empty() {
            groups.push(Group::of(&[], totals.len()));
            places.insert(Vec::new(), 0);
        }
        for record in records {
            let key = self.groups.iter().map(|field| {
                let text = record[*field].as_deref()?;
                // Texts are grouped without letter case, as they are compared.
                Some(
                    Key::of(self.columns().field(*field), text)
                        .map_or_else(|| text.to_owned(), |key| format!("{key:?}")),
                )
            });
            let place = *places.entry(key.collect()).or_insert_with(|| {
                groups.push(Group::of(&record, totals.len()));
                groups.len() - 1
            });
            for (total, values) in totals.iter().zip(&mut groups[place].values) {
                let text = record[total.field].as_deref();
                let key = text.and_then(|text| Key::of(self.columns().field(total.field), text));
                values.extend(key.zip(text.map(str::to_owned)));
            }
        }
        let row = |group: &Group| {
            let columns = totals.iter().zip(&group.values);
            let columns = columns.map(|(total, values)| match total.what {
                Shown::Group => group.first[total.field].clone(),
                Shown::Of(function) => of(function, values),
            });
            columns.collect()
        };
        groups.iter().map(row).collect()
    }
}

impl Group {
    fn of(first: &[Option<String>], columns: usize) -> Group {
        Group {
            first: first.to_vec(),
            values: vec![Vec::new(); columns],
        }
    }
}

/// What a function makes of values.
fn of(function: Function, values: &[(Key, String)]) -> Option<String> {
    let numbers = || {
        values
            .iter()
            .filter_map(|(_, text)| text.parse::<f64>().ok())
    };
    let compared = || values.iter();
    match function {
        Function::Count => Some(values.len().to_string()),
        Function::CountDistinct => {
            let keys: HashSet<String> = values.iter().map(|(key, _)| format!("{key:?}")).collect();
            Some(keys.len().to_string())
        }
        _ if values.is_empty() => None,
        Function::Sum => Some(format!("{:?}", numbers().sum::<f64>())),
        Function::Avg => {
            let count = u32::try_from(values.len()).map_or(f64::NAN, f64::from);
            Some(format!("{:?}", numbers().sum::<f64>() / count))
        }
        Function::Min => compared()
            .min_by(|(a, _), (b, _)| a.compare(b))
            .map(|(_, text)| text.clone()),
        Function::Max => compared()
            .max_by(|(a, _), (b, _)| a.compare(b))
            .map(|(_, text)| text.clone()),
    }
}
