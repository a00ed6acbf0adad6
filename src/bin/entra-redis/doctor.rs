//! `entra-redis doctor`: what is wrong between this machine and a cache, and the one next thing to do about it.

use crate::{
    credential::{self, Kind},
    failure::Failure,
    settings::variable,
    terminal::{self, Colour, Screen},
};
use clap::{Args, ValueEnum};
use entra_redis::{
    Credential, Tls, Topology,
    doctor::{Doctor, Place, Report, State, Step, Verdict},
};
use serde_json::to_string;
use std::{
    io::{Write, stdout},
    path::PathBuf,
    process::ExitCode,
};

/// Says what is wrong between this machine and a cache, and the one next thing to do about it.
///
/// It walks the whole way: the settings and the credential that they mean, a token, DNS, TCP, TLS, the login, the
/// cluster policy and its nodes' ports, a write, a read and a DEL of a key of its own, a hundred PINGs, a second AUTH
/// on the live connection. It stops at nothing that can still be told, takes half a minute at most, and shows no
/// secret. A token is sent only over a connection whose certificate was verified.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
#[allow(clippy::struct_excessive_bools, reason = "each is an option of the command line")]
pub(crate) struct Options {
    /// The cache's host name; by default that of `REDIS_HOST`, `REDIS_URL` or `AZURE_REDIS_HOST`.
    #[arg(long)]
    host: Option<String>,
    /// Its port; by default that of `REDIS_URL` or `REDIS_PORT`, or 10000.
    #[arg(long)]
    port: Option<u16>,
    /// The kind of credential; by default the one that the environment describes.
    #[arg(long, value_enum)]
    credential: Option<Kind>,
    /// The Redis user name; by default the token's object id.
    #[arg(long, value_name = "NAME")]
    username: Option<String>,
    /// CA certificates to trust, in PEM; by default `REDIS_CA_CERT`, or those of the operating system.
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// The name that the certificate is verified by; by default the host name.
    #[arg(long, value_name = "NAME")]
    server_name: Option<String>,
    /// What `Config::topology` is set to.
    #[arg(long, value_enum, default_value_t = Policy::Auto)]
    topology: Policy,
    /// Speaks RESP2, as with `Config::protocol(ProtocolVersion::RESP2)`.
    #[arg(long)]
    resp2: bool,
    /// What keys begin with, where the access policy is limited to some.
    #[arg(long, value_name = "PREFIX")]
    key_prefix: Option<String>,
    /// Writes nothing: the access policy is meant for reading.
    #[arg(long)]
    read_only: bool,
    /// One JSON object on standard output.
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  entra-redis doctor                            the cache and the credential of REDIS_HOST and the AZURE_* variables
  entra-redis doctor --host NAME.REGION.redis.azure.net --credential az
                                                your own account, as on a laptop
  entra-redis doctor --json | jq -r '.steps[] | select(.cause) | .next'
                                                what to do, for a script

Exit status, and `verdict` of --json: 0 `well`, 1 `broken`, 2 `unknown` (not everything could be looked at). Each of
`steps` has a `step`, a `state` (`ok`, `warning`, `failed`, `not_reached`), a `detail`, a `cause`, which is a stable name
or null, and a `next` command or null. What each cause means is in the guide, src/guide/doctor.md.";

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Policy {
    /// The server is asked
    Auto,
    /// One endpoint
    SingleEndpoint,
    /// A cluster
    OssCluster,
}

/// Where people keep access keys, in variables.
const ACCESS_KEYS: [&str; 8] = [
    "REDIS_PASSWORD",
    "REDIS_ACCESS_KEY",
    "REDIS_KEY",
    "REDIS_AUTH",
    "REDISCLI_AUTH",
    "AZURE_REDIS_PASSWORD",
    "AZURE_REDIS_ACCESSKEY",
    "AZURE_REDIS_CONNECTIONSTRING",
];

pub(crate) async fn run(options: &Options) -> Result<ExitCode, Failure> {
    let doctor = options.doctor();
    let screen = terminal::of_output();
    let mut written = Ok(());
    let stop = async { _ = terminal::interrupted().await };
    let report = doctor
        .examine(stop, |step| {
            if !options.json && written.is_ok() {
                written = tell(screen, step);
            }
        })
        .await;
    written?;
    if options.json {
        let report = to_string(&report).map_err(|error| Failure::new("cannot write the report as JSON", error))?;
        writeln!(stdout(), "{report}")?;
    } else {
        conclude(screen, &report)?;
    }
    Ok(ExitCode::from(match report.verdict {
        Verdict::Well => 0,
        Verdict::Broken => 1,
        _ => 2,
    }))
}

impl Options {
    fn doctor(&self) -> Doctor {
        let place = Place::find(self.host.as_deref(), self.port, variable);
        let credential = self.credential.map_or_else(Credential::from_env, credential::of_kind);
        let mut doctor = Doctor::new(place, credential).with_username(self.username.as_deref());
        let ca_file = self.ca_file.clone().or_else(|| variable("REDIS_CA_CERT").map(PathBuf::from));
        let mut tls = ca_file.map_or_else(Tls::new, |file| Tls::new().ca_file(file));
        if let Some(name) = &self.server_name {
            tls = tls.server_name(name);
        }
        doctor.tls = tls;
        doctor.topology = match self.topology {
            Policy::Auto => Topology::Auto,
            Policy::SingleEndpoint => Topology::SingleEndpoint,
            Policy::OssCluster => Topology::OssCluster,
        };
        (doctor.resp2, doctor.read_only) = (self.resp2, self.read_only);
        doctor.key_prefix = self.key_prefix.clone().unwrap_or_default();
        doctor.options = self.given();
        doctor.access_keys =
            ACCESS_KEYS.iter().filter(|name| variable(name).is_some()).map(|name| (*name).to_owned()).collect();
        doctor
    }

    /// The options as they were given, for the commands that are proposed.
    fn given(&self) -> Vec<(&'static str, String)> {
        let name = |value: &dyn Fn() -> Option<clap::builder::PossibleValue>| value().map(|v| v.get_name().to_owned());
        let flag = |given: bool| given.then(|| "yes".to_owned());
        let topology = (self.topology != Policy::Auto).then_some(self.topology);
        [
            ("--credential", self.credential.and_then(|kind| name(&|| kind.to_possible_value()))),
            ("--ca-file", self.ca_file.as_ref().map(|file| file.display().to_string())),
            ("--server-name", self.server_name.clone()),
            ("--topology", topology.and_then(|topology| name(&|| topology.to_possible_value()))),
            ("--resp2", flag(self.resp2)),
            ("--key-prefix", self.key_prefix.clone()),
            ("--read-only", flag(self.read_only)),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .collect()
    }
}

fn tell(screen: Screen, step: &Step) -> std::io::Result<()> {
    let (colour, mark) = match step.state {
        State::Ok => (Colour::Green, "✓"),
        State::Warning => (Colour::Yellow, "!"),
        State::Failed => (Colour::Red, "✗"),
        _ => (Colour::Grey, "-"),
    };
    let mut out = stdout();
    let cause = step.cause.map_or_else(String::new, |cause| format!("{}: ", screen.paint(colour, cause)));
    writeln!(out, "{} {:<12} {cause}{}", screen.paint(colour, mark), step.step, step.detail)?;
    if let Some(next) = &step.next {
        writeln!(out, "{:15}next: {}", "", screen.paint(Colour::Cyan, next))?;
    }
    out.flush()
}

fn conclude(screen: Screen, report: &Report) -> std::io::Result<()> {
    let warnings = report.steps.iter().filter(|step| step.state == State::Warning).count();
    let (colour, text) = match report.verdict {
        Verdict::Well if warnings == 0 => (Colour::Green, "All is well.".to_owned()),
        Verdict::Well => (Colour::Yellow, "It works; what is marked with ! should be known.".to_owned()),
        Verdict::Broken => {
            let first = report.steps.iter().find(|step| step.state == State::Failed).map_or("", |step| step.step);
            (Colour::Red, format!("It does not work: begin with the first ✗, {first}."))
        }
        _ => (Colour::Yellow, "Nothing has failed, and not everything could be looked at.".to_owned()),
    };
    writeln!(stdout(), "\n{}", screen.paint(colour, &text))
}
