//! Tokens: who may come in from outside, and as what.
//!
//! In: a name and a role. Out: a token, said once and never stored, and later the answer whether one that is shown is
//! good. A token is its id and 192 random bits, of which the table holds an argon2id hash (RFC 9106). That takes tens
//! of milliseconds, which no request should pay: a token that was good once is known again by a fast hash in memory.
//! PostgreSQL's clients prove that they know it without sending it (SCRAM-SHA-256, RFC 5802); what the server needs for
//! that is stored as well, and is worth as much as the token to whoever reads it, but only to log in that way: to read
//! what a reader of the table's files can read already. Revoking is a row, too.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, PoisonError};

use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use tokio::sync::Mutex;

use crate::columns::Timestamp;
use crate::corpus::Corpus;
use crate::error::{Error, Result};
use crate::snapshot::read_all;
use crate::table::TableId;
use crate::tables::tokens::Token;

/// What every token starts with, so that people and secret scanners know one when they see it.
const PREFIX: &str = "mrg_";
/// Random bytes of a token, after its id.
const SECRET_BYTES: usize = 24;
/// Rounds of PBKDF2: the fewest that RFC 7677 allows.
pub const SCRAM_ITERATIONS: u32 = 4096;
/// Random bytes of a salt.
pub const SALT_BYTES: usize = 16;
/// Random bytes of an id.
const ID_BYTES: usize = 4;
/// Longest name; PostgreSQL's clients cut off the rest.
const NAME_BYTES: usize = 63;

/// What a token's holder may do; each may do what the one before may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Reads: SQL, pages.
    Reader,
    /// Labels.
    Annotator,
    /// Adds faces, starts rounds.
    Admin,
}

impl Role {
    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Reader => "reader",
            Self::Annotator => "annotator",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Role {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let role = [Self::Reader, Self::Annotator, Self::Admin].into_iter().find(|role| role.name() == text);
        role.ok_or_else(|| Error::NoSuchRole(text.to_owned()))
    }
}

/// What a server must know of a password for SCRAM-SHA-256.
#[derive(Clone, PartialEq, Eq)]
pub struct Scram {
    /// Random bytes.
    pub salt: Vec<u8>,
    /// Rounds of PBKDF2.
    pub iterations: u32,
    /// What they make of the password, 32 bytes.
    pub salted_password: Vec<u8>,
}

impl fmt::Debug for Scram {
    // What lets people in is in no log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scram").field("iterations", &self.iterations).finish_non_exhaustive()
    }
}

/// A token as the corpus knows it.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Grant {
    /// Its id.
    pub token_id: String,
    /// Whom it is for.
    pub name: String,
    /// What it allows.
    pub role: Role,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was taken back; none while it is good.
    pub revoked_at: Option<Timestamp>,
    /// For clients that prove they know it.
    #[serde(skip)]
    pub scram: Option<Scram>,
    /// argon2id, in the form of the PHC.
    #[serde(skip)]
    pub(crate) hash: Option<String>,
}

/// The grants as of the newest version of their table.
#[derive(Default)]
pub(crate) struct Grants {
    read: Mutex<Option<(u64, Arc<Vec<Grant>>)>>,
    /// BLAKE3 of the tokens that were found good, by their ids.
    good: std::sync::Mutex<HashMap<String, blake3::Hash>>,
    /// Slow hashes are made one after the other, whoever tries how often.
    hashing: Mutex<()>,
}

impl Grants {
    /// Whether the table has the hash of this token.
    async fn is_good(&self, grant: &Grant, token: &str) -> Result<bool> {
        let (id, fast) = (&grant.token_id, blake3::hash(token.as_bytes()));
        let good = || self.good.lock().unwrap_or_else(PoisonError::into_inner);
        if good().get(id) == Some(&fast) {
            return Ok(true);
        }
        let _turn = self.hashing.lock().await;
        let (hash, token) = (grant.hash.clone().unwrap_or_default(), token.to_owned());
        let is_good = tokio::task::spawn_blocking(move || is_hash_of(&hash, &token)).await;
        let is_good = is_good.map_err(|error| Error::Internal { what: format!("a token's hash: {error}") })?;
        if is_good {
            good().insert(id.clone(), fast);
        }
        Ok(is_good)
    }
}

impl Corpus {
    /// Makes a token; `salted_password` is PBKDF2 of SCRAM-SHA-256 over a password, a salt and a number of iterations.
    /// Returns the token with its grant: it cannot be had again.
    ///
    /// # Errors
    /// [`Error::TokenName`], and [`Error::TokenExists`] while one of this name is good.
    pub async fn create_token(
        &self,
        name: &str,
        role: Role,
        salted_password: impl FnOnce(&str, &[u8], u32) -> Vec<u8>,
    ) -> Result<(Grant, String)> {
        if !is_name(name) {
            return Err(Error::TokenName { name: name.to_owned() });
        }
        if self.grant_named(name).await?.is_some() {
            return Err(Error::TokenExists { name: name.to_owned() });
        }
        let (row, token) = made(name, role, self.log().now(), salted_password)?;
        let grant = grant(&row)?;
        self.writer::<Token>().append(vec![row]).await?;
        Ok((grant, token))
    }

    /// Makes a new token in place of the good one of this name, with its role: in one commit the new one is good and
    /// the old one is not. Returns as [`Corpus::create_token`] does.
    ///
    /// # Errors
    /// [`Error::NoSuchToken`] where none is good.
    pub async fn rotate_token(
        &self,
        name: &str,
        salted_password: impl FnOnce(&str, &[u8], u32) -> Vec<u8>,
    ) -> Result<(Grant, String)> {
        let old = self.grant_named(name).await?.ok_or_else(|| Error::NoSuchToken { token: name.to_owned() })?;
        let now = self.log().now();
        let (row, token) = made(name, old.role, now, salted_password)?;
        let grant = grant(&row)?;
        self.writer::<Token>().append(vec![row, revocation(&old, now)]).await?;
        Ok((grant, token))
    }

    /// Every token there ever was, oldest first.
    pub async fn grants(&self) -> Result<Arc<Vec<Grant>>> {
        let table = self.log().latest(TableId::Tokens).await?;
        let version = table.version().version;
        let mut read = self.known_grants().read.lock().await;
        if let Some((known, grants)) = &*read
            && *known == version
        {
            return Ok(grants.clone());
        }
        let grants = Arc::new(grants_of(read_all::<Token>(&table, None).await?)?);
        *read = Some((version, grants.clone()));
        Ok(grants)
    }

    /// The good token of this name.
    pub async fn grant_named(&self, name: &str) -> Result<Option<Grant>> {
        let grants = self.grants().await?;
        Ok(grants.iter().rev().find(|grant| grant.revoked_at.is_none() && grant.name == name).cloned())
    }

    /// What a token that was shown in full grants; none where it is unknown or was taken back.
    pub async fn grant_of(&self, token: &str) -> Result<Option<Grant>> {
        let Some(id) = token.strip_prefix(PREFIX).and_then(|digits| digits.get(..2 * ID_BYTES)) else {
            return Ok(None);
        };
        let grants = self.grants().await?;
        match grants.iter().find(|grant| grant.revoked_at.is_none() && grant.token_id == id) {
            Some(grant) if self.known_grants().is_good(grant, token).await? => Ok(Some(grant.clone())),
            _ => Ok(None),
        }
    }

    /// Takes back the good tokens of this name, or the one of this id; returns them.
    ///
    /// # Errors
    /// [`Error::NoSuchToken`] where none is good.
    pub async fn revoke_token(&self, name_or_id: &str) -> Result<Vec<Grant>> {
        let good = |grant: &&Grant| grant.revoked_at.is_none();
        let meant = |grant: &&Grant| grant.name == name_or_id || grant.token_id == name_or_id;
        let mut revoked: Vec<Grant> = self.grants().await?.iter().filter(good).filter(meant).cloned().collect();
        if revoked.is_empty() {
            return Err(Error::NoSuchToken { token: name_or_id.to_owned() });
        }
        let now = self.log().now();
        self.writer::<Token>().append(revoked.iter().map(|grant| revocation(grant, now)).collect()).await?;
        revoked.iter_mut().for_each(|grant| grant.revoked_at = Some(now));
        Ok(revoked)
    }
}

/// A new token, and the row that makes it.
fn made(
    name: &str,
    role: Role,
    now: Timestamp,
    salted_password: impl FnOnce(&str, &[u8], u32) -> Vec<u8>,
) -> Result<(Token, String)> {
    let token_id = new_id();
    let token = format!("{PREFIX}{token_id}{}", hex(&rand::random::<[u8; SECRET_BYTES]>()));
    let salt = rand::random::<[u8; SALT_BYTES]>();
    let row = Token {
        token_id,
        name: name.to_owned(),
        role: Some(role.name().to_owned()),
        hash: Some(hash_of(&token)?),
        scram_salt: Some(hex(&salt)),
        scram_iterations: Some(SCRAM_ITERATIONS),
        scram_salted_password: Some(hex(&salted_password(&token, &salt, SCRAM_ITERATIONS))),
        created_at: now,
        revokes: None,
    };
    Ok((row, token))
}

/// The row that takes a token back.
fn revocation(grant: &Grant, now: Timestamp) -> Token {
    Token {
        token_id: new_id(),
        name: grant.name.clone(),
        role: None,
        hash: None,
        scram_salt: None,
        scram_iterations: None,
        scram_salted_password: None,
        created_at: now,
        revokes: Some(grant.token_id.clone()),
    }
}

/// Usable as a user name of SQL clients and in a connection URI, unquoted.
fn is_name(name: &str) -> bool {
    let good = |c: char| c.is_ascii_alphanumeric() || "._-@".contains(c);
    name.len() <= NAME_BYTES && name.chars().all(good) && name.starts_with(|c: char| c.is_ascii_alphanumeric())
}

/// argon2id with the parameters that RFC 9106 and OWASP name for servers: 19 MiB, two passes.
fn argon2id() -> Argon2<'static> {
    Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::DEFAULT)
}

fn hash_of(token: &str) -> Result<String> {
    let failed = |error| Error::Internal { what: format!("a token cannot be hashed: {error}") };
    let salt = SaltString::encode_b64(&rand::random::<[u8; SALT_BYTES]>()).map_err(failed)?;
    Ok(argon2id().hash_password(token.as_bytes(), &salt).map_err(failed)?.to_string())
}

fn is_hash_of(hash: &str, token: &str) -> bool {
    PasswordHash::new(hash).is_ok_and(|hash| argon2id().verify_password(token.as_bytes(), &hash).is_ok())
}

fn new_id() -> String {
    hex(&rand::random::<[u8; ID_BYTES]>())
}

/// Rows that make tokens and rows that take them back, put together.
fn grants_of(mut rows: Vec<Token>) -> Result<Vec<Grant>> {
    rows.sort_by_key(|row| row.created_at);
    let mut grants = rows.iter().filter(|row| row.revokes.is_none()).map(grant).collect::<Result<Vec<_>>>()?;
    for row in &rows {
        if let Some(grant) = grants.iter_mut().find(|grant| row.revokes.as_ref() == Some(&grant.token_id)) {
            grant.revoked_at.get_or_insert(row.created_at);
        }
    }
    Ok(grants)
}

fn grant(row: &Token) -> Result<Grant> {
    let scram = |salt: &str, iterations, password: &str| {
        Some(Scram { salt: bytes(salt)?, iterations, salted_password: bytes(password)? })
    };
    Ok(Grant {
        token_id: row.token_id.clone(),
        name: row.name.clone(),
        role: row.role.as_deref().unwrap_or_default().parse()?,
        created_at: row.created_at,
        revoked_at: None,
        scram: match (&row.scram_salt, row.scram_iterations, &row.scram_salted_password) {
            (Some(salt), Some(iterations), Some(password)) => scram(salt, iterations, password),
            _ => None,
        },
        hash: row.hash.clone(),
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bytes that a hexadecimal text stands for.
fn bytes(hex: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = hex.chars().map(|c| Some(c.to_digit(16)? as u8)).collect();
    Some(digits?.chunks(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit)).collect())
}
