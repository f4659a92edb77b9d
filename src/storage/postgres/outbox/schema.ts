import { defaultLimits } from '../../encode.ts'
import { literal } from '../literal.ts'
import type { Names } from '../names.ts'

/** The processor under whose checkpoint the cursor of what has been moved is kept. */
export const outboxProcessor = 'outbox'

/** How many tables take turns: one is filled, one is emptied, and one is in reserve for when somebody's open transaction pins another. */
const slots: readonly number[] = [0, 1, 2]

/** Sees nothing: the first transaction of a cluster has the id 3. */
export const nothingSeen = '3:3:'

/**
 * Whether transaction ids in the checkpoint mean nothing here: it was copied from another server, or made by one that is lost and whose last
 * transactions this one never had.
 */
function isForeign(state: string, cluster: string, snapshot: string): string {
  return `coalesce(${state} ->> 'cluster' <> ${cluster} OR pg_snapshot_xmax((${state} ->> 'seen')::pg_snapshot) > pg_snapshot_xmax(${snapshot}), false)`
}

/** What the log takes. Checked in the statement that inserts: a CHECK would be planned anew by each, which takes longer than all the rest. */
const names = ['stream', 'type', 'id', 'source', '"correlationId"', '"causationId"']
const isFit = [
  ...names.map((name) => `octet_length(e.${name}) BETWEEN 1 AND ${defaultLimits.maxNameBytes}`),
  "e.stream !~ '[\\x01-\\x1f\\x7f]'",
  'e."schemaVersion" > 0',
  "coalesce(json_typeof(e.tags), 'array') = 'array'",
  "coalesce(json_typeof(e.metadata), 'object') = 'object'",
].join(' AND ')

/**
 * Where the events of users' transactions wait to be moved into the log. Rows are only inserted; a table is emptied by TRUNCATE when all in it
 * is in the log, so that a snapshot which somebody holds has no dead rows to keep. Vacuum would find nothing to do, and its lock would only
 * keep TRUNCATE away.
 *
 * `staged_events` is written when the user publishes, `staged_order` when his transaction commits: its number is taken while he still holds all
 * of his locks, so that of two transactions of which one waited for the other, the one that went first has the lower number.
 */
export function stagingTables({ schema }: Names): string {
  const partitions = slots.flatMap((slot) =>
    ['staged_events', 'staged_order'].map(
      (table) =>
        `CREATE TABLE ${schema}.${table}_${slot} PARTITION OF ${schema}.${table} FOR VALUES IN (${slot}) WITH (autovacuum_enabled = off);`,
    ),
  )
  return `
-- Its value, not its next one, says into which table is written. A sequence, because whoever has an old snapshot must see the change as well.
CREATE SEQUENCE ${schema}.staging_slot MINVALUE 0 START 0;
CREATE SEQUENCE ${schema}.staged_calls;
CREATE SEQUENCE ${schema}.staged_numbers;

CREATE TABLE ${schema}.staged_events (
  slot smallint NOT NULL,
  call bigint NOT NULL,
  place integer NOT NULL, -- within the call, from 1
  time_ms bigint NOT NULL,
  schema_version integer NOT NULL,
  stream text COLLATE "C" NOT NULL,
  type text COLLATE "C" NOT NULL,
  id text COLLATE "C" NOT NULL,
  source text COLLATE "C" NOT NULL,
  correlation_id text COLLATE "C" NOT NULL,
  causation_id text COLLATE "C" NOT NULL,
  metadata json,
  tags json,
  data json NOT NULL,
  PRIMARY KEY (slot, call, place)
) PARTITION BY LIST (slot);

CREATE TABLE ${schema}.staged_order (
  slot smallint NOT NULL,
  number bigint NOT NULL,
  call bigint NOT NULL,
  xid xid8 NOT NULL, -- of the transaction that staged it
  PRIMARY KEY (number, slot) -- in this order, because it is walked by number
) PARTITION BY LIST (slot);
CREATE INDEX ON ${schema}.staged_order (xid);
${partitions.join('\n')}`
}

/**
 * `stage` and `take_number` run with the rights of the store's owner, so that the role of a user's transaction needs none on the tables, and
 * can read nobody else's events. Their search path is fixed for the same reason.
 */
export function stagingFunctions({ schema }: Names): string {
  const isUnseen = `xid >= pg_snapshot_xmax(p_seen) OR xid = ANY (ARRAY(SELECT pg_snapshot_xip(p_seen)))`
  return `
-- Events as a JSON array; returns how many. One text in, one number out: every client and every way of sending statements can do that.
CREATE FUNCTION ${schema}.stage(p_events text) RETURNS integer LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  v_call bigint := nextval('${schema}.staged_calls');
  v_count integer;
BEGIN
  IF current_setting('session_replication_role') = 'replica' THEN
    RAISE 'no event can be published while session_replication_role is replica: the trigger that gives it its place is left out then';
  END IF;
  INSERT INTO ${schema}.staged_events (
    slot, call, place, time_ms, schema_version, stream, type, id, source, correlation_id, causation_id, metadata, tags, data
  )
  SELECT
    (SELECT last_value FROM ${schema}.staging_slot), v_call, e.place, e."timeMs", e."schemaVersion",
    -- What the log would refuse fails here, as a stream that is missing: in the middle of the queue it would stop everybody.
    CASE WHEN ${isFit} THEN e.stream END, e.type, e.id, e.source,
    e."correlationId", e."causationId", e.metadata, e.tags,
    coalesce(e.data, 'null')
  FROM ROWS FROM (
    json_to_recordset(p_events::json) AS (
      "timeMs" bigint, "schemaVersion" integer, stream text, type text, id text, source text, "correlationId" text, "causationId" text,
      metadata json, tags json, data json
    )
  ) WITH ORDINALITY AS e (
    "timeMs", "schemaVersion", stream, type, id, source, "correlationId", "causationId", metadata, tags, data, place
  );
  GET DIAGNOSTICS v_count = ROW_COUNT;
  RETURN v_count;
END $$;
REVOKE EXECUTE ON FUNCTION ${schema}.stage(text) FROM PUBLIC;

CREATE FUNCTION ${schema}.take_number() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  INSERT INTO ${schema}.staged_order (slot, number, call, xid)
  VALUES (NEW.slot, nextval('${schema}.staged_numbers'), NEW.call, pg_current_xact_id());
  RETURN NULL;
END $$;
-- Once a call: its events stay together.
CREATE CONSTRAINT TRIGGER take_number AFTER INSERT ON ${schema}.staged_events DEFERRABLE INITIALLY DEFERRED
  FOR EACH ROW WHEN (NEW.place = 1) EXECUTE FUNCTION ${schema}.take_number();

-- Where the processor is, always as committed: what a process remembers may be ahead of a server that was restored, or that took over. first is
-- the lowest number of the calls that are to be moved next; of the bare column, it would be looked for by walking all numbers from the first.
CREATE FUNCTION ${schema}.staging_tick(
  p_anew boolean, OUT state json, OUT cluster text, OUT snapshot pg_snapshot, OUT is_foreign boolean, OUT first bigint
) LANGUAGE plpgsql STABLE SET enable_seqscan = off SET plan_cache_mode = force_generic_plan SET jit = off AS $$
DECLARE
  p_seen pg_snapshot;
BEGIN
  cluster := (SELECT system_identifier FROM pg_control_system());
  snapshot := pg_current_snapshot();
  IF NOT p_anew THEN
    state := (SELECT p.state FROM ${schema}.processors p WHERE p.processor = ${literal(outboxProcessor)});
  END IF;
  p_seen := coalesce(state ->> 'seen', '${nothingSeen}');
  is_foreign := ${isForeign('state', 'cluster', 'snapshot')};
  IF is_foreign OR state ->> 'until' IS NOT NULL THEN
    RETURN;
  END IF;
  first := (
    SELECT min(o.number + 0) FROM (
      SELECT number FROM ${schema}.staged_order WHERE xid >= pg_snapshot_xmax(p_seen)
      UNION ALL
      SELECT number FROM ${schema}.staged_order WHERE xid = ANY (ARRAY(SELECT pg_snapshot_xip(p_seen)))
    ) AS o
  );
END $$;

-- What p_until sees and p_seen did not, in order, after an event. The last row says whether it is the last one there is.
CREATE FUNCTION ${schema}.read_staged(
  p_seen pg_snapshot, p_until pg_snapshot, p_number bigint, p_place integer, p_limit integer, p_max_bytes bigint
) RETURNS TABLE (
  number bigint, place integer, is_last boolean, stream text, type text, schema_version integer, id text, source text, time_ms bigint,
  correlation_id text, causation_id text, metadata json, tags json, data json
) LANGUAGE plpgsql STABLE SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off SET enable_hashjoin = off
SET enable_mergejoin = off SET plan_cache_mode = force_generic_plan SET jit = off AS $$
BEGIN
  RETURN QUERY
  WITH calls AS MATERIALIZED (
    SELECT o.slot, o.number, o.call FROM ${schema}.staged_order o
    WHERE o.number >= p_number AND NOT pg_visible_in_snapshot(o.xid, p_seen) AND pg_visible_in_snapshot(o.xid, p_until)
    ORDER BY o.number LIMIT p_limit + 1 -- the first may be the call that was read last
  ), found AS (
    SELECT c.number AS of_call, e.*, octet_length(e.data::text) AS bytes
    FROM calls c JOIN ${schema}.staged_events e ON e.slot = c.slot AND e.call = c.call
    WHERE c.number > p_number OR e.place > p_place
  ), measured AS (
    SELECT f.*, sum(f.bytes) OVER in_order - f.bytes AS bytes_before, row_number() OVER in_order AS nth, count(*) OVER () AS total
    FROM found f WINDOW in_order AS (ORDER BY f.of_call, f.place)
  )
  SELECT
    m.of_call, m.place, m.nth = m.total AND (SELECT count(*) FROM calls) <= p_limit, m.stream, m.type, m.schema_version, m.id, m.source,
    m.time_ms, m.correlation_id, m.causation_id, m.metadata, m.tags, m.data
  FROM measured m WHERE m.bytes_before < p_max_bytes ORDER BY m.of_call, m.place LIMIT p_limit;
END $$;

-- Empties what can be emptied and moves on to an empty table; false while there is something left to empty. What is in the log is read from
-- the checkpoint, so that no caller can be mistaken about it.
CREATE FUNCTION ${schema}.rotate_staging() RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
DECLARE
  v_state json := (SELECT state FROM ${schema}.processors WHERE processor = ${literal(outboxProcessor)});
  p_seen pg_snapshot := v_state ->> 'seen';
  v_current bigint := (SELECT last_value FROM ${schema}.staging_slot);
  v_free bigint;
  v_left boolean := false;
  v_unseen boolean;
BEGIN
  IF p_seen IS NULL OR ${isForeign('v_state', '(SELECT system_identifier::text FROM pg_control_system())', 'pg_current_snapshot()')} THEN
    RETURN false;
  END IF;
  FOR v_slot IN ${slots.at(0)} .. ${slots.at(-1)} LOOP
    CONTINUE WHEN v_slot = v_current;
    IF pg_relation_size('${schema}.staged_events_' || v_slot) > 0 THEN
      BEGIN
        -- Never waits: behind a request for this lock, whoever comes next would wait as well. Whoever has staged something here and not yet
        -- committed holds a lock, so that with this one there is nothing in the tables that a new snapshot does not see.
        EXECUTE format('LOCK TABLE ONLY ${schema}.staged_events_%1$s, ONLY ${schema}.staged_order_%1$s IN ACCESS EXCLUSIVE MODE NOWAIT', v_slot);
        SELECT EXISTS (SELECT FROM ${schema}.staged_order WHERE slot = v_slot AND (${isUnseen})) INTO v_unseen;
        IF v_unseen THEN
          v_left := true;
          CONTINUE;
        END IF;
        EXECUTE format('TRUNCATE ONLY ${schema}.staged_events_%1$s, ONLY ${schema}.staged_order_%1$s', v_slot);
      EXCEPTION WHEN lock_not_available THEN
        v_left := true;
        CONTINUE;
      END;
    END IF;
    v_free := v_slot;
  END LOOP;
  IF pg_relation_size('${schema}.staged_events_' || v_current) > 0 THEN
    v_left := true;
    IF v_free IS NOT NULL THEN
      PERFORM setval('${schema}.staging_slot', v_free);
    END IF;
  END IF;
  RETURN NOT v_left;
END $$;`
}
