//! The rows of the commands on campaigns.

use crate::wire::gate_answers as answers;
use crate::wire::parse_gate as parse;
use crate::wire::spec::{
    Arg, ArgKind, Categories, CommandSpec, ConnectionCommand, Flags, Group, Handler, KeySpec, Parse,
};

const READONLY: Flags = Flags::READONLY;
const WRITE: Flags = Flags::WRITE;
const DENYOOM: Flags = Flags::DENYOOM;
const FAST: Flags = Flags::FAST;

/// The release that brought them.
const SINCE: &str = "0.1.0";

const fn gate(name: &'static str, arity: i32, parse: Parse) -> CommandSpec {
    CommandSpec::new(name, arity, Group::Gate, Handler::Core(parse)).category(Categories::GATE)
}

const fn key(flags: &'static [&'static str]) -> KeySpec {
    KeySpec { first: 1, last: 0, step: 1, flags }
}

const CAMPAIGN: Arg = Arg::new("campaign", ArgKind::Key);
const USER: Arg = Arg::string("user");
const TIME: Arg = Arg::string("time");
const NONE: Arg = Arg::word("none", "NONE");

/// The rows.
pub(super) const ROWS: &[CommandSpec] = &[
    gate("gate.create", -4, parse::create)
        .flags(&[WRITE, DENYOOM])
        .keys(&[key(&["OW", "insert"])])
        .doc(
            SINCE,
            "Creates a campaign with a number of seats; the same again is EXISTS.",
            &[
                CAMPAIGN,
                Arg::integer("limit").after("LIMIT"),
                Arg::integer("peruser").after("PERUSER").optional(),
                Arg::word("noid", "NOID").optional(),
                Arg::string("open").after("OPEN").optional(),
                Arg::string("close").after("CLOSE").optional(),
                Arg::integer("hold").after("HOLD").optional(),
                Arg::one_of("users", &[Arg::word("int", "INT"), Arg::word("any", "ANY")]).after("USERS").optional(),
                Arg::word("shadow", "SHADOW").optional(),
            ],
        )
        .answers(answers::CREATE),
    gate("gate.claim", -3, parse::claim)
        .flags(&[WRITE, DENYOOM, FAST])
        .keys(&[key(&["RW", "access", "update"])])
        .doc(
            SINCE,
            "Claims a seat for a user: GRANTED, HELD, ALREADY, SOLDOUT, NOTOPEN or CLOSED, its number, and the free seats.",
            &[CAMPAIGN, USER, Arg::string("request").after("ID").optional(), Arg::word("flat", "FLAT").optional()],
        )
        .answers(answers::CLAIM),
    gate("gate.confirm", -3, parse::confirm)
        .flags(&[WRITE, DENYOOM, FAST])
        .keys(&[key(&["RW", "access", "update"])])
        .doc(
            SINCE,
            "Confirms a seat that a user holds: it is granted then.",
            &[CAMPAIGN, USER, Arg::integer("seat").after("SEAT").optional(), Arg::word("flat", "FLAT").optional()],
        )
        .answers(answers::CONFIRM),
    gate("gate.cancel", -3, parse::cancel)
        .flags(&[WRITE, DENYOOM, FAST])
        .keys(&[key(&["RW", "access", "update"])])
        .doc(
            SINCE,
            "Takes a seat back from a user: it is free again.",
            &[CAMPAIGN, USER, Arg::integer("seat").after("SEAT").optional(), Arg::word("flat", "FLAT").optional()],
        )
        .answers(answers::CANCEL),
    gate("gate.seed", -4, parse::seed)
        .flags(&[WRITE, DENYOOM])
        .keys(&[key(&["RW", "access", "update"])])
        .complexity("O(N) where N is the number of seats.")
        .doc(
            SINCE,
            "Brings in seats that another system has granted, before the first claim; all of them or none.",
            &[
                CAMPAIGN,
                Arg::block("grant", &[USER, Arg::integer("seat")]).multiple(),
            ],
        )
        .answers(answers::SEED),
    gate("gate.status", 3, parse::status)
        .flags(&[READONLY, FAST])
        .keys(&[key(&["RO", "access"])])
        .doc(SINCE, "Returns the seats of a user and how far each has come.", &[CAMPAIGN, USER])
        .answers(answers::STATUS),
    CommandSpec::new("gate.why", 3, Group::Gate, Handler::Connection(ConnectionCommand::GateWhy))
        .category(Categories::GATE)
        .flags(&[READONLY])
        .keys(&[key(&["RO", "access"])])
        .complexity("O(N) where N is the length of the journal and its history; the loop does not wait for it.")
        .doc(SINCE, "Returns what happened to a user, as the journal tells it.", &[CAMPAIGN, USER])
        .answers(answers::WHY),
    gate("gate.info", 2, parse::info)
        .flags(&[READONLY, FAST])
        .keys(&[key(&["RO", "access"])])
        .doc(SINCE, "Returns the terms and the figures of a campaign.", &[CAMPAIGN])
        .answers(answers::INFO),
    gate("gate.list", 1, parse::list).flags(&[READONLY]).complexity("O(N) where N is the number of campaigns.").doc(
        SINCE,
        "Returns the names of the campaigns.",
        &[],
    ),
    gate("gate.seats", 4, parse::seats)
        .flags(&[READONLY])
        .keys(&[key(&["RO", "access"])])
        .complexity("O(N) where N is the number of returned seats.")
        .doc(
            SINCE,
            "Returns who has the seats from one number on.",
            &[CAMPAIGN, Arg::integer("first"), Arg::integer("count")],
        )
        .answers(answers::SEATS),
    gate("gate.alter", -2, parse::alter)
        .flags(&[WRITE])
        .keys(&[key(&["RW", "update"])])
        .doc(
            SINCE,
            "Gives a campaign, or each of its users, another number of seats, or another window; CLOSE NOW stops it.",
            &[
                CAMPAIGN,
                Arg::integer("limit").after("LIMIT").optional(),
                Arg::integer("peruser").after("PERUSER").optional(),
                Arg::one_of("open", &[TIME, NONE]).after("OPEN").optional(),
                Arg::one_of("close", &[TIME, Arg::word("now", "NOW"), NONE]).after("CLOSE").optional(),
            ],
        )
        .answers(answers::ALTER),
    gate("gate.drop", -2, parse::drop)
        .flags(&[WRITE])
        .keys(&[key(&["RM", "delete"])])
        .doc(
            SINCE,
            "Removes a campaign of which no seat is held and all grants are published and stored; with FORCE or PURGE, any.",
            &[
                CAMPAIGN,
                Arg::one_of("how", &[Arg::word("force", "FORCE"), Arg::word("purge", "PURGE")]).optional(),
            ],
        )
        .answers(answers::DROP),
    CommandSpec::new("gate.help", 1, Group::Gate, Handler::Connection(ConnectionCommand::GateHelp))
        .category(Categories::GATE)
        .flags(&[Flags::LOADING, Flags::STALE])
        .doc(SINCE, "Returns what the GATE commands do.", &[]),
];
