//! Who a request is from, and what they may do.

use axum::http::StatusCode;
use marginalia_store::Actor;

use super::problem::Problem;
use crate::access::{Identity, Role};
use crate::error::Error;

/// The one who asks.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    /// None on this machine, where everybody may do everything under any name.
    identity: Option<Identity>,
}

impl Caller {
    /// Somebody on this machine.
    pub fn local() -> Self {
        Self { identity: None }
    }

    /// The bearer of a token.
    pub fn known(identity: Identity) -> Self {
        Self { identity: Some(identity) }
    }

    /// The name of the token, if there is one.
    pub fn name(&self) -> Option<&str> {
        self.identity.as_ref().map(|identity| identity.name.as_str())
    }

    /// What they may do.
    pub fn role(&self) -> Role {
        self.identity.as_ref().map_or(Role::Admin, |identity| identity.role)
    }

    /// They as the audit log names them.
    pub fn actor(&self) -> Actor {
        let name = self.name().unwrap_or("this machine").to_owned();
        Actor { name, role: self.role(), door: "http" }
    }

    /// Goes on only for those who have this role.
    pub fn require(&self, role: Role) -> Result<(), Problem> {
        match &self.identity {
            Some(identity) if identity.role < role => {
                let detail = format!("This takes the role {}; your token has {}.", role.name(), identity.role.name());
                Err(Problem::new(StatusCode::FORBIDDEN, "role", detail))
            }
            _ => Ok(()),
        }
    }

    /// The annotator a request speaks for: who is given, or the bearer of the token, who must be the same unless they may
    /// speak for others.
    pub fn annotator(&self, given: Option<&str>) -> Result<String, Problem> {
        self.require(Role::Annotator)?;
        let given = given.filter(|name| !name.trim().is_empty());
        match (&self.identity, given) {
            (None, Some(name)) => Ok(name.to_owned()),
            (None, None) => Err(Error::NoAnnotator.into()),
            (Some(identity), None) => Ok(identity.name.clone()),
            (Some(identity), Some(name)) if name == identity.name || identity.role == Role::Admin => {
                Ok(name.to_owned())
            }
            (Some(identity), Some(_)) => {
                let detail =
                    format!("Your token is for {}; leave the annotator out, or give that name.", identity.name);
                Err(Problem::new(StatusCode::FORBIDDEN, "other_annotator", detail))
            }
        }
    }
}
