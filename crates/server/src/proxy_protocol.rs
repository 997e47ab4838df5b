//! The PROXY protocol, versions 1 and 2 of the specification of HAProxy: for whom a load balancer
//! speaks that knows nothing of HTTP.
//!
//! Only asked for with `access.proxy_protocol`, and only of trusted proxies: anybody can write it.

use std::io;
use std::net::IpAddr;

use ppp::{v1, v2};
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// What every header of version 2 begins with.
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// Bytes of version 2 before what its length counts.
const FIXED: usize = 16;
/// Longest header of version 1, in bytes; version 2 may be as long with what proxies like to add.
const LONGEST_V1: usize = 107;
/// Longest header of version 2 that is taken, in bytes.
const LONGEST_V2: usize = 1_024;

/// Reads the header, and not a byte more.
///
/// `None`: the proxy speaks for itself, as in a health check, or does not know.
///
/// # Errors
/// `InvalidData` for anything else than a header; the socket's.
pub(crate) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<IpAddr>> {
    let mut header = vec![0; SIGNATURE.len() + 1];
    stream.read_exact(&mut header).await?;
    match header.starts_with(SIGNATURE) {
        true => {
            header.resize(FIXED, 0);
            stream.read_exact(&mut header[SIGNATURE.len() + 1..]).await?;
            let rest = usize::from(u16::from_be_bytes([header[FIXED - 2], header[FIXED - 1]]));
            if rest > LONGEST_V2 {
                return Err(io::ErrorKind::InvalidData.into());
            }
            header.resize(FIXED + rest, 0);
            stream.read_exact(&mut header[FIXED..]).await?;
            binary(&header)
        }
        false => {
            // Byte by byte, because what follows is somebody else's to read.
            while !header.ends_with(b"\r\n") {
                if header.len() >= LONGEST_V1 || !header.starts_with(b"PROXY ") {
                    return Err(io::ErrorKind::InvalidData.into());
                }
                header.push(stream.read_u8().await?);
            }
            text(&header)
        }
    }
}

fn binary(header: &[u8]) -> io::Result<Option<IpAddr>> {
    let header = v2::Header::try_from(header).map_err(|_| io::ErrorKind::InvalidData)?;
    Ok(match (header.command, header.addresses) {
        (v2::Command::Local, _) => None,
        (_, v2::Addresses::IPv4(addresses)) => Some(addresses.source_address.into()),
        (_, v2::Addresses::IPv6(addresses)) => Some(addresses.source_address.into()),
        (_, v2::Addresses::Unix(_) | v2::Addresses::Unspecified) => None,
    })
}

fn text(header: &[u8]) -> io::Result<Option<IpAddr>> {
    let header = v1::Header::try_from(header).map_err(|_| io::ErrorKind::InvalidData)?;
    Ok(match header.addresses {
        v1::Addresses::Tcp4(addresses) => Some(addresses.source_address.into()),
        v1::Addresses::Tcp6(addresses) => Some(addresses.source_address.into()),
        v1::Addresses::Unknown => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn told(bytes: &[u8]) -> Option<(Option<String>, usize)> {
        let mut rest = bytes;
        let address = read(&mut rest).await.ok()?;
        Some((address.map(|address| address.to_string()), rest.len()))
    }

    fn version_2(command: u8, family: u8, payload: &[u8]) -> Vec<u8> {
        let length = u16::try_from(payload.len()).expect("short").to_be_bytes();
        [SIGNATURE, &[0x20 | command, family], &length, payload, b"GET /"].concat()
    }

    #[tokio::test]
    async fn the_client_is_who_the_header_names_and_nothing_behind_it_is_read() {
        let four = [&[192, 0, 2, 7, 10, 0, 0, 1][..], &[0x30, 0x39, 0, 80]].concat();
        let six = [&[0x20, 1, 0xd, 0xb8][..], &[0; 11], &[9], &[0; 16], &[0x30, 0x39, 0, 80]].concat();
        let known = |address: &str| Some((Some(address.to_owned()), 5));
        for (bytes, expected) in [
            (b"PROXY TCP4 192.0.2.7 10.0.0.1 12345 80\r\nGET /".to_vec(), known("192.0.2.7")),
            (b"PROXY TCP6 2001:db8::9 ::1 12345 80\r\nGET /".to_vec(), known("2001:db8::9")),
            (b"PROXY UNKNOWN\r\nGET /".to_vec(), Some((None, 5))),
            (version_2(1, 0x11, &four), known("192.0.2.7")),
            (version_2(1, 0x21, &six), known("2001:db8::9")),
            (version_2(1, 0x11, &[&four[..], &[4, 0, 1, 0]].concat()), known("192.0.2.7")),
            (version_2(0, 0x00, &[]), Some((None, 5))),
        ] {
            assert_eq!(told(&bytes).await, expected, "{}", bytes.escape_ascii());
        }
    }

    #[tokio::test]
    async fn anything_else_is_refused() {
        for bytes in [
            b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.700 10.0.0.1 12345 80\r\n".to_vec(),
            [&b"PROXY TCP4 "[..], &[b'1'; 200]].concat(),
            version_2(1, 0x11, &[1, 2, 3]),
            [SIGNATURE, &[0x21, 0x11, 0xff, 0xff], &[0; 2_000]].concat(),
            b"PROXY TCP4 192.0.2.7".to_vec(),
        ] {
            assert_eq!(told(&bytes).await, None, "{}", bytes.escape_ascii());
        }
    }
}
