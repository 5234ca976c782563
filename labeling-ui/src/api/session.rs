//! `/api/session`: a token for a browser, which cannot send one with images and event streams.
//!
//! `POST` takes a token once and keeps it in a cookie that no script can read and no other site sends; `GET` says who
//! one is; `DELETE` forgets it. A token stands in no URL and in no log.

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::caller::Caller;
use super::gate::{COOKIE, no_token};
use super::operation::Operation;
use super::problem::Problem;
use super::{Api, body};
use crate::access::{Gate, Role};

/// How long a browser keeps it: 30 days.
const MAX_AGE_SECONDS: u32 = 30 * 86_400;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
struct Login {
    token: String,
}

/// Who asks, as they are told.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Caller")]
pub(super) struct Described {
    /// The name of the token; none on loopback.
    name: Option<String>,
    #[schemars(extend("enum" = [Role::Reader.name(), Role::Annotator.name(), Role::Admin.name()]))]
    role: &'static str,
    /// Whether a pseudonym stands for every name but their own.
    blind: bool,
}

/// `GET /api/session`.
pub(super) fn describe_show() -> Operation {
    Operation::new("whoAmI", "The name and role of who asks; on loopback no name and every right.")
        .answers::<Described>(200, "Who asks.")
}

/// `POST /api/session`.
pub(super) fn describe_begin() -> Operation {
    let summary = "Keeps a token in a cookie (HttpOnly, SameSite=Strict), for browsers: they cannot send it with \
                   images and events.";
    Operation::new("logIn", summary)
        .without_token()
        .body::<Login>()
        .answers::<Described>(200, "Who the token is for.")
        .bearing("Set-Cookie", "The token; none on loopback.")
        .problem(401, "A token that nobody has.")
}

/// `DELETE /api/session`.
pub(super) fn describe_end() -> Operation {
    Operation::new("logOut", "Forgets the browser's token.").answers_empty(204, "Forgotten.")
}

/// Takes the token of a browser.
pub(super) async fn begin(State(api): State<Api>, headers: HeaderMap, body: Bytes) -> Result<Response, Problem> {
    let Login { token } = body::json(&headers, &body)?;
    let Gate::Tokens(access) = &api.parts.gate else {
        return Ok(described(&api, &Caller::local()).await?.into_response());
    };
    let fits = token.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.~+/=".contains(&byte));
    let identity = if fits { access.bearer(&token).await? } else { None };
    let caller = Caller::known(identity.ok_or_else(no_token)?);
    // The page's own address says whether it came by TLS; then the cookie goes no other way.
    let origin = headers.get(header::ORIGIN).map_or(&b""[..], HeaderValue::as_bytes);
    let secure = if origin.starts_with(b"https:") { "; Secure" } else { "" };
    with_cookie(described(&api, &caller).await?.into_response(), &token, MAX_AGE_SECONDS, secure)
}

/// Says who asks.
pub(super) async fn show(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<Described>, Problem> {
    described(&api, &caller).await
}

/// Forgets the browser's token; the token itself stays good.
pub(super) async fn end() -> Result<Response, Problem> {
    with_cookie(StatusCode::NO_CONTENT.into_response(), "", 0, "")
}

async fn described(api: &Api, caller: &Caller) -> Result<Json<Described>, Problem> {
    let blind = api.pseudonyms(caller).await?.is_some();
    Ok(Json(Described { name: caller.name().map(str::to_owned), role: caller.role().name(), blind }))
}

fn with_cookie(mut response: Response, token: &str, max_age: u32, more: &str) -> Result<Response, Problem> {
    let cookie = format!("{COOKIE}={token}; Path=/; HttpOnly; SameSite=Strict; Max-Age={max_age}{more}");
    let mut cookie = HeaderValue::from_str(&cookie).map_err(|_| no_token())?;
    cookie.set_sensitive(true);
    response.headers_mut().insert(header::SET_COOKIE, cookie);
    Ok(response)
}
