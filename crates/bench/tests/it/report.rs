//! The page of results.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

/// A result of a loader that did this workload so.
fn result(loader: &str, workload: &str, scale: u64, outcome: &str, lost: u64) -> Value {
    let counts = [
        "records",
        "bad",
        "right",
        "rejects_named",
        "states",
        "refused",
        "doubled",
        "wrong_values",
        "stale",
        "bad_held",
        "rejects_unnamed",
        "rejects_without_reason",
        "rejects_held",
        "foreign",
        "states_ahead",
        "rows_ahead",
    ];
    let mut judged: Value = counts
        .into_iter()
        .map(|name| (name.to_owned(), json!(0)))
        .collect();
    judged["lost"] = json!(lost);
    judged["samples"] = json!([]);
    let counts = [
        "peak_memory_bytes",
        "processes",
        "read_bytes",
        "written_bytes",
        "disk_read_bytes",
        "disk_written_bytes",
        "input_bytes",
        "uploaded_bytes",
        "calls",
        "polls",
        "logins",
        "jobs",
        "batches",
        "jobs_at_once",
        "rows_sent",
        "lock_errors",
    ];
    let mut cost: Value = counts
        .into_iter()
        .map(|name| (name.to_owned(), json!(7)))
        .collect();
    cost["wall_seconds"] = json!(2.5);
    cost["cpu_seconds"] = json!(1.25);
    json!({
        "version": 1, "loader": {"name": loader, "version": "1.2", "command": [loader]},
        "workload": {"name": workload, "about": "Some <rows>", "fault": workload == "lost-close", "streams": 1, "columns": 13,
            "bad": 0.0},
        "scale": scale, "seed": 1, "profile": "null", "outcome": outcome, "reason": null, "exit_code": 0,
        "judged": judged, "cost": cost,
        "memory": [{"seconds": 0.0, "bytes": 1_000_000}, {"seconds": 2.5, "bytes": 9_000_000}],
        "jobs": [{"object": "Contact", "operation": "insert", "state": "JobComplete", "rows": 7, "failed": 0,
            "bytes": 70, "created": 0.1, "closed": 0.2, "ended": null}],
    })
}

#[test]
fn a_page_shows_who_loses_what() {
    let folder = tempfile::tempdir().unwrap();
    let results = [
        result("steady", "insert", 1_000, "passed", 0),
        result("steady", "insert", 10_000, "passed", 0),
        result("hasty", "insert", 1_000, "wrong", 17),
        result("hasty", "lost-close", 1_000, "failed", 3),
    ];
    for (number, result) in results.iter().enumerate() {
        let folder = folder.path().join(format!("run-{number}"));
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("result.json"), result.to_string()).unwrap();
        // What a run leaves beside it is no result.
        fs::write(folder.join("config.json"), "{}").unwrap();
    }
    let page = folder.path().join("page.html");
    let report = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_salesforce-bench"));
        command
            .arg("report")
            .arg(folder.path())
            .arg("--out")
            .arg(&page)
            .output()
            .unwrap()
    };
    let output = report();
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
    assert!(after("Who loses what").contains("lost: 17"));
    assert!(after("Faults survived").contains("lost: 3"));
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
    // The same as tables, in a page with a place for them.
    let notes = folder.path().join("notes.md");
    fs::write(
        &notes,
        "a\n<!-- results -->\nold\n<!-- end of results -->\nb\n",
    )
    .unwrap();
    let tables = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_salesforce-bench"));
        let command = command
            .arg("report")
            .arg(folder.path())
            .arg("--out")
            .arg(&page);
        command.arg("--markdown").arg(&notes).output().unwrap()
    };
    for _ in 0..2 {
        assert!(tables().status.success());
        let text = fs::read_to_string(&notes).unwrap();
        assert!(
            text.starts_with("a\n<!-- results -->\n") && text.ends_with("\nb\n"),
            "{text}"
        );
        assert!(!text.contains("old"));
        assert_eq!(
            text.matches("| hasty 1.2 | wrong, lost: 17 |").count(),
            1,
            "{text}"
        );
    }
    fs::write(&notes, "no place").unwrap();
    assert!(!tables().status.success());
    // Another version of the form is refused by name.
    let mut other = results[0].clone();
    other["version"] = json!(9);
    fs::write(folder.path().join("run-0/result.json"), other.to_string()).unwrap();
    let refused = report();
    assert!(!refused.status.success());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("run-0/result.json: version 9"));
}
