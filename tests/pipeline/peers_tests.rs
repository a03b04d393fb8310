//! The peers themselves: what the tests of the pipeline take for granted about them.

use std::time::Duration;

use mysql::Conn;
use mysql::prelude::Queryable;

use crate::level::until;
use crate::peers::{Held, kafka, mariadb, shared, state, unique};

#[test]
fn a_shared_kafka_hands_back_what_was_produced() {
    let kafka = kafka::shared();
    let topic = unique("spring");
    kafka.create_topic(&topic, 2);
    assert_eq!(kafka.read_all(&topic), []);

    let headers: [(&str, &[u8]); 3] = [("seat", b"1"), ("log", &[0, 255]), ("seat", b"2")];
    assert_eq!(kafka.produce(&topic, 1, Some(b"spring"), Some(&42_i64.to_be_bytes()), &headers), 0);
    assert_eq!(kafka.produce(&topic, 1, None, None, &[]), 1);
    assert_eq!(kafka.produce(&topic, 0, Some(b""), Some(b""), &[]), 0);

    let found = kafka.read_all(&topic);
    let places: Vec<(i32, i64)> = found.iter().map(|record| (record.partition, record.offset)).collect();
    assert_eq!(places, [(0, 0), (1, 0), (1, 1)]);
    assert_eq!((&found[0].key, &found[0].value), (&Some(vec![]), &Some(vec![])));
    assert_eq!(found[1].key.as_deref(), Some(&b"spring"[..]));
    assert_eq!(found[1].value.as_deref(), Some(&42_i64.to_be_bytes()[..]));
    let names: Vec<&str> = found[1].headers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["seat", "log", "seat"]);
    assert_eq!((found[1].header("seat"), found[1].header("log")), (Some(&b"1"[..]), Some(&[0, 255][..])));
    assert!(found[1].time.is_some_and(|time| (time - crate::level::now_ms()).abs() < 600_000), "{found:?}");
    assert_eq!((&found[2].key, &found[2].value, found[2].header("seat")), (&None, &None, None));

    kafka.delete_records(&topic, 1, 1);
    assert_eq!(kafka.watermarks(&topic, 1), (1, 2));
    assert_eq!(kafka.read_all(&topic), [found[0].clone(), found[2].clone()]);
    kafka.delete_records(&topic, 1, 2);
    assert_eq!(kafka.watermarks(&topic, 1), (2, 2));
    assert_eq!(kafka.read_all(&topic), [found[0].clone()]);
}

#[test]
fn a_topic_that_was_deleted_and_made_again_is_empty() {
    let kafka = kafka::shared();
    let topic = unique("spring");
    kafka.create_topic_with(&topic, 1, &[("cleanup.policy", "compact")]);
    kafka.produce(&topic, 0, Some(b"spring"), Some(b"1"), &[]);
    assert!(kafka.topics().contains(&topic));
    kafka.delete_topic(&topic);
    assert!(!kafka.topics().contains(&topic));
    kafka.create_topic(&topic, 1);
    assert_eq!(kafka.watermarks(&topic, 0), (0, 0));
    assert_eq!(kafka.read_all(&topic), []);
}

#[test]
fn a_test_gets_an_empty_database_and_a_user_who_sees_no_other() {
    let mariadb = mariadb::shared();
    let (ours, theirs) = (mariadb.database(), mariadb.database());
    theirs.execute("CREATE TABLE coupon (user_id BIGINT PRIMARY KEY)");
    assert_eq!(ours.query::<String>("SHOW TABLES"), [""; 0]);

    let mut user = Conn::new(ours.url.as_str()).unwrap();
    user.query_drop("CREATE TABLE coupon (user_id BIGINT PRIMARY KEY)").unwrap();
    user.query_drop("INSERT INTO coupon VALUES (1), (2)").unwrap();
    let refused = user.query_drop(format!("SELECT * FROM {}.coupon", theirs.name)).unwrap_err();
    assert!(refused.to_string().contains("denied"), "{refused}");
    assert_eq!(ours.query::<i64>("SELECT user_id FROM coupon ORDER BY user_id"), [1, 2]);

    let wrong = ours.url.replace("open-sesame", "open-barley");
    assert!(Conn::new(wrong.as_str()).is_err(), "the password counts");
    let flush = mariadb.query::<(String, u8)>("SHOW VARIABLES LIKE 'innodb_flush_log_at_trx_commit'");
    assert_eq!(flush, [("innodb_flush_log_at_trx_commit".to_owned(), 1)]);
    assert!(ours.url.contains(&format!("@127.0.0.1:{}/", mariadb.port())), "{}", ours.url);
}

#[test]
fn a_restored_database_is_what_it_was_at_the_dump() {
    let database = mariadb::shared().database();
    database.execute("CREATE TABLE coupon (user_id BIGINT PRIMARY KEY, note VARBINARY(9))");
    database.execute("INSERT INTO coupon VALUES (1, x'00ff27'), (2, NULL)");
    let dump = database.dump();
    database.execute("DELETE FROM coupon WHERE user_id = 1");
    database.execute("INSERT INTO coupon VALUES (3, NULL)");
    database.execute("CREATE TABLE later (n INT)");
    database.restore(&dump);
    let rows: Vec<(i64, Option<Vec<u8>>)> = database.query("SELECT user_id, note FROM coupon ORDER BY user_id");
    assert_eq!(rows, [(1, Some(vec![0, 0xff, 0x27])), (2, None)]);
    assert_eq!(database.query::<String>("SHOW TABLES"), ["coupon"]);
    let mut user = Conn::new(database.url.as_str()).unwrap();
    user.query_drop("INSERT INTO coupon VALUES (4, NULL)").unwrap();
}

#[test]
fn what_a_test_process_held_ends_with_it() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("folder");
    std::fs::create_dir(&folder).unwrap();
    let command = ["sleep", "1000"].map(str::to_owned);
    let mut held = Held::start(&command, &home.path().join("said.txt"), Some(&folder));
    let pid = held.pid();
    assert!(!held.has_ended() && state(pid).is_some());
    // The kernel does the same at a panic, at abort and at kill -9.
    held.forsake();
    until("the process is gone", || state(pid).is_none().then_some(()));
    until("its folder is gone", || (!folder.exists()).then_some(()));
}

#[test]
fn the_shared_peers_are_the_same_for_every_test() {
    let (kafka, mariadb) = shared();
    assert_eq!(kafka.bootstrap(), kafka::shared().bootstrap());
    assert_eq!(mariadb.port(), mariadb::shared().port());
    assert!(kafka.answers(Duration::from_secs(20)) && mariadb.answers(Duration::from_secs(20)));
}

mod long {
    use std::net::TcpListener;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;
    use crate::peers::both;
    use crate::peers::kafka::Kafka;
    use crate::peers::mariadb::MariaDb;

    #[test]
    fn kafka_keeps_its_records_through_kill_and_restart() {
        let home = tempfile::tempdir().unwrap();
        let mut kafka = Kafka::start(home.path());
        kafka.create_topic("spring", 2);
        for user in 0..10_i64 {
            kafka.produce("spring", (user % 2) as i32, Some(b"spring"), Some(&user.to_be_bytes()), &[("n", b"1")]);
        }
        let (before, bootstrap, cluster) = (kafka.read_all("spring"), kafka.bootstrap(), kafka.cluster().to_owned());
        assert_eq!(before.len(), 10);
        kafka.kill();
        assert!(!kafka.answers(Duration::from_secs(1)), "a dead Kafka answers");
        kafka.restart();
        assert_eq!((kafka.bootstrap(), kafka.cluster()), (bootstrap, cluster.as_str()));
        assert_eq!(kafka.read_all("spring"), before);
        assert_eq!(kafka.produce("spring", 0, None, None, &[]), 5);
    }

    #[test]
    fn a_frozen_kafka_does_not_answer_and_a_thawed_one_does() {
        let home = tempfile::tempdir().unwrap();
        let kafka = Kafka::start_with(home.path(), &["num.io.threads=2"]);
        kafka.create_topic("spring", 1);
        kafka.produce("spring", 0, None, Some(b"1"), &[]);
        kafka.freeze();
        assert!(!kafka.answers(Duration::from_secs(2)), "a frozen Kafka answers");
        kafka.thaw();
        assert!(kafka.answers(Duration::from_secs(20)), "a thawed Kafka answers");
        assert_eq!(kafka.read_all("spring").len(), 1);
    }

    #[test]
    fn mariadb_keeps_what_it_committed_through_kill_and_restart() {
        let home = tempfile::tempdir().unwrap();
        let mut mariadb = MariaDb::start(home.path());
        let database = mariadb.database();
        database.execute("CREATE TABLE coupon (user_id BIGINT PRIMARY KEY)");
        let mut user = Conn::new(database.url.as_str()).unwrap();
        user.query_drop("INSERT INTO coupon VALUES (1)").unwrap();
        user.query_drop("START TRANSACTION").unwrap();
        user.query_drop("INSERT INTO coupon VALUES (2)").unwrap();
        mariadb.kill();
        assert!(!mariadb.answers(Duration::from_secs(1)), "a dead MariaDB answers");
        assert!(user.query_drop("COMMIT").is_err());
        mariadb.restart();
        assert_eq!(database.query::<i64>("SELECT user_id FROM coupon"), [1]);
        Conn::new(database.url.as_str()).unwrap().query_drop("INSERT INTO coupon VALUES (2)").unwrap();
    }

    #[test]
    fn a_frozen_mariadb_does_not_answer_and_a_thawed_one_does() {
        let home = tempfile::tempdir().unwrap();
        let mariadb = MariaDb::start_with(home.path(), &["--max-connections=50"]);
        assert_eq!(mariadb.query::<u32>("SELECT @@max_connections"), [50]);
        mariadb.freeze();
        assert!(!mariadb.answers(Duration::from_secs(2)), "a frozen MariaDB answers");
        mariadb.thaw();
        assert!(mariadb.answers(Duration::from_secs(20)), "a thawed MariaDB answers");
    }

    #[test]
    fn a_port_that_somebody_took_is_told_from_other_trouble() {
        let home = tempfile::tempdir().unwrap();
        let (mut kafka, mut mariadb) = both(home.path());
        kafka.kill();
        mariadb.kill();
        let _taken = TcpListener::bind(kafka.bootstrap()).unwrap();
        let _taken = TcpListener::bind(("127.0.0.1", mariadb.port())).unwrap();
        let told = [
            catch_unwind(AssertUnwindSafe(|| kafka.restart())).unwrap_err(),
            catch_unwind(AssertUnwindSafe(|| mariadb.restart())).unwrap_err(),
        ];
        for told in told {
            let told = told.downcast::<String>().unwrap();
            assert!(told.contains("was taken while"), "{told}");
        }
    }

    #[test]
    fn both_start_side_by_side_for_one_test() {
        let home = tempfile::tempdir().unwrap();
        let (kafka, mariadb) = both(home.path());
        // The turn is the test's, not the peer's: a further peer waits for nobody.
        let further = tempfile::tempdir().unwrap();
        let second = MariaDb::start(further.path());
        kafka.create_topic("spring", 1);
        assert_eq!(kafka.topics(), ["spring"]);
        assert_ne!(mariadb.port(), second.port());
        assert!(kafka.said().contains("controller activation"), "{}", kafka.said());
        assert!(mariadb.said().contains("ready for connections"), "{}", mariadb.said());
    }
}
