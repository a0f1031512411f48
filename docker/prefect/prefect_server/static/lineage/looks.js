// What an asset looks like: its colour says how its last run ended and how long ago, its name is what people call it.

const DAY = 86400;

export const LOOKS = [
  { fill: "#16a34a", border: "#166534", means: "succeeded less than a day ago" },
  { fill: "#a3e635", border: "#65a30d", means: "succeeded less than a week ago" },
  { fill: "#fde68a", border: "#d97706", means: "succeeded longer ago" },
  { fill: "#dc2626", border: "#7f1d1d", means: "failed" },
  { fill: "#ffffff", border: "#64748b", means: "only read: no flow here writes it" },
];

/** The look of an asset of the graph; `now` in unix seconds. */
export function lookOf(asset, now) {
  if (asset.outcome === "failed") return LOOKS[3];
  if (asset.outcome !== "succeeded") return LOOKS[4];
  const age = now - asset.at;
  return age < DAY ? LOOKS[0] : age < 7 * DAY ? LOOKS[1] : LOOKS[2];
}

/** The asset's name, or the end of its key. */
export function nameOf(asset) {
  const mark = asset.outcome === "failed" ? "✕ " : "";
  if (asset.name) return mark + asset.name;
  const parts = asset.key.replace(/^[^:]*:\/\//, "").split("/").filter(Boolean);
  return mark + (parts.slice(-2).join("/") || asset.key);
}

const STEPS = [[60, "second", 1], [3600, "minute", 60], [DAY, "hour", 3600], [Infinity, "day", DAY]];

/** How long ago a time was, in words; both in unix seconds. */
export function ago(at, now) {
  const seconds = Math.max(0, now - at);
  const [, unit, size] = STEPS.find(([limit]) => seconds < limit);
  const number = Math.floor(seconds / size);
  return `${number} ${unit}${number === 1 ? "" : "s"} ago`;
}
