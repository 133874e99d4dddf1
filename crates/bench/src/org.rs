//! The simulated org, in a process of its own: its work is not the loader's.

use std::fs;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

use reqwest::{Client, RequestBuilder};
use salesforce_sim::{Profile, Sim, SimOptions};
use serde_json::{Value, json};

use crate::columns::{wide_name, write_parent};
use crate::error::{At, Error, Result};
use crate::plan::{Line, Plan};

/// Bytes of CSV that are added to the org at once; the org takes at most 2 MB.
const PIECE: usize = 1_000_000;

/// Generated fields of `Wide__c`.
const WIDE_FIELDS: usize = 300;

/// Names of the simulator's profiles.
pub(crate) const PROFILES: &[&str] = &["null", "quiet", "busy", "limited", "flaky", "contended"];

/// The profile of a name, or of a file.
pub(crate) fn profile(name: &str) -> Result<Profile> {
    Profile::load(name).map_err(|error| Error::Input(error.to_string()))
}

/// Serves an org with the options on stdin, until stdin is closed. Its address goes to stdout.
pub(crate) async fn serve() -> std::io::Result<()> {
    let mut options = String::new();
    let mut stdin = BufReader::new(std::io::stdin());
    stdin.read_line(&mut options)?;
    let sim = Sim::start(serde_json::from_str(&options)?).await?;
    println!("{}", sim.url());
    tokio::task::spawn_blocking(move || stdin.read_to_end(&mut Vec::new())).await??;
    Ok(())
}

/// A running org, which ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Org {
    process: Child,
    /// Open as long as the org serves.
    _stdin: ChildStdin,
    api: Api,
}

/// The inspection API of an org.
#[derive(Debug, Clone)]
struct Api {
    url: String,
    /// What it wants: the loader must not use it.
    key: String,
    client: Client,
}

impl Api {
    async fn send(&self, request: RequestBuilder, path: &str) -> Result<reqwest::Response> {
        let sent = request.header("Sim-Key", &self.key).send().await;
        sent.and_then(reqwest::Response::error_for_status)
            .map_err(|source| self.error(path, source))
    }

    fn error(&self, path: &str, source: reqwest::Error) -> Error {
        Error::Org {
            request: format!("{}{path}", self.url),
            source,
        }
    }

    async fn get(&self, path: &str) -> Result<Value> {
        let request = self.client.get(format!("{}{path}", self.url));
        let response = self.send(request, path).await?;
        response
            .json()
            .await
            .map_err(|source| self.error(path, source))
    }
}

impl Drop for Org {
    fn drop(&mut self) {
        // One that is gone already needs no end.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Org {
    /// Starts an org with the objects of the workloads; `folder` gets its description.
    pub(crate) fn start(profile: Profile, seed: u64, folder: &Path) -> Result<Self> {
        let path = folder.join("org.json");
        fs::write(&path, objects().to_string()).at(&path)?;
        let key = secret();
        let options = SimOptions {
            inspection_key: Some(key.clone()),
            org: Some(path),
            seed,
            refuse_duplicates: false,
            ..SimOptions::of(profile)
        };
        let no_org = |error: std::io::Error| Error::NoOrg(error.to_string());
        let own = std::env::current_exe().map_err(no_org)?;
        let mut process = Command::new(own)
            .arg("org")
            // Ctrl-c is for the referee alone; the org ends with its stdin.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(no_org)?;
        let pipes = process.stdin.take().zip(process.stdout.take());
        let (mut stdin, stdout) =
            pipes.ok_or_else(|| Error::NoOrg("it has no pipes".to_owned()))?;
        let mut line = String::new();
        writeln!(stdin, "{}", json!(options)).map_err(no_org)?;
        BufReader::new(stdout)
            .read_line(&mut line)
            .map_err(no_org)?;
        let url = line.trim().to_owned();
        if url.is_empty() {
            return Err(Error::NoOrg("it ended at once".to_owned()));
        }
        Ok(Self {
            process,
            _stdin: stdin,
            api: Api {
                url,
                key,
                client: Client::builder()
                    .no_proxy()
                    .tls_built_in_root_certs(false)
                    .build()
                    .map_err(|error| Error::NoOrg(error.to_string()))?,
            },
        })
    }

    pub(crate) fn url(&self) -> &str {
        &self.api.url
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Value> {
        self.api.get(path).await
    }

    /// Records of an object, in pages: those of each are handed to `each`.
    pub(crate) async fn records(&self, object: &str, mut each: impl FnMut(&Value)) -> Result<()> {
        const PAGE: usize = 50_000;
        let page = |offset: usize| {
            let (api, object) = (self.api.clone(), object.to_owned());
            tokio::spawn(async move {
                let path = format!("/sim/objects/{object}/rows?offset={offset}&limit={PAGE}");
                api.get(&path).await
            })
        };
        let mut next = Some(page(0));
        for offset in (PAGE..).step_by(PAGE) {
            let Some(asked) = next.take() else { break };
            let rows = asked
                .await
                .map_err(|error| Error::Input(error.to_string()))??;
            let rows = rows.as_array().map_or(&[][..], Vec::as_slice);
            // The next page is read while this one is looked at.
            next = (rows.len() == PAGE).then(|| page(offset));
            rows.iter().for_each(&mut each);
        }
        Ok(())
    }

    /// The values of a column, and when the record of each was created and written last, in
    /// milliseconds since 1970.
    pub(crate) async fn times(
        &self,
        object: &str,
        field: &str,
        mut each: impl FnMut(&str, u64, u64),
    ) -> Result<()> {
        let path = format!("/sim/objects/{object}/column/{field}?times=true");
        let request = self.api.client.get(format!("{}{path}", self.api.url));
        let mut response = self.api.send(request, &path).await?;
        // A response of many millions of lines is never held as a whole.
        let mut rest: Vec<u8> = Vec::new();
        let error = |source| self.api.error(&path, source);
        while let Some(piece) = response.chunk().await.map_err(error)? {
            rest.extend_from_slice(&piece);
            let end = rest
                .iter()
                .rposition(|byte| *byte == b'\n')
                .map_or(0, |at| at + 1);
            for line in rest[..end].split(|byte| *byte == b'\n') {
                let line: serde_json::Result<(Option<String>, u64, u64)> =
                    serde_json::from_slice(line);
                if let Ok((Some(value), created, written)) = line {
                    each(&value, created, written);
                }
            }
            rest.drain(..end);
        }
        Ok(())
    }

    /// A session's access token, from a login by client credentials.
    pub(crate) async fn token(&self) -> Result<String> {
        let path = "/services/oauth2/token";
        let form = [
            ("grant_type", "client_credentials"),
            ("client_id", "sim-client-id"),
            ("client_secret", "sim-client-secret"),
        ];
        let request = self
            .api
            .client
            .post(format!("{}{path}", self.api.url))
            .form(&form);
        let response = self.api.send(request, path).await?;
        let login: Value = response
            .json()
            .await
            .map_err(|source| self.api.error(path, source))?;
        Ok(login["access_token"]
            .as_str()
            .unwrap_or_default()
            .to_owned())
    }

    /// What the workload needs to be there before: parents, records that it updates, faults.
    pub(crate) async fn prepare(&self, plan: &Plan) -> Result<()> {
        let workload = plan.workload;
        let parents = (0..workload.parents(plan.scale)).map(|parent| {
            let mut row = "Parent,".to_owned();
            write_parent(&mut row, parent);
            row
        });
        self.add("Account", "Name,Ext_Id__c", parents).await?;
        if workload.differing().is_some() {
            let columns: Vec<&str> = plan
                .columns
                .iter()
                .map(|column| column.name.as_str())
                .collect();
            let header = format!("{},{}", workload.key(), columns.join(","));
            let mut values = Vec::new();
            let records = (0..plan.scale).map(|key| {
                plan.values(Line { key, version: 1 }, &mut values);
                let quoted: Vec<String> = values.iter().map(|value| quoted(value)).collect();
                quoted.join(",")
            });
            self.add(workload.object(), &header, records).await?;
        }
        let path = "/sim/faults";
        let request = self.api.client.post(format!("{}{path}", self.api.url));
        let request = request.json(&workload.faults(plan.scale));
        self.api.send(request, path).await.map(drop)
    }

    async fn add(
        &self,
        object: &str,
        header: &str,
        rows: impl Iterator<Item = String>,
    ) -> Result<()> {
        let path = format!("/sim/objects/{object}/rows");
        let mut rows = rows.peekable();
        while rows.peek().is_some() {
            let mut csv = format!("{header}\n");
            while csv.len() < PIECE
                && let Some(row) = rows.next()
            {
                csv.push_str(&row);
                csv.push('\n');
            }
            let request = self
                .api
                .client
                .post(format!("{}{path}", self.api.url))
                .body(csv);
            self.api.send(request, &path).await?;
        }
        Ok(())
    }
}

/// Digits that nobody can guess: the standard library seeds its hashes from the system.
fn secret() -> String {
    let digits = || RandomState::new().build_hasher().finish();
    format!("{:016x}{:016x}", digits(), digits())
}

fn quoted(value: &str) -> String {
    format!("\"{}\"", value.replace('"', "\"\""))
}

/// The objects of the org: those of the file, and the fields of `Wide__c`.
fn objects() -> Value {
    let mut org: Value = serde_json::from_str(include_str!("org.json")).unwrap_or_default();
    let fields = (1..=WIDE_FIELDS).map(|number| {
        let name = wide_name(number);
        match number % 4 {
            0 => json!({"name": name, "type": "string", "length": 80, "custom": true}),
            1 => {
                json!({"name": name, "type": "double", "precision": 18, "scale": 2, "custom": true})
            }
            2 => json!({"name": name, "type": "date", "custom": true}),
            _ => json!({"name": name, "type": "boolean", "nillable": false,
                "defaultedOnCreate": true, "defaultValue": false, "custom": true}),
        }
    });
    if let Some(objects) = org["objects"].as_array_mut() {
        for object in objects
            .iter_mut()
            .filter(|object| object["name"] == "Wide__c")
        {
            if let Some(known) = object["fields"].as_array_mut() {
                known.extend(fields.clone());
            }
        }
    }
    org
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum as _;

    use super::*;
    use crate::workload::Workload;

    #[test]
    fn the_org_has_every_column_of_every_workload() {
        let org = objects();
        for workload in Workload::value_variants() {
            let objects = org["objects"].as_array().unwrap();
            let object = objects
                .iter()
                .find(|object| object["name"] == workload.object());
            let fields = object.unwrap()["fields"].as_array().unwrap();
            let has = |name: &str| fields.iter().any(|field| field["name"] == name);
            assert!(has(workload.key()), "{workload:?}");
            for column in workload.columns(100) {
                let name = column.name.replace("Account.Ext_Id__c", "AccountId");
                assert!(has(&name), "{workload:?} {name}");
            }
        }
    }

    #[test]
    fn profiles_are_known_by_name() {
        for name in PROFILES {
            profile(name).unwrap();
        }
        assert!(profile("no-such").is_err());
        let own = concat!(env!("CARGO_MANIFEST_DIR"), "/profiles/eight-seconds.json");
        assert_eq!(profile(own).unwrap().name, "eight-seconds");
    }
}
