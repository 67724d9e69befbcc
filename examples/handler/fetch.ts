import { createHandler } from "dewy/handler";

// Deno Deploy and `deno serve`, and Bun: what `fetch` returns is the response.
export default { fetch: createHandler({ registries: { app: "ghr://linyows/myapp" } }) };
