//! Campaigns from the first claim to the drop.

use super::{DB, Gate, NOW};
use crate::core::{Alteration, AlteredTime, Command, Dropping, Event, Set, SetAnswer, SetIf, Terms, Users};
use crate::ids::{CampaignId, Lsn, Millis, Seat, User};

pub(super) const TERMS: Terms = Terms { limit: 0, ..Terms::DEFAULT };

pub(super) fn create(name: &str, limit: u32) -> Command<'_> {
    Command::Create { campaign: name.as_bytes(), terms: Terms { limit, ..TERMS } }
}

pub(super) fn claim<'a>(name: &'a str, user: &'a str) -> Command<'a> {
    Command::Claim { campaign: name.as_bytes(), user: user.as_bytes(), request: b"", flat: false }
}

impl Gate {
    fn claim(&mut self, user: &str) -> String {
        self.ask(claim("spring", user))
    }

    fn status(&mut self, user: &str) -> String {
        self.ask(Command::Status { campaign: b"spring", user: user.as_bytes() })
    }

    fn info(&mut self) -> String {
        self.ask(Command::CampaignInfo { campaign: b"spring" })
    }

    fn alter(&mut self, change: Alteration) -> String {
        self.ask(Command::Alter { campaign: b"spring", change, by: b"ops".into() })
    }

    fn drop_spring(&mut self, force: bool) -> String {
        self.ask(Command::Drop { campaign: b"spring", how: if force { Dropping::Forced } else { Dropping::Safely } })
    }
}

fn spring(terms: Terms) -> Gate {
    let mut gate = Gate::new();
    assert_eq!(gate.ask(Command::Create { campaign: b"spring", terms }), "CREATED");
    gate
}

#[test]
fn seats_go_to_the_first_and_each_user_has_one() {
    let mut gate = spring(Terms { limit: 2, ..TERMS });
    assert_eq!(gate.claim("7"), "GRANTED 1 1");
    assert_eq!(gate.claim("7"), "ALREADY 1 1");
    assert_eq!(gate.claim("-9223372036854775808"), "GRANTED 2 0");
    assert_eq!(gate.claim("8"), "SOLDOUT 0 0");
    assert_eq!(gate.claim("7"), "ALREADY 1 0");
}

#[test]
fn a_campaign_of_no_seats_is_sold_out() {
    assert_eq!(spring(TERMS).claim("1"), "SOLDOUT 0 0");
}

#[test]
fn the_largest_limit_can_be_set() {
    assert_eq!(spring(Terms { limit: u32::MAX, ..TERMS }).claim("1"), "GRANTED 1 4294967294");
}

#[test]
fn a_grant_is_one_event_that_borrows_and_a_refusal_none() {
    let mut gate = spring(Terms { limit: 1, ..TERMS });
    let granted = Event::Granted {
        campaign: CampaignId(0),
        seat: Seat::new(1),
        user: User::Int(7),
        nth: 1,
        request: b"",
        at: NOW,
        after: Lsn::ZERO,
    };
    assert_eq!(gate.events(claim("spring", "7")), [granted]);
    gate.claim("7");
    assert_eq!(gate.ask(create("autumn", 1)), "CREATED");
    assert_eq!(gate.ask_fully(claim("spring", "7")), ("ALREADY 1 0".into(), Lsn::new(2), 0));
    assert_eq!(gate.ask_fully(claim("spring", "8")), ("SOLDOUT 0 0".into(), Lsn::new(2), 0));
    assert_eq!(gate.ask_fully(claim("autumn", "x")).1, Lsn::new(3));
}

#[test]
fn judgement_has_an_order() {
    let mut gate = Gate::new();
    assert_eq!(gate.claim("x"), "NOCAMPAIGN no campaign 'spring'; create it with GATE.CREATE");
    let terms = Terms { limit: 1, open: Some(Millis(NOW.0 + 50)), close: Some(Millis(NOW.0 + 100)), ..TERMS };
    assert_eq!(gate.ask(Command::Create { campaign: b"spring", terms }), "CREATED");
    assert_eq!(gate.claim("x"), "ERR user is not an integer or out of range");
    assert_eq!(gate.claim("1"), "NOTOPEN 50 1");
    gate.wait(49);
    assert_eq!(gate.claim("1"), "NOTOPEN 1 1");
    gate.wait(1);
    assert_eq!(gate.claim("1"), "GRANTED 1 0");
    assert_eq!(gate.claim("2"), "SOLDOUT 0 0");
    gate.wait(50);
    assert_eq!(gate.claim("2"), "CLOSED 0 0", "closed is said before sold out");
    assert_eq!(gate.claim("1"), "ALREADY 1 0", "a winner hears of his seat for ever");
    assert_eq!(gate.claim("x"), "ERR user is not an integer or out of range");
}

#[test]
fn only_canonical_integers_are_integer_users() {
    let mut gate = spring(Terms { limit: 9, ..TERMS });
    for user in ["", "+1", "01", "-0", " 1", "1 ", "1.0", "9223372036854775808", "abc"] {
        assert_eq!(gate.claim(user), "ERR user is not an integer or out of range", "{user:?}");
        assert_eq!(gate.status(user), "ERR user is not an integer or out of range", "{user:?}");
    }
}

#[test]
fn users_of_any_kind_are_bytes() {
    let mut gate = spring(Terms { limit: 9, users: Users::Any, ..TERMS });
    assert_eq!(gate.claim("alice"), "GRANTED 1 8");
    assert_eq!(gate.claim("01"), "GRANTED 2 7");
    assert_eq!(gate.claim("1"), "GRANTED 3 6");
    assert_eq!(gate.claim("alice"), "ALREADY 1 6");
    assert_eq!(gate.claim(&"x".repeat(64)), "GRANTED 4 5");
    assert_eq!(gate.claim(""), "ERR user must be 1 to 64 bytes long");
    assert_eq!(gate.claim(&"x".repeat(65)), "ERR user must be 1 to 64 bytes long");
    let rows = gate.ask(Command::Seats { campaign: b"spring", first: 2, count: 2 });
    assert_eq!(rows, format!("[[:2 '01' :{0} GRANTED] [:3 '1' :{0} GRANTED]]", NOW.0));
}

const KEEP: Alteration = Alteration { limit: None, per_user: None, open: None, close: None };

fn limit(limit: u32) -> Alteration {
    Alteration { limit: Some(limit), ..KEEP }
}

fn window(open: Option<AlteredTime>, close: Option<AlteredTime>) -> Alteration {
    Alteration { open, close, ..KEEP }
}

#[test]
fn a_limit_is_altered_at_once_but_never_below_a_seat_that_is_out() {
    let mut gate = spring(Terms { limit: 2, ..TERMS });
    gate.claim("1");
    gate.claim("2");
    assert_eq!(gate.claim("3"), "SOLDOUT 0 0");
    assert_eq!(gate.alter(limit(3)), "OK");
    assert_eq!(gate.claim("3"), "GRANTED 3 0");
    let below = "CONFLICT campaign 'spring' has given seat 3; LIMIT 2 would be below it";
    assert_eq!(gate.ask_fully(Command::Alter { campaign: b"spring", change: limit(2), by: b"".into() }).0, below);
    assert_eq!(gate.alter(limit(u32::MAX)), "OK");
    assert_eq!(gate.claim("4"), "GRANTED 4 4294967291");
    assert_eq!(gate.alter(limit(4)), "OK", "the seats that are out stay");
    assert_eq!(gate.claim("5"), "SOLDOUT 0 0");
    assert!(gate.info().contains("limit=:4"), "{}", gate.info());
}

#[test]
fn a_window_is_altered_at_once_and_closing_now_is_never_refused() {
    let (at, none) = (|ms| Some(AlteredTime::At(Millis(NOW.0 + ms))), Some(AlteredTime::None));
    let mut gate = spring(Terms { limit: 9, open: Some(Millis(NOW.0 + 50)), ..TERMS });
    assert_eq!(gate.claim("1"), "NOTOPEN 50 9");
    assert_eq!(gate.alter(window(at(20), None)), "OK");
    assert_eq!(gate.claim("1"), "NOTOPEN 20 9");
    let turned = "CONFLICT OPEN 1732250000020 would not be before CLOSE 1732250000020";
    assert_eq!(gate.alter(window(None, at(20))), turned);
    assert_eq!(gate.alter(window(None, Some(AlteredTime::Now))), "OK", "though it opens later");
    assert_eq!(gate.alter(window(none, None)), "OK");
    assert_eq!(gate.claim("1"), "CLOSED 0 9");
    assert!(gate.info().contains("state=CLOSED"), "{}", gate.info());
    assert_eq!(gate.alter(window(None, none)), "OK");
    assert_eq!(gate.claim("1"), "GRANTED 1 8");
    assert_eq!(gate.alter(window(at(-10), at(90))), "OK");
    gate.wait(90);
    assert_eq!(gate.claim("2"), "CLOSED 0 8");
    assert_eq!(gate.claim("1"), "ALREADY 1 8");
}

#[test]
fn what_changes_nothing_is_no_event_and_what_does_is_one_that_says_who() {
    let mut gate = spring(Terms { limit: 2, ..TERMS });
    let again = Command::Alter { campaign: b"spring", change: limit(2), by: b"ops".into() };
    assert_eq!(gate.ask_fully(again), ("OK".into(), Lsn::new(1), 0));
    let to = Terms { limit: 3, ..TERMS }.alterable();
    let altered = Event::CampaignAltered { id: CampaignId(0), to, at: NOW, by: b"ops".into() };
    assert_eq!(gate.events(Command::Alter { campaign: b"spring", change: limit(3), by: b"ops".into() }), [altered]);
    let nobody = Command::Alter { campaign: b"autumn", change: limit(3), by: b"ops".into() };
    assert_eq!(gate.ask(nobody), "NOCAMPAIGN no campaign 'autumn'; create it with GATE.CREATE");
}

#[test]
fn an_altered_campaign_is_still_the_one_that_was_created() {
    let mut gate = spring(Terms { limit: 2, ..TERMS });
    assert_eq!(gate.alter(limit(5)), "OK");
    assert_eq!(gate.ask(create("spring", 2)), "EXISTS", "a deployment that is run again does not alter it back");
    let differs = "CONFLICT campaign 'spring' was created with LIMIT 2 USERS INT; asked for LIMIT 5 USERS INT";
    assert_eq!(gate.ask(create("spring", 5)), differs);
}

#[test]
fn creating_again_must_ask_for_the_same() {
    let mut gate = spring(Terms { limit: 2, ..TERMS });
    assert_eq!(gate.ask(create("spring", 2)), "EXISTS");
    assert_eq!(
        gate.ask(create("spring", 3)),
        "CONFLICT campaign 'spring' was created with LIMIT 2 USERS INT; asked for LIMIT 3 USERS INT"
    );
    let terms =
        Terms { limit: 2, open: Some(Millis(5)), close: Some(Millis(9)), users: Users::Any, shadow: true, ..TERMS };
    assert_eq!(
        gate.ask(Command::Create { campaign: b"spring", terms }),
        "CONFLICT campaign 'spring' was created with LIMIT 2 USERS INT; \
         asked for LIMIT 2 OPEN 5 CLOSE 9 USERS ANY SHADOW"
    );
    let turned = Terms { open: Some(Millis(9)), close: Some(Millis(9)), ..TERMS };
    assert_eq!(gate.ask(Command::Create { campaign: b"x", terms: turned }), "ERR OPEN 9 is not before CLOSE 9");
}

#[test]
fn a_plain_key_is_no_campaign() {
    let mut gate = Gate::new();
    let deadline = crate::core::Deadline::In { amount: 10, seconds: false, command: "set" };
    let set = Set { db: DB, key: b"spring", value: b"v", only_if: SetIf::Always, deadline, answer: SetAnswer::Ok };
    gate.ask(Command::Set(set));
    let wrong = "WRONGTYPE Operation against a key holding the wrong kind of value";
    assert_eq!(gate.ask(create("spring", 1)), wrong);
    assert_eq!(gate.claim("1"), wrong);
    assert_eq!(gate.info(), wrong);
    gate.wait(10);
    assert_eq!(gate.claim("1"), "NOCAMPAIGN no campaign 'spring'; create it with GATE.CREATE");
    assert_eq!(gate.ask_fully(create("spring", 1)), ("CREATED".into(), Lsn::new(3), 2));
    assert_eq!(gate.claim("1"), "GRANTED 1 0");
}

#[test]
fn status_tells_how_far_a_grant_has_come() {
    let mut gate = spring(Terms { limit: 2, ..TERMS });
    assert_eq!(gate.status("7"), "[]");
    gate.claim("7");
    let mut stage = |durable, published: Option<u64>, stored: Option<u64>| {
        gate.view.durable = Lsn::new(durable);
        gate.view.published = published.map(Lsn::new);
        gate.view.stored = stored.map(Lsn::new);
        gate.status("7")
    };
    let row = |stage: &str| format!("[[GRANTED :1 :{} {stage}]]", NOW.0);
    assert_eq!(stage(1, None, None), row("accepted"));
    assert_eq!(stage(2, None, None), row("durable"));
    assert_eq!(stage(2, Some(1), Some(1)), row("durable"));
    assert_eq!(stage(2, Some(2), Some(1)), row("published"));
    assert_eq!(stage(2, None, Some(2)), row("stored"));
}

#[test]
fn a_shadow_is_never_published_nor_stored() {
    let mut gate = spring(Terms { limit: 2, shadow: true, ..TERMS });
    gate.claim("7");
    (gate.view.durable, gate.view.published, gate.view.stored) = (Lsn::new(9), Some(Lsn::new(9)), Some(Lsn::new(9)));
    assert_eq!(gate.status("7"), format!("[[GRANTED :1 :{} durable]]", NOW.0));
    assert!(gate.info().ends_with("published=:0 stored=:0"), "{}", gate.info());
    gate.view.stored = Some(Lsn::ZERO);
    assert_eq!(gate.drop_spring(false), "OK", "there is nothing to wait for");
}

#[test]
fn seats_come_in_pages() {
    let mut gate = spring(Terms { limit: 30_000, ..TERMS });
    (1..=20_000).for_each(|user| assert!(gate.claim(&format!("{}", user * 2)).starts_with("GRANTED")));
    let mut page = |first, count| gate.ask(Command::Seats { campaign: b"spring", first, count });
    assert_eq!(page(20_000, 5), format!("[[:20000 :40000 :{} GRANTED]]", NOW.0));
    assert_eq!(page(20_001, 5), "[]");
    assert_eq!(page(u32::MAX, u32::MAX), "[]");
    assert_eq!(page(1, 0), "[]");
    assert_eq!(page(1, u32::MAX).matches("GRANTED").count(), 10_000, "an answer is bounded");
}

#[test]
fn info_tells_the_whole_campaign() {
    let open = NOW.0 + 10;
    let mut gate = spring(Terms { limit: 2, open: Some(Millis(open)), close: Some(Millis(open + 90)), ..TERMS });
    assert_eq!(
        gate.info(),
        format!(
            "campaign='spring' state=NOTOPEN limit=:2 peruser=:1 noid=:0 granted=:0 held=:0 remaining=:2 open=:{open} close=:{} \
             hold=:0 users=INT shadow=:0 created=:{} first_grant=nil last_grant=nil published=nil stored=nil",
            open + 90,
            NOW.0
        )
    );
    let mut state = |millis| {
        gate.wait(millis);
        let info = gate.info();
        info.split(' ').find_map(|row| row.strip_prefix("state=")).expect("a state").to_string()
    };
    assert_eq!((state(10).as_str(), state(90).as_str()), ("OPEN", "CLOSED"));
    gate.wait(-90);
    gate.claim("1");
    gate.wait(5);
    gate.claim("2");
    (gate.view.published, gate.view.stored) = (Some(Lsn::new(3)), Some(Lsn::new(2)));
    let info = gate.info();
    assert!(info.contains("state=SOLDOUT") && info.contains("remaining=:0"), "{info}");
    let times = format!("first_grant=:{open} last_grant=:{} published=:2 stored=:1", open + 5);
    assert!(info.ends_with(&times), "{info}");
    assert_eq!(gate.core.newest_at(), Millis(open + 5));
}

#[test]
fn a_drop_waits_for_the_ledger_unless_forced() {
    let mut gate = spring(Terms { limit: 5, ..TERMS });
    gate.view.stored = Some(Lsn::ZERO);
    gate.claim("1");
    gate.claim("2");
    let waits = |done| format!("CONFLICT 1 of 2 grants of campaign 'spring' are not yet {done}; wait, or FORCE");
    gate.view.stored = Some(Lsn::new(2));
    assert_eq!(gate.drop_spring(false), waits("stored"));
    (gate.view.published, gate.view.stored) = (Some(Lsn::new(2)), Some(Lsn::new(3)));
    assert_eq!(gate.drop_spring(false), waits("published"));
    assert_eq!(gate.drop_spring(true), "OK");
}

#[test]
fn a_dropped_campaign_that_granted_keeps_its_name() {
    let mut gate = spring(Terms { limit: 5, ..TERMS });
    gate.claim("1");
    assert_eq!(gate.drop_spring(false), "OK", "without a ledger there is nothing to wait for");
    let dropped = "NOCAMPAIGN campaign 'spring' was dropped";
    assert_eq!(gate.ask_fully(claim("spring", "1")), (dropped.into(), Lsn::new(3), 0));
    assert_eq!(gate.status("1"), dropped);
    assert_eq!(gate.ask(Command::Seats { campaign: b"spring", first: 1, count: 1 }), dropped);
    assert_eq!(gate.drop_spring(true), dropped);
    assert_eq!(
        gate.ask(create("spring", 5)),
        "CONFLICT campaign 'spring' was dropped after 1 grants and its name is kept; \
         asked for LIMIT 5 USERS INT: choose another name"
    );
    gate.view.stored = Some(Lsn::new(2));
    let info = gate.info();
    assert!(
        info.starts_with("campaign='spring' state=DROPPED limit=:5 peruser=:1 noid=:0 granted=:1 held=:0 remaining=:4")
    );
    assert!(info.ends_with("published=nil stored=:1"), "{info}");
    assert_eq!(gate.ask(Command::Campaigns), "[]");
    assert_eq!(gate.ask(Command::Size { db: DB }), ":0");
    let facts = gate.core.campaigns().map(|facts| (facts.id, facts.dropped, facts.granted)).collect::<Vec<_>>();
    assert_eq!(facts, [(CampaignId(0), true, 1)]);
    while gate.core.sweep(10) {}
}

#[test]
fn a_campaign_dropped_before_it_granted_is_forgotten() {
    let mut gate = spring(Terms { limit: 5, ..TERMS });
    assert_eq!(gate.drop_spring(false), "OK");
    assert_eq!(gate.claim("1"), "NOCAMPAIGN no campaign 'spring'; create it with GATE.CREATE");
    assert_eq!(gate.core.campaign(CampaignId(0)), None);
    assert_eq!(gate.ask(create("spring", 7)), "CREATED");
    assert_eq!(gate.claim("1"), "GRANTED 1 6");
    assert_eq!(gate.core.campaign(CampaignId(1)).map(|facts| facts.name), Some(b"spring".as_slice()));
}

#[test]
fn campaigns_are_listed_by_name() {
    let mut gate = Gate::new();
    for name in ["winter", "autumn", "spring"] {
        assert_eq!(gate.ask(create(name, 1)), "CREATED");
    }
    assert_eq!(gate.ask_fully(Command::Campaigns), ("['autumn' 'spring' 'winter']".into(), Lsn::new(3), 0));
}

#[test]
fn a_name_in_a_message_is_printable_and_short() {
    let mut gate = Gate::new();
    assert_eq!(gate.ask(claim("a\r\nb", "1")), r"NOCAMPAIGN no campaign 'a\r\nb'; create it with GATE.CREATE");
    let long = "x".repeat(100_000);
    assert!(gate.ask(claim(&long, "1")).len() < 200);
}
