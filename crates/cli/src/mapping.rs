//! Which column fills which field.

use std::collections::{HashMap, HashSet};

use arrow_salesforce::Operation;
use arrow_salesforce::arrow::datatypes::Schema;
use arrow_salesforce::object::{Field, ObjectSchema};
use arrow_salesforce::source;

use crate::spec::LoadSpec;

/// What the names of columns begin with that an export of rejected records adds.
const REJECT_PREFIX: &str = "_reject_";

/// Names that a message lists at most.
const LISTED: usize = 20;

/// How alike a name must be to be worth a mention, from 0 to 1.
const ALIKE: f64 = 0.75;

/// What fills the fields of an object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Mapping {
    pairs: Vec<(String, String)>,
    constants: Vec<(String, String)>,
    passed: Vec<String>,
    ignored: Vec<Ignored>,
}

/// A column that is left out, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ignored {
    pub(crate) column: String,
    /// Half a sentence after the name of the column.
    pub(crate) reason: String,
}

/// Why columns do not fit an object.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MappingError {
    /// Everything that is wrong, a line each, and what to type.
    #[error("the columns do not fit {object}:\n  {}{cure}", problems.join("\n  "))]
    Columns {
        object: String,
        problems: Vec<String>,
        /// What else there is to type: a line that begins with a line end, or nothing.
        cure: String,
    },
    /// There is nothing to load.
    #[error("no column fills a field of {object}; name columns by --map FIELD=COLUMN")]
    Nothing { object: String },
}

impl Mapping {
    /// Fills fields by `--map` and `--set` first, then by the names of columns in any case, then by
    /// labels that only one field has.
    ///
    /// # Errors
    /// [`MappingError`], which names everything that is wrong.
    pub(crate) fn of(
        columns: &Schema,
        object: &ObjectSchema,
        spec: &LoadSpec,
    ) -> Result<Self, MappingError> {
        let operation = spec.operation();
        let names: Vec<&str> = columns.fields().iter().map(|f| f.name().as_str()).collect();
        let mut filling = Filling::new(object, &operation, spec);
        let taken = filling.typed(&names);
        for &name in names.iter().filter(|name| !taken.contains(*name)) {
            filling.column(name);
        }
        filling.check_key();
        let mut made = filling.finish()?;
        let position = |column: &str| names.iter().position(|name| *name == column);
        made.pairs.sort_by_key(|(column, _)| position(column));
        Ok(made)
    }

    /// Columns and the fields that they fill, in the order of the columns.
    pub(crate) fn pairs(&self) -> &[(String, String)] {
        &self.pairs
    }

    /// Fields and the value that all records have in them.
    pub(crate) fn constants(&self) -> &[(String, String)] {
        &self.constants
    }

    /// Columns of bookkeeping, which go to the engine under their own names.
    pub(crate) fn passed(&self) -> &[String] {
        &self.passed
    }

    /// Columns that are left out.
    pub(crate) fn ignored(&self) -> &[Ignored] {
        &self.ignored
    }
}

/// What a name stands for.
enum Target<'a> {
    /// A field of the object.
    Field(&'a Field),
    /// A field of a related record, and the lookup that it fills: the engine judges the rest.
    Lookup(&'a Field),
}

impl<'a> Target<'a> {
    /// The field of the object that is filled.
    fn fills(&self) -> &'a Field {
        match self {
            Self::Field(field) | Self::Lookup(field) => field,
        }
    }

    /// What the column is called from now on.
    fn name(&self, typed: &str) -> String {
        match self {
            Self::Field(field) => field.name.clone(),
            Self::Lookup(_) => typed.trim().to_owned(),
        }
    }
}

/// A mapping that is being made.
struct Filling<'a> {
    object: &'a ObjectSchema,
    operation: &'a Operation,
    spec: &'a LoadSpec,
    /// What fills each field, by its name.
    filled: HashMap<&'a str, Filler>,
    made: Mapping,
    problems: Vec<String>,
    /// A column that matches nothing, and the field that was meant perhaps.
    unknown: Option<(String, Option<String>)>,
    /// A column of a field that may not be written.
    read_only: bool,
}

/// What fills a field.
struct Filler {
    /// As a message says it: `column mail`, `--set`.
    shown: String,
    /// Whether it was typed, not found.
    typed: bool,
}

impl<'a> Filling<'a> {
    fn new(object: &'a ObjectSchema, operation: &'a Operation, spec: &'a LoadSpec) -> Self {
        Self {
            object,
            operation,
            spec,
            filled: HashMap::new(),
            made: Mapping::default(),
            problems: Vec::new(),
            unknown: None,
            read_only: false,
        }
    }

    /// Fills fields as was typed; returns the columns that this took.
    fn typed(&mut self, names: &[&'a str]) -> HashSet<&'a str> {
        let mut taken = HashSet::new();
        for (typed, column) in &self.spec.map {
            let found = find_column(names, column);
            if found.is_none() {
                self.problems.push(no_column(typed, column, names));
            }
            let Some(target) = self.target_of("--map", typed) else {
                continue;
            };
            let Some(column) = found else { continue };
            if self.fill(&target, format!("column {column}"), true) {
                let pair = (column.to_owned(), target.name(typed));
                self.made.pairs.push(pair);
                taken.insert(column);
            }
        }
        for (typed, value) in &self.spec.set {
            let Some(target) = self.target_of("--set", typed) else {
                continue;
            };
            if self.sends_key_only() {
                let word = self.operation_word();
                self.problems
                    .push(format!("--set {typed}: a {word} sends Id alone"));
            } else if self.fill(&target, "--set".to_owned(), true) {
                let constant = (target.name(typed), value.clone());
                self.made.constants.push(constant);
            }
        }
        taken
    }

    /// The field of a name that was typed after `flag`, or a problem.
    fn target_of(&mut self, flag: &str, typed: &str) -> Option<Target<'a>> {
        let target = self.target(typed);
        let Some(target) = target else {
            let nearest = self.nearest(typed);
            self.problems.push(format!(
                "{flag} {typed}: {} has no such field, or the user may not see it{nearest}",
                self.object.name
            ));
            return None;
        };
        if let Some(problem) = self.not_writable(target.fills()) {
            self.problems.push(format!("{flag} {typed}: {problem}"));
            return None;
        }
        Some(target)
    }

    /// Finds what a column fills by its name, or by a label.
    fn column(&mut self, name: &'a str) {
        if source::is_bookkeeping(name) || name.starts_with(source::PREFIX) {
            self.made.passed.push(name.to_owned());
            return;
        }
        // What an export of rejected records adds is no column of the input.
        if name.starts_with(REJECT_PREFIX) {
            return;
        }
        let found = match self.target(name) {
            Some(target) => Ok(Some(target)),
            None => self.by_label(name),
        };
        match found {
            Ok(Some(target)) => self.found(name, &target),
            Ok(None) if self.sends_key_only() => self.ignore(name, "is not Id".to_owned()),
            Ok(None) if self.spec.ignore_unknown => {
                self.ignore(name, "matches no field".to_owned());
            }
            Ok(None) => self.unknown(name),
            Err(problem) if self.spec.ignore_unknown => self.ignore(name, problem),
            Err(problem) => self.problems.push(format!("column {name} {problem}")),
        }
    }

    fn found(&mut self, name: &str, target: &Target<'a>) {
        let field = target.fills();
        if self.sends_key_only() && !self.is_key(field) {
            return self.ignore(name, "is not Id".to_owned());
        }
        if let Some(filler) = self.filled.get(field.name.as_str()).filter(|f| f.typed) {
            let reason = format!("matches {}, which {} fills", field.name, filler.shown);
            return self.ignore(name, reason);
        }
        if let Some(problem) = self.not_writable(field) {
            if self.spec.ignore_unknown {
                return self.ignore(name, format!("matches {}: {problem}", field.name));
            }
            self.read_only = true;
            return self.problems.push(format!("column {name}: {problem}"));
        }
        if self.fill(target, format!("column {name}"), false) {
            let pair = (name.to_owned(), target.name(name));
            self.made.pairs.push(pair);
        }
    }

    fn ignore(&mut self, column: &str, reason: String) {
        let column = column.to_owned();
        self.made.ignored.push(Ignored { column, reason });
    }

    fn unknown(&mut self, name: &str) {
        let (object, nearest) = (&self.object.name, self.nearest(name));
        self.problems.push(format!(
            "column {name}: {object} has no field of this name or label, or the user may not see \
             it{nearest}"
        ));
        let meant = self.nearest_fields(name).first().copied();
        let meant = meant.map(|field| field.name.clone());
        self.unknown.get_or_insert((name.to_owned(), meant));
    }

    /// Notes what fills a field; false, and a problem, if something else does already.
    fn fill(&mut self, target: &Target<'a>, by: String, typed: bool) -> bool {
        let field = target.fills();
        if let Some(other) = self.filled.get(field.name.as_str()) {
            let name = &field.name;
            let cure = match typed {
                true => "keep one of them".to_owned(),
                false => format!("choose one by --map '{name}=…'"),
            };
            self.problems
                .push(format!("{by} and {} both fill {name}; {cure}", other.shown));
            return false;
        }
        self.filled.insert(&field.name, Filler { shown: by, typed });
        true
    }

    /// The field, or the lookup of a relationship, that a name is the API name of.
    fn target(&self, name: &str) -> Option<Target<'a>> {
        let name = name.trim();
        if let Some(field) = self.object.field(name) {
            return Some(Target::Field(field));
        }
        let (path, _) = name.split_once('.')?;
        let relationship = path.split_once(':').map_or(path, |(_, name)| name);
        self.lookup(relationship).map(Target::Lookup)
    }

    /// The lookup of a relationship, also by the name of the field or without `__r`: the engine says
    /// how it is written then.
    fn lookup(&self, relationship: &str) -> Option<&'a Field> {
        let lookups = self.object.fields().iter();
        let lookups = lookups.filter(|field| !field.reference_to.is_empty());
        let named = |field: &&Field, same: &dyn Fn(&str) -> bool| {
            field.relationship_name.as_deref().is_some_and(same)
        };
        let same = |name: &str| name.eq_ignore_ascii_case(relationship);
        let stem = |name: &str| name.strip_suffix("__r").is_some_and(same);
        let mut by_name = lookups.clone().filter(|field| named(field, &same));
        let mut by_field = lookups.clone().filter(|field| same(&field.name));
        let mut by_stem = lookups.filter(|field| named(field, &stem));
        by_name
            .next()
            .or_else(|| by_field.next())
            .or_else(|| by_stem.next())
    }

    /// The only field of a label; what is wrong where several have it.
    fn by_label(&self, name: &str) -> Result<Option<Target<'a>>, String> {
        let same = |field: &&&Field| alike(&field.label) == alike(name);
        let fields: Vec<&Field> = self.object.fields().iter().collect();
        let labelled: Vec<&Field> = fields.iter().filter(same).copied().collect();
        let may_be = |field: &&Field| self.is_key(field) || self.not_writable(field).is_none();
        let writable: Vec<&Field> = labelled.iter().copied().filter(may_be).collect();
        match (writable.as_slice(), labelled.as_slice()) {
            ([one], _) | ([], [one]) => Ok(Some(Target::Field(one))),
            ([], []) => Ok(None),
            ([], several) | (several, _) => Err(format!(
                "has the label of {}; name one by --map",
                listed(several.iter().map(|field| field.name.as_str()), "and")
            )),
        }
    }

    fn is_key(&self, field: &Field) -> bool {
        let key = self.operation.key_field();
        key.is_some_and(|key| key.eq_ignore_ascii_case(&field.name))
    }

    fn sends_key_only(&self) -> bool {
        matches!(self.operation, Operation::Delete | Operation::HardDelete)
    }

    fn operation_word(&self) -> &'static str {
        match self.operation {
            Operation::HardDelete => "hard delete",
            operation => operation.as_str(),
        }
    }

    /// What is wrong with a field that this operation cannot write.
    fn not_writable(&self, field: &Field) -> Option<String> {
        if self.is_key(field) {
            return None;
        }
        let writable = match self.operation {
            Operation::Insert => field.createable,
            Operation::Update => field.updateable,
            Operation::Upsert { .. } => field.createable || field.updateable,
            _ => true,
        };
        let (name, word) = (&field.name, self.operation_word());
        (!writable).then(|| format!("{name} is read-only for this user: an {word} cannot write it"))
    }

    /// The key must be one, and something must fill it.
    fn check_key(&mut self) {
        let Some(key) = self.operation.key_field() else {
            return;
        };
        let object = &self.object.name;
        let Some(field) = self.object.field(key) else {
            let nearest = self.nearest(key);
            let problem = format!("--upsert {key}: {object} has no such field{nearest}");
            return self.problems.push(problem);
        };
        if !field.names_records() {
            let keys = self.object.fields().iter().filter(|f| f.external_id);
            let keys = keys.map(|field| field.name.as_str()).chain(["Id"]);
            let keys = listed(keys, "or");
            return self.problems.push(format!(
                "--upsert {key}: it is not an external ID of {object}; use {keys}"
            ));
        }
        if !self.filled.contains_key(field.name.as_str()) {
            let (key, word) = (&field.name, self.operation_word());
            self.problems.push(format!(
                "no column fills {key}, by which {word} finds the records of {object}; name it by \
                 --map '{key}=COLUMN'"
            ));
        }
    }

    fn finish(self) -> Result<Mapping, MappingError> {
        let object = self.object.name.clone();
        if !self.problems.is_empty() {
            return Err(MappingError::Columns {
                object,
                cure: self.cure(),
                problems: self.problems,
            });
        }
        if self.made.pairs.is_empty() {
            return Err(MappingError::Nothing { object });
        }
        Ok(self.made)
    }

    fn cure(&self) -> String {
        match (&self.unknown, self.read_only) {
            (Some((column, meant)), _) => {
                let field = meant.as_deref().unwrap_or("FIELD");
                format!(
                    "\nname a field for a column by --map '{field}={column}', or leave out columns that \
                     match none by --ignore-unknown"
                )
            }
            (None, true) => "\nleave such columns out by --ignore-unknown, or by --sql".to_owned(),
            (None, false) => String::new(),
        }
    }

    /// Fields that can be filled and whose name or label is like a name, best first, at most three.
    fn nearest_fields(&self, name: &str) -> Vec<&'a Field> {
        let wanted = letters(name);
        let likeness = |field: &Field| {
            let name = strsim::jaro_winkler(&wanted, &letters(&field.name));
            name.max(strsim::jaro_winkler(&wanted, &letters(&field.label)))
        };
        let fields = self.object.fields().iter();
        let fields = fields.filter(|field| self.not_writable(field).is_none());
        let scored = fields.map(|field| (likeness(field), field));
        let mut scored: Vec<_> = scored.filter(|(score, _)| *score > ALIKE).collect();
        scored.sort_by(|a, b| b.0.total_cmp(&a.0));
        scored.into_iter().take(3).map(|(_, field)| field).collect()
    }

    /// `; nearest: …`, or nothing.
    fn nearest(&self, name: &str) -> String {
        let near = self.nearest_fields(name);
        let near: Vec<String> = near.iter().map(|field| shown(field)).collect();
        match near.as_slice() {
            [] => String::new(),
            near => format!("; nearest: {}", near.join(", ")),
        }
    }
}

/// `LastName (Last Name)`.
fn shown(field: &Field) -> String {
    let Field { name, label, .. } = field;
    if label.is_empty() || label == name {
        return name.clone();
    }
    format!("{name} ({label})")
}

/// A column by its exact name, or else the only one of this name in any case.
fn find_column<'a>(names: &[&'a str], wanted: &str) -> Option<&'a str> {
    if let Some(exact) = names.iter().find(|name| **name == wanted) {
        return Some(exact);
    }
    let mut same = names.iter().filter(|name| alike(name) == alike(wanted));
    match (same.next(), same.next()) {
        (Some(one), None) => Some(one),
        _ => None,
    }
}

fn no_column(field: &str, column: &str, names: &[&str]) -> String {
    let names = names
        .iter()
        .copied()
        .filter(|name| !source::is_bookkeeping(name));
    format!(
        "--map {field}={column}: there is no column {column}; the columns are {}",
        listed(names, "and")
    )
}

/// A name as it is compared: in any case, with single blanks.
fn alike(name: &str) -> String {
    let words: Vec<&str> = name.split_whitespace().collect();
    words.join(" ").to_lowercase()
}

/// The letters and digits of a name alone.
fn letters(name: &str) -> String {
    let name = name.strip_suffix("__c").unwrap_or(name);
    let letters = name.chars().filter(|letter| letter.is_alphanumeric());
    letters.flat_map(char::to_lowercase).collect()
}

/// `A`, `A or B`, `A, B or C`.
fn listed<'a>(names: impl Iterator<Item = &'a str>, word: &str) -> String {
    let names: Vec<&str> = names.collect();
    match names.as_slice() {
        [] => "none".to_owned(),
        [one] => (*one).to_owned(),
        [first @ .., last] if names.len() <= LISTED => {
            format!("{} {word} {last}", first.join(", "))
        }
        names => {
            let (first, rest) = names.split_at(LISTED);
            format!("{} and {} more", first.join(", "), rest.len())
        }
    }
}

#[cfg(test)]
mod tests;
