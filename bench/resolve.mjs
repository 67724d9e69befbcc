// The time to choose the newest tag, against a one-pass maximum with the semver package
// in the same run, which parses each tag once. Times are CPU times (user and system), medians of
// several rounds. Run it with `npm run bench -- resolve`.
import semver from "semver";
import { latestTag } from "../dist/mod.js";

const SIZES = [10_000, 100_000, 1_000_000];
const ROUNDS = 7;

/** The same tags on every run. */
function random(seed) {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state % below;
  };
}

const LISTS = {
  "mixed, unsorted": (size) => {
    const pick = random(1);
    return Array.from({ length: size }, () => {
      const core = `v${pick(40)}.${pick(60)}.${pick(200)}`;
      const kind = pick(10);
      if (kind < 2) return `${core}-rc.${pick(20)}`;
      if (kind < 4) return `${core}+${pick(2) === 0 ? "blue" : "green"}`;
      return kind < 5 ? `nightly-${pick(1000)}` : core;
    });
  },
  "ascending (worst case)": (size) =>
    Array.from(
      { length: size },
      (_, nth) => `v${Math.floor(nth / 10_000)}.${Math.floor(nth / 100) % 100}.${nth % 100}`,
    ),
  "one core, ascending pre-releases": (size) => [
    "v0.9.0",
    ...Array.from({ length: size - 1 }, (_, nth) => `v1.0.0-rc.${nth}+blue`),
  ],
};

/** The obvious implementation with the semver package. */
function latestBySemver(tags) {
  let best = null;
  let bestTag;
  for (const tag of tags) {
    const version = semver.parse(tag);
    if (version === null || version.prerelease.length > 0) continue;
    if (best !== null && version.compare(best) <= 0) continue;
    best = version;
    bestTag = tag;
  }
  return bestTag;
}

const CASES = {
  latestTag: (tags) => latestTag(tags),
  "latestTag, pre-release": (tags) => latestTag(tags, { preRelease: true }),
  "latestTag, slot": (tags) => latestTag(tags, { slot: "blue" }),
  "latestTag, constraint": (tags) => latestTag(tags, { constraint: "^12.3 || ~7.1" }),
};

const CALVER = (tags) => latestTag(tags, { calver: "YYYY.0M.MICRO" });
const calverList = (size) => {
  const pick = random(2);
  return Array.from(
    { length: size },
    () => `${2000 + pick(26)}.${String(1 + pick(12)).padStart(2, "0")}.${pick(1000)}`,
  );
};

function cpuMs(run, rounds = ROUNDS) {
  const times = [];
  for (let round = 0; round < rounds; round++) {
    const start = process.cpuUsage();
    run();
    const { user, system } = process.cpuUsage(start);
    times.push((user + system) / 1000);
  }
  return times.sort((a, b) => a - b)[Math.floor(rounds / 2)];
}

function row(label, times, note = "") {
  const cells = times.map((ms) => `${ms.toFixed(2)} ms`.padStart(17));
  const [, middle, large] = times;
  const scaling = `x${(large / middle).toFixed(1)}`;
  console.log(`  ${label.padEnd(26)}${cells.join("")}${scaling.padStart(9)}  ${note}`);
}

function heading(title) {
  console.log(`\n${title}`);
  const sizes = SIZES.map((size) => `${size.toLocaleString("en-US")} tags`.padStart(17)).join("");
  console.log(`  ${"".padEnd(26)}${sizes}${"x10 tags".padStart(9)}`);
}

// Parsed from JSON, like a registry's answer. Nothing is compiled yet at the first call.
const first = JSON.parse(JSON.stringify(LISTS["mixed, unsorted"](100_000)));
const firstMs = cpuMs(() => latestTag(first), 1);
console.log(`The first call of the process, 100,000 tags: ${firstMs.toFixed(1)} ms of CPU`);
console.log(`node ${process.version}; CPU time, median of ${ROUNDS} rounds`);
for (const [title, make] of Object.entries(LISTS)) {
  const lists = SIZES.map(make);
  heading(title);
  const rival = lists.map((tags) => cpuMs(() => latestBySemver(tags)));
  for (const [label, run] of Object.entries(CASES)) {
    const times = lists.map((tags) => cpuMs(() => run(tags)));
    row(label, times, `${(times[1] / rival[1]).toFixed(2)} of semver's at 100,000`);
  }
  row("semver, one pass", rival);
  const [small] = lists;
  if (latestTag(small) !== latestBySemver(small)) throw new Error("the two do not agree");
}
heading("CalVer, unsorted");
const lists = SIZES.map(calverList);
row(
  "latestTag, YYYY.0M.MICRO",
  lists.map((tags) => cpuMs(() => CALVER(tags))),
);
