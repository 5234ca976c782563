//! `token`: who may come in from outside.

use datafusion_postgres::pgwire::api::auth::sasl::scram::gen_salted_password;
use marginalia_store::{Grant, Role};
use serde_json::json;

use crate::console::{Console, Opened};
use crate::error::Result;
use crate::tables::table;

/// Arguments of `token`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to do
    #[command(subcommand)]
    pub what: What,
}

/// What can be done with tokens.
#[derive(Debug, clap::Subcommand)]
pub enum What {
    /// Make a token; it is shown once
    Create {
        /// Whom it is for: the user name of SQL clients
        name: String,
        /// What it allows: reader (SQL), annotator (labels too) or admin (everything)
        #[arg(long, value_name = "reader|annotator|admin")]
        role: Role,
    },
    /// Make a new token in place of the one of this name, which is good no more from then on; it is shown once
    Rotate {
        /// Whose
        name: String,
    },
    /// Show which there are; never the tokens themselves
    List,
    /// Take back the token of this name or id; connections that use it end with their next statement
    Revoke {
        /// Name or id
        #[arg(value_name = "NAME|ID")]
        token: String,
    },
}

/// Runs `token`.
pub async fn run(args: Args, console: &Console) -> Result<()> {
    let opened = console.open().await?;
    match args.what {
        What::Create { name, role } => create(&opened, console, &name, role).await,
        What::Rotate { name } => rotate(&opened, console, &name).await,
        What::List => list(&opened, console).await,
        What::Revoke { token } => revoke(&opened, console, &token).await,
    }
}

async fn create(opened: &Opened, console: &Console, name: &str, role: Role) -> Result<()> {
    let (grant, token) = opened.corpus.create_token(name, role, salted).await?;
    opened.note("token_created", Some(name.to_owned()), Some(format!("{role}, {}", grant.token_id))).await?;
    show(console, &grant, &token)
}

async fn rotate(opened: &Opened, console: &Console, name: &str) -> Result<()> {
    let (grant, token) = opened.corpus.rotate_token(name, salted).await?;
    opened.note("token_rotated", Some(name.to_owned()), Some(format!("{}, {}", grant.role, grant.token_id))).await?;
    show(console, &grant, &token)
}

/// PBKDF2 of SCRAM-SHA-256.
fn salted(token: &str, salt: &[u8], iterations: u32) -> Vec<u8> {
    gen_salted_password(token, salt, iterations as usize)
}

/// The one time that a token is shown.
fn show(console: &Console, grant: &Grant, token: &str) -> Result<()> {
    let Grant { token_id, name, role, .. } = grant;
    let value = json!({ "token": token, "token_id": token_id, "name": name, "role": role });
    console.print(&value, |_| {
        eprintln!("the {role} token of {name}, id {token_id}; it is not stored and cannot be shown again:");
        token.to_owned()
    })
}

async fn list(opened: &Opened, console: &Console) -> Result<()> {
    let grants = opened.corpus.grants().await?;
    console.print(&*grants, |grants| {
        if grants.is_empty() {
            return "no token was ever made; `marginalia token create NAME --role reader` makes one".to_owned();
        }
        let rows = grants.iter().map(|grant| {
            let revoked = grant.revoked_at.map_or_else(|| "–".to_owned(), |at| at.to_string());
            let (id, role) = (grant.token_id.clone(), grant.role.to_string());
            vec![id, grant.name.clone(), role, grant.created_at.to_string(), revoked]
        });
        table(&["id", "name", "role", "made (UTC)", "revoked (UTC)"], &[], rows).to_string()
    })
}

async fn revoke(opened: &Opened, console: &Console, token: &str) -> Result<()> {
    let revoked = opened.corpus.revoke_token(token).await?;
    for grant in &revoked {
        opened.note("token_revoked", Some(grant.name.clone()), Some(grant.token_id.clone())).await?;
    }
    console.print(&revoked, |revoked: &Vec<Grant>| {
        let lines = revoked.iter().map(|grant| format!("token {} of {} is revoked", grant.token_id, grant.name));
        lines.collect::<Vec<_>>().join("\n")
    })
}
