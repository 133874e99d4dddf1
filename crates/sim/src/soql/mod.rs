//! Queries in SOQL of one object and the parents of its records: read, checked against the org, and answered.
//!
//! What it follows is Salesforce's [SOQL
//! reference](https://developer.salesforce.com/docs/atlas.en-us.soql_sosl.meta/soql_sosl/sforce_api_calls_soql.htm).

mod aggregate;
mod candidates;
mod dates;
mod filter;
mod parents;
mod parse;
mod tokens;

use std::cmp::Ordering;
use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use self::filter::{Checked, Key};
use self::parents::{MAX_LEVELS, MAX_RELATIONS, Parents, Reader};
use self::parse::{Item, OrderBy, Place, Select};
use crate::error::ApiError;
use crate::org::records::{self, Record};
use crate::org::{Field, Kind, Object, Org, Schema};

pub(crate) use self::aggregate::{Shown, Total};
pub(crate) use self::parents::{Columns, Part};
pub(crate) use self::parse::Function;

/// The most records that a query with `FIELDS(ALL)` or `FIELDS(CUSTOM)` may ask for.
const MAX_UNBOUNDED: usize = 200;
/// The largest `OFFSET`.
const MAX_OFFSET: usize = 2_000;

/// A query that was checked.
#[derive(Debug)]
pub(crate) struct Query {
    pub(crate) object: Arc<Object>,
    pub(crate) what: What,
    parents: Parents,
    filter: Option<Checked>,
    groups: Vec<usize>,
    order: Vec<Ordered>,
    limit: usize,
    offset: usize,
    /// It has `ORDER BY` or `LIMIT`.
    pub(crate) is_ordered_or_limited: bool,
    pub(crate) has_offset: bool,
}

/// What a query asks for.
#[derive(Debug)]
pub(crate) enum What {
    /// Fields, by their column.
    Fields(Vec<usize>),
    /// `COUNT()`.
    Count,
    /// Functions and groups.
    Totals(Vec<Total>),
}

/// By what rows are ordered.
#[derive(Debug)]
struct Ordered {
    /// A column of the query, or the place of one among those of groups.
    at: usize,
    down: bool,
    nulls_last: bool,
}

/// A column of a row: what it is made of, its type, and its value.
type Column<'a> = (&'a Field, Kind, Option<&'a str>);

/// The names of a query: its text, its object, and the name of that within the text.
struct Names<'a> {
    query: &'a str,
    object: &'a Object,
    alias: Option<&'a str>,
    /// The objects that may be parents.
    schema: &'a Schema,
    /// The parents that were named.
    parents: Parents,
}

impl Names<'_> {
    fn columns(&self) -> Columns<'_> {
        Columns {
            object: self.object,
            parents: &self.parents,
        }
    }

    fn error(&self, at: usize, code: &str, message: &str) -> ApiError {
        tokens::error(self.query, at, code, message)
    }

    /// Finds the column of a field.
    ///
    /// # Errors
    /// `INVALID_FIELD`.
    fn field(&mut self, name: &Place<String>) -> Result<usize, ApiError> {
        let mut path: Vec<&str> = name.is.split('.').collect();
        let field = path.pop().unwrap_or_default();
        let own = [Some(self.object.name.as_str()), self.alias];
        let is_own = |prefix: &str| {
            let mut own = own.iter().flatten();
            own.any(|known| known.eq_ignore_ascii_case(prefix))
        };
        let is_first_own = path.first().is_some_and(|first| is_own(first));
        let path = &path[usize::from(is_first_own)..];
        if path.len() > MAX_LEVELS {
            let message = format!(
                "{}: more than {MAX_LEVELS} levels of relationships",
                name.is
            );
            return Err(self.error(name.at, "INVALID_FIELD", &message));
        }
        let mut last = None;
        for relation in path {
            let found = self
                .parents
                .relation(self.schema, self.object, last, relation);
            last = Some(found.ok_or_else(|| {
                let message = format!(
                    "Didn't understand relationship '{relation}' in field path. If you are \
                     attempting to use a custom relationship, be sure to append the '__r' after \
                     the custom relationship name. Please reference your WSDL or the describe call \
                     for the appropriate names."
                );
                self.error(name.at, "INVALID_FIELD", &message)
            })?);
        }
        if self.parents.relations() > MAX_RELATIONS {
            let message = format!("more than {MAX_RELATIONS} relationships in a query");
            return Err(self.error(name.at, "MALFORMED_QUERY", &message));
        }
        let object = last.map_or(self.object, |last| self.parents.seen(last));
        let found = object.field(field).ok_or_else(|| {
            let message = format!(
                "No such column '{field}' on entity '{}'. If you are attempting to use a custom \
                 field, be sure to append the '__c' after the custom field name. Please reference \
                 your WSDL or the describe call for the appropriate names.",
                object.name
            );
            self.error(name.at, "INVALID_FIELD", &message)
        })?;
        Ok(last.map_or(found, |last| self.parents.column(self.object, last, found)))
    }
}

/// What a query found.
#[derive(Debug)]
pub(crate) struct Found {
    /// The values of each record: for `What::Fields` those of its fields, its Id, and the Ids of
    /// the parents by their relationship; for `What::Totals` those of its columns.
    pub(crate) rows: Vec<Record>,
    /// How many records there are.
    pub(crate) total: usize,
}

impl Query {
    /// Reads a query and checks it against the objects that the user sees.
    ///
    /// # Errors
    /// `MALFORMED_QUERY`, `INVALID_TYPE`, `INVALID_FIELD` and others.
    pub(crate) fn read(text: &str, schema: &Schema) -> Result<Query, ApiError> {
        let select = parse::parse(text)?;
        let object = schema.object(&select.object.is).ok_or_else(|| {
            let message = format!(
                "sObject type '{}' is not supported. If you are attempting to use a custom \
                 object, be sure to append the '__c' after the entity name. Please reference your \
                 WSDL or the describe call for the appropriate names.",
                select.object.is
            );
            tokens::error(text, select.object.at, "INVALID_TYPE", &message)
        })?;
        let mut names = Names {
            query: text,
            object,
            alias: select.alias.as_deref(),
            schema,
            parents: Parents::default(),
        };
        if select.offset.is_some_and(|offset| offset > MAX_OFFSET) {
            let message = format!("Maximum SOQL offset allowed is {MAX_OFFSET}");
            return Err(ApiError::new(400, "NUMBER_OUTSIDE_VALID_RANGE", &message));
        }
        let groups = select.group.iter().map(|name| names.field(name));
        let groups = groups.collect::<Result<Vec<usize>, _>>()?;
        let what = what(&mut names, &select, &groups)?;
        let filter = select.filter.as_ref();
        let filter = filter.map(|filter| filter::check(&mut names, filter));
        let filter = filter.transpose()?;
        let order = select.order.iter();
        let order = order.map(|order| ordered(&mut names, order, &what));
        Ok(Query {
            order: order.collect::<Result<_, _>>()?,
            what,
            filter,
            groups,
            parents: names.parents,
            limit: select.limit.unwrap_or(usize::MAX),
            offset: select.offset.unwrap_or(0),
            is_ordered_or_limited: !select.order.is_empty() || select.limit.is_some(),
            has_offset: select.offset.is_some(),
            object: Arc::clone(object),
        })
    }

    /// The columns that it names: fields of its object and of parents.
    pub(crate) fn columns(&self) -> Columns<'_> {
        Columns {
            object: &self.object,
            parents: &self.parents,
        }
    }

    /// Runs the query: returns what it finds, with the records in the recycle bin or without.
    pub(crate) fn run(&self, org: &Org, with_deleted: bool) -> Found {
        let mut rows: Vec<(Vec<Option<Key>>, Record)> = Vec::new();
        let mut total = 0;
        let by_id = self.by_id();
        let is_total = matches!(self.what, What::Totals(_));
        let is_sorted = self.order.is_empty() || by_id.is_some();
        let enough = if is_sorted && !is_total {
            self.offset.saturating_add(self.limit)
        } else {
            usize::MAX
        };
        if enough > 0 {
            let columns = self.columns();
            let mut parents = Reader::new(org, columns, with_deleted);
            let numbers = self.numbers(org, with_deleted, by_id == Some(true));
            records::read(org, &self.object, with_deleted, numbers, |record| {
                let record = parents.joined(record);
                let filter = self.filter.as_ref();
                if filter.is_some_and(|filter| !filter.holds(columns, &record)) {
                    return ControlFlow::Continue(());
                }
                total += 1;
                match &self.what {
                    What::Count => {}
                    What::Totals(_) => rows.push((Vec::new(), record)),
                    What::Fields(_) => {
                        let of = |at: usize| {
                            let field = columns.field(at);
                            (field, field.kind, record[at].as_deref())
                        };
                        let keys = if is_sorted { Vec::new() } else { self.keys(of) };
                        rows.push((keys, self.chosen(record)));
                    }
                }
                if total >= enough {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
            });
        }
        if let What::Totals(totals) = &self.what {
            let records = rows.into_iter().map(|(_, record)| record).collect();
            let groups = self.totals_of(totals, records);
            total = groups.len();
            let keyed = groups.into_iter().map(|row| {
                let keys = self.keys(|at| self.total(totals, &row, at));
                (keys, row)
            });
            rows = keyed.collect();
        }
        if !is_sorted || is_total {
            rows.sort_by(|(a, _), (b, _)| self.compare(a, b));
        }
        let total = total.saturating_sub(self.offset).min(self.limit);
        let rows = rows.into_iter().skip(self.offset).take(self.limit);
        Found {
            rows: rows.map(|(_, row)| row).collect(),
            total,
        }
    }

    /// The numbers of the records that are read, in their order or in the reversed one.
    fn numbers(&self, org: &Org, with_deleted: bool, down: bool) -> Box<dyn Iterator<Item = u32>> {
        let filter = self.filter.as_ref();
        let found = candidates::candidates(org, &self.object, filter, with_deleted).numbers();
        if down { Box::new(found.rev()) } else { found }
    }

    /// Whether records are ordered by their Id alone, and downward: they are read so anyway.
    fn by_id(&self) -> Option<bool> {
        match self.order.as_slice() {
            [only] if !matches!(self.what, What::Totals(_)) => {
                (self.object.field("Id") == Some(only.at)).then_some(only.down)
            }
            _ => None,
        }
    }

    /// The values by which a row is ordered: `of` has the column at an index.
    fn keys<'a>(&self, of: impl Fn(usize) -> Column<'a>) -> Vec<Option<Key>> {
        let keys = self.order.iter().map(|order| {
            let (field, kind, text) = of(order.at);
            Key::of_kind(field, kind, text?)
        });
        keys.collect()
    }

    /// A column of a row of groups.
    fn total<'a>(&'a self, totals: &[Total], row: &'a Record, at: usize) -> Column<'a> {
        let total = &totals[at];
        let columns = self.columns();
        let text = row[at].as_deref();
        (columns.field(total.field), total.kind(columns), text)
    }

    /// The values of a record that are asked for.
    fn chosen(&self, mut record: Record) -> Record {
        match &self.what {
            What::Fields(fields) => {
                let ids = [self.object.field("Id")].into_iter();
                let ids = ids.chain(self.columns().ids());
                let ids: Record = ids.map(|id| record[id?].clone()).collect();
                let values = fields.iter().map(|field| record[*field].take());
                values.chain(ids).collect()
            }
            What::Count | What::Totals(_) => record,
        }
    }

    fn compare(&self, a: &[Option<Key>], b: &[Option<Key>]) -> Ordering {
        let mut compared = self.order.iter().zip(a).zip(b).map(|((order, a), b)| {
            let Ordered {
                down, nulls_last, ..
            } = *order;
            match (a, b) {
                (None, None) => Ordering::Equal,
                (None, Some(_)) if nulls_last => Ordering::Greater,
                (None, Some(_)) => Ordering::Less,
                (Some(_), None) if nulls_last => Ordering::Less,
                (Some(_), None) => Ordering::Greater,
                (Some(a), Some(b)) if down => b.compare(a),
                (Some(a), Some(b)) => a.compare(b),
            }
        });
        compared
            .find(|order| order.is_ne())
            .unwrap_or(Ordering::Equal)
    }
}

fn ordered(names: &mut Names<'_>, order: &OrderBy, what: &What) -> Result<Ordered, ApiError> {
    let index = names.field(&order.field)?;
    let field = names.columns().field(index);
    if filter::is_long(field) || field.multiple {
        let message = format!("field '{}' can not be sorted in a query call", field.name);
        return Err(names.error(order.field.at, "INVALID_FIELD", &message));
    }
    let at = match what {
        What::Totals(totals) => {
            let wanted = order.function.map_or(Shown::Group, Shown::Of);
            let is_it = |total: &Total| total.field == index && total.what == wanted;
            totals.iter().position(is_it).ok_or_else(|| {
                let message = "the simulator orders groups by what they show alone";
                names.error(order.field.at, "MALFORMED_QUERY", message)
            })?
        }
        _ if order.function.is_some() => {
            let message = format!("Field must be grouped or aggregated: {}", order.field.is);
            return Err(names.error(order.field.at, "MALFORMED_QUERY", &message));
        }
        _ => index,
    };
    Ok(Ordered {
        at,
        down: order.down,
        nulls_last: order.nulls_last,
    })
}

fn what(names: &mut Names<'_>, select: &Select, groups: &[usize]) -> Result<What, ApiError> {
    if matches!(select.what[..], [Item::Count]) {
        return Ok(What::Count);
    }
    let has_total = |item: &Item| matches!(item, Item::Total(..));
    if !groups.is_empty() || select.what.iter().any(has_total) {
        return aggregate::totals(names, select, groups);
    }
    let mut fields: Vec<usize> = Vec::new();
    for item in &select.what {
        match item {
            Item::Field(name) => fields.push(names.field(name)?),
            Item::Fields(which) => {
                fields.append(&mut group(names, which, select.limit)?);
            }
            Item::Total(..) | Item::Count => {
                let message = "COUNT() must be the only item of the SELECT";
                return Err(names.error(0, "MALFORMED_QUERY", message));
            }
        }
    }
    let mut seen = HashSet::new();
    if let Some(twice) = fields.iter().find(|field| !seen.insert(**field)) {
        let name = names.columns().name(*twice);
        let message = format!("duplicate field selected: {name}");
        return Err(ApiError::new(400, "INVALID_FIELD", &message));
    }
    Ok(What::Fields(fields))
}

/// The fields of `FIELDS(…)`, without compound ones, whose parts they are.
fn group(
    names: &Names<'_>,
    which: &Place<String>,
    limit: Option<usize>,
) -> Result<Vec<usize>, ApiError> {
    let is_custom = match which.is.to_ascii_uppercase().as_str() {
        "ALL" => None,
        "CUSTOM" => Some(true),
        "STANDARD" => Some(false),
        _ => {
            let message = format!("unexpected token: '{}'", which.is);
            return Err(names.error(which.at, "MALFORMED_QUERY", &message));
        }
    };
    if is_custom != Some(false) && limit.is_none_or(|limit| limit > MAX_UNBOUNDED) {
        let message = "The SOQL FIELDS function must have a LIMIT of at most 200";
        return Err(names.error(which.at, "MALFORMED_QUERY", message));
    }
    let fields = names.object.fields.iter().enumerate();
    let chosen = fields.filter(|(_, field)| {
        !field.compound && !field.hidden && is_custom.is_none_or(|custom| field.custom == custom)
    });
    Ok(chosen.map(|(index, _)| index).collect())
}

/// Whether a field cannot be in a bulk query, and why.
pub(crate) fn not_in_bulk(query: &Query, column: usize) -> Option<&'static str> {
    let field = query.columns().field(column);
    if field.compound {
        return Some("Selecting compound data not supported in Bulk Query");
    }
    (field.kind == Kind::Base64)
        .then_some("Blob field not supported in Bulk V2 Query with CSV content type")
}

/// The condition of a query: what stands after `WHERE`.
#[derive(Debug)]
pub(crate) struct Condition(Checked);

impl Condition {
    /// Reads a condition on records of an object.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn read(text: &str, object: &Object) -> Result<Condition, ApiError> {
        let filter = parse::condition(text)?;
        let mut names = Names {
            query: text,
            object,
            alias: None,
            schema: &Schema::default(),
            parents: Parents::default(),
        };
        filter::check(&mut names, &filter).map(Condition)
    }

    /// Whether it is true of a record.
    pub(crate) fn holds(&self, object: &Object, record: &Record) -> bool {
        let columns = Columns {
            object,
            parents: &Parents::default(),
        };
        self.0.holds(columns, record)
    }
}

/// The fields that a query of an object asks for, by the names it has for them; nothing if it is of
/// another object, asks for other things, or is no query.
pub(crate) fn fields_of(text: &str, object: &str) -> Option<Vec<String>> {
    let select = parse::parse(text).ok()?;
    let names = select.what.into_iter().map(|item| match item {
        Item::Field(name) => Some(name.is),
        _ => None,
    });
    let is_of = select.object.is.eq_ignore_ascii_case(object);
    names.collect::<Option<_>>().filter(|_| is_of)
}

/// The object that a query names, well-formed or not.
pub(crate) fn object_of(text: &str) -> Option<String> {
    let mut words = text.split_whitespace();
    words.find(|word| word.eq_ignore_ascii_case("FROM"))?;
    words.next().map(str::to_owned)
}
