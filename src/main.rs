//! The binary: an Airbyte destination, and a simulated Salesforce.

mod cli;

use std::process::ExitCode;

use arrow_salesforce::airbyte;

use cli::{Cli, Task};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

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
        Task::Airbyte(command) => runtime.block_on(airbyte::run(command)),
        #[cfg(feature = "sim")]
        Task::Simulate(_) => ExitCode::FAILURE,
    };
    // Tasks that are still there wait for something that no longer matters.
    runtime.shutdown_background();
    code
}
