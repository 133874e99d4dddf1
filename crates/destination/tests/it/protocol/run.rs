//! Runs a case, and reports what differs from what it expects.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Map, Value, json};
use tempfile::TempDir;
use testkit::process;
use testkit::s3::{S3Server, SECRET_KEY, files};
use testkit::sim::{CLIENT_ID, CLIENT_SECRET, REFRESH_TOKEN, TestSim};
use testkit::{PATIENCE, rejected};
use tokio::io::AsyncWriteExt;

use super::case::{self, Case};
use super::matching::{fits, in_any_order, in_order};
use crate::harness::process::{BINARY, lines_copy, storage};

/// Secrets of every config, none of which may be printed but in a CONTROL message.
const SECRETS: [&str; 3] = [CLIENT_SECRET, REFRESH_TOKEN, SECRET_KEY];

/// What a process said, and how it ended.
struct Said {
    stdout: String,
    stderr: String,
    exit: Option<i32>,
}

/// Where a case runs.
struct Site {
    directory: TempDir,
    sim: TestSim,
    s3: Option<S3Server>,
}

impl Site {
    async fn new(case: &Case) -> Self {
        let directory = TempDir::new().unwrap();
        let options = TestSim::options(Duration::ZERO);
        let mut options = serde_json::to_value(options).unwrap();
        if let Some(objects) = &case.sim.objects {
            let path = directory.path().join("org.json");
            fs::write(&path, json!({ "objects": objects }).to_string()).unwrap();
            options["org"] = json!(path);
        }
        for (key, value) in &case.sim.options {
            options[key] = value.clone();
        }
        let s3 = match &case.s3 {
            Some(_) => Some(S3Server::start().await),
            None => None,
        };
        fs::create_dir(directory.path().join("rejected")).unwrap();
        Self {
            directory,
            sim: TestSim::with_options(serde_json::from_value(options).unwrap()).await,
            s3,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A text with what only this run knows in it.
    fn fill(&self, text: &str) -> String {
        let path = |name: &str| self.path(name).display().to_string();
        text.replace("{org}", self.sim.url())
            .replace("{config}", &path("config.json"))
            .replace("{catalog}", &path("catalog.json"))
            .replace("{rejected}", &format!("file://{}", path("rejected")))
    }

    fn config(&self, case: &Case) -> String {
        if let Value::String(text) = &case.config {
            return self.fill(text);
        }
        let mut config = json!({
            "client_id": CLIENT_ID,
            "client_secret": CLIENT_SECRET,
            "refresh_token": REFRESH_TOKEN,
            "is_sandbox": false,
            "login_url": self.sim.url(),
            "object_storage_config": {"storage_type": "None"},
        });
        if let (Some(overrides), Some(s3)) = (&case.s3, &self.s3) {
            let mut storage = storage(s3);
            overlay(&mut storage, overrides);
            config["object_storage_config"] = storage;
        }
        if let Value::Object(overrides) = &case.config {
            overlay(&mut config, overrides);
        }
        self.fill(&config.to_string())
    }

    fn catalog(case: &Case) -> String {
        match &case.catalog {
            Value::String(text) => text.clone(),
            Value::Null => fs::read_to_string(case::data("contacts.json")).unwrap(),
            catalog => catalog.to_string(),
        }
    }

    fn args(&self, case: &Case) -> Vec<String> {
        let config = ["--config", "{config}"];
        let usual = match case.command.as_deref().unwrap_or("write") {
            "spec" => vec!["spec"],
            "write" => [&["write"], &config[..], &["--catalog", "{catalog}"]].concat(),
            command => [&[command], &config[..]].concat(),
        };
        let args = match &case.args {
            Some(args) => args.iter().map(String::as_str).collect(),
            None => usual,
        };
        args.into_iter().map(|arg| self.fill(arg)).collect()
    }

    async fn run(&self, case: &Case) -> Said {
        fs::write(self.path("config.json"), self.config(case)).unwrap();
        fs::write(self.path("catalog.json"), Self::catalog(case)).unwrap();
        let level = case.log_level.as_deref().unwrap_or("INFO");
        let mut child = process::spawn(BINARY, &self.args(case), &[("LOG_LEVEL", level)]);
        let mut stdin = child.stdin.take().unwrap();
        let pieces = case.pieces();
        let feeding = async move {
            for piece in pieces {
                // A process that ends early closes its end of the pipe.
                if stdin.write_all(&piece).await.is_err() {
                    return;
                }
            }
        };
        let running = async { tokio::join!(child.wait_with_output(), feeding).0 };
        let output = tokio::time::timeout(PATIENCE, running).await;
        let output = output.expect("the process ends").unwrap();
        if let (false, Some(mut copy)) = (case.expect.prose, lines_copy()) {
            copy.write_all(&output.stdout).unwrap();
        }
        Said {
            stdout: String::from_utf8(output.stdout).expect("stdout is UTF-8"),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            exit: output.status.code(),
        }
    }

    /// Files of rejected records: name and content.
    fn files(&self) -> BTreeMap<String, String> {
        match &self.s3 {
            Some(s3) => s3.objects(),
            None => files(&self.path("rejected")),
        }
    }
}

/// Sets the keys of `overrides`; `<absent>` takes one away.
fn overlay(object: &mut Value, overrides: &Map<String, Value>) {
    for (key, value) in overrides {
        if value == "<absent>" {
            object.as_object_mut().unwrap().remove(key);
        } else {
            object[key] = value.clone();
        }
    }
}

/// What is not as the case says.
pub(super) async fn differences(case: Case) -> Vec<String> {
    let site = Site::new(&case).await;
    let said = site.run(&case).await;
    let mut found = Vec::new();
    let expect = &case.expect;
    if said.exit != Some(expect.exit) {
        found.push(format!(
            "exit code should be {}, is {:?}",
            expect.exit, said.exit
        ));
    }
    texts(
        "stdout",
        &said.stdout,
        &expect.stdout_contains,
        &expect.stdout_lacks,
        &mut found,
    );
    texts(
        "stderr",
        &said.stderr,
        &expect.stderr_contains,
        &[],
        &mut found,
    );
    if !expect.prose {
        said.compare_messages(&case, &mut found);
    }
    site.compare_ends(&case, &mut found).await;
    if !found.is_empty() {
        found.push(said.shown());
    }
    found
}

fn texts(of: &str, text: &str, contains: &[String], lacks: &[String], found: &mut Vec<String>) {
    for part in contains.iter().filter(|part| !text.contains(*part)) {
        found.push(format!("{of} should contain {part}"));
    }
    for part in lacks.iter().filter(|part| text.contains(*part)) {
        found.push(format!("{of} should not contain {part}"));
    }
}

impl Said {
    fn compare_messages(&self, case: &Case, found: &mut Vec<String>) {
        let expect = &case.expect;
        let mut messages: Vec<Value> = Vec::new();
        for line in self.stdout.lines() {
            match serde_json::from_str(line) {
                Ok(message) => messages.push(message),
                Err(_) => found.push(format!("no message on stdout: {line}")),
            }
            let control = line.starts_with("{\"type\":\"CONTROL\"");
            if SECRETS.iter().any(|secret| line.contains(secret)) && !control {
                found.push(format!("a secret was printed: {line}"));
            }
        }
        let of = |kind: &str| -> Vec<&Value> {
            let messages = messages.iter();
            messages.filter(|message| message["type"] == kind).collect()
        };
        let log: String = of("LOG")
            .iter()
            .map(|message| {
                let text = |key: &str| message["log"][key].as_str().unwrap_or("?");
                format!("{} {}\n", text("level"), text("message"))
            })
            .collect();
        texts(
            "the log",
            &log,
            &expect.log_contains,
            &expect.log_lacks,
            found,
        );
        let others: Vec<&Value> = messages.iter().filter(|m| m["type"] != "LOG").collect();
        if let Some(expected) = &expect.messages {
            in_order("messages", expected, &others, found);
        }
        let traces = of("TRACE");
        let traced: Vec<&Value> = traces
            .iter()
            .map(|trace| &trace["trace"]["error"])
            .collect();
        let trace = expect.trace.clone().unwrap_or(json!({}));
        let expected = if expect.exit == 1 {
            vec![trace]
        } else {
            vec![]
        };
        in_order("error traces", &expected, &traced, found);
        if let Some(expected) = &expect.states {
            compare_states(expected, &of("STATE"), found);
        }
    }

    /// What was said, cut where it is long.
    fn shown(&self) -> String {
        let cut = |text: &str| -> String {
            let lines = text.lines().take(60);
            lines
                .map(|line| line.chars().take(600).collect::<String>() + "\n")
                .collect()
        };
        format!("it said:\n{}{}", cut(&self.stdout), cut(&self.stderr))
    }
}

/// Where each expected state says its stream, only states of one stream have an order.
fn compare_states(expected: &[Value], messages: &[&Value], found: &mut Vec<String>) {
    let states: Vec<&Value> = messages.iter().map(|message| &message["state"]).collect();
    let stream = |state: &Value| state["stream"]["stream_descriptor"].clone();
    if expected.iter().any(|state| stream(state).is_null()) {
        return in_order("states", expected, &states, found);
    }
    let mut streams: Vec<Value> = Vec::new();
    for state in expected.iter().chain(states.iter().copied()) {
        if !streams.contains(&stream(state)) {
            streams.push(stream(state));
        }
    }
    for wanted in streams {
        let expected = expected.iter().filter(|state| stream(state) == wanted);
        let states = states
            .iter()
            .copied()
            .filter(|state| stream(state) == wanted);
        let expected: Vec<Value> = expected.cloned().collect();
        let states: Vec<&Value> = states.collect();
        in_order(&format!("states of {wanted}"), &expected, &states, found);
    }
}

impl Site {
    /// What is in the org and where rejected records go afterwards.
    async fn compare_ends(&self, case: &Case, found: &mut Vec<String>) {
        let expect = &case.expect;
        for (object, expected) in &expect.org {
            in_any_order(object, expected, &self.sim.rows(object).await, found);
        }
        if let Some(expected) = &expect.jobs {
            in_any_order("jobs", expected, &self.sim.jobs().await, found);
        }
        let files = self.files();
        if let Some(expected) = &expect.rejected {
            let rejected = rejected::read_all(&files);
            let rejected: Vec<Value> = rejected.into_iter().map(|row| row.envelope).collect();
            in_any_order("rejected", expected, &rejected, found);
        }
        if let Some(expected) = &expect.files {
            let names: Vec<&String> = files.keys().collect();
            let fit = names.len() == expected.len()
                && names
                    .iter()
                    .all(|name| expected.iter().any(|one| fits(one, name)))
                && expected
                    .iter()
                    .all(|one| names.iter().any(|name| fits(one, name)));
            if !fit {
                found.push(format!("files should be {expected:?}, are {names:?}"));
            }
        }
    }
}
