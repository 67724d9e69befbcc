#!/usr/bin/env node
// The app of the quickstart: it listens on the socket that dewy passes, and finishes its requests
// on SIGTERM.
const { createServer } = require("node:http");

const server = createServer((_, response) => {
  // Responses take 50 ms, so that every switch finds some in flight.
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
