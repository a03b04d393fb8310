//! What librdkafka says without being asked: to the log, each thing once and then at most every minute; and why a
//! cluster does not answer, for the error of whoever waits for it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError as Fault, RDKafkaErrorCode as Code};

use crate::sabotage::{Sabotage, on};

/// How often the same thing is told.
const AGAIN: Duration = Duration::from_secs(60);

/// A client that looks for brokers has found none by then (`socket.connection.setup.timeout.ms` is 30 s), or one.
const LOOKS: Duration = Duration::from_secs(40);

/// Different things that are remembered as told.
const THINGS_MAX: usize = 256;

/// One voice for all clients of one cluster. Clones are the same voice.
#[derive(Clone)]
pub(super) struct Voice {
    brokers: Arc<str>,
    heard: Arc<Mutex<Heard>>,
    /// When a client last said that no broker is there, since something came from one.
    deserted: Arc<Mutex<Option<Instant>>>,
}

#[derive(Default)]
struct Heard {
    cause: Option<Cause>,
    told: BTreeMap<String, Told>,
}

/// Why the cluster does not answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cause {
    /// Of which kind it is.
    pub code: Code,
    /// In librdkafka's words.
    pub reason: String,
}

struct Told {
    at: Instant,
    withheld: u64,
}

impl Voice {
    pub fn new(brokers: &str) -> Voice {
        Voice { brokers: brokers.into(), heard: Arc::default(), deserted: Arc::default() }
    }

    /// The same voice for a client whose own connections matter: [`Voice::is_cut_off`].
    pub fn of_one(&self) -> Voice {
        Voice { deserted: Arc::default(), ..self.clone() }
    }

    /// Whether the client has no broker any more and looks for none. One that looks says with every try that none is there;
    /// but a broker that has just started may answer that its cluster has no brokers: librdkafka then drops those that it knew,
    /// and may forget to begin anew with those that it was given. A new client does that.
    /// <https://github.com/confluentinc/librdkafka/issues/5301>
    pub fn is_cut_off(&self) -> bool {
        let silent = self.deserted().is_some_and(|said| said.elapsed() >= LOOKS);
        silent && !on(Sabotage::ClientsAreKept)
    }

    /// Something came from a broker.
    pub fn is_connected(&self) {
        *self.deserted() = None;
    }

    fn deserted(&self) -> MutexGuard<'_, Option<Instant>> {
        self.deserted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How the cluster is reached.
    pub fn brokers(&self) -> &str {
        &self.brokers
    }

    /// Why the cluster does not answer, since it last did.
    pub fn cause(&self) -> Option<Cause> {
        self.heard().cause.clone()
    }

    /// The cluster answered.
    pub fn answered(&self) {
        self.heard().cause = None;
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether `thing` is to be told at present, and how often it was withheld since it was.
    fn turn_of(&self, thing: &str) -> Option<u64> {
        #[expect(clippy::disallowed_methods, reason = "how often something is told is a matter of real time")]
        let now = Instant::now();
        let told = &mut self.heard().told;
        match told.get_mut(thing) {
            Some(told) if now.duration_since(told.at) < AGAIN => {
                told.withheld += 1;
                None
            }
            Some(told) => {
                told.at = now;
                Some(std::mem::take(&mut told.withheld))
            }
            None => {
                if told.len() >= THINGS_MAX {
                    told.clear();
                }
                told.insert(thing.to_owned(), Told { at: now, withheld: 0 });
                Some(0)
            }
        }
    }
}

impl ClientContext for Voice {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        // Each client is given the properties of all; that one of them counts as experimental is known. And what connections
        // suffer comes as an error too.
        let known = ["will be ignored by this", "enable.gapless.guarantee is experimental"];
        let chosen = facility == "CONFWARN" && known.iter().any(|known| line.contains(known));
        let quiet = chosen || matches!(facility, "FAIL" | "ERROR");
        let loud = matches!(
            level,
            RDKafkaLogLevel::Emerg
                | RDKafkaLogLevel::Alert
                | RDKafkaLogLevel::Critical
                | RDKafkaLogLevel::Error
                | RDKafkaLogLevel::Warning
        );
        if quiet || !loud {
            tracing::debug!("librdkafka: {facility}: {line}");
        } else if let Some(withheld) = self.turn_of(facility) {
            tracing::warn!("Kafka at {}: {line}{}", self.brokers, more(withheld));
        }
    }

    fn stats_raw(&self, _statistics: &[u8]) {}

    fn error(&self, fault: Fault, reason: &str) {
        let Some(code) = fault.rdkafka_error_code() else { return };
        if code == Code::AllBrokersDown {
            #[expect(clippy::disallowed_methods, reason = "patience with a broker is a matter of real time")]
            let now = Instant::now();
            *self.deserted() = Some(now);
        }
        // What befalls a partition is told by whoever reads it; and nothing here is in a group.
        if weight(code) == 0 {
            tracing::debug!("Kafka at {}: {reason}", self.brokers);
            return;
        }
        let mut heard = self.heard();
        if heard.cause.as_ref().is_none_or(|cause| weight(cause.code) <= weight(code)) {
            heard.cause = Some(Cause { code, reason: reason.to_owned() });
        }
        drop(heard);
        if let Some(withheld) = self.turn_of(&format!("{code:?}")) {
            let next = if code == Code::Fatal { "" } else { "; tried again and again" };
            tracing::warn!("Kafka at {}: {reason}{next}{}", self.brokers, more(withheld));
        }
    }
}

impl ConsumerContext for Voice {}

/// How much an error says about why the cluster does not answer.
fn weight(code: Code) -> u8 {
    if matches!(code, Code::Authentication | Code::SaslAuthenticationFailed | Code::SSL | Code::Fatal) {
        4
    } else if code == Code::Resolve {
        3
    } else if matches!(code, Code::BrokerTransportFailure | Code::CriticalSystemResource) {
        2
    } else {
        u8::from(matches!(code, Code::AllBrokersDown | Code::OperationTimedOut))
    }
}

fn more(withheld: u64) -> String {
    if withheld == 0 { String::new() } else { format!(" (and {withheld} more of the kind since the last line)") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_thing_is_told_once_a_minute() {
        let voice = Voice::new("kafka:9092");
        assert_eq!(voice.turn_of("down"), Some(0));
        assert_eq!(voice.turn_of("down"), None);
        assert_eq!(voice.turn_of("other"), Some(0));
        if let Some(told) = voice.heard().told.get_mut("down") {
            told.at = told.at.checked_sub(AGAIN).expect("the machine runs for a minute");
        }
        assert_eq!(voice.turn_of("down"), Some(1));
    }

    #[test]
    fn who_is_without_brokers_and_stops_saying_so_is_cut_off() {
        let voice = Voice::new("kafka:9092").of_one();
        assert!(!voice.is_cut_off());
        let down = || voice.error(Fault::Global(Code::AllBrokersDown), "1/1 brokers are down");
        let silence = || {
            let mut said = voice.deserted();
            *said = said.and_then(|said| said.checked_sub(LOOKS));
        };
        down();
        assert!(!voice.is_cut_off(), "it looks for one");
        silence();
        assert!(voice.is_cut_off());
        down();
        assert!(!voice.is_cut_off(), "it looks again");
        silence();
        voice.is_connected();
        assert!(!voice.is_cut_off(), "it has found one");
    }

    #[test]
    fn the_cause_that_says_most_is_kept_until_the_cluster_answers() {
        let voice = Voice::new("kafka:9092");
        voice.error(Fault::Global(Code::Authentication), "wrong password");
        voice.error(Fault::Global(Code::AllBrokersDown), "1/1 brokers are down");
        voice.error(Fault::PartitionEOF(1), "no more");
        assert_eq!(voice.cause(), Some(Cause { code: Code::Authentication, reason: "wrong password".into() }));
        voice.answered();
        assert_eq!(voice.cause(), None);
    }
}
