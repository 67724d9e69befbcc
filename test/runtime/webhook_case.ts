// The behaviour of the webhook listener, the same on every runtime. Run by
// test/webhook/runtime.test.ts.
import { mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { request } from "node:http";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { WAKE_GAP_MS } from "../../src/webhook/limits.ts";
import { CONNECTION_MS, LINGER_MS } from "../../src/webhook/listener.ts";
import { openWebhooks } from "../../src/webhook/open.ts";
import { fakeClock } from "../fakes/clock.ts";
import { githubHeaders, SECRET } from "../webhook/signed.ts";
import { equal, rejects } from "./check.ts";

/** Runs all checks and returns their names. Throws if one fails. */
export async function webhookCase(): Promise<string[]> {
  const passed: string[] = [];
  for (const [name, check] of Object.entries(checks)) {
    const directory = await mkdtemp(join(tmpdir(), "dewy-test-"));
    const file = join(directory, "secret");
    await writeFile(file, `${SECRET}\n`, { mode: 0o600 });
    const clock = fakeClock();
    let wakes = 0;
    const options = {
      secretFile: file,
      onWake: () => {
        wakes += 1;
      },
      emit: () => {},
      clock,
    };
    const webhooks = await openWebhooks({ listen: { host: "127.0.0.1", port: 0 }, ...options });
    const port = Number(new URL(webhooks.url).port);
    await check({ port, file, clock, options, wakes: () => wakes });
    await webhooks.close();
    await refused(port);
    await rm(directory, { recursive: true });
    passed.push(name);
  }
  return passed;
}

interface World {
  port: number;
  file: string;
  clock: ReturnType<typeof fakeClock>;
  options: Omit<Parameters<typeof openWebhooks>[0], "listen">;
  wakes(): number;
}

const checks = {
  "accepts the three kinds, and nothing else": async ({ port, wakes }: World) => {
    const body = JSON.stringify({ notes: "é".repeat(300_000) });
    const headers = githubHeaders(body);
    equal(await post(port, "/hooks/github", body, headers), [202, "Accepted\n"], "github");
    equal((await post(port, "/hooks/github", `${body} `, headers))[0], 403, "signature");
    const registry = { authorization: `Bearer ${SECRET}` };
    equal((await post(port, "/hooks/registry", "{}", registry))[0], 202, "registry");
    equal((await post(port, `/hooks/${SECRET}`, "{}"))[0], 202, "path");
    equal(await post(port, "/hooks/wrong", "{}"), [404, "Not found\n"], "wrong");
    equal(wakes(), 1, "wakes");
  },
  "coalesces a burst": async ({ port, clock, wakes }: World) => {
    for (let batch = 0; batch < 5; batch += 1) {
      const posts = Array.from({ length: 20 }, () => post(port, `/hooks/${SECRET}`, "{}"));
      for (const [status] of await Promise.all(posts)) equal(status, 202, "status");
    }
    equal(wakes(), 1, "wakes at once");
    clock.advance(WAKE_GAP_MS);
    await until(() => wakes() === 2);
  },
  "reads the secret again": async ({ port, file }: World) => {
    await writeFile(`${file}.new`, "another-secret-of-mine\n", { mode: 0o600 });
    await rename(`${file}.new`, file);
    equal((await post(port, "/hooks/another-secret-of-mine", ""))[0], 202, "new");
    equal((await post(port, `/hooks/${SECRET}`, ""))[0], 404, "old");
  },
  "closes slow connections": async ({ port, clock }: World) => {
    for (const text of ["", "POST /hooks", "POST /hooks/github HTTP/1.1\r\nHost: a\r\nContent-"]) {
      const closed = dial(port, text);
      await clock.sleeping(CONNECTION_MS);
      clock.advance(CONNECTION_MS);
      equal(await closed, "", JSON.stringify(text));
    }
  },
  "answers before a body that never ends": async ({ port, clock, wakes }: World) => {
    const closed = dial(
      port,
      `POST /hooks/${SECRET} HTTP/1.1\r\nHost: a\r\nContent-Length: 99\r\n\r\n{`,
    );
    await until(() => wakes() === 1);
    // Deno closes the connection by itself.
    await Promise.race([clock.sleeping(LINGER_MS), closed]);
    await new Promise((resolve) => setTimeout(resolve, 50));
    clock.advance(LINGER_MS);
    equal((await closed).slice(0, 12), "HTTP/1.1 202", "answer");
  },
  "reports a port that is taken": async ({ port, options }: World) => {
    await rejects(
      openWebhooks({ listen: { host: "127.0.0.1", port }, ...options }),
      "host",
      "port",
    );
  },
};

function post(
  port: number,
  path: string,
  body: string,
  headers: Record<string, string> = {},
): Promise<[status: number, body: string]> {
  return new Promise((resolve, reject) => {
    const options = { host: "127.0.0.1", port, path, method: "POST", headers, agent: false };
    const asked = request(options, (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (chunk) => {
        text += chunk;
      });
      response.on("end", () => resolve([response.statusCode ?? 0, text]));
    });
    asked.on("error", reject);
    asked.end(body);
  });
}

/** Sends a text and resolves to the answer, when the connection is closed. */
function dial(port: number, text: string): Promise<string> {
  return new Promise((resolve) => {
    let answer = "";
    const socket = connect(port, "127.0.0.1", () => socket.write(text));
    socket.on("data", (chunk) => {
      answer += chunk.toString();
    });
    socket.on("error", () => {});
    socket.on("close", () => resolve(answer));
  });
}

function refused(port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, "127.0.0.1", () => reject(new Error("the port is still open")));
    socket.on("error", () => resolve());
  });
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 1));
}
