import { expectations } from './expectation.ts'
import { splitJson } from './literal.ts'
import type { Names } from './names.ts'

/** What the functions say of a write set; 0 is committed. The lowest that applies wins. */
export const refusals = { fenced: 1, inInbox: 2, receiptExists: 3, duplicateId: 4, versionConflict: 5, conditionFailed: 6 } as const

/**
 * A commit is one call of one function, in a transaction of its own. The functions judge and write; they trust the caller only in what
 * `StorageDriver.commit` demands of its callers.
 *
 * Locks are taken in this order, here and everywhere: rows of processors, by name; entries of the inbox, by consumer and message; the order
 * lock; rows of documents, by collection and key; rows of snapshots. The rows of processors come first because somebody may hold one for long (a
 * process that was stopped in the middle of a SQL projection): whoever waits for it must not hold the order lock meanwhile, for which everybody
 * waits; nor whoever waits for somebody who has finished the same message and waits for the order lock. The order lock comes before
 * anything of the log is read. In READ COMMITTED each statement sees all that was committed before it began, so the holder of the lock sees
 * all that its predecessors wrote; under other isolation levels it would not, and the functions refuse.
 */
export function commitFunctions(names: Names): string {
  return [commitOne(names), commitSets(names)].join('\n')
}

// Without SET clauses, which are paid for at each call: each of its lookups can only be done by the index that it is written for.
function commitOne({ schema, orderLock }: Names): string {
  return `
-- One set that appends one event, with a receipt or not: {0, position, version}, else {refusal, actual version}.
CREATE FUNCTION ${schema}.commit_one(
  p_stream text, p_expected bigint,
  p_type text, p_schema_version integer, p_id text, p_source text, p_time_ms bigint, p_correlation_id text, p_causation_id text,
  p_data json, p_metadata json, p_tags json,
  p_command_id text, p_target text, p_payload_hash text, p_receipt_version bigint
) RETURNS bigint[] LANGUAGE plpgsql AS $$
DECLARE
  v_position bigint;
  v_version bigint;
BEGIN
  ${prelude}
  PERFORM pg_advisory_xact_lock(${orderLock});
  -- Not in one condition: knowing that there is no command id, PostgreSQL would plan the query anew each time.
  IF p_command_id IS NOT NULL THEN
    IF EXISTS (SELECT FROM ${schema}.receipts WHERE command_id = p_command_id) THEN
      RETURN ARRAY[${refusals.receiptExists}];
    END IF;
  END IF;
  INSERT INTO ${schema}.events (
    position, version, time_ms, schema_version, stream, type, id, source, correlation_id, causation_id, metadata, tags, data
  )
  SELECT head + 1, current + 1, p_time_ms, p_schema_version, p_stream, p_type, p_id, p_source, p_correlation_id, p_causation_id,
    p_metadata, p_tags, p_data
  FROM (
    SELECT
      ${head(schema)} AS head,
      ${currentVersion(schema, 'p_stream')} AS current,
      ${isStored(schema, 'p_id', 'p_source')} AS stored
    OFFSET 0
  ) AS log
  WHERE stored IS NULL AND ${isMet('p_expected', 'current')}
  RETURNING position, version INTO v_position, v_version;
  IF NOT FOUND THEN
    IF ${isStored(schema, 'p_id', 'p_source')} THEN
      RETURN ARRAY[${refusals.duplicateId}];
    END IF;
    RETURN ARRAY[${refusals.versionConflict}, ${currentVersion(schema, 'p_stream')}];
  END IF;
  IF p_tags IS NOT NULL THEN
    INSERT INTO ${schema}.event_tags (tag, position) SELECT DISTINCT tag, v_position FROM json_array_elements_text(p_tags) AS t (tag);
  END IF;
  IF p_command_id IS NOT NULL THEN
    INSERT INTO ${schema}.receipts (command_id, target, payload_hash, version, first_position, position, event_count)
    VALUES (p_command_id, p_target, p_payload_hash, p_receipt_version, v_position, v_position, 1);
  END IF;
  RETURN ARRAY[0, v_position, v_version];
END $$;`
}

/*
 * Set-based: events and their streams come in arrays that are looked up and inserted with one statement each; what is rarer comes as JSON, null
 * where no set has any. The settings make every lookup use its index also where the tables have never been analysed, and keep the plans.
 */
function commitSets({ schema, orderLock }: Names): string {
  return `
-- Any sets, numbered from 1. head: before; versions: of each append's stream, before; verdicts: null when all sets are committed;
-- details: of a fenced set the actual epoch, of a failed condition the position.
CREATE FUNCTION ${schema}.commit_sets(
  p_sets integer, p_takes_order boolean,
  p_append_sets integer[], p_append_streams text[], p_append_expected bigint[],
  -- Of each event: its append, its place among the events, and among those of its stream.
  p_appends integer[], p_numbers integer[], p_offsets integer[],
  p_streams text[], p_types text[], p_schema_versions integer[], p_ids text[], p_sources text[], p_times_ms bigint[],
  p_correlation_ids text[], p_causation_ids text[], p_data text, p_metadata text, p_tags text[],
  p_checkpoints json, p_receipts json, p_conditions json, p_snapshots json, p_states text[], p_documents json, p_document_values text[],
  p_inbox_sets integer[], p_inbox_consumers text[], p_inbox_ids text[], p_inbox_sources text[],
  OUT head bigint, OUT versions bigint[], OUT verdicts integer[], OUT details bigint[]
) LANGUAGE plpgsql SET enable_seqscan = off SET plan_cache_mode = force_generic_plan SET jit = off AS $$
DECLARE
  v_verdicts integer[] := array_fill(0, ARRAY[p_sets]);
  v_details bigint[] := array_fill(0::bigint, ARRAY[p_sets]);
  v_refused integer[];
  v_set integer;
  v_found bigint;
  v_position bigint;
  v_row record;
BEGIN
  ${prelude}
  IF p_checkpoints IS NOT NULL THEN
    FOR v_row IN
      SELECT * FROM json_to_recordset(p_checkpoints) AS c (set integer, processor text, epoch bigint, position bigint) ORDER BY processor COLLATE "C"
    LOOP
      SELECT epoch, position INTO v_found, v_position FROM ${schema}.processors WHERE processor = v_row.processor FOR NO KEY UPDATE;
      IF v_found IS DISTINCT FROM v_row.epoch OR v_row.position < v_position THEN
        v_verdicts[v_row.set] := ${refusals.fenced};
        v_details[v_row.set] := coalesce(v_found, 0);
      END IF;
    END LOOP;
  END IF;

  IF p_inbox_sets IS NOT NULL THEN
    SELECT array_agg(m.set) INTO v_refused FROM ${inboxMessages} WHERE
      (SELECT true FROM ${schema}.inbox i WHERE i.consumer = m.consumer AND i.id = m.id AND i.source = m.source);
    IF v_refused IS NOT NULL THEN
      FOREACH v_set IN ARRAY v_refused LOOP
        ${refuse(refusals.inInbox)}
      END LOOP;
    END IF;
    WITH made AS (
      INSERT INTO ${schema}.inbox (consumer, id, source, time_ms)
      SELECT m.consumer, m.id, m.source, (extract(epoch FROM clock_timestamp()) * 1000)::bigint FROM ${inboxMessages}
      WHERE v_verdicts[m.set] = 0 ORDER BY m.consumer COLLATE "C", m.id COLLATE "C", m.source COLLATE "C" ON CONFLICT DO NOTHING RETURNING 1
    ) SELECT count(*) - (SELECT count(*) FROM ${inboxMessages} WHERE v_verdicts[m.set] = 0) INTO v_found FROM made;
    IF v_found < 0 THEN
      RAISE 'somebody else has finished the same message at this moment' USING ERRCODE = 'serialization_failure';
    END IF;
  END IF;

  IF p_takes_order THEN
    PERFORM pg_advisory_xact_lock(${orderLock});
    head := ${head(schema)};

    IF p_receipts IS NOT NULL THEN
      FOR v_set IN
        SELECT r.set FROM json_to_recordset(p_receipts) AS r (set integer, command_id text)
        WHERE (SELECT true FROM ${schema}.receipts s WHERE s.command_id = r.command_id)
      LOOP
        ${refuse(refusals.receiptExists)}
      END LOOP;
    END IF;

    SELECT array_agg(p_append_sets[e.append]) INTO v_refused FROM unnest(p_ids, p_sources, p_appends) AS e (id, source, append)
    WHERE ${isStored(schema, 'e.id', 'e.source')};
    IF v_refused IS NOT NULL THEN
      FOREACH v_set IN ARRAY v_refused LOOP
        ${refuse(refusals.duplicateId)}
      END LOOP;
    END IF;

    SELECT array_agg(${currentVersion(schema, 'a.stream')} ORDER BY a.place) INTO versions
    FROM unnest(p_append_streams) WITH ORDINALITY AS a (stream, place);
    SELECT array_agg(a.set) INTO v_refused FROM unnest(p_append_sets, p_append_expected, versions) AS a (set, expected, current)
    WHERE NOT ${isMet('a.expected', 'a.current')};
    IF v_refused IS NOT NULL THEN
      FOREACH v_set IN ARRAY v_refused LOOP
        ${refuse(refusals.versionConflict)}
      END LOOP;
    END IF;

    IF p_conditions IS NOT NULL THEN
      FOR v_row IN SELECT * FROM json_to_recordset(p_conditions) AS c (set integer, items json, after bigint) LOOP
        IF v_verdicts[v_row.set] = 0 THEN
          v_found := ${schema}.first_match(v_row.items, v_row.after);
          IF v_found IS NOT NULL THEN
            v_verdicts[v_row.set] := ${refusals.conditionFailed};
            v_details[v_row.set] := v_found;
          END IF;
        END IF;
      END LOOP;
    END IF;
  END IF;

  IF 0 <> ANY (v_verdicts) THEN
    verdicts := v_verdicts;
    details := v_details;
    IF p_inbox_sets IS NOT NULL THEN
      DELETE FROM ${schema}.inbox i USING ${inboxMessages}
      WHERE v_verdicts[m.set] > ${refusals.inInbox} AND i.consumer = m.consumer AND i.id = m.id AND i.source = m.source;
    END IF;
    -- Those that are left move up. A number that is null stands for an event that is not written.
    SELECT
      array_agg(CASE WHEN e.stays THEN e.number END ORDER BY e.place), array_agg(e.version ORDER BY e.place) INTO p_numbers, p_offsets
    FROM (
      SELECT
        place, stays, count(*) FILTER (WHERE stays) OVER (ORDER BY place) AS number,
        count(*) FILTER (WHERE stays) OVER (PARTITION BY stream ORDER BY place) AS version
      FROM (
        SELECT x.place, x.stream, v_verdicts[p_append_sets[x.append]] = 0 AS stays
        FROM unnest(p_streams, p_appends) WITH ORDINALITY AS x (stream, append, place)
      ) AS judged
    ) AS e;
  END IF;

  IF p_takes_order THEN
    INSERT INTO ${schema}.events (
      position, version, time_ms, schema_version, stream, type, id, source, correlation_id, causation_id, metadata, tags, data
    )
    SELECT
      head + e.number, versions[e.append] + e.version, e.time_ms, e.schema_version, e.stream, e.type, e.id, e.source, e.correlation_id,
      e.causation_id, e.metadata::json, e.tags::json, e.data::json
    FROM unnest(
      p_appends, p_numbers, p_offsets, p_streams, p_types, p_schema_versions, p_ids, p_sources, p_times_ms, p_correlation_ids,
      p_causation_ids, ${splitJson('p_data')}, ${splitJson('p_metadata')}, p_tags
    ) AS e (
      append, number, version, stream, type, schema_version, id, source, time_ms, correlation_id, causation_id, data, metadata, tags
    )
    WHERE e.number IS NOT NULL OR e.append IS NULL; -- the latter is a defect, and fails
    IF p_tags IS NOT NULL THEN
      INSERT INTO ${schema}.event_tags (tag, position)
      SELECT DISTINCT t.tag, head + e.number
      FROM unnest(p_numbers, p_tags) AS e (number, tags) CROSS JOIN LATERAL json_array_elements_text(e.tags::json) AS t (tag)
      WHERE e.number IS NOT NULL;
    END IF;
  END IF;

  IF p_receipts IS NOT NULL THEN
    INSERT INTO ${schema}.receipts (command_id, target, payload_hash, version, first_position, position, event_count)
    SELECT
      r.command_id, r.target, r.payload_hash, r.version, head + coalesce(e.first, 0), head + coalesce(e.last, 0), coalesce(e.count, 0)
    FROM json_to_recordset(p_receipts) AS r (set integer, command_id text, target text, payload_hash text, version bigint)
    LEFT JOIN (
      SELECT p_append_sets[x.append] AS set, min(x.number) AS first, max(x.number) AS last, count(*)
      FROM unnest(p_appends, p_numbers) AS x (append, number) GROUP BY 1
    ) AS e USING (set)
    WHERE v_verdicts[r.set] = 0;
  END IF;

  IF p_documents IS NOT NULL THEN
    PERFORM ${schema}.write_documents(p_documents, p_document_values, v_verdicts);
  END IF;

  IF p_snapshots IS NOT NULL THEN
    INSERT INTO ${schema}.snapshots AS s (stream, aggregate, schema_version, version, state)
    SELECT DISTINCT ON (n.stream COLLATE "C", n.aggregate COLLATE "C") n.stream, n.aggregate, n.schema_version, n.version, n.state::json
    FROM ROWS FROM (
      json_to_recordset(p_snapshots) AS (set integer, stream text, aggregate text, schema_version integer, version bigint),
      unnest(p_states)
    ) AS n (set, stream, aggregate, schema_version, version, state)
    WHERE v_verdicts[n.set] = 0
    ORDER BY n.stream COLLATE "C", n.aggregate COLLATE "C", n.version DESC
    ON CONFLICT (stream, aggregate) DO UPDATE
    SET schema_version = excluded.schema_version, version = excluded.version, state = excluded.state
    WHERE s.schema_version <> excluded.schema_version OR s.version < excluded.version;
  END IF;

  IF p_checkpoints IS NOT NULL THEN
    UPDATE ${schema}.processors p SET position = c.position, state = c.state, moved_at = clock_timestamp()
    FROM json_to_recordset(p_checkpoints) AS c (set integer, processor text, position bigint, state text)
    WHERE p.processor = c.processor AND v_verdicts[c.set] = 0;
  END IF;
END $$;`
}

const inboxMessages = 'unnest(p_inbox_sets, p_inbox_consumers, p_inbox_ids, p_inbox_sources) AS m (set, consumer, id, source)'

const prelude = `IF current_setting('transaction_isolation') <> 'read committed' THEN
    RAISE 'a commit needs the isolation level READ COMMITTED';
  END IF;
  IF current_setting('synchronous_commit') = 'off' THEN
    PERFORM set_config('synchronous_commit', 'on', true);
  END IF;`

// Subqueries that are single values are looked up by index for each row. Written as joins or EXISTS, planners turn them into scans.
const head = (schema: string): string =>
  `coalesce((SELECT e.position FROM ${schema}.events e ORDER BY e.position DESC LIMIT 1), (SELECT s.first_position - 1 FROM ${schema}.store s))`
const currentVersion = (schema: string, stream: string): string =>
  `coalesce((SELECT x.version FROM ${schema}.events x WHERE x.stream = ${stream} ORDER BY x.version DESC LIMIT 1), 0)`
const isStored = (schema: string, id: string, source: string): string =>
  `(SELECT true FROM ${schema}.events x WHERE x.id = ${id} AND x.source = ${source})`
const isMet = (expected: string, current: string): string =>
  `(${expected} = ${current} OR ${expected} = ${expectations.any} OR (${expected} = ${expectations.streamExists} AND ${current} > 0))`
const refuse = (refusal: number): string => `IF v_verdicts[v_set] = 0 THEN
          v_verdicts[v_set] := ${refusal};
        END IF;`
