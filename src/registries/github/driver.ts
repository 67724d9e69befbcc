import { IntegrityError, NotFoundError } from "../../core/error.ts";
import type { Artifact, Deployment, OpenOptions, Registry } from "../../core/types.ts";
import { splitUrl } from "../../core/url.ts";
import { parseGhrArtifactUrl } from "../artifact_url.ts";
import type { EnvironmentSpec, RegistryContext, RegistryDriver } from "../driver.ts";
import { joinSignals, listRegistry } from "../list_registry.ts";
import { createGitHubClient } from "./client.ts";
import {
  GHR_OPTIONS,
  GHR_SYNTAX,
  type GhrLocator,
  ghrFromWebAddress,
  parseGhrUrl,
} from "./locator.ts";
import { type GhrRepository, ghrRepository } from "./repository.ts";
import type { GitHubAsset } from "./schema.ts";
import { findAsset, GhrSource, revisionOf } from "./source.ts";

const ENVIRONMENT: readonly EnvironmentSpec[] = [
  {
    name: "GH_TOKEN",
    description: "A token for GitHub; wins over GITHUB_TOKEN",
    secret: true,
    value: "token",
  },
  { name: "GITHUB_TOKEN", description: "A token for GitHub", secret: true, value: "token" },
  {
    name: "GITHUB_APP_ID",
    description: "Signs in as this GitHub App; wins over tokens",
    secret: false,
  },
  {
    name: "GITHUB_APP_INSTALLATION_ID",
    description: "The installation of the GitHub App",
    secret: false,
  },
  {
    name: "GITHUB_APP_PRIVATE_KEY",
    description: "The private key of the GitHub App, in PEM",
    secret: true,
    value: "text",
  },
  { name: "GITHUB_APP_PRIVATE_KEY_PATH", description: "A file with that key", secret: false },
  {
    name: "GITHUB_API_URL",
    description: "The API of a GitHub Enterprise server",
    secret: false,
  },
  {
    name: "GITHUB_ENDPOINT",
    description: "The same, where GITHUB_API_URL is not set",
    secret: false,
  },
  {
    name: "GITHUB_ARTIFACT",
    description: "The artifact's name or pattern, where the URL has no artifact=",
    secret: false,
  },
];

const NO_RECORD =
  "No audit record is left on GitHub: that takes GH_TOKEN, GITHUB_TOKEN or a GitHub App";

/** Releases of a repository on GitHub or GitHub Enterprise: `ghr://<owner>/<repo>`. */
export const ghr: RegistryDriver<GhrLocator> = {
  scheme: "ghr",
  name: "GitHub Releases",
  syntax: GHR_SYNTAX,
  example: "ghr://linyows/myapp",
  commands: ["server", "assets"],
  options: GHR_OPTIONS,
  environment: ENVIRONMENT,
  parse: parseGhrUrl,
  fromWebAddress: ghrFromWebAddress,
  open: openGhr,
  async openArtifact(url, io, options = {}) {
    const { owner, repo, tag, artifact } = parseGhrArtifactUrl(url);
    const repository = ghrRepository(createGitHubClient(io), owner, repo);
    const signal = joinSignals(options.signal, io.signal);
    const asset = await findRemoteAsset(repository, tag, artifact, signal);
    return repository.download(asset, options, signal);
  },
};

function openGhr(given: GhrLocator, io: RegistryContext): Registry {
  const locator = { ...given, artifact: given.artifact || (io.env.GITHUB_ARTIFACT ?? "") };
  const github = createGitHubClient(io);
  const repository = ghrRepository(github, locator.owner, locator.repo);
  const source = new GhrSource(locator, { github, repository, clock: io.clock, emit: io.emit });

  let warned = false;

  const registry = listRegistry({
    locator,
    io,
    source,
    repository: locator.repo,
    async open(artifact, options: OpenOptions = {}) {
      const { tag, artifact: name } = parseGhrArtifactUrl(
        splitUrl(artifact.url, "the artifact URL"),
      );
      const signal = joinSignals(options.signal, io.signal);
      const find = (): Promise<GitHubAsset> => findRemoteAsset(repository, tag, name, signal);
      const asset = source.asset(tag, name) ?? (await find());
      assertSame(artifact, asset);
      try {
        return await repository.download(asset, options, signal);
      } catch (error) {
        if (!(error instanceof NotFoundError)) throw error;
        source.expire();
        assertSame(artifact, await find());
        throw error;
      }
    },
    exists: (tag, options = {}) => repository.exists(tag, joinSignals(options.signal, io.signal)),
    async report(deployment: Deployment, options = {}) {
      if (deployment.error !== undefined) return; // A record says that something was shipped.
      if (github.auth.kind === "anonymous") {
        if (!warned) io.emit({ type: "warning", message: NO_RECORD });
        warned = true;
        return;
      }
      const signal = joinSignals(options.signal, io.signal);
      const { id } = deployment;
      const uploadUrl = source.uploadUrl(id) ?? (await repository.uploadUrl(id, signal));
      await repository.record(uploadUrl, deployment, signal);
    },
  });

  return {
    ...registry,
    async current(options = {}) {
      const resolution = await registry.current(options);
      source.settle(resolution);
      return resolution;
    },
    async explain(options = {}) {
      const explanation = await registry.explain(options);
      source.settle(explanation.resolution);
      return explanation;
    },
  };
}

/** The rest of one file must never be joined with the start of another. */
function assertSame(artifact: Artifact, asset: GitHubAsset): void {
  if (artifact.revision === undefined || artifact.revision === revisionOf(asset)) return;
  throw new IntegrityError(
    `Cannot download ${artifact.name}: it was replaced on GitHub after it was listed; dewy lists again`,
  );
}

async function findRemoteAsset(
  repository: GhrRepository,
  tag: string,
  name: string,
  signal: AbortSignal | undefined,
): Promise<GitHubAsset> {
  const release = await repository.release(tag, signal);
  const asset = release === undefined ? undefined : findAsset(release, name);
  if (asset !== undefined) return asset;
  const where =
    release === undefined ? `no release ${tag}` : `no file ${name} in the release ${tag}`;
  throw new NotFoundError(`Cannot download ${name}: GitHub has ${where}`);
}
