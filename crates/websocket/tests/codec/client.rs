//! The client's stream against a server played by the test.

use crate::support::{Owned, Receiver};
use futures_util::FutureExt as _;
use parlour_websocket::client::{
    ClientStream, CloseFrame, ConnectError, Message, StreamError, connect, connect_over,
};
use parlour_websocket::handshake::accept_key;
use parlour_websocket::handshake::client::{ClientRequest, HandshakeError};
use parlour_websocket::{DecodeError, Deflater, Opcode, Role, close, encode};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf};

type DuplexClient = ClientStream<ReadHalf<DuplexStream>, WriteHalf<DuplexStream>>;

const AGREED: &str = "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover\r\n";

fn request(deflate: bool) -> ClientRequest {
    ClientRequest {
        host: "localhost".to_owned(),
        path_and_query: "/".to_owned(),
        deflate,
        ..ClientRequest::default()
    }
}

/// The server's end of a connection.
struct Server<S> {
    socket: S,
    receiver: Receiver,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Server<S> {
    /// Reads the request and answers it in one write together with `behind`.
    async fn accept(mut socket: S, extra_headers: &str, behind: &[u8]) -> Self {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(socket.read_u8().await.expect("a request"));
        }
        let head = String::from_utf8(head).expect("text");
        let key = head.split("Sec-WebSocket-Key: ").nth(1).and_then(|rest| rest.split("\r\n").next());
        let response = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {}\r\n{extra_headers}\r\n",
            accept_key(key.expect("a key")),
        );
        socket.write_all(&[response.as_bytes(), behind].concat()).await.expect("sent");
        Self { socket, receiver: Receiver::of(Role::Server, extra_headers == AGREED) }
    }

    async fn send(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = Vec::new();
        write(&mut bytes);
        self.socket.write_all(&bytes).await.expect("sent");
    }

    /// Reads until `count` frames have come.
    async fn receive(&mut self, count: usize) -> Vec<Owned> {
        let mut frames = Vec::new();
        while frames.len() < count {
            let mut chunk = [0; 1000];
            let length = self.socket.read(&mut chunk).await.expect("bytes");
            assert!(length > 0, "the client went away after {frames:?}");
            frames.extend(self.receiver.receive(&chunk[..length]).expect("valid frames"));
        }
        frames
    }
}

/// A client and its server, connected by a pipe of so many bytes in each direction.
async fn pair(pipe_bytes: usize, behind: &[u8]) -> (DuplexClient, Server<DuplexStream>) {
    let (near, far) = tokio::io::duplex(pipe_bytes);
    let (input, output) = tokio::io::split(near);
    let request = request(false);
    let (connected, server) =
        tokio::join!(connect_over(input, output, &request), Server::accept(far, "", behind));
    (connected.expect("connected").0, server)
}

fn text(text: &str) -> Message {
    Message::Text(text.to_owned())
}

async fn next(client: &mut DuplexClient) -> Option<Message> {
    client.next().await.expect("no error")
}

#[tokio::test]
async fn messages_go_both_ways_over_tcp_and_compressed() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let tcp = tokio::net::TcpStream::connect(listener.local_addr().expect("address")).await.expect("tcp");
    let accepted = listener.accept().await.expect("accepted").0;
    let request = request(true);
    let (connected, mut server) = tokio::join!(connect(tcp, &request), Server::accept(accepted, AGREED, b""));
    let (client, info) = connected.expect("connected");
    assert!(info.deflate.is_some());

    let long = "round and round ".repeat(1000);
    let (mut reader, writer) = client.split();
    let sending = async {
        writer.send_text("short").await.expect("sent");
        writer.send_text(&long).await.expect("sent");
        writer.send_binary(&[7; 200]).await.expect("sent");
    };
    let serving = async {
        let received = server.receive(3).await;
        server
            .send(|out| {
                let mut deflater = Deflater::new(6, 12);
                encode::compressed_frame(out, &mut deflater, Opcode::Text, long.as_bytes());
                encode::frame(out, Opcode::Binary, &[7; 200]);
            })
            .await;
        received
    };
    let ((), received) = tokio::join!(sending, serving);
    let expected = [Owned::Text("short".to_owned()), Owned::Text(long.clone()), Owned::Binary(vec![7; 200])];
    assert_eq!(received, expected);
    assert_eq!(reader.next().await.expect("no error"), Some(text(&long)));
    assert_eq!(reader.next().await.expect("no error"), Some(Message::Binary(vec![7; 200])));
}

#[tokio::test]
async fn frames_that_arrive_with_the_handshake_are_not_lost() {
    let mut behind = Vec::new();
    encode::frame(&mut behind, Opcode::Text, b"first");
    encode::frame(&mut behind, Opcode::Text, b"second");
    let split = behind.len() - 3;
    let (mut client, mut server) = pair(4096, &behind[..split]).await;
    assert_eq!(next(&mut client).await, Some(text("first")));
    server.send(|out| out.extend_from_slice(&behind[split..])).await;
    assert_eq!(next(&mut client).await, Some(text("second")));
}

#[tokio::test]
async fn pings_are_answered_in_order_with_messages() {
    let (mut client, mut server) = pair(4096, b"").await;
    server
        .send(|out| {
            encode::ping(out, b"1");
            encode::ping(out, b"2");
        })
        .await;
    let (received, message) = tokio::join!(
        async {
            let received = server.receive(2).await;
            server.send(|out| encode::frame(out, Opcode::Text, b"done")).await;
            received
        },
        next(&mut client)
    );
    assert_eq!(received, [Owned::Pong(b"1".to_vec()), Owned::Pong(b"2".to_vec())]);
    assert_eq!(message, Some(text("done")));
    client.ping(b"3").await.expect("sent");
    assert_eq!(server.receive(1).await, [Owned::Ping(b"3".to_vec())]);
    server.send(|out| encode::pong(out, b"3")).await;
    assert_eq!(next(&mut client).await, Some(Message::Pong(b"3".to_vec())));
}

/// If answering a ping waited for the writer, and the writer waits for a server that does not read
/// before its own messages are read, both would wait for ever.
#[tokio::test]
async fn reading_goes_on_while_writing_is_stuck() {
    let (client, mut server) = pair(512, b"").await;
    let (mut reader, writer) = client.split();
    let large = "x".repeat(10_000);
    let receiving = async {
        server
            .send(|out| {
                encode::ping(out, b"are you there");
                encode::frame(out, Opcode::Text, &[b'y'; 5000]);
            })
            .await;
        server.receive(2).await
    };
    let (sent, received, message) = tokio::join!(writer.send_text(&large), receiving, reader.next());
    sent.expect("sent");
    assert_eq!(received, [Owned::Text(large), Owned::Pong(b"are you there".to_vec())]);
    assert_eq!(message.expect("no error"), Some(text(&"y".repeat(5000))));
}

#[tokio::test]
async fn cancelled_calls_lose_nothing() {
    let (mut client, mut server) = pair(256, b"").await;
    let large = "z".repeat(2000);
    assert!(client.send_text(&large).now_or_never().is_none(), "the pipe is full");
    assert!(client.send_text("behind").now_or_never().is_none(), "and stays so");
    let (received, flushed) = tokio::join!(server.receive(3), client.ping(b""));
    flushed.expect("sent");
    assert_eq!(received, [Owned::Text(large), Owned::Text("behind".to_owned()), Owned::Ping(vec![])]);

    let mut frame = Vec::new();
    encode::frame(&mut frame, Opcode::Text, b"in two parts");
    for part in frame.chunks(3) {
        assert!(client.next().now_or_never().is_none());
        server.send(|out| out.extend_from_slice(part)).await;
    }
    assert_eq!(next(&mut client).await, Some(text("in two parts")));
}

#[tokio::test]
async fn a_close_is_answered_and_ends_the_stream() {
    let (mut client, mut server) = pair(4096, b"").await;
    server.send(|out| encode::close(out, close::RESTART, "drain")).await;
    let frame = CloseFrame { code: 1012, reason: "drain".to_owned() };
    assert_eq!(next(&mut client).await, Some(Message::Close(Some(frame))));
    assert_eq!(server.receive(1).await, [Owned::Close(Some((1012, String::new())))]);
    assert_eq!(next(&mut client).await, None);
    assert!(matches!(client.send_text("late").await, Err(StreamError::Closed)));
}

#[tokio::test]
async fn our_close_is_not_followed_by_another() {
    let (mut client, mut server) = pair(4096, b"").await;
    client.close(close::NORMAL, "bye").await.expect("sent");
    assert_eq!(server.receive(1).await, [Owned::Close(Some((1000, "bye".to_owned())))]);
    server
        .send(|out| {
            encode::frame(out, Opcode::Text, b"still on its way");
            encode::ping(out, b"");
            encode::close(out, close::NORMAL, "");
        })
        .await;
    assert_eq!(next(&mut client).await, Some(text("still on its way")));
    let frame = CloseFrame { code: 1000, reason: String::new() };
    assert_eq!(next(&mut client).await, Some(Message::Close(Some(frame))));
    drop(client);
    let mut rest = Vec::new();
    server.socket.read_to_end(&mut rest).await.expect("the end");
    assert_eq!(rest, b"");
}

#[tokio::test]
async fn the_end_without_a_close_is_just_the_end() {
    let (mut client, server) = pair(4096, b"\x81\x05hal").await;
    drop(server);
    assert_eq!(next(&mut client).await, None);
    assert_eq!(next(&mut client).await, None);
}

#[tokio::test]
async fn a_violation_is_told_to_the_server() {
    let (mut client, mut server) = pair(4096, b"").await;
    server.send(|out| encode::masked_frame(out, Opcode::Text, b"hi", [0; 4])).await;
    assert!(matches!(client.next().await, Err(StreamError::Protocol(DecodeError::Masked))));
    assert_eq!(server.receive(1).await, [Owned::Close(Some((1002, "masked_frame".to_owned())))]);
    assert_eq!(next(&mut client).await, None);
}

/// Connects to a server that answers with these bytes and then waits.
async fn refused(response: &[u8]) -> ConnectError {
    let (near, mut far) = tokio::io::duplex(64 * 1024);
    let (input, output) = tokio::io::split(near);
    far.write_all(response).await.expect("sent");
    let request = request(true);
    connect_over(input, output, &request).await.expect_err("refused")
}

#[tokio::test]
async fn a_refusal_carries_status_and_body() {
    let refusal = |length: usize| {
        let head = format!("HTTP/1.1 429 Slow Down\r\nRetry-After: 3\r\nContent-Length: {length}\r\n\r\n");
        [head.into_bytes(), vec![b'e'; length]].concat()
    };
    for (sent, kept) in [(0, 0), (11, 11), (40_000, 16 * 1024)] {
        let ConnectError::Refused { status, headers, body } = refused(&refusal(sent)).await else {
            panic!("not a refusal");
        };
        assert_eq!((status, body.len()), (429, kept));
        assert_eq!(headers[0], ("Retry-After".to_owned(), "3".to_owned()));
    }
}

#[tokio::test]
async fn an_answer_to_another_key_is_refused() {
    let response = "HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    let error = refused(response.as_bytes()).await;
    assert!(matches!(error, ConnectError::Handshake(HandshakeError::WrongAccept)));
}
