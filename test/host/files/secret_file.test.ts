import { chmod, mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import type { DewyEvent } from "../../../src/core/event.ts";
import { SecretFile, Secrets } from "../../../src/host/files/secret_file.ts";
import { tempDirectory } from "../../support/temp_directory.ts";
import { secretFile } from "../../webhook/fixtures.ts";
import { EXAMPLE, SECRET } from "../../webhook/signed.ts";

const NEXT = "a-secret-that-comes-next";

async function open(path: string): Promise<{ file: SecretFile; events: DewyEvent[] }> {
  const events: DewyEvent[] = [];
  const file = await SecretFile.open({
    path,
    flag: "--webhook-secret-file",
    noun: "secret",
    subject: "webhook secrets",
    emit: (event) => events.push(event),
  });
  return { file, events };
}

/** As editors and secret stores write. */
async function replace(path: string, text: string): Promise<void> {
  await writeFile(`${path}.new`, text, { mode: 0o600 });
  await rename(`${path}.new`, path);
}

describe("the secrets", () => {
  test("sign like GitHub's example, in parts", () => {
    const signing = new Secrets([SECRET, EXAMPLE.secret]).sign();
    for (const part of EXAMPLE.body) signing.update(Buffer.from(part));
    expect(signing.isSignedWith(EXAMPLE.signature)).toBe(true);
  });

  test("include whole texts only", () => {
    const secrets = new Secrets([SECRET, NEXT]);
    expect([SECRET, NEXT].map((text) => secrets.includes(text))).toEqual([true, true]);
    for (const text of ["", SECRET.slice(1), `${SECRET} `, `${SECRET}\n${NEXT}`]) {
      expect(secrets.includes(text)).toBe(false);
    }
  });
});

describe("the secret file", () => {
  test("has a secret per line", async () => {
    const path = await secretFile(`\n  ${SECRET}\r\n\n${EXAMPLE.secret}\n`);
    const { file, events } = await open(path);
    const secrets = await file.current();
    expect([secrets.includes(SECRET), secrets.includes(EXAMPLE.secret)]).toEqual([true, true]);
    expect(secrets.includes("")).toBe(false);
    expect(events).toEqual([]);
  });

  test.each([
    ["", "it is empty; create one with: openssl rand -hex 32"],
    ["\n \n", "it is empty; create one with: openssl rand -hex 32"],
    [
      "fifteen-letters",
      "secret 1 has 15 characters, expected at least 16; create one with: openssl rand -hex 32",
    ],
    [
      `${SECRET}\nshort\n`,
      "secret 2 has 5 characters, expected at least 16; create one with: openssl rand -hex 32",
    ],
    [
      "sécrét-sécrét-sécrét",
      "secret 1 has characters other than printable ASCII; create one with: openssl rand -hex 32",
    ],
    [`${SECRET}\n`.repeat(9), "it has 9 secrets, expected at most 8"],
    ["x".repeat(20_000), "it is larger than 16384 bytes; expected one secret per line"],
  ])("is refused with the text %j", async (text, reason) => {
    const path = await secretFile(text);
    await expect(open(path)).rejects.toMatchObject({
      code: "config",
      message: `Cannot use --webhook-secret-file "${path}": ${reason}`,
    });
  });

  test("may have a secret of 16 characters", async () => {
    const { file } = await open(await secretFile("sixteen-letters!"));
    expect((await file.current()).includes("sixteen-letters!")).toBe(true);
  });

  test("is refused if it is missing or a directory", async () => {
    const path = join(await tempDirectory(), "secret");
    await expect(open(path)).rejects.toMatchObject({
      code: "config",
      message: `Cannot use --webhook-secret-file: Cannot read "${path}": there is no such file or directory`,
    });
    await mkdir(path);
    await expect(open(path)).rejects.toMatchObject({
      message: `Cannot use --webhook-secret-file "${path}": it is not a regular file`,
    });
  });

  test("is reported if every user can read it", async () => {
    const path = await secretFile();
    await chmod(path, 0o640);
    expect((await open(path)).events).toEqual([]);
    await chmod(path, 0o644);
    const { file, events } = await open(path);
    const warning = {
      type: "warning",
      important: true,
      message: "Every user can read the webhook secrets",
      fields: { file: path, hint: "chmod o-r" },
    };
    expect(events).toEqual([warning]);
    await file.current();
    await file.current();
    expect(events).toEqual([warning]);
  });

  test("is read again when it changes, by every request that comes after", async () => {
    const path = await secretFile();
    const { file } = await open(path);
    const before = await file.current();
    expect(await file.current()).toBe(before);
    await replace(path, `${NEXT}\n${SECRET}\n`);
    const both = await Promise.all([file.current(), file.current(), file.current()]);
    for (const secrets of both) {
      expect([secrets.includes(NEXT), secrets.includes(SECRET)]).toEqual([true, true]);
    }
    const other = NEXT.toUpperCase();
    await replace(path, `${NEXT}\n`);
    const after = await file.current();
    expect([after.includes(NEXT), after.includes(SECRET)]).toEqual([true, false]);
    await replace(path, `${other}\n`);
    expect((await file.current()).includes(other)).toBe(true);
  });

  test("keeps its secrets while it cannot be used, and says so once", async () => {
    const path = await secretFile();
    const { file, events } = await open(path);
    await rm(path);
    await file.current();
    expect((await file.current()).includes(SECRET)).toBe(true);
    await replace(path, "short");
    expect((await file.current()).includes(SECRET)).toBe(true);
    expect(events.map((event) => ("fields" in event ? event.fields : event))).toEqual([
      {
        reason: `Cannot use --webhook-secret-file: Cannot read "${path}": there is no such file or directory`,
      },
      {
        reason: `Cannot use --webhook-secret-file "${path}": secret 1 has 5 characters, expected at least 16; create one with: openssl rand -hex 32`,
      },
    ]);
    await replace(path, NEXT);
    expect((await file.current()).includes(NEXT)).toBe(true);
    expect(events).toHaveLength(2);
  });

  test("never writes its directory", async () => {
    const path = await secretFile();
    await chmod(dirname(path), 0o500);
    const { file } = await open(path);
    await file.current();
    await chmod(dirname(path), 0o700);
    expect(await readFile(path, "utf8")).toBe(`${SECRET}\n`);
  });
});
