//! Requests on campaigns, as commands of the core. An error names what was given and what would be right.

use std::borrow::Cow;

use crate::core::{Alteration, AlteredTime, Command, Dropping, Refusal, Terms, Users};
use crate::ids::{Millis, Seat};
use crate::limits::{CAMPAIGN_NAME_BYTES_MAX, REQUEST_ID_BYTES_MAX, SEATS_ROWS_MAX, SEED_SEATS_MAX};
use crate::wire::numbers;
use crate::wire::parse::Parsed;
use crate::wire::refusals::quoted;
use crate::wire::spec::Request;
use crate::wire::times::time;

/// `GATE.CREATE campaign LIMIT n [PERUSER k [NOID]] [OPEN t] [CLOSE t] [HOLD ms] [USERS INT|ANY] [SHADOW]`
pub(super) fn create<'a>(request: &Request<'a>) -> Parsed<'a> {
    let args = request.args;
    let campaign = args.get(1);
    if !is_campaign_name(campaign) {
        return Err(bad_name(campaign));
    }
    let mut given = Given::default();
    let takes = "LIMIT n [PERUSER k [NOID]] [OPEN t] [CLOSE t] [HOLD ms] [USERS INT|ANY] [SHADOW]";
    options(request, &CREATE_OPTIONS, "GATE.CREATE", takes, &mut given)?;
    Ok(Command::Create { campaign, terms: given.terms()? })
}

/// Takes the options behind the campaign, each at most once.
fn options<T>(
    request: &Request<'_>,
    known: &[TakenOption<T>],
    command: &str,
    takes: &str,
    given: &mut T,
) -> Result<(), Refusal> {
    let args = request.args;
    let mut at = 2;
    while at < args.len() {
        let word = args.get(at);
        let Some(option) = known.iter().find(|option| word.eq_ignore_ascii_case(option.word.as_bytes())) else {
            return Err(unknown_option(word, command, takes));
        };
        let value = match (option.has_value, at + 1 < args.len()) {
            (true, true) => args.get(at + 1),
            (true, false) => return Err(syntax(format!("{} needs a value", option.word))),
            (false, _) => b"",
        };
        at += 1 + usize::from(option.has_value);
        (option.take)(given, value)?;
    }
    Ok(())
}

/// What `GATE.CREATE` was given.
#[derive(Default)]
struct Given {
    limit: Option<u32>,
    per_user: Option<u16>,
    no_id: Option<()>,
    open: Option<Millis>,
    close: Option<Millis>,
    hold: Option<u32>,
    users: Option<Users>,
    shadow: Option<()>,
}

impl Given {
    fn terms(self) -> Result<Terms, Refusal> {
        let limit = self.limit.ok_or_else(|| syntax("LIMIT n is missing: the number of seats".to_owned()))?;
        if let (Some(open), Some(close)) = (self.open, self.close)
            && open >= close
        {
            return Err(Refusal::ErrText(format!(
                "OPEN ({}) must be before CLOSE ({}), in unix milliseconds",
                open.0, close.0
            )));
        }
        if self.no_id.is_some() && self.per_user.is_none() {
            return Err(syntax(
                "NOID belongs to PERUSER k: claims of a campaign with one seat a user need no ID".into(),
            ));
        }
        Ok(Terms {
            limit,
            per_user: self.per_user.unwrap_or(1),
            no_id: self.no_id.is_some(),
            open: self.open,
            close: self.close,
            hold: self.hold.unwrap_or(0),
            users: self.users.unwrap_or(Users::Int),
            shadow: self.shadow.is_some(),
        })
    }
}

struct TakenOption<T> {
    word: &'static str,
    has_value: bool,
    take: fn(&mut T, &[u8]) -> Result<(), Refusal>,
}

const CREATE_OPTIONS: [TakenOption<Given>; 8] = [
    TakenOption {
        word: "LIMIT",
        has_value: true,
        take: |given, value| once("LIMIT", &mut given.limit, whole("LIMIT", value, 0, u32::MAX)?),
    },
    TakenOption {
        word: "PERUSER",
        has_value: true,
        take: |given, value| once("PERUSER", &mut given.per_user, per_user(value)?),
    },
    TakenOption { word: "NOID", has_value: false, take: |given, _| once("NOID", &mut given.no_id, ()) },
    TakenOption {
        word: "OPEN",
        has_value: true,
        take: |given, value| once("OPEN", &mut given.open, time("OPEN", value)?),
    },
    TakenOption {
        word: "CLOSE",
        has_value: true,
        take: |given, value| once("CLOSE", &mut given.close, time("CLOSE", value)?),
    },
    TakenOption {
        word: "HOLD",
        has_value: true,
        take: |given, value| once("HOLD", &mut given.hold, whole("HOLD", value, 1, u32::MAX)?),
    },
    TakenOption { word: "USERS", has_value: true, take: |given, value| once("USERS", &mut given.users, users(value)?) },
    TakenOption { word: "SHADOW", has_value: false, take: |given, _| once("SHADOW", &mut given.shadow, ()) },
];

fn per_user(value: &[u8]) -> Result<u16, Refusal> {
    whole("PERUSER", value, 1, u16::MAX.into()).map(|seats| seats as u16)
}

fn users(value: &[u8]) -> Result<Users, Refusal> {
    match value {
        value if value.eq_ignore_ascii_case(b"int") => Ok(Users::Int),
        value if value.eq_ignore_ascii_case(b"any") => Ok(Users::Any),
        other => Err(syntax(format!("USERS '{}' is neither INT nor ANY", quoted(other)))),
    }
}

fn once<T>(word: &str, slot: &mut Option<T>, value: T) -> Result<(), Refusal> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(syntax(format!("{word} is given twice"))),
    }
}

/// `GATE.ALTER campaign [LIMIT n] [PERUSER k] [OPEN t|NONE] [CLOSE t|NOW|NONE]`
pub(super) fn alter<'a>(request: &Request<'a>) -> Parsed<'a> {
    let campaign = known_length(request.args.get(1))?;
    let mut change = Alteration::default();
    let takes = "[LIMIT n] [PERUSER k] [OPEN t|NONE] [CLOSE t|NOW|NONE]";
    options(request, &ALTER_OPTIONS, "GATE.ALTER", takes, &mut change)?;
    if change == Alteration::default() {
        return Err(syntax(format!("GATE.ALTER says nothing to alter; it takes {takes}")));
    }
    // Who asks is not in the request.
    Ok(Command::Alter { campaign, change, by: Cow::Borrowed(b"") })
}

const ALTER_OPTIONS: [TakenOption<Alteration>; 4] = [
    TakenOption {
        word: "LIMIT",
        has_value: true,
        take: |change, value| once("LIMIT", &mut change.limit, whole("LIMIT", value, 0, u32::MAX)?),
    },
    TakenOption {
        word: "PERUSER",
        has_value: true,
        take: |change, value| once("PERUSER", &mut change.per_user, per_user(value)?),
    },
    TakenOption {
        word: "OPEN",
        has_value: true,
        take: |change, value| once("OPEN", &mut change.open, time_or_none("OPEN", value)?),
    },
    TakenOption {
        word: "CLOSE",
        has_value: true,
        take: |change, value| {
            let now = value.eq_ignore_ascii_case(b"NOW").then_some(Ok(AlteredTime::Now));
            once("CLOSE", &mut change.close, now.unwrap_or_else(|| time_or_none("CLOSE", value))?)
        },
    },
];

fn time_or_none(option: &str, value: &[u8]) -> Result<AlteredTime, Refusal> {
    match value.eq_ignore_ascii_case(b"NONE") {
        true => Ok(AlteredTime::None),
        false => time(option, value).map(AlteredTime::At),
    }
}

/// `GATE.CLAIM campaign user [ID request] [FLAT]`
#[inline]
pub(super) fn claim<'a>(request: &Request<'a>) -> Parsed<'a> {
    let args = request.args;
    let campaign = known_length(args.get(1))?;
    let (id, flat) = if args.len() > 3 { claim_options(request)? } else { (&b""[..], false) };
    Ok(Command::Claim { campaign, user: args.get(2), request: id, flat })
}

/// `[ID request] [FLAT]`, in any order.
fn claim_options<'a>(request: &Request<'a>) -> Result<(&'a [u8], bool), Refusal> {
    let (mut id, mut flat) = (None, None);
    let (args, mut at) = (request.args, 3);
    while at < args.len() {
        let word = args.get(at);
        at += 1;
        if word.eq_ignore_ascii_case(b"FLAT") {
            once("FLAT", &mut flat, ())?;
        } else if word.eq_ignore_ascii_case(b"ID") {
            let given = (at < args.len()).then(|| args.get(at)).ok_or_else(|| syntax("ID needs a value".into()))?;
            at += 1;
            if !(1..=REQUEST_ID_BYTES_MAX).contains(&given.len()) {
                let text = format!("ID must be 1 to {REQUEST_ID_BYTES_MAX} bytes long; this one has {}", given.len());
                return Err(Refusal::ErrText(text));
            }
            once("ID", &mut id, given)?;
        } else {
            return Err(unknown_option(word, "GATE.CLAIM", "[ID request] [FLAT]"));
        }
    }
    Ok((id.unwrap_or_default(), flat.is_some()))
}

/// `GATE.CONFIRM campaign user [SEAT n] [FLAT]`
pub(super) fn confirm<'a>(request: &Request<'a>) -> Parsed<'a> {
    let campaign = known_length(request.args.get(1))?;
    let (seat, flat) = seat_and_flat(request, "GATE.CONFIRM")?;
    Ok(Command::Confirm { campaign, user: request.args.get(2), seat, flat })
}

/// `GATE.CANCEL campaign user [SEAT n] [FLAT]`
pub(super) fn cancel<'a>(request: &Request<'a>) -> Parsed<'a> {
    let campaign = known_length(request.args.get(1))?;
    let (seat, flat) = seat_and_flat(request, "GATE.CANCEL")?;
    Ok(Command::Cancel { campaign, user: request.args.get(2), seat, flat })
}

/// `[SEAT n] [FLAT]` behind campaign and user.
fn seat_and_flat(request: &Request<'_>, command: &str) -> Result<(Option<Seat>, bool), Refusal> {
    let (mut seat, mut flat) = (None, None);
    let mut words = request.args.iter().skip(3);
    while let Some(word) = words.next() {
        if word.eq_ignore_ascii_case(b"FLAT") {
            once("FLAT", &mut flat, ())?;
        } else if word.eq_ignore_ascii_case(b"SEAT") {
            let given = words.next().ok_or_else(|| syntax("SEAT needs a value".into()))?;
            once("SEAT", &mut seat, whole("SEAT", given, 1, u32::MAX)?)?;
        } else {
            return Err(unknown_option(word, command, "[SEAT n] [FLAT]"));
        }
    }
    Ok((seat.map(Seat::new), flat.is_some()))
}

/// `GATE.SEED campaign user seat [user seat ...]`
pub(super) fn seed<'a>(request: &Request<'a>) -> Parsed<'a> {
    let campaign = known_length(request.args.get(1))?;
    let mut words = request.args.iter().skip(2);
    let mut seats = Vec::new();
    while let Some(user) = words.next() {
        let seat = words.next().ok_or_else(|| syntax(format!("user '{}' has no seat behind it", quoted(user))))?;
        if seats.len() == SEED_SEATS_MAX {
            return Err(Refusal::ErrText(format!("GATE.SEED takes up to {SEED_SEATS_MAX} seats at a time")));
        }
        seats.push((user, Seat::new(whole("seat", seat, 1, u32::MAX)?)));
    }
    Ok(Command::Seed { campaign, seats })
}

/// `GATE.STATUS campaign user`
pub(super) fn status<'a>(request: &Request<'a>) -> Parsed<'a> {
    Ok(Command::Status { campaign: known_length(request.args.get(1))?, user: request.args.get(2) })
}

/// `GATE.INFO campaign`
pub(super) fn info<'a>(request: &Request<'a>) -> Parsed<'a> {
    Ok(Command::CampaignInfo { campaign: known_length(request.args.get(1))? })
}

/// `GATE.LIST`
pub(super) fn list<'a>(_request: &Request<'a>) -> Parsed<'a> {
    Ok(Command::Campaigns)
}

/// `GATE.SEATS campaign first count`
pub(super) fn seats<'a>(request: &Request<'a>) -> Parsed<'a> {
    let campaign = known_length(request.args.get(1))?;
    let first = whole("first", request.args.get(2), 1, u32::MAX)?;
    let count = whole("count", request.args.get(3), 1, SEATS_ROWS_MAX)?;
    Ok(Command::Seats { campaign, first, count })
}

/// `GATE.DROP campaign [FORCE|PURGE]`
pub(super) fn drop<'a>(request: &Request<'a>) -> Parsed<'a> {
    let campaign = known_length(request.args.get(1))?;
    let mut how = None;
    for word in request.args.iter().skip(2) {
        let said = if word.eq_ignore_ascii_case(b"FORCE") {
            Dropping::Forced
        } else if word.eq_ignore_ascii_case(b"PURGE") {
            Dropping::Purged
        } else {
            return Err(unknown_option(word, "GATE.DROP", "[FORCE|PURGE]"));
        };
        if how.replace(said).is_some() {
            return Err(syntax("GATE.DROP takes one of FORCE and PURGE, once".into()));
        }
    }
    Ok(Command::Drop { campaign, how: how.unwrap_or(Dropping::Safely) })
}

fn unknown_option(word: &[u8], command: &str, takes: &str) -> Refusal {
    syntax(format!("'{}' is no option of {command}; it takes {takes}", quoted(word)))
}

fn syntax(what: String) -> Refusal {
    Refusal::ErrText(format!("syntax error: {what}"))
}

/// The integer in `text`, within bounds.
fn whole(name: &str, text: &[u8], min: u32, max: u32) -> Result<u32, Refusal> {
    numbers::unsigned(text)
        .and_then(|number| u32::try_from(number).ok())
        .filter(|number| (min..=max).contains(number))
        .ok_or_else(|| Refusal::ErrText(format!("{name} '{}' is not an integer from {min} to {max}", quoted(text))))
}

/// A campaign's name that is looked up, not made: whether it exists is the core's to say, but no error repeats
/// megabytes.
#[inline]
fn known_length(campaign: &[u8]) -> Result<&[u8], Refusal> {
    if campaign.is_empty() || campaign.len() > CAMPAIGN_NAME_BYTES_MAX {
        return Err(bad_name(campaign));
    }
    Ok(campaign)
}

pub(super) fn is_campaign_name(name: &[u8]) -> bool {
    (1..=CAMPAIGN_NAME_BYTES_MAX).contains(&name.len())
        && name.iter().all(|byte| byte.is_ascii_alphanumeric() || b"._:{}-".contains(byte))
}

#[cold]
fn bad_name(name: &[u8]) -> Refusal {
    Refusal::ErrText(format!(
        "'{}' is no name for a campaign: 1 to {CAMPAIGN_NAME_BYTES_MAX} letters, digits and . _ : {{ }} - are",
        quoted(name)
    ))
}
