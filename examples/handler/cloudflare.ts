import { createHandler } from "dewy/handler";

// Variables and secrets of the Worker, such as GITHUB_TOKEN, are the environment of the library.
type Env = Readonly<Record<string, string>>;
let handler: ReturnType<typeof createHandler> | undefined;

export default {
  fetch(request: Request, env: Env): Promise<Response> {
    handler ??= createHandler({ registries: { app: "ghr://linyows/myapp" }, env });
    return handler(request);
  },
};
