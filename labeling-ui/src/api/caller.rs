//! Who a request is from, and what they may do.

use std::borrow::Cow;

use axum::http::StatusCode;
use marginalia_store::Actor;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

use super::problem::Problem;
use crate::access::{Identity, Role};
use crate::error::Error;
use crate::judgement::NAME_CHARS;

/// The schema of the annotator that a query names; fields that hold one name it.
pub(super) struct Annotator;

impl JsonSchema for Annotator {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Annotator".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let description = "Who asks. With a token its bearer, and nobody else unless the bearer is an admin.";
        json_schema!({ "type": "string", "description": description, "maxLength": NAME_CHARS })
    }
}

/// A query that says no more than who asks.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Asker {
    #[schemars(with = "Option<Annotator>")]
    pub annotator: Option<String>,
}

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

    /// The bearer of the token, if there is one.
    pub fn identity(&self) -> Option<&Identity> {
        self.identity.as_ref()
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

    /// The annotator a request speaks for: who is given, or the bearer of the token, who must be the same unless they
    /// may speak for others.
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

    /// The annotator in whose eyes a face is looked at: what others said of it may be kept back from them. None for
    /// readers, who judge nothing, and for those who may do everything and name nobody.
    pub fn looker(&self, given: Option<&str>) -> Result<Option<String>, Problem> {
        let given = given.filter(|name| !name.trim().is_empty());
        match self.role() {
            Role::Reader => Ok(None),
            Role::Admin if given.is_none() => Ok(None),
            _ => self.annotator(given).map(Some),
        }
    }
}
