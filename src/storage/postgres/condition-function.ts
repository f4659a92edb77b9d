import type { Names } from './names.ts'

/**
 * `first_match(items, after)`: the position of an event after `after` that one of the items of an `EventQuery` matches, or null. Every
 * item is looked up by the index that it leads with: tags, else streams, else types. Which of several matches is returned is not promised.
 */
export function conditionFunction({ schema }: Names): string {
  return `
CREATE FUNCTION ${schema}.first_match(p_items json, p_after bigint) RETURNS bigint
LANGUAGE plpgsql SET enable_seqscan = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
  v_types text[];
  v_streams text[];
  v_tags text[];
  v_stream text;
  v_event record;
  v_found bigint;
BEGIN
  FOR v_types, v_streams, v_tags IN
    SELECT i.types, i.streams, i.tags FROM json_to_recordset(p_items) AS i (types text[], streams text[], tags text[])
  LOOP
    IF cardinality(v_tags) > 0 THEN
      SELECT t.position INTO v_found FROM ${schema}.event_tags t
      WHERE t.tag = v_tags[1] AND t.position > p_after
        AND NOT EXISTS (
          SELECT FROM unnest(v_tags[2:]) AS other (tag)
          WHERE (SELECT true FROM ${schema}.event_tags o WHERE o.tag = other.tag AND o.position = t.position) IS NULL
        )
        AND (v_types IS NULL AND v_streams IS NULL OR (
          SELECT (v_types IS NULL OR e.type = ANY (v_types)) AND (v_streams IS NULL OR e.stream = ANY (v_streams))
          FROM ${schema}.events e WHERE e.position = t.position
        ))
      ORDER BY t.position LIMIT 1;
    ELSIF v_streams IS NOT NULL THEN
      -- Backwards, so that of a long stream only what came after is looked at.
      FOREACH v_stream IN ARRAY v_streams LOOP
        FOR v_event IN SELECT e.position, e.type FROM ${schema}.events e WHERE e.stream = v_stream ORDER BY e.version DESC LOOP
          EXIT WHEN v_event.position <= p_after;
          IF v_types IS NULL OR v_event.type = ANY (v_types) THEN
            v_found := v_event.position;
            EXIT;
          END IF;
        END LOOP;
        EXIT WHEN v_found IS NOT NULL;
      END LOOP;
    ELSIF v_types IS NOT NULL THEN
      SELECT e.position INTO v_found FROM unnest(v_types) AS t (type) CROSS JOIN LATERAL (
        SELECT x.position FROM ${schema}.events x WHERE x.type = t.type AND x.position > p_after ORDER BY x.position LIMIT 1
      ) e LIMIT 1;
    ELSE
      SELECT e.position INTO v_found FROM ${schema}.events e WHERE e.position > p_after ORDER BY e.position LIMIT 1;
    END IF;
    IF v_found IS NOT NULL THEN
      RETURN v_found;
    END IF;
  END LOOP;
  RETURN NULL;
END $$;`
}
