//! Sinks of their own: killed, two at once, frozen past their lease; and records that make no sense.

mod long {
    use crate::crowd::Crowd;
    use crate::level::{Luck, rounds, until};
    use crate::line::{Line, SinkProcess};
    use crate::peers;

    fn outside() -> Line {
        let (kafka, mariadb) = peers::shared();
        let line = Line::start(&kafka.bootstrap(), &mariadb.database(), &["--sink", "outside"]);
        line.create(4_000_000);
        line
    }

    #[test]
    fn a_killed_sink_goes_on_where_it_was() {
        let line = outside();
        let mut luck = Luck::new("a_killed_sink");
        let crowd = Crowd::start(line.gate.port(), 3_000_000, &mut luck);
        for round in 0..rounds(2, 6) {
            let sink = SinkProcess::start(&line, &format!("sink-{round}"), &[]);
            let mut client = line.gate.client();
            let before = line.info(&mut client, "stored");
            until("the sink stores", || (line.info(&mut client, "stored") > before).then_some(()));
            crowd.wait_for(1 + luck.below(500) as usize);
            sink.kill();
        }
        let _last = SinkProcess::start(&line, "sink-last", &[]);
        line.prove(&crowd.end());
    }

    #[test]
    fn of_two_sinks_at_once_one_stores_and_the_other_takes_over() {
        let line = outside();
        let crowd = Crowd::start(line.gate.port(), 3_000_000, &mut Luck::new("two_sinks"));
        let first = SinkProcess::start(&line, "first", &[]);
        let _second = SinkProcess::start(&line, "second", &[]);
        crowd.wait_for(1000);
        first.kill();
        crowd.wait_for(1000);
        line.prove(&crowd.end());
    }

    #[test]
    fn a_sink_frozen_past_its_lease_stores_nothing_when_it_wakes() {
        let line = outside();
        let crowd = Crowd::start(line.gate.port(), 3_000_000, &mut Luck::new("a_frozen_sink"));
        let first = SinkProcess::start(&line, "first", &[]);
        let mut client = line.gate.client();
        until("the first sink stores", || (line.info(&mut client, "stored")? > 0).then_some(()));
        let owner = || -> Vec<String> { line.ledger.query("SELECT DISTINCT owner FROM coupon_sink_position") };
        let before = owner();
        let _second = SinkProcess::start(&line, "second", &[]);
        first.held().freeze();
        until("the second sink takes over", || (owner() != before).then_some(()));
        let taken = owner();
        first.held().thaw();
        crowd.wait_for(1000);
        let told = crowd.end();
        line.prove(&told);
        assert_eq!(owner(), taken, "the woken one does not take it back");
    }

    #[test]
    fn records_that_make_no_sense_and_old_ones_sent_twice_stop_nothing() {
        let (kafka, _) = peers::shared();
        let line = outside();
        let _sink = SinkProcess::start(&line, "sink", &[]);
        let crowd = Crowd::start(line.gate.port(), 3_000_000, &mut Luck::new("poison"));
        crowd.wait_for(300);
        let told = crowd.end();
        line.settle();
        let old = kafka.read_all(&line.topic).into_iter().next().expect("there are records");
        let headers: Vec<(&str, &[u8])> =
            old.headers.iter().map(|(name, value)| (name.as_str(), value.as_deref().unwrap())).collect();
        let (key, value) = (old.key.as_deref(), old.value.as_deref());
        kafka.produce(&line.topic, old.partition, key, value, &headers);
        kafka.produce(&line.topic, old.partition, Some(b"spring"), Some(b"hello"), &[]);
        kafka.produce(&line.topic, old.partition, None, None, &[]);
        let bad = [("cg-log", headers[0].1), ("cg-seq", b"x"), ("cg-prev", b"0"), ("cg-seat", b"1")];
        kafka.produce(&line.topic, old.partition, key, value, &bad);
        // The same of another journal, one kind of nonsense each; the last user does not fit the column.
        let user: &[u8] = &7_i64.to_be_bytes();
        // Key, value, header, its text.
        type Kind<'a> = (&'a [u8], Option<&'a [u8]>, &'a str, &'a [u8]);
        let kinds: [Kind<'_>; 8] = [
            (b"autumn", Some(user), "cg-seat", b"0"),
            (b"autumn", Some(user), "cg-seat", b"4294967296"),
            (b"autumn", Some(user), "cg-nth", b"0"),
            (b"autumn", Some(user), "cg-after", b"-1"),
            (b"no name!", Some(user), "cg-nth", b"1"),
            (b"autumn", Some(b"seven"), "cg-nth", b"1"),
            (b"autumn", None, "cg-nth", b"1"),
            (b"autumn", Some(br#"{"user":"anna"}"#), "cg-nth", b"1"),
        ];
        for (index, (key, value, header, text)) in kinds.into_iter().enumerate() {
            let (seq, prev) = ((index + 1).to_string(), index.to_string());
            let log: &[u8] = b"00112233445566778899aabbccddeeff";
            let place = [("cg-log", log), ("cg-seq", seq.as_bytes()), ("cg-prev", prev.as_bytes())];
            let seat = [("cg-seat", "1".as_bytes()), (header, text)];
            kafka.produce(&line.topic, old.partition, Some(key), value, &[&place[..], &seat].concat());
        }
        let letters = || -> Vec<i64> { line.ledger.query("SELECT count(*) FROM coupon_dead_letter") };
        until("what makes no sense is put away", || (letters() == [9]).then_some(()));
        let crowd = Crowd::start(line.gate.port(), 3_000_000, &mut Luck::new("poison"));
        crowd.wait_for(300);
        let mut all = told;
        all.extend(crowd.end());
        line.settle();
        let rows = line.rows();
        for (user, seat) in &all {
            assert_eq!(rows.get(seat), Some(user), "user {user} was told seat {seat}");
        }
        let listed = line.run(&["dead-letters", "list"]);
        assert_eq!(listed.code, Some(0), "{}", listed.said);
        assert!(listed.said.contains("cg-seq"), "{}", listed.said);
        let source: Vec<String> = line.ledger.query("SELECT DISTINCT source FROM coupon_dead_letter");
        let dropped = line.run(&["dead-letters", "drop", "--source", &source[0]]);
        assert_eq!(dropped.code, Some(0), "{}", dropped.said);
        assert_eq!(letters(), [0]);
        line.audit();
    }

    #[test]
    fn rows_that_the_table_refuses_are_put_aside_and_brought_in_when_it_takes_them() {
        let (kafka, mariadb) = peers::shared();
        let line = Line::start(&kafka.bootstrap(), &mariadb.database(), &[]);
        line.create(4_000_000);
        line.ledger.execute("ALTER TABLE coupon_grant ADD CONSTRAINT picky CHECK (seat % 50 <> 49)");
        let crowd = Crowd::start(line.gate.port(), 3_000_000, &mut Luck::new("refused_rows"));
        crowd.wait_for(500);
        let told = crowd.end();
        line.settle();
        let refused = told.values().filter(|seat| *seat % 50 == 49).count();
        let letters: Vec<usize> =
            line.ledger.query("SELECT count(*) FROM coupon_dead_letter WHERE reason LIKE '%picky%'");
        assert!(refused >= 10 && letters == [refused], "{letters:?} of {refused}");
        assert_eq!(line.rows().len(), told.len() - refused, "all others are rows");
        assert_eq!(
            line.run(&["audit"]).code,
            Some(1),
            "a grant without its row is a difference, with the reason beside it"
        );
        let retried = line.run(&["dead-letters", "retry"]);
        assert_eq!(retried.code, Some(1), "they have to stay: {}", retried.said);
        line.ledger.execute("ALTER TABLE coupon_grant DROP CONSTRAINT picky");
        let retried = line.run(&["dead-letters", "retry"]);
        assert_eq!(retried.code, Some(0), "{}", retried.said);
        line.prove(&told);
    }
}
