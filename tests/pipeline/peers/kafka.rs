//! One Kafka node, broker and controller in one process: what lies on its disk outlives `kill -9`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::metadata::Metadata;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::process::Held;
use super::template::{copy, template};
use super::turn::Turn;
use crate::gate::free_port;
use crate::level::within;

/// How long a node may take until it serves: a Java machine and an election on two cores that others use too.
const START: Duration = Duration::from_secs(90);

/// How long one request may take.
const REQUEST: Duration = Duration::from_secs(15);

/// What every node is told, besides its ports and its directory. After `kill -9` a node is let in again when its former
/// self has been silent for a session, so that is short.
const PROPERTIES: &str = "\
process.roles=broker,controller
node.id=1
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
broker.session.timeout.ms=4000
broker.heartbeat.interval.ms=500
controller.quorum.election.timeout.ms=300
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
auto.create.topics.enable=false
group.initial.rebalance.delay.ms=0
";

/// A Java machine that is quick to start rather than quick in the long run.
pub(super) const FOR_A_TEST: &[&str] = &["-Xms128m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"];

/// The other way round.
const FOR_LOAD: &[&str] = &["-Xms256m", "-Xmx512m"];

/// Warnings, on standard output.
const LOGGING: &str = "\
rootLogger.level=WARN
rootLogger.appenderRef.console.ref=console
appender.console.type=Console
appender.console.name=console
appender.console.layout.type=PatternLayout
appender.console.layout.pattern=%d %p %c{1} %m%n
";

/// A node and its directory.
#[derive(Debug)]
pub struct Kafka {
    held: Option<Held>,
    home: PathBuf,
    port: u16,
    cluster: String,
    machine: &'static [&'static str],
    shared: bool,
    _turn: Option<Arc<Turn>>,
}

/// The node that all tests of this process share; started at the first call, ended with the process.
pub fn shared() -> &'static Kafka {
    static SHARED: OnceLock<Kafka> = OnceLock::new();
    SHARED.get_or_init(|| {
        let dir = tempfile::Builder::new().prefix("coupon-gate-kafka-").tempdir().unwrap().keep();
        Kafka::start_below(&dir, &[], FOR_A_TEST, None)
    })
}

impl Kafka {
    /// An empty node of the test's own below `dir`; waits until it serves.
    #[track_caller]
    pub fn start(dir: &Path) -> Kafka {
        Kafka::start_with(dir, &[])
    }

    /// The same with further lines for its `server.properties`.
    #[track_caller]
    pub fn start_with(dir: &Path, properties: &[&str]) -> Kafka {
        Kafka::start_below(dir, properties, FOR_A_TEST, Some(Turn::take()))
    }

    /// An empty node that is measured itself, or somebody beside it.
    #[track_caller]
    pub fn start_for_load(dir: &Path) -> Kafka {
        Kafka::start_below(dir, &[], FOR_LOAD, Some(Turn::take()))
    }

    /// Without a turn it is the shared one: its directory goes when the test process does.
    #[track_caller]
    pub(super) fn start_below(
        dir: &Path,
        properties: &[&str],
        machine: &'static [&'static str],
        turn: Option<Arc<Turn>>,
    ) -> Kafka {
        let home = dir.join("kafka");
        let shared = turn.is_none();
        let mut kafka = Kafka { held: None, home, port: 0, cluster: id(), machine, shared, _turn: turn };
        for _ in 0..5 {
            kafka.lay_out(properties);
            if kafka.launch() {
                return kafka;
            }
            fs::remove_dir_all(&kafka.home).unwrap();
        }
        panic!("each port that was free got taken before Kafka had it");
    }

    /// What `bootstrap.servers` has to say.
    pub fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Its cluster id.
    pub fn cluster(&self) -> &str {
        &self.cluster
    }

    /// `kill -9`, and waits until it is gone.
    pub fn kill(&mut self) {
        self.held.take().expect("it runs").kill();
    }

    /// Starts it again on the same port and data, killing it first if it runs; waits until it serves.
    #[track_caller]
    pub fn restart(&mut self) {
        self.held = None;
        assert!(self.launch(), "port {} was taken while Kafka was down", self.port);
    }

    /// SIGSTOP: connections stay, nothing is answered.
    pub fn freeze(&self) {
        self.held.as_ref().expect("it runs").freeze();
    }

    /// SIGCONT
    pub fn thaw(&self) {
        self.held.as_ref().expect("it runs").thaw();
    }

    /// Whether it serves: answers a request for metadata within `bound`, as itself, open for clients.
    pub fn answers(&self, bound: Duration) -> bool {
        let client = self.client();
        // Any other cluster is somebody else on our port.
        client.fetch_metadata(None, bound).is_ok_and(|metadata| !metadata.brokers().is_empty())
            && client.client().fetch_cluster_id(bound).as_ref() == Some(&self.cluster)
    }

    /// The names of its topics, without Kafka's own.
    pub fn topics(&self) -> Vec<String> {
        let metadata = self.metadata();
        let names = metadata.topics().iter().map(|topic| topic.name().to_owned());
        names.filter(|name| !name.starts_with("__")).collect()
    }

    /// Creates a topic and waits until each partition has a leader.
    #[track_caller]
    pub fn create_topic(&self, name: &str, partitions: usize) {
        self.create_topic_with(name, partitions, &[]);
    }

    /// The same with settings of the topic, such as `("cleanup.policy", "compact")`.
    #[track_caller]
    pub fn create_topic_with(&self, name: &str, partitions: usize, settings: &[(&str, &str)]) {
        let mut topic = NewTopic::new(name, partitions as i32, TopicReplication::Fixed(1));
        topic.config.extend_from_slice(settings);
        let results = wait(self.admin().create_topics([&topic], &options())).unwrap();
        assert_eq!(results, [Ok(name.to_owned())], "creating {name}");
        self.wait_for_leaders(name, partitions);
    }

    #[track_caller]
    fn wait_for_leaders(&self, name: &str, partitions: usize) {
        within(REQUEST, &format!("{name} has its leaders"), || {
            let metadata = self.metadata();
            let topic = metadata.topics().iter().find(|topic| topic.name() == name)?;
            let led = topic.partitions().iter().filter(|partition| partition.leader() == 1).count();
            (led == partitions).then_some(())
        });
    }

    /// Gives a topic more partitions: so many in all.
    #[track_caller]
    pub fn grow_topic(&self, name: &str, partitions: usize) {
        let results =
            wait(self.admin().create_partitions([&NewPartitions::new(name, partitions)], &options())).unwrap();
        assert_eq!(results, [Ok(name.to_owned())], "giving {name} {partitions} partitions");
        self.wait_for_leaders(name, partitions);
    }

    /// Deletes a topic and waits until it is gone.
    #[track_caller]
    pub fn delete_topic(&self, name: &str) {
        let results = wait(self.admin().delete_topics(&[name], &options())).unwrap();
        assert_eq!(results, [Ok(name.to_owned())], "deleting {name}");
        within(REQUEST, &format!("{name} is gone"), || {
            (!self.topics().iter().any(|topic| topic == name)).then_some(())
        });
    }

    /// Deletes the records of a partition below the offset `before`, as retention does.
    #[track_caller]
    pub fn delete_records(&self, topic: &str, partition: i32, before: i64) {
        let mut offsets = TopicPartitionList::new();
        offsets.add_partition_offset(topic, partition, Offset::Offset(before)).unwrap();
        let results = wait(self.admin().delete_records(&offsets, &options())).unwrap();
        for element in results.elements() {
            assert_eq!(element.error(), Ok(()), "deleting records of {topic}:{partition} below {before}");
            assert_eq!(element.offset(), Offset::Offset(before), "the low watermark of {topic}:{partition}");
        }
    }

    /// The low and the high watermark of a partition.
    #[track_caller]
    pub fn watermarks(&self, topic: &str, partition: i32) -> (i64, i64) {
        self.client().fetch_watermarks(topic, partition, REQUEST).unwrap()
    }

    /// What it said since its first start.
    pub fn said(&self) -> String {
        fs::read_to_string(self.home.join("said.txt")).unwrap_or_default()
    }

    /// What all clients of the tests are told.
    pub(super) fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.bootstrap()).set("broker.address.family", "v4");
        config
    }

    /// A consumer that is in no group.
    pub(super) fn client(&self) -> BaseConsumer {
        let mut config = self.config();
        config.set("group.id", "tests").set("enable.auto.commit", "false").set("enable.partition.eof", "true");
        config.create().unwrap()
    }

    #[track_caller]
    pub(super) fn metadata(&self) -> Metadata {
        self.client().fetch_metadata(None, REQUEST).unwrap()
    }

    fn admin(&self) -> AdminClient<DefaultClientContext> {
        self.config().create().unwrap()
    }

    /// An empty formatted directory with ids and ports of its own.
    fn lay_out(&mut self, properties: &[&str]) {
        fs::create_dir_all(&self.home).unwrap();
        let data = self.home.join("data");
        copy(&formatted(), &data);
        let ids = format!("version=1\nnode.id=1\ncluster.id={}\ndirectory.id={}\n", self.cluster, id());
        fs::write(data.join("meta.properties"), ids).unwrap();
        self.port = free_port();
        write_properties(&self.home, self.port, free_port(), properties);
    }

    /// Starts the process and waits until it serves; false when somebody took one of its ports.
    #[track_caller]
    fn launch(&mut self) -> bool {
        let before = self.said().len();
        let mut command = java(&self.home, self.machine);
        command.extend(["kafka.Kafka".to_owned(), path(&self.home.join("server.properties"))]);
        let folder = self.shared.then(|| self.home.parent().expect("it lies below a folder"));
        self.held = Some(Held::start(&command, &self.home.join("said.txt"), folder));
        // The client tries again by itself; a new one for each look would find nobody at home each time.
        let client = self.client();
        within(START, "Kafka serves", || {
            if self.held.as_ref().is_some_and(Held::has_ended) {
                let said = self.said().split_off(before);
                assert!(said.contains("Address already in use"), "Kafka ended instead of serving:\n{said}");
                self.held = None;
                return Some(false);
            }
            let metadata = client.fetch_metadata(None, Duration::from_millis(500)).ok()?;
            let cluster = client.client().fetch_cluster_id(Duration::from_millis(500));
            (!metadata.brokers().is_empty() && cluster.as_ref() == Some(&self.cluster)).then_some(true)
        })
    }
}

impl Drop for Kafka {
    fn drop(&mut self) {
        if self.held.take().is_some() && std::thread::panicking() {
            eprintln!("Kafka on port {} said:\n{}", self.port, self.said());
        }
    }
}

/// A formatted directory; its ids are replaced in each copy.
fn formatted() -> PathBuf {
    let libs = libs();
    let jar = fs::read_dir(&libs).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let version = jar.filter_map(|name| name.strip_prefix("kafka_")?.strip_suffix(".jar").map(str::to_owned)).next();
    let version = version.unwrap_or_else(|| panic!("there is no Kafka in {}", libs.display()));
    template(&format!("kafka-{version}"), |made| {
        let scratch = made.parent().expect("it lies below a folder");
        write_properties(scratch, 9092, 9093, &[&format!("log.dirs={}", path(made))]);
        let mut command = java(scratch, FOR_A_TEST);
        command.extend(["kafka.tools.StorageTool", "format", "-t", &id(), "-c"].map(str::to_owned));
        command.push(path(&scratch.join("server.properties")));
        let (program, rest) = command.split_first().expect("java");
        let end = Command::new(program).args(rest).output().unwrap();
        let said = String::from_utf8_lossy(&end.stderr) + String::from_utf8_lossy(&end.stdout);
        assert!(end.status.success(), "formatting a directory for Kafka: {said}");
    })
}

fn write_properties(home: &Path, port: u16, controller: u16, further: &[&str]) {
    let own = format!(
        "listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}\n\
         controller.quorum.voters=1@127.0.0.1:{controller}\n\
         log.dirs={}\n",
        path(&home.join("data"))
    );
    // Of two lines for one property, Java takes the last.
    fs::write(home.join("server.properties"), format!("{PROPERTIES}{own}{}\n", further.join("\n"))).unwrap();
    fs::write(home.join("log4j2.properties"), LOGGING).unwrap();
}

/// Java with Kafka's jars.
fn java(home: &Path, machine: &[&str]) -> Vec<String> {
    let logging = format!("-Dlog4j2.configurationFile={}", path(&home.join("log4j2.properties")));
    let jars = format!("{}/*", path(&libs()));
    [&["java"], machine, &[&logging, "-cp", &jars]].concat().into_iter().map(str::to_owned).collect()
}

/// The folder of Kafka's jars.
pub fn libs() -> PathBuf {
    let kept = || Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cache/kafka/libs");
    let libs = std::env::var_os("KAFKA_LIBS").map_or_else(kept, PathBuf::from);
    assert!(libs.is_dir(), "{} is missing: `bash tests/run` fetches Kafka, or set KAFKA_LIBS", libs.display());
    libs
}

/// A random id as Kafka writes them: 16 bytes in base64.
fn id() -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let mut bytes = [0; 21];
    getrandom::fill(&mut bytes).unwrap();
    let letters = bytes.map(|byte| char::from(LETTERS[usize::from(byte) % LETTERS.len()]));
    // 128 bits fill 21 letters and two bits of the last.
    letters.iter().chain(&['A']).collect()
}

fn path(path: &Path) -> String {
    path.to_str().expect("paths of tests are plain").to_owned()
}

fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(REQUEST)).operation_timeout(Some(REQUEST))
}

fn wait<F: Future>(answer: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(answer)
}
