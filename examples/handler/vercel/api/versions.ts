import { createHandler } from "dewy/handler";

// vercel.json sends /versions/… here, and the request keeps its URL.
export default {
  fetch: createHandler({ registries: { app: "ghr://linyows/myapp" }, basePath: "/versions" }),
};
