import { createHandler } from "dewy/handler";

export default createHandler({
  registries: { app: "ghr://linyows/myapp" },
  basePath: "/versions",
});

export const config = { path: "/versions/*" };
