// Places a directed graph in layers, upstream left and downstream right. Pure: numbers in, numbers out.

/**
 * @param {number} count how many nodes there are, named 0 to count - 1
 * @param {Array<[number, number]>} edges from upstream to downstream; loops and circles may be among them
 * @returns {{layer: Int32Array, x: Float64Array, y: Float64Array}} y grows downwards
 */
export function layout(count, edges) {
  const up = neighbours(count, edges, 1, 0);
  const down = neighbours(count, edges, 0, 1);
  const layer = layers(count, up, down);
  return { layer, ...places(count, up, down, layer) };
}

/** Neighbours of all nodes in one array: those of n are list[start[n]] to list[start[n + 1] - 1]. */
function neighbours(count, edges, of, to) {
  const start = new Int32Array(count + 1);
  const real = edges.filter((edge) => edge[0] !== edge[1]);
  for (const edge of real) start[edge[of] + 1]++;
  for (let node = 0; node < count; node++) start[node + 1] += start[node];
  const next = start.slice(0, count);
  const list = new Int32Array(real.length);
  for (const edge of real) list[next[edge[of]]++] = edge[to];
  return { start, list };
}

/** The longest way from a node without upstream; an edge that closes a circle does not count. */
function layers(count, up, down) {
  const layer = new Int32Array(count);
  const order = topological(count, down);
  const position = new Int32Array(count);
  order.forEach((node, index) => (position[node] = index));
  for (const node of order) {
    for (let i = down.start[node]; i < down.start[node + 1]; i++) {
      const other = down.list[i];
      if (position[other] > position[node]) layer[other] = Math.max(layer[other], layer[node] + 1);
    }
  }
  // What has no upstream stands right before what first reads it, and not far away at the left edge.
  for (let node = 0; node < count; node++) {
    if (up.start[node] !== up.start[node + 1] || down.start[node] === down.start[node + 1]) continue;
    let nearest = Infinity;
    for (let i = down.start[node]; i < down.start[node + 1]; i++) nearest = Math.min(nearest, layer[down.list[i]]);
    layer[node] = Math.max(0, nearest - 1);
  }
  return layer;
}

/** Every node before those that it leads to, as far as circles allow; by a search in depth without recursion. */
function topological(count, down) {
  const order = new Int32Array(count);
  const seen = new Uint8Array(count);
  const next = down.start.slice(0, count);
  const stack = new Int32Array(count);
  let free = count;
  for (let root = 0; root < count; root++) {
    if (seen[root]) continue;
    let depth = 0;
    stack[depth] = root;
    seen[root] = 1;
    while (depth >= 0) {
      const node = stack[depth];
      if (next[node] === down.start[node + 1]) {
        order[--free] = node;
        depth--;
        continue;
      }
      const other = down.list[next[node]++];
      if (!seen[other]) {
        seen[other] = 1;
        stack[++depth] = other;
      }
    }
  }
  return order;
}

const SWEEPS = 4;
const COLUMN_GAP = 1.0;
const LAYER_GAP = 2.6;

/** Order each layer by where its neighbours are, then wrap layers that are too long into columns side by side. */
function places(count, up, down, layer) {
  const members = [];
  const alone = [];
  for (let node = 0; node < count; node++) {
    const linked = up.start[node] !== up.start[node + 1] || down.start[node] !== down.start[node + 1];
    if (linked) (members[layer[node]] ??= []).push(node);
    else alone.push(node);
  }
  const groups = members.filter(Boolean);
  const height = new Float64Array(count);
  const wanted = new Float64Array(count);
  for (const group of groups) spread(group, height);
  for (let sweep = 0; sweep < SWEEPS; sweep++) {
    for (let i = 1; i < groups.length; i++) arrange(groups[i], up, height, wanted);
    for (let i = groups.length - 2; i >= 0; i--) arrange(groups[i], down, height, wanted);
  }
  const rows = Math.max(24, Math.ceil(Math.sqrt(count) * 1.1));
  const x = new Float64Array(count);
  const y = new Float64Array(count);
  let left = 0;
  let lowest = 0;
  for (const group of groups) {
    const columns = Math.ceil(group.length / rows);
    const used = Math.ceil(group.length / columns);
    group.forEach((node, index) => {
      const row = Math.floor(index / columns);
      x[node] = left + (index % columns) * COLUMN_GAP;
      // Neighbouring columns are set off by half a row, so that names do not stand on one line.
      y[node] = row - (used - 1) / 2 + (columns > 1 && index % 2 ? 0.5 : 0);
      lowest = Math.max(lowest, y[node]);
    });
    // Room for the edges: the more there are beside each other, the more of it.
    left += (columns - 1) * COLUMN_GAP + Math.max(LAYER_GAP, used * 0.06);
  }
  // Assets that neither read nor are read stand below, in lines as long as the graph.
  const perRow = Math.max(groups.length ? Math.ceil(left / LAYER_GAP) : 0, Math.ceil(Math.sqrt(alone.length)), 1);
  const top = groups.length ? lowest + 2 : 0;
  alone.forEach((node, index) => {
    x[node] = (index % perRow) * LAYER_GAP;
    y[node] = top + Math.floor(index / perRow);
  });
  return { x, y };
}

function spread(group, height) {
  group.forEach((node, index) => (height[node] = (index + 0.5) / group.length));
}

function arrange(group, side, height, wanted) {
  for (const node of group) {
    let sum = 0;
    const number = side.start[node + 1] - side.start[node];
    for (let i = side.start[node]; i < side.start[node + 1]; i++) sum += height[side.list[i]];
    wanted[node] = number ? sum / number : height[node];
  }
  group.sort((a, b) => wanted[a] - wanted[b] || a - b);
  spread(group, height);
}

/** Everything up- and downstream of a node, itself included. */
export function lineageOf(node, count, edges) {
  const found = new Set([node]);
  for (const [of, to] of [[1, 0], [0, 1]]) {
    const side = neighbours(count, edges, of, to);
    const waiting = [node];
    const seen = new Set(waiting);
    while (waiting.length) {
      const at = waiting.pop();
      for (let i = side.start[at]; i < side.start[at + 1]; i++) {
        const other = side.list[i];
        if (seen.has(other)) continue;
        seen.add(other);
        found.add(other);
        waiting.push(other);
      }
    }
  }
  return found;
}
