import { expect, it } from "vitest";
import { cliRuntimes, runDewy } from "../dewy.ts";
import { Fleet } from "./fleet.ts";
import { openFleet, untilAllRun } from "./open_fleet.ts";

/** Waves are evaluated every fifteen seconds. */
const TIMEOUT_MS = 240_000;
const WAIT = { timeout: 100_000, interval: 200 };
const ROLLOUT = "app/fleet/web/rollout.json";

it("a canary's failure halts a rollout, and the next version reaches the rest after its canary", {
  timeout: TIMEOUT_MS,
}, async () => {
  let waves = "100%";
  const fleet = await openFleet((services) => [
    ...["assets", "--registry", "ghr://acme/app", "--interval", "2s"],
    ...["--cache", Fleet.cacheUrl(services, "2s"), "--fleet", "web", "--fleet-host", "HOST"],
    ...["--rollout", waves, "--rollout-bake", "1s", "--member-ttl", "60s"],
  ]);
  const { services } = fleet;
  const rollout = async () => JSON.parse((await services.read(ROLLOUT)) ?? "{}");
  const untilRollout = (expected: object) =>
    expect.poll(rollout, WAIT).toEqual(expect.objectContaining(expected));
  const failed = async (): Promise<string[]> =>
    (await rollout()).failed.map(({ host }: { host: string }) => host);

  await services.tell({ do: "publish", tag: "v1.0.0", isGood: true });
  await fleet.startAll();
  await untilAllRun(fleet, "v1.0.0");
  await untilRollout({ tag: "v1.0.0", state: "done" });

  // Every process is killed once, and comes back with other waves.
  waves = "1,100%";
  for (let group = 0; group < fleet.processes; group += 1) {
    await fleet.kill(group);
    await fleet.start(group);
  }
  await services.tell({ do: "publish", tag: "v1.1.0", isGood: false });
  await untilRollout({ tag: "v1.1.0", state: "halted" });
  const [canary] = await failed();
  expect(await failed()).toEqual([canary]);
  expect(await fleet.versions()).toEqual({ "v1.0.0": fleet.hosts.length });

  await resume(fleet);
  await expect.poll(failed, WAIT).toHaveLength(2);
  await untilRollout({ tag: "v1.1.0", state: "halted", forgiven: [canary] });

  await services.tell({ do: "publish", tag: "v1.2.0", isGood: true });
  await untilRollout({ tag: "v1.2.0", state: "running", wave: 0 });
  const most = { hosts: 0 };
  for (let group = 0; ; group = (group + 1) % fleet.processes) {
    const { wave, revision } = await rollout();
    if (wave > 0) break;
    const { "v1.2.0": hosts = 0 } = await fleet.versions();
    // The wave may have been completed between the two looks.
    if ((await rollout()).wave === 0) most.hosts = Math.max(most.hosts, hosts);
    await fleet.kill(group);
    await fleet.start(group);
    // The others go on meanwhile.
    await expect.poll(async () => (await rollout()).revision, WAIT).toBeGreaterThan(revision);
  }
  expect(most.hosts).toBeLessThanOrEqual(1);
  await untilAllRun(fleet, "v1.2.0");
});

async function resume({ services, environment }: Fleet): Promise<void> {
  const [node] = cliRuntimes;
  const command = ["fleet", "resume", "--fleet", "web", "--cache", Fleet.cacheUrl(services, "2s")];
  const { code, stderr } = await runDewy(node?.command ?? ["node"], command, {
    cwd: process.cwd(),
    env: environment,
  });
  expect(code, stderr).toBe(0);
}
