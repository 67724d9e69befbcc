import { CredentialError, IntegrityError, NotFoundError } from "../../core/error.ts";
import { joinSignals } from "../../core/timeout.ts";
import type { Artifact, Deployment, OpenOptions, Registry } from "../../core/types.ts";
import { type SplitUrl, splitUrl } from "../../core/url.ts";
import type { RegistryContext } from "../driver.ts";
import { listRegistry } from "../list_registry.ts";
import { GitHubClient } from "./client.ts";
import type { GhrLocator } from "./locator.ts";
import { parseGhrArtifactUrl } from "./locator.ts";
import { GitHubRepository } from "./repository.ts";
import type { GitHubAsset } from "./schema.ts";
import { findAsset, GhrSource, revisionOf } from "./source.ts";

const NO_TOKEN =
  'Cannot write to GitHub: an audit record takes GH_TOKEN, GITHUB_TOKEN or a GitHub App with the permission "Contents: write"';

export async function openGhrArtifact(
  url: SplitUrl,
  io: RegistryContext,
  options: OpenOptions = {},
): Promise<ReadableStream<Uint8Array>> {
  const { owner, repo, tag, artifact } = parseGhrArtifactUrl(url);
  const repository = new GitHubRepository(new GitHubClient(io), owner, repo);
  const signal = joinSignals(options.signal, io.signal);
  const asset = await findRemoteAsset(repository, tag, artifact, signal);
  return repository.download(asset, options, signal);
}

export function openGhr(given: GhrLocator, io: RegistryContext): Registry {
  const locator = { ...given, artifact: given.artifact || (io.env.GITHUB_ARTIFACT ?? "") };
  const github = new GitHubClient(io);
  const repository = new GitHubRepository(github, locator.owner, locator.repo);
  const source = new GhrSource(locator, { github, repository, clock: io.clock, emit: io.emit });

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
      if (github.auth.kind === "anonymous") throw new CredentialError(NO_TOKEN);
      const signal = joinSignals(options.signal, io.signal);
      const { id } = deployment;
      const uploadUrl = source.uploadUrl(id) ?? (await repository.uploadUrl(id, signal));
      await repository.record(uploadUrl, deployment, signal);
    },
  });

  return {
    ...registry,
    async link(artifact, options = {}) {
      const { tag, artifact: name } = parseGhrArtifactUrl(
        splitUrl(artifact.url, "the artifact URL"),
      );
      const signal = joinSignals(options.signal, io.signal);
      const asset =
        source.asset(tag, name) ?? (await findRemoteAsset(repository, tag, name, signal));
      assertSame(artifact, asset);
      return repository.link(asset, signal);
    },
    async resolve(options) {
      const resolution = await registry.resolve(options);
      if (options?.tag === undefined) source.settle(resolution);
      return resolution;
    },
  };
}

/** A download must never be resumed across two different files. */
function assertSame(artifact: Artifact, asset: GitHubAsset): void {
  if (artifact.revision === undefined || artifact.revision === revisionOf(asset)) return;
  throw new IntegrityError(
    `Cannot download ${artifact.name}: it was replaced on GitHub after it was listed; dewy lists again`,
  );
}

async function findRemoteAsset(
  repository: GitHubRepository,
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
