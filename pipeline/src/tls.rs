//! TLS: a certificate and its key, read before anything listens, for both ports. What cannot be read stops the start.

use std::io;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion_postgres::pgwire::api::auth::sasl::scram::ScramServerAuth;
use datafusion_postgres::pgwire::tokio::TlsAcceptor;
use datafusion_postgres::pgwire::tokio::tokio_rustls::rustls;
use marginalia_labeling_ui::{Connection, Secure};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpStream;

use crate::error::{Error, Result};

/// Protocol name of PostgreSQL's clients that begin with TLS (`sslnegotiation=direct`).
const POSTGRESQL: &[u8] = b"postgresql";
/// Protocol name of HTTP.
const HTTP: &[u8] = b"http/1.1";

/// A certificate that is ready to be shown.
#[derive(Clone)]
pub struct Tls {
    config: ServerConfig,
    /// The certificate's PEM text, where SCRAM can be bound to it.
    bindable: Option<Arc<Vec<u8>>>,
}

impl Tls {
    /// Reads a certificate chain and its private key, PEM files both.
    ///
    /// # Errors
    /// [`Error::Tls`] names the file and what is wrong with it.
    pub fn read(certificate: &Path, key: &Path) -> Result<Self> {
        let pem = std::fs::read(certificate).map_err(Error::io(certificate))?;
        let bad = |path: &Path, problem: String| Error::Tls { path: path.to_owned(), problem };
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&pem)
            .collect::<std::result::Result<_, _>>()
            .map_err(|error| bad(certificate, error.to_string()))?;
        if chain.is_empty() {
            return Err(bad(certificate, "no certificate in it".to_owned()));
        }
        let key_pem = std::fs::read(key).map_err(Error::io(key))?;
        let secret = PrivateKeyDer::from_pem_slice(&key_pem).map_err(|error| bad(key, error.to_string()))?;
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, secret))
            .map_err(|error| bad(key, format!("it does not go with {}: {error}", certificate.display())))?;
        // Some kinds of signature cannot be bound to; clients then log in without.
        let bindable = ScramServerAuth::new().configure_certificate(&pem).is_ok();
        Ok(Self { config, bindable: bindable.then(|| Arc::new(pem)) })
    }

    /// For PostgreSQL's clients.
    pub fn for_postgres(&self) -> TlsAcceptor {
        self.accepting(POSTGRESQL)
    }

    /// For HTTP.
    pub fn for_http(&self) -> HttpsAcceptor {
        HttpsAcceptor(self.accepting(HTTP))
    }

    fn accepting(&self, protocol: &[u8]) -> TlsAcceptor {
        let mut config = self.config.clone();
        config.alpn_protocols = vec![protocol.to_vec()];
        TlsAcceptor::from(Arc::new(config))
    }

    /// The certificate that a login can be bound to (SCRAM-SHA-256-PLUS).
    pub fn bindable(&self) -> Option<&[u8]> {
        self.bindable.as_ref().map(|pem| pem.as_slice())
    }
}

/// Secures connections of HTTP.
pub struct HttpsAcceptor(TlsAcceptor);

#[async_trait]
impl Secure for HttpsAcceptor {
    async fn secure(&self, connection: TcpStream) -> io::Result<Box<dyn Connection>> {
        Ok(Box::new(self.0.accept(connection).await?))
    }
}
