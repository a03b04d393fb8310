//! What no client should send: an error that says what is wrong, never a crash, never a lost grant, and everybody else
//! is served meanwhile. Wrong words within well-formed requests are in `tests/conversations`.

use std::io::Write;
use std::net::Shutdown;

use crate::client::Client;
use crate::conversation::{Reply, encode};
use crate::gate::Gate;
use crate::level::until;
use rustix::process::Signal;

const VALUE_BYTES_MAX: usize = 16 << 20;

/// Sends `bytes`; the first answer must be an error that starts with `error`, and then the connection is closed. A
/// witness is served before and after.
#[track_caller]
fn refused(gate: &Gate, bytes: &[u8], error: &str) {
    let mut client = gate.client();
    // Who is refused in the middle of his bytes may not get them all out.
    let _ = client.send_raw(bytes);
    match client.read() {
        Ok(reply) => assert!(reply.is_error(error), "{reply}, but {error} was expected"),
        Err(error) => panic!("no answer: {error}"),
    }
    assert!(client.is_closed_by_peer(), "who speaks no RESP is closed");
    let witness = gate.client().call("PING");
    assert!(witness.to_string() == "PONG" || witness.is_error("NOAUTH"), "{witness}");
}

#[test]
fn huge_and_crooked_lengths_are_refused_without_reserving_memory() {
    let gate = Gate::start(&[]);
    let before = gate.memory_kib("VmHWM");
    refused(&gate, b"*2147483647\r\n$4\r\nPING\r\n", "ERR Protocol error: invalid multibulk length");
    refused(&gate, b"*99999999999999999999\r\n", "ERR Protocol error: invalid multibulk length");
    refused(&gate, b"*x\r\n", "ERR Protocol error: invalid multibulk length");
    refused(&gate, b"*1\r\n$9999999999\r\n", "ERR Protocol error: invalid bulk length");
    refused(&gate, b"*1\r\n$-1\r\n", "ERR Protocol error: invalid bulk length");
    refused(&gate, b"*1\r\n$x\r\n", "ERR Protocol error: invalid bulk length");
    refused(&gate, format!("*2\r\n$3\r\nGET\r\n${}\r\n", VALUE_BYTES_MAX + 1).as_bytes(), "ERR Protocol error");
    // A great many arguments and a long value are announced, and nothing follows.
    let waiting: Vec<Client> = (0..50)
        .map(|_| {
            let mut client = gate.client();
            client.send_raw(b"*1000000\r\n$4\r\nMSET\r\n$16777216\r\nx").unwrap();
            client
        })
        .collect();
    assert_eq!(gate.client().call("PING").to_string(), "PONG");
    assert!(
        gate.memory_kib("VmHWM") < before + (64 << 10),
        "memory is taken for what comes, not for what is announced"
    );
    drop(waiting);
}

#[test]
fn nested_arrays_and_other_types_are_refused() {
    let gate = Gate::start(&[]);
    refused(&gate, b"*1\r\n*1\r\n$4\r\nPING\r\n", "ERR Protocol error: expected '$', got '*'");
    refused(&gate, &b"*1\r\n".repeat(10_000), "ERR Protocol error: expected '$', got '*'");
    refused(&gate, b"*2\r\n$3\r\nGET\r\n:1\r\n", "ERR Protocol error: expected '$', got ':'");
    refused(&gate, b"GET \"half\r\n", "ERR Protocol error: unbalanced quotes in request");
}

#[test]
fn a_megabyte_without_an_end_of_line_is_refused() {
    let gate = Gate::start(&[]);
    refused(&gate, &vec![b'x'; 1 << 20], "ERR Protocol error: too big inline request");
    refused(&gate, &[b"*".as_slice(), &vec![b'1'; 1 << 17]].concat(), "ERR Protocol error: too big mbulk count string");
    refused(
        &gate,
        &[b"*1\r\n$".as_slice(), &vec![b'1'; 1 << 17]].concat(),
        "ERR Protocol error: too big bulk count string",
    );
}

#[test]
fn a_web_page_gets_no_word_in() {
    let gate = Gate::start(&[]);
    for request in
        [&b"POST / HTTP/1.1\r\nHost: x\r\n\r\nSET k 1\r\n"[..], b"GET / HTTP/1.1\r\nHost: x\r\n\r\nSET k 1\r\n"]
    {
        let mut client = gate.client();
        client.send_raw(request).unwrap();
        // `GET / HTTP/1.1` itself is a GET with too many arguments.
        while client.read().is_ok_and(|reply| reply.is_error("ERR")) {}
        assert!(client.is_closed_by_peer());
    }
    assert_eq!(gate.client().call("GET k"), Reply::Null);
}

#[test]
fn inline_commands_are_served() {
    let gate = Gate::start(&[]);
    let mut client = gate.client();
    client.send_raw(b"PING\r\n\r\n*0\r\n*-1\r\nset \"a key\" 'a value'\r\nGET \"a key\"\nINCR n\r\n").unwrap();
    let replies: Vec<String> = (0..4).map(|_| client.read().unwrap().to_string()).collect();
    assert_eq!(replies, ["PONG", "OK", "\"a value\"", "1"]);
}

#[test]
fn half_a_command_keeps_nobody_waiting() {
    let gate = Gate::start(&[]);
    let mut silent: Vec<Client> = Vec::new();
    let whole = encode(&["INCR", "n"]);
    for cut in 1..whole.len() {
        let mut client = gate.client();
        client.send_raw(&whole[..cut]).unwrap();
        silent.push(client);
    }
    let mut witness = gate.client();
    assert_eq!(witness.call("INCR n").to_string(), "1");
    for (index, client) in silent.iter_mut().enumerate() {
        client.send_raw(&whole[index + 1..]).unwrap();
        assert_eq!(client.read().unwrap(), Reply::Int(index as i64 + 2), "the other half came");
    }
    // One byte at a time is slow, but a command.
    for byte in &whole {
        witness.send_raw(&[*byte]).unwrap();
    }
    assert_eq!(witness.read().unwrap(), Reply::Int(whole.len() as i64 + 1));
    // Half a command and good-bye is none.
    let mut leaver = gate.client();
    leaver.send_raw(&whole[..whole.len() - 1]).unwrap();
    leaver.stream().shutdown(Shutdown::Write).unwrap();
    assert!(leaver.is_closed_by_peer());
    assert_eq!(witness.call("GET n").text(), Some((whole.len() + 1).to_string()));
}

#[test]
fn who_sends_all_and_shuts_his_side_still_hears_every_answer() {
    let gate = Gate::start(&[]);
    let mut client = gate.client();
    client.send_raw(&encode(&["INCR", "n"]).repeat(1000)).unwrap();
    client.stream().shutdown(Shutdown::Write).unwrap();
    for number in 1..=1000 {
        assert_eq!(client.read().unwrap(), Reply::Int(number));
    }
    assert!(client.is_closed_by_peer());
}

#[test]
fn values_go_up_to_16_mebibytes_and_no_further() {
    let mut gate = Gate::start(&[]);
    let mut client = gate.client();
    let longest: Vec<u8> = (0..VALUE_BYTES_MAX).map(|index| ((index * 31) >> 3) as u8).collect();
    assert_eq!(client.call_args(&[b"SET".as_slice(), b"longest", &longest]).to_string(), "OK");
    assert_eq!(client.call_args(&[b"SET".as_slice(), &longest[..(1 << 20)], b"long key"]).to_string(), "OK");
    let mut longer = longest.clone();
    longer.push(0);
    refused(&gate, &encode(&[b"SET".as_slice(), b"longer", &longer]), "ERR Protocol error");
    // Each value is short enough, but the request is not: refused whole.
    let many = encode(&[b"MSET".as_slice(), b"longest", &longest[1..], b"b", &longest, b"c", &longest]);
    let mut greedy = gate.client();
    let _ = greedy.send_raw(&many);
    assert!(greedy.read().unwrap().is_error("ERR"));
    gate.kill();
    gate.start_again();
    let mut client = gate.client();
    assert!(client.call("GET longest") == Reply::Bulk(longest.clone()), "all bytes of the longest value are there");
    assert!(client.call_args(&[b"GET".as_slice(), &longest[..(1 << 20)]]) == Reply::Bulk(b"long key".to_vec()));
    assert_eq!(client.call("EXISTS longer b c").to_string(), "0");
}

#[test]
fn every_byte_can_stand_in_a_key() {
    let mut gate = Gate::start(&[]);
    let keys: Vec<Vec<u8>> = (0..=255u8).map(|byte| vec![byte, b'k', byte]).chain([Vec::new()]).collect();
    for (index, key) in keys.iter().enumerate() {
        let value = index.to_string();
        assert_eq!(gate.client().call_args(&[b"SET".as_slice(), key, value.as_bytes()]).to_string(), "OK");
    }
    gate.kill();
    gate.start_again();
    for (index, key) in keys.iter().enumerate() {
        assert_eq!(gate.client().call_args(&[b"GET".as_slice(), key]).text(), Some(index.to_string()));
    }
}

#[test]
fn noise_is_no_danger() {
    let mut luck = crate::level::Luck::new("noise");
    let gate = Gate::start(&[]);
    assert_eq!(gate.client().call("GATE.CREATE spring LIMIT 5").to_string(), "CREATED");
    assert_eq!(gate.client().call("GATE.CLAIM spring 1").to_string(), "[GRANTED 1 4]");
    let pieces: [&[u8]; 14] = [
        b"*",
        b"$",
        b"\r\n",
        b"3",
        b"-1",
        b"1000000",
        b"GATE.CLAIM",
        b"spring",
        b"SET",
        b"k",
        b"\"",
        b"\x00\xff",
        b" ",
        b"EX",
    ];
    for _ in 0..crate::level::rounds(300, 5000) {
        let mut bytes = Vec::new();
        for _ in 0..luck.below(40) {
            bytes.extend_from_slice(pieces[luck.below(pieces.len() as u64) as usize]);
        }
        let mut client = gate.client();
        let _ = client.send_raw(&bytes);
        let _ = client.stream().shutdown(Shutdown::Write);
        while client.read().is_ok() {}
    }
    // The pieces may have claimed seats for others, or none.
    let again = gate.client().call("GATE.CLAIM spring 1");
    assert_eq!(again.items().unwrap()[..2], [Reply::Status("ALREADY".into()), Reply::Int(1)], "{again}");
    assert_eq!(gate.client().call("GATE.STATUS spring 1").items().unwrap().len(), 1);
}

#[test]
fn quit_answers_and_discards_what_follows() {
    let gate = Gate::start(&[]);
    let mut client = gate.client();
    client.send_raw(b"INCR n\r\nQUIT\r\nINCR n\r\n").unwrap();
    assert_eq!(client.read().unwrap(), Reply::Int(1));
    assert_eq!(client.read().unwrap().to_string(), "OK");
    assert!(client.is_closed_by_peer());
    assert_eq!(gate.client().call("GET n").to_string(), "\"1\"");
}

#[test]
fn shutdown_ends_it_cleanly_and_nothing_is_lost() {
    let mut gate = Gate::start(&[]);
    assert!(gate.client().call("SHUTDOWN BOGUS").is_error("ERR syntax error"));
    assert_eq!(gate.client().call("INCR n").to_string(), "1");
    let mut client = gate.client();
    client.send_raw(b"INCR n\r\nSHUTDOWN\r\n").unwrap();
    assert_eq!(client.read().unwrap(), Reply::Int(2));
    assert!(client.is_closed_by_peer(), "SHUTDOWN has no answer");
    let end = gate.wait();
    assert_eq!(end.code, Some(0), "{}", end.said);
    gate.start_again();
    assert_eq!(gate.client().call("INCR n").to_string(), "3");
}

#[test]
fn sigterm_and_sigint_answer_what_was_decided_and_exit_0() {
    let mut gate = Gate::start(&[]);
    for (round, signal) in [Signal::TERM, Signal::INT].into_iter().enumerate() {
        let mut client = gate.client();
        client.send_raw(&encode(&["INCR", "n"]).repeat(5000)).unwrap();
        assert!(client.read().unwrap().int().is_some());
        gate.signal(signal);
        let mut last = 0;
        while let Ok(Reply::Int(number)) = client.read() {
            last = number;
        }
        let end = gate.wait();
        assert_eq!(end.code, Some(0), "{}", end.said);
        gate.start_again();
        let number: i64 = gate.client().call("GET n").text().unwrap().parse().unwrap();
        assert!(number >= last, "{last} was answered, {number} is there (round {round})");
    }
}

#[test]
fn a_password_is_asked_for_before_anything_else() {
    let gate = Gate::start(&["--password", "open sesame"]);
    let mut client = gate.client();
    for command in ["PING", "GET k", "GATE.CLAIM spring 1", "CLIENT ID", "INFO", "SELECT 1", "SHUTDOWN"] {
        assert_eq!(client.call(command).to_string(), "-NOAUTH Authentication required.", "{command}");
    }
    assert!(client.call("HELLO 3").is_error("NOAUTH HELLO must be called with the client already authenticated"));
    let wrong = "-WRONGPASS invalid username-password pair or user is disabled.";
    assert_eq!(client.call("AUTH sesame").to_string(), wrong);
    assert_eq!(client.call_args(&["AUTH", "somebody", "open sesame"]).to_string(), wrong);
    assert_eq!(client.call_args(&["HELLO", "3", "AUTH", "default", "open"]).to_string(), wrong);
    assert!(client.call("PING").is_error("NOAUTH"));
    assert_eq!(client.call_args(&["AUTH", "open sesame"]).to_string(), "OK");
    assert_eq!(client.call("PING").to_string(), "PONG");
    assert_eq!(client.call("RESET").to_string(), "RESET");
    assert!(client.call("PING").is_error("NOAUTH"), "RESET logs out");
    assert_eq!(client.call_args(&["AUTH", "default", "open sesame"]).to_string(), "OK");
    let mut modern = gate.client();
    let hello = modern.call_args(&["HELLO", "3", "AUTH", "default", "open sesame", "SETNAME", "me"]);
    assert_eq!(hello.field("proto"), Some(Reply::Int(3)), "{hello}");
    assert_eq!(modern.call("CLIENT GETNAME").text().as_deref(), Some("me"));
    // A stranger reserves no memory.
    refused(&gate, b"*11\r\n", "ERR Protocol error: unauthenticated multibulk length");
    refused(&gate, b"*2\r\n$4\r\nAUTH\r\n$16385\r\n", "ERR Protocol error: unauthenticated bulk length");
}

#[test]
fn client_kill_and_reply_off_do_what_they_say() {
    let gate = Gate::start(&[]);
    let (mut one, mut other) = (gate.client(), gate.client());
    let id = other.call("CLIENT ID").int().unwrap();
    assert_eq!(one.call(&format!("CLIENT KILL ID {id}")).to_string(), "1");
    assert!(other.is_closed_by_peer());
    one.send_raw(
        b"CLIENT REPLY OFF\r\nINCR n\r\nINCR n\r\nCLIENT REPLY ON\r\nCLIENT REPLY SKIP\r\nINCR n\r\nGET n\r\n",
    )
    .unwrap();
    assert_eq!(one.read().unwrap().to_string(), "OK");
    assert_eq!(one.read().unwrap().to_string(), "\"3\"");
}

#[test]
fn more_clients_than_allowed_are_told_so() {
    let gate = Gate::start(&["--max-clients", "20"]);
    let mut clients: Vec<Client> = Vec::new();
    for _ in 0..20 {
        // The client of `start` may not be gone yet.
        clients.push(until("a place is free", || {
            let mut client = gate.client();
            client.try_call(&["PING"]).is_ok_and(|reply| reply.to_string() == "PONG").then_some(client)
        }));
    }
    let mut one_more = gate.client();
    let _ = one_more.stream().flush();
    assert_eq!(one_more.read().unwrap().to_string(), "-ERR max number of clients reached");
    assert!(one_more.is_closed_by_peer());
    drop(clients.pop());
    until("the place is free again", || {
        gate.client().try_call(&["PING"]).is_ok_and(|reply| reply.to_string() == "PONG").then_some(())
    });
}

#[test]
fn a_deep_pipeline_is_answered_in_order() {
    let gate = Gate::start(&[]);
    let commands = crate::level::rounds(20_000, 200_000);
    let mut client = gate.client();
    let mut writer = client.stream().try_clone().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for number in 0..commands {
                let line = match number % 4 {
                    0 => format!("ECHO {number}\r\n"),
                    1 => "INCR n\r\n".to_owned(),
                    2 => format!("SET k {number}\r\n"),
                    _ => "GET k\r\n".to_owned(),
                };
                writer.write_all(line.as_bytes()).unwrap();
            }
        });
        for number in 0..commands {
            let expected = match number % 4 {
                0 => format!("\"{number}\""),
                1 => (number / 4 + 1).to_string(),
                2 => "OK".to_owned(),
                _ => format!("\"{}\"", number - 1),
            };
            assert_eq!(client.read().unwrap().to_string(), expected);
        }
    });
}
