//! Who changed what: one row for each change that is not a row of its own elsewhere.
//!
//! In: who, through which door, what. Out: a row of `audit_log`, on the disk before the change is answered for.

use crate::corpus::Corpus;
use crate::error::Result;
use crate::tables::audit_log::AuditEntry;
use crate::tokens::Role;

/// Somebody who changes something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// Name of a token, or of the machine's user.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// `http` or `cli`.
    pub door: &'static str,
}

impl Corpus {
    /// Notes that `actor` did `action` to `target`.
    pub async fn note_change(
        &self,
        actor: &Actor,
        action: &str,
        target: Option<String>,
        detail: Option<String>,
    ) -> Result<()> {
        let entry = AuditEntry {
            changed_at: self.log().now(),
            actor: actor.name.clone(),
            role: actor.role.name().to_owned(),
            door: actor.door.to_owned(),
            action: action.to_owned(),
            target,
            detail,
        };
        self.writer::<AuditEntry>().append(vec![entry]).await.map(drop)
    }
}
