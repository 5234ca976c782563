//! A request that comes again: the same key and the same words are one request, however often they arrive.
//!
//! In: judgements with the key that their sender made up, and a hash of all that was sent. Out: the rows that the first
//! arrival became, now or before a restart: key and hash stand in the rows themselves, and rows of one request are one
//! commit, so all of them are there or none.

use std::hash::{BuildHasher, RandomState};

use marginalia_store::tables::labels::Label;
use tokio::sync::Mutex;

use crate::error::{Error, Result};
use crate::judgement::{Judge, Judgement};

/// Keys that are looked up side by side.
const LANES: usize = 64;
/// Characters of a key.
pub(crate) const KEY_CHARS: usize = 200;
/// What they may be, as [`RequestKey::new`] looks at them.
pub(crate) const KEY_PATTERN: &str = "^[A-Za-z0-9._:-]+$";

/// What makes a request the same one when it comes again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestKey {
    key: String,
    hash: String,
}

impl RequestKey {
    /// The key with everything that was sent under it, its sender included.
    ///
    /// # Errors
    /// A key that is empty, too long, or holds other characters than letters, digits and `-_.:`.
    pub fn new(key: &str, sent: &[&[u8]]) -> Result<Self> {
        let valid = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
        if key.is_empty() || key.len() > KEY_CHARS || !key.bytes().all(valid) {
            let problem = format!("1 to {KEY_CHARS} letters, digits, and characters of -_.: (a UUID, say)");
            return Err(Error::InvalidJudgement { field: "Idempotency-Key", problem });
        }
        let mut hasher = blake3::Hasher::new();
        for part in sent {
            // Their lengths keep the parts apart.
            hasher.update(&(part.len() as u64).to_le_bytes()).update(part);
        }
        Ok(Self { key: key.to_owned(), hash: hasher.finalize().to_hex().to_string() })
    }
}

/// What became of a request.
#[derive(Clone, Debug)]
pub struct Submission {
    /// The rows, in the order of the judgements.
    pub rows: Vec<Label>,
    /// Version of `labels` that holds them; none where nothing was written now.
    pub version: Option<u64>,
}

/// Requests on their way: two of one key go one after the other.
#[derive(Debug)]
pub(crate) struct Requests {
    hasher: RandomState,
    lanes: [Mutex<()>; LANES],
}

impl Default for Requests {
    fn default() -> Self {
        Self { hasher: RandomState::new(), lanes: [const { Mutex::const_new(()) }; LANES] }
    }
}

impl Judge {
    /// As [`Judge::submit`], once however often the request comes. To be awaited to its end: the same key is looked up
    /// after it, and would not find what is still being written.
    ///
    /// # Errors
    /// Also [`Error::ReusedKey`], where the key came before with something else.
    pub async fn submit_once(&self, judgements: Vec<Judgement>, request: &RequestKey) -> Result<Submission> {
        let lane = self.requests.hasher.hash_one(&request.key) as usize % LANES;
        let _alone = self.requests.lanes[lane].lock().await;
        if let Some(rows) = self.before(request).await? {
            return Ok(Submission { rows, version: None });
        }
        let mut rows = self.rows(judgements)?;
        for row in &mut rows {
            row.request_key = Some(request.key.clone());
            row.request_hash = Some(request.hash.clone());
        }
        self.store(rows).await
    }

    /// The rows of this request, if it came before.
    async fn before(&self, request: &RequestKey) -> Result<Option<Vec<Label>>> {
        let rows = self.corpus.labels_of_request(&request.key).await?;
        if rows.is_empty() {
            return Ok(None);
        }
        if rows.iter().any(|row| row.request_hash.as_ref() != Some(&request.hash)) {
            return Err(Error::ReusedKey { key: request.key.clone() });
        }
        Ok(Some(rows))
    }
}
