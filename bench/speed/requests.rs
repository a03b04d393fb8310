//! What is asked, encoded in advance: only the eight digits of a user change from claim to claim.

use super::SpeedError;
use super::generator::ask;
use super::servers::{Kind, Server};

/// Digits of a user: all have as many, so that requests have one length.
const USER_DIGITS: usize = 8;
/// The first user who claims in time, and the first who comes too late.
const IN_TIME: u64 = 10_000_000;
const TOO_LATE: u64 = 50_000_000;

/// One claim, at most one a user, in the form that is cheapest for Redis: one integer is answered. The seat, 0 sold out,
/// -1 already. KEYS: winners, stream. ARGV: user, limit.
const CLAIM_LUA: &str = "\
if redis.call('SISMEMBER', KEYS[1], ARGV[1]) == 1 then return -1 end
local taken = redis.call('SCARD', KEYS[1])
if taken >= tonumber(ARGV[2]) then return 0 end
redis.call('SADD', KEYS[1], ARGV[1])
redis.call('XADD', KEYS[2], '*', 'user', ARGV[1])
return taken + 1";

/// One request: its bytes, and how its replies are counted.
#[derive(Clone, Debug)]
pub struct Request {
    /// The encoded command.
    pub bytes: Vec<u8>,
    /// Where the user's digits stand.
    pub user_at: Option<usize>,
    /// Lines of each reply that is no error.
    pub reply_lines: usize,
    /// How many of these replies are grants.
    pub granted: fn(&[u8]) -> u64,
}

impl Request {
    /// INCR of one hot key.
    pub fn incr() -> Request {
        Request { bytes: encode(&["INCR", "counter"]), user_at: None, reply_lines: 1, granted: |_| 0 }
    }
}

/// A campaign on one of the servers, and the claim on it.
#[derive(Clone, Debug)]
pub struct Script {
    /// The claim.
    pub request: Request,
    campaign: String,
}

impl Script {
    /// Creates the campaign.
    pub async fn prepare(server: &Server, campaign: &str, seats: u32) -> Result<Script, SpeedError> {
        let (seats, user) = (seats.to_string(), "0".repeat(USER_DIGITS));
        let (command, reply_lines, granted): (_, _, fn(&[u8]) -> u64) = match server.kind {
            Kind::Gate => {
                ask(server, &["GATE.CREATE", campaign, "LIMIT", &seats]).await?;
                (vec!["GATE.CLAIM", campaign, &user], 4, granted_by_gate)
            }
            Kind::Redis => {
                let sha = ask(server, &["SCRIPT", "LOAD", CLAIM_LUA]).await?.concat();
                let stream = format!("{campaign}:stream");
                let bytes = encode(&["EVALSHA", &sha, "2", campaign, &stream, &user, &seats]);
                let request = Request {
                    user_at: find(&bytes, user.as_bytes()),
                    bytes,
                    reply_lines: 1,
                    granted: granted_by_script,
                };
                return Ok(Script { request, campaign: campaign.to_string() });
            }
        };
        let bytes = encode(&command);
        let request = Request { user_at: find(&bytes, user.as_bytes()), bytes, reply_lines, granted };
        Ok(Script { request, campaign: campaign.to_string() })
    }

    /// How many seats are gone, as the server tells it; the records of them must be as many.
    pub async fn granted(&self, server: &Server) -> Result<u64, SpeedError> {
        let (told, recorded) = match server.kind {
            Kind::Gate => {
                let info = ask(server, &["GATE.INFO", &self.campaign]).await?;
                let field = |name: &str| info.iter().skip_while(|word| *word != name).nth(1).cloned();
                let limit: Option<u64> = field("limit").and_then(|limit| limit.parse().ok());
                let remaining: Option<u64> = field("remaining").and_then(|left| left.parse().ok());
                let taken = limit.zip(remaining).and_then(|(limit, left)| limit.checked_sub(left));
                (field("granted"), taken.map(|taken| taken.to_string()))
            }
            Kind::Redis => {
                let winners = ask(server, &["SCARD", &self.campaign]).await?.pop();
                (winners, ask(server, &["XLEN", &format!("{}:stream", self.campaign)]).await?.pop())
            }
        };
        match told.as_deref().map(str::parse) {
            Some(Ok(granted)) if told == recorded => Ok(granted),
            _ => Err(server.untrue(format!("{told:?} winners, but {recorded:?} seats taken"))),
        }
    }

    /// Makes room for the next one.
    pub async fn clear(&self, server: &Server) -> Result<(), SpeedError> {
        match server.kind {
            Kind::Gate => ask(server, &["GATE.DROP", &self.campaign, "FORCE"]).await?,
            Kind::Redis => ask(server, &["DEL", &self.campaign, &format!("{}:stream", self.campaign)]).await?,
        };
        Ok(())
    }
}

/// Random users, the same ones in the same order for both servers.
#[derive(Clone, Copy, Debug)]
pub struct Crowd {
    first: u64,
    users: u64,
    seed: u64,
}

impl Crowd {
    /// For requests without a user.
    pub fn nobody() -> Crowd {
        Crowd { first: IN_TIME, users: 1, seed: 0 }
    }

    /// `users` users who claim.
    pub fn claiming(users: u32, seed: u64) -> Crowd {
        Crowd { first: IN_TIME, users: u64::from(users).min(TOO_LATE - IN_TIME), seed }
    }

    /// As many others.
    pub fn too_late(users: u32, seed: u64) -> Crowd {
        Crowd { first: TOO_LATE, users: u64::from(users).min(TOO_LATE - IN_TIME), seed }
    }

    /// Writes the digits of the `turn`-th user.
    pub fn write(&self, turn: u64, digits: &mut [u8]) {
        let mut user = self.first + self.draw(turn);
        for digit in digits[..USER_DIGITS].iter_mut().rev() {
            *digit = b'0' + (user % 10) as u8;
            user /= 10;
        }
    }

    /// How many different users make the first `claims` claims.
    pub fn different(&self, claims: u64) -> u64 {
        let mut seen = vec![false; usize::try_from(self.users).expect("users fit in memory")];
        for turn in 0..claims {
            seen[self.draw(turn) as usize] = true;
        }
        seen.iter().filter(|seen| **seen).count() as u64
    }

    fn draw(&self, turn: u64) -> u64 {
        // The finisher of SplitMix64.
        let mut bits = (turn ^ self.seed.rotate_left(17)).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        bits = (bits ^ bits >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ bits >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (bits ^ bits >> 31) % self.users
    }
}

/// `+GRANTED` is the only status with a G.
pub fn granted_by_gate(replies: &[u8]) -> u64 {
    replies.iter().filter(|byte| **byte == b'G').count() as u64
}

/// A seat is the only integer that begins with 1 to 9.
pub fn granted_by_script(replies: &[u8]) -> u64 {
    replies.windows(2).filter(|pair| pair[0] == b':' && (b'1'..=b'9').contains(&pair[1])).count() as u64
}

/// A command as an array of bulk strings.
pub fn encode(words: &[&str]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend_from_slice(format!("${}\r\n{word}\r\n", word.len()).as_bytes());
    }
    bytes
}

fn find(bytes: &[u8], part: &[u8]) -> Option<usize> {
    bytes.windows(part.len()).position(|window| window == part)
}
