CREATE TABLE IF NOT EXISTS coupon_grant (
  campaign VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  seat INT UNSIGNED NOT NULL COMMENT '1..limit, in the order of arrival',
  user_id BIGINT NOT NULL,
  nth SMALLINT UNSIGNED NOT NULL COMMENT 'the user''s n-th seat in this campaign',
  granted_at DATETIME(3) NOT NULL COMMENT 'UTC',
  log_id BINARY(16) NOT NULL COMMENT 'the gate''s journal',
  seq BIGINT UNSIGNED NOT NULL COMMENT 'the grant''s position in that journal',
  PRIMARY KEY (campaign, seat),
  UNIQUE KEY uq_user (user_id, campaign, nth)
) ENGINE=InnoDB COMMENT='one row for each grant';

CREATE TABLE IF NOT EXISTS coupon_return (
  campaign VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  seat INT UNSIGNED NOT NULL,
  user_id BIGINT NOT NULL,
  nth SMALLINT UNSIGNED NOT NULL,
  granted_at DATETIME(3) NOT NULL COMMENT 'UTC',
  log_id BINARY(16) NOT NULL,
  seq BIGINT UNSIGNED NOT NULL COMMENT 'the grant''s',
  returned_at DATETIME(3) NOT NULL COMMENT 'UTC',
  return_seq BIGINT UNSIGNED NOT NULL COMMENT 'the return''s position in that journal',
  PRIMARY KEY (log_id, return_seq),
  KEY coupon_return_by_campaign_seq (campaign, seq)
) ENGINE=InnoDB COMMENT='grants that were taken back: the row as it was';

CREATE TABLE IF NOT EXISTS coupon_sink_position (
  source VARCHAR(400) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'journal:LOG, kafka:CLUSTER:TOPIC or kafka-returns:CLUSTER:TOPIC',
  kpart INT UNSIGNED NOT NULL COMMENT 'partition; 0 for a journal',
  next_position BIGINT UNSIGNED NOT NULL COMMENT 'the first position that is not stored: an lsn, or an offset',
  log_id BINARY(16) NOT NULL COMMENT 'the journal of the last record stored from there',
  last_seq BIGINT UNSIGNED NOT NULL COMMENT 'its seq',
  hole TINYINT NOT NULL COMMENT '1: records behind it are missing there, and are awaited',
  owner_epoch BIGINT UNSIGNED NOT NULL COMMENT 'only the newest owner may store',
  owner VARCHAR(255) CHARACTER SET utf8mb4 NOT NULL,
  updated_at DATETIME(6) NOT NULL COMMENT 'UTC',
  PRIMARY KEY (source, kpart)
) ENGINE=InnoDB COMMENT='how far each source is stored; moves in the transaction that stores the rows. Never edit it.';

CREATE TABLE IF NOT EXISTS coupon_dead_letter (
  source VARCHAR(400) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  kpart INT UNSIGNED NOT NULL,
  position BIGINT UNSIGNED NOT NULL,
  reason TEXT CHARACTER SET utf8mb4 NOT NULL,
  `key` LONGBLOB NULL,
  value LONGBLOB NULL,
  headers LONGTEXT CHARACTER SET utf8mb4 NULL COMMENT 'JSON',
  at DATETIME(3) NOT NULL COMMENT 'UTC',
  PRIMARY KEY (source, kpart, position)
) ENGINE=InnoDB COMMENT='records that could not be stored, kept for an operator to judge';
