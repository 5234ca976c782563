//! `tokens`: who may come in from outside, append only. Never the token itself: what is kept is enough to know it again.

use crate::columns::Timestamp;
use crate::table::table;

table! {
    /// One token made, or taken back.
    Token in Tokens {
        /// Id of the token; a row that takes one back has an id of its own.
        token_id: String,
        /// Whom it is for; the user name where one is asked for.
        name: String,
        /// `reader`, `annotator` or `admin`; null where the row takes a token back.
        role: Option<String>,
        /// argon2id of the token with its salt and parameters, as a PHC string.
        hash: Option<String>,
        /// Salt of SCRAM-SHA-256, hexadecimal.
        scram_salt: Option<String>,
        /// Iterations of SCRAM-SHA-256.
        scram_iterations: Option<u32>,
        /// SaltedPassword of SCRAM-SHA-256 with the token as the password, hexadecimal.
        scram_salted_password: Option<String>,
        /// When the row was made.
        created_at: Timestamp,
        /// The token this row takes back.
        revokes: Option<String>,
    }
}
