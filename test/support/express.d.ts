declare module "express" {
  import type { RequestListener } from "node:http";

  /** The part of express that examples/handler uses. */
  const express: () => RequestListener & { use(path: string, listener: RequestListener): void };

  export { express as default };
}
