import { createHandler } from "dewy/handler";

const handler = createHandler({
  registries: { app: "ghr://linyows/myapp" },
  basePath: "/api/versions",
});

export const dynamic = "force-dynamic";
export { handler as GET, handler as HEAD, handler as OPTIONS, handler as POST };
