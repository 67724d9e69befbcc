import { DeployError } from "../../src/core/error.ts";
import type { BakeOutcome } from "../../src/deploy/deployer.ts";
import type { AppRelease, Runner } from "../../src/deployers/runner.ts";

interface Hold {
  pass(): void;
  fail(error: Error): void;
}

/** An app without processes: what starts, becomes ready and bakes is for the test to decide. */
export class FakeRunner implements Runner {
  /** What was done, such as `deploy v1.0.0`. */
  readonly steps: string[] = [];
  /** Tags that do not become ready until the test decides. */
  readonly slow: Set<string> = new Set();
  /** Tags that exit instead of becoming ready. */
  readonly broken: Set<string> = new Set();
  /** Tags whose bake lasts until the test ends it; others pass at once. */
  readonly baking: Set<string> = new Set();
  readonly #starting = new Map<string, Hold>();
  readonly #bakes = new Map<string, Hold & { supersede(): void }>();
  release: AppRelease | undefined;

  isStarting(tag: string): boolean {
    return this.#starting.has(tag);
  }

  isBaking(tag: string): boolean {
    return this.#bakes.has(tag);
  }

  /** Lets a version that is getting ready become ready. */
  becomeReady(tag: string): void {
    this.#starting.get(tag)?.pass();
  }

  bake(release: AppRelease, _durationMs: number, signal: AbortSignal): Promise<BakeOutcome>;
  bake({ tag }: AppRelease, _durationMs: number, signal: AbortSignal): Promise<BakeOutcome> {
    if (!this.baking.has(tag)) return Promise.resolve("proven");
    return new Promise<BakeOutcome>((resolve, fail) => {
      const pass = (): void => resolve("proven");
      this.#bakes.set(tag, { pass, fail, supersede: () => resolve("superseded") });
      signal.addEventListener("abort", pass, { once: true });
    }).finally(() => this.#bakes.delete(tag));
  }

  passBake(tag: string): void {
    this.#bakes.get(tag)?.pass();
  }

  failBake(tag: string): void {
    this.#bakes.get(tag)?.fail(crash(tag));
  }

  async deploy(release: AppRelease, signal: AbortSignal): Promise<void> {
    this.steps.push(`deploy ${release.tag}`);
    await this.#start(release, signal);
    this.#supersede(release);
    this.release = release;
  }

  async takeBack(release: AppRelease, signal: AbortSignal): Promise<void> {
    this.steps.push(`take back ${release.tag}`);
    if (this.release?.directory !== release.directory) await this.#start(release, signal);
    this.#supersede(release);
    this.release = release;
  }

  async ensureRunning(release: AppRelease): Promise<void> {
    this.steps.push(`run ${release.tag}`);
    this.release = release;
  }

  async rollback(release: AppRelease): Promise<void> {
    this.steps.push(`restore ${release.tag}`);
    this.release = release;
  }

  async restart(signal: AbortSignal): Promise<void> {
    if (this.release === undefined) return;
    this.steps.push(`restart ${this.release.tag}`);
    await this.#start(this.release, signal);
  }

  async end(): Promise<void> {
    this.release = undefined;
  }

  async inUse(): Promise<ReadonlySet<string>> {
    return new Set(this.release === undefined ? [] : [this.release.directory]);
  }

  async #start({ tag }: AppRelease, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (this.broken.has(tag)) throw crash(tag);
    if (!this.slow.has(tag)) return;
    await new Promise<void>((pass, fail) => {
      this.#starting.set(tag, { pass, fail });
      signal.addEventListener("abort", () => fail(signal.reason), { once: true });
    }).finally(() => this.#starting.delete(tag));
  }

  #supersede(by: AppRelease): void {
    for (const [tag, { supersede }] of this.#bakes) if (tag !== by.tag) supersede();
  }
}

function crash(tag: string): DeployError {
  return new DeployError("verify", `${tag} exited with exit code 3`, { fault: "release" });
}
