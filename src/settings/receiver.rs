//! Settings of the receiver: resolved once, all mistakes at once.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use crate::model::problem::Problem;
use crate::settings::network::Network;
use crate::settings::typed::{address, choice, kept, networks, typed};
use crate::settings::{Common, LogFormat, ProcessEnvironment};

/// Arguments of `osier receiver`, as typed: what is wrong with them is said at once, not one by one.
#[derive(Args, Clone, Debug)]
pub struct Arguments {
    /// Address of the webhooks, `/hooks/REPOSITORY`; TLS is for what stands before it.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8090")]
    pub webhooks: String,
    /// Networks of the proxies that stand before it, such as `10.0.0.0/8`: whom they name in `X-Forwarded-For` is who calls.
    #[arg(long, value_name = "NETWORKS", default_value = "")]
    pub proxies: String,
    /// Address of `/livez`, `/readyz` and `/metrics`.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    pub listen: String,
    /// Write logs as `text` or `json`.
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub log_format: String,
}

impl Arguments {
    /// The format of logs, which begin before the settings are resolved; text if it is not known.
    pub fn log_format(&self) -> LogFormat {
        LogFormat::from_str(&self.log_format, false).unwrap_or_default()
    }
}

/// Settings of the receiver, as they hold until it ends. None of them is a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceiverSettings {
    /// Path of the kubeconfig; `None` as kubectl would find it, or from within a pod.
    pub kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig.
    pub context: Option<String>,
    /// Longest time for one request to the API server.
    pub request_timeout: Duration,
    /// The one Repository to hear of; all without it.
    pub repository: Option<String>,
    /// Address of the webhooks.
    pub webhooks: SocketAddr,
    /// Networks of the proxies that stand before it.
    pub proxies: Vec<Network>,
    /// Address of the probes.
    pub listen: SocketAddr,
    /// How logs are written.
    pub log_format: LogFormat,
    /// Which logs, in the language of `OSIER_LOG`.
    pub log: Option<String>,
}

impl ReceiverSettings {
    /// Resolves the arguments.
    ///
    /// # Errors
    /// All that cannot be used, each with what to do; the path of each is the argument.
    pub fn resolve(common: &Common, process: &ProcessEnvironment, arguments: &Arguments) -> Result<Self, Vec<Problem>> {
        let Arguments { webhooks, proxies, listen, log_format } = arguments;
        let mut problems = Vec::new();
        let resolved = (
            kept(&mut problems, address("--webhooks", webhooks)),
            kept(&mut problems, networks("--proxies", proxies)),
            kept(&mut problems, address("--listen", listen)),
            kept(&mut problems, choice::<LogFormat>("--log-format", log_format)),
        );
        let (Some(webhooks), Some(proxies), Some(listen), Some(log_format)) = resolved else { return Err(problems) };
        Ok(Self {
            kubeconfig: common.kubeconfig.clone(),
            context: common.context.clone(),
            request_timeout: Duration::from_secs(common.request_timeout),
            repository: common.repository.clone(),
            webhooks,
            proxies,
            listen,
            log_format,
            log: process.get("OSIER_LOG").map(str::to_owned),
        })
    }

    /// All of them, for people and programs.
    pub fn json(&self) -> Value {
        let Self { kubeconfig, context, request_timeout, repository, webhooks, proxies, listen, log_format, log } =
            self;
        let proxies: Vec<String> = proxies.iter().map(Network::to_string).collect();
        json!({
            "kubeconfig": kubeconfig, "context": context, "requestTimeout": request_timeout.as_secs(),
            "repository": repository, "webhooks": webhooks, "proxies": proxies, "listen": listen, "logFormat": typed(log_format), "log": log,
        })
    }
}
