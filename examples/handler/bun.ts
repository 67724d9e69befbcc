import { createHandler } from "dewy/handler";

// Bun and `deno serve` serve the `fetch` of a default export.
export default { fetch: createHandler({ registries: { app: "ghr://linyows/myapp" } }) };
