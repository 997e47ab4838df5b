//! What the kinds of attacks are: how many, how fast, and against which settings of the server.

use clap::ValueEnum;

/// A kind of attack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Kind {
    Slowloris,
    Silent,
    NeverRead,
    Drip,
    Ping,
    Bomb,
    Rooms,
    Tokens,
}

/// How strong an attack is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Strength {
    /// Connections at the same time; those that end come again.
    pub(super) connections: usize,
    /// How often each has its turn, per second.
    pub(super) turns_per_s: f64,
    /// New connections per second of all of them together.
    pub(super) opens_per_s: f64,
}

/// Distinct names of the attack with rooms.
const ROOMS: f64 = 1_000_000.0;
/// Rooms that are entered and left at once.
pub(super) const ROOMS_PER_TURN: usize = 10;
/// New connections per second of most attacks, a rate at which a server also greets a crowd.
const OPENS_PER_S: f64 = 2_500.0;

impl Kind {
    /// Reads the word of one kind, or `all`.
    pub(super) fn chosen(word: &str) -> Result<Chosen, String> {
        if word == "all" {
            return Ok(Chosen(Self::value_variants().to_vec()));
        }
        <Self as ValueEnum>::from_str(word, false).map(|kind| Chosen(vec![kind]))
    }

    /// Says what attackers of this kind do.
    pub(super) fn deed(self) -> &'static str {
        match self {
            Self::Slowloris => "connections whose request head comes byte by byte",
            Self::Silent => "connections that are upgraded and say nothing",
            Self::NeverRead => "members who never read, at 1,000 messages/s of 1 KiB",
            Self::Drip => "connections whose messages come in fragments of one byte",
            Self::Ping => "connections that send 2,000 pings/s each",
            Self::Bomb => "connections that send messages which inflate to 100 MiB",
            Self::Rooms => "connections that enter and leave 1,000,000 distinct rooms",
            Self::Tokens => "bad tokens per second in the upgrade",
        }
    }

    /// Returns how strong the attack is, when it lasts for so long.
    pub(super) fn strength(self, scale: f64, seconds: f64) -> Strength {
        let (connections, turns_per_s, opens_per_s) = match self {
            Self::Slowloris | Self::Silent => (10_000.0, 1.0, OPENS_PER_S),
            Self::NeverRead => (1_000.0, 10.0, OPENS_PER_S),
            Self::Drip => (5_000.0, 5.0, OPENS_PER_S),
            Self::Ping => (50.0, 200.0, OPENS_PER_S),
            Self::Bomb => (50.0, 4.0, OPENS_PER_S),
            Self::Rooms => (50.0, ROOMS / seconds / ROOMS_PER_TURN as f64 / 50.0, OPENS_PER_S),
            // Each turn is a new connection.
            Self::Tokens => (5_000.0, 1.0, f64::INFINITY),
        };
        Strength { connections: (connections * scale).max(1.0).ceil() as usize, turns_per_s, opens_per_s }
    }

    /// Returns what a server of ours is told beside its defaults, and what one must know of that.
    pub(super) fn settings(self, rate: f64) -> (Vec<String>, &'static str) {
        let settings: &[&str] = match self {
            Self::NeverRead | Self::Rooms => &["limits.rate_per_s=0"],
            Self::Bomb => &["compression=true"],
            _ => &[],
        };
        let note = match self {
            Self::NeverRead | Self::Rooms => "no limit on speed, which would end the attack at once",
            Self::Bomb => "compression",
            _ => "the defaults otherwise",
        };
        let mut settings: Vec<_> = settings.iter().map(|setting| (*setting).to_owned()).collect();
        if !settings.iter().any(|setting| setting.starts_with("limits.rate_per_s")) {
            // One of the good users says everything, and at once what a pause of this machine has held up.
            settings.push(format!("limits.rate_per_s={}", (2.0 * rate).ceil().max(10.0)));
            settings.push("limits.burst=10000".into());
        }
        // Everybody comes from this machine.
        settings.push("limits.connections_per_address=10000000".into());
        (settings, note)
    }

    /// Returns the word of the command line.
    pub(super) fn word(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }
}

/// The kinds that were asked for.
#[derive(Debug, Clone)]
pub(super) struct Chosen(pub(super) Vec<Kind>);
