//! Who may ask for what.
//!
//! On loopback everybody who can reach the port is the machine's own user, and may do everything. Beyond it nobody is
//! answered without a token; the corpus knows the tokens.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use marginalia_store::Corpus;
pub use marginalia_store::Role;

use crate::error::{Error, Result};

/// The bearer of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Name, which their judgements get.
    pub name: String,
    /// What they may do.
    pub role: Role,
}

/// Knows the tokens.
#[async_trait]
pub trait Access: Send + Sync + 'static {
    /// Who bears this token; none where nobody does, or it was revoked. Asked at every request: it should be quick, and
    /// must compare in constant time.
    async fn bearer(&self, token: &str) -> Result<Option<Identity>>;
}

#[async_trait]
impl Access for Corpus {
    async fn bearer(&self, token: &str) -> Result<Option<Identity>> {
        let grant = self.grant_of(token).await?;
        Ok(grant.map(|grant| Identity { name: grant.name, role: grant.role }))
    }
}

/// How requests are let through.
#[derive(Clone)]
pub enum Gate {
    /// Those from this machine, to a name of this machine, by no page of another site.
    Loopback,
    /// Those with a token.
    Tokens(Arc<dyn Access>),
}

impl Gate {
    /// The gate for an address: open on loopback, with tokens beyond it.
    ///
    /// # Errors
    /// [`Error::NeedsTokens`] for an address that others can reach while there are no tokens.
    pub fn of(address: SocketAddr, access: Option<Arc<dyn Access>>) -> Result<Self> {
        match access {
            _ if address.ip().is_loopback() => Ok(Self::Loopback),
            Some(access) => Ok(Self::Tokens(access)),
            None => Err(Error::NeedsTokens { address }),
        }
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Loopback => "Loopback",
            Self::Tokens(_) => "Tokens",
        })
    }
}
