//! Snapshot files: the state behind a whole number of segments, as bytes and back.
//!
//! Little-endian. If this layout changes, bump FORMAT and add a golden file.
//!
//! ```text
//! file    | head | block | block | ... | foot |          DATA/snapshots/NNNNNNNN.snap: all up to segment N is in it
//! head    "CGSNAPS1" format u16  log 16  segment u64  next u64  chain u32  term u64  owner 16  removed u64
//!         newest_at i64  made_at i64  crc u32
//! block   len u32  pieces u32  crc u32  pieces of len bytes
//! foot    0 u32  0 u32  crc u32  pieces u64  seats u64  crc u32
//! piece   kind u8, then by kind:
//!   1 campaign  id u32  limit u32  flags u8  created i64  open i64  close i64  per user u16?  hold u32?
//!               created_lsn u64  lsn u64  name
//!   2 dropped   as 1, before the name: granted u32  first_grant i64  last_grant i64  last_lsn u64
//!   3 gone      id u32
//!   4 seat      user i64  at u48  lsn u48          5 seat   at u48  lsn u48  user
//!   7 altered   limit u32  flags u8  open i64  close i64  per user u16?  at i64  lsn u64    7 to 18 since format 2
//!   8 seat      as 4, then nth u16  ID len u8  ID           9 seat   as 5, before the user: the same
//!  10 free      seats u32
//!  13 returns     first_grant i64  last_grant i64  last_lsn u64  last_return u64          before the seats
//!  14 known as    seq u64                                                                    before its seat
//!  15 seeds       seats u32                                                                  before the seats
//!  18 purged      as 2                                                                       its name is not kept
//!  16 purged      last_return u64  name                                                  before all campaigns
//!  17 began after last_return u64                                                            before the seats
//!  11 held      user i64  at u48  lsn u48  until i64  nth u16  ID len u8  ID        12 held   the same, user last
//!   6 key       db u8  expires i64  lsn u64  key  value          names, users, keys, values: len u32, bytes
//! ```
//!
//! Each checksum is seeded with the one before it, so that blocks stand where they were written, all of them.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::bytes::{Cut, put_i64, put_short, put_sized, put_u16, put_u32, put_u48, put_u64};
use super::record::{
    alterable_of, more_of, nth_and_request, put_alterable, put_hold, put_per_user, terms_flags, terms_of,
};
use super::{Disk, DiskFile, JournalError, segment};
use crate::core::{Contradiction, Core, Marks, Piece, Restoring, RetiredSeats};
use crate::ids::{CampaignId, Db, LogId, Lsn, Millis, User};
use crate::sabotage::{Sabotage, on};

const FORMAT: u16 = 2;
/// Has no altered campaigns.
const FORMAT_OLDEST: u16 = 1;
const MAGIC: &[u8; 8] = b"CGSNAPS1";
pub(super) const HEAD_BYTES: usize = 98;
pub(super) const BLOCK_HEAD_BYTES: usize = 12;
pub(super) const FOOT_BYTES: usize = BLOCK_HEAD_BYTES + 20;
/// What waits in the disk's queue stays short, for the batches of the journal's own thread.
const SYNC_BYTES: u64 = 1 << 20;
/// A block is closed when it is this long; a longer one holds a single piece.
const BLOCK_BYTES: usize = 64 << 10;
/// The longest piece there can be: a key and a value, both as long as a request.
const BLOCK_BYTES_MAX: usize = crate::limits::REQUEST_BYTES_MAX + BLOCK_BYTES;

const CAMPAIGN: u8 = 1;
const RETIRED: u8 = 2;
const GONE: u8 = 3;
const SEAT_INT: u8 = 4;
const SEAT_ANY: u8 = 5;
const KEY: u8 = 6;
const ALTERED: u8 = 7;
const SEAT_MORE_INT: u8 = 8;
const SEAT_MORE_ANY: u8 = 9;
const FREE_SEATS: u8 = 10;
const HELD_INT: u8 = 11;
const HELD_ANY: u8 = 12;
const RETURNS: u8 = 13;
const KNOWN_AS: u8 = 14;
const SEEDS: u8 = 15;
const PURGED: u8 = 16;
const BEGAN_AFTER: u8 = 17;
const PURGED_CAMPAIGN: u8 = 18;

/// What a snapshot covers: where reading the journal goes on behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Covered {
    /// The journal.
    pub log: LogId,
    /// The last segment that is in it, whole.
    pub segment: u64,
    /// The first position that is not in it.
    pub next: Lsn,
    /// The chain value that the next segment names.
    pub(super) chain: u32,
    /// Who wrote the last segment.
    pub(super) term: u64,
    pub(super) owner: [u8; 16],
}

/// What lies in a snapshot, in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SnapshotSize {
    /// Bytes of the file.
    pub bytes: u64,
    /// Pieces of the state.
    pub pieces: u64,
    /// How many of them are seats.
    pub seats: u64,
}

/// Where snapshots lie beside the segments in `dir`.
pub(super) fn directory(dir: &Path) -> PathBuf {
    dir.with_file_name("snapshots")
}

/// The snapshot up to segment `number`.
pub(super) fn path(dir: &Path, number: u64) -> PathBuf {
    directory(dir).join(format!("{number:08}.snap"))
}

/// The snapshots that are there beside the segments in `dir`, by the last segment they cover, oldest first.
pub(super) fn list(disk: &dyn Disk, dir: &Path) -> Result<Vec<u64>, JournalError> {
    segment::numbers(disk, &directory(dir), ".snap")
}

/// Writes the state of `core` as the snapshot that `covered` tells of: under another name first, synced, then renamed.
/// `pace` is told of every piece of bytes that was written, and may take its time.
pub(super) fn write(
    disk: &dyn Disk,
    dir: &Path,
    covered: &Covered,
    made_at: Millis,
    core: &Core,
    pace: &mut dyn FnMut(u64) -> Result<(), JournalError>,
) -> Result<SnapshotSize, JournalError> {
    let (whole, here) = (path(dir, covered.segment), directory(dir));
    let part = whole.with_extension("tmp");
    super::make_dir(disk, &here)?;
    let file = disk.create(&part).map_err(|error| JournalError::io("making", &part, &error))?;
    let size = fill(&*file, &part, covered, made_at, core, pace).inspect_err(|_| {
        // What cannot be removed either is removed by the next start.
        let _ = disk.remove(&part);
    })?;
    disk.rename(&part, &whole).map_err(|error| JournalError::io("renaming", &part, &error))?;
    disk.sync_dir(&here).map_err(|error| JournalError::io("syncing", &here, &error))?;
    Ok(size)
}

fn fill(
    file: &dyn DiskFile,
    path: &Path,
    covered: &Covered,
    made_at: Millis,
    core: &Core,
    pace: &mut dyn FnMut(u64) -> Result<(), JournalError>,
) -> Result<SnapshotSize, JournalError> {
    let marks = core.marks();
    assert!(marks.applied.next() == covered.next, "a snapshot is the state behind its last segment");
    let head = head(covered, &marks, made_at);
    let (block, size) = (Vec::new(), SnapshotSize::default());
    let mut pen = Pen { file, path, block, pieces: 0, end: 0, synced: 0, crc: 0, size, pace };
    pen.put(&head)?;
    pen.crc = crc32c::crc32c(&head);
    core.pieces(&mut |piece| pen.piece(&piece))?;
    pen.foot()?;
    file.sync_data().map_err(|error| JournalError::io("syncing", path, &error))?;
    Ok(SnapshotSize { bytes: pen.end, ..pen.size })
}

fn head(covered: &Covered, marks: &Marks, made_at: Millis) -> Vec<u8> {
    let mut head = Vec::with_capacity(HEAD_BYTES);
    head.extend_from_slice(MAGIC);
    head.extend_from_slice(&FORMAT.to_le_bytes());
    head.extend_from_slice(&covered.log.0);
    put_u64(&mut head, covered.segment);
    put_u64(&mut head, covered.next.get());
    put_u32(&mut head, covered.chain);
    put_u64(&mut head, covered.term);
    head.extend_from_slice(&covered.owner);
    put_u64(&mut head, marks.removed.get());
    put_i64(&mut head, marks.newest_at.0);
    put_i64(&mut head, made_at.0);
    let crc = crc32c::crc32c(&head);
    put_u32(&mut head, crc);
    head
}

/// Writes pieces in blocks.
struct Pen<'a> {
    file: &'a dyn DiskFile,
    path: &'a Path,
    block: Vec<u8>,
    pieces: u32,
    end: u64,
    synced: u64,
    crc: u32,
    size: SnapshotSize,
    pace: &'a mut dyn FnMut(u64) -> Result<(), JournalError>,
}

impl Pen<'_> {
    fn piece(&mut self, piece: &Piece<'_>) -> Result<(), JournalError> {
        if matches!(piece, Piece::Altered { .. }) && on(Sabotage::ForgetAltered)
            || matches!(piece, Piece::Returns { .. }) && on(Sabotage::ForgetReturns)
            || matches!(piece, Piece::Purged { .. } | Piece::BeganAfter(_)) && on(Sabotage::ForgetPurged)
            || matches!(piece, Piece::Seeds(_)) && on(Sabotage::ForgetSeeds)
        {
            return Ok(());
        }
        if let Piece::Seat { user, nth, request, at, lsn, until } = *piece
            && (on(Sabotage::ForgetRequests) || on(Sabotage::ForgetHolds))
        {
            let request = if on(Sabotage::ForgetRequests) { b"" } else { request };
            let until = until.filter(|_| !on(Sabotage::ForgetHolds));
            encode(&Piece::Seat { user, nth, request, at, lsn, until }, &mut self.block);
        } else {
            encode(piece, &mut self.block);
        }
        self.pieces += 1;
        self.size.pieces += 1;
        self.size.seats += u64::from(matches!(piece, Piece::Seat { .. }));
        if self.block.len() >= BLOCK_BYTES { self.close() } else { Ok(()) }
    }

    fn close(&mut self) -> Result<(), JournalError> {
        if self.pieces == 0 {
            return Ok(());
        }
        let block = std::mem::take(&mut self.block);
        let len = u32::try_from(block.len()).expect("a block is a piece of bounded length, or short");
        let head = block_head(&block, len, self.pieces, self.crc);
        self.crc = crc32c::crc32c_append(self.crc, &head[..8]);
        self.crc = crc32c::crc32c_append(self.crc, &block);
        self.put(&head)?;
        self.put(&block)?;
        if self.end >= self.synced + SYNC_BYTES {
            self.synced = self.end;
            self.file.sync_data().map_err(|error| JournalError::io("syncing", self.path, &error))?;
        }
        (self.pace)(u64::from(len))?;
        self.block = block;
        self.block.clear();
        self.pieces = 0;
        Ok(())
    }

    fn foot(&mut self) -> Result<(), JournalError> {
        self.close()?;
        let mut foot = block_head(&[], 0, 0, self.crc).to_vec();
        put_u64(&mut foot, self.size.pieces);
        put_u64(&mut foot, self.size.seats);
        let crc = crc32c::crc32c_append(self.crc, &foot);
        put_u32(&mut foot, crc);
        self.put(&foot)
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), JournalError> {
        self.file.write_at(bytes, self.end).map_err(|error| JournalError::io("writing", self.path, &error))?;
        self.end += bytes.len() as u64;
        Ok(())
    }
}

/// The head of a block: its length, its pieces and the checksum of both and the block, seeded with `seed`.
fn block_head(block: &[u8], len: u32, pieces: u32, seed: u32) -> [u8; BLOCK_HEAD_BYTES] {
    let mut head = [0; BLOCK_HEAD_BYTES];
    head[..4].copy_from_slice(&len.to_le_bytes());
    head[4..8].copy_from_slice(&pieces.to_le_bytes());
    let crc = crc32c::crc32c_append(crc32c::crc32c_append(seed, &head[..8]), block);
    head[8..].copy_from_slice(&crc.to_le_bytes());
    head
}

pub(super) fn encode(piece: &Piece<'_>, into: &mut Vec<u8>) {
    match piece {
        Piece::Campaign { id, name, terms, created, created_lsn, lsn, retired } => {
            into.push(match retired {
                None => CAMPAIGN,
                Some(RetiredSeats { purged: false, .. }) => RETIRED,
                Some(RetiredSeats { purged: true, .. }) => PURGED_CAMPAIGN,
            });
            put_u32(into, id.0);
            put_u32(into, terms.limit);
            into.push(terms_flags(terms));
            put_i64(into, created.0);
            put_i64(into, terms.open.map_or(0, |time| time.0));
            put_i64(into, terms.close.map_or(0, |time| time.0));
            put_per_user(into, terms.per_user);
            put_hold(into, terms.hold);
            put_u64(into, created_lsn.get());
            put_u64(into, lsn.get());
            if let Some(seats) = retired {
                put_u32(into, seats.granted);
                put_i64(into, seats.first_grant.0);
                put_i64(into, seats.last_grant.0);
                put_u64(into, seats.last_lsn.get());
            }
            put_sized(into, name);
        }
        Piece::Altered { to, at, lsn } => {
            into.push(ALTERED);
            put_alterable(into, *to);
            put_i64(into, at.0);
            put_u64(into, lsn.get());
        }
        Piece::Gone(id) => {
            into.push(GONE);
            put_u32(into, id.0);
        }
        Piece::Returns { first_grant, last_grant, last_lsn, last_return } => {
            into.push(RETURNS);
            put_i64(into, first_grant.0);
            put_i64(into, last_grant.0);
            put_u64(into, last_lsn.get());
            put_u64(into, last_return.get());
        }
        Piece::Purged { name, last_return } => {
            into.push(PURGED);
            put_u64(into, last_return.get());
            put_sized(into, name);
        }
        Piece::BeganAfter(last_return) => {
            into.push(BEGAN_AFTER);
            put_u64(into, last_return.get());
        }
        Piece::Seeds(count) => {
            into.push(SEEDS);
            put_u32(into, *count);
        }
        Piece::KnownAs(seq) => {
            into.push(KNOWN_AS);
            put_u64(into, seq.get());
        }
        Piece::FreeSeats(count) => {
            into.push(FREE_SEATS);
            put_u32(into, *count);
        }
        Piece::Seat { user, nth, request, at, lsn, until } => {
            let says_more = *nth > 1 || !request.is_empty() || until.is_some();
            into.push(match (user, says_more, until) {
                (User::Int(_), _, Some(_)) => HELD_INT,
                (User::Any(_), _, Some(_)) => HELD_ANY,
                (User::Int(_), false, None) => SEAT_INT,
                (User::Any(_), false, None) => SEAT_ANY,
                (User::Int(_), true, None) => SEAT_MORE_INT,
                (User::Any(_), true, None) => SEAT_MORE_ANY,
            });
            if let User::Int(user) = user {
                put_i64(into, *user);
            }
            put_u48(into, at.0.cast_unsigned());
            put_u48(into, lsn.get());
            if let Some(until) = until {
                put_i64(into, until.0);
            }
            if says_more {
                put_u16(into, *nth);
                put_short(into, request);
            }
            if let User::Any(user) = user {
                put_sized(into, user);
            }
        }
        Piece::Key { db, key, value, expires, lsn } => {
            into.push(KEY);
            into.push(db.0);
            put_i64(into, expires.0);
            put_u64(into, lsn.get());
            put_sized(into, key);
            put_sized(into, value);
        }
    }
}

fn decode<'a>(cut: &mut Cut<'a>) -> Option<Piece<'a>> {
    let millis = |at: u64| Millis(at.cast_signed());
    let piece = match cut.u8()? {
        kind @ (CAMPAIGN | RETIRED | PURGED_CAMPAIGN) => {
            let (id, limit, flags, created) = (CampaignId(cut.u32()?), cut.u32()?, cut.u8()?, Millis(cut.i64()?));
            let terms = terms_of(limit, flags, cut)?;
            let (created_lsn, lsn) = (Lsn::new(cut.u64()?), Lsn::new(cut.u64()?));
            let retired = match kind {
                RETIRED | PURGED_CAMPAIGN => Some(RetiredSeats {
                    granted: cut.u32()?,
                    first_grant: Millis(cut.i64()?),
                    last_grant: Millis(cut.i64()?),
                    last_lsn: Lsn::new(cut.u64()?),
                    purged: kind == PURGED_CAMPAIGN,
                }),
                _ => None,
            };
            Piece::Campaign { id, name: cut.sized()?, terms, created, created_lsn, lsn, retired }
        }
        ALTERED => Piece::Altered { to: alterable_of(cut)?, at: Millis(cut.i64()?), lsn: Lsn::new(cut.u64()?) },
        GONE => Piece::Gone(CampaignId(cut.u32()?)),
        RETURNS => Piece::Returns {
            first_grant: Millis(cut.i64()?),
            last_grant: Millis(cut.i64()?),
            last_lsn: Lsn::new(cut.u64()?),
            last_return: Lsn::new(cut.u64()?),
        },
        SEEDS => Piece::Seeds(cut.u32()?),
        PURGED => {
            let last_return = Lsn::new(cut.u64()?);
            Piece::Purged { name: cut.sized()?, last_return }
        }
        BEGAN_AFTER => Piece::BeganAfter(Lsn::new(cut.u64()?)),
        KNOWN_AS => Piece::KnownAs(Lsn::new(cut.u64()?)),
        FREE_SEATS => Piece::FreeSeats(cut.u32()?),
        kind @ (SEAT_INT | SEAT_ANY | SEAT_MORE_INT | SEAT_MORE_ANY | HELD_INT | HELD_ANY) => {
            let is_number = matches!(kind, SEAT_INT | SEAT_MORE_INT | HELD_INT);
            let number = if is_number { Some(cut.i64()?) } else { None };
            let (at, lsn) = (millis(cut.u48()?), Lsn::new(cut.u48()?));
            let (until, (nth, request)) = match kind {
                HELD_INT | HELD_ANY => (Some(Millis(cut.i64()?)), nth_and_request(cut)?),
                SEAT_MORE_INT | SEAT_MORE_ANY => (None, more_of(cut)?),
                _ => (None, (1, &b""[..])),
            };
            let user = if let Some(number) = number { User::Int(number) } else { User::Any(cut.sized()?) };
            Piece::Seat { user, nth, request, at, lsn, until }
        }
        KEY => {
            let (db, expires, lsn) = (Db(cut.u8()?), Millis(cut.i64()?), Lsn::new(cut.u64()?));
            Piece::Key { db, key: cut.sized()?, value: Cow::Borrowed(cut.sized()?), expires, lsn }
        }
        _ => return None,
    };
    Some(piece)
}

/// A snapshot that is being read.
pub(super) struct Snapshot {
    file: Arc<dyn DiskFile>,
    path: PathBuf,
    /// What it covers.
    pub covered: Covered,
    removed: Lsn,
    newest_at: Millis,
    /// When it was made, by the wall.
    pub made_at: Millis,
    head_crc: u32,
    /// Length of the file.
    pub bytes: u64,
}

impl Snapshot {
    /// Reads the head of the snapshot up to segment `number`.
    pub fn open(disk: &dyn Disk, dir: &Path, number: u64) -> Result<Snapshot, JournalError> {
        let path = path(dir, number);
        let reading = |error| JournalError::io("reading", &path, &error);
        let file = disk.open(&path).map_err(reading)?;
        let bytes = file.len().map_err(reading)?;
        let mut head = [0; HEAD_BYTES];
        let read = file.read_at(&mut head, 0).map_err(reading)?;
        let damaged = || rot(&path, 0, Lsn::ZERO, "the head of the snapshot is damaged");
        let (body, crc) = head.split_at(HEAD_BYTES - 4);
        let crc = u32::from_le_bytes(crc.try_into().expect("four bytes"));
        if read < HEAD_BYTES || !body.starts_with(MAGIC) || crc != crc32c::crc32c(body) {
            return Err(damaged());
        }
        let format = u16::from_le_bytes([body[8], body[9]]);
        if !(FORMAT_OLDEST..=FORMAT).contains(&format) {
            let what = format!("snapshot format {format}, written by a newer release");
            return Err(JournalError::Newer { path, offset: 0, what });
        }
        let (covered, removed, newest_at, made_at) = fields(&mut Cut(&body[10..])).ok_or_else(damaged)?;
        if covered.segment != number {
            return Err(rot(&path, 0, covered.next, "the snapshot has another's name"));
        }
        let head_crc = crc32c::crc32c(&head);
        Ok(Snapshot { file, path, covered, removed, newest_at, made_at, head_crc, bytes })
    }

    /// Shows every piece in order, once its block is known to be sound. `progress` is told how many bytes are done.
    pub fn pieces(
        &self,
        show: &mut dyn FnMut(&Piece<'_>) -> Result<(), Contradiction>,
        progress: &mut dyn FnMut(u64),
    ) -> Result<SnapshotSize, JournalError> {
        let damaged = |offset, what| rot(&self.path, offset, self.covered.next.prev(), what);
        let (mut offset, mut crc) = (HEAD_BYTES as u64, self.head_crc);
        let mut size = SnapshotSize { bytes: self.bytes, ..SnapshotSize::default() };
        let mut block = Vec::new();
        loop {
            let mut head = [0; BLOCK_HEAD_BYTES];
            if self.read(&mut head, offset)? < BLOCK_HEAD_BYTES {
                return Err(damaged(offset, "the snapshot ends too early"));
            }
            let field = |at: usize| u32::from_le_bytes(head[at..at + 4].try_into().expect("four bytes"));
            let (len, pieces, expected) = (field(0), field(4), field(8));
            let end = offset + BLOCK_HEAD_BYTES as u64 + u64::from(len);
            if len as usize > BLOCK_BYTES_MAX || end > self.bytes {
                return Err(damaged(offset, "a block of the snapshot is damaged"));
            }
            block.resize(len as usize, 0);
            let read = self.read(&mut block, offset + BLOCK_HEAD_BYTES as u64)?;
            let before = crc;
            crc = crc32c::crc32c_append(crc32c::crc32c_append(crc, &head[..8]), &block);
            if read < block.len() || crc != expected {
                return Err(damaged(offset, "a block of the snapshot is damaged"));
            }
            if len == 0 {
                self.foot(offset, before, &size)?;
                progress(self.bytes);
                return Ok(size);
            }
            let mut cut = Cut(&block);
            for _ in 0..pieces {
                let piece = decode(&mut cut);
                let piece = piece.ok_or_else(|| damaged(offset, "a block of the snapshot makes no sense"))?;
                size.seats += u64::from(matches!(piece, Piece::Seat { .. }));
                show(&piece).map_err(|Contradiction(what)| damaged(offset, what))?;
            }
            if !cut.0.is_empty() {
                return Err(damaged(offset, "a block of the snapshot makes no sense"));
            }
            size.pieces += u64::from(pieces);
            offset = end;
            progress(offset);
        }
    }

    fn foot(&self, offset: u64, seed: u32, size: &SnapshotSize) -> Result<(), JournalError> {
        let mut foot = [0; FOOT_BYTES];
        let read = self.read(&mut foot, offset)?;
        let mut cut = Cut(&foot[BLOCK_HEAD_BYTES..]);
        let told = (cut.u64(), cut.u64(), cut.u32());
        let crc = crc32c::crc32c_append(seed, &foot[..FOOT_BYTES - 4]);
        if read < FOOT_BYTES
            || offset + FOOT_BYTES as u64 != self.bytes
            || told != (Some(size.pieces), Some(size.seats), Some(crc))
        {
            return Err(rot(&self.path, offset, self.covered.next.prev(), "the end of the snapshot is damaged"));
        }
        Ok(())
    }

    /// Puts the state together.
    pub fn restore(&self, into: Restoring, progress: &mut dyn FnMut(u64)) -> Result<Core, JournalError> {
        let mut restoring = into;
        self.pieces(&mut |piece| restoring.take(piece), progress)?;
        let applied = self.covered.next.prev();
        let marks = Marks { applied, removed: self.removed, newest_at: self.newest_at };
        restoring.finish(marks).map_err(|Contradiction(what)| rot(&self.path, 0, applied, what))
    }

    fn read(&self, into: &mut [u8], offset: u64) -> Result<usize, JournalError> {
        self.file.read_at(into, offset).map_err(|error| JournalError::io("reading", &self.path, &error))
    }
}

fn fields(cut: &mut Cut<'_>) -> Option<(Covered, Lsn, Millis, Millis)> {
    let covered = Covered {
        log: LogId(cut.array()?),
        segment: cut.u64()?,
        next: Lsn::new(cut.u64()?),
        chain: cut.u32()?,
        term: cut.u64()?,
        owner: cut.array()?,
    };
    Some((covered, Lsn::new(cut.u64()?), Millis(cut.i64()?), Millis(cut.i64()?)))
}

fn rot(path: &Path, offset: u64, lsn: Lsn, what: &'static str) -> JournalError {
    JournalError::Rot { path: path.to_owned(), offset, lsn, mark: lsn, what }
}

#[cfg(test)]
#[path = "snapshot_tests.rs"]
mod tests;
