//! What an operator may write, and what gets refused.

use std::net::SocketAddr;

use super::*;

fn read(toml: &str, env: &[(&str, &str)], flags: Flags) -> Result<Config, String> {
    let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Config::from_sources(Some(toml), env, flags).map_err(|errors| errors.to_string())
}

fn serve(toml: &str) -> Result<Config, String> {
    read(toml, &[], Flags::new(Mode::Serve))
}

/// Checks that the refusal says all of `words`.
#[track_caller]
fn refused(outcome: Result<Config, String>, words: &[&str]) {
    let text = outcome.expect_err("it must be refused");
    for word in words {
        assert!(text.contains(word), "{word:?} is missing in: {text}");
    }
}

#[test]
fn later_sources_override_earlier_ones() {
    let toml = "shards = 1\n[limits]\nhistory = 1\nburst = 2\nrate_per_s = 3";
    let env = [("PARLOUR_LIMITS__BURST", "20"), ("PARLOUR_LIMITS__RATE_PER_S", "30"), ("HOME", "/")];
    let flags =
        Flags::new(Mode::Serve).with("limits.rate_per_s", Some(300)).with("limits.fragments", None::<u32>);
    let config = read(toml, &env, flags).expect("valid");
    let Limits { history, burst, rate_per_s, fragments, .. } = config.limits;
    assert_eq!((config.shards, history, burst, rate_per_s, fragments), (1, 1, 20, 300, 1_024));
}

#[test]
fn lists_and_addresses_are_read_from_both_forms() {
    let toml = "listen = \"localhost:90\"\n[access]\norigins = [\"https://a.io\"]\ntrusted_proxies = [\"10.0.0.0/8\"]";
    let env = [("PARLOUR_ACCESS__HOSTS", "a.io, b.io"), ("PARLOUR_LOG__FORMAT", "json")];
    let config = read(toml, &env, Flags::new(Mode::Serve)).expect("valid");
    assert_eq!(config.listen, SocketAddr::from(([127, 0, 0, 1], 90)));
    assert_eq!(config.access.origins, ["https://a.io"]);
    assert_eq!(config.access.hosts, ["a.io", "b.io"]);
    assert_eq!(config.access.trusted_proxies.len(), 1);
    assert_eq!(config.log.format, LogFormat::Json);
}

#[test]
fn rooms_are_read_in_their_order() {
    let toml = "[[room]]\npattern = \"ticks:*\"\ndurable = false\n[[room]]\npattern = \"general\"";
    let rooms = serve(toml).expect("valid").rooms;
    let shown: Vec<_> = rooms.iter().map(|rule| (rule.pattern.as_str(), rule.durable)).collect();
    assert_eq!(shown, [("ticks:*", false), ("general", true)]);
    let toml = "[[room]]\npattern = \"a\"\ndurable = false\ncompress = true\n[[room]]\npattern = \"b*\"\ndurable = false";
    let config = serve(toml).expect("valid");
    assert_eq!(["a", "b1", "c"].map(|room| config.compresses(room)), [true, false, true]);
    refused(serve("[[room]]\npattern = \"a*b*\""), &["room.pattern", "a*b*", "prefix"]);
    refused(serve("[[room]]\npattern = \"a\"\nkind = \"x\""), &["unknown field `kind`"]);
}

#[test]
fn unknown_options_are_refused_with_the_nearest_known_one() {
    refused(serve("lisen = \"x\""), &["`lisen`", "did you mean `listen`?"]);
    refused(serve("[limits]\nrate = 5"), &["`limits.rate`"]);
    refused(serve("[limit]\nburst = 5"), &["did you mean `limits.burst`?"]);
    let env = [("PARLOUR_LIMITS__BRUST", "5")];
    refused(read("", &env, Flags::new(Mode::Serve)), &["PARLOUR_LIMITS__BRUST", "`limits.burst`"]);
}

#[test]
fn variables_of_clients_and_of_kubernetes_are_not_ours() {
    let env = [
        ("PARLOUR_TOKEN", "s3cret"),
        ("PARLOUR_SERVICE_HOST", "10.0.0.1"),
        ("PARLOUR_PORT", "tcp://10.0.0.1:80"),
        ("PARLOUR_PORT_80_TCP_ADDR", "10.0.0.1"),
    ];
    assert!(read("", &env, Flags::new(Mode::Serve)).is_ok());
}

#[test]
fn refusals_name_the_key_the_value_and_the_rule() {
    for (toml, words) in [
        ("[limits]\nmessage_bytes = 1", ["limits.message_bytes", "is 1", "from 125 to 16777216"]),
        ("[limits]\nburst = \"many\"", ["limits.burst", "\"many\"", "a whole number"]),
        ("[limits]\nburst = -1", ["limits.burst", "-1", "a whole number"]),
        ("listen = \"here\"", ["listen", "\"here\"", "an address with a port"]),
        ("compression = 1", ["compression", "is 1", "true or false"]),
        ("[log]\nlevel = \"loud\"", ["log.level", "\"loud\"", "debug"]),
        ("[timeouts]\npong_ms = 25000", ["timeouts.pong_ms", "25000", "less than `timeouts.ping_ms`"]),
        ("[limits]\noutbox_bytes = 65536", ["limits.outbox_bytes", "65536", "at least one message"]),
        ("[timeouts]\ndrain_spread_ms = 28000", ["timeouts.drain_spread_ms", "28000", "30 s"]),
        (
            "admin_listen = \"127.0.0.1:8080\"",
            ["admin_listen", "127.0.0.1:8080", "must differ from `listen`"],
        ),
        ("[access]\norigins = [\"https://A.io\"]", ["access.origins", "https://A.io", "lower case"]),
        ("[access]\norigins = [\"https://a.io/\"]", ["access.origins", "https://a.io/", "nothing behind it"]),
        ("listen = [", ["not valid TOML", "line 1", "refused"]),
    ] {
        refused(serve(toml), &words);
    }
}

#[test]
fn all_mistakes_are_told_at_once() {
    refused(
        serve("a = 1\n[limits]\nburst = 0\n[access]\nanonymous = true"),
        &["`a`", "limits.burst", "access.anonymous"],
    );
}

#[test]
fn insecure_settings_are_refused_in_production() {
    for (toml, words) in [
        ("listen = \"0.0.0.0:8080\"", ["listen", "access.behind_tls_proxy = true"]),
        ("admin_listen = \"[::]:8081\"", ["admin_listen", "access.allow_remote_admin = true"]),
        ("data_dir = \":memory:\"", ["data_dir", "lost"]),
        ("[access]\nanonymous = true", ["access.anonymous", "allow_anonymous_in_production"]),
        ("[access]\norigins = [\"*\"]", ["access.origins", "wildcard"]),
        ("[access]\norigins = [\"https://*.a.io\"]", ["access.origins", "wildcard"]),
    ] {
        refused(serve(toml), &words);
    }
    let acknowledged = "listen = \"0.0.0.0:8080\"\nadmin_listen = \"[::]:8081\"\n[access]\nanonymous = true\n\
        allow_anonymous_in_production = true\nbehind_tls_proxy = true\nallow_remote_admin = true";
    assert!(serve(acknowledged).is_ok());
}

#[test]
fn development_serves_loopback_only_and_ignores_other_databases() {
    let dev = || Flags::new(Mode::Dev);
    refused(read("", &[], dev().with("listen", Some("0.0.0.0:1"))), &["listen", "loopback", "parlour serve"]);
    refused(read("", &[], dev().with("admin_listen", Some("192.0.2.1:1"))), &["admin_listen", "loopback"]);
    let config = read("", &[("DATABASE_URL", "postgres://x")], dev()).expect("valid");
    assert!(config.dev && config.access.anonymous && config.database.is_none());
    assert_eq!(config.limits.history, 1_000);
}

#[test]
fn brokers_of_a_later_version_are_refused_in_production() {
    let serve = |env: &[(&str, &str)]| read("", env, Flags::new(Mode::Serve));
    refused(serve(&[("REDIS_ADDR", "h:6379")]), &["REDIS_ADDR", "not supported yet"]);
}

#[test]
fn a_database_is_named_by_an_address_that_is_never_shown() {
    let serve = |toml: &str, env: &[(&str, &str)]| read(toml, env, Flags::new(Mode::Serve));
    let address = "postgres://u:s3cret@h/d";
    let in_file = format!("data_dir = \":memory:\"\ndatabase = \"{address}\"");
    for (toml, env) in [
        (in_file.as_str(), vec![]),
        ("", vec![("DATABASE_URL", address)]),
        (
            "database = \"postgres://other\"",
            vec![("PARLOUR_DATABASE", address), ("DATABASE_URL", "postgres://b")],
        ),
    ] {
        let config = serve(toml, &env).expect("valid");
        assert_eq!(config.database.as_ref().expect("a database").reveal(), address, "{env:?}");
        assert!(!format!("{config:?}").contains("s3cret"));
    }
    let refusal = serve("", &[("DATABASE_URL", "mysql://u:s3cret@h/d")]).expect_err("refused");
    assert!(refusal.contains("`database`") && refusal.contains("DATABASE_URL"), "{refusal}");
    assert!(!refusal.contains("s3cret"), "{refusal}");
}

#[test]
fn the_machine_fills_in_what_is_left_open() {
    let config = serve("").expect("the defaults are valid");
    assert!(config.shards >= 1 && config.limits.connections >= 16);
    assert_eq!(serve("shards = 3\n[limits]\nconnections = 7").expect("valid").limits.connections, 7);
}

#[test]
fn values_may_come_from_files_that_not_everybody_can_read() {
    use std::os::unix::fs::PermissionsExt as _;
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), "77\n").expect("written");
    let path = file.path().to_str().expect("UTF-8");
    let env = [("PARLOUR_LIMITS__BURST_FILE", path)];
    let serve = |env: &[(&str, &str)]| read("", env, Flags::new(Mode::Serve));
    assert_eq!(serve(&env).expect("private").limits.burst, 77);
    refused(serve(&[env[0], ("PARLOUR_LIMITS__BURST", "1")]), &["both set"]);
    refused(serve(&[("PARLOUR_LIMITS__BURST_FILE", "/nonexistent")]), &["/nonexistent", "cannot be read"]);
    std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(0o644)).expect("changed");
    refused(serve(&env), &["readable by everybody", "chmod o-rwx"]);
}

#[test]
fn tokens_need_keys_and_what_they_must_say() {
    let named = "[auth]\nissuer = \"us\"\naudience = \"parlour\"\n";
    let with = |more: &str| format!("{named}{more}\n");
    let url = |url: &str| with(&format!("jwks_url = \"{url}\""));
    let key = "[[auth.key]]\nid = \"a\"\nalgorithm = \"HS256\"\n";
    for (toml, parts) in [
        (named, &["auth.issuer", "no key"][..]),
        ("[auth]\njwks_url = \"https://login.example.com/keys\"", &["auth.issuer", "auth.audience"]),
        (&url("http://login.example.com/keys"), &["auth.jwks_url", "https"]),
        (&url("https://127.0.0.1/keys"), &["auth.jwks_url", "outbound.allow"]),
        (&url("https://user:s3cret@login.example.com/"), &["auth.jwks_url"]),
        (&with("typ = \"a b\""), &["auth.typ"]),
        (&with("max_life_s = 1"), &["auth.max_life_s"]),
        (&with("jwks_file = \"/nonexistent\""), &["/nonexistent", "cannot be read"]),
        (&with(&format!("{key}public_key_file = \"/x\"")), &["secret_file"]),
        (&with(&format!("{key}secret_file = \"/nonexistent\"")), &["/nonexistent"]),
        (&with("[[auth.key]]\nid = \"\"\nalgorithm = \"HS256\"\nsecret_file = \"/x\""), &["auth.key.id"]),
        (
            &with("[[auth.key]]\nid = \"a\"\nalgorithm = \"none\"\nsecret_file = \"/x\""),
            &["auth.key.algorithm"],
        ),
    ] {
        refused(serve(toml), parts);
    }
    let good = serve(&url("https://login.example.com/keys")).expect("valid");
    assert!(good.auth.expectations().is_some() && good.notes().is_empty());
    assert_eq!(serve("").expect("valid").notes().len(), 1, "nobody can enter");
    assert!(serve("[access]\nguests = true").expect("valid").notes().is_empty());
    // This variable is an option, and names no file with the value of one.
    let env = [("PARLOUR_AUTH__JWKS_FILE", "/nonexistent")];
    refused(read(named, &env, Flags::new(Mode::Serve)), &["`auth`: /nonexistent cannot be read"]);
}

#[test]
fn the_example_file_is_current_and_holds_the_defaults() {
    let page = example();
    crate::generated::check("parlour.example.toml", &page);
    assert!(serve(&page).is_ok(), "as it is");
    let uncommented: String = page
        .lines()
        .map(|line| line.strip_prefix('#').filter(|rest| !rest.starts_with(' ')).unwrap_or(line))
        .flat_map(|line| [line, "\n"])
        .collect();
    let (ours, default) = (serve(&uncommented).expect("defaults are valid"), serve("").expect("valid"));
    assert_eq!(format!("{ours:?}"), format!("{default:?}"));
}
