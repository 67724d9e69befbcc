import { chmod, chown, readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { missingEngine } from "../../peers/container_engine.ts";
import { missingDockerRegistry } from "../../peers/docker_registry.ts";
import { missingPeer } from "../../peers/missing_peer.ts";
import type { CliRuntime } from "../dewy.ts";
import { deployed } from "../server/served_app.ts";
import { endPolitely, NODE } from "./outcomes.ts";
import {
  type ContainerPeers,
  type ServedContainers,
  type ServeOptions,
  serveContainers,
  startContainerPeers,
} from "./served_containers.ts";

const UID = 1234;
/** dewy as a user other than root. */
const AS_USER: CliRuntime = {
  name: "Node as another user",
  command: ["setpriv", `--reuid=${UID}`, `--regid=${UID}`, "--clear-groups", ...NODE.command],
};
const missing =
  missingEngine("docker") ?? missingDockerRegistry() ?? missingPeer(["setpriv"], "util-linux");

describe.skipIf(missing !== undefined)(missing ?? "the user of dewy and of its containers", () => {
  let peers: ContainerPeers;
  beforeAll(async () => {
    peers = await startContainerPeers("docker");
    await chmod(peers.engine.directory, 0o755);
    await chmod(dirname(peers.engine.directory), 0o755);
  });
  afterAll(() => peers?.stop());

  async function serve(runtime: CliRuntime, options?: ServeOptions): Promise<ServedContainers> {
    const app = await serveContainers(peers, runtime, options);
    await chown(dirname(app.directory), UID, UID);
    return app;
  }

  /** The options that the engine received. */
  async function configOf(app: ServedContainers): Promise<{ user: string; capabilities: string }> {
    const [container] = await app.containers();
    const format = "{{.Config.User}}|{{json .HostConfig.CapAdd}}";
    const text = await peers.engine.run("inspect", "--format", format, container?.id ?? "");
    const [user = "", capabilities = ""] = text.trim().split("|");
    return { user, capabilities };
  }

  it.each([
    ["an image with the user root as dewy's own user", AS_USER, undefined, [], `${UID}:${UID}`],
    ["an image with a user as that user", AS_USER, "app", [], "app"],
    ["any image as the operator's --user", AS_USER, "app", ["--user", "0:0"], "0:0"],
    ["an image with the user root as root if dewy is root", NODE, undefined, [], ""],
  ])("runs %s", async (_, runtime, user, args, expected) => {
    const socket = join(peers.engine.directory, "docker.sock");
    await chmod(socket, 0o666);
    const app = await serve(runtime, { args });
    await app.publish("v1.0.0", user === undefined ? {} : { user });
    const dewy = app.start();
    await deployed(dewy, "v1.0.0");
    expect((await configOf(app)).user).toBe(expected);
    await endPolitely(app, dewy);
  });

  it("explains what to do if the user is not allowed to use Docker", async () => {
    await chmod(join(peers.engine.directory, "docker.sock"), 0o600);
    const app = await serve(AS_USER);
    await app.publish("v1.0.0");
    const dewy = app.start();
    expect(await dewy.ended()).not.toBe(0);
    expect(dewy.stderr()).toMatch("add it to the group of its socket");
  });

  it("passes on an allowed dangerous option, and passes the image record to hooks", async () => {
    const app = await serve(NODE, { args: ["--cap-add", "NET_ADMIN"] });
    await app.publish("v1.0.0");
    const refused = app.start();
    expect(await refused.ended()).toBe(1);
    expect(refused.stderr()).toMatch("--allow-option cap-add");
    const copy = join(dirname(app.directory), "copy.json");
    const hook = `cp "$DEWY_RELEASE_DIR/image.json" '${copy}'`;
    const dewy = app.start(["--allow-option", "cap-add", "--before-deploy-hook", hook]);
    await deployed(dewy, "v1.0.0");
    expect((await configOf(app)).capabilities).toMatch("NET_ADMIN");
    expect(JSON.parse(await readFile(copy, "utf8"))).toMatchObject({
      tag: "v1.0.0",
      reference: expect.stringMatching(/@sha256:[0-9a-f]{64}$/),
    });
    await endPolitely(app, dewy);
  });
});
