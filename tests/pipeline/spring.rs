//! A Spring service beside the gate: its listener, its counter and its claims (tests/clients/spring, which says what each
//! test looks at).

use std::fs;
use std::path::Path;
use std::process::Command;

mod long {
    use super::*;
    use crate::gate::Gate;
    use crate::lossy;
    use crate::peers::kafka::{self, Kafka};

    /// Every test of the suite: one that does not run is missed here.
    const TESTS: [&str; 10] = [
        "AncestorTest.aThousandUsersAtOnceLeaveAHundredRecords",
        "ClaimsOverJedisTest.anUnknownCampaignIsAnErrorThatNamesIt",
        "ClaimsOverJedisTest.threeHundredUsersGetAHundredCoupons",
        "ClaimsOverLettuceTest.anUnknownCampaignIsAnErrorThatNamesIt",
        "ClaimsOverLettuceTest.threeHundredUsersGetAHundredCoupons",
        "GrantsInKafkaTest.kafkasOwnConsoleConsumerPrintsEveryGrantOnce",
        "GrantsInKafkaTest.theListenerReadsEveryGrantOnce",
        "GrantsInKafkaTest.thePlainConsumerReadsEveryGrantOnceWithItsPlace",
        "LettuceSendsAgainTest.aClaimWhoseAnswerWasLostIsSentAgainAndGetsNoSecondSeat",
        "LettuceSendsAgainTest.aConfirmationAndACancelWhoseAnswersWereLostHappenOnce",
    ];

    #[test]
    fn a_spring_service_counts_claims_and_reads_every_grant_once() {
        let home = tempfile::tempdir().unwrap();
        let kafka = Kafka::start(home.path());
        // The gate has a topic of its own: the service counts by INCR and sends to coupon_create itself.
        kafka.create_topic("grants", 3);
        kafka.create_topic("coupon_create", 3);
        let brokers = kafka.bootstrap();
        let gate = Gate::start(&["--kafka-brokers", &brokers, "--kafka-topic", "grants", "--ledger", "none"]);

        let suite = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/spring");
        let reports = suite.join("target/surefire-reports");
        if reports.exists() {
            fs::remove_dir_all(&reports).unwrap();
        }
        let run = Command::new("mvn")
            .args(["-q", "-B", "test"])
            .current_dir(&suite)
            .env("GATE_PORT", gate.port().to_string())
            .env("LOSSY_PORT", lossy::way_to(gate.port(), 5).to_string())
            .env("KAFKA_BOOTSTRAP", &brokers)
            .env("KAFKA_LIBS", kafka::libs())
            .env("TOPIC", "grants")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&run.stdout);
        assert!(run.status.success(), "{}:\n{said}\nthe gate said:\n{}", run.status, gate.said());
        assert_eq!(ran(&reports), TESTS);
    }
}

/// The tests that surefire's reports name, as `Class.method`, sorted.
fn ran(reports: &Path) -> Vec<String> {
    let mut tests = Vec::new();
    for entry in fs::read_dir(reports).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "xml") {
            let report = fs::read_to_string(&path).unwrap();
            tests.extend(report.split("<testcase").skip(1).map(|case| {
                let class = attribute(case, "classname");
                let class = class.rsplit_once('.').map_or(class, |(_, class)| class);
                format!("{class}.{}", attribute(case, "name"))
            }));
        }
    }
    tests.sort();
    tests
}

/// What stands in ` name="..."` of an element.
fn attribute<'a>(element: &'a str, name: &str) -> &'a str {
    let (_, rest) = element.split_once(&format!(" {name}=\"")).expect("surefire writes it");
    rest.split('"').next().unwrap_or_default()
}
