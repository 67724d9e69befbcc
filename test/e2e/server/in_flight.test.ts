import { writeFile } from "node:fs/promises";
import { Agent, request } from "node:http";
import { connect } from "node:net";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { type CliRuntime, type Dewy, type LogLine, until } from "../dewy.ts";
import { deployed, type ServedApp, serveApp } from "./served_app.ts";
import { casesOn, on } from "./suite.ts";

/** Longer than a test: nothing may wait for its end. */
const LONG_DRAIN = ["--drain-time", "10m"];
/** The app has no handler for SIGTERM, and exits at once. */
const ABRUPT = { APP_ON_TERM: "die", APP_CHATTY: "1" };

describe("dewy server --handoff proxy", () => {
  const overlap = ["--overlap", "0"];
  it.each(
    casesOn(
      [
        { how: "a switch", flags: [], end: switchVersion },
        { how: "a switch without overlap", flags: overlap, end: switchVersion },
        { how: "SIGHUP", flags: overlap, end: signal("SIGHUP") },
        { how: "SIGTERM", flags: [], end: signal("SIGTERM") },
      ],
      { Node: [0, 3], Deno: [2], Bun: [1] },
    ).map((one) => ({ ...one, how: one.one.how })),
  )(
    "stops an app that does not handle TERM only after its requests: $how, on $name",
    { timeout: 180_000 },
    async ({ runtime, one: { flags, end } }) => {
      const { app, dewy, port } = await running(runtime, [...LONG_DRAIN, ...flags]);
      const idle = new Agent({ keepAlive: true });
      onTestFinished(() => idle.destroy());
      expect(await get(port, "/", idle)).toBe("v1.0.0");
      // Answered once this file exists.
      const file = join(app.cwd, "answer");
      const [kept, halfClosed] = [get(port, whenThereIs(file)), halfClose(port, whenThereIs(file))];
      await until(
        () => dewy.stdout().match(/got \/until/g)?.length === 2,
        () => `both requests\n${dewy.stdout()}\n${dewy.stderr()}`,
      );
      await end(app, dewy);
      const isFirst = ({ generation }: LogLine): boolean => generation === 1;
      await dewy.seen("the drain", (line) => line.msg === "App draining" && isFirst(line));
      await writeFile(file, "");
      expect(await kept, dewy.stderr()).toBe("v1.0.0");
      expect(await halfClosed, dewy.stderr()).toMatch(/\r\n\r\nv1\.0\.0$/);
      // A connection without a request does not delay it either.
      await dewy.seen(
        "the end",
        ({ msg, generation }) => msg === "App drained" && generation === 1,
      );
    },
  );

  it.each(on("Node"))(
    "gives the app time to exit after its connections have used up the drain time, on $name",
    { timeout: 120_000 },
    async (runtime) => {
      const { app, dewy, port } = await running(runtime, ["--drain-time", "2s"], {
        APP_ON_TERM: "quit",
        APP_CHATTY: "1",
      });
      const neverAnswered = get(port, "/slow?ms=600000").catch(() => "cut");
      await until(
        () => dewy.stdout().includes("got /slow"),
        () => `the request\n${dewy.stdout()}\n${dewy.stderr()}`,
      );
      dewy.child.kill("SIGTERM");
      expect(await dewy.ended(), dewy.stderr()).toBe(0);
      expect(dewy.lines().map(({ msg }) => msg)).toContain("App drained");
      expect((await app.reports()).map(({ event }) => event)).toEqual(["started", "stopped"]);
      expect(await neverAnswered).toBe("cut");
    },
  );
});

async function running(
  runtime: CliRuntime,
  flags: readonly string[],
  env: Readonly<Record<string, string>> = ABRUPT,
): Promise<{ app: ServedApp; dewy: Dewy; port: number }> {
  const app = await serveApp(runtime, "port");
  await app.publish("v1.0.0");
  const dewy = app.start(flags, env);
  await deployed(dewy, "v1.0.0");
  const [target] = app.targets;
  return { app, dewy, port: "port" in target ? target.port : 0 };
}

async function switchVersion(app: ServedApp, dewy: Dewy): Promise<void> {
  await app.publish("v1.1.0");
  await deployed(dewy, "v1.1.0");
}

function signal(name: NodeJS.Signals) {
  return async (_: ServedApp, dewy: Dewy): Promise<void> => void dewy.child.kill(name);
}

function whenThereIs(file: string): string {
  return `/until?file=${file}`;
}

function get(port: number, path: string, agent?: Agent): Promise<string> {
  return new Promise((resolve, reject) => {
    const call = request({ host: "127.0.0.1", port, path, agent }, (response) => {
      let text = "";
      response.on("data", (chunk) => {
        text += chunk;
      });
      response.on("end", () => resolve(text)).on("error", reject);
    });
    call.on("error", reject).end();
  });
}

/** Half-closes the connection, and waits for the whole response. */
function halfClose(port: number, path: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: "127.0.0.1", port, allowHalfOpen: true });
    let text = "";
    socket.on("data", (chunk) => {
      text += chunk;
    });
    socket.on("end", () => resolve(text)).on("error", reject);
    socket.end(`GET ${path} HTTP/1.1\r\nHost: app\r\nConnection: close\r\n\r\n`);
  });
}
