import { randomInt } from "node:crypto";
import { expect, it } from "vitest";
import { Fleet } from "./fleet.ts";
import { openFleet, untilAllRun } from "./open_fleet.ts";

const TTL_MS = 4000;
/** Ages in the store are in whole seconds. */
const ROUNDING_MS = 1000;
/** The claim of a killed host is respected for a minute. */
const TIMEOUT_MS = 150_000;

it("agents ask the registry once a window and download an artifact once, killed or not", {
  timeout: TIMEOUT_MS,
}, async () => {
  const fleet = await openFleet((services) => [
    ...["assets", "--registry", "ghr://acme/app", "--interval", "2s"],
    ...["--cache", Fleet.cacheUrl(services, `${TTL_MS}ms`)],
  ]);
  const { services } = fleet;
  await services.tell({ do: "publish", tag: "v1.0.0", isGood: true });
  await fleet.startAll();
  await untilAllRun(fleet, "v1.0.0");
  const first = await services.count();
  expect(first.downloads).toEqual(["v1.0.0"]);

  await services.tell({ do: "publish", tag: "v1.1.0", isGood: true });
  for (let group = 0; group < fleet.processes; group += 1) {
    await new Promise((resolve) => setTimeout(resolve, randomInt(300)));
    await fleet.kill(group);
    await fleet.start(group);
  }
  await untilAllRun(fleet, "v1.1.0");
  const second = await services.count();
  expect(second.downloads.length, "once, and again if that host was killed").toBeLessThan(4);
  const polls = [...first.polls, ...second.polls];
  const gaps = polls.slice(1).map((at, index) => at - (polls[index] ?? 0));
  expect(gaps.filter((gap) => gap < TTL_MS - ROUNDING_MS)).toEqual([]);
  expect(fleet.log.filter(({ level }) => level === "ERROR")).toEqual([]);
});
