//! Tests of the reply encoding; its oracle is redis-protocol.

use redis_protocol::resp2::decode::decode as decode2;
use redis_protocol::resp2::types::OwnedFrame as Frame2;
use redis_protocol::resp3::decode::complete::decode as decode3;
use redis_protocol::resp3::types::{OwnedFrame as Frame3, VerbatimStringFormat};

use crate::core::{Claim, Outcome, Refusal, Reply, Settled, Settlement};
use crate::ids::{CampaignId, Millis, Seat};
use crate::wire::reply::{Protocol, encode, push_header};

fn encoded(reply: &Reply<'_>, protocol: Protocol) -> String {
    let mut out = b"before".to_vec();
    encode(reply, protocol, &mut out);
    String::from_utf8(out).unwrap().strip_prefix("before").unwrap().to_owned()
}

fn settled(settlement: Settlement, remaining: u32, flat: bool) -> Reply<'static> {
    Reply::Settled(Settled { settlement, remaining, flat })
}

fn claim(outcome: Outcome, remaining: u32, flat: bool) -> Reply<'static> {
    Reply::Claim(Claim { campaign: CampaignId(0), outcome, remaining, flat })
}

/// A reply of each kind, in RESP2 and RESP3.
fn samples() -> Vec<(Reply<'static>, &'static str, &'static str)> {
    let items = || vec![Reply::Int(1), Reply::Null];
    vec![
        (Reply::Ok, "+OK\r\n", "+OK\r\n"),
        (Reply::Status("PONG"), "+PONG\r\n", "+PONG\r\n"),
        (Reply::Int(0), ":0\r\n", ":0\r\n"),
        (Reply::Int(i64::MAX), ":9223372036854775807\r\n", ":9223372036854775807\r\n"),
        (Reply::Int(i64::MIN), ":-9223372036854775808\r\n", ":-9223372036854775808\r\n"),
        (Reply::bulk(b""), "$0\r\n\r\n", "$0\r\n\r\n"),
        (Reply::bulk(b"a\r\nb\0"), "$5\r\na\r\nb\0\r\n", "$5\r\na\r\nb\0\r\n"),
        (Reply::text("own"), "$3\r\nown\r\n", "$3\r\nown\r\n"),
        (Reply::BulkInt(-42), "$3\r\n-42\r\n", "$3\r\n-42\r\n"),
        (Reply::Null, "$-1\r\n", "_\r\n"),
        (Reply::Array(vec![]), "*0\r\n", "*0\r\n"),
        (Reply::Array(items()), "*2\r\n:1\r\n$-1\r\n", "*2\r\n:1\r\n_\r\n"),
        (Reply::Set(vec![Reply::Status("a")]), "*1\r\n+a\r\n", "~1\r\n+a\r\n"),
        (
            Reply::Map(vec![(Reply::bulk(b"k"), Reply::Array(items()))]),
            "*2\r\n$1\r\nk\r\n*2\r\n:1\r\n$-1\r\n",
            "%1\r\n$1\r\nk\r\n*2\r\n:1\r\n_\r\n",
        ),
        (Reply::Verbatim("a\r\nb".to_owned()), "$4\r\na\r\nb\r\n", "=8\r\ntxt:a\r\nb\r\n"),
        (
            claim(Outcome::Granted(Seat::new(57)), 43, false),
            "*3\r\n+GRANTED\r\n:57\r\n:43\r\n",
            "*3\r\n+GRANTED\r\n:57\r\n:43\r\n",
        ),
        (
            claim(Outcome::Already(Seat::new(1)), 0, false),
            "*3\r\n+ALREADY\r\n:1\r\n:0\r\n",
            "*3\r\n+ALREADY\r\n:1\r\n:0\r\n",
        ),
        (claim(Outcome::SoldOut, 0, false), "*3\r\n+SOLDOUT\r\n:0\r\n:0\r\n", "*3\r\n+SOLDOUT\r\n:0\r\n:0\r\n"),
        (claim(Outcome::Granted(Seat::new(57)), 43, true), "$13\r\nGRANTED 57 43\r\n", "$13\r\nGRANTED 57 43\r\n"),
        (
            claim(Outcome::NotOpen(1500), u32::MAX, true),
            "$23\r\nNOTOPEN 1500 4294967295\r\n",
            "$23\r\nNOTOPEN 1500 4294967295\r\n",
        ),
        (
            claim(Outcome::Held(Seat::new(57), Millis(1_732_250_600_123)), 43, false),
            "*4\r\n+HELD\r\n:57\r\n:43\r\n:1732250600123\r\n",
            "*4\r\n+HELD\r\n:57\r\n:43\r\n:1732250600123\r\n",
        ),
        (
            claim(Outcome::Held(Seat::new(57), Millis(1_732_250_600_123)), 43, true),
            "$24\r\nHELD 57 43 1732250600123\r\n",
            "$24\r\nHELD 57 43 1732250600123\r\n",
        ),
        (
            settled(Settlement::Granted(Seat::new(57)), 43, false),
            "*3\r\n+GRANTED\r\n:57\r\n:43\r\n",
            "*3\r\n+GRANTED\r\n:57\r\n:43\r\n",
        ),
        (settled(Settlement::None, 43, true), "$9\r\nNONE 0 43\r\n", "$9\r\nNONE 0 43\r\n"),
        (claim(Outcome::Closed, 7, true), "$10\r\nCLOSED 0 7\r\n", "$10\r\nCLOSED 0 7\r\n"),
        (Reply::Refused(Refusal::Err("syntax error")), "-ERR syntax error\r\n", "-ERR syntax error\r\n"),
        (
            Reply::Refused(Refusal::ErrText("unknown command 'a\r\nb'".to_owned())),
            "-ERR unknown command 'a  b'\r\n",
            "-ERR unknown command 'a  b'\r\n",
        ),
        (Reply::Refused(Refusal::Line("NOAUTH x".into())), "-NOAUTH x\r\n", "-NOAUTH x\r\n"),
    ]
}

#[test]
fn each_kind_has_its_bytes_in_both_protocols() {
    for (reply, resp2, resp3) in samples() {
        assert_eq!(encoded(&reply, Protocol::Resp2), resp2, "{reply:?}");
        assert_eq!(encoded(&reply, Protocol::Resp3), resp3, "{reply:?}");
    }
}

/// The first frame of `reply` in RESP2, which is all of it.
fn frame2(reply: &Reply<'_>) -> Frame2 {
    let bytes = encoded(reply, Protocol::Resp2);
    let (frame, len) = decode2(bytes.as_bytes()).unwrap().unwrap();
    assert_eq!(len, bytes.len(), "{reply:?} as {frame:?}");
    frame
}

/// The first frame of `reply` in RESP3, which is all of it.
fn frame3(reply: &Reply<'_>) -> Frame3 {
    let bytes = encoded(reply, Protocol::Resp3);
    let (frame, len) = decode3(bytes.as_bytes()).unwrap().unwrap();
    assert_eq!(len, bytes.len(), "{reply:?} as {frame:?}");
    frame
}

#[test]
fn each_kind_is_one_whole_frame_in_either_protocol() {
    for (reply, _, _) in samples() {
        frame2(&reply);
        frame3(&reply);
    }
}

#[test]
fn a_decoder_finds_what_was_said() {
    let granted = claim(Outcome::Granted(Seat::new(57)), 43, false);
    let (told, seat, remaining) = (b"GRANTED".to_vec(), 57, 43);
    assert_eq!(
        frame2(&granted),
        Frame2::Array(vec![Frame2::SimpleString(told.clone()), Frame2::Integer(seat), Frame2::Integer(remaining)])
    );
    let number = |data| Frame3::Number { data, attributes: None };
    let told = Frame3::SimpleString { data: told, attributes: None };
    let data = vec![told, number(seat), number(remaining)];
    assert_eq!(frame3(&granted), Frame3::Array { data, attributes: None });

    let text = "# Server\r\n";
    let data = text.as_bytes().to_vec();
    assert_eq!(frame2(&Reply::Verbatim(text.to_owned())), Frame2::BulkString(data.clone()));
    let format = VerbatimStringFormat::Text;
    assert_eq!(frame3(&Reply::Verbatim(text.to_owned())), Frame3::VerbatimString { data, format, attributes: None });
    assert_eq!((frame2(&Reply::Null), frame3(&Reply::Null)), (Frame2::Null, Frame3::Null));
}

#[test]
fn a_push_is_an_array_in_resp2() {
    for (protocol, bytes) in [(Protocol::Resp2, b"*2\r\n"), (Protocol::Resp3, b">2\r\n")] {
        let mut out = Vec::new();
        push_header(2, protocol, &mut out);
        assert_eq!(out, bytes);
    }
}
