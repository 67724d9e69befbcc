import { readFileSync, writeFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import {
  createServer as createHttpServer,
  type IncomingMessage,
  type RequestListener,
  type Server,
} from "node:http";
import { createServer as createHttpsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { systemClock } from "../../src/core/clock.ts";
import { notifiers } from "../../src/notifiers/table.ts";
import { FakeGitHub } from "../fakes/github.ts";
import type { Handler } from "../fakes/handler.ts";
import { serveFetch } from "../fakes/serve.ts";
import { refuse, startSmtp } from "../fakes/smtp.ts";
import { certificateAuthority, siteCertificate } from "../host/net/private_network.ts";
import { type Canaries, urlWithCanaries } from "./canaries.ts";

/** A local service for each notifier. The first request to each fails, in words that repeat it. */
export interface NotifierServices {
  caFile: string;
  /** The value of `SLACK_API_URL`. */
  slackUrl: string;
  /** The notifiers, by scheme. */
  urls: ReadonlyMap<string, string>;
  /** What each has received, without the headers and URLs, which have its own secret. */
  received(scheme: string): string[];
}

/** In the order of their arrival, and readable. */
type Bodies = () => string[];

export async function startNotifierServices(
  canaries: Canaries,
  directory: string,
): Promise<NotifierServices> {
  const authority = await certificateAuthority("dewy test CA");
  const { private: key, cert } = await siteCertificate(authority);
  const caFile = join(directory, "ca.pem");
  await writeFile(caFile, authority.cert);
  const script = join(directory, "notify");
  await writeFile(script, NOTIFY, { mode: 0o755 });
  const found = new Map<string, Bodies>();

  const authorityOf = async (scheme: string): Promise<string> => {
    if (/^(smtps?|mail)$/.test(scheme)) {
      const { port, bodies } = await startMail({ key, cert, secure: scheme === "smtps" });
      found.set(scheme, bodies);
      return `me:${canaries.make(`--notifier ${scheme}`)}@localhost:${port}`;
    }
    if (scheme === "exec") {
      found.set(scheme, () => readFileSync(`${script}.received`, "utf8").trim().split("\n"));
      return "";
    }
    const { bodies, listener } = repeating();
    found.set(scheme, bodies);
    if (/(^|\+)https$/.test(scheme)) {
      return `localhost:${await listen(createHttpsServer({ key, cert }, listener))}`;
    }
    if (scheme === "slack" || /(^|\+)http$/.test(scheme)) {
      return `localhost:${await listen(createHttpServer(listener))}`;
    }
    throw new Error(`there is no local service for ${scheme}:// yet: add one here`);
  };

  let files = 0;
  const file = (text: string): string => {
    const path = join(directory, `secret-${files++}`);
    writeFileSync(path, text, { mode: 0o600 });
    return path;
  };
  const urls = new Map<string, string>();
  let slackUrl = "";
  for (const [scheme, driver] of Object.entries(notifiers)) {
    const address = await authorityOf(scheme);
    if (scheme === "slack") slackUrl = `http://${address}/`;
    // The bot's URL names a channel instead of a host.
    const authority = scheme === "slack" ? "deploy" : address;
    urls.set(scheme, urlWithCanaries(scheme, driver, canaries, { authority, script, file }));
  }
  return { caFile, slackUrl, urls, received: (scheme) => found.get(scheme)?.() ?? [] };
}

/** Fails the first time, with its arguments and its environment as the reason. */
const NOTIFY = `#!/bin/sh
env > "$0.$$.env"
[ -e "$0.failed" ] || { : > "$0.failed"; echo "cannot $*" $(env) >&2; exit 1; }
cat >> "$0.received"
`;

/** Answers the first request with an error that repeats all of it. */
function repeating(): { bodies: Bodies; listener: RequestListener } {
  const bodies: string[] = [];
  let requests = 0;
  const listener: RequestListener = async (request, response) => {
    let body = "";
    for await (const chunk of request) body += chunk;
    requests += 1;
    if (requests > 1) {
      bodies.push(isForm(request) ? decodeURIComponent(body) : body);
      response.end('{"ok":true}');
    } else {
      response.statusCode = 503;
      response.end(repeat(request.url ?? "", request.headers, body));
    }
  };
  return { bodies: () => bodies, listener };
}

function isForm({ headers }: IncomingMessage): boolean {
  return headers["content-type"]?.startsWith("application/x-www-form-urlencoded") === true;
}

/** An error in the words of several services. */
export function repeat(url: string, headers: object, body: string): string {
  const message = `Bad request to http://localhost${url} with ${JSON.stringify(headers)}: ${body}`;
  return JSON.stringify({ message, error: message, code: "unauthenticated" });
}

async function startMail(tls: {
  key: string;
  cert: string;
  secure: boolean;
}): Promise<{ port: number; bodies: Bodies }> {
  let attempts = 0;
  const smtp = await startSmtp({
    ...tls,
    disabledCommands: [],
    onAuth({ username = "", password }, _session, callback) {
      attempts += 1;
      if (attempts > 1) return callback(null, { user: username });
      callback(refuse(454, `cannot check ${password} of ${username} now`));
    },
  });
  onTestFinished(() => smtp.close());
  const bodies = (): string[] =>
    smtp.mails.map(({ mail }) => JSON.stringify([mail.headerLines, mail.subject, mail.text]));
  return { port: smtp.port, bodies };
}

/** Answers every request with an error that repeats it. */
export const refuseAll: Handler = async (request) => {
  const { pathname, search } = new URL(request.url);
  const headers = Object.fromEntries(request.headers);
  return new Response(repeat(pathname + search, headers, await request.text()), {
    status: 400,
    headers: { "content-type": "application/json" },
  });
};

/** A GitHub that refuses all requests while `isFailing`. */
export async function startGitHub(token: string) {
  const github = new FakeGitHub({ clock: systemClock, tokens: { [token]: true } });
  const self = { github, url: "", isFailing: false };
  const api = await serveFetch((request) =>
    self.isFailing ? refuseAll(request) : github.handler(request),
  );
  const storage = await serveFetch(github.handler);
  onTestFinished(async () => {
    await Promise.all([api.close(), storage.close()]);
  });
  github.urls = { api: api.url, uploads: api.url, storage: storage.url };
  self.url = api.url;
  return self;
}

/** A collector of metrics and traces, which repeats the first request. */
export async function startCollector(): Promise<{ url: string; bodies: Bodies }> {
  const { bodies, listener } = repeating();
  return { url: `http://127.0.0.1:${await listen(createHttpServer(listener))}`, bodies };
}

async function listen(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}
