import { describe, expect, onTestFinished, test } from "vitest";
import { LOGIN, missingDockerRegistry, startDockerRegistry } from "../peers/docker_registry.ts";
import { ROOT, run } from "../runtime/runtimes.ts";

const missing = missingDockerRegistry();

describe.skipIf(missing !== undefined)(
  `dewy check img://${missing === undefined ? "" : ` (${missing})`}`,
  () => {
    test("queries a real registry, and prints text or JSON", async () => {
      const server = await startDockerRegistry({ auth: "htpasswd" });
      onTestFinished(() => server.stop());
      await server.buildah("app", "v1.2.0", ["linux/amd64", "linux/arm64"]);
      const url = `img://localhost:${server.host.split(":")[1]}/app`;
      const env = { DOCKER_USERNAME: LOGIN.username, DOCKER_PASSWORD: LOGIN.password };
      const dewy = (env: Record<string, string>, ...args: string[]): ReturnType<typeof run> =>
        run(process.execPath, [`${ROOT}/dist/cli.js`, "check", url, ...args], { env });

      const text = await dewy(env);
      expect(text).toMatchObject({ code: 0, stderr: "" });
      expect(text.stdout).toMatch(
        /^version +v1\.2\.0\nartifact +app:v1\.2\.0\nurl +img:\/\/localhost:\d+\/app:v1\.2\.0\n/,
      );

      const { code, stdout } = await dewy(env, "--json");
      expect(code).toBe(0);
      expect(JSON.parse(stdout)).toMatchObject({
        kind: "ready",
        tag: "v1.2.0",
        url: `${url}:v1.2.0`,
        digest: expect.stringMatching(/^sha256:[0-9a-f]{64}$/),
      });

      const home = { DOCKER_CONFIG: "/nonexistent" };
      const refused = await dewy(
        { ...home, ...env, DOCKER_PASSWORD: "not-the-password" },
        "-l",
        "debug",
      );
      expect(refused).toMatchObject({ code: 2, stdout: "" });
      expect(refused.stderr).toMatch(
        /level=DEBUG msg="Credentials refused".*source=DOCKER_USERNAME/,
      );
      expect(refused.stderr).not.toContain("not-the-password");
    });
  },
);
