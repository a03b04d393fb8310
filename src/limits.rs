//! # limits - every bound has a name and a reason
//! Queues, buffers, batches and loops end at a number that stands here. Pure. May use: nothing.

/// The longest value or argument: what Redis calls `proto-max-bulk-len`, so that a group always fits a segment.
pub const VALUE_BYTES_MAX: usize = 16 << 20;

/// The longest request, all arguments together: a request's events must fit one batch.
pub const REQUEST_BYTES_MAX: usize = 32 << 20;

/// Arguments of one request, as in Redis.
pub const REQUEST_ARGS_MAX: usize = 1 << 20;

/// An inline request without its end of line, as in Redis.
pub const INLINE_BYTES_MAX: usize = 64 << 10;

/// The digits of a length in a request, with room to spare: whoever sends more is not speaking RESP.
pub const LENGTH_LINE_BYTES_MAX: usize = 32;

/// Arguments and bytes per argument before AUTH, as in Redis: a stranger reserves no memory.
pub const UNAUTHENTICATED_ARGS_MAX: usize = 10;
/// See [`UNAUTHENTICATED_ARGS_MAX`].
pub const UNAUTHENTICATED_BULK_BYTES_MAX: usize = 16_384;

/// Databases that `SELECT` knows, as in Redis.
pub const DATABASES: usize = 16;

/// Bytes read from one connection before the others have their turn.
pub const READ_BYTES_PER_TURN: usize = 128 << 10;

/// Answers that one connection may have waiting before its requests wait too.
pub const OUTPUT_SLOW_BYTES: usize = 1 << 20;

/// Answers that one connection may have waiting before it is closed: a single answer can be this long.
pub const OUTPUT_CLOSE_BYTES: usize = 256 << 20;

/// Seconds without reading a byte of a waiting answer before a connection is closed.
pub const OUTPUT_STALL_SECONDS: u64 = 60;

/// A campaign's name.
pub const CAMPAIGN_NAME_BYTES_MAX: usize = 64;

/// A user of a `USERS ANY` campaign.
pub const USER_BYTES_MAX: usize = 64;

/// The `ID` of a claim.
pub const REQUEST_ID_BYTES_MAX: usize = 64;

/// Campaigns in one journal: their numbers are never used again.
pub const CAMPAIGNS_MAX: usize = 1 << 24;

/// Beyond this no position of the world is believed: a seat remembers its own in 48 bits, and the line must go on.
pub const LSN_MAX: u64 = 1 << 47;

/// Differences that `catch-up` names one by one.
pub const CATCH_UP_LINES_MAX: usize = 100;

/// Lost grants that `check` names one by one to people; to programs it names all.
pub const CHECK_GRANTS_SHOWN: usize = 100;

/// Seats of one `GATE.SEED`: the loop is not kept for long.
pub const SEED_SEATS_MAX: usize = 1000;

/// Rows of one `GATE.SEATS` answer.
pub const SEATS_ROWS_MAX: u32 = 10_000;

/// Campaigns that have figures of their own; the rest are counted together as `other`.
pub const FIGURES_CAMPAIGNS_MAX: usize = 1000;

/// Users of a rehearsal: it remembers 9 bytes of each, and more where seats come back.
pub const REHEARSE_USERS_MAX: u32 = 100_000_000;

/// Connections of a rehearsal: a client address has about so many ports to one server.
pub const REHEARSE_CONNECTIONS_MAX: u32 = 20_000;

/// Claims under way on one connection of a rehearsal: their answers fit what a gate holds for a slow reader.
pub const REHEARSE_PIPELINE_MAX: u32 = 10_000;

/// Records on their way to Kafka: enough to fill its pipes, and what a crash may have to find in the topic's tail.
pub const STREAM_IN_FLIGHT_RECORDS: usize = 100_000;

/// The keys, values and headers of those.
pub const STREAM_IN_FLIGHT_BYTES: usize = 32 << 20;

/// Journal events that must wait before the producer gets more on top of what is on its way, while acknowledgements come.
pub const STREAM_BACKLOG: u64 = 30_000;

/// Journal events that the stream looks at before it takes acknowledgements and the word to stop.
pub const STREAM_EVENTS_PER_TURN: usize = 10_000;

/// Holds and keys that expire in one turn of the loop: a crowd of deadlines is no stall.
pub const EXPIRES_PER_TURN: usize = 256;

/// Connections that wait for a story (`GATE.WHY`) at most: more are refused.
pub const STORIES_WAITING_MAX: usize = 16;

/// Table entries freed in one turn of the loop after a drop or a flush.
pub const FREED_PER_TURN: usize = 2_048;

/// A block of the journal: each batch starts on one, so that no write touches a page that holds durable bytes.
pub const BLOCK_BYTES: u64 = 4096;

/// A journal segment, unless set otherwise.
pub const SEGMENT_BYTES: u64 = 64 << 20;

/// The smallest segment that can be set: it must hold one request of the longest kind.
pub const SEGMENT_BYTES_MIN: u64 = 40 << 20;

/// The largest segment that can be set: the next one is zero-filled while this one is in use.
pub const SEGMENT_BYTES_MAX: u64 = 1 << 30;

/// A batch of the journal: when it is this long, requests wait for the disk.
pub const BATCH_BYTES_MAX: usize = 36 << 20;

/// The events of one command, with what they take beside their keys and values.
pub const GROUP_BYTES_MAX: usize = BATCH_BYTES_MAX - BLOCK_BYTES as usize;

/// Seats that come back in one group when a campaign is purged.
pub const PURGE_SEATS_MAX: usize = 100_000;

const _: () = assert!(REQUEST_BYTES_MAX < BATCH_BYTES_MAX, "a group never spans two batches");
const _: () = assert!(PURGE_SEATS_MAX * 256 < GROUP_BYTES_MAX, "a return takes less than that, with the longest user");
const _: () = assert!((BATCH_BYTES_MAX as u64) < SEGMENT_BYTES_MIN, "a batch never spans two segments");
const _: () = assert!(
    (REHEARSE_PIPELINE_MAX as usize) * 64 < OUTPUT_SLOW_BYTES,
    "answers to a rehearsal never wait for its reader"
);
const _: () = assert!(VALUE_BYTES_MAX <= REQUEST_BYTES_MAX, "the longest value fits a request");
