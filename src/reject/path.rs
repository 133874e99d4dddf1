//! Keys of the objects: `<prefix>/<path_format><file_name_format>`.

use std::collections::BTreeMap;

use chrono::{DateTime, Local, Utc};

use super::{RejectError, RejectFormat};
use crate::storage::names::{not_relative, safe};

/// Name of an object where `file_name_format` is absent.
pub const DEFAULT_FILE_NAME_FORMAT: &str = "{date}_{timestamp}_{part_number}{format_extension}";

/// A stream, as far as its rejected records show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RejectStream {
    /// Name.
    pub name: String,
    /// Namespace.
    pub namespace: Option<String>,
    /// Whole numbers by name, such as the id of the run: what the format shows of them is its own
    /// matter, see [`airbyte::labels`](super::airbyte::labels).
    pub labels: BTreeMap<String, i64>,
    /// Id of the attempt, if it has one: a run that ends early and is repeated has several.
    pub attempt: Option<String>,
}

impl RejectStream {
    /// The label of this name.
    ///
    /// # Errors
    /// [`RejectError::Label`] if the stream has none.
    pub(super) fn label(&self, name: &'static str) -> Result<i64, RejectError> {
        let label = self.labels.get(name).copied();
        label.ok_or_else(|| RejectError::Label {
            stream: self.name.clone(),
            label: name,
        })
    }
}

/// Variables of `path_format` before and after the labels.
const PATH_VARIABLES: [&[&str]; 2] = [
    &["namespace", "stream_name"],
    &[
        "year",
        "month",
        "day",
        "hour",
        "minute",
        "second",
        "millisecond",
        "epoch",
        "uuid",
    ],
];

/// Variables of `file_name_format` before and after the labels.
const FILE_VARIABLES: [&[&str]; 2] = [
    &["date", "date:yyyy_MM", "timestamp", "part_number"],
    &["format_extension"],
];

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Variable(&'static str),
    Label(&'static str),
}

/// The two templates, and the moment that their dates show.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    path: Vec<Piece>,
    file: Vec<Piece>,
    /// Extensions that the objects of a directory may have.
    extensions: &'static [&'static str],
    start: DateTime<Utc>,
}

/// What a file name shows besides the date.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FileParts {
    pub(crate) timestamp: i64,
    pub(crate) part_number: u64,
    pub(crate) extension: &'static str,
}

impl Layout {
    /// Reads the templates of a load that began at `start`; `None` takes the default.
    ///
    /// # Errors
    /// [`RejectError::Variable`] naming the first unknown variable.
    pub(crate) fn new(
        format: RejectFormat,
        path_format: Option<&str>,
        file_name_format: Option<&str>,
        start: DateTime<Utc>,
    ) -> Result<Self, RejectError> {
        let labels = format.variables();
        let path = path_format.unwrap_or(format.path_format());
        let file = file_name_format.unwrap_or(DEFAULT_FILE_NAME_FORMAT);
        Ok(Self {
            path: parse("path_format", path, PATH_VARIABLES, labels)?,
            file: parse("file_name_format", file, FILE_VARIABLES, labels)?,
            extensions: format.extensions(),
            start,
        })
    }

    /// Directory of a stream under `prefix`: no leading slash, no empty segment, a final slash
    /// unless it is the root.
    ///
    /// # Errors
    /// [`RejectError::Label`] if the stream lacks a label of the template.
    pub(crate) fn directory(
        &self,
        prefix: &str,
        stream: &RejectStream,
    ) -> Result<String, RejectError> {
        let start = self.start;
        let path = expand(&self.path, stream, |name| match name {
            "namespace" => safe(stream.namespace.as_deref().unwrap_or_default()),
            "stream_name" => safe(&stream.name),
            "year" => start.format("%-Y").to_string(),
            "month" => start.format("%m").to_string(),
            "day" => start.format("%d").to_string(),
            "hour" => start.format("%H").to_string(),
            "minute" => start.format("%M").to_string(),
            "second" => start.format("%S").to_string(),
            "millisecond" => format!("{:04}", start.timestamp_subsec_millis()),
            "epoch" => start.timestamp_millis().to_string(),
            _ => uuid::Uuid::new_v4().to_string(),
        })?;
        let mut directory = String::with_capacity(prefix.len() + path.len() + 2);
        let segments = prefix.split('/').chain(path.split('/'));
        for segment in segments.filter(|segment| !segment.is_empty()) {
            directory.push_str(&not_relative(segment));
            directory.push('/');
        }
        Ok(directory)
    }

    /// Name of an object in its directory.
    ///
    /// # Errors
    /// [`RejectError::Label`] if the stream lacks a label of the template.
    pub(crate) fn file_name(
        &self,
        stream: &RejectStream,
        parts: FileParts,
    ) -> Result<String, RejectError> {
        let date = self.start.with_timezone(&Local);
        expand(&self.file, stream, |name| match name {
            "date" => date.format("%Y_%m_%d").to_string(),
            "date:yyyy_MM" => date.format("%Y_%m").to_string(),
            "timestamp" => parts.timestamp.to_string(),
            "part_number" => parts.part_number.to_string(),
            _ => parts.extension.to_owned(),
        })
    }

    /// The part number in the name of an object that the same template made, any day.
    pub(crate) fn part_number(&self, name: &str) -> Option<u64> {
        part_number(&self.file, self.extensions, name)?
    }
}

fn parse(
    setting: &'static str,
    template: &str,
    [before, after]: [&'static [&'static str]; 2],
    labels: &'static [&'static str],
) -> Result<Vec<Piece>, RejectError> {
    let allowed = || [before, labels, after].into_iter().flatten().copied();
    let mut pieces = Vec::new();
    let mut rest = template;
    while let Some((text, (name, after))) = rest
        .split_once('{')
        .and_then(|(text, tail)| Some((text, tail.split_once('}')?)))
    {
        let Some(known) = allowed().find(|known| known.eq_ignore_ascii_case(name)) else {
            return Err(RejectError::Variable {
                setting,
                variable: name.to_owned(),
                allowed: allowed()
                    .map(|name| format!("{{{name}}}"))
                    .collect::<Vec<_>>()
                    .join(", "),
            });
        };
        if !text.is_empty() {
            pieces.push(Piece::Text(text.to_owned()));
        }
        pieces.push(match labels.contains(&known) {
            true => Piece::Label(known),
            false => Piece::Variable(known),
        });
        rest = after;
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest.to_owned()));
    }
    Ok(pieces)
}

fn expand(
    pieces: &[Piece],
    stream: &RejectStream,
    value: impl Fn(&str) -> String,
) -> Result<String, RejectError> {
    let mut text = String::new();
    for piece in pieces {
        match piece {
            Piece::Text(own) => text.push_str(own),
            Piece::Variable(name) => text.push_str(&value(name)),
            Piece::Label(name) => text.push_str(&stream.label(name)?.to_string()),
        }
    }
    Ok(text)
}

/// Matches a name against a template: `None` if it is another's, `Some(None)` if the template
/// holds no part number.
fn part_number(pieces: &[Piece], extensions: &[&str], name: &str) -> Option<Option<u64>> {
    let part_number = |pieces, name| part_number(pieces, extensions, name);
    let Some((piece, pieces)) = pieces.split_first() else {
        let renamed = name.strip_prefix('-').is_some_and(|count| {
            !count.is_empty() && count.bytes().all(|byte| byte.is_ascii_digit())
        });
        return (name.is_empty() || renamed).then_some(None);
    };
    match piece {
        Piece::Text(text) => part_number(pieces, name.strip_prefix(text.as_str())?),
        Piece::Variable("format_extension") => extensions
            .iter()
            .find_map(|extension| part_number(pieces, name.strip_prefix(*extension)?)),
        Piece::Variable("date") => part_number(pieces, name.get(10..)?),
        Piece::Variable("date:yyyy_MM") => part_number(pieces, name.get(7..)?),
        Piece::Variable(variable) | Piece::Label(variable) => {
            let digits = name.bytes().take_while(u8::is_ascii_digit).count();
            (1..=digits).rev().find_map(|length| {
                let (number, rest) = name.split_at(length);
                let found = part_number(pieces, rest)?;
                match *variable {
                    "part_number" => Some(Some(number.parse().ok()?)),
                    _ => Some(found),
                }
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reject::airbyte::labels;

    fn start() -> DateTime<Utc> {
        DateTime::from_timestamp_millis(1_772_323_201_023).unwrap()
    }

    fn layout(path: Option<&str>, file: Option<&str>) -> Layout {
        Layout::new(RejectFormat::default(), path, file, start()).unwrap()
    }

    fn stream(namespace: Option<&str>, name: &str) -> RejectStream {
        RejectStream {
            name: name.to_owned(),
            namespace: namespace.map(str::to_owned),
            labels: labels(42, 1),
            attempt: None,
        }
    }

    fn parts(part_number: u64) -> FileParts {
        FileParts {
            timestamp: 1_772_323_201_123,
            part_number,
            extension: ".csv",
        }
    }

    #[test]
    fn the_advertised_defaults() {
        let layout = layout(None, None);
        let contacts = stream(Some("marts"), "crm_contacts");
        let directory = layout.directory("rejected/", &contacts).unwrap();
        assert_eq!(directory, "rejected/42/marts/crm_contacts/");
        let date = start().with_timezone(&Local).format("%Y_%m_%d");
        let name = layout.file_name(&contacts, parts(0)).unwrap();
        assert_eq!(name, format!("{date}_1772323201123_0.csv"));
    }

    #[test]
    fn an_absent_namespace_leaves_no_segment() {
        let directory = layout(None, None)
            .directory("/a//b/", &stream(None, "s"))
            .unwrap();
        assert_eq!(directory, "a/b/42/s/");
        let root = layout(Some(""), None).directory("", &stream(None, "s"));
        assert_eq!(root.unwrap(), "");
    }

    #[test]
    fn every_path_variable() {
        let template = "{Year}-{month}-{day}T{hour}-{minute}-{second}-{millisecond}_{EPOCH}/{uuid}";
        let directory = layout(Some(template), None)
            .directory("", &stream(None, "s"))
            .unwrap();
        let (time, id) = directory.split_once('/').unwrap();
        assert_eq!(time, "2026-03-01T00-00-01-0023_1772323201023");
        let id = id.strip_suffix('/').unwrap();
        assert_eq!(uuid::Uuid::parse_str(id).unwrap().get_version_num(), 4);
    }

    #[test]
    fn an_unknown_variable_is_named_with_the_allowed_ones() {
        let error =
            Layout::new(RejectFormat::default(), Some("{bogus}/"), None, start()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "path_format has the unknown variable {bogus}; it may use {namespace}, \
             {stream_name}, {sync_id}, {year}, {month}, {day}, {hour}, {minute}, {second}, \
             {millisecond}, {epoch}, {uuid}"
        );
        assert_eq!(error.kind(), crate::ErrorKind::Config);
        let error =
            Layout::new(RejectFormat::default(), None, Some("{namespace}"), start()).unwrap_err();
        assert!(error.to_string().starts_with("file_name_format has"));
    }

    #[test]
    fn part_numbers_are_read_back() {
        let default = layout(None, None);
        let name = default.file_name(&stream(None, "s"), parts(17)).unwrap();
        assert_eq!(default.part_number(&name), Some(17));
        assert_eq!(default.part_number("2025_01_02_99_3.jsonl-2"), Some(3));
        assert_eq!(default.part_number("_check_test"), None);
        assert_eq!(default.part_number("2025_01_02_99_3.csv.bak"), None);
        let tight = layout(None, Some("{date:yyyy_MM}{part_number}x{sync_id}"));
        assert_eq!(tight.part_number("2025_01204x7"), Some(204));
        assert_eq!(layout(None, Some("all")).part_number("all"), None);
    }

    #[test]
    fn relative_segments_are_no_way_out() {
        let directory = layout(None, None)
            .directory("../x", &stream(Some(".."), "a/./b"))
            .unwrap();
        assert_eq!(directory, "__/x/42/__/a/_/b/");
    }

    #[test]
    fn a_label_that_the_template_needs() {
        let unlabelled = RejectStream {
            labels: BTreeMap::new(),
            attempt: None,
            ..stream(None, "s")
        };
        let error = layout(None, None).directory("", &unlabelled).unwrap_err();
        assert_eq!(error.kind(), crate::ErrorKind::Config);
        assert_eq!(
            error.to_string(),
            "the stream s lacks the label sync_id, which its rejected records show; give it one"
        );
        let none = layout(Some("{stream_name}"), None).directory("", &unlabelled);
        assert_eq!(none.unwrap(), "s/");
    }
}
