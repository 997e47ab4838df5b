//! TLS of the load generator: whom it believes, and one connection without its socket.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use rustls::client::Resumption;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};

/// Largest record on the wire (RFC 8446, section 5.2; RFC 5246, section 6.2.3), in bytes.
const RECORD: usize = 5 + 16 * 1024 + 2_048;

/// Whom to believe that they are the server.
#[derive(Debug)]
pub(crate) struct Trust {
    pub(crate) config: Arc<ClientConfig>,
    pub(crate) name: ServerName<'static>,
}

impl Trust {
    /// Believes those who show a certificate for the host from an authority of a PEM file, or from
    /// one that the operating system believes.
    ///
    /// Nothing is resumed: every connection stands for another client that has never been here.
    ///
    /// # Errors
    /// A file without certificates; a host that no certificate can name.
    pub(crate) fn new(ca: Option<&Path>, host: &str) -> anyhow::Result<Arc<Self>> {
        let certificates = match ca {
            Some(file) => CertificateDer::pem_file_iter(file)
                .and_then(Iterator::collect)
                .with_context(|| format!("cannot read certificates from {}", file.display()))?,
            None => rustls_native_certs::load_native_certs().certs,
        };
        let mut roots = RootCertStore::empty();
        // Some that a system lists may be too old to be read; the others still count.
        let (added, _) = roots.add_parsable_certificates(certificates);
        ensure!(added > 0, "there is no authority to believe: name a PEM file with --ca");
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        config.resumption = Resumption::disabled();
        let name = ServerName::try_from(host.to_owned()).context("no certificate can name this host")?;
        Ok(Arc::new(Self { config: Arc::new(config), name }))
    }
}

/// What one read of a socket has brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Read {
    /// Bytes at the front of the space.
    pub(crate) bytes: usize,
    /// Bytes that came over the network; 0 at the end.
    pub(crate) wire_bytes: usize,
    /// Whether the socket had no more.
    pub(crate) is_all: bool,
}

/// A TLS connection without its socket.
#[derive(Debug)]
pub(crate) struct Tls(Box<ClientConnection>);

impl Tls {
    /// Begins a handshake, which [`Self::send`] and [`Self::read`] carry on.
    ///
    /// # Errors
    /// An operating system without random numbers.
    pub(crate) fn new(trust: &Trust) -> io::Result<Self> {
        let connection = ClientConnection::new(Arc::clone(&trust.config), trust.name.clone());
        Ok(Self(Box::new(connection.map_err(|error| broken(&error))?)))
    }

    /// Reads once from a socket, and leaves at the front of the space what was in the records.
    ///
    /// Half of the space takes the records as they come, so that a system call brings many of them:
    /// the library by itself reads 4 KiB at a time.
    ///
    /// # Errors
    /// Those of the socket; `InvalidData` if the server breaks the protocol, or is not believed.
    pub(crate) fn read<S>(&mut self, socket: &mut S, space: &mut [u8]) -> io::Result<Read>
    where
        S: io::Read + io::Write,
    {
        // What is decrypted may begin with a record that was incomplete before.
        let half = space.len().saturating_sub(RECORD) / 2;
        let (plaintext, records) = space.split_at_mut(space.len() - half);
        let wire_bytes = socket.read(records)?;
        let is_all = wire_bytes < records.len();
        let (mut rest, mut bytes) = (&records[..wire_bytes], 0);
        // The library takes nothing any more when the server has said that it ends.
        while !rest.is_empty() && self.0.read_tls(&mut rest)? > 0 {
            let state = self.0.process_new_packets().map_err(|error| {
                // The server is told why, if its socket takes that; the first reason counts.
                let _ = self.0.write_tls(socket);
                broken(&error)
            })?;
            let end = bytes + state.plaintext_bytes_to_read();
            let place = plaintext.get_mut(bytes..end).ok_or(ErrorKind::InvalidData)?;
            self.0.reader().read_exact(place)?;
            bytes = end;
        }
        Ok(Read { bytes, wire_bytes, is_all })
    }

    /// Encrypts what there is to say and writes it, as far as the socket takes it.
    ///
    /// # Errors
    /// Those of the socket, other than that it takes nothing now.
    pub(crate) fn send(&mut self, socket: &mut impl io::Write, out: &mut Vec<u8>) -> io::Result<()> {
        loop {
            let taken = self.0.writer().write(out)?;
            out.drain(..taken);
            if !self.0.wants_write() {
                return Ok(());
            }
            match self.0.write_tls(socket) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
                _ => {}
            }
        }
    }

    /// Tells whether records wait for the socket.
    pub(crate) fn wants_write(&self) -> bool {
        self.0.wants_write()
    }
}

fn broken(error: &rustls::Error) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, format!("TLS: {error}"))
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use rustls::pki_types::PrivateKeyDer;
    use rustls::{ServerConfig, ServerConnection};

    use super::*;

    /// A network that delivers so many bytes at a time, then nothing until it is asked again.
    #[derive(Default)]
    struct Network {
        to_client: VecDeque<u8>,
        to_server: VecDeque<u8>,
        piece: usize,
        has_delivered: bool,
    }

    impl io::Read for Network {
        fn read(&mut self, space: &mut [u8]) -> io::Result<usize> {
            let length = self.piece.min(space.len()).min(self.to_client.len());
            if std::mem::replace(&mut self.has_delivered, true) || length == 0 {
                return Err(ErrorKind::WouldBlock.into());
            }
            space.iter_mut().zip(self.to_client.drain(..length)).for_each(|(place, byte)| *place = byte);
            Ok(length)
        }
    }

    impl io::Write for Network {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let length = self.piece.min(bytes.len());
            self.to_server.extend(&bytes[..length]);
            Ok(length)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Returns a server and somebody who believes it.
    fn both() -> (ServerConnection, Tls) {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate");
        let directory = tempfile::tempdir().expect("a directory");
        let ca = directory.path().join("cert.pem");
        std::fs::write(&ca, made.cert.pem()).expect("written");
        let key = PrivateKeyDer::from_pem_slice(made.signing_key.serialize_pem().as_bytes()).expect("a key");
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .expect("a certificate with its key");
        let trust = Trust::new(Some(&ca), "127.0.0.1").expect("an authority");
        let server = ServerConnection::new(Arc::new(config)).expect("a server");
        (server, Tls::new(&trust).expect("a client"))
    }

    /// Says something in both directions and returns what came to the server, and to the client.
    fn exchange(piece: usize, question: &[u8], answer: &[u8]) -> (Vec<u8>, Vec<u8>) {
        let (mut server, mut client) = both();
        let mut network = Network { piece, ..Network::default() };
        let (mut out, mut space) = (question.to_vec(), vec![0; 4 * RECORD]);
        let (mut asked, mut answered) = (Vec::new(), Vec::new());
        let mut left = answer;
        while asked.len() < question.len() || answered.len() < answer.len() {
            client.send(&mut network, &mut out).expect("sent");
            while !network.to_server.is_empty() {
                server.read_tls(&mut network.to_server).expect("bytes");
                let state = server.process_new_packets().expect("records");
                let mut part = vec![0; state.plaintext_bytes_to_read()];
                server.reader().read_exact(&mut part).expect("plaintext");
                asked.extend(part);
            }
            let taken = server.writer().write(left).expect("taken");
            left = &left[taken..];
            while server.wants_write() {
                server.write_tls(&mut network.to_client).expect("written");
            }
            network.has_delivered = false;
            match client.read(&mut network, &mut space) {
                Ok(read) => answered.extend_from_slice(&space[..read.bytes]),
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}"),
            }
        }
        (asked, answered)
    }

    #[test]
    fn what_comes_in_any_pieces_is_whole() {
        let answer: Vec<_> = (0..200_000_u32).map(|number| (number % 251) as u8).collect();
        for piece in [7, 1_000, 17_000, usize::MAX] {
            let short = &answer[..if piece < 1_000 { 1_000 } else { answer.len() }];
            assert_eq!(exchange(piece, b"hello", short), (b"hello".to_vec(), short.to_vec()), "{piece}");
        }
    }

    #[test]
    fn whoever_has_another_certificate_is_not_believed() {
        let ((mut server, _), (_, mut client)) = (both(), both());
        let mut network = Network { piece: usize::MAX, ..Network::default() };
        client.send(&mut network, &mut Vec::new()).expect("sent");
        server.read_tls(&mut network.to_server).expect("bytes");
        server.process_new_packets().expect("a greeting");
        server.write_tls(&mut network.to_client).expect("written");
        let read = client.read(&mut network, &mut vec![0; 4 * RECORD]);
        let error = read.expect_err("another authority").to_string();
        assert!(error.starts_with("TLS: invalid peer certificate"), "{error}");
        assert!(!network.to_server.is_empty(), "the server is told");
    }
}
