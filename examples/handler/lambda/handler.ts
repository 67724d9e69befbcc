import { createHandler } from "dewy/handler";
import { Hono } from "hono";
import { handle } from "hono/aws-lambda";

const app = new Hono();
app.mount("/", createHandler({ registries: { app: "ghr://linyows/myapp" } }));

// For artifacts of more than 6 MB that are not redirected: streamHandle, and InvokeMode RESPONSE_STREAM.
export const handler = handle(app);
