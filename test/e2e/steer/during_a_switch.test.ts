import { access, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { drip } from "../../fakes/github_fault.ts";
import { type Dewy, until } from "../dewy.ts";
import { githubPublisher } from "../publishers.ts";
import { deployEach, type SteeredAssets, steerAssets } from "./steered_assets.ts";

const NEW = "v1.2.0";

const exists = (file: string): Promise<boolean> =>
  access(file).then(
    () => true,
    () => false,
  );

// The other phases need an app: test/e2e/server/steered_phases.test.ts.
describe.each([
  // A version whose switch has not begun is not left behind, and comes with the next poll.
  { when: "before", back: "v1.0.0", next: NEW },
  { when: "after", back: "v1.1.0", next: "v1.1.0" },
])("while dewy assets runs the $when-deploy hook", ({ when, back, next }) => {
  const HOLD = `[ "$DEWY_TAG" != ${NEW} ] || { touch here; while [ ! -e go ]; do sleep 0.1; done; }`;

  async function held(): Promise<{ app: SteeredAssets; dewy: Dewy }> {
    const app = await steerAssets();
    const dewy = await deployEach(app, ["v1.0.0", "v1.1.0"], [`--${when}-deploy-hook`, HOLD]);
    await app.publish(NEW);
    app.operator.begin("poll");
    await until(() => exists(join(app.cwd, "here")), dewy.stderr);
    return { app, dewy };
  }

  it("status says so, and a rollback does not wait for it", async () => {
    const { app, dewy } = await held();
    const { operator } = app;
    expect((await operator.status()).phase).toMatchObject({ name: when, tag: NEW });
    const rollback = operator.begin("rollback", "--json");
    await until(async () => (await app.live()) === back, dewy.stderr);
    await writeFile(join(app.cwd, "go"), "");
    expect(JSON.parse((await rollback.answer).stdout)).toMatchObject({ live: back });
    await operator.succeed("poll");
    expect(await app.live()).toBe(next);
  });

  it("a pause says that it waits, or stops the version", async () => {
    const { app, dewy } = await held();
    const pause = app.operator.begin("pause");
    if (when === "after") await until(() => pause.text().includes(NEW), dewy.stderr);
    else await pause.answer;
    await writeFile(join(app.cwd, "go"), "");
    expect(await pause.answer).toMatchObject({ code: 0 });
    await app.operator.succeed("poll");
    expect(await app.live()).toBe(when === "after" ? NEW : "v1.1.0");
  });
});

describe("while dewy assets downloads a version", () => {
  async function downloading() {
    const publisher = await githubPublisher();
    const app = await steerAssets({ publisher });
    const dewy = await deployEach(app, ["v1.0.0", "v1.1.0"]);
    let release = (): void => {};
    const released = new Promise<void>((resolve) => {
      release = resolve;
    });
    let isHeld = false;
    const pause = (): Promise<void> => {
      isHeld = true;
      return released;
    };
    publisher.github.inject(/GET \/storage\//, drip(64, pause), 1);
    await app.publish(NEW);
    app.operator.begin("poll");
    await until(() => isHeld, dewy.stderr);
    return { app, dewy, release };
  }

  it("a rollback does not wait for the download", async () => {
    const { app, dewy, release } = await downloading();
    const { live } = JSON.parse(await app.operator.succeed("rollback", "--json"));
    expect(live).toBe("v1.0.0");
    expect(await app.live()).toBe("v1.0.0");
    release();
    // It is newer than the version that was left behind.
    await app.operator.succeed("poll");
    expect(await app.live(), dewy.stderr()).toBe(NEW);
  });

  it("pin stops the version that is on its way from going live", async () => {
    const { app, release } = await downloading();
    const pin = app.operator.begin("pin", "v1.1.0");
    await until(
      async () => (await app.state()).pinned !== undefined || pin.text() !== "",
      () => "the pin",
    );
    release();
    expect(await pin.answer).toMatchObject({ code: 0 });
    await app.operator.succeed("poll");
    expect(await app.live()).toBe("v1.1.0");
  });
});
