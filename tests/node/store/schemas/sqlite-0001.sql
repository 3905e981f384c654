CREATE TABLE asked_epochs (
	id INTEGER NOT NULL, 
	holder BLOB NOT NULL, 
	collection TEXT NOT NULL, 
	number INTEGER NOT NULL, 
	public_key BLOB NOT NULL, 
	table_version BIGINT NOT NULL, 
	frontier BLOB NOT NULL, 
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
	frontier BLOB NOT NULL, 
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
CREATE TABLE journal (
	sequence INTEGER NOT NULL, 
	at BIGINT NOT NULL, 
	round_id BLOB NOT NULL, 
	event TEXT NOT NULL, 
	body BLOB NOT NULL, 
	own_signature BLOB NOT NULL, 
	peer_signature BLOB NOT NULL, 
	CONSTRAINT pk_journal PRIMARY KEY (sequence)
);
CREATE TABLE peers (
	lab BLOB NOT NULL, 
	name TEXT NOT NULL, 
	card TEXT NOT NULL, 
	added_at BIGINT NOT NULL, 
	last_contact BIGINT NOT NULL, 
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
	proof BLOB, 
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
	revision INTEGER NOT NULL, 
	added_by INTEGER NOT NULL, 
	touched_by INTEGER NOT NULL, 
	CONSTRAINT pk_flagged PRIMARY KEY (indicator_id), 
	CONSTRAINT fk_flagged_added_by FOREIGN KEY(added_by) REFERENCES ingests (id), 
	CONSTRAINT fk_flagged_indicator_id FOREIGN KEY(indicator_id) REFERENCES indicators (id), 
	CONSTRAINT fk_flagged_touched_by FOREIGN KEY(touched_by) REFERENCES ingests (id)
);
CREATE TABLE held_entries (
	epoch_id INTEGER NOT NULL, 
	leaf BIGINT NOT NULL, 
	version BIGINT NOT NULL, 
	operation SMALLINT NOT NULL, 
	tag BLOB NOT NULL, 
	sealed BLOB NOT NULL, 
	CONSTRAINT pk_held_entries PRIMARY KEY (epoch_id, leaf), 
	CONSTRAINT fk_held_entries_epoch_id FOREIGN KEY(epoch_id) REFERENCES held_epochs (id)
);
CREATE TABLE held_live (
	epoch_id INTEGER NOT NULL, 
	indicator_id INTEGER NOT NULL, 
	tag BLOB NOT NULL, 
	revision INTEGER NOT NULL, 
	CONSTRAINT pk_held_live PRIMARY KEY (epoch_id, indicator_id), 
	CONSTRAINT fk_held_live_epoch_id FOREIGN KEY(epoch_id) REFERENCES held_epochs (id), 
	CONSTRAINT fk_held_live_indicator_id FOREIGN KEY(indicator_id) REFERENCES indicators (id), 
	CONSTRAINT uq_held_live_epoch_id_tag UNIQUE (epoch_id, tag)
)
 WITHOUT ROWID

;
CREATE TABLE held_staging (
	epoch_id INTEGER NOT NULL, 
	tag BLOB NOT NULL, 
	operation SMALLINT NOT NULL, 
	sealed BLOB NOT NULL, 
	indicator_id INTEGER, 
	revision INTEGER, 
	CONSTRAINT pk_held_staging PRIMARY KEY (epoch_id, tag), 
	CONSTRAINT fk_held_staging_epoch_id FOREIGN KEY(epoch_id) REFERENCES held_epochs (id)
);
CREATE TABLE matches (
	peer BLOB NOT NULL, 
	kind SMALLINT NOT NULL, 
	indicator_id INTEGER NOT NULL, 
	round_id BLOB NOT NULL, 
	label BLOB NOT NULL, 
	first_matched BIGINT NOT NULL, 
	ended_at BIGINT NOT NULL, 
	CONSTRAINT pk_matches PRIMARY KEY (peer, kind, indicator_id), 
	CONSTRAINT fk_matches_indicator_id FOREIGN KEY(indicator_id) REFERENCES indicators (id), 
	CONSTRAINT fk_matches_round_id FOREIGN KEY(round_id) REFERENCES rounds (id)
);
CREATE TABLE observed (
	indicator_id INTEGER NOT NULL, 
	first_seen BIGINT NOT NULL, 
	last_seen BIGINT NOT NULL, 
	added_by INTEGER NOT NULL, 
	touched_by INTEGER NOT NULL, 
	CONSTRAINT pk_observed PRIMARY KEY (indicator_id), 
	CONSTRAINT fk_observed_added_by FOREIGN KEY(added_by) REFERENCES ingests (id), 
	CONSTRAINT fk_observed_indicator_id FOREIGN KEY(indicator_id) REFERENCES indicators (id), 
	CONSTRAINT fk_observed_touched_by FOREIGN KEY(touched_by) REFERENCES ingests (id)
);
CREATE TABLE own_tags (
	epoch_id INTEGER NOT NULL, 
	tag BLOB NOT NULL, 
	indicator_id INTEGER NOT NULL, 
	label_key BLOB NOT NULL, 
	pending SMALLINT NOT NULL, 
	CONSTRAINT pk_own_tags PRIMARY KEY (epoch_id, tag), 
	CONSTRAINT fk_own_tags_epoch_id FOREIGN KEY(epoch_id) REFERENCES asked_epochs (id), 
	CONSTRAINT fk_own_tags_indicator_id FOREIGN KEY(indicator_id) REFERENCES indicators (id), 
	CONSTRAINT uq_own_tags_epoch_id_indicator_id UNIQUE (epoch_id, indicator_id)
)
 WITHOUT ROWID

;
CREATE TABLE peer_entries (
	epoch_id INTEGER NOT NULL, 
	leaf BIGINT NOT NULL, 
	version BIGINT NOT NULL, 
	operation SMALLINT NOT NULL, 
	tag BLOB NOT NULL, 
	sealed BLOB NOT NULL, 
	CONSTRAINT pk_peer_entries PRIMARY KEY (epoch_id, leaf), 
	CONSTRAINT fk_peer_entries_epoch_id FOREIGN KEY(epoch_id) REFERENCES asked_epochs (id)
);
CREATE INDEX ix_peer_entries_epoch_id_tag_leaf ON peer_entries (epoch_id, tag, leaf);
CREATE TABLE sightings (
	peer BLOB NOT NULL, 
	indicator_id INTEGER NOT NULL, 
	round_id BLOB NOT NULL, 
	reported_at BIGINT NOT NULL, 
	CONSTRAINT pk_sightings PRIMARY KEY (peer, indicator_id), 
	CONSTRAINT fk_sightings_indicator_id FOREIGN KEY(indicator_id) REFERENCES indicators (id), 
	CONSTRAINT fk_sightings_round_id FOREIGN KEY(round_id) REFERENCES rounds (id)
);
CREATE TRIGGER journal_refuses_update BEFORE UPDATE ON journal BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
CREATE TRIGGER journal_refuses_delete BEFORE DELETE ON journal BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
