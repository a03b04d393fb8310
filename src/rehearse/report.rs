//! What a rehearsal tells: a table for people, one JSON object for scripts.

use std::fmt;

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::rehearse::RehearseOptions;
use crate::rehearse::checks::Verdict;
use crate::rehearse::truth::Counts;
use crate::rehearse::turnover::Moves;

/// What came of a rehearsal. `Display` is the table.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The campaign that was made for it.
    pub campaign: String,
    /// The gate, without password.
    pub target: String,
    /// Whether every check passed: exit code 0 or 1.
    pub agrees: bool,
    /// The campaign was a real one: its grants went on to the ledger.
    pub through: bool,
    /// Users.
    pub users: u32,
    /// Seats.
    pub seats: u32,
    /// Connections.
    pub connections: u32,
    /// Claims that a connection had under way at a time.
    pub pipeline: u32,
    /// How often each user asked.
    pub repeat: u32,
    /// What users did with their seats, where seats could come back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub returning: Option<Returning>,
    /// Claims made: users times repeat.
    pub claims: u64,
    /// The answers.
    pub answers: Counts,
    /// From the first claim to the last answer.
    pub seconds: f64,
    /// Answered claims in a second.
    pub claims_per_second: f64,
    /// From a claim's sending to its answer.
    pub latency_us: Latency,
    /// What the ledger had in the end; none without `--through` or where the gate fills no ledger.
    pub stored: Option<Stored>,
    /// The checks.
    pub checks: Vec<Verdict>,
}

/// A crowd whose seats come back.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Returning {
    /// For how long a claim holds its seat; 0 grants it at once.
    pub hold_ms: u32,
    /// How large a share of the holds was to be confirmed.
    pub confirm_share: f64,
    /// How large a share of those granted was to cancel.
    pub cancel_share: f64,
    /// What became of seats.
    #[serde(flatten)]
    pub moves: Moves,
}

/// Latencies in microseconds.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Latency {
    /// Half of the answers came within.
    pub p50: f64,
    /// 95 of 100.
    pub p95: f64,
    /// 99 of 100.
    pub p99: f64,
    /// 999 of 1000.
    pub p999: f64,
    /// All of them.
    pub max: f64,
}

/// What the ledger had in the end.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Stored {
    /// Grants of the campaign in the ledger.
    pub rows: i64,
    /// From the first claim until so many were seen there.
    pub seconds: f64,
}

impl Returning {
    /// What was asked for, and what came of it.
    pub fn of(options: &RehearseOptions, moves: Moves) -> Returning {
        let RehearseOptions { hold: hold_ms, confirm_share, cancel_share, .. } = *options;
        Returning { hold_ms, confirm_share, cancel_share, moves }
    }

    /// In words, for people.
    fn line(&self) -> String {
        let Returning { hold_ms, confirm_share, cancel_share, .. } = self;
        let held = match hold_ms {
            0 => String::new(),
            _ => format!(
                "a claim holds its seat for {hold_ms} ms, {} of the holds are confirmed, ",
                percent(*confirm_share)
            ),
        };
        format!("{held}{} of those granted cancel", percent(*cancel_share))
    }

    fn rows(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let Moves { held, confirmed, expired, cancelled } = self.moves;
        let of_holds = [("held", held), ("confirmed", confirmed), ("left to expire", expired)];
        let of_holds = of_holds.into_iter().filter(|_| self.hold_ms > 0);
        of_holds.chain([("cancelled", cancelled)])
    }
}

impl Latency {
    /// From a histogram of nanoseconds.
    pub fn of(latency_ns: &Histogram<u64>) -> Latency {
        #[expect(clippy::cast_precision_loss, reason = "three digits are told")]
        let at = |quantile: f64| latency_ns.value_at_quantile(quantile) as f64 / 1000.0;
        Latency { p50: at(0.5), p95: at(0.95), p99: at(0.99), p999: at(0.999), max: at(1.0) }
    }
}

impl Report {
    /// One JSON object on one line.
    pub fn json(&self) -> String {
        serde_json::to_string(self).expect("a report is plain numbers and texts")
    }

    fn stored_line(&self) -> String {
        match self.stored {
            Some(Stored { rows, seconds }) => {
                format!("{} rows, the last one {seconds:.3} s after the first claim", grouped(rows))
            }
            None => "this gate fills none".to_string(),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.through { "a real campaign, which stays" } else { "a shadow, dropped again" };
        writeln!(f, "campaign {} at {} ({kind})", self.campaign, self.target)?;
        writeln!(
            f,
            "{} users ask {} for {} seats over {} connections, pipeline {}",
            grouped(self.users),
            if self.repeat == 1 { "once".to_string() } else { format!("{} times", grouped(self.repeat)) },
            grouped(self.seats),
            grouped(self.connections),
            grouped(self.pipeline)
        )?;
        if let Some(returning) = &self.returning {
            writeln!(f, "{}", returning.line())?;
        }
        writeln!(f)?;
        let answers = &self.answers;
        let counts = [
            ("granted", answers.granted),
            ("already", answers.already),
            ("sold out", answers.sold_out),
            ("not open, closed", answers.not_open + answers.closed),
            ("errors", answers.errors),
            ("no answer", answers.unanswered),
        ];
        let moves = self.returning.iter().flat_map(Returning::rows);
        for (name, count) in moves.chain(counts) {
            writeln!(f, "  {name:<18}{:>14}", grouped(count))?;
        }
        writeln!(
            f,
            "  {:<18}{:>14}   in {:.3} s",
            "claims/s",
            grouped(format!("{:.0}", self.claims_per_second)),
            self.seconds
        )?;
        let Latency { p50, p95, p99, p999, max } = self.latency_us;
        let [p50, p95, p99, p999, max] = [p50, p95, p99, p999, max].map(millis);
        writeln!(f, "  {:<18}p50 {p50}   p95 {p95}   p99 {p99}   p99.9 {p999}   max {max}", "latency, ms")?;
        if self.through {
            writeln!(f, "  {:<18}{}", "ledger", self.stored_line())?;
        }
        writeln!(f)?;
        for verdict in &self.checks {
            let told = if verdict.differences == 0 { "ok".to_string() } else { differences(verdict.differences) };
            writeln!(f, "  {:<42}{told}", verdict.check)?;
            for example in &verdict.examples {
                writeln!(f, "      {example}")?;
            }
        }
        writeln!(f, "\n{}", if self.agrees { "All answers agree." } else { "DIFFERENCES FOUND." })
    }
}

fn differences(count: u64) -> String {
    if count == 1 { "1 DIFFERENCE".to_string() } else { format!("{} DIFFERENCES", grouped(count)) }
}

fn percent(share: f64) -> String {
    format!("{} %", (share * 1e4).round() / 100.0)
}

fn millis(us: f64) -> String {
    format!("{:.2}", us / 1000.0)
}

/// `1234567` as `1 234 567`.
fn grouped(number: impl fmt::Display) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 2);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) && !text.ends_with('-') {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let verdict = |check, differences, examples: &[&str]| Verdict {
            check,
            differences,
            examples: examples.iter().map(|text| (*text).to_string()).collect(),
        };
        Report {
            campaign: "rehearsal-20261122T101500-00ff00ff".to_string(),
            target: "redis://127.0.0.1:6379".to_string(),
            agrees: false,
            through: true,
            users: 20_000,
            seats: 10_000,
            connections: 50,
            pipeline: 1,
            repeat: 2,
            returning: None,
            claims: 40_000,
            answers: Counts { granted: 10_000, already: 9_999, sold_out: 20_000, errors: 1, ..Counts::default() },
            seconds: 0.75,
            claims_per_second: 53_333.3,
            latency_us: Latency { p50: 930.0, p95: 1300.0, p99: 2104.9, p999: 4200.0, max: 5001.0 },
            stored: Some(Stored { rows: 10_000, seconds: 1.25 }),
            checks: vec![
                verdict("exactly min(users, seats) granted", 0, &[]),
                verdict("every claim got an answer", 1, &["user 7 heard an error: MISCONF no room"]),
            ],
        }
    }

    #[test]
    fn the_table_reads_well() {
        let table = "\
campaign rehearsal-20261122T101500-00ff00ff at redis://127.0.0.1:6379 (a real campaign, which stays)
20 000 users ask 2 times for 10 000 seats over 50 connections, pipeline 1

  granted                   10 000
  already                    9 999
  sold out                  20 000
  not open, closed               0
  errors                         1
  no answer                      0
  claims/s                  53 333   in 0.750 s
  latency, ms       p50 0.93   p95 1.30   p99 2.10   p99.9 4.20   max 5.00
  ledger            10 000 rows, the last one 1.250 s after the first claim

  exactly min(users, seats) granted         ok
  every claim got an answer                 1 DIFFERENCE
      user 7 heard an error: MISCONF no room

DIFFERENCES FOUND.
";
        assert_eq!(report().to_string(), table);
    }

    fn returning() -> Returning {
        let moves = Moves { held: 12_345, confirmed: 8_641, expired: 3_704, cancelled: 1_728 };
        Returning { hold_ms: 200, confirm_share: 0.7, cancel_share: 0.155, moves }
    }

    #[test]
    fn the_table_tells_of_seats_that_come_back() {
        let table = Report { returning: Some(returning()), ..report() }.to_string();
        let lines: Vec<_> = table.lines().collect();
        assert_eq!(
            lines[2..8],
            [
                "a claim holds its seat for 200 ms, 70 % of the holds are confirmed, 15.5 % of those granted cancel",
                "",
                "  held                      12 345",
                "  confirmed                  8 641",
                "  left to expire             3 704",
                "  cancelled                  1 728",
            ]
        );
        let at_once = Returning { hold_ms: 0, ..returning() };
        assert_eq!(at_once.line(), "15.5 % of those granted cancel");
        assert!(at_once.rows().eq([("cancelled", 1_728)]));
    }

    #[test]
    fn the_json_is_one_object_with_everything() {
        let json = Report { returning: Some(returning()), ..report() }.json();
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(json["returning"]["hold_ms"], 200);
        assert_eq!(json["returning"]["expired"], 3_704);
        assert!(!report().json().contains("returning"), "a crowd that keeps its seats says nothing of it");
        assert_eq!(json["agrees"], false);
        assert_eq!(json["answers"]["granted"], 10_000);
        assert_eq!(json["latency_us"]["p999"], 4200.0);
        assert_eq!(json["stored"]["rows"], 10_000);
        assert_eq!(json["checks"][1]["examples"][0], "user 7 heard an error: MISCONF no room");
    }

    #[test]
    fn thousands_are_set_apart() {
        let numbers =
            [(0, "0"), (999, "999"), (1000, "1 000"), (1_234_567, "1 234 567"), (-100, "-100"), (-1000, "-1 000")];
        for (number, text) in numbers {
            assert_eq!(grouped(number), text);
        }
    }
}
