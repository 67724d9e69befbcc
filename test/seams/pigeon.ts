import { ConfigError } from "../../mod.ts";
import { readQuery, redactUrl } from "../../src/core/url.ts";
import { type NotifierDriver, QUIET } from "../../src/notifiers/driver.ts";
import { plainText } from "../../src/notifiers/rich_text.ts";

/** What the pigeons of this process carried. */
export const letters: { loft: string; kind: string; text: string }[] = [];

/** A made-up notifier: everything dewy knows of it is in this file. */
export const pigeon: NotifierDriver = {
  scheme: "pigeon",
  name: "Carrier pigeon",
  syntax: "pigeon://<loft>",
  example: "pigeon://north-tower?feather=grey",
  options: [QUIET, { name: "feather", type: "string", description: "The colour of the pigeon" }],
  environment: [
    // Nothing in the name tells that it is a secret.
    { name: "PIGEON_WHISTLE", description: "The tune that calls the pigeon", secret: true },
  ],
  credentialPrefixes: ["PIGEONS_"],
  open(url, io) {
    const query = readQuery(url, pigeon.options, "--notifier");
    if (url.host === "") {
      throw new ConfigError(`Cannot use --notifier "${redactUrl(url.text)}": loft is required`);
    }
    if (io.env.PIGEON_WHISTLE === undefined) return undefined;
    return {
      async send({ kind, text }) {
        letters.push({ loft: `${url.host} ${query.text("feather")}`, kind, text: plainText(text) });
        const fields = { loft: url.host };
        io.emit({ type: "driver", scheme: "pigeon", message: "Pigeon released", fields });
      },
    };
  },
};
