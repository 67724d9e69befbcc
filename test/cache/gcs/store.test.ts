import { cacheContract } from "../../contract/cache.ts";
import { fakeGcs } from "../../fakes/gcs.ts";
import { cacheAt } from "../context.ts";

cacheContract("gs (fake)", {
  atomic: true,
  open: () =>
    cacheAt("gs://cache/team/app", { fetch: fakeGcs({ bucket: "cache" }).fetch, token: "token" }),
});

cacheContract("gs (fake that stores 3 MiB of a part)", {
  atomic: true,
  open: () =>
    cacheAt("gs://cache", {
      fetch: fakeGcs({ bucket: "cache", storesAtMost: 3 * 1024 * 1024 }).fetch,
      token: "token",
    }),
});
