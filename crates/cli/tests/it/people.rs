//! CSV as people have it: each file loads right by what was found and said, or is refused with the one
//! flag that settles it.

use std::path::{Path, PathBuf};

use serde_json::Value;
use testkit::sim::TestSim;

use crate::harness::{Ended, Shell};

/// A file of `tests/files/people`, and what becomes of it.
struct File {
    name: &'static str,
    object: &'static str,
    /// Fields of the records that are there in the end, in the order of their keys.
    fields: &'static [&'static str],
    rows: &'static [&'static [&'static str]],
    /// What is said on the way.
    says: &'static [&'static str],
    /// Reasons of rejected records.
    rejects: &'static [&'static str],
    /// Without these flags the load is refused with this text.
    settled: Option<(&'static str, &'static [&'static str])>,
}

const CONTACT: File = File {
    name: "",
    object: "Contact",
    fields: &["LastName", "FirstName"],
    rows: &[&["Lovelace", "Ada"], &["Hopper", "Grace"]],
    says: &[],
    rejects: &[],
    settled: None,
};

const OPPORTUNITY: File = File {
    object: "Opportunity",
    ..CONTACT
};

const FILES: [File; 23] = [
    File {
        name: "bom.csv",
        fields: &["LastName"],
        rows: &[&["Müller"], &["Ångström"]],
        says: &["CSV in UTF-8, columns between ',', 2 records"],
        ..CONTACT
    },
    File {
        name: "semicolons.csv",
        fields: &["Name", "Amount"],
        rows: &[&["Bolts, long", "12.5"], &["Nuts", "7"]],
        says: &[
            "columns between ';'",
            "Amount: numbers with a decimal comma; 12,5 is 12.5",
        ],
        ..OPPORTUNITY
    },
    File {
        name: "crlf.csv",
        ..CONTACT
    },
    File {
        name: "quoted_newlines.csv",
        fields: &["LastName", "MailingStreet"],
        rows: &[
            &["Lovelace", "12 St James's Square\nLondon"],
            &["Hopper", "The \"Pentagon\""],
        ],
        says: &["2 records"],
        ..CONTACT
    },
    File {
        name: "latin1.csv",
        fields: &["LastName", "MailingCity"],
        rows: &[&["Müller", "Köln"], &["Garçon", "Besançon"]],
        says: &["windows-1252 (it is not UTF-8; --encoding names another)"],
        ..CONTACT
    },
    File {
        name: "utf16.csv",
        fields: &["LastName", "MailingCity"],
        rows: &[&["Dvořák", "Plzeň"], &["松本", "東京"]],
        says: &["CSV in UTF-16LE, columns between tab"],
        ..CONTACT
    },
    File {
        name: "thousands.csv",
        fields: &["Amount"],
        rows: &[&["1234567.89"], &["1234"], &["-12.5"]],
        says: &["Amount: numbers with a decimal comma; 1.234.567,89 is 1234567.89"],
        ..OPPORTUNITY
    },
    File {
        name: "day_first.csv",
        fields: &["CloseDate"],
        rows: &[&["2024-04-03"], &["2024-12-31"]],
        says: &["CloseDate: dates, day before month; 31/12/2024 is 2024-12-31"],
        ..OPPORTUNITY
    },
    File {
        name: "either_day.csv",
        fields: &["CloseDate"],
        rows: &[&["2024-04-03"], &["2024-06-05"]],
        settled: Some((
            "CloseDate: 03/04/2024 may be 2024-04-03 or 2024-03-04, and no value of the column settles \
             it; say --dates dmy or --dates mdy",
            &["--dates", "dmy"],
        )),
        ..OPPORTUNITY
    },
    File {
        name: "either_point.csv",
        fields: &["Amount"],
        rows: &[&["1234"], &["5"]],
        settled: Some((
            "Amount: 1.234 may be 1.234 or 1234, and no value of the column settles it; say --decimal \
             point or --decimal comma",
            &["--decimal", "comma"],
        )),
        ..OPPORTUNITY
    },
    File {
        name: "empty_columns.csv",
        says: &["1 empty record is left out"],
        ..CONTACT
    },
    File {
        name: "labels.csv",
        fields: &["LastName", "MailingCity", "HasOptedOutOfEmail"],
        rows: &[
            &["Lovelace", "London", "true"],
            &["Hopper", "New York", "false"],
        ],
        ..CONTACT
    },
    File {
        name: "doubled_names.csv",
        fields: &["LastName", "Email"],
        rows: &[
            &["Lovelace", "ada@new.example"],
            &["Hopper", "grace@new.example"],
        ],
        settled: Some(("Email_2", &["--map", "Email=Email_2"])),
        ..CONTACT
    },
    File {
        name: "doubled_header.csv",
        says: &["1 record repeats the header, left out"],
        ..CONTACT
    },
    File {
        name: "ragged.csv",
        rows: &[&["Lovelace", "Ada"], &["von Neumann", "John"]],
        says: &["2 records of another width than the header's 3 columns, rejected"],
        rejects: &[
            "2 values, and the header has 3 columns",
            "4 values, and the header has 3 columns",
        ],
        ..CONTACT
    },
    File {
        name: "totals.csv",
        fields: &["Name", "CloseDate", "Amount"],
        rows: &[&["A", "2024-12-31", "1000.5"], &["B", "2024-12-01", "99.5"]],
        says: &["the last record is a row of totals; it is rejected, not loaded"],
        rejects: &["a row of totals at the end of the file, not a record"],
        ..OPPORTUNITY
    },
    File {
        name: "formulas.csv",
        fields: &["MailingPostalCode", "Description"],
        rows: &[&["01234", "=1+1"], &["00987", "plain"]],
        says: &["MailingPostalCode: values of the form =\"00123\" are the text in the quotes"],
        ..CONTACT
    },
    File {
        name: "leading_zeros.csv",
        fields: &["MailingPostalCode", "Phone"],
        rows: &[&["1067", "0351123"], &["10115", "030456"]],
        says: &["MailingPostalCode: leading zeros may be lost"],
        ..CONTACT
    },
    File {
        name: "words.csv",
        fields: &["DoNotCall", "HasOptedOutOfEmail", "Birthdate"],
        rows: &[
            &["true", "true", "1815-12-10"],
            &["false", "false", "1906-12-09"],
        ],
        says: &["DoNotCall: ja is true, nein is false"],
        ..CONTACT
    },
    File {
        name: "marks.csv",
        fields: &["LastName", "DoNotCall"],
        rows: &[&["Lovelace", "true"], &["Hopper", "false"]],
        says: &["DoNotCall: x is true, an empty value is false"],
        ..CONTACT
    },
    File {
        name: "money.csv",
        fields: &["CloseDate", "Amount", "Probability"],
        rows: &[
            &["2024-12-31", "1234.5", "50"],
            &["2025-01-02", "-99", "100"],
        ],
        says: &[
            "columns between tab",
            "decimal point and the sign $",
            "month before day",
        ],
        ..OPPORTUNITY
    },
    File {
        name: "delimiters.csv",
        fields: &["LastName"],
        rows: &[&["Lovelace"], &["Hopper"]],
        settled: Some((
            "',' and ';' may each stand between its columns; say which one does with --delimiter",
            &["--delimiter", ";"],
        )),
        ..CONTACT
    },
    File {
        name: "excel.csv",
        fields: &["LastName", "MailingCity"],
        rows: &[&["Müller", "Köln"]],
        says: &["columns between ';', 1 record"],
        ..CONTACT
    },
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/files/people")
}

async fn load(shell: &Shell, file: &File, flags: &[&str]) -> Ended {
    let path = folder().join(file.name);
    let command = [
        "load",
        path.to_str().unwrap(),
        "--object",
        file.object,
        "--yes",
    ];
    shell.run(&[&command, flags].concat()).await
}

async fn rows(sim: &TestSim, file: &File) -> Vec<Vec<String>> {
    let mut rows = sim.rows(file.object).await;
    rows.sort_by_key(|row| row["Ext_Id__c"].to_string());
    let text = |value: &Value| match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let fields = |row: &Value| file.fields.iter().map(|field| text(&row[*field])).collect();
    rows.iter().map(fields).collect()
}

/// All text of the rejected records of runs.
fn rejected(shell: &Shell) -> String {
    let runs = shell.path().join(".local/share/arrow-salesforce/runs");
    let runs = std::fs::read_dir(runs).into_iter().flatten();
    let folders = runs.map(|run| run.unwrap().path().join("rejects"));
    let files = folders
        .filter(|folder| folder.exists())
        .flat_map(|folder| testkit::s3::files(&folder));
    files.map(|(_, content)| content).collect()
}

/// What is wrong with what became of a file.
async fn wrong(file: &File) -> Vec<String> {
    let sim = TestSim::start().await;
    let shell = Shell::of(&sim);
    let mut wrong = Vec::new();
    let mut flags: &[&str] = if file.name == "delimiters.csv" {
        &["--ignore-unknown"]
    } else {
        &[]
    };
    let joined;
    if let Some((refusal, settled)) = file.settled {
        let ended = load(&shell, file, flags).await;
        if ended.code != 2 || !ended.stderr.contains(refusal) {
            wrong.push(format!("refusal: {ended:?}"));
        }
        if !sim.jobs().await.is_empty() {
            wrong.push("a job was made".to_owned());
        }
        joined = [flags, settled].concat();
        flags = &joined;
    }
    let ended = load(&shell, file, flags).await;
    if ended.code != if file.rejects.is_empty() { 0 } else { 3 } {
        wrong.push(format!("{ended:?}"));
    }
    let said = ended.stderr;
    for sentence in file.says {
        if !said.contains(sentence) {
            wrong.push(format!("{sentence} is not in: {said}"));
        }
    }
    let rejected = rejected(&shell);
    for reason in file.rejects {
        if !rejected.contains(reason) {
            wrong.push(format!("{reason} is not in: {rejected}"));
        }
    }
    let rows = rows(&sim, file).await;
    if rows != file.rows {
        wrong.push(format!("rows: {rows:?}"));
    }
    wrong
        .into_iter()
        .map(|what| format!("{}: {what}", file.name))
        .collect()
}

#[tokio::test]
async fn csv_as_people_have_it_is_read_right_or_refused() {
    let all = futures::future::join_all(FILES.iter().map(wrong)).await;
    let wrong: Vec<String> = all.into_iter().flatten().collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn each_file_has_its_case_and_its_row_in_the_page() {
    let mut names: Vec<String> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let mut cases = FILES.map(|file| file.name.to_owned());
    cases.sort();
    assert_eq!(names, cases);
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/csv.md");
    let page = std::fs::read_to_string(page).unwrap();
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `"));
    let listed: Vec<&str> = rows
        .filter_map(|row| row.split('`').next())
        .filter(|name| name.ends_with(".csv"))
        .collect();
    assert_eq!(listed, cases);
}
