// Sends a mail to each URL of MAIL_URLS, trusting MAIL_CA_FILE. Run by test/runtime/mail.test.ts.
import { systemClock } from "../../src/core/clock.ts";
import { splitUrl } from "../../src/core/url.ts";
import { mail } from "../../src/notifiers/mail/driver.ts";

const { MAIL_URLS = "", MAIL_CA_FILE } = process.env;

for (const text of MAIL_URLS.split(" ")) {
  const notifier = mail.open(splitUrl(text, "--notifier"), {
    env: {},
    programEnv: {},
    redact: String,
    fetch,
    clock: systemClock,
    emit: () => {},
    caFile: MAIL_CA_FILE,
    host: { name: "web-1", color: "" },
    instance: { name: "app", mode: "server", directory: "/opt/app", registry: "" },
  });
  const entry = { at: "2026-01-01T00:00:00.000Z", event: "deployed" };
  const outcome = await notifier
    ?.send({ id: "1", kind: "success", text: ["Deployed v1"], entry }, AbortSignal.timeout(20_000))
    .then(
      () => "sent",
      (error: Error) => error.message,
    );
  console.log(outcome);
}
