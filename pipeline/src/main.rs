//! The binary: arguments, threads, one command, an exit code.

use std::process::ExitCode;

use clap::Parser;
use marginalia::cli::Cli;
use marginalia::console::Console;
use marginalia::error::exit_code;
use marginalia::report::LogWriter;
use marginalia::{cluster, memory};
use tracing_subscriber::EnvFilter;

/// Training allocates and frees megabytes at every operator; glibc would trim and fault them each time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Threads for calls that block: enough for every writer to wait for a lock while files are read. Each keeps memory of its
/// own, and a table read row by row would soon have started hundreds.
const BLOCKING_THREADS: usize = 32;

fn main() -> ExitCode {
    memory::give_back_soon();
    let cli = Cli::parse();
    let filter = EnvFilter::try_from_env("MARGINALIA_LOG").unwrap_or_else(|_| EnvFilter::new("warn,marginalia=info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(LogWriter::stderr).with_target(false).init();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_stack_size(16 << 20)
        .max_blocking_threads(BLOCKING_THREADS)
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: the async runtime does not start: {error}");
            return ExitCode::FAILURE;
        }
    };
    let console = Console { corpus: cli.corpus, json: cli.json, ..Console::default() };
    let ended = runtime.block_on(async {
        let ended = cli.command.run(&console).await;
        cluster::settle().await;
        ended
    });
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(exit_code(&error))
        }
    }
}
