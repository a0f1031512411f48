// Draws the graph with sigma.js on WebGL, and says what was clicked.

/* global Sigma, graphology */

const LARGE = 4000;

export class View {
  /** Throws when the browser has no WebGL. `choose` is called with a node's number, or null. */
  constructor(element, choose) {
    this.graph = new graphology.DirectedGraph();
    this.chosen = null;
    this.near = null;
    const border = Sigma.rendering.createNodeBorderProgram({
      borders: [
        { size: { value: 0.28 }, color: { attribute: "border" } },
        { size: { fill: true }, color: { attribute: "color" } },
      ],
    });
    this.sigma = new Sigma(this.graph, element, {
      nodeProgramClasses: { border },
      defaultNodeType: "border",
      minCameraRatio: 0.005,
      maxCameraRatio: 4,
      labelRenderedSizeThreshold: 5,
      labelGridCellSize: 120,
      zIndex: true,
      stagePadding: 70,
      defaultDrawNodeLabel: drawName,
      defaultDrawNodeHover: drawName,
      nodeReducer: (node, data) => this.#node(node, data),
      edgeReducer: (edge, data) => this.#edge(edge, data),
    });
    // The panel takes its place from the graph.
    new ResizeObserver(() => this.sigma.resize().refresh({ skipIndexation: true })).observe(element);
    this.sigma.on("clickNode", ({ node }) => choose(Number(node)));
    this.sigma.on("clickStage", () => choose(null));
    this.sigma.on("enterNode", () => (element.style.cursor = "pointer"));
    this.sigma.on("leaveNode", () => (element.style.cursor = ""));
  }

  /** Show nodes {id, x, y, label, fill, border} and edges [from, to, old] between their ids; the rest as `highlight`. */
  show(nodes, edges, chosen, near) {
    const large = edges.length > LARGE;
    const type = large ? "line" : "arrow";
    const graph = new graphology.DirectedGraph();
    const size = nodes.length < 60 ? 13 : nodes.length < 600 ? 8 : 4;
    for (const { id, x, y, label, fill, border } of nodes) graph.addNode(id, { x, y: -y, size, label, color: fill, border });
    const color = large ? "#cbd5e1" : "#94a3b8";
    for (const [from, to, old] of edges) {
      if (from !== to) graph.addDirectedEdge(from, to, { type, size: large ? 0.6 : 2.5, color: old ? "#e2e8f0" : color });
    }
    // Each change of a setting draws everything anew, so there is one, with nothing to draw.
    if (this.sigma.getSetting("hideEdgesOnMove") !== large) {
      this.sigma.setGraph(new graphology.DirectedGraph());
      this.sigma.setSetting("hideEdgesOnMove", large);
    }
    this.#near(chosen, near);
    this.graph = graph;
    this.sigma.setGraph(graph);
  }

  /** Highlight a node and everything that is near it (a set of numbers); null for nothing. */
  highlight(chosen, near) {
    this.#near(chosen, near);
    this.sigma.refresh({ skipIndexation: true });
  }

  #near(chosen, near) {
    this.chosen = chosen === null ? null : String(chosen);
    this.near = near && new Set([...near].map(String));
  }

  /** Move to a node, as near as its name can be read. */
  goTo(node) {
    const place = this.sigma.getNodeDisplayData(String(node));
    const camera = this.sigma.getCamera();
    const ratio = Math.min(camera.ratio, Math.max(0.05, 6 / Math.sqrt(this.graph.order)));
    if (place) camera.animate({ x: place.x, y: place.y, ratio }, { duration: 300 });
  }

  zoom(factor) {
    const camera = this.sigma.getCamera();
    camera.animate({ ratio: camera.ratio / factor }, { duration: 150 });
  }

  fit() {
    this.sigma.getCamera().animate({ x: 0.5, y: 0.5, ratio: 1, angle: 0 }, { duration: 200 });
  }

  #node(node, data) {
    if (this.near && !this.near.has(node)) return { ...data, label: "", color: "#f1f5f9", border: "#cbd5e1", zIndex: 0 };
    if (node === this.chosen) return { ...data, size: data.size * 1.35, forceLabel: true, zIndex: 2 };
    return this.near ? { ...data, zIndex: 1 } : data;
  }

  #edge(edge, data) {
    if (!this.near) return data;
    const [from, to] = this.graph.extremities(edge);
    if (!this.near.has(from) || !this.near.has(to)) return { ...data, hidden: this.graph.size > LARGE, color: "#eef2f6", zIndex: 0 };
    return { ...data, color: "#475569", size: Math.max(data.size, 2), zIndex: 1 };
  }
}

/** The name below its dot, on a ground that keeps it readable over edges. */
function drawName(context, data, settings) {
  if (!data.label) return;
  context.font = `500 ${settings.labelSize}px ${settings.labelFont}`;
  context.textAlign = "center";
  const width = context.measureText(data.label).width;
  const y = data.y + data.size + settings.labelSize + 2;
  context.fillStyle = "rgba(248, 250, 252, 0.85)";
  context.fillRect(data.x - width / 2 - 3, y - settings.labelSize, width + 6, settings.labelSize + 4);
  context.fillStyle = "#0f172a";
  context.fillText(data.label, data.x, y);
  context.textAlign = "start";
}
