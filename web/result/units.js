/** Numbers as people say them: sizes in memory, and shares of something. */

import { say } from "../words.js";

// What would be rounded to 1000 of a unit is one of the next.
const LEAST_GIGABYTE = 0.995;
const LEAST_MEGABYTE = 0.001;
const LEAST_SHARE = 0.001;
// What is shown as 100 % is as much.
const SAME = [0.995, 1.005];

/** A whole or short number in the reader's own writing; `digits` as many as count. */
export function number(value, digits = value < 100 ? 3 : 9) {
  return value.toLocaleString(undefined, { maximumSignificantDigits: digits });
}

/** @param {number} gigabytes */
export function memory(gigabytes) {
  if (gigabytes >= LEAST_GIGABYTE) return `${number(gigabytes, 2)} GB`;
  return gigabytes >= LEAST_MEGABYTE ? `${number(gigabytes * 1000, 2)} MB` : say("less_than_a_megabyte");
}

/** How much something is of something else, to be followed by that: "2.3 times", "43 % of". */
export function share(ratio) {
  if (ratio < LEAST_SHARE) return say("share_least");
  if (ratio >= SAME[0] && ratio < SAME[1]) return say("share_same");
  return ratio < 1 ? say("share_part", { percent: number(100 * ratio, 2) }) : say("share_times", { times: number(ratio, 2) });
}
