import { describe, expect, onTestFinished, test } from "vitest";
import { createHandler } from "../../src/handler/mod.ts";
import { LOGIN, missingDockerRegistry, startDockerRegistry } from "../peers/docker_registry.ts";

const missing = missingDockerRegistry();
const title = `a handler in front of docker-registry${missing === undefined ? "" : ` (${missing})`}`;

describe.skipIf(missing !== undefined)(title, () => {
  test("answers with the image and its digest, and has nothing to download", async () => {
    const server = await startDockerRegistry({ auth: "token" });
    onTestFinished(() => server.stop());
    await server.pushIndex("o/app", "v1.0.0", ["linux/amd64", "linux/arm64/v8"]);
    await server.pushIndex("o/app", "v1.1.0", ["linux/amd64"]);
    const handler = createHandler({
      registries: { app: `img://${server.host}/o/app?insecure=true` },
      registryLogin: LOGIN,
      env: {},
    });
    const ask = (path: string): Promise<Response> =>
      handler(new Request(`https://versions.example.com${path}`));
    expect(await (await ask("/app/latest?platform=linux-amd64")).json()).toMatchObject({
      ...{ kind: "ready", tag: "v1.1.0" },
      artifact: {
        url: `img://${server.host}/o/app:v1.1.0`,
        digest: expect.stringMatching(/^sha256:[0-9a-f]{64}$/),
      },
    });
    const arm = await (await ask("/app/latest?platform=linux-arm64")).json();
    expect(arm).toMatchObject({ kind: "none", reason: "artifact-missing" });
    expect((await ask("/app/download/linux-amd64")).status).toBe(404);
    expect(await (await ask("/app/badge.svg")).text()).toContain("v1.1.0");
  });
});
