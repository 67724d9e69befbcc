import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { DewyEvent } from "../../src/core/event.ts";
import { createHostIo } from "../../src/host/io.ts";
import { hostPlatform } from "../../src/host/platform.ts";

describe("createHostIo", () => {
  test("gives drivers this machine, and nothing of the process's own environment", async () => {
    const env = { GH_TOKEN: "mine" };
    const io = await createHostIo({ env });
    expect(io.platform).toEqual(hostPlatform());
    expect(io.env).toBe(env);
    expect(io.fetch).toBe(globalThis.fetch);
    expect(io.signal).toBeUndefined();
  });

  test("prefers what it is given over the host's own", async () => {
    const fetch = async (): Promise<Response> => new Response("given");
    const platform = { os: "plan9", arch: "mips" };
    const { signal } = new AbortController();
    const io = await createHostIo({ env: {}, fetch, platform, signal });
    expect([io.fetch, io.platform, io.signal]).toEqual([fetch, platform, signal]);
  });

  test("reads text files, and says which one it cannot read", async () => {
    const directory = await mkdtemp(join(tmpdir(), "dewy-io-"));
    try {
      await writeFile(join(directory, "key.pem"), "a key");
      const io = await createHostIo({ env: {} });
      expect(await io.readTextFile?.(join(directory, "key.pem"))).toBe("a key");
      await expect(io.readTextFile?.(join(directory, "none.pem"))).rejects.toMatchObject({
        code: "host",
        retryable: false,
        message: `Cannot read "${join(directory, "none.pem")}": no such file or directory`,
      });
    } finally {
      await rm(directory, { recursive: true });
    }
  });

  test("reports an unusable certificate variable to its listener", async () => {
    const events: DewyEvent[] = [];
    await createHostIo({
      env: { SSL_CERT_FILE: "/no/such.pem" },
      emit: (event) => events.push(event),
    });
    expect(events).toMatchObject([{ type: "warning", fields: { variable: "SSL_CERT_FILE" } }]);
  });

  test("refuses a CA file that is not there", async () => {
    await expect(createHostIo({ env: {}, caFile: "/no/such.pem" })).rejects.toMatchObject({
      code: "config",
    });
  });
});
