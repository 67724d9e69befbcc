import { denoKvCache } from "dewy/cache";
import { createHandler } from "dewy/handler";

Deno.serve(
  createHandler({
    registries: { app: "ghr://linyows/myapp" },
    cache: denoKvCache(await Deno.openKv()),
  }),
);
