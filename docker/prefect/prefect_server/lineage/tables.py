"""The tables of the lineage, and every statement about them. Their step in own_tables.py is `lineage`.

JSON goes in and out as text: what a connection makes of the JSON types depends on who set it up.

An asset and an edge are kept for ever; a run, which is one materialisation, as long as PREFECT_FLY_LINEAGE_DAYS says.
Indexes are few, because each is written with every run.
"""

from __future__ import annotations

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

# Only one process fills at a time, so that a later run never gets a smaller id than one that was already read.
LOCK = "SELECT pg_try_advisory_xact_lock(hashtext('prefect-fly lineage'), hashtext($1))"

# By an index of Prefect's in its order, so that it ends at the limit. What is too large is left behind in the database:
# a small machine would have to hold a whole batch of it.
NEW_RUNS = """
SELECT id, event, occurred, resource::text,
    CASE WHEN length(related::text) <= 131072 THEN related::text END AS related,
    CASE WHEN length(payload::text) BETWEEN 3 AND 16384 THEN payload::text END AS payload
FROM {prefect}.events AS e
WHERE event = $1 AND (occurred, id) > ($2, $3)
    AND NOT EXISTS (SELECT FROM {own}.asset_run AS r WHERE r.event_id = e.id)
ORDER BY occurred, id
LIMIT $4
"""
# An upstream asset that nobody here makes is described only where it is referenced.
NEW_DESCRIPTIONS = """
SELECT DISTINCT ON (resource_id) id, event, occurred, resource::text, NULL AS related, NULL AS payload
FROM {prefect}.events AS e
WHERE event = $1 AND occurred > $2 AND octet_length(resource_id) BETWEEN 1 AND 2000 AND resource ?| ARRAY[
        'prefect.resource.name', 'prefect.asset.description', 'prefect.asset.url', 'prefect.asset.owners']
    AND NOT EXISTS (SELECT FROM {own}.asset AS a WHERE a.key = e.resource_id AND a.described_at >= e.occurred)
ORDER BY resource_id, occurred DESC
LIMIT $3
"""
ADD_ASSETS = """
INSERT INTO {own}.asset (key, first_at)
SELECT key, at FROM jsonb_to_recordset($1::text::jsonb) AS seen (key text, at timestamptz)
WHERE NOT EXISTS (SELECT FROM {own}.asset AS known WHERE known.key = seen.key)
ORDER BY key
ON CONFLICT DO NOTHING
"""
# One statement: runs that were there already add nothing to the edges and to the assets either.
ADD_RUNS = """
WITH given AS (
    SELECT * FROM jsonb_to_recordset($1::text::jsonb) AS g (
        event_id uuid, key text, occurred timestamptz, succeeded boolean, upstream text[], flow_run_id uuid,
        flow_run text, flow_id uuid, flow text, task_run_id uuid, task_run text, deployment_id uuid, deployment text,
        made_by text, metadata text
    )
), added AS (
    INSERT INTO {own}.asset_run (
        event_id, asset, occurred, succeeded, upstream, flow_run_id, flow_run, flow_id, flow, task_run_id, task_run,
        deployment_id, deployment, made_by, metadata
    )
    SELECT event_id, a.id, occurred, succeeded,
        ARRAY(SELECT u.id FROM {own}.asset AS u WHERE u.key = ANY (g.upstream) ORDER BY u.id),
        flow_run_id, flow_run, flow_id, flow, task_run_id, task_run, deployment_id, deployment, made_by,
        metadata::jsonb
    FROM given AS g JOIN {own}.asset AS a USING (key)
    ORDER BY occurred, event_id
    ON CONFLICT (event_id) DO NOTHING
    RETURNING asset, occurred, succeeded, upstream
), edges AS (
    INSERT INTO {own}.asset_edge (downstream, upstream, last_at)
    SELECT asset, u, max(occurred) FROM added, unnest(upstream) AS u GROUP BY asset, u ORDER BY asset, u
    -- Exact to the hour: it says whether an edge is still used, and is not worth a write with each run.
    ON CONFLICT (downstream, upstream) DO UPDATE SET last_at = excluded.last_at
    WHERE asset_edge.last_at < excluded.last_at - interval '1 hour'
), newest AS (
    UPDATE {own}.asset AS a SET last_at = n.occurred, last_succeeded = n.succeeded
    FROM (SELECT DISTINCT ON (asset) * FROM added ORDER BY asset, occurred DESC) AS n
    WHERE a.id = n.asset AND (a.last_at IS NULL OR a.last_at <= n.occurred)
)
SELECT count(*) FROM added
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
