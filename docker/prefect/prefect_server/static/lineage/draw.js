// Puts dots, lines and names on a canvas. Places come as one array of x and y, in pixels; edges hold places in it.

// Smaller ones are squares: nobody sees the difference, and they cost a fifth.
const ROUND_RADIUS = 3;
// These would not be seen without their border.
const PALE = new Set(["#ffffff", "#f1f5f9", "#fde68a"]);
const BANDS = 8;
const FONT_PX = 13;
const LINE_PX = FONT_PX + 6;

/** One dot for each node in view, `dimmed` ones below the others, those of one colour together. */
export function dots(context, nodes, at, inView, radius, { dimmed, marked }) {
  const groups = new Map();
  for (let i = 0; i < nodes.length; i++) {
    if (!inView[i]) continue;
    const far = dimmed(i);
    const key = far ? "0" : `1${nodes[i].fill}`;
    if (!groups.has(key)) groups.set(key, far ? { fill: "#f1f5f9", border: "#cbd5e1", members: [] } : { ...nodes[i], members: [] });
    groups.get(key).members.push(i);
  }
  for (const [, { fill, border, members }] of [...groups].sort(([a], [b]) => (a < b ? -1 : 1))) {
    if (radius < ROUND_RADIUS) squares(context, at, members, radius, PALE.has(fill) ? border : fill);
    else circles(context, at, members, radius, fill, border, marked);
  }
  // Far out a chosen one must be found, too.
  if (radius < ROUND_RADIUS) circles(context, at, [...nodes.keys()].filter((i) => marked(i) && inView[i]), 6, "#0f172a", "#ffffff", marked);
}

function squares(context, at, members, radius, fill) {
  context.fillStyle = fill;
  for (const i of members) context.fillRect(at[2 * i] - radius, at[2 * i + 1] - radius, 2 * radius, 2 * radius);
}

function circles(context, at, members, radius, fill, border, marked) {
  const edge = radius * 0.28;
  context.beginPath();
  for (const i of members) {
    const size = (marked(i) ? radius * 1.35 : radius) - edge / 2;
    context.moveTo(at[2 * i] + size, at[2 * i + 1]);
    context.arc(at[2 * i], at[2 * i + 1], size, 0, 2 * Math.PI);
  }
  Object.assign(context, { fillStyle: fill, strokeStyle: border, lineWidth: edge });
  context.fill();
  context.stroke();
}

export function lines(context, at, edges, color, width) {
  context.beginPath();
  for (const [from, to] of edges) {
    context.moveTo(at[2 * from], at[2 * from + 1]);
    context.lineTo(at[2 * to], at[2 * to + 1]);
  }
  Object.assign(context, { strokeStyle: color, lineWidth: width });
  context.stroke();
}

/** A head at the downstream end of each edge, outside of the dot. */
export function arrows(context, at, edges, color, radius) {
  const length = radius * 0.9 + 3;
  context.beginPath();
  for (const [from, to] of edges) {
    const [x, y] = [at[2 * to], at[2 * to + 1]];
    const angle = Math.atan2(y - at[2 * from + 1], x - at[2 * from]);
    const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
    const [tipX, tipY] = [x - cos * (radius + 1), y - sin * (radius + 1)];
    const [baseX, baseY] = [tipX - cos * length, tipY - sin * length];
    context.moveTo(tipX, tipY);
    context.lineTo(baseX - sin * length * 0.45, baseY + cos * length * 0.45);
    context.lineTo(baseX + sin * length * 0.45, baseY - cos * length * 0.45);
  }
  context.fillStyle = color;
  context.fill();
}

/** Names below their dots, in the order that is given; one that would stand on another is left out. */
export function names(context, nodes, at, order, radius) {
  context.font = `500 ${FONT_PX}px system-ui, sans-serif`;
  context.textAlign = "center";
  const taken = new Map();
  for (const i of order) {
    const [x, y] = [at[2 * i], at[2 * i + 1] + radius * 1.2 + FONT_PX + 2];
    const half = context.measureText(nodes[i].label).width / 2 + 3;
    const row = Math.floor(y / LINE_PX);
    const beside = [row - 1, row, row + 1].flatMap((each) => taken.get(each) ?? []);
    if (beside.some((other) => Math.abs(other.y - y) < LINE_PX && other.left < x + half && x - half < other.right)) continue;
    if (!taken.has(row)) taken.set(row, []);
    taken.get(row).push({ left: x - half, right: x + half, y });
    context.fillStyle = "rgba(248, 250, 252, 0.85)";
    context.fillRect(x - half, y - FONT_PX, 2 * half, FONT_PX + 4);
    context.fillStyle = "#0f172a";
    context.fillText(nodes[i].label, x, y);
  }
}

/**
 * What very many edges come to: each layer is cut into bands from top to bottom, and the edges between two bands are
 * one line, as wide as they are many, between the middles of the assets that they join.
 * @returns {Array<{from: {x: number, y: number}, to: {x: number, y: number}, width: number}>}
 */
export function bundles(nodes, edges) {
  const lowest = nodes.reduce((found, { y }) => Math.max(found, y), -Infinity);
  const highest = nodes.reduce((found, { y }) => Math.min(found, y), Infinity);
  const cellOf = ({ layer, y }) => layer * BANDS + Math.min(BANDS - 1, Math.floor(((y - highest) / (lowest - highest || 1)) * BANDS));
  const cells = nodes.map(cellOf);
  const found = new Map();
  for (const [from, to] of edges) {
    const key = `${cells[from]} ${cells[to]}`;
    let bundle = found.get(key);
    if (!bundle) found.set(key, (bundle = { from: { x: 0, y: 0 }, to: { x: 0, y: 0 }, many: 0 }));
    bundle.many++;
    for (const [end, node] of [[bundle.from, nodes[from]], [bundle.to, nodes[to]]]) {
      end.x += (node.x - end.x) / bundle.many;
      end.y += (node.y - end.y) / bundle.many;
    }
  }
  const most = [...found.values()].reduce((largest, { many }) => Math.max(largest, many), 1);
  return [...found.values()]
    .filter(({ many }) => many > most / 100)
    .map(({ from, to, many }) => ({ from, to, width: 0.5 + 7 * Math.sqrt(many / most) }));
}
