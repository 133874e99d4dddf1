//! The binary: an Airbyte destination, and a simulated Salesforce.

mod cli;

use std::process::ExitCode;

use cli::{Cli, Task};

/// Batches come and go by hundreds of megabytes on several threads: measured, jemalloc keeps the
/// least of what was freed. `.cargo/config.toml` says how long.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Most threads for work that blocks. 200 streams that begin at once would start one each, and all would
/// stay: measured, 25 MiB.
const BLOCKING_THREADS: usize = 16;

fn main() -> ExitCode {
    let task = Cli::read().task();
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
    let code = match task {
        Task::Airbyte(command) => runtime.block_on(destination_salesforce::run(command)),
        #[cfg(feature = "sim")]
        Task::Simulate(options) => runtime.block_on(options.run()),
    };
    // Tasks that are still there wait for something that no longer matters.
    runtime.shutdown_background();
    code
}
