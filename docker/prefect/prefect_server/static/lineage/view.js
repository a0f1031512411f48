// Draws the graph on a canvas and says what was clicked. What is far away is drawn as less: dots without names, and
// bundles in place of edges. So a frame costs about the same for ten assets and for ten thousand, also without WebGL.

import { arrows, bundles, dots, lines, names } from "./draw.js";
import { quadtree, select, zoom, zoomIdentity } from "./vendor/d3.js";

// More edges than these in view are drawn as bundles.
const MOST_EDGES = 2500;
// More than these are thin and have no heads.
const CROWD = 500;
const LARGEST_SCALE = 160;
const SMALLEST_SCALE = 0.5;
const MARGIN = 70;
const CLICK_PX = 5;
const ARROW_RADIUS = 5;
// From here on a name has room between two rows.
const NAMED_RADIUS = 7;
const READING_SCALE = 48;
const EDGES = { plain: "#94a3b8", many: "#cbd5e1", old: "#e2e8f0", near: "#475569", far: "#eef2f6" };
const BUNDLES = { plain: "#dbe3ec", near: "#94a3b8" };

export class View {
  /** `choose` is called with a node's number, or null. */
  constructor(element, choose) {
    this.canvas = Object.assign(document.createElement("canvas"), { tabIndex: 0 });
    element.append(this.canvas);
    // Drawn by the processor everywhere: the same with and without a graphics card, and faster where a driver pretends to be one.
    this.context = this.canvas.getContext("2d", { alpha: false, willReadFrequently: true });
    Object.assign(this, { nodes: [], edges: [], bright: [], bundles: [], byLinks: [], places: new Map(), tree: quadtree(), chosen: null, near: null, hovered: null, scheduled: false });
    this.transform = zoomIdentity;
    // All is in view, and where the last move of our own leads: both until a person moves the picture.
    Object.assign(this, { fitted: true, aim: null });
    this.surface = select(this.canvas);
    this.zooming = zoom()
      .scaleExtent([SMALLEST_SCALE, LARGEST_SCALE])
      .clickDistance(CLICK_PX)
      .on("start", ({ sourceEvent }) => sourceEvent && this.#moves(null))
      .on("zoom", ({ transform }) => {
        this.transform = transform;
        this.#schedule();
      });
    this.surface.call(this.zooming);
    // The panel takes its place from the graph.
    new ResizeObserver(() => this.#resize()).observe(element);
    this.#resize();
    this.#listen(choose);
  }

  /** Show nodes {id, x, y, label, fill, border} and edges [from, to, old] between their ids; the rest as `highlight`. */
  show(nodes, edges, chosen, near) {
    const places = new Map(nodes.map((node, place) => [node.id, place]));
    const links = new Uint32Array(nodes.length);
    this.nodes = nodes;
    this.places = places;
    this.tree = quadtree(nodes, ({ x }) => x, ({ y }) => y);
    this.edges = edges.filter(([from, to]) => from !== to).map(([from, to, old]) => [places.get(from), places.get(to), old]);
    for (const [from, to] of this.edges) {
      links[from]++;
      links[to]++;
    }
    // Names are given room in this order.
    this.byLinks = [...nodes.keys()].sort((a, b) => links[b] - links[a] || a - b);
    this.highlight(chosen, near);
    if (this.fitted) this.#put(this.#whole());
  }

  /** Highlight a node and everything that is near it (a set of ids); null for nothing. */
  highlight(chosen, near) {
    this.chosen = this.places.get(chosen) ?? null;
    this.near = near && new Set([...near].map((id) => this.places.get(id)));
    const bright = this.near ? this.edges.filter(([from, to]) => this.near.has(from) && this.near.has(to)) : this.edges;
    this.bright = bright;
    this.bundles = bright.length > MOST_EDGES ? bundles(this.nodes, bright) : [];
    this.#schedule();
  }

  /** Move to a node, as near as its name can be read. */
  goTo(id) {
    const node = this.nodes[this.places.get(id)];
    if (node) this.move({ x: node.x, y: node.y, scale: Math.max(this.camera.scale, READING_SCALE) });
  }

  zoom(factor) {
    this.#moves(null);
    this.surface.transition().duration(150).call(this.zooming.scaleBy, factor);
  }

  fit() {
    this.move(this.#whole(), 200);
    this.fitted = true;
  }

  /** What is in the middle, and how many pixels a unit is. */
  get camera() {
    const [x, y] = this.transform.invert([this.width / 2, this.height / 2]);
    return { x, y, scale: this.transform.k };
  }

  /** Move the camera to where `to` says, a part of it; resolves to whether it got there. */
  move(to, milliseconds = 300) {
    const camera = { ...this.camera, ...to };
    this.#moves(camera);
    const arriving = this.surface.transition().duration(milliseconds).call(this.zooming.transform, this.#transformOf(camera));
    return arriving.end().then(() => true, () => false);
  }

  /** Put the camera there at once. */
  #put(camera) {
    this.surface.call(this.zooming.transform, this.#transformOf(camera));
  }

  #moves(aim) {
    Object.assign(this, { fitted: false, aim });
  }

  #transformOf({ x, y, scale }) {
    return zoomIdentity.translate(this.width / 2 - x * scale, this.height / 2 - y * scale).scale(scale);
  }

  /** The camera that shows all. */
  #whole() {
    const box = { left: Infinity, right: -Infinity, top: Infinity, bottom: -Infinity };
    for (const { x, y } of this.nodes) {
      box.left = Math.min(box.left, x);
      box.right = Math.max(box.right, x);
      box.top = Math.min(box.top, y);
      box.bottom = Math.max(box.bottom, y);
    }
    if (!this.nodes.length) return { x: 0, y: 0, scale: 1 };
    const wide = (this.width - 2 * MARGIN) / (box.right - box.left || 1);
    const high = (this.height - 2 * MARGIN) / (box.bottom - box.top || 1);
    const scale = Math.min(LARGEST_SCALE, Math.max(SMALLEST_SCALE, Math.min(wide, high)));
    return { x: (box.left + box.right) / 2, y: (box.top + box.bottom) / 2, scale };
  }

  #resize() {
    const before = this.width ? (this.aim ?? this.camera) : { x: 0, y: 0, scale: 1 };
    const ratio = window.devicePixelRatio || 1;
    this.width = this.canvas.parentElement.clientWidth;
    this.height = this.canvas.parentElement.clientHeight;
    this.canvas.width = Math.round(this.width * ratio);
    this.canvas.height = Math.round(this.height * ratio);
    this.context.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.#put(this.fitted ? this.#whole() : before);
    this.#draw();
  }

  #schedule() {
    if (this.scheduled) return;
    this.scheduled = true;
    requestAnimationFrame(() => this.#draw());
  }

  get radius() {
    return Math.min(12, Math.max(1.5, this.transform.k * 0.22));
  }

  #draw() {
    this.scheduled = false;
    if (!this.width || !this.height) return;
    const { context, nodes, radius, transform } = this;
    const at = new Float32Array(nodes.length * 2);
    const inView = new Uint8Array(nodes.length);
    for (let i = 0; i < nodes.length; i++) {
      const [x, y] = [transform.applyX(nodes[i].x), transform.applyY(nodes[i].y)];
      at[2 * i] = x;
      at[2 * i + 1] = y;
      inView[i] = x > -radius && y > -radius && x < this.width + radius && y < this.height + radius ? 1 : 0;
    }
    context.fillStyle = "#f8fafc";
    context.fillRect(0, 0, this.width, this.height);
    this.#drawEdges(at, inView);
    const marked = (i) => i === this.chosen;
    const dimmed = (i) => this.near !== null && !this.near.has(i);
    const named = this.byLinks.filter((i) => inView[i] && (radius >= NAMED_RADIUS ? !dimmed(i) : marked(i) || i === this.hovered));
    const rank = (i) => (marked(i) || i === this.hovered ? 0 : 1);
    names(context, nodes, at, named.sort((a, b) => rank(a) - rank(b)), radius);
    dots(context, nodes, at, inView, radius, { dimmed, marked });
  }

  #drawEdges(at, inView) {
    let seen = this.bright.filter(([from, to]) => inView[from] || inView[to]);
    if (seen.length > MOST_EDGES) seen = seen.filter(([from, to]) => inView[from] && inView[to]);
    if (seen.length > MOST_EDGES) {
      for (const { from, to, width } of this.bundles) {
        const ends = [from, to].flatMap(({ x, y }) => this.transform.apply([x, y]));
        lines(this.context, Float32Array.from(ends), [[0, 1]], this.near ? BUNDLES.near : BUNDLES.plain, width);
      }
      return;
    }
    if (this.near && this.edges.length <= MOST_EDGES) lines(this.context, at, this.edges, EDGES.far, 1.5);
    const crowded = this.radius < ARROW_RADIUS || seen.length > CROWD;
    const width = crowded ? 0.6 : 2;
    const plain = this.near ? EDGES.near : seen.length > CROWD ? EDGES.many : EDGES.plain;
    const [old, used] = [seen.filter((edge) => edge[2]), seen.filter((edge) => !edge[2])];
    lines(this.context, at, old, this.near ? EDGES.near : EDGES.old, width);
    lines(this.context, at, used, plain, width);
    if (crowded) return;
    arrows(this.context, at, old, this.near ? EDGES.near : EDGES.old, this.radius);
    arrows(this.context, at, used, plain, this.radius);
  }

  /** The node that the pointer is on, if any. */
  #nodeAt({ offsetX, offsetY }) {
    const reach = Math.max(this.radius + 2, 6) / this.transform.k;
    return this.tree.find(...this.transform.invert([offsetX, offsetY]), reach);
  }

  #listen(choose) {
    const { canvas } = this;
    canvas.onpointermove = (event) => event.buttons || this.#hover(this.places.get(this.#nodeAt(event)?.id) ?? null);
    // What the first click of two chose may stand elsewhere by the second.
    canvas.onclick = (event) => event.detail < 2 && choose(this.#nodeAt(event)?.id ?? null);
    canvas.onkeydown = ({ key }) => {
      const by = { ArrowLeft: [80, 0], ArrowRight: [-80, 0], ArrowUp: [0, 80], ArrowDown: [0, -80] }[key];
      if (by) {
        this.#moves(null);
        this.surface.call(this.zooming.translateBy, ...by.map((pixels) => pixels / this.transform.k));
      } else if (key === "+" || key === "-") this.zoom(key === "+" ? 1.6 : 1 / 1.6);
    };
  }

  #hover(place) {
    if (place === this.hovered) return;
    this.hovered = place;
    this.canvas.style.cursor = place === null ? "" : "pointer";
    this.#schedule();
  }
}
