// The panel about one asset. Everything in it came from flows, so it is put in as text and never as markup.

import { get } from "./api.js";
import { ago, lookOf } from "./looks.js";

const RUN = "/v2/runs/flow-run/";
const FLOW = "/v2/flows/flow/";

/**
 * Fill the panel with what the server knows of a key, if `wanted` still says so when that is there; `choose` is called with
 * the key of a neighbour, or null.
 */
export async function fill(panel, key, choose, wanted) {
  const query = `/asset?key=${encodeURIComponent(key)}`;
  const asset = await (await get(query)).json();
  if (!wanted()) return;
  const now = Date.now() / 1000;
  const close = make("button", "✕", { className: "close", type: "button", ariaLabel: "Close", onclick: () => choose(null) });
  const heading = make("h2", asset.name ?? key, { tabIndex: -1 });
  panel.replaceChildren(close, heading, make("div", key, { className: "key" }), status(asset, now), ...about(asset));
  panel.append(...neighbours("Upstream", asset.upstream, choose), ...neighbours("Downstream", asset.downstream, choose));
  if (asset.flows.length) panel.append(make("h3", "Written by"), writers(asset.flows, now));
  if (asset.runs.length) panel.append(make("h3", "Runs"), ...runs(asset.runs, query));
  panel.hidden = false;
}

function status(asset, now) {
  const outcome = asset.last_succeeded === null ? "referenced" : asset.last_succeeded ? "succeeded" : "failed";
  const look = lookOf({ outcome, at: asset.last_at }, now);
  const dot = make("i", "");
  dot.style.background = look.fill;
  dot.style.borderColor = look.border;
  const words = outcome === "referenced" ? "only read: no flow here writes it" : `${outcome} ${ago(asset.last_at, now)}`;
  return make("p", [dot, words], { className: outcome === "failed" ? "failed" : "" });
}

function about(asset) {
  const parts = [];
  if (asset.description) parts.push(make("h3", "Description"), make("div", asset.description));
  if (asset.owners.length) parts.push(make("h3", "Owners"), make("div", asset.owners.join(", ")));
  // Only these: a link of another kind could run a script.
  if (/^https?:\/\//.test(asset.url ?? "")) parts.push(make("h3", "Address"), away(asset.url, asset.url));
  const metadata = asset.runs.find((run) => Object.keys(run.metadata).length)?.metadata;
  if (metadata) parts.push(make("h3", "Metadata"), table(Object.entries(metadata).map(([name, value]) => [name, shown(value)])));
  return parts;
}

function neighbours(title, keys, choose) {
  if (!keys.length) return [];
  const list = make("ul", keys.map((key) => make("li", [make("button", key, { className: "link", type: "button", onclick: () => choose(key) })])));
  return [make("h3", `${title} (${keys.length})`), list];
}

function writers(flows, now) {
  const rows = flows.map((flow) => [
    flow.flow_id ? away(FLOW + flow.flow_id, flow.flow ?? flow.flow_id) : "no flow",
    `${flow.runs} ${flow.runs === 1 ? "time" : "times"}, last ${ago(flow.last_at, now)}`,
  ]);
  return table(rows);
}

function runs(first, query) {
  const body = table([]);
  const more = make("button", "Older runs", { type: "button" });
  const add = (found) => {
    body.append(...found.map(runRow));
    const last = found.at(-1);
    more.hidden = found.length < 50;
    more.onclick = async () => add((await (await get(`${query}&before=${last.occurred}&before_id=${last.id}`)).json()).runs);
  };
  add(first);
  return [body, more];
}

function runRow(run) {
  const outcome = make("span", run.succeeded ? "succeeded" : "failed", { className: run.succeeded ? "outcome" : "outcome failed" });
  const when = make("span", new Date(run.occurred * 1000).toLocaleString(), { className: "when" });
  const by = run.flow_run_id ? away(RUN + run.flow_run_id, run.flow_run ?? run.flow_run_id) : (run.task_run ?? "");
  return make("tr", [when, outcome, run.made_by ? [by, ` with ${run.made_by}`] : by].map((cell) => make("td", cell)));
}

const shown = (value) => (typeof value === "string" ? value : JSON.stringify(value));
const away = (address, text) => make("a", text, { href: address, target: "_blank", rel: "noreferrer" });
const table = (rows) => make("table", rows.map((cells) => make("tr", cells.map((cell) => make("td", cell)))));

function make(tag, content, properties = {}) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...(Array.isArray(content) ? content.flat() : [content]));
  return element;
}
