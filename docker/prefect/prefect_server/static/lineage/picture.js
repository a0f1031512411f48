// The shown graph as an SVG document, for a report or a wiki.

const X = 110;
const Y = 46;
const RADIUS = 9;
// More names than these would be a grey mass.
const MOST_NAMES = 400;

/**
 * @param {Array<{x: number, y: number, fill: string, border: string, label: string}>} nodes
 * @param {Array<[number, number]>} edges places in `nodes`
 * @returns {string}
 */
export function picture(nodes, edges) {
  const xs = nodes.map((node) => node.x * X);
  const ys = nodes.map((node) => node.y * Y);
  const [left, top] = [min(xs) - 120, min(ys) - 40];
  const [width, height] = [max(xs) + 120 - left, max(ys) + 50 - top];
  const lines = edges.map(([from, to]) => `<path d="M${at(xs, from)} ${at(ys, from)}L${at(xs, to)} ${at(ys, to)}"/>`);
  const dots = nodes.map(
    (node, i) => `<circle cx="${at(xs, i)}" cy="${at(ys, i)}" r="${RADIUS}" fill="${node.fill}" stroke="${node.border}"/>`,
  );
  const names = nodes.length > MOST_NAMES ? [] : nodes.map(
    (node, i) => `<text x="${at(xs, i)}" y="${(ys[i] + RADIUS + 15).toFixed(1)}">${escaped(node.label)}</text>`,
  );
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="${left} ${top} ${width} ${height}" width="${width}" height="${height}">`,
    `<rect x="${left}" y="${top}" width="100%" height="100%" fill="#ffffff"/>`,
    `<g stroke="#94a3b8" stroke-width="1.5" fill="none">${lines.join("")}</g>`,
    `<g stroke-width="3">${dots.join("")}</g>`,
    `<g font-family="sans-serif" font-size="12" text-anchor="middle" fill="#0f172a" paint-order="stroke" stroke="#ffffff" stroke-width="3">${names.join("")}</g>`,
    "</svg>",
  ].join("\n");
}

const at = (values, index) => values[index].toFixed(1);
const min = (values) => values.reduce((a, b) => Math.min(a, b), Infinity);
const max = (values) => values.reduce((a, b) => Math.max(a, b), -Infinity);
const escaped = (text) => text.replace(/[&<>"]/g, (char) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[char]);
