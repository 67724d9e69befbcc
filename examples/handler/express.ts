import { getRequestListener } from "@hono/node-server";
import { createHandler } from "dewy/handler";
import express from "express";

export const app = express();
// express removes the path where a middleware is mounted.
app.use(
  "/versions",
  getRequestListener(createHandler({ registries: { app: "ghr://linyows/myapp" } })),
);
