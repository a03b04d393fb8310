//! Test systems that are run again and again: campaigns are purged, and their names used again.

use std::time::Duration;

use crate::gate::Gate;
use crate::ledger;
use crate::level::within;

#[test]
fn a_purged_campaign_leaves_its_name_and_its_rows_move_aside() {
    let mut gate = Gate::start(&["--allow-reset", "yes"]);
    for round in 0..3_i64 {
        let mut client = gate.client();
        assert_eq!(client.call("GATE.CREATE staging LIMIT 100 USERS ANY").text().as_deref(), Some("CREATED"));
        for user in 1..=50 {
            let told = client.call(&format!("GATE.CLAIM staging {user} FLAT")).text();
            assert_eq!(told, Some(format!("GRANTED {user} {}", 100 - user)), "round {round}");
        }
        assert_eq!(client.call("GATE.DROP staging PURGE").text().as_deref(), Some("OK"));
        assert!(client.call("GATE.CLAIM staging 1").is_error("NOCAMPAIGN"));
        gate.kill();
        gate.start_again();
        within(Duration::from_secs(30), "all rows have moved", || {
            let ledger = ledger::open(&ledger::path(&gate))?;
            let rows = |table: &str| -> Option<i64> {
                ledger.query_row(&format!("SELECT COUNT(*) FROM {table}"), [], |row| row.get(0)).ok()
            };
            (rows("coupon_grant")? == 0 && rows("coupon_return")? == 50 * (round + 1)).then_some(())
        });
    }
    let mut client = gate.client();
    client.call("GATE.CREATE one LIMIT 5");
    client.call("GATE.CREATE two LIMIT 5");
    client.call("GATE.CLAIM two 7");
    client.call("SET plain 1");
    assert_eq!(client.call("FLUSHALL").text().as_deref(), Some("OK"));
    assert_eq!(client.call("GATE.LIST").to_string(), "[]");
    assert_eq!(client.call("DBSIZE").int(), Some(0));
    assert_eq!(client.call("GATE.CREATE two LIMIT 6").text().as_deref(), Some("CREATED"));
}
