import { describe, it } from "vitest";
import { makeArtifact } from "../archive.ts";
import { cliRuntimes } from "../dewy.ts";
import { deployed, serveApp } from "../server/served_app.ts";
import { NODE, newOperator } from "./operator.ts";
import { pagedAtNight } from "./paged.ts";
import { deployEach, steerAssets } from "./steered_assets.ts";

describe("an operator who is paged at night finds out why, goes back, pins, and lets the fix come", () => {
  it.each(cliRuntimes)("with dewy server on $name", { timeout: 180_000 }, async (runtime) => {
    const operator = await newOperator(runtime);
    const app = await serveApp(runtime, "node");
    await app.publish("v1.0.0");
    const dewy = app.start([], operator.env);
    await deployed(dewy, "v1.0.0");
    const [target] = app.targets;
    const port = "port" in target ? target.port : 0;
    await pagedAtNight({
      operator,
      dewy,
      publish: app.publish,
      publishUnusable: (tag) => app.publishBad("exits-at-once", tag),
      whyUnusable: /exit/,
      publishBroken: (tag) => app.publishBad("answers-errors", tag),
      whyBroken: /cannot reach the database/,
      answer: async () => {
        const headers = { connection: "close" };
        const response = await fetch(`http://127.0.0.1:${port}/`, { headers });
        return response.ok ? response.text() : `error ${response.status}`;
      },
    });
  });

  it(`with dewy assets on ${NODE.name}`, { timeout: 120_000 }, async () => {
    const app = await steerAssets();
    const dewy = await deployEach(app, ["v1.0.0"], ["-i", "1s"]);
    await pagedAtNight({
      operator: app.operator,
      dewy,
      publish: app.publish,
      publishUnusable: async (tag) => {
        const whole = await makeArtifact(tag, 100_000);
        await app.publisher.publish(tag, whole.slice(0, whole.length / 2));
      },
      whyUnusable: /archive|truncated|ends/i,
      publishBroken: app.publish,
      answer: async () => (await app.live()) ?? "nothing",
    });
  });
});
