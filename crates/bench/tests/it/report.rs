//! The page of results.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::schema::schema;

/// A value of a type of `schema.json`: the least of each.
fn blank(schema: &Value, of: &Value) -> Value {
    if let Some(name) = of["$ref"].as_str() {
        return blank(
            schema,
            schema.pointer(name.trim_start_matches('#')).unwrap(),
        );
    }
    if let Some(choices) = of["anyOf"].as_array() {
        return blank(schema, &choices[0]);
    }
    match of["type"].as_str() {
        Some("object") => {
            let fields = of["properties"].as_object().into_iter().flatten();
            let fields = fields.map(|(name, of)| (name.clone(), blank(schema, of)));
            Value::Object(fields.collect())
        }
        Some("array") => json!([]),
        Some("string") => json!(""),
        Some("integer" | "number") => json!(0),
        Some("boolean") => json!(false),
        _ => Value::Null,
    }
}

/// A result of a loader that did this workload so.
fn result(loader: &str, workload: &str, scale: u64, outcome: &str, lost: u64) -> Value {
    let schema = schema();
    let mut result = blank(&schema, &schema);
    result["version"] = json!(1);
    result["loader"] = json!({"name": loader, "known": null, "version": "1.2", "command": [loader], "settings": {}});
    result["workload"] = json!({"name": workload, "about": "Some <rows>", "fault": workload == "lost-close",
        "streams": 1, "columns": 13, "bad": 0.0});
    result["scale"] = json!(scale);
    result["seed"] = json!(1);
    result["profile"] = json!("null");
    result["outcome"] = json!(outcome);
    result["judged"]["lost"] = json!(lost);
    result["cost"]["cpu_seconds"] = json!(1.25);
    result["cost"]["wall_seconds"] = json!(2.5);
    result["cost"]["calls"] = json!(1234);
    let run = |cpu: f64| {
        json!({"outcome": outcome, "wall_seconds": 2.5, "cpu_seconds": cpu,
        "peak_memory_bytes": 0, "calls": 1234})
    };
    result["runs"] = json!([run(1.2), run(1.25), run(1.5)]);
    result["memory"] =
        json!([{"seconds": 0.0, "bytes": 1_000_000}, {"seconds": 2.5, "bytes": 9_000_000}]);
    result["jobs"] = json!([{"object": "Contact", "operation": "insert", "state": "JobComplete", "rows": 7,
        "failed": 0, "bytes": 70, "created": 0.1, "closed": 0.2, "ended": null}]);
    result
}

/// Writes a result for each, in a folder of its own.
fn write(folder: &Path, results: &[Value]) {
    for (number, result) in results.iter().enumerate() {
        let folder = folder.join(format!("run-{number}"));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("result.json"), result.to_string()).unwrap();
        // What a run leaves beside it is no result.
        fs::write(folder.join("config.json"), "{}").unwrap();
    }
}

fn report(results: &Path, page: &Path, more: &[&OsStr]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_salesforce-bench"));
    command.arg("report").arg(results).arg("--out").arg(page);
    command.args(more).output().unwrap()
}

#[test]
fn a_page_shows_who_loses_what() {
    let folder = tempfile::tempdir().unwrap();
    let mut not_run = result("absent", "insert", 1_000, "not_run", 0);
    for name in ["cost", "judged"] {
        not_run[name] = Value::Null;
    }
    not_run["runs"] = json!([]);
    not_run["reason"] = json!("pip cannot install it");
    let results = [
        result("steady", "insert", 1_000, "passed", 0),
        result("steady", "insert", 10_000, "passed", 0),
        result("hasty", "insert", 1_000, "wrong", 17),
        result("hasty", "lost-close", 1_000, "timed_out", 3_000),
        not_run,
    ];
    write(folder.path(), &results);
    let page = folder.path().join("page.html");
    let output = report(folder.path(), &page, &[]);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let html = fs::read_to_string(&page).unwrap();
    let after = |mark: &str| {
        html.split_once(mark)
            .unwrap_or_else(|| panic!("no {mark}: {html}"))
            .1
    };
    assert!(after("Who loses what").contains("lost 17"));
    assert!(after("Who loses what").contains("pip cannot install it"));
    assert!(after("Faults survived").contains("lost 3,000"));
    assert!(after("What grows with the size").contains("<polyline"));
    assert!(
        after("Memory over time").contains("<polyline")
            && after("Jobs over time").contains("<rect")
    );
    assert!(html.contains("Some &lt;rows&gt;") && !html.contains("<script"));
    // Each element that is opened is closed.
    for name in ["table", "tr", "td", "div", "figure", "svg", "small", "th"] {
        let opened =
            html.matches(&format!("<{name}>")).count() + html.matches(&format!("<{name} ")).count();
        assert_eq!(
            opened,
            html.matches(&format!("</{name}>")).count(),
            "{name}"
        );
    }
    // What is no result of this form is named, and the others are drawn.
    let mut other = results[0].clone();
    other["version"] = json!(9);
    fs::write(folder.path().join("run-0/result.json"), other.to_string()).unwrap();
    fs::write(folder.path().join("run-1/result.json"), "{\"version\":").unwrap();
    let drawn = report(folder.path(), &page, &[]);
    assert!(drawn.status.success());
    let said = String::from_utf8_lossy(&drawn.stderr);
    assert!(
        said.contains("run-0/result.json: left out: version 9"),
        "{said}"
    );
    assert!(said.contains("run-1/result.json: left out: EOF"), "{said}");
}

#[test]
fn a_page_of_markdown_has_tables_plots_and_their_commands() {
    let folder = tempfile::tempdir().unwrap();
    let mut limited = result("limited", "insert", 1_000, "passed", 0);
    limited["reason"] = json!("<script> | x");
    limited["loader"]["known"] = json!("destination-salesforce");
    limited["loader"]["settings"] = json!({"memory_limit_bytes": 1});
    let results = [
        result("jsforce", "insert", 1_000, "passed", 0),
        result("jsforce", "insert", 10_000, "passed", 0),
        result("sf", "insert", 1_000, "wrong", 17),
        result("sf", "upsert", 1_000, "passed", 0),
        limited,
    ];
    write(&folder.path().join("results"), &results);
    let results = folder.path().join("results");
    let page = folder.path().join("page.html");
    let notes = folder.path().join("notes.md");
    let tables = || {
        let more = [OsStr::new("--markdown"), notes.as_os_str()];
        report(&results, &page, &more).status.success()
    };
    fs::write(
        &notes,
        "a\n<!-- results -->\nold\n<!-- end of results -->\nb\n",
    )
    .unwrap();
    assert!(tables());
    let first = fs::read_to_string(&notes).unwrap();
    assert!(tables());
    let text = fs::read_to_string(&notes).unwrap();
    assert_eq!(first, text, "once more is the same");
    assert!(
        text.starts_with("a\n<!-- results -->\n") && text.ends_with("\nb\n"),
        "{text}"
    );
    for wanted in [
        "| `insert` | passed<br>2 sizes |",
        "**wrong**<br>lost 17 |",
        "| `insert`, 1 k | 1250.00 | 1250.00 | (1250.00) |",
        "varies by 20 % (median), 20 % at most",
        "![insert by records](plots/insert-by-records.svg)",
        "| 10 k | jsforce | 1.25 | 125.00 | 0 | 1,234 | 2.5 | 3 |",
        "from 1 k to 10 k records (10 times as many): 1 times the CPU",
        "$bench run --workload insert --scale 1k,10k --repeat 3 --loader jsforce\n",
        "--loader destination-salesforce --name 'limited' --config '{\"memory_limit_bytes\":1}'",
    ] {
        assert!(text.contains(wanted), "{wanted} is not in {text}");
    }
    assert!(!text.contains("old"));
    // All rows of a table have as many cells as its head.
    for table in text.split("\n\n").filter(|part| part.starts_with('|')) {
        let cells = |line: &str| line.matches('|').count();
        let mut lines = table.lines();
        let head = cells(lines.next().unwrap());
        assert!(lines.all(|line| cells(line) == head), "{table}");
    }
    let plot = fs::read_to_string(folder.path().join("plots/insert-by-records.svg")).unwrap();
    assert!(plot.starts_with("<svg xmlns") && plot.matches("<svg").count() == 4);
    assert_eq!(plot.matches("<svg").count(), plot.matches("</svg>").count());
    fs::write(&notes, "no place").unwrap();
    assert!(!tables());
}
