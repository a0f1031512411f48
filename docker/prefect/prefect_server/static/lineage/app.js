// The page: asks for the graph, shows the part that is wanted, and keeps what is chosen in the address.

import { Unauthorized, get, keep } from "./api.js";
import { layout, lineageOf } from "./layout.js";
import { LOOKS, lookOf, nameOf } from "./looks.js";
import { fill } from "./panel.js";
import { picture } from "./picture.js";
import { View } from "./view.js";

const REFRESH_MS = 30_000;
const MOST_FOUND = 30;
const EMPTY = `from prefect import flow
from prefect.assets import materialize

@materialize("s3://bucket/table.csv")
def write(): ...

@flow
def load():
    write()`;

const $ = (id) => document.getElementById(id);
const state = { assets: [], edges: [], etag: null, numbers: new Map(), shown: [], view: null };

// ------------------------------------------------------------------ what is wanted, as the address says it
const wanted = () => {
  const hash = new URLSearchParams(location.hash.slice(1));
  return { asset: hash.get("asset"), prefix: hash.get("prefix") ?? "", only: hash.has("only") };
};

function want(change) {
  const next = { ...wanted(), ...change };
  const hash = new URLSearchParams();
  if (next.asset) hash.set("asset", next.asset);
  if (next.prefix) hash.set("prefix", next.prefix);
  if (next.only) hash.set("only", "");
  location.hash = hash.toString();
}

// ------------------------------------------------------------------ the graph
async function load() {
  const reply = await get("");
  const etag = reply.headers.get("etag");
  if (etag && etag === state.etag) return;
  const graph = await reply.json();
  const first = state.etag === null;
  Object.assign(state, { assets: graph.assets, edges: graph.edges, etag, complete: graph.complete });
  state.numbers = new Map(graph.assets.map((asset, number) => [asset.key, number]));
  draw(first);
}

function draw(first) {
  const { prefix, only, asset } = wanted();
  const chosen = state.numbers.get(asset) ?? null;
  const around = only && chosen !== null ? lineageOf(chosen, state.assets.length, state.edges) : null;
  const shown = [];
  state.assets.forEach((each, number) => {
    if (each.key.startsWith(prefix) && (!around || around.has(number))) shown.push(number);
  });
  const place = new Map(shown.map((number, index) => [number, index]));
  const edges = state.edges.filter(([from, to]) => place.has(from) && place.has(to));
  const { x, y, layer } = layout(shown.length, edges.map(([from, to]) => [place.get(from), place.get(to)]));
  const now = Date.now() / 1000;
  state.nodes = shown.map((number, index) => {
    const { fill, border } = lookOf(state.assets[number], now);
    return { id: number, x: x[index], y: y[index], layer: layer[index], label: nameOf(state.assets[number]), fill, border };
  });
  state.shownEdges = edges;
  state.view.show(state.nodes, edges, chosen, near(chosen));
  const all = state.assets.length;
  $("count").textContent = (shown.length === all ? `${all} assets` : `${shown.length} of ${all} assets`)
    + (state.complete ? "" : " (the newest; there are more)");
  if (!all) say("No asset has been written yet. A task writes one when it is decorated:", EMPTY);
  else if (!shown.length) say(`No asset's key starts with "${prefix}".`);
  else $("message").hidden = true;
  if (first && chosen !== null && !only) state.view.goTo(chosen);
}

function highlight() {
  const chosen = state.numbers.get(wanted().asset) ?? null;
  state.view.highlight(chosen, near(chosen));
}

const near = (chosen) => (chosen === null ? null : lineageOf(chosen, state.assets.length, state.edges));

async function choose(key) {
  const panel = $("panel");
  if (key === null) panel.hidden = true;
  else await guarded(() => fill(panel, key, (other) => want({ asset: other }), () => wanted().asset === key));
}

function say(sentence, code) {
  const box = $("message");
  box.replaceChildren(sentence);
  if (code) box.append(Object.assign(document.createElement("pre"), { textContent: code }));
  box.hidden = false;
}

/** Run something that asks the server; a missing login asks for one, everything else is said. */
async function guarded(action) {
  try {
    await action();
    return true;
  } catch (error) {
    if (error instanceof Unauthorized) askForLogin(error.message);
    else say(error.message);
    return false;
  }
}

function askForLogin(refused) {
  const tried = $("credential").value !== "";
  $("login").hidden = false;
  $("refused").hidden = !tried;
  $("refused").textContent = tried ? `Not accepted: ${refused}` : "";
  $("credential").focus();
}

// ------------------------------------------------------------------ what people do
function search() {
  const words = $("search").value.trim().toLowerCase();
  const matches = [];
  for (const asset of words ? state.assets : []) {
    if (asset.key.toLowerCase().includes(words) || asset.name?.toLowerCase().includes(words)) matches.push(asset);
    if (matches.length === MOST_FOUND) break;
  }
  $("found").replaceChildren(...matches.map((asset) => {
    const button = Object.assign(document.createElement("button"), { type: "button" });
    button.append(asset.name ?? asset.key);
    if (asset.name) button.append(document.createElement("br"), Object.assign(document.createElement("small"), { textContent: asset.key }));
    button.onclick = () => found(asset.key);
    const item = document.createElement("li");
    item.append(button);
    return item;
  }));
  $("found").hidden = !matches.length;
}

function found(key) {
  $("found").hidden = true;
  $("search").value = "";
  want({ asset: key, prefix: key.startsWith(wanted().prefix) ? wanted().prefix : "" });
  state.view.goTo(state.numbers.get(key));
}

function download() {
  const place = new Map(state.nodes.map((node, index) => [node.id, index]));
  const text = picture(state.nodes, state.shownEdges.filter(([a, b]) => a !== b).map(([a, b]) => [place.get(a), place.get(b)]));
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "image/svg+xml" }));
  link.download = "lineage.svg";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

function listen() {
  let typed;
  $("search").oninput = search;
  $("search").onkeydown = (event) => {
    if (event.key === "Enter") $("found").querySelector("button")?.click();
    if (event.key === "Escape") $("found").hidden = true;
  };
  document.addEventListener("click", (event) => {
    if (!event.target.closest(".search")) $("found").hidden = true;
  });
  $("prefix").oninput = () => {
    clearTimeout(typed);
    typed = setTimeout(() => want({ prefix: $("prefix").value.trim() }), 250);
  };
  $("only").onchange = () => want({ only: $("only").checked });
  $("in").onclick = () => state.view.zoom(1.6);
  $("out").onclick = () => state.view.zoom(1 / 1.6);
  $("fit").onclick = () => state.view.fit();
  $("download").onclick = download;
  $("login").onsubmit = async (event) => {
    event.preventDefault();
    keep($("credential").value.trim());
    if (!(await guarded(load))) return;
    $("login").hidden = true;
    $("credential").value = "";
    await choose(wanted().asset);
  };
  let before = wanted();
  window.onhashchange = () => {
    const now = wanted();
    showWanted(now);
    if (now.prefix !== before.prefix || now.only !== before.only || (now.only && now.asset !== before.asset)) {
      draw(false);
      // What is left stands elsewhere, perhaps out of sight.
      if (now.asset && now.asset !== before.asset && !now.only) state.view.goTo(state.numbers.get(now.asset));
      else state.view.fit();
    } else highlight();
    if (now.asset !== before.asset) choose(now.asset);
    before = now;
  };
}

function showWanted({ prefix, only }) {
  if ($("prefix").value.trim() !== prefix) $("prefix").value = prefix;
  $("only").checked = only;
}

function showLegend() {
  $("legend").replaceChildren(...LOOKS.map(({ fill, border, means }) => {
    const item = document.createElement("li");
    const dot = document.createElement("i");
    Object.assign(dot.style, { background: fill, borderColor: border });
    item.append(dot, means);
    return item;
  }));
}

async function start() {
  showLegend();
  showWanted(wanted());
  listen();
  state.view = new View($("graph"), (number) => want({ asset: number === null ? null : state.assets[number].key }));
  window.lineageView = state.view;
  if (await guarded(load)) {
    requestAnimationFrame(() => requestAnimationFrame(() => performance.mark("lineage-shown")));
    await choose(wanted().asset);
  }
  setInterval(() => {
    if (!document.hidden && $("login").hidden) guarded(load);
  }, REFRESH_MS);
}

start();
