//! Rejected records as a CSV that a person repairs and loads again.

use std::io::Write;

use super::Rejected;

/// Column of an export: why the record was rejected.
const REASON_COLUMN: &str = "_reject_reason";
/// Column of an export: which record it is, so that it can be marked once it is loaded again.
pub(crate) const ID_COLUMN: &str = "_reject_id";
/// Column of an export: the text of a record that could not be read.
const TEXT_COLUMN: &str = "_reject_text";

/// Writes rejected records as CSV.
#[derive(Debug)]
pub(crate) struct Export<W: Write> {
    writer: csv::Writer<W>,
    columns: Columns,
}

/// The columns of an export.
#[derive(Debug, Clone, Default)]
pub(crate) struct Columns {
    /// Names in the export and in the files of rejected records.
    pub(crate) values: Vec<(String, String)>,
    /// Whether a record could not be read.
    pub(crate) texts: bool,
}

impl Columns {
    /// The columns of an input, each with the field that it fills.
    pub(crate) fn of_input(pairs: &[(String, String)]) -> Self {
        Self {
            values: pairs.to_vec(),
            texts: false,
        }
    }

    /// Makes sure that the values of a record have columns; `all` even those that no column of the
    /// input filled.
    pub(crate) fn add(&mut self, record: &Rejected, all: bool) {
        self.texts |= record.text.is_some();
        for (name, _) in record.values.iter().filter(|_| all) {
            // Records of one kind have the same columns in the same order.
            if !self.values.iter().any(|(_, known)| known == name) {
                self.values.push((name.clone(), name.clone()));
            }
        }
    }
}

impl<W: Write> Export<W> {
    /// Writes the header.
    pub(crate) fn begin(out: W, columns: Columns) -> Result<Self, csv::Error> {
        let mut writer = csv::Writer::from_writer(out);
        for (name, _) in &columns.values {
            writer.write_field(name)?;
        }
        if columns.texts {
            writer.write_field(TEXT_COLUMN)?;
        }
        writer.write_record([REASON_COLUMN, ID_COLUMN])?;
        Ok(Self { writer, columns })
    }

    /// Writes a record.
    pub(crate) fn write(&mut self, record: &Rejected) -> Result<(), csv::Error> {
        for (_, name) in &self.columns.values {
            let value = record.value(name).unwrap_or_default();
            self.writer.write_field(value)?;
        }
        if self.columns.texts {
            let text = record.text.as_deref().unwrap_or_default();
            self.writer.write_field(text)?;
        }
        self.writer
            .write_record([record.reason().as_str(), &record.id])
    }

    /// Writes what is left.
    pub(crate) fn finish(mut self) -> std::io::Result<()> {
        self.writer.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_stand_in_the_columns_of_the_input() {
        let record = Rejected {
            id: "r1".to_owned(),
            attempt: None,
            ordinal: Some(3),
            stage: "coerce".to_owned(),
            code: "INVALID_VALUE".to_owned(),
            message: "no date, really".to_owned(),
            fields: vec!["Birthdate".to_owned()],
            values: vec![
                ("Birthdate".to_owned(), Some("31/12".to_owned())),
                ("LastName".to_owned(), None),
                ("OwnerId".to_owned(), Some("005".to_owned())),
            ],
            text: None,
        };
        let pairs = [("surname", "LastName"), ("born", "Birthdate")];
        let pairs = pairs.map(|(column, field)| (column.to_owned(), field.to_owned()));
        let mut columns = Columns::of_input(&pairs);
        columns.add(&record, false);
        let mut out = Vec::new();
        let mut export = Export::begin(&mut out, columns).unwrap();
        export.write(&record).unwrap();
        export.finish().unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "surname,born,_reject_reason,_reject_id\n\
             ,31/12,\"INVALID_VALUE: no date, really [Birthdate]\",r1\n"
        );
    }
}
