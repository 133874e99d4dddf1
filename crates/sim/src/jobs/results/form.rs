//! The form in which a result file shows what was uploaded: its columns, their names, and how their
//! values come back.

use std::borrow::Cow;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::csv;
use crate::faults::{Action, Case, Chosen, Order};
use crate::org::columns::Column;
use crate::org::table::Upload;
use crate::org::{Kind, Object, number, value};

/// How the values of a column come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Echo {
    AsUploaded,
    Blank,
    Double,
    Date,
    DateTime,
    /// `TRUE`, or `1`.
    Boolean(bool),
}

/// The form of one result file.
#[derive(Debug)]
pub(crate) struct Form {
    /// The uploaded columns that come back, in their order.
    pub(crate) columns: Vec<usize>,
    /// The header without `sf__Id` and the like.
    pub(crate) header: String,
    /// Unprocessed rows come back byte for byte.
    pub(crate) is_plain: bool,
    echoes: Vec<Echo>,
}

impl Form {
    pub(crate) fn new(
        upload: &Upload,
        object: &Object,
        faults: &[Action],
        numbers: bool,
        seed: u64,
    ) -> Form {
        let header = upload.file.header();
        let delimiter = upload.file.delimiter();
        let mut names = Vec::new();
        csv::split(header, delimiter, &mut names);
        let mut form = Form {
            columns: (0..upload.columns.len()).collect(),
            header: header.to_owned(),
            is_plain: true,
            echoes: upload
                .columns
                .iter()
                .map(|column| echo(column, object, [numbers, false, false, false]))
                .collect(),
        };
        let mut case = Case::Kept;
        for fault in faults {
            form.is_plain &= !matches!(
                fault,
                Action::OtherHeader { .. } | Action::DropColumns(_) | Action::BlankColumns(_)
            );
            match fault {
                Action::Reformat {
                    numbers,
                    dates,
                    date_times,
                    booleans,
                } => {
                    let flags = [*numbers, *dates, *date_times, *booleans];
                    form.reformat(upload, object, flags);
                }
                Action::BlankColumns(chosen) => {
                    for column in choose(chosen, &names, seed) {
                        form.echoes[column] = Echo::Blank;
                    }
                }
                Action::DropColumns(chosen) => {
                    let dropped: Vec<usize> = choose(chosen, &names, seed).collect();
                    form.columns.retain(|column| !dropped.contains(column));
                }
                Action::OtherHeader { case: other, order } => {
                    case = *other;
                    match order {
                        Order::Reversed => form.columns.reverse(),
                        Order::Sorted => form.columns.sort_by_key(|column| &names[*column]),
                        Order::Kept => {}
                    }
                }
                _ => {}
            }
        }
        if !form.is_plain {
            let names: Vec<String> = form
                .columns
                .iter()
                .map(|column| cased(&names[*column], case))
                .collect();
            form.header = names.join(&char::from(delimiter).to_string());
        }
        form
    }

    /// Sets the other form of the values of columns. `flags`: numbers, dates, date-times, booleans.
    fn reformat(&mut self, upload: &Upload, object: &Object, flags: [bool; 4]) {
        let mut ones = false;
        for (column, known) in upload.columns.iter().zip(&mut self.echoes) {
            let other = echo(column, object, flags);
            if other == Echo::AsUploaded {
                continue;
            }
            *known = other;
            if let Echo::Boolean(one) = known {
                *one = ones;
                ones = !ones;
            }
        }
    }

    /// How a value of a processed row comes back.
    pub(crate) fn echoed<'a>(&self, column: usize, value: &'a str) -> Cow<'a, str> {
        let other = match self.echoes[column] {
            Echo::AsUploaded => None,
            Echo::Blank => return "".into(),
            Echo::Double => number::echoed(value),
            Echo::Date => value::is_date(value).then(|| format!("{value}T00:00:00.000Z")),
            Echo::DateTime => value::date_time(value).map(value::with_offset),
            Echo::Boolean(one) => value::boolean(value).map(|flag| {
                let forms = if one { ["0", "1"] } else { ["FALSE", "TRUE"] };
                forms[usize::from(flag)].to_owned()
            }),
        };
        other.map_or(Cow::Borrowed(value), Cow::Owned)
    }
}

/// How the values of a column come back, with the `flags` of `reformat`.
fn echo(column: &Column, object: &Object, flags: [bool; 4]) -> Echo {
    let Column::Field(field) = column else {
        return Echo::AsUploaded;
    };
    let [numbers, dates, date_times, booleans] = flags;
    match object.fields[*field].kind {
        Kind::Double if numbers => Echo::Double,
        Kind::Date if dates => Echo::Date,
        Kind::DateTime if date_times => Echo::DateTime,
        Kind::Boolean if booleans => Echo::Boolean(false),
        _ => Echo::AsUploaded,
    }
}

/// The columns that a fault chooses.
fn choose<'a>(
    chosen: &'a Chosen,
    names: &'a [Cow<'_, str>],
    seed: u64,
) -> impl Iterator<Item = usize> + 'a {
    let is_chosen = move |name: &str| {
        let named = chosen
            .names
            .iter()
            .any(|known| known.eq_ignore_ascii_case(name));
        let drawn = fastrand::Rng::with_seed(xxh3_64_with_seed(name.as_bytes(), seed)).f64();
        named || drawn < chosen.share
    };
    let names = names.iter().enumerate();
    names.filter_map(move |(column, name)| is_chosen(name).then_some(column))
}

fn cased(name: &str, case: Case) -> String {
    match case {
        Case::Upper => name.to_ascii_uppercase(),
        Case::Lower => name.to_ascii_lowercase(),
        Case::Kept => name.to_owned(),
    }
}
