//! The command line of the simulator, for the binary `salesforce-sim` and for others that offer it
//! as a command.

mod calibrate;
mod logins;

use std::io::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use serde_json::json;

use crate::{Contention, Fault, Profile, Sim, SimOptions};

pub use self::calibrate::Calibrate;

/// The environment variable of the address to listen on, for images.
const LISTEN: &str = "SALESFORCE_SIM_LISTEN";

/// What the simulated Salesforce is like.
#[derive(Debug, Args)]
pub struct Simulate {
    /// Port to listen on; 0 takes a free one
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// Address to listen on; 0.0.0.0 is all of this machine. By default that of the environment
    /// variable SALESFORCE_SIM_LISTEN, or 127.0.0.1
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<IpAddr>,
    /// Instance URL that logins return; by default the URL that it is found by
    #[arg(long, value_name = "URL")]
    instance_url: Option<String>,
    /// Seed of everything that looks random
    #[arg(long, default_value_t = 42)]
    seed: u64,
    /// What the org is like: null, quiet, busy, limited, flaky, contended, or a file
    #[arg(long, value_name = "NAME|FILE", value_parser = profile, group = "clock")]
    profile: Option<Box<Profile>>,
    /// Seconds that each job takes
    #[arg(long, value_name = "SECONDS", default_value = "0", value_parser = seconds)]
    job_seconds: Duration,
    /// Seconds that each batch of 10,000 records takes
    #[arg(long, value_name = "SECONDS", default_value = "0", value_parser = seconds)]
    batch_seconds: Duration,
    /// Forget records once counted, for large runs
    #[arg(long)]
    forget: bool,
    /// Share of records that are refused, 0 to 1
    #[arg(long, value_name = "SHARE", value_parser = share)]
    fail_rate: Option<f64>,
    /// The org says that it is a sandbox
    #[arg(long)]
    sandbox: bool,
    /// Generated objects besides those that it always has
    #[arg(long, value_name = "COUNT", default_value_t = 0)]
    extra_objects: usize,
    /// Jobs lock the parents of their rows and fight over them, in simulated time
    #[arg(long, group = "clock")]
    contention: bool,
    /// Batches that run at once in an org with contention
    #[arg(long, value_name = "COUNT", requires = "clock", value_parser = count)]
    slots: Option<usize>,
    /// Simulated seconds of a transaction of up to 200 records, besides its records
    #[arg(long, value_name = "SECONDS", requires = "clock", value_parser = seconds)]
    chunk_seconds: Option<Duration>,
    /// Simulated seconds of each record
    #[arg(long, value_name = "SECONDS", requires = "clock", value_parser = seconds)]
    row_seconds: Option<Duration>,
    /// Object with a trigger: a few bad records make the good ones of their transaction fail
    #[arg(long, value_name = "OBJECT", requires = "clock")]
    trigger: Vec<String>,
    /// Simulated seconds in a real one. Without a profile at most so many, and as fast as clients
    /// allow by default
    #[arg(long, value_name = "SECONDS", requires = "clock", value_parser = speed)]
    speed: Option<f64>,
    /// File of the org's objects, limits and users. Several: several orgs, each at an address of
    /// its own
    #[arg(long, value_name = "FILE")]
    org: Vec<PathBuf>,
    /// How many orgs there are, at ports that follow each other; as many as files by default
    #[arg(long, value_name = "COUNT", value_parser = count)]
    orgs: Option<usize>,
    /// CSV file of records that are there from the start
    #[arg(long, value_name = "OBJECT=FILE", value_parser = data)]
    data: Vec<(String, PathBuf)>,
    /// Directory in which the records are kept from one run to the next
    #[arg(long, value_name = "DIRECTORY", conflicts_with = "forget")]
    keep: Option<PathBuf>,
    /// File of a JSON list of faults
    #[arg(long, value_name = "FILE", value_parser = faults)]
    faults: Option<Faults>,
    #[command(flatten)]
    logins: logins::Logins,
}

/// The faults of a file.
#[derive(Debug, Clone)]
struct Faults(Vec<Fault>);

impl From<Simulate> for SimOptions {
    fn from(options: Simulate) -> Self {
        let mut made = match options.profile.clone() {
            Some(profile) => Self::of(Profile {
                speed: options.speed.or(profile.speed),
                ..*profile
            }),
            None => Self::default(),
        };
        if options.changes_clock() {
            made.contention = Some(options.contention(made.contention.unwrap_or_default()));
        }
        if let Some(faults) = options.faults {
            made.faults.extend(faults.0);
        }
        options.logins.set(&mut made);
        Self {
            org: options.org.into_iter().next(),
            data: options.data.into_iter().collect(),
            state: options.keep,
            listen: (
                options.listen.unwrap_or(Ipv4Addr::LOCALHOST.into()),
                options.port,
            )
                .into(),
            instance_url: options.instance_url,
            seed: options.seed,
            job_time: options.job_seconds,
            batch_time: options.batch_seconds,
            forget: options.forget,
            fail_rate: options.fail_rate.unwrap_or(made.fail_rate),
            extra_objects: options.extra_objects,
            sandbox: options.sandbox,
            ..made
        }
    }
}

fn profile(name: &str) -> Result<Box<Profile>, String> {
    Profile::load(name)
        .map(Box::new)
        .map_err(|error| error.to_string())
}

fn data(text: &str) -> Result<(String, PathBuf), String> {
    let (object, path) = text.split_once('=').ok_or("not OBJECT=FILE")?;
    Ok((object.to_owned(), path.into()))
}

fn faults(path: &str) -> Result<Faults, String> {
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    let faults = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    Ok(Faults(faults))
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

fn count(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err("must be a count from 1".to_owned()),
        Ok(count) => Ok(count),
    }
}

fn speed(text: &str) -> Result<f64, String> {
    let speed: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if speed > 0.0 && speed.is_finite() {
        Ok(speed)
    } else {
        Err("must be more than 0".to_owned())
    }
}

fn share(text: &str) -> Result<f64, String> {
    let share: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (0.0..=1.0).contains(&share) {
        Ok(share)
    } else {
        Err("must be between 0 and 1".to_owned())
    }
}

impl Simulate {
    /// Whether an option is given that an org without a clock has no use for.
    fn changes_clock(&self) -> bool {
        self.contention
            || self.slots.is_some()
            || self.chunk_seconds.is_some()
            || self.row_seconds.is_some()
            || self.speed.is_some()
            || !self.trigger.is_empty()
    }

    /// The clock and locks of the org, with the options that are given in place of the usual ones.
    fn contention(&self, usual: Contention) -> Contention {
        let mut triggers = usual.triggers;
        triggers.extend(self.trigger.iter().cloned());
        Contention {
            slots: self.slots.unwrap_or(usual.slots),
            chunk_time: self.chunk_seconds.unwrap_or(usual.chunk_time),
            row_time: self.row_seconds.unwrap_or(usual.row_time),
            triggers,
            speed: self.speed.or(usual.speed),
            ..usual
        }
    }

    /// The options of each org: its file, its port, and its part of the directory of records.
    fn each(self) -> Vec<SimOptions> {
        let (files, port) = (self.org.clone(), self.port);
        let count = self.orgs.unwrap_or(files.len()).max(files.len()).max(1);
        let first = SimOptions::from(self);
        let of = |index: usize| {
            let mut options = first.clone();
            options.org = files.get(index).or(files.last()).cloned();
            let further = u16::try_from(index).unwrap_or(u16::MAX);
            if port != 0 {
                options.listen.set_port(port.saturating_add(further));
            }
            if index > 0 {
                let part = format!("org-{}", index + 1);
                options.state = options.state.map(|directory| directory.join(part));
            }
            options
        };
        (0..count).map(of).collect()
    }

    /// Takes the address to listen on from the environment, if it was not given.
    fn find_address(&mut self) -> io::Result<()> {
        if let (None, Ok(address)) = (self.listen, std::env::var(LISTEN)) {
            let address = address.parse().map_err(|_| {
                let message = format!("{LISTEN} must be an IP address, not {address}");
                io::Error::new(io::ErrorKind::InvalidInput, message)
            })?;
            self.listen = Some(address);
        }
        Ok(())
    }

    /// Serves a simulated Salesforce until ctrl-c or a signal to end. The first line of stdout is its
    /// address, a further line that of each further org, and stderr has a config for each.
    pub async fn run(mut self) -> ExitCode {
        let served = match self.find_address() {
            Ok(()) => serve(self.each()).await,
            Err(error) => Err(error),
        };
        match served {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("the simulator cannot run: {error}");
                ExitCode::FAILURE
            }
        }
    }
}

async fn serve(orgs: Vec<SimOptions>) -> io::Result<()> {
    let mut sims = Vec::with_capacity(orgs.len());
    for options in orgs {
        let (id, secret) = (options.client_id.clone(), options.client_secret.clone());
        let token = options.refresh_token.clone();
        let sandbox = options.sandbox;
        let sim = Sim::start(options).await?;
        writeln!(io::stdout(), "{}", sim.url())?;
        let config = json!({
            "client_id": id, "client_secret": secret, "refresh_token": token,
            "is_sandbox": sandbox, "login_url": sim.url(),
        });
        eprintln!("A config for it: {config}");
        sims.push(sim);
    }
    let ended = ended().await;
    for sim in &sims {
        sim.save();
    }
    ended
}

/// Waits for ctrl-c, or for the signal by which containers are stopped.
async fn ended() -> io::Result<()> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut stop = signal(SignalKind::terminate())?;
        tokio::select! {
            ended = tokio::signal::ctrl_c() => ended,
            _ = stop.recv() => Ok(()),
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        simulate: Simulate,
    }

    #[test]
    fn options_are_read_from_the_command_line() {
        let read = |line: &str| Line::try_parse_from(line.split(' '));
        let line = "sim --port 0 --seed 7 --job-seconds 1.5 --forget --fail-rate 0.05 \
                    --extra-objects 1200 --sandbox --listen 0.0.0.0";
        let options = SimOptions::from(read(line).unwrap().simulate);
        assert_eq!(
            (options.listen.to_string(), options.seed),
            ("0.0.0.0:0".to_owned(), 7)
        );
        assert_eq!(options.job_time, Duration::from_millis(1500));
        assert_eq!((options.forget, options.extra_objects), (true, 1200));
        assert!(options.contention.is_none() && options.sandbox);
        assert!(options.device_flow && !options.rotate_refresh_token);
        let line = "sim --rotate --session-seconds 60 --app not-found --no-device-flow \
                    --signed-in a@b --redirect-uri http://localhost:1717/OauthRedirect";
        let options = SimOptions::from(read(line).unwrap().simulate);
        assert!(options.rotate_refresh_token && !options.device_flow);
        assert_eq!(options.token_lifetime, Some(Duration::from_secs(60)));
        assert_eq!(options.app, crate::AppPolicy::NotFound);
        assert_eq!(options.signed_in.as_deref(), Some("a@b"));
        assert_eq!(
            options.redirect_uris,
            ["http://localhost:1717/OauthRedirect"]
        );
        let line = "sim --contention --slots 3 --chunk-seconds 2 --trigger Contact --speed 60";
        let options = SimOptions::from(read(line).unwrap().simulate);
        let contention = options.contention.unwrap();
        assert_eq!((contention.slots, contention.speed), (3, Some(60.0)));
        assert_eq!(contention.chunk_time, Duration::from_secs(2));
        assert_eq!(contention.row_time, Duration::from_millis(5));
        assert_eq!(contention.triggers, ["Contact"]);
        let line = "sim --profile busy --slots 3 --speed 60 --fail-rate 0.5";
        let options = SimOptions::from(read(line).unwrap().simulate);
        let contention = options.contention.unwrap();
        assert_eq!((contention.slots, contention.speed), (3, Some(60.0)));
        assert!(contention.real_time && contention.chunk_time == Duration::from_secs(1));
        assert_eq!((options.fail_rate, options.other_batches), (0.5, 5_000));
        let file = std::env::temp_dir().join(format!("faults-{}.json", std::process::id()));
        std::fs::write(&file, r#"[{"calls":["poll"],"do":{"close":{}}}]"#).unwrap();
        let line = format!("sim --org x.json --faults {}", file.display());
        let options = SimOptions::from(read(&line).unwrap().simulate);
        std::fs::remove_file(file).unwrap();
        assert_eq!(
            (options.org, options.faults.len()),
            (Some("x.json".into()), 1)
        );
        let line = "sim --port 9000 --org a.json --org b.json --orgs 3 --keep kept --data A=a.csv";
        let orgs = read(line).unwrap().simulate.each();
        let shown = orgs.iter().map(|options| {
            let paths = [&options.org, &options.state].map(|path| path.clone().unwrap());
            (
                options.listen.port(),
                paths.map(|path| path.display().to_string()),
            )
        });
        let shown: Vec<(u16, [String; 2])> = shown.collect();
        let part = |port, org: &str, state: &str| (port, [org, state].map(str::to_owned));
        assert_eq!(
            shown,
            [
                part(9000, "a.json", "kept"),
                part(9001, "b.json", "kept/org-2"),
                part(9002, "b.json", "kept/org-3"),
            ]
        );
        assert_eq!(orgs[0].data["A"], PathBuf::from("a.csv"));
        assert_eq!(read("sim --port 0").unwrap().simulate.each().len(), 1);
        for line in [
            "sim --job-seconds -1",
            "sim --fail-rate 5",
            "sim --faults /none",
            "sim --slots 3",
            "sim --contention --slots 0",
            "sim --orgs 0",
            "sim --data A",
            "sim --keep kept --forget",
            "sim --profile none",
            "sim --contention --speed 0",
        ] {
            assert_eq!(read(line).unwrap_err().exit_code(), 2, "{line}");
        }
    }
}
