//! Tests of parsing: campaigns.

use crate::core::{Alteration, AlteredTime, Command, Dropping, Terms, Users};
use crate::ids::{Millis, Seat};
use crate::wire::parse_tests::{parsed, parsed_words};

fn same(line: &str, command: Command<'_>) {
    assert_eq!(parsed(line), Ok(format!("{command:?}")), "{line}");
}

fn refused(line: &str, error: &str) {
    assert_eq!(parsed(line), Err(error.to_owned()), "{line}");
}

const SPRING: &[u8] = b"spring";

fn plain(limit: u32) -> Terms {
    Terms { limit, ..Terms::DEFAULT }
}

#[test]
fn create_takes_its_options_in_any_order() {
    let create = |terms| Command::Create { campaign: SPRING, terms };
    same("GATE.CREATE spring LIMIT 100", create(plain(100)));
    same("gate.create spring limit 0", create(plain(0)));
    same("GATE.CREATE spring LIMIT 4294967295", create(plain(u32::MAX)));
    let (open, close) = (Some(Millis(1_767_225_600_000)), Some(Millis(1_767_229_200_000)));
    same(
        "GATE.CREATE spring SHADOW USERS ANY CLOSE 1767229200000 LIMIT 5 OPEN 1767225600000",
        create(Terms { limit: 5, open, close, users: Users::Any, shadow: true, ..plain(5) }),
    );
    same("GATE.CREATE spring HOLD 600000 LIMIT 5", create(Terms { hold: 600_000, ..plain(5) }));
    for hold in ["0", "4294967296", "-1", "x"] {
        refused(
            &format!("GATE.CREATE spring LIMIT 5 HOLD {hold}"),
            &format!("ERR HOLD '{hold}' is not an integer from 1 to 4294967295"),
        );
    }
    same("GATE.CREATE spring LIMIT 5 USERS int", create(plain(5)));
}

#[test]
fn times_are_milliseconds_or_iso_8601_with_an_offset() {
    let opens = |text: &str, open: i64| {
        let terms = Terms { open: Some(Millis(open)), ..plain(1) };
        let command = Command::Create { campaign: SPRING, terms };
        let parsed = parsed_words(&["GATE.CREATE", "spring", "LIMIT", "1", "OPEN", text]);
        assert_eq!(parsed, Ok(format!("{command:?}")), "{text}");
    };
    opens("1000000000000", 1_000_000_000_000);
    opens("2026-01-01T00:00:00Z", 1_767_225_600_000);
    opens("2026-01-01T09:00:00+09:00", 1_767_225_600_000);
    opens("2026-01-01 09:00:00.123+09", 1_767_225_600_123);
    opens("2026-01-01T00:00:00-05:30", 1_767_245_400_000);
}

#[test]
fn times_that_are_no_times_are_refused_with_what_would_be_right() {
    let opens = |text: &str| parsed_words(&["GATE.CREATE", "spring", "LIMIT", "1", "OPEN", text]).expect_err("no time");
    assert_eq!(
        opens("1767225600"),
        "ERR OPEN 1767225600 looks like seconds: give unix milliseconds (1767225600000), or ISO 8601 with an offset"
    );
    assert!(opens("999999999999").contains("looks like seconds"));
    for text in ["0", "-1", "60", "99999999", "253402300800000", "99999999999999999999", "01767225600000"] {
        assert_eq!(
            opens(text),
            format!("ERR OPEN '{text}' is out of range: unix milliseconds have 13 digits in our time")
        );
    }
    for text in ["", "tomorrow", "2026-01-01", "2026-01-01T09:00:00", "2026-13-01T00:00:00Z", "1e12", "-"] {
        assert_eq!(
            opens(text),
            format!(
                "ERR OPEN '{text}' is not a time: give unix milliseconds, or ISO 8601 with an offset as in \
                 2026-05-01T12:00:00+09:00"
            )
        );
    }
    refused(
        "GATE.CREATE spring LIMIT 1 CLOSE 5",
        "ERR CLOSE '5' is out of range: unix milliseconds have 13 digits in our time",
    );
}

#[test]
fn opening_comes_before_closing() {
    for close in ["1767225600000", "1767225599999"] {
        refused(
            &format!("GATE.CREATE spring LIMIT 1 CLOSE {close} OPEN 1767225600000"),
            &format!("ERR OPEN (1767225600000) must be before CLOSE ({close}), in unix milliseconds"),
        );
    }
}

#[test]
fn limits_are_32_bits() {
    for limit in ["-1", "4294967296", "x", "1.5", "01", "+1", "99999999999999999999"] {
        refused(
            &format!("GATE.CREATE spring LIMIT {limit}"),
            &format!("ERR LIMIT '{limit}' is not an integer from 0 to 4294967295"),
        );
    }
}

#[test]
fn campaign_names_are_short_and_plain() {
    let longest = "n".repeat(64);
    assert!(parsed(&format!("GATE.CREATE {longest} LIMIT 1")).is_ok());
    assert!(parsed("GATE.CREATE aZ09._:{}- LIMIT 1").is_ok());
    let right = "is no name for a campaign: 1 to 64 letters, digits and . _ : { } - are";
    for name in ["", "a b", "a/b", "caf\u{e9}", "a\n", "*", &"n".repeat(65)] {
        let error = parsed_words(&["GATE.CREATE", name, "LIMIT", "1"]);
        assert_eq!(error, Err(format!("ERR '{name}' {right}")));
    }
    let long = "n".repeat(65);
    let lines = [
        "GATE.CLAIM N 1",
        "GATE.CONFIRM N 1",
        "GATE.CANCEL N 1",
        "GATE.SEED N 1 1",
        "GATE.STATUS N 1",
        "GATE.INFO N",
        "GATE.SEATS N 1 1",
        "GATE.ALTER N LIMIT 1",
        "GATE.DROP N",
    ];
    for line in lines {
        refused(&line.replace(" N", &format!(" {long}")), &format!("ERR '{long}' {right}"));
    }
}

#[test]
fn create_names_what_is_wrong_with_its_options() {
    let takes = "it takes LIMIT n [PERUSER k [NOID]] [OPEN t] [CLOSE t] [HOLD ms] [USERS INT|ANY] [SHADOW]";
    refused("GATE.CREATE spring SHADOW SHADOW", "ERR syntax error: SHADOW is given twice");
    refused("GATE.CREATE spring LIMIT 1 LIMIT 1", "ERR syntax error: LIMIT is given twice");
    refused("GATE.CREATE spring LIMIT 1 OPEN", "ERR syntax error: OPEN needs a value");
    refused("GATE.CREATE spring USERS ANY", "ERR syntax error: LIMIT n is missing: the number of seats");
    refused("GATE.CREATE spring LIMIT 1 USERS SOME", "ERR syntax error: USERS 'SOME' is neither INT nor ANY");
    refused("GATE.CREATE spring LIMIT 1 foo", &format!("ERR syntax error: 'foo' is no option of GATE.CREATE; {takes}"));
    refused("GATE.CREATE spring", "ERR wrong number of arguments for 'gate.create' command");
}

#[test]
fn a_user_may_be_given_several_seats() {
    let create = |per_user, no_id| Command::Create { campaign: SPRING, terms: Terms { per_user, no_id, ..plain(5) } };
    same("GATE.CREATE spring LIMIT 5 PERUSER 3", create(3, false));
    same("GATE.CREATE spring noid peruser 65535 LIMIT 5", create(65_535, true));
    same("GATE.CREATE spring LIMIT 5 PERUSER 1 NOID", create(1, true));
    for seats in ["0", "65536", "-1", "x", "01"] {
        let error = format!("ERR PERUSER '{seats}' is not an integer from 1 to 65535");
        refused(&format!("GATE.CREATE spring LIMIT 5 PERUSER {seats}"), &error);
        refused(&format!("GATE.ALTER spring PERUSER {seats}"), &error);
    }
    refused("GATE.CREATE spring LIMIT 5 PERUSER 2 PERUSER 2", "ERR syntax error: PERUSER is given twice");
    refused("GATE.CREATE spring LIMIT 5 PERUSER", "ERR syntax error: PERUSER needs a value");
    refused(
        "GATE.CREATE spring LIMIT 5 NOID",
        "ERR syntax error: NOID belongs to PERUSER k: claims of a campaign with one seat a user need no ID",
    );
}

#[test]
fn claims_are_plain_or_flat_and_may_have_an_id() {
    let claim = |request, flat| Command::Claim { campaign: SPRING, user: b"42", request, flat };
    same("GATE.CLAIM spring 42", claim(b"", false));
    same("gate.claim spring 42 flat", claim(b"", true));
    same("GATE.CLAIM spring 42 ID 7", claim(b"7", false));
    same("GATE.CLAIM spring 42 FLAT id flat", claim(b"flat", true));
    let longest = "i".repeat(64);
    same(&format!("GATE.CLAIM spring 42 ID {longest} FLAT"), claim(longest.as_bytes(), true));
    refused("GATE.CLAIM spring 42 FLAT FLAT", "ERR syntax error: FLAT is given twice");
    refused("GATE.CLAIM spring 42 ID 7 ID 7", "ERR syntax error: ID is given twice");
    refused("GATE.CLAIM spring 42 FLAT ID", "ERR syntax error: ID needs a value");
    refused(&format!("GATE.CLAIM spring 42 ID {longest}i"), "ERR ID must be 1 to 64 bytes long; this one has 65");
    assert_eq!(
        parsed_words(&["GATE.CLAIM", "spring", "42", "ID", ""]),
        Err("ERR ID must be 1 to 64 bytes long; this one has 0".to_owned())
    );
    refused(
        "GATE.CLAIM spring 42 foo",
        "ERR syntax error: 'foo' is no option of GATE.CLAIM; it takes [ID request] [FLAT]",
    );
    refused("GATE.CLAIM spring", "ERR wrong number of arguments for 'gate.claim' command");
}

#[test]
fn confirmations_may_name_a_seat() {
    let confirm = |seat, flat| Command::Confirm { campaign: SPRING, user: b"42", seat, flat };
    same("GATE.CONFIRM spring 42", confirm(None, false));
    same("gate.confirm spring 42 flat seat 7", confirm(Some(Seat::new(7)), true));
    refused("GATE.CONFIRM spring 42 SEAT", "ERR syntax error: SEAT needs a value");
    refused("GATE.CONFIRM spring 42 SEAT 0", "ERR SEAT '0' is not an integer from 1 to 4294967295");
    refused("GATE.CONFIRM spring 42 SEAT 1 SEAT 1", "ERR syntax error: SEAT is given twice");
}

#[test]
fn reads_of_campaigns_reach_the_core() {
    same("GATE.STATUS spring 42", Command::Status { campaign: SPRING, user: b"42" });
    same("GATE.INFO spring", Command::CampaignInfo { campaign: SPRING });
    same("GATE.LIST", Command::Campaigns);
    same("GATE.SEATS spring 1 10000", Command::Seats { campaign: SPRING, first: 1, count: 10_000 });
}

#[test]
fn seats_are_asked_for_within_bounds() {
    for first in ["0", "-1", "4294967296", "x"] {
        refused(
            &format!("GATE.SEATS spring {first} 1"),
            &format!("ERR first '{first}' is not an integer from 1 to 4294967295"),
        );
    }
    for count in ["0", "10001", "x"] {
        refused(
            &format!("GATE.SEATS spring 1 {count}"),
            &format!("ERR count '{count}' is not an integer from 1 to 10000"),
        );
    }
}

#[test]
fn an_alteration_keeps_what_it_does_not_name() {
    let alter = |change| Command::Alter { campaign: SPRING, change, by: b"".into() };
    let keep = Alteration::default();
    same("GATE.ALTER spring LIMIT 7", alter(Alteration { limit: Some(7), ..keep }));
    same("gate.alter spring close now", alter(Alteration { close: Some(AlteredTime::Now), ..keep }));
    let (open, close) = (Some(AlteredTime::At(Millis(1_767_225_600_000))), Some(AlteredTime::None));
    same(
        "GATE.ALTER spring OPEN 2026-01-01T00:00:00Z CLOSE none LIMIT 0",
        alter(Alteration { limit: Some(0), open, close, ..keep }),
    );
    same("GATE.ALTER spring OPEN NONE", alter(Alteration { open: Some(AlteredTime::None), ..keep }));
    refused("GATE.ALTER spring LIMIT 1 CLOSE", "ERR syntax error: CLOSE needs a value");
    refused("GATE.ALTER spring CLOSE NOW CLOSE NOW", "ERR syntax error: CLOSE is given twice");
    assert!(parsed("GATE.ALTER spring OPEN NOW").expect_err("it is no time").contains("OPEN 'NOW' is not a time"));
    let takes = "it takes [LIMIT n] [PERUSER k] [OPEN t|NONE] [CLOSE t|NOW|NONE]";
    refused("GATE.ALTER spring SHADOW 1", &format!("ERR syntax error: 'SHADOW' is no option of GATE.ALTER; {takes}"));
    refused("GATE.ALTER spring", &format!("ERR syntax error: GATE.ALTER says nothing to alter; {takes}"));
    refused("GATE.ALTER", "ERR wrong number of arguments for 'gate.alter' command");
    same("GATE.ALTER spring PERUSER 2", alter(Alteration { per_user: Some(2), ..keep }));
}

#[test]
fn drops_may_be_forced_but_not_purged() {
    same("GATE.DROP spring", Command::Drop { campaign: SPRING, how: Dropping::Safely });
    same("GATE.DROP spring force", Command::Drop { campaign: SPRING, how: Dropping::Forced });
    same("GATE.DROP spring purge", Command::Drop { campaign: SPRING, how: Dropping::Purged });
    for both in ["FORCE PURGE", "PURGE PURGE"] {
        let told = "ERR syntax error: GATE.DROP takes one of FORCE and PURGE, once";
        refused(&format!("GATE.DROP spring {both}"), told);
    }
}
