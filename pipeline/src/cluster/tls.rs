//! Mutual TLS between the machines of a cluster: each shows a certificate of one authority and asks for one.
//!
//! In: three PEM files. Out: secured connections to the others, and a front for a port that Ballista opened on
//! 127.0.0.1: who shows no certificate of the authority gets no byte through.

use std::error::Error as StdError;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ballista_core::extension::EndpointOverrideFn;
use datafusion_postgres::pgwire::tokio::tokio_rustls::client::TlsStream;
use datafusion_postgres::pgwire::tokio::tokio_rustls::{TlsAcceptor, TlsConnector, rustls};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::net::{TcpListener, TcpStream};
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity};

use super::Address;
use super::state::watched;
use crate::config::ClusterConfig;
use crate::error::ClusterError;

/// How long a connection may take to be secured.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// This machine's certificate, and whom it trusts; cheap to clone.
#[derive(Clone)]
pub struct Tls {
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
    grpc: ClientTlsConfig,
}

impl Tls {
    /// What the config names; none where it names nothing.
    ///
    /// # Errors
    /// [`ClusterError::Tls`] with the file that does not read.
    pub fn of(config: &ClusterConfig) -> Result<Option<Self>, ClusterError> {
        if config.tls_cert.is_empty() {
            return Ok(None);
        }
        let [cert, key, ca] = [&config.tls_cert, &config.tls_key, &config.tls_ca].map(Path::new);
        Self::read(cert, key, ca).map(Some)
    }

    fn read(cert: &Path, key: &Path, ca: &Path) -> Result<Self, ClusterError> {
        let (cert_pem, key_pem, ca_pem) = (pem(cert)?, pem(key)?, pem(ca)?);
        let chain = certificates(cert, &cert_pem)?;
        let secret = || PrivateKeyDer::from_pem_slice(&key_pem).map_err(|error| bad(key, error));
        let mut roots = RootCertStore::empty();
        for authority in certificates(ca, &ca_pem)? {
            roots.add(authority).map_err(|error| bad(ca, error))?;
        }
        let (roots, provider) = (Arc::new(roots), Arc::new(ring::default_provider()));
        let verifier = WebPkiClientVerifier::builder_with_provider(roots.clone(), provider.clone());
        let verifier = verifier.build().map_err(|error| bad(ca, error))?;
        let mut server = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| bad(cert, error))?
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain.clone(), secret()?)
            .map_err(|error| bad(key, error))?;
        server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let client = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| bad(cert, error))?
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, secret()?)
            .map_err(|error| bad(key, error))?;
        let grpc = ClientTlsConfig::new()
            .ca_certificate(Certificate::from_pem(ca_pem))
            .identity(Identity::from_pem(cert_pem, key_pem))
            .timeout(HANDSHAKE);
        Ok(Self { server: Arc::new(server), client: Arc::new(client), grpc })
    }

    /// Makes every connection that Ballista opens a secured one: it names them all `http`.
    pub fn endpoints(&self) -> EndpointOverrideFn {
        let grpc = self.grpc.clone();
        Arc::new(move |endpoint: Endpoint| {
            let authority = endpoint.uri().authority().map(ToString::to_string).unwrap_or_default();
            let secured = Endpoint::from_shared(format!("https://{authority}"))?.tls_config(grpc.clone())?;
            Ok::<_, Box<dyn StdError + Send + Sync>>(watched(secured))
        })
    }

    /// A secured connection for what is no gRPC.
    pub async fn connect(&self, address: &Address) -> io::Result<TlsStream<TcpStream>> {
        let host = address.host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let name = ServerName::try_from(host).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let stream = TcpStream::connect(address.to_string()).await?;
        TlsConnector::from(self.client.clone()).connect(name, stream).await
    }

    /// Takes connections on `outer` and hands on those that show a certificate, until it is dropped.
    pub async fn front(&self, outer: SocketAddr, inner: SocketAddr) -> io::Result<()> {
        let listener = TcpListener::bind(outer).await?;
        let acceptor = TlsAcceptor::from(self.server.clone());
        loop {
            let stream = match listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // Too many files open, say: it will pass.
                    tracing::warn!("no connection taken on {outer}: {error}");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                if let Err(error) = hand_on(acceptor, stream, inner).await {
                    tracing::debug!("a connection to {outer} ended: {error}");
                }
            });
        }
    }
}

async fn hand_on(acceptor: TlsAcceptor, stream: TcpStream, inner: SocketAddr) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut outside = tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await??;
    let mut inside = TcpStream::connect(inner).await?;
    inside.set_nodelay(true)?;
    tokio::io::copy_bidirectional(&mut outside, &mut inside).await.map(drop)
}

fn pem(path: &Path) -> Result<Vec<u8>, ClusterError> {
    std::fs::read(path).map_err(|error| bad(path, error))
}

fn certificates(path: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, ClusterError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match found.map_err(|error| bad(path, error))? {
        none if none.is_empty() => Err(bad(path, "no certificate in it")),
        chain => Ok(chain),
    }
}

fn bad(path: &Path, problem: impl ToString) -> ClusterError {
    ClusterError::Tls { path: path.to_owned(), problem: problem.to_string() }
}
