//! The binary `arrow-salesforce`: any file or query into Salesforce in one command.
//!
//! A face of the engine. `cli` is what may be typed, `spec` a load as it is described by flags or by a
//! file (`typed`); `input` opens files, `sql` makes rows of them, `mapping` fills fields with columns,
//! `readings` finds how people wrote their values; `export` is where records go that leave an org; `orgs`
//! are those that a person is logged in to; `commands` does what was asked for, `run` keeps what is
//! needed to go on, `watch` shows it.

mod cli;
mod commands;
mod credentials;
mod error;
mod export;
mod guard;
mod input;
mod login;
mod mapping;
mod orgs;
mod parquet_file;
mod readings;
mod records;
mod rejects;
mod run;
mod spec;
mod sql;
mod typed;
mod undo;
mod watch;

use std::process::ExitCode;

use clap::Parser as _;

use cli::Cli;

/// Batches come and go by hundreds of megabytes on several threads: measured, jemalloc keeps the
/// least of what was freed. `.cargo/config.toml` says how long.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Most threads for work that blocks.
const BLOCKING_THREADS: usize = 16;

fn main() -> ExitCode {
    let cli = Cli::parse();
    watch::install_log();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .max_blocking_threads(BLOCKING_THREADS)
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("threads cannot be started: {error}");
            return ExitCode::FAILURE;
        }
    };
    let code = runtime.block_on(commands::run(cli));
    // Tasks that are still there wait for something that no longer matters.
    runtime.shutdown_background();
    code
}
