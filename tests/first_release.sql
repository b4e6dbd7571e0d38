-- A database of the first release, as sqlite3 dumps it.
BEGIN TRANSACTION;
CREATE TABLE annotations (
	id INTEGER NOT NULL, 
	experiment_id INTEGER NOT NULL, 
	round INTEGER NOT NULL, 
	image INTEGER NOT NULL, 
	"key" TEXT NOT NULL, 
	label INTEGER, 
	cleared BOOLEAN NOT NULL, 
	annotator TEXT NOT NULL, 
	created_at DATETIME NOT NULL, 
	event VARCHAR(64), 
	milliseconds INTEGER, 
	PRIMARY KEY (id), 
	UNIQUE (experiment_id, event), 
	FOREIGN KEY(experiment_id) REFERENCES experiments (id)
);
INSERT INTO "annotations" VALUES(1,1,0,3,'k',2,0,'ada','2026-01-01 00:00:00',NULL,NULL);
CREATE TABLE batches (
	id INTEGER NOT NULL, 
	experiment_id INTEGER NOT NULL, 
	round INTEGER NOT NULL, 
	strategy VARCHAR(64) NOT NULL, 
	images JSON NOT NULL, 
	scores JSON, 
	created_at DATETIME NOT NULL, 
	handed_in_at DATETIME, 
	PRIMARY KEY (id), 
	UNIQUE (experiment_id, round), 
	FOREIGN KEY(experiment_id) REFERENCES experiments (id)
);
INSERT INTO "batches" VALUES(1,1,0,'random','[3]',NULL,'2026-01-01 00:00:00','2026-01-01 00:00:00');
INSERT INTO "batches" VALUES(2,1,1,'margin','[4, 5]','[-0.1, -0.2]','2026-01-01 00:00:00',NULL);
CREATE TABLE experiments (
	id INTEGER NOT NULL, 
	name VARCHAR(200) NOT NULL, 
	config JSON NOT NULL, 
	fingerprint VARCHAR(64) NOT NULL, 
	pool_size INTEGER NOT NULL, 
	created_at DATETIME NOT NULL, 
	deleted_at DATETIME, 
	PRIMARY KEY (id)
);
INSERT INTO "experiments" VALUES(1,'old','{"seed": 1}','f',9,'2026-01-01 00:00:00',NULL);
CREATE TABLE rounds (
	id INTEGER NOT NULL, 
	experiment_id INTEGER NOT NULL, 
	round INTEGER NOT NULL, 
	labeled INTEGER NOT NULL, 
	metrics JSON, 
	history JSON NOT NULL, 
	train_seconds FLOAT NOT NULL, 
	evaluate_seconds FLOAT NOT NULL, 
	score_seconds FLOAT NOT NULL, 
	select_seconds FLOAT NOT NULL, 
	images_scored INTEGER NOT NULL, 
	created_at DATETIME NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE (experiment_id, round), 
	FOREIGN KEY(experiment_id) REFERENCES experiments (id)
);
INSERT INTO "rounds" VALUES(1,1,0,1,'{"accuracy": 0.5}','[[1.0, 2.0, 0.5]]',1.0,2.0,3.0,0.1,8,'2026-01-01 00:00:00');
CREATE UNIQUE INDEX one_live_experiment_per_name ON experiments (name) WHERE deleted_at IS NULL;
CREATE INDEX ix_batches_experiment_id ON batches (experiment_id);
CREATE INDEX ix_annotations_experiment_id ON annotations (experiment_id);
CREATE INDEX ix_rounds_experiment_id ON rounds (experiment_id);
COMMIT;
