// Less to paint where many marks fall on one pixel: a run of minutes has thousands of points and bursts. Pure.

const STEP_PX = 0.75;

/**
 * A polyline without what cannot be seen: of each column its first, lowest, highest and last point stay.
 * @param {number[][]} points [px, value], px ascending @returns {number[][]}
 */
export function thinLine(points) {
  if (points.length < 200) return points;
  const out = [];
  for (let i = 0; i < points.length; ) {
    const column = Math.floor(points[i][0] / STEP_PX);
    let j = i;
    let low = i;
    let high = i;
    for (; j < points.length && Math.floor(points[j][0] / STEP_PX) === column; j += 1) {
      if (points[j][1] < points[low][1]) low = j;
      if (points[j][1] > points[high][1]) high = j;
    }
    for (const k of [...new Set([i, low, high, j - 1])].sort((a, b) => a - b)) out.push(points[k]);
    i = j;
  }
  return out;
}

/**
 * Spans of one kind that would touch on the screen, as one. @template {{what?: string, a: number, b: number}} S
 * @param {S[]} spans in time order @param {(t: number) => number} x @returns {S[]}
 */
export function mergeSpans(spans, x) {
  if (spans.length < 100) return spans;
  /** @type {S[]} */
  const out = [];
  for (const span of spans) {
    const last = out[out.length - 1];
    if (last && last.what === span.what && x(span.a) - x(last.b) < STEP_PX) out[out.length - 1] = { ...last, b: Math.max(last.b, span.b) };
    else out.push(span);
  }
  return out;
}
