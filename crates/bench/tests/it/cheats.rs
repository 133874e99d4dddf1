//! Loaders that cheat.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::loader::MODE;
use crate::schema::schema;

/// What the referee says of the small loader in one of its modes.
fn judged(mode: &str, workload: &str, folder: &Path) -> Value {
    let loader = std::env::current_exe().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_salesforce-bench"))
        .args(["run", "--workload", workload, "--scale", "1500"])
        .args(["--name", mode, "--stdin", "messages", "--input", "messages"])
        .args(["--timeout", "120", "--out"])
        .arg(folder)
        .arg("--")
        .arg(loader)
        .args(["--exact", "loader::load", "--ignored", "--nocapture"])
        .env(MODE, mode)
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    let said = String::from_utf8_lossy(&output.stderr);
    let path = printed.lines().last().unwrap_or_default();
    let result = fs::read_to_string(path);
    let result = result.unwrap_or_else(|error| panic!("{error}: {printed}{said}"));
    let result: Value = serde_json::from_str(&result).unwrap();
    assert_eq!(output.status.success(), result["outcome"] == "passed");
    result
}

/// A run of twenty narrow records, in which the loader and more is still to be said.
fn small_run(folder: &Path) -> Command {
    let mut referee = Command::new(env!("CARGO_BIN_EXE_salesforce-bench"));
    referee
        .args(["run", "--workload", "narrow", "--scale", "20", "--out"])
        .arg(folder);
    referee
}

/// What is wrong, by name: all that is counted but what is no fault.
fn wrong(result: &Value) -> BTreeSet<String> {
    let schema = schema();
    let counted = schema["$defs"]["Judged"]["properties"].as_object().unwrap();
    let no_fault = ["records", "bad", "right", "rejects_named", "states"];
    let judged = &result["judged"];
    assert_eq!(judged["records"], 1500, "{result:#}");
    let is_wrong = |name: &&String| {
        !no_fault.contains(&name.as_str())
            && judged[name.as_str()]
                .as_u64()
                .is_some_and(|count| count > 0)
    };
    counted.keys().filter(is_wrong).cloned().collect()
}

fn set<const N: usize>(names: [&str; N]) -> BTreeSet<String> {
    names.map(str::to_owned).into()
}

#[test]
fn an_honest_loader_passes() {
    let folder = tempfile::tempdir().unwrap();
    for workload in ["insert", "versions", "bad-1", "children"] {
        let result = judged("honest", workload, folder.path());
        assert!(wrong(&result).is_empty(), "{result:#}");
        assert_eq!(result["outcome"], "passed");
        let judged = &result["judged"];
        assert!(judged["states"].as_u64().unwrap() >= 10, "{judged}");
        let held = judged["right"].as_u64().unwrap() + judged["bad"].as_u64().unwrap();
        assert_eq!(held, 1500);
        assert_eq!(judged["rejects_named"], judged["bad"]);
        assert_eq!(judged["bad"].as_u64().unwrap() > 0, workload == "bad-1");
    }
}

#[test]
fn dropped_rows_are_lost() {
    let folder = tempfile::tempdir().unwrap();
    let result = judged("drops-rows", "insert", folder.path());
    // Rows that are nowhere were not there when their state came, either.
    assert_eq!(
        wrong(&result),
        set(["lost", "rows_ahead", "states_ahead"]),
        "{result:#}"
    );
}

#[test]
fn doubled_rows_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let result = judged("doubles-rows", "insert", folder.path());
    assert_eq!(wrong(&result), set(["doubled"]), "{result:#}");
    // The rows of the first job.
    assert_eq!(result["judged"]["doubled"], 150);
}

#[test]
fn states_before_their_rows_are_ahead() {
    let folder = tempfile::tempdir().unwrap();
    let result = judged("early-states", "versions", folder.path());
    assert_eq!(
        wrong(&result),
        set(["rows_ahead", "states_ahead"]),
        "{result:#}"
    );
    assert_eq!(result["judged"]["states_ahead"], result["judged"]["states"]);
}

#[test]
fn states_that_are_kept_back_are_missing() {
    let folder = tempfile::tempdir().unwrap();
    let result = judged("no-states", "upsert", folder.path());
    assert_eq!(wrong(&result), set(["states_missing"]), "{result:#}");
}

#[test]
fn rows_in_the_wrong_order_leave_old_values() {
    let folder = tempfile::tempdir().unwrap();
    let result = judged("wrong-order", "versions", folder.path());
    // A state that comes with the rows of later ones alone is ahead of those before it.
    assert_eq!(
        wrong(&result),
        set(["rows_ahead", "stale", "states_ahead"]),
        "{result:#}"
    );
}

#[test]
fn rejects_that_are_hidden_are_missed() {
    let folder = tempfile::tempdir().unwrap();
    let result = judged("hides-rejects", "insert-bad-1", folder.path());
    assert_eq!(
        wrong(&result),
        set(["rejects_unnamed", "rows_ahead", "states_ahead"]),
        "{result:#}"
    );
}

#[test]
fn what_fails_and_what_hangs_is_a_result() {
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| {
        let output = small_run(folder.path()).args(arguments).output().unwrap();
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(!output.status.success(), "{printed}");
        let path = printed.lines().last().unwrap_or_default();
        let result: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
        result
    };
    let failed = run(&["--", "sh", "-c", "exit 3"]);
    assert_eq!(
        (&failed["outcome"], &failed["exit_code"]),
        (&"failed".into(), &3.into())
    );
    assert_eq!(failed["judged"]["lost"], 20);
    let hung = run(&["--timeout", "0.2", "--", "sleep", "600"]);
    assert_eq!(hung["outcome"], "timed_out");
    // A command that is not there is no loader.
    let none = small_run(folder.path())
        .args(["--", "no-such-program"])
        .output()
        .unwrap();
    assert_eq!(none.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&none.stderr).contains("is it installed?"));
    // All forms of the input are there, and named.
    let named = run(&[
        "--",
        "sh",
        "-c",
        "wc -l < $BENCH_CSV; ls $BENCH_PARQUET $BENCH_MESSAGES $BENCH_CATALOG $BENCH_CONFIG && exit 4",
    ]);
    assert_eq!(named["exit_code"], 4, "{named:#}");
}

#[test]
fn a_referee_that_is_ended_ends_the_loader() {
    let folder = tempfile::tempdir().unwrap();
    let started = folder.path().join("started");
    let script = format!("echo $$ > {}; exec sleep 600", started.display());
    let mut referee = small_run(folder.path())
        .args(["--", "sh", "-c", &script])
        .spawn()
        .unwrap();
    let read = || fs::read_to_string(&started).unwrap_or_default();
    while !read().ends_with('\n') {
        assert!(referee.try_wait().unwrap().is_none());
        thread::park_timeout(Duration::from_millis(10));
    }
    // Another run in the same folder is refused meanwhile.
    let second = small_run(folder.path())
        .args(["--", "true"])
        .output()
        .unwrap();
    assert_eq!(second.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&second.stderr).contains("give another --out"));
    let id = referee.id().to_string();
    assert!(Command::new("kill").arg(&id).status().unwrap().success());
    assert_eq!(referee.wait().unwrap().code(), Some(143));
    let results = folder.path().join("narrow-20-null-sh/result.json");
    assert!(!results.exists(), "what was broken off is no result");
    let stat = fs::read_to_string(format!("/proc/{}/stat", read().trim()));
    assert!(stat.is_err() || stat.is_ok_and(|stat| stat.contains(") Z ")));
}
