import { createHash } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { loopbackCertificate, serveGrpc } from "../fakes/grpc.ts";
import { hostilePeers, relayTo, serveHostilePeer } from "../fakes/hostile_peer.ts";
import { tempDirectory } from "../support/temp_directory.ts";
import { makeArtifact } from "./archive.ts";
import { cliRuntimes, liveVersion, runDewy, startDewy, until } from "./dewy.ts";

const NAME = "app_linux_amd64.tar.gz";
const TURNS = [
  "answers HTTP/1.1 502 and stays",
  "sends an SSH banner",
  "resets the connection at once",
  "resets the connection after its settings",
  "sends GOAWAY with an error and closes",
  "floods GOAWAY",
  "floods PING",
  "floods SETTINGS",
];

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
  test("follows a gRPC server forward and back, and reports failures", async () => {
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
    expect(await deploy("http")).not.toBe(0); // A host inside this machine has to be named as well.
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

  test.each(["plain text", "TLS"])(
    "stays alive while its server turns into something else, and follows it again, over %s",
    async (how) => {
      const [cwd, trust] = [await tempDirectory(), await tempDirectory()];
      const certificate = await loopbackCertificate();
      await writeFile(join(trust, "ca.pem"), certificate.cert);
      const files = await serveFiles({
        [`v1/${NAME}`]: await makeArtifact("v1"),
        [`v2/${NAME}`]: await makeArtifact("v2"),
      });
      let tag = "v1";
      const current = async () => ({ id: tag, tag, artifactUrl: `http://${files}/${tag}/${NAME}` });
      const server = await serveGrpc({ current });
      onTestFinished(() => server.close());
      const peer = await serveHostilePeer(
        relayTo(server.target),
        how === "TLS" ? { ...certificate, alpn: true } : undefined,
      );
      onTestFinished(() => peer.close());
      const query = `${how === "TLS" ? "" : "no-tls=true&"}allow=http,${files}`;
      const dewy = startDewy(
        command,
        ["assets", "--interval", "1s", "--registry", `grpc://${peer.target}?${query}`],
        { cwd, env: { SSL_CERT_FILE: join(trust, "ca.pem") } },
      );
      // A signal triggers a poll at once, instead of waiting out the backoff after failures.
      const pollUntil = (condition: () => boolean | Promise<boolean>, what: string) =>
        until(
          async () => {
            if (await condition()) return true;
            const { exitCode, signalCode } = dewy.child;
            expect({ exitCode, signalCode }, dewy.stderr()).toEqual({
              exitCode: null,
              signalCode: null,
            });
            dewy.child.kill("SIGHUP");
            return false;
          },
          () => `${what}; log:\n${dewy.stderr()}`,
        );
      await until(
        async () => (await liveVersion(cwd)) === "v1",
        () => dewy.stderr(),
      );

      for (const kind of TURNS) {
        const before = peer.connections();
        peer.become(hostilePeers[kind] ?? expect.fail(kind));
        await pollUntil(() => peer.connections() >= before + 2, `two connections while it ${kind}`);
      }
      const asked = server.asked.length;
      peer.become(relayTo(server.target, 50));
      await pollUntil(() => server.asked.length > asked + 1, "two calls on a flooded connection");
      tag = "v2";
      peer.become(relayTo(server.target));
      await pollUntil(async () => (await liveVersion(cwd)) === "v2", "v2");
      dewy.child.kill("SIGTERM");
      expect(await dewy.ended()).toBe(0);
    },
  );
});
