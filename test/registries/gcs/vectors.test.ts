import { describe, expect, test } from "vitest";
import { explainRegistry } from "../../../src/registries/open.ts";
import { fakeGcs } from "../../fakes/gcs.ts";
import vectors from "../../vectors/gs-keys.json" with { type: "json" };
import { openFakeGs } from "./world.ts";

interface Case {
  name: string;
  op: string;
  in: {
    name?: string;
    prefix: string;
    bucket?: string;
    objects?: string[];
    preRelease?: boolean;
    artifact?: string;
    calver?: string;
    tag?: string;
    command?: string;
  };
  out?: unknown;
  error?: string;
}

const cases: readonly Case[] = vectors;
const of = (op: string): [string, Case][] =>
  cases.filter((one) => one.op === op).map((one) => [one.name, one]);

describe("gs follows the vectors", () => {
  test.each(of("current"))("current: %s", async (_, { in: given, out, error }) => {
    const fake = fakeGcs();
    for (const name of given.objects ?? []) fake.put(name);
    const query = new URLSearchParams();
    if (given.preRelease) query.set("pre-release", "true");
    if (given.artifact !== undefined) query.set("artifact", given.artifact);
    if (given.calver !== undefined) query.set("calver", given.calver);
    const answer = await openFakeGs(fake, `gs://b/${given.prefix}?${query}`).resolve();
    if (error !== undefined) {
      expect(answer).toMatchObject({ kind: "none", reason: "artifact-missing" });
      return;
    }
    if (answer.kind !== "ready") throw new Error(JSON.stringify(answer));
    expect({
      artifactURL: answer.artifact.url,
      hasCreatedAt: answer.release.createdAt !== undefined,
      slot: answer.release.slot ?? "",
      tag: answer.release.tag,
    }).toEqual(out);
  });

  test.each(of("filename"))("tag of a directory: %s", async (_, { in: given, out }) => {
    const fake = fakeGcs();
    fake.put(`${given.name}app_linux_amd64.zip`);
    const { tags } = await explainRegistry(openFakeGs(fake, `gs://b/${given.prefix}`));
    expect(tags.map(({ tag }) => tag)).toEqual([out]);
  });

  test.each(of("audit"))("audit: %s", async (_, { in: given, out }) => {
    const fake = fakeGcs();
    const { tag = "", command = "" } = given;
    const at = new Date("2026-05-01T01:02:03.004Z");
    const deployment = { id: "", tag, command, host: "Web-1", at };
    await openFakeGs(fake, `gs://b/${given.prefix}`).report?.(deployment);
    const [stored] = fake.objects.values();
    expect(out).toMatchObject({
      key: stored?.name
        .replace("web-1", "<host>")
        .replace("20260501T010203.004000000Z", "<YYYYMMDDTHHMMSS.nnnnnnnnnZ>"),
      contentType: stored?.contentType,
      body: new TextDecoder().decode(stored?.bytes),
    });
  });
});
