CREATE TABLE peers (
	lab BYTEA NOT NULL, 
	name TEXT COLLATE "C" NOT NULL, 
	card TEXT COLLATE "C" NOT NULL, 
	added_at BIGINT NOT NULL, 
	last_contact BIGINT NOT NULL, 
	paused_at BIGINT NOT NULL, 
	CONSTRAINT pk_peers PRIMARY KEY (lab), 
	CONSTRAINT uq_peers_name UNIQUE (name)
);
CREATE TABLE ingests (
	id BIGSERIAL NOT NULL, 
	at BIGINT NOT NULL, 
	target TEXT COLLATE "C" NOT NULL, 
	CONSTRAINT pk_ingests PRIMARY KEY (id)
);
CREATE TABLE indicators (
	id BIGSERIAL NOT NULL, 
	type TEXT COLLATE "C" NOT NULL, 
	profile SMALLINT NOT NULL, 
	value TEXT COLLATE "C" NOT NULL, 
	collection TEXT COLLATE "C" NOT NULL, 
	CONSTRAINT pk_indicators PRIMARY KEY (id), 
	CONSTRAINT uq_indicators_value_type_profile UNIQUE (value, type, profile)
);
CREATE TABLE groups (
	id BIGSERIAL NOT NULL, 
	target TEXT COLLATE "C" NOT NULL, 
	type TEXT COLLATE "C" NOT NULL, 
	name TEXT COLLATE "C" NOT NULL, 
	CONSTRAINT pk_groups PRIMARY KEY (id), 
	CONSTRAINT uq_groups_name_type_target UNIQUE (name, type, target)
);
CREATE TABLE former_cards (
	peer BYTEA NOT NULL, 
	card TEXT COLLATE "C" NOT NULL, 
	until BIGINT NOT NULL, 
	CONSTRAINT pk_former_cards PRIMARY KEY (peer)
);
CREATE TABLE card_receipts (
	peer BYTEA NOT NULL, 
	certificate_hash BYTEA NOT NULL, 
	at BIGINT NOT NULL, 
	CONSTRAINT pk_card_receipts PRIMARY KEY (peer)
);
CREATE TABLE held_epochs (
	id BIGSERIAL NOT NULL, 
	querier BYTEA NOT NULL, 
	collection TEXT COLLATE "C" NOT NULL, 
	number BIGINT NOT NULL, 
	sealed_seed BYTEA, 
	budget BIGINT NOT NULL, 
	spent BIGINT NOT NULL, 
	created_at BIGINT NOT NULL, 
	expires_at BIGINT NOT NULL, 
	table_version BIGINT NOT NULL, 
	frontier BYTEA NOT NULL, 
	covered_change BIGINT NOT NULL, 
	covered_time BIGINT NOT NULL, 
	CONSTRAINT pk_held_epochs PRIMARY KEY (id), 
	CONSTRAINT uq_held_epochs_querier_collection_number UNIQUE (querier, collection, number)
);
CREATE TABLE asked_epochs (
	id BIGSERIAL NOT NULL, 
	holder BYTEA NOT NULL, 
	collection TEXT COLLATE "C" NOT NULL, 
	number BIGINT NOT NULL, 
	public_key BYTEA NOT NULL, 
	table_version BIGINT NOT NULL, 
	frontier BYTEA NOT NULL, 
	halves BIGINT NOT NULL, 
	begun SMALLINT NOT NULL, 
	masked SMALLINT NOT NULL, 
	CONSTRAINT pk_asked_epochs PRIMARY KEY (id), 
	CONSTRAINT uq_asked_epochs_holder_collection_number UNIQUE (holder, collection, number)
);
CREATE TABLE rounds (
	id BYTEA NOT NULL, 
	peer BYTEA NOT NULL, 
	kind SMALLINT NOT NULL, 
	collection TEXT COLLATE "C" NOT NULL, 
	state TEXT COLLATE "C" NOT NULL, 
	code TEXT COLLATE "C" NOT NULL, 
	created_at BIGINT NOT NULL, 
	closed_at BIGINT NOT NULL, 
	CONSTRAINT pk_rounds PRIMARY KEY (id)
);
CREATE TABLE log (
	position BIGINT NOT NULL, 
	round_id BYTEA NOT NULL, 
	entry BYTEA NOT NULL, 
	CONSTRAINT pk_log PRIMARY KEY (position)
);
CREATE INDEX ix_log_round_id ON log (round_id);
CREATE TABLE log_nodes (
	level INTEGER NOT NULL, 
	position BIGINT NOT NULL, 
	hash BYTEA NOT NULL, 
	CONSTRAINT pk_log_nodes PRIMARY KEY (level, position)
);
CREATE TABLE cosignatures (
	size BIGINT NOT NULL, 
	peer BYTEA NOT NULL, 
	root BYTEA NOT NULL, 
	origin TEXT COLLATE "C" NOT NULL, 
	cosignature BYTEA NOT NULL, 
	CONSTRAINT pk_cosignatures PRIMARY KEY (size, peer)
);
CREATE TABLE peer_checkpoints (
	peer BYTEA NOT NULL, 
	size BIGINT NOT NULL, 
	root BYTEA NOT NULL, 
	note BYTEA NOT NULL, 
	cosignature BYTEA NOT NULL, 
	CONSTRAINT pk_peer_checkpoints PRIMARY KEY (peer, size)
);
CREATE TABLE caught (
	peer BYTEA NOT NULL, 
	origin TEXT COLLATE "C" NOT NULL, 
	one BYTEA NOT NULL, 
	other BYTEA NOT NULL, 
	at BIGINT NOT NULL, 
	CONSTRAINT pk_caught PRIMARY KEY (peer)
);
CREATE TABLE matches (
	event BIGINT NOT NULL, 
	peer BYTEA NOT NULL, 
	kind SMALLINT NOT NULL, 
	indicator_id BIGINT NOT NULL, 
	round_id BYTEA NOT NULL, 
	label BYTEA NOT NULL, 
	expires BIGINT NOT NULL, 
	first_matched BIGINT NOT NULL, 
	ended_at BIGINT NOT NULL, 
	CONSTRAINT pk_matches PRIMARY KEY (event), 
	CONSTRAINT uq_matches_peer_kind_indicator_id UNIQUE (peer, kind, indicator_id)
);
CREATE TABLE notices (
	receiver TEXT COLLATE "C" NOT NULL, 
	event BIGINT NOT NULL, 
	CONSTRAINT pk_notices PRIMARY KEY (receiver)
);
CREATE TABLE restores (
	number BIGSERIAL NOT NULL, 
	at BIGINT NOT NULL, 
	epochs_beyond BIGINT NOT NULL, 
	CONSTRAINT pk_restores PRIMARY KEY (number)
);
CREATE TABLE unheard (
	peer BYTEA NOT NULL, 
	CONSTRAINT pk_unheard PRIMARY KEY (peer)
);
CREATE TABLE flagged (
	indicator_id BIGINT NOT NULL, 
	reason SMALLINT NOT NULL, 
	severity SMALLINT NOT NULL, 
	confidence SMALLINT NOT NULL, 
	first_seen BIGINT NOT NULL, 
	expires BIGINT NOT NULL, 
	tlp SMALLINT NOT NULL, 
	change BIGINT NOT NULL, 
	first_change BIGINT NOT NULL, 
	added_by BIGINT NOT NULL, 
	touched_by BIGINT NOT NULL, 
	CONSTRAINT pk_flagged PRIMARY KEY (indicator_id), 
	CONSTRAINT fk_flagged_indicator_id FOREIGN KEY(indicator_id) REFERENCES indicators (id), 
	CONSTRAINT fk_flagged_added_by FOREIGN KEY(added_by) REFERENCES ingests (id), 
	CONSTRAINT fk_flagged_touched_by FOREIGN KEY(touched_by) REFERENCES ingests (id)
);
CREATE INDEX ix_flagged_change ON flagged (change);
CREATE INDEX ix_flagged_expires ON flagged (expires) WHERE expires > 0;
CREATE TABLE observed (
	indicator_id BIGINT NOT NULL, 
	first_seen BIGINT NOT NULL, 
	last_seen BIGINT NOT NULL, 
	change BIGINT NOT NULL, 
	added_by BIGINT NOT NULL, 
	touched_by BIGINT NOT NULL, 
	CONSTRAINT pk_observed PRIMARY KEY (indicator_id), 
	CONSTRAINT fk_observed_indicator_id FOREIGN KEY(indicator_id) REFERENCES indicators (id), 
	CONSTRAINT fk_observed_added_by FOREIGN KEY(added_by) REFERENCES ingests (id), 
	CONSTRAINT fk_observed_touched_by FOREIGN KEY(touched_by) REFERENCES ingests (id)
);
CREATE INDEX ix_observed_change ON observed (change);
CREATE TABLE group_members (
	indicator_id BIGINT NOT NULL, 
	group_id BIGINT NOT NULL, 
	CONSTRAINT pk_group_members PRIMARY KEY (indicator_id, group_id), 
	CONSTRAINT fk_group_members_indicator_id FOREIGN KEY(indicator_id) REFERENCES indicators (id), 
	CONSTRAINT fk_group_members_group_id FOREIGN KEY(group_id) REFERENCES groups (id)
);
CREATE TABLE held_pages (
	epoch_id BIGINT NOT NULL, 
	leaf BIGINT NOT NULL, 
	version BIGINT NOT NULL, 
	operations BYTEA NOT NULL, 
	tags BYTEA NOT NULL, 
	sealed BYTEA NOT NULL, 
	owners BYTEA NOT NULL, 
	CONSTRAINT pk_held_pages PRIMARY KEY (epoch_id, leaf), 
	CONSTRAINT fk_held_pages_epoch_id FOREIGN KEY(epoch_id) REFERENCES held_epochs (id)
);
CREATE TABLE own_tags (
	epoch_id BIGINT NOT NULL, 
	indicator_id BIGINT NOT NULL, 
	tag BYTEA NOT NULL, 
	label_key BYTEA NOT NULL, 
	half BIGINT NOT NULL, 
	CONSTRAINT pk_own_tags PRIMARY KEY (epoch_id, indicator_id), 
	CONSTRAINT fk_own_tags_epoch_id FOREIGN KEY(epoch_id) REFERENCES asked_epochs (id)
);
CREATE TABLE peer_pages (
	epoch_id BIGINT NOT NULL, 
	leaf BIGINT NOT NULL, 
	version BIGINT NOT NULL, 
	operations BYTEA NOT NULL, 
	tags BYTEA NOT NULL, 
	sealed BYTEA NOT NULL, 
	CONSTRAINT pk_peer_pages PRIMARY KEY (epoch_id, leaf), 
	CONSTRAINT fk_peer_pages_epoch_id FOREIGN KEY(epoch_id) REFERENCES asked_epochs (id)
);
CREATE TABLE chunks (
	round_id BYTEA NOT NULL, 
	chunk_index BIGINT NOT NULL, 
	request BYTEA NOT NULL, 
	count INTEGER NOT NULL, 
	evaluated BYTEA, 
	proof BYTEA, 
	blinded BYTEA, 
	CONSTRAINT pk_chunks PRIMARY KEY (round_id, chunk_index), 
	CONSTRAINT fk_chunks_round_id FOREIGN KEY(round_id) REFERENCES rounds (id)
);
CREATE TABLE partial_matches (
	peer BYTEA NOT NULL, 
	kind SMALLINT NOT NULL, 
	indicator_id BIGINT NOT NULL, 
	round_id BYTEA NOT NULL, 
	severity SMALLINT NOT NULL, 
	confidence SMALLINT NOT NULL, 
	label BYTEA NOT NULL, 
	expires BIGINT NOT NULL, 
	CONSTRAINT pk_partial_matches PRIMARY KEY (peer, kind, indicator_id), 
	CONSTRAINT fk_partial_matches_indicator_id FOREIGN KEY(indicator_id) REFERENCES indicators (id), 
	CONSTRAINT fk_partial_matches_round_id FOREIGN KEY(round_id) REFERENCES rounds (id)
);
CREATE TABLE group_matches (
	event BIGINT NOT NULL, 
	peer BYTEA NOT NULL, 
	kind SMALLINT NOT NULL, 
	group_id BIGINT NOT NULL, 
	round_id BYTEA NOT NULL, 
	label BYTEA NOT NULL, 
	expires BIGINT NOT NULL, 
	tokens INTEGER NOT NULL, 
	first_matched BIGINT NOT NULL, 
	ended_at BIGINT NOT NULL, 
	CONSTRAINT pk_group_matches PRIMARY KEY (event), 
	CONSTRAINT uq_group_matches_peer_kind_group_id UNIQUE (peer, kind, group_id), 
	CONSTRAINT fk_group_matches_group_id FOREIGN KEY(group_id) REFERENCES groups (id), 
	CONSTRAINT fk_group_matches_round_id FOREIGN KEY(round_id) REFERENCES rounds (id)
);
CREATE TABLE sightings (
	peer BYTEA NOT NULL, 
	indicator_id BIGINT NOT NULL, 
	round_id BYTEA NOT NULL, 
	reported_at BIGINT NOT NULL, 
	CONSTRAINT pk_sightings PRIMARY KEY (peer, indicator_id), 
	CONSTRAINT fk_sightings_indicator_id FOREIGN KEY(indicator_id) REFERENCES indicators (id), 
	CONSTRAINT fk_sightings_round_id FOREIGN KEY(round_id) REFERENCES rounds (id)
);
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'the log is append-only'; END $$;
CREATE TRIGGER log_refuses BEFORE UPDATE OR DELETE OR TRUNCATE ON log EXECUTE FUNCTION refuse_change();
CREATE TRIGGER log_nodes_refuses BEFORE UPDATE OR DELETE OR TRUNCATE ON log_nodes EXECUTE FUNCTION refuse_change();
CREATE TRIGGER cosignatures_refuses BEFORE UPDATE OR DELETE OR TRUNCATE ON cosignatures EXECUTE FUNCTION refuse_change();
CREATE TRIGGER peer_checkpoints_refuses BEFORE UPDATE OR DELETE OR TRUNCATE ON peer_checkpoints EXECUTE FUNCTION refuse_change();
CREATE TRIGGER caught_refuses BEFORE UPDATE OR DELETE OR TRUNCATE ON caught EXECUTE FUNCTION refuse_change();
