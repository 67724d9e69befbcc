import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { onTestFinished } from "vitest";
import { refuse, startSmtp } from "../fakes/smtp.ts";
import { type Behaviour, notifierContract } from "./notifier.ts";

const ACCOUNT = { user: "dewy", password: "contract-password" };

notifierContract("mail", {
  async setup() {
    let how: Behaviour = "fine";
    const smtp = await startSmtp({
      accounts: { [ACCOUNT.user]: ACCOUNT.password },
      allowInsecureAuth: true,
      onAuth: ({ username }, _session, callback) =>
        how === "denied" ? callback(refuse(535, "no")) : callback(null, { user: username }),
      onMailFrom: (_address, _session, callback) => {
        const codes: Partial<Record<Behaviour, number>> = { broken: 451, refusing: 550 };
        const code = codes[how];
        callback(code === undefined ? null : refuse(code, "no"));
      },
    });
    const front = await startFront(smtp.port, () => how);
    onTestFinished(async () => {
      front.close();
      await smtp.close();
    });
    return {
      url: `smtp://127.0.0.1:${front.port}/ops@example.com?tls=false&from=dewy@example.com`,
      context: { env: { MAIL_USERNAME: ACCOUNT.user, MAIL_PASSWORD: ACCOUNT.password } },
      secrets: [ACCOUNT.password],
      behave: (next) => {
        how = next;
      },
      attempts: front.connections,
      arrived: async () => smtp.mails.map(({ mail }) => `${mail.subject}\n${mail.text}`),
    };
  },
  skip: { busy: "an SMTP server cannot say for how long" },
});

/** A port in front of the server that may be down or slow, and counts connections. */
async function startFront(target: number, behaviour: () => Behaviour) {
  const sockets = new Set<Socket>();
  let count = 0;
  const server = createServer((socket) => {
    count += 1;
    sockets.add(socket.on("error", () => {}));
    const how = behaviour();
    if (how === "down") socket.destroy();
    if (how === "down" || how === "slow") return;
    const behind = connect(target, "127.0.0.1").on("error", () => {});
    sockets.add(behind);
    socket.pipe(behind).pipe(socket);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    connections: () => count,
    close: () => {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}
