#!/usr/bin/env node
// The app of the quickstart: listens on the socket that dewy passes it, and drains its requests on SIGTERM.
const { createServer } = require("node:http");

const server = createServer((_, response) => {
  // Responses take a while, so that some are in flight at each switch.
  setTimeout(() => response.end(`Hello from ${process.env.DEWY_TAG}\n`), 50);
});

if (process.env.DEWY_TAG === "v1.2.0") {
  setTimeout(() => {
    throw new Error("Cannot reach the database");
  }, 2000);
} else {
  server.listen({ fd: 3 });
}
process.once("SIGTERM", () => server.close());
