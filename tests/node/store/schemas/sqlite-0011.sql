CREATE TABLE asked_epochs (
	id INTEGER NOT NULL, 
	holder BLOB NOT NULL, 
	collection TEXT NOT NULL, 
	number INTEGER NOT NULL, 
	public_key BLOB NOT NULL, 
	table_version BIGINT NOT NULL, 
	frontier BLOB NOT NULL, halves INTEGER DEFAULT '0' NOT NULL, begun SMALLINT DEFAULT '1' NOT NULL, masked SMALLINT DEFAULT '0' NOT NULL, 
	CONSTRAINT pk_asked_epochs PRIMARY KEY (id), 
	CONSTRAINT uq_asked_epochs_holder_collection_number UNIQUE (holder, collection, number)
);
CREATE TABLE held_epochs (
	id INTEGER NOT NULL, 
	querier BLOB NOT NULL, 
	collection TEXT NOT NULL, 
	number INTEGER NOT NULL, 
	sealed_seed BLOB, 
	budget BIGINT NOT NULL, 
	spent BIGINT NOT NULL, 
	created_at BIGINT NOT NULL, 
	expires_at BIGINT NOT NULL, 
	table_version BIGINT NOT NULL, 
	frontier BLOB NOT NULL, covered_change BIGINT DEFAULT '0' NOT NULL, covered_time BIGINT DEFAULT '0' NOT NULL, 
	CONSTRAINT pk_held_epochs PRIMARY KEY (id), 
	CONSTRAINT uq_held_epochs_querier_collection_number UNIQUE (querier, collection, number)
);
CREATE TABLE indicators (
	id INTEGER NOT NULL, 
	type TEXT NOT NULL, 
	profile SMALLINT NOT NULL, 
	value TEXT NOT NULL, 
	collection TEXT NOT NULL, 
	CONSTRAINT pk_indicators PRIMARY KEY (id), 
	CONSTRAINT uq_indicators_value_type_profile UNIQUE (value, type, profile)
);
CREATE TABLE ingests (
	id INTEGER NOT NULL, 
	at BIGINT NOT NULL, 
	target TEXT NOT NULL, 
	CONSTRAINT pk_ingests PRIMARY KEY (id)
);
CREATE TABLE peers (
	lab BLOB NOT NULL, 
	name TEXT NOT NULL, 
	card TEXT NOT NULL, 
	added_at BIGINT NOT NULL, 
	last_contact BIGINT NOT NULL, paused_at BIGINT DEFAULT '0' NOT NULL, 
	CONSTRAINT pk_peers PRIMARY KEY (lab), 
	CONSTRAINT uq_peers_name UNIQUE (name)
);
CREATE TABLE rounds (
	id BLOB NOT NULL, 
	peer BLOB NOT NULL, 
	kind SMALLINT NOT NULL, 
	collection TEXT NOT NULL, 
	state TEXT NOT NULL, 
	code TEXT NOT NULL, 
	created_at BIGINT NOT NULL, 
	closed_at BIGINT NOT NULL, 
	CONSTRAINT pk_rounds PRIMARY KEY (id)
);
CREATE TABLE chunks (
	round_id BLOB NOT NULL, 
	chunk_index INTEGER NOT NULL, 
	request BLOB NOT NULL, 
	count INTEGER NOT NULL, 
	evaluated BLOB, 
	proof BLOB, blinded BLOB, 
	CONSTRAINT pk_chunks PRIMARY KEY (round_id, chunk_index), 
	CONSTRAINT fk_chunks_round_id FOREIGN KEY(round_id) REFERENCES rounds (id)
);
CREATE TABLE flagged (
	indicator_id INTEGER NOT NULL, 
	reason SMALLINT NOT NULL, 
	severity SMALLINT NOT NULL, 
	confidence SMALLINT NOT NULL, 
	first_seen BIGINT NOT NULL, 
	expires BIGINT NOT NULL, 
	tlp SMALLINT NOT NULL, 
	added_by INTEGER NOT NULL, 
	touched_by INTEGER NOT NULL, change BIGINT DEFAULT '1' NOT NULL, first_change BIGINT DEFAULT '1' NOT NULL, 
	CONSTRAINT pk_flagged PRIMARY KEY (indicator_id), 
	CONSTRAINT fk_flagged_added_by FOREIGN KEY(added_by) REFERENCES ingests (id), 
	CONSTRAINT fk_flagged_indicator_id FOREIGN KEY(indicator_id) REFERENCES indicators (id), 
	CONSTRAINT fk_flagged_touched_by FOREIGN KEY(touched_by) REFERENCES ingests (id)
);
CREATE TABLE observed (
	indicator_id INTEGER NOT NULL, 
	first_seen BIGINT NOT NULL, 
	last_seen BIGINT NOT NULL, 
	added_by INTEGER NOT NULL, 
	touched_by INTEGER NOT NULL, change BIGINT DEFAULT '0' NOT NULL, 
	CONSTRAINT pk_observed PRIMARY KEY (indicator_id), 
	CONSTRAINT fk_observed_added_by FOREIGN KEY(added_by) REFERENCES ingests (id), 
	CONSTRAINT fk_observed_indicator_id FOREIGN KEY(indicator_id) REFERENCES indicators (id), 
	CONSTRAINT fk_observed_touched_by FOREIGN KEY(touched_by) REFERENCES ingests (id)
);
CREATE TABLE sightings (
	peer BLOB NOT NULL, 
	indicator_id INTEGER NOT NULL, 
	round_id BLOB NOT NULL, 
	reported_at BIGINT NOT NULL, 
	CONSTRAINT pk_sightings PRIMARY KEY (peer, indicator_id), 
	CONSTRAINT fk_sightings_indicator_id FOREIGN KEY(indicator_id) REFERENCES indicators (id), 
	CONSTRAINT fk_sightings_round_id FOREIGN KEY(round_id) REFERENCES rounds (id)
);
CREATE TABLE log (
	position INTEGER NOT NULL, 
	round_id BLOB NOT NULL, 
	entry BLOB NOT NULL, 
	CONSTRAINT pk_log PRIMARY KEY (position)
);
CREATE INDEX ix_log_round_id ON log (round_id);
CREATE TABLE log_nodes (
	level INTEGER NOT NULL, 
	position INTEGER NOT NULL, 
	hash BLOB NOT NULL, 
	CONSTRAINT pk_log_nodes PRIMARY KEY (level, position)
)
 WITHOUT ROWID

;
CREATE TABLE cosignatures (
	size BIGINT NOT NULL, 
	peer BLOB NOT NULL, 
	root BLOB NOT NULL, 
	origin TEXT NOT NULL, 
	cosignature BLOB NOT NULL, 
	CONSTRAINT pk_cosignatures PRIMARY KEY (size, peer)
);
CREATE TABLE peer_checkpoints (
	peer BLOB NOT NULL, 
	size BIGINT NOT NULL, 
	root BLOB NOT NULL, 
	note BLOB NOT NULL, 
	cosignature BLOB NOT NULL, 
	CONSTRAINT pk_peer_checkpoints PRIMARY KEY (peer, size)
);
CREATE TABLE caught (
	peer BLOB NOT NULL, 
	origin TEXT NOT NULL, 
	one BLOB NOT NULL, 
	other BLOB NOT NULL, 
	at BIGINT NOT NULL, 
	CONSTRAINT pk_caught PRIMARY KEY (peer)
);
CREATE TRIGGER log_refuses_update BEFORE UPDATE ON log BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END;
CREATE TRIGGER log_refuses_delete BEFORE DELETE ON log BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END;
CREATE TRIGGER log_nodes_refuses_update BEFORE UPDATE ON log_nodes BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END;
CREATE TRIGGER log_nodes_refuses_delete BEFORE DELETE ON log_nodes BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END;
CREATE TRIGGER cosignatures_refuses_update BEFORE UPDATE ON cosignatures BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END;
CREATE TRIGGER cosignatures_refuses_delete BEFORE DELETE ON cosignatures BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END;
CREATE TRIGGER peer_checkpoints_refuses_update BEFORE UPDATE ON peer_checkpoints BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END;
CREATE TRIGGER peer_checkpoints_refuses_delete BEFORE DELETE ON peer_checkpoints BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END;
CREATE TRIGGER caught_refuses_update BEFORE UPDATE ON caught BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END;
CREATE TRIGGER caught_refuses_delete BEFORE DELETE ON caught BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END;
CREATE TABLE held_pages (
	epoch_id INTEGER NOT NULL, 
	leaf BIGINT NOT NULL, 
	version BIGINT NOT NULL, 
	operations BLOB NOT NULL, 
	tags BLOB NOT NULL, 
	sealed BLOB NOT NULL, owners BLOB DEFAULT '' NOT NULL, 
	CONSTRAINT pk_held_pages PRIMARY KEY (epoch_id, leaf), 
	CONSTRAINT fk_held_pages_epoch_id_held_epochs FOREIGN KEY(epoch_id) REFERENCES held_epochs (id)
);
CREATE TABLE peer_pages (
	epoch_id INTEGER NOT NULL, 
	leaf BIGINT NOT NULL, 
	version BIGINT NOT NULL, 
	operations BLOB NOT NULL, 
	tags BLOB NOT NULL, 
	sealed BLOB NOT NULL, 
	CONSTRAINT pk_peer_pages PRIMARY KEY (epoch_id, leaf), 
	CONSTRAINT fk_peer_pages_epoch_id_asked_epochs FOREIGN KEY(epoch_id) REFERENCES asked_epochs (id)
);
CREATE TABLE groups (
	id INTEGER NOT NULL, 
	target TEXT NOT NULL, 
	type TEXT NOT NULL, 
	name TEXT NOT NULL, 
	CONSTRAINT pk_groups PRIMARY KEY (id), 
	CONSTRAINT uq_groups_name_type_target UNIQUE (name, type, target)
);
CREATE TABLE group_members (
	indicator_id INTEGER NOT NULL, 
	group_id INTEGER NOT NULL, 
	CONSTRAINT pk_group_members PRIMARY KEY (indicator_id, group_id), 
	CONSTRAINT fk_group_members_indicator_id FOREIGN KEY(indicator_id) REFERENCES indicators (id), 
	CONSTRAINT fk_group_members_group_id FOREIGN KEY(group_id) REFERENCES groups (id)
)
 WITHOUT ROWID

;
CREATE TABLE partial_matches (
	peer BLOB NOT NULL, 
	kind SMALLINT NOT NULL, 
	indicator_id INTEGER NOT NULL, 
	round_id BLOB NOT NULL, 
	severity SMALLINT NOT NULL, 
	confidence SMALLINT NOT NULL, 
	label BLOB NOT NULL, expires BIGINT DEFAULT '0' NOT NULL, 
	CONSTRAINT pk_partial_matches PRIMARY KEY (peer, kind, indicator_id), 
	CONSTRAINT fk_partial_matches_indicator_id FOREIGN KEY(indicator_id) REFERENCES indicators (id), 
	CONSTRAINT fk_partial_matches_round_id FOREIGN KEY(round_id) REFERENCES rounds (id)
);
CREATE INDEX ix_flagged_change ON flagged (change);
CREATE INDEX ix_flagged_expires ON flagged (expires) WHERE expires > 0;
CREATE INDEX ix_observed_change ON observed (change);
CREATE TABLE own_tags (
	epoch_id INTEGER NOT NULL, 
	indicator_id INTEGER NOT NULL, 
	tag BLOB NOT NULL, 
	label_key BLOB NOT NULL, 
	half INTEGER NOT NULL, 
	CONSTRAINT pk_own_tags PRIMARY KEY (epoch_id, indicator_id), 
	CONSTRAINT fk_own_tags_epoch_id FOREIGN KEY(epoch_id) REFERENCES asked_epochs (id)
)
 WITHOUT ROWID

;
CREATE TABLE matches (
	event INTEGER NOT NULL, 
	peer BLOB NOT NULL, 
	kind SMALLINT NOT NULL, 
	indicator_id INTEGER NOT NULL, 
	round_id BLOB NOT NULL, 
	label BLOB NOT NULL, 
	expires BIGINT NOT NULL, 
	first_matched BIGINT NOT NULL, 
	ended_at BIGINT NOT NULL, 
	CONSTRAINT pk_matches PRIMARY KEY (event), 
	CONSTRAINT uq_matches_peer_kind_indicator_id UNIQUE (peer, kind, indicator_id)
);
CREATE TABLE group_matches (
	event INTEGER NOT NULL, 
	peer BLOB NOT NULL, 
	kind SMALLINT NOT NULL, 
	group_id INTEGER NOT NULL, 
	round_id BLOB NOT NULL, 
	label BLOB NOT NULL, 
	expires BIGINT NOT NULL, 
	tokens INTEGER NOT NULL, 
	first_matched BIGINT NOT NULL, 
	ended_at BIGINT NOT NULL, 
	CONSTRAINT pk_group_matches PRIMARY KEY (event), 
	CONSTRAINT fk_group_matches_group_id FOREIGN KEY(group_id) REFERENCES groups (id), 
	CONSTRAINT fk_group_matches_round_id FOREIGN KEY(round_id) REFERENCES rounds (id), 
	CONSTRAINT uq_group_matches_peer_kind_group_id UNIQUE (peer, kind, group_id)
);
CREATE TABLE former_cards (
	peer BLOB NOT NULL, 
	card TEXT NOT NULL, 
	until BIGINT NOT NULL, 
	CONSTRAINT pk_former_cards PRIMARY KEY (peer)
);
CREATE TABLE card_receipts (
	peer BLOB NOT NULL, 
	certificate_hash BLOB NOT NULL, 
	at BIGINT NOT NULL, 
	CONSTRAINT pk_card_receipts PRIMARY KEY (peer)
);
CREATE TABLE restores (
	number INTEGER NOT NULL, 
	at BIGINT NOT NULL, 
	epochs_beyond BIGINT NOT NULL, 
	CONSTRAINT pk_restores PRIMARY KEY (number)
);
CREATE TABLE unheard (
	peer BLOB NOT NULL, 
	CONSTRAINT pk_unheard PRIMARY KEY (peer)
);
CREATE TABLE notices (
	receiver TEXT NOT NULL, 
	event BIGINT NOT NULL, 
	CONSTRAINT pk_notices PRIMARY KEY (receiver)
);
