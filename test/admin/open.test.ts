import { chmod, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { type AdminOptions, openAdmin } from "../../src/admin/open.ts";
import { systemClock } from "../../src/core/clock.ts";
import type { DewyEvent } from "../../src/core/event.ts";
import { freePort } from "../peers/ports.ts";
import { tempDirectory } from "../support/temp_directory.ts";
import { adminSource, TOKEN } from "./source.ts";

async function open(more: Partial<AdminOptions["config"]> = {}) {
  const events: DewyEvent[] = [];
  const { source } = adminSource({ clock: systemClock });
  const config = {
    port: await freePort(),
    host: "127.0.0.1",
    tokenFile: undefined,
    metricsPublic: false,
    ...more,
  };
  const admin = await openAdmin({ ...source, config, emit: (event) => events.push(event) });
  onTestFinished(() => admin.close());
  return { ...admin, events };
}

async function tokenFile(text: string, mode = 0o600): Promise<string> {
  const path = join(await tempDirectory(), "token");
  await writeFile(path, text);
  await chmod(path, mode);
  return path;
}

describe("the token file", () => {
  test.each([
    ["", "it is empty; create one with: openssl rand -hex 32"],
    ["too-short", "token 1 has 9 characters, expected at least 16; create one with"],
    ["tökén-tökén-tökén", "token 1 has characters other than printable ASCII"],
  ])("with %j stops the start", async (text, reason) => {
    const path = await tokenFile(text);
    await expect(open({ tokenFile: path })).rejects.toMatchObject({
      code: "config",
      message: expect.stringContaining(`Cannot use --admin-token-file "${path}": ${reason}`),
    });
  });

  test("that is missing stops the start", async () => {
    await expect(open({ tokenFile: "/nonexistent/token" })).rejects.toMatchObject({
      code: "config",
      message: expect.stringContaining("Cannot use --admin-token-file"),
    });
  });

  test("that others can read is worth a warning", async () => {
    const { events } = await open({ tokenFile: await tokenFile(TOKEN, 0o644) });
    const message = "Every user can read the admin tokens";
    expect(events[0]).toMatchObject({ type: "warning", important: true, message });
  });
});

test("a network gets a warning that the token travels in plain text", async () => {
  const { events } = await open({ host: "0.0.0.0", tokenFile: await tokenFile(TOKEN) });
  expect(events.map(({ type }) => type)).toEqual(["listening", "warning"]);
});

test("an address that is not this machine's does not stop the start", async () => {
  const { url, events } = await open({ host: "192.0.2.1", tokenFile: await tokenFile(TOKEN) });
  expect(url).toBeUndefined();
  expect(events).toEqual([
    {
      type: "warning",
      important: true,
      message: "Admin API not available",
      fields: {
        ports: expect.stringMatching(/^\d+-\d+$/),
        reason: expect.stringContaining("the host is not an address of this machine"),
      },
    },
  ]);
});
