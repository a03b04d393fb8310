//! What a check says: what is there, what is damaged, what each remedy would lose.

use std::fmt;
use std::path::{Path, PathBuf};

use serde_json::{Value as Json, json};

use super::Seen;
use super::losses::Losses;
use crate::core::Core;
use crate::exit::Exit;
use crate::ids::{LogId, Lsn};
use crate::journal::{Aside, FileFacts, FileKind, Gap, Place, TornTail};

/// The result of a check.
#[derive(Debug)]
pub struct Report {
    data: PathBuf,
    log: Option<LogId>,
    files: Vec<FileFacts>,
    /// The last position that can be relied upon.
    last: Lsn,
    campaigns: Vec<CampaignRow>,
    /// Database and keys in it.
    keys: Vec<(u8, usize)>,
    torn: Option<TornTail>,
    held: Option<String>,
    damage: Option<DamageFound>,
    aside: Vec<Aside>,
}

#[derive(Debug)]
struct CampaignRow {
    name: String,
    limit: u32,
    granted: u32,
    dropped: bool,
}

#[derive(Debug)]
struct DamageFound {
    /// What is wrong, with its place.
    what: String,
    /// Where to cut.
    place: Place,
    gaps: Vec<Gap>,
    /// The last position behind the damage that is known of.
    end: Lsn,
    losses: Losses,
}

impl Report {
    pub(super) fn new(data: &Path, seen: Seen, held: Option<String>) -> Report {
        let Seen { inspection, core, breach, place, losses } = seen;
        let torn = inspection.torn;
        let (mut gaps, mut end, mut what) = (Vec::new(), inspection.last, None);
        let mut cut = place;
        if let Some(damage) = inspection.damage {
            (gaps, end) = (damage.gaps, damage.end);
            what = Some(damage.error.to_string());
            cut = cut.or(Some(damage.place));
        }
        if let Some((lsn, broken)) = breach {
            let place =
                cut.as_ref().map_or_else(String::new, |place| format!("{}:{} ", place.path.display(), place.offset));
            let breach = format!(
                "journal: {place}(lsn {lsn}) breaks a promise: {broken}; the checksum is good, so this was written so: keep a \
                 copy of the data directory and report it"
            );
            what = Some(match what {
                Some(more) => format!("{breach}\n{more}"),
                None => breach,
            });
        }
        let damage = what.zip(cut).map(|(what, place)| DamageFound { what, place, gaps, end, losses });
        let last = damage.as_ref().map_or(inspection.last, |damage| damage.place.lsn.prev());
        Report {
            data: data.to_owned(),
            log: inspection.log,
            files: inspection.files,
            last,
            campaigns: rows(&core),
            keys: keys(&core),
            torn,
            held,
            damage,
            aside: inspection.aside,
        }
    }

    /// How the process ends with it.
    pub fn exit(&self) -> Exit {
        if self.damage.is_some() || !self.aside.is_empty() {
            Exit::Difference
        } else if self.is_no_journal() {
            Exit::Surroundings
        } else {
            Exit::Done
        }
    }

    /// Nothing of a journal is there: another directory was meant, or this one was emptied.
    pub fn is_no_journal(&self) -> bool {
        let is_ours = |file: &FileFacts| !matches!(file.kind, FileKind::Unfinished | FileKind::Foreign);
        self.log.is_none() && self.damage.is_none() && self.aside.is_empty() && !self.files.iter().any(is_ours)
    }

    /// In a word.
    fn verdict(&self) -> &'static str {
        if self.is_no_journal() {
            "no journal"
        } else if self.exit() == Exit::Done {
            "sound"
        } else {
            "damaged"
        }
    }

    /// The last position that can be relied upon.
    pub fn last(&self) -> Lsn {
        self.last
    }

    /// Where the journal would be cut by a repair, if it needs one.
    pub fn cut(&self) -> Option<&Place> {
        self.damage.as_ref().map(|damage| &damage.place)
    }

    /// What a start gets by without.
    pub fn aside(&self) -> &[Aside] {
        &self.aside
    }

    /// One object, for programs.
    pub fn json(&self) -> String {
        let campaigns = self.campaigns.iter().map(
            |row| json!({"campaign": row.name, "limit": row.limit, "granted": row.granted, "dropped": row.dropped}),
        );
        let torn = self.torn.as_ref().map(|torn| {
            json!({"file": shown(&torn.path), "offset": torn.offset, "lsn": torn.lsn.get(), "bytes": torn.bytes})
        });
        let object = json!({
            "data": shown(&self.data),
            "log": self.log.map(|log| log.to_string()),
            "verdict": self.verdict(),
            "last_lsn": self.last.get(),
            "files": self.files.iter().map(file_json).collect::<Vec<_>>(),
            "campaigns": campaigns.collect::<Vec<_>>(),
            "keys": self.keys.iter().map(|(db, keys)| json!({"db": db, "keys": keys})).collect::<Vec<_>>(),
            "torn": torn,
            "held": self.held,
            "damage": self.damage.as_ref().map(DamageFound::json),
            "aside": self.aside.iter().map(aside_json).collect::<Vec<_>>(),
        });
        object.to_string()
    }
}

fn rows(core: &Core) -> Vec<CampaignRow> {
    let rows = core.campaigns().map(|facts| CampaignRow {
        name: String::from_utf8_lossy(facts.name).into_owned(),
        limit: facts.terms.limit,
        granted: facts.granted,
        dropped: facts.dropped,
    });
    rows.collect()
}

/// Keys by database; campaigns show as keys of the first one, and stand in rows of their own.
fn keys(core: &Core) -> Vec<(u8, usize)> {
    let campaigns = core.campaigns().filter(|facts| !facts.dropped).count();
    let plain = core.keyspaces().map(|(db, keys, _)| (db.0, if db.0 == 0 { keys - campaigns } else { keys }));
    plain.filter(|(_, keys)| *keys > 0).collect()
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

fn kind(kind: FileKind) -> &'static str {
    match kind {
        FileKind::Snapshot => "snapshot",
        FileKind::History => "history",
        FileKind::Damaged => "damaged",
        FileKind::Covered => "covered",
        FileKind::Sound => "segment",
        FileKind::Doubtful => "doubtful",
        FileKind::Spare => "spare",
        FileKind::Unfinished => "unfinished",
        FileKind::Foreign => "foreign",
    }
}

fn aside_json(aside: &Aside) -> Json {
    let remedies = [
        json!({"remedy": "restore", "file": shown(aside.wanted())}),
        json!({"remedy": "forget", "upto_segment": aside.upto}),
    ];
    json!({"file": shown(&aside.path), "what": aside.error.to_string(), "remedies": remedies})
}

fn file_json(file: &FileFacts) -> Json {
    json!({
        "file": shown(&file.path),
        "kind": kind(file.kind),
        "bytes": file.bytes,
        "first_lsn": file.first.get(),
        "last_lsn": file.last.get(),
    })
}

impl DamageFound {
    fn json(&self) -> Json {
        let gaps = self.gaps.iter().map(|gap| {
            json!({
                "file": shown(&gap.path),
                "offset": gap.offset,
                "bytes": gap.bytes,
                "first_lsn": gap.first.get(),
                "last_lsn": gap.last.map(Lsn::get),
            })
        });
        let cut = json!({
            "remedy": "cut",
            "file": shown(&self.place.path),
            "offset": self.place.offset,
            "lsn": self.place.lsn.get(),
            "last_lsn": self.end.get(),
            "loses": self.losses.json(),
        });
        json!({
            "what": self.what,
            "unreadable": gaps.collect::<Vec<_>>(),
            "remedies": [{"remedy": "restore", "file": shown(&self.place.path)}, cut],
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.log {
            Some(log) => writeln!(f, "{}: journal {log}, lsn 1 to {}", self.data.display(), self.last)?,
            None if self.is_no_journal() => writeln!(f, "{}: no journal", self.data.display())?,
            None => writeln!(f, "{}: a journal that was never begun", self.data.display())?,
        }
        for file in &self.files {
            write!(f, "  {:<10} {} {} bytes", kind(file.kind), file.path.display(), file.bytes)?;
            match file.first {
                Lsn::ZERO => writeln!(f)?,
                first => writeln!(f, ", lsn {first} to {}", file.last)?,
            }
        }
        for row in &self.campaigns {
            let dropped = if row.dropped { ", dropped" } else { "" };
            writeln!(f, "  campaign {}: {} of {} seats granted{dropped}", row.name, row.granted, row.limit)?;
        }
        for (db, keys) in &self.keys {
            writeln!(f, "  db {db}: {keys} keys")?;
        }
        if let Some(reason) = &self.held {
            writeln!(f, "claims are held back: {reason}")?;
        }
        if let Some(torn) = &self.torn {
            writeln!(
                f,
                "torn: {} bytes at {}:{} (lsn {} and after) are an unfinished write that nothing was answered from; the next \
                 start cuts them",
                torn.bytes,
                torn.path.display(),
                torn.offset,
                torn.lsn
            )?;
        }
        for aside in &self.aside {
            writeln!(f, "DAMAGED, and a start gets by without it: {}", aside.error)?;
            writeln!(f, "  restore {} from a copy of the data directory: loses nothing", aside.wanted().display())?;
            match aside.upto {
                None => writeln!(
                    f,
                    "  go on without that snapshot (--repair removes it): loses nothing while the other one and the segments \
                     behind it are sound"
                )?,
                Some(upto) => writeln!(
                    f,
                    "  go on from the newest snapshot (--repair removes history and segments up to {upto}): every seat and key \
                     stays; the story before it is lost, and grants that neither Kafka nor the ledger has are sent no more"
                )?,
            }
        }
        match &self.damage {
            None if !self.aside.is_empty() => writeln!(f, "the state is whole"),
            None if self.is_no_journal() => Ok(()),
            None => writeln!(f, "sound"),
            Some(damage) => damage.fmt(f, &self.data),
        }
    }
}

impl DamageFound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>, data: &Path) -> fmt::Result {
        writeln!(f, "DAMAGED: {}", self.what)?;
        for gap in &self.gaps {
            write!(f, "  cannot be read: {}:{}, {} bytes", gap.path.display(), gap.offset, gap.bytes)?;
            match gap.last {
                Some(last) if last < gap.first => writeln!(f, ", no position is lost with them")?,
                Some(last) => writeln!(f, ", lsn {} to {last}", gap.first)?,
                None => writeln!(f, ", lsn {} and maybe more", gap.first)?,
            }
        }
        let (lsn, data) = (self.place.lsn, data.display());
        writeln!(f, "remedies")?;
        writeln!(f, "  restore {} from a copy of the data directory: loses nothing", self.place.path.display())?;
        writeln!(f, "  cut the journal before lsn {lsn} (coupon-gate check {data} --repair): loses")?;
        if self.losses.is_empty() {
            writeln!(f, "    nothing that can be read")?;
        } else {
            let mut text = String::new();
            self.losses.text("    ", &mut text);
            f.write_str(&text)?;
        }
        if !self.gaps.is_empty() {
            writeln!(f, "    what cannot be read")?;
        }
        writeln!(
            f,
            "  what Kafka or the ledger holds of that comes back with coupon-gate catch-up, after either remedy"
        )
    }
}
