//! L4: parse, run, print the error, exit code.

use std::process::ExitCode;

use clap::Parser;

use osier::cli::{self, Cli};
use osier::settings::ProcessEnvironment;
use osier::telemetry;

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let process = ProcessEnvironment::read();
    telemetry::start(cli.verbose(), process.get("OSIER_LOG"), cli.log_format());
    match cli::run(cli, process).await {
        Ok(finding) => ExitCode::from(finding.code()),
        Err(failure) => {
            anstream::eprint!("{failure}");
            ExitCode::from(failure.code())
        }
    }
}
