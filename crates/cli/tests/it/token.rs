//! Tokens as operators and their users meet them.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::program::{Running, get, parlour, run};

const SECRET: &str = "k7Qm2Zx9Vb4Nc8Ls1Dj6Hg3Fp5Rt0Yw-for-tests";
const ISSUER: &str = "https://login.example.com";

fn write(directory: &Path, name: &str, text: &str, mode: u32) {
    let path = directory.join(name);
    std::fs::write(&path, text).expect("written");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("a mode");
}

/// A directory with a secret and a configuration that believes its tokens.
fn prepared() -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    write(directory.path(), "secret", &format!("{SECRET}\n"), 0o600);
    let secret = directory.path().join("secret");
    let config = format!(
        "listen = \"127.0.0.1:0\"\nadmin_listen = \"127.0.0.1:0\"\n\
         [auth]\nissuer = \"{ISSUER}\"\naudience = \"parlour\"\n\
         [[auth.key]]\nid = \"k1\"\nalgorithm = \"HS256\"\nsecret_file = \"{}\"\n\
         [timeouts]\ndrain_notice_ms = 0\ndrain_spread_ms = 0\n[log]\nlevel = \"trace\"\n",
        secret.display()
    );
    write(directory.path(), "parlour.toml", &config, 0o600);
    directory
}

/// Mints a token; returns it.
fn mint(directory: &Path, more: &[&str]) -> String {
    let arguments =
        ["token", "mint", "--secret-file", "secret", "--config", "parlour.toml", "--user", "alice"];
    let (code, token, err) = run(&mut parlour(directory, &[&arguments[..], more].concat()));
    assert_eq!(code, 0, "{err}");
    token.trim().to_owned()
}

/// Has a token inspected with the configuration of the server.
fn inspect(directory: &Path, token: &str, more: &[&str]) -> (i32, String, String) {
    write(directory, "token", token, 0o600);
    run(&mut parlour(directory, &[&["token", "inspect", "token"], more].concat()))
}

/// Waits until a server listens; returns its address of clients.
fn clients_of(server: &Running) -> String {
    let line = server.line("listening");
    let address = line.split("clients=").nth(1).and_then(|rest| rest.split_whitespace().next());
    address.expect("an address").trim_matches('"').to_owned()
}

#[test]
fn tokens_are_minted_and_inspected() {
    let directory = prepared();
    let token = mint(directory.path(), &["--room", "team:*=member", "--room", "news=join,read"]);
    let (code, out, _) = inspect(directory.path(), &token, &[]);
    assert_eq!(code, 0);
    for part in
        ["\"sub\": \"alice\"", "\"team:*\": \"member\"", "\"read\"", "\"alg\": \"HS256\"", "Not checked"]
    {
        assert!(out.contains(part), "{part} is missing in {out}");
    }
    let config = ["--config", "parlour.toml"];
    let (code, out, _) = inspect(directory.path(), &token, &config);
    assert!(code == 0 && out.contains("Accepted: a token of alice."), "{out}");
    let other = mint(directory.path(), &["--issuer", "https://evil.example"]);
    for (token, why) in [(&*other, "`iss` differs"), (&token[..token.len() - 8], "no key of this server")] {
        let (code, _, err) = inspect(directory.path(), token, &config);
        assert!(code == 1 && err.contains(why), "{err}");
    }
    let (code, _, err) = inspect(directory.path(), "nonsense", &[]);
    assert!(code == 1 && err.contains("no token"), "{err}");
}

#[test]
fn a_member_comes_with_a_token_and_the_log_never_shows_it() {
    let directory = prepared();
    let mut serve = parlour(directory.path(), &["serve", "--config", "parlour.toml"]);
    let server = Running::start(&mut serve);
    let address = clients_of(&server);
    let token = mint(directory.path(), &["--room", "general=member"]);
    write(directory.path(), "token", &token, 0o600);
    write(directory.path(), "said", "Hello with a token!\n", 0o600);
    let url = format!("ws://{address}/ws");
    let chat = ["chat", "--room", "general", "--token-file", "token", "--url", &url];
    let said = std::fs::File::open(directory.path().join("said")).expect("opened");
    let (code, _, err) = run(parlour(directory.path(), &chat).stdin(said));
    assert_eq!(code, 0, "{err}");

    // Wrong in each of the ways that a log could repeat.
    let bad = format!("{}AAAA", &token[..token.len() - 4]);
    write(directory.path(), "token", &bad, 0o600);
    let (code, _, err) = run(&mut parlour(directory.path(), &chat));
    assert!(code == 1 && err.contains("valid token") && !err.contains(&bad), "{err}");
    assert!(get(&address, &format!("/ws?token={token}&room=general")).contains("426"));

    server.signal("TERM");
    let (code, log) = server.end();
    assert_eq!(code, 0);
    let parts: Vec<&str> = token.split('.').collect();
    assert!(log.iter().any(|line| line.contains("invalid_token")), "the refusal is logged: {log:?}");
    for secret in [parts[1], parts[2], SECRET] {
        assert!(!log.iter().any(|line| line.contains(secret)), "{log:?}");
    }
}

#[test]
fn a_token_in_a_file_is_renewed_and_another_ends_the_program() {
    let directory = prepared();
    let server = Running::start(&mut parlour(directory.path(), &["serve", "--config", "parlour.toml"]));
    let url = format!("ws://{}/ws", clients_of(&server));
    let short = mint(directory.path(), &["--room", "general=member", "--life-s", "6"]);
    write(directory.path(), "token", &short, 0o600);
    let tail = ["tail", "--room", "general", "--url", &url];
    let renewing = [&tail[..], &["--token-file", "token"]].concat();
    let lasting = Running::start(&mut parlour(directory.path(), &renewing));
    lasting.line("connected as alice");
    let long = mint(directory.path(), &["--room", "general=member"]);
    write(directory.path(), "token", &long, 0o600);

    let (code, _, err) = run(parlour(directory.path(), &tail).env("PARLOUR_TOKEN", &short));
    assert!(code == 1 && err.contains("token_expired"), "{err}");
    let chat = ["chat", "--room", "general", "--token-file", "token", "--url", &url];
    write(directory.path(), "said", "after the first token\n", 0o600);
    let said = std::fs::File::open(directory.path().join("said")).expect("opened");
    assert_eq!(run(parlour(directory.path(), &chat).stdin(said)).0, 0);
    lasting.line("after the first token");
}

#[test]
fn unsafe_keys_are_refused_with_the_reason() {
    for (secret, mode, change, why) in [
        (SECRET, 0o644, ("", ""), "readable by everybody"),
        ("too short", 0o600, ("", ""), "32 random bytes"),
        ("a-string-secret-at-least-256-bits-long", 0o600, ("", ""), "32 random bytes"),
        (SECRET, 0o600, ("audience = \"parlour\"\n", ""), "auth.audience"),
        (SECRET, 0o600, ("HS256", "none"), "auth.key.algorithm"),
        (SECRET, 0o600, ("HS256", "ES256"), "public_key_file"),
    ] {
        let directory = prepared();
        write(directory.path(), "secret", secret, mode);
        let config = std::fs::read_to_string(directory.path().join("parlour.toml")).expect("read");
        write(directory.path(), "parlour.toml", &config.replacen(change.0, change.1, 1), 0o600);
        let mut check = parlour(directory.path(), &["check-config", "--config", "parlour.toml"]);
        let (code, _, err) = run(&mut check);
        assert!(code == 78 && err.contains(why) && !err.contains(secret), "{why}: {err}");
    }
}
