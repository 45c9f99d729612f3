//! `lethe pki`: an authority, its certificates, and what one says.
//!
//! It must never print a key.

use anyhow::bail;
use chrono::{DateTime, Local, Utc};
use lethe_tls::authority::{Authority, Existing, Request};
use lethe_tls::{Identity, Material, Role, TlsError};
use serde_json::json;

use crate::arguments::{Format, Init, Issue, Pki, PkiCommand, ShowCertificate};
use crate::exit::{Ending, bad_input};

/// By what a coordinator on one's own machine is dialled.
const LOCAL: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

const DAY_S: i64 = 24 * 60 * 60;

pub fn run(arguments: &Pki) -> anyhow::Result<Ending> {
    match &arguments.command {
        PkiCommand::Init(init) => make(init),
        PkiCommand::Issue(issue) => certify(issue),
        PkiCommand::Show(show) => tell(show),
    }
}

fn make(Init { authority, days, output }: &Init) -> anyhow::Result<Ending> {
    Authority::create(authority, *days).map_err(explained)?;
    let folder = authority.display();
    if *output == Format::Json {
        let files = ["ca.crt", "ca.key"].map(|name| authority.join(name));
        println!("{:#}", json!({"certificate": files[0], "key": files[1], "days": days}));
        return Ok(Ending::Accepted);
    }
    println!(
        "{folder}/ca.crt is the authority; {folder}/ca.key is its key: keep it where no coordinator and no worker runs"
    );
    println!("next: lethe pki issue {folder} --role coordinator --name lethe-0 --host HOST --out FOLDER");
    Ok(Ending::Accepted)
}

fn certify(arguments: &Issue) -> anyhow::Result<Ending> {
    let Issue { authority, role, name, out, days, .. } = arguments;
    let identity = Identity::new(*role, name).map_err(|e| bad_input(e.to_string()))?;
    let hosts = match (role, arguments.host.is_empty()) {
        (Role::Coordinator, true) => LOCAL.map(str::to_owned).to_vec(),
        (Role::Coordinator, false) | (_, true) => arguments.host.clone(),
        (_, false) => return Err(bad_input(format!("nobody dials a {role}; --host is for coordinators"))),
    };
    let existing = if arguments.renew { Existing::Replace } else { Existing::Keep };
    let request = Request { identity: identity.clone(), hosts: hosts.clone(), days: *days };
    Authority::load(authority).and_then(|issuer| issuer.issue(&request, out, existing)).map_err(explained)?;
    if arguments.output == Format::Json {
        println!("{:#}", json!({"identity": identity.to_string(), "folder": out, "hosts": hosts, "days": days}));
        return Ok(Ending::Accepted);
    }
    println!("{identity}: tls.crt, tls.key and ca.crt lie in {}, for {days} days", out.display());
    println!("next: {}", next(*role, &out.display().to_string(), &hosts));
    Ok(Ending::Accepted)
}

fn next(role: Role, folder: &str, hosts: &[String]) -> String {
    match role {
        Role::Coordinator => {
            let host = hosts.first().map_or("HOST", String::as_str);
            format!("lethe-coordinator --tls {folder} --listen 0.0.0.0:7400 --advertise https://{host}:7400 ...")
        }
        Role::Worker => format!("lethe-worker --tls {folder} --coordinator https://HOST:7400 --id NAME"),
        Role::Admin | Role::Submitter | Role::Viewer => {
            format!("export LETHE_TLS={folder} LETHE_COORDINATOR=https://HOST:7400; lethe list")
        }
    }
}

fn tell(arguments: &ShowCertificate) -> anyhow::Result<Ending> {
    let material = Material::read(&arguments.folder).map_err(explained)?;
    let ends = DateTime::<Utc>::from_timestamp(material.ends_at_s(), 0).unwrap_or(DateTime::<Utc>::MAX_UTC);
    let days = (material.ends_at_s() - Utc::now().timestamp()).div_euclid(DAY_S);
    let identity = material.identity();
    let verdict = material.check();
    match arguments.output {
        Format::Text => {
            println!("name   {}", identity.name());
            println!("role   {}", identity.role());
            println!("ends   {} ({days} days)", ends.with_timezone(&Local).format("%Y-%m-%d %H:%M"));
        }
        Format::Json => {
            let error = verdict.as_ref().err().map(ToString::to_string);
            let json = json!({
                "name": identity.name(), "role": identity.role().name(), "ends_at": ends.to_rfc3339(), "days": days,
                "believed": error.is_none(), "reason": error,
            });
            println!("{json:#}");
        }
    }
    match verdict {
        Ok(()) => Ok(Ending::Accepted),
        Err(error) => bail!("{} is not believed by its own ca.crt: {error}", arguments.folder.display()),
    }
}

/// All of it is the user's to mend, but what the system refused.
fn explained(error: TlsError) -> anyhow::Error {
    match error {
        TlsError::Write { .. } | TlsError::Make(_) => error.into(),
        TlsError::Read { .. }
        | TlsError::Pem { .. }
        | TlsError::Identity { .. }
        | TlsError::Role { .. }
        | TlsError::Unfit { .. }
        | TlsError::NotBelieved { .. }
        | TlsError::Exists(_)
        | TlsError::Host(_) => bad_input(error.to_string()),
    }
}
