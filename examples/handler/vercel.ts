// api/versions/[...path].ts
import { createHandler } from "dewy/handler";

const handler = createHandler({
  registries: { app: "ghr://linyows/myapp" },
  basePath: "/api/versions",
});

export { handler as GET, handler as HEAD, handler as OPTIONS };
