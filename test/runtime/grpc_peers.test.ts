import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { loopbackCertificate } from "../fakes/grpc.ts";
import { hostilePeers, type PeerTls, serveHostilePeer } from "../fakes/hostile_peer.ts";
import { tempDirectory } from "../support/temp_directory.ts";
import { runCase, runtimes } from "./runtimes.ts";

/** Starts one peer of each kind, and returns their registry URLs by name. */
async function servePeers(query: string, tls?: PeerTls): Promise<Record<string, string>> {
  const urls: Record<string, string> = {};
  for (const [name, behaviour] of Object.entries(hostilePeers)) {
    const peer = await serveHostilePeer(behaviour, tls);
    onTestFinished(() => peer.close());
    urls[name] = `grpc://${peer.target}${query}`;
  }
  return urls;
}

describe.each(runtimes)("$name", (runtime) => {
  test.each(["plain text", "TLS"])(
    "survives every peer that is not a gRPC server, over %s",
    async (how) => {
      const caFile = join(await tempDirectory(), "ca.pem");
      const certificate = await loopbackCertificate();
      await writeFile(caFile, certificate.cert);
      const peers =
        how === "TLS"
          ? await servePeers("", { ...certificate, alpn: true })
          : await servePeers("?no-tls=true");
      const { code, stdout, stderr } = await runCase(runtime, "test/runtime/grpc_peers_case.ts", {
        PEERS: JSON.stringify(peers),
        SSL_CERT_FILE: caFile,
      });
      expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
      const outcomes: Record<string, unknown> = JSON.parse(stdout);
      for (const [name, outcome] of Object.entries(outcomes)) {
        expect(outcome, name).toMatchObject({ name: "RemoteError", retryable: true });
      }
      expect(Object.keys(outcomes)).toEqual(Object.keys(hostilePeers));
    },
  );
});
