//! What the commands on campaigns answer, and when: rows of `docs/commands.md`.

/// The answer as it is written, and when it is given.
pub(super) type Answer = (&'static str, &'static str);

const NO_CAMPAIGN: Answer =
    ("-NOCAMPAIGN ...", "Nobody created this campaign, or it was dropped. Never said of one that is sold out.");
const NEVER_GRANTED: Answer = (
    "-NOCAMPAIGN ...",
    "Nobody created this campaign, or it was purged, or dropped before it had granted a seat. One that was dropped \
     afterwards is still told of.",
);
const PLAIN_KEY: Answer = ("-WRONGTYPE ...", "A plain key of database 0 has this name.");
const BAD_USER: Answer = (
    "-ERR ...",
    "The user is none: with USERS INT an integer of 64 bits in its shortest form, with USERS ANY 1 to 64 bytes.",
);

pub(super) const CREATE: &[Answer] = &[
    ("CREATED", "It is there from now on."),
    ("EXISTS", "It was created with the same terms before. It may have been altered since."),
    (
        "-CONFLICT ...",
        "It was created with other terms, which the text names; or it was dropped after it had granted a \
         seat: its name is kept for ever.",
    ),
    PLAIN_KEY,
    (
        "-ERR ...",
        "LIMIT is missing, a value is out of range, OPEN is not before CLOSE, a time looks like seconds, or \
         the name is none: 1 to 64 letters, digits and . _ : { } -. Or what the gate is joined to cannot carry it: a ledger \
         or records for INT users only, a ledger with grants of this name by another journal.",
    ),
];

pub(super) const CLAIM: &[Answer] = &[
    (
        "[GRANTED, seat, remaining]",
        "The user has this seat from now on, the lowest that was free. With FLAT one bulk string: GRANTED \
         57 43.",
    ),
    (
        "[HELD, seat, remaining, until]",
        "A campaign with HOLD keeps this seat for the user, the lowest that was free, until then (Unix milliseconds): \
         GATE.CONFIRM makes a grant of it, and afterwards it is free again. A claim that is sent again answers the same, \
         with the deadline of the first. With FLAT: HELD 57 43 1732250600123.",
    ),
    (
        "[ALREADY, seat, remaining]",
        "He had it already: with an ID the seat that this ID got him, else the last of all he may have. So it \
         answers a claim that is sent again, also when the campaign is sold out or closed; and a claim with another \
         ID of a user who has or holds all he may have.",
    ),
    ("[SOLDOUT, 0, 0]", "No seat is free."),
    ("[NOTOPEN, milliseconds, remaining]", "So long to wait."),
    ("[CLOSED, 0, remaining]", "It is over."),
    NO_CAMPAIGN,
    PLAIN_KEY,
    BAD_USER,
    (
        "-ERR a user may have ...",
        "A user may have several seats, and the claim has no ID (1 to 64 bytes): sent again it would get \
         another seat. A campaign that was created with NOID takes it.",
    ),
];

pub(super) const CONFIRM: &[Answer] = &[
    (
        "[GRANTED, seat, remaining]",
        "The seat is granted: the one that SEAT names, else the first of the user's that is held. Sent again it answers \
         the same and changes nothing, with SEAT or where a user may have one seat only. CLOSE does not end holds: who got one in \
         time can confirm it. With FLAT one bulk string: GRANTED 57 43.",
    ),
    (
        "[NONE, 0, remaining]",
        "The user holds no seat, or not that one, or its time was over; without SEAT, where a user may have several: \
         none of his is held.",
    ),
    NO_CAMPAIGN,
    PLAIN_KEY,
    BAD_USER,
    ("-ERR ...", "SEAT is no seat, an option is unknown or given twice."),
];

pub(super) const CANCEL: &[Answer] = &[
    (
        "[CANCELLED, seat, remaining]",
        "The seat is free again, granted or held as it was: the one that SEAT names, else the only one that the user has. \
         The next claim gets the lowest free one; the user may claim again, and an ID with which he got the seat is forgotten. Also \
         before OPEN and after CLOSE. Where grants are streamed, the return of a granted seat follows them, and the ledger's row moves from \
         coupon_grant to coupon_return. With FLAT one bulk string: CANCELLED 57 44.",
    ),
    (
        "[NONE, 0, remaining]",
        "The user has no seat, or not that one: somebody else's is not touched. So it answers a cancel that is sent again.",
    ),
    NO_CAMPAIGN,
    PLAIN_KEY,
    BAD_USER,
    (
        "-ERR the user has ...",
        "He has several seats: SEAT must say which, so that a cancel that is sent again does not take another one.",
    ),
    (
        "-ERR GATE.CANCEL needs ...",
        "Grants are streamed with --kafka-key user or none, or --kafka-cancel-topic is none: a return could overtake its grant, or \
         has no topic. Holds, and campaigns that are a rehearsal (SHADOW), are cancelled all the same.",
    ),
    ("-ERR ...", "SEAT is no seat, an option is unknown or given twice."),
];

pub(super) const SEED: &[Answer] = &[
    (
        "number",
        "So many seats are granted now; those that the same users had from an earlier GATE.SEED are not counted, so that it can be sent again. \
         Up to 1000 at a time, in any order; seats that are left out are free. They are grants like any other: published, stored, \
         told by GATE.STATUS; granted at once also where the campaign has HOLD. `coupon-gate seed` brings in a whole Redis set.",
    ),
    (
        "-CONFLICT ...",
        "Nothing was changed: the campaign has been claimed from already, or a seat came back; a seat is beyond the limit, or somebody \
         else's, or named twice; a user would have more than PERUSER.",
    ),
    NO_CAMPAIGN,
    PLAIN_KEY,
    BAD_USER,
    ("-ERR ...", "A seat is no integer from 1 on, a user has no seat behind him, or there are more than 1000."),
];

pub(super) const STATUS: &[Answer] = &[
    (
        "[[GRANTED or HELD, seat, at, stage]]",
        "One row for each seat, the first one first. at: Unix milliseconds. stage: accepted (in memory), durable (on disk), \
         published (in Kafka), stored (in the ledger). What is held is neither published nor stored.",
    ),
    ("[]", "The user has no seat."),
    NO_CAMPAIGN,
    PLAIN_KEY,
    BAD_USER,
];

pub(super) const WHY: &[Answer] = &[
    (
        "[[at, what, seat, seq, stage], ...]",
        "In order. at: Unix milliseconds. what: granted, held, confirmed, expired (nobody confirmed it in time), released (a hold was \
         cancelled), returned (a grant was), imported (by catch-up), dropped (the campaign; seat 0). seq: the position, for what is imported the one that Kafka and \
         the ledger know. stage as in GATE.STATUS. Also of a campaign that was dropped. It is read from the journal and its \
         history; what even history gave up (--journal-keep) is told of seats that are still somebody's.",
    ),
    NEVER_GRANTED,
    PLAIN_KEY,
    BAD_USER,
    ("-BUSY ...", "16 connections wait for a story already."),
];

pub(super) const INFO: &[Answer] = &[
    (
        "map",
        "campaign, state (NOTOPEN, OPEN, SOLDOUT, CLOSED, DROPPED), limit, peruser, noid, granted, held, \
         remaining, open, close, hold, users, shadow, created, first_grant, last_grant, published, stored; \
         times in Unix milliseconds, nil where there is none; claims and refused_soldout, refused_already, \
         refused_notopen, refused_closed since the start.",
    ),
    NEVER_GRANTED,
    PLAIN_KEY,
];

pub(super) const SEATS: &[Answer] = &[
    (
        "[[seat, user, at, GRANTED or HELD], ...]",
        "At most count rows, at most 10000, from seat first on. A seat that is free has no row.",
    ),
    NO_CAMPAIGN,
    PLAIN_KEY,
    ("-ERR ...", "first or count is out of range."),
];

pub(super) const ALTER: &[Answer] = &[
    (
        "OK",
        "It holds from now on. What is not named stays; NONE takes a time away; CLOSE NOW stops the \
         campaign at once, whatever else is set, also one that has not opened: CLOSE NONE lets it go on.",
    ),
    (
        "-CONFLICT ...",
        "LIMIT would be below a seat that is out, PERUSER below what a user has, or OPEN not before CLOSE. \
         Nothing has changed.",
    ),
    NO_CAMPAIGN,
    PLAIN_KEY,
    ("-ERR ...", "Nothing to alter is named, a value is out of range, or a time looks like seconds."),
];

pub(super) const DROP: &[Answer] = &[
    (
        "OK",
        "It is gone. If it had granted a seat, its name is kept for ever. With PURGE all its seats came back before: their rows move to \
         coupon_return, and the name can be used again. More than 100000 seats come back step by step: until the last one has, the campaign can still be claimed from. FLUSHALL, and FLUSHDB in database 0, do the same with all campaigns of a gate with \
         --allow-reset; others refuse them while there is a campaign. A name that was dropped without PURGE stays taken, also then.",
    ),
    (
        "-CONFLICT ...",
        "Seats are held, or grants are not yet published or stored: wait, or FORCE, which ends the holds and leaves the \
         grants to arrive later.",
    ),
    (
        "-ERR GATE.DROP PURGE ...",
        "The gate is no test system (--allow-reset), or its returns have no topic (see GATE.CANCEL).",
    ),
    NO_CAMPAIGN,
    PLAIN_KEY,
];
