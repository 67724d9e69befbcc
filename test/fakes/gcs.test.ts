// Google's own client works with the fake, so the fake behaves like the real service where dewy
// uses it.
import { Storage } from "@google-cloud/storage";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type FakeGcs, fakeGcs } from "./gcs.ts";
import { type Served, serveFetch } from "./serve.ts";

describe("the GCS fake with @google-cloud/storage", () => {
  let fake: FakeGcs;
  let served: Served;
  let bucket: ReturnType<Storage["bucket"]>;

  beforeEach(async () => {
    fake = fakeGcs({ pageSize: 2 });
    served = await serveFetch(fake.handler);
    const storage = new Storage({
      apiEndpoint: served.url,
      projectId: "p",
      retryOptions: { autoRetry: false },
    });
    bucket = storage.bucket("b");
  });

  afterEach(() => served.close());

  test("lists all pages in the order of UTF-8", async () => {
    for (const name of ["b", "a", "ä", "a/c", "Z"]) fake.put(name);
    const [files] = await bucket.getFiles();
    expect(files.map((file) => file.name)).toEqual(["Z", "a", "a/c", "b", "ä"]);
  });

  test("lists directories by delimiter", async () => {
    for (const name of ["app/v1/x", "app/v1/y", "app/v2/z", "app/readme", "other"]) fake.put(name);
    const query = { prefix: "app/", delimiter: "/", autoPaginate: false, maxResults: 10 };
    const prefixes: string[] = [];
    const names: string[] = [];
    let pageToken: string | undefined;
    do {
      const [files, next, answer] = await bucket.getFiles({
        ...query,
        ...(pageToken === undefined ? {} : { pageToken }),
      });
      names.push(...files.map((file) => file.name));
      prefixes.push(...((answer as { prefixes?: string[] }).prefixes ?? []));
      pageToken = (next as { pageToken?: string } | null)?.pageToken;
    } while (pageToken !== undefined);
    expect({ names, prefixes }).toEqual({
      names: ["app/readme"],
      prefixes: ["app/v1/", "app/v2/"],
    });
  });

  test("serves bytes that pass the client's own validation, and ranges of them", async () => {
    fake.put("dir/a b?#%+.bin", { body: "0123456789" });
    const file = bucket.file("dir/a b?#%+.bin");
    const [whole] = await file.download({ validation: "crc32c" });
    const [md5] = await file.download({ validation: "md5" });
    const [part] = await file.download({ start: 4, end: 6 });
    expect([whole, md5, part].map(String)).toEqual(["0123456789", "0123456789", "456"]);
  });

  test("accepts an upload and states its checksums", async () => {
    const file = bucket.file("up/ä.txt");
    await file.save("hello", { resumable: false, validation: "crc32c", contentType: "text/plain" });
    expect(new TextDecoder().decode(fake.objects.get("up/ä.txt")?.bytes)).toBe("hello");
    const [metadata] = await file.getMetadata();
    expect(metadata).toMatchObject({
      size: "5",
      contentType: "text/plain",
      md5Hash: "XUFAKrxLKna5cZ2REBfFkg==",
    });
  });

  test("refuses a write with a failed precondition", async () => {
    fake.put("a");
    const file = bucket.file("a", {});
    const save = file.save("x", {
      resumable: false,
      preconditionOpts: { ifGenerationMatch: 0 },
    });
    await expect(save).rejects.toMatchObject({ code: 412 });
  });

  test("reports missing objects in the vendor's words", async () => {
    await expect(bucket.file("missing").getMetadata()).rejects.toMatchObject({
      code: 404,
      errors: [{ reason: "notFound" }],
    });
    expect(await bucket.file("missing").exists()).toEqual([false]);
  });

  test("deletes objects", async () => {
    fake.put("a");
    await bucket.file("a").delete();
    expect([...fake.objects.keys()]).toEqual([]);
  });
});
