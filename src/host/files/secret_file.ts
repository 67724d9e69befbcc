import { createHash, createHmac, timingSafeEqual } from "node:crypto";
import type { Stats } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import { ConfigError } from "../../core/error.ts";
import type { EventSink } from "../../core/event.ts";
import { messageOf } from "../../core/message_of.ts";
import { fileError } from "./file_error.ts";

/** A body that is being signed, with each of the secrets. */
interface Signing {
  update(chunk: Uint8Array): void;
  /** @param signature `sha256=` and the HMAC in lower-case hex. */
  isSignedWith(signature: string): boolean;
}

/** Secrets of which a request must have one. All comparisons take constant time: over digests, and with every secret. */
export class Secrets {
  readonly #values: readonly string[];
  readonly #digests: readonly Buffer[];

  constructor(values: readonly string[]) {
    this.#values = values;
    this.#digests = values.map(sha256);
  }

  includes(text: string): boolean {
    return isAmong(text, this.#digests);
  }

  sign(): Signing {
    const hmacs = this.#values.map((secret) => createHmac("sha256", secret));
    return {
      update(chunk) {
        for (const hmac of hmacs) hmac.update(chunk);
      },
      isSignedWith(signature) {
        const expected = hmacs.map((hmac) => sha256(`sha256=${hmac.digest("hex")}`));
        return isAmong(signature, expected);
      },
    };
  }
}

function isAmong(text: string, digests: readonly Buffer[]): boolean {
  const given = sha256(text);
  // Without `some`, which stops at the first match.
  return digests.filter((digest) => timingSafeEqual(digest, given)).length > 0;
}

function sha256(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}

const MIN_CHARACTERS = 16;
/** Each secret costs an HMAC per request. */
const MAX_SECRETS = 8;
const MAX_FILE_BYTES = 16 * 1024;
const ADVICE = "create one with: openssl rand -hex 32";

interface SecretFileOptions {
  path: string;
  /** The flag that names the file. */
  flag: string;
  /** What a line of it is. */
  noun: "secret" | "token";
  /** What its lines are in messages: `webhook secrets`. */
  subject: string;
  emit: EventSink;
}

/** A file with a secret per line, so that a new one can be added before the old one goes. */
export class SecretFile {
  readonly #options: SecretFileOptions;
  #version: string | undefined;
  #secrets: Promise<Secrets>;

  private constructor(options: SecretFileOptions, read: SecretsRead) {
    this.#options = options;
    this.#version = read.version;
    this.#secrets = Promise.resolve(read.secrets);
    this.#warnIfPublic(read);
  }

  static async open(options: SecretFileOptions): Promise<SecretFile> {
    return new SecretFile(options, await readSecrets(options));
  }

  /** Reads the file again if it has changed. If it cannot be used, the secrets stay as they were. */
  async current(): Promise<Secrets> {
    const version = await versionOf(this.#options.path);
    if (version !== this.#version) {
      this.#version = version;
      this.#secrets = this.#renew(this.#secrets);
    }
    return await this.#secrets;
  }

  async #renew(previous: Promise<Secrets>): Promise<Secrets> {
    try {
      const read = await readSecrets(this.#options);
      this.#warnIfPublic(read);
      return read.secrets;
    } catch (error) {
      const { subject } = this.#options;
      const message = `${subject.charAt(0).toUpperCase()}${subject.slice(1)} not renewed`;
      this.#warn(message, { reason: messageOf(error) });
      return await previous;
    }
  }

  #warnIfPublic({ isPublic }: SecretsRead): void {
    if (!isPublic) return;
    const { subject, path: file } = this.#options;
    this.#warn(`Every user can read the ${subject}`, { file, hint: "chmod o-r" });
  }

  #warn(message: string, fields: Record<string, string>): void {
    this.#options.emit({ type: "warning", important: true, message, fields });
  }
}

interface SecretsRead {
  secrets: Secrets;
  version: string;
  isPublic: boolean;
}

async function readSecrets({ path, flag, noun }: SecretFileOptions): Promise<SecretsRead> {
  const fail = (cause: unknown): never => {
    const { message } = fileError("read", path, cause);
    throw new ConfigError(`Cannot use ${flag}: ${message}`, { cause });
  };
  const status = await stat(path).catch(fail);
  const problem = fileProblem(status, noun);
  const secrets = problem === undefined ? linesOf(await readFile(path, "utf8").catch(fail)) : [];
  const reason = problem ?? secretsProblem(secrets, noun);
  if (reason !== undefined) throw new ConfigError(`Cannot use ${flag} "${path}": ${reason}`);
  return {
    secrets: new Secrets(secrets),
    version: versionFrom(status),
    isPublic: process.getuid !== undefined && (status.mode & 0o004) !== 0,
  };
}

function linesOf(text: string): string[] {
  return text
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "");
}

function fileProblem(status: Stats, noun: string): string | undefined {
  if (!status.isFile()) return "it is not a regular file";
  return status.size > MAX_FILE_BYTES
    ? `it is larger than ${MAX_FILE_BYTES} bytes; expected one ${noun} per line`
    : undefined;
}

/** Names lines, not their text. */
function secretsProblem(secrets: readonly string[], noun: string): string | undefined {
  if (secrets.length === 0) return `it is empty; ${ADVICE}`;
  if (secrets.length > MAX_SECRETS) {
    return `it has ${secrets.length} ${noun}s, expected at most ${MAX_SECRETS}`;
  }
  for (const [index, secret] of secrets.entries()) {
    const which = `${noun} ${index + 1}`;
    const { length } = secret;
    if (!/^[ -~]+$/.test(secret)) {
      return `${which} has characters other than printable ASCII; ${ADVICE}`;
    }
    if (length < MIN_CHARACTERS) {
      return `${which} has ${length} characters, expected at least ${MIN_CHARACTERS}; ${ADVICE}`;
    }
  }
  return undefined;
}

async function versionOf(path: string): Promise<string | undefined> {
  return await stat(path).then(versionFrom, () => undefined);
}

function versionFrom({ ino, size, mtimeMs, ctimeMs }: Stats): string {
  return [ino, size, mtimeMs, ctimeMs].join(" ");
}
