//! An echo server on blocking sockets: the codec without any runtime, and the smallest thing that
//! a conformance suite can be pointed at.
//!
//! `cargo run --release -p parlour-websocket --example echo_codec -- 127.0.0.1:9001`

use parlour_websocket::handshake::deflate::{self, DeflateParams};
use parlour_websocket::handshake::{accept_key, validate_key};
use parlour_websocket::{Decoder, Deflater, Frame, Inflater, Limits, Opcode, Role, close, encode};
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

const LIMITS: Limits = Limits { max_message_bytes: 32 * 1024 * 1024, max_fragments: 1 << 20 };

fn main() -> io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9001".to_owned());
    let listener = TcpListener::bind(&address)?;
    println!("echo on ws://{}", listener.local_addr()?);
    for tcp in listener.incoming() {
        let tcp = tcp?;
        thread::spawn(move || {
            if let Err(error) = serve(tcp) {
                eprintln!("connection failed: {error}");
            }
        });
    }
    Ok(())
}

fn serve(mut tcp: TcpStream) -> io::Result<()> {
    tcp.set_nodelay(true)?;
    let (params, mut received) = upgrade(&mut tcp)?;
    let mut echo = Echo::new(params);
    let mut read_buffer = vec![0; 64 * 1024];
    let mut open = echo.receive(&mut received);
    loop {
        tcp.write_all(&echo.outbox)?;
        echo.outbox.clear();
        if !open {
            return tcp.shutdown(std::net::Shutdown::Write);
        }
        let length = tcp.read(&mut read_buffer)?;
        if length == 0 {
            return Ok(());
        }
        open = echo.receive(&mut read_buffer[..length]);
    }
}

struct Echo {
    decoder: Decoder,
    inflater: Inflater,
    deflater: Option<(Deflater, DeflateParams)>,
    outbox: Vec<u8>,
}

impl Echo {
    fn new(params: Option<DeflateParams>) -> Self {
        Self {
            decoder: Decoder::new(Role::Server, params.is_some()),
            inflater: Inflater::new(),
            deflater: params.map(|params| (Deflater::new(6, params.server_max_window_bits()), params)),
            outbox: Vec::new(),
        }
    }

    /// Answers what `input` holds, and tells whether the connection goes on.
    fn receive(&mut self, mut input: &mut [u8]) -> bool {
        let Self { decoder, inflater, deflater, outbox } = self;
        loop {
            match decoder.decode(&mut input, &LIMITS, inflater) {
                Ok(None) => return true,
                Ok(Some(Frame::Text(text))) => send(outbox, deflater, Opcode::Text, text.as_bytes()),
                Ok(Some(Frame::Binary(bytes))) => send(outbox, deflater, Opcode::Binary, bytes),
                Ok(Some(Frame::Ping(payload))) => encode::pong(outbox, payload),
                Ok(Some(Frame::Pong(_))) => {}
                Ok(Some(Frame::Close(frame))) => {
                    encode::close(outbox, frame.map_or(close::NORMAL, |(code, _)| code), "");
                    return false;
                }
                Err(error) => {
                    encode::close(outbox, error.close_code(), error.reason());
                    return false;
                }
            }
        }
    }
}

fn send(
    outbox: &mut Vec<u8>,
    deflater: &mut Option<(Deflater, DeflateParams)>,
    opcode: Opcode,
    payload: &[u8],
) {
    match deflater {
        Some((deflater, params)) if params.can_receive(deflater.window_bits(), payload.len()) => {
            encode::compressed_frame(outbox, deflater, opcode, payload);
        }
        _ => encode::frame(outbox, opcode, payload),
    }
}

/// Reads the request and accepts it. Returns the bytes that came behind it, too.
fn upgrade(tcp: &mut TcpStream) -> io::Result<(Option<DeflateParams>, Vec<u8>)> {
    let (head, behind) = read_head(tcp)?;
    let headers: Vec<(String, &str)> = head
        .lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim()))
        .collect();
    let values = |wanted| headers.iter().filter(move |(name, _)| name == wanted).map(|(_, value)| *value);

    let Some(key) = values("sec-websocket-key").next().filter(|key| validate_key(key)) else {
        tcp.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")?;
        return Err(io::ErrorKind::InvalidData.into());
    };
    let params = deflate::negotiate(values("sec-websocket-extensions"));
    let extensions = params.map(|params| format!("Sec-WebSocket-Extensions: {params}\r\n"));
    let response = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {}\r\n{}\r\n",
        accept_key(key),
        extensions.unwrap_or_default(),
    );
    tcp.write_all(response.as_bytes())?;
    Ok((params, behind))
}

fn read_head(tcp: &mut TcpStream) -> io::Result<(String, Vec<u8>)> {
    let mut received = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        if let Some(end) = received.windows(4).position(|window| window == b"\r\n\r\n") {
            let behind = received.split_off(end + 4);
            return Ok((String::from_utf8_lossy(&received).into_owned(), behind));
        }
        let length = tcp.read(&mut chunk)?;
        if length == 0 || received.len() > 16 * 1024 {
            return Err(io::ErrorKind::InvalidData.into());
        }
        received.extend_from_slice(&chunk[..length]);
    }
}
