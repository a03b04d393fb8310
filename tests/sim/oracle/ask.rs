//! What simulated clients ask, in bytes. Names are numbers here: campaigns, keys and users from small sets, so that
//! everybody wants the same.

/// Campaigns that clients know.
pub const CAMPAIGNS: u8 = 4;
/// Seats that are brought in at a time, at most.
pub const SEEDS: u8 = 4;
/// Keys that clients know.
pub const KEYS: u8 = 6;

/// What a campaign is created with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    pub limit: u32,
    pub per_user: u16,
    pub no_id: bool,
    pub open: Option<i64>,
    pub close: Option<i64>,
    /// Milliseconds that a claim is held; 0: it is granted at once.
    pub hold: u32,
    pub any: bool,
    pub shadow: bool,
}

/// One request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    Ping,
    Save,
    Create {
        campaign: u8,
        terms: Terms,
    },
    /// `CLOSE`: at a time, or 0 for now and -1 for never.
    Alter {
        campaign: u8,
        limit: Option<u32>,
        per_user: Option<u16>,
        open: Option<i64>,
        close: Option<i64>,
    },
    /// `request`: 0 is none.
    Claim {
        campaign: u8,
        user: u32,
        request: u8,
        flat: bool,
    },
    Confirm {
        campaign: u8,
        user: u32,
        seat: Option<u32>,
        flat: bool,
    },
    Cancel {
        campaign: u8,
        user: u32,
        seat: Option<u32>,
        flat: bool,
    },
    Status {
        campaign: u8,
        user: u32,
    },
    Info {
        campaign: u8,
    },
    Seats {
        campaign: u8,
    },
    /// The first `count` of these users and seats.
    Seed {
        campaign: u8,
        seats: [(u32, u32); SEEDS as usize],
        count: u8,
    },
    Drop {
        campaign: u8,
        force: bool,
    },
    Purge {
        campaign: u8,
    },
    Get {
        key: u8,
    },
    Set {
        key: u8,
        value: Text,
        px: Option<i64>,
    },
    SetIfNone {
        key: u8,
        value: Text,
    },
    Add {
        key: u8,
        step: i64,
    },
    Append {
        key: u8,
        value: Text,
    },
    Delete {
        key: u8,
    },
    Expire {
        key: u8,
        ms: i64,
    },
    TimeToLive {
        key: u8,
    },
    Persist {
        key: u8,
    },
    Exists {
        key: u8,
    },
    SetTwo {
        keys: [u8; 2],
        values: [Text; 2],
    },
    GetTwo {
        keys: [u8; 2],
    },
    Rename {
        from: u8,
        to: u8,
    },
}

/// A short value: a number, or letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Text {
    Number(i64),
    Letters(u32, u8),
}

impl Text {
    /// Its bytes.
    pub fn write(self, out: &mut Vec<u8>) {
        match self {
            Text::Number(number) => number_to(out, number),
            Text::Letters(seed, len) => {
                out.extend((0..len).map(|at| b'a' + (seed.rotate_left(u32::from(at)) % 26) as u8))
            }
        }
    }
}

/// A number in decimal.
pub fn number_to(out: &mut Vec<u8>, number: i64) {
    let (mut digits, mut at, mut rest) = ([0u8; 20], 20, number.unsigned_abs());
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if number < 0 {
        out.push(b'-');
    }
    out.extend_from_slice(&digits[at..]);
}

/// The user's name where the campaign takes any, his number where it takes integers.
pub fn user_to(out: &mut Vec<u8>, user: u32, any: bool) {
    if any {
        out.extend_from_slice(b"user-");
    }
    number_to(out, i64::from(user));
}

impl Ask {
    /// As a client sends it; `any` says which campaigns have users with names.
    pub fn write(self, any: impl Fn(u8) -> bool, out: &mut Vec<u8>) {
        let mut line = Words { out, start: 0, count: 0 };
        line.begin();
        match self {
            Ask::Ping => line.word(b"PING"),
            Ask::Save => {
                line.word(b"BGSAVE");
                line.word(b"SCHEDULE");
            }
            Ask::Create { campaign, terms: Terms { limit, per_user, no_id, open, close, hold, any, shadow } } => {
                line.word(b"GATE.CREATE");
                line.named(b'c', campaign);
                line.word(b"LIMIT");
                line.number(i64::from(limit));
                if per_user > 1 {
                    line.word(b"PERUSER");
                    line.number(per_user.into());
                }
                if no_id {
                    line.word(b"NOID");
                }
                for (word, at) in [(b"OPEN".as_slice(), open), (b"CLOSE", close)] {
                    if let Some(at) = at {
                        line.word(word);
                        line.number(at);
                    }
                }
                if hold > 0 {
                    line.word(b"HOLD");
                    line.number(hold.into());
                }
                if any {
                    line.word(b"USERS");
                    line.word(b"ANY");
                }
                if shadow {
                    line.word(b"SHADOW");
                }
            }
            Ask::Alter { campaign, limit, per_user, open, close } => {
                line.word(b"GATE.ALTER");
                line.named(b'c', campaign);
                if let Some(limit) = limit {
                    line.word(b"LIMIT");
                    line.number(i64::from(limit));
                }
                if let Some(per_user) = per_user {
                    line.word(b"PERUSER");
                    line.number(per_user.into());
                }
                for (word, at) in [(b"OPEN".as_slice(), open), (b"CLOSE", close)] {
                    let Some(at) = at else { continue };
                    line.word(word);
                    match at {
                        0 => line.word(b"NOW"),
                        -1 => line.word(b"NONE"),
                        at => line.number(at),
                    }
                }
            }
            Ask::Claim { campaign, user, request, flat } => {
                line.word(b"GATE.CLAIM");
                line.named(b'c', campaign);
                line.user(user, any(campaign));
                if request > 0 {
                    line.word(b"ID");
                    line.named(b'r', request);
                }
                if flat {
                    line.word(b"FLAT");
                }
            }
            Ask::Confirm { campaign, user, seat, flat } => {
                line.word(b"GATE.CONFIRM");
                line.seat_of(campaign, (user, any(campaign)), seat, flat);
            }
            Ask::Cancel { campaign, user, seat, flat } => {
                line.word(b"GATE.CANCEL");
                line.seat_of(campaign, (user, any(campaign)), seat, flat);
            }
            Ask::Status { campaign, user } => {
                line.word(b"GATE.STATUS");
                line.named(b'c', campaign);
                line.user(user, any(campaign));
            }
            Ask::Info { campaign } => {
                line.word(b"GATE.INFO");
                line.named(b'c', campaign);
            }
            Ask::Seats { campaign } => {
                line.word(b"GATE.SEATS");
                line.named(b'c', campaign);
                line.number(1);
                line.number(1000);
            }
            Ask::Seed { campaign, seats, count } => {
                line.word(b"GATE.SEED");
                line.named(b'c', campaign);
                for (user, seat) in &seats[..usize::from(count)] {
                    line.user(*user, any(campaign));
                    line.number(i64::from(*seat));
                }
            }
            Ask::Purge { campaign } => {
                line.word(b"GATE.DROP");
                line.named(b'c', campaign);
                line.word(b"PURGE");
            }
            Ask::Drop { campaign, force } => {
                line.word(b"GATE.DROP");
                line.named(b'c', campaign);
                if force {
                    line.word(b"FORCE");
                }
            }
            Ask::Get { key } => line.one(b"GET", key),
            Ask::Set { key, value, px } => {
                line.one(b"SET", key);
                line.text(value);
                if let Some(px) = px {
                    line.word(b"PX");
                    line.number(px);
                }
            }
            Ask::SetIfNone { key, value } => {
                line.one(b"SETNX", key);
                line.text(value);
            }
            Ask::Add { key, step: 1 } => line.one(b"INCR", key),
            Ask::Add { key, step: -1 } => line.one(b"DECR", key),
            Ask::Add { key, step } => {
                line.one(b"INCRBY", key);
                line.number(step);
            }
            Ask::Append { key, value } => {
                line.one(b"APPEND", key);
                line.text(value);
            }
            Ask::Delete { key } => line.one(b"DEL", key),
            Ask::Expire { key, ms } => {
                line.one(b"PEXPIRE", key);
                line.number(ms);
            }
            Ask::TimeToLive { key } => line.one(b"PTTL", key),
            Ask::Persist { key } => line.one(b"PERSIST", key),
            Ask::Exists { key } => line.one(b"EXISTS", key),
            Ask::SetTwo { keys, values } => {
                line.one(b"MSET", keys[0]);
                line.text(values[0]);
                line.named(b'k', keys[1]);
                line.text(values[1]);
            }
            Ask::GetTwo { keys } => {
                line.one(b"MGET", keys[0]);
                line.named(b'k', keys[1]);
            }
            Ask::Rename { from, to } => {
                line.one(b"RENAME", from);
                line.named(b'k', to);
            }
        }
        line.end();
    }
}

/// Writes a request as an array of bulk strings.
struct Words<'o> {
    out: &'o mut Vec<u8>,
    start: usize,
    count: u8,
}

impl Words<'_> {
    fn begin(&mut self) {
        self.start = self.out.len();
        self.out.extend_from_slice(b"*0\r\n");
    }

    fn end(&mut self) {
        assert!(self.count < 20, "at most two digits for the number of words");
        self.out[self.start + 1] = b'0' + self.count % 10;
        if self.count >= 10 {
            self.out.insert(self.start + 1, b'1');
        }
    }

    fn word(&mut self, word: &[u8]) {
        self.count += 1;
        self.out.push(b'$');
        number_to(self.out, word.len() as i64);
        self.out.extend_from_slice(b"\r\n");
        self.out.extend_from_slice(word);
        self.out.extend_from_slice(b"\r\n");
    }

    fn one(&mut self, word: &[u8], key: u8) {
        self.word(word);
        self.named(b'k', key);
    }

    fn named(&mut self, kind: u8, number: u8) {
        self.word(&[kind, b'0' + number]);
    }

    fn number(&mut self, number: i64) {
        let mut digits = Vec::with_capacity(20);
        number_to(&mut digits, number);
        self.word(&digits);
    }

    fn user(&mut self, user: u32, any: bool) {
        let mut name = Vec::with_capacity(16);
        user_to(&mut name, user, any);
        self.word(&name);
    }

    /// What `GATE.CONFIRM` and `GATE.CANCEL` are told.
    fn seat_of(&mut self, campaign: u8, (user, any): (u32, bool), seat: Option<u32>, flat: bool) {
        self.named(b'c', campaign);
        self.user(user, any);
        if let Some(seat) = seat {
            self.word(b"SEAT");
            self.number(seat.into());
        }
        if flat {
            self.word(b"FLAT");
        }
    }

    fn text(&mut self, text: Text) {
        let mut bytes = Vec::with_capacity(32);
        text.write(&mut bytes);
        self.word(&bytes);
    }
}
