import { parseCacheUrl } from "../../../src/cache/table.ts";
import { cacheContract } from "../../contract/cache.ts";
import { fakeGcs } from "../../fakes/gcs.ts";
import { cacheContext } from "../context.ts";

cacheContract("gs (fake)", {
  atomic: true,
  open: () =>
    parseCacheUrl("gs://cache/team/app").open(
      cacheContext({ fetch: fakeGcs({ bucket: "cache" }).fetch, token: "token" }),
    ),
});

cacheContract("gs (fake that stores 3 MiB of a part)", {
  atomic: true,
  open: () =>
    parseCacheUrl("gs://cache").open(
      cacheContext({
        fetch: fakeGcs({ bucket: "cache", storesAtMost: 3 * 1024 * 1024 }).fetch,
        token: "token",
      }),
    ),
});
