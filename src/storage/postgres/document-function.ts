import type { Names } from './names.ts'

/**
 * `write_documents(groups, values, verdicts)`: writes the documents of the sets that were not refused, collection after collection in the
 * order of their numbers. A group says where in `values` the columns of its collection begin: set, key, document, words and each field,
 * `count` values of each.
 */
export function documentFunction({ schema }: Names): string {
  return `
CREATE FUNCTION ${schema}.write_documents(p_groups json, p_values text[], p_verdicts integer[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  v_group record;
BEGIN
  FOR v_group IN
    SELECT g.*, (SELECT c.number FROM ${schema}.collections c WHERE c.id = g.collection)
    FROM json_to_recordset(p_groups) AS g (collection text, start integer, count integer, removals boolean) ORDER BY number
  LOOP
    -- A set that is fenced off may well be about a collection that is gone.
    CONTINUE WHEN NOT EXISTS (
      SELECT FROM unnest(p_values[v_group.start : v_group.start + v_group.count - 1]) AS s (set) WHERE p_verdicts[s.set::integer] = 0
    );
    IF v_group.number IS NULL THEN
      RAISE 'the collection % does not exist', v_group.collection USING ERRCODE = 'undefined_table';
    END IF;
    EXECUTE format('SELECT ${schema}.write_documents_%s($1, $2, $3, $4, $5)', v_group.number)
      USING p_values, p_verdicts, v_group.start, v_group.count, v_group.removals;
  END LOOP;
END $$;`
}

/**
 * The table of one collection, and the function that writes to it. It has one of its own, because a statement that is written down can keep
 * its plan: making one costs several times as much as writing a document.
 *
 * Of a key that stands twice, the last document stays. Rows are written in the order of their keys, so that two transactions that write the
 * same ones wait for each other. (One that also removes documents does so afterwards; should it meet another that does, PostgreSQL ends one
 * of them, and it is tried again.) The pages have room for a new version of a document beside the old one, which spares the indexes.
 */
export function collectionTable(schema: string, number: number, { fields, searchable }: { fields: number; searchable: boolean }): string {
  const table = `${schema}.documents_${number}`
  const names = Array.from({ length: fields }, (_, field) => `f${field}`)
  const definitions = [...names.map((name) => `${name} text COLLATE "C" NOT NULL`), ...(searchable ? ['words tsvector NOT NULL'] : [])]
  const written = ['document', ...names, ...(searchable ? ['words'] : [])]
  const given = ['set', 'key', 'document', 'words', ...names]
  const columns = given.map((_, index) => `p_values[p_start + ${index} * p_count : p_start + ${index + 1} * p_count - 1]`)
  const latest = `(
    SELECT DISTINCT ON (key COLLATE "C") * FROM unnest(${columns.join(', ')}) WITH ORDINALITY AS given (${given.join(', ')}, place)
    WHERE p_verdicts[set::integer] = 0 ORDER BY key COLLATE "C", place DESC
  ) AS latest`
  return `
CREATE TABLE ${table} (${['key text COLLATE "C" PRIMARY KEY', 'document json NOT NULL', ...definitions].join(', ')}) WITH (fillfactor = 85);
CREATE FUNCTION ${schema}.write_documents_${number}(
  p_values text[], p_verdicts integer[], p_start integer, p_count integer, p_removals boolean
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO ${table} (${['key', ...written].join(', ')})
  SELECT ${['key', 'document::json', ...names, ...(searchable ? [wordVector] : [])].join(', ')} FROM ${latest}
  WHERE document IS NOT NULL ORDER BY key COLLATE "C"
  ON CONFLICT (key) DO UPDATE SET ${written.map((name) => `${name} = excluded.${name}`).join(', ')};
  IF p_removals THEN
    DELETE FROM ${table} WHERE key IN (SELECT key FROM ${latest} WHERE document IS NULL);
  END IF;
END $$`
}

/** What is searched in, from the column `words`, which holds them as a text. */
export const wordVector = `array_to_tsvector(string_to_array(coalesce(words, ''), ' '))`

export function dropCollectionTable(schema: string, number: number): string {
  return `DROP FUNCTION ${schema}.write_documents_${number}; DROP TABLE ${schema}.documents_${number}`
}
