import { connect } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { missingEngine } from "../../peers/container_engine.ts";
import { missingDockerRegistry } from "../../peers/docker_registry.ts";
import { freePorts } from "../../peers/ports.ts";
import { cliRuntimes, until } from "../dewy.ts";
import { deployed } from "../server/served_app.ts";
import { type ContainerPeers, serveContainers, startContainerPeers } from "./served_containers.ts";

const isSoak = process.env.DEWY_SOAK === "1";
const missing = missingEngine("docker") ?? missingDockerRegistry();

describe.skipIf(missing !== undefined)(missing ?? "the ports of dewy container", () => {
  let peers: ContainerPeers;
  beforeAll(async () => {
    peers = await startContainerPeers("docker");
  });
  afterAll(() => peers?.stop());

  describe.each(isSoak ? cliRuntimes : cliRuntimes.slice(0, 1))("on $name", (runtime) => {
    it("lead to several container ports over IPv4 and IPv6, in round-robin order", async () => {
      const [other = 0] = await freePorts(1);
      const app = await serveContainers(peers, runtime, { args: ["-e", "PORT2=3001"] });
      await app.publish("v1.0.0", { ports: [3000, 3001] });
      const flags = ["--replicas", "2", "--balance", "round-robin", "--port", `${other}:3001`];
      const dewy = app.start(flags);
      await deployed(dewy, "v1.0.0");
      const ways = [
        { host: "127.0.0.1", port: app.port },
        { host: "::1", port: app.port },
        { host: "127.0.0.1", port: other },
        { host: "::1", port: other },
      ];
      for (const way of ways) {
        const hosts = [await ask(way, "/"), await ask(way, "/")].map(({ body }) => body);
        expect(
          hosts.every((body) => body.startsWith("v1.0.0 ")),
          hosts.join(),
        ).toBe(true);
        expect(new Set(hosts).size, `${JSON.stringify(way)} ${hosts.join()}`).toBe(2);
      }
      await app.publish("v1.1.0", { ports: [3000, 3001] });
      await deployed(dewy, "v1.1.0");
      for (const way of ways) expect((await ask(way, "/")).body).toMatch(/^v1\.1\.0 /);
    });

    it("send the client's address in the PROXY protocol, including for health checks", async () => {
      const app = await serveContainers(peers, runtime, { args: ["-e", "PROXY=1"] });
      await app.publish("v1.0.0");
      const dewy = app.start(["--proxy-protocol", "v1"]);
      await deployed(dewy, "v1.0.0");
      const { body, localPort } = await ask({ host: "127.0.0.1", port: app.port }, "/client");
      expect(body).toBe(`127.0.0.1:${localPort}`);
      await until(
        () => dewy.lines().some(({ msg }) => msg === "Deploy skipped"),
        () => dewy.stderr(),
      );
      expect(dewy.lines().filter(({ level }) => level === "ERROR")).toEqual([]);
    });
  });
});

/** Sends one request over a new connection. */
function ask(
  to: { host: string; port: number },
  path: string,
): Promise<{ body: string; localPort: number }> {
  return new Promise((resolve, reject) => {
    const socket = connect(to);
    let received = "";
    let localPort = 0;
    socket.on("connect", () => {
      localPort = socket.localPort ?? 0;
    });
    socket.on("data", (chunk) => {
      received += chunk.toString();
    });
    socket.on("error", reject);
    socket.on("close", () => resolve({ body: received.split("\r\n\r\n")[1] ?? "", localPort }));
    socket.write(`GET ${path} HTTP/1.1\r\nHost: app\r\nConnection: close\r\n\r\n`);
  });
}
