//! The loaders that are known by name: a manifest each, and a script where one is needed. What they
//! need is installed into a cache folder, by their own package manager, at pinned versions.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Deserialize;
use serde_json::json;

use crate::error::{At, Error, Result};
use crate::input::Form;
use crate::workload::Workload;

/// A loader, from `crates/bench/loaders`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Manifest {
    pub(crate) name: String,
    /// Of what is installed.
    pub(crate) version: Option<String>,
    pub(crate) licence: String,
    pub(crate) home: String,
    /// How it is driven, in a line.
    pub(crate) about: String,
    #[serde(default)]
    install: Install,
    /// Forms of the input that it needs.
    pub(crate) inputs: Vec<Form>,
    /// What is on its stdin.
    pub(crate) stdin: Option<Form>,
    command: Vec<String>,
    /// Workloads that it cannot do, and why.
    #[serde(default)]
    cannot: BTreeMap<String, String>,
}

/// What is installed before the first run.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Install {
    /// Requirements of pip, in an environment of their own.
    pip: Vec<String>,
    /// Versions by package of npm, and its overrides.
    npm: BTreeMap<String, String>,
    npm_overrides: BTreeMap<String, String>,
}

/// A manifest, and the files that belong to it.
struct Known {
    manifest: &'static str,
    files: &'static [(&'static str, &'static str)],
}

const KNOWN: &[Known] = &[
    Known {
        manifest: include_str!("../loaders/destination-salesforce.json"),
        files: &[],
    },
    Known {
        manifest: include_str!("../loaders/arrow-salesforce.json"),
        files: &[(
            "arrow_salesforce_loader.sh",
            include_str!("../loaders/arrow_salesforce_loader.sh"),
        )],
    },
    Known {
        manifest: include_str!("../loaders/simple-salesforce.json"),
        files: &[(
            "simple_salesforce_loader.py",
            include_str!("../loaders/simple_salesforce_loader.py"),
        )],
    },
    Known {
        manifest: include_str!("../loaders/jsforce.json"),
        files: &[(
            "jsforce_loader.mjs",
            include_str!("../loaders/jsforce_loader.mjs"),
        )],
    },
    Known {
        manifest: include_str!("../loaders/sf.json"),
        files: &[("sf_loader.mjs", include_str!("../loaders/sf_loader.mjs"))],
    },
    Known {
        manifest: include_str!("../loaders/aiosalesforce.json"),
        files: &[(
            "aiosalesforce_loader.py",
            include_str!("../loaders/aiosalesforce_loader.py"),
        )],
    },
    Known {
        manifest: include_str!("../loaders/kinetic-core.json"),
        files: &[(
            "kinetic_core_loader.py",
            include_str!("../loaders/kinetic_core_loader.py"),
        )],
    },
];

/// All loaders that are known by name.
pub(crate) fn known() -> Result<Vec<Manifest>> {
    KNOWN.iter().map(|known| parse(known.manifest)).collect()
}

fn parse(manifest: &str) -> Result<Manifest> {
    serde_json::from_str(manifest)
        .map_err(|error| Error::Input(format!("the manifest of a loader: {error}")))
}

/// A loader that is ready to run.
#[derive(Debug, Clone)]
pub(crate) struct Loader {
    pub(crate) manifest: Manifest,
    /// Its folder in the cache.
    folder: PathBuf,
    program: Option<PathBuf>,
}

impl Loader {
    /// Finds a loader by its name; `program` is the program of a loader that is not installed.
    pub(crate) fn find(name: &str, cache: &Path, program: Option<&Path>) -> Result<Self> {
        for known in KNOWN {
            let manifest = parse(known.manifest)?;
            if manifest.name != name {
                continue;
            }
            let version = manifest.version.as_deref().unwrap_or("own");
            let folder = cache.join(format!("{name}-{version}"));
            fs::create_dir_all(&folder).at(&folder)?;
            let folder = fs::canonicalize(&folder).at(&folder)?;
            for (file, text) in known.files {
                let path = folder.join(file);
                fs::write(&path, text).at(&path)?;
            }
            return Ok(Self {
                manifest,
                folder,
                program: program.map(Path::to_owned),
            });
        }
        let names: Vec<String> = known()?.into_iter().map(|manifest| manifest.name).collect();
        let names = names.join(", ");
        Err(Error::Input(format!(
            "there is no loader {name:?}; there are {names}"
        )))
    }

    /// Why it cannot do a workload.
    pub(crate) fn cannot(&self, workload: Workload) -> Option<&str> {
        self.manifest
            .cannot
            .get(&workload.name())
            .map(String::as_str)
    }

    /// Installs what it needs, once.
    ///
    /// # Errors
    /// What the package manager said.
    pub(crate) fn install(&self) -> Result<()> {
        let Install {
            pip,
            npm,
            npm_overrides,
        } = &self.manifest.install;
        let complete = self.folder.join("complete");
        let wanted = format!("{:?}", self.manifest.install);
        if fs::read_to_string(&complete).is_ok_and(|installed| installed == wanted) {
            return Ok(());
        }
        if !pip.is_empty() {
            let venv = self.folder.join("venv");
            must(Command::new("python3").args(["-m", "venv"]).arg(&venv))?;
            let mut install = Command::new(venv.join("bin/pip"));
            must(
                install
                    .args(["install", "--quiet", "--disable-pip-version-check"])
                    .args(pip),
            )?;
        }
        if !npm.is_empty() {
            let package = json!({"private": true, "dependencies": npm, "overrides": npm_overrides});
            let path = self.folder.join("package.json");
            fs::write(&path, package.to_string()).at(&path)?;
            let mut install = Command::new("npm");
            must(install.current_dir(&self.folder).args([
                "install",
                "--no-audit",
                "--no-fund",
                "--silent",
            ]))?;
        }
        fs::write(&complete, wanted).at(&complete)
    }

    /// The command, with the paths of its input.
    pub(crate) fn command(&self, paths: &BTreeMap<&str, PathBuf>) -> Result<Vec<OsString>> {
        let words = self.manifest.command.iter();
        words.map(|word| self.word(word, paths)).collect()
    }

    fn word(&self, word: &str, paths: &BTreeMap<&str, PathBuf>) -> Result<OsString> {
        if word == "{program}" {
            return Ok(self.program());
        }
        let mut text = word.replace("{here}", &self.folder.to_string_lossy());
        for (name, path) in paths {
            text = text.replace(&format!("{{{name}}}"), &path.to_string_lossy());
        }
        if text.contains('{') {
            let name = &self.manifest.name;
            return Err(Error::Input(format!(
                "the command of {name} has an unknown place: {text}"
            )));
        }
        Ok(text.into())
    }

    /// The program of a loader that is not installed: the one given, or that of its name beside
    /// this one, or on the path.
    fn program(&self) -> OsString {
        let name = &self.manifest.name;
        let beside = || {
            let own = std::env::current_exe().ok()?;
            let path = own.parent()?.join(name);
            path.exists().then_some(path)
        };
        let program = self.program.clone().or_else(beside);
        program.map_or_else(|| name.into(), PathBuf::into_os_string)
    }
}

fn must(command: &mut Command) -> Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|source| Error::Command {
            program: program.clone(),
            source,
        })?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let last: Vec<&str> = said.lines().rev().take(3).collect();
    let last: Vec<&str> = last.into_iter().rev().collect();
    Err(Error::Input(format!(
        "{program} cannot install it: {}",
        last.join(" ")
    )))
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum as _;

    use super::*;

    #[test]
    fn manifests_are_sound() {
        let workloads: Vec<String> = Workload::value_variants()
            .iter()
            .map(|workload| workload.name())
            .collect();
        let folder = tempfile::tempdir().unwrap();
        for manifest in known().unwrap() {
            for name in manifest.cannot.keys() {
                assert!(workloads.contains(name), "{}: {name}", manifest.name);
            }
            assert!(!manifest.inputs.is_empty() && !manifest.licence.is_empty());
            assert!(
                manifest
                    .stdin
                    .is_none_or(|form| manifest.inputs.contains(&form))
            );
            let loader = Loader::find(&manifest.name, folder.path(), None).unwrap();
            let paths = ["csv", "parquet", "messages", "catalog", "config"];
            let paths = paths
                .into_iter()
                .map(|name| (name, PathBuf::from("/x")))
                .collect();
            assert!(!loader.command(&paths).unwrap().is_empty());
        }
        assert!(Loader::find("no-such", folder.path(), None).is_err());
    }
}
