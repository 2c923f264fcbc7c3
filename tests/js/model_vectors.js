// The golden vectors that Python wrote (tests/conformance), and where a trace differs from one of them.

import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";

const FILE = new URL("../conformance/vectors.json.gz", import.meta.url);
const RELATIVE = 1e-9;

/** @returns {Record<string, any>} */
export const goldenVectors = () => JSON.parse(gunzipSync(readFileSync(FILE)).toString());

/** What simulate() takes for a vector. @param {Record<string, any>} file @param {Record<string, any>} vector */
export function tablesOf(file, vector) {
  const most = vector.most_pages === null ? {} : { most_pages: vector.most_pages };
  return { ...file.shared, its: file.its[vector.tables], ...most };
}

/** Rows of a vector as a trace has them. @param {Record<string, any>} file @param {Record<string, any>} vector */
export function rowsOfVector(file, vector) {
  const times = new Map(vector.times);
  let t = 0;
  return vector.head.map((/** @type {number} */ head, /** @type {number} */ i) => {
    t = times.get(i) ?? t;
    const [kind, lane, name, depth] = file.heads[head];
    return [t, kind, lane, name, depth, file.pool[vector.data[i]]];
  });
}

/** Places where b is not what a is: whole numbers equal, others to 1e-9 relative. @param {any} a @param {any} b @param {string} where @returns {string[]} */
export function unequal(a, b, where = "") {
  if (Array.isArray(a) && Array.isArray(b)) {
    const length = a.length === b.length ? [] : [`${where}: ${a.length} and ${b.length} items`];
    return [...length, ...a.slice(0, b.length).flatMap((one, i) => unequal(one, b[i], `${where}[${i}]`))];
  }
  if (a && b && typeof a === "object" && typeof b === "object") {
    const keys = Object.keys(a).sort().join();
    if (keys !== Object.keys(b).sort().join()) return [`${where}: keys ${keys} and ${Object.keys(b).sort().join()}`];
    return Object.keys(a).flatMap((key) => unequal(a[key], b[key], `${where}.${key}`));
  }
  return same(a, b) ? [] : [`${where}: ${a} and ${b}`];
}

function same(/** @type {any} */ a, /** @type {any} */ b) {
  if (a === b) return true;
  const fractions = typeof a === "number" && typeof b === "number" && !Number.isInteger(a);
  return fractions && Math.abs(a - b) <= RELATIVE * Math.max(Math.abs(a), Math.abs(b)) + 1e-15;
}
