import { env, waitUntil } from "cloudflare:workers";
import { kvCache } from "dewy/cache";
import { createHandler } from "dewy/handler";

export default {
  fetch: createHandler({
    registries: { app: "ghr://linyows/myapp" },
    token: env.GITHUB_TOKEN,
    cache: kvCache(env.VERSIONS),
    waitUntil,
  }),
};
