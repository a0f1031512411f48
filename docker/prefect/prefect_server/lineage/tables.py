"""The tables of the lineage, and every statement about them. Their steps in own_tables.py are `lineage…`.

JSON goes in and out as text: what a connection makes of the JSON types depends on who set it up.

An asset and an edge are kept for ever; a run, which is one materialisation, as long as PREFECT_FLY_LINEAGE_DAYS says.
Indexes are few, because each is written with every run.
"""

from __future__ import annotations

from prefect_server.lineage.reading import LONGEST_KEY_BYTES, LONGEST_TEXT


def _limited(sql: str) -> str:
    """Put the limits into a statement that reads events itself."""
    return sql.replace("{key_bytes}", str(LONGEST_KEY_BYTES)).replace("{text}", str(LONGEST_TEXT))


STEP = """
CREATE TABLE {own}.asset (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key text NOT NULL UNIQUE,
    name text,
    description text,
    url text,
    owners jsonb,
    described_at timestamptz,
    first_at timestamptz NOT NULL,
    last_at timestamptz,
    last_succeeded boolean
);
CREATE TABLE {own}.asset_edge (
    downstream bigint NOT NULL REFERENCES {own}.asset ON DELETE CASCADE,
    upstream bigint NOT NULL REFERENCES {own}.asset ON DELETE CASCADE,
    last_at timestamptz NOT NULL,
    PRIMARY KEY (downstream, upstream)
);
CREATE INDEX asset_edge_upstream ON {own}.asset_edge (upstream);
CREATE TABLE {own}.asset_run (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id uuid NOT NULL UNIQUE,
    asset bigint NOT NULL REFERENCES {own}.asset ON DELETE CASCADE,
    occurred timestamptz NOT NULL,
    succeeded boolean NOT NULL,
    upstream bigint[] NOT NULL,
    flow_run_id uuid,
    flow_run text,
    flow_id uuid,
    flow text,
    task_run_id uuid,
    task_run text,
    deployment_id uuid,
    deployment text,
    made_by text,
    metadata jsonb
);
CREATE INDEX asset_run_asset_occurred ON {own}.asset_run (asset, occurred);
"""

# To check each row's assets was a good part of what an event costs, and their ids come from `asset` in the statement
# that writes the rows. So it is made sure where assets are removed, which is done by hand and seldom: what is theirs
# goes with them, and who fills waits meanwhile. One lock is enough: what writes edges writes runs in one statement.
STEP_WITHOUT_CHECKS = """
ALTER TABLE {own}.asset_run DROP CONSTRAINT asset_run_asset_fkey;
ALTER TABLE {own}.asset_edge
    DROP CONSTRAINT asset_edge_downstream_fkey, DROP CONSTRAINT asset_edge_upstream_fkey;
CREATE FUNCTION {own}.hold_filling() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    LOCK TABLE {own}.asset_run IN SHARE ROW EXCLUSIVE MODE;
    RETURN NULL;
END $$;
CREATE FUNCTION {own}.remove_with_asset() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    DELETE FROM {own}.asset_run AS r USING removed WHERE r.asset = removed.id;
    DELETE FROM {own}.asset_edge AS e USING removed WHERE e.downstream = removed.id;
    DELETE FROM {own}.asset_edge AS e USING removed WHERE e.upstream = removed.id;
    RETURN NULL;
END $$;
CREATE TRIGGER hold_filling BEFORE DELETE ON {own}.asset
    FOR EACH STATEMENT EXECUTE FUNCTION {own}.hold_filling();
CREATE TRIGGER remove_with_asset AFTER DELETE ON {own}.asset REFERENCING OLD TABLE AS removed
    FOR EACH STATEMENT EXECUTE FUNCTION {own}.remove_with_asset();
"""

# Only one process fills at a time, so that a later run never gets a smaller id than one that was already read.
# The planner takes what the parts of TAKE_RUNS give for a row or two, and would go through one for each row of another;
# and a table that was empty when it was planned would be gone through for each row, too. Each look is by an index then,
# whatever is looked for, so one plan does for all rounds of a connection; planning was up to a tenth of the cost.
LOCK = """
SELECT pg_try_advisory_xact_lock(hashtext('prefect-fly lineage'), hashtext($1)),
    set_config('enable_nestloop', 'off', true), set_config('enable_seqscan', 'off', true),
    set_config('jit', 'off', true), set_config('plan_cache_mode', 'force_generic_plan', true)
"""

# Everything happens in the database: an event costs this process nothing, and a small machine never holds a batch.
# `mark` is the column by which it is looked, `updated` for what is new, `occurred` for all there is. Joined to an empty
# text, the kind of event cannot lead the planner to the index of its own, which holds all of a week. Where a subquery
# stands for one value it is one look into an index, whatever the statistics say.
#
# What an event holds cannot make this fail: what is no list, no text or no id is left out.
_ID = "'[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$'"
TAKE_RUNS = _limited(
    """
WITH seen AS MATERIALIZED (
    SELECT id, {mark} AS mark FROM {prefect}.events
    WHERE {mark} >= $1 AND ({mark}, id) > ($1, $2) AND (event || '') IN ($3, $4)
    ORDER BY {mark}, id LIMIT $5
), fresh AS MATERIALIZED (
    SELECT id, key, occurred, event = $3 AS succeeded,
        CASE WHEN length(payload::text) BETWEEN 3 AND 16384 THEN payload END AS metadata,
        CASE WHEN jsonb_typeof(related) <> 'array' THEN '[]' WHEN jsonb_array_length(related) > 1000 THEN '[]'
            ELSE related END AS related
    -- Most are known, and looked at again: only of the others is more read than the id. OFFSET keeps that apart.
    FROM seen CROSS JOIN LATERAL (
        SELECT event, occurred, resource_id AS key, related, payload FROM {prefect}.events AS e
        WHERE e.id = seen.id OFFSET 0
    ) AS whole
    WHERE (SELECT r.id FROM {own}.asset_run AS r WHERE r.event_id = seen.id) IS NULL
        AND octet_length(key) BETWEEN 1 AND {key_bytes}
), party AS MATERIALIZED (
    SELECT f.id, r->>'prefect.resource.role' AS role, r->>'prefect.resource.id' AS name,
        -- Most are assets, whose names are read elsewhere.
        CASE WHEN r->>'prefect.resource.role' <> 'asset' THEN left(r->>'prefect.resource.name', {text}) END AS label
    FROM fresh AS f, jsonb_array_elements(f.related) AS r
), source AS MATERIALIZED (
    SELECT id, name AS key FROM party WHERE role = 'asset' AND octet_length(name) BETWEEN 1 AND {key_bytes}
), parties AS (
    SELECT id, max(ARRAY[name, label]) FILTER (WHERE role = 'flow-run') AS flow_run,
        max(ARRAY[name, label]) FILTER (WHERE role = 'flow') AS flow,
        max(ARRAY[name, label]) FILTER (WHERE role = 'task-run') AS task_run,
        max(ARRAY[name, label]) FILTER (WHERE role = 'deployment') AS deployment,
        max(left(name, {text})) FILTER (WHERE role = 'asset-materialized-by') AS made_by
    FROM party WHERE role <> 'asset' GROUP BY id
), wanted AS MATERIALIZED (
    SELECT key, min(occurred) AS first_at FROM (
        SELECT key, occurred FROM fresh UNION ALL SELECT s.key, occurred FROM source AS s JOIN fresh USING (id)
    ) AS each GROUP BY key
), newest AS MATERIALIZED (
    SELECT DISTINCT ON (key) key, occurred, succeeded FROM fresh ORDER BY key, occurred DESC
), known AS MATERIALIZED (
    SELECT key, first_at, (SELECT a.id FROM {own}.asset AS a WHERE a.key = wanted.key) AS id FROM wanted
), made AS (
    INSERT INTO {own}.asset (key, first_at, last_at, last_succeeded)
    SELECT key, first_at, occurred, succeeded FROM known LEFT JOIN newest USING (key) WHERE id IS NULL ORDER BY key
    RETURNING id, key
), place AS MATERIALIZED (
    SELECT id, key FROM known WHERE id IS NOT NULL UNION ALL SELECT id, key FROM made
), pair AS MATERIALIZED (
    SELECT s.id, p.id AS upstream FROM source AS s JOIN place AS p USING (key)
), added AS (
    INSERT INTO {own}.asset_run (
        event_id, asset, occurred, succeeded, upstream, flow_run_id, flow_run, flow_id, flow, task_run_id, task_run,
        deployment_id, deployment, made_by, metadata
    )
    SELECT f.id, p.id, occurred, succeeded, coalesce(u.upstream, '{}'),
        substring(flow_run[1] FROM {id})::uuid, flow_run[2], substring(flow[1] FROM {id})::uuid, flow[2],
        substring(task_run[1] FROM {id})::uuid, task_run[2], substring(deployment[1] FROM {id})::uuid, deployment[2],
        made_by, metadata
    FROM fresh AS f JOIN place AS p USING (key) LEFT JOIN parties ON parties.id = f.id
    LEFT JOIN (
        SELECT id, array_agg(DISTINCT upstream ORDER BY upstream) AS upstream FROM pair GROUP BY id
    ) AS u ON u.id = f.id
    ORDER BY occurred, f.id
    ON CONFLICT (event_id) DO NOTHING
    RETURNING 1
), edge AS (
    SELECT p.id AS downstream, pair.upstream, max(occurred) AS last_at
    FROM pair JOIN fresh USING (id) JOIN place AS p USING (key) GROUP BY 1, 2
), edges AS (
    INSERT INTO {own}.asset_edge (downstream, upstream, last_at)
    -- Exact to the hour: it says whether an edge is still used, and is not worth a write with each run.
    SELECT * FROM edge AS e WHERE coalesce((
        SELECT k.last_at < e.last_at - interval '1 hour' FROM {own}.asset_edge AS k
        WHERE k.downstream = e.downstream AND k.upstream = e.upstream
    ), true) ORDER BY downstream, upstream
    ON CONFLICT (downstream, upstream) DO UPDATE SET last_at = excluded.last_at
    WHERE asset_edge.last_at < excluded.last_at
), states AS (
    -- All of them are there. An update would go through the whole table to find them.
    INSERT INTO {own}.asset AS a (key, first_at, last_at, last_succeeded)
    SELECT key, first_at, occurred, succeeded FROM known JOIN newest USING (key) WHERE id IS NOT NULL ORDER BY key
    ON CONFLICT (key) DO UPDATE SET last_at = excluded.last_at, last_succeeded = excluded.last_succeeded
    WHERE a.last_at IS NULL OR a.last_at <= excluded.last_at
)
SELECT (SELECT count(*) FROM added) AS added, count(*) AS seen, max(mark) AS mark,
    (SELECT id FROM seen ORDER BY mark DESC, id DESC LIMIT 1) AS id
FROM seen
""".replace("{id}", _ID)
)
# Only where it says something new: flows say the same with each run. Upstream assets that nobody here makes are
# described where they are referenced. What is said again and again is read once, as of the last time.
NEW_DESCRIPTIONS = _limited("""
SELECT max(occurred) AS occurred, resource::text AS resource FROM {prefect}.events AS e
WHERE {mark} >= $1 AND (event || '') = ANY ($2) AND octet_length(resource_id) BETWEEN 1 AND {key_bytes}
    AND resource ?| ARRAY[
        'prefect.resource.name', 'prefect.asset.description', 'prefect.asset.url', 'prefect.asset.owners']
    AND NOT EXISTS (
        SELECT FROM {own}.asset AS a WHERE a.key = e.resource_id AND (
            a.described_at >= e.occurred OR (
                a.name = coalesce(left(resource->>'prefect.resource.name', {text}), a.name, '')
                AND coalesce(a.description, '')
                    = coalesce(left(resource->>'prefect.asset.description', {text}), a.description, '')
                AND coalesce(a.url, '') = coalesce(left(resource->>'prefect.asset.url', {text}), a.url, '')
                AND coalesce(a.owners::text, '') = coalesce(resource->>'prefect.asset.owners', a.owners::text, '')
            )
        )
    )
GROUP BY e.resource::text ORDER BY 1 LIMIT $3
""")
ADD_ASSETS = """
INSERT INTO {own}.asset (key, first_at)
SELECT key, at FROM jsonb_to_recordset($1::text::jsonb) AS seen (key text, at timestamptz)
WHERE NOT EXISTS (SELECT FROM {own}.asset AS known WHERE known.key = seen.key)
ORDER BY key
ON CONFLICT DO NOTHING
"""
DESCRIBE = """
UPDATE {own}.asset AS a SET
    name = coalesce(d.name, a.name), description = coalesce(d.description, a.description),
    url = coalesce(d.url, a.url), owners = coalesce(d.owners, a.owners), described_at = d.at
FROM jsonb_to_recordset($1::text::jsonb) AS d (
    key text, at timestamptz, name text, description text, url text, owners jsonb
)
WHERE a.key = d.key AND (a.described_at IS NULL OR a.described_at < d.at)
"""
HORIZON = "SELECT clock_timestamp() - $1::interval"
FORGET_RUNS = "DELETE FROM {own}.asset_run WHERE occurred < $1"

# Made into JSON by the database: this process never holds ten thousand assets as objects. Numbers of assets are places
# in the list. An edge is old when its asset was written a week and more after the edge was last seen.
GRAPH = """
WITH asset AS (
    SELECT *, row_number() OVER (ORDER BY key) - 1 AS place
    FROM (SELECT * FROM {own}.asset ORDER BY last_at DESC NULLS LAST, id LIMIT $1) AS newest
), edge AS (
    SELECT u.place AS upstream, d.place AS downstream, d.last_at > e.last_at + interval '7 days' AS old
    FROM {own}.asset_edge AS e JOIN asset AS u ON u.id = e.upstream JOIN asset AS d ON d.id = e.downstream
    ORDER BY d.place, u.place LIMIT $2
)
SELECT json_build_object(
    'assets', (SELECT coalesce(json_agg(json_build_object(
        'key', key, 'name', name, 'outcome',
        CASE last_succeeded WHEN true THEN 'succeeded' WHEN false THEN 'failed' ELSE 'referenced' END,
        'at', floor(extract(epoch FROM last_at))) ORDER BY place), '[]') FROM asset),
    'edges', (SELECT coalesce(json_agg(CASE WHEN old THEN json_build_array(upstream, downstream, 1)
        ELSE json_build_array(upstream, downstream) END), '[]') FROM edge),
    'complete', (SELECT count(*) FROM {own}.asset) <= $1 AND (SELECT count(*) FROM edge) < $2
)::text
"""
ASSET = """
SELECT id, key, name, description, url, owners::text, first_at, last_at, last_succeeded FROM {own}.asset WHERE key = $1
"""
NEIGHBOURS = """
SELECT a.key, e.upstream = a.id AS is_upstream FROM {own}.asset_edge AS e
JOIN {own}.asset AS a ON a.id = CASE WHEN e.downstream = $1 THEN e.upstream ELSE e.downstream END
WHERE e.downstream = $1 OR e.upstream = $1 ORDER BY a.key LIMIT 1000
"""
RUNS = """
SELECT id, occurred, succeeded, flow_run_id, flow_run, flow_id, flow, task_run_id, task_run, deployment_id, deployment,
    made_by, metadata::text
FROM {own}.asset_run WHERE asset = $1 AND (occurred, id) < ($2, $3) ORDER BY occurred DESC, id DESC LIMIT $4
"""
WRITERS = """
SELECT flow_id, max(flow) AS flow, count(*) AS runs, max(occurred) AS last_at
FROM {own}.asset_run WHERE asset = $1 GROUP BY flow_id ORDER BY max(occurred) DESC LIMIT 20
"""
EXPORT = """
SELECT r.id, event_id, occurred, succeeded, flow_run_id, flow, task_run_id, task_run, a.key, a.description,
    a.owners::text,
    ARRAY(SELECT u.key FROM unnest(r.upstream) AS up JOIN {own}.asset AS u ON u.id = up ORDER BY u.key) AS inputs
FROM {own}.asset_run AS r JOIN {own}.asset AS a ON a.id = r.asset WHERE r.id > $1 ORDER BY r.id LIMIT $2
"""
