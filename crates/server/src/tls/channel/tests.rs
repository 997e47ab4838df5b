//! A channel and a client of the library, with a network of a few bytes at a time between them.

use std::io::{Read as _, Write as _};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};

use super::*;

/// A channel with its client, whose network carries `step` bytes at a time.
struct Pair {
    client: ClientConnection,
    channel: Channel,
    step: usize,
    /// Plaintext that has arrived at the channel.
    arrived: Vec<u8>,
    /// Bytes that the channel's side has allocated and not given back.
    held: i64,
    /// Shared by all channels of a server, so it must not be given back by one.
    _shared: Arc<ServerConfig>,
}

fn configs() -> (Arc<ServerConfig>, Arc<ClientConfig>) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let cert = CertificateDer::from_pem_slice(made.cert.pem().as_bytes()).expect("PEM");
    let key = PrivateKeyDer::from_pem_slice(made.signing_key.serialize_pem().as_bytes()).expect("PEM");
    let mut roots = RootCertStore::empty();
    roots.add(cert.clone()).expect("an authority");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let client = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let server = crate::tls::configure(provider, vec![cert], key).expect("they belong together");
    (Arc::new(server), Arc::new(client))
}

impl Pair {
    fn new(step: usize) -> Self {
        let (server, client) = configs();
        let name = ServerName::try_from("localhost").expect("a name");
        let client = ClientConnection::new(client, name).expect("a client");
        let (mut channel, _shared) = (None, Arc::clone(&server));
        let began = allocation_counter::measure(|| channel = Channel::new(server).ok());
        let channel = channel.expect("a channel");
        Self { client, channel, step, arrived: Vec::new(), held: began.bytes_current, _shared }
    }

    /// Carries bytes both ways until nobody has any.
    fn carry(&mut self) -> io::Result<()> {
        let mut space = vec![0; SPACE];
        loop {
            let mut wire = Vec::new();
            while self.client.wants_write() {
                self.client.write_tls(&mut wire)?;
            }
            let is_quiet = wire.is_empty() && self.channel.waiting() == 0;
            for bytes in wire.chunks(self.step) {
                self.deliver(bytes, &mut space)?;
            }
            let mut answer = Vec::with_capacity(1024 * 1024);
            let step = self.step;
            let sent = allocation_counter::measure(|| {
                let mut write = |bytes: &[u8]| {
                    let taken = bytes.len().min(step);
                    answer.extend_from_slice(&bytes[..taken]);
                    Ok(taken)
                };
                self.channel.send(&mut write).expect("the network takes everything");
            });
            self.held += sent.bytes_current;
            let mut answer = answer.as_slice();
            while !answer.is_empty() {
                self.client.read_tls(&mut answer)?;
                self.client.process_new_packets().map_err(io::Error::other)?;
            }
            if is_quiet {
                return Ok(());
            }
        }
    }

    fn deliver(&mut self, mut bytes: &[u8], space: &mut [u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let mut received = None;
            let counted = allocation_counter::measure(|| {
                received = Some(self.channel.receive(space, |room| bytes.read(room)));
            });
            self.held += counted.bytes_current;
            if let Some(Received::Bytes { length, .. }) = received.transpose()? {
                self.arrived.extend_from_slice(&space[..length]);
            }
        }
        Ok(())
    }

    /// Encrypts the beginning of some plaintext.
    fn encrypt(&mut self, bytes: &[u8]) -> usize {
        let mut taken = 0;
        let counted = allocation_counter::measure(|| {
            taken = self.channel.encrypt(bytes).expect("after the handshake");
        });
        self.held += counted.bytes_current;
        taken
    }
}

/// Returns both sides of a connection, which has nothing under way.
pub(crate) fn handshaken() -> (Channel, ClientConnection) {
    let mut pair = Pair::new(1_500);
    pair.carry().expect("a handshake");
    (pair.channel, pair.client)
}

#[test]
fn a_network_of_small_steps_changes_nothing() {
    let words: Vec<u8> = (0..100_000_u32).map(|n| (n % 251) as u8).collect();
    for step in [1, 7, 1_500, 16_384] {
        let mut pair = Pair::new(step);
        pair.carry().expect("a handshake");
        assert!(!pair.channel.is_handshaking());
        pair.client.writer().write_all(&words[..60_000]).expect("buffered");
        pair.client.refresh_traffic_keys().expect("after the handshake");
        pair.carry().expect("carried");
        assert!(pair.arrived == words[..60_000], "step {step}");
        let (mut rest, mut heard) = (&words[..], vec![0; words.len()]);
        while !rest.is_empty() {
            let taken = pair.encrypt(rest);
            rest = &rest[taken..];
            pair.carry().expect("carried");
            let start = words.len() - rest.len() - taken;
            pair.client.reader().read_exact(&mut heard[start..start + taken]).expect("decrypted");
        }
        assert!(heard == words, "step {step}");
    }
}

#[test]
fn an_idle_channel_holds_its_keys_and_no_buffer() {
    let mut pair = Pair::new(1_500);
    pair.carry().expect("a handshake");
    for _ in 0..3 {
        pair.client.writer().write_all(&[7; 40_000]).expect("buffered");
        pair.carry().expect("carried");
        pair.encrypt(&[8; 10_000]);
        pair.carry().expect("carried");
        pair.client.reader().read_exact(&mut [0; 10_000]).expect("decrypted");
    }
    let (held, inside) = (pair.held, size_of::<Channel>());
    println!("{held} bytes on the heap, and a channel has {inside}");
    assert!(held < 2_560 && inside < 1_280, "{held} bytes on the heap, and a channel has {inside}");
}

#[test]
fn an_end_is_told_by_both_layers_once() {
    let mut pair = Pair::new(1_500);
    pair.carry().expect("a handshake");
    pair.client.writer().write_all(b"bye").expect("buffered");
    pair.client.send_close_notify();
    pair.carry().expect("carried");
    assert_eq!(pair.arrived, b"bye");
    let read = |_: &mut [u8]| -> io::Result<usize> { Err(io::ErrorKind::WouldBlock.into()) };
    let end = pair.channel.receive(&mut vec![0; SPACE], read).expect("an end, although nothing is there");
    assert_eq!(end, Received::End);
    pair.channel.close().expect("after the handshake");
    pair.carry().expect("carried");
    let end = pair.client.reader().read(&mut [0; 8]).expect("a clean end");
    assert_eq!(end, 0);
}
