//! Who a client is: the first messages of a connection.
//!
//! In: a socket nobody has spoken on. Out: a login, or nothing where the client only came to cancel somebody's statement.
//! A login is a token's name with the token as the password, proved by SCRAM-SHA-256 (RFC 5802): neither is sent. Names
//! that do not exist are asked for a proof like others, so that nobody learns which do. Every failure here ends the
//! connection.

use std::sync::Arc;
use std::time::Duration;

use datafusion_postgres::pgwire::api::auth::sasl::scram::{ScramServerAuth, gen_salted_password};
use datafusion_postgres::pgwire::api::auth::sasl::{SCRAM_SHA_256_METHOD, SCRAM_SHA_256_PLUS_METHOD};
use datafusion_postgres::pgwire::api::auth::{Password, protocol_negotiation};
use datafusion_postgres::pgwire::api::{
    ClientInfo, ConnectionGuard, ConnectionHandle, PgWireConnectionState, PidSecretKeyGenerator,
};
use datafusion_postgres::pgwire::error::{PgWireError, PgWireResult};
use datafusion_postgres::pgwire::messages::startup::{
    Authentication, BackendKeyData, ParameterStatus, PasswordMessageFamily, Startup,
};
use datafusion_postgres::pgwire::messages::{PgWireBackendMessage, PgWireFrontendMessage};
use futures::SinkExt;
use marginalia_store::{Grant, SALT_BYTES, SCRAM_ITERATIONS, Scram};

use super::connection::{Socket, next_message};
use super::failure::{code, fatal, of_store};
use super::listener::Server;
use super::settings::Settings;

/// How long a client may take to say who it is.
const PATIENCE: Duration = Duration::from_secs(20);
/// Longest message before the login, bytes.
const MAX_MESSAGE: usize = 16 << 10;

/// A client that was let in.
pub struct Login {
    /// What it came with; none where no token is needed.
    pub grant: Option<Grant>,
    /// What it set when it came.
    pub settings: Settings,
    /// Where cancel requests for it arrive.
    pub cancels: Arc<ConnectionHandle>,
    /// Keeps them arriving.
    pub _registered: ConnectionGuard,
}

/// Lets a client in.
pub async fn log_in(socket: &mut Socket, server: &Server) -> PgWireResult<Option<Login>> {
    match tokio::time::timeout(PATIENCE, greet(socket, server)).await {
        Ok(login) => login,
        Err(_) => Err(fatal(code::NOT_ADMITTED, format!("the login took longer than {} s", PATIENCE.as_secs()))),
    }
}

async fn greet(socket: &mut Socket, server: &Server) -> PgWireResult<Option<Login>> {
    let startup = match next_message(socket, MAX_MESSAGE).await? {
        Some(PgWireFrontendMessage::Startup(startup)) => startup,
        Some(PgWireFrontendMessage::CancelRequest(request)) => {
            server.cancels.cancel(request.pid, &request.secret_key).await;
            return Ok(None);
        }
        Some(_) => return Err(fatal(code::PROTOCOL_VIOLATION, "a connection begins with a startup message")),
        None => return Ok(None),
    };
    protocol_negotiation(socket, &startup).await?;
    if server.tls.is_some() && !socket.is_secure() {
        return Err(fatal(code::NOT_ADMITTED, "this server speaks TLS only; connect with sslmode=require"));
    }
    let is_off = |value: &String| ["false", "off", "no", "0"].contains(&value.as_str());
    if startup.parameters.get("replication").is_some_and(|value| !is_off(value)) {
        return Err(fatal(code::NOT_SUPPORTED, "there is no replication here; `marginalia backup` copies a corpus"));
    }
    let Some(user) = startup.parameters.get("user") else { return Err(PgWireError::UserNameRequired) };
    let open = server.loopback && server.corpus.grants().await.map_err(of_store)?.is_empty();
    let grant = if open { None } else { Some(prove(socket, server, user).await?) };
    let login = admit(socket, server, &startup, grant).await?;
    Ok(Some(login))
}

/// Registers the client and tells it what it must know.
async fn admit(socket: &mut Socket, server: &Server, startup: &Startup, grant: Option<Grant>) -> PgWireResult<Login> {
    let mut settings = Settings::default();
    for (name, value) in &startup.parameters {
        settings.begin_with(name, value);
    }
    let (pid, key) = server.pids.generate(&*socket);
    let (cancels, registered) = server.cancels.register(pid, key.clone());
    socket.set_state(PgWireConnectionState::ReadyForQuery);
    socket.feed(PgWireBackendMessage::Authentication(Authentication::Ok)).await?;
    let user = startup.parameters.get("user").map(String::as_str).unwrap_or_default();
    for (name, value) in settings.reported(user) {
        socket.feed(PgWireBackendMessage::ParameterStatus(ParameterStatus::new(name, value))).await?;
    }
    socket.feed(PgWireBackendMessage::BackendKeyData(BackendKeyData::new(pid, key))).await?;
    Ok(Login { grant, settings, cancels, _registered: registered })
}

/// Has the client prove that it knows the token of this name.
async fn prove(socket: &mut Socket, server: &Server, user: &str) -> PgWireResult<Grant> {
    let grant = server.corpus.grant_named(user).await.map_err(of_store)?;
    let scram = match grant.as_ref().and_then(|grant| grant.scram.clone()) {
        Some(scram) => scram,
        None => unknown(server, user),
    };
    let certificate = server.tls.as_ref().and_then(|tls| tls.bindable()).filter(|_| socket.is_secure());
    let mut methods = vec![SCRAM_SHA_256_METHOD.to_owned()];
    let mut authenticator = ScramServerAuth::new();
    authenticator.set_iterations(scram.iterations as usize);
    if let Some(certificate) = certificate {
        methods.push(SCRAM_SHA_256_PLUS_METHOD.to_owned());
        authenticator.configure_certificate(certificate)?;
    }
    socket.set_state(PgWireConnectionState::AuthenticationInProgress);
    socket.send(PgWireBackendMessage::Authentication(Authentication::SASL(methods.clone()))).await?;
    let first = password_message(socket).await?.into_sasl_initial_response()?;
    if !methods.contains(&first.auth_method) {
        return Err(PgWireError::UnsupportedSASLAuthMethod(first.auth_method));
    }
    let text = first.data.ok_or_else(|| PgWireError::InvalidScramMessage("nothing in it".to_owned()))?;
    let password = Password::new(Some(scram.salt), scram.salted_password);
    let (reply, waiting) = authenticator.on_client_first_message(&text, password)?;
    socket.send(PgWireBackendMessage::Authentication(Authentication::SASLContinue(reply.into()))).await?;
    let last = password_message(socket).await?.into_sasl_response()?;
    let proved = waiting.on_client_final_message(&last.data);
    match (grant, proved) {
        (Some(grant), Ok(signature)) => {
            socket.feed(PgWireBackendMessage::Authentication(Authentication::SASLFinal(signature.into()))).await?;
            Ok(grant)
        }
        (_, Ok(_)) | (_, Err(PgWireError::InvalidPassword(_))) => Err(fatal(
            code::WRONG_PASSWORD,
            format!(
                "no entry for {user:?}: the user is the name of a token and the password the token, and it must not have \
                 been revoked (`marginalia token list`)"
            ),
        )),
        (_, Err(error)) => Err(error),
    }
}

async fn password_message(socket: &mut Socket) -> PgWireResult<PasswordMessageFamily> {
    match next_message(socket, MAX_MESSAGE).await? {
        Some(PgWireFrontendMessage::PasswordMessageFamily(message)) => Ok(message),
        Some(_) => Err(fatal(code::PROTOCOL_VIOLATION, "a proof of the password was expected")),
        None => Err(PgWireError::IoError(std::io::ErrorKind::UnexpectedEof.into())),
    }
}

/// What is asked of a user who does not exist: the same salt each time, and a password nobody has.
fn unknown(server: &Server, user: &str) -> Scram {
    let mut salt = gen_salted_password(user, server.salts.as_bytes(), 1);
    let salted_password = gen_salted_password(&server.salts, &salt, 1);
    salt.truncate(SALT_BYTES);
    Scram { salt, iterations: SCRAM_ITERATIONS, salted_password }
}
