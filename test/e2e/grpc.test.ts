import { createHash } from "node:crypto";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, expect, onTestFinished, test } from "vitest";
import { serveGrpc } from "../fakes/grpc.ts";
import { tempDirectory } from "../host/temp_directory.ts";
import { makeArtifact } from "./archive.ts";
import { cliRuntimes, liveVersion, runDewy } from "./dewy.ts";

const NAME = "app_linux_amd64.tar.gz";

/** Serves bytes by name. */
async function serveFiles(files: Readonly<Record<string, Uint8Array>>): Promise<string> {
  const server = createServer((request, response) => {
    const body = files[(request.url ?? "/").slice(1)];
    response.statusCode = body === undefined ? 404 : 200;
    response.end(body);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void server.close());
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

describe.each(cliRuntimes)("dewy assets on $name", ({ command }) => {
  test("follows a gRPC server forth and back, and reports what failed", async () => {
    const cwd = await tempDirectory();
    const bytes = await makeArtifact("v1");
    const next = await makeArtifact("v2");
    const files = await serveFiles({ [`v1/${NAME}`]: bytes, [`v2/${NAME}`]: next });
    const digestOf = (body: Uint8Array): string => createHash("sha256").update(body).digest("hex");
    let answer = { id: "", tag: "", artifactUrl: "" };
    const answerWith = (tag: string, digest: string): void => {
      answer = {
        id: `id-${tag}`,
        tag,
        artifactUrl: `http://${files}/${tag}/${NAME}#sha256=${digest}`,
      };
    };
    const server = await serveGrpc({ current: async () => answer });
    onTestFinished(() => server.close());
    const deploy = async (allow: string): Promise<number | string> => {
      const registry = `grpc://${server.target}?no-tls=true&allow=${allow}`;
      return (await runDewy(command, ["assets", "--once", "--registry", registry], { cwd })).code;
    };

    answerWith("v1", digestOf(bytes));
    expect(await deploy("http")).not.toBe(0); // a host inside this machine needs its name, too
    expect(await liveVersion(cwd)).toBeUndefined();
    expect(await deploy(`http,${files}`)).toBe(0);
    expect(await liveVersion(cwd)).toBe("v1");

    answerWith("v2", digestOf(bytes));
    expect(await deploy(`http,${files}`)).not.toBe(0);
    expect(await liveVersion(cwd)).toBe("v1");

    answerWith("v2", digestOf(next));
    expect(await deploy(`http,${files}`)).toBe(0);
    answerWith("v1", digestOf(bytes));
    expect(await deploy(`http,${files}`)).toBe(0);
    expect(await liveVersion(cwd)).toBe("v1");

    expect(server.reports.map(({ id, tag, command, err }) => ({ id, tag, command, err }))).toEqual([
      { id: "id-v1", tag: "v1", command: "assets" },
      { id: "id-v2", tag: "v2", command: "assets", err: expect.stringContaining("sha256") },
      { id: "id-v2", tag: "v2", command: "assets" },
      { id: "id-v1", tag: "v1", command: "assets" },
    ]);
  });
});
