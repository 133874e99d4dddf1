//! The binary: an Airbyte destination, and a simulated Salesforce.

mod cli;

#[cfg(feature = "sim")]
use std::io::{self, Write as _};
use std::process::ExitCode;

#[cfg(feature = "sim")]
use salesforce_sim::{Sim, SimOptions};

use cli::{Cli, Task};

/// Batches come and go by hundreds of megabytes on several threads: measured, jemalloc keeps the
/// least of what was freed. `.cargo/config.toml` says how long.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let task = Cli::read().task();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("threads cannot be started: {error}");
            return ExitCode::FAILURE;
        }
    };
    let code = match task {
        Task::Airbyte(command) => runtime.block_on(destination_salesforce::run(command)),
        #[cfg(feature = "sim")]
        Task::Simulate(options) => runtime.block_on(simulate(options)),
    };
    // Tasks that are still there wait for something that no longer matters.
    runtime.shutdown_background();
    code
}

/// Serves a simulated Salesforce until ctrl-c; its address is the first line of stdout, and stderr
/// has a config for it.
#[cfg(feature = "sim")]
async fn simulate(options: cli::Simulate) -> ExitCode {
    match serve(options.into()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("the simulator cannot run: {error}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(feature = "sim")]
async fn serve(options: SimOptions) -> io::Result<()> {
    let (id, secret) = (options.client_id.clone(), options.client_secret.clone());
    let token = options.refresh_token.clone();
    let sim = Sim::start(options).await?;
    writeln!(io::stdout(), "{}", sim.url())?;
    let config = serde_json::json!({
        "client_id": id, "client_secret": secret, "refresh_token": token, "is_sandbox": false,
        "login_url": sim.url(),
    });
    eprintln!("A config for it: {config}");
    tokio::signal::ctrl_c().await
}
