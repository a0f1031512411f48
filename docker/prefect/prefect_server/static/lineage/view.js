// Draws the graph on a canvas and says what was clicked. What is far away is drawn as less: dots without names, and
// bundles in place of edges. So a frame costs about the same for ten assets and for ten thousand, also without WebGL.

import { arrows, bundles, dots, lines, names } from "./draw.js";

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
    Object.assign(this, { nodes: [], edges: [], bright: [], bundles: [], byLinks: [], places: new Map(), chosen: null, near: null, hovered: null, scheduled: false, moving: 0 });
    this.camera = { x: 0, y: 0, scale: 1 };
    this.fitted = true;
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
    this.edges = edges.filter(([from, to]) => from !== to).map(([from, to, old]) => [places.get(from), places.get(to), old]);
    for (const [from, to] of this.edges) {
      links[from]++;
      links[to]++;
    }
    // Names are given room in this order.
    this.byLinks = [...nodes.keys()].sort((a, b) => links[b] - links[a] || a - b);
    this.highlight(chosen, near);
    if (this.fitted) this.#use(this.#whole());
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
    this.move({ scale: this.#allowed(this.camera.scale * factor) }, 150);
  }

  fit() {
    this.move(this.#whole(), 200).then((arrived) => {
      if (!arrived) return;
      this.fitted = true;
      // The panel may have taken its place meanwhile.
      this.#resize();
    });
  }

  /** Move the camera to where `to` says: middle {x, y} and pixels per unit; resolves to whether it got there. */
  move(to, milliseconds = 300) {
    const from = { ...this.camera };
    const mine = ++this.moving;
    const began = performance.now();
    this.fitted = false;
    return new Promise((done) => {
      const step = (now) => {
        if (mine !== this.moving) return done(false);
        const part = Math.min(1, Math.max(0, now - began) / milliseconds);
        const eased = part * (2 - part);
        for (const name of Object.keys(to)) this.camera[name] = from[name] + (to[name] - from[name]) * eased;
        this.#draw();
        if (part < 1) requestAnimationFrame(step);
        else done(true);
      };
      requestAnimationFrame(step);
    });
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
    const scale = this.#allowed(Math.min(wide, high));
    return { x: (box.left + box.right) / 2, y: (box.top + box.bottom) / 2, scale };
  }

  #allowed(scale) {
    return Math.min(LARGEST_SCALE, Math.max(SMALLEST_SCALE, scale));
  }

  #use(camera) {
    Object.assign(this.camera, camera);
    this.#schedule();
  }

  #resize() {
    const ratio = window.devicePixelRatio || 1;
    this.width = this.canvas.parentElement.clientWidth;
    this.height = this.canvas.parentElement.clientHeight;
    this.canvas.width = Math.round(this.width * ratio);
    this.canvas.height = Math.round(this.height * ratio);
    this.context.setTransform(ratio, 0, 0, ratio, 0, 0);
    if (this.fitted) Object.assign(this.camera, this.#whole());
    this.#draw();
  }

  #schedule() {
    if (this.scheduled) return;
    this.scheduled = true;
    requestAnimationFrame(() => this.#draw());
  }

  get radius() {
    return Math.min(12, Math.max(1.5, this.camera.scale * 0.22));
  }

  #onScreen({ x, y }) {
    return [(x - this.camera.x) * this.camera.scale + this.width / 2, (y - this.camera.y) * this.camera.scale + this.height / 2];
  }

  #draw() {
    this.scheduled = false;
    if (!this.width || !this.height) return;
    const { context, nodes, radius } = this;
    const at = new Float32Array(nodes.length * 2);
    const inView = new Uint8Array(nodes.length);
    for (let i = 0; i < nodes.length; i++) {
      const [x, y] = this.#onScreen(nodes[i]);
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
        const [a, b] = [this.#onScreen(from), this.#onScreen(to)];
        lines(this.context, Float32Array.of(...a, ...b), [[0, 1]], this.near ? BUNDLES.near : BUNDLES.plain, width);
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

  /** The node at a place of the canvas, null for none. */
  #nodeAt(x, y) {
    let nearest = null;
    let best = Math.max(this.radius + 2, 6) ** 2;
    for (let i = 0; i < this.nodes.length; i++) {
      const [nodeX, nodeY] = this.#onScreen(this.nodes[i]);
      const distance = (nodeX - x) ** 2 + (nodeY - y) ** 2;
      if (distance < best) [nearest, best] = [i, distance];
    }
    return nearest;
  }

  #zoomAt(x, y, factor) {
    const scale = this.#allowed(this.camera.scale * factor);
    const [dx, dy] = [x - this.width / 2, y - this.height / 2];
    this.camera.x += dx / this.camera.scale - dx / scale;
    this.camera.y += dy / this.camera.scale - dy / scale;
    this.#moved({ scale });
  }

  #moved(camera) {
    this.moving++;
    this.fitted = false;
    this.#use(camera);
  }

  #listen(choose) {
    const { canvas } = this;
    const down = new Map();
    let travelled = 0;
    canvas.onpointerdown = (event) => {
      canvas.setPointerCapture(event.pointerId);
      down.set(event.pointerId, event);
      if (down.size === 1) travelled = 0;
    };
    canvas.onpointermove = (event) => {
      const before = down.get(event.pointerId);
      if (!before) return this.#hover(event.offsetX, event.offsetY);
      const [dx, dy] = [event.offsetX - before.offsetX, event.offsetY - before.offsetY];
      const other = [...down.values()].find((each) => each.pointerId !== event.pointerId);
      travelled += Math.hypot(dx, dy);
      down.set(event.pointerId, event);
      if (other) {
        const apart = (one) => Math.hypot(one.offsetX - other.offsetX, one.offsetY - other.offsetY) || 1;
        this.#zoomAt((event.offsetX + other.offsetX) / 2, (event.offsetY + other.offsetY) / 2, apart(event) / apart(before));
      } else if (travelled > CLICK_PX) {
        this.#moved({ x: this.camera.x - dx / this.camera.scale, y: this.camera.y - dy / this.camera.scale });
      }
    };
    canvas.onpointerup = canvas.onpointercancel = (event) => {
      const alone = down.delete(event.pointerId) && !down.size;
      if (!alone || travelled > CLICK_PX || event.type === "pointercancel") return;
      const place = this.#nodeAt(event.offsetX, event.offsetY);
      choose(place === null ? null : this.nodes[place].id);
    };
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      this.#zoomAt(event.offsetX, event.offsetY, Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0015)));
    }, { passive: false });
    canvas.onkeydown = (event) => {
      const step = 80 / this.camera.scale;
      const by = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] }[event.key];
      if (by) this.#moved({ x: this.camera.x + by[0], y: this.camera.y + by[1] });
      else if (event.key === "+" || event.key === "-") this.zoom(event.key === "+" ? 1.6 : 1 / 1.6);
    };
  }

  #hover(x, y) {
    const place = this.#nodeAt(x, y);
    if (place === this.hovered) return;
    this.hovered = place;
    this.canvas.style.cursor = place === null ? "" : "pointer";
    this.#schedule();
  }
}
