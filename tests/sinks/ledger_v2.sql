-- A ledger as version 2 of the schema had it: three crossings, a correction, a stay.
PRAGMA application_id = 1297371724;
PRAGMA user_version = 2;
BEGIN TRANSACTION;
CREATE TABLE editions (stream TEXT NOT NULL, edition INTEGER NOT NULL, at_ms INTEGER NOT NULL,
       PRIMARY KEY (stream, edition)) STRICT, WITHOUT ROWID;
CREATE TABLE ledger (row INTEGER PRIMARY KEY, edition INTEGER NOT NULL DEFAULT 1, "key" TEXT NOT NULL, "kind" TEXT NOT NULL, "stream" TEXT NOT NULL, "time_s" REAL NOT NULL, "utc_ms" INTEGER, "place" TEXT NOT NULL, "direction" TEXT NOT NULL, "identity" INTEGER NOT NULL, "class" TEXT NOT NULL, "before_time_s" REAL, "before_x" REAL, "before_y" REAL, "after_time_s" REAL, "after_x" REAL, "after_y" REAL, "since_s" REAL, "stay_entered_s" REAL, "stay_left_s" REAL, "stay_dwell_s" REAL, "stay_seen_s" REAL, "stay_hidden_s" REAL, "stay_began" TEXT, "stay_end" TEXT, "bridged" INTEGER NOT NULL, "was_class" TEXT NOT NULL, "was_identity" INTEGER NOT NULL, "revision" INTEGER NOT NULL, "semantics" INTEGER NOT NULL,
       UNIQUE (key, edition)) STRICT;
INSERT INTO "ledger" VALUES(1,1,'gate|crossing|door|out|1|u1774746000000','crossing','gate',0.0,1774746000000,'door','out',1,'person',-0.1,0.25,0.5,0.1,0.75,0.5,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,'',0,3,1);
INSERT INTO "ledger" VALUES(2,1,'gate|crossing|door|in|2|u1774746001000','crossing','gate',1.0,1774746001000,'door','in',2,'person',0.9,0.25,0.5,1.1,0.75,0.5,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,'',0,3,1);
INSERT INTO "ledger" VALUES(3,1,'gate|crossing|door|in|3|u1774746002000','crossing','gate',2.0,1774746002000,'door','in',3,'person',1.9,0.25,0.5,2.1,0.75,0.5,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,'',0,3,1);
INSERT INTO "ledger" VALUES(4,1,'gate|rekeyed|||9|u1774746004000','rekeyed','gate',4.0,1774746004000,'','',9,'car',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,'',2,0,1);
INSERT INTO "ledger" VALUES(5,1,'gate|enter|yard||9|u1774746005000','enter','gate',5.0,1774746005000,'yard','',9,'person',NULL,NULL,NULL,NULL,NULL,NULL,NULL,5.0,NULL,NULL,NULL,0.0,'entered','open',0,'',0,0,1);
INSERT INTO "ledger" VALUES(6,1,'gate|leave|yard||9|u1774746008500','leave','gate',8.5,1774746008500,'yard','',9,'person',NULL,NULL,NULL,NULL,NULL,NULL,NULL,5.0,8.5,3.5,3.0,0.5,'entered','left',0,'',0,0,1);
CREATE TRIGGER append_only BEFORE UPDATE ON ledger
       BEGIN SELECT RAISE(ABORT, 'the ledger is append-only: rows are added, never changed'); END;
CREATE INDEX events_by_time ON ledger (kind, utc_ms);
CREATE INDEX events_by_stream ON ledger (stream, utc_ms);
CREATE INDEX corrections ON ledger (stream, identity) WHERE kind IN ('reclassified', 'rekeyed');
CREATE INDEX stay_ends ON ledger (stream, place, identity, utc_ms) WHERE kind IN ('enter', 'leave');
CREATE VIEW events AS SELECT row, "key", "kind", "stream", "time_s", "utc_ms", "place", "direction", "identity", "class", "before_time_s", "before_x", "before_y", "after_time_s", "after_x", "after_y", "since_s", "stay_entered_s", "stay_left_s", "stay_dwell_s", "stay_seen_s", "stay_hidden_s", "stay_began", "stay_end", "bridged", "was_class", "was_identity", "revision", "semantics" FROM ledger
       WHERE edition = coalesce((SELECT max(edition) FROM editions WHERE editions.stream = ledger.stream), 1);
CREATE VIEW renamed AS
       WITH RECURSIVE
         last(stream, was, now) AS (
           SELECT stream, was_identity, identity FROM (
             SELECT stream, was_identity, identity, max(row) FROM events
             WHERE kind IN ('reclassified', 'rekeyed') AND kind = 'rekeyed' GROUP BY stream, was_identity)),
         chain(stream, was, now, depth) AS (
           SELECT stream, was, now, 1 FROM last
           UNION ALL
           SELECT chain.stream, chain.was, last.now, depth + 1 FROM chain
           JOIN last ON last.stream = chain.stream AND last.was = chain.now WHERE depth < 64)
       SELECT stream, was, now FROM (SELECT stream, was, now, max(depth) FROM chain GROUP BY stream, was);
CREATE VIEW final_classes AS
       SELECT stream, identity, class FROM (
         SELECT events.stream AS stream, coalesce(renamed.now, events.identity) AS identity, class, max(row)
         FROM events LEFT JOIN renamed ON renamed.stream = events.stream AND renamed.was = events.identity
         WHERE kind IN ('reclassified', 'rekeyed') GROUP BY 1, 2);
CREATE VIEW counted AS
       SELECT events.row, events.kind, events.stream, events.place, events.direction,
         coalesce(renamed.now, events.identity) AS identity, coalesce(final_classes.class, events.class) AS class,
         coalesce(events.utc_ms, CAST(round(events.time_s * 1000) AS INTEGER))
           - CASE events.kind WHEN 'flow'
             THEN coalesce(CAST(round((events.time_s - events.since_s) * 1000) AS INTEGER), 0) ELSE 0 END AS at_ms,
         events.utc_ms IS NOT NULL AS utc,
         CASE events.kind WHEN 'crossing' THEN 1 WHEN 'flow' THEN 1 WHEN 'enter' THEN events.stay_began = 'entered'
           WHEN 'leave' THEN events.stay_end = 'left' WHEN 'loitering' THEN events.since_s IS NULL ELSE 0 END AS counts,
         events.time_s, events.utc_ms, events.since_s, events.stay_entered_s, events.stay_left_s,
         events.stay_hidden_s, events.stay_began, events.stay_end, events.revision, events.semantics
       FROM events
       LEFT JOIN renamed ON renamed.stream = events.stream AND renamed.was = events.identity
       LEFT JOIN final_classes ON final_classes.stream = events.stream
         AND final_classes.identity = coalesce(renamed.now, events.identity);
CREATE VIEW outages AS
       WITH states AS (SELECT row, stream, kind, time_s, since_s, utc_ms IS NOT NULL AS utc,
           coalesce(utc_ms, CAST(round(time_s * 1000) AS INTEGER)) AS at_ms
         FROM events WHERE kind IN ('gap', 'camera_moved', 'frozen', 'covered', 'dark'))
       SELECT stream, kind, at_ms - CAST(round((time_s - since_s) * 1000) AS INTEGER) AS from_ms, at_ms AS to_ms, utc
       FROM states WHERE since_s IS NOT NULL
       UNION ALL
       SELECT stream, kind, min(at_ms), (SELECT max(coalesce(utc_ms, CAST(round(time_s * 1000) AS INTEGER)))
           FROM events WHERE events.stream = began.stream AND (utc_ms IS NOT NULL) = began.utc), utc
       FROM states AS began WHERE since_s IS NULL
         AND NOT EXISTS (SELECT 1 FROM states AS later WHERE later.stream = began.stream AND later.kind = began.kind
           AND later.since_s IS NOT NULL AND later.row > began.row)
       GROUP BY stream, kind, utc;
CREATE VIEW counts_15min AS
       SELECT bins.*, strftime('%Y-%m-%dT%H:%M:%SZ', bin_ms / 1000, 'unixepoch') AS bin_utc,
         EXISTS (SELECT 1 FROM outages WHERE outages.stream = bins.stream AND outages.utc
           AND outages.from_ms < bins.bin_ms + 900000 AND outages.to_ms >= bins.bin_ms) AS outage
       FROM (SELECT stream, kind, place, direction, class, semantics, at_ms / 900000 * 900000 AS bin_ms,
           count(*) AS count
         FROM counted WHERE counts AND utc
         GROUP BY 1, 2, 3, 4, 5, 6, 7) AS bins;
CREATE VIEW stays AS
       SELECT stream, place, identity, class, semantics, stay_entered_s AS entered_s, stay_left_s AS left_s,
         stay_left_s - stay_entered_s AS dwell_s, stay_hidden_s AS hidden_s, stay_began AS began,
         CASE kind WHEN 'leave' THEN stay_end END AS "end",
         utc_ms - CAST(round((time_s - stay_entered_s) * 1000) AS INTEGER) AS entered_ms,
         CASE WHEN stay_left_s IS NOT NULL THEN utc_ms END AS left_ms,
         stay_began = 'entered' AND kind = 'leave' AND stay_end = 'left' AS closed
       FROM (
         SELECT *, max(CASE WHEN kind <> 'leave' THEN 0 WHEN stay_end IN ('left', 'lost') THEN 2e15 ELSE 1e15 END
             + at) AS best
         FROM (
           SELECT *, coalesce(utc_ms, time_s * 1000) AS at,
             sum(kind = 'enter') OVER (PARTITION BY stream, place, identity
               ORDER BY coalesce(utc_ms, time_s * 1000), row) AS visit
           FROM counted WHERE kind IN ('enter', 'leave'))
         GROUP BY stream, place, identity, visit);
COMMIT;

