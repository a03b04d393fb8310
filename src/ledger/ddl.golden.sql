CREATE TABLE IF NOT EXISTS coupon_grant ( -- one row for each grant
  campaign TEXT NOT NULL,
  seat INTEGER NOT NULL, -- 1..limit, in the order of arrival
  user_id INTEGER NOT NULL,
  nth INTEGER NOT NULL, -- the user's n-th seat in this campaign
  granted_at TEXT NOT NULL, -- UTC, 'YYYY-MM-DD HH:MM:SS.mmm'
  log_id TEXT NOT NULL, -- the gate's journal, 32 hex digits
  seq INTEGER NOT NULL, -- the grant's position in that journal
  PRIMARY KEY (campaign, seat),
  UNIQUE (user_id, campaign, nth)
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS coupon_return ( -- grants that were taken back: the row as it was
  campaign TEXT NOT NULL,
  seat INTEGER NOT NULL,
  user_id INTEGER NOT NULL,
  nth INTEGER NOT NULL,
  granted_at TEXT NOT NULL, -- UTC
  log_id TEXT NOT NULL,
  seq INTEGER NOT NULL, -- the grant's
  returned_at TEXT NOT NULL, -- UTC
  return_seq INTEGER NOT NULL, -- the return's position in that journal
  PRIMARY KEY (log_id, return_seq)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS coupon_return_by_campaign_seq ON coupon_return (campaign, seq);

CREATE TABLE IF NOT EXISTS coupon_sink_position ( -- how far each source is stored; moves in the transaction that stores the rows. Never edit it.
  source TEXT NOT NULL, -- journal:LOG, kafka:CLUSTER:TOPIC or kafka-returns:CLUSTER:TOPIC
  kpart INTEGER NOT NULL, -- partition; 0 for a journal
  next_position INTEGER NOT NULL, -- the first position that is not stored: an lsn, or an offset
  log_id TEXT NOT NULL, -- the journal of the last record stored from there
  last_seq INTEGER NOT NULL, -- its seq
  hole INTEGER NOT NULL, -- 1: records behind it are missing there, and are awaited
  owner_epoch INTEGER NOT NULL, -- only the newest owner may store
  owner TEXT NOT NULL,
  updated_at TEXT NOT NULL, -- UTC
  PRIMARY KEY (source, kpart)
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS coupon_dead_letter ( -- records that could not be stored, kept for an operator to judge
  source TEXT NOT NULL,
  kpart INTEGER NOT NULL,
  position INTEGER NOT NULL,
  reason TEXT NOT NULL,
  key BLOB,
  value BLOB,
  headers TEXT, -- JSON
  at TEXT NOT NULL, -- UTC
  PRIMARY KEY (source, kpart, position)
) WITHOUT ROWID;
