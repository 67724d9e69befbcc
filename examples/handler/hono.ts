import { createHandler } from "dewy/handler";
import { Hono } from "hono";

export const app = new Hono();
app.mount("/versions", createHandler({ registries: { app: "ghr://linyows/myapp" } }));
