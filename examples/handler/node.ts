import { createServer } from "node:http";
import { getRequestListener } from "@hono/node-server";
import { createHandler } from "dewy/handler";

const handler = createHandler({ registries: { app: "ghr://linyows/myapp" } });

export const server = createServer(getRequestListener(handler));
