//! What the table says: `cells.tsv`, and its form in ARCHITECTURE.md.

use std::fmt::Write as _;
use std::path::Path;

use testkit::faults::{Course, FAULTS, hold_table};

/// The table: a line of columns, then a line for each fault.
const CELLS: &str = include_str!("cells.tsv");
/// Around the table in ARCHITECTURE.md.
const MARKERS: [&str; 2] = ["<!-- fault table -->\n", "<!-- end of the fault table -->"];

/// What is done about a fault, and what it means.
const ACTIONS: [(&str, &str); 8] = [
    (
        "again",
        "asked again, with growing pauses, as long as `patience_seconds`",
    ),
    (
        "find",
        "what became of the call is found out first: the job is read, an open one is aborted, or the list of jobs is read; then as `again`",
    ),
    (
        "login",
        "a new login, whose host is used from then on, and asked again; believed after 3 of them over 30 s",
    ),
    (
        "move",
        "a new login, whose host is used from then on, and asked again, as long as `patience_seconds`",
    ),
    ("five", "believed after 5 askings over 60 s"),
    (
        "limit",
        "asked again slowly until the limit rolls, as long as `limit_wait_seconds`, an hour if that is not set",
    ),
    ("end", "it lasts: the load ends at once"),
    ("leave", "a few times, then the load goes on without it"),
];

/// What the table says of one call and one fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cell {
    action: &'static str,
    /// The kind of error where it lasts, `0` if none is left.
    kind: &'static str,
}

impl Cell {
    /// How a load ends: `0`, or the kind of its error.
    pub(super) fn end(self, course: Course) -> &'static str {
        match (self.action, course) {
            ("end", _) => self.kind,
            ("leave", _) | (_, Course::Passes) => "0",
            (_, Course::Lasts) => self.kind,
        }
    }

    fn parse(text: &'static str) -> Self {
        let (action, kind) = text.split_once(':').unwrap_or((text, "transient"));
        assert!(ACTIONS.iter().any(|(known, _)| *known == action), "{text}");
        let kind = match kind {
            "transient" => "transient_error",
            "config" => "config_error",
            "system" => "system_error",
            "0" => "0",
            _ => panic!("{text}"),
        };
        Self { action, kind }
    }
}

fn lines() -> impl Iterator<Item = Vec<&'static str>> {
    CELLS.lines().map(|line| line.split('\t').collect())
}

/// The cell of a column and a fault.
pub(super) fn cell(column: &str, fault: &str) -> Cell {
    let columns = lines().next().unwrap();
    let at = columns.iter().position(|known| *known == column).unwrap();
    let line = lines().find(|line| line[0] == fault).unwrap();
    Cell::parse(line[at])
}

/// The table as ARCHITECTURE.md has it.
fn page() -> String {
    let mut page = "\n| action | what is done |\n|---|---|\n".to_owned();
    for (action, meaning) in ACTIONS {
        writeln!(page, "| `{action}` | {meaning} |").unwrap();
    }
    for (number, line) in lines().enumerate() {
        let first = FAULTS.iter().find(|(fault, _)| *fault == line[0]);
        let first = first.map_or("fault", |(_, text)| text);
        let cells = line[1..].iter().map(|cell| cell.split(':').next().unwrap());
        let cells: Vec<String> = cells.map(|cell| cell.replace('_', " ")).collect();
        let gap = if number == 0 { "\n" } else { "" };
        writeln!(page, "{gap}| {first} | {} |", cells.join(" | ")).unwrap();
        if number == 0 {
            writeln!(page, "{}|", "|---".repeat(line.len())).unwrap();
        }
    }
    page.push('\n');
    page
}

#[test]
fn each_fault_has_a_line_of_cells() {
    let names: Vec<&str> = lines().skip(1).map(|line| line[0]).collect();
    let faults = FAULTS.map(|(fault, _)| fault);
    assert_eq!(names, faults);
    let columns = lines().next().unwrap().len();
    assert!(lines().all(|line| line.len() == columns));
}

/// `UPDATE_DOCS=1` writes the table anew.
#[test]
fn architecture_has_the_table() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../ARCHITECTURE.md");
    hold_table(&path, MARKERS, &page());
}
