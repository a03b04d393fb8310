//! The sending side: an idempotent producer without gaps and without time-outs.

use std::collections::VecDeque;
use std::ffi::c_int;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::bindings::rd_kafka_flush;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError as Fault, RDKafkaErrorCode as Code};
use rdkafka::message::{DeliveryResult, Header, Message, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, PurgeConfig, ThreadedProducer};

use super::closing::close;
use super::faults::{explain, explain_code};
use super::librdkafka::{number, unfit};
use super::properties::{self, Role};
use super::reader::{later, until};
use super::voice::Voice;
use super::{Ack, KafkaError, KafkaSettings, Outgoing, Sent, Writer};

/// Records sent whose acknowledgements were not taken: more of them only wait, and the journal is the place to wait. Each
/// costs some hundred bytes, which three threads touch in turn: so many are still in a processor's cache when they are
/// acknowledged. 20 000 were not, and cost twice the time; 3000 left one partition waiting for its next request.
const IN_FLIGHT_MAX: u64 = 6_000;

// A tag travels through librdkafka as a pointer.
const _: () = assert!(size_of::<usize>() == size_of::<u64>(), "a tag fits a pointer");

pub(super) struct Writing {
    topics: Vec<String>,
    /// There until the drop.
    producer: Option<ThreadedProducer<Deliveries>>,
    shared: Arc<Shared>,
    voice: Voice,
    sent: u64,
    taken: u64,
    /// What is on its way has had no answer so far; it may have one until then.
    patience: Instant,
}

struct Shared {
    state: Mutex<State>,
    on_ack: Box<dyn Fn() + Send + Sync>,
}

#[derive(Default)]
struct State {
    acks: VecDeque<Ack>,
    /// Deliveries of either kind.
    delivered: u64,
    /// The first record that Kafka did not take; none after it counts as acknowledged.
    refused: Option<KafkaError>,
    /// librdkafka has given this producer up.
    fatal: bool,
    /// Nobody asks any more.
    dropped: bool,
}

/// What librdkafka tells the writer, on its own thread.
struct Deliveries {
    voice: Voice,
    topics: Vec<String>,
    shared: Arc<Shared>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientContext for Deliveries {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        self.voice.log(level, facility, line);
    }

    fn stats_raw(&self, _statistics: &[u8]) {}

    fn error(&self, fault: Fault, reason: &str) {
        if fault.rdkafka_error_code() == Some(Code::Fatal) {
            self.shared.state().fatal = true;
            (self.shared.on_ack)();
        }
        self.voice.error(fault, reason);
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, tag: usize) {
        let mut state = self.shared.state();
        if state.dropped {
            return;
        }
        state.delivered += 1;
        let wake = match result {
            Ok(message) => {
                if state.refused.is_some() {
                    return;
                }
                let topic = self.topics.iter().position(|topic| topic == message.topic());
                let topic = topic.expect("a record is sent to one of the topics");
                let partition = u32::try_from(message.partition()).expect("a record is sent to a partition");
                // A repeated batch that the broker no longer remembers in full is acknowledged without offsets.
                let offset = u64::try_from(message.offset()).ok();
                state.acks.push_back(Ack { topic, partition, tag: tag as u64, offset });
                state.acks.len() == 1
            }
            Err((fault, message)) => {
                let code = fault.rdkafka_error_code().unwrap_or(Code::Fail);
                // What is purged is so because of another record, or because librdkafka gave up.
                if state.refused.is_none() && !matches!(code, Code::PurgeQueue | Code::PurgeInflight) {
                    let what = format!("writing to {}:{}", message.topic(), message.partition());
                    state.refused = Some(explain_code(&self.voice, &what, code, &code.to_string()));
                }
                true
            }
        };
        drop(state);
        if wake {
            (self.shared.on_ack)();
        }
    }
}

impl Writing {
    pub fn new(
        settings: &KafkaSettings,
        voice: &Voice,
        topics: &[&str],
        on_ack: Box<dyn Fn() + Send + Sync>,
    ) -> Result<Writing, KafkaError> {
        let voice = voice.of_one();
        let shared = Arc::new(Shared { state: Mutex::default(), on_ack });
        let topics: Vec<String> = topics.iter().map(|topic| (*topic).to_owned()).collect();
        let deliveries = Deliveries { voice: voice.clone(), topics: topics.clone(), shared: shared.clone() };
        let config = properties::config(settings, Role::Writer);
        let producer = config.create_with_context(deliveries).map_err(|fault| unfit(settings, &fault))?;
        let (producer, patience) = (Some(producer), later());
        Ok(Writing { topics, producer, shared, voice, sent: 0, taken: 0, patience })
    }

    fn producer(&self) -> &ThreadedProducer<Deliveries> {
        self.producer.as_ref().expect("it is there until the drop")
    }

    fn what(&self) -> String {
        format!("writing to {}", self.topics.join(" and "))
    }

    /// Why nothing more is acknowledged.
    fn failed(&self) -> Result<(), KafkaError> {
        let state = self.shared.state();
        if let Some(error) = &state.refused {
            return Err(error.clone());
        }
        if !state.fatal {
            return Ok(());
        }
        let on_the_way = self.sent > state.delivered;
        drop(state);
        let Some((code, words)) = self.producer().client().fatal_error() else { return Ok(()) };
        // A record that was refused is behind this; its own delivery is on the way and says more.
        if code == Code::GaplessGuarantee && on_the_way {
            return Ok(());
        }
        Err(explain_code(&self.voice, &self.what(), code, &words))
    }
}

impl Writer for Writing {
    fn send(&mut self, record: &Outgoing, tag: u64) -> Result<Sent, KafkaError> {
        self.failed()?;
        if self.sent - self.taken >= IN_FLIGHT_MAX {
            return Ok(Sent::Full);
        }
        let topic = &self.topics[record.topic];
        let headers = OwnedHeaders::new_with_capacity(record.headers.len());
        let headers = record.headers.iter().fold(headers, |headers, (name, value)| {
            headers.insert(Header { key: name, value: Some(value.as_slice()) })
        });
        let mut outgoing = BaseRecord::<[u8], [u8], usize>::with_opaque_to(topic, tag as usize)
            .partition(number(topic, record.partition)?)
            .payload(&record.value)
            .timestamp(record.at.0)
            .headers(headers);
        outgoing.key = record.key.as_deref();
        match self.producer().send(outgoing).map_err(|(fault, _)| fault) {
            Ok(()) => {
                if self.in_flight() == 0 {
                    self.patience = later();
                }
                self.sent += 1;
                Ok(Sent::Queued)
            }
            Err(Fault::MessageProduction(Code::QueueFull)) => Ok(Sent::Full),
            Err(fault) => {
                let code = fault.rdkafka_error_code().unwrap_or(Code::Fail);
                let fatal = self.producer().client().fatal_error();
                let (code, words) = fatal.unwrap_or_else(|| (code, code.to_string()));
                let what = format!("writing to {topic}:{}", record.partition);
                let error = explain_code(&self.voice, &what, code, &words);
                Err(self.shared.state().refused.get_or_insert(error).clone())
            }
        }
    }

    #[expect(unsafe_code, reason = "rdkafka's own flush gives librdkafka no time to notice it")]
    fn hurry(&mut self, moment: Duration) {
        let moment = c_int::try_from(moment.as_millis()).expect("a short time");
        // SAFETY: the handle is alive as long as the producer, which `self` owns.
        let _ = unsafe { rd_kafka_flush(self.producer().client().native_ptr(), moment) };
    }

    fn acks(&mut self, into: &mut Vec<Ack>) -> Result<(), KafkaError> {
        let acks = std::mem::take(&mut self.shared.state().acks);
        if !acks.is_empty() {
            self.taken += acks.len() as u64;
            self.patience = later();
            self.voice.is_connected();
        }
        into.extend(acks);
        self.failed()?;
        if self.in_flight() > 0 && self.voice.is_cut_off() && until(self.patience).is_zero() {
            let fault = Fault::MessageProduction(Code::AllBrokersDown);
            return Err(explain(&self.voice, &self.what(), &fault));
        }
        Ok(())
    }

    fn in_flight(&self) -> usize {
        usize::try_from(self.sent - self.taken).expect("bounded")
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        self.shared.state().dropped = true;
        if let Some(producer) = self.producer.take() {
            producer.purge(PurgeConfig::default().queue().inflight());
            close(producer);
        }
    }
}
