//! `salesforce-sim calibrate`.

use std::io::{self, BufRead as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use crate::calibrate::{Calibration, Checked};

/// The environment variable of the token.
const TOKEN: &str = "SALESFORCE_TOKEN";

/// Which sandbox is measured, and with which rows.
#[derive(Debug, Args)]
pub struct Calibrate {
    /// URL of the sandbox, as logins return it
    #[arg(long, value_name = "URL")]
    instance_url: String,
    /// Access token; better given by the environment variable SALESFORCE_TOKEN, which no list of
    /// processes shows
    #[arg(long)]
    token: Option<String>,
    /// Object that rows are inserted into
    #[arg(long)]
    object: String,
    /// Value of a field in all rows; {} in it is another text in each row
    #[arg(long, value_name = "FIELD=VALUE", value_parser = assignment)]
    set: Vec<(String, String)>,
    /// File to write the profile to; stdout by default
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Version of the API
    #[arg(long, value_name = "VERSION", default_value = "62.0")]
    api_version: String,
    /// Ask nothing
    #[arg(long)]
    yes: bool,
}

fn assignment(text: &str) -> Result<(String, String), String> {
    let (field, value) = text.split_once('=').ok_or("must be FIELD=VALUE")?;
    Ok((field.to_owned(), value.to_owned()))
}

impl Calibrate {
    /// Measures a sandbox and writes its profile.
    pub async fn run(self) -> ExitCode {
        match self.try_run().await {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("calibration failed: {error}");
                ExitCode::FAILURE
            }
        }
    }

    async fn try_run(self) -> Result<(), Box<dyn std::error::Error>> {
        let token = self
            .token
            .or_else(|| std::env::var(TOKEN).ok())
            .ok_or_else(|| format!("no token: give --token or the variable {TOKEN}"))?;
        let calibration = Calibration {
            instance_url: self.instance_url,
            token,
            object: self.object,
            values: self.set,
            api_version: self.api_version,
        };
        let checked = calibration.check().await?;
        if !self.yes && !agreed(&checked)? {
            return Err("nothing was inserted, since the answer was not yes".into());
        }
        let profile = checked.run(|step| eprintln!("{step}")).await?;
        let text = serde_json::to_string_pretty(&profile)? + "\n";
        write(self.out.as_deref(), &text)?;
        Ok(())
    }
}

/// Asks whether rows may be inserted.
fn agreed(checked: &Checked) -> io::Result<bool> {
    eprint!("{}\nGo on? [yes/no] ", checked.question());
    io::stderr().flush()?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(["y", "yes"].contains(&answer.trim().to_ascii_lowercase().as_str()))
}

fn write(path: Option<&Path>, text: &str) -> io::Result<()> {
    match path {
        Some(path) => std::fs::write(path, text),
        None => io::stdout().write_all(text.as_bytes()),
    }
}
