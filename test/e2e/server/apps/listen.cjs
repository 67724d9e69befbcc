#!/usr/bin/env node
// Listens on the descriptors of LISTEN_FDS. MODE "port" listens on 127.0.0.1:$PORT and "bind" on
// $APP_BIND, as apps do that do not support socket handoff. "sick" is never healthy; "errors" answers
// 500 and logs why; "mortal", or $APP_DIES_AFTER, exits after some time. With $APP_NOTIFY it reports its readiness. $APP_ON_TERM
// replaces the graceful stop on SIGTERM: "die", or "quit" after a moment.
const { execFileSync } = require("node:child_process");
const { appendFileSync, existsSync } = require("node:fs");
const { createServer } = require("node:http");

const VERSION = "@VERSION@";
const MODE = "@MODE@";
const {
  APP_REPORT,
  APP_CHATTY,
  APP_BIND,
  APP_DIES_AFTER,
  APP_NOTIFY,
  APP_ON_TERM,
  LISTEN_FDS,
  PORT,
} = process.env;
const inherited = () =>
  Array.from({ length: Number(LISTEN_FDS) }, (_, index) => ({ fd: 3 + index }));
const WHERE = {
  inherit: inherited,
  errors: inherited,
  port: () => [{ host: "127.0.0.1", port: Number(PORT) }],
  mortal: () => [{ host: "127.0.0.1", port: Number(PORT) }],
  sick: () => [{ host: "127.0.0.1", port: Number(PORT) }],
  bind: () => [{ host: "127.0.0.1", port: Number(APP_BIND) }],
};
let accepted = 0;
let answered = 0;
let stopping = false;

function report(event) {
  const line = JSON.stringify({ event, version: VERSION, pid: process.pid, accepted, answered });
  if (APP_REPORT) appendFileSync(APP_REPORT, `${line}\n`);
  console.log(line);
}

function handle(request, response) {
  const url = new URL(request.url, "http://app");
  if (APP_CHATTY) console.log(`${VERSION} got ${url.pathname}`);
  const answer = () => {
    if (MODE === "sick") response.statusCode = 503;
    if (MODE === "errors") {
      response.statusCode = 500;
      console.error(`GET ${url.pathname}: cannot reach the database`);
    }
    if (stopping) response.setHeader("connection", "close");
    answered += 1;
    response.end(VERSION);
  };
  const { searchParams } = url;
  const answerOnce = () =>
    existsSync(searchParams.get("file")) ? answer() : setTimeout(answerOnce, 20);
  if (url.pathname === "/slow") setTimeout(answer, Number(searchParams.get("ms")));
  else if (url.pathname === "/until") answerOnce();
  else answer();
}

const servers = WHERE[MODE]().map((where) =>
  Object.assign(createServer(handle), { httpAllowHalfOpen: true })
    .on("connection", () => {
      accepted += 1;
    })
    .listen(where),
);
let listening = 0;
for (const server of servers) {
  server.on("listening", () => {
    listening += 1;
    if (listening < servers.length) return;
    report("started");
    if (APP_NOTIFY) execFileSync("systemd-notify", ["--ready"]);
  });
}

const diesAfter = MODE === "mortal" ? 3000 : Number(APP_DIES_AFTER ?? 0);
if (diesAfter > 0) {
  setTimeout(() => {
    console.error("lost the database");
    process.exit(1);
  }, diesAfter);
}

const stop = () => {
  stopping = true;
  let open = servers.length;
  for (const server of servers) {
    server.close(() => {
      open -= 1;
      if (open > 0) return;
      report("stopped");
      process.exit(0);
    });
  }
};
const quit = () => {
  report("stopped");
  setTimeout(() => process.exit(0), 300);
};
if (APP_ON_TERM !== "die") process.once("SIGTERM", APP_ON_TERM === "quit" ? quit : stop);
