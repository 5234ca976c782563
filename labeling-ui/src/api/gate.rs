//! The gate in front of every route but the health checks.
//!
//! On loopback two kinds of foreigner are kept out: names of other machines that lead here (DNS rebinding), seen in
//! `Host`, and pages of other sites in the user's own browser, seen in `Origin` and `Sec-Fetch-Site`. Beyond loopback a
//! token says who asks; pages of other sites are kept out there too.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use axum::extract::{ConnectInfo, Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::Response;

use super::Api;
use super::caller::Caller;
use super::problem::Problem;
use crate::access::{Access, Gate};
use crate::page::is_of_the_page;

/// Name of the cookie that holds a browser's token.
pub(super) const COOKIE: &str = "marginalia";

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Lets a request through with who it is from, or says why not.
pub async fn pass(State(api): State<Api>, mut request: Request, next: Next) -> Result<Response, Problem> {
    if matches!(request.uri().path(), "/healthz" | "/readyz") {
        return Ok(next.run(request).await);
    }
    let host = host(&request)?;
    // Links of other sites may lead to the page, which shows nothing by itself.
    if !is_of_the_page(request.uri().path()) {
        check_site(request.headers(), &host)?;
    }
    let caller = match &api.parts.gate {
        Gate::Loopback if is_this_machine(&host) => Caller::local(),
        Gate::Loopback => {
            let detail = format!("This server answers to localhost and 127.0.0.1, not to {host}.");
            return Err(Problem::new(StatusCode::FORBIDDEN, "foreign_host", detail));
        }
        // Whoever comes to log in brings the token in the body, and needs the page for it.
        Gate::Tokens(_) if is_login(&request) => {
            api.pace.stranger(peer(&request))?;
            return Ok(next.run(request).await);
        }
        Gate::Tokens(_) if is_of_the_page(request.uri().path()) => return Ok(next.run(request).await),
        Gate::Tokens(access) => match bearer(request.headers(), access.as_ref()).await? {
            Some(caller) => {
                api.pace.bearer(caller.name().unwrap_or_default())?;
                caller
            }
            None => {
                api.pace.stranger(peer(&request))?;
                return Err(no_token());
            }
        },
    };
    request.extensions_mut().insert(caller);
    Ok(next.run(request).await)
}

/// The one name that the client used for this server.
fn host(request: &Request) -> Result<Authority, Problem> {
    let wrong = |detail: &str| Problem::new(StatusCode::BAD_REQUEST, "bad_host", detail);
    let mut named = request.headers().get_all(header::HOST).iter();
    let (Some(host), None) = (named.next(), named.next()) else {
        return Err(wrong("A request has one Host header."));
    };
    let host = host.to_str().ok().and_then(|host| host.parse::<Authority>().ok());
    let host =
        host.filter(|host| !host.as_str().contains('@')).ok_or_else(|| wrong("The Host header does not read."))?;
    match request.uri().authority() {
        Some(other) if !other.as_str().eq_ignore_ascii_case(host.as_str()) => {
            Err(wrong("The request names one host and its Host header another."))
        }
        _ => Ok(host),
    }
}

fn is_this_machine(host: &Authority) -> bool {
    let name = host.host().trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Requests that a browser sends for a page of another site.
fn check_site(headers: &HeaderMap, host: &Authority) -> Result<(), Problem> {
    let foreign = || {
        let detail = "The request comes from a page of another site.";
        Problem::new(StatusCode::FORBIDDEN, "foreign_origin", detail)
    };
    if let Some(origin) = headers.get(header::ORIGIN) {
        // `null`, of a sandboxed page or a file, has no authority.
        let origin = origin.to_str().ok().and_then(|origin| origin.parse::<Uri>().ok());
        let is_ours = origin.is_some_and(|origin| {
            origin.scheme().is_some()
                && origin.authority().is_some_and(|site| site.as_str().eq_ignore_ascii_case(host.as_str()))
        });
        if !is_ours {
            return Err(foreign());
        }
    }
    match headers.get(SEC_FETCH_SITE).map(|site| site.as_bytes()) {
        Some(b"cross-site" | b"same-site") => Err(foreign()),
        _ => Ok(()),
    }
}

fn is_login(request: &Request) -> bool {
    request.method() == Method::POST && request.uri().path() == "/api/session"
}

/// Where a request comes from; without a port, as in tests, from nowhere in particular.
fn peer(request: &Request) -> IpAddr {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |ConnectInfo(peer)| peer.ip().to_canonical())
}

async fn bearer(headers: &HeaderMap, access: &dyn Access) -> Result<Option<Caller>, Problem> {
    let known = match token(headers) {
        Some(token) => access.bearer(token).await?,
        None => None,
    };
    Ok(known.map(Caller::known))
}

/// The token of the header, or of a browser's cookie where there is no such header.
pub(super) fn token(headers: &HeaderMap) -> Option<&str> {
    if let Some(value) = headers.get(header::AUTHORIZATION) {
        let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
        return scheme.eq_ignore_ascii_case("bearer").then(|| token.trim());
    }
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    cookies.flat_map(|cookies| cookies.split(';')).find_map(|cookie| match cookie.trim().split_once('=') {
        Some((COOKIE, token)) => Some(token),
        _ => None,
    })
}

/// What nobody without a token is told more than.
pub(super) fn no_token() -> Problem {
    let detail = "Send a token that was made for you: Authorization: Bearer TOKEN.";
    Problem::new(StatusCode::UNAUTHORIZED, "no_token", detail).challenge()
}
