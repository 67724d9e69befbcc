import { describe, expect, test } from "vitest";
import { DewyError } from "../../../src/core/error.ts";
import { isPrivateAddress } from "../../../src/core/private_address.ts";
import type { Registry } from "../../../src/core/types.ts";
import { splitUrl } from "../../../src/core/url.ts";
import { checkRealm } from "../../../src/registries/oci/auth/challenge.ts";
import { environmentLogin } from "../../../src/registries/oci/auth/sources.ts";
import { nextPage } from "../../../src/registries/oci/client.ts";
import { parseImageReference } from "../../../src/registries/oci/image_reference.ts";
import { dockerHubRepository, parseImgUrl } from "../../../src/registries/oci/locator.ts";
import { fakeOci } from "../../fakes/oci.ts";
import { notFollowed, REFUSED, readVectors, type VectorCase } from "../../support/vectors.ts";
import { openFakeImg } from "./world.ts";

type Input = Record<string, unknown>;
type Env = Readonly<Record<string, string | undefined>>;

const text = (input: Input, key: string): string => String(input[key] ?? "");

function isPlainHttp(registry: string): boolean {
  return parseImgUrl(splitUrl(`img://${registry}/app`, "--registry")).plainHttp;
}

function originOf(registry: string): string {
  return `${isPlainHttp(registry) ? "http" : "https"}://${registry}`;
}

const OPS: Readonly<Record<string, (input: Input, out: unknown) => unknown>> = {
  dockerHub: (input) => dockerHubRepository(text(input, "host"), text(input, "repository")),
  nextLink: (input) =>
    nextPage(text(input, "link"), new URL(`${originOf(text(input, "registry"))}/v2/`))?.href ?? "",
  privateIP: (input) => isPrivateAddress(text(input, "ip")),
  scheme: (input) => (isPlainHttp(text(input, "registry")) ? "http" : "https"),
  registryHost: (input) => parseImageReference(text(input, "imageRef")).registry,
  repository: (input) => parseImageReference(text(input, "imageRef")).name,
  credentials: (input) => environmentLogin(text(input, "registry"), input.env as Env),
  async realm(input) {
    const registry = new URL("https://registry.example/");
    await checkRealm(text(input, "url"), { registry, allowedHost: "" });
    return "allowed";
  },
  bearer: askBearer,
  current: askCurrent,
  async report(input) {
    const deployment = { id: "", tag: text(input, "tag"), command: "container", host: "h" };
    await openFakeImg(fakeOci()).registry.report?.({ ...deployment, at: new Date(0) });
    return { ok: true };
  },
};

/** A registry that asks for a token, and the requests that this leads to. */
async function askBearer(input: Input): Promise<unknown> {
  const registry = text(input, "registry").replace("<port>", "5000");
  const seen: { tokenRequest?: string; basicAuth?: string; token?: string } = {};
  const fetch: typeof globalThis.fetch = async (address, init) => {
    const { url, headers } = new Request(address, init);
    const authorization = headers.get("authorization") ?? "";
    if (new URL(url).pathname.startsWith("/v2/")) {
      const challenge = { "www-authenticate": text(input, "header") };
      if (authorization === "") return new Response(null, { status: 401, headers: challenge });
      seen.token = authorization.replace(/^Bearer /, "");
      return Response.json({ tags: [] });
    }
    seen.tokenRequest = url;
    if (authorization !== "") seen.basicAuth = atob(authorization.replace(/^Basic /, ""));
    return new Response(text(input, "body") || '{"token":"T"}', {
      status: Number(input.code ?? 200),
    });
  };
  const env = {
    DOCKER_USERNAME: text(input, "username"),
    DOCKER_PASSWORD: text(input, "password"),
  };
  await openFakeImg({ fetch }, { env }, `img://${registry}/o/a`).registry.resolve();
  return seen;
}

async function askCurrent(input: Input, out: unknown): Promise<unknown> {
  const pages = input.pages as { tags?: string[] }[];
  const fake = fakeOci({
    pageSize: Math.max(1, pages[0]?.tags?.length ?? 1),
    ...(input.noDigest === true ? { headers: { "docker-content-digest": "" } } : {}),
  });
  for (const tag of pages.flatMap(({ tags }) => tags ?? [])) {
    fake.push(tag, { created: "2026-01-01T00:00:00Z" });
  }
  const calver = text(input, "calver");
  const { registry } = openFakeImg(fake, {
    preRelease: input.preRelease === true,
    ...(calver === "" ? {} : { calver }),
  });
  return answerOf(await registry.resolve(), out);
}

/** What the vector asks for of our answer; requests and digests are those of another client and fake. */
function answerOf(answer: Awaited<ReturnType<Registry["resolve"]>>, out: unknown): unknown {
  if (answer.kind !== "ready") return REFUSED;
  const { release, artifact } = answer;
  const all: Record<string, unknown> = {
    ...(out as object),
    tag: release.tag,
    artifactURL: artifact.url.replace("registry.example/o/app", "<registry>/app"),
    hasCreatedAt: release.createdAt !== undefined,
    slot: release.slot ?? "",
  };
  return Object.fromEntries(Object.keys(out ?? {}).map((key) => [key, all[key]]));
}

async function run({ op, in: input, out }: VectorCase): Promise<unknown> {
  try {
    return await OPS[op]?.(input, out);
  } catch (error) {
    if (error instanceof DewyError) return REFUSED;
    throw error;
  }
}

describe("oci follows the vectors", () => {
  for (const vector of readVectors("oci")) {
    const deviation = notFollowed.find((one) => one.vectors === "oci" && one.case === vector.name);
    const expected = vector.error ? REFUSED : vector.out;
    const name = `${vector.op}: ${vector.name}`;
    if (deviation === undefined) {
      test(name, async () => expect(await run(vector)).toEqual(expected));
    } else {
      test(`${name}: not followed: ${deviation.reason}`, async () => {
        expect(await run(vector)).not.toEqual(expected);
      });
    }
  }
});
