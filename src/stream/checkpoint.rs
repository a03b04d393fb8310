//! What the stream remembers of its topics in `DATA/stream.json`: what was acknowledged, and where. A hint: without it
//! the tails of the topics are searched; it is never newer than the world.
//!
//! ```text
//! { v, log, cluster, topic, cancel_topic, key, partitions, published, clean, check,
//!   acked: [ { seq, high, anchor: { offset, seq, acked } } ], returned: [ ... ] }
//! acked, returned   by partition, of topic and of cancel_topic, which may be null
//! check   SipHash-1-3 of all the rest
//! anchor  the last record whose offset is known, and what was acknowledged when it was
//! ```

use std::hash::Hasher;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Value as Json, json};
use siphasher::sip::SipHasher13;

use crate::grant::{Kind, Lane};
use crate::ids::{LogId, Lsn};
use crate::journal::Disk;
use crate::wire::kafka::Key;

const VERSION: u64 = 3;

/// How far a topic was filled from a journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Checkpoint {
    /// Which journal.
    pub log: LogId,
    /// Which cluster.
    pub cluster: String,
    /// Which topic of grants.
    pub topic: String,
    /// Which topic of returns, if there was one.
    pub cancel_topic: Option<String>,
    /// How entries were dealt.
    pub rule: Rule,
    /// Every entry up to here was acknowledged.
    pub published: Lsn,
    /// Nothing was on its way.
    pub clean: bool,
    /// Of the grants, by partition.
    pub acked: Vec<Remembered>,
    /// Of the returns, by partition.
    pub returned: Vec<Remembered>,
}

/// How entries are dealt to partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    /// By what.
    pub key: Key,
    /// To how many.
    pub partitions: u32,
}

/// What is remembered of one partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Remembered {
    /// The highest `seq` acknowledged; `ZERO` is none.
    pub acked: Lsn,
    /// Where the partition ended when it was looked at last: what was sent since is not before that.
    pub high: u64,
    /// A record that must still be where it was.
    pub anchor: Option<Anchor>,
}

/// A record of ours that was acknowledged with its offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Anchor {
    /// Where it is.
    pub offset: u64,
    /// Its `seq`.
    pub seq: Lsn,
    /// Everything up to here is at or before it: more than its own `seq` where it was sent a second time.
    pub acked: Lsn,
}

impl Checkpoint {
    /// What is remembered of a lane of its topics; nothing of a partition that they did not have.
    pub(super) fn of(&self, lane: Lane) -> Remembered {
        let partitions = match lane.kind() {
            Kind::Grant => &self.acked,
            Kind::Return => &self.returned,
        };
        partitions.get(lane.partition() as usize).copied().unwrap_or_default()
    }

    fn json(&self) -> Json {
        let partition = |partition: &Remembered| {
            let anchor = partition
                .anchor
                .map(|anchor| json!({"offset": anchor.offset, "seq": anchor.seq.get(), "acked": anchor.acked.get()}));
            json!({"seq": partition.acked.get(), "high": partition.high, "anchor": anchor})
        };
        json!({
            "v": VERSION,
            "log": self.log.to_string(),
            "cluster": self.cluster,
            "topic": self.topic,
            "cancel_topic": self.cancel_topic,
            "key": self.rule.key.word(),
            "partitions": self.rule.partitions,
            "published": self.published.get(),
            "clean": self.clean,
            "acked": self.acked.iter().map(partition).collect::<Vec<_>>(),
            "returned": self.returned.iter().map(partition).collect::<Vec<_>>(),
        })
    }

    fn encode(&self) -> Vec<u8> {
        let mut json = self.json();
        json["check"] = check(&json).into();
        let mut text = serde_json::to_vec_pretty(&json).expect("an object of numbers and texts is JSON");
        text.push(b'\n');
        text
    }

    /// `None` where it is not what `encode` wrote.
    fn decode(bytes: &[u8]) -> Option<Checkpoint> {
        let json: Json = serde_json::from_slice(bytes).ok()?;
        let lsn = |json: &Json| json.as_u64().map(Lsn::new);
        let partition = |json: &Json| {
            let at = &json["anchor"];
            let anchor =
                || Some(Anchor { offset: at["offset"].as_u64()?, seq: lsn(&at["seq"])?, acked: lsn(&at["acked"])? });
            let anchor = if at.is_null() { None } else { Some(anchor()?) };
            Some(Remembered { acked: lsn(&json["seq"])?, high: json["high"].as_u64()?, anchor })
        };
        let key = [Key::Campaign, Key::User, Key::None].into_iter().find(|key| json["key"] == key.word())?;
        let partitions = |json: &Json| json.as_array()?.iter().map(partition).collect::<Option<Vec<_>>>();
        let read = Checkpoint {
            log: json["log"].as_str()?.parse().ok()?,
            cluster: json["cluster"].as_str()?.to_owned(),
            topic: json["topic"].as_str()?.to_owned(),
            cancel_topic: json["cancel_topic"].as_str().map(str::to_owned),
            rule: Rule { key, partitions: u32::try_from(json["partitions"].as_u64()?).ok()? },
            published: lsn(&json["published"])?,
            clean: json["clean"].as_bool()?,
            acked: partitions(&json["acked"])?,
            returned: partitions(&json["returned"])?,
        };
        (json["v"] == VERSION && json["check"] == check(&read.json()) && read.rule.partitions > 0).then_some(read)
    }
}

fn check(json: &Json) -> String {
    let mut hasher = SipHasher13::new_with_keys(0, 0);
    hasher.write(json.to_string().as_bytes());
    format!("{:016x}", hasher.finish())
}

/// Where the checkpoint of the data directory `data` is.
pub(super) fn path(data: &Path) -> PathBuf {
    data.join("stream.json")
}

/// Writes `checkpoint` so that a power cut leaves this one or the one before it.
pub(super) fn save(disk: &dyn Disk, data: &Path, checkpoint: &Checkpoint) -> io::Result<()> {
    let beside = data.join("stream.json.new");
    let file = disk.create(&beside)?;
    file.write_at(&checkpoint.encode(), 0)?;
    file.sync_data()?;
    disk.rename(&beside, &path(data))?;
    disk.sync_dir(data)
}

/// The checkpoint of the journal of `log` in `data`. One that is missing, damaged or another journal's is none.
pub(super) fn load(disk: &dyn Disk, data: &Path, log: LogId) -> Option<Checkpoint> {
    let path = path(data);
    let read = disk.open(&path).and_then(|file| {
        let mut bytes = vec![0; usize::try_from(file.len()?).map_err(io::Error::other)?];
        let length = file.read_at(&mut bytes, 0)?;
        bytes.truncate(length);
        Ok(bytes)
    });
    let lost = "what was published is searched in the topic itself";
    match read.map(|bytes| Checkpoint::decode(&bytes)) {
        Ok(Some(checkpoint)) if checkpoint.log == log => Some(checkpoint),
        Ok(Some(other)) => {
            tracing::warn!("{} is of another journal, {}; {lost}", path.display(), other.log);
            None
        }
        Ok(None) => {
            tracing::warn!("{} is damaged, or of an older version; {lost}", path.display());
            None
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => {
            tracing::warn!("{} cannot be read: {error}; {lost}", path.display());
            None
        }
    }
}

/// Up to where the entries of the journal of `log` in the data directory `data` are in Kafka whatever happens to this
/// process: what a segment must be at or below before it may be reduced or removed.
pub fn surely_published(disk: &dyn Disk, data: &Path, log: LogId) -> Lsn {
    load(disk, data, log).map_or(Lsn::ZERO, |checkpoint| checkpoint.published)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::memory::MemoryDisk;

    const LOG: LogId = LogId([7; 16]);

    fn data() -> &'static Path {
        Path::new("/data")
    }

    fn checkpoint() -> Checkpoint {
        let anchor = Anchor { offset: 3, seq: Lsn::new(8), acked: Lsn::new(9) };
        Checkpoint {
            log: LOG,
            cluster: "c-1".into(),
            topic: "coupon_create".into(),
            cancel_topic: Some("coupon_cancel".into()),
            rule: Rule { key: Key::User, partitions: 2 },
            published: Lsn::new(12),
            clean: true,
            acked: vec![Remembered { acked: Lsn::new(11), high: 2, anchor: Some(anchor) }, Remembered::default()],
            returned: vec![Remembered { acked: Lsn::new(10), high: 1, anchor: None }, Remembered::default()],
        }
    }

    fn load_bytes(bytes: &[u8]) -> Option<Checkpoint> {
        let disk = MemoryDisk::of(&[(path(data()), bytes.to_vec())].into());
        load(&disk, data(), LOG)
    }

    /// If this layout changes, raise VERSION: an older release must take the file for damaged.
    #[test]
    fn the_file_is_this() {
        let text = r#"{
  "acked": [
    {
      "anchor": {
        "acked": 9,
        "offset": 3,
        "seq": 8
      },
      "high": 2,
      "seq": 11
    },
    {
      "anchor": null,
      "high": 0,
      "seq": 0
    }
  ],
  "cancel_topic": "coupon_cancel",
  "check": "CHECK",
  "clean": true,
  "cluster": "c-1",
  "key": "user",
  "log": "07070707070707070707070707070707",
  "partitions": 2,
  "published": 12,
  "returned": [
    {
      "anchor": null,
      "high": 1,
      "seq": 10
    },
    {
      "anchor": null,
      "high": 0,
      "seq": 0
    }
  ],
  "topic": "coupon_create",
  "v": 3
}
"#;
        let written = String::from_utf8(checkpoint().encode()).unwrap();
        assert_eq!(written, text.replace("CHECK", &check(&checkpoint().json())));
        assert_eq!(load_bytes(written.as_bytes()), Some(checkpoint()));
        let without = Checkpoint { cancel_topic: None, returned: Vec::new(), ..checkpoint() };
        assert_eq!(load_bytes(&without.encode()), Some(without));
    }

    #[test]
    fn a_power_cut_leaves_the_old_one_or_the_new_one() {
        for cut in 0..5 {
            for draw in [false, true] {
                let disk = MemoryDisk::default();
                save(&disk, data(), &checkpoint()).unwrap();
                disk.faults(|faults| faults.changes_left = Some(cut));
                let newer = Checkpoint { published: Lsn::new(99), ..checkpoint() };
                let saved = save(&disk, data(), &newer);
                let found = load(&disk.after_power_cut(|| draw), data(), LOG).expect("one of them");
                assert!(found == checkpoint() && saved.is_err() || found == newer, "{cut} {draw}: {found:?}");
                if saved.is_ok() {
                    assert_eq!(surely_published(&disk.after_power_cut(|| draw), data(), LOG), Lsn::new(99));
                }
            }
        }
    }

    #[test]
    fn a_missing_damaged_or_foreign_file_is_a_hint_lost() {
        let whole = checkpoint().encode();
        assert_eq!(load(&MemoryDisk::default(), data(), LOG), None);
        for length in 0..whole.len() - 1 {
            assert_eq!(load_bytes(&whole[..length]), None, "{length}");
        }
        for (was, is) in [
            ("\"published\": 12", "\"published\": 13"),
            ("\"partitions\": 2", "\"partitions\": 8"),
            ("\"user\"", "\"none\""),
            ("\"coupon_cancel\"", "null"),
            ("\"v\": 3", "\"v\": 2"),
            ("\"seq\": 10", "\"seq\": 11"),
        ] {
            let changed = String::from_utf8(whole.clone()).unwrap().replace(was, is);
            assert_eq!(load_bytes(changed.as_bytes()), None);
        }
        let disk = MemoryDisk::of(&[(path(data()), whole)].into());
        assert_eq!(load(&disk, data(), LogId([8; 16])), None);
        assert_eq!(surely_published(&disk, data(), LogId([8; 16])), Lsn::ZERO);
    }
}
