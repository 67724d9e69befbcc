import { createServer } from "node:http";
import { describe, expect, onTestFinished, test } from "vitest";
import { run } from "../../../src/cli/run.ts";
import { byName, containerTable } from "../../../src/container/admin/list_command.ts";
import { fakeProcess } from "../../cli/process.ts";
import { closeServer, portsInARow } from "../../peers/ports.ts";
import { testVectors } from "../../support/vectors.ts";
import vectors from "../../vectors/cli-container.json" with { type: "json" };

type Listed = Parameters<typeof containerTable>[0];

const CONTAINER = {
  id: "abc",
  name: "app-1-0",
  image: "ghcr.io/o/app@sha256:1",
  status: "running",
  ip_port: "127.0.0.1:32768",
  started_at: "2026-05-01T11:59:58Z",
  deployed_at: "2026-05-01T12:00:00Z",
  labels: { "dewy.app": "app" },
};

/** The first of ten free ports in a row. */
async function firstPort(): Promise<number> {
  const { first, servers } = await portsInARow(10);
  await Promise.all(servers.map(closeServer));
  return first;
}

/** Answers every request the same way. */
async function answering(status: number, body: string, at?: number, headers = {}): Promise<number> {
  const port = at ?? (await firstPort());
  const server = createServer((_, response) => {
    response.writeHead(status, headers);
    response.end(body);
  });
  onTestFinished(() => void server.close());
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", resolve);
  });
  return port;
}

async function list(
  port: number,
  ...flags: string[]
): Promise<{ code: number; out: string; err: string }> {
  // Without PATH, no engine is found.
  const io = fakeProcess({ env: { PATH: "/nonexistent" } });
  const code = await run(["container", "list", "--admin-port", String(port), ...flags], io);
  return { code, out: io.out(), err: io.err() };
}

describe("containerTable", () => {
  testVectors(
    "cli-container",
    ({ in: { containers } }) => containerTable(byName(containers as Listed)),
    ["containerList"],
  );
  test("escapes control characters", () => {
    const table = containerTable([{ ...CONTAINER, name: "app\u001b[2J" }]);
    expect(table).toContain("app\\x1b[2J");
  });
  test("shows the state in the last column if it is known", () => {
    const draining = { ...CONTAINER, name: "app-1-1", ip_port: "", state: "draining" };
    const table = containerTable([{ ...CONTAINER, state: "serving" }, draining]);
    expect(table.split("\n")).toEqual([
      "UPSTREAM           DEPLOY TIME            NAME       STATE",
      "127.0.0.1:32768    2026-05-01 12:00:00    app-1-0    serving",
      "                   2026-05-01 12:00:00    app-1-1    draining",
      "",
    ]);
  });
  test("keeps the column of a container without an address", () => {
    expect(containerTable([{ ...CONTAINER, ip_port: "" }])).toBe(
      "UPSTREAM    DEPLOY TIME            NAME\n            2026-05-01 12:00:00    app-1-0\n",
    );
  });
});

describe("dewy container list", () => {
  const recorded = vectors.filter(({ op }) => op === "containerListCmd");
  const named = (name: string): { body: string; code: number; out: unknown } => {
    const found = recorded.find((vector) => vector.name === name);
    const { body = "", code = 0 } = found?.in ?? {};
    return { body, code, out: found?.out };
  };

  test.each(["default port hit", "null list"])("matches the recorded output: %s", async (name) => {
    const { body, code, out } = named(name);
    const { exit, stderr, stdout } = out as { exit: number; stderr: string; stdout: string };
    expect(await list(await answering(code, body))).toEqual({
      code: exit,
      err: stderr,
      out: stdout,
    });
  });
  test("reports a failing admin API with its response and the network's exit code", async () => {
    const { body, code } = named("admin API error");
    expect(await list(await answering(code, body))).toMatchObject({
      code: 2,
      err: "Error: admin API returned status 500: x\n",
      out: "",
    });
  });
  test("names the ports it tried if there is neither a dewy nor an engine", async () => {
    const port = await firstPort();
    const { code, err, out } = await list(port);
    expect([code, out]).toEqual([3, ""]);
    expect(err).toContain(
      `Error: no running dewy instances found (tried ports ${port}-${port + 9}), and docker does not answer: `,
    );
  });
  test("prints the containers of every running dewy in order", async () => {
    const one = JSON.stringify({ containers: [{ ...CONTAINER, name: "web-1-0" }] });
    const two = JSON.stringify({ containers: [CONTAINER] });
    const port = await answering(200, one);
    await answering(200, two, port + 9);
    const { code, out } = await list(port, "--json");
    expect(code).toBe(0);
    const { containers } = JSON.parse(out) as { containers: Listed };
    expect(containers.map(({ name }) => name)).toEqual(["app-1-0", "web-1-0"]);
    expect(containers[0]).toEqual(CONTAINER);
  });
  test("asks the engine if one dewy requires a token, so that no container is missing", async () => {
    const port = await answering(200, JSON.stringify({ containers: [CONTAINER] }));
    await answering(401, "", port + 1, { "www-authenticate": 'Basic realm="dewy"' });
    const { code, err } = await list(port);
    expect(code).toBe(3);
    expect(err).toContain("the admin API requires a token, and docker does not answer: ");
  });
  test.each([
    [401, "another program"],
    [404, "Not found"],
    [200, "<html>"],
    [200, '{"containers":"many"}'],
    [302, ""],
  ])("ignores another program that answers %i %j", async (status, body) => {
    const { code, err } = await list(await answering(status, body));
    expect(code).toBe(3);
    expect(err).toContain("no running dewy instances found");
  });
  test("connects directly even if an HTTP proxy is set", async () => {
    const port = await answering(200, JSON.stringify({ containers: [CONTAINER] }));
    const proxy = `http://127.0.0.1:${await answering(200, '{"containers":[]}')}`;
    const io = fakeProcess({
      env: { http_proxy: proxy, HTTP_PROXY: proxy, no_proxy: "example.com" },
    });
    await run(["container", "list", "--admin-port", String(port)], io);
    expect(io.out()).toContain("app-1-0");
  });
});
